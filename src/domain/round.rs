//! The round state machine (placeholder).
