//! What G8 keeps beside a round's tickets, and makes of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{
    copies::{ClipIdentity, CopyBook, EarlierClip, alike, alike_in_doubt},
    event::ReceivedFile,
    ids::{BlockRef, Digest, Hotkey, RoundId},
    inquiry::{Finding, Inquiry, Question, Reply},
    outcome::Outcome,
    score::{GateId, ScoreCard},
    track::{ClipTrack, TrackChanges},
};

use super::{Round, TicketState};

/// A group of miners with the same clip, and what is still to be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dispute {
    /// The members in the order of precedence.
    pub members: Vec<Hotkey>,
    /// The next question; `None` when no answer could change the ruling.
    pub next: Option<(Hotkey, Question)>,
    /// Most questions that can still be asked.
    pub most_left: u64,
}

/// A question to a member of a dispute, for reports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuestionReport {
    /// Who was asked.
    pub hotkey: Hotkey,
    /// What.
    pub question: Question,
    /// Block whose hash the seed was drawn from.
    pub seed_block: BlockRef,
    /// What the answer shows: `new_clip`, `same_clip`, `answer_of_another`, `other_clip`, `failed`, `unknown`, or `open`.
    pub finding: String,
    /// SHA-256 of the answer's file, where one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Digest>,
}

/// What is left of G8 when a round has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ruled {
    outcomes: BTreeMap<Hotkey, Outcome>,
    groups: Vec<Vec<Hotkey>>,
    questions: Vec<QuestionReport>,
}

impl Round {
    /// Groups of the same clip in the order of precedence; none in rounds before tracks were kept.
    pub fn disputes(&self) -> Vec<Dispute> {
        if self.plan.as_ref().is_none_or(|plan| plan.copies.is_none()) {
            return Vec::new();
        }
        let dispute = |members: Vec<Hotkey>| Dispute {
            next: self.inquiry.next(&members),
            most_left: self.inquiry.most_left(&members),
            members,
        };
        self.copy_groups().into_iter().map(dispute).collect()
    }

    /// Miners with the same clip, group by group.
    pub fn copy_groups(&self) -> Vec<Vec<Hotkey>> {
        match &self.ruled {
            Some(ruled) => ruled.groups.clone(),
            None => {
                let keys = |group: Vec<&ClipIdentity>| group.iter().map(|clip| clip.hotkey).collect();
                self.copies.groups().into_iter().map(keys).collect()
            }
        }
    }

    /// What was asked in disputes.
    pub fn questions(&self) -> Vec<QuestionReport> {
        if let Some(ruled) = &self.ruled {
            return ruled.questions.clone();
        }
        let report = |(&(hotkey, question), &seed_block): (&(Hotkey, Question), &BlockRef)| QuestionReport {
            hotkey,
            question,
            seed_block,
            finding: self.inquiry.reply(&hotkey, question).map_or("open", Finding::name).into(),
            file: self.inquiry.files.get(&(hotkey, question)).copied(),
        };
        self.inquiry.asked.iter().map(report).collect()
    }

    /// The block whose hash gives the seed of a question that was asked before.
    pub fn seed_block(&self, hotkey: Hotkey, question: Question) -> Option<BlockRef> {
        self.inquiry.asked.get(&(hotkey, question)).copied()
    }

    /// What G8 makes of outcomes: those that are not as their tickets ended.
    pub(super) fn rulings(&self) -> BTreeMap<Hotkey, Outcome> {
        if let Some(ruled) = &self.ruled {
            return ruled.outcomes.clone();
        }
        let returned = |(hotkey, round, owner): (Hotkey, RoundId, Hotkey)| {
            let reason = format!("clip of {owner} in round {round}");
            (hotkey, Outcome::Rejected { gate: GateId::G8, reason, pixels: None })
        };
        let mut rulings: BTreeMap<_, _> = self.copies.returned().map(returned).collect();
        for group in self.copy_groups() {
            let ruled = self.inquiry.rule(&group).into_iter();
            rulings.extend(ruled.filter_map(|(hotkey, ruling)| Some((hotkey, ruling.outcome()?))));
        }
        rulings
    }

    /// Takes a scored clip into the book of G8.
    pub(super) fn note_clip(&mut self, hotkey: Hotkey) {
        let Some(entry) = self.entries().iter().find(|entry| entry.hotkey == hotkey) else { return };
        let Some(TicketState { outcome: Some(Outcome::Scored { card }), file: Some(file), .. }) =
            self.tickets.get(&hotkey)
        else {
            return;
        };
        let clip = ClipIdentity {
            hotkey,
            precedence: entry.precedence,
            file: file.sha256,
            frames: card.frame_digest,
            track: card.track.clone(),
        };
        let gate = self.plan.as_ref().and_then(|plan| plan.copies);
        self.copies.add(clip, gate.as_ref());
    }

    /// The clip of another miner in an earlier round that this miner's clip is, unless that is noted already. It is an
    /// event of its own: a round replays without the rounds before it.
    pub fn find_returned(&self, hotkey: &Hotkey) -> Option<(RoundId, Hotkey)> {
        let gate = self.plan.as_ref()?.copies?;
        let noted = self.copies.returned().any(|(known, ..)| known == *hotkey);
        if noted { None } else { self.copies.find_earlier(hotkey, &self.earlier, &gate) }
    }

    /// Notes a clip of an earlier round; `None` when the miner has no scored clip.
    pub(super) fn note_returned(&mut self, hotkey: Hotkey, (round, owner): (RoundId, Hotkey)) -> Option<()> {
        self.card(&hotkey)?;
        self.copies.note_returned(hotkey, round, owner);
        Some(())
    }

    /// Notes that a member of a dispute is asked; `None` when it has no scored clip or was asked this before.
    pub(super) fn ask(&mut self, question: (Hotkey, Question), seed: BlockRef) -> Option<()> {
        self.card(&question.0)?;
        if self.inquiry.asked.contains_key(&question) {
            return None;
        }
        self.inquiry.asked.insert(question, seed);
        Some(())
    }

    /// Takes an answer; `None` when it was not asked for, or was given before.
    pub(super) fn answer(
        &mut self,
        (hotkey, question): (Hotkey, Question),
        outcome: &Outcome,
        file: Option<&ReceivedFile>,
    ) -> Option<()> {
        let asked = self.inquiry.asked.contains_key(&(hotkey, question));
        if !asked || self.inquiry.reply(&hotkey, question).is_some() {
            return None;
        }
        let finding = match outcome {
            Outcome::Scored { card } => self.compare(hotkey, question, card),
            other => Finding::without_card(other),
        };
        self.inquiry.files.extend(file.map(|file| ((hotkey, question), file.sha256)));
        self.inquiry.replies.push(Reply { hotkey, question, finding });
        Some(())
    }

    fn card(&self, hotkey: &Hotkey) -> Option<&ScoreCard> {
        self.tickets.get(hotkey)?.outcome.as_ref()?.card()
    }

    /// What an answer shows, beside the member's own clip and, for a fresh seed, the answers before it.
    ///
    /// Doubt speaks for the member both times. For a fresh seed an answer is the same clip by the limits that began the
    /// dispute and no wider: a model's clips for two seeds may be near in slow scenes, and who alters another's clip farther
    /// could have sent it so at once and disputed nothing. For the old seed the answer *must* be the disputed clip, made
    /// again on whatever the chute runs on: there wider limits hold.
    fn compare(&self, hotkey: Hotkey, question: Question, card: &ScoreCard) -> Finding {
        let changes = card.track.as_ref().map(ClipTrack::changes);
        let gate = self.plan.as_ref().and_then(|plan| plan.copies);
        let near = |theirs: Option<&TrackChanges>| match (&changes, theirs, &gate) {
            (Some(mine), Some(theirs), Some(gate)) => match question {
                Question::FreshSeed => alike(mine, theirs, gate),
                Question::OldSeed => alike_in_doubt(mine, theirs, gate),
            },
            _ => false,
        };
        let own = self.card(&hotkey).is_some_and(|own| own.frame_digest == card.frame_digest)
            || near(self.copies.changes_of(&hotkey));
        let given = |reply: &&Reply| match &reply.finding {
            Finding::New(theirs) if reply.hotkey != hotkey => {
                let track = theirs.track.as_ref().map(ClipTrack::changes);
                theirs.frame_digest == card.frame_digest || near(track.as_ref())
            }
            _ => false,
        };
        match (question, own) {
            (_, true) => Finding::Same,
            (Question::OldSeed, false) => Finding::Other,
            (Question::FreshSeed, false) => match self.inquiry.replies.iter().find(given) {
                Some(reply) => Finding::AnswerOf(reply.hotkey),
                None => Finding::New(Box::new(card.clone())),
            },
        }
    }

    /// Keeps of G8 what it came to, and no more: the tracks of the rounds before are let go.
    pub(super) fn rule(&mut self) {
        let (outcomes, groups, questions) = (self.rulings(), self.copy_groups(), self.questions());
        self.ruled = Some(Ruled { outcomes, groups, questions });
        self.copies = CopyBook::default();
        self.inquiry = Inquiry::default();
        self.earlier = Default::default();
    }

    /// The clips that kept their scores, for the rounds to come.
    pub(super) fn kept_clips(&self, id: RoundId) -> Vec<EarlierClip> {
        let clip = |(hotkey, outcome): (Hotkey, Outcome)| {
            let changes = outcome.card()?.track.as_ref()?.changes();
            Some(EarlierClip { round: id, hotkey, changes })
        };
        self.final_outcomes().into_iter().filter_map(clip).collect()
    }

    /// Lets go of tracks that no round compares with any more.
    pub(super) fn forget_tracks(&mut self) {
        let tickets = self.tickets.values_mut().filter_map(|ticket| ticket.outcome.as_mut());
        let ruled = self.ruled.iter_mut().flat_map(|ruled| ruled.outcomes.values_mut());
        for outcome in tickets.chain(ruled) {
            if let Outcome::Scored { card } = outcome {
                card.track = None;
            }
        }
    }
}
