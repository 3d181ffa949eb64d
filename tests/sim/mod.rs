//! `leoma sim` as a validator meets it: the real binary, its chain, its services, its files.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use leoma::{
    chain::{
        port::{Chain, WeightsCall},
        subtensor::{SubtensorChain, SubtensorOptions},
        wallet::HotkeySigner,
    },
    corpus::{
        Corpus, CorpusOptions, PreparedClip,
        draw::{DrawOptions, draw_corpus},
    },
    decode::{Decoder, DecoderOptions},
    domain::{
        commitment::Commitment,
        ids::{BlockNumber, Hotkey, Uid},
        plan::ClipSpec,
        roster::Deployment,
        rules::Rules,
    },
    miners::{
        options::ServicesOptions,
        port::{GenerateRequest, MinerServices as _},
        services::HttpServices,
    },
    quality::frame::Yuv420Clip,
    sim::{
        process::Connections,
        report::DemoReport,
        roster::{Expectation, RosterLine},
    },
    store::spool::Spool,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use url::Url;

const LEOMA: &str = env!("CARGO_BIN_EXE_leoma");
const SPEC: ClipSpec = ClipSpec { frames: 81, width: 832, height: 480, fps: 16 };
/// Nothing here takes this long; a story that does is stuck.
const PATIENCE: Duration = Duration::from_secs(240);

struct World {
    folder: tempfile::TempDir,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    connections: Connections,
    roster: Vec<RosterLine>,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let drawn =
            DrawOptions { scenes: 1, frames: 144, ..DrawOptions::into_folder(folder.path().join("corpus")) };
        tokio::task::spawn_blocking(move || draw_corpus(&drawn, |_| {}))
            .await
            .expect("drawing")
            .expect("a corpus");
        let mut child = Command::new(LEOMA)
            .args(["sim", "--block-time-ms", "200", "--lead-blocks", "1", "--weights-rate-limit", "1"])
            .arg("--corpus")
            .arg(folder.path().join("corpus"))
            .arg("--out")
            .arg(folder.path().join("out"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("leoma sim");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        wait_for(&mut lines, "now run: leoma run --config").await;
        let read = |name: &str| std::fs::read(folder.path().join("out").join(name)).expect(name);
        let connections = serde_json::from_slice(&read("sim.json")).expect("sim.json");
        let roster = serde_json::from_slice(&read("roster.json")).expect("roster.json");
        Self { folder, child, lines, connections, roster }
    }

    fn out(&self) -> std::path::PathBuf {
        self.folder.path().join("out")
    }

    fn line(&self, label: &str) -> &RosterLine {
        self.roster.iter().find(|line| line.label == label).expect(label)
    }

    async fn chain(&self) -> SubtensorChain {
        let signer = HotkeySigner::read_file(&self.connections.hotkey_file).expect("key file");
        let url = Url::parse(&self.connections.chain).expect("address");
        let options = SubtensorOptions { signer: Some(signer), ..SubtensorOptions::new(vec![url]) };
        SubtensorChain::connect(options).await.expect("the chain answers")
    }

    fn services(&self) -> HttpServices {
        let url = |text: &str| Url::parse(text).expect("address");
        HttpServices::new(ServicesOptions {
            chutes_api: url(&self.connections.chutes_api),
            chute_url_template: self.connections.chute_url_template.clone(),
            huggingface: url(&self.connections.huggingface),
            ..ServicesOptions::public().expect("addresses")
        })
        .expect("a client")
    }

    /// Runs `leoma sim report` over one closed round with this winner: exit code and text.
    async fn report(&self, winner: Option<Hotkey>) -> (Option<i32>, String) {
        let rounds = serde_json::json!([{
            "round": self.connections.first_round, "phase": "closed", "anchor": null, "ended_at": null,
            "winner": winner, "void": null, "clip": null, "prompt": null, "rules_digest": null,
            "corpus_digest": null, "miners": [],
        }]);
        let file = self.folder.path().join("rounds.json");
        std::fs::write(&file, rounds.to_string()).expect("written");
        let run = Command::new(LEOMA)
            .args(["sim", "report", "--out"])
            .arg(self.out())
            .arg("--from")
            .arg(&file)
            .output()
            .await
            .expect("leoma sim report");
        (run.status.code(), String::from_utf8_lossy(&run.stdout).into_owned())
    }
}

async fn wait_for(lines: &mut Lines<BufReader<ChildStdout>>, text: &str) {
    let search = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.contains(text) {
                return;
            }
        }
        panic!("leoma sim ended before it said `{text}`");
    };
    tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("never said `{text}`"));
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) * a.len() as f64 / sum).log10()
}

fn decoder() -> Arc<Decoder> {
    Arc::new(Decoder::new(DecoderOptions::with_worker(LEOMA.into())))
}

/// The clip that a validator draws for the first round.
async fn first_clip(world: &World, chain: &SubtensorChain) -> PreparedClip {
    let anchor = BlockNumber(world.connections.first_round * world.connections.round_interval);
    let hash = chain.block_hash(anchor).await.expect("the round began");
    let location = world.folder.path().join("corpus").display().to_string();
    let corpus = Corpus::open(CorpusOptions::at(location), decoder()).await.expect("corpus");
    corpus.choose(&Rules::embedded(), &hash, &Default::default()).await.expect("a clip")
}

async fn ask(world: &World, deployment: &Deployment, clip: &PreparedClip) -> Arc<Yuv420Clip> {
    let folder = tempfile::tempdir().expect("folder");
    let spool = Spool::open(folder.path()).expect("a spool");
    let request = GenerateRequest {
        slug: deployment.slug.clone(),
        prompt: clip.choice.prompt.clone(),
        first_frame_png: clip.first_frame_png.clone(),
        spec: SPEC,
        seed: 7,
        timeout: PATIENCE,
    };
    let answer = world.services().generate(request, &spool).await.expect("an answer");
    let bytes = answer.file.read().expect("the file");
    decoder().decode_clip(bytes.into(), SPEC).await.expect("an accepted file").frames
}

fn is_checked(config: &Path) -> bool {
    let check = std::process::Command::new(LEOMA).args(["config", "check", "--config"]).arg(config).output();
    check.expect("leoma config check").status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_finds_its_world_and_the_report_judges_who_was_paid() {
    let mut world = World::start().await;
    assert_eq!(world.roster.len(), 12 + leoma::sim::roster::ATTACKS.len());
    assert!(is_checked(&world.connections.config), "the written configuration is not accepted");
    let chain = world.chain().await;
    let head = chain.head().await.expect("head").block.hash;
    let netuid = world.connections.netuid;
    let neurons = chain.neurons(netuid, head).await.expect("neurons");
    for line in &world.roster {
        assert_eq!(neurons[usize::from(line.uid.0)].hotkey, line.hotkey);
    }
    let revealed = chain.commitments(netuid, head).await.expect("commitments");
    let commitment = |label: &str| {
        let hotkey = world.line(label).hotkey;
        let of = revealed.iter().find(|of| of.hotkey == hotkey).expect("a commitment");
        Commitment::parse(&of.revealed[0].data)
    };
    assert!(commitment("bad-commitment").is_err());
    let cold = world.services().resolve(&commitment("cold-chute").expect("well formed")).await;
    assert_eq!(cold.expect_err("it does not run").reason, "chute_not_running");
    let honest = commitment("honest-sharp").expect("well formed");
    let deployment = world.services().resolve(&honest).await.expect("it runs");

    wait_for(&mut world.lines, &format!("round {} begins", world.connections.first_round)).await;
    let clip = first_clip(&world, &chain).await;
    let made = ask(&world, &deployment, &clip).await;
    assert_eq!(made.len(), 81);
    let start = psnr(made.frame(0).y, clip.first_frame.frame(0).y);
    assert!(start > 36.0, "it does not begin with the given frame: {start:.1} dB");
    let still = psnr(made.frame(40).y, made.frame(0).y);
    assert!(still < start, "it does not move: {still:.1} dB between frames 0 and 40");

    let sharp = world.line("honest-sharp").clone();
    let (code, text) = world.report(Some(sharp.hotkey)).await;
    assert!(code == Some(1) && text.contains("pays no honest stand-in"), "{code:?}\n{text}");
    chain
        .set_weights(&WeightsCall {
            netuid,
            uids: vec![sharp.uid],
            values: vec![65535],
            version_key: 0,
            born_at: None,
        })
        .await
        .expect("weights land");
    let (code, text) = world.report(Some(sharp.hotkey)).await;
    assert!(code == Some(0) && text.contains("as it should be"), "{code:?}\n{text}");
    let report: DemoReport =
        serde_json::from_slice(&std::fs::read(world.out().join("report.json")).expect("report.json"))
            .expect("JSON");
    assert_eq!(report.weights_on_chain[0].hotkey, Some(sharp.hotkey));
    let freeze = world.line("freeze").clone();
    assert_eq!((freeze.expect, freeze.uid), (Expectation::Cheat, Uid(5)));
    let (code, text) = world.report(Some(freeze.hotkey)).await;
    assert!(code == Some(1) && text.contains("went to freeze, a cheat"), "{code:?}\n{text}");

    let id = i32::try_from(world.child.id().expect("runs")).expect("a process id");
    // SAFETY: a signal to a child that was not waited for yet, so the id is still its own.
    assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0);
    let ended = tokio::time::timeout(PATIENCE, world.child.wait()).await.expect("it ends").expect("status");
    assert!(ended.success());
    assert!(!world.out().join("sim.json").exists(), "a stale address stayed behind");
}
