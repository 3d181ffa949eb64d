//! The worker as a process: it hangs, floods, crashes or is missing, and never outlives its job.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use leoma::{
    decode::{DecodeError, DecodeJob, Decoder, DecoderOptions},
    domain::{outcome::Fault, score::GateId},
};

use super::fixtures::{SMALL, decoder, plain};

/// A stand-in for a worker gone wrong: a shell script. Another process writes it: were it open for
/// writing here while a parallel test forks, starting it would fail with "text file busy".
fn script(folder: &Path, body: &str) -> PathBuf {
    let path = folder.join("worker");
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""#;
    let status = Command::new("sh").args(["-c", write, "sh", body]).arg(&path).status();
    assert!(status.expect("a shell").success());
    path
}

async fn decode_with(body: &str, wall: Duration) -> DecodeError {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options =
        DecoderOptions { clip_wall: wall, ..DecoderOptions::with_worker(script(folder.path(), body)) };
    Decoder::new(options).decode_clip(plain(), SMALL).await.expect_err("must fail")
}

fn is_alive(pid: i32) -> bool {
    // SAFETY: signal 0 only asks whether the process exists.
    unsafe { libc::kill(pid, 0) == 0 }
}

/// Long enough for a script to start on a busy machine.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_hanging_worker_is_killed_at_the_wall_clock() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let note = folder.path().join("pid");
    let body = format!("echo $$ > {}\nexec sleep 1000", note.display());
    let error = decode_with(&body, SHORT).await;
    assert_eq!(error, DecodeError::Timeout { job: DecodeJob::Clip, limit: SHORT });
    assert_eq!(error.fault(), Fault::Miner);
    let pid: i32 = std::fs::read_to_string(note).expect("it ran").trim().parse().expect("a pid");
    assert!(!is_alive(pid), "the worker outlived its job");
}

#[tokio::test]
async fn a_dropped_job_takes_its_worker_along() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let fifo = folder.path().join("alive");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("coreutils").success());
    // The worker holds the pipe open as long as it lives.
    let worker = script(folder.path(), &format!("exec 9> {}\necho up >&9\nexec sleep 1000", fifo.display()));
    let decoder = Decoder::new(DecoderOptions::with_worker(worker));
    let job = tokio::spawn(async move { decoder.decode_clip(plain(), SMALL).await });
    let ended = tokio::task::spawn_blocking(move || {
        let mut pipe = std::fs::File::open(fifo).expect("a pipe");
        let mut first = [0; 3];
        pipe.read_exact(&mut first).expect("the worker is up");
        job.abort();
        pipe.read_to_end(&mut Vec::new()).expect("ends with the worker")
    });
    assert_eq!(ended.await.expect("no panic"), 0);
}

#[tokio::test]
async fn a_worker_that_crashes_or_fails_is_told_apart() {
    let crash = decode_with("echo oh no >&2; kill -SEGV $$", LONG).await;
    assert!(
        matches!(&crash, DecodeError::WorkerDied { signal: Some(libc::SIGSEGV), stderr, .. } if stderr == "oh no"),
        "{crash}"
    );
    assert_eq!(crash.gate().map(|(gate, _)| gate), Some(GateId::G13));
    let exit = decode_with("exit 7", LONG).await;
    assert!(matches!(exit, DecodeError::WorkerDied { code: Some(7), .. }), "{exit}");
    assert_eq!(exit.fault(), Fault::Us);
}

#[tokio::test]
async fn a_worker_that_floods_either_pipe_is_ended() {
    let noise = decode_with("exec cat /dev/zero", LONG).await;
    assert!(matches!(noise, DecodeError::Worker { .. }), "{noise}");
    let talk = decode_with("exec cat /dev/zero >&2", SHORT).await;
    assert!(matches!(talk, DecodeError::Timeout { .. }), "{talk}");
    // Ignores the closed pipe: still ended at once, not at the wall clock.
    let deaf = decode_with("trap '' PIPE; printf XXXXXXXX; exec sleep 1000", LONG).await;
    assert!(matches!(deaf, DecodeError::Worker { .. }), "{deaf}");
}

#[tokio::test]
async fn a_missing_worker_is_our_fault() {
    let missing = Decoder::new(DecoderOptions::with_worker("/nonexistent/leoma".into()));
    let error = missing.decode_clip(plain(), SMALL).await.expect_err("cannot start");
    assert_eq!(error.fault(), Fault::Us);
    assert!(error.to_string().contains("/nonexistent/leoma"), "{error}");
}

#[tokio::test]
async fn a_file_above_the_limit_starts_no_worker() {
    let options = DecoderOptions { max_clip_bytes: 10, ..DecoderOptions::with_worker("/nonexistent".into()) };
    let error = Decoder::new(options).decode_clip(plain(), SMALL).await.expect_err("too large");
    assert!(matches!(error, DecodeError::TooLarge { limit: 10, .. }), "{error}");
}

#[tokio::test]
async fn memory_is_capped() {
    // Enough to start, not enough to decode in.
    let options = DecoderOptions {
        memory_bytes: 16 << 20,
        ..DecoderOptions::with_worker(env!("CARGO_BIN_EXE_leoma").into())
    };
    let error = Decoder::new(options).decode_clip(plain(), SMALL).await.expect_err("no memory");
    // Our own setting, so our own fault: the clip is not to blame.
    assert_eq!(error.fault(), Fault::Us, "{error}");
}

#[test]
fn the_worker_leaves_with_its_parent() {
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_leoma"))
            .arg("decode-worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs")
    };
    // The parent dies in the middle of the request ...
    let mut child = start();
    child.stdin.take().expect("piped").write_all(b"LDW1\x10").expect("open pipe");
    assert_eq!(child.wait().expect("ends").code(), Some(2));
    // ... or while the worker waits to write a frame that nobody reads.
    let mut child = start();
    let file = std::fs::read(super::fixtures::full_path()).expect("just drawn");
    let head = format!(
        r#"{{"job":{{"job":"clip","spec":{{"frames":81,"width":832,"height":480,"fps":16}}}},"limits":{{"memory_bytes":2147483648,"cpu_seconds":20}},"input_bytes":{}}}"#,
        file.len()
    );
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"LDW1").expect("open pipe");
    stdin.write_all(&(head.len() as u32).to_le_bytes()).expect("open pipe");
    stdin.write_all(head.as_bytes()).expect("open pipe");
    stdin.write_all(&file).expect("open pipe");
    let mut stdout = child.stdout.take().expect("piped");
    let mut first = [0; 1];
    stdout.read_exact(&mut first).expect("frames come");
    drop(stdin);
    assert_eq!(child.wait().expect("ends").code(), Some(3));
}

#[tokio::test]
async fn the_worker_starts_with_an_empty_environment() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let note = folder.path().join("env");
    // PATH is set wherever tests run, so an inherited environment would show.
    assert!(std::env::var_os("PATH").is_some());
    let error = decode_with(&format!("/usr/bin/env > {}; exit 1", note.display()), LONG).await;
    assert!(matches!(error, DecodeError::WorkerDied { code: Some(1), .. }), "{error}");
    let seen = std::fs::read_to_string(note).expect("it ran");
    // A shell sets PWD, SHLVL, OLDPWD and _ on its own.
    let inherited: Vec<&str> = seen
        .lines()
        .filter(|line| {
            !["PWD=", "SHLVL=", "OLDPWD=", "_=", "LD_LIBRARY_PATH="].iter().any(|own| line.starts_with(own))
        })
        .collect();
    assert_eq!(inherited, Vec::<&str>::new());
    assert!(decoder().decode_clip(plain(), SMALL).await.is_ok());
}
