//! The pages.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::error::RequestError;
use crate::{
    domain::ids::RoundId,
    runtime::board::Board,
    telemetry::{self, Metrics, Readiness, build},
};

/// Most rounds in one answer of `/rounds`.
pub const MAX_ROUNDS: usize = 200;
const DEFAULT_ROUNDS: usize = 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Whoever knows the rounds. Calls may read a disk: they are made off the async threads.
pub trait RoundsView: Send + Sync {
    /// Summaries of at most `limit` rounds, newest first.
    fn list(&self, limit: usize) -> Vec<Value>;
    /// One round with its whole outcome table; `None` when it is not known.
    ///
    /// # Errors
    /// When what holds the rounds cannot be read.
    fn get(&self, round: RoundId) -> Result<Option<Value>, RoundsUnreadable>;
}

/// What holds the rounds cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the rounds cannot be read: {0}")]
pub struct RoundsUnreadable(pub String);

/// What the pages are made from.
#[derive(Clone)]
pub struct WebState {
    /// The actors.
    pub board: Arc<Board>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The rounds.
    pub rounds: Arc<dyn RoundsView>,
    /// Whether the validator is ready.
    pub readiness: Arc<dyn Readiness>,
}

/// Path, and what a person finds there.
const PAGES: &[(&str, &str)] = &[
    ("/metrics", "Prometheus metrics; docs/metrics.md says what healthy looks like"),
    ("/actors", "what every actor is doing (JSON)"),
    ("/rounds", "the newest rounds (JSON); ?limit=N up to 200"),
    ("/rounds/{n}", "one round with its whole outcome table (JSON)"),
    ("/livez", "200 while the process answers"),
    ("/readyz", "200 when the validator can work, else 503 with every reason (JSON)"),
];

pub(super) fn router(state: WebState) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/actors", get(actors))
        .route("/rounds", get(rounds))
        .route("/rounds/{round}", get(round))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(no_such_page)
        .method_not_allowed_fallback(async || RequestError::WrongMethod)
        .layer(middleware::from_fn(within_time))
        .with_state(state)
}

async fn within_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await;
    let mut response =
        answer.unwrap_or_else(|_| RequestError::TooSlow(ANSWER_WITHIN.as_secs()).into_response());
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ] {
        let _: Option<HeaderValue> =
            response.headers_mut().insert::<HeaderName>(name, HeaderValue::from_static(value));
    }
    response
}

async fn no_such_page(uri: Uri) -> RequestError {
    RequestError::NoSuchPage(uri.path().chars().take(100).collect())
}

async fn index() -> Html<String> {
    let rows: String = PAGES
        .iter()
        .map(|(path, what)| {
            let shown = if path.contains('{') {
                (*path).to_owned()
            } else {
                format!("<a href=\"{path}\">{path}</a>")
            };
            format!("<tr><td><code>{shown}</code></td><td>{what}</td></tr>\n")
        })
        .collect();
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>leoma</title>\n\
         <style>body{{font:16px/1.5 sans-serif;margin:2em}}td{{padding:.2em 1.5em .2em 0}}</style></head>\n\
         <body><h1>leoma validator</h1>\n<p>{}</p>\n<table>\n{rows}</table></body></html>\n",
        build::describe()
    ))
}

async fn metrics(State(state): State<WebState>) -> Result<Response, RequestError> {
    let page = state.metrics.encode().map_err(|error| RequestError::Internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, telemetry::CONTENT_TYPE)], page).into_response())
}

async fn actors(State(state): State<WebState>) -> Json<Value> {
    Json(json!({"actors": state.board.snapshot()}))
}

async fn rounds(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, RequestError> {
    let limit = limit_of(query.as_deref().unwrap_or_default())?;
    let rounds = off_thread(move || state.rounds.list(limit)).await?;
    Ok(Json(json!({"rounds": rounds})))
}

fn limit_of(query: &str) -> Result<usize, RequestError> {
    let mut limit = DEFAULT_ROUNDS;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if name != "limit" {
            let expected = "`limit`, the only one this page knows".to_owned();
            return Err(RequestError::Malformed { what: "query parameter", expected });
        }
        let refused = || RequestError::Malformed {
            what: "limit",
            expected: format!("a whole number from 1 to {MAX_ROUNDS}"),
        };
        limit = value.parse().map_err(|_| refused())?;
        if !(1..=MAX_ROUNDS).contains(&limit) {
            return Err(refused());
        }
    }
    Ok(limit)
}

async fn round(
    State(state): State<WebState>,
    Path(round): Path<String>,
) -> Result<Json<Value>, RequestError> {
    let number: u64 = round.parse().map_err(|_| RequestError::Malformed {
        what: "round",
        expected: "a round's number, e.g. /rounds/41".to_owned(),
    })?;
    let found = off_thread(move || state.rounds.get(RoundId(number))).await?;
    let found = found.map_err(|error| RequestError::Internal(error.to_string()))?;
    found.map(Json).ok_or(RequestError::NoSuchRound(round))
}

/// Runs a view that may read a disk. A panic in it becomes an answer, not a dead connection.
async fn off_thread<T: Send + 'static>(view: impl FnOnce() -> T + Send + 'static) -> Result<T, RequestError> {
    tokio::task::spawn_blocking(view).await.map_err(|error| RequestError::Internal(error.to_string()))
}

async fn livez() -> Json<Value> {
    Json(json!({"alive": true, "version": build::describe()}))
}

async fn readyz(State(state): State<WebState>) -> (StatusCode, Json<Value>) {
    let reasons = state.readiness.reasons();
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready, "reasons": reasons})))
}
