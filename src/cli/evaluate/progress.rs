//! Progress of long work on a terminal, and text on stdout.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::exit::{Exit, Failure};

/// A bar on stderr, hidden where that is no terminal.
pub(in crate::cli) struct Progress(ProgressBar);

impl Progress {
    /// A bar without work.
    pub(in crate::cli) fn start() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {wide_msg} {elapsed}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Other work of so many steps begins.
    pub(in crate::cli) fn stage(&self, name: &'static str, steps: usize) {
        self.0.reset();
        self.0.set_prefix(name);
        self.0.set_length(steps as u64);
    }

    /// A step was done.
    pub(in crate::cli) fn step(&self, what: &str) {
        self.0.inc(1);
        self.0.set_message(what.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>());
    }

    /// All work is done.
    pub(in crate::cli) fn end(self) {
        self.0.finish_and_clear();
    }
}

/// Writes text to stdout; a reader that has seen enough is no failure.
pub(in crate::cli) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Internal, anyhow!("standard output: {cause}")))
        }
        _ => Ok(()),
    }
}
