//! Source clips: manifest, one-shot selection, resampling, prompt.
