//! `leoma selftest`: whether a scorer's kernels give their known answers, on this machine.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;

use super::{
    Execute,
    exit::{Exit, Failure, after_help},
};
use crate::gpu::{
    adapters::AdapterWish,
    choose::ScorerChoice,
    device::{DeviceOptions, Generation},
    error::DeviceError,
    selftest::{self, SelfTest},
};

/// Run every scoring kernel on its known answers and print digests, times and the adapter
///
/// A scorer whose kernel differs must not score, and `leoma run` refuses it: then this ends with code 1
/// and names the kernel. A scorer that this machine does not have is wrong usage (code 2).
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma selftest",
    "leoma selftest --scorer gpu",
    "leoma selftest --scorer gpu:llvmpipe --json",
))]
pub struct SelfTestCommand {
    /// What to test: auto, cpu, gpu or gpu:NAME
    #[arg(long, value_name = "SCORER", default_value = "auto", env = "LEOMA_SCORER__DEVICE")]
    scorer: ScorerChoice,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Execute for SelfTestCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        let (tested, note) = run(&self.scorer)?;
        let text =
            if self.json { to_json(&tested, note.as_deref())? } else { to_text(&tested, note.as_deref()) };
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(Failure::new(
                    Exit::Internal,
                    anyhow!(error).context("writing to standard output"),
                ));
            }
            _ => {}
        }
        match tested.differing() {
            None => Ok(Exit::Ok.into()),
            Some(kernels) => {
                let text = format!("{} computes {kernels} otherwise: it must not score", tested.adapter);
                Err(Failure::new(Exit::Internal, anyhow!(text)))
            }
        }
    }
}

/// The test of a choice, and why `auto` took the processor.
fn run(choice: &ScorerChoice) -> Result<(SelfTest, Option<String>), Failure> {
    let wish = match choice {
        ScorerChoice::Cpu => return Ok((selftest::of_twins(), None)),
        ScorerChoice::Auto => AdapterWish::Real,
        ScorerChoice::Gpu(name) => name.clone().map_or(AdapterWish::Any, AdapterWish::Named),
    };
    let absent = |error: &DeviceError| {
        matches!(
            error,
            DeviceError::NoAdapter { .. } | DeviceError::Unsuitable { .. } | DeviceError::Refused { .. }
        )
    };
    match Generation::open(&DeviceOptions::of(wish)).and_then(|mut device| selftest::of_device(&mut device)) {
        Ok(tested) => Ok((tested, None)),
        Err(error) if absent(&error) && *choice == ScorerChoice::Auto => {
            Ok((selftest::of_twins(), Some(error.to_string())))
        }
        Err(error) if absent(&error) => Err(Failure::new(Exit::Usage, error)),
        Err(error) => Err(Failure::new(Exit::Internal, error)),
    }
}

fn to_text(tested: &SelfTest, note: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(note) = note {
        text.push_str(&format!("note      {note}\n"));
    }
    text.push_str(&format!("adapter   {}\nbackend   {}\n", tested.adapter, tested.backend));
    if !tested.driver.is_empty() {
        text.push_str(&format!("driver    {}\n", tested.driver));
    }
    for kernel in &tested.kernels {
        let state = if kernel.agrees() { "ok" } else { "DIFFERS" };
        let time = kernel.time.as_secs_f64() * 1e3;
        text.push_str(&format!("{state:<9} {:<16} {time:>9.2} ms  {}\n", kernel.kernel, kernel.found));
        if !kernel.agrees() {
            text.push_str(&format!("{:<39}  {} expected\n", "", kernel.expected));
        }
    }
    text
}

fn to_json(tested: &SelfTest, note: Option<&str>) -> Result<String, Failure> {
    let kernels: Vec<_> = tested
        .kernels
        .iter()
        .map(|kernel| {
            json!({
                "kernel": kernel.kernel,
                "agrees": kernel.agrees(),
                "digest": kernel.found.to_string(),
                "expected": kernel.expected.to_string(),
                "microseconds": kernel.time.as_micros() as u64,
            })
        })
        .collect();
    let object = json!({
        "adapter": { "name": tested.adapter, "backend": tested.backend, "driver": tested.driver },
        "agrees": tested.differing().is_none(),
        "note": note,
        "kernels": kernels,
    });
    Ok(serde_json::to_string_pretty(&object).context("printing JSON")? + "\n")
}
