//! What actix lacks: back-pressure, supervision, stats, shutdown.
