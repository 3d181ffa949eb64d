//! The operator's surface: configuration, command line and pages.

mod config;
mod metrics_page;
mod miners_page;
mod selftest;
mod web;
