//! Readiness: the reasons why the validator cannot do its work now. No reason means ready.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use super::vitals::Vitals;
use crate::{
    domain::weights::Refusal,
    runtime::board::{ActorState, ActorStats, Board},
};

/// Why the validator is not ready, as a code that alerts can match.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The validator drains before it exits.
    ShuttingDown,
    /// No finalized block was seen since the start.
    NoBlockYet,
    /// No finalized block was seen for too long.
    ChainSilent,
    /// An actor that must exist never started.
    ActorMissing,
    /// An actor is starting, stopping or dead.
    ActorNotRunning,
    /// An actor's handler runs for too long.
    ActorBusy,
    /// No unused source clip is left.
    CorpusExhausted,
    /// The journal does not take writes.
    JournalFailing,
    /// Weights were due and did not land.
    WeightsOverdue,
    /// The runtime lacks something that we use: nothing is opened or submitted.
    SafeHold,
    /// The hotkey is not in the metagraph.
    NotRegistered,
    /// The hotkey has no validator permit: its weights do not count.
    NoValidatorPermit,
    /// The hotkey's stake is below the chain's threshold.
    StakeTooLow,
    /// The chain shows weights of our hotkey that our journal does not know.
    OtherInstance,
    /// The chain did not reveal a commit of ours, and nothing has landed since.
    RevealFailed,
    /// Weights are not submitted for another reason that does not pass by itself.
    WeightsRefused,
    /// Rounds wait for their upload, or meet something else under their name.
    StorageBehind,
}

/// One reason why the validator is not ready.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reason {
    /// Code for alerts.
    pub code: ReasonCode,
    /// What was seen and what to look at, for people.
    pub detail: String,
}

/// Whoever knows whether the validator is ready.
pub trait Readiness: Send + Sync {
    /// All reasons why it is not; empty when it is.
    fn reasons(&self) -> Vec<Reason>;
}

/// When slowness counts as trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealthLimits {
    /// Longest time without a finalized block.
    pub head_silence: Duration,
    /// Longest time in one actor's handler.
    pub handler_busy: Duration,
}

/// What [`Health`] is read from.
pub struct HealthOptions {
    /// The actors.
    pub board: Arc<Board>,
    /// The facts about the whole validator.
    pub vitals: Arc<Vitals>,
    /// Names of the actors that must run.
    pub actors: Vec<&'static str>,
    /// When slowness counts as trouble.
    pub limits: HealthLimits,
}

/// Readiness from the board and the vitals.
pub struct Health {
    options: HealthOptions,
}

impl Health {
    /// A reader of `options`; it stores nothing of its own.
    pub fn new(options: HealthOptions) -> Self {
        Self { options }
    }

    fn chain(&self) -> Option<Reason> {
        let limit = self.options.limits.head_silence;
        match self.options.vitals.head() {
            None => Some(Reason {
                code: ReasonCode::NoBlockYet,
                detail: format!(
                    "no finalized block seen in the {} s since the start: check chain.endpoints",
                    self.options.vitals.uptime().as_secs()
                ),
            }),
            Some(head) if head.age > limit => Some(Reason {
                code: ReasonCode::ChainSilent,
                detail: format!(
                    "no finalized block for {} s (limit {} s), the last one was {}: check the endpoint",
                    head.age.as_secs(),
                    limit.as_secs(),
                    head.block
                ),
            }),
            Some(_) => None,
        }
    }

    fn actor(&self, name: &str, stats: Option<&Arc<ActorStats>>) -> Option<Reason> {
        let Some(stats) = stats else {
            let detail = format!("actor {name} has not started");
            return Some(Reason { code: ReasonCode::ActorMissing, detail });
        };
        let state = stats.state();
        if state != ActorState::Running {
            let cause = stats.last_error().map(|error| format!(": {error}")).unwrap_or_default();
            let detail = format!("actor {name} is {}{cause}", state.as_str());
            return Some(Reason { code: ReasonCode::ActorNotRunning, detail });
        }
        let limit = self.options.limits.handler_busy;
        let busy = stats.busy_for().filter(|busy| *busy > limit)?;
        let detail = format!(
            "actor {name} has been in one handler for {} ms (limit {} ms): look at its last log lines",
            busy.as_millis(),
            limit.as_millis()
        );
        Some(Reason { code: ReasonCode::ActorBusy, detail })
    }

    /// How we stand with the chain, as far as it keeps us from paying.
    fn standing(&self) -> Vec<Reason> {
        let vitals = &self.options.vitals;
        let mut reasons = Vec::new();
        let mut say = |code, detail| reasons.push(Reason { code, detail });
        if let Some(missing) = vitals.link().and_then(|link| link.safe_hold) {
            let detail =
                format!("no round is opened and no weights are set until the runtime fits: {missing}");
            say(ReasonCode::SafeHold, detail);
        }
        if let Some(standing) = vitals.standing() {
            if !standing.registered {
                let detail = "our hotkey is not registered on the subnet: register it".into();
                say(ReasonCode::NotRegistered, detail);
            } else if !standing.has_stake() {
                let (stake, least) = (standing.stake, standing.stake_threshold);
                let detail = format!("stake {stake} rao, the chain wants {least}: add stake to the hotkey");
                say(ReasonCode::StakeTooLow, detail);
            } else if !standing.validator_permit {
                let detail =
                    "our hotkey has no validator permit: it needs more stake than others have".into();
                say(ReasonCode::NoValidatorPermit, detail);
            }
        }
        if vitals.is_reveal_missing() {
            let detail = format!(
                "the chain did not reveal our commit ({} so far): the weights are set anew; if it happens again look at the \
                 chain's drand pulses (`leoma chain doctor`)",
                vitals.reveals_failed()
            );
            say(ReasonCode::RevealFailed, detail);
        }
        match vitals.refusal() {
            Some(refusal @ Refusal::OtherInstance { .. }) => {
                say(ReasonCode::OtherInstance, refusal.to_string());
            }
            Some(
                refusal @ (Refusal::VersionKey { .. }
                | Refusal::CommitRevealVersion { .. }
                | Refusal::RulesNotActive { .. }),
            ) => say(ReasonCode::WeightsRefused, refusal.to_string()),
            // The others pass by themselves, or are shown by the standing above.
            _ => {}
        }
        reasons
    }

    fn state_of_work(&self) -> Vec<Reason> {
        let vitals = &self.options.vitals;
        let mut reasons = Vec::new();
        if vitals.clips_left() == Some(0) {
            let detail = "every source clip of the corpus has been used: add clips to its manifest".into();
            reasons.push(Reason { code: ReasonCode::CorpusExhausted, detail });
        }
        if let Some(trouble) = vitals.journal_trouble() {
            let detail = format!("the journal does not take writes: {trouble}");
            reasons.push(Reason { code: ReasonCode::JournalFailing, detail });
        }
        if let Some(detail) = vitals.storage().trouble() {
            reasons.push(Reason { code: ReasonCode::StorageBehind, detail });
        }
        if let (Some(due), Some(head)) = (vitals.weights_due(), vitals.head())
            && head.block > due
        {
            let detail = format!("weights were due by block {due}, the head is {}", head.block);
            reasons.push(Reason { code: ReasonCode::WeightsOverdue, detail });
        }
        reasons
    }
}

impl Readiness for Health {
    fn reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.options.vitals.is_stopping() {
            let detail = "the validator drains its work and will exit".into();
            reasons.push(Reason { code: ReasonCode::ShuttingDown, detail });
        }
        reasons.extend(self.chain());
        let actors = self.options.board.actors();
        for name in &self.options.actors {
            let stats = actors.iter().find(|stats| stats.name() == *name);
            reasons.extend(self.actor(name, stats));
        }
        reasons.extend(self.state_of_work());
        reasons.extend(self.standing());
        reasons
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::{
        domain::ids::BlockNumber,
        telemetry::{ChainLink, ChainStanding},
    };

    struct Bench {
        now: Arc<AtomicU64>,
        board: Arc<Board>,
        vitals: Arc<Vitals>,
        health: Health,
    }

    impl Bench {
        fn new() -> Self {
            let now = Arc::new(AtomicU64::new(0));
            let reader = Arc::clone(&now);
            let clock: crate::runtime::board::MonotonicClock = Arc::new(move || reader.load(Relaxed));
            let board = Arc::new(Board::with_clock(Arc::clone(&clock)));
            let vitals = Arc::new(Vitals::with_clock(clock));
            let health = Health::new(HealthOptions {
                board: Arc::clone(&board),
                vitals: Arc::clone(&vitals),
                actors: vec!["scorer"],
                limits: HealthLimits {
                    head_silence: Duration::from_secs(60),
                    handler_busy: Duration::from_secs(5),
                },
            });
            Self { now, board, vitals, health }
        }

        fn ready() -> Self {
            let bench = Self::new();
            bench.vitals.head_seen(BlockNumber(100));
            bench.board.register("scorer", 2).set_state(ActorState::Running);
            assert_eq!(bench.codes(), []);
            bench
        }

        fn at_second(&self, second: u64) {
            self.now.store(second * 1_000_000_000, Relaxed);
        }

        fn codes(&self) -> Vec<ReasonCode> {
            self.health.reasons().into_iter().map(|reason| reason.code).collect()
        }
    }

    #[test]
    fn nothing_started_is_not_ready() {
        assert_eq!(Bench::new().codes(), [ReasonCode::NoBlockYet, ReasonCode::ActorMissing]);
    }

    #[test]
    fn a_silent_chain_is_seen_and_recovers_with_the_next_block() {
        let bench = Bench::ready();
        bench.at_second(60);
        assert_eq!(bench.codes(), []);
        bench.at_second(61);
        assert_eq!(bench.codes(), [ReasonCode::ChainSilent]);
        bench.vitals.head_seen(BlockNumber(101));
        assert_eq!(bench.codes(), []);
    }

    #[test]
    fn a_dead_actor_is_named_with_its_cause() {
        let bench = Bench::ready();
        bench.board.register("scorer", 2).died(&"device lost");
        let reasons = bench.health.reasons();
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].code, ReasonCode::ActorNotRunning);
        assert_eq!(reasons[0].detail, "actor scorer is dead: device lost");
    }

    #[test]
    fn a_handler_over_its_limit_is_seen_while_it_runs() {
        let bench = Bench::ready();
        let handling = bench.board.register("scorer", 2).handling();
        bench.at_second(6);
        assert_eq!(bench.codes(), [ReasonCode::ActorBusy]);
        drop(handling);
        assert_eq!(bench.codes(), []);
    }

    #[test]
    fn corpus_journal_weights_and_shutdown_each_have_their_reason() {
        let bench = Bench::ready();
        bench.vitals.corpus_left(0);
        bench.vitals.journal_failed(&"disk full");
        bench.vitals.weights_due_by(Some(BlockNumber(99)));
        bench.vitals.stopping();
        use ReasonCode::*;
        assert_eq!(bench.codes(), [ShuttingDown, CorpusExhausted, JournalFailing, WeightsOverdue]);
        bench.vitals.corpus_left(3);
        bench.vitals.journal_wrote(1);
        bench.vitals.weights_landed(BlockNumber(100));
        assert_eq!(bench.codes(), [ShuttingDown]);
    }

    #[test]
    fn every_way_of_standing_badly_with_the_chain_has_its_reason() {
        use ReasonCode::*;
        let bench = Bench::ready();
        let fine = ChainStanding {
            registered: true,
            validator_permit: true,
            stake: 10,
            stake_threshold: 10,
            is_owner: false,
            last_update: BlockNumber(50),
            tempo: 100,
            commit_reveal: true,
            commits_pending: 0,
            reveal_due: false,
        };
        for (standing, codes) in [
            (fine, vec![]),
            (
                ChainStanding { registered: false, validator_permit: false, stake: 0, ..fine },
                vec![NotRegistered],
            ),
            (ChainStanding { stake: 9, validator_permit: false, ..fine }, vec![StakeTooLow]),
            (ChainStanding { stake: 9, is_owner: true, ..fine }, vec![]),
            (ChainStanding { validator_permit: false, ..fine }, vec![NoValidatorPermit]),
        ] {
            bench.vitals.standing_seen(standing);
            assert_eq!(bench.codes(), codes, "{standing:?}");
        }
        assert_eq!(fine.tempos_behind(BlockNumber(200)), Some(1.5));
        bench.vitals.standing_seen(fine);

        let other = Refusal::OtherInstance { last_update: BlockNumber(7) };
        let key = Refusal::VersionKey { wanted: 2, ours: 1 };
        let soon = Refusal::TooSoon { until: BlockNumber(7) };
        for (refusal, codes) in [(other, vec![OtherInstance]), (key, vec![WeightsRefused]), (soon, vec![])] {
            bench.vitals.weights_refused(Some(refusal));
            assert_eq!(bench.codes(), codes, "{refusal}");
        }
        bench.vitals.reveal_failed();
        let link = ChainLink { safe_hold: Some("storage X".into()), ..ChainLink::default() };
        bench.vitals.link_seen(link);
        assert_eq!(bench.codes(), [SafeHold, RevealFailed]);
        bench.vitals.link_seen(ChainLink::default());
        bench.vitals.weights_landed(BlockNumber(100));
        assert_eq!(bench.codes(), []);
    }

    #[test]
    fn weights_due_in_the_future_are_no_trouble() {
        let bench = Bench::ready();
        bench.vitals.weights_due_by(Some(BlockNumber(100)));
        assert_eq!(bench.codes(), []);
    }
}
