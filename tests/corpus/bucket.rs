//! Footage in a bucket and a commitment into one, through a real S3 server.

use std::process::Command;

use leoma::domain::corpus_commitment::CorpusCommitment;
use serde_json::Value;

use super::build::{Desk, footage};
use crate::storage::server::{BUCKET, Bucket, KEY};

#[tokio::test]
async fn footage_comes_from_a_bucket_and_the_commitment_goes_into_one() {
    let Some(bucket) = Bucket::start().await else { return };
    for name in ["One shot.mp4", "One shot.txt", "cut.mp4"] {
        let plain = name.replace(' ', "-");
        bucket.put(&format!("film/{plain}"), &std::fs::read(footage().join(name)).expect("footage"));
    }
    let desk = Desk::new();
    let run = |arguments: Vec<String>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leoma"));
        command
            .env("AWS_ENDPOINT_URL", &bucket.url)
            .env("AWS_ACCESS_KEY_ID", KEY.0)
            .env("AWS_SECRET_ACCESS_KEY", KEY.1)
            .env("AWS_REGION", "us-east-1")
            .current_dir(desk.path());
        tokio::task::spawn_blocking(move || {
            let output = command.arg("corpus").args(arguments).output().expect("the binary runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
            (output.status.code(), report)
        })
    };
    let source = format!("s3://{BUCKET}/film");
    let (code, report) = run(desk.build_arguments(&source)).await.expect("ran");
    assert_eq!((code, &report["clips"]), (Some(0), &3.into()), "{report:#}");

    let publish = ["publish", "--corpus", "corpus", "--to"].map(str::to_owned);
    let publish = [&publish[..], &[format!("s3://{BUCKET}/leoma"), "--json".into()]].concat();
    for written in [true, false] {
        let (code, report) = run(publish.clone()).await.expect("ran");
        assert_eq!((code, &report["written"]), (Some(0), &written.into()), "{report:#}");
        let name = format!("leoma/{}", report["name"].as_str().expect("text"));
        let commitment = CorpusCommitment::parse(&bucket.read(&name)).expect("a commitment");
        assert_eq!(commitment.clips.len(), 3);
    }
    let others: Vec<String> =
        bucket.listing().into_iter().filter(|key| !key.starts_with("film/") && !key.contains("/.")).collect();
    assert_eq!(others.len(), 1, "{others:?}");
}
