//! Ranges of a repository's files: Hugging Face sends their reader on to where the bytes lie, once, to a configured host.

use std::{collections::BTreeMap, ops::Range, time::SystemTime};

use bytes::Bytes;
use reqwest::{
    Client, Response, StatusCode,
    header::{AUTHORIZATION, LOCATION, RANGE},
};
use url::Url;

use crate::domain::{commitment::Commitment, ids::BlockHash};

use super::{
    faults::{Call, Failure, Trouble},
    host::{Answered, Host},
    options::{Checked, join},
    port::ServiceFault,
    retry::told,
    weights::{
        HeaderError, MOST_TENSORS, Tensor, WeightFile, WeightSample, choose_slices, header_length,
        read_header,
    },
    wire::{self, Limit},
};

/// Most safetensors files of a model.
const MOST_FILES: usize = 64;
/// Bytes that are read at once of a file's beginning: most headers lie in it.
const FIRST_BYTES: u64 = 128 << 10;

/// Reads ranges of one model's files.
pub(super) struct Files<'a> {
    pub(super) client: &'a Client,
    pub(super) checked: &'a Checked,
    pub(super) host: &'a Host,
    pub(super) commitment: &'a Commitment,
    /// Where each file's bytes lie, as far as Hugging Face has said so.
    pub(super) moved: BTreeMap<String, Url>,
}

impl Files<'_> {
    /// Slices of the model's tensors; `None` where it has no safetensors file, or one that is not as documented.
    pub(super) async fn sample(
        &mut self,
        files: &[WeightFile],
        seed: &BlockHash,
    ) -> Result<Option<WeightSample>, ServiceFault> {
        let shards: Vec<_> = files.iter().filter(|file| file.name.ends_with(".safetensors")).collect();
        if shards.is_empty() || shards.len() > MOST_FILES {
            return Ok(None);
        }
        let mut tensors = Vec::new();
        for (index, file) in shards.iter().enumerate() {
            match self.tensors(index, file).await? {
                Ok(read) if tensors.len() + read.len() <= MOST_TENSORS => tensors.extend(read),
                Ok(_) => return Ok(None),
                Err(cause) => {
                    tracing::debug!(model = %self.commitment.model_name, file = %file.name, "{cause}");
                    return Ok(None);
                }
            }
        }
        let mut sample = WeightSample::default();
        for slice in choose_slices(&tensors, seed) {
            let bytes = self.range(&shards[slice.file].name, slice.at).await?;
            sample.slices.insert(slice.kind, bytes);
        }
        Ok((!sample.slices.is_empty()).then_some(sample))
    }

    async fn tensors(
        &mut self,
        index: usize,
        file: &WeightFile,
    ) -> Result<Result<Vec<Tensor>, HeaderError>, ServiceFault> {
        if file.size < 8 {
            return Ok(Err(HeaderError::Length(file.size)));
        }
        let first = self.range(&file.name, 0..file.size.min(FIRST_BYTES)).await?;
        let Some((length, rest)) = first.split_first_chunk::<8>() else {
            return Ok(Err(HeaderError::Length(0)));
        };
        let length = match header_length(*length, file.size) {
            Ok(length) => length,
            Err(cause) => return Ok(Err(cause)),
        };
        let mut header = rest[..rest.len().min(length as usize)].to_vec();
        let have = header.len() as u64;
        if have < length {
            header.extend_from_slice(&self.range(&file.name, 8 + have..8 + length).await?);
        }
        Ok(read_header(&header, index, file.size))
    }

    /// Bytes of a file, exactly as many as were asked for.
    async fn range(&mut self, name: &str, range: Range<u64>) -> Result<Bytes, ServiceFault> {
        let known = self.moved.get(name).cloned();
        let (this, range) = (&*self, &range);
        let fetched = this.host.ask(|limit| this.fetch(name, range, known.clone(), limit)).await;
        match fetched {
            Ok((bytes, place)) => {
                if let Some(place) = place {
                    self.moved.insert(name.to_owned(), place);
                }
                Ok(bytes)
            }
            Err(failure) => {
                self.moved.remove(name); // addresses that were handed out end
                Err(failure.of(Call::ModelLookup))
            }
        }
    }

    async fn fetch(
        &self,
        name: &str,
        range: &Range<u64>,
        known: Option<Url>,
        limit: Limit,
    ) -> Result<Answered<(Bytes, Option<Url>)>, Failure> {
        let options = &self.checked.options;
        let (mut place, mut pause) = (known, None);
        let response = match &place {
            Some(url) => self.get(url.clone(), range, limit).await?,
            None => {
                let mut segments: Vec<_> = self.commitment.model_name.split('/').collect();
                segments.extend(["resolve", self.commitment.model_revision.as_str()]);
                segments.extend(name.split('/'));
                let url = join(&options.huggingface, &segments);
                let first = self.get(url, range, limit).await?;
                pause = told(first.headers(), SystemTime::now());
                if first.status().is_redirection() {
                    let url = self.sent_on(&first)?;
                    place = Some(url.clone());
                    self.get(url, range, limit).await?
                } else {
                    first
                }
            }
        };
        let length = range.end - range.start;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(wire::refused(response, limit).await);
        }
        let other = |text: String| Failure::new(Trouble::NotUnderstood, text);
        let bytes = match wire::body(response, length as usize, limit).await {
            Err(failure) if failure.trouble == Trouble::TooLarge => return Err(other(failure.detail)),
            read => read?,
        };
        if bytes.len() as u64 != length {
            return Err(other(format!("{} bytes of {length}", bytes.len())));
        }
        Ok(Answered { value: (bytes, place), told: pause })
    }

    /// The token goes to Hugging Face itself and to nobody that it names.
    async fn get(&self, url: Url, range: &Range<u64>, limit: Limit) -> Result<Response, Failure> {
        let ours = url.origin() == self.checked.options.huggingface.origin();
        let mut request =
            self.client.get(url).header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        if let Some(value) = self.checked.huggingface_authorization.as_ref().filter(|_| ours) {
            request = request.header(AUTHORIZATION, value);
        }
        wire::send(request, limit).await
    }

    fn sent_on(&self, response: &Response) -> Result<Url, Failure> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let url = location.and_then(|location| self.checked.file_address(location));
        url.ok_or_else(|| {
            let text = format!("sent on to `{}`, which is no configured host", location.unwrap_or_default());
            Failure::new(Trouble::NotUnderstood, text)
        })
    }
}
