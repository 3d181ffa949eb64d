//! `leoma replay`: rounds judged anew from their bundles, on this machine.

mod window;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::{
    Execute, block_on,
    bundle::{internal, open, print, printable, unreadable},
    exit::{Exit, Failure, after_help},
    networks,
};
use crate::{
    bundle::{
        Opened,
        replay::{self, Replay, ReplayError, ReplayParts},
    },
    corpus::{Corpus, CorpusError, CorpusOptions},
    decode::{Decoder, DecoderOptions},
    domain::rules::Rules,
    embed::DeviceChoice,
    gpu::{
        choose::{OpenScorer, ScorerChoice, open_scorer},
        port::Scorer,
    },
    quality::embeddings::FrameModels,
};

/// Judge a round anew from its bundle, or a window of rounds, and say what differs and at which level
///
/// Clip choice, first frame, decoding, gates, scores, G8, winner and weights are made anew on this machine, by its own scorer,
/// and compared with the bundle. Code 0: the same. Code 4: something differs; the first level says where it began: source,
/// decode, kernel, verdict or rank. Without --corpus the published source clip stands for the corpus.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma replay bundles/71234",
    "leoma replay https://bucket.example.org/71234 --corpus corpus --scorer gpu",
    "leoma replay --window 100 --against bundles --json | jq .same",
    "leoma replay --window 20 --against https://bucket.example.org --newest 71234",
))]
pub struct ReplayCommand {
    /// Its folder or its http(s) address
    #[arg(value_name = "FOLDER|URL", required_unless_present = "window", conflicts_with = "window")]
    bundle: Option<String>,
    /// Replay the newest N rounds of a place that holds a validator's rounds
    #[arg(long, value_name = "N", requires = "against", value_parser = clap::value_parser!(u16).range(1..=200))]
    window: Option<u16>,
    /// That place: a folder or an http(s) address with a folder for each round
    #[arg(long, value_name = "FOLDER|URL", requires = "window")]
    against: Option<String>,
    /// The newest round of the window; an address needs it, as it cannot be listed
    #[arg(long, value_name = "ROUND", requires = "window")]
    newest: Option<u64>,
    /// Only rounds that closed after this block count for the window's weights: the subnet's last epoch
    #[arg(long, value_name = "BLOCK", requires = "window", default_value_t = 0)]
    since_block: u64,
    #[command(flatten)]
    with: Tools,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// With what a round is judged anew.
#[derive(Args)]
struct Tools {
    /// The corpus (folder or file:// address), to make the choice among its clips anew
    #[arg(long, value_name = "DIR")]
    corpus: Option<String>,
    /// Name of the manifest in it
    #[arg(long, value_name = "NAME", default_value = "corpus.toml")]
    manifest: String,
    /// Where to compute: auto, cpu, gpu or gpu:NAME
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    scorer: ScorerChoice,
    /// Threads of the CPU scorer, 0 for one per core; verdicts do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Folder of the embedding models that the rules name; without it where `leoma models fetch` puts them
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

impl Execute for ReplayCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        let same = block_on(async {
            match (&self.bundle, self.window, &self.against) {
                (Some(bundle), ..) => one(bundle, &self).await,
                (None, Some(window), Some(place)) => window::run(place, window, &self).await,
                _ => Err(Failure::new(Exit::Usage, anyhow!("name a bundle, or --window with --against"))),
            }
        })??;
        Ok(if same { Exit::Ok } else { Exit::Drift }.into())
    }
}

async fn one(bundle: &str, command: &ReplayCommand) -> Result<bool, Failure> {
    let opened = open(bundle).await?;
    let mut bench = Bench::open(&command.with)?;
    let found = bench.replay(&opened, &command.with).await?;
    let text = match command.json {
        true => format!("{}\n", serde_json::to_string(&Line::of(&found)).map_err(internal)?),
        false => shown(&found),
    };
    print(&text)?;
    Ok(found.is_same())
}

/// The networks that some rules name, if any.
type Networks = Option<Arc<dyn FrameModels>>;

/// What rounds are judged on, and the networks of the rules that were last in use.
struct Bench {
    scorer: Arc<dyn Scorer>,
    wanted: DeviceChoice,
    models: Option<(Arc<Rules>, Networks)>,
}

impl Bench {
    fn open(tools: &Tools) -> Result<Self, Failure> {
        let opened = tokio::task::block_in_place(|| open_scorer(&tools.scorer, tools.threads.into()));
        let OpenScorer { scorer, real_gpu, .. } = opened.context("starting the scorer")?;
        let wanted = if real_gpu { DeviceChoice::Gpu } else { DeviceChoice::Cpu };
        Ok(Self { scorer, wanted, models: None })
    }

    async fn replay(&mut self, opened: &Opened, tools: &Tools) -> Result<Replay, Failure> {
        let rules = replay::rules(opened).await.map_err(unreadable)?;
        let models = self.models_of(&rules, tools)?;
        let worker =
            std::env::current_exe().context("finding this program's own file, which decodes as a child")?;
        let decoder = Arc::new(Decoder::new(DecoderOptions::with_worker(worker).under(&rules.limits)));
        let corpus = match &tools.corpus {
            Some(location) => {
                let options = CorpusOptions { location: location.clone(), manifest: tools.manifest.clone() };
                let corpus = Corpus::open(options, Arc::clone(&decoder)).await;
                Some(corpus.map_err(|cause| Failure::new(Exit::Unreadable, cause))?)
            }
            None => None,
        };
        let parts = ReplayParts { decoder, scorer: Arc::clone(&self.scorer), models, corpus };
        replay::replay(opened, rules, &parts).await.map_err(failed)
    }

    fn models_of(&mut self, rules: &Arc<Rules>, tools: &Tools) -> Result<Networks, Failure> {
        if let Some((_, models)) = self.models.as_ref().filter(|(known, _)| known == rules) {
            return Ok(models.clone());
        }
        let wanted = self.wanted;
        let models = tokio::task::block_in_place(|| networks::open(rules, tools.models.as_deref(), wanted))?;
        self.models = Some((Arc::clone(rules), models.clone()));
        Ok(models)
    }
}

fn failed(cause: ReplayError) -> Failure {
    let exit = match &cause {
        ReplayError::Fetch(_) | ReplayError::Corpus(CorpusError::Shelf(_) | CorpusError::Manifest(_)) => {
            Exit::Unreadable
        }
        ReplayError::NoSource | ReplayError::NoPrompts => Exit::Usage,
        _ => Exit::Internal,
    };
    Failure::new(exit, cause)
}

/// A replay as JSON.
#[derive(serde::Serialize)]
struct Line<'a> {
    same: bool,
    level: Option<replay::Level>,
    #[serde(flatten)]
    replay: &'a Replay,
}

impl<'a> Line<'a> {
    fn of(replay: &'a Replay) -> Self {
        Self { same: replay.is_same(), level: replay.level(), replay }
    }
}

fn shown(found: &Replay) -> String {
    let mut lines = vec![
        format!("round {} on {}: {} clips judged anew", found.round, found.scorer, found.clips),
        format!("recorded {}", found.recorded),
        format!("found    {}", found.found),
    ];
    lines.extend(found.notes.iter().map(|note| format!("note: {}", printable(note))));
    for difference in &found.differences {
        let level = format!("{:?}", difference.level).to_lowercase();
        let whose = difference.miner.map_or(String::new(), |miner| format!("{miner} "));
        let (what, recorded, found) =
            (printable(&difference.what), printable(&difference.recorded), printable(&difference.found));
        lines.push(format!("{level}: {whose}{what}: recorded {recorded}, found {found}"));
    }
    lines.push(match found.level() {
        Some(level) => format!("differs from the level {} on", format!("{level:?}").to_lowercase()),
        None if found.is_same() => "same".into(),
        None => "differs".into(),
    });
    lines.join("\n") + "\n"
}
