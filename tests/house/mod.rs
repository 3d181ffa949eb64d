//! The house's own rules, read from its source: who may name whom, and how long a file may be.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()) {
            if entry.is_dir() {
                walk(&entry, into);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&entry).expect("source");
                into.push((entry, text));
            }
        }
    }
    let mut all = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    assert!(all.len() > 50, "the walk found the source");
    all
}

/// Path below `src`, with forward slashes.
fn place(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.strip_prefix(root).expect("below src").to_string_lossy().replace('\\', "/")
}

/// Code lines only: comments may name anything.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or("")).filter(|line| !line.trim().is_empty())
}

fn names_crate(text: &str, name: &str) -> bool {
    code(text).any(|line| {
        line.contains(&format!("{name}::")) && {
            let at = line.find(&format!("{name}::")).unwrap_or(0);
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        }
    })
}

fn breaches(of: &[&str], allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let place = place(&path);
        for name in of.iter().filter(|name| !allowed(&place) && names_crate(&text, name)) {
            found.push(format!("{place} names {name}"));
        }
    }
    found
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let rooms: [(&[&str], &[&str]); 6] = [
        (&["ffmpeg_next"], &["decode/ffmpeg"]),
        (&["wgpu"], &["gpu/"]),
        (&["burn"], &["embed/"]),
        (&["leoma_film"], &["sim/", "corpus/draw/", "evidence/", "encode.rs"]),
        (&["actix", "actix_rt"], &["actors/", "runtime/", "cli/run.rs"]),
        (&["subxt", "subxt_signer"], &["chain/subtensor", "chain/devnet", "chain/wallet", "cli/devnet.rs"]),
    ];
    for (crates, homes) in rooms {
        let found = breaches(crates, |place| homes.iter().any(|home| place.starts_with(home)));
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn pure_rooms_know_no_runtime_and_no_adapter() {
    let pure = |place: &str| place.starts_with("core/") || place.starts_with("film/");
    let runtimes = ["tokio", "actix", "wgpu", "ffmpeg_next", "reqwest", "axum", "rusqlite", "burn"];
    let found = breaches(&runtimes, |place| !pure(place));
    assert!(found.is_empty(), "{found:#?}");
    let rooms =
        "actors chain cli config corpus decode embed gpu miners runtime sim storage store telemetry web";
    for (path, text) in sources().into_iter().filter(|(path, _)| pure(&place(path))) {
        for room in rooms.split(' ') {
            let outward = code(&text).any(|line| line.contains(&format!("crate::{room}")));
            assert!(!outward, "{} reaches out to {room}", place(&path));
        }
    }
}

#[test]
fn adapters_do_not_know_the_actors_and_nobody_but_the_surface_knows_the_command_line() {
    for (path, text) in sources() {
        let place = place(&path);
        let names = |room: &str| code(&text).any(|line| line.contains(&format!("crate::{room}")));
        let above_actors = place.starts_with("actors/") || place.starts_with("cli/");
        assert!(above_actors || !names("actors"), "{place} names the actors");
        assert!(place.starts_with("cli/") || place == "main.rs" || !names("cli"), "{place} names the CLI");
        assert!(
            place.starts_with("sim/") || place.starts_with("cli/sim") || !names("sim"),
            "{place} names the simulation: no part of the validator may know that it is a demo"
        );
    }
}

#[test]
fn no_key_is_near_bytes_that_strangers_wrote() {
    for (path, text) in sources().into_iter().filter(|(path, _)| place(path).starts_with("bundle/")) {
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        let names = code(shipped).any(|line| line.contains("wallet") || line.contains("HotkeySigner"));
        let packs = ["bundle/pack.rs", "bundle/packer.rs"].contains(&place(&path).as_str());
        assert!(!names || packs, "{} names the key", place(&path));
        let parses = code(shipped).any(|line| line.contains("from_slice") || line.contains("parse(&"));
        assert!(!(names && parses), "{} parses beside the key", place(&path));
    }
}

#[test]
fn raw_sends_stay_behind_the_post() {
    for (path, text) in sources() {
        let place = place(&path);
        let raw = code(&text).any(|line| line.contains(".do_send("));
        assert!(!raw || place == "runtime/post.rs", "{place} sends around the post");
    }
}

#[test]
fn files_stay_readable() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines: split it by idea", place(&path));
    }
}
