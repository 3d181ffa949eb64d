//! Metric names, Prometheus text, readiness and logs.
//!
//! [`Vitals`] and the actors' board are written by whoever knows; [`Metrics`] and [`Health`] read
//! them when somebody asks, so that what they say is never older than the question.

pub mod build;
mod health;
mod logging;
mod metrics;
pub mod names;
mod standing;
mod storage;
mod vitals;

pub use health::{Health, HealthLimits, HealthOptions, Readiness, Reason, ReasonCode};
pub use logging::{Color, LogFormat, LogOptions, TelemetryError, init, parse_filter};
pub use metrics::{CONTENT_TYPE, Metrics, MetricsOptions};
pub use standing::{ChainLink, ChainStanding};
pub use storage::StorageVitals;
pub use vitals::{BlockSighting, Vitals};
