//! Scorers behind their trait: every device gives the verdict of the pure function, every kernel its twin's integers.

mod device;
mod inputs;
#[path = "../core/scenes.rs"]
#[allow(dead_code, reason = "the core tests use the rest")]
mod scenes;
mod scorer;
mod shaders;
mod stages;
mod swiftshader;
