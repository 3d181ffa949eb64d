//! What one file of footage gives: its survey, the captions of its clips, and the file itself.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Builder, LeftOut, Yield,
    captions::{MAX_TEXT_BYTES, Note},
    names::Clip,
    survey::{Part, PartState, Survey},
    write_whole,
};
use crate::{
    corpus::{
        ClipEntry, Manifest, ManifestError,
        manifest::{CaptionSource, ClipWindow},
        png::encode_first_frame,
        shelf::Listed,
        vision::Subject,
    },
    decode::ExtractRequest,
    domain::ids::Digest,
};

impl Builder<'_> {
    /// Everything that one file gives.
    pub(super) async fn one(
        &self,
        clip: &Clip,
        texts: &BTreeMap<String, Listed>,
        before: &[ClipEntry],
    ) -> Yield {
        let name = clip.listed.name.to_string();
        let mut made = Yield::default();
        let mut file = Lazy { builder: self, clip, content: None };
        let survey = match self.survey(&mut file).await {
            Ok(survey) => survey,
            Err(reason) => {
                made.left_out.push(reason.of(&name));
                return made;
            }
        };
        let one_shot = survey.shots == 1;
        for part in survey.parts {
            match self.entry(&mut file, part, texts, (one_shot, before)).await {
                Ok(Some(entry)) => made.clips.push(entry),
                Ok(None) => {} // in the manifest already
                Err(refused) => made.left_out.push(refused),
            }
        }
        // Files of clips that the manifest has already are looked at too: one that was lost comes back.
        let used = !made.clips.is_empty() || before.iter().any(|known| known.sha256 == clip.sha256);
        if used && let Err(reason) = self.keep(&mut file).await {
            made.clips.clear();
            made.left_out.push(reason.of(&name));
        }
        made
    }

    async fn survey(&self, file: &mut Lazy<'_>) -> Result<Survey, Reason> {
        let clip = file.clip;
        let key = self.options.survey.cache_key(&clip.sha256, &clip.stem);
        if let Some(known) = self.cache.get(&key) {
            return Ok(known);
        }
        let survey = self
            .options
            .survey
            .survey(&file.content().await?, &clip.stem)
            .await
            .map_err(Reason::from_error)?;
        if let Err(error) = self.cache.put(&key, &survey) {
            tracing::warn!(%error, "the survey of a file could not be kept");
        }
        Ok(survey)
    }

    /// The manifest entry of a part; `None` when the manifest has it, or another clip of the same part of the file.
    async fn entry(
        &self,
        file: &mut Lazy<'_>,
        part: Part,
        texts: &BTreeMap<String, Listed>,
        (one_shot, before): (bool, &[ClipEntry]),
    ) -> Result<Option<ClipEntry>, LeftOut> {
        let left_out = |reason: Reason| reason.of(&part.key);
        let (window, pictures) = match &part.state {
            PartState::LeftOut(reason) => return Err(left_out(Reason(reason.clone()))),
            PartState::Serves { window, pictures } => (window, pictures),
        };
        let clip = file.clip;
        let mut entry = ClipEntry {
            key: part.key.clone(),
            file: clip.file.clone(),
            bytes: clip.listed.bytes,
            sha256: clip.sha256,
            caption: String::new(),
            licence: self.options.licence.clone(),
            source: clip.listed.name.to_string().chars().filter(|c| !c.is_control()).take(400).collect(),
            from_ms: part.from_ms,
            to_ms: part.to_ms,
            window: Some(window.clone()),
            caption_by: None,
        };
        let range = entry.range_us();
        let there = |known: &ClipEntry| {
            let other = known.range_us();
            let overlaps = other.start < range.end && range.start < other.end;
            known.key == entry.key || (known.sha256 == entry.sha256 && overlaps)
        };
        if before.iter().any(there) {
            return Ok(None);
        }
        match self.note(clip, &entry.key, one_shot, texts).await.map_err(left_out)? {
            Some(note) => {
                entry.caption = note.caption;
                entry.licence = note.licence.unwrap_or(entry.licence);
                entry.source = note.source.unwrap_or(entry.source);
            }
            None => {
                let (caption, by) = self.describe(file, window, pictures).await.map_err(left_out)?;
                (entry.caption, entry.caption_by) = (caption, Some(by));
            }
        }
        // One bad caption must not cost the manifest.
        match Manifest::new(0, vec![entry.clone()]) {
            Ok(_) => Ok(Some(entry)),
            Err(ManifestError::Invalid(problems)) => {
                let problems: Vec<String> = problems.into_iter().map(|problem| problem.problem).collect();
                Err(left_out(Reason(problems.join("; "))))
            }
            Err(error) => Err(left_out(Reason::from_error(error))),
        }
    }

    /// What somebody wrote of a clip: by its key, or by its file where the file is one shot.
    async fn note(
        &self,
        clip: &Clip,
        key: &str,
        one_shot: bool,
        texts: &BTreeMap<String, Listed>,
    ) -> Result<Option<Note>, Reason> {
        let name = clip.listed.name.as_ref();
        let part = key.strip_prefix(clip.stem.as_str()).and_then(|part| part.strip_suffix(".mp4"));
        let beside = format!("{}{}", clip.path_stem, part.unwrap_or_default());
        let of_clip = [(key.to_owned(), None), (format!("{beside}.mp4"), Some(&beside))];
        let of_file = (name.to_owned(), Some(&clip.path_stem));
        for (name, stem) in of_clip.into_iter().chain(one_shot.then_some(of_file)) {
            if let Some(note) = self.options.notes.get(&name) {
                return Ok(Some(note.clone()));
            }
            if let Some(listed) = stem.and_then(|stem| texts.get(stem)) {
                let text = self.options.source.read_listed(listed, MAX_TEXT_BYTES).await;
                if let Some(note) = Note::of_text(&text.map_err(Reason::from_error)?) {
                    return Ok(Some(note));
                }
            }
        }
        if self.describer.is_some() {
            return Ok(None);
        }
        let described_whole = self.options.notes.get(name).is_some() || texts.contains_key(&clip.path_stem);
        Err(Reason(match described_whole {
            true => {
                format!("the file has several shots and one caption: write one for this clip, {beside}.txt")
            }
            false => {
                format!(
                    "has no caption: write {beside}.txt beside it, or use --captions or --caption-endpoint"
                )
            }
        }))
    }

    async fn describe(
        &self,
        file: &mut Lazy<'_>,
        window: &ClipWindow,
        pictures: &ExtractRequest,
    ) -> Result<(String, CaptionSource), Reason> {
        let Some(describer) = self.describer else { return Err(Reason("has no caption".into())) };
        let sha256 = file.clip.sha256;
        let subject = Subject { sha256, start_us: window.start_us, planes: window.planes };
        if let Some(known) = describer.remembered(&subject) {
            return Ok((known.text, known.by));
        }
        let content = file.content().await?;
        let shown_frames = self
            .options
            .survey
            .decoder
            .extract_source(content, pictures)
            .await
            .map_err(Reason::from_error)?;
        let painted = tokio::task::spawn_blocking(move || {
            let (width, height) = (shown_frames.width(), shown_frames.height());
            let paint = |index| encode_first_frame(shown_frames.frame(index), width, height);
            (0..shown_frames.len()).map(paint).collect::<Result<Vec<Bytes>, _>>()
        });
        let painted = painted.await.map_err(Reason::from_error)?.map_err(Reason::from_error)?;
        let told = describer.describe(&subject, &painted).await.map_err(Reason::from_error)?;
        Ok((told.text, told.by))
    }

    /// Puts the file into the corpus' folder, unless it is there.
    async fn keep(&self, file: &mut Lazy<'_>) -> Result<(), Reason> {
        let path = self.options.out.join(&file.clip.file);
        let (bytes, sha256) = (file.clip.listed.bytes, file.clip.sha256);
        let known = path.clone();
        let there = tokio::task::spawn_blocking(move || {
            let same_size = std::fs::metadata(&known).is_ok_and(|facts| facts.len() == bytes);
            same_size && std::fs::read(&known).is_ok_and(|content| Digest::of(&content) == sha256)
        });
        if there.await.unwrap_or(false) {
            return Ok(());
        }
        let content = file.content().await?;
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || write_whole(&target, &content)).await;
        let written = written.map_err(Reason::from_error)?;
        written.map_err(|error| Reason(format!("cannot be written to {}: {error}", path.display())))
    }
}

/// Why one file or part is left out, for people; nothing decides by it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Reason(pub(super) String);

impl Reason {
    pub(super) fn from_error(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }

    pub(super) fn of(self, name: &str) -> LeftOut {
        LeftOut { name: name.to_owned(), reason: self.0 }
    }
}

/// A file's content, read when it is first needed.
struct Lazy<'a> {
    builder: &'a Builder<'a>,
    clip: &'a Clip,
    content: Option<Bytes>,
}

impl Lazy<'_> {
    async fn content(&mut self) -> Result<Bytes, Reason> {
        if let Some(content) = &self.content {
            return Ok(content.clone());
        }
        let (sha256, content) = self.builder.read(&self.clip.listed).await?;
        if sha256 != self.clip.sha256 {
            return Err(Reason("changed while the corpus was built: build again".into()));
        }
        Ok(self.content.insert(content).clone())
    }
}
