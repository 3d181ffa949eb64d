//! Whether a clip still is what its manifest entry says, on this machine and with this decoder.

use serde::Serialize;

use super::{
    ClipEntry, Corpus, CorpusError,
    build::survey::PINNING_ANCHOR,
    library::Scanned,
    window::{WindowRequest, find_window, window_at},
};
use crate::domain::ids::Digest;

/// One thing that is not as the manifest says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Difference {
    /// The decoder refuses the file.
    #[error("the decoder refuses the file: {reason}")]
    Decoding {
        /// What it said.
        reason: String,
    },
    /// The pinned window is drawn elsewhere.
    #[error("the window starts at {manifest_us} us by the manifest, here {}", here.as_deref().unwrap_or("there is none"))]
    Window {
        /// By the manifest.
        manifest_us: u64,
        /// What is found here: a start, or why there is none.
        here: Option<String>,
    },
    /// The pinned window decodes to other pictures.
    #[error("the window decodes to {here}, the manifest says {manifest}")]
    Planes {
        /// By the manifest.
        manifest: Digest,
        /// Here.
        here: Digest,
    },
}

impl Corpus {
    /// Derives anew what a manifest entry says of its file: size and SHA-256, the pinned window, its decoded frames.
    ///
    /// # Errors
    /// When the file is missing, late or another one than the manifest's ([`super::shelf::ShelfError`]), or the decode
    /// worker fails.
    pub async fn differences(&self, entry: &ClipEntry) -> Result<Vec<Difference>, CorpusError> {
        let (file, scanned) = self.load(entry).await?;
        let Some(pinned) = &entry.window else { return Ok(Vec::new()) };
        let timeline = match &*scanned {
            Scanned::Timeline(timeline) => timeline,
            Scanned::Refused(reason) => return Ok(vec![Difference::Decoding { reason: reason.clone() }]),
        };
        let mut found = Vec::new();
        let manifest_us = pinned.start_us;
        let asked = WindowRequest {
            key: &entry.key,
            range_us: entry.range_us(),
            anchor: &PINNING_ANCHOR,
            spec: pinned.spec(),
        };
        match find_window(timeline, &asked) {
            Ok(window) if window.start_us == manifest_us => {}
            Ok(window) => {
                let here = Some(format!("at {} us", window.start_us));
                found.push(Difference::Window { manifest_us, here });
            }
            Err(reason) => {
                found
                    .push(Difference::Window { manifest_us, here: Some(format!("there is none: {reason}")) });
            }
        }
        let Some(window) = window_at(timeline, manifest_us, pinned.spec()) else {
            if found.is_empty() {
                found.push(Difference::Window { manifest_us, here: None });
            }
            return Ok(found);
        };
        let here = self.extract(entry, file, timeline.size(), &window, pinned.spec()).await?;
        let here = here.choice.reference_frames;
        if here != pinned.planes {
            found.push(Difference::Planes { manifest: pinned.planes, here });
        }
        Ok(found)
    }
}
