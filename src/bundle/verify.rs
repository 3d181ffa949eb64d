//! Whether a bundle is whole: every file, and everything of its document that follows from the rest without decoding.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{
    location::{FetchError, MAX_FILE_BYTES, MAX_FILES, Opened},
    sealed::{RESULTS_DOMAIN, canonical, is_signed},
    views::{METADATA_FILE, results_file},
};
use crate::{
    domain::{
        bundle::{
            Judged, MinerRecord, RULES_FILE, RoundBundle, RoundResult, SOURCE_FILE, models_of, seed_of,
        },
        event::VoidReason,
        ids::{BlockNumber, Digest, Hotkey, RoundId},
        outcome::Outcome,
        plan::{RoundPlan, request_seed},
        rules::{ActiveRules, Rules},
        score::ScoreCard,
    },
    quality::{canonical::score_digest, selftest, terms::overall, verdict::passes},
};

/// Largest rules file, in bytes.
pub const MAX_RULES_BYTES: u64 = 1 << 20;
/// Largest file of results in the old layout, in bytes.
const MAX_RESULTS_BYTES: u64 = 8 << 20;

/// Which part of a bundle a problem is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The form of the document.
    Form,
    /// A signature.
    Signature,
    /// A file beside the document.
    File,
    /// What the document says of the round.
    Record,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// In which part.
    pub part: Part,
    /// Of what.
    pub what: String,
    /// What is wrong.
    pub detail: String,
}

/// What a verification found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verification {
    /// The round; `None` where the document was refused.
    pub round: Option<RoundId>,
    /// Who signed.
    pub validator: Option<Hotkey>,
    /// Digest of the document.
    pub digest: Option<Digest>,
    /// Files that were read and have their digests.
    pub files: usize,
    /// Everything that is wrong; empty for a bundle that holds.
    pub problems: Vec<Problem>,
    /// What was not looked at, and why.
    pub notes: Vec<String>,
}

impl Verification {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Opens a bundle and verifies it. A document that is refused is a finding and no error.
///
/// # Errors
/// When the place cannot be read.
pub async fn verify_at(location: &str) -> Result<Verification, FetchError> {
    match Opened::open(location).await {
        Ok(opened) => verify(&opened).await,
        Err(FetchError::Refused { source, .. }) => {
            let part = if source.is_about_the_signature() { Part::Signature } else { Part::Form };
            let problem = Problem { part, what: "round.json".into(), detail: source.to_string() };
            Ok(Verification {
                round: None,
                validator: None,
                digest: None,
                files: 0,
                problems: vec![problem],
                notes: Vec::new(),
            })
        }
        Err(other) => Err(other),
    }
}

/// Verifies an opened bundle: files by their digests, and the record as far as it follows from itself and the rules.
///
/// # Errors
/// When a file cannot be read for a reason of ours; a missing or altered one is a finding.
pub async fn verify(opened: &Opened) -> Result<Verification, FetchError> {
    let bundle = &opened.signed.bundle;
    let mut found = Findings::default();
    let mut files = 0;
    let mut rules = None;
    found.list_of_files(bundle);
    if opened.has_files() {
        let named = bundle.named_files();
        let known = |name: &str| named.contains_key(name) || [RULES_FILE, METADATA_FILE].contains(&name);
        for (name, record) in bundle.files.iter().filter(|(name, _)| known(name)) {
            let read = opened.read(name, record.bytes.min(MAX_FILE_BYTES)).await;
            let Some(bytes) = found.file(name, read)? else { continue };
            let digest = Digest::of(&bytes);
            if bytes.len() as u64 != record.bytes || digest != record.sha256 {
                let (wanted, got, size) = (record.sha256, digest, bytes.len());
                let detail = format!(
                    "has {size} bytes with sha256 {got}, recorded are {} with {wanted}",
                    record.bytes
                );
                found.push(Part::File, name.clone(), detail);
                continue;
            }
            files += 1;
            if name == RULES_FILE {
                rules = found.rules(&bytes, bundle);
            }
        }
        let name = results_file(&bundle.validator);
        let read = opened.read(&name, MAX_RESULTS_BYTES).await;
        if let Some(bytes) = found.file(&name, read)? {
            found.results(&name, &bytes, bundle);
        }
    } else {
        found.notes.push("only the document was looked at: name its folder to verify the files".into());
    }
    found.record(bundle, rules.as_ref());
    Ok(Verification {
        round: Some(bundle.round),
        validator: Some(bundle.validator),
        digest: Some(opened.signed.digest),
        files,
        problems: found.problems,
        notes: found.notes,
    })
}

/// The rules of an opened bundle, checked against the digest in its document.
///
/// # Errors
/// When the file is missing, or is not those rules.
pub async fn rules_of(opened: &Opened) -> Result<Rules, FetchError> {
    let refuse =
        |detail: &str| FetchError::Http { place: opened.place(RULES_FILE), problem: detail.to_owned() };
    let bytes = opened.read(RULES_FILE, MAX_RULES_BYTES).await?;
    let mut found = Findings::default();
    let rules = found.rules(&bytes, &opened.signed.bundle);
    match (rules, found.problems.first()) {
        (Some(rules), None) => Ok(rules),
        (_, problem) => Err(refuse(problem.map_or("are no rules", |problem| &problem.detail))),
    }
}

#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Findings {
    fn push(&mut self, part: Part, what: impl Into<String>, detail: impl Into<String>) {
        self.problems.push(Problem { part, what: what.into(), detail: detail.into() });
    }

    fn ensure(&mut self, holds: bool, what: &str, detail: impl FnOnce() -> String) {
        if !holds {
            self.push(Part::Record, what, detail());
        }
    }

    /// A file's bytes; a missing or wrong kind of file is a finding.
    fn file<T>(&mut self, name: &str, read: Result<T, FetchError>) -> Result<Option<T>, FetchError> {
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(
                cause @ (FetchError::Missing { .. }
                | FetchError::TooLarge { .. }
                | FetchError::NotPlain { .. }),
            ) => {
                self.push(Part::File, name, cause.to_string());
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// The list of files says what the document speaks of, and no more.
    fn list_of_files(&mut self, bundle: &RoundBundle) {
        let named = bundle.named_files();
        self.ensure(bundle.files.len() <= MAX_FILES, "files", || {
            format!("{} are listed, at most {MAX_FILES}", bundle.files.len())
        });
        for (name, digest) in &named {
            match bundle.files.get(name) {
                Some(record) => self.ensure(record.sha256 == *digest, name, || {
                    format!("the list has sha256 {}, the record {digest}", record.sha256)
                }),
                None if name == SOURCE_FILE => {
                    self.notes.push(format!("{SOURCE_FILE} was not published with the round"));
                }
                None => self.push(Part::Record, name, "is missing from the list of files"),
            }
        }
        for name in [RULES_FILE, METADATA_FILE] {
            self.ensure(bundle.files.contains_key(name), name, || "is missing from the list of files".into());
        }
        let known =
            |name: &String| named.contains_key(name) || [RULES_FILE, METADATA_FILE].contains(&name.as_str());
        for name in bundle.files.keys().filter(|name| !known(name)) {
            let name: String = name.chars().take(120).collect();
            self.push(Part::Record, name, "the record does not speak of this file");
        }
    }

    /// The rules, whose digest covers the kernels of the build that judged.
    fn rules(&mut self, bytes: &[u8], bundle: &RoundBundle) -> Option<Rules> {
        let text = std::str::from_utf8(bytes).ok();
        let Some(rules) = text.and_then(|text| Rules::parse(text).ok()) else {
            self.push(Part::Record, RULES_FILE, "is not a rules file that this program reads");
            return None;
        };
        let digest = ActiveRules::digest_with(&rules, &bundle.code.kernels).ok();
        self.ensure(digest == Some(bundle.rules_digest), "rules_digest", || {
            "rules and kernels do not have this digest".into()
        });
        self.ensure(bundle.models == models_of(&rules), "models", || "are not those of the rules".into());
        let ours: BTreeMap<_, _> = selftest::digests();
        let differing: Vec<&str> = ours
            .iter()
            .filter(|(name, digest)| bundle.code.kernels.get(**name) != Some(digest))
            .map(|(name, _)| *name)
            .collect();
        if !differing.is_empty() {
            let names = differing.join(", ");
            self.notes.push(format!("this build computes otherwise than the one that judged: {names}"));
        }
        Some(rules)
    }

    /// The results in the old layout: signed, and of this round.
    fn results(&mut self, name: &str, bytes: &[u8], bundle: &RoundBundle) {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let data = &value["data"];
        let mut signature = [0; 64];
        let text = value["signature"].as_str().unwrap_or_default();
        let read = hex::decode_to_slice(text, &mut signature).is_ok();
        let digest = canonical(data).map(|(_, digest)| digest);
        let signed = read
            && digest.is_ok_and(|digest| is_signed(&bundle.validator, RESULTS_DOMAIN, &digest, &signature));
        if !signed {
            self.push(Part::Signature, name, "is not signed by the validator");
        }
        let stated = [
            ("task_id", serde_json::to_value(bundle.round)),
            ("validator_hotkey", serde_json::to_value(bundle.validator)),
            ("winner", serde_json::to_value(bundle.winner())),
        ];
        for (field, wanted) in stated {
            let same = wanted.is_ok_and(|wanted| data[field] == wanted);
            self.ensure(same, name, || format!("has another {field} than the document"));
        }
    }

    fn record(&mut self, bundle: &RoundBundle, rules: Option<&Rules>) {
        for miner in &bundle.miners {
            let cards = [&miner.ticket, &miner.counts].into_iter().flatten().filter_map(Outcome::card);
            cards.for_each(|card| self.card(&miner.hotkey, card, rules));
        }
        for asked in &bundle.questions {
            let seed = request_seed(&asked.seed_block.hash, &asked.hotkey);
            self.ensure(asked.seed == seed, &asked.hotkey.to_string(), || {
                format!("the seed of its question is {}, the block gives {seed}", asked.seed)
            });
            asked
                .outcome
                .iter()
                .filter_map(Outcome::card)
                .for_each(|card| self.card(&asked.hotkey, card, rules));
        }
        if let Some(plan) = &bundle.plan {
            self.plan(plan, bundle, rules);
        }
        self.ensure(bundle.pays == bundle.payment_of(&bundle.result), "pays", || {
            "is not what the result gives".into()
        });
        let Some(rules) = rules else {
            self.notes.push("the rules were not read, so the winner was not elected anew".into());
            return;
        };
        match bundle.judge(&rules.payout) {
            Err(cause) => self.push(Part::Record, "events", cause.to_string()),
            Ok(None) => self.ensure(
                matches!(bundle.result, RoundResult::Void { reason: VoidReason::NotPlanned { .. } }),
                "result",
                || "a round without a plan is void".into(),
            ),
            Ok(Some(judged)) => self.judged(bundle, &judged),
        }
    }

    /// A card's digest, and what follows from its axes.
    fn card(&mut self, hotkey: &Hotkey, card: &ScoreCard, rules: Option<&Rules>) {
        let who = hotkey.to_string();
        let digest = score_digest(card);
        self.ensure(card.score_digest == digest, &who, || {
            format!("its score card has digest {digest}, recorded is {}", card.score_digest)
        });
        let Some(scoring) = rules.map(|rules| &rules.scoring) else { return };
        let mean = overall(&card.axes, &scoring.weights);
        self.ensure(card.overall == mean, &who, || {
            format!("its axes give overall {mean}, recorded is {}", card.overall)
        });
        let passed = passes(&card.axes, card.overall, card.opponents.as_ref(), scoring);
        self.ensure(card.passed == passed, &who, || {
            format!("by the thresholds passed is {passed}, recorded is {}", card.passed)
        });
    }

    /// What the schedule and the seeds make of the anchor block.
    fn plan(&mut self, plan: &RoundPlan, bundle: &RoundBundle, rules: Option<&Rules>) {
        self.ensure(plan.round == bundle.round, "plan.round", || format!("is {}", plan.round));
        self.ensure(plan.rules_digest == bundle.rules_digest, "plan.rules_digest", || {
            "is another one".into()
        });
        let mut roster: Vec<_> =
            plan.roster.iter().map(|entry| (entry.uid, entry.hotkey, seed_of(plan, entry))).collect();
        roster.sort();
        let row = |miner: &MinerRecord| (miner.uid, miner.hotkey, miner.seed);
        let rows: Vec<_> = bundle.miners.iter().map(row).collect();
        self.ensure(rows == roster, "miners", || "are not the roster, or have other seeds".into());
        let Some(rules) = rules else { return };
        let after = |blocks: u64| BlockNumber(plan.anchor.number.0.saturating_add(blocks));
        let schedule = rules.schedule;
        let first = plan.round.0.checked_mul(schedule.round_interval_blocks).map(BlockNumber);
        self.ensure(first == Some(plan.anchor.number), "plan.anchor", || {
            "is not the round's first block".into()
        });
        let times = (after(schedule.answer_within_blocks), after(schedule.settle_within_blocks));
        self.ensure((plan.answer_by, plan.settle_by) == times, "plan.answer_by", || {
            format!("answers were due by block {}, the round by {}", times.0, times.1)
        });
        self.ensure(plan.spec == rules.request, "plan.spec", || "is not what the rules ask for".into());
        self.ensure(plan.copies.is_none_or(|gate| gate == rules.scoring.gates.copy), "plan.copies", || {
            "are not the limits of the rules".into()
        });
    }

    /// What the rules make of the outcomes.
    fn judged(&mut self, bundle: &RoundBundle, judged: &Judged) {
        for miner in &bundle.miners {
            let counts = judged.outcomes.get(&miner.hotkey);
            let (who, same) = (miner.hotkey.to_string(), counts == miner.outcome());
            self.ensure(same, &who, || {
                let word = counts.map_or("nothing", |counts| counts.kind());
                format!("by the rules {word} counts for it, recorded is something else")
            });
            let fault = miner.outcome().and_then(Outcome::fault);
            self.ensure(miner.fault == fault, &who, || format!("its outcome is the fault of {fault:?}"));
        }
        for asked in &bundle.questions {
            let finding = judged.findings.get(&(asked.hotkey, asked.question));
            self.ensure(finding == Some(&asked.finding), &asked.hotkey.to_string(), || {
                format!("its answer shows {finding:?}, recorded is {}", asked.finding)
            });
        }
        self.ensure(bundle.copies == judged.copies, "copies", || "other clips are the same".into());
        let stated = match &bundle.result {
            // Stopped by hand or by a clip that could not be prepared again: nothing else shows that.
            RoundResult::Void { reason: VoidReason::NotPlanned { .. } } => return,
            other => other,
        };
        let result = judged.result();
        self.ensure(*stated == result, "winner", || format!("the rules give {}", told(&result)));
    }
}

/// A result in a few words.
pub fn told(result: &RoundResult) -> String {
    match result {
        RoundResult::Closed { winner: Some(hotkey) } => format!("winner {hotkey}"),
        RoundResult::Closed { winner: None } => "no winner".into(),
        RoundResult::Void { .. } => "a void round".into(),
    }
}
