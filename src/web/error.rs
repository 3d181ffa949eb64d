//! Failures: of the server, and of one request as JSON.

use std::net::SocketAddr;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why the operator endpoints could not be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address is taken, not ours, or needs rights.
    #[error("cannot listen on {address}: {source}; set web.listen to a free address")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Why one request was refused or failed; the response is `{"error": {"code", "detail"}}`.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("no such page: {0}; / lists the pages")]
    NoSuchPage(String),
    #[error("this page only answers GET and HEAD")]
    WrongMethod,
    #[error("{what} must be {expected}")]
    Malformed { what: &'static str, expected: String },
    #[error("round {0} is not known to this validator")]
    NoSuchRound(String),
    #[error("no answer within {0} s")]
    TooSlow(u64),
    #[error("the page could not be made: {0}")]
    Internal(String),
}

impl RequestError {
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            RequestError::NoSuchPage(_) => (StatusCode::NOT_FOUND, "no_such_page"),
            RequestError::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            RequestError::Malformed { .. } => (StatusCode::BAD_REQUEST, "malformed"),
            RequestError::NoSuchRound(_) => (StatusCode::NOT_FOUND, "no_such_round"),
            RequestError::TooSlow(_) => (StatusCode::SERVICE_UNAVAILABLE, "too_slow"),
            RequestError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let (status, code) = self.status();
        if status.is_server_error() {
            tracing::warn!(code, error = %self, "operator page failed");
        }
        (status, Json(json!({"error": {"code": code, "detail": self.to_string()}}))).into_response()
    }
}
