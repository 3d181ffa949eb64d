//! Pure rules of the tournament: no tokio, actix, wgpu, ffmpeg or subxt is named here.

pub mod bundle;
pub mod commitment;
pub mod copies;
pub mod corpus_commitment;
pub mod epochs;
pub mod event;
pub mod ids;
pub mod inquiry;
pub mod outcome;
pub mod payments;
pub mod payout;
pub mod plan;
pub mod random;
pub mod report;
pub mod roster;
pub mod round;
pub mod rules;
pub mod score;
pub mod scoring;
pub mod testing;
pub mod track;
pub mod weights;
