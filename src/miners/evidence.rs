//! When a failure that looks like a miner's is nobody's among the miners: pure, from what happened in the same minutes.
//!
//! A chute's status proves nothing about Chutes, because its miner can make it. What a miner cannot make is that the
//! validator's own chute fails in the same way, or that most other miners do. Miners under one Hugging Face account count
//! once, and others that were reached speak against it, so that a few accounts cannot make a round void.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::outcome::Fault;

use super::{
    faults::{Widespread, prospects},
    port::Canary,
};

/// How far a call may be from a failure to be of the same minutes.
pub const SAME_MINUTES: Duration = Duration::from_secs(180);
/// Owners that must have failed alike.
pub const FEWEST_OWNERS: usize = 3;
/// Ends that are remembered.
const MOST_ENDS: usize = 4096;

/// How a miner's call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallEnd {
    /// Who owns the model: the account on Hugging Face.
    pub owner: String,
    /// When it began: a call that was answered shows that Chutes worked from here on.
    pub began: Instant,
    /// When it ended.
    pub at: Instant,
    /// Reason code of its failure; `None` for an answer.
    pub reason: Option<String>,
}

/// The ends of the last calls.
#[derive(Default, Debug)]
pub struct Ends(VecDeque<CallEnd>);

/// A failure that is taken off a miner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lifted {
    /// Whose it is instead.
    pub fault: Fault,
    /// By which evidence.
    pub evidence: String,
}

impl Ends {
    /// Adds an end; the oldest are forgotten.
    pub fn note(&mut self, end: CallEnd) {
        self.0.push_back(end);
        while self.0.len() > MOST_ENDS {
            self.0.pop_front();
        }
    }

    /// Whether a miner's failure is taken off it, and by what; `failed_at` is when each of its attempts failed in this way. A
    /// canary that ran decides. Without one most owners that were asked in the same minutes must have failed alike, at each
    /// attempt: at least [`FEWEST_OWNERS`], and twice as many as were reached. (By the time of second attempts only those are
    /// asked that have failed, so that time alone shows nothing.)
    pub fn lift(&self, reason: &str, failed_at: &[Instant], canary: Option<&Canary>) -> Option<Lifted> {
        let kind = prospects(reason).1;
        let fault = match kind {
            Widespread::Never => return None,
            Widespread::Platform => Fault::Platform,
            Widespread::Us => Fault::Us,
        };
        match canary {
            Some(Canary::Answered) => return None,
            Some(Canary::Failed { reason }) if prospects(reason).1 == kind => {
                return Some(Lifted { fault, evidence: format!("canary:{reason}") });
            }
            // It failed in some way of its own, which says nothing.
            Some(Canary::Failed { .. }) | None => {}
        }
        let shown = failed_at.iter().map(|at| self.majority(kind, *at)).collect::<Option<Vec<_>>>()?;
        shown.into_iter().next().map(|evidence| Lifted { fault, evidence })
    }

    /// What most owners of the minutes around a time show, if they failed alike.
    fn majority(&self, kind: Widespread, at: Instant) -> Option<String> {
        let near = |end: &&CallEnd| end.began <= at + SAME_MINUTES && at <= end.at + SAME_MINUTES;
        // An owner with one chute that was reached is one that was reached.
        let mut owners: BTreeMap<&str, bool> = BTreeMap::new();
        for end in self.0.iter().filter(near) {
            let failed = end.reason.as_deref().is_some_and(|reason| prospects(reason).1 == kind);
            owners.entry(&end.owner).and_modify(|all| *all &= failed).or_insert(failed);
        }
        let failed = owners.values().filter(|failed| **failed).count();
        let reached = owners.len() - failed;
        let most = failed >= FEWEST_OWNERS && failed >= 2 * reached;
        most.then(|| format!("{failed}_of_{}_owners", owners.len()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(rows: &[(&str, u64, Option<&str>)]) -> (Ends, Instant) {
        let start = Instant::now();
        let mut ends = Ends::default();
        for (owner, after, reason) in rows {
            let at = start + Duration::from_secs(*after);
            ends.note(CallEnd { owner: (*owner).into(), began: at, at, reason: reason.map(str::to_owned) });
        }
        (ends, start)
    }

    fn fault(rows: &[(&str, u64, Option<&str>)], reason: &str) -> Option<Fault> {
        let (ends, start) = ends(rows);
        ends.lift(reason, &[start], None).map(|lifted| lifted.fault)
    }

    const COLD: Option<&str> = Some("answer_cold");

    #[test]
    fn most_owners_that_fail_alike_in_the_same_minutes_are_evidence() {
        let three = [("a", 0, COLD), ("b", 60, Some("answer_overload")), ("c", 170, COLD)];
        assert_eq!(fault(&three, "answer_cold"), Some(Fault::Platform));
        assert_eq!(fault(&three[..2], "answer_cold"), None, "two are few");
        assert_eq!(fault(&three, "answer_server_error"), None, "a 500 is the miner's own");
        assert_eq!(
            fault(&[("a", 0, COLD), ("a", 1, COLD), ("a", 2, COLD), ("b", 3, COLD)], "answer_cold"),
            None
        );
        assert_eq!(fault(&[("a", 0, COLD), ("b", 1, COLD), ("c", 300, COLD)], "answer_cold"), None, "later");
        let broke = Some("answer_no_balance");
        assert_eq!(
            fault(&[("a", 0, broke), ("b", 0, broke), ("c", 0, broke)], "answer_no_balance"),
            Some(Fault::Us)
        );
        assert_eq!(
            fault(&[("a", 0, broke), ("b", 0, broke), ("c", 0, broke)], "answer_cold"),
            None,
            "another kind"
        );
    }

    #[test]
    fn who_was_reached_speaks_against_it() {
        let failed = [("a", 0, COLD), ("b", 0, COLD), ("c", 0, COLD), ("d", 0, COLD)];
        let with = |others: &[(&'static str, u64, Option<&'static str>)]| {
            fault(&[&failed[..], others].concat(), "answer_cold")
        };
        assert_eq!(with(&[("x", 0, None), ("y", 0, Some("answer_timeout"))]), Some(Fault::Platform));
        assert_eq!(with(&[("x", 0, None), ("y", 0, None), ("z", 0, None)]), None);
        assert_eq!(with(&[("a", 1, None), ("b", 1, None)]), None, "their other chutes were reached");
        assert_eq!(with(&[("x", 999, None), ("y", 999, None), ("z", 999, None)]), Some(Fault::Platform));
    }

    #[test]
    fn what_fails_again_when_only_failures_are_asked_again_is_no_evidence() {
        // Three chutes are cold at once and again ten minutes later; everybody else was served in between.
        let (mut ends, start) = ends(&[("a", 0, COLD), ("b", 0, COLD), ("c", 0, COLD)]);
        let later = start + Duration::from_secs(600);
        for owner in ["u", "v", "w"] {
            let at = start + Duration::from_secs(400);
            ends.note(CallEnd { owner: owner.into(), began: start, at, reason: None });
        }
        for owner in ["a", "b", "c"] {
            let reason = COLD.map(str::to_owned);
            ends.note(CallEnd { owner: owner.into(), began: later, at: later, reason });
        }
        assert!(ends.lift("answer_cold", &[later], None).is_some(), "that time alone would show it");
        assert_eq!(ends.lift("answer_cold", &[start, later], None), None);
        assert_eq!(ends.lift("answer_cold", &[], None), None);
    }

    #[test]
    fn the_canary_decides_where_it_ran() {
        let (ends, start) = ends(&[("a", 0, COLD), ("b", 0, COLD), ("c", 0, COLD)]);
        let lift =
            |canary: &Canary| ends.lift("answer_cold", &[start], Some(canary)).map(|lifted| lifted.fault);
        let failed = |reason: &str| Canary::Failed { reason: reason.into() };
        assert_eq!(lift(&Canary::Answered), None);
        assert_eq!(lift(&failed("answer_bad_gateway")), Some(Fault::Platform));
        assert_eq!(
            lift(&failed("answer_server_error")),
            Some(Fault::Platform),
            "it says nothing; the others do"
        );
        let (few, start) = self::ends(&[("a", 0, COLD)]);
        assert_eq!(few.lift("answer_cold", &[start], Some(&failed("answer_server_error"))), None);
        let alone = few.lift("answer_cold", &[start], Some(&failed("answer_cold"))).expect("lifted");
        assert_eq!(alone.evidence, "canary:answer_cold");
        assert_eq!(few.lift("answer_server_error", &[start], Some(&failed("answer_server_error"))), None);
    }

    proptest! {
        #[test]
        fn fewer_owners_than_half_of_those_reached_lift_nothing(
            cheats in 0_usize..40, honest in 1_usize..20, chutes_each in 1_usize..5,
        ) {
            let mut ends = Ends::default();
            let at = Instant::now();
            for cheat in 0..cheats {
                for _ in 0..chutes_each {
                    ends.note(CallEnd { owner: format!("c{cheat}"), began: at, at, reason: COLD.map(str::to_owned) });
                }
            }
            (0..honest).for_each(|one| ends.note(CallEnd { owner: format!("h{one}"), began: at, at, reason: None }));
            let lifted = ends.lift("answer_cold", &[at], None).is_some();
            prop_assert_eq!(lifted, cheats >= FEWEST_OWNERS && cheats >= 2 * honest);
        }
    }

    #[test]
    fn old_ends_are_forgotten() {
        let (mut ends, at) = ends(&[]);
        (0..2 * MOST_ENDS)
            .for_each(|_| ends.note(CallEnd { owner: "a".into(), began: at, at, reason: None }));
        assert_eq!(ends.0.len(), MOST_ENDS);
    }
}
