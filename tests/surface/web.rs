//! The operator's pages through a real socket.

use std::sync::{Arc, Mutex};

use leoma::{
    domain::ids::{BlockNumber, RoundId},
    runtime::board::{ActorState, Board, Ending},
    telemetry::{Health, HealthLimits, HealthOptions, Metrics, MetricsOptions, Vitals},
    web::{MAX_ROUNDS, RoundsUnreadable, RoundsView, WebError, WebOptions, WebState, serve},
};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Rounds 1 to 300 in memory; round 13 panics, as a broken view would, and round 14 cannot be read.
#[derive(Default)]
struct Rounds {
    asked: Mutex<Vec<usize>>,
}

impl RoundsView for Rounds {
    fn list(&self, limit: usize) -> Vec<Value> {
        self.asked.lock().expect("not poisoned").push(limit);
        (1..=300u64).rev().take(limit).map(|round| json!({"round": round})).collect()
    }

    fn get(&self, round: RoundId) -> Result<Option<Value>, RoundsUnreadable> {
        assert_ne!(round.0, 13, "a broken view");
        if round.0 == 14 {
            return Err(RoundsUnreadable("disk on fire".into()));
        }
        Ok((1..=300).contains(&round.0).then(|| json!({"round": round, "miners": []})))
    }
}

struct House {
    address: SocketAddr,
    board: Arc<Board>,
    vitals: Arc<Vitals>,
    rounds: Arc<Rounds>,
    token: CancellationToken,
    task: JoinHandle<()>,
}

impl House {
    async fn open() -> Self {
        let (board, vitals) = (Board::new(), Vitals::new());
        let readiness = Arc::new(Health::new(HealthOptions {
            board: Arc::clone(&board),
            vitals: Arc::clone(&vitals),
            actors: vec!["decoder"],
            limits: HealthLimits {
                head_silence: Duration::from_secs(600),
                handler_busy: Duration::from_secs(600),
                min_rounds_left: 0,
            },
        }));
        let metrics = Metrics::new(MetricsOptions {
            board: Arc::clone(&board),
            vitals: Arc::clone(&vitals),
            readiness: readiness.clone(),
        });
        let rounds = Arc::new(Rounds::default());
        let state = WebState { board: Arc::clone(&board), metrics, rounds: rounds.clone(), readiness };
        let token = CancellationToken::new();
        let options = WebOptions { listen: "127.0.0.1:0".parse().expect("loopback") };
        let (address, task) = serve(options, state, token.clone()).await.expect("a free port");
        Self { address, board, vitals, rounds, token, task }
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: leoma\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(self.address).await.expect("listening");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("status");
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).await
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"]["code"].as_str().unwrap_or("no code").to_owned())
    }
}

#[tokio::test]
async fn readiness_follows_what_happens_and_names_every_reason() {
    let house = House::open().await;
    let first = house.get("/readyz").await;
    assert_eq!(first.status, 503);
    let json = first.json();
    assert_eq!(json["ready"], false);
    let codes: Vec<&str> =
        json["reasons"].as_array().expect("list").iter().filter_map(|r| r["code"].as_str()).collect();
    assert_eq!(codes, ["no_block_yet", "actor_missing"]);
    assert_eq!(house.get("/livez").await.status, 200);

    house.vitals.head_seen(BlockNumber(7));
    let decoder = house.board.register("decoder", 4);
    decoder.set_state(ActorState::Running);
    let ready = house.get("/readyz").await;
    assert_eq!((ready.status, ready.json()), (200, json!({"ready": true, "reasons": []})));
    assert!(house.get("/metrics").await.body.contains("\nleoma_ready 1\n"));

    decoder.died(&"panicked at 'boom'");
    let dead = house.get("/readyz").await;
    assert_eq!(dead.status, 503);
    assert_eq!(dead.json()["reasons"][0]["detail"], "actor decoder is dead: panicked at 'boom'");
    assert!(house.get("/metrics").await.body.contains("\nleoma_ready 0\n"));
}

#[tokio::test]
async fn a_wedged_actor_stays_visible() {
    let house = House::open().await;
    let decoder = house.board.register("decoder", 4);
    decoder.set_state(ActorState::Running);
    let _waiting = decoder.enqueued();
    let _working = decoder.enqueued().start();
    decoder.finished(Ending::Failed(&"child was killed"));
    // A handler that never returns while the page is read.
    let _stuck = decoder.handling();
    let row = house.get("/actors").await.json()["actors"][0].clone();
    assert_eq!(row["name"], "decoder");
    assert_eq!(row["state"], "running");
    assert_eq!(row["mailbox"], json!({"depth": 1, "bound": 4}));
    assert_eq!(
        (&row["in_flight"], &row["processed"], &row["errors"], &row["restarts"]),
        (&json!(1), &json!(1), &json!(1), &json!(0))
    );
    assert_eq!(row["last_error"], "child was killed");
    assert_eq!(row["handler_ms"], json!({"p50": null, "p99": null}));
    assert!(row["busy_for_ms"].is_u64(), "{row}");
}

#[tokio::test]
async fn rounds_are_listed_newest_first_within_bounds() {
    let house = House::open().await;
    assert_eq!(house.get("/rounds").await.json()["rounds"].as_array().map(Vec::len), Some(20));
    let two = house.get("/rounds?limit=2").await.json();
    assert_eq!(two, json!({"rounds": [{"round": 300}, {"round": 299}]}));
    assert_eq!(house.get(&format!("/rounds?limit={MAX_ROUNDS}")).await.status, 200);
    for bad in ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=99999999999999999999", "size=3"] {
        assert_eq!(house.get(&format!("/rounds?{bad}")).await.error(), (400, "malformed".into()), "{bad}");
    }
    assert_eq!(*house.rounds.asked.lock().expect("not poisoned"), [20, 2, MAX_ROUNDS]);
    assert_eq!(house.get("/rounds/41").await.json(), json!({"round": 41, "miners": []}));
    assert_eq!(house.get("/rounds/999").await.error(), (404, "no_such_round".into()));
    assert_eq!(house.get("/rounds/newest").await.error(), (400, "malformed".into()));
}

#[tokio::test]
async fn a_view_that_panics_costs_one_answer_and_not_the_server() {
    let house = House::open().await;
    assert_eq!(house.get("/rounds/13").await.error(), (500, "internal".into()));
    assert_eq!(house.get("/rounds/14").await.error(), (500, "internal".into()));
    assert_eq!(house.get("/rounds/15").await.status, 200);
}

#[tokio::test]
async fn unknown_pages_and_methods_are_refused_in_json() {
    let house = House::open().await;
    assert_eq!(house.get("/nothing").await.error(), (404, "no_such_page".into()));
    assert_eq!(house.ask("POST", "/rounds").await.error(), (405, "method_not_allowed".into()));
    let head = house.ask("HEAD", "/actors").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn the_index_lists_every_page_and_each_answers() {
    let house = House::open().await;
    let index = house.get("/").await;
    assert!(index.head.contains("content-type: text/html"), "{}", index.head);
    assert!(index.head.contains("x-content-type-options: nosniff"), "{}", index.head);
    let links: Vec<&str> =
        index.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links, ["/metrics", "/actors", "/rounds", "/livez", "/readyz"]);
    for link in links {
        assert_ne!(house.get(link).await.status, 404, "{link}");
    }
    let metrics = house.get("/metrics").await;
    assert!(metrics.head.contains("application/openmetrics-text"), "{}", metrics.head);
    assert!(metrics.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn cancelling_the_token_closes_the_port_and_ends_the_task() {
    let house = House::open().await;
    assert_eq!(house.get("/livez").await.status, 200);
    house.token.cancel();
    house.task.await.expect("ends without a panic");
    assert!(TcpStream::connect(house.address).await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_what_to_set() {
    let house = House::open().await;
    let (board, vitals) = (Board::new(), Vitals::new());
    let limits =
        HealthLimits { head_silence: Duration::MAX, handler_busy: Duration::MAX, min_rounds_left: 0 };
    let options = HealthOptions { board: board.clone(), vitals: vitals.clone(), actors: vec![], limits };
    let readiness = Arc::new(Health::new(options));
    let metrics = Metrics::new(MetricsOptions { board: board.clone(), vitals, readiness: readiness.clone() });
    let state = WebState { board, metrics, rounds: Arc::new(Rounds::default()), readiness };
    let refused = serve(WebOptions { listen: house.address }, state, CancellationToken::new()).await;
    let Err(error @ WebError::Bind { .. }) = refused else { panic!("bound twice") };
    assert!(error.to_string().contains("set web.listen to a free address"), "{error}");
}
