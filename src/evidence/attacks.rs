//! The attack suite: for every row of the gates table, clips and files that look like an answer and are none.
//!
//! A new attack is one line of [`ATTACKS`]. Attackers see the given first frame; what they need of a moving clip (loops,
//! overlays, late freezes) is cut from an honest stand-in, rows about the source itself from the source.

use std::{collections::BTreeMap, sync::Arc};

use leoma_film::{
    camera, cheats,
    degrade::{Generator, Material},
    transfer::{Scene, TransferStyle},
};
use serde::Serialize;

use super::{
    EvidenceError,
    judge::{Judge, SourceCopies},
    ladder::{SEED, Workshop, foreign},
    stats::median,
    windows::SourceWindow,
};
use crate::{
    domain::{
        copies::{ClipIdentity, find_copies},
        ids::{BlockNumber, Digest, Hotkey, Uid},
        roster::Precedence,
        score::GateId,
    },
    encode::encode_with,
    quality::{frame::Yuv420Clip, mosaic::Mosaic, track},
};

/// Quality of attackers' and stand-ins' encodes, x264's scale.
const ATTACK_CRF: u8 = 20;
/// Stand-ins for honest models: pace against the real clip, softness.
const HONEST: [(f32, f32); 3] = [(1.0, 0.0), (0.85, 0.3), (1.2, 0.0)];

/// What an attack has to work with.
pub struct Target<'a> {
    /// The window that is attacked.
    pub window: &'a SourceWindow,
    /// Another real clip.
    pub other: &'a SourceWindow,
    /// An honest stand-in's answer.
    pub honest: &'a Yuv420Clip,
}

impl Target<'_> {
    fn frames(&self) -> usize {
        self.window.reference.len()
    }

    fn freeze(&self) -> Yuv420Clip {
        cheats::freeze(&self.window.first_frame, self.frames())
    }

    fn damaged(&self, clip: &Yuv420Clip, generator: Generator, level: usize) -> Yuv420Clip {
        generator.apply(&Material { clip, other: &self.other.reference, seed: SEED }, level)
    }

    /// The still faded to another one.
    fn fade(&self, to: &Yuv420Clip) -> Yuv420Clip {
        let (from, to) = (self.freeze(), cheats::freeze(to, 1));
        Generator::Crossfade.apply(&Material { clip: &from, other: &to, seed: SEED }, 5)
    }
}

/// How an attack's answer is made.
#[derive(Clone, Copy)]
pub enum Make {
    /// Pictures, encoded like any answer.
    Pictures(fn(&Target) -> Yuv420Clip),
    /// The honest stand-in's pictures in a file made otherwise.
    File(FileTrick),
    /// The answer of another miner of the same round.
    Copy(Copied),
}

/// A file made otherwise.
#[derive(Clone, Copy)]
pub struct FileTrick {
    /// Frames per second as parts of the asked rate.
    pub rate: (u32, u32),
    /// Encoder arguments.
    pub arguments: &'static [&'static str],
    /// What is done to the bytes.
    pub spoil: fn(&[u8]) -> Vec<u8>,
}

/// What a copy shares with its original.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The file.
    File,
    /// The decoded pictures, in another file.
    Pictures,
    /// The pictures before another encode.
    Encoded,
}

/// One attack.
#[derive(Clone, Copy)]
pub struct Attack {
    /// The row of the gates table.
    pub row: GateId,
    /// Its name in reports.
    pub name: &'static str,
    /// How its answer is made.
    pub make: Make,
}

const fn pictures(row: GateId, name: &'static str, make: fn(&Target) -> Yuv420Clip) -> Attack {
    Attack { row, name, make: Make::Pictures(make) }
}

const fn file(
    row: GateId,
    name: &'static str,
    rate: (u32, u32),
    arguments: &'static [&'static str],
) -> Attack {
    Attack { row, name, make: Make::File(FileTrick { rate, arguments, spoil: <[u8]>::to_vec }) }
}

const fn spoiled(name: &'static str, spoil: fn(&[u8]) -> Vec<u8>) -> Attack {
    let trick =
        FileTrick { rate: (1, 1), arguments: &["-pix_fmt", "yuv420p", "-movflags", "+faststart"], spoil };
    Attack { row: GateId::G13, name, make: Make::File(trick) }
}

const fn copy(name: &'static str, copied: Copied) -> Attack {
    Attack { row: GateId::G8, name, make: Make::Copy(copied) }
}

/// All attacks, by row.
pub const ATTACKS: &[Attack] = &[
    pictures(GateId::G1, "half of the frames", |t| camera::picked(t.honest, t.frames() / 2, |k| k)),
    pictures(GateId::G1, "one frame short", |t| camera::picked(t.honest, t.frames() - 1, |k| k)),
    pictures(GateId::G1, "one frame", |t| camera::picked(t.honest, 1, |k| k)),
    pictures(GateId::G2, "freeze", |t| t.freeze()),
    pictures(GateId::G2, "freeze with grain", |t| t.damaged(&t.freeze(), Generator::Noise, 1)),
    pictures(GateId::G2, "blurred freeze", |t| t.damaged(&t.freeze(), Generator::Blur, 3)),
    pictures(GateId::G2, "freezes after a tenth", |t| t.damaged(t.honest, Generator::FreezeFrom, 5)),
    pictures(GateId::G3, "freeze with strong noise", |t| t.damaged(&t.freeze(), Generator::Noise, 4)),
    pictures(GateId::G3, "freeze that shimmers", |t| t.damaged(&t.freeze(), Generator::LocalFlicker, 4)),
    pictures(GateId::G3, "freeze that wobbles", |t| t.damaged(&t.freeze(), Generator::MovingWarp, 4)),
    pictures(GateId::G4, "pan of the still", |t| camera::pan(&t.window.first_frame, t.frames(), 20)),
    pictures(GateId::G4, "zoom into the still", |t| camera::zoom(&t.window.first_frame, t.frames(), 4)),
    pictures(GateId::G4, "parallax of the still", |t| cheats::parallax(&t.window.first_frame, t.frames())),
    pictures(GateId::G4, "pan with grain", |t| {
        t.damaged(&camera::pan(&t.window.first_frame, t.frames(), 20), Generator::Noise, 2)
    }),
    pictures(GateId::G5, "loop of eight frames", |t| camera::picked(t.honest, t.frames(), |k| k % 8)),
    pictures(GateId::G5, "loop of a quarter", |t| {
        camera::picked(t.honest, t.frames(), |k| k % (t.frames() / 4).max(1))
    }),
    pictures(GateId::G5, "forth and back", |t| {
        let turn = (t.frames() / 5).max(2);
        camera::picked(
            t.honest,
            t.frames(),
            |k| if k % (2 * turn) < turn { k % turn } else { turn - k % turn },
        )
    }),
    pictures(GateId::G6, "fade to another picture", |t| t.fade(&t.other.first_frame)),
    pictures(GateId::G6, "fade to the mirrored still", |t| t.fade(&camera::mirrored(&t.window.first_frame))),
    pictures(GateId::G6, "fade to the enlarged still", |t| {
        t.fade(&camera::picked(&camera::zoom(&t.window.first_frame, 2, 300), 1, |_| 1))
    }),
    pictures(GateId::G7, "the source itself", |t| (*t.window.reference).clone()),
    pictures(GateId::G7, "the source with grain", |t| t.damaged(&t.window.reference, Generator::Noise, 1)),
    pictures(GateId::G7, "the source a frame late", |t| {
        camera::picked(&t.window.reference, t.frames(), |k| k.saturating_sub(1))
    }),
    pictures(GateId::G7, "the source after its first frame mirrored", |t| {
        let mirrored = camera::mirrored(&t.window.reference);
        let first = t.window.first_frame.as_bytes();
        let mut data = mirrored.as_bytes().to_vec();
        data[..first.len()].copy_from_slice(first);
        let (width, height) = (mirrored.width(), mirrored.height());
        Yuv420Clip::from_planes(width, height, mirrored.len(), data).unwrap_or(mirrored)
    }),
    copy("another's file", Copied::File),
    copy("another's pictures in another file", Copied::Pictures),
    copy("another's pictures encoded again", Copied::Encoded),
    pictures(GateId::G9, "small word", |t| t.damaged(t.honest, Generator::TextOverlay, 1)),
    pictures(GateId::G9, "large word", |t| t.damaged(t.honest, Generator::TextOverlay, 3)),
    pictures(GateId::G9, "word over the still", |t| t.damaged(&t.freeze(), Generator::TextOverlay, 4)),
    file(GateId::G10, "half of the rate", (1, 2), &["-pix_fmt", "yuv420p"]),
    file(GateId::G10, "one and a half times the rate", (3, 2), &["-pix_fmt", "yuv420p"]),
    file(GateId::G10, "twice the rate", (2, 1), &["-pix_fmt", "yuv420p"]),
    file(GateId::G11, "4:4:4", (1, 1), &["-pix_fmt", "yuv444p"]),
    file(GateId::G11, "4:2:2", (1, 1), &["-pix_fmt", "yuv422p"]),
    file(GateId::G11, "ten bits", (1, 1), &["-pix_fmt", "yuv420p10le"]),
    file(GateId::G12, "half of the size", (1, 1), &["-vf", "scale=trunc(iw/4)*2:-2", "-pix_fmt", "yuv420p"]),
    pictures(GateId::G12, "sixteen columns missing", |t| {
        camera::cropped(t.honest, t.honest.width() - 16, t.honest.height())
    }),
    pictures(GateId::G12, "bars above and below", |t| {
        camera::barred(t.honest, t.honest.height() / 8 / 2 * 2, 0)
    }),
    pictures(GateId::G12, "bars on both sides", |t| {
        camera::barred(t.honest, 0, t.honest.width() / 8 / 2 * 2)
    }),
    spoiled("damaged pictures", cheats::damage),
    spoiled("half of the file", |file| file[..file.len() / 2].to_vec()),
    spoiled("no video", |file| (0..file.len()).map(|k| (k * 131 % 251) as u8).collect()),
];

/// How an attack fared over all windows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AttackFigures {
    /// The row of the gates table that it belongs to.
    pub row: GateId,
    /// Its name.
    pub name: &'static str,
    /// Windows that were attacked.
    pub clips: usize,
    /// Rejected, by the gate that did.
    pub rejected: BTreeMap<GateId, usize>,
    /// Scored without passing.
    pub failed: usize,
    /// Passed below the honest stand-ins' median.
    pub below_honest: usize,
    /// Passed at or above it: not caught.
    pub open: usize,
    /// Windows on which the row's own gate fired, advisory or not.
    pub own_gate: usize,
    /// Best final score, 0 where every clip was rejected.
    pub best: u16,
}

impl AttackFigures {
    /// Whether no window was left open.
    pub fn caught(&self) -> bool {
        self.open == 0
    }
}

/// Honest stand-ins: the first frame moved as the real clip moves.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct StandIns {
    /// How many were judged.
    pub clips: usize,
    /// How many a gate rejected.
    pub rejected: usize,
    /// How many passed.
    pub passed: usize,
    /// Median final score; 0 for a rejected one.
    pub median: u16,
}

/// The attack suite with what it is set against.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Suite {
    /// Honest stand-ins.
    pub stand_ins: StandIns,
    /// All attacks.
    pub attacks: Vec<AttackFigures>,
}

/// How much of the suite runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Every attack, every answer encoded, three stand-ins a window.
    Whole,
    /// The first attack of every row, pictures not encoded, one stand-in a window.
    Quick,
}

impl Extent {
    /// The attacks of this extent.
    pub fn attacks(self) -> Vec<Attack> {
        let mut rows = std::collections::BTreeSet::new();
        ATTACKS.iter().filter(|attack| self == Extent::Whole || rows.insert(attack.row)).copied().collect()
    }
}

/// A verdict as far as the suite needs it.
struct Fate {
    gate: Option<GateId>,
    fired: Vec<GateId>,
    overall: u16,
    passed: bool,
}

impl Fate {
    fn rejected(gate: GateId) -> Self {
        Self { gate: Some(gate), fired: vec![gate], overall: 0, passed: false }
    }
}

/// Runs the suite on windows. `progress` hears every clip that was judged.
///
/// # Errors
/// When we fail; no attack can.
pub async fn run(
    windows: &[SourceWindow],
    judge: &Judge,
    workshop: &Workshop,
    extent: Extent,
    mut progress: impl FnMut(),
) -> Result<Suite, EvidenceError> {
    let bench = Bench { judge, workshop, extent };
    let mut honest_fates = Vec::new();
    let mut fates: Vec<Vec<Fate>> = extent.attacks().iter().map(|_| Vec::new()).collect();
    for (place, window) in windows.iter().enumerate() {
        let other = foreign(windows, place);
        let styles = if extent == Extent::Whole { &HONEST[..] } else { &HONEST[..1] };
        let answers = tokio::task::block_in_place(|| stand_ins(window, styles));
        for answer in &answers {
            honest_fates.push(bench.pictures(window, answer).await?);
            progress();
        }
        let Some(honest) = answers.first() else { continue };
        let target = Target { window, other: &other, honest };
        for (attack, fates) in extent.attacks().iter().zip(&mut fates) {
            fates.push(bench.attack(attack, &target).await?);
            progress();
        }
    }
    let scores: Vec<u16> = honest_fates.iter().map(|fate| fate.overall).collect();
    let stand_ins = StandIns {
        clips: honest_fates.len(),
        rejected: honest_fates.iter().filter(|fate| fate.gate.is_some()).count(),
        passed: honest_fates.iter().filter(|fate| fate.passed).count(),
        median: median(&scores).unwrap_or(0),
    };
    let attacks = extent.attacks().iter().zip(&fates).map(|(a, f)| figures(a, f, stand_ins.median)).collect();
    Ok(Suite { stand_ins, attacks })
}

fn stand_ins(window: &SourceWindow, styles: &[(f32, f32)]) -> Vec<Yuv420Clip> {
    let scene = Scene::read(window.first_frame.clone(), &window.reference);
    let frames = window.reference.len();
    styles.iter().map(|&(pace, softness)| scene.render(TransferStyle { pace, softness }, frames)).collect()
}

fn figures(attack: &Attack, fates: &[Fate], honest: u16) -> AttackFigures {
    let mut rejected = BTreeMap::new();
    for gate in fates.iter().filter_map(|fate| fate.gate) {
        *rejected.entry(gate).or_insert(0) += 1;
    }
    let scored = || fates.iter().filter(|fate| fate.gate.is_none());
    AttackFigures {
        row: attack.row,
        name: attack.name,
        clips: fates.len(),
        rejected,
        failed: scored().filter(|fate| !fate.passed).count(),
        below_honest: scored().filter(|fate| fate.passed && fate.overall < honest).count(),
        open: scored().filter(|fate| fate.passed && fate.overall >= honest).count(),
        own_gate: fates.iter().filter(|fate| fate.fired.contains(&attack.row)).count(),
        best: fates.iter().map(|fate| fate.overall).max().unwrap_or(0),
    }
}

/// Judges answers.
struct Bench<'a> {
    judge: &'a Judge,
    workshop: &'a Workshop,
    extent: Extent,
}

impl Bench<'_> {
    async fn attack(&self, attack: &Attack, target: &Target<'_>) -> Result<Fate, EvidenceError> {
        match attack.make {
            Make::Pictures(make) => {
                let clip = tokio::task::block_in_place(|| make(target));
                self.pictures(target.window, &clip).await
            }
            Make::File(trick) => self.file(target, trick).await,
            Make::Copy(copied) => self.copy(target, copied).await,
        }
    }

    /// Pictures, encoded in a whole run. What has another shape is judged as planes: encoded it would meet the decoder's
    /// own gates, which read the same numbers.
    async fn pictures(&self, window: &SourceWindow, clip: &Yuv420Clip) -> Result<Fate, EvidenceError> {
        let asked = &window.reference;
        let shaped =
            (clip.width(), clip.height(), clip.len()) == (asked.width(), asked.height(), asked.len());
        match self.extent == Extent::Whole && shaped {
            true => {
                let encoded = self.workshop.encoded(clip, ATTACK_CRF).await?;
                self.judged(window, &encoded)
            }
            false => self.judged(window, clip),
        }
    }

    fn judged(&self, window: &SourceWindow, clip: &Yuv420Clip) -> Result<Fate, EvidenceError> {
        let read = tokio::task::block_in_place(|| self.judge.read(window, clip, SourceCopies::Judged))?;
        Ok(Fate { gate: read.gate, fired: read.fired, overall: read.overall, passed: read.passed })
    }

    async fn file(&self, target: &Target<'_>, trick: FileTrick) -> Result<Fate, EvidenceError> {
        let fps = (self.workshop.fps * trick.rate.0 / trick.rate.1).max(1);
        let file = encode_with(target.honest, fps, ATTACK_CRF, trick.arguments).await?;
        let file = (trick.spoil)(&file);
        match self.workshop.decoder.decode_clip(file.into(), self.judge.rules().request).await {
            Ok(decoded) => self.judged(target.window, &decoded.frames),
            Err(cause) => match cause.gate() {
                Some((gate, _)) => Ok(Fate::rejected(gate)),
                None => Err(cause.into()),
            },
        }
    }

    /// A copy of an earlier miner's answer: refused by G8, or judged on its own.
    async fn copy(&self, target: &Target<'_>, copied: Copied) -> Result<Fate, EvidenceError> {
        let original = self.workshop.encoded(target.honest, ATTACK_CRF).await?;
        let answer = match copied {
            Copied::Encoded => self.workshop.encoded(&original, ATTACK_CRF).await?,
            Copied::File | Copied::Pictures => Arc::clone(&original),
        };
        let file = |kept: bool| Digest::of(if kept { b"the file" } else { b"another file" });
        let miner = |key: u8, file: Digest, clip: &Yuv420Clip| ClipIdentity {
            hotkey: Hotkey([key; 32]),
            precedence: Precedence { reveal_block: BlockNumber(key.into()), index: 0, uid: Uid(key.into()) },
            file,
            frames: clip.digest(),
            track: track::of(&Mosaic::of(clip, clip.len())),
        };
        let clips = [miner(1, file(true), &original), miner(2, file(copied == Copied::File), &answer)];
        match find_copies(&clips, &self.judge.rules().scoring.gates.copy).is_empty() {
            false => Ok(Fate::rejected(GateId::G8)),
            true => self.judged(target.window, &answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_gates_table_has_three_variants_at_least() {
        let mut rows: BTreeMap<GateId, usize> = BTreeMap::new();
        ATTACKS.iter().for_each(|attack| *rows.entry(attack.row).or_default() += 1);
        assert_eq!(rows.len(), 13);
        assert!(rows.values().all(|variants| *variants >= 3), "{rows:?}");
        let names: std::collections::BTreeSet<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), ATTACKS.len());
        assert_eq!(Extent::Quick.attacks().len(), 13);
    }

    #[test]
    fn an_attack_that_passes_above_the_honest_median_is_open() {
        let fate = |gate, overall, passed| Fate { gate, fired: gate.into_iter().collect(), overall, passed };
        let fates = [
            fate(Some(GateId::G2), 0, false),
            fate(Some(GateId::G13), 0, false),
            fate(None, 9_000, true),
            fate(None, 8_000, true),
            fate(None, 3_000, false),
        ];
        let found = figures(&pictures(GateId::G2, "freeze", |t| t.freeze()), &fates, 8_500);
        assert_eq!((found.failed, found.below_honest, found.open, found.own_gate), (1, 1, 1, 1));
        assert_eq!((found.best, found.caught()), (9_000, false));
        assert_eq!(found.rejected, [(GateId::G2, 1), (GateId::G13, 1)].into());
    }
}
