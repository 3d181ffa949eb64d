//! Which frames are shown to the image tower, and in which views.

use crate::domain::ids::Digest;

/// Views of one frame; the least of them counts.
pub const VIEWS: usize = 5;
/// Frames of a clip that are read.
pub const SAMPLES: usize = 16;

/// A square part of a frame, in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Square {
    /// Its left column.
    pub left: usize,
    /// Its top row.
    pub top: usize,
    /// Its side.
    pub side: usize,
}

/// How a frame is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// The model's own preparation: the middle square.
    Frame,
    /// The same, left and right exchanged: written words lose their meaning, scenes keep theirs.
    Mirror,
    /// The same with half the detail: small writing is gone.
    LowPass,
    /// A part: what is said by one corner is not said by the others.
    Crop(Square),
}

/// The views of sample number `sample` of frames of this size. Parts are drawn from the round's seed, which nobody knows
/// before miners have answered; each clip of a round is shown in the same parts.
pub fn views(seed: &Digest, sample: usize, width: usize, height: usize) -> [View; VIEWS] {
    let part = |number: u32| {
        let label = [sample as u64, u64::from(number)].map(u64::to_le_bytes).concat();
        let draw = Digest::of_parts(&[b"leoma prompt view", &seed.0, &label]).0;
        let word = |at: usize| {
            let bytes: [u8; 8] = std::array::from_fn(|byte| draw[8 * at + byte]);
            u64::from_le_bytes(bytes)
        };
        // A side of 5/8 to 7/8 of the shorter one; the remainder of 64 bits favours nothing visibly.
        let shorter = width.min(height) as u64;
        let side = shorter * 5 / 8 + word(0) % (shorter / 4).max(1);
        let room =
            |length: usize, at: usize| (word(at) % (length as u64 - side.min(length as u64) + 1)) as usize;
        View::Crop(Square { left: room(width, 1), top: room(height, 2), side: side.max(1) as usize })
    };
    [View::Frame, View::Mirror, View::LowPass, part(0), part(1)]
}

/// The frames that are read: the first, the last, and evenly between, rounded down; all of a shorter clip.
pub fn samples(frames: usize) -> Vec<usize> {
    let count = SAMPLES.min(frames);
    (0..count).map(|at| at * (frames - 1) / (count - 1).max(1)).collect()
}
