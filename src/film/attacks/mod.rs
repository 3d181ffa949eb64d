//! Clips and files that try to be paid for nothing, one list for the demo and the evidence: every row of the gates table,
//! three variants at least.
//!
//! DEMO AND EVIDENCE ONLY. Nothing in here decides a verdict; every kind names the gate that it is made for. What an
//! opponent of `leoma_core` shows already is that opponent. A new attack is a kind or one more name in
//! [`Attack::variants`], with its pictures in [`Attack::film`] and, where the file matters, [`Attack::file`].

mod edits;
mod files;
mod overlay;
mod stills;

use crate::{
    assemble::first,
    degrade::{Generator, Material as Damaged},
    opponents::film as opponent,
    quality::frame::Yuv420Clip,
    score::{GateId, Opponent},
};
pub use files::{Copied, File, FileTrick, damage};

/// Seed of what attacks draw.
const SEED: u32 = 20_261;

/// What an attack is made from.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// The given first frame.
    pub first_frame: &'a Yuv420Clip,
    /// Frames that were asked for.
    pub frames: usize,
    /// The prompt.
    pub prompt: &'a str,
    /// A clip that an honest model could give: another miner's, or what the cheat's own model makes.
    pub honest: Option<&'a Yuv420Clip>,
    /// Any other picture or clip of the same size.
    pub other: Option<&'a Yuv420Clip>,
    /// DEMO AND EVIDENCE ONLY: the real clip. No real miner has it; some may find it in public.
    pub real: Option<&'a Yuv420Clip>,
}

/// What an attack needs beyond first frame and prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Nothing.
    Still,
    /// An honest clip.
    Honest,
    /// Another picture.
    Other,
    /// DEMO AND EVIDENCE ONLY: the real clip.
    Real,
}

/// Why there is no clip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AttackError {
    /// A clip that the attack is made from is not there.
    #[error("{attack}: needs the {needs:?} clip, of at least one frame of the first frame's size")]
    Missing {
        /// Name of the attack.
        attack: &'static str,
        /// What it needs.
        needs: Needs,
    },
    /// There is no such variant.
    #[error("{attack}: variant {variant} does not exist, there are {count}")]
    Variant {
        /// Name of the attack.
        attack: &'static str,
        /// What was asked for.
        variant: usize,
        /// How many there are.
        count: usize,
    },
}

/// A way to cheat; [`Attack::variants`] names what each one does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Attack {
    /// Fewer frames than asked for.
    Short,
    /// The still, again and again.
    Freeze,
    /// The still that loses its focus.
    BlurredFreeze,
    /// The still with something that poses as motion.
    Shimmer,
    /// The still, panned.
    Pan,
    /// The still, zoomed.
    Zoom,
    /// The still in sliding depth layers.
    Parallax,
    /// An honest beginning, over and over.
    Loop,
    /// The still, faded into another picture.
    Crossfade,
    /// DEMO AND EVIDENCE ONLY: the real clip itself.
    SourceCopy,
    /// Another miner's pictures as they are.
    Copy,
    /// Another miner's clip, encoded anew.
    Reencode,
    /// Writing on a clip.
    TextOverlay,
    /// An honest clip that is shown at another pace.
    Rate,
    /// An honest clip with other samples than 8-bit 4:2:0.
    Samples,
    /// An honest clip of another size.
    OtherSize,
    /// An honest clip of less detail than its size.
    Upscaled,
    /// An honest clip with bars.
    Letterbox,
    /// A file that cannot be decoded.
    Spoiled,
}

impl Attack {
    /// All kinds, by row of the gates table.
    pub const ALL: [Attack; 19] = [
        Attack::Short,
        Attack::Freeze,
        Attack::BlurredFreeze,
        Attack::Shimmer,
        Attack::Pan,
        Attack::Zoom,
        Attack::Parallax,
        Attack::Loop,
        Attack::Crossfade,
        Attack::SourceCopy,
        Attack::Copy,
        Attack::Reencode,
        Attack::TextOverlay,
        Attack::Rate,
        Attack::Samples,
        Attack::OtherSize,
        Attack::Upscaled,
        Attack::Letterbox,
        Attack::Spoiled,
    ];

    /// Name in reports, a word or two with hyphens; miners of the demo are labelled so.
    pub fn name(self) -> &'static str {
        match self {
            Attack::Short => "short",
            Attack::Freeze => "freeze",
            Attack::BlurredFreeze => "blurred-freeze",
            Attack::Shimmer => "shimmer",
            Attack::Pan => "pan",
            Attack::Zoom => "zoom",
            Attack::Parallax => "parallax",
            Attack::Loop => "loop",
            Attack::Crossfade => "crossfade",
            Attack::SourceCopy => "source-copy",
            Attack::Copy => "copy",
            Attack::Reencode => "re-encode",
            Attack::TextOverlay => "text-overlay",
            Attack::Rate => "other-rate",
            Attack::Samples => "other-samples",
            Attack::OtherSize => "other-size",
            Attack::Upscaled => "upscaled",
            Attack::Letterbox => "letterbox",
            Attack::Spoiled => "spoiled",
        }
    }

    /// The gate that it is made for.
    pub fn gate(self) -> GateId {
        match self {
            Attack::Short => GateId::G1,
            Attack::Freeze | Attack::BlurredFreeze => GateId::G2,
            Attack::Shimmer => GateId::G3,
            Attack::Pan | Attack::Zoom | Attack::Parallax => GateId::G4,
            Attack::Loop => GateId::G5,
            Attack::Crossfade => GateId::G6,
            Attack::SourceCopy => GateId::G7,
            Attack::Copy | Attack::Reencode => GateId::G8,
            Attack::TextOverlay => GateId::G9,
            Attack::Rate => GateId::G10,
            Attack::Samples => GateId::G11,
            Attack::OtherSize | Attack::Upscaled | Attack::Letterbox => GateId::G12,
            Attack::Spoiled => GateId::G13,
        }
    }

    /// What its variants do, numbered from zero; no two of all attacks have the same name.
    pub fn variants(self) -> &'static [&'static str] {
        match self {
            Attack::Short => &["half of the frames", "one frame short", "one frame"],
            Attack::Freeze => &["freeze", "freeze with grain", "freezes after a tenth"],
            Attack::BlurredFreeze => {
                &["blurred freeze", "freeze that slowly loses focus", "freeze that loses focus under a zoom"]
            }
            Attack::Shimmer => &[
                "freeze with smooth noise",
                "freeze whose blocks jump",
                "freeze whose texture swims",
                "freeze with strong noise",
                "freeze that shimmers",
                "freeze that wobbles",
            ],
            Attack::Pan => {
                &["pan of the still", "slanting pan", "pan that eases in and out", "pan with grain"]
            }
            Attack::Zoom => &["zoom into the still", "zoom with a slow turn", "zoom in and out again"],
            Attack::Parallax => &["parallax of the still"],
            Attack::Loop => &[
                "forth and back",
                "loop of a quarter",
                "forth and back in longer swings",
                "loop of eight frames",
            ],
            Attack::Crossfade => &[
                "fade to the mirrored still",
                "fade to the enlarged still",
                "fade to the mirrored still and back",
                "fade to another picture",
            ],
            Attack::SourceCopy => &[
                "the source itself",
                "the source with more contrast",
                "the source a tenth slower",
                "the source with grain",
                "the source a frame late",
                "the source after its first frame mirrored",
            ],
            Attack::Copy => &["another's file", "another's pictures in another file"],
            Attack::Reencode => &[
                "another's pictures encoded again",
                "another's pictures a little brighter",
                "another's pictures cropped by a hundredth",
            ],
            Attack::TextOverlay => &[
                "prompt at the foot",
                "prompt across the middle",
                "pale mark in a corner",
                "small word",
                "large word",
                "word over the still",
                "prompt from a quarter on",
                "mark that fades in",
                "prompt that blinks",
            ],
            Attack::Rate => &["half of the rate", "one and a half times the rate", "twice the rate"],
            Attack::Samples => &["4:4:4", "4:2:2", "ten bits"],
            Attack::OtherSize => &["half of the size", "sixteen columns missing"],
            Attack::Upscaled => &[
                "half of the detail",
                "a third of the detail",
                "half of the detail, between pixels linearly",
            ],
            Attack::Letterbox => &["bars above and below", "bars on both sides", "bars that grow"],
            Attack::Spoiled => &["damaged pictures", "half of the file", "no video"],
        }
    }

    /// What a variant is made from.
    pub fn needs(self, variant: usize) -> Needs {
        match (self, variant) {
            (Attack::Crossfade, 3) => Needs::Other,
            (Attack::Freeze, 2) => Needs::Honest,
            (Attack::TextOverlay, 5) => Needs::Still,
            (Attack::Freeze | Attack::BlurredFreeze | Attack::Shimmer, _)
            | (Attack::Pan | Attack::Zoom | Attack::Parallax | Attack::Crossfade, _) => Needs::Still,
            (Attack::SourceCopy, _) => Needs::Real,
            (Attack::Short | Attack::Loop | Attack::Copy | Attack::Reencode | Attack::TextOverlay, _)
            | (Attack::Rate | Attack::Samples | Attack::OtherSize | Attack::Upscaled, _)
            | (Attack::Letterbox | Attack::Spoiled, _) => Needs::Honest,
        }
    }

    /// How a variant's file is made of its pictures.
    pub fn file(self, variant: usize) -> File {
        files::of(self, variant)
    }

    /// The pictures: as many frames as were asked for, of the first frame's size, but for the attacks that lie in just
    /// that; the same for the same material.
    ///
    /// # Errors
    /// When the material lacks what the variant needs, or there is no such variant.
    pub fn film(self, variant: usize, material: &Material) -> Result<Yuv420Clip, AttackError> {
        let (attack, count) = (self.name(), self.variants().len());
        if variant >= count {
            return Err(AttackError::Variant { attack, variant, count });
        }
        let still = material.first_frame;
        let needs = self.needs(variant);
        let from = match needs {
            Needs::Still => Some(still),
            Needs::Honest => material.honest,
            Needs::Other => material.other,
            Needs::Real => material.real,
        };
        let size = (still.width(), still.height());
        let from = from.filter(|clip| (clip.width(), clip.height()) == size && !clip.is_empty());
        let from = from.ok_or(AttackError::Missing { attack, needs })?;
        let frames = material.frames;
        let shown = |kind| opponent(kind, still, frames, frames);
        Ok(match (self, variant) {
            (Attack::Short, 0) => first(from, frames / 2),
            (Attack::Short, 1) => first(from, frames.saturating_sub(1)),
            (Attack::Short, _) => first(from, 1),
            (Attack::Freeze, 0) => shown(Opponent::Freeze),
            (Attack::Freeze, 1) => damaged(&shown(Opponent::Freeze), Generator::Noise, 1),
            (Attack::Freeze, _) => damaged(from, Generator::FreezeFrom, 5),
            (Attack::BlurredFreeze, 1) => shown(Opponent::BlurredFreeze),
            (Attack::BlurredFreeze, _) => stills::blurred_freeze(from, frames, variant),
            (Attack::Shimmer, 3) => damaged(&shown(Opponent::Freeze), Generator::Noise, 4),
            (Attack::Shimmer, 4) => damaged(&shown(Opponent::Freeze), Generator::LocalFlicker, 4),
            (Attack::Shimmer, 5) => damaged(&shown(Opponent::Freeze), Generator::MovingWarp, 4),
            (Attack::Shimmer, _) => stills::shimmer(from, frames, variant),
            (Attack::Pan, 0) => shown(Opponent::Pan),
            (Attack::Pan, 3) => damaged(&shown(Opponent::Pan), Generator::Noise, 2),
            (Attack::Pan, _) => stills::pan(from, frames, variant),
            (Attack::Zoom, 0) => shown(Opponent::Zoom),
            (Attack::Zoom, _) => stills::zoom(from, frames, variant),
            (Attack::Parallax, _) => shown(Opponent::Parallax),
            (Attack::Loop, _) => edits::repeated(from, frames, variant),
            (Attack::Crossfade, 0) => shown(Opponent::CrossfadeMirrored),
            (Attack::Crossfade, 1) => shown(Opponent::CrossfadeZoomed),
            (Attack::Crossfade, 2) => stills::faded_and_back(from, frames),
            (Attack::Crossfade, _) => {
                let (still, other) = (&shown(Opponent::Freeze), &first(from, 1));
                Generator::Crossfade.apply(&Damaged { clip: still, other, seed: SEED }, 5)
            }
            (Attack::SourceCopy, 3) => damaged(from, Generator::Noise, 1),
            (Attack::SourceCopy, _) => edits::source_copy(from, frames, variant),
            (Attack::Copy, _) => from.clone(),
            (Attack::Reencode, _) => edits::borrowed(from, frames, variant),
            (Attack::TextOverlay, 3) => damaged(from, Generator::TextOverlay, 1),
            (Attack::TextOverlay, 4) => damaged(from, Generator::TextOverlay, 3),
            (Attack::TextOverlay, 5) => damaged(&shown(Opponent::Freeze), Generator::TextOverlay, 4),
            (Attack::TextOverlay, 6..) => overlay::late(from, frames, material.prompt, variant - 6),
            (Attack::TextOverlay, _) => overlay::text(from, frames, material.prompt, variant),
            (Attack::OtherSize, 1) => edits::narrowed(from, 16),
            (Attack::Rate | Attack::Samples | Attack::OtherSize | Attack::Spoiled, _) => from.clone(),
            (Attack::Upscaled, _) => edits::upscaled(from, frames, variant),
            (Attack::Letterbox, _) => edits::letterbox(from, frames, variant),
        })
    }
}

/// A clip with one kind of graded damage.
fn damaged(clip: &Yuv420Clip, generator: Generator, level: usize) -> Yuv420Clip {
    generator.apply(&Damaged { clip, other: clip, seed: SEED }, level)
}

/// One plane of a frame that is to be painted.
#[derive(Clone, Copy)]
struct Canvas {
    /// Number of the frame.
    frame: usize,
    /// 0 luma, 1 blue, 2 red difference.
    plane: usize,
    /// Columns.
    width: usize,
    /// Rows.
    height: usize,
}

impl Canvas {
    /// Size of one of its pixels in luma pixels.
    fn step(&self) -> f32 {
        if self.plane == 0 { 1.0 } else { 2.0 }
    }

    /// The same plane of a frame of a clip of this size; frames beyond the last stand still.
    fn of<'a>(&self, clip: &'a Yuv420Clip, frame: usize) -> &'a [u8] {
        let view = clip.frame(frame.min(clip.len() - 1));
        [view.y, view.u, view.v][self.plane]
    }
}

/// Paints every plane of a clip of a size, frames in parallel.
fn painted(like: &Yuv420Clip, frames: usize, paint: impl Fn(Canvas) -> Vec<u8> + Sync) -> Yuv420Clip {
    use rayon::prelude::*;
    let (width, height) = (like.width(), like.height());
    let all: Vec<Vec<u8>> = (0..frames)
        .into_par_iter()
        .map(|frame| {
            let plane = |plane: usize| {
                let half = if plane == 0 { 1 } else { 2 };
                paint(Canvas { frame, plane, width: width / half, height: height / half })
            };
            [plane(0), plane(1), plane(2)].concat()
        })
        .collect();
    // Every painter gives planes of its canvas' size; if one did not, the attack would be the still.
    Yuv420Clip::from_planes(width, height, frames, all.concat()).unwrap_or_else(|_| like.clone())
}

#[cfg(test)]
mod tests;
