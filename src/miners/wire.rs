//! One bounded HTTP exchange: no redirects, no proxies, no compression, no retries, a cap on bytes and on time.

use std::{
    error::Error as _,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue},
    redirect,
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use crate::{
    domain::commitment::json_nesting,
    store::spool::{Draft, Spool, SpoolError, SpooledFile},
};

use super::{
    faults::{Failure, Trouble},
    guard::{GuardedNames, NotPublic},
    options::{Checked, ServicesError},
    retry::told,
};

/// Most bytes of an error's body that go into a detail, and the longest wait for them.
const SNIPPET_BYTES: usize = 200;
const SNIPPET_WAIT: Duration = Duration::from_millis(500);
/// Deepest nesting of a look-up's JSON; the documented ones have 6.
const MAX_JSON_NESTING: usize = 32;
/// Bytes of an answer that are gathered before they go to disk.
const PIECE: usize = 256 << 10;
/// How long a connection that look-ups have used is kept for the next one.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// Whether connections are used again.
#[derive(Clone, Copy)]
pub(super) enum Reuse {
    /// A kept connection can be closed by the peer while a request travels; look-ups are then made again.
    Kept {
        /// Connections that wait for the next look-up at each host.
        idle: usize,
    },
    /// That would look like a miner that broke off its answer, so each miner is asked over a new one.
    Fresh,
}

/// A client that does exactly one exchange per call.
pub(super) fn client(checked: &Checked, reuse: Reuse) -> Result<Client, ServicesError> {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .dns_resolver(GuardedNames)
        .user_agent(concat!("leoma-validator/", env!("CARGO_PKG_VERSION")))
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
        .connect_timeout(checked.options.connect_timeout);
    let builder = match reuse {
        Reuse::Kept { idle } => builder.pool_max_idle_per_host(idle).pool_idle_timeout(KEPT_FOR),
        Reuse::Fresh => builder.pool_max_idle_per_host(0),
    };
    // A machine without CA certificates can still run everything on loopback.
    let builder = if checked.uses_tls { builder } else { builder.tls_certs_only([]) };
    builder.build().map_err(ServicesError::Client)
}

/// When an exchange has to be over, and how long connecting may take of it.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    end: Instant,
    /// The whole limit is longer than the one on connecting, so that silence is not ours.
    tells_apart: bool,
}

impl Limit {
    pub(super) fn starting_now(whole: Duration, connect: Duration) -> Self {
        Self { end: Instant::now() + whole, tells_apart: whole > connect }
    }

    /// For a call whose silence is nobody's fault anyway.
    pub(super) fn until(end: Instant) -> Self {
        Self { end, tells_apart: true }
    }
}

/// Sends a request and waits for the answer's head.
pub(super) async fn send(request: RequestBuilder, limit: Limit) -> Result<Response, Failure> {
    match timeout_at(limit.end, request.send()).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) if is_not_public(&error) => Err(Failure::new(Trouble::PrivateAddress, shown(error))),
        Ok(Err(error)) if error.is_connect() => Err(Failure::new(Trouble::Unreachable, shown(error))),
        Ok(Err(error)) => Err(Failure::new(Trouble::BrokenOff, shown(error))),
        Err(_) if limit.tells_apart => {
            Err(Failure::new(Trouble::Deadline, "no answer began within the limit"))
        }
        Err(_) => {
            Err(Failure::new(Trouble::DeadlineTooShort, "no answer began, and connecting may take as long"))
        }
    }
}

/// The next piece of a body; `None` at its end. `Content-Length` decides nothing.
async fn piece(response: &mut Response, so_far: u64, limit: Limit) -> Result<Option<Bytes>, Failure> {
    match timeout_at(limit.end, response.chunk()).await {
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(error)) => {
            let detail = format!("after {so_far} bytes: {}", shown(error));
            Err(Failure::new(Trouble::BrokenOff, detail))
        }
        Err(_) => {
            Err(Failure::new(Trouble::Deadline, format!("{so_far} bytes had come when the limit passed")))
        }
    }
}

fn too_large(cap: usize) -> Failure {
    Failure::new(Trouble::TooLarge, format!("more than {cap} bytes"))
}

/// Reads a body into memory.
pub(super) async fn body(mut response: Response, cap: usize, limit: Limit) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(piece) = piece(&mut response, body.len() as u64, limit).await? {
        if piece.len() > cap - body.len() {
            return Err(too_large(cap));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// Writes a body to the spool as it comes; memory holds one piece of it.
pub(super) async fn spooled(
    mut response: Response,
    spool: &Spool,
    cap: usize,
    limit: Limit,
) -> Result<SpooledFile, Failure> {
    let begun = spool.clone();
    let mut draft = on_disk(move || begun.draft()).await?;
    let mut gathered = Vec::new();
    let mut length = 0;
    loop {
        let piece = piece(&mut response, length as u64, limit).await?;
        if let Some(piece) = &piece {
            if piece.len() > cap - length {
                return Err(too_large(cap));
            }
            length += piece.len();
            gathered.extend_from_slice(piece);
        }
        if gathered.len() >= PIECE || piece.is_none() {
            (draft, gathered) = on_disk(move || append(draft, gathered)).await?;
        }
        if piece.is_none() {
            return on_disk(move || draft.finish()).await;
        }
    }
}

fn append(mut draft: Draft, mut gathered: Vec<u8>) -> Result<(Draft, Vec<u8>), SpoolError> {
    draft.write(&gathered)?;
    gathered.clear();
    Ok((draft, gathered))
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(cause)) => Err(Failure::new(Trouble::Disk, cause.to_string())),
        Err(cause) => Err(Failure::new(Trouble::Disk, cause.to_string())),
    }
}

/// What a status other than 200 means before anyone looks at its body: the status, and the body's
/// first bytes as far as they come at once.
pub(super) async fn refused(mut response: Response, limit: Limit) -> Failure {
    let status = response.status().as_u16();
    let told = told(response.headers(), SystemTime::now());
    let end = limit.end.min(Instant::now() + SNIPPET_WAIT);
    let mut seen = Vec::new();
    while seen.len() < SNIPPET_BYTES {
        match timeout_at(end, response.chunk()).await {
            Ok(Ok(Some(chunk))) => seen.extend_from_slice(&chunk[..chunk.len().min(SNIPPET_BYTES)]),
            _ => break,
        }
    }
    let detail = format!("status {status}: {}", String::from_utf8_lossy(&seen));
    Failure { told, ..Failure::new(Trouble::Status(status), detail) }
}

/// Whether a body is compressed or otherwise encoded: never asked for, and never undone.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether a line of a stream is the one that is waited for; the stream may end without it.
pub(super) async fn line(
    mut response: Response,
    cap: usize,
    limit: Limit,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<bool, Failure> {
    let (mut open, mut read) = (Vec::new(), 0);
    loop {
        let piece = piece(&mut response, read as u64, limit).await?;
        let Some(piece) = piece else { return Ok(wanted(&open)) };
        read += piece.len();
        if read > cap {
            return Err(too_large(cap));
        }
        open.extend_from_slice(&piece);
        while let Some(end) = open.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = open.drain(..=end).collect();
            if wanted(line.trim_ascii()) {
                return Ok(true);
            }
        }
    }
}

/// A look-up's answer with status 200, read as JSON.
pub(super) async fn json<T: DeserializeOwned>(
    response: Response,
    cap: usize,
    limit: Limit,
) -> Result<T, Failure> {
    if response.status() != StatusCode::OK {
        return Err(refused(response, limit).await);
    }
    if is_encoded(response.headers()) {
        return Err(not_understood("an encoding that was not asked for".to_owned()));
    }
    from_json(&body(response, cap, limit).await?)
}

/// A record of bounded depth.
pub(super) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    if json_nesting(body) > MAX_JSON_NESTING {
        return Err(not_understood(format!("JSON nested deeper than {MAX_JSON_NESTING}")));
    }
    serde_json::from_slice(body).map_err(|error| not_understood(format!("JSON not as documented: {error}")))
}

fn not_understood(detail: String) -> Failure {
    Failure::new(Trouble::NotUnderstood, detail)
}

fn is_not_public(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<NotPublic>() {
            return true;
        }
        source = cause.source();
    }
    false
}

/// An error with its causes, without the address (it may hold what does not belong into a log).
fn shown(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
