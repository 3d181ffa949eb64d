//! Graded damage to real clips: the ladders by which terms and scores are judged.
//!
//! Every generator has five levels above the clip itself; a higher one does more of the same damage to the same places
//! (thresholds on one seeded order, one pattern scaled), so that which of two is worse is not a matter of taste. Equal
//! clip, neighbour, seed and level give equal planes on every machine: integers, and basic `f32` operations where
//! planes are read between pixels.

mod canvas;
mod detail;
mod light;
mod order;
mod place;

use crate::quality::frame::Yuv420Clip;

/// Strongest level; 0 is the clip itself.
pub const LEVELS: usize = 5;

/// A kind of graded damage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)] // `what` describes each with its levels
pub enum Generator {
    Blur,
    Noise,
    Banding,
    Blocks,
    Ringing,
    Saturation,
    Hue,
    ExposureDrift,
    GlobalFlicker,
    LocalFlicker,
    FrameOrder,
    DropDuplicate,
    FreezeFrom,
    SlowDown,
    SpeedUp,
    Cut,
    Crossfade,
    StaticWarp,
    MovingWarp,
    PatchSwap,
    IdentitySwap,
    FirstFrameOffset,
    ColourShift,
    TextOverlay,
    WrongClip,
}

/// What a generator works on.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// The clip that is damaged.
    pub clip: &'a Yuv420Clip,
    /// Another clip of the same size, for damage that brings in foreign pictures; its last frame stands on when it is
    /// shorter.
    pub other: &'a Yuv420Clip,
    /// Seed of everything that is drawn.
    pub seed: u32,
}

impl Generator {
    /// All generators.
    pub const ALL: [Generator; 25] = [
        Generator::Blur,
        Generator::Noise,
        Generator::Banding,
        Generator::Blocks,
        Generator::Ringing,
        Generator::Saturation,
        Generator::Hue,
        Generator::ExposureDrift,
        Generator::GlobalFlicker,
        Generator::LocalFlicker,
        Generator::FrameOrder,
        Generator::DropDuplicate,
        Generator::FreezeFrom,
        Generator::SlowDown,
        Generator::SpeedUp,
        Generator::Cut,
        Generator::Crossfade,
        Generator::StaticWarp,
        Generator::MovingWarp,
        Generator::PatchSwap,
        Generator::IdentitySwap,
        Generator::FirstFrameOffset,
        Generator::ColourShift,
        Generator::TextOverlay,
        Generator::WrongClip,
    ];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Generator::Blur => "blur",
            Generator::Noise => "noise",
            Generator::Banding => "banding",
            Generator::Blocks => "blocks",
            Generator::Ringing => "ringing",
            Generator::Saturation => "saturation",
            Generator::Hue => "hue",
            Generator::ExposureDrift => "exposure_drift",
            Generator::GlobalFlicker => "global_flicker",
            Generator::LocalFlicker => "local_flicker",
            Generator::FrameOrder => "frame_order",
            Generator::DropDuplicate => "drop_duplicate",
            Generator::FreezeFrom => "freeze_from",
            Generator::SlowDown => "slow_down",
            Generator::SpeedUp => "speed_up",
            Generator::Cut => "cut",
            Generator::Crossfade => "crossfade",
            Generator::StaticWarp => "static_warp",
            Generator::MovingWarp => "moving_warp",
            Generator::PatchSwap => "patch_swap",
            Generator::IdentitySwap => "identity_swap",
            Generator::FirstFrameOffset => "first_frame_offset",
            Generator::ColourShift => "first_frame_colour",
            Generator::TextOverlay => "text_overlay",
            Generator::WrongClip => "wrong_clip",
        }
    }

    /// What it does and what its five levels are.
    pub fn what(self) -> &'static str {
        match self {
            Generator::Blur => "binomial blur of sigma 0.7, 1, 1.4, 2, 2.8 pixels, every frame",
            Generator::Noise => "independent luma noise of sigma 2, 4, 7, 12, 20 levels, new in every frame",
            Generator::Banding => "all planes quantised to steps of 4, 8, 16, 24, 32 levels",
            Generator::Blocks => "8x8 blocks drawn towards their mean by 20, 40, 60, 80, 100 %",
            Generator::Ringing => "echoes beside edges, the first 5, 9, 19, 31, 50 % of the edge",
            Generator::Saturation => "colour taken away by 13, 25, 44, 64, 90 %",
            Generator::Hue => "colours turned by 6, 12, 24, 48, 90 degrees",
            Generator::ExposureDrift => "light lost evenly up to the last frame: 4, 8, 16, 28, 45 %",
            Generator::GlobalFlicker => "all light up or down from frame to frame by 1, 2, 4, 7, 12 %",
            Generator::LocalFlicker => "light of 32-pixel cells up or down by at most 2, 4, 8, 14, 24 %",
            Generator::FrameOrder => "5, 15, 30, 50, 100 % of neighbouring pairs of frames change places",
            Generator::DropDuplicate => {
                "6, 15, 30, 50, 75 % of the frames dropped, the one before shown again"
            }
            Generator::FreezeFrom => "the last 10, 25, 45, 65, 90 % of the frames stand still",
            Generator::SlowDown => "0.8, 0.6, 0.45, 0.3, 0.15 of the pace, neighbours mixed",
            Generator::SpeedUp => "1.25, 1.5, 2, 3, 4 times the pace, back from the end where frames run out",
            Generator::Cut => "from the middle on 20, 40, 60, 80, 100 % of another clip",
            Generator::Crossfade => "evenly faded to another clip, 15, 30, 50, 75, 100 % at the end",
            Generator::StaticWarp => "one wavy displacement of 1, 2, 4, 7, 12 pixels in every frame",
            Generator::MovingWarp => "a travelling wavy displacement of 0.5, 1, 2, 3.5, 6 pixels",
            Generator::PatchSwap => {
                "1, 2, 4, 8, 16 pairs of patches of 1/8 of the height change places, drawn anew every 4 frames"
            }
            Generator::IdentitySwap => {
                "a disc of 3, 6, 12, 20, 32 % of the picture around what moves shows another clip after a third of the time"
            }
            Generator::FirstFrameOffset => {
                "the whole clip 1, 2, 4, 8, 16 pixels to the right of the given frame"
            }
            Generator::ColourShift => "the whole clip with a cast of 3, 6, 12, 20, 32 levels",
            Generator::TextOverlay => {
                "a word of 4, 7, 11, 16, 24 % of the height, faded in over eight frames"
            }
            Generator::WrongClip => "20, 40, 60, 80, 100 % of another clip in every frame",
        }
    }

    /// The clip with damage of a level `0..=LEVELS` (higher ones are taken as the strongest).
    pub fn apply(self, material: &Material, level: usize) -> Yuv420Clip {
        let Some(grade) = level.checked_sub(1).map(|grade| grade.min(LEVELS - 1)) else {
            return material.clip.clone();
        };
        let Material { clip, other, seed } = *material;
        match self {
            Generator::Blur => detail::blur(clip, [1, 2, 4, 8, 16][grade]),
            Generator::Noise => detail::noise(clip, [2, 4, 7, 12, 20][grade], seed),
            Generator::Banding => detail::banding(clip, [4, 8, 16, 24, 32][grade]),
            Generator::Blocks => detail::blocks(clip, [51, 102, 154, 205, 256][grade]),
            Generator::Ringing => detail::ringing(clip, [12, 24, 48, 80, 128][grade]),
            Generator::Saturation => light::saturation(clip, [224, 192, 144, 92, 26][grade]),
            Generator::Hue => light::hue(clip, [17, 34, 68, 136, 256][grade]),
            Generator::ExposureDrift => light::exposure_drift(clip, [40, 80, 160, 280, 450][grade]),
            Generator::GlobalFlicker => light::global_flicker(clip, [10, 20, 40, 70, 120][grade], seed),
            Generator::LocalFlicker => light::local_flicker(clip, [20, 40, 80, 140, 240][grade], seed),
            Generator::ColourShift => light::cast(clip, [3, 6, 12, 20, 32][grade]),
            Generator::FrameOrder => order::swap_neighbours(clip, [5, 15, 30, 50, 100][grade], seed),
            Generator::DropDuplicate => order::drop_duplicate(clip, [6, 15, 30, 50, 75][grade], seed),
            Generator::FreezeFrom => order::freeze_last(clip, [10, 25, 45, 65, 90][grade]),
            Generator::SlowDown => order::slow_down(clip, [205, 154, 115, 77, 38][grade]),
            Generator::SpeedUp => order::speed_up(clip, [5, 6, 8, 12, 16][grade]),
            Generator::Cut => order::cut(clip, other, [51, 102, 154, 205, 256][grade]),
            Generator::Crossfade => order::crossfade(clip, other, [38, 77, 128, 192, 256][grade]),
            Generator::WrongClip => order::wrong_clip(clip, other, [51, 102, 154, 205, 256][grade]),
            Generator::StaticWarp => place::static_warp(clip, [16, 32, 64, 112, 192][grade]),
            Generator::MovingWarp => place::moving_warp(clip, [8, 16, 32, 56, 96][grade]),
            Generator::PatchSwap => place::patch_swap(clip, [1, 2, 4, 8, 16][grade], seed),
            Generator::IdentitySwap => place::identity_swap(clip, other, [3, 6, 12, 20, 32][grade]),
            Generator::FirstFrameOffset => place::offset(clip, [1, 2, 4, 8, 16][grade]),
            Generator::TextOverlay => place::text_overlay(clip, [4, 7, 11, 16, 24][grade]),
        }
    }
}

impl std::fmt::Display for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
