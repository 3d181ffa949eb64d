//! Operator endpoints over HTTP: metrics, actors, rounds and health, on loopback by default.

mod book;
mod error;
mod routes;
mod server;

pub use crate::telemetry::{Readiness, Reason, ReasonCode};
pub use error::WebError;
pub use routes::{MAX_ROUNDS, RoundsUnreadable, RoundsView, WebState};
pub use server::{WebOptions, serve};
