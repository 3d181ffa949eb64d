//! Payout rules (placeholder).
