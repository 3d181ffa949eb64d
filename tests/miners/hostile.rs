//! Chutes that misbehave in every way: each call ends in a typed outcome, within its time, its bytes and its disk.

use std::time::{Duration, Instant};

use leoma::{domain::outcome::Fault, miners::faults};
use proptest::{prelude::*, test_runner::Config};

use super::{
    client, options,
    raw::{After, RawServer, Reply},
    request, row,
};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\n";
const CAP: usize = 64 << 10;

/// Asks a server that says this, with a cap of 64 KiB and some time.
async fn end(reply: Reply, time: Duration) -> Result<u64, (Fault, String)> {
    let said = (reply.bytes.clone(), reply.after);
    let server = RawServer::start(move |_| Reply::bytes(said.0.clone(), said.1)).await;
    let mut options = options(&server);
    options.max_clip_bytes = CAP;
    options.connect_timeout = time / 2;
    let asking = client(options);
    let mut request = request("a");
    request.timeout = time;
    let started = Instant::now();
    let answer = asking.ask(request).await;
    // Slack for a loaded machine; the limit itself is held far below.
    assert!(started.elapsed() < time + Duration::from_secs(10), "{:?}", started.elapsed());
    let kept = answer.as_ref().map_or(0, |clip| clip.file.bytes());
    assert!(kept <= CAP as u64);
    assert_eq!(asking.files(), usize::from(answer.is_ok()), "nothing of a broken answer is left on disk");
    answer.map(|clip| clip.file.bytes()).map_err(row)
}

const TIME: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

fn miner(reason: &str) -> Result<u64, (Fault, String)> {
    Err((Fault::Miner, reason.to_owned()))
}

#[tokio::test]
async fn slowness_ends_at_the_deadline() {
    let slow_first_byte = Reply::bytes("", After::Silence);
    assert_eq!(end(slow_first_byte, SHORT).await, miner("answer_timeout"));
    let pause = Duration::from_millis(5);
    let slow_head = Reply::bytes("HTTP/1.1 200 OK\r\nx-slow: ", After::Drip(b"a", pause));
    assert_eq!(end(slow_head, SHORT).await, miner("answer_timeout"));
    let slow_drip = Reply::bytes(format!("{HEAD}content-length: 60000\r\n\r\n"), After::Drip(b"ftyp", pause));
    assert_eq!(end(slow_drip, SHORT).await, miner("answer_timeout"));
    let endless_continue =
        Reply::bytes("", After::Drip(b"HTTP/1.1 100 Continue\r\n\r\n", Duration::from_millis(1)));
    let seen = end(endless_continue, SHORT).await.expect_err("no answer");
    assert!(seen.1 == "answer_timeout" || seen.1 == "answer_broken_off", "{seen:?}");
}

#[tokio::test]
async fn lengths_that_lie_and_bodies_without_end_are_cut() {
    let announced = |length: &str, body: &str, after| {
        end(Reply::bytes(format!("{HEAD}content-length: {length}\r\n\r\n{body}"), after), TIME)
    };
    assert_eq!(announced("100", "short", After::Close).await, miner("answer_broken_off"));
    assert_eq!(announced("3", "longer", After::Close).await, Ok(3));
    assert_eq!(announced("1073741824", "", After::Repeat(&[7; 4096])).await, miner("answer_too_large"));
    let endless = Reply::bytes(format!("{HEAD}\r\n"), After::Repeat(&[7; 4096]));
    assert_eq!(end(endless, TIME).await, miner("answer_too_large"));
    let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
    let endless = Reply::bytes(chunked.clone(), After::Repeat(b"400\r\n\0\0\0\0"));
    assert!(end(endless, TIME).await.is_err());
    let extensions = Reply::bytes(chunked.clone() + "1;", After::Repeat(b"a=b;"));
    assert_eq!(end(extensions, TIME).await, miner("answer_broken_off"));
    let trailers = Reply::bytes(chunked + "1\r\nx\r\n0\r\n", After::Repeat(b"x-more: trailers\r\n"));
    assert_eq!(end(trailers, TIME).await, miner("answer_broken_off"));
    let both = format!("{HEAD}content-length: 4\r\ncontent-length: 5\r\n\r\nclips");
    assert!(end(Reply::bytes(both, After::Close), TIME).await.is_err(), "two lengths");
}

#[tokio::test]
async fn ends_in_the_middle_are_the_miners() {
    for after in [After::Close, After::HalfClose, After::Reset] {
        let begun = Reply::bytes(format!("{HEAD}content-length: 60000\r\n\r\nftyp"), after);
        assert_eq!(end(begun, TIME).await, miner("answer_broken_off"), "{after:?}");
        let head = Reply::bytes("HTTP/1.1 200 OK\r\ncontent-ty", after);
        assert_eq!(end(head, TIME).await, miner("answer_broken_off"), "{after:?}");
    }
    let whole = Reply::bytes(format!("{HEAD}content-length: 4\r\n\r\nclip"), After::HalfClose);
    assert_eq!(end(whole, TIME).await, Ok(4), "a server that is done may say so");
}

#[tokio::test]
async fn floods_of_headers_and_redirects_lead_nowhere() {
    let flood = Reply::bytes(HEAD, After::Repeat(b"x-more: and more and more\r\n"));
    assert_eq!(end(flood, TIME).await, miner("answer_broken_off"));
    let long = format!("{HEAD}x-long: {}\r\ncontent-length: 4\r\n\r\nclip", "x".repeat(1 << 20));
    assert_eq!(end(Reply::bytes(long, After::Close), TIME).await, miner("answer_broken_off"));
    for location in
        ["/x/a/generate", "http://169.254.169.254/latest", "file:///etc/passwd", "//evil.example", ""]
    {
        let there = format!("HTTP/1.1 302 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(
            end(Reply::bytes(there, After::Close), TIME).await,
            miner("answer_redirected"),
            "{location}"
        );
    }
}

#[tokio::test]
async fn nothing_is_unpacked() {
    // One MiB of zeros, packed by gzip into one KiB: unpacked it would be above the cap.
    let bomb = include_bytes!("zeros.gz").to_vec();
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, gzip"] {
        let head = format!("{HEAD}content-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n", bomb.len());
        let reply = Reply::bytes([head.as_bytes(), &bomb].concat(), After::Close);
        assert_eq!(end(reply, TIME).await, miner("answer_wrong_type"), "{encoding}");
    }
    // Unannounced it is taken for what it is: bytes.
    let head = format!("{HEAD}content-encoding: identity\r\ncontent-length: {}\r\n\r\n", bomb.len());
    let length = bomb.len() as u64;
    let server =
        RawServer::start(move |_| Reply::bytes([head.as_bytes(), &bomb].concat(), After::Close)).await;
    let asking = client(options(&server));
    assert_eq!(asking.ask(request("a")).await.expect("bytes").file.bytes(), length);
    assert!(
        server.heads()[0].to_ascii_lowercase().contains("accept-encoding: identity"),
        "{:?}",
        server.heads()
    );
}

#[tokio::test]
async fn a_failed_handshake_is_no_fault_of_the_miner() {
    for bytes in [b"".as_slice(), b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"] {
        let server = RawServer::start(move |_| Reply::bytes(bytes, After::Close)).await;
        let mut options = options(&server);
        // The server never reads a handshake to its end: the client's hello is no HTTP request.
        options.chute_url_template = format!("https://127.0.0.1:{}/x/{{slug}}", server.address.port());
        options.connect_timeout = SHORT;
        let mut request = request("a");
        request.timeout = TIME;
        let seen = row(client(options).ask(request).await.expect_err("no TLS"));
        assert_eq!(seen, (Fault::Us, "chute_unreachable".into()));
    }
}

#[tokio::test]
async fn a_name_that_leads_into_a_private_network_is_not_followed() {
    let server = RawServer::start(|_| Reply::whole(200, "content-type: video/mp4\r\n", "clip")).await;
    // Names of this machine and its network other than `localhost`, whatever they are here.
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let names =
        hosts.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace().skip(1));
    for name in names.filter(|name| *name != "localhost" && !name.contains('_')) {
        let mut options = options(&server);
        options.chute_url_template = format!("https://{name}:{}/{{slug}}", server.address.port());
        let seen = row(client(options).ask(request("a")).await.expect_err("refused"));
        assert_eq!(seen, (Fault::Us, "chute_private_address".into()), "{name}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_answer_lies_on_disk_while_it_comes() {
    let server = RawServer::start(|_| {
        let head = format!("{HEAD}content-length: 4194304\r\n\r\n");
        Reply::bytes([head.into_bytes(), vec![7; 1 << 20]].concat(), After::Silence)
    })
    .await;
    let mut options = options(&server);
    options.max_clip_bytes = 8 << 20;
    let asking = client(options);
    let drafts = asking.folder.path().join("spool/drafts");
    let on_disk = || {
        let sizes =
            std::fs::read_dir(&drafts).expect("drafts").filter_map(|draft| draft.ok()?.metadata().ok());
        sizes.map(|draft| draft.len()).sum::<u64>()
    };
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let most_of_it = async {
        while on_disk() < 768 << 10 {
            tick.tick().await;
        }
    };
    tokio::select! {
        end = asking.ask(request("a")) => panic!("ended: {end:?}"),
        () = most_of_it => {}
    }
    // The call was dropped half way, as at the end of a round.
    while on_disk() > 0 {
        tokio::task::yield_now().await;
    }
}

/// What a random server says.
fn misbehaviour() -> impl Strategy<Value = Reply> {
    let head = prop_oneof![
        3 => (0_usize..2 * CAP).prop_map(|length| format!("{HEAD}content-length: {length}\r\n\r\n")),
        1 => Just(format!("{HEAD}transfer-encoding: chunked\r\n\r\n")),
        1 => Just(format!("{HEAD}\r\n")),
        1 => "[ -~]{0,40}",
        2 => (100_u16..=999).prop_map(|status| format!("HTTP/1.1 {status} X\r\ncontent-type: video/mp4\r\n\r\n")),
        1 => "[a-z-]{1,10}: [ -~]{0,20}".prop_map(|line| format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n")),
    ];
    let after = prop_oneof![
        Just(After::Close),
        Just(After::HalfClose),
        Just(After::Reset),
        Just(After::Silence),
        Just(After::Repeat(&[b'z'; 1000])),
        Just(After::Repeat(b"5\r\nhallo\r\n")),
        Just(After::Drip(b"\r\n0", Duration::from_millis(3))),
    ];
    let cut = prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..60];
    (head, prop::collection::vec(any::<u8>(), 0..300), 0_usize..400, cut, after).prop_map(
        |(head, body, times, cut, after)| {
            let mut bytes = head.into_bytes();
            (0..times).for_each(|_| bytes.extend_from_slice(&body));
            bytes.truncate(cut);
            Reply::bytes(bytes, after)
        },
    )
}

proptest! {
    #![proptest_config(Config { cases: 8, ..Config::default() })]

    #[test]
    fn every_answer_ends_in_a_typed_outcome(replies in prop::collection::vec(misbehaviour(), 16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let ends = replies.into_iter().map(|reply| end(reply, Duration::from_millis(120)));
        let ends = runtime.block_on(futures::future::join_all(ends));
        for (fault, reason) in ends.into_iter().filter_map(Result::err) {
            prop_assert!(faults::advice(&reason).is_some(), "{} is in no row", reason);
            prop_assert!(matches!(fault, Fault::Miner | Fault::Us), "{:?} {}", fault, reason);
        }
    }
}
