//! An incumbent without a model calls a newcomer's public chute and sends what it gets: the newcomer keeps its clip.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use leoma::{
    domain::{
        commitment::Commitment,
        inquiry::Question::{FreshSeed, OldSeed},
        outcome::Fault,
        roster::Deployment,
    },
    miners::port::{GenerateRequest, GeneratedClip, MinerServices, ServiceFault},
    store::spool::{Spool, SpooledFile},
};
use tokio::sync::watch;

use super::{
    house::{on_actix, parts, runs_until_paid},
    world::*,
};

const INCUMBENT: &str = "stand-in-honest-sharp";
const NEWCOMER: &str = "stand-in-honest-lively";
const OTHER: &str = "stand-in-honest-soft";

/// The simulation's services with another incumbent and a newcomer that follows its seed: the clip of one stand-in for the
/// first seed, that of another one for any other. Everybody else is left out.
struct Stage {
    real: Arc<dyn MinerServices>,
    seed: Mutex<Option<u32>>,
    shown: watch::Sender<Option<SpooledFile>>,
}

#[async_trait]
impl MinerServices for Stage {
    async fn resolve(&self, commitment: &Commitment) -> Result<Deployment, ServiceFault> {
        self.real.resolve(commitment).await
    }

    async fn generate(
        &self,
        mut request: GenerateRequest,
        spool: &Spool,
    ) -> Result<GeneratedClip, ServiceFault> {
        match request.slug.as_str() {
            INCUMBENT => {
                let mut shown = self.shown.subscribe();
                let file = shown.wait_for(Option::is_some).await.expect("the stage stands").clone();
                let latency = Duration::from_secs(3);
                Ok(GeneratedClip { file: file.expect("a clip"), latency, invocation_id: None })
            }
            NEWCOMER if *self.seed.lock().expect("whole").get_or_insert(request.seed) == request.seed => {
                let clip = self.real.generate(request, spool).await?;
                self.shown.send_replace(Some(clip.file.clone()));
                Ok(clip)
            }
            NEWCOMER | OTHER => {
                OTHER.clone_into(&mut request.slug);
                self.real.generate(request, spool).await
            }
            _ => {
                let (reason, detail) = ("answer_server_error".into(), String::new());
                Err(ServiceFault { fault: Fault::Miner, reason, detail, retry_after: None })
            }
        }
    }
}

#[test]
fn a_newcomer_keeps_the_clip_that_an_incumbent_took_from_its_chute() {
    on_actix(async {
        // Time enough for the questions on a slow machine; the round closes when they are answered.
        let mut rules = small_rules();
        rules.schedule.round_interval_blocks = 300;
        rules.schedule.answer_within_blocks = 150;
        rules.schedule.settle_within_blocks = 298;
        let world = World::start_by(&rules, 250).await;
        let mut parts = parts(&world).await;
        let (seed, shown) = (Mutex::default(), watch::Sender::default());
        parts.services = Arc::new(Stage { real: Arc::clone(&parts.services), seed, shown });
        let book = Arc::clone(&parts.book);
        let (_, paid) = runs_until_paid(parts).await;
        let rounds = book.newest(9);
        assert!(paid, "nobody was paid: {rounds:#?}");

        let report = book.get(book.paid().expect("paid").0).expect("the paid round");
        let key = |label: &str| world.roster.iter().find(|line| line.label == label).expect(label).hotkey;
        let (incumbent, newcomer) = (key("honest-sharp"), key("honest-lively"));
        assert_eq!(report.copies, [[incumbent, newcomer]], "the earlier one first: {report:#?}");
        let row = |hotkey| report.miners.iter().find(|row| row.hotkey == hotkey).expect("a row");
        assert_eq!(row(newcomer).outcome, "scored", "{report:#?}");
        assert!(row(incumbent).reason.starts_with("G8 "), "{:?}", row(incumbent));
        assert_eq!(row(incumbent).file, row(newcomer).file);
        let found = |hotkey, question| {
            let asked =
                report.questions.iter().find(|asked| (asked.hotkey, asked.question) == (hotkey, question));
            asked.map(|asked| asked.finding.as_str())
        };
        assert_eq!(
            (found(newcomer, FreshSeed), found(newcomer, OldSeed)),
            (Some("new_clip"), Some("same_clip"))
        );
        assert_eq!((found(incumbent, FreshSeed), found(incumbent, OldSeed)), (Some("same_clip"), None));
    });
}
