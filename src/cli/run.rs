//! `leoma run`: the validator.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use super::{
    Execute,
    config::ConfigArgs,
    corpus,
    exit::{Exit, Failure, after_help},
    files::read_rules,
    hotkey, networks,
    publishing::{self, publisher},
};
use crate::{
    actors::house::{ACTORS, Concurrency, House, HouseParts},
    chain::{
        subtensor::{SubtensorChain, SubtensorOptions},
        wallet::HotkeySigner,
    },
    config::{self, Config, FlagValue, LoadedConfig},
    decode::{Decoder, DecoderOptions},
    domain::{
        ids::BlockHash,
        report::RoundReport,
        rules::{ActiveRules, LimitRules, Rules},
    },
    embed::DeviceChoice,
    gpu::{
        choose::{OpenScorer, open_scorer},
        port::Scorer,
    },
    miners::{blacklist::Blacklist, options::ServicesOptions, services::HttpServices},
    quality::embeddings::FrameModels,
    runtime::board::Board,
    store::{
        archive::RoundsArchive,
        book::RoundsBook,
        journal::{Journal, JournalIdentity},
        lock::StateLock,
    },
    telemetry::{
        self, Color, Health, HealthLimits, HealthOptions, LogOptions, Metrics, MetricsOptions, Vitals,
    },
    web::{self, WebOptions, WebState},
};

/// Run the validator: rounds from finalized blocks to weights read back from the chain
///
/// Without a hotkey it scores and shows its rounds but sets no weights. SIGTERM or Ctrl-C drains
/// within 30 seconds; a second one ends at once. Whatever was under way goes on at the next start.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma run --config validator.toml",
    "leoma run --config validator.toml --until-rounds 3",
    "leoma run --wallet.name validator --wallet.hotkey default --netuid 99 --subtensor.network finney",
    "leoma run --config validator.toml --scorer gpu:RTX",
    "leoma run --config validator.toml --dry-run --until-rounds 1",
    "leoma run --set chain.endpoints=ws://127.0.0.1:9944 --set log.format=json",
))]
pub struct RunCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where clips are scored: auto, cpu, gpu or gpu:NAME; the same as --set scorer.device=...
    #[arg(long, value_name = "SCORER")]
    scorer: Option<String>,
    /// Stop after this many rounds have ended and, with a hotkey, the newest closed one is paid
    #[arg(long, value_name = "N")]
    until_rounds: Option<usize>,
    /// Write the rounds with their whole outcome tables to this file (JSON) before the process ends
    #[arg(long, value_name = "FILE")]
    rounds_file: Option<PathBuf>,
    /// Show the exact extrinsic that would be signed, in the log, and sign nothing
    #[arg(long)]
    dry_run: bool,
    /// Take over weights that the chain shows for our hotkey and our journal does not know. Say so once, after making
    /// sure that no other validator runs with this hotkey: two of them overwrite each other's weights
    #[arg(long, conflicts_with = "dry_run")]
    i_am_the_only_instance: bool,
    /// Write the operator pages' address (http://HOST:PORT) to this file once they are served
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
}

impl Execute for RunCommand {
    fn execute(mut self) -> Result<ExitCode, Failure> {
        let scorer = self.scorer.take().map(|text| FlagValue {
            flag: "--scorer".into(),
            key: "scorer.device".into(),
            text,
        });
        self.config.set.extend(scorer);
        let loaded = self.config.load()?;
        init_log(&loaded.config)?;
        let runtime = || {
            let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            built.unwrap_or_else(|cause| {
                // actix takes only a factory that cannot fail; without a runtime nothing can run.
                eprintln!("error: starting the async runtime: {cause}");
                std::process::exit(Exit::Internal as i32)
            })
        };
        actix_rt::System::with_tokio_rt(runtime).block_on(validate(self, loaded))?;
        Ok(Exit::Ok.into())
    }
}

fn init_log(config: &Config) -> Result<(), Failure> {
    let format = match config.log.format {
        config::LogFormat::Plain => telemetry::LogFormat::Plain,
        config::LogFormat::Json => telemetry::LogFormat::Json,
    };
    let filter = config.log.filter.as_str().to_string();
    telemetry::init(&LogOptions { format, filter, color: Color::Auto })
        .map_err(|cause| Failure::new(Exit::Usage, cause))
}

/// What the validator is made of, beside the house.
struct Surfaces {
    board: Arc<Board>,
    vitals: Arc<Vitals>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    book: Arc<RoundsBook>,
}

impl Surfaces {
    fn new(config: &Config) -> Self {
        let (board, vitals) = (Board::new(), Vitals::new());
        let limits = HealthLimits {
            head_silence: Duration::from_secs(config.chain.block_watchdog_s),
            handler_busy: Duration::from_secs(10),
            min_rounds_left: config.corpus.min_rounds_left,
        };
        let health = Arc::new(Health::new(HealthOptions {
            board: Arc::clone(&board),
            vitals: Arc::clone(&vitals),
            actors: ACTORS.to_vec(),
            limits,
        }));
        let metrics = Metrics::new(MetricsOptions {
            board: Arc::clone(&board),
            vitals: Arc::clone(&vitals),
            readiness: Arc::clone(&health) as _,
        });
        Self { board, vitals, metrics, health, book: Arc::default() }
    }
}

async fn validate(command: RunCommand, loaded: LoadedConfig) -> Result<(), Failure> {
    let config = &loaded.config;
    loaded.warnings().iter().for_each(|warning| warn!("{warning}"));
    let rules = Arc::new(read_rules(config.rules.file.as_deref())?);
    // First of all, because somebody may be waiting at the terminal to be asked for a password.
    let signer = hotkey::signer(config)?;
    info!(rules = %rules.digest.short(), version = telemetry::build::describe(), "leoma validator");
    let _lock = StateLock::take(&config.state.dir).map_err(|cause| Failure::new(Exit::Usage, cause))?;
    let surfaces = Surfaces::new(config);
    let stop = CancellationToken::new();
    let state = WebState {
        board: Arc::clone(&surfaces.board),
        metrics: Arc::clone(&surfaces.metrics),
        rounds: Arc::new(RoundsArchive {
            book: Arc::clone(&surfaces.book),
            folder: config.state.dir.clone(),
            rules: Arc::clone(&rules),
        }),
        readiness: Arc::clone(&surfaces.health) as _,
    };
    let pages = CancellationToken::new();
    let (address, served) = web::serve(WebOptions { listen: config.web.listen }, state, pages.clone())
        .await
        .map_err(|cause| Failure::new(Exit::Usage, cause))?;
    if let Some(path) = &command.address_file {
        std::fs::write(path, format!("http://{address}\n")).with_context(|| path.display().to_string())?;
    }
    watch_signals(stop.clone()).context("installing signal handlers")?;
    // Signals work from here on: a chain that does not answer must not make the process deaf.
    let mut parts = tokio::select! {
        parts = house_parts(config, signer.clone(), &rules, &surfaces) => parts?,
        () = stop.cancelled() => return Ok(()),
    };
    parts.dry_run = command.dry_run;
    parts.vouched.store(command.i_am_the_only_instance, Ordering::Relaxed);
    let active_from = rules.rules.schedule.active_from_block;
    if active_from > 0 {
        info!("these rules are in force from block {active_from} on");
    }
    if let Some(rounds) = command.until_rounds {
        let pays = parts.pays && !parts.dry_run;
        tokio::spawn(stop_after(rounds, pays, Arc::clone(&surfaces.book), stop.clone()));
    }
    let publishing = match signer.filter(|_| config.storage.publish && !command.dry_run) {
        Some(signer) => Some(tokio::spawn(publisher(config, &parts, signer, stop.clone())?)),
        None => None,
    };
    let book = Arc::clone(&parts.book);
    let house = House::build(parts).context("state folder")?;
    let end = house.run(stop.clone()).await;
    stop.cancel();
    if let Some(publishing) = publishing {
        tokio::time::timeout(publishing::PATIENCE, publishing).await.ok();
    }
    if let Some(path) = &command.rounds_file {
        let newest = book.newest(usize::MAX);
        let rounds = json!({ "rounds": newest.iter().map(AsRef::as_ref).collect::<Vec<&RoundReport>>() });
        std::fs::write(path, format!("{rounds:#}\n")).with_context(|| path.display().to_string())?;
    }
    pages.cancel();
    served.await.ok();
    end.map_err(|given_up| Failure::new(Exit::Internal, given_up))
}

async fn house_parts(
    config: &Config,
    signer: Option<HotkeySigner>,
    rules: &Arc<ActiveRules>,
    surfaces: &Surfaces,
) -> Result<HouseParts, Failure> {
    let decoder = Arc::new(Decoder::new(decoder_options(&rules.rules.limits)?));
    let corpus = corpus::configured(&config.corpus, Arc::clone(&decoder)).await?;
    info!(clips = corpus.len(), corpus = %corpus.digest().short(), "corpus");
    let (scorer, models) = scorer(config, &rules.rules).await?;
    let chain = Arc::new(connect(config, signer).await?);
    refuse_blind_rules(&chain.genesis(), &rules.rules, config.rules.allow_without_text_model)?;
    let signer = crate::chain::port::Chain::signer(chain.as_ref());
    let identity = JournalIdentity {
        genesis: chain.genesis().to_string(),
        netuid: config.chain.netuid.to_string(),
        hotkey: signer.map_or("none".into(), |hotkey| hotkey.to_string()),
    };
    // Opened once here, so that a journal that cannot be used is a clear refusal at the start.
    Journal::open(&config.state.dir, &identity).map_err(|cause| Failure::new(Exit::Usage, cause))?;
    Ok(HouseParts {
        chain,
        services: Arc::new(
            HttpServices::new(services_options(config, &rules.rules.limits)?).context("miner services")?,
        ),
        corpus: Arc::new(corpus),
        decoder,
        scorer,
        models,
        rules: Arc::clone(rules),
        netuid: config.chain.netuid,
        state_dir: config.state.dir.clone(),
        identity,
        pays: config.weights.submit && signer.is_some(),
        version_key: config.weights.version_key,
        dry_run: false,
        vouched: Arc::default(),
        blacklist: Arc::new(blacklist(config)?),
        concurrency: Concurrency {
            requests: config.challenge.concurrency,
            decoders: config.decode.workers,
            scorers: 2,
        },
        request_cap: Duration::from_secs(rules.rules.limits.answer_seconds.into()),
        board: Arc::clone(&surfaces.board),
        vitals: Arc::clone(&surfaces.vitals),
        metrics: Arc::clone(&surfaces.metrics),
        book: Arc::clone(&surfaces.book),
    })
}

/// Opens the scorer and the networks that the rules name and tests both, off the async threads: drivers take their time.
async fn scorer(
    config: &Config,
    rules: &Rules,
) -> Result<(Arc<dyn Scorer>, Option<Arc<dyn FrameModels>>), Failure> {
    let choice = config.scorer.device.clone();
    let opened = tokio::task::spawn_blocking(move || open_scorer(&choice, 0)).await;
    let OpenScorer { scorer, why, tested, real_gpu } =
        opened.context("starting the scorer")?.context("starting the scorer")?;
    let adapter = scorer.adapter();
    info!(
        adapter = %adapter.name,
        backend = %adapter.backend,
        driver = %tested.driver,
        kernels = tested.kernels.len(),
        "scorer: {why}"
    );
    let (rules, folder) = (rules.clone(), config.scorer.models.clone());
    let wanted = if real_gpu { DeviceChoice::Gpu } else { DeviceChoice::Cpu };
    let models = tokio::task::spawn_blocking(move || networks::open(&rules, folder.as_deref(), wanted)).await;
    let models = models.context("starting the embedding models")??;
    match &models {
        Some(models) => info!(device = %models.health().device, "embedding models"),
        None => warn!("the rules name no embedding models: the terms that rest on them are null"),
    }
    Ok((scorer, models))
}

/// Genesis of Bittensor's main network, finney, as public registries of networks list it.
const FINNEY_GENESIS: &str = "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03";

/// On the main network, where stake is paid by verdicts, rules that read no prompt need the operator's word.
fn refuse_blind_rules(genesis: &BlockHash, rules: &Rules, allowed: bool) -> Result<(), Failure> {
    if rules.scoring.text.is_some() || genesis.to_string() != FINNEY_GENESIS {
        return Ok(());
    }
    if allowed {
        warn!(
            "rules without a text model on the main network: of a prompt only words about the camera count"
        );
        return Ok(());
    }
    let text = "the rules have no text model, so of a prompt only words about the camera would count, and this is the main \
                network: use rules with [scoring.text], or allow it by name with rules.allow_without_text_model = true";
    Err(Failure::new(Exit::Usage, anyhow!(text)))
}

fn decoder_options(limits: &LimitRules) -> Result<DecoderOptions, Failure> {
    let worker =
        std::env::current_exe().context("finding this program's own file, which decodes as a child")?;
    Ok(DecoderOptions::with_worker(worker).under(limits))
}

pub(super) async fn connect(
    config: &Config,
    signer: Option<HotkeySigner>,
) -> Result<SubtensorChain, Failure> {
    let urls = config.chain.endpoints.iter().map(|endpoint| Url::parse(endpoint.as_str()));
    let endpoints = urls.collect::<Result<Vec<_>, _>>().context("chain.endpoints")?;
    if let Some(signer) = &signer {
        info!(hotkey = %signer.hotkey(), "signing hotkey");
    }
    let options = SubtensorOptions {
        call_deadline: Duration::from_secs(config.chain.call_deadline_s),
        block_watchdog: Duration::from_secs(config.chain.block_watchdog_s),
        finalization_deadline: Duration::from_secs(config.chain.finalization_deadline_s),
        signer,
        ..SubtensorOptions::new(endpoints)
    };
    let chain = SubtensorChain::connect(options).await.context("connecting to the chain")?;
    info!(genesis = %chain.genesis(), "chain");
    Ok(chain)
}

pub(super) fn services_options(config: &Config, limits: &LimitRules) -> Result<ServicesOptions, Failure> {
    let services = &config.services;
    let public = ServicesOptions::public().context("public services")?;
    Ok(ServicesOptions {
        chutes_api: Url::parse(services.chutes_api.as_str()).context("services.chutes_api")?,
        chute_url_template: services.chute_url_template.as_str().to_string(),
        huggingface: Url::parse(services.huggingface.as_str()).context("services.huggingface")?,
        chutes_key: services.chutes_key.clone(),
        huggingface_token: services.huggingface_token.clone(),
        max_clip_bytes: limits.answer_bytes as usize,
        lookup_timeout: Duration::from_secs(services.lookup_timeout_s),
        lookups_at_once: services.lookups_at_once,
        warmup_timeout: Duration::from_secs(services.warmup_s),
        canary_chute: services.canary_chute.clone(),
        file_hosts: services.huggingface_files.split(',').map(|host| host.trim().to_owned()).collect(),
        ..public
    })
}

/// The operator's blacklist; nobody where none is named.
pub(super) fn blacklist(config: &Config) -> Result<Blacklist, Failure> {
    let path = config.miners.blacklist.as_deref();
    path.map_or(Ok(Blacklist::default()), |path| {
        Blacklist::open(path).map_err(|cause| Failure::new(Exit::Unreadable, cause))
    })
}

/// The first SIGTERM or SIGINT stops the validator, the second ends the process: the journal is
/// written before anything follows from it, so nothing is lost.
fn watch_signals(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                info!("stopping: work under way gets 25 seconds; signal again to end at once");
                stop.cancel();
            } else {
                warn!("ending at once");
                std::process::exit(Exit::Internal as i32);
            }
        }
    });
    Ok(())
}

/// Stops once enough rounds have ended (closed or void) and the newest closed one is paid.
async fn stop_after(rounds: usize, pays: bool, book: Arc<RoundsBook>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let mut awaited = None;
    loop {
        tick.tick().await;
        let ended: Vec<_> =
            book.newest(usize::MAX).into_iter().filter(|report| report.phase != "open").collect();
        if ended.len() < rounds {
            continue;
        }
        // Fixed once: with commit-reveal the next round may close before this one is on chain.
        let newest = || ended.iter().find(|report| report.phase == "closed").map(|report| report.round);
        let awaited = *awaited.get_or_insert_with(newest);
        if !pays || book.paid().map(|(round, _)| round) >= awaited {
            info!(
                "{} rounds have ended{}",
                ended.len(),
                if pays { " and the newest closed one is paid" } else { "" }
            );
            return stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_network_wants_a_text_model_or_a_word_by_name() {
        let digits = FINNEY_GENESIS.trim_start_matches("0x");
        let bytes: Vec<u8> = hex::decode(digits).expect("hexadecimal");
        let finney = BlockHash(bytes.try_into().expect("32 bytes"));
        let blind = Rules::embedded();
        assert!(blind.scoring.text.is_none(), "no rules built in have one yet");
        let refused = refuse_blind_rules(&finney, &blind, false).expect_err("refused");
        assert!(format!("{refused:?}").contains("rules.allow_without_text_model"), "{refused:?}");
        assert!(refuse_blind_rules(&finney, &blind, true).is_ok());
        assert!(refuse_blind_rules(&BlockHash([1; 32]), &blind, false).is_ok(), "another chain");
    }
}
