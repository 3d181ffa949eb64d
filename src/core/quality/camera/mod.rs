//! The `camera` term: what a prompt says of the camera, against how the whole picture moves.
//!
//! What an image-and-text model cannot see, direction and size of a camera movement, the dominant affine motion of each
//! pair of frames can ([`crate::quality::layers`]). Words are read by rules ([`words`]); a prompt without camera words asks
//! nothing and leaves the prompt axis as it was.

mod vocabulary;
pub mod words;

use crate::domain::scoring::CameraRule;

use super::{fixed::scale, layers::Affine, measure::ClipMeasures};

/// A movement of the camera that a prompt can ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CameraMove {
    /// Pan or truck to the left: the picture goes to the right.
    Left,
    /// Pan or truck to the right.
    Right,
    /// Tilt or crane up: the picture goes down.
    Up,
    /// Tilt or crane down.
    Down,
    /// Zoom in, push in, dolly in: the picture grows.
    In,
    /// Zoom out, pull back.
    Out,
    /// A pan without a direction, or to and fro.
    Sideways,
    /// A tilt without a direction, or up and down.
    Vertical,
    /// Around the subject: sideways, whichever way.
    Orbit,
    /// Along with the subject: anyhow.
    Tracking,
    /// No movement.
    Static,
}

/// How fast a movement is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pace {
    /// "slowly", "gentle": half of the movement is enough.
    Slow,
    /// No word of pace.
    Plain,
    /// "quickly", "whip": twice the movement is asked.
    Fast,
}

/// A movement that a prompt asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Which.
    pub movement: CameraMove,
    /// How fast.
    pub pace: Pace,
}

/// Way along one axis over a clip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// From the first frame to the last, signed.
    pub net: i64,
    /// Between the two farthest places on the way.
    pub range: i64,
}

/// The camera's way over a clip, in 1/1000: of the width to the right, of the height downwards, of the size of the picture
/// inward (its growth, summed over pairs).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CameraPath {
    /// To the right.
    pub right: Way,
    /// Downwards.
    pub down: Way,
    /// Into the picture.
    pub inward: Way,
}

/// Units of a coefficient per pixel: Q16 of 1/8 pixel.
const PER_PIXEL: i64 = 8 << 16;
/// Pixels per step of an affine motion's coordinates (half a block).
const STEP: i64 = 8;

impl CameraPath {
    /// Reads the dominant motions of a clip of this size. Each pair counts with at most a tenth of the side (a cut is no
    /// camera movement); sums stay below 2^10 * 2^40.
    pub fn of(clip: &ClipMeasures, width: u32, height: u32) -> Self {
        let globals = || clip.motion.iter().map(|pair| &pair.global);
        let (width, height) = (i64::from(width), i64::from(height));
        // The picture moves against the camera.
        Self {
            right: way(globals().map(|g: &Affine| -g.x[0]), width * PER_PIXEL),
            down: way(globals().map(|g| -g.y[0]), height * PER_PIXEL),
            inward: way(globals().map(|g| g.x[1] + g.y[2]), 2 * STEP * PER_PIXEL),
        }
    }

    /// How far the path goes as a movement asks; of the movement itself for [`CameraMove::Static`].
    fn along(&self, movement: CameraMove) -> i64 {
        match movement {
            CameraMove::Left => -self.right.net,
            CameraMove::Right => self.right.net,
            CameraMove::Up => -self.down.net,
            CameraMove::Down => self.down.net,
            CameraMove::In => self.inward.net,
            CameraMove::Out => -self.inward.net,
            CameraMove::Sideways | CameraMove::Orbit => self.right.range,
            CameraMove::Vertical => self.down.range,
            CameraMove::Tracking | CameraMove::Static => {
                self.right.range.max(self.down.range).max(self.inward.range)
            }
        }
    }
}

fn way(steps: impl Iterator<Item = i64>, whole: i64) -> Way {
    let (mut here, mut least, mut most) = (0i64, 0i64, 0i64);
    for step in steps {
        here += step.clamp(-whole / 10, whole / 10);
        (least, most) = (least.min(here), most.max(here));
    }
    Way { net: scale(here, 1000, whole), range: scale(most - least, 1000, whole) }
}

/// How well a clip does what a prompt asks of the camera.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CameraReading {
    /// The worst movement's share of what is asked, in 1/1000.
    pub agreement: i64,
    /// Whether standing still is what is asked: every still does that, so it counts no more than the motion in the picture.
    pub still: bool,
}

/// Sets a clip's path against what is asked; `None` when nothing is asked or the reference does not do it either (then the
/// words were misread, or the prompt is wrong).
///
/// A movement is full when it goes as far as the rules ask of its pace, or as far as the reference goes. A camera that is
/// to stand may go as far as the reference's; what is beyond counts against it.
pub fn read(
    asked: &[Asked],
    clip: &CameraPath,
    reference: Option<&CameraPath>,
    rule: &CameraRule,
) -> Option<CameraReading> {
    let judged = asked.iter().filter_map(|asked| {
        let own = clip.along(asked.movement);
        let budget = reference.map(|path| path.along(asked.movement));
        if asked.movement == CameraMove::Static {
            let allowed = budget.unwrap_or(0);
            let beyond = scale((own - allowed).max(0), 1000, rule.movement).min(1000);
            return (allowed <= rule.movement).then_some(1000 - beyond);
        }
        let wanted = match asked.pace {
            Pace::Slow => rule.movement / 2,
            Pace::Plain => rule.movement,
            Pace::Fast => rule.movement * 2,
        };
        let enough = budget.map_or(wanted, |way| way.min(wanted));
        (enough * 1000 >= rule.least * wanted).then(|| scale(own, 1000, enough).clamp(0, 1000))
    });
    let still = asked.iter().all(|asked| asked.movement == CameraMove::Static);
    judged.min().map(|agreement| CameraReading { agreement, still })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::rules::Rules, quality::layers::Explanation};

    const RULE: CameraRule = CameraRule { movement: 60, least: 250 };

    fn asked(movement: CameraMove) -> [Asked; 1] {
        [Asked { movement, pace: Pace::Plain }]
    }

    fn path(right: i64, down: i64, inward: i64) -> CameraPath {
        let way = |net: i64| Way { net, range: net.abs() };
        CameraPath { right: way(right), down: way(down), inward: way(inward) }
    }

    fn agreement(movement: CameraMove, clip: CameraPath, reference: Option<CameraPath>) -> Option<i64> {
        read(&asked(movement), &clip, reference.as_ref(), &RULE).map(|reading| reading.agreement)
    }

    #[test]
    fn the_picture_moves_against_the_camera_and_grows_when_it_goes_in() {
        let pair =
            |x: [i64; 3], y: [i64; 3]| Explanation { global: Affine { x, y }, ..Explanation::default() };
        let unit = 1 << 16;
        // 8 units are a pixel: the picture goes a pixel to the left and half a pixel down in each pair, and grows by
        // 1/1000 a pair (8 pixels a step, 1/8 pixel a unit: 0.064 unit a step).
        let grow = unit * 64 / 1000;
        let motion = vec![pair([-8 * unit, grow, 0], [4 * unit, 0, grow]); 80];
        let mut measures = ClipMeasures::of(&crate::quality::selftest::test_clip(), 2);
        measures.motion = motion;
        let found = CameraPath::of(&measures, 800, 400);
        assert_eq!(found.right, Way { net: 100, range: 100 });
        assert_eq!(found.down, Way { net: -100, range: 100 });
        assert_eq!(found.inward, Way { net: 80, range: 80 });
        // To and fro: nothing in the end, a way all the same; a cut counts as a tenth of the width.
        let half = |sign: i64| pair([sign * 8 * unit, 0, 0], [0; 3]);
        measures.motion = [vec![half(1); 40], vec![half(-1); 40]].concat();
        assert_eq!(CameraPath::of(&measures, 800, 400).right, Way { net: 0, range: 50 });
        measures.motion = vec![half(700)];
        assert_eq!(CameraPath::of(&measures, 800, 400).right.net, -100);
    }

    #[test]
    fn direction_and_size_both_count() {
        use CameraMove::*;
        for (movement, clip, want) in [
            (Left, path(-60, 0, 0), 1000),
            (Left, path(-30, 0, 0), 500),
            (Left, path(200, 0, 0), 0),
            (Right, path(200, 0, 0), 1000),
            (Up, path(0, -45, 0), 750),
            (Down, path(0, -45, 0), 0),
            (In, path(0, 0, 60), 1000),
            (Out, path(0, 0, 60), 0),
            (Sideways, path(-70, 0, 0), 1000),
            (Orbit, path(15, 0, 0), 250),
            (Vertical, path(99, 0, 0), 0),
            (Tracking, path(0, 0, -60), 1000),
            (Static, path(0, 0, 0), 1000),
            (Static, path(0, 15, 3), 750),
            (Static, path(0, 0, -90), 0),
        ] {
            assert_eq!(agreement(movement, clip, None), Some(want), "{movement:?} by {clip:?}");
        }
    }

    #[test]
    fn the_reference_is_the_budget_and_the_witness() {
        use CameraMove::*;
        assert_eq!(
            agreement(Left, path(-30, 0, 0), Some(path(-30, 0, 0))),
            Some(1000),
            "as far as the real one"
        );
        assert_eq!(
            agreement(Left, path(-30, 0, 0), Some(path(-300, 0, 0))),
            Some(500),
            "far enough is enough"
        );
        assert_eq!(
            agreement(Left, path(-30, 0, 0), Some(path(10, 0, 0))),
            None,
            "the real one goes elsewhere"
        );
        assert_eq!(agreement(Left, path(-30, 0, 0), Some(path(-14, 0, 0))), None, "or hardly goes");
        assert_eq!(agreement(Static, path(40, 0, 0), Some(path(40, 0, 0))), Some(1000), "shaken alike");
        assert_eq!(agreement(Static, path(0, 0, 0), Some(path(90, 0, 0))), None, "no static camera");
    }

    #[test]
    fn pace_scales_the_way_and_the_worst_movement_counts() {
        let slow = [Asked { movement: CameraMove::In, pace: Pace::Slow }];
        let fast = [Asked { movement: CameraMove::In, pace: Pace::Fast }];
        let read = |asked: &[Asked]| read(asked, &path(60, 0, 30), None, &RULE);
        assert_eq!(read(&slow).map(|r| r.agreement), Some(1000));
        assert_eq!(read(&fast).map(|r| r.agreement), Some(250));
        let both = [asked(CameraMove::Right)[0], fast[0]];
        assert_eq!(read(&both).map(|r| (r.agreement, r.still)), Some((250, false)));
        assert_eq!(read(&asked(CameraMove::Static)).map(|r| r.still), Some(true));
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn embedded_rules_ask_for_a_movement() {
        let rule = Rules::embedded().scoring.camera;
        assert!(rule.movement > 0 && rule.least > 0);
    }
}
