//! `leoma score` as its caller meets it: the real binary on real files.

mod browser;
mod inputs;
mod material;
mod models;
mod report;
mod verdicts;
mod writers;
