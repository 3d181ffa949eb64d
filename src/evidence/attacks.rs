//! The attack suite: for every row of the gates table, clips and files that look like an answer and are none.
//!
//! The list and its pictures are [`leoma_film::attacks`], which the demo's miners take too; here they are judged. Attackers
//! see the given first frame; what they need of a moving clip is cut from an honest stand-in, rows about the source itself
//! from the source.

use std::{collections::BTreeMap, sync::Arc};

use leoma_film::{
    attacks::{Attack, Copied, File, FileTrick, Material},
    transfer::{Scene, TransferStyle},
};
use serde::Serialize;

use super::{
    EvidenceError,
    judge::{Judge, SourceCopies},
    ladder::{Workshop, foreign},
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
pub(super) const ATTACK_CRF: u8 = 20;
/// What is written on clips of windows without a prompt.
const STOCK_PROMPT: &str = "A beautiful, moving and perfect picture";
/// Stand-ins for honest models: pace against the real clip, softness.
pub(super) const HONEST: [(f32, f32); 3] = [(1.0, 0.0), (0.85, 0.3), (1.2, 0.0)];

/// One attack of the list: a variant of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attacker {
    /// The kind.
    pub attack: Attack,
    /// Its variant, numbered from zero.
    pub variant: usize,
}

impl Attacker {
    /// Every variant of every kind, by row of the gates table.
    pub fn all() -> impl Iterator<Item = Self> {
        let variants =
            |attack: Attack| (0..attack.variants().len()).map(move |variant| Self { attack, variant });
        Attack::ALL.into_iter().flat_map(variants)
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        self.attack.variants()[self.variant]
    }
}

/// What is attacked, and with what.
struct Target<'a> {
    window: &'a SourceWindow,
    material: Material<'a>,
}

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
    pub fn attacks(self) -> Vec<Attacker> {
        let mut rows = std::collections::BTreeSet::new();
        Attacker::all().filter(|one| self == Extent::Whole || rows.insert(one.attack.gate())).collect()
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
        let material = material(window, Some(honest), &other);
        let target = Target { window, material };
        for (attacker, fates) in extent.attacks().into_iter().zip(&mut fates) {
            fates.push(bench.attack(attacker, &target).await?);
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
    let attacks =
        extent.attacks().into_iter().zip(&fates).map(|(a, f)| figures(a, f, stand_ins.median)).collect();
    Ok(Suite { stand_ins, attacks })
}

/// What attacks on a window are made from: an honest answer to it, another window, and the real clip.
pub(super) fn material<'a>(
    window: &'a SourceWindow,
    honest: Option<&'a Yuv420Clip>,
    other: &'a SourceWindow,
) -> Material<'a> {
    Material {
        first_frame: &window.first_frame,
        frames: window.reference.len(),
        prompt: if window.prompt.is_empty() { STOCK_PROMPT } else { &window.prompt },
        honest,
        other: Some(&other.reference),
        real: Some(&window.reference),
    }
}

/// Renders stand-ins of a window.
pub(super) fn stand_ins(window: &SourceWindow, styles: &[(f32, f32)]) -> Vec<Yuv420Clip> {
    let scene = Scene::read(window.first_frame.clone(), &window.reference);
    let frames = window.reference.len();
    styles.iter().map(|&(pace, softness)| scene.render(TransferStyle { pace, softness }, frames)).collect()
}

fn figures(attacker: Attacker, fates: &[Fate], honest: u16) -> AttackFigures {
    let row = attacker.attack.gate();
    let mut rejected = BTreeMap::new();
    for gate in fates.iter().filter_map(|fate| fate.gate) {
        *rejected.entry(gate).or_insert(0) += 1;
    }
    let scored = || fates.iter().filter(|fate| fate.gate.is_none());
    AttackFigures {
        row,
        name: attacker.name(),
        clips: fates.len(),
        rejected,
        failed: scored().filter(|fate| !fate.passed).count(),
        below_honest: scored().filter(|fate| fate.passed && fate.overall < honest).count(),
        open: scored().filter(|fate| fate.passed && fate.overall >= honest).count(),
        own_gate: fates.iter().filter(|fate| fate.fired.contains(&row)).count(),
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
    async fn attack(
        &self,
        Attacker { attack, variant }: Attacker,
        target: &Target<'_>,
    ) -> Result<Fate, EvidenceError> {
        let made = |material: &Material| tokio::task::block_in_place(|| attack.film(variant, material));
        let material = &target.material;
        match (attack.file(variant), material.honest) {
            (File::Copied(copied), Some(honest)) => {
                let original = self.workshop.encoded(honest, ATTACK_CRF).await?;
                let clip = made(&Material { honest: Some(&original), ..*material })?;
                self.copy(target, original, clip, copied).await
            }
            (File::Otherwise(trick), _) => self.file(target, &made(material)?, trick).await,
            (File::Encoded | File::Copied(_), _) => self.pictures(target.window, &made(material)?).await,
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

    async fn file(
        &self,
        target: &Target<'_>,
        clip: &Yuv420Clip,
        trick: FileTrick,
    ) -> Result<Fate, EvidenceError> {
        let fps = (self.workshop.fps * trick.rate.0 / trick.rate.1).max(1);
        let file = encode_with(clip, fps, ATTACK_CRF, trick.arguments).await?;
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
    async fn copy(
        &self,
        target: &Target<'_>,
        original: Arc<Yuv420Clip>,
        clip: Yuv420Clip,
        copied: Copied,
    ) -> Result<Fate, EvidenceError> {
        let answer = match copied {
            Copied::Encoded => self.workshop.encoded(&clip, ATTACK_CRF).await?,
            Copied::File | Copied::Pictures => Arc::new(clip),
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
    fn a_quick_run_has_one_attack_of_every_row_and_a_whole_run_all() {
        let rows = |extent: Extent| extent.attacks().into_iter().map(|one| one.attack.gate());
        assert_eq!(rows(Extent::Quick).count(), 13);
        assert_eq!(rows(Extent::Quick).collect::<std::collections::BTreeSet<_>>().len(), 13);
        assert_eq!(Extent::Whole.attacks(), Attacker::all().collect::<Vec<_>>());
        assert!(Attacker::all().count() >= 3 * 13);
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
        let found = figures(Attacker { attack: Attack::Freeze, variant: 0 }, &fates, 8_500);
        assert_eq!((found.failed, found.below_honest, found.open, found.own_gate), (1, 1, 1, 1));
        assert_eq!((found.best, found.caught()), (9_000, false));
        assert_eq!(found.rejected, [(GateId::G2, 1), (GateId::G13, 1)].into());
    }
}
