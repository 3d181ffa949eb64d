//! Which ladders there are, which terms should answer each, and which axes each may touch.

use leoma_film::degrade::Generator;
pub use leoma_film::degrade::LEVELS;
use serde::Serialize;

/// The axes of a card.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the axes' names
pub enum Axis {
    FirstFrame,
    Prompt,
    Temporal,
    Artifacts,
}

impl Axis {
    /// In the order of a card.
    pub const ALL: [Axis; 4] = [Axis::FirstFrame, Axis::Prompt, Axis::Temporal, Axis::Artifacts];

    /// Name as in the rules.
    pub fn name(self) -> &'static str {
        match self {
            Axis::FirstFrame => "first_frame",
            Axis::Prompt => "prompt",
            Axis::Temporal => "temporal",
            Axis::Artifacts => "artifacts",
        }
    }
}

/// A kind of graded damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// Of planes.
    Made(Generator),
    /// By x264.
    Crf,
}

/// x264's quality by level; level 0 is the clip itself, not encoded.
pub const CRF_LEVELS: [u8; 5] = [23, 28, 34, 40, 46];

impl Damage {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Damage::Made(generator) => generator.name(),
            Damage::Crf => "crf",
        }
    }

    /// What it does and what its five levels are.
    pub fn what(self) -> &'static str {
        match self {
            Damage::Made(generator) => generator.what(),
            Damage::Crf => "one x264 encode (veryfast) at CRF 23, 28, 34, 40, 46",
        }
    }
}

/// A ladder: its damage, and what should notice it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The damage.
    pub damage: Damage,
    /// Terms that should answer; the worst reading among those that exist is the ladder's raw value. Names that the rules
    /// do not know are passed over.
    pub answers: &'static [&'static str],
    /// Axes that may lose points by it; on the others every point lost is cross-talk.
    pub touches: &'static [Axis],
}

impl Plan {
    const fn made(generator: Generator, answers: &'static [&'static str], touches: &'static [Axis]) -> Self {
        Self { damage: Damage::Made(generator), answers, touches }
    }
}

const FIRST: Axis = Axis::FirstFrame;
const PROMPT: Axis = Axis::Prompt;
const TIME: Axis = Axis::Temporal;
const LOOKS: Axis = Axis::Artifacts;

/// All ladders.
pub const PLANS: [Plan; 26] = [
    Plan::made(Generator::Blur, &["blur"], &[FIRST, LOOKS]),
    Plan { damage: Damage::Crf, answers: &["blur", "blockiness"], touches: &[FIRST, LOOKS] },
    Plan::made(Generator::Noise, &["noise"], &[FIRST, LOOKS]),
    Plan::made(Generator::Banding, &["banding"], &[FIRST, LOOKS]),
    Plan::made(Generator::Blocks, &["blockiness"], &[FIRST, LOOKS]),
    Plan::made(Generator::Ringing, &["ringing", "noise"], &[FIRST, LOOKS]),
    Plan::made(Generator::Saturation, &["color0", "saturation"], &[FIRST, LOOKS]),
    Plan::made(Generator::Hue, &["color0", "hue"], &[FIRST, LOOKS]),
    Plan::made(Generator::ExposureDrift, &["exposure"], &[TIME, LOOKS]),
    Plan::made(Generator::GlobalFlicker, &["flicker"], &[TIME]),
    Plan::made(Generator::LocalFlicker, &["flicker"], &[TIME]),
    Plan::made(Generator::FrameOrder, &["jerk"], &[TIME]),
    Plan::made(Generator::DropDuplicate, &["jerk"], &[TIME]),
    Plan::made(Generator::FreezeFrom, &["dyn"], &[TIME]),
    Plan::made(Generator::SlowDown, &["dyn"], &[TIME]),
    Plan::made(Generator::SpeedUp, &["dyn"], &[TIME]),
    Plan::made(Generator::Cut, &["cut", "drift"], &[FIRST, TIME, PROMPT]),
    Plan::made(Generator::Crossfade, &["warp", "drift"], &[FIRST, TIME, PROMPT, LOOKS]),
    Plan::made(Generator::StaticWarp, &["ssim0", "align0"], &[FIRST]),
    Plan::made(Generator::MovingWarp, &["structure", "jerk", "warp"], &[TIME]),
    Plan::made(Generator::PatchSwap, &["warp"], &[TIME, LOOKS]),
    Plan::made(Generator::IdentitySwap, &["id_drift", "drift", "warp", "cut"], &[FIRST, TIME, PROMPT]),
    Plan::made(Generator::FirstFrameOffset, &["align0"], &[FIRST]),
    Plan::made(Generator::ColourShift, &["color0"], &[FIRST]),
    Plan::made(Generator::TextOverlay, &["warp", "noise"], &[TIME, LOOKS]),
    Plan::made(Generator::WrongClip, &["lpips0", "ssim0", "id_drift"], &[FIRST, PROMPT, TIME, LOOKS]),
];

/// The ladders of a quick run: one of each axis, by planes alone.
pub const QUICK: [Generator; 6] = [
    Generator::Blur,
    Generator::Noise,
    Generator::Blocks,
    Generator::GlobalFlicker,
    Generator::FreezeFrom,
    Generator::FirstFrameOffset,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_generator_has_a_plan_and_every_plan_something_that_answers() {
        let planned: BTreeSet<&str> = PLANS.iter().map(|plan| plan.damage.name()).collect();
        assert_eq!(planned.len(), PLANS.len(), "no plan stands twice");
        assert!(Generator::ALL.iter().all(|generator| planned.contains(generator.name())));
        assert!(PLANS.iter().all(|plan| !plan.answers.is_empty() && !plan.touches.is_empty()));
    }
}
