//! Wire types of Chutes, of Hugging Face and of the miners' `/generate`.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{port::GenerateRequest, weights::WeightFile};

/// Header of a generate answer that names the invocation on Chutes.
pub const INVOCATION_ID: &str = "X-Chutes-InvocationID";
/// Header of a Hugging Face error that says what was not found.
pub const HF_ERROR_CODE: &str = "X-Error-Code";

/// Names of files that hold weights end in one of these.
const WEIGHT_SUFFIXES: [&str; 5] = [".safetensors", ".bin", ".pt", ".pth", ".ckpt"];

/// Body of `POST /generate`. It speaks both dialects at once: the miner template reads `num_frames`
/// and `seed`, older chutes read `frames`, `resolution` and `fast`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GenerateBody {
    /// The prompt.
    pub prompt: String,
    /// The first frame: a PNG file in base64.
    pub image: String,
    /// Frames per second.
    pub fps: u32,
    /// Number of frames, old dialect.
    pub frames: u32,
    /// Number of frames, template dialect.
    pub num_frames: u32,
    /// Height as a name, e.g. `480p`, old dialect.
    pub resolution: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether the fast path of the chute may be used, old dialect.
    pub fast: bool,
    /// Seed, distinct per miner.
    pub seed: u32,
}

impl GenerateBody {
    /// The body that asks for a clip.
    pub fn new(request: &GenerateRequest) -> Self {
        let spec = request.spec;
        Self {
            prompt: request.prompt.clone(),
            image: STANDARD.encode(&request.first_frame_png),
            fps: spec.fps,
            frames: spec.frames,
            num_frames: spec.frames,
            resolution: format!("{}p", spec.height),
            width: spec.width,
            height: spec.height,
            fast: true,
            seed: request.seed,
        }
    }

    /// The first frame's PNG file, as a miner reads it.
    pub fn first_frame_png(&self) -> Result<Vec<u8>, base64::DecodeError> {
        STANDARD.decode(&self.image)
    }
}

/// What we read of `GET /chutes/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ChuteRecord {
    /// The chute's id.
    pub chute_id: String,
    /// Host part, given by Chutes.
    pub slug: Option<String>,
    /// Model revision that the chute says it serves.
    pub revision: Option<String>,
    /// Whether some instance is active and verified.
    pub hot: bool,
}

impl ChuteRecord {
    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let texts = [Some(&self.chute_id), self.slug.as_ref(), self.revision.as_ref()];
        128 + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// What we read of `GET /api/models/{repo}/revision/{revision}?blobs=true`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ModelRecord {
    /// Full commit hash that the asked revision resolves to.
    pub sha: String,
    /// Every file of the revision.
    pub siblings: Vec<ModelFile>,
    /// Whether files are given out on request only: `false`, `"auto"` or `"manual"`.
    #[serde(default, deserialize_with = "is_set")]
    pub gated: bool,
    /// Whether only its owner and those the owner lets in see it.
    #[serde(default, deserialize_with = "is_set")]
    pub private: bool,
    /// Whether Hugging Face closed it.
    #[serde(default, deserialize_with = "is_set")]
    pub disabled: bool,
}

/// `null` and `false` are no, anything else is yes.
fn is_set<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    let value = serde_json::Value::deserialize(value)?;
    Ok(!matches!(value, serde_json::Value::Null | serde_json::Value::Bool(false)))
}

/// One file of a model repository.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ModelFile {
    /// Path inside the repository.
    pub rfilename: String,
    /// Present for files in large-file storage.
    pub lfs: Option<LargeFile>,
}

/// Large-file storage entry.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct LargeFile {
    /// SHA-256 of the file's content, 64 hexadecimal digits.
    pub sha256: String,
    /// Length of the file in bytes.
    #[serde(default)]
    pub size: u64,
}

/// Whether a host part may go into an address: 1 to 63 characters of `[a-z0-9-]` (one DNS label).
pub fn is_slug(text: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(character)
}

/// The weight files in large-file storage, by name. Suffixes are compared in lower case, so that renaming changes
/// nothing.
pub fn weight_files(files: &[ModelFile]) -> Vec<WeightFile> {
    let is_weights = |name: &str| {
        let name = name.to_ascii_lowercase();
        WEIGHT_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
    };
    let weights = files.iter().filter(|file| is_weights(&file.rfilename));
    let weights = weights.filter_map(|file| {
        let lfs = file.lfs.as_ref()?;
        let sha256 = lfs.sha256.to_ascii_lowercase();
        Some(WeightFile { name: file.rfilename.clone(), sha256, size: lfs.size })
    });
    let mut weights: Vec<_> = weights.collect();
    weights.sort();
    weights
}

/// Model hash: SHA-256 over the concatenated hexadecimal text of the sorted, distinct SHA-256s of
/// all weight files in large-file storage, in hexadecimal; `None` where there is no such file.
pub fn model_hash(files: &[WeightFile]) -> Option<String> {
    let digests: BTreeSet<&str> = files.iter().map(|file| file.sha256.as_str()).collect();
    if digests.is_empty() {
        return None;
    }
    let mut hasher = Sha256::new();
    for digest in &digests {
        hasher.update(digest.as_bytes());
    }
    Some(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::domain::plan::ClipSpec;

    fn file(name: &str, sha256: Option<&str>) -> ModelFile {
        ModelFile {
            rfilename: name.into(),
            lfs: sha256.map(|sha256| LargeFile { sha256: sha256.to_owned(), size: 1 }),
        }
    }

    #[test]
    fn the_model_hash_is_over_sorted_distinct_weight_digests() {
        let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
        let files = [
            file("y/model-2.safetensors", Some(&b)),
            file("x/model-1.SAFETENSORS", Some(&a.to_ascii_uppercase())),
            file("again.bin", Some(&b)),
            file("video.mp4", Some(&c)),
            file("small.pt", None),
        ];
        let expected = hex::encode(Sha256::digest(format!("{a}{b}")));
        assert_eq!(model_hash(&weight_files(&files)), Some(expected));
        assert_eq!(model_hash(&weight_files(&files[3..])), None);
    }

    #[test]
    fn gated_has_three_spellings() {
        let gated = |text: &str| {
            let text = format!(r#"{{"sha": "a", "siblings": [], "private": null{text}}}"#);
            serde_json::from_str::<ModelRecord>(&text).expect("a record").gated
        };
        assert!(!gated("") && !gated(r#", "gated": false"#));
        assert!(
            gated(r#", "gated": "auto""#) && gated(r#", "gated": "manual""#) && gated(r#", "gated": true"#)
        );
    }

    #[test]
    fn slugs_are_one_dns_label() {
        assert!(is_slug("someone-leoma-5f"));
        for text in ["", "A", "a.b", "a/b", "a@b", "a:1", "a%2e", "ä", "a\n", &"a".repeat(64)] {
            assert!(!is_slug(text), "{text}");
        }
    }

    #[test]
    fn the_body_speaks_both_dialects() {
        let body = GenerateBody::new(&GenerateRequest {
            slug: "s".into(),
            prompt: "a cat".into(),
            first_frame_png: Bytes::from_static(b"png"),
            spec: ClipSpec { frames: 81, width: 832, height: 480, fps: 16 },
            seed: 7,
            timeout: Duration::from_secs(1),
        });
        let json = serde_json::to_value(&body).expect("serializable");
        let expected = serde_json::json!({"prompt": "a cat", "image": "cG5n", "fps": 16, "frames": 81,
            "num_frames": 81, "resolution": "480p", "width": 832, "height": 480, "fast": true, "seed": 7});
        assert_eq!(json, expected);
        assert_eq!(body.first_frame_png().expect("base64"), b"png");
    }
}
