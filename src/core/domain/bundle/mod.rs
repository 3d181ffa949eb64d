//! A round as a document for strangers: everything that a verdict rests on, and what it came to.
//!
//! The document derives from the journal's events of one round ([`RoundBundle::of`]) and gives them back
//! ([`RoundBundle::events`]), so that whoever holds it folds them through the same code as the validator did
//! ([`RoundBundle::judge`]). Canonical form, digest and signature are `crate::bundle`'s; `docs/bundle.md` is for readers.

mod judged;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    event::{Event, PayTarget, ReceivedFile, Timings, VoidReason},
    ids::{BlockHash, BlockNumber, BlockRef, Digest, Hotkey, NetUid, RoundId, Uid},
    inquiry::Question,
    outcome::{Fault, Outcome},
    plan::{RoundPlan, request_seed},
    roster::{RosterEntry, Standing},
    round::{ApplyError, Phase, Round, Tournament},
    rules::{ActiveRules, Rules},
    scoring::{ModelRules, TextModelRules},
    weights::winner_takes_all,
};

pub use judged::Judged;

/// The version of the document that is written.
pub const SCHEMA: u32 = 1;

/// Name of the file with the rules.
pub const RULES_FILE: &str = "rules.toml";
/// Name of the file with the given first frame.
pub const FIRST_FRAME_FILE: &str = "first_frame.png";
/// Name of the file with the source clip.
pub const SOURCE_FILE: &str = "original_clip.mp4";

/// Why a round has no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// No event of the round.
    #[error("the journal knows no round {0}")]
    Unknown(RoundId),
    /// The round has not ended.
    #[error("round {0} is still open: it is packed when it has ended")]
    Open(RoundId),
    /// The rules are not those of the round.
    #[error(
        "round {round} was opened under rules {wanted}, these are {found}: give the rules file of that time"
    )]
    OtherRules {
        /// The round.
        round: RoundId,
        /// Digest in its plan.
        wanted: Digest,
        /// Digest of the rules that were given.
        found: Digest,
    },
    /// The events contradict each other.
    #[error(transparent)]
    Events(#[from] ApplyError),
}

/// The chain and the subnet on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Network {
    /// Hash of the chain's first block.
    pub genesis: BlockHash,
    /// The subnet.
    pub netuid: NetUid,
}

/// The program that judged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Code {
    /// Version, commit, profile and platform.
    pub version: String,
    /// Self-test digest of every kernel: builds that agree in all of them compute alike.
    pub kernels: BTreeMap<String, Digest>,
}

/// The networks that the rules name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Models {
    /// Of frames.
    pub frames: Option<ModelRules>,
    /// Of prompts.
    pub text: Option<TextModelRules>,
}

/// What the corpus says of the source clip, beside what the plan does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Start of the usable part in milliseconds; `None`: the file's start.
    pub from_ms: Option<u64>,
    /// End of the usable part in milliseconds; `None`: the file's end.
    pub to_ms: Option<u64>,
}

/// One miner's way through the round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MinerRecord {
    /// Slot at the anchor block.
    pub uid: Uid,
    /// The miner.
    pub hotkey: Hotkey,
    /// Seed of its request; `None` for a miner that could not be asked.
    pub seed: Option<u32>,
    /// The file that it sent.
    pub file: Option<ReceivedFile>,
    /// How its ticket ended; `None` where the round was voided before.
    pub ticket: Option<Outcome>,
    /// What counts in its place, where G8 says so.
    pub counts: Option<Outcome>,
    /// Who is to blame for what counts; `None` for a scored clip.
    pub fault: Option<Fault>,
    /// Where the time went.
    pub timings: Timings,
}

impl MinerRecord {
    /// What counts.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.counts.as_ref().or(self.ticket.as_ref())
    }
}

/// A clip that was another miner's in an earlier round (G8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnedClip {
    /// Whose clip now.
    pub hotkey: Hotkey,
    /// The round in which it was first sent.
    pub earlier: RoundId,
    /// Whose it was then.
    pub owner: Hotkey,
}

/// A question to a miner whose clip was disputed (G8).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuestionRecord {
    /// Who was asked.
    pub hotkey: Hotkey,
    /// What.
    pub question: Question,
    /// Block whose hash the seed was drawn from.
    pub seed_block: BlockRef,
    /// Seed of the request.
    pub seed: u32,
    /// The file of the answer.
    pub file: Option<ReceivedFile>,
    /// How the question ended; `None` where no answer came before the round did.
    pub outcome: Option<Outcome>,
    /// What the answer shows, as in [`super::round::QuestionReport`].
    pub finding: String,
    /// Where the time went.
    pub timings: Timings,
}

/// What a round came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RoundResult {
    /// It counts.
    Closed {
        /// The best passing clip's miner.
        winner: Option<Hotkey>,
    },
    /// It counts for nobody.
    Void {
        /// Why.
        reason: VoidReason,
    },
}

/// The weights that this round alone would give.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Payment {
    /// Who is paid.
    pub target: PayTarget,
    /// The vector without padding; empty for the owner, whose slot the chain knows.
    pub weights: Vec<(Uid, u16)>,
}

/// Size and digest of a file beside the document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: Digest,
}

/// The document: what is signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoundBundle {
    /// Version of the document.
    pub schema: u32,
    /// Chain and subnet.
    pub network: Network,
    /// Who judged, and signs.
    pub validator: Hotkey,
    /// The round.
    pub round: RoundId,
    /// When the validator opened it by its own clock, in milliseconds since 1970: nothing rests on it.
    pub opened_unix_ms: u64,
    /// The program that judged.
    pub code: Code,
    /// Digest of the rules, which lie beside as [`RULES_FILE`].
    pub rules_digest: Digest,
    /// The networks that the rules name.
    pub models: Models,
    /// What was fixed when the round opened; `None` for a round that could not be planned.
    pub plan: Option<RoundPlan>,
    /// Corpus keys of earlier rounds, which could not be chosen any more.
    pub published_before: BTreeSet<String>,
    /// What the corpus says of the source clip.
    pub source: Option<SourceFacts>,
    /// One row for every miner of the roster, by uid.
    pub miners: Vec<MinerRecord>,
    /// Clips of earlier rounds.
    pub returned: Vec<ReturnedClip>,
    /// What was asked in disputes, in the order in which answers came.
    pub questions: Vec<QuestionRecord>,
    /// Miners with the same clip, group by group in the order of precedence.
    pub copies: Vec<Vec<Hotkey>>,
    /// Finalized block at which the round ended.
    pub ended_at: BlockNumber,
    /// What it came to.
    pub result: RoundResult,
    /// The weights that it alone would give; `None` for a void round.
    pub pays: Option<Payment>,
    /// Files beside the document, by name.
    pub files: BTreeMap<String, FileRecord>,
}

/// What a document says beside the round's events.
#[derive(Clone, Debug)]
pub struct BundleFacts {
    /// Chain and subnet.
    pub network: Network,
    /// Who judges, and signs.
    pub validator: Hotkey,
    /// The round.
    pub round: RoundId,
    /// When it was opened, in milliseconds since 1970.
    pub opened_unix_ms: u64,
    /// The program.
    pub code: Code,
    /// Corpus keys of earlier rounds.
    pub published_before: BTreeSet<String>,
    /// What the corpus says of the source clip.
    pub source: Option<SourceFacts>,
}

impl RoundBundle {
    /// The document of a round that has ended, from its events; `files` is left empty.
    ///
    /// # Errors
    /// When the round is unknown or open, was opened under other rules, or its events contradict each other.
    pub fn of(facts: BundleFacts, events: &[Event], active: &ActiveRules) -> Result<Self, BundleError> {
        let id = facts.round;
        let mut state = Tournament::under(active.rules.payout, active.digest);
        for event in of_round(events) {
            state.apply(event)?;
        }
        let round = state.round(id).ok_or(BundleError::Unknown(id))?;
        let other = round.plan.as_ref().filter(|plan| plan.rules_digest != active.digest);
        if let Some(plan) = other {
            return Err(BundleError::OtherRules {
                round: id,
                wanted: plan.rules_digest,
                found: active.digest,
            });
        }
        let (ended_at, result) = match &round.phase {
            Phase::Open => return Err(BundleError::Open(id)),
            Phase::Closed { at, winner } => (*at, RoundResult::Closed { winner: *winner }),
            Phase::Void { at, reason } => (*at, RoundResult::Void { reason: reason.clone() }),
        };
        let plan = round.plan.as_deref().cloned();
        let roster = plan.as_ref().map_or(&[][..], |plan| &plan.roster);
        Ok(Self {
            schema: SCHEMA,
            network: facts.network,
            validator: facts.validator,
            round: id,
            opened_unix_ms: facts.opened_unix_ms,
            code: facts.code,
            rules_digest: active.digest,
            models: models_of(&active.rules),
            published_before: facts.published_before,
            source: facts.source,
            miners: miners(round, roster),
            returned: events.iter().filter_map(returned).collect(),
            questions: questions(round, events),
            copies: round.copy_groups(),
            ended_at,
            pays: payment(&result, roster),
            result,
            files: BTreeMap::new(),
            plan,
        })
    }

    /// The round's events, as far as its verdicts rest on them: those of a journal without the times between.
    pub fn events(&self) -> Vec<Event> {
        let (round, at) = (self.round, self.ended_at);
        let mut events = Vec::new();
        events.extend(self.plan.clone().map(|plan| Event::RoundPlanned { plan: Box::new(plan) }));
        for MinerRecord { hotkey, file, ticket, timings, .. } in &self.miners {
            let hotkey = *hotkey;
            events.extend(file.clone().map(|file| Event::ClipReceived { round, hotkey, file }));
            let settled = |outcome| Event::TicketSettled { round, hotkey, outcome, timings: *timings };
            events.extend(ticket.clone().map(settled));
        }
        let returned = |clip: &ReturnedClip| Event::ClipReturned {
            round,
            hotkey: clip.hotkey,
            earlier: clip.earlier,
            owner: clip.owner,
        };
        events.extend(self.returned.iter().map(returned));
        for asked in &self.questions {
            let (hotkey, question) = (asked.hotkey, asked.question);
            events.push(Event::QuestionAsked { round, hotkey, question, seed: asked.seed_block });
            let (timings, file) = (asked.timings, asked.file.clone());
            let settled =
                |outcome| Event::QuestionSettled { round, hotkey, question, outcome, timings, file };
            events.extend(asked.outcome.clone().map(settled));
        }
        events.push(match &self.result {
            RoundResult::Closed { winner } => Event::RoundClosed { round, at, winner: *winner },
            RoundResult::Void { reason } => Event::RoundVoided { round, at, reason: reason.clone() },
        });
        events
    }

    /// The files that the document speaks of, by name, with their digests; [`SOURCE_FILE`] may be left out of `files`.
    pub fn named_files(&self) -> BTreeMap<String, Digest> {
        let plan = self.plan.iter().flat_map(|plan| {
            [(FIRST_FRAME_FILE, plan.clip.first_frame_png), (SOURCE_FILE, plan.clip.sha256)]
                .map(|(name, digest)| (name.to_owned(), digest))
        });
        let clips = self
            .miners
            .iter()
            .filter_map(|miner| Some((clip_file(&miner.hotkey), miner.file.as_ref()?.sha256)));
        let answers = self.questions.iter().filter_map(|asked| {
            Some((answer_file(&asked.hotkey, asked.question), asked.file.as_ref()?.sha256))
        });
        plan.chain(clips).chain(answers).collect()
    }

    /// Who won.
    pub fn winner(&self) -> Option<Hotkey> {
        match &self.result {
            RoundResult::Closed { winner } => *winner,
            RoundResult::Void { .. } => None,
        }
    }
}

/// Name of the file with a miner's clip.
pub fn clip_file(hotkey: &Hotkey) -> String {
    format!("generated_videos/{hotkey}.mp4")
}

/// Name of the file with a miner's answer in a dispute.
pub fn answer_file(hotkey: &Hotkey, question: Question) -> String {
    format!("question_answers/{hotkey}.{}.mp4", question.name())
}

/// The networks that rules name.
pub fn models_of(rules: &Rules) -> Models {
    Models { frames: rules.scoring.models, text: rules.scoring.text.as_ref().map(|text| text.model) }
}

/// The weights that a round alone would give.
pub fn payment(result: &RoundResult, roster: &[RosterEntry]) -> Option<Payment> {
    let RoundResult::Closed { winner } = result else { return None };
    let slot = |hotkey: &Hotkey| roster.iter().find(|entry| entry.hotkey == *hotkey).map(|entry| entry.uid);
    Some(match winner {
        Some(hotkey) => Payment {
            target: PayTarget::Miner { hotkey: *hotkey },
            weights: slot(hotkey).map(|uid| winner_takes_all(uid, &[], 0)).unwrap_or_default(),
        },
        None => Payment { target: PayTarget::Owner, weights: Vec::new() },
    })
}

/// Events of a round that its own fold needs: weights rest on it, it does not rest on them.
fn of_round(events: &[Event]) -> impl Iterator<Item = &Event> {
    events.iter().filter(|event| event.round().is_some() && !matches!(event, Event::WeightsIntended { .. }))
}

/// The seed of the round's request to a miner; `None` for one that cannot be asked.
pub fn seed_of(plan: &RoundPlan, entry: &RosterEntry) -> Option<u32> {
    matches!(entry.standing, Standing::Valid { .. }).then(|| request_seed(&plan.anchor.hash, &entry.hotkey))
}

fn miners(round: &Round, roster: &[RosterEntry]) -> Vec<MinerRecord> {
    let outcomes = round.final_outcomes();
    let record = |entry: &RosterEntry| {
        let ticket = round.tickets.get(&entry.hotkey).cloned().unwrap_or_default();
        let counts = outcomes.get(&entry.hotkey);
        MinerRecord {
            uid: entry.uid,
            hotkey: entry.hotkey,
            seed: round.plan.as_ref().and_then(|plan| seed_of(plan, entry)),
            counts: counts.filter(|counts| Some(*counts) != ticket.outcome.as_ref()).cloned(),
            fault: counts.and_then(Outcome::fault),
            file: ticket.file,
            ticket: ticket.outcome,
            timings: ticket.timings,
        }
    };
    let mut miners: Vec<_> = roster.iter().map(record).collect();
    miners.sort_by_key(|miner| (miner.uid, miner.hotkey));
    miners
}

fn returned(event: &Event) -> Option<ReturnedClip> {
    match event {
        Event::ClipReturned { hotkey, earlier, owner, .. } => {
            Some(ReturnedClip { hotkey: *hotkey, earlier: *earlier, owner: *owner })
        }
        _ => None,
    }
}

/// Questions in the order of their answers, those without one last.
fn questions(round: &Round, events: &[Event]) -> Vec<QuestionRecord> {
    let mut records: Vec<QuestionRecord> = Vec::new();
    let mut open: Vec<QuestionRecord> = round
        .questions()
        .into_iter()
        .map(|asked| QuestionRecord {
            hotkey: asked.hotkey,
            question: asked.question,
            seed_block: asked.seed_block,
            seed: request_seed(&asked.seed_block.hash, &asked.hotkey),
            file: None,
            outcome: None,
            finding: asked.finding,
            timings: Timings::default(),
        })
        .collect();
    for event in events {
        let Event::QuestionSettled { hotkey, question, outcome, timings, file, .. } = event else { continue };
        let place = open.iter().position(|asked| (asked.hotkey, asked.question) == (*hotkey, *question));
        records.extend(place.map(|place| QuestionRecord {
            file: file.clone(),
            outcome: Some(outcome.clone()),
            timings: *timings,
            ..open.remove(place)
        }));
    }
    records.append(&mut open);
    records
}

#[cfg(test)]
mod tests;
