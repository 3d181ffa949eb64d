//! Publishing rounds: what lies in a real bucket afterwards, and what happens when the service misbehaves.
//!
//! `scripts/fetch-s3-server.sh` builds the server that these stories start.

mod door;
mod publisher;
mod server;

use leoma::{
    domain::ids::RoundId,
    storage::{Outbox, Place, PlaceOptions, Published, S3Options, UploadError, upload},
};
use object_store::{ObjectStoreExt as _, aws::AmazonS3Builder, path::Path};

use door::{Door, Fault};
use server::{Bucket, KEY};

const DOCUMENT: &str = "round.json";

/// A round of an old-fashioned layout in an outbox of its own.
fn packed(rounds: &[u64]) -> (tempfile::TempDir, Outbox) {
    let folder = tempfile::tempdir().expect("folder");
    let outbox = Outbox::open(folder.path()).expect("outbox");
    for round in rounds {
        write(&outbox, *round, "metadata.json", b"{\"task_id\":1}");
        write(&outbox, *round, "generated_videos/5Abc.mp4", &vec![7; 300_000]);
        write(&outbox, *round, DOCUMENT, format!("{{\"round\":{round}}}").as_bytes());
    }
    (folder, outbox)
}

fn write(outbox: &Outbox, round: u64, name: &str, bytes: &[u8]) {
    let path = outbox.waiting_folder().join(round.to_string()).join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, bytes).expect("written");
}

fn options(endpoint: &str) -> PlaceOptions {
    let s3 = S3Options {
        endpoint: Some(endpoint.parse().expect("a URL")),
        key: Some(server::key(KEY.1)),
        timeout: std::time::Duration::from_millis(1500),
        first_backoff: std::time::Duration::from_millis(10),
        ..S3Options::default()
    };
    PlaceOptions { location: format!("s3://{}/leoma/99", server::BUCKET), s3 }
}

fn place(endpoint: &str) -> Place {
    Place::open(&options(endpoint)).expect("a place")
}

async fn send(place: &Place, outbox: &Outbox, round: u64) -> Result<Published, UploadError> {
    upload(place, outbox, RoundId(round), DOCUMENT).await
}

#[tokio::test]
async fn a_round_lies_in_the_bucket_as_it_was_packed() {
    let Some(bucket) = Bucket::start().await else { return };
    let (_folder, outbox) = packed(&[71_234]);
    let place = place(&bucket.url);
    let published = send(&place, &outbox, 71_234).await.expect("uploaded");
    assert_eq!(published.files, ["generated_videos/5Abc.mp4", "metadata.json", "round.json"]);
    assert_eq!(
        bucket.listing(),
        [
            "leoma/99/71234/generated_videos/5Abc.mp4",
            "leoma/99/71234/metadata.json",
            "leoma/99/71234/round.json"
        ]
    );
    // Another client reads the same bytes.
    let reader = AmazonS3Builder::new()
        .with_endpoint(&bucket.url)
        .with_allow_http(true)
        .with_region("auto")
        .with_bucket_name(server::BUCKET)
        .with_access_key_id(KEY.0)
        .with_secret_access_key(KEY.1)
        .build()
        .expect("a client");
    let key = Path::from("leoma/99/71234/generated_videos/5Abc.mp4");
    let read = reader.get(&key).await.expect("found").bytes().await.expect("read");
    assert_eq!(read, vec![7; 300_000]);
    assert_eq!(send(&place, &outbox, 71_234).await.expect("there already"), published);
}

#[tokio::test]
async fn a_large_file_goes_in_parts() {
    let Some(bucket) = Bucket::start().await else { return };
    let (_folder, outbox) = packed(&[5]);
    let large: Vec<u8> = (0..(34u32 << 20)).map(|n| (n % 251) as u8).collect();
    write(&outbox, 5, "original_clip.mp4", &large);
    send(&place(&bucket.url), &outbox, 5).await.expect("uploaded");
    assert!(bucket.read("leoma/99/5/original_clip.mp4") == large, "whole");
}

#[tokio::test]
async fn what_lies_there_already_is_never_overwritten() {
    let Some(bucket) = Bucket::start().await else { return };
    let (_folder, outbox) = packed(&[9]);
    bucket.put("leoma/99/9/metadata.json", b"somebody else's");
    for conditional_writes in [true, false] {
        let mut options = options(&bucket.url);
        options.s3.conditional_writes = conditional_writes;
        let place = Place::open(&options).expect("a place");
        let Err(UploadError::Conflict { key, found: 15, .. }) = send(&place, &outbox, 9).await else {
            panic!("a conflict")
        };
        assert_eq!(key, "leoma/99/9/metadata.json");
    }
    assert_eq!(bucket.read("leoma/99/9/metadata.json"), b"somebody else's");
    assert!(
        !bucket.listing().iter().any(|key| key.ends_with(DOCUMENT)),
        "no document of a round that is not whole"
    );
}

#[tokio::test]
async fn a_service_without_conditional_writes_is_asked_for_none() {
    let Some(bucket) = Bucket::start().await else { return };
    let door = Door::before(&bucket.url).await;
    door.refuse_conditions();
    let (_folder, outbox) = packed(&[3]);
    let strict = send(&place(&door.url), &outbox, 3).await;
    assert!(strict.is_err(), "the door says 501 to a condition");
    let mut options = options(&door.url);
    options.s3.conditional_writes = false;
    send(&Place::open(&options).expect("a place"), &outbox, 3).await.expect("uploaded");
}

#[tokio::test]
async fn faults_in_between_cost_time_and_nothing_else() {
    let Some(bucket) = Bucket::start().await else { return };
    for (round, faults) in [
        (1, vec![Fault::SlowDown, Fault::SlowDown]),
        (2, vec![Fault::Hang]),
        (3, vec![Fault::Reset]),
        // The write arrived and its answer did not: the next look finds it.
        (4, vec![Fault::Pass, Fault::LoseAnswer]),
        (5, vec![Fault::Pass, Fault::SlowDown, Fault::Pass, Fault::Reset, Fault::Pass, Fault::LoseAnswer]),
    ] {
        let door = Door::before(&bucket.url).await;
        let (_folder, outbox) = packed(&[round]);
        door.then(&faults);
        let mut sent = send(&place(&door.url), &outbox, round).await;
        for _ in 0..faults.len() {
            if let Err(cause) = &sent {
                assert!(cause.passes(), "{faults:?}: {cause}");
                sent = send(&place(&door.url), &outbox, round).await;
            }
        }
        sent.unwrap_or_else(|cause| panic!("{faults:?}: {cause}"));
        assert_eq!(
            bucket.read(&format!("leoma/99/{round}/{DOCUMENT}")),
            format!("{{\"round\":{round}}}").as_bytes()
        );
        assert_eq!(door.waiting(), 0, "{faults:?} were met");
    }
}

#[tokio::test]
async fn a_file_that_did_not_arrive_whole_is_no_success() {
    let Some(bucket) = Bucket::start().await else { return };
    let door = Door::before(&bucket.url).await;
    let (_folder, outbox) = packed(&[6]);
    // The service says 200 and keeps nothing.
    door.then(&[Fault::Pass, Fault::Swallow]);
    let Err(cause @ UploadError::Unverified { .. }) = send(&place(&door.url), &outbox, 6).await else {
        panic!("unverified")
    };
    assert!(cause.passes());
    send(&place(&door.url), &outbox, 6).await.expect("the next attempt");
}

#[tokio::test]
async fn a_wrong_key_is_said_at_once_and_never_shown() {
    let Some(bucket) = Bucket::start().await else { return };
    let (_folder, outbox) = packed(&[3]);
    let mut options = options(&bucket.url);
    options.s3.key = Some(server::key("another secret"));
    let place = Place::open(&options).expect("a place");
    let cause = send(&place, &outbox, 3).await.expect_err("refused");
    assert!(matches!(cause, UploadError::Denied { .. }) && !cause.passes(), "{cause}");
    assert!(!format!("{cause} {cause:?} {place:?}").contains("another secret"), "{cause}");
    assert_eq!(bucket.listing(), [""; 0]);
}
