//! The soak's world: a development chain whose blocks the harness makes, a small cast of miners, and the real
//! validator as a child process that can be killed.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use leoma::{
    chain::{
        devnet::{Devnet, DevnetConfig},
        wallet::hotkey_path,
    },
    corpus::{
        Corpus, CorpusOptions,
        draw::{DrawOptions, draw_corpus},
        manifest::{ClipEntry, Manifest},
    },
    decode::{Decoder, DecoderOptions},
    domain::{
        event::Event,
        ids::{Digest, Hotkey},
        rules::Rules,
    },
    miners::protocol::GenerateBody,
    sim::{
        door::CorpusDoor,
        makers::stand_ins,
        roster::{Enrolled, development_key, neurons},
        services::{ClipMaker, StandInAnswer, StandIns},
        studio::Studio,
    },
};

use super::{Settings, random::Random};
use crate::run::world::{LEOMA, small_rules};

/// Who takes part: two that may win and one that must not.
const CAST: [&str; 3] = ["honest-sharp", "honest-lively", "freeze"];
/// Round in which the chain begins, near its end.
const FIRST_ROUND: u64 = 70_000;
/// Blocks from the start to the first whole round.
const LEAD_BLOCKS: u64 = 30;
/// Frames of a clip of the corpus: two seconds of a window and a margin.
const CLIP_FRAMES: u32 = 72;
/// Scenes that are drawn.
const SCENES: u32 = 8;
/// Longest wait for the validator's end or first sign of life.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub folder: PathBuf,
    pub devnet: Arc<Devnet>,
    pub cast: Vec<Enrolled>,
    pub me: Hotkey,
    pub rules: Rules,
    _services: StandIns,
}

/// An honest miner that hands in rubbish for some clips, so that winners change.
struct Moody {
    works: Arc<dyn ClipMaker>,
    name: u64,
    seed: u64,
}

#[async_trait]
impl ClipMaker for Moody {
    async fn answer(&self, body: GenerateBody) -> StandInAnswer {
        let clip = Digest::of(body.image.as_bytes()).0;
        let clip = u64::from_le_bytes(std::array::from_fn(|index| clip[index]));
        let mut mood = Random::new(self.seed ^ self.name ^ clip);
        if mood.below(3) == 0 {
            return StandInAnswer::Clip("no film".into());
        }
        self.works.answer(body).await
    }
}

impl World {
    pub async fn start(settings: &Settings, folder: &Path) -> Self {
        let corpus = folder.join("corpus");
        let clips = settings.epochs * settings.tempo / settings.round_interval() + 3;
        let drawn = corpus.clone();
        tokio::task::spawn_blocking(move || draw(&drawn, clips)).await.expect("the corpus is drawn");
        let rules = rules(settings);
        std::fs::write(folder.join("rules.toml"), toml::to_string(&rules).expect("rules")).expect("written");

        let mut cast: Vec<Enrolled> = Enrolled::all(settings.seed);
        cast.retain(|miner| CAST.contains(&miner.persona.label));
        for (miner, uid) in cast.iter_mut().zip(2..) {
            miner.uid.0 = uid;
        }
        let start_block = (FIRST_ROUND + 1) * settings.round_interval() - LEAD_BLOCKS;
        let devnet = Devnet::start(DevnetConfig {
            start_block,
            seed: settings.seed,
            tempo: settings.tempo as u16,
            weights_rate_limit: settings.rate_limit,
            finality_lag: settings.finality_lag as u32,
            neurons: neurons(settings.seed, start_block, &cast),
            ..DevnetConfig::default()
        });
        let devnet = Arc::new(devnet.await.expect("a chain"));
        let decoder = Arc::new(Decoder::new(DecoderOptions::with_worker(leoma())));
        let options =
            CorpusOptions { location: corpus.display().to_string(), manifest: "corpus.toml".into() };
        let opened = Corpus::open(options, decoder).await.expect("the corpus opens");
        let door = CorpusDoor::new(opened, devnet.clone(), settings.round_interval(), rules.request);
        let studio = Arc::new(Studio::new(Arc::new(door)));
        let mut miners = stand_ins(&cast, &studio);
        for (name, miner) in (0..2).zip(&mut miners) {
            miner.behaviour = Arc::new(Moody { works: miner.behaviour.clone(), name, seed: settings.seed });
        }
        let services = StandIns::start(miners).await.expect("stand-ins");

        let signer = development_key(settings.seed, "validator");
        let key_file = hotkey_path(&folder.join("wallets"), "development", "validator");
        signer.write_file(&key_file).expect("the key is written");
        let me = signer.hotkey();
        let world = Self { folder: folder.to_owned(), devnet, cast, me, rules, _services: services };
        world.write_config(&key_file, &world._services);
        world
    }

    fn write_config(&self, key_file: &Path, services: &StandIns) {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let mut config = toml::toml! {
            [chain]
            call_deadline_s = 2
            block_watchdog_s = 3
            finalization_deadline_s = 6
            [web]
            listen = "127.0.0.1:0"
            [log]
            filter = "info,leoma=debug"
        };
        let mut set = |section: &str, key: &str, value: toml::Value| {
            let section = config.entry(section).or_insert_with(|| toml::Table::new().into());
            section.as_table_mut().expect("a table").insert(key.to_owned(), value);
        };
        set("chain", "endpoints", vec![self.devnet.url()].into());
        set("chain", "netuid", 99.into());
        set("chain", "hotkey_file", key_file.display().to_string().into());
        set("services", "chutes_api", services.base_url().to_string().into());
        set("services", "chute_url_template", services.chute_url_template().into());
        set("services", "huggingface", services.base_url().to_string().into());
        set("corpus", "location", at("corpus").into());
        set("corpus", "manifest", "corpus.toml".into());
        set("state", "dir", at("state").into());
        // The soak is of the chain: packing rounds would only take the processors' time.
        set("storage", "publish", false.into());
        set("rules", "file", at("rules.toml").into());
        std::fs::write(self.folder.join("validator.toml"), config.to_string()).expect("written");
    }

    pub fn log_file(&self) -> PathBuf {
        self.folder.join("validator.log")
    }

    /// Starts the validator in the one state folder; what it says is appended to the log file.
    pub fn validator(&self) -> Validator {
        let mut log = File::options().create(true).append(true).open(self.log_file()).expect("log");
        writeln!(log, "---- start").expect("log");
        let child = Command::new(leoma())
            .arg("run")
            .arg("--config")
            .arg(self.folder.join("validator.toml"))
            .arg("--address-file")
            .arg(self.folder.join("address"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("leoma run");
        Validator { child }
    }

    /// Waits until the validator serves its pages for the first time.
    pub async fn until_served(&self) {
        let began = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while !self.folder.join("address").exists() {
            assert!(began.elapsed() < PATIENCE, "the validator does not start");
            tick.tick().await;
        }
    }

    /// Every event of the validator's journal, in order.
    pub fn journal(&self) -> Vec<Event> {
        let file = self.folder.join("state").join("journal.sqlite");
        let journal = rusqlite::Connection::open(file).expect("journal");
        let mut rows = journal.prepare("SELECT body FROM events ORDER BY seq").expect("events");
        let bodies = rows.query_map([], |row| row.get::<_, String>(0)).expect("events");
        bodies.map(|body| serde_json::from_str(&body.expect("a row")).expect("an event")).collect()
    }
}

pub struct Validator {
    child: Child,
}

impl Validator {
    /// How it ended, when it did so by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("status")
    }

    /// What `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("status");
    }

    /// SIGTERM, and the end that follows.
    pub async fn stop(&mut self) -> ExitStatus {
        // SAFETY: plain system call on our own child's process id.
        assert_eq!(unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) }, 0);
        let began = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the validator does not stop");
        }
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rules of the small stories, with rounds of the soak's length; who copies is not its subject.
fn rules(settings: &Settings) -> Rules {
    let mut rules = small_rules();
    let interval = settings.round_interval();
    rules.schedule.round_interval_blocks = interval;
    rules.schedule.answer_within_blocks = interval * 2 / 3;
    rules.schedule.settle_within_blocks = interval - 5;
    rules.scoring.gates.copy.rounds = 0;
    rules
}

/// The real binary, or the copy of it that `LEOMA_SOAK_BINARY` names: a long run outlives builds.
fn leoma() -> PathBuf {
    std::env::var_os("LEOMA_SOAK_BINARY").map_or_else(|| LEOMA.into(), PathBuf::from)
}

/// A few films, each in as many colours as clips are needed: short files of their own, quickly decoded.
fn draw(folder: &Path, clips: u64) {
    // One of the scenes moves too little to serve.
    let each = clips.div_ceil(u64::from(SCENES - 1)) as u32;
    let options = DrawOptions {
        scenes: SCENES as usize,
        frames: CLIP_FRAMES,
        width: 320,
        height: 184,
        ..DrawOptions::into_folder(folder)
    };
    let drawn = draw_corpus(&options, |_| {}).expect("a corpus");
    let hues = (0..each).map(|number| number * 360 / each);
    let copies = drawn.clips().iter().flat_map(|film| hues.clone().map(|hue| dyed(folder, film, hue)));
    let manifest = Manifest::new(10_000, copies.collect()).expect("a manifest");
    std::fs::write(folder.join("corpus.toml"), manifest.to_toml()).expect("written");
}

/// The film with its colours turned by some degrees.
fn dyed(folder: &Path, film: &ClipEntry, hue: u32) -> ClipEntry {
    let key = format!("{}-{hue:03}.mp4", film.key.trim_end_matches(".mp4"));
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(folder.join(&film.key))
        .args(["-vf", &format!("hue=h={hue}"), "-c:v", "libx264", "-preset", "veryfast", "-crf", "16"])
        .arg(folder.join(&key))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "ffmpeg writes {key}");
    let file = std::fs::read(folder.join(&key)).expect("the film");
    let (bytes, sha256) = (file.len() as u64, Digest::of(&file));
    ClipEntry { key, file: String::new(), bytes, sha256, ..film.clone() }
}
