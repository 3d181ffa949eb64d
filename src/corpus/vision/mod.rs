//! Captions by a vision model behind an OpenAI-compatible endpoint: optional, budgeted, remembered.
//!
//! One question per clip: some frames as `image_url` data addresses, the answer as JSON by a schema
//! (`POST …/chat/completions`, as vLLM, Ollama and hosted services understand it). Good replies are kept whole in a
//! folder, under a digest of clip, window, model and prompt, so that nothing is asked twice; the manifest names model,
//! prompt and reply by digests. A caption is advice for the operator, who can change it: it never decides anything.

mod wire;

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    redirect,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};
use url::{Host, Url};

use self::wire::body;
pub use self::wire::caption_of;
use super::{build::cache::Cache, manifest::CaptionSource};
use crate::{config::Secret, domain::ids::Digest, miners::retry::told};

/// Pictures of one question.
pub const PICTURES: usize = 4;
/// Most bytes of an answer; a real one has about a thousand.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// Bytes of a refusal's body that are shown.
const SNIPPET_BYTES: usize = 200;

/// Where captions come from and what they may cost.
#[derive(Clone, Debug)]
pub struct VisionOptions {
    /// Address of the service, `https://host/v1`; `/chat/completions` is added where it is missing.
    pub endpoint: Url,
    /// The model, as the service calls it.
    pub model: String,
    /// Key of the service.
    pub key: Option<Secret>,
    /// Most requests of one build, repeated ones included.
    pub budget: u32,
    /// Folder of replies.
    pub cache: PathBuf,
    /// Limit on one request, answer included.
    pub answer_within: Duration,
    /// Times that a busy service is asked the same question.
    pub attempts: u32,
    /// Longest wait between two of them, whatever `Retry-After` says.
    pub longest_wait: Duration,
}

impl VisionOptions {
    /// Start values: 100 requests of at most two minutes, three attempts at most a minute apart.
    pub fn new(endpoint: Url, model: impl Into<String>, cache: PathBuf) -> Self {
        Self {
            endpoint,
            model: model.into(),
            key: None,
            budget: 100,
            cache,
            answer_within: Duration::from_secs(120),
            attempts: 3,
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// Why a service cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// The address.
    #[error("caption endpoint `{endpoint}`: {problem}")]
    Endpoint {
        /// As given.
        endpoint: Url,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// The model's name.
    #[error("caption model: the name must be one line of 1 to 200 characters")]
    Model,
    /// The key cannot be sent.
    #[error("caption key: it has characters that no HTTP header can carry")]
    Key,
    /// TLS could not be set up.
    #[error("HTTP client: {0} (are the system's CA certificates installed, package ca-certificates?)")]
    Client(#[source] reqwest::Error),
}

/// Why a clip got no caption.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DescribeError {
    /// The budget is spent.
    #[error("the caption budget of {budget} requests is spent: build again, what is known is not asked anew")]
    Budget {
        /// The budget.
        budget: u32,
    },
    /// The service refused the question, or an earlier one for a reason that stays.
    #[error("the caption service refuses: {0}")]
    Refused(String),
    /// It was busy or failing, each time.
    #[error("the caption service is busy or failing: {0}: build again later")]
    Busy(String),
    /// It did not answer in time.
    #[error("the caption service did not answer within {0:?}")]
    Late(Duration),
    /// The connection failed.
    #[error("the caption service cannot be reached: {0}")]
    Unreachable(String),
    /// The answer has too many bytes.
    #[error("the caption service answered with more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    /// The answer is not what was asked for.
    #[error("the caption service's answer is of no use: {0}")]
    Useless(String),
}

/// Which clip is described.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// SHA-256 of the source file.
    pub sha256: Digest,
    /// Start of the window in microseconds.
    pub start_us: u64,
    /// Digest of the window's planes.
    pub planes: Digest,
}

/// A caption and where it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// One sentence.
    pub text: String,
    /// Model, prompt and reply.
    pub by: CaptionSource,
}

/// Asks a vision model.
pub struct Describer {
    options: VisionOptions,
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    prompt: Digest,
    cache: Cache,
    sent: AtomicU32,
    /// A refusal that every further question would meet.
    closed: Mutex<Option<String>>,
}

impl Describer {
    /// A client of this service; nothing is sent yet.
    ///
    /// # Errors
    /// When address, model or key cannot be used.
    pub fn new(options: VisionOptions) -> Result<Self, VisionError> {
        let url = checked(&options.endpoint)?;
        let model = &options.model;
        if model.trim().is_empty() || model.len() > 200 || model.chars().any(char::is_control) {
            return Err(VisionError::Model);
        }
        let mut authorization = None;
        if let Some(key) = &options.key {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(|_| VisionError::Key)?;
            value.set_sensitive(true);
            authorization = Some(value);
        }
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("leoma-validator/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10).min(options.answer_within));
        // A machine without CA certificates can still ask a model of its own.
        let builder = if url.scheme() == "https" { builder } else { builder.tls_certs_only([]) };
        Ok(Self {
            client: builder.build().map_err(VisionError::Client)?,
            url,
            authorization,
            prompt: Digest::of(&body("", &[])),
            cache: Cache::new(options.cache.clone()),
            sent: AtomicU32::new(0),
            closed: Mutex::new(None),
            options,
        })
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u32 {
        self.sent.load(Relaxed)
    }

    /// The caption that is remembered from an earlier question.
    pub fn remembered(&self, subject: &Subject) -> Option<Described> {
        let kept: Kept = self.cache.get(&self.key(subject))?;
        self.read(kept.reply.as_bytes()).ok()
    }

    /// Asks for a caption and remembers it.
    ///
    /// # Errors
    /// Says why there is none; nothing is remembered then, so that a later build asks again.
    pub async fn describe(&self, subject: &Subject, pictures: &[Bytes]) -> Result<Described, DescribeError> {
        let reply = self.ask(body(&self.options.model, pictures).into()).await?;
        let described = self.read(&reply)?;
        // `read` accepted it, so it is UTF-8. A reply that cannot be kept is asked for again another time.
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let kept = Kept { model: self.options.model.clone(), prompt: self.prompt, reply };
        if let Err(error) = self.cache.put(&self.key(subject), &kept) {
            tracing::warn!(%error, "the reply of the caption service could not be kept");
        }
        Ok(described)
    }

    fn key(&self, subject: &Subject) -> Digest {
        Digest::of_parts(&[
            b"leoma/caption/1",
            &subject.sha256.0,
            &subject.start_us.to_le_bytes(),
            &subject.planes.0,
            self.options.model.as_bytes(),
            &self.prompt.0,
        ])
    }

    fn read(&self, reply: &[u8]) -> Result<Described, DescribeError> {
        let text = caption_of(reply)?;
        let model = self.options.model.clone();
        Ok(Described { text, by: CaptionSource { model, prompt: self.prompt, reply: Digest::of(reply) } })
    }

    async fn ask(&self, body: Bytes) -> Result<Bytes, DescribeError> {
        let mut attempt = 1;
        self.spend()?;
        loop {
            let (error, asked_to_wait) = match self.exchange(body.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(Miss::Final(error)) => return Err(error),
                Err(Miss::Lasting(why)) => {
                    *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
                    return Err(DescribeError::Refused(why));
                }
                Err(Miss::Again { error, wait }) => (error, wait),
            };
            // What went wrong tells more than that the budget is spent now.
            if attempt >= self.options.attempts || self.spend().is_err() {
                return Err(error);
            }
            let wait = asked_to_wait.unwrap_or(Duration::from_secs(1 << attempt.min(6)));
            sleep(wait.min(self.options.longest_wait)).await;
            attempt += 1;
        }
    }

    /// Takes one request from the budget.
    fn spend(&self) -> Result<(), DescribeError> {
        if let Some(why) = self.closed.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(DescribeError::Refused(why));
        }
        let budget = self.options.budget;
        let spent = self.sent.fetch_update(Relaxed, Relaxed, |sent| (sent < budget).then_some(sent + 1));
        spent.map(drop).map_err(|_| DescribeError::Budget { budget })
    }

    /// One request and its answer.
    async fn exchange(&self, body: Bytes) -> Result<Bytes, Miss> {
        let end = Instant::now() + self.options.answer_within;
        let late = || Miss::Final(DescribeError::Late(self.options.answer_within));
        let mut request =
            self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let answer = timeout_at(end, request.send()).await.map_err(|_| late())?.map_err(unreachable_now)?;
        let status = answer.status();
        let wait = told(answer.headers(), SystemTime::now());
        if status != StatusCode::OK {
            let said = timeout_at(end, snippet(answer)).await.map_err(|_| late())?;
            let why = format!("status {}: {said}", status.as_u16());
            return Err(match status.as_u16() {
                401..=404 => Miss::Lasting(why),
                408 | 429 | 500 | 502..=504 | 529 => Miss::Again { error: DescribeError::Busy(why), wait },
                _ => Miss::Final(DescribeError::Refused(why)),
            });
        }
        timeout_at(end, whole(answer)).await.map_err(|_| late())?
    }
}

/// A good reply as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    model: String,
    prompt: Digest,
    reply: String,
}

/// How an exchange missed.
enum Miss {
    /// Another attempt would end the same.
    Final(DescribeError),
    /// So would every other question.
    Lasting(String),
    /// Later it may work.
    Again { error: DescribeError, wait: Option<Duration> },
}

fn unreachable_now(error: reqwest::Error) -> Miss {
    let mut text = error.without_url().to_string();
    text.truncate(text.floor_char_boundary(SNIPPET_BYTES));
    Miss::Again { error: DescribeError::Unreachable(text), wait: None }
}

async fn snippet(mut answer: Response) -> String {
    let mut seen = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        seen.extend_from_slice(&chunk[..chunk.len().min(SNIPPET_BYTES)]);
        if seen.len() >= SNIPPET_BYTES {
            break;
        }
    }
    seen.truncate(SNIPPET_BYTES);
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    String::from_utf8_lossy(&seen).chars().map(printable).collect()
}

/// Reads a body chunk by chunk; `Content-Length` decides nothing.
async fn whole(mut answer: Response) -> Result<Bytes, Miss> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable_now)? {
        if chunk.len() > MAX_ANSWER_BYTES - body.len() {
            return Err(Miss::Final(DescribeError::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Footage and key travel in the clear only on this machine.
fn checked(endpoint: &Url) -> Result<Url, VisionError> {
    let refuse = |problem| Err(VisionError::Endpoint { endpoint: endpoint.clone(), problem });
    let loopback = match endpoint.host() {
        None => return refuse("the address has no host"),
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
    };
    match endpoint.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return refuse("plain http is for this machine only: use https, or a tunnel"),
        _ => return refuse("use https (or http on this machine)"),
    }
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return refuse("no user or password in the address: give the key by --caption-key");
    }
    if endpoint.query().is_some() || endpoint.fragment().is_some() {
        return refuse("leave out the part from ? or # on");
    }
    let mut url = endpoint.clone();
    if !url.path().ends_with("/chat/completions")
        && let Ok(mut path) = url.path_segments_mut()
    {
        path.pop_if_empty().extend(["chat", "completions"]);
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
