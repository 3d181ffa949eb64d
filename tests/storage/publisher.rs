//! The publisher as it runs beside the actors.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use leoma::{
    domain::ids::RoundId,
    storage::{
        Outbox,
        publisher::{PackTrouble, Packer, PublisherParts, run},
        sweep::Keep,
    },
    telemetry::StorageVitals,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{DOCUMENT, door::Door, place, server::Bucket};

const PLENTY: Keep = Keep { rounds: 100, bytes: 1 << 30 };

/// Packs rounds of three files; one number is a round that was never planned.
#[derive(Default)]
struct Clerk {
    ended: Mutex<BTreeSet<RoundId>>,
}

const UNPLANNED: RoundId = RoundId(13);

impl Clerk {
    fn end(&self, round: u64) {
        self.ended.lock().expect("rounds").insert(RoundId(round));
    }
}

#[async_trait]
impl Packer for Clerk {
    fn ended(&self) -> Vec<RoundId> {
        self.ended.lock().expect("rounds").iter().copied().collect()
    }

    async fn pack(&self, round: RoundId, into: &Path) -> Result<(), PackTrouble> {
        if round == UNPLANNED {
            return Err(PackTrouble::Never("it was not planned".into()));
        }
        let work = into.join(".pack");
        std::fs::create_dir_all(&work).expect("a folder");
        std::fs::write(work.join("clip.mp4"), vec![1; 1000]).expect("written");
        std::fs::write(work.join(DOCUMENT), b"{}").expect("written");
        std::fs::rename(work, into.join(round.to_string())).expect("renamed");
        Ok(())
    }
}

struct Office {
    clerk: Arc<Clerk>,
    outbox: Outbox,
    vitals: Arc<StorageVitals>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Office {
    fn open(folder: &Path, url: &str, keep: Keep, outbox_bytes: u64) -> Self {
        let clerk: Arc<Clerk> = Arc::default();
        let outbox = Outbox::open(folder).expect("outbox");
        let vitals: Arc<StorageVitals> = Arc::default();
        let stop = CancellationToken::new();
        let parts = PublisherParts {
            place: place(url),
            outbox: outbox.clone(),
            packer: clerk.clone(),
            document: DOCUMENT,
            keep,
            outbox_bytes,
            look: Duration::from_millis(20),
            backoff: (Duration::from_millis(20), Duration::from_millis(100)),
            vitals: Arc::clone(&vitals),
        };
        let running = tokio::spawn(run(parts, stop.clone()));
        Self { clerk, outbox, vitals, stop, running }
    }

    /// Looks at every turn of the publisher until something holds.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let looking = async {
            let mut turn = tokio::time::interval(Duration::from_millis(10));
            while !holds(self) {
                turn.tick().await;
            }
        };
        let end = timeout(Duration::from_secs(30), looking).await;
        end.unwrap_or_else(|_| panic!("{what}: {:?}", self.vitals));
    }

    async fn close(self) {
        self.stop.cancel();
        self.running.await.expect("ends");
    }
}

fn published(office: &Office) -> Vec<u64> {
    office.outbox.published().expect("reads").iter().map(|record| record.round.0).collect()
}

#[tokio::test]
async fn rounds_go_out_when_they_end_and_the_oldest_are_removed() {
    let Some(bucket) = Bucket::start().await else { return };
    let folder = tempfile::tempdir().expect("folder");
    let office = Office::open(folder.path(), &bucket.url, Keep { rounds: 2, bytes: 1 << 30 }, 1 << 30);
    for round in [11, 12, 13, 14] {
        office.clerk.end(round);
        office
            .until("it went out", |office| {
                round == UNPLANNED.0 || office.vitals.last_round() == Some(RoundId(round))
            })
            .await;
    }
    office.until("the first was swept", |office| office.vitals.removed().0 == 1).await;
    assert_eq!(published(&office), [12, 14]);
    let keys = bucket.listing();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert!(
        keys.iter().all(|key| key.starts_with("leoma/99/12/") || key.starts_with("leoma/99/14/")),
        "{keys:?}"
    );
    assert_eq!(office.vitals.outbox(), (0, 0));
    office.close().await;
}

#[tokio::test]
async fn a_service_that_is_away_is_waited_for_over_a_restart() {
    let Some(bucket) = Bucket::start().await else { return };
    let door = Door::before(&bucket.url).await;
    door.close(true);
    let folder = tempfile::tempdir().expect("folder");
    let office = Office::open(folder.path(), &door.url, PLENTY, 1 << 30);
    (1..=5).for_each(|round| office.clerk.end(round));
    office.until("rounds wait", |office| office.vitals.trouble().is_some()).await;
    let trouble = office.vitals.trouble().expect("behind");
    assert!(trouble.starts_with("5 rounds"), "{trouble}");
    office.close().await;

    door.close(false);
    let office = Office::open(folder.path(), &door.url, PLENTY, 1 << 30);
    office.until("they went out", |office| published(office).len() == 5).await;
    office.until("nothing waits", |office| office.vitals.trouble().is_none()).await;
    assert_eq!(bucket.listing().len(), 10);
    office.close().await;
}

#[tokio::test]
async fn beyond_the_bound_the_oldest_waiting_rounds_are_given_up() {
    let Some(bucket) = Bucket::start().await else { return };
    let door = Door::before(&bucket.url).await;
    door.close(true);
    let folder = tempfile::tempdir().expect("folder");
    let office = Office::open(folder.path(), &door.url, PLENTY, 2_500);
    (1..=4).for_each(|round| office.clerk.end(round));
    office.until("two were given up", |office| office.vitals.removed().1 == 2).await;
    door.close(false);
    office.until("the newest went out", |office| published(office) == [3, 4]).await;
    office.close().await;
}

#[tokio::test]
async fn a_taken_name_holds_up_no_other_round() {
    let Some(bucket) = Bucket::start().await else { return };
    bucket.put("leoma/99/1/clip.mp4", b"another's");
    let folder = tempfile::tempdir().expect("folder");
    let office = Office::open(folder.path(), &bucket.url, PLENTY, 1 << 30);
    office.clerk.end(1);
    office.clerk.end(2);
    office.until("the second went out", |office| published(office) == [2]).await;
    office.until("the first is a trouble", |office| office.vitals.trouble().is_some()).await;
    assert!(office.vitals.failures().contains_key("conflict"));
    assert_eq!(bucket.read("leoma/99/1/clip.mp4"), b"another's");
    office.close().await;
}
