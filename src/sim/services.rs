//! Stand-ins of Chutes, of Hugging Face and of the miners' chutes, on loopback.
//!
//! One server answers all three: `GET /chutes/{id}` and `/chutes/warmup/{id}`, `GET
//! /api/models/{user}/{name}/revision/{rev}` and `/{user}/{name}/resolve/{rev}/{file}`, and `POST /x/{slug}/generate`. What it answers comes from a fixed list of miners; the clips come
//! from their [`ClipMaker`]s.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    num::NonZeroU16,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::miners::{
    options::ServicesOptions,
    protocol::{GenerateBody, HF_ERROR_CODE, INVOCATION_ID},
    retry::{Backoff, LOOKUPS},
};

mod files;
mod records;

/// Most bytes of a request: a first frame in base64 has about one million.
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// A miner of the simulation, as the services know it.
pub struct StandInMiner {
    /// Chute id of its commitment.
    pub chute_id: String,
    /// Host part of its chute.
    pub slug: String,
    /// Repository of its commitment, `user/name`.
    pub repo: String,
    /// Revision of its commitment, served by both services.
    pub revision: String,
    /// Files of the repository with the SHA-256 of each, in hexadecimal.
    pub lfs: Vec<(String, String)>,
    /// Beginnings of these files, where they can be read: the rest of what is listed is zeros.
    pub contents: HashMap<String, Bytes>,
    /// Whether its chute runs; a cold one answers 503.
    pub sleep: Sleep,
    /// What its chute answers.
    pub behaviour: Arc<dyn ClipMaker>,
}

/// Whether a chute runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sleep {
    /// It runs.
    Awake,
    /// It runs from the first warm-up on.
    Light,
    /// It never runs.
    Deep,
}

/// What a chute does with a request.
#[async_trait]
pub trait ClipMaker: Send + Sync {
    /// Makes one answer. Long computation belongs on a thread of its own.
    async fn answer(&self, body: GenerateBody) -> StandInAnswer;
}

/// A chute's answer, good or bad.
#[derive(Clone, Debug)]
pub enum StandInAnswer {
    /// Status 200 with an mp4 file.
    Clip(Bytes),
    /// A status with a text.
    Status(u16, String),
    /// No answer at all.
    Hang,
    /// Status 200, these bytes of a clip, then silence.
    Stall(Bytes),
    /// Status 200, then the same piece again and again with a pause before each.
    Drip {
        /// What is sent each time.
        piece: Bytes,
        /// The pause.
        every: Duration,
    },
    /// Status 200, then the same piece for ever, as fast as it is taken.
    Endless(Bytes),
    /// Status 200 with another content type.
    Typed {
        /// The content type.
        content_type: String,
        /// The body.
        body: Bytes,
    },
    /// Status 307 to an address.
    Redirect(String),
}

struct Registry {
    by_chute: HashMap<String, Arc<StandInMiner>>,
    by_slug: HashMap<String, Arc<StandInMiner>>,
    /// Miners may share a repository only in different revisions.
    by_model: HashMap<(String, String), Arc<StandInMiner>>,
    woken: Mutex<HashSet<String>>,
    invocations: AtomicU64,
    stop: CancellationToken,
}

/// The running stand-ins; dropping them closes the port and ends every answer under way.
pub struct StandIns {
    address: SocketAddr,
    stop: CancellationToken,
}

impl StandIns {
    /// Listens on a free port of 127.0.0.1 and serves these miners. Of two miners with one chute id,
    /// slug or model the last is found.
    pub async fn start(miners: Vec<StandInMiner>) -> io::Result<Self> {
        Self::start_on(None, miners).await
    }

    /// As [`StandIns::start`], on a given port where one is given.
    pub async fn start_on(port: Option<NonZeroU16>, miners: Vec<StandInMiner>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port.map_or(0, NonZeroU16::get))).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let app = Router::new()
            .route("/chutes/{id}", get(chute))
            .route("/chutes/warmup/{id}", get(warm_up))
            .route("/{user}/{name}/resolve/{revision}/{*file}", get(files::sent_on))
            .route("/bytes/{user}/{name}/{revision}/{*file}", get(files::bytes))
            .route("/api/models/{user}/{name}/revision/{revision}", get(model))
            .route("/x/{slug}/generate", post(generate))
            .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
            .with_state(Arc::new(Registry::new(miners, stop.clone())));
        let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "service stand-ins stopped");
            }
        });
        Ok(Self { address, stop })
    }

    /// Address of the server, which stands for Chutes' API and for Hugging Face.
    pub fn base_url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.address)).expect("a socket address makes an address")
    }

    /// Address of a chute with `{slug}` in place of the slug.
    pub fn chute_url_template(&self) -> String {
        format!("{}x/{{slug}}", self.base_url())
    }

    /// Options that point a client here, with small bounds.
    pub fn options(&self) -> ServicesOptions {
        ServicesOptions {
            chutes_api: self.base_url(),
            chute_url_template: self.chute_url_template(),
            huggingface: self.base_url(),
            chutes_key: None,
            huggingface_token: None,
            max_clip_bytes: 16 << 20,
            max_json_bytes: 1 << 20,
            connect_timeout: Duration::from_secs(2),
            lookup_timeout: Duration::from_secs(5),
            lookups_at_once: 8,
            backoff: Backoff { first: Duration::from_millis(2), ..LOOKUPS },
            chutes_fresh_for: Duration::from_secs(180),
            warmup_timeout: Duration::from_secs(5),
            canary_chute: None,
            file_hosts: Vec::new(),
            jitter_seed: 1,
        }
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Registry {
    fn new(miners: Vec<StandInMiner>, stop: CancellationToken) -> Self {
        let miners: Vec<Arc<StandInMiner>> = miners.into_iter().map(Arc::new).collect();
        let by = |key: fn(&StandInMiner) -> String| {
            miners.iter().map(|miner| (key(miner), Arc::clone(miner))).collect()
        };
        Self {
            by_chute: by(|miner| miner.chute_id.clone()),
            by_slug: by(|miner| miner.slug.clone()),
            by_model: miners
                .iter()
                .map(|miner| ((miner.repo.clone(), miner.revision.clone()), Arc::clone(miner)))
                .collect(),
            woken: Mutex::default(),
            invocations: AtomicU64::new(0),
            stop,
        }
    }

    fn is_awake(&self, miner: &StandInMiner) -> bool {
        let woken = || self.woken.lock().unwrap_or_else(PoisonError::into_inner).contains(&miner.chute_id);
        match miner.sleep {
            Sleep::Awake => true,
            Sleep::Light => woken(),
            Sleep::Deep => false,
        }
    }
}

async fn chute(State(registry): State<Arc<Registry>>, Path(id): Path<String>) -> Response {
    match registry.by_chute.get(&id) {
        Some(miner) => Json(records::chute(miner, registry.is_awake(miner))).into_response(),
        None => (StatusCode::NOT_FOUND, Json(records::detail("Chute not found"))).into_response(),
    }
}

async fn warm_up(State(registry): State<Arc<Registry>>, Path(id): Path<String>) -> Response {
    let Some(miner) = registry.by_chute.get(&id) else {
        return (StatusCode::NOT_FOUND, Json(records::detail("Chute not found"))).into_response();
    };
    registry.woken.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    let last = if registry.is_awake(miner) { "hot" } else { "cold" };
    let lines =
        ["cold", last].map(|status| format!("data: {{\"status\": \"{status}\", \"log\": \"...\"}}\n\n"));
    ([(header::CONTENT_TYPE, "text/event-stream")], lines.concat()).into_response()
}

async fn model(
    State(registry): State<Arc<Registry>>,
    Path((user, name, revision)): Path<(String, String, String)>,
) -> Response {
    let repo = format!("{user}/{name}");
    let not_found = |code: &'static str, text: &str| {
        (StatusCode::NOT_FOUND, [(HF_ERROR_CODE, code)], Json(records::error(text))).into_response()
    };
    if let Some(miner) = registry.by_model.get(&(repo.clone(), revision)) {
        return Json(records::model(miner)).into_response();
    }
    if registry.by_model.keys().any(|(known, _)| *known == repo) {
        return not_found("RevisionNotFound", "Invalid rev id");
    }
    not_found("RepoNotFound", "Repository not found")
}

async fn generate(
    State(registry): State<Arc<Registry>>,
    Path(slug): Path<String>,
    Json(body): Json<GenerateBody>,
) -> Response {
    let Some(miner) = registry.by_slug.get(&slug).cloned() else {
        return (StatusCode::NOT_FOUND, Json(records::detail("No such chute"))).into_response();
    };
    if !registry.is_awake(&miner) {
        let text = records::detail("No instances available (yet)");
        return (StatusCode::SERVICE_UNAVAILABLE, Json(text)).into_response();
    }
    if let Err(problem) = records::check(&body) {
        return (StatusCode::BAD_REQUEST, Json(records::detail(problem))).into_response();
    }
    let stop = registry.stop.clone();
    let invocation = registry.invocations.fetch_add(1, Ordering::Relaxed) + 1;
    let answered = stop.run_until_cancelled(miner.behaviour.answer(body)).await;
    let mut response = match answered {
        Some(answer) => respond(answer, stop).await,
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    if let Ok(value) = format!("stand-in-{invocation}").parse() {
        response.headers_mut().insert(INVOCATION_ID, value);
    }
    response
}

async fn respond(answer: StandInAnswer, stop: CancellationToken) -> Response {
    match answer {
        StandInAnswer::Clip(bytes) => clip(Body::from(bytes)),
        StandInAnswer::Status(status, text) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(records::detail(&text))).into_response()
        }
        StandInAnswer::Hang => {
            stop.cancelled().await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        StandInAnswer::Stall(bytes) => {
            clip(until(stop, stream::once(std::future::ready(bytes)).chain(stream::pending())))
        }
        StandInAnswer::Drip { piece, every } => {
            let drops = stream::unfold(piece, move |piece| async move {
                tokio::time::sleep(every).await;
                Some((piece.clone(), piece))
            });
            clip(until(stop, drops))
        }
        StandInAnswer::Endless(piece) => clip(until(stop, stream::repeat(piece))),
        StandInAnswer::Typed { content_type, body } => {
            ([(header::CONTENT_TYPE, content_type)], body).into_response()
        }
        StandInAnswer::Redirect(address) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, address)]).into_response()
        }
    }
}

fn clip(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "video/mp4")], body).into_response()
}

/// A body that breaks off when the stand-ins stop, as a dead chute's would.
fn until(stop: CancellationToken, pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    let broken = stream::once(std::future::ready(Err(io::Error::other("stand-ins stopped"))));
    Body::from_stream(pieces.map(Ok).take_until(stop.cancelled_owned()).chain(broken))
}
