//! `leoma selftest` as an operator meets it.

use std::process::{Command, Output};

use serde_json::Value;

fn selftest(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leoma"));
    command.arg("selftest").args(arguments).env_remove("LEOMA_SCORER__DEVICE");
    command.output().expect("the binary runs")
}

fn json(arguments: &[&str]) -> Value {
    let output = selftest(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn every_scorer_gives_the_known_answers_and_says_what_it_ran_on() {
    let cpu = json(&["--scorer", "cpu", "--json"]);
    let gpu = json(&["--scorer", "gpu", "--json"]);
    assert_eq!((&cpu["adapter"]["backend"], &cpu["agrees"]), (&"cpu".into(), &true.into()));
    assert_ne!(gpu["adapter"]["backend"], "cpu");
    // A software adapter has no models beside it: they are on the processor, or were not fetched.
    let models = &cpu["models"];
    let there = models["agrees"] == true && models["device"] == "cpu-flex";
    let absent = models["note"].as_str().is_some_and(|note| note.contains("leoma models fetch"));
    assert!(there || absent, "{models}");
    let digests = |tested: &Value| -> Vec<(String, String)> {
        let kernels = tested["kernels"].as_array().expect("kernels");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        kernels.iter().map(|one| (text(&one["kernel"]), text(&one["digest"]))).collect()
    };
    let (cpu, gpu) = (digests(&cpu), digests(&gpu));
    let both = cpu.iter().filter(|one| gpu.contains(one)).count();
    assert!(both >= 10, "{both} digests of the twins stand in the GPU's report");
}

#[test]
fn without_a_choice_the_machine_decides_and_the_text_names_every_kernel() {
    let output = selftest(&[]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    for word in ["adapter", "backend", "ssim", "motion", "blockiness"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!text.contains("DIFFERS"), "{text}");
}

#[test]
fn a_scorer_that_is_not_there_is_wrong_usage() {
    let missing = selftest(&["--scorer", "gpu:Voodoo 2"]);
    assert_eq!(missing.status.code(), Some(2));
    let text = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(text.contains("`Voodoo 2`") && text.contains("adapters here"), "{text}");
    let unknown = selftest(&["--scorer", "toaster"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("auto, cpu, gpu or gpu:NAME"));
}
