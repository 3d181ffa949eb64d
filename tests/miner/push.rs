//! The chute file, and what is done with it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use leoma::domain::ids::Hotkey;

use super::{REVISION, Run, commitment};

fn push(out: &Path, path: &Path) -> Run {
    let hotkey = Hotkey([7; 32]);
    Run::of("push")
        .with(&["--model", &commitment(hotkey).model_name, "--revision", REVISION, "--username", "someone"])
        .with(&["--hotkey", &hotkey.to_string(), "--out"])
        .path(out)
        .env("PATH", path)
}

#[tokio::test]
async fn without_the_tool_the_next_steps_are_printed() {
    let folder = tempfile::tempdir().expect("folder");
    let printed = push(folder.path(), folder.path()).ended().await.succeeded();
    for step in [
        "pip install chutes",
        "chutes build leoma_chute:chute --wait",
        "chutes deploy leoma_chute:chute",
        "leoma miner commit --model someone/leoma-wan-",
    ] {
        assert!(printed.contains(step), "{step} not in {printed}");
    }
    let file = fs::read_to_string(folder.path().join("leoma_chute.py")).expect("the chute file");
    assert!(file.contains(REVISION), "{file}");
    // The same again changes nothing; somebody's own work is not replaced.
    push(folder.path(), folder.path()).ended().await.succeeded();
    fs::write(folder.path().join("leoma_chute.py"), "mine").expect("written");
    let refusal = push(folder.path(), folder.path()).ended().await.refused();
    assert!(refusal.contains("--out"), "{refusal}");
}

#[tokio::test]
async fn the_tool_is_run_in_the_folder_of_the_file_and_only_when_asked() {
    let folder = tempfile::tempdir().expect("folder");
    let (bin, out) = (folder.path().join("bin"), folder.path().join("out"));
    fs::create_dir(&bin).expect("bin");
    fs::create_dir(&out).expect("out");
    let tool = bin.join("chutes");
    fs::write(&tool, "#!/bin/sh\necho \"$@\" >> calls\n").expect("the tool");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("may be run");

    let refusal = push(&out, &bin).ended().await.refused();
    assert!(refusal.contains("pass --yes"), "{refusal}");
    push(&out, &bin).with(&["--no-deploy"]).ended().await.succeeded();
    assert!(!out.join("calls").exists(), "nobody asked for it");

    let printed = push(&out, &bin).with(&["--yes"]).ended().await.succeeded();
    let calls = fs::read_to_string(out.join("calls")).expect("calls");
    assert_eq!(calls, "build leoma_chute:chute --wait\ndeploy leoma_chute:chute --accept-fee\n");
    assert!(printed.contains("leoma miner commit"), "{printed}");

    fs::write(&tool, "#!/bin/sh\nexit 3\n").expect("a tool that fails");
    let failed = push(&out, &bin).with(&["--yes"]).ended().await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.contains("chutes build"), "{failed:?}");
}

#[tokio::test]
async fn naming_rules_are_checked_first() {
    let folder = tempfile::tempdir().expect("folder");
    let refusal = Run::of("push")
        .with(&["--model", "someone/wan", "--revision", "main", "--username", "someone"])
        .with(&["--hotkey", &Hotkey([7; 32]).to_string(), "--out"])
        .path(folder.path())
        .ended()
        .await
        .refused();
    assert!(refusal.contains("model_name_must_end_with_hotkey"), "{refusal}");
    assert!(!folder.path().join("leoma_chute.py").exists());
}
