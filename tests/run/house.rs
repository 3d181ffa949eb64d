//! The real house inside a story's own process, for what no second process can do to it.

use std::{sync::Arc, time::Duration};

use leoma::{
    actors::house::{ACTORS, Concurrency, House, HouseParts},
    chain::{
        subtensor::{SubtensorChain, SubtensorOptions},
        wallet::HotkeySigner,
    },
    corpus::{Corpus, CorpusOptions},
    decode::{Decoder, DecoderOptions},
    domain::rules::ActiveRules,
    gpu::cpu::CpuScorer,
    miners::{options::ServicesOptions, services::HttpServices},
    runtime::{board::Board, steward::GivenUp},
    store::{book::RoundsBook, journal::JournalIdentity},
    telemetry::{Health, HealthLimits, HealthOptions, Metrics, MetricsOptions, Vitals},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::world::*;

/// The parts of `leoma run`, with the binary under test as decode child.
pub async fn parts(world: &World) -> HouseParts {
    let connections = &world.connections;
    let url = |text: &str| Url::parse(text).expect("address");
    let signer = HotkeySigner::read_file(&connections.hotkey_file).expect("key file");
    let options =
        SubtensorOptions { signer: Some(signer), ..SubtensorOptions::new(vec![url(&connections.chain)]) };
    let chain = SubtensorChain::connect(options).await.expect("the chain answers");
    let services = HttpServices::new(ServicesOptions {
        chutes_api: url(&connections.chutes_api),
        chute_url_template: connections.chute_url_template.clone(),
        huggingface: url(&connections.huggingface),
        ..ServicesOptions::public().expect("addresses")
    });
    let decoder = Arc::new(Decoder::new(DecoderOptions::with_worker(LEOMA.into())));
    let location = CorpusOptions::at(world.path("corpus").display().to_string());
    let corpus = Corpus::open(location, Arc::clone(&decoder)).await.expect("corpus");
    let (board, vitals) = (Board::new(), Vitals::new());
    let limits = HealthLimits {
        head_silence: Duration::from_secs(60),
        handler_busy: Duration::from_secs(10),
        min_rounds_left: 0,
    };
    let readiness = Arc::new(Health::new(HealthOptions {
        board: Arc::clone(&board),
        vitals: Arc::clone(&vitals),
        actors: ACTORS.to_vec(),
        limits,
    }));
    let metrics =
        Metrics::new(MetricsOptions { board: Arc::clone(&board), vitals: Arc::clone(&vitals), readiness });
    let rules = std::fs::read_to_string(world.path("rules.toml")).expect("rules");
    std::fs::create_dir_all(world.state()).expect("state folder");
    HouseParts {
        identity: JournalIdentity {
            genesis: chain.genesis().to_string(),
            netuid: connections.netuid.to_string(),
            hotkey: connections.validator_hotkey.to_string(),
        },
        chain: Arc::new(chain),
        services: Arc::new(services.expect("a client")),
        corpus: Arc::new(corpus),
        decoder,
        scorer: Arc::new(CpuScorer::new(0).expect("threads")),
        models: None,
        rules: Arc::new(ActiveRules::parse(&rules).expect("rules")),
        netuid: connections.netuid,
        state_dir: world.state(),
        pays: true,
        version_key: 0,
        dry_run: false,
        vouched: Arc::default(),
        blacklist: Arc::default(),
        concurrency: Concurrency { requests: 16, decoders: 2, scorers: 2 },
        request_cap: Duration::from_secs(600),
        board,
        vitals,
        metrics,
        book: Arc::new(RoundsBook::default()),
    }
}

/// Runs a story on actix's own thread, with a runtime of many beside it.
pub fn on_actix(story: impl Future<Output = ()>) {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("an async runtime");
    actix_rt::System::with_tokio_rt(runtime).block_on(story);
}

/// Runs a house until somebody was paid or patience ends, and says how the house ended and whether somebody was.
pub async fn runs_until_paid(parts: HouseParts) -> (Result<(), GivenUp>, bool) {
    let book = Arc::clone(&parts.book);
    let stop = CancellationToken::new();
    let house = House::build(parts).expect("state folder");
    let paid = async {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        while book.paid().is_none() {
            tick.tick().await;
        }
    };
    let watched = async {
        let paid = tokio::time::timeout(PATIENCE, paid).await.is_ok();
        stop.cancel();
        paid
    };
    tokio::join!(house.run(stop.clone()), watched)
}
