//! A chute that sleeps is woken before it is judged; one that fails is asked once more at a later block; where the validator's own chute fails as a miner's does, Chutes is
//! at fault and not the miner.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use leoma::{
    domain::{commitment::Commitment, outcome::Fault, roster::Deployment},
    miners::{
        port::{Canary, GenerateRequest, GeneratedClip, MinerServices, ServiceFault},
        validity::{State, Validity},
    },
    store::spool::Spool,
};

use super::{
    house::{on_actix, parts, runs_until_paid},
    world::*,
};

/// Its chute sleeps until it is woken, and then is cold for the first request of each round.
const SLOW_STARTER: &str = "stand-in-honest-sharp";
/// Its chute is cold for every request.
const COLD: &str = "stand-in-honest-lively";
/// Its chute fails in a way that is its own.
const CRASHING: &str = "stand-in-honest-soft";

/// The simulation's services on a bad day.
struct BadDay {
    real: Arc<dyn MinerServices>,
    asked: Mutex<Vec<(String, u32)>>,
    canaries: AtomicUsize,
    woken: AtomicBool,
}

fn failed(reason: &str) -> ServiceFault {
    ServiceFault { fault: Fault::Miner, reason: reason.into(), detail: String::new(), retry_after: None }
}

#[async_trait]
impl MinerServices for BadDay {
    async fn resolve(&self, commitment: &Commitment) -> Result<Deployment, ServiceFault> {
        let found = self.real.resolve(commitment).await?;
        match found.slug.as_str() {
            SLOW_STARTER if !self.woken.load(Ordering::Relaxed) => Err(failed("chute_not_running")),
            _ => Ok(found),
        }
    }

    async fn warm_up(&self, commitment: &Commitment) -> Result<(), ServiceFault> {
        if self.real.resolve(commitment).await?.slug == SLOW_STARTER {
            self.woken.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn generate(&self, request: GenerateRequest, spool: &Spool) -> Result<GeneratedClip, ServiceFault> {
        let before = {
            let mut asked = self.asked.lock().expect("whole");
            let call = (request.slug.clone(), request.seed);
            let before = asked.iter().filter(|other| **other == call).count();
            asked.push(call);
            before
        };
        match request.slug.as_str() {
            SLOW_STARTER if before == 0 => Err(failed("answer_cold")),
            COLD => Err(failed("answer_cold")),
            CRASHING => Err(failed("answer_server_error")),
            _ => self.real.generate(request, spool).await,
        }
    }

    async fn ask_canary(&self, _: GenerateRequest, _: &Spool) -> Option<Canary> {
        self.canaries.fetch_add(1, Ordering::Relaxed);
        Some(Canary::Failed { reason: "answer_bad_gateway".into() })
    }
}

#[test]
fn sleepers_are_woken_what_may_pass_is_asked_again_and_what_the_canary_shares_is_not_the_miners() {
    on_actix(async {
        let world = World::start().await;
        let mut parts = parts(&world).await;
        let real = Arc::clone(&parts.services);
        let day = Arc::new(BadDay {
            real,
            asked: Mutex::default(),
            canaries: AtomicUsize::new(0),
            woken: AtomicBool::new(false),
        });
        parts.services = Arc::clone(&day) as Arc<dyn MinerServices>;
        let book = Arc::clone(&parts.book);
        let (_, paid) = runs_until_paid(parts).await;
        assert!(paid, "nobody was paid: {:#?}", book.newest(9));

        let report = book.get(book.paid().expect("paid").0).expect("the paid round");
        let row = |label: &str| {
            let line = world.roster.iter().find(|line| line.label == label).expect(label);
            let row = report.miners.iter().find(|row| row.hotkey == line.hotkey).expect("a row");
            (row.outcome.clone(), row.fault, row.reason.clone())
        };
        assert_eq!(row("honest-sharp").0, "scored", "{report:#?}");
        let lifted =
            ("forfeit".into(), Some(Fault::Platform), "answer_cold:canary:answer_bad_gateway".into());
        assert_eq!(row("honest-lively"), lifted);
        assert_eq!(row("honest-soft"), ("forfeit".into(), Some(Fault::Miner), "answer_server_error".into()));
        assert_eq!(day.canaries.load(Ordering::Relaxed), 1, "once for all failures of the same minutes");
        // What `leoma miners` reads.
        let known = Validity::read(&world.state()).expect("read").expect("written at every roster");
        let state = |label: &str| {
            let line = world.roster.iter().find(|line| line.label == label).expect(label);
            known.of(&line.hotkey).expect("a record").now.state.clone()
        };
        assert_eq!(state("honest-sharp"), State::Valid);
        let asleep = State::Invalid { fault: Fault::Miner, reason: "chute_not_running".into() };
        assert_eq!(state("cold-chute"), asleep);

        let asked = day.asked.lock().expect("whole");
        let (_, seed) = asked.iter().find(|(slug, _)| slug == COLD).expect("asked");
        let times = |slug: &str| asked.iter().filter(|(other, _)| other == slug).count();
        assert_eq!(asked.iter().filter(|(slug, other)| slug == COLD && other == seed).count(), 2);
        assert!(times(CRASHING) < times(COLD), "a crash is final");
    });
}
