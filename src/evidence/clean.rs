//! False rejects: what gates and thresholds say of clean real clips.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    EvidenceError,
    judge::{Judge, SourceCopies},
    ladder::Workshop,
    stats::{median, upper_bound_95},
    windows::SourceWindow,
};
use crate::domain::score::GateId;

/// x264 qualities at which a clean clip must be accepted.
pub const CLEAN_CRF: [u8; 3] = [18, 23, 28];

/// How clean clips fared.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct CleanFigures {
    /// Clips that were judged: every window at every quality.
    pub clips: usize,
    /// Sources that they come from.
    pub sources: usize,
    /// Clips that a gate rejected or that G4 capped (G7 is not asked: these are the source).
    pub rejected: usize,
    /// The gates that did.
    pub by_gate: BTreeMap<GateId, usize>,
    /// Sources with at least one such clip.
    pub sources_rejected: usize,
    /// One-sided 95 % upper bound on the share of sources with a false reject: sources are independent, clips of one
    /// source are not.
    pub upper_by_source: f64,
    /// The same by clips, as if they were independent.
    pub upper_by_clip: f64,
    /// Clips that passed.
    pub passed: usize,
    /// Median final score.
    pub median: u16,
}

impl CleanFigures {
    /// The sentence that reports print.
    pub fn sentence(&self) -> String {
        format!(
            "{} of {} from {} source{}, 95 % upper bound {:.1} % of sources ({:.1} % of clips, if they were independent)",
            self.rejected,
            self.clips,
            self.sources,
            if self.sources == 1 { "" } else { "s" },
            100.0 * self.upper_by_source,
            100.0 * self.upper_by_clip
        )
    }
}

/// Judges clean encodes of windows. `progress` hears every clip.
///
/// # Errors
/// When we fail.
pub async fn run(
    windows: &[SourceWindow],
    judge: &Judge,
    workshop: &Workshop,
    qualities: &[u8],
    mut progress: impl FnMut(),
) -> Result<CleanFigures, EvidenceError> {
    let mut found = CleanFigures::default();
    let (mut sources, mut hit, mut scores) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for window in windows {
        sources.insert(&window.source);
        for &crf in qualities {
            let clip = workshop.encoded(&window.reference, crf).await?;
            let read = tokio::task::block_in_place(|| judge.read(window, &clip, SourceCopies::Allowed))?;
            let capped = read.gates.get(&GateId::G4).is_some_and(|gate| gate.fired && gate.decides);
            if let Some(gate) = read.gate.or(capped.then_some(GateId::G4)) {
                *found.by_gate.entry(gate).or_insert(0) += 1;
                found.rejected += 1;
                hit.insert(&window.source);
            }
            found.clips += 1;
            found.passed += usize::from(read.passed);
            scores.push(read.overall);
            progress();
        }
    }
    found.sources = sources.len();
    found.sources_rejected = hit.len();
    found.upper_by_source = upper_bound_95(hit.len(), sources.len());
    found.upper_by_clip = upper_bound_95(found.rejected, found.clips);
    found.median = median(&scores).unwrap_or(0);
    Ok(found)
}
