//! Clips that try to be paid for nothing: one kind per row of the gates table, three variants each.
//!
//! DEMO AND EVIDENCE ONLY. Nothing in here decides a verdict; every kind names the gate that it is made for.

mod edits;
mod overlay;
mod stills;

use crate::{quality::frame::Yuv420Clip, score::GateId};

/// Number of variants of every attack, numbered from zero.
pub const VARIANTS: usize = 3;

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
    /// DEMO ONLY: the real clip. No real miner has it; some may find it in public.
    pub real: Option<&'a Yuv420Clip>,
}

/// What an attack needs beyond first frame and prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Nothing.
    Still,
    /// An honest clip.
    Honest,
    /// DEMO ONLY: the real clip.
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
    #[error("{attack}: variant {variant} does not exist, there are {VARIANTS}")]
    Variant {
        /// Name of the attack.
        attack: &'static str,
        /// What was asked for.
        variant: usize,
    },
}

/// A way to cheat.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Attack {
    /// The still, panned: sideways by a pixel a frame; slanting; easing in and out.
    Pan,
    /// The still, zoomed: in; in with a slow turn; in and out again.
    Zoom,
    /// The still that loses its focus: at once; slowly; while it is zoomed.
    BlurredFreeze,
    /// The still with noise that poses as motion: smooth noise; blocks that jump; a texture that swims anew in each frame.
    Shimmer,
    /// The still, faded: into its mirror image; into its middle part; into its mirror image and back.
    Crossfade,
    /// An honest beginning, over and over: to and fro; with a jump; to and fro in longer swings.
    Loop,
    /// DEMO ONLY: the real clip itself: as it is; brighter with more contrast; a tenth slower.
    SourceCopy,
    /// Another miner's clip: as it is, encoded anew; two levels brighter; cropped by a hundredth.
    Reencode,
    /// An honest clip with the prompt written on it: at the foot; across the middle; as a pale mark in a corner.
    TextOverlay,
    /// An honest clip of less detail than its size: half size; a third; half size between pixels taken linearly.
    Upscaled,
    /// An honest clip with bars: above and below; left and right; growing in the first half second.
    Letterbox,
}

impl Attack {
    /// All attacks.
    pub const ALL: [Attack; 11] = [
        Attack::Pan,
        Attack::Zoom,
        Attack::BlurredFreeze,
        Attack::Shimmer,
        Attack::Crossfade,
        Attack::Loop,
        Attack::SourceCopy,
        Attack::Reencode,
        Attack::TextOverlay,
        Attack::Upscaled,
        Attack::Letterbox,
    ];

    /// Name in reports, a word or two with hyphens; miners of the demo are labelled so.
    pub fn name(self) -> &'static str {
        match self {
            Attack::Pan => "pan",
            Attack::Zoom => "zoom",
            Attack::BlurredFreeze => "blurred-freeze",
            Attack::Shimmer => "shimmer",
            Attack::Crossfade => "crossfade",
            Attack::Loop => "loop",
            Attack::SourceCopy => "source-copy",
            Attack::Reencode => "re-encode",
            Attack::TextOverlay => "text-overlay",
            Attack::Upscaled => "upscaled",
            Attack::Letterbox => "letterbox",
        }
    }

    /// The gate that it is made for.
    pub fn gate(self) -> GateId {
        match self {
            Attack::Pan | Attack::Zoom => GateId::G4,
            Attack::BlurredFreeze => GateId::G2,
            Attack::Shimmer => GateId::G3,
            Attack::Crossfade => GateId::G6,
            Attack::Loop => GateId::G5,
            Attack::SourceCopy => GateId::G7,
            Attack::Reencode => GateId::G8,
            Attack::TextOverlay => GateId::G9,
            Attack::Upscaled | Attack::Letterbox => GateId::G12,
        }
    }

    /// What it is made from.
    pub fn needs(self) -> Needs {
        match self {
            Attack::Pan | Attack::Zoom | Attack::BlurredFreeze | Attack::Shimmer | Attack::Crossfade => {
                Needs::Still
            }
            Attack::SourceCopy => Needs::Real,
            Attack::Loop | Attack::Reencode | Attack::TextOverlay | Attack::Upscaled | Attack::Letterbox => {
                Needs::Honest
            }
        }
    }

    /// The clip: as many frames as were asked for, of the first frame's size; the same for the same material.
    ///
    /// # Errors
    /// When the material lacks what the attack needs, or there is no such variant.
    pub fn film(self, variant: usize, material: &Material) -> Result<Yuv420Clip, AttackError> {
        let attack = self.name();
        if variant >= VARIANTS {
            return Err(AttackError::Variant { attack, variant });
        }
        let still = material.first_frame;
        let needs = self.needs();
        let from = match needs {
            Needs::Still => Some(still),
            Needs::Honest => material.honest,
            Needs::Real => material.real,
        };
        let size = (still.width(), still.height());
        let from = from.filter(|clip| (clip.width(), clip.height()) == size && !clip.is_empty());
        let from = from.ok_or(AttackError::Missing { attack, needs })?;
        let frames = material.frames;
        Ok(match self {
            Attack::Pan => stills::pan(from, frames, variant),
            Attack::Zoom => stills::zoom(from, frames, variant),
            Attack::BlurredFreeze => stills::blurred_freeze(from, frames, variant),
            Attack::Shimmer => stills::shimmer(from, frames, variant),
            Attack::Crossfade => stills::crossfade(from, frames, variant),
            Attack::Loop => edits::repeated(from, frames, variant),
            Attack::SourceCopy => edits::source_copy(from, frames, variant),
            Attack::Reencode => edits::borrowed(from, frames, variant),
            Attack::TextOverlay => overlay::text(from, frames, material.prompt, variant),
            Attack::Upscaled => edits::upscaled(from, frames, variant),
            Attack::Letterbox => edits::letterbox(from, frames, variant),
        })
    }
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
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::{Texture, clip, psnr};

    const SIZE: (usize, usize) = (192, 128);
    const FRAMES: usize = 36;

    /// A texture that breathes and sways.
    fn living(seed: u32) -> Yuv420Clip {
        let texture = Texture::new(seed);
        clip((SIZE.0, SIZE.1, FRAMES), |t, x, y| {
            let s = t as f32;
            texture.at(x - 0.9 * s * (y / 20.0).sin() - 0.5 * s, y - 0.6 * s * (x / 25.0).cos())
        })
    }

    fn each(mut look: impl FnMut(Attack, usize, &Yuv420Clip, &Yuv420Clip)) {
        let real = living(21);
        let bytes = Yuv420Clip::frame_bytes(SIZE.0, SIZE.1);
        let still =
            Yuv420Clip::from_planes(SIZE.0, SIZE.1, 1, real.as_bytes()[..bytes].to_vec()).expect("a frame");
        let prompt = "A wall of waves, 100 % real";
        let material =
            Material { first_frame: &still, frames: FRAMES, prompt, honest: Some(&real), real: Some(&real) };
        for attack in Attack::ALL {
            for variant in 0..VARIANTS {
                look(attack, variant, &attack.film(variant, &material).expect("made"), &real);
            }
        }
    }

    #[test]
    fn every_attack_has_three_clips_of_the_asked_form_and_all_differ() {
        let mut digests = BTreeSet::new();
        each(|attack, variant, made, real| {
            assert_eq!((made.width(), made.height(), made.len()), (SIZE.0, SIZE.1, FRAMES), "{attack:?}");
            // Only the copy of the source is what it is; the copy of another's clip differs by its encoding.
            let is_copy = *made == *real;
            assert_eq!(is_copy, matches!(attack, Attack::SourceCopy | Attack::Reencode) && variant == 0);
            assert!(digests.insert(made.digest()) || is_copy, "{attack:?} {variant} is another one");
        });
        assert_eq!(digests.len(), Attack::ALL.len() * VARIANTS - 1);
        let names: BTreeSet<_> = Attack::ALL.map(Attack::name).into();
        assert_eq!(names.len(), Attack::ALL.len());
    }

    #[test]
    fn attacks_begin_like_the_given_frame_and_say_what_they_lack() {
        each(|attack, variant, made, real| {
            // Bars, marks and lost detail show at once; the others begin well.
            let quality = psnr(made.frame(0).y, real.frame(0).y);
            let shown = matches!(attack, Attack::TextOverlay | Attack::Letterbox | Attack::Upscaled);
            let edited = variant > 0 && matches!(attack, Attack::SourceCopy | Attack::Reencode);
            let least = if shown {
                8.0
            } else if edited {
                20.0
            } else {
                60.0
            };
            assert!(quality > least, "{attack:?} {variant}: {quality:.1} dB");
        });
        let still = living(3);
        let bare = Material { first_frame: &still, frames: 4, prompt: "", honest: None, real: None };
        for attack in Attack::ALL {
            let made = attack.film(0, &bare);
            assert_eq!(made.is_err(), attack.needs() != Needs::Still, "{attack:?}");
            assert!(matches!(attack.film(VARIANTS, &bare), Err(AttackError::Variant { .. })));
        }
        let message = Attack::SourceCopy.film(0, &bare).expect_err("no real clip").to_string();
        assert!(message.contains("source-copy") && message.contains("Real"), "{message}");
    }

    #[test]
    fn loops_come_back_and_stills_lead_away_from_the_real_motion() {
        each(|attack, variant, made, real| match attack {
            Attack::Loop => {
                let period = [30, 24, 58][variant];
                let shown = period.min(FRAMES - 1);
                let back = if period < FRAMES { made.frame(period).y == made.frame(0).y } else { true };
                assert!(back, "variant {variant}");
                assert_eq!(made.frame(shown.min(11)).y, real.frame(shown.min(11)).y, "an honest beginning");
            }
            Attack::Pan | Attack::Zoom | Attack::Shimmer => {
                assert_ne!(made.frame(20).y, made.frame(19).y, "{attack:?} {variant} moves");
                let moved = psnr(made.frame(30).y, real.frame(30).y);
                assert!(moved < 30.0, "{attack:?} {variant} is not the real motion: {moved:.1} dB");
            }
            Attack::BlurredFreeze => {
                let rough = |t: usize| {
                    made.frame(t).y.windows(2).map(|p| u64::from(p[0].abs_diff(p[1]))).sum::<u64>()
                };
                assert!(rough(30) * 20 < rough(0) * 19, "variant {variant}: {} of {}", rough(30), rough(0));
            }
            _ => {}
        });
    }
}
