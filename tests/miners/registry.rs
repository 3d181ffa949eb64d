//! The registry over real sockets: 256 miners, what is asked twice, who is woken, which models are copies.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use leoma::{
    actors::miner_registry::{RegistryParts, read_roster},
    chain::{
        devnet::{DevNeuron, Devnet, DevnetConfig},
        port::Chain as _,
        subtensor::{SubtensorChain, SubtensorOptions},
    },
    domain::{
        commitment::Commitment,
        ids::{BlockHash, BlockNumber, Digest, Hotkey, Uid},
        outcome::Fault,
        roster::{Claim, Lookup, Precedence, Standing, build_roster_with},
    },
    miners::{
        faults,
        kinship::{Kinship, shared_copy},
        options::ServicesOptions,
        port::{Canary, MinerServices as _},
        retry::{Backoff, LOOKUPS},
    },
    sim::services::{Sleep, StandInAnswer, StandInMiner, StandIns},
};
use serde_json::json;

use super::{
    REVISION, client, commitment, miner, options,
    raw::{RawServer, Reply},
    request,
};

fn chute(id: &str) -> Reply {
    Reply::json(&json!({"chute_id": id, "slug": format!("slug-{id}"), "hot": true})).and_next()
}

fn model(number: usize) -> Reply {
    let sha256 = Digest::of(&number.to_le_bytes()).to_string();
    let files = json!([{"rfilename": "a.safetensors", "lfs": {"sha256": sha256, "size": 5}}]);
    Reply::json(&json!({"sha": REVISION, "siblings": files})).and_next()
}

fn numbered(number: usize) -> Commitment {
    Commitment {
        model_name: format!("user-{number}/leoma"),
        model_revision: REVISION.into(),
        chute_id: format!("c{number}"),
    }
}

#[tokio::test]
async fn a_full_subnet_is_looked_up_in_seconds_over_few_connections_and_then_not_again() {
    let server = RawServer::start(|target| match target.strip_prefix("/chutes/") {
        Some(id) => chute(id),
        None => {
            let number = target.trim_start_matches("/api/models/user-").split('/').next().expect("a number");
            model(number.parse().expect("a number"))
        }
    })
    .await;
    let asking = client(options(&server));
    let wanted: Vec<_> = (0..256).map(numbered).collect();
    let sync = async || {
        let started = Instant::now();
        let found = futures::future::join_all(wanted.iter().map(|one| asking.look_up(one))).await;
        assert!(found.iter().all(|one| matches!(one, Lookup::Found { .. })), "{found:?}");
        started.elapsed()
    };
    let (first, second) = (sync().await, sync().await);
    println!(
        "256 miners looked up in {first:?}, again in {second:?}, over {} connections",
        server.connections()
    );
    assert_eq!(server.heads().len(), 512, "nothing is asked twice");
    assert!(first < Duration::from_secs(10), "{first:?}");
    assert!(server.connections() <= 4 * 8, "{} connections", server.connections());
    let one_more = numbered(999);
    asking.look_up(&one_more).await;
    sync().await;
    assert_eq!(server.heads().len(), 514, "only what has changed is asked");
}

#[tokio::test]
async fn a_service_that_wants_a_pause_gets_it_and_is_asked_again() {
    let asked = Arc::new(std::sync::Mutex::new(BTreeMap::<String, usize>::new()));
    let seen = Arc::clone(&asked);
    let server = RawServer::start(move |target| {
        let mut seen = seen.lock().expect("whole");
        let count = seen.entry(target.to_owned()).or_insert(0);
        *count += 1;
        match (target.strip_prefix("/chutes/"), *count) {
            (Some(_), 1) => Reply::whole(503, "", "later"),
            (Some(id), _) => chute(id),
            (None, 1) => Reply::whole(429, "retry-after: 0\r\nratelimit: \"api\";r=0;t=1\r\n", "slow down"),
            (None, _) => model(1),
        }
    })
    .await;
    let started = Instant::now();
    client(options(&server)).resolve(&numbered(1)).await.expect("found in the end");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(server.heads().len(), 4);
}

#[tokio::test]
async fn a_service_that_wants_a_long_pause_is_left_alone() {
    let server = RawServer::start(|target| match target.strip_prefix("/chutes/") {
        Some(id) => chute(id),
        None => Reply::whole(429, "retry-after: 3600\r\n", ""),
    })
    .await;
    let asking = client(options(&server));
    for number in 0..20 {
        let fault = asking.resolve(&numbered(number)).await.expect_err("limited");
        assert_eq!((fault.fault, fault.reason.as_str()), (Fault::Us, "hf_lookup_limited"));
    }
    let models = server.heads().iter().filter(|head| head.contains("/api/models/")).count();
    assert_eq!(models, 1, "asked once, then left alone");
}

#[tokio::test]
async fn while_chutes_own_interface_is_down_what_it_said_of_running_chutes_counts() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let server = RawServer::start(move |target| match target.strip_prefix("/chutes/") {
        Some(_) if is_down.load(Ordering::Relaxed) => Reply::whole(503, "", ""),
        Some("c3") => Reply::json(&json!({"chute_id": "c3", "slug": "s", "hot": false})).and_next(),
        Some(id) => chute(id),
        None => model(1),
    })
    .await;
    let mut options = options(&server);
    options.chutes_fresh_for = Duration::ZERO;
    let asking = client(options);
    asking.resolve(&numbered(1)).await.expect("found");
    let reason = async |number| asking.resolve(&numbered(number)).await.expect_err("no").reason;
    assert_eq!(reason(3).await, "chute_not_running");
    down.store(true, Ordering::Relaxed);
    asking.resolve(&numbered(1)).await.expect("as it was last seen");
    assert_eq!(reason(2).await, "chute_lookup_unavailable", "never seen");
    assert_eq!(reason(3).await, "chute_not_running", "seen a moment ago");
}

#[tokio::test]
async fn endless_failures_end_after_a_few_attempts_within_the_limit() {
    let server = RawServer::start(|_| Reply::whole(503, "", "")).await;
    let mut options = options(&server);
    options.backoff = Backoff { first: Duration::from_millis(1), ..LOOKUPS };
    let asking = client(options);
    asking.resolve(&numbered(1)).await.expect_err("down");
    let attempts = LOOKUPS.attempts as usize;
    assert_eq!(server.heads().len(), 2 * attempts, "both services");
}

#[tokio::test]
async fn sleeping_chutes_are_woken_and_deep_sleepers_stay_out() {
    let asleep = |name: &str, sleep| StandInMiner { sleep, ..miner(name, StandInAnswer::Hang) };
    let stand_ins = vec![asleep("light", Sleep::Light), asleep("deep", Sleep::Deep)];
    let stand_ins = StandIns::start(stand_ins).await.expect("loopback");
    let asking = client(stand_ins.options());
    for name in ["light", "deep"] {
        let seen = asking.resolve(&commitment(name)).await.expect_err("asleep");
        assert_eq!(seen.reason, "chute_not_running", "{name}");
    }
    asking.warm_up(&commitment("light")).await.expect("hot");
    asking.resolve(&commitment("light")).await.expect("what was remembered of its sleep is forgotten");
    let deep = asking.warm_up(&commitment("deep")).await.expect_err("still cold");
    assert_eq!((deep.fault, deep.reason.as_str()), (Fault::Miner, "chute_not_running"));
    let nobody = asking.warm_up(&commitment("nobody")).await.expect_err("unknown");
    assert_eq!(nobody.reason, "chute_fetch_failed");
}

#[tokio::test]
async fn a_warm_up_without_end_is_left_at_its_limit() {
    use super::raw::After;
    for after in
        [After::Silence, After::Repeat(b"data: {\"status\": \"cold\"}\n"), After::Repeat(b"no line end ")]
    {
        let server = RawServer::start(move |_| Reply::bytes("HTTP/1.1 200 OK\r\n\r\n", after)).await;
        let mut options = options(&server);
        options.warmup_timeout = Duration::from_millis(150);
        let started = Instant::now();
        let asking = client(options);
        let seen = asking.warm_up(&commitment("a")).await.expect_err("never hot");
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(faults::advice(&seen.reason).is_some(), "{seen}");
    }
}

#[tokio::test]
async fn the_canary_is_asked_only_where_it_runs() {
    let stand_ins = |sleep, answer| async move {
        StandIns::start(vec![StandInMiner { sleep, ..miner("canary", answer) }]).await.expect("loopback")
    };
    let canary = |stand_ins: &StandIns| {
        let options = ServicesOptions { canary_chute: Some("chute-canary".into()), ..stand_ins.options() };
        client(options)
    };
    let well = stand_ins(Sleep::Awake, StandInAnswer::Clip(Bytes::from_static(b"clip"))).await;
    let asking = canary(&well);
    assert_eq!(asking.ask_canary(request("x"), &asking.spool).await, Some(Canary::Answered));
    let without = client(well.options());
    assert_eq!(without.ask_canary(request("x"), &without.spool).await, None);
    let ill = stand_ins(Sleep::Awake, StandInAnswer::Status(429, "infra_overload".into())).await;
    let asking = canary(&ill);
    let failed = Canary::Failed { reason: "answer_overload".into() };
    assert_eq!(asking.ask_canary(request("x"), &asking.spool).await, Some(failed));
    let asleep = stand_ins(Sleep::Deep, StandInAnswer::Hang).await;
    let asking = canary(&asleep);
    assert_eq!(asking.ask_canary(request("x"), &asking.spool).await, None, "no evidence");
}

/// A safetensors file with some tensors of one kind, their numbers made from a seed.
fn safetensors(seed: u8, tensors: usize) -> Bytes {
    let (mut table, length) = (String::from("{\"__metadata__\":{\"format\":\"pt\"}"), 8192);
    for index in 0..tensors {
        let (from, to) = (index * length, (index + 1) * length);
        write!(table, ",\"blocks.{index}.weight\":{{\"dtype\":\"BF16\",\"shape\":[64,64],\"data_offsets\":[{from},{to}]}}")
            .expect("memory");
    }
    table.push('}');
    let mut file = (table.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(table.as_bytes());
    let mut state = u64::from(seed) + 1;
    for _ in 0..tensors * length / 2 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Sign and mantissa at random, one exponent: about plus or minus one.
        file.extend_from_slice(
            &(0x3f80 | (state >> 56) as u16 & 0x7f | (state >> 33) as u16 & 0x8000).to_le_bytes(),
        );
    }
    file.into()
}

fn holding(name: &str, files: &[(&str, Bytes)]) -> StandInMiner {
    let lfs = files.iter().map(|(name, bytes)| ((*name).to_owned(), Digest::of(bytes).to_string()));
    let contents = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone()));
    StandInMiner { lfs: lfs.collect(), contents: contents.collect(), ..miner(name, StandInAnswer::Hang) }
}

#[tokio::test]
async fn copies_are_found_by_hash_by_shared_files_and_by_slices_and_the_earliest_stays() {
    let original = safetensors(1, 40);
    let mut noisy = original.to_vec();
    // The last bit of one number in four hundred: every digest differs, no picture does.
    let begin = noisy.len() - 40 * 8192;
    noisy[begin..].iter_mut().step_by(800).for_each(|byte| *byte ^= 1);
    let own = safetensors(2, 40);
    let miners = [
        ("original", vec![("model.safetensors", original.clone())]),
        ("renamed", vec![("other.safetensors", original.clone())]),
        (
            "one-more-file",
            vec![("model.safetensors", original.clone()), ("tiny.bin", Bytes::from_static(b"x"))],
        ),
        ("noisy", vec![("model.safetensors", noisy.into())]),
        ("own", vec![("model.safetensors", own)]),
        (
            "broken",
            vec![("model.safetensors", Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xffno header"))],
        ),
    ];
    let stand_ins = miners.iter().map(|(name, files)| holding(name, files)).collect();
    let server = StandIns::start(stand_ins).await.expect("loopback");
    let asking = client(server.options());
    let claims: Vec<Claim> = (0_u16..)
        .zip(&miners)
        .map(|(uid, (name, _))| Claim {
            uid: Uid(uid),
            hotkey: Hotkey([uid as u8; 32]),
            precedence: Precedence { reveal_block: BlockNumber(uid.into()), index: 0, uid: Uid(uid) },
            commitment: Ok(commitment(name)),
        })
        .collect();
    let models: Vec<_> = miners.iter().map(|(name, _)| commitment(name)).collect();
    let mut lookups = BTreeMap::new();
    for one in &models {
        lookups.insert(one.clone(), asking.look_up(one).await);
    }
    let kinship = Kinship::default();
    let rows = || {
        let is_copy = |earlier: &Commitment, later: &Commitment| {
            let files = asking.weight_files(earlier).zip(asking.weight_files(later));
            files.is_some_and(|(one, other)| shared_copy(&one, &other).is_some())
                || kinship.slice_copy(earlier, later).is_some()
        };
        let rows = build_roster_with(claims.clone(), &lookups, is_copy).into_iter();
        let word = |standing| match standing {
            Standing::Valid { .. } => "valid".to_owned(),
            Standing::Invalid { reason, .. } => reason,
        };
        rows.map(|entry| word(entry.standing)).collect::<Vec<_>>()
    };
    let copy = "duplicate_model:earliest_uid=0";
    assert_eq!(rows(), ["valid", copy, copy, "valid", "valid", "valid"], "before slices are compared");
    kinship.pursue(&*asking, &models, &BlockHash([9; 32])).await;
    assert_eq!(rows(), ["valid", copy, copy, copy, "valid", "valid"]);
    let found = kinship.slice_copy(&commitment("original"), &commitment("noisy")).expect("found");
    assert!(found.alike >= 15 && found.common == 16, "{found:?}");
}

#[tokio::test]
async fn ranges_that_lie_and_hosts_that_are_not_configured_are_refused() {
    let elsewhere = RawServer::start(|_| Reply::whole(206, "", "12345678")).await;
    let away = format!("location: {}\r\n", elsewhere.url());
    let size = 1 << 20;
    let record = json!({"sha": REVISION, "siblings": [
        {"rfilename": "a/b.safetensors", "lfs": {"sha256": "1".repeat(64), "size": size}}]});
    let answers: [(&str, Reply); 6] = [
        ("sent elsewhere", Reply::whole(302, &away, "")),
        ("sent to nowhere", Reply::whole(302, "", "")),
        ("in a circle", Reply::whole(302, "location: /user-1/leoma/again\r\n", "")),
        ("the whole file", Reply::whole(200, "", "12345678")),
        ("too little", Reply::whole(206, "", "1234")),
        ("too much", Reply::whole(206, "", &"x".repeat(200 << 10))),
    ];
    for (what, answer) in answers {
        let record = record.clone();
        let server = RawServer::start(move |target| match target.strip_prefix("/chutes/") {
            Some(id) => chute(id),
            None if target.starts_with("/api/") => Reply::json(&record),
            None => answer.clone(),
        })
        .await;
        let seen = client(options(&server)).weight_sample(&numbered(1), &BlockHash([1; 32])).await;
        let seen = seen.expect_err(what);
        assert_ne!(seen.fault, Fault::Miner, "{what}: {seen}");
        assert!(server.heads().iter().any(|head| head.contains("range: bytes=0-131071")), "{what}");
    }
    assert_eq!(elsewhere.heads(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_of_256_is_read_looked_up_and_judged_in_seconds() {
    let hotkey = |uid: u16| Hotkey([uid as u8; 32]);
    let name = |uid: u16| format!("user-{uid}/leoma-{}", hotkey(uid));
    let deployed = |uid: u16| StandInMiner {
        repo: name(uid),
        // Every eighth has the weights of its neighbour, every tenth sleeps, and stays so.
        lfs: vec![("w.bin".into(), Digest::of(&(uid - u16::from(uid.is_multiple_of(8))).to_le_bytes()).to_string())],
        sleep: if uid.is_multiple_of(10) { Sleep::Deep } else { Sleep::Awake },
        ..miner(&uid.to_string(), StandInAnswer::Hang)
    };
    let neuron = |uid: u16| {
        let text =
            json!({"model_name": name(uid), "model_revision": REVISION, "chute_id": format!("chute-{uid}")});
        DevNeuron::miner(hotkey(uid)).with_revealed(1000 + u64::from(uid), text.to_string().as_bytes())
    };
    let stand_ins = StandIns::start((1..256).map(deployed).collect()).await.expect("loopback");
    let owner = DevNeuron::validator(Hotkey([0; 32]), 1_000_000_000_000);
    let neurons = std::iter::once(owner).chain((1..256).map(neuron)).collect();
    let config = DevnetConfig { neurons, ..DevnetConfig::default() };
    let netuid = config.netuid;
    let devnet = Devnet::start(config).await.expect("a chain");
    let url = devnet.url().parse().expect("address");
    let chain = SubtensorChain::connect(SubtensorOptions::new(vec![url])).await.expect("the chain answers");
    let head = chain.head().await.expect("a head").block;
    let asking = client(stand_ins.options());
    let parts = RegistryParts::for_one_look(Arc::new(chain), Arc::new(asking.services), netuid);

    let mut times = Vec::new();
    for _ in 0..2 {
        let started = Instant::now();
        let roster = read_roster(&parts, head).await.expect("a roster");
        times.push(started.elapsed());
        let count = |wanted: &str| {
            let of = |standing: &Standing| match standing {
                Standing::Valid { .. } => "valid".to_owned(),
                Standing::Invalid { reason, .. } => reason.split(':').next().unwrap_or_default().to_owned(),
            };
            roster.iter().filter(|entry| of(&entry.standing) == wanted).count()
        };
        let (asleep, copies) = (count("chute_not_running"), count("duplicate_model"));
        // Of the 31 with a neighbour's weights six sleep, which is named first.
        assert_eq!((roster.len(), asleep, copies), (255, 25, 25));
        assert_eq!(count("valid"), 255 - 25 - 25);
    }
    println!("a subnet of 256: {:?} the first time, {:?} the second", times[0], times[1]);
    assert!(times[0] < Duration::from_secs(20), "{times:?}");
}
