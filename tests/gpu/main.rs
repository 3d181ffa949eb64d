//! Scorers behind their trait: every device gives the verdict of the pure function.

#[path = "../core/scenes.rs"]
#[allow(dead_code, reason = "the core tests use the rest")]
mod scenes;
mod scorer;
