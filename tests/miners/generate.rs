//! `POST /generate`: what is taken, what is refused, who is to blame.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use leoma::{
    config::Secret,
    domain::outcome::Fault,
    miners::{options::ServicesOptions, port::ServiceFault, protocol::GenerateBody},
    sim::services::{ClipMaker, Sleep, StandInAnswer, StandIns},
};

use super::{
    client, miner, options,
    raw::{After, RawServer, Reply},
    request, row,
};

/// Long enough for a loaded machine to answer what it does answer, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

fn impatient(mut options: ServicesOptions) -> ServicesOptions {
    options.connect_timeout = Duration::from_millis(200);
    options
}

/// Asks a stand-in that answers this way.
async fn refusal(answer: StandInAnswer) -> ServiceFault {
    let stand_ins = StandIns::start(vec![miner("a", answer)]).await.expect("loopback");
    let mut options = stand_ins.options();
    options.max_clip_bytes = 64 << 10;
    client(options).ask(request("slug-a")).await.expect_err("refused")
}

/// Asks a server that says these bytes.
async fn raw_refusal(reply: impl Fn() -> Reply + Send + Sync + 'static) -> ServiceFault {
    let server = RawServer::start(move |_| reply()).await;
    client(options(&server)).ask(request("a")).await.expect_err("refused")
}

/// A chute that keeps what it was asked and answers with the seed.
struct Recorder(Mutex<Vec<GenerateBody>>);

#[async_trait]
impl ClipMaker for Recorder {
    async fn answer(&self, body: GenerateBody) -> StandInAnswer {
        let clip = Bytes::from(body.seed.to_string());
        self.0.lock().expect("not poisoned").push(body);
        StandInAnswer::Clip(clip)
    }
}

#[tokio::test]
async fn a_clip_arrives_whole_with_its_invocation_and_the_miner_sees_both_dialects() {
    let recorder = Arc::new(Recorder(Mutex::default()));
    let mut asked = miner("a", StandInAnswer::Hang);
    asked.behaviour = Arc::clone(&recorder) as Arc<dyn ClipMaker>;
    let stand_ins = StandIns::start(vec![asked]).await.expect("loopback");
    let services = client(stand_ins.options());

    let clips = futures::future::join_all((0..20).map(|seed| {
        let mut request = request("slug-a");
        request.seed = seed;
        services.ask(request)
    }))
    .await;

    let mut invocations = Vec::new();
    for (seed, clip) in clips.into_iter().enumerate() {
        let clip = clip.expect("a clip");
        assert_eq!(clip.file.read().expect("whole"), seed.to_string().as_bytes());
        assert!(clip.latency > Duration::ZERO);
        invocations.push(clip.invocation_id.expect("an invocation"));
    }
    invocations.sort();
    invocations.dedup();
    assert_eq!(invocations.len(), 20);
    assert!(invocations[0].starts_with("stand-in-"));
    let bodies = recorder.0.lock().expect("not poisoned");
    let body = bodies.iter().find(|body| body.seed == 7).expect("asked");
    assert_eq!((body.frames, body.num_frames, body.fps), (81, 81, 16));
    assert_eq!((body.width, body.height, body.resolution.as_str(), body.fast), (832, 480, "480p", true));
    assert_eq!(body.first_frame_png().expect("base64"), request("a").first_frame_png);
    assert_eq!(body.prompt, "a cat runs");
}

#[tokio::test]
async fn every_status_of_a_chute_has_its_reason() {
    let table = [
        (201, Fault::Miner, "answer_unexpected_status"),
        (204, Fault::Miner, "answer_unexpected_status"),
        (302, Fault::Miner, "answer_redirected"),
        (400, Fault::Miner, "answer_bad_request"),
        (401, Fault::Us, "chute_key_refused"),
        (402, Fault::Miner, "answer_no_balance"),
        (403, Fault::Us, "chute_key_refused"),
        (404, Fault::Miner, "answer_not_found"),
        (418, Fault::Miner, "answer_unexpected_status"),
        (429, Fault::Miner, "answer_busy"),
        (500, Fault::Miner, "answer_server_error"),
        (502, Fault::Miner, "answer_bad_gateway"),
        (503, Fault::Miner, "answer_cold"),
        (504, Fault::Miner, "answer_gateway_timeout"),
    ];
    for (status, fault, reason) in table {
        let seen = refusal(StandInAnswer::Status(status, "because".into())).await;
        assert_eq!((seen.fault, seen.reason.as_str()), (fault, reason), "{status}: {}", seen.detail);
        assert!(seen.detail.contains(&format!("status {status}")), "{}", seen.detail);
        assert!(seen.detail.contains("invocation stand-in-1"), "{}", seen.detail);
        assert!(status == 204 || seen.detail.contains("because"), "{}", seen.detail);
    }
}

#[tokio::test]
async fn a_cold_or_unknown_chute_is_named() {
    let mut cold = miner("cold", StandInAnswer::Hang);
    cold.sleep = Sleep::Deep;
    let stand_ins = StandIns::start(vec![cold]).await.expect("loopback");
    let services = client(stand_ins.options());
    let ask = async |slug| row(services.ask(request(slug)).await.expect_err("refused"));
    assert_eq!(ask("slug-cold").await, (Fault::Miner, "answer_cold".into()));
    assert_eq!(ask("nobody").await, (Fault::Miner, "answer_not_found".into()));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = RawServer::start(|_| Reply::whole(200, "content-type: video/mp4\r\n", "clip")).await;
    let seen = refusal(StandInAnswer::Redirect(elsewhere.url().to_string())).await;
    assert_eq!(row(seen), (Fault::Miner, "answer_redirected".into()));
    assert_eq!(elsewhere.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_is_cut_at_the_cap_and_one_of_the_caps_size_is_taken() {
    let endless = refusal(StandInAnswer::Endless(Bytes::from_static(&[0; 8192]))).await;
    assert_eq!(row(endless), (Fault::Miner, "answer_too_large".into()));
    let above = refusal(StandInAnswer::Clip(Bytes::from(vec![0; (64 << 10) + 1]))).await;
    assert_eq!(row(above), (Fault::Miner, "answer_too_large".into()));

    let exact = miner("a", StandInAnswer::Clip(Bytes::from(vec![0; 64 << 10])));
    let stand_ins = StandIns::start(vec![exact]).await.expect("loopback");
    let mut options = stand_ins.options();
    options.max_clip_bytes = 64 << 10;
    let clip = client(options).ask(request("slug-a")).await.expect("fits");
    assert_eq!(clip.file.bytes(), 64 << 10);
}

#[tokio::test]
async fn a_lying_content_length_decides_nothing() {
    let head = |length: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: {length}\r\n\r\n")
    };
    // Announces 9 exabytes and closes; announces them and goes on for ever.
    let closed =
        raw_refusal(move || Reply::bytes(head("9000000000000000000") + "a few bytes", After::Close)).await;
    assert_eq!(row(closed), (Fault::Miner, "answer_broken_off".into()));
    let endless =
        raw_refusal(move || Reply::bytes(head("9000000000000000000"), After::Repeat(&[7; 4096]))).await;
    assert_eq!(row(endless), (Fault::Miner, "answer_too_large".into()));
    let nonsense = raw_refusal(move || Reply::bytes(head("-1") + "clip", After::Close)).await;
    assert_eq!(row(nonsense), (Fault::Miner, "answer_broken_off".into()));
    // Announces less than it sends: what HTTP says is the body is the body.
    let server = RawServer::start(move |_| Reply::bytes(head("4") + "clip and more", After::Close)).await;
    let asking = client(options(&server));
    let clip = asking.ask(request("a")).await.expect("a short clip");
    assert_eq!(clip.file.read().expect("whole"), b"clip");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_broken_off() {
    for bytes in [
        b"".as_slice(),
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhal",
        b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let seen = raw_refusal(move || Reply::bytes(bytes, After::Close)).await;
        assert_eq!(row(seen), (Fault::Miner, "answer_broken_off".into()), "{}", bytes.escape_ascii());
    }
    let endless_head = raw_refusal(|| {
        Reply::bytes("HTTP/1.1 200 OK\r\n", After::Repeat(b"x-more: and more and more and more\r\n"))
    })
    .await;
    assert_eq!(row(endless_head), (Fault::Miner, "answer_broken_off".into()));
}

#[tokio::test]
async fn silence_and_drips_end_at_the_deadline_of_the_whole_call() {
    let drip = StandInAnswer::Drip { piece: Bytes::from_static(b"x"), every: Duration::from_millis(10) };
    for answer in [StandInAnswer::Hang, StandInAnswer::Stall(Bytes::from_static(b"ftyp")), drip] {
        let shown = format!("{answer:?}");
        let stand_ins = StandIns::start(vec![miner("a", answer)]).await.expect("loopback");
        let mut request = request("slug-a");
        request.timeout = SHORT;
        let started = Instant::now();
        let seen = client(impatient(stand_ins.options())).ask(request).await.expect_err("too late");
        assert_eq!(row(seen), (Fault::Miner, "answer_timeout".into()), "{shown}");
        assert!((SHORT..SHORT * 20).contains(&started.elapsed()), "{shown} {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_error_status_counts_even_where_its_body_never_ends() {
    for after in [After::Silence, After::Repeat(b"sorry ")] {
        let head =
            "HTTP/1.1 500 X\r\ncontent-type: video/mp4\r\ncontent-length: 99999999999\r\n\r\nout of memory";
        let seen = raw_refusal(move || Reply::bytes(head, after)).await;
        assert!(seen.detail.contains("out of memory") && seen.detail.len() < 500, "{}", seen.detail);
        assert_eq!(row(seen), (Fault::Miner, "answer_server_error".into()));
    }
}

#[tokio::test]
async fn nobody_is_blamed_when_the_deadline_could_have_gone_into_connecting() {
    let stand_ins = StandIns::start(vec![miner("a", StandInAnswer::Hang)]).await.expect("loopback");
    let mut options = stand_ins.options();
    options.connect_timeout = SHORT;
    let mut request = request("slug-a");
    request.timeout = SHORT;
    let seen = client(options).ask(request).await.expect_err("too late");
    assert_eq!(row(seen), (Fault::Us, "answer_deadline_too_short".into()));
}

#[tokio::test]
async fn a_closed_port_is_not_the_miners_fault() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let server = RawServer::start(|_| Reply::whole(200, "", "")).await;
    let mut options = options(&server);
    options.chute_url_template = format!("http://127.0.0.1:{port}/{{slug}}");
    let seen = client(options).ask(request("a")).await.expect_err("nobody there");
    assert_eq!(row(seen), (Fault::Us, "chute_unreachable".into()));
}

#[tokio::test]
async fn only_a_video_with_bytes_in_it_is_a_clip() {
    let html = StandInAnswer::Typed { content_type: "text/html".into(), body: Bytes::from_static(b"<p>") };
    assert_eq!(row(refusal(html).await), (Fault::Miner, "answer_wrong_type".into()));
    assert_eq!(row(refusal(StandInAnswer::Clip(Bytes::new())).await), (Fault::Miner, "answer_empty".into()));
    let untyped = raw_refusal(|| Reply::whole(200, "", "clip")).await;
    assert_eq!(row(untyped), (Fault::Miner, "answer_wrong_type".into()));
}

#[tokio::test]
async fn a_slug_cannot_leave_its_place_in_the_address() {
    let server = RawServer::start(|_| Reply::whole(200, "content-type: video/mp4\r\n", "clip")).await;
    let services = client(options(&server));
    for slug in ["", "../admin", "a/b", "evil.example", "a?b", "a#", "a@b", "A", "%2e%2e", &"a".repeat(64)] {
        let seen = services.ask(request(slug)).await.expect_err(slug);
        assert_eq!(row(seen), (Fault::Us, "chute_slug_unusable".into()), "{slug}");
    }
    assert_eq!(server.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn the_chutes_key_goes_to_the_chute_and_the_other_token_does_not() {
    let server = RawServer::start(|_| Reply::whole(200, "content-type: video/mp4\r\n", "clip")).await;
    let mut options = options(&server);
    options.chutes_key = Some(Secret::literal("cpk_secret"));
    options.huggingface_token = Some(Secret::literal("hf_secret"));
    client(options).ask(request("me")).await.expect("a clip");
    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("POST /x/me/generate HTTP/1.1"), "{}", heads[0]);
    assert!(heads[0].contains("authorization: Bearer cpk_secret"), "{}", heads[0]);
    assert!(!heads[0].contains("hf_secret"));
}

#[tokio::test]
async fn dropping_the_stand_ins_ends_answers_under_way() {
    struct Announcing(tokio::sync::Notify);
    #[async_trait]
    impl ClipMaker for Announcing {
        async fn answer(&self, _body: GenerateBody) -> StandInAnswer {
            self.0.notify_one();
            StandInAnswer::Stall(Bytes::from_static(b"ftyp"))
        }
    }
    let chute = Arc::new(Announcing(tokio::sync::Notify::new()));
    let mut asked = miner("a", StandInAnswer::Hang);
    asked.behaviour = Arc::clone(&chute) as Arc<dyn ClipMaker>;
    let stand_ins = StandIns::start(vec![asked]).await.expect("loopback");
    let services = client(stand_ins.options());
    let call = tokio::spawn(async move { services.ask(request("slug-a")).await });
    chute.0.notified().await;
    drop(stand_ins);
    let seen = call.await.expect("no panic").expect_err("ended");
    assert_ne!(seen.reason, "answer_timeout", "{seen}");
}
