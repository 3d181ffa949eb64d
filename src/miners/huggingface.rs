//! Hugging Face: does the committed revision exist, and which weights does it hold.

use std::{sync::Arc, time::SystemTime};

use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};

use crate::domain::commitment::Commitment;

use super::{
    faults::{self, Call, Failure, Trouble, printable},
    host::{Answered, Host},
    options::{Checked, join},
    port::ServiceFault,
    protocol::{HF_ERROR_CODE, ModelRecord, model_hash, weight_files},
    retry::told,
    weights::WeightFile,
    wire::{self, Limit},
};

/// Error codes that are about the asked repository, whatever the status is.
const NOT_THERE: [&str; 3] = ["RepoNotFound", "RevisionNotFound", "EntryNotFound"];
/// The error code of a repository that gives files out on request only.
const GATED: &str = "GatedRepo";

/// What a revision holds. It never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Model {
    /// Model hash.
    pub(super) hash: String,
    /// Weight files.
    pub(super) files: Arc<[WeightFile]>,
}

impl Model {
    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.hash.len()
            + self.files.iter().map(|file| file.name.len() + file.sha256.len() + 64).sum::<usize>()
    }
}

/// What Hugging Face holds of a commitment's revision; asked again as the table of faults says.
pub(super) async fn look_up(
    client: &Client,
    checked: &Checked,
    host: &Host,
    commitment: &Commitment,
) -> Result<Model, ServiceFault> {
    let asked = host.ask(|limit| fetch(client, checked, commitment, limit));
    let record = asked.await.map_err(|failure| failure.of(Call::ModelLookup))?;
    judge(&record, commitment)
}

async fn fetch(
    client: &Client,
    checked: &Checked,
    commitment: &Commitment,
    limit: Limit,
) -> Result<Answered<ModelRecord>, Failure> {
    let options = &checked.options;
    let mut segments = vec!["api", "models"];
    segments.extend(commitment.model_name.split('/'));
    segments.extend(["revision", commitment.model_revision.as_str()]);
    let mut url = join(&options.huggingface, &segments);
    url.set_query(Some("blobs=true"));
    let mut request = client.get(url).header(ACCEPT, "application/json");
    if let Some(value) = &checked.huggingface_authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let response = wire::send(request, limit).await?;
    let absent = absence(&response, checked.huggingface_authorization.is_some());
    let code = response.headers().get(HF_ERROR_CODE).map(|value| value.as_bytes().to_vec());
    let told = told(response.headers(), SystemTime::now());
    let mut answer = wire::json(response, options.max_json_bytes, limit).await;
    if let Err(failure) = &mut answer {
        failure.trouble = absent.unwrap_or(failure.trouble);
        if let Some(code) = code {
            let code = printable(&String::from_utf8_lossy(&code), 64);
            failure.detail = format!("{code}: {}", failure.detail);
        }
    }
    Ok(Answered { value: answer?, told })
}

/// What an error says about the repository or the revision, if it is about them. Without a token Hugging Face answers 401
/// for what is missing or private; with one, 401 is about the token.
fn absence(response: &Response, with_token: bool) -> Option<Trouble> {
    let code = response.headers().get(HF_ERROR_CODE).and_then(|value| value.to_str().ok());
    match response.status() {
        status if status.is_client_error() && code == Some(GATED) => Some(Trouble::Gated),
        StatusCode::NOT_FOUND => Some(Trouble::NotFound),
        StatusCode::UNAUTHORIZED if !with_token => Some(Trouble::NotFound),
        status if status.is_client_error() && code.is_some_and(|code| NOT_THERE.contains(&code)) => {
            Some(Trouble::NotFound)
        }
        _ => None,
    }
}

pub(super) fn judge(record: &ModelRecord, commitment: &Commitment) -> Result<Model, ServiceFault> {
    if !record.sha.eq_ignore_ascii_case(&commitment.model_revision) {
        return Err(faults::revision_mismatch(Call::ModelLookup, &record.sha));
    }
    let fail = |trouble, detail: String| Failure::new(trouble, detail).of(Call::ModelLookup);
    let closed = [
        (record.disabled, Trouble::NotFound, "disabled by Hugging Face"),
        (record.private, Trouble::Private, "private: seen only because our token may"),
        (record.gated, Trouble::Gated, "files are given out on request only"),
    ];
    if let Some((_, trouble, detail)) = closed.into_iter().find(|(is, ..)| *is) {
        return Err(fail(trouble, detail.to_owned()));
    }
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digests = || record.siblings.iter().filter_map(|file| file.lfs.as_ref());
    if let Some(wrong) = digests().find(|lfs| !is_digest(&lfs.sha256)) {
        return Err(fail(Trouble::NotUnderstood, format!("`{}` is not a SHA-256", wrong.sha256)));
    }
    let files = weight_files(&record.siblings);
    let hash = model_hash(&files).ok_or_else(|| {
        fail(Trouble::NoWeights, format!("{} files, none of them weights", record.siblings.len()))
    })?;
    Ok(Model { hash, files: files.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::miners::protocol::{LargeFile, ModelFile};

    fn commitment(revision: &str) -> Commitment {
        Commitment { model_name: "u/leoma".into(), model_revision: revision.into(), chute_id: "c".into() }
    }

    fn record(sha: &str, name: &str, sha256: &str) -> ModelRecord {
        let lfs = Some(LargeFile { sha256: sha256.into(), size: 7 });
        let siblings = vec![ModelFile { rfilename: name.into(), lfs }];
        ModelRecord { sha: sha.into(), siblings, gated: false, private: false, disabled: false }
    }

    #[test]
    fn a_model_is_held_against_its_commitment() {
        let revision = "a".repeat(40);
        let reason = |record: ModelRecord| {
            judge(&record, &commitment(&revision)).map(|_| ()).map_err(|fault| fault.reason)
        };
        let digest = "1".repeat(64);
        let good = || record(&revision, "w.safetensors", &digest);
        assert!(reason(good()).is_ok());
        assert_eq!(reason(record("b", "w.bin", &digest)), Err("revision_mismatch:hf=b".into()));
        assert_eq!(reason(record(&revision, "w.txt", &digest)), Err("hf_model_has_no_weights".into()));
        assert_eq!(reason(record(&revision, "w.bin", "zz")), Err("hf_lookup_unexpected".into()));
        assert_eq!(reason(ModelRecord { gated: true, ..good() }), Err("hf_model_gated".into()));
        assert_eq!(
            reason(ModelRecord { private: true, gated: true, ..good() }),
            Err("hf_model_private".into())
        );
        assert_eq!(reason(ModelRecord { disabled: true, ..good() }), Err("hf_model_fetch_failed".into()));
        let model = judge(&good(), &commitment(&revision)).expect("a model");
        assert_eq!((model.files[0].name.as_str(), model.files[0].size), ("w.safetensors", 7));
    }
}
