//! The six actors of the card: they route typed messages and compute nothing.
//!
//! ```text
//! chain heads ─BlockSeen─▶ RoundClock ─SyncRoster─▶ MinerRegistry ─RosterReady─▶ RoundClock
//! RoundClock ─OpenRound─▶ Challenger ─DecodeClip─▶ Decoder ─ScoreClip─▶ GpuScorer
//! Challenger | Decoder | GpuScorer ─MinerSettled─▶ RoundClock        exactly one per ticket
//! RoundClock ─SubmitWeights─▶ WeightSetter ─WeightsReport─▶ RoundClock
//! ```

pub mod challenger;
pub mod decoder;
pub mod gpu_scorer;
pub mod house;
pub mod messages;
pub mod miner_registry;
pub mod round_clock;
pub mod ticket;
pub mod weight_setter;
