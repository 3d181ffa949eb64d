//! G8's second half: whose a disputed clip is. Pure; `docs/adr/0009-whose-a-disputed-clip-is.md` argues every rule.
//!
//! The members of a group of the same clip are asked again, one at a time: for a fresh seed, which is drawn from a block
//! that did not exist when anybody gave the answers before it, and for their own old seed. A member *proves itself* when it
//! gives a new clip for the fresh seed and its disputed clip for the old one. The later in precedence is asked first, and
//! nobody whose answer could change nothing: the earliest keeps the clip unless a later one proves itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ids::{BlockRef, Digest, Hotkey},
    outcome::{Fault, Outcome},
    score::{GateId, ScoreCard},
};

/// What a member of a dispute is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// A clip for a seed that was not known before.
    FreshSeed,
    /// The clip for the seed of its first answer.
    OldSeed,
}

impl Question {
    /// One word for logs, metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Question::FreshSeed => "fresh_seed",
            Question::OldSeed => "old_seed",
        }
    }
}

/// What an answer shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// Fresh seed: a clip that nobody showed before, and what it got.
    New(Box<ScoreCard>),
    /// The disputed clip.
    Same,
    /// Fresh seed: a clip that another member gave before for a seed of its own.
    AnswerOf(Hotkey),
    /// Old seed: another clip than before.
    Other,
    /// No clip that can be compared, by the miner's own fault.
    Failed(String),
    /// No clip through no fault of the miner.
    Unknown(String),
}

impl Finding {
    /// What an outcome without a score card shows.
    pub fn without_card(outcome: &Outcome) -> Self {
        match outcome.fault() {
            Some(Fault::Miner) => Finding::Failed(outcome.reason()),
            _ => Finding::Unknown(outcome.reason()),
        }
    }

    /// One word for logs, metrics and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Finding::New(_) => "new_clip",
            Finding::Same => "same_clip",
            Finding::AnswerOf(_) => "answer_of_another",
            Finding::Other => "other_clip",
            Finding::Failed(_) => "failed",
            Finding::Unknown(_) => "unknown",
        }
    }
}

/// An answer, in the order in which they came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Whose.
    pub hotkey: Hotkey,
    /// To what.
    pub question: Question,
    /// What it shows.
    pub finding: Finding,
}

/// What was asked in a round's disputes, and answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inquiry {
    /// Blocks whose hashes the seeds were drawn from.
    pub asked: BTreeMap<(Hotkey, Question), BlockRef>,
    /// Answers in the order in which they came.
    pub replies: Vec<Reply>,
    /// The answers' files.
    pub files: BTreeMap<(Hotkey, Question), Digest>,
}

/// How far a member has shown that the clip is its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof<'a> {
    /// Not asked, or no answer through no fault of its own.
    Open,
    /// A new clip for a fresh seed, with this card, and its own clip again.
    Proven(&'a ScoreCard),
    /// Nothing new for a fresh seed: it neither proved nor disproved itself.
    NothingNew,
    /// It failed to answer, or to give its own clip again.
    Failed(&'static str),
}

/// Why a clip is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Nobody was asked, or nobody proved itself: the earliest miner's clip.
    SameAs(Hotkey),
    /// Asked again, it gave nothing of its own.
    NothingNew(Hotkey),
    /// Asked again, it failed in this.
    Failed(&'static str),
}

/// What becomes of one member's outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ruling {
    /// Its clip stands.
    Keeps,
    /// Its clip is refused by G8.
    Refused(Refusal),
    /// Several proved themselves: it is judged by what it gave for the fresh seed.
    ByFresh(Box<ScoreCard>),
    /// The clip stands for another one, and this one could not be asked through no fault of its own.
    Unresolved,
}

impl Ruling {
    /// The outcome that takes the place of the ticket's, if any.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Ruling::Keeps => None,
            Ruling::ByFresh(card) => Some(Outcome::Scored { card }),
            Ruling::Refused(refusal) => {
                let reason = match refusal {
                    Refusal::SameAs(owner) => format!("same clip as {owner}"),
                    Refusal::NothingNew(owner) => {
                        format!("same clip as {owner}, and nothing new for a fresh seed")
                    }
                    Refusal::Failed(what) => format!("disputed clip, and asked again: {what}"),
                };
                Some(Outcome::Rejected { gate: GateId::G8, reason, pixels: None })
            }
            Ruling::Unresolved => Some(Outcome::Forfeit {
                stage: super::outcome::Stage::Challenge,
                fault: Fault::Us,
                reason: "copy_unresolved".into(),
            }),
        }
    }
}

impl Inquiry {
    /// The answer to a question, once there is one.
    pub fn reply(&self, hotkey: &Hotkey, question: Question) -> Option<&Finding> {
        let of = |reply: &&Reply| reply.hotkey == *hotkey && reply.question == question;
        self.replies.iter().find(of).map(|reply| &reply.finding)
    }

    /// How far a member has proved itself.
    pub fn proof(&self, hotkey: &Hotkey) -> Proof<'_> {
        match self.reply(hotkey, Question::FreshSeed) {
            None | Some(Finding::Unknown(_)) => Proof::Open,
            Some(Finding::Failed(_) | Finding::Other) => Proof::Failed("no clip for the fresh seed"),
            Some(Finding::Same | Finding::AnswerOf(_)) => Proof::NothingNew,
            Some(Finding::New(card)) => match self.reply(hotkey, Question::OldSeed) {
                Some(Finding::Same) => Proof::Proven(card),
                Some(Finding::Failed(_)) => Proof::Failed("no clip for its own seed"),
                Some(Finding::Other | Finding::New(_) | Finding::AnswerOf(_)) => {
                    Proof::Failed("another clip for its own seed")
                }
                None | Some(Finding::Unknown(_)) => Proof::Open,
            },
        }
    }

    /// What is still to be asked of a member.
    fn open_question(&self, hotkey: &Hotkey) -> Option<Question> {
        match self.reply(hotkey, Question::FreshSeed) {
            None => Some(Question::FreshSeed),
            Some(Finding::New(_)) if self.reply(hotkey, Question::OldSeed).is_none() => {
                Some(Question::OldSeed)
            }
            Some(_) => None,
        }
    }

    /// The next question of a group, given in the order of precedence; `None` when no answer could change the ruling.
    pub fn next(&self, group: &[Hotkey]) -> Option<(Hotkey, Question)> {
        let (first, later) = group.split_first()?;
        let open = |hotkey: &Hotkey| Some((*hotkey, self.open_question(hotkey)?));
        let proven = |hotkey: &Hotkey| matches!(self.proof(hotkey), Proof::Proven(_));
        later.iter().rev().find_map(open).or_else(|| later.iter().any(proven).then(|| open(first)).flatten())
    }

    /// Most questions that a group can still be asked: what is left of the time is shared among them.
    pub fn most_left(&self, group: &[Hotkey]) -> u64 {
        let left = |hotkey: &Hotkey| match self.open_question(hotkey) {
            Some(Question::FreshSeed) => 2,
            Some(Question::OldSeed) => 1,
            None => 0,
        };
        group.iter().map(left).sum()
    }

    /// What becomes of a group, given in the order of precedence. At most one member keeps the clip.
    pub fn rule(&self, group: &[Hotkey]) -> Vec<(Hotkey, Ruling)> {
        let proofs: Vec<_> = group.iter().map(|hotkey| (*hotkey, self.proof(hotkey))).collect();
        let proven = proofs.iter().filter(|(_, proof)| matches!(proof, Proof::Proven(_))).count();
        let stands = |proof: &Proof| match proof {
            Proof::Proven(_) | Proof::Open => true,
            Proof::NothingNew => proven == 0,
            Proof::Failed(_) => false,
        };
        let first = proofs.iter().find(|(_, proof)| stands(proof)).copied();
        let asked = group.iter().any(|hotkey| self.asked.contains_key(&(*hotkey, Question::FreshSeed)));
        let ruling = |(hotkey, proof): &(Hotkey, Proof)| {
            let owner = first.map(|(owner, _)| owner);
            match (proof, owner) {
                (Proof::Proven(card), _) if proven > 1 => Ruling::ByFresh(Box::new((*card).clone())),
                (_, Some(owner)) if owner == *hotkey => Ruling::Keeps,
                (Proof::Proven(card), _) => Ruling::ByFresh(Box::new((*card).clone())),
                (Proof::Open, Some(owner)) if !asked => Ruling::Refused(Refusal::SameAs(owner)),
                (Proof::Open, _) => Ruling::Unresolved,
                (Proof::NothingNew, Some(owner)) => Ruling::Refused(Refusal::NothingNew(owner)),
                (Proof::NothingNew, None) => Ruling::Refused(Refusal::Failed("nothing new for a fresh seed")),
                (Proof::Failed(what), _) => Ruling::Refused(Refusal::Failed(what)),
            }
        };
        proofs.iter().map(|member| (member.0, ruling(member))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::{hotkey, scored};

    fn card(overall: i64) -> Box<ScoreCard> {
        match scored(overall, true, 1) {
            Outcome::Scored { card } => card,
            _ => unreachable!("a scored outcome"),
        }
    }

    fn inquiry(replies: &[(u8, Question, Finding)]) -> Inquiry {
        let seed = crate::domain::testing::plan(8, 0).anchor;
        Inquiry {
            asked: replies.iter().map(|(n, question, _)| ((hotkey(*n), *question), seed)).collect(),
            replies: replies
                .iter()
                .map(|(n, question, finding)| Reply {
                    hotkey: hotkey(*n),
                    question: *question,
                    finding: finding.clone(),
                })
                .collect(),
            ..Inquiry::default()
        }
    }

    fn fates(inquiry: &Inquiry, members: u8) -> Vec<String> {
        let group: Vec<_> = (1..=members).map(hotkey).collect();
        let word = |ruling: &Ruling| match ruling {
            Ruling::Keeps => "keeps".to_owned(),
            Ruling::ByFresh(card) => format!("fresh {}", card.overall),
            Ruling::Unresolved => "unresolved".to_owned(),
            Ruling::Refused(_) => "refused".to_owned(),
        };
        inquiry.rule(&group).iter().map(|(_, ruling)| word(ruling)).collect()
    }

    use Question::{FreshSeed, OldSeed};

    fn proven(n: u8, overall: i64) -> [(u8, Question, Finding); 2] {
        [(n, FreshSeed, Finding::New(card(overall))), (n, OldSeed, Finding::Same)]
    }

    #[test]
    fn the_earliest_keeps_the_clip_of_copycats_that_have_nothing_of_their_own() {
        let nothing = inquiry(&[(2, FreshSeed, Finding::Same), (3, FreshSeed, Finding::AnswerOf(hotkey(2)))]);
        assert_eq!(fates(&nothing, 3), ["keeps", "refused", "refused"]);
        assert_eq!(nothing.next(&[1, 2, 3].map(hotkey)), None, "the earliest need not be asked");
        assert_eq!(fates(&Inquiry::default(), 3), ["keeps", "refused", "refused"], "nobody could be asked");
    }

    #[test]
    fn a_newcomer_that_proves_itself_takes_its_clip_from_an_incumbent_that_does_not() {
        for incumbent in
            [Finding::Same, Finding::AnswerOf(hotkey(2)), Finding::Failed("answer_timeout".into())]
        {
            let with = |more| inquiry(&[&proven(2, 8_000)[..], &[(1, FreshSeed, more)]].concat());
            assert_eq!(fates(&with(incumbent), 2), ["refused", "keeps"]);
        }
        let other = [(1, FreshSeed, Finding::New(card(9_000))), (1, OldSeed, Finding::Other)];
        assert_eq!(fates(&inquiry(&[&proven(2, 8_000)[..], &other].concat()), 2), ["refused", "keeps"]);
    }

    #[test]
    fn when_several_prove_themselves_each_is_judged_by_what_it_gave_for_the_fresh_seed() {
        let both = inquiry(&[proven(2, 8_000), proven(1, 3_000)].concat());
        assert_eq!(fates(&both, 2), ["fresh 3000", "fresh 8000"]);
        let third =
            inquiry(&[&proven(3, 8_000)[..], &proven(1, 3_000), &[(2, FreshSeed, Finding::Same)]].concat());
        assert_eq!(fates(&third, 3), ["fresh 3000", "refused", "fresh 8000"]);
    }

    #[test]
    fn nobody_loses_by_our_failure() {
        let lost = || Finding::Unknown("scoring_device_failed".into());
        let earliest = inquiry(&[&proven(2, 8_000)[..], &[(1, FreshSeed, lost())]].concat());
        assert_eq!(fates(&earliest, 2), ["keeps", "fresh 8000"]);
        let later = inquiry(&[(2, FreshSeed, lost())]);
        assert_eq!(fates(&later, 2), ["keeps", "unresolved"]);
        let stalled =
            inquiry(&[&[(3, FreshSeed, lost())], &proven(2, 8_000)[..], &proven(1, 7_000)].concat());
        assert_eq!(fates(&stalled, 3), ["fresh 7000", "fresh 8000", "unresolved"]);
    }

    #[test]
    fn all_that_fail_lose() {
        let failed = |n: u8| (n, FreshSeed, Finding::Failed("answer_server_error".into()));
        assert_eq!(fates(&inquiry(&[failed(2), failed(1)]), 2), ["refused", "refused"]);
    }

    #[test]
    fn the_latest_is_asked_first_and_the_earliest_only_when_another_proved_itself() {
        let group = [1, 2, 3].map(hotkey);
        let mut replies = Vec::new();
        for (expected, left, finding) in [
            ((3, FreshSeed), 6, Finding::New(card(1))),
            ((3, OldSeed), 5, Finding::Same),
            ((2, FreshSeed), 4, Finding::Same),
            ((1, FreshSeed), 2, Finding::New(card(2))),
            ((1, OldSeed), 1, Finding::Same),
        ] {
            let now = inquiry(&replies);
            assert_eq!(now.next(&group), Some((hotkey(expected.0), expected.1)));
            assert_eq!(now.most_left(&group), left);
            replies.push((expected.0, expected.1, finding));
        }
        assert_eq!(inquiry(&replies).next(&group), None);
    }

    fn any_finding() -> impl Strategy<Value = Finding> {
        prop_oneof![
            3 => (0i64..10_000).prop_map(|overall| Finding::New(card(overall))),
            3 => Just(Finding::Same),
            1 => (1u8..5).prop_map(|n| Finding::AnswerOf(hotkey(n))),
            1 => Just(Finding::Other),
            1 => Just(Finding::Failed("answer_timeout".into())),
            1 => Just(Finding::Unknown("dropped".into())),
        ]
    }

    proptest! {
        #[test]
        fn questions_come_to_an_end_and_every_member_has_one_fate(
            findings in prop::collection::vec(any_finding(), 10),
            members in 2u8..6,
            stop in 0usize..11,
        ) {
            let group: Vec<_> = (1..=members).map(hotkey).collect();
            let mut now = Inquiry::default();
            let mut asked = 0;
            for finding in findings.iter().take(stop) {
                let Some((hotkey, question)) = now.next(&group) else { break };
                prop_assert!(now.reply(&hotkey, question).is_none(), "nobody is asked twice");
                prop_assert!(now.most_left(&group) >= 1);
                now.asked.insert((hotkey, question), crate::domain::testing::plan(8, 0).anchor);
                now.replies.push(Reply { hotkey, question, finding: finding.clone() });
                asked += 1;
            }
            prop_assert!(asked <= 2 * group.len());
            if asked == 2 * group.len() {
                prop_assert_eq!(now.next(&group), None);
            }
            let rulings = now.rule(&group);
            prop_assert_eq!(rulings.len(), group.len());
            let keeps = rulings.iter().filter(|(_, ruling)| *ruling == Ruling::Keeps).count();
            prop_assert!(keeps <= 1, "one clip, one owner");
            for (hotkey, ruling) in &rulings {
                match now.proof(hotkey) {
                    Proof::Proven(_) => prop_assert!(!matches!(ruling, Ruling::Refused(_) | Ruling::Unresolved)),
                    Proof::Open => prop_assert!(asked == 0 || !matches!(ruling, Ruling::Refused(_))),
                    Proof::NothingNew => prop_assert!(*ruling != Ruling::Unresolved),
                    Proof::Failed(_) => prop_assert!(matches!(ruling, Ruling::Refused(_))),
                }
            }
            if now.next(&group).is_none() && keeps == 0 {
                let stands = |hotkey: &Hotkey| matches!(now.proof(hotkey), Proof::Proven(_) | Proof::NothingNew);
                let proven = group.iter().filter(|hotkey| matches!(now.proof(hotkey), Proof::Proven(_))).count();
                prop_assert!(proven > 1 || !group.iter().any(stands), "somebody's clip stands");
            }
        }
    }
}
