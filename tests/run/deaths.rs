//! Every actor of the real house dies once while it handles a message, and the round goes on.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use leoma::{
    actors::house::{ACTORS, Concurrency, House, HouseParts},
    chain::{
        subtensor::{SubtensorChain, SubtensorOptions},
        wallet::HotkeySigner,
    },
    corpus::{Corpus, CorpusOptions},
    decode::{Decoder, DecoderOptions},
    domain::{outcome::Fault, rules::ActiveRules},
    gpu::cpu::CpuScorer,
    miners::{options::ServicesOptions, services::HttpServices},
    runtime::board::Board,
    store::{book::RoundsBook, journal::JournalIdentity},
    telemetry::{Health, HealthLimits, HealthOptions, Metrics, MetricsOptions, Vitals},
};
use tokio_util::sync::CancellationToken;
use tracing::{Event, Subscriber, field::Visit, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use url::Url;

use super::world::*;

/// Panics inside the actor that opens one of these spans or says one of these texts, once for each.
struct Reaper {
    doomed: Mutex<BTreeSet<&'static str>>,
}

impl Reaper {
    fn strike(&self, mark: &str) {
        // The lock is released before the panic.
        let struck = self.doomed.lock().expect("never poisoned").remove(mark);
        assert!(!struck, "struck down at `{mark}`");
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: Subscriber> Layer<S> for Reaper {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _id: &span::Id, _context: Context<'_, S>) {
        self.strike(attributes.metadata().name());
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if let Some((head, _)) = message.0.split_once(": ") {
            self.strike(head);
        }
    }
}

/// The parts of `leoma run`, with the binary under test as decode child.
pub(super) async fn parts(world: &World) -> HouseParts {
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
    let limits =
        HealthLimits { head_silence: Duration::from_secs(60), handler_busy: Duration::from_secs(10) };
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
        blacklist: Arc::default(),
        concurrency: Concurrency { requests: 16, decoders: 2, scorers: 2 },
        request_cap: Duration::from_secs(600),
        board,
        vitals,
        metrics,
        book: Arc::new(RoundsBook::default()),
    }
}

#[test]
fn every_actor_dies_once_and_the_round_is_closed_and_paid() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("an async runtime");
    actix_rt::System::with_tokio_rt(runtime).block_on(async {
        // Time for the deaths, for a dispute about copies, and for payment before the next round ends.
        let mut rules = small_rules();
        rules.schedule.round_interval_blocks = 160;
        rules.schedule.answer_within_blocks = 60;
        rules.schedule.settle_within_blocks = 120;
        let world = World::start_by(&rules, 250).await;
        let parts = parts(&world).await;
        // Marks of handlers that run on the actors' own thread: sync_roster of MinerRegistry, `open: ` of
        // RoundClock (after the plan is journalled, before anybody is asked), and one of each stage.
        let marks = ["sync_roster", "open", "ask_miners", "decode", "score", "set_weights"];
        let reaper = Reaper { doomed: Mutex::new(marks.into_iter().collect()) };
        // tracing remembers one answer per callsite. While there is one subscriber in the process it asks the current thread's,
        // so another story's thread, which has none, would switch off what it meets first; a second one makes it ask both.
        let _second = tracing::Dispatch::new(tracing_subscriber::registry());
        // For this thread only: that is where actors handle messages.
        let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(reaper));
        let (book, board) = (Arc::clone(&parts.book), Arc::clone(&parts.board));
        let stop = CancellationToken::new();
        let house = House::build(parts).expect("state folder");
        let paid = async {
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            while book.paid().is_none() {
                tick.tick().await;
            }
            stop.cancel();
        };
        let (end, paid) = tokio::join!(house.run(stop.clone()), tokio::time::timeout(PATIENCE, paid));
        assert!(paid.is_ok(), "nobody was paid: {board:#?}");
        assert_eq!(end, Ok(()), "no actor died too often");

        for actor in board.snapshot() {
            assert_eq!(actor.restarts, 1, "{actor:#?}");
        }
        let (round, _) = book.paid().expect("paid");
        let report = book.get(round).expect("the paid round");
        assert_eq!(report.phase, "closed");
        // The next one may be open already: disputes take what is left of a round's time.
        assert_eq!(book.newest(9).last().map(|oldest| oldest.round), Some(round), "no death cost a round");
        let miners: BTreeSet<_> = world.roster.iter().map(|line| line.hotkey).collect();
        assert_eq!(report.miners.iter().map(|row| row.hotkey).collect::<BTreeSet<_>>(), miners);
        assert!(report.winner.is_some(), "{report:#?}");
        // A ticket that went down with an actor is sent out again; one that went down twice in the same stage
        // may be what kills them, and ends as our fault.
        for row in report.miners.iter().filter(|row| row.reason == "dropped") {
            assert_eq!((row.outcome.as_str(), row.fault), ("forfeit", Some(Fault::Us)), "{row:?}");
        }
    });
}
