//! The stages once more on SwiftShader, an independent Vulkan implementation: equal integers there and on lavapipe are
//! the nearest thing to two vendors that a machine without a GPU has.

use std::process::Command;

use crate::inputs::{cache, skipped};

#[test]
fn stages_give_the_twins_integers_on_swiftshader_too() {
    if std::env::var_os("LEOMA_TEST_ADAPTER").is_some() {
        return; // this is the child
    }
    let manifest = cache().map(|cache| cache.join("swiftshader/vk_swiftshader_icd.json"));
    let Some(manifest) = manifest.filter(|manifest| manifest.is_file()) else {
        return skipped("SwiftShader is not there, run scripts/fetch-swiftshader.sh");
    };
    let output = Command::new(std::env::current_exe().expect("this test binary"))
        .args(["stages::", "--test-threads=2"])
        .env("VK_DRIVER_FILES", &manifest)
        .env("VK_ICD_FILENAMES", &manifest)
        .env("LEOMA_TEST_ADAPTER", "SwiftShader")
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("test result: ok") && !text.contains("ok. 0 passed"), "{text}");
}
