//! Packs the rounds of a running validator for its publisher.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;

use super::{
    gather::{GatherError, gather},
    pack::{PackError, PackRequest, Packed, facts_of, pack},
};
use crate::{
    chain::wallet::HotkeySigner,
    corpus::{Corpus, CorpusError},
    domain::{
        bundle::SourceFacts,
        event::Event,
        ids::{Digest, RoundId},
        plan::RoundPlan,
        rules::ActiveRules,
    },
    storage::publisher::{PackTrouble, Packer},
    store::{book::RoundsBook, journal::Journal, spool::Spool},
};

/// Rounds whose files the spool keeps.
const IN_SPOOL: usize = 3;

/// What rounds are packed from.
#[derive(Clone)]
pub struct RoundPacker {
    /// State folder; its journal is only read.
    pub state_dir: PathBuf,
    /// Miners' files.
    pub spool: Spool,
    /// Source clips.
    pub corpus: Arc<Corpus>,
    /// The rules in force.
    pub rules: Arc<ActiveRules>,
    /// The newest rounds.
    pub book: Arc<RoundsBook>,
    /// Signs the documents.
    pub signer: HotkeySigner,
}

/// What the journal knows of a round.
pub struct Recorded {
    /// Its events.
    pub events: Vec<Event>,
    /// Its plan; `None` when it was voided before it had one.
    pub plan: Option<RoundPlan>,
    /// Keys of the clips of all rounds so far.
    pub published: BTreeSet<String>,
}

/// Reads a round from the journal of a state folder.
///
/// # Errors
/// When the journal cannot be read.
pub fn recorded(state_dir: &Path, round: RoundId) -> Result<Recorded, PackError> {
    let journal = Journal::open_read_only(state_dir)?;
    let events = journal.events_of(round)?;
    let plan = events.iter().find_map(|event| match event {
        Event::RoundPlanned { plan } => Some(plan.as_ref().clone()),
        _ => None,
    });
    let published = journal.published_before(RoundId(u64::MAX >> 1))?;
    Ok(Recorded { events, plan, published })
}

/// Where the parts of a bundle lie.
pub struct Ingredients {
    /// State folder; its journal is only read.
    pub state_dir: PathBuf,
    /// Miners' files.
    pub spool: Spool,
    /// What [`gather`] wrote.
    pub gathered: PathBuf,
    /// The rules that the round was opened under.
    pub rules: Arc<ActiveRules>,
    /// The folder that receives the round's folder.
    pub out: PathBuf,
}

impl Ingredients {
    /// Packs and signs; waits for the disk.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn assemble(
        &self,
        round: RoundId,
        recorded: &Recorded,
        source: Option<SourceFacts>,
        signer: &HotkeySigner,
    ) -> Result<Packed, PackError> {
        let journal = Journal::open_read_only(&self.state_dir)?;
        let facts = facts_of(&journal, round, signer.hotkey(), source)?;
        let files = |digest: &Digest| {
            let places = [self.spool.path(digest), self.gathered.join(digest.to_string())];
            places.into_iter().find(|path| path.is_file())
        };
        let (events, rules) = (&recorded.events, &self.rules);
        pack(&PackRequest { facts, events, rules, files: &files, out: &self.out }, signer)
    }
}

#[async_trait]
impl Packer for RoundPacker {
    fn ended(&self) -> Vec<RoundId> {
        let newest = self.book.newest(IN_SPOOL);
        newest.iter().rev().filter(|report| report.phase != "open").map(|report| report.round).collect()
    }

    async fn pack(&self, round: RoundId, into: &Path) -> Result<(), PackTrouble> {
        let state_dir = self.state_dir.clone();
        let recorded = blocking(move || recorded(&state_dir, round)).await?;
        let plan = recorded.plan.as_ref().ok_or_else(|| PackTrouble::Never("it was not planned".into()))?;
        let folder = tempfile::tempdir().map_err(|error| PackTrouble::Later(error.to_string()))?;
        let source = gather(&self.corpus, plan, &recorded.published, folder.path()).await;
        let source = source.map_err(|cause| match cause {
            // The manifest changed: the clip does not come back.
            GatherError::Corpus(CorpusError::Unknown { .. }) => PackTrouble::Never(cause.to_string()),
            other => PackTrouble::Later(other.to_string()),
        })?;
        let ingredients = Ingredients {
            state_dir: self.state_dir.clone(),
            spool: self.spool.clone(),
            gathered: folder.path().to_owned(),
            rules: Arc::clone(&self.rules),
            out: into.to_owned(),
        };
        let signer = self.signer.clone();
        blocking(move || ingredients.assemble(round, &recorded, Some(source), &signer)).await.map(drop)
    }
}

/// Off the async threads; tells what may be tried again from what never succeeds.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PackError> + Send + 'static,
) -> Result<T, PackTrouble> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|_| PackTrouble::Later("the process ends".into()))?;
    done.map_err(|cause| match cause {
        PackError::Io { .. } | PackError::Journal(_) => PackTrouble::Later(cause.to_string()),
        other => PackTrouble::Never(other.to_string()),
    })
}
