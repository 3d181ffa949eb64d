//! Judges a run by the chain's final blocks and the journal alone, never by what the validator says.

use std::collections::{BTreeMap, BTreeSet};

use leoma::{
    chain::devnet::ValidatorSight,
    domain::{
        event::{Event, PayTarget, WeightsForm, WeightsIntent},
        ids::{Digest, Hotkey, RoundId, Uid},
        payout::{PayoutInput, SettledRound, payout},
        round::Tournament,
    },
};

use super::{Settings, engine::Run, world::World};

/// Most blocks from a decision to the block that holds its extrinsic: the extrinsic's era and what lies
/// between decision and signing.
const LONGEST_FLIGHT: u64 = 72;

/// What an epoch found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Epoch {
    /// No round had settled early enough.
    NotDue,
    /// The row pays whom it should, and is fresh.
    Right,
    /// Something is missing, during or after a trouble: its place in the list.
    Missing { window: usize, why: String },
    /// Something is missing and nothing was wrong with the chain.
    Unexplained { why: String },
}

/// What the judge found.
#[derive(Default)]
pub struct Findings {
    /// Every epoch by its block.
    pub epochs: BTreeMap<u64, Epoch>,
    /// What must never happen, in words.
    pub violations: Vec<String>,
    /// Blocks from the heal, or from when weights were next due where that is later, to the recovery;
    /// and the same in milliseconds. By place in the list of troubles.
    pub recoveries: BTreeMap<usize, (u64, u64)>,
    pub counts: Counts,
}

/// Sums of a run.
#[derive(Default, Debug)]
pub struct Counts {
    pub intents: u64,
    pub included: u64,
    pub succeeded: u64,
    pub commits: u64,
    pub revealed: u64,
    pub reveals_failed: u64,
    pub paid_miners: u64,
    pub paid_owner: u64,
    pub rounds_closed: u64,
    pub rounds_void: u64,
    pub paid_a_stranger: u64,
}

/// A decision of the journal and what the chain shows of it.
struct Decision {
    intent: WeightsIntent,
    /// Failures of weights that the journal held before it.
    failures_before: usize,
    included_at: Option<u64>,
    succeeded: bool,
}

struct Judge<'a> {
    run: &'a Run,
    settings: &'a Settings,
    cheat: Hotkey,
    decisions: Vec<Decision>,
    /// Rounds that closed, by the block.
    closed: Vec<(u64, RoundId)>,
    /// The decision that the row of weights rests on, from a block on.
    in_force: BTreeMap<u64, usize>,
    found: Findings,
}

/// Judges a run.
pub fn judge(world: &World, settings: &Settings, run: &Run) -> Findings {
    let cheat = world.cast.last().expect("a cast").hotkey;
    let mut judge = Judge {
        run,
        settings,
        cheat,
        decisions: Vec::new(),
        closed: Vec::new(),
        in_force: BTreeMap::new(),
        found: Findings::default(),
    };
    judge.read_journal(world);
    judge.follow_the_chain();
    judge.no_decision_lands_twice();
    judge.epochs();
    judge.recoveries();
    for death in &run.deaths {
        judge.found.violations.push(format!("the validator ended by itself: {death}"));
    }
    judge.found
}

impl Judge<'_> {
    fn wrong(&mut self, text: String) {
        self.found.violations.push(text);
    }

    fn hotkey_at(sight: &ValidatorSight, uid: Uid) -> Option<Hotkey> {
        sight.hotkeys.get(usize::from(uid.0)).copied()
    }

    /// Who a target is: the owner's slot is the first.
    fn hotkey_of(sight: &ValidatorSight, target: &PayTarget) -> Hotkey {
        match target {
            PayTarget::Miner { hotkey } => *hotkey,
            PayTarget::Owner => sight.hotkeys[0],
        }
    }

    /// Folds the journal; every decision must be the payout rule's for the chain of its block.
    fn read_journal(&mut self, world: &World) {
        let mut state = Tournament::new(world.rules.payout);
        let mut failures = 0;
        for event in &self.run.events {
            match event {
                Event::WeightsIntended { intent } => {
                    self.decided_rightly(world, &state, intent);
                    self.found.counts.intents += 1;
                    let intent = intent.clone();
                    self.decisions.push(Decision {
                        intent,
                        failures_before: failures,
                        included_at: None,
                        succeeded: false,
                    });
                }
                Event::WeightsFailed { epoch, .. } => {
                    failures += 1;
                    self.found.counts.reveals_failed += u64::from(epoch.is_some());
                }
                Event::WeightsLanded { epoch, .. } => {
                    self.found.counts.revealed += u64::from(epoch.is_some())
                }
                Event::RoundClosed { round, at, winner } => {
                    self.closed.push((at.0, *round));
                    self.found.counts.rounds_closed += 1;
                    if *winner == Some(self.cheat) {
                        self.wrong(format!("round {round} was won by the cheat"));
                    }
                }
                Event::RoundVoided { .. } => self.found.counts.rounds_void += 1,
                _ => {}
            }
            if let Err(cause) = state.apply(event) {
                self.wrong(format!("the journal does not follow: {}: {cause}", event.kind()));
            }
        }
    }

    fn decided_rightly(&mut self, world: &World, state: &Tournament, intent: &WeightsIntent) {
        let at = intent.decided_at;
        let Some(sight) = self.run.sights.get(&at.number.0) else {
            return self.wrong(format!("a decision at block {}, which was never final", at.number));
        };
        if sight.block != at {
            self.wrong(format!("a decision at a block {} that was not final", at.number));
        }
        // A round may have closed after the decision and before its record.
        let known = |round: &&SettledRound| round.round <= intent.round;
        let settled: Vec<SettledRound> = state.settled().iter().filter(known).cloned().collect();
        let registered: BTreeSet<Hotkey> = sight.hotkeys.iter().copied().collect();
        let due = payout(
            &world.rules.payout,
            &PayoutInput {
                settled: &settled,
                last_epoch: sight.last_epoch,
                last_paid: state.payments().newest(),
                registered: &registered,
                rules_digest: Digest([0; 32]),
            },
        );
        if due != Some(intent.target) {
            self.wrong(format!(
                "at block {} the rule pays {due:?}, decided was {}",
                at.number, intent.target
            ));
        }
        let bound = Self::hotkey_at(sight, intent.uid) == Some(Self::hotkey_of(sight, &intent.target));
        if !bound || intent.weights != [(intent.uid, u16::MAX)] {
            self.wrong(format!("at block {} uid {} is not {}", at.number, intent.uid, intent.target));
        }
        match intent.target {
            PayTarget::Miner { hotkey } if hotkey == self.cheat => {
                self.wrong(format!("at block {} the cheat is paid", at.number))
            }
            PayTarget::Miner { .. } => self.found.counts.paid_miners += 1,
            PayTarget::Owner => self.found.counts.paid_owner += 1,
        }
    }

    /// Block by block: every extrinsic has its decision, every row of weights too.
    fn follow_the_chain(&mut self) {
        let run = self.run;
        let sights: Vec<&ValidatorSight> = run.sights.values().collect();
        for pair in sights.windows(2) {
            let (before, now) = (pair[0], pair[1]);
            let number = now.block.number.0;
            let mut landed = None;
            match now.nonce - before.nonce {
                0 => {}
                1 => landed = self.included(before, now),
                many => self.wrong(format!("block {number} holds {many} extrinsics of ours")),
            }
            // With commit-reveal switched off meanwhile the chain counts a reveal as an update.
            let revealed = !now.commit_reveal && now.commits.len() < before.commits.len();
            if now.last_update != before.last_update && landed.is_none() && !revealed {
                self.wrong(format!("LastUpdate moved at block {number} without a decision of ours"));
            }
            self.row(before, now, landed);
        }
    }

    /// An extrinsic of ours is in a block: the decision that succeeded by it.
    fn included(&mut self, before: &ValidatorSight, now: &ValidatorSight) -> Option<usize> {
        let number = now.block.number.0;
        self.found.counts.included += 1;
        let newest = self.decisions.iter().rposition(|made| made.intent.decided_at.number.0 < number);
        let Some(index) = newest else {
            self.wrong(format!("block {number} holds an extrinsic that no decision stands behind"));
            return None;
        };
        let decision = &mut self.decisions[index];
        let flight = number - decision.intent.decided_at.number.0;
        if let Some(first) = decision.included_at {
            let text = format!("one decision, two extrinsics: blocks {first} and {number}");
            self.wrong(text);
            return None;
        }
        decision.included_at = Some(number);
        decision.succeeded = now.last_update.0 == number;
        let (succeeded, form) = (decision.succeeded, decision.intent.form);
        if flight > LONGEST_FLIGHT {
            self.wrong(format!("the extrinsic of block {number} was decided {flight} blocks earlier"));
        }
        if !succeeded {
            return None;
        }
        self.found.counts.succeeded += 1;
        if let WeightsForm::Timelocked { commit, .. } = form {
            self.found.counts.commits += 1;
            let held = now.commits.iter().filter(|held| held.committed_at == number);
            if !held.into_iter().any(|held| Digest::of(&held.sealed) == commit) {
                self.wrong(format!("block {number} holds another commit than the journalled one"));
            }
            return Some(index);
        }
        if now.weights == before.weights && now.weights != self.decisions[index].intent.weights {
            self.wrong(format!("block {number} took weights that are not in its state"));
        }
        Some(index)
    }

    /// Keeps which decision the row rests on; a row that changes must be a decision's.
    fn row(&mut self, before: &ValidatorSight, now: &ValidatorSight, landed: Option<usize>) {
        let number = now.block.number.0;
        let plain = landed.filter(|index| self.decisions[*index].intent.form == WeightsForm::Plain);
        let gone = before.commits.iter().filter(|held| !now.commits.contains(held));
        let opened: Vec<Digest> = gone.map(|held| Digest::of(&held.sealed)).collect();
        let revealed = opened.iter().rev().find_map(|commit| {
            self.decisions.iter().rposition(|made| {
                matches!(&made.intent.form, WeightsForm::Timelocked { commit: ours, .. } if ours == commit)
                    && made.intent.weights == now.weights
            })
        });
        match plain.or(revealed) {
            Some(index) if self.decisions[index].intent.weights == now.weights => {
                self.in_force.insert(number, index);
                self.paid_whom_it_should(index, now);
            }
            _ if now.weights != before.weights => {
                self.wrong(format!("the row became {:?} at block {number} without a decision", now.weights));
            }
            _ => {}
        }
    }

    /// The row was set at this block: the slot must be the target's, unless it changed hands while the
    /// extrinsic or the seal was on its way.
    fn paid_whom_it_should(&mut self, index: usize, now: &ValidatorSight) {
        let intent = &self.decisions[index].intent;
        let wanted = Self::hotkey_of(now, &intent.target);
        if Self::hotkey_at(now, intent.uid) == Some(wanted) {
            return;
        }
        let on_its_way = self.run.sights.range(intent.decided_at.number.0..=now.block.number.0);
        let was_bound =
            on_its_way.take(1).all(|(_, sight)| Self::hotkey_at(sight, intent.uid) == Some(wanted));
        if was_bound {
            self.found.counts.paid_a_stranger += 1;
        } else {
            let text =
                format!("block {} pays uid {}, which is not {}", now.block.number, intent.uid, intent.target);
            self.wrong(text);
        }
    }

    /// The same target for the same round again only to stay active, a tempo later, or after a failure. A
    /// target that left its slot makes another decision.
    fn no_decision_lands_twice(&mut self) {
        let landed: Vec<&Decision> = self.decisions.iter().filter(|made| made.succeeded).collect();
        let mut twice = Vec::new();
        for pair in landed.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            let same =
                (first.intent.round, first.intent.target) == (second.intent.round, second.intent.target);
            let apart = second.included_at.unwrap_or(0) - first.included_at.unwrap_or(0);
            let failed = second.failures_before > first.failures_before;
            if same && !failed && apart < self.settings.tempo && !self.overtaken(first, second) {
                twice.push(format!(
                    "round {} landed at blocks {:?} and {:?}",
                    first.intent.round, first.included_at, second.included_at
                ));
            }
        }
        self.found.violations.extend(twice);
    }

    /// Whether the chain opened an older commit over the first one before the second: it does so where
    /// commit-reveal was switched off meanwhile.
    fn overtaken(&self, first: &Decision, second: &Decision) -> bool {
        let (Some(from), Some(to)) = (first.included_at, second.included_at) else { return false };
        let mut between = self.in_force.range(from + 1..to);
        between.any(|(_, index)| self.decisions[*index].intent.round < first.intent.round)
    }

    fn epochs(&mut self) {
        let run = self.run;
        let sights: Vec<&ValidatorSight> = run.sights.values().collect();
        for pair in sights.windows(2).filter(|pair| pair[1].epoch > pair[0].epoch) {
            let verdict = match self.lacks(pair[1]) {
                Lack::NotDue => Epoch::NotDue,
                Lack::Nothing => Epoch::Right,
                Lack::This(why) => match self.explained(pair[1]) {
                    Some(window) => Epoch::Missing { window, why },
                    None => Epoch::Unexplained { why },
                },
            };
            self.found.epochs.insert(pair[1].block.number.0, verdict);
        }
    }

    /// Blocks from a round's close to the row that must rest on it: the rate limit, finality and the
    /// way there; with commit-reveal also the rest of the epoch and the one that reveals.
    fn delay(&self, commit_reveal: bool) -> u64 {
        let way = self.settings.rate_limit + self.settings.grace();
        way + if commit_reveal { 2 * self.settings.tempo } else { 0 }
    }

    fn lacks(&self, sight: &ValidatorSight) -> Lack {
        let number = sight.block.number.0;
        let due_by = number.saturating_sub(self.delay(sight.commit_reveal));
        let due = self.closed.iter().filter(|(at, _)| *at <= due_by).map(|(_, round)| *round).max();
        let Some(due) = due else { return Lack::NotDue };
        let Some((_, index)) = self.in_force.range(..=number).next_back() else {
            return Lack::This("no weights yet".into());
        };
        let intent = &self.decisions[*index].intent;
        if Self::hotkey_at(sight, intent.uid) != Some(Self::hotkey_of(sight, &intent.target)) {
            return Lack::This(format!("the slot that is paid is no longer {}", intent.target));
        }
        if intent.round < due {
            return Lack::This(format!("the row rests on round {}, {due} is due", intent.round));
        }
        let age = number - sight.last_update.0;
        let oldest = self.settings.tempo + self.settings.rate_limit + self.settings.grace();
        if age > oldest {
            return Lack::This(format!("the last update is {age} blocks old, at most {oldest} are allowed"));
        }
        Lack::Nothing
    }

    /// The newest trouble that an epoch's lack can come from: it had begun, and the row that follows on
    /// the recovery could not be there yet.
    fn explained(&self, sight: &ValidatorSight) -> Option<usize> {
        let number = sight.block.number.0;
        let reveal = if sight.commit_reveal { 3 * self.settings.tempo } else { 0 };
        let explains = |window: &super::engine::Window| {
            let until = window.recovered.map_or(u64::MAX, |recovered| recovered + reveal);
            window.begin < number && number <= until.max(window.begin + self.settings.tempo)
        };
        self.run.windows.iter().rposition(explains)
    }

    fn recoveries(&mut self) {
        for (place, window) in self.run.windows.iter().enumerate() {
            let Some(heal) = window.heal else { continue };
            let Some(recovered) = window.recovered else {
                let text = format!(
                    "no weights within {} blocks after: {}",
                    self.settings.recovery_limit(),
                    window.kind
                );
                self.found.violations.push(text);
                continue;
            };
            let before =
                self.run.sights.range(..=heal).next_back().map_or(0, |(_, sight)| sight.last_update.0);
            let closed = self.closed.iter().map(|(at, _)| *at).find(|at| *at > before);
            let again = before + self.settings.tempo;
            let due = heal.max(closed.map_or(again, |closed| closed.min(again))).min(recovered);
            let made = |block: u64| self.run.made_at.range(block..).next().map(|(_, at)| *at);
            let took =
                made(recovered).zip(made(due)).map(|(end, begin)| end.saturating_duration_since(begin));
            let ms = took.map_or(0, |took| took.as_millis() as u64);
            self.found.recoveries.insert(place, (recovered - due, ms));
        }
    }
}

/// What an epoch lacks.
enum Lack {
    Nothing,
    NotDue,
    This(String),
}
