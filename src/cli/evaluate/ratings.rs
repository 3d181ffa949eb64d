//! `leoma evaluate --ratings`: scores beside people's ratings.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::{Progress, decoder, failed, judge, progress::print};
use crate::{
    cli::{
        exit::{Exit, Failure},
        files::{read_whole, unreadable},
        score::{inputs::read_first_frame, reference::prepare},
    },
    decode::Decoder,
    domain::{ids::Digest, rules::ActiveRules},
    evidence::{
        judge::{Judge, Reading, SourceCopies},
        ratings::{Against, DimensionFigures, Rating, agreement, parse},
        windows::first_frame_of,
    },
    quality::frame::Yuv420Clip,
};

/// Most bytes of a ratings file.
const MAX_FILE_BYTES: u64 = 32 << 20;
/// Most bytes of a clip.
const MAX_CLIP_BYTES: u64 = 256 << 20;

/// What is printed as JSON.
#[derive(Serialize)]
struct Agreement {
    version: u32,
    rules_digest: Digest,
    clips: usize,
    dimensions: Vec<DimensionFigures>,
}

/// Scores every rated clip and prints how scores and ratings agree.
pub(super) async fn run(file: &Path, rules: ActiveRules, json: bool) -> Result<(), Failure> {
    let ratings = parse(&read_whole(file, MAX_FILE_BYTES)?).map_err(|cause| unreadable(file, cause))?;
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let decoder = decoder(&rules.rules)?;
    let judge = judge(&rules.rules)?;
    let rater = Rater { folder, decoder, judge };
    let mut first: BTreeMap<&str, &Rating> = BTreeMap::new();
    for rating in &ratings {
        let known = first.entry(&rating.clip).or_insert(rating);
        let given =
            |rating: &Rating| (rating.first_frame.clone(), rating.reference.clone(), rating.prompt.clone());
        if given(known) != given(rating) {
            let clip = &rating.clip;
            let cause = anyhow!("{}: `{clip}` has two first frames, references or prompts", file.display());
            return Err(Failure::new(Exit::Unreadable, cause));
        }
    }
    let bar = Progress::start();
    bar.stage("rated clips", first.len());
    let mut readings = BTreeMap::new();
    for (clip, rating) in first {
        readings.insert(clip.to_owned(), rater.read(rating).await?);
        bar.step(clip);
    }
    bar.end();
    let found = Agreement {
        version: 1,
        rules_digest: rules.digest,
        clips: readings.len(),
        dimensions: agreement(&ratings, &readings),
    };
    let text = match json {
        true => serde_json::to_string_pretty(&found).context("printing JSON")? + "\n",
        false => table(&found),
    };
    print(&text)
}

struct Rater {
    folder: PathBuf,
    decoder: Decoder,
    judge: Judge,
}

impl Rater {
    async fn read(&self, rating: &Rating) -> Result<Reading, Failure> {
        let clip = self.clip(&rating.clip).await?;
        let first_frame = match &rating.first_frame {
            Some(path) => read_first_frame(&self.folder.join(path), self.judge.rules().request)?,
            None => first_frame_of(&clip),
        };
        let reference = match &rating.reference {
            Some(path) => Some(self.clip(path).await?),
            None => None,
        };
        let prompt = rating.prompt.as_deref().unwrap_or_default();
        let read = || {
            let task =
                reference.as_ref().map(|real| self.judge.task(&first_frame, real, prompt)).transpose()?;
            let reference = reference.as_ref().zip(task.as_ref());
            self.judge.read_against(&first_frame, reference, (prompt, &clip), SourceCopies::Judged)
        };
        tokio::task::block_in_place(read).map_err(failed)
    }

    /// A clip in the rules' shape, brought there as a reference is.
    async fn clip(&self, name: &str) -> Result<Yuv420Clip, Failure> {
        let path = self.folder.join(name);
        let file = read_whole(&path, MAX_CLIP_BYTES)?;
        let prepared = prepare(&self.decoder, file, self.judge.rules().request).await;
        prepared.map(|prepared| prepared.clip).map_err(|cause| {
            let exit = if cause.is_ours() { Exit::Internal } else { Exit::Unreadable };
            Failure::new(exit, anyhow!(cause).context(path.display().to_string()))
        })
    }
}

/// Writing to a string does not fail.
fn table(found: &Agreement) -> String {
    let mut text = format!(
        "{} clips. Pairs: those with different ratings; scores that tie count half. Equal ratings are left out.\n\n{:<24} {:<8} {:>7} {:>9} {:>9} {:>7} {:>6} {:>6} {:>9}\n",
        found.clips,
        "dimension",
        "against",
        "ratings",
        "spearman",
        "pairs",
        "right %",
        "ties",
        "equal",
        "unjudged"
    );
    for figures in &found.dimensions {
        let against = match figures.against {
            Against::Axis => "axis",
            Against::Term => "term",
            Against::Overall => "overall",
        };
        let number =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
        let name: String = figures.dimension.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(
            text,
            "{:<24} {:<8} {:>7} {:>9} {:>9} {:>7} {:>6} {:>6} {:>9}",
            name,
            against,
            figures.ratings,
            number(figures.spearman, 3),
            figures.pairs.pairs(),
            number(figures.pairs.accuracy().map(|share| 100.0 * share), 1),
            figures.pairs.tied,
            figures.equal_ratings,
            figures.unjudged
        );
    }
    let _ = writeln!(text, "\nrules {}", found.rules_digest);
    text
}
