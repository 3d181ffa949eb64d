//! Opening a round: roster and source clip come together into a plan.

use std::sync::Arc;

use actix::Context;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::{
    chain::port::Head,
    corpus::PreparedClip,
    domain::{
        event::Event,
        ids::{BlockNumber, BlockRef, RoundId},
        plan::{PlanSource, RoundPlan},
        roster::RosterEntry,
    },
    runtime::post::{Hold, Post},
};

use super::{
    super::{
        messages::{ClipReady, PrepareError, RosterReady, RoundContext, SyncRoster},
        miner_registry::MinerRegistry,
    },
    LiveRound, RoundClock,
};

/// A round that is being planned.
pub(super) struct Planning {
    round: RoundId,
    give_up_after: BlockNumber,
    roster: Option<Vec<RosterEntry>>,
    clip: Option<(BlockRef, Arc<PreparedClip>)>,
}

/// Times that the registry is asked for one roster; it answers unless it dies.
const ROSTER_ATTEMPTS: u32 = 3;
/// Time between blocks of the chain that we are for; only what the log says rests on it.
const SECONDS_PER_BLOCK: u64 = 12;

impl RoundClock {
    /// Starts planning when a finalized block lies in a round that was not opened yet, early enough
    /// that miners keep most of their time.
    pub(super) fn plan_if_due(&mut self, head: Head, ctx: &mut Context<Self>) {
        let schedule = self.parts.rules.rules.schedule;
        let number = head.block.number.0;
        let round = RoundId(number / schedule.round_interval_blocks);
        let offset = number % schedule.round_interval_blocks;
        if let Some(planning) = &self.planning {
            if head.block.number > planning.give_up_after {
                let late = planning.round;
                self.planning = None;
                self.void(late, "roster and clip were not ready in time".into(), ctx);
            }
            return;
        }
        let known = self.state.newest().is_some_and(|newest| newest >= round);
        if known || round.0 * schedule.round_interval_blocks < schedule.active_from_block {
            return;
        }
        let open = self.state.open_rounds();
        if offset > schedule.answer_within_blocks / 2 || !open.is_empty() {
            self.pass_over(round, open.first().copied(), head.block.number);
            return;
        }
        let anchor = BlockNumber(round.0 * schedule.round_interval_blocks);
        debug!(%round, %anchor, "planning");
        self.planning = Some(Planning {
            round,
            give_up_after: BlockNumber(anchor.0 + schedule.answer_within_blocks * 3 / 4),
            roster: None,
            clip: None,
        });
        self.prepare(round, anchor);
    }

    /// Says once for each round why it is not opened, and when the next one begins.
    fn pass_over(&mut self, round: RoundId, open: Option<RoundId>, now: BlockNumber) {
        if self.passed_over.is_some_and(|told| told >= round) {
            return;
        }
        self.passed_over = Some(round);
        let interval = self.parts.rules.rules.schedule.round_interval_blocks;
        info!("{}", not_opened(round, open, now, interval));
    }

    /// Reads the anchor's hash, asks for the roster at that block and prepares the clip.
    fn prepare(&self, round: RoundId, number: BlockNumber) {
        let parts = self.parts.clone();
        let published = self.state.published_clips().to_vec();
        self.spawn_then(async move {
            let clip = async {
                let hash = parts.chain.block_hash(number).await?;
                let anchor = BlockRef { number, hash };
                tokio::spawn(ask_roster(parts.registry, parts.post, round, anchor));
                let withheld = parts.corpus.withheld(&published);
                let clip = parts.corpus.choose(&parts.rules.rules, &hash, &withheld).await?;
                Ok::<_, PrepareError>((anchor, Arc::new(clip)))
            };
            ClipReady { round, clip: clip.await }
        });
    }

    pub(super) fn on_roster_ready(&mut self, ready: RosterReady, hold: Hold, ctx: &mut Context<Self>) {
        match ready.roster {
            Ok(roster) => {
                if let Some(planning) = self.planning_of(ready.round) {
                    planning.roster = Some(roster);
                }
                self.open_if_ready(ctx);
                hold.done();
            }
            Err(cause) => {
                self.give_up(ready.round, format!("roster: {cause}"), ctx);
                hold.failed(&cause);
            }
        }
    }

    pub(super) fn on_clip_ready(&mut self, ready: ClipReady, hold: Hold, ctx: &mut Context<Self>) {
        match ready.clip {
            Ok(clip) => {
                if let Some(planning) = self.planning_of(ready.round) {
                    planning.clip = Some(clip);
                }
                self.open_if_ready(ctx);
                hold.done();
            }
            Err(cause) => {
                self.give_up(ready.round, cause.to_string(), ctx);
                hold.failed(&cause);
            }
        }
    }

    fn planning_of(&mut self, round: RoundId) -> Option<&mut Planning> {
        self.planning.as_mut().filter(|planning| planning.round == round)
    }

    fn give_up(&mut self, round: RoundId, detail: String, ctx: &mut Context<Self>) {
        if self.planning_of(round).is_some() {
            self.planning = None;
            self.void(round, detail, ctx);
        }
    }

    fn open_if_ready(&mut self, ctx: &mut Context<Self>) {
        if self.safe_hold {
            return; // it is given up in time: the round is void
        }
        let ready = self.planning.take_if(|planning| planning.roster.is_some() && planning.clip.is_some());
        let Some(Planning { round, roster: Some(roster), clip: Some((anchor, prepared)), .. }) = ready else {
            return;
        };
        let rules = &self.parts.rules;
        let schedule = rules.rules.schedule;
        let after = |blocks: u64| BlockNumber(anchor.number.0 + blocks);
        let plan = RoundPlan {
            round,
            anchor,
            answer_by: after(schedule.answer_within_blocks),
            settle_by: after(schedule.settle_within_blocks),
            source: PlanSource::Sample,
            spec: rules.rules.request,
            clip: prepared.choice.clone(),
            roster,
            rules_digest: rules.digest,
            corpus_digest: self.parts.corpus.digest(),
            copies: Some(rules.rules.scoring.gates.copy),
        };
        if !self.record(Event::RoundPlanned { plan: Box::new(plan.clone()) }, ctx) {
            warn!(%round, "the plan was not recorded, so the round is not opened");
            return;
        }
        self.parts.report_corpus(&self.state);
        self.parts.metrics.round_opened();
        debug!(%round, clip = %plan.clip.key, miners = plan.roster.len(), "open: {}", plan.clip.prompt);
        self.go_live(Arc::new(plan), prepared);
        self.settle_those_out(round, ctx);
        self.dispatch(round, ctx);
        self.close_if_settled(round, ctx);
    }

    /// Makes the context that a round's tickets share.
    pub(super) fn go_live(&mut self, plan: Arc<RoundPlan>, prepared: Arc<PreparedClip>) {
        let round = plan.round;
        let context = Arc::new(RoundContext {
            span: tracing::info_span!(parent: None, "round", %round),
            plan,
            prepared,
            rules: Arc::new(self.parts.rules.rules.clone()),
            head: self.parts.head.subscribe(),
        });
        let live = LiveRound {
            context,
            attempts: Default::default(),
            drops: Default::default(),
            asking: Default::default(),
            quiet: Default::default(),
        };
        self.live.insert(round, live);
    }
}

/// Asks the registry for a round's roster, anew when it dies with the question, and hands the answer in.
async fn ask_roster(
    registry: Post<MinerRegistry>,
    clock: Post<RoundClock>,
    round: RoundId,
    anchor: BlockRef,
) {
    for _ in 0..ROSTER_ATTEMPTS {
        let (reply, answer) = oneshot::channel();
        if registry.deliver(SyncRoster { round, anchor, reply }).await.is_err() {
            return; // the process is ending
        }
        if let Ok(roster) = answer.await {
            clock.deliver(RosterReady { round, roster }).await.ok();
            return;
        }
        warn!(%round, "the registry died while it read the roster, asking again");
    }
}

/// Why a round is not opened at block `now`, and when the next one begins.
fn not_opened(round: RoundId, open: Option<RoundId>, now: BlockNumber, interval: u64) -> String {
    let next = BlockNumber((round.0 + 1) * interval);
    let minutes = next.0.saturating_sub(now.0) * SECONDS_PER_BLOCK / 60;
    let why = match open {
        Some(open) => format!("round {open} is still open"),
        None => format!("block {now} leaves its miners too little time"),
    };
    format!("round {round} is not opened: {why}; the next begins at block {next}, in about {minutes} minutes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_reads_why_nothing_happens_and_until_when() {
        let (round, now) = (RoundId(41), BlockNumber(4_160));
        assert_eq!(
            not_opened(round, None, now, 100),
            "round 41 is not opened: block 4160 leaves its miners too little time; \
             the next begins at block 4200, in about 8 minutes"
        );
        assert!(not_opened(round, Some(RoundId(40)), now, 100).contains(": round 40 is still open; "));
    }
}
