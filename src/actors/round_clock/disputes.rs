//! Asking the members of a dispute again (G8): one at a time within a group, until no answer could change the ruling or
//! the round must settle.

use std::{sync::Arc, time::Duration};

use actix::Context;
use tracing::{info, warn};

use crate::{
    chain::port::ChainError,
    domain::{
        event::Event,
        ids::{BlockNumber, BlockRef, Hotkey, RoundId},
        inquiry::Question,
        plan::{RoundPlan, request_seed},
        round::{Dispute, Phase},
    },
    runtime::post::Hold,
};

use super::{
    super::{
        messages::OpenRound,
        ticket::{Ask, TicketEnd, Turn},
    },
    RoundClock,
    tickets::{MAX_DROPS, forfeit},
};

/// Blocks between an answer and the block whose hash seeds the next fresh question: finality follows the newest block by
/// two or three, and nobody may know the seed while somebody else still answers.
const SEED_LAG: u64 = 3;
/// Blocks before a round must settle in which nobody is asked and the last answer is decoded and scored.
const LAST_BLOCKS: u64 = 2;

/// To RoundClock itself: the block whose hash seeds a fresh question, as two endpoints name it.
pub struct SeedAgreed {
    round: RoundId,
    hotkey: Hotkey,
    seed: Result<BlockRef, ChainError>,
}

impl RoundClock {
    /// Called at every block: asks the next member of every dispute that waits for nobody.
    pub(super) fn ask_again_if_due(&mut self, head: BlockRef, ctx: &mut Context<Self>) {
        for id in self.state.open_rounds() {
            let Some(round) = self.state.round(id) else { continue };
            let Some(plan) = round.plan.clone() else { continue };
            let all_in = round.open_tickets().next().is_none() || head.number >= plan.answer_by;
            if !all_in || head.number.0 + LAST_BLOCKS >= plan.settle_by.0 {
                continue;
            }
            for dispute in round.disputes() {
                self.ask_next(&plan, &dispute, head, ctx);
            }
        }
    }

    /// Records when a scored clip is another miner's of an earlier round.
    pub(super) fn note_if_returned(&mut self, round: RoundId, hotkey: Hotkey, ctx: &mut Context<Self>) {
        let found = self.state.round(round).and_then(|round| round.find_returned(&hotkey));
        if let Some((earlier, owner)) = found {
            info!(%round, miner = %hotkey, %earlier, "its clip is that of {owner} in an earlier round");
            self.record(Event::ClipReturned { round, hotkey, earlier, owner }, ctx);
        }
    }

    fn ask_next(&mut self, plan: &RoundPlan, dispute: &Dispute, head: BlockRef, ctx: &mut Context<Self>) {
        let Some((hotkey, question)) = dispute.next else { return };
        let Some(live) = self.live.get_mut(&plan.round) else { return };
        if dispute.members.iter().any(|member| live.asking.contains(member)) {
            return;
        }
        let since =
            dispute.members.iter().map(|member| *live.quiet.entry(*member).or_insert(head.number)).max();
        let quiet = since.is_some_and(|since| head.number.0 >= since.0 + SEED_LAG);
        let known = self.state.round(plan.round).and_then(|round| round.seed_block(hotkey, question));
        match (known, question) {
            // Lost on its way, or asked before a restart.
            (Some(seed), _) => self.ask(plan, dispute, seed, ctx),
            (None, Question::OldSeed) => self.ask(plan, dispute, plan.anchor, ctx),
            (None, Question::FreshSeed) if quiet => self.agree_on_seed(plan.round, hotkey, head.number),
            (None, Question::FreshSeed) => {}
        }
    }

    /// Reads the block's hash as every seed is read: where several endpoints are configured, two name it.
    fn agree_on_seed(&mut self, round: RoundId, hotkey: Hotkey, number: BlockNumber) {
        let Some(live) = self.live.get_mut(&round) else { return };
        live.asking.insert(hotkey);
        let chain = Arc::clone(&self.parts.chain);
        self.spawn_then(async move {
            let seed = chain.block_hash(number).await.map(|hash| BlockRef { number, hash });
            SeedAgreed { round, hotkey, seed }
        });
    }

    pub(super) fn on_seed_agreed(&mut self, agreed: SeedAgreed, hold: Hold, ctx: &mut Context<Self>) {
        let SeedAgreed { round: id, hotkey, seed } = agreed;
        if let Some(live) = self.live.get_mut(&id) {
            live.asking.remove(&hotkey);
        }
        let seed = match seed {
            Ok(seed) => seed,
            Err(cause) => {
                warn!(round = %id, miner = %hotkey, "no seed for a fresh question yet: {cause}");
                return hold.failed(&cause); // the next block is asked for
            }
        };
        let now = *self.parts.head.borrow();
        let round = self.state.round(id).filter(|round| round.phase == Phase::Open);
        let plan = round.and_then(|round| round.plan.clone());
        let plan = plan.filter(|plan| now.0 + LAST_BLOCKS < plan.settle_by.0);
        let disputes = round.map(|round| round.disputes()).unwrap_or_default();
        let wanted = disputes.iter().find(|dispute| dispute.next == Some((hotkey, Question::FreshSeed)));
        if let (Some(plan), Some(dispute), false) = (plan, wanted, self.draining || self.safe_hold) {
            self.ask(&plan, dispute, seed, ctx);
        }
        hold.done();
    }

    /// Asks the dispute's next member.
    fn ask(&mut self, plan: &RoundPlan, dispute: &Dispute, seed: BlockRef, ctx: &mut Context<Self>) {
        let Some((hotkey, question)) = dispute.next else { return };
        let known = self.state.round(plan.round).and_then(|round| round.seed_block(hotkey, question));
        let event = Event::QuestionAsked { round: plan.round, hotkey, question, seed };
        if known.is_some() || self.record(event, ctx) {
            let now = *self.parts.head.borrow();
            let turn = Turn {
                until: share_of_time(plan, now, dispute.most_left),
                at_least: self.fair_time(plan.round, &hotkey),
            };
            let ask = Ask {
                question: Some(question),
                seed: request_seed(&seed.hash, &hotkey),
                answer_by: BlockNumber(plan.settle_by.0.saturating_sub(LAST_BLOCKS)),
                turn: Some(turn),
            };
            self.send_question((plan.round, hotkey), ask, ctx);
        }
    }

    /// Twice the time of its first answer.
    fn fair_time(&self, round: RoundId, hotkey: &Hotkey) -> Duration {
        let ticket = self.state.round(round).and_then(|round| round.tickets.get(hotkey));
        let file = ticket.and_then(|ticket| ticket.file.as_ref());
        file.map_or(Duration::MAX, |file| Duration::from_millis(2 * file.latency_ms))
    }

    fn send_question(&mut self, (id, hotkey): (RoundId, Hotkey), ask: Ask, ctx: &mut Context<Self>) {
        let Some(ticket) = self.make_ticket(id, hotkey, Some(ask), ctx) else { return };
        let Some(live) = self.live.get_mut(&id) else { return };
        live.asking.insert(hotkey);
        let question = ask.question.map_or("", Question::name);
        info!(round = %id, miner = %hotkey, question, answer_by = %ask.answer_by, "asked again: its clip is disputed");
        let message = OpenRound { context: live.context.clone(), tickets: vec![(ticket, None)] };
        let challenger = self.parts.challenger.clone();
        tokio::spawn(async move {
            // When the process is ending the ticket drops, and the next start asks again.
            challenger.deliver(message).await.ok();
        });
    }

    /// A question ended: with an answer, without one, or on its way.
    pub(super) fn on_answered(&mut self, end: TicketEnd, question: Question, ctx: &mut Context<Self>) {
        let (round, hotkey) = (end.ticket.round, end.ticket.hotkey);
        let now = *self.parts.head.borrow();
        if let Some(live) = self.live.get_mut(&round) {
            live.asking.remove(&hotkey);
            live.quiet.insert(hotkey, now);
        }
        let outcome = match end.outcome {
            Some(outcome) => outcome,
            None if self.draining || self.drops_of(round, hotkey) < MAX_DROPS => return, // asked again
            None => forfeit(self.stage_of(round, hotkey), "dropped"),
        };
        let (timings, file) = (end.timings, end.answer);
        let event = Event::QuestionSettled { round, hotkey, question, outcome, timings, file };
        if !self.record(event, ctx) {
            return;
        }
        let asked = self.state.round(round).map(|round| round.questions()).unwrap_or_default();
        let of = asked.iter().find(|asked| asked.hotkey == hotkey && asked.question == question);
        let finding = of.map_or("open", |asked| asked.finding.as_str());
        info!(%round, miner = %hotkey, question = question.name(), finding, "answered again");
        self.parts.metrics.copy_question(question.name(), finding);
    }

    /// Whether the round waits for an answer that could change whose a disputed clip is.
    pub(super) fn is_disputed(&self, id: RoundId, now: BlockNumber) -> bool {
        self.state.round(id).is_some_and(|round| {
            round.plan.as_ref().is_some_and(|plan| now <= plan.settle_by)
                && round.disputes().iter().any(|dispute| dispute.next.is_some())
        })
    }
}

/// The block until which a turn lasts at least: what is left of the round is shared among the questions that a group can
/// still be asked.
fn share_of_time(plan: &RoundPlan, now: BlockNumber, questions: u64) -> BlockNumber {
    let left = plan.settle_by.0.saturating_sub(now.0 + LAST_BLOCKS);
    BlockNumber(now.0 + (left / questions.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::plan;

    #[test]
    fn the_time_that_is_left_is_shared_among_the_questions() {
        let plan = plan(7, 3); // settles by block 795
        let by = |now: u64, questions: u64| share_of_time(&plan, BlockNumber(now), questions).0;
        assert_eq!((by(733, 4), by(733, 1), by(760, 3)), (748, 793, 771));
        assert_eq!((by(792, 4), by(793, 1)), (793, 794), "a block at least");
    }
}
