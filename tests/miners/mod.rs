//! The services where miners live, over real sockets on loopback.

mod generate;
mod hostile;
mod lookup;
mod raw;
mod registry;
mod roster;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use leoma::{
    domain::{commitment::Commitment, outcome::Fault, plan::ClipSpec},
    miners::{
        options::ServicesOptions,
        port::{GenerateRequest, GeneratedClip, MinerServices as _, ServiceFault},
        protocol::GenerateBody,
        retry::{Backoff, LOOKUPS},
        services::HttpServices,
    },
    sim::services::{ClipMaker, Sleep, StandInAnswer, StandInMiner},
    store::spool::Spool,
};
use raw::RawServer;

const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// A chute that always answers the same.
struct Always(StandInAnswer);

#[async_trait]
impl ClipMaker for Always {
    async fn answer(&self, _body: GenerateBody) -> StandInAnswer {
        self.0.clone()
    }
}

/// A running miner with one weight file, known by a short name.
fn miner(name: &str, answer: StandInAnswer) -> StandInMiner {
    StandInMiner {
        chute_id: format!("chute-{name}"),
        slug: format!("slug-{name}"),
        repo: format!("user/leoma-{name}"),
        revision: REVISION.into(),
        lfs: vec![("model.safetensors".into(), leoma::domain::ids::Digest::of(name.as_bytes()).to_string())],
        contents: Default::default(),
        sleep: Sleep::Awake,
        behaviour: Arc::new(Always(answer)),
    }
}

fn commitment(name: &str) -> Commitment {
    Commitment {
        model_name: format!("user/leoma-{name}"),
        model_revision: REVISION.into(),
        chute_id: format!("chute-{name}"),
    }
}

fn request(slug: &str) -> GenerateRequest {
    GenerateRequest {
        slug: slug.into(),
        prompt: "a cat runs".into(),
        first_frame_png: Bytes::from_static(b"\x89PNG first frame"),
        spec: ClipSpec { frames: 81, width: 832, height: 480, fps: 16 },
        seed: 5,
        timeout: Duration::from_secs(20),
    }
}

/// Options that point every service at one raw server.
fn options(server: &RawServer) -> ServicesOptions {
    ServicesOptions {
        chutes_api: server.url(),
        chute_url_template: format!("{}x/{{slug}}", server.url()),
        huggingface: server.url(),
        chutes_key: None,
        huggingface_token: None,
        max_clip_bytes: 1 << 20,
        max_json_bytes: 64 << 10,
        connect_timeout: Duration::from_secs(2),
        lookup_timeout: Duration::from_secs(20),
        lookups_at_once: 8,
        backoff: Backoff { first: Duration::from_millis(2), ..LOOKUPS },
        chutes_fresh_for: Duration::from_secs(180),
        warmup_timeout: Duration::from_secs(5),
        canary_chute: None,
        file_hosts: Vec::new(),
        jitter_seed: 1,
    }
}

/// The client under test with a spool of its own.
struct Asking {
    services: HttpServices,
    folder: tempfile::TempDir,
    spool: Spool,
}

impl Asking {
    async fn ask(&self, request: GenerateRequest) -> Result<GeneratedClip, ServiceFault> {
        self.services.generate(request, &self.spool).await
    }

    /// Files in the spool, those that grow included.
    fn files(&self) -> usize {
        let count = |folder: &Path| {
            let entries =
                std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
            entries.filter(|path| path.is_file()).count()
        };
        let spool = self.folder.path().join("spool");
        count(&spool) + count(&spool.join("drafts"))
    }
}

impl std::ops::Deref for Asking {
    type Target = HttpServices;

    fn deref(&self) -> &HttpServices {
        &self.services
    }
}

fn client(options: ServicesOptions) -> Asking {
    let services = HttpServices::new(options).expect("usable options");
    let folder = tempfile::tempdir().expect("folder");
    let spool = Spool::open(&folder.path().join("spool")).expect("a spool");
    Asking { services, folder, spool }
}

fn row(fault: ServiceFault) -> (Fault, String) {
    (fault.fault, fault.reason)
}
