//! The operator's surface: configuration, command line and pages.

mod config;
mod metrics_page;
mod selftest;
mod web;
