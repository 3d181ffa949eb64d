//! Scores of drawn clips: what must pass, what must not, and that numbers repeat exactly.

mod camera_words;
mod flow;
mod flow_reference;
mod golden;
mod kernels;
mod payout;
mod rules;
mod scenes;
mod temporal;
mod verdicts;
mod whole_clips;
mod written;
