//! Which clips can serve as a reference: one that hardly moves cannot judge motion, and with it
//! nobody would pass. Such clips are passed over in the walk, by the rules in force.

use std::{collections::BTreeSet, sync::Arc};

use super::{Corpus, CorpusError, PreparedClip};
use crate::{
    domain::{ids::BlockHash, rules::Rules},
    quality::{measure::ClipMeasures, terms::can_judge_motion},
};

/// Whether a prepared clip moves enough, beyond pans and layers, to judge the motion of others.
/// Measures the whole clip, off the async threads.
///
/// # Errors
/// `Interrupted` when the process shuts down or the measurement panicked.
pub async fn judges_motion(clip: &PreparedClip, rules: &Rules) -> Result<bool, CorpusError> {
    let reference = Arc::clone(&clip.reference);
    let (frames, dynamics) = (rules.request.frames as usize, rules.scoring.dynamics);
    tokio::task::spawn_blocking(move || can_judge_motion(&ClipMeasures::of(&reference, frames), &dynamics))
        .await
        .map_err(|_| CorpusError::Interrupted { key: clip.choice.key.clone() })
}

impl Corpus {
    /// The round's clip under these rules: the first in walk order that was not published, has a
    /// window, and can judge motion. `published` is what [`Corpus::withheld`] says.
    ///
    /// # Errors
    /// `Exhausted` when none is left. A missing or altered file ends the walk: to skip it would give
    /// another clip than validators choose whose corpus is whole.
    pub async fn choose(
        &self,
        rules: &Rules,
        anchor: &BlockHash,
        published: &BTreeSet<String>,
    ) -> Result<PreparedClip, CorpusError> {
        let mut candidates = self.candidates(anchor, rules.request).without(published);
        while let Some(candidate) = candidates.next().await? {
            let clip = candidate.prepare().await?;
            if judges_motion(&clip, rules).await? {
                return Ok(clip);
            }
            self.found_unfit(&clip.choice.key);
            tracing::info!(clip = %clip.choice.key, "corpus clip moves too little to judge motion: passed over");
        }
        let published = self.clips().iter().filter(|clip| published.contains(&clip.key)).count();
        Err(CorpusError::Exhausted { clips: self.len(), published })
    }
}
