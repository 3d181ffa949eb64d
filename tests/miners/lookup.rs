//! Look-ups at Chutes and Hugging Face: every row of the table of faults, and the bounds.

use std::time::Duration;

use leoma::{
    config::Secret,
    domain::{
        commitment::Commitment,
        outcome::Fault,
        roster::{Deployment, Lookup},
    },
    miners::{options::ServicesOptions, port::MinerServices as _},
    sim::services::{Sleep, StandInAnswer, StandIns},
};
use serde_json::{Value, json};

use super::{
    REVISION, client, commitment, miner, options,
    raw::{After, RawServer, Reply},
    row,
};

fn chute_record() -> Value {
    json!({"chute_id": "c", "slug": "the-slug", "revision": null, "hot": true, "instances": [{"active": true}]})
}

fn model_record() -> Value {
    json!({"sha": REVISION, "siblings": [
        {"rfilename": "a.safetensors", "lfs": {"sha256": "1".repeat(64)}}, {"rfilename": "README.md"}]})
}

fn asked() -> Commitment {
    Commitment { model_name: "user/leoma-x".into(), model_revision: REVISION.into(), chute_id: "c".into() }
}

/// Resolves against a server where one of the services answers as given and the other one well.
async fn resolve(
    service: &'static str,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
    change: impl FnOnce(&mut ServicesOptions),
) -> Result<Deployment, (Fault, String)> {
    let server = RawServer::start(move |target| {
        if target.starts_with(service) {
            reply()
        } else if target.starts_with(CHUTES) {
            Reply::json(&chute_record())
        } else {
            Reply::json(&model_record())
        }
    })
    .await;
    let mut options = options(&server);
    change(&mut options);
    client(options).resolve(&asked()).await.map_err(row)
}

const CHUTES: &str = "/chutes/";
const MODELS: &str = "/api/models/";

fn expected(fault: Fault, reason: &str) -> Result<Deployment, (Fault, String)> {
    Err((fault, reason.to_owned()))
}

#[tokio::test]
async fn a_good_commitment_resolves_to_slug_and_model_hash() {
    let stand_ins = StandIns::start(vec![miner("a", StandInAnswer::Hang)]).await.expect("loopback");
    let deployment = client(stand_ins.options()).resolve(&commitment("a")).await.expect("found");
    assert_eq!((deployment.chute_id.as_str(), deployment.slug.as_str()), ("chute-a", "slug-a"));
    // SHA-256 of the one weight file's digest in hexadecimal.
    let file = leoma::domain::ids::Digest::of(b"a").to_string();
    assert_eq!(deployment.model_hash, leoma::domain::ids::Digest::of(file.as_bytes()).to_string());
}

#[tokio::test]
async fn every_status_of_the_chute_look_up_has_its_reason() {
    let table = [
        (302, Fault::Platform, "chute_lookup_unexpected"),
        (400, Fault::Miner, "chute_fetch_failed"),
        (401, Fault::Us, "chute_lookup_refused"),
        (402, Fault::Us, "chute_lookup_refused"),
        (403, Fault::Us, "chute_lookup_refused"),
        (404, Fault::Miner, "chute_fetch_failed"),
        (422, Fault::Miner, "chute_fetch_failed"),
        (429, Fault::Us, "chute_lookup_limited"),
        (500, Fault::Platform, "chute_lookup_unavailable"),
        (503, Fault::Platform, "chute_lookup_unavailable"),
    ];
    for (status, fault, reason) in table {
        let seen = resolve(CHUTES, move || Reply::whole(status, "", "why"), |_| ()).await;
        assert_eq!(seen, expected(fault, reason), "{status}");
    }
}

#[tokio::test]
async fn every_status_of_the_model_look_up_has_its_reason() {
    let token = Some(Secret::literal("hf_x"));
    let table = [
        (302, "", None, Fault::Platform, "hf_lookup_unexpected"),
        (401, "", None, Fault::Miner, "hf_model_fetch_failed"),
        (401, "", token.clone(), Fault::Us, "hf_lookup_refused"),
        (401, "RepoNotFound", token.clone(), Fault::Miner, "hf_model_fetch_failed"),
        (403, "", None, Fault::Us, "hf_lookup_refused"),
        (403, "GatedRepo", token, Fault::Miner, "hf_model_gated"),
        (404, "", None, Fault::Miner, "hf_model_fetch_failed"),
        (404, "RevisionNotFound", None, Fault::Miner, "hf_model_fetch_failed"),
        (429, "", None, Fault::Us, "hf_lookup_limited"),
        (500, "", None, Fault::Platform, "hf_lookup_unavailable"),
        (503, "RepoNotFound", None, Fault::Platform, "hf_lookup_unavailable"),
    ];
    for (status, code, token, fault, reason) in table {
        let headers = if code.is_empty() { String::new() } else { format!("x-error-code: {code}\r\n") };
        let reply = move || Reply::whole(status, &headers, "why");
        let seen = resolve(MODELS, reply, |options| options.huggingface_token = token).await;
        assert_eq!(seen, expected(fault, reason), "{status} {code}");
    }
}

#[tokio::test]
async fn what_the_chute_says_is_held_against_the_commitment() {
    let table: [(&str, Value, Fault, &str); 7] = [
        ("hot", json!(false), Fault::Miner, "chute_not_running"),
        ("revision", json!("main"), Fault::Miner, "revision_mismatch:chute=main"),
        ("chute_id", json!("other"), Fault::Miner, "chute_fetch_failed"),
        ("slug", json!("evil.example/x?"), Fault::Platform, "chute_slug_invalid"),
        ("slug", json!("../../admin"), Fault::Platform, "chute_slug_invalid"),
        ("slug", Value::Null, Fault::Platform, "chute_slug_invalid"),
        ("hot", json!("yes"), Fault::Platform, "chute_lookup_unexpected"),
    ];
    for (field, value, fault, reason) in table {
        let mut record = chute_record();
        record[field] = value.clone();
        let seen = resolve(CHUTES, move || Reply::json(&record), |_| ()).await;
        assert_eq!(seen, expected(fault, reason), "{field} = {value}");
    }
}

#[tokio::test]
async fn what_the_repository_says_is_held_against_the_commitment() {
    let table: [(&str, Value, Fault, &str); 7] = [
        ("gated", json!("manual"), Fault::Miner, "hf_model_gated"),
        ("private", json!(true), Fault::Miner, "hf_model_private"),
        ("disabled", json!(true), Fault::Miner, "hf_model_fetch_failed"),
        (
            "sha",
            json!("f".repeat(40)),
            Fault::Miner,
            "revision_mismatch:hf=ffffffffffffffffffffffffffffffffffffffff",
        ),
        ("siblings", json!([{"rfilename": "README.md"}]), Fault::Miner, "hf_model_has_no_weights"),
        (
            "siblings",
            json!([{"rfilename": "a.bin", "lfs": {"sha256": "short"}}]),
            Fault::Platform,
            "hf_lookup_unexpected",
        ),
        ("siblings", Value::Null, Fault::Platform, "hf_lookup_unexpected"),
    ];
    for (field, value, fault, reason) in table {
        let mut record = model_record();
        record[field] = value.clone();
        let seen = resolve(MODELS, move || Reply::json(&record), |_| ()).await;
        assert_eq!(seen, expected(fault, reason), "{field} = {value}");
    }
}

#[tokio::test]
async fn json_that_is_too_big_too_deep_or_none_is_refused() {
    let big = || {
        let mut record = model_record();
        record["hot"] = json!(true);
        record["padding"] = json!("x".repeat(70_000));
        Reply::json(&record)
    };
    assert_eq!(resolve(CHUTES, big, |_| ()).await, expected(Fault::Platform, "chute_lookup_unexpected"));
    assert_eq!(resolve(MODELS, big, |_| ()).await, expected(Fault::Miner, "hf_model_fetch_failed"));

    let deep = || {
        let (open, close) = ("[".repeat(33), "]".repeat(33));
        Reply::whole(200, "", &format!("{{\"chute_id\":\"c\",\"hot\":true,\"x\":{open}{close}}}"))
    };
    assert_eq!(resolve(CHUTES, deep, |_| ()).await, expected(Fault::Platform, "chute_lookup_unexpected"));
    assert_eq!(resolve(MODELS, deep, |_| ()).await, expected(Fault::Platform, "hf_lookup_unexpected"));

    for text in ["", "<html>", "[]", "{\"chute_id\":\"c\"", "null"] {
        let none = move || Reply::whole(200, "", text);
        assert_eq!(resolve(CHUTES, none, |_| ()).await, expected(Fault::Platform, "chute_lookup_unexpected"));
        assert_eq!(resolve(MODELS, none, |_| ()).await, expected(Fault::Platform, "hf_lookup_unexpected"));
    }
    let endless = || Reply::bytes("HTTP/1.1 200 OK\r\n\r\n", After::Repeat(&[b' '; 4096]));
    assert_eq!(resolve(CHUTES, endless, |_| ()).await, expected(Fault::Platform, "chute_lookup_unexpected"));
}

#[tokio::test]
async fn silence_of_a_look_up_service_is_never_the_miners() {
    let short = |options: &mut ServicesOptions| {
        options.lookup_timeout = Duration::from_millis(300);
        options.connect_timeout = Duration::from_millis(200);
    };
    let silent = || Reply::bytes("", After::Silence);
    assert_eq!(resolve(CHUTES, silent, short).await, expected(Fault::Us, "chute_lookup_timeout"));
    assert_eq!(resolve(MODELS, silent, short).await, expected(Fault::Us, "hf_lookup_timeout"));
    let closed = || Reply::bytes("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", After::Close);
    assert_eq!(resolve(CHUTES, closed, |_| ()).await, expected(Fault::Us, "chute_lookup_broken_off"));
    assert_eq!(resolve(MODELS, closed, |_| ()).await, expected(Fault::Us, "hf_lookup_broken_off"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("free").port();
    let nobody: url::Url = format!("http://127.0.0.1:{port}").parse().expect("address");
    let (chutes, models) = (nobody.clone(), nobody);
    let well = || Reply::whole(200, "", "unused");
    let seen = resolve("/none", well, move |options| options.chutes_api = chutes).await;
    assert_eq!(seen, expected(Fault::Us, "chute_lookup_unreachable"));
    let seen = resolve("/none", well, move |options| options.huggingface = models).await;
    assert_eq!(seen, expected(Fault::Us, "hf_lookup_unreachable"));
}

#[tokio::test]
async fn a_redirected_look_up_is_not_followed() {
    let elsewhere = RawServer::start(|_| Reply::json(&chute_record())).await;
    let location = format!("location: {}\r\n", elsewhere.url());
    let seen = resolve(CHUTES, move || Reply::whole(307, &location, ""), |_| ()).await;
    assert_eq!(seen, expected(Fault::Platform, "chute_lookup_unexpected"));
    assert_eq!(elsewhere.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_certain_failure_of_the_miner_is_named_before_a_trouble_that_may_pass() {
    let server =
        RawServer::start(|target| Reply::whole(if target.starts_with(CHUTES) { 503 } else { 404 }, "", ""))
            .await;
    let seen = client(options(&server)).resolve(&asked()).await.expect_err("refused");
    assert_eq!(row(seen), (Fault::Miner, "hf_model_fetch_failed".into()));
}

#[tokio::test]
async fn a_cold_chute_still_tells_its_models_hash() {
    let mut cold = miner("cold", StandInAnswer::Hang);
    cold.sleep = Sleep::Deep;
    let stand_ins = StandIns::start(vec![cold]).await.expect("loopback");
    let seen = client(stand_ins.options()).look_up(&commitment("cold")).await;
    let Lookup::Failed { fault, reason, model_hash } = seen else { panic!("{seen:?}") };
    assert_eq!((fault, reason.as_str()), (Fault::Miner, "chute_not_running"));
    assert_eq!(model_hash.map(|hash| hash.len()), Some(64));
}

#[tokio::test]
async fn what_was_found_is_remembered_and_what_is_missing_only_briefly() {
    let server = RawServer::start(|target| {
        if target.starts_with(CHUTES) {
            Reply::json(&chute_record())
        } else if target.contains("leoma-x/") {
            Reply::json(&model_record())
        } else {
            Reply::whole(404, "x-error-code: RepoNotFound\r\n", "")
        }
    })
    .await;
    let services = client(options(&server));
    let mut missing = asked();
    missing.model_name = "user/leoma-gone".into();
    for _ in 0..3 {
        services.resolve(&asked()).await.expect("found");
        services.resolve(&missing).await.expect_err("missing");
    }
    let count = |text: &str| server.heads().iter().filter(|head| head.contains(text)).count();
    assert_eq!((count(CHUTES), count("leoma-x/"), count("leoma-gone/")), (1, 1, 1));
}

#[tokio::test]
async fn each_service_gets_its_own_key_and_the_documented_address() {
    let server = RawServer::start(|target| {
        if target.starts_with(CHUTES) { Reply::json(&chute_record()) } else { Reply::json(&model_record()) }
    })
    .await;
    let mut options = options(&server);
    options.chutes_key = Some(Secret::literal("cpk_secret"));
    options.huggingface_token = Some(Secret::literal("hf_secret"));
    client(options).resolve(&asked()).await.expect("found");
    for head in server.heads() {
        if head.starts_with(&format!("GET {CHUTES}c HTTP/1.1")) {
            assert!(head.contains("Bearer cpk_secret") && !head.contains("hf_secret"), "{head}");
        } else {
            let line = format!("GET {MODELS}user/leoma-x/revision/{REVISION}?blobs=true HTTP/1.1");
            assert!(head.starts_with(&line), "{head}");
            assert!(head.contains("Bearer hf_secret") && !head.contains("cpk_secret"), "{head}");
        }
    }
}

#[tokio::test]
async fn a_commitment_that_no_rule_has_seen_makes_no_address() {
    let server = RawServer::start(|_| Reply::json(&chute_record())).await;
    let mut wrong = asked();
    wrong.chute_id = "../secrets".into();
    let seen = client(options(&server)).resolve(&wrong).await.expect_err("refused");
    assert_eq!(row(seen), (Fault::Miner, "malformed_chute_id".into()));
    assert_eq!(server.heads(), Vec::<String>::new());
}
