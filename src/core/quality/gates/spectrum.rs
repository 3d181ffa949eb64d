//! G12, its part about the spectrum: a clip that was made smaller and enlarged.

use crate::{
    domain::{score::GateId, scoring::SpectrumGate},
    quality::{frame::Yuv420Clip, measure::ClipMeasures, octaves::Sharpness},
};

use super::{GateFinding, finding};

/// G12 by spectrum: even the sharpest blocks of the clip lack the highest octave, which the given first frame and the
/// reference have. A given frame that was enlarged itself allows the clip to be.
pub fn upscaled(
    clip: &ClipMeasures,
    first_frame: &Yuv420Clip,
    reference: Option<&ClipMeasures>,
    gate: &SpectrumGate,
) -> GateFinding {
    let given = Sharpness::of_plane(first_frame.frame(0).y, first_frame.width(), first_frame.height());
    let own = clip.sharpness;
    let theirs = reference.map_or(given, |r| r.sharpness);
    // One frame of the given has as many blocks as one sampled frame of a clip.
    let judged = [own.blocks, given.blocks, theirs.blocks].into_iter().all(|blocks| blocks >= gate.blocks);
    let budget = given.share.min(theirs.share);
    let below = |part: i64| own.share * 1000 <= budget * part;
    let fired = judged && (below(gate.of_given_alone) || own.share <= gate.share && below(gate.of_given));
    let numbers = [
        ("sharpness", own.share),
        ("given_sharpness", given.share),
        ("reference_sharpness", theirs.share),
        ("textured_blocks", own.blocks),
        ("given_textured_blocks", given.blocks),
    ];
    let reason = format!(
        "the sharpest blocks have {}/1000 in the highest octave, the given first frame {} and the reference {}",
        own.share, given.share, theirs.share
    );
    finding(GateId::G12, numbers, fired, gate.mode, reason)
}

/// Two findings of one gate as one: all numbers, and the condition of the first that fired.
pub fn beside(one: GateFinding, other: GateFinding) -> GateFinding {
    let (mut told, rest) = if other.decided() || (other.reading.fired && !one.reading.fired) {
        (other, one)
    } else {
        (one, other)
    };
    told.reading.numbers.extend(rest.reading.numbers);
    told
}
