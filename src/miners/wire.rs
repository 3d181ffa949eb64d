//! One bounded HTTP exchange: no redirects, no proxies, no retries, a cap on bytes and on time.

use std::{error::Error as _, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use crate::domain::commitment::json_nesting;

use super::{
    faults::{Failure, Trouble},
    options::{Checked, ServicesError},
};

/// Most bytes of an error's body that go into a detail, and the longest wait for them.
const SNIPPET_BYTES: usize = 200;
const SNIPPET_WAIT: Duration = Duration::from_millis(500);
/// Deepest nesting of a look-up's JSON; the documented ones have 6.
const MAX_JSON_NESTING: usize = 32;

/// A client that does exactly one exchange per call.
pub(super) fn client(checked: &Checked) -> Result<Client, ServicesError> {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("leoma-validator/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(checked.options.connect_timeout)
        // A kept connection can be closed by the peer while a request travels; that would look like
        // a miner that broke off its answer.
        .pool_max_idle_per_host(0);
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
}

/// Sends a request and waits for the answer's head.
pub(super) async fn send(request: RequestBuilder, limit: Limit) -> Result<Response, Failure> {
    match timeout_at(limit.end, request.send()).await {
        Ok(Ok(response)) => Ok(response),
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

/// Reads a body chunk by chunk; `Content-Length` decides nothing.
pub(super) async fn body(mut response: Response, cap: usize, limit: Limit) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    loop {
        let chunk = match timeout_at(limit.end, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Ok(body.freeze()),
            Ok(Err(error)) => {
                let detail = format!("after {} bytes: {}", body.len(), shown(error));
                return Err(Failure::new(Trouble::BrokenOff, detail));
            }
            Err(_) => {
                let detail = format!("{} bytes had come when the limit passed", body.len());
                return Err(Failure::new(Trouble::Deadline, detail));
            }
        };
        if chunk.len() > cap - body.len() {
            return Err(Failure::new(Trouble::TooLarge, format!("more than {cap} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
}

/// What a status other than 200 means before anyone looks at its body: the status, and the body's
/// first bytes as far as they come at once.
pub(super) async fn refused(mut response: Response, limit: Limit) -> Failure {
    let status = response.status().as_u16();
    let end = limit.end.min(Instant::now() + SNIPPET_WAIT);
    let mut seen = Vec::new();
    while seen.len() < SNIPPET_BYTES {
        match timeout_at(end, response.chunk()).await {
            Ok(Ok(Some(chunk))) => seen.extend_from_slice(&chunk[..chunk.len().min(SNIPPET_BYTES)]),
            _ => break,
        }
    }
    Failure::new(Trouble::Status(status), format!("status {status}: {}", String::from_utf8_lossy(&seen)))
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
    let body = body(response, cap, limit).await?;
    if json_nesting(&body) > MAX_JSON_NESTING {
        return Err(Failure::new(
            Trouble::NotUnderstood,
            format!("JSON nested deeper than {MAX_JSON_NESTING}"),
        ));
    }
    serde_json::from_slice(&body)
        .map_err(|error| Failure::new(Trouble::NotUnderstood, format!("JSON not as documented: {error}")))
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
