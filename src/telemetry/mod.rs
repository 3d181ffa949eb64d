//! Metric names, Prometheus text, spans.
