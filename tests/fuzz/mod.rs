//! Every door takes the committed corpus and thousands of mutations of it, the same ones in every run.
//!
//! `LEOMA_FUZZ_RUNS=100000 cargo test --test stories fuzz::` looks longer, `LEOMA_FUZZ_SEED=2` elsewhere. What breaks a door is
//! written to a file that the message names: mend the door, and commit the file to the door's corpus.

mod mutate;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use leoma::fuzz::{DOORS, Door};

use mutate::Mutator;

/// Mutations of each door's corpus in a run.
const RUNS: u64 = 3_000;
/// Longest mutated input, in bytes.
const LONGEST: usize = 1 << 18;

/// Seeds of a door: its own corpus, and files that other tests keep.
fn seeds(door: &Door) -> Vec<(PathBuf, Vec<u8>)> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let others = match door.name {
        "bundle" => Some("golden/bundle/schema-1"),
        "video" => Some("golden/must_pass"),
        _ => None,
    };
    let folders = [Some(tests.join("fuzz/corpus").join(door.name)), others.map(|other| tests.join(other))];
    let files = folders.into_iter().flatten().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("a seed");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().expect("a number"))
}

/// Opens a door; keeps what breaks it.
fn open(door: &Door, bytes: &[u8], what: &str) -> bool {
    catch_unwind(AssertUnwindSafe(|| (door.open)(bytes))).unwrap_or_else(|_| {
        let kept = std::env::temp_dir().join(format!("leoma-fuzz-{}-{}.bin", door.name, bytes.len()));
        std::fs::write(&kept, bytes).expect("kept");
        panic!("{what} breaks the door `{}`: {}", door.name, kept.display());
    })
}

#[test]
fn every_door_takes_its_corpus_and_is_opened_by_some_of_it() {
    for door in &DOORS {
        let seeds = seeds(door);
        let opened =
            seeds.iter().filter(|(path, bytes)| open(door, bytes, &path.display().to_string())).count();
        assert!(opened > 0, "no seed of {} is what it is for", door.name);
        assert!(opened < seeds.len(), "every seed of {} is taken: none shows what is refused", door.name);
        assert!(!open(door, &[], "nothing"));
    }
}

#[test]
fn every_door_comes_back_from_mutations() {
    let (runs, seed) = (asked("LEOMA_FUZZ_RUNS", RUNS), asked("LEOMA_FUZZ_SEED", 1));
    for door in &DOORS {
        let seeds: Vec<Vec<u8>> = seeds(door).into_iter().map(|(_, bytes)| bytes).collect();
        let mut mutator = Mutator::new(seed, LONGEST);
        let mut opened = 0;
        for run in 0..runs {
            let input = mutator.next(&seeds);
            opened += u64::from(open(door, &input, &format!("mutation {run} of seed {seed}")));
        }
        eprintln!("{}: {opened} of {runs} mutations were taken", door.name);
    }
}
