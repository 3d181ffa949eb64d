//! The tournament's state as a fold of journal events: live running and recovery share this code.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    copies::{CopyBook, EarlierClips},
    event::{Event, ReceivedFile, Timings, VoidReason},
    ids::{BlockNumber, Digest, Hotkey, RoundId},
    inquiry::{Inquiry, Question},
    outcome::{Fault, Outcome, Stage},
    payments::Payments,
    payout::{
        Contender, SettledRound,
        history::{Judgement, MinerResult, model_id},
        round_winner,
    },
    plan::RoundPlan,
    roster::{RosterEntry, Standing},
    rules::PayoutRules,
};

mod disputes;

pub use disputes::{Dispute, QuestionReport};

/// Rounds whose whole tables stay in memory; older ones are read from the journal.
pub const ROUNDS_IN_MEMORY: usize = 200;

/// Why an event cannot follow the events before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The round was opened or voided before.
    #[error("round {0} is known already: no round is run twice")]
    DuplicateRound(RoundId),
    /// The round was never opened.
    #[error("round {0} was never opened")]
    UnknownRound(RoundId),
    /// The round is closed or void.
    #[error("round {0} has ended already")]
    Ended(RoundId),
    /// The miner is not in the round's roster.
    #[error("{hotkey} is not in the roster of round {round}")]
    UnknownMiner {
        /// Round.
        round: RoundId,
        /// Miner.
        hotkey: Hotkey,
    },
    /// The ticket has its outcome: the first one stands.
    #[error("the ticket of {hotkey} in round {round} is settled already: the first outcome stands")]
    AlreadySettled {
        /// Round.
        round: RoundId,
        /// Miner.
        hotkey: Hotkey,
    },
    /// The round cannot close while tickets are open.
    #[error("round {round} cannot close: {open} tickets are open")]
    TicketsOpen {
        /// Round.
        round: RoundId,
        /// How many.
        open: usize,
    },
    /// The recorded winner is not the one that the rules elect from the recorded outcomes.
    #[error("round {round} records winner {recorded:?}, the rules elect {elected:?}")]
    WinnerDiffers {
        /// Round.
        round: RoundId,
        /// As recorded.
        recorded: Option<Hotkey>,
        /// As elected.
        elected: Option<Hotkey>,
    },
    /// A weights decision is open: its end must be known before the next.
    #[error("weights were intended before and their end is not known: read the chain first")]
    IntentOpen,
    /// There is no open weights decision.
    #[error("no weights decision is open")]
    NoIntent,
    /// No commit of that epoch waits for its reveal.
    #[error("no commit of weights of epoch {0} waits for its reveal")]
    NoCommit(u64),
    /// A newer decision is on chain.
    #[error("a decision of round {round} is older than that of round {newest} on chain")]
    OlderDecision {
        /// The round that it rests on.
        round: RoundId,
        /// The round of the decision on chain.
        newest: RoundId,
    },
    /// The miner has no scored clip.
    #[error("{hotkey} has no scored clip in round {round}")]
    NoClip {
        /// Round.
        round: RoundId,
        /// Miner.
        hotkey: Hotkey,
    },
    /// The miner has no clip that could be disputed, or was asked this before.
    #[error("{hotkey} has nothing to be asked ({}) in round {round}", question.name())]
    NothingToAsk {
        /// Round.
        round: RoundId,
        /// Miner.
        hotkey: Hotkey,
        /// What.
        question: Question,
    },
    /// The answer belongs to no question that is open.
    #[error("{hotkey} was not asked ({}) in round {round}, or has answered", question.name())]
    NotAsked {
        /// Round.
        round: RoundId,
        /// Miner.
        hotkey: Hotkey,
        /// What.
        question: Question,
    },
}

/// Where a round stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Tickets are open.
    Open,
    /// It has its result.
    Closed {
        /// Block at which it closed.
        at: BlockNumber,
        /// Who won.
        winner: Option<Hotkey>,
    },
    /// It counts for nobody.
    Void {
        /// Block at which it was voided.
        at: BlockNumber,
        /// Why.
        reason: VoidReason,
    },
}

/// How far one miner's ticket is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TicketState {
    /// The miner's file, once it arrived.
    pub file: Option<ReceivedFile>,
    /// The outcome, once there is one.
    pub outcome: Option<Outcome>,
    /// Where the time went.
    pub timings: Timings,
}

/// One round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Round {
    /// The plan; `None` for a round that could not be planned.
    pub plan: Option<Arc<RoundPlan>>,
    /// Where the round stands.
    pub phase: Phase,
    /// One ticket for every miner of the roster.
    pub tickets: BTreeMap<Hotkey, TicketState>,
    /// Clips that are the same (G8), as far as the round has come.
    copies: CopyBook,
    /// Clips of the rounds before, while the round is open.
    earlier: EarlierClips,
    /// What the members of its disputes were asked and answered.
    inquiry: Inquiry,
    /// What G8 made of outcomes and why, once the round has ended.
    ruled: Option<disputes::Ruled>,
}

impl Round {
    fn open(plan: Arc<RoundPlan>, earlier: EarlierClips) -> Self {
        let tickets = plan.roster.iter().map(|entry| (entry.hotkey, TicketState::default())).collect();
        Self { tickets, earlier, ..Self::ended(Some(plan), Phase::Open) }
    }

    fn ended(plan: Option<Arc<RoundPlan>>, phase: Phase) -> Self {
        let (tickets, copies) = (BTreeMap::new(), CopyBook::default());
        Self {
            plan,
            phase,
            tickets,
            copies,
            earlier: Arc::default(),
            inquiry: Inquiry::default(),
            ruled: None,
        }
    }

    fn entries(&self) -> &[RosterEntry] {
        self.plan.as_ref().map_or(&[], |plan| &plan.roster)
    }

    /// Miners without an outcome.
    pub fn open_tickets(&self) -> impl Iterator<Item = Hotkey> + '_ {
        self.tickets.iter().filter(|(_, ticket)| ticket.outcome.is_none()).map(|(hotkey, _)| *hotkey)
    }

    /// Outcomes as they count: of clips that are the same only one keeps its score.
    pub fn final_outcomes(&self) -> BTreeMap<Hotkey, Outcome> {
        let settled = |(hotkey, ticket): (&Hotkey, &TicketState)| Some((*hotkey, ticket.outcome.clone()?));
        let mut outcomes: BTreeMap<_, _> = self.tickets.iter().filter_map(settled).collect();
        outcomes.extend(self.rulings());
        outcomes
    }

    /// The round's winner by the rules, from the outcomes so far.
    pub fn winner(&self, rules: &PayoutRules) -> Option<Contender> {
        round_winner(&self.contenders(), rules.tie_band)
    }

    /// The miners whose clips were scored and count.
    fn contenders(&self) -> Vec<Contender> {
        let outcomes = self.final_outcomes();
        let contender = |entry: &RosterEntry| {
            let card = outcomes.get(&entry.hotkey)?.card()?;
            Some(Contender {
                hotkey: entry.hotkey,
                precedence: entry.precedence,
                overall: card.overall,
                passed: card.passed,
            })
        };
        self.entries().iter().filter_map(contender).collect()
    }

    /// Whether the round was opened under other rules than these.
    fn is_of_other_rules(&self, digest: Option<Digest>) -> bool {
        self.plan.as_ref().is_some_and(|plan| digest.is_some_and(|digest| digest != plan.rules_digest))
    }

    /// How every miner of the roster fared, as the payout rules remember it.
    pub fn results(&self) -> Arc<[MinerResult]> {
        let outcomes = self.final_outcomes();
        let result = |entry: &RosterEntry| MinerResult {
            hotkey: entry.hotkey,
            model: model_id(entry.commitment.as_ref()),
            precedence: entry.precedence,
            judgement: Judgement::of(outcomes.get(&entry.hotkey)),
        };
        self.entries().iter().map(result).collect()
    }

    /// Whether too many of the miners that could be asked went unjudged through no fault of
    /// their own.
    pub fn void_reason(&self, rules: &PayoutRules) -> Option<VoidReason> {
        let asked = || self.entries().iter().filter(|entry| matches!(entry.standing, Standing::Valid { .. }));
        let unjudged = asked()
            .filter_map(|entry| self.tickets.get(&entry.hotkey)?.outcome.as_ref()?.fault())
            .filter(|fault| *fault != Fault::Miner)
            .count();
        let total = asked().count();
        let over = unjudged * 100 > total * usize::from(rules.void_above_unjudged_percent);
        (unjudged > 0 && over)
            .then_some(VoidReason::Unjudged { unjudged: unjudged as u32, asked: total as u32 })
    }
}

/// Everything that the journal's events add up to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tournament {
    rules: PayoutRules,
    rules_digest: Option<Digest>,
    rounds: BTreeMap<RoundId, Round>,
    newest: Option<RoundId>,
    published: BTreeSet<String>,
    settled: Vec<SettledRound>,
    payments: Payments,
}

impl Tournament {
    /// The state before the first event, when every round is of these rules.
    pub fn new(rules: PayoutRules) -> Self {
        Self {
            rules,
            rules_digest: None,
            rounds: BTreeMap::new(),
            newest: None,
            published: BTreeSet::new(),
            settled: Vec::new(),
            payments: Payments::default(),
        }
    }

    /// The state before the first event, when rounds may be of older rules: what was recorded of them
    /// stands, because these rules did not elect their winners.
    pub fn under(rules: PayoutRules, digest: Digest) -> Self {
        Self { rules_digest: Some(digest), ..Self::new(rules) }
    }

    /// One step of the fold. An error leaves the state as it was.
    pub fn apply(&mut self, event: &Event) -> Result<(), ApplyError> {
        match event {
            Event::RoundPlanned { plan } => {
                self.refuse_known(plan.round)?;
                self.published.insert(plan.clip.key.clone());
                let earlier = self.earlier_clips(plan.round, plan.copies.map_or(0, |gate| gate.rounds));
                self.insert(plan.round, Round::open(Arc::new(plan.as_ref().clone()), earlier));
            }
            Event::ClipReceived { round, hotkey, file } => {
                let ticket = self.open_ticket(*round, *hotkey)?;
                ticket.file = Some(file.clone());
            }
            Event::TicketSettled { round, hotkey, outcome, timings } => {
                let ticket = self.open_ticket(*round, *hotkey)?;
                ticket.outcome = Some(outcome.clone());
                ticket.timings = *timings;
                if let Some(open) = self.rounds.get_mut(round) {
                    open.note_clip(*hotkey);
                }
            }
            Event::ClipReturned { round, hotkey, earlier, owner } => {
                let noted = self.open_round(*round)?.note_returned(*hotkey, (*earlier, *owner));
                return noted.ok_or(ApplyError::NoClip { round: *round, hotkey: *hotkey });
            }
            Event::QuestionAsked { round, hotkey, question, seed } => {
                let asked = self.open_round(*round)?.ask((*hotkey, *question), *seed);
                return asked.ok_or(ApplyError::NothingToAsk {
                    round: *round,
                    hotkey: *hotkey,
                    question: *question,
                });
            }
            Event::QuestionSettled { round, hotkey, question, outcome, file, .. } => {
                let answered = self.open_round(*round)?.answer((*hotkey, *question), outcome, file.as_ref());
                return answered.ok_or(ApplyError::NotAsked {
                    round: *round,
                    hotkey: *hotkey,
                    question: *question,
                });
            }
            Event::RoundClosed { round, at, winner } => self.close(*round, *at, *winner)?,
            Event::RoundVoided { round, at, reason } => self.void(*round, *at, reason)?,
            Event::WeightsIntended { intent } => self.payments.intend(intent)?,
            Event::WeightsCommitted { place, .. } => self.payments.commit(place)?,
            Event::WeightsLanded { seen_at, epoch, own_update } => {
                self.payments.land(*epoch, *seen_at, *own_update)?;
            }
            Event::WeightsFailed { epoch, own_update, .. } => self.payments.fail(*epoch, *own_update)?,
            Event::WeightsVouched { last_update } => self.payments.vouch(*last_update),
        }
        Ok(())
    }

    fn refuse_known(&self, round: RoundId) -> Result<(), ApplyError> {
        match self.newest {
            Some(newest) if round <= newest => Err(ApplyError::DuplicateRound(round)),
            _ => Ok(()),
        }
    }

    /// Clips that kept their scores in this many rounds before one; older ones are forgotten.
    fn earlier_clips(&mut self, id: RoundId, rounds: u32) -> EarlierClips {
        let oldest = RoundId(id.0.saturating_sub(rounds.into()));
        self.rounds
            .range_mut(..oldest)
            .rev()
            .take(ROUNDS_IN_MEMORY)
            .for_each(|(_, round)| round.forget_tracks());
        let closed =
            self.rounds.range(oldest..).filter(|(_, round)| matches!(round.phase, Phase::Closed { .. }));
        closed.flat_map(|(id, round)| round.kept_clips(*id)).collect()
    }

    fn insert(&mut self, id: RoundId, round: Round) {
        self.newest = Some(id);
        self.rounds.insert(id, round);
        while self.rounds.len() > ROUNDS_IN_MEMORY {
            self.rounds.pop_first();
        }
    }

    fn open_round(&mut self, id: RoundId) -> Result<&mut Round, ApplyError> {
        let round = self.rounds.get_mut(&id).ok_or(ApplyError::UnknownRound(id))?;
        if round.phase != Phase::Open {
            return Err(ApplyError::Ended(id));
        }
        Ok(round)
    }

    fn open_ticket(&mut self, round: RoundId, hotkey: Hotkey) -> Result<&mut TicketState, ApplyError> {
        let ticket = self
            .open_round(round)?
            .tickets
            .get_mut(&hotkey)
            .ok_or(ApplyError::UnknownMiner { round, hotkey })?;
        match ticket.outcome {
            Some(_) => Err(ApplyError::AlreadySettled { round, hotkey }),
            None => Ok(ticket),
        }
    }

    fn close(&mut self, id: RoundId, at: BlockNumber, recorded: Option<Hotkey>) -> Result<(), ApplyError> {
        let (rules, digest) = (self.rules, self.rules_digest);
        let round = self.open_round(id)?;
        let open = round.open_tickets().count();
        if open > 0 {
            return Err(ApplyError::TicketsOpen { round: id, open });
        }
        let winner = if round.is_of_other_rules(digest) {
            round.contenders().into_iter().find(|contender| Some(contender.hotkey) == recorded)
        } else {
            round.winner(&rules)
        };
        let elected = winner.map(|winner| winner.hotkey);
        if elected != recorded {
            return Err(ApplyError::WinnerDiffers { round: id, recorded, elected });
        }
        round.phase = Phase::Closed { at, winner: recorded };
        round.rule();
        let results = round.results();
        self.settled.push(SettledRound { round: id, closed_at: at, winner, results });
        let surplus = self.settled.len().saturating_sub(ROUNDS_IN_MEMORY);
        self.settled.drain(..surplus);
        Ok(())
    }

    fn void(&mut self, id: RoundId, at: BlockNumber, reason: &VoidReason) -> Result<(), ApplyError> {
        let phase = Phase::Void { at, reason: reason.clone() };
        if self.rounds.contains_key(&id) {
            let round = self.open_round(id)?;
            round.phase = phase;
            round.rule();
            return Ok(());
        }
        self.refuse_known(id)?;
        self.insert(id, Round::ended(None, phase));
        Ok(())
    }

    /// A round whose table is in memory.
    pub fn round(&self, id: RoundId) -> Option<&Round> {
        self.rounds.get(&id)
    }

    /// Rounds in memory, newest first.
    pub fn rounds(&self) -> impl Iterator<Item = (RoundId, &Round)> {
        self.rounds.iter().rev().map(|(id, round)| (*id, round))
    }

    /// The newest round ever opened or voided.
    pub fn newest(&self) -> Option<RoundId> {
        self.newest
    }

    /// Rounds whose tickets are still open, oldest first.
    pub fn open_rounds(&self) -> Vec<RoundId> {
        let open = self.rounds.iter().filter(|(_, round)| round.phase == Phase::Open);
        open.map(|(id, _)| *id).collect()
    }

    /// Corpus keys that were published: they never return.
    pub fn published(&self) -> &BTreeSet<String> {
        &self.published
    }

    /// Closed rounds that are not void, oldest first.
    pub fn settled(&self) -> &[SettledRound] {
        &self.settled
    }

    /// What is known of payment.
    pub fn payments(&self) -> &Payments {
        &self.payments
    }

    /// The file of an open ticket, for going on after a restart.
    pub fn received_file(&self, round: RoundId, hotkey: &Hotkey) -> Option<Digest> {
        Some(self.rounds.get(&round)?.tickets.get(hotkey)?.file.as_ref()?.sha256)
    }
}

/// The outcome of a miner that cannot be asked, known when the round opens.
pub fn outcome_at_opening(entry: &RosterEntry) -> Option<Outcome> {
    match &entry.standing {
        Standing::Valid { .. } => None,
        Standing::Invalid { fault, reason } => {
            Some(Outcome::Forfeit { stage: Stage::Register, fault: *fault, reason: reason.clone() })
        }
    }
}

#[cfg(test)]
#[path = "round_tests.rs"]
mod tests;
