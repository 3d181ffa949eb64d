//! What actix lacks: back-pressure, supervision, stats, shutdown.

pub mod board;
pub mod histogram;
pub mod post;
pub mod steward;
