//! Names: which files of a listing are footage, and what they are called in the corpus.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Hashed, LeftOut};
use crate::{
    corpus::{ClipEntry, shelf::Listed},
    domain::ids::Digest,
};

/// Endings of videos that are no source clips as they are.
const OTHER_VIDEOS: [&str; 9] = ["mov", "m4v", "mkv", "webm", "avi", "mts", "m2ts", "mpg", "wmv"];
/// Longest stem of a name in the corpus; a part's number comes behind it.
const MAX_STEM: usize = 120;

/// What a listing holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Footage, in order of the names.
    pub clips: Vec<Listed>,
    /// Text files by their names without `.txt`.
    pub texts: BTreeMap<String, Listed>,
    /// Videos that cannot be used as they are.
    pub left_out: Vec<LeftOut>,
}

/// A file of footage with its names in the corpus.
#[derive(Clone, Debug)]
pub struct Clip {
    /// Where it lies.
    pub listed: Listed,
    /// SHA-256 of its content.
    pub sha256: Digest,
    /// Its name in the source without the ending.
    pub path_stem: String,
    /// What its clips' keys begin with.
    pub stem: String,
    /// Its name in the corpus.
    pub file: String,
}

/// Sorts a listing. Hidden files and what lies below `skip` are not looked at.
pub fn sources(files: Vec<Listed>, skip: Option<&str>) -> Found {
    let mut found = Found::default();
    for listed in files {
        let name = listed.name.as_ref();
        let hidden = name.split('/').any(|part| part.starts_with('.'));
        let skipped =
            skip.is_some_and(|skip| name.strip_prefix(skip).is_some_and(|rest| rest.starts_with('/')));
        let Some((stem, ending)) = name.rsplit_once('.') else { continue };
        let ending = ending.to_ascii_lowercase();
        match ending.as_str() {
            _ if hidden || skipped => {}
            "mp4" => found.clips.push(listed),
            "txt" => {
                found.texts.insert(stem.to_owned(), listed);
            }
            other if OTHER_VIDEOS.contains(&other) => found.left_out.push(LeftOut {
                reason: format!("is no mp4 file: make one with `ffmpeg -i {name} -c copy {stem}.mp4`"),
                name: name.to_owned(),
            }),
            _ => {}
        }
    }
    found
}

/// Gives every file its names. The same content counts once. A file that the manifest has already keeps its name; a
/// name that another file has gets a few digits of the digest behind it.
pub(super) fn named(files: Vec<Hashed>, before: &[ClipEntry], left_out: &mut Vec<LeftOut>) -> Vec<Clip> {
    let known: HashMap<[u8; 32], &str> =
        before.iter().map(|clip| (clip.sha256.0, clip.file.as_str())).collect();
    // Every beginning of a key that another file of the manifest uses.
    let mut taken: HashSet<String> = before.iter().map(|clip| stem_of(&clip.file).to_owned()).collect();
    let mut seen: HashMap<[u8; 32], String> = HashMap::new();
    let mut named = Vec::with_capacity(files.len());
    for Hashed { listed, sha256 } in files {
        let name = listed.name.to_string();
        if let Some(first) = seen.get(&sha256.0) {
            left_out.push(LeftOut { reason: format!("is the same file as {first}"), name });
            continue;
        }
        let path_stem = stem_of(&name).to_owned();
        let stem = match known.get(&sha256.0) {
            Some(file) => stem_of(file).to_owned(),
            None => {
                let plain = plain(&path_stem);
                match taken.contains(&plain) {
                    true => format!("{plain}-{}", &sha256.to_string()[..8]),
                    false => plain,
                }
            }
        };
        taken.insert(stem.clone());
        seen.insert(sha256.0, name);
        let file = known.get(&sha256.0).map_or_else(|| format!("{stem}.mp4"), |file| (*file).to_owned());
        named.push(Clip { listed, sha256, path_stem, stem, file });
    }
    named
}

fn stem_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// A name of plain characters: folders and whatever else become hyphens.
fn plain(stem: &str) -> String {
    let mut plain = String::with_capacity(stem.len());
    for c in stem.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') => plain.push(c),
            _ if plain.ends_with('-') => {}
            _ => plain.push('-'),
        }
    }
    let plain: String = plain.trim_matches(['-', '.']).chars().take(MAX_STEM).collect();
    if plain.is_empty() { "clip".into() } else { plain }
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;

    fn listed(name: &str) -> Listed {
        Listed { name: Path::from(name), bytes: 2_000_000 }
    }

    fn hashed(name: &str, content: u8) -> Hashed {
        Hashed { listed: listed(name), sha256: Digest::of(&[content]) }
    }

    #[test]
    fn a_listing_is_sorted_into_footage_texts_and_what_must_be_converted() {
        let names =
            ["a.mp4", "B C.MP4", "a.txt", "x/y.mov", ".cache/z.mp4", "out/a.mp4", "outer.mp4", "readme"];
        let found = sources(names.map(listed).to_vec(), Some("out"));
        let clips: Vec<&str> = found.clips.iter().map(|clip| clip.name.as_ref()).collect();
        assert_eq!(clips, ["a.mp4", "B C.MP4", "outer.mp4"]);
        assert_eq!(found.texts.keys().collect::<Vec<_>>(), ["a"]);
        let [video] = &found.left_out[..] else { panic!("{:?}", found.left_out) };
        assert!(video.name == "x/y.mov" && video.reason.contains("-c copy x/y.mp4"), "{video:?}");
    }

    #[test]
    fn names_are_plain_unique_and_stay_with_their_files() {
        let files = vec![
            hashed("day 1/cup (2).MP4", 1),
            hashed("day-1/cup-2.mp4", 2),
            hashed("again.mp4", 1),
            hashed("k+=se.mp4", 3),
            hashed("(((.mp4", 4),
        ];
        let mut left_out = Vec::new();
        let clips = named(files, &[], &mut left_out);
        let second = format!("day-1-cup-2-{}", &Digest::of(&[2]).to_string()[..8]);
        let stems: Vec<&str> = clips.iter().map(|clip| clip.stem.as_str()).collect();
        assert_eq!(stems, ["day-1-cup-2", &second, "k-se", "clip"]);
        assert_eq!(clips[0].file, "day-1-cup-2.mp4");
        let [twice] = &left_out[..] else { panic!("{left_out:?}") };
        assert!(
            twice.name == "again.mp4" && twice.reason.contains("the same file as day 1/cup"),
            "{twice:?}"
        );
    }

    #[test]
    fn a_file_that_the_manifest_has_keeps_its_name_and_another_one_does_not_take_it() {
        let before = ClipEntry {
            key: "cup-1.mp4".into(),
            file: "cup.mp4".into(),
            bytes: 2_000_000,
            sha256: Digest::of(&[1]),
            caption: "A cup.".into(),
            licence: "CC0-1.0".into(),
            source: "here".into(),
            from_ms: None,
            to_ms: None,
            window: None,
            caption_by: None,
        };
        let mut left_out = Vec::new();
        let clips = named(vec![hashed("cup.mp4", 2), hashed("renamed.mp4", 1)], &[before], &mut left_out);
        assert_eq!((clips[1].stem.as_str(), clips[1].file.as_str()), ("cup", "cup.mp4"));
        assert!(clips[0].stem.starts_with("cup-") && clips[0].stem.len() == 12, "{}", clips[0].stem);
        assert!(left_out.is_empty());
    }
}
