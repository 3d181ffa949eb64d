//! The clips that limits lie between, measured once.

use crate::{
    evidence::{
        EvidenceError,
        attacks::{ATTACK_CRF, Attacker, HONEST, material, stand_ins},
        calibration::Clips,
        clean::CLEAN_CRF,
        ladder::{Workshop, foreign},
        windows::SourceWindow,
    },
    quality::{frame::Yuv420Clip, measure::ClipMeasures},
};

use super::GateTable;

/// What a clip is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClipKind {
    /// The real clip after one encode.
    Clean,
    /// An honest stand-in: the given first frame moved as the real clip moves.
    StandIn,
    /// An attack.
    Attack(Attacker),
}

/// A clip with its measures: limits only compare, so that it is decided about many times.
#[derive(Clone, Debug)]
pub struct GateClip {
    /// What it is.
    pub kind: ClipKind,
    /// What it answers; planes and measures are shared.
    pub window: SourceWindow,
    /// What was measured of it.
    pub measures: ClipMeasures,
}

impl GateClip {
    /// Measures a clip of `frames` frames.
    pub fn of(kind: ClipKind, window: &SourceWindow, clip: &Yuv420Clip, frames: usize) -> Self {
        let measures = tokio::task::block_in_place(|| ClipMeasures::of(clip, frames));
        Self { kind, window: window.clone(), measures }
    }
}

/// The attacks that some table is there for. What the decoder or the shape rejects is none of them.
pub fn attackers() -> impl Iterator<Item = Attacker> {
    Attacker::all().filter(|attacker| GateTable::ALL.iter().any(|table| table.is_attack(*attacker)))
}

/// Number of clips that [`measured`] makes.
pub fn count(clips: &Clips) -> usize {
    let each = CLEAN_CRF.len() + HONEST.len() + attackers().count();
    clips.windows.len() * each + clips.generated.len() * CLEAN_CRF.len()
}

/// Makes, encodes and measures them: windows and generated clips after one encode at several qualities, and of every
/// window the stand-ins and the attacks. `progress` hears every clip.
///
/// # Errors
/// When we fail.
pub async fn measured(
    clips: &Clips<'_>,
    workshop: &Workshop,
    frames: usize,
    mut progress: impl FnMut(),
) -> Result<Vec<GateClip>, EvidenceError> {
    let mut found = Vec::with_capacity(count(clips));
    let mut add = |kind: ClipKind, window: &SourceWindow, clip: &Yuv420Clip| {
        found.push(GateClip::of(kind, window, clip, frames));
        progress();
    };
    for window in clips.windows.iter().chain(clips.generated) {
        for crf in CLEAN_CRF {
            add(ClipKind::Clean, window, &*workshop.encoded(&window.reference, crf).await?);
        }
    }
    for (place, window) in clips.windows.iter().enumerate() {
        let answers = tokio::task::block_in_place(|| stand_ins(window, &HONEST));
        for answer in &answers {
            add(ClipKind::StandIn, window, &*workshop.encoded(answer, ATTACK_CRF).await?);
        }
        let other = foreign(clips.windows, place);
        let material = material(window, answers.first(), &other);
        for attacker in attackers() {
            let film = || attacker.attack.film(attacker.variant, &material);
            let clip = workshop.encoded(&tokio::task::block_in_place(film)?, ATTACK_CRF).await?;
            add(ClipKind::Attack(attacker), window, &clip);
        }
    }
    Ok(found)
}
