//! Hugging Face: does the committed revision exist, and which weights does it hold.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};

use crate::domain::commitment::Commitment;

use super::{
    faults::{self, Call, Failure, Trouble, printable},
    options::{Checked, join},
    port::ServiceFault,
    protocol::{HF_ERROR_CODE, ModelRecord, model_hash},
    wire::{self, Limit},
};

/// Error codes that are about the asked repository, whatever the status is.
const NOT_THERE: [&str; 4] = ["RepoNotFound", "RevisionNotFound", "EntryNotFound", "GatedRepo"];
/// Models remembered before the memory starts anew; a subnet has at most 256 miners.
const MOST_KNOWN: usize = 4096;

/// Model hashes by repository and revision. A revision's files never change, so that what was found
/// once holds for good; failures are not remembered.
#[derive(Default)]
pub(super) struct KnownModels(Mutex<HashMap<(String, String), String>>);

impl KnownModels {
    fn get(&self, commitment: &Commitment) -> Option<String> {
        let key = (commitment.model_name.clone(), commitment.model_revision.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    fn put(&self, commitment: &Commitment, hash: String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert((commitment.model_name.clone(), commitment.model_revision.clone()), hash);
    }
}

/// Model hash of a commitment's revision.
pub(super) async fn look_up(
    client: &Client,
    checked: &Checked,
    known: &KnownModels,
    commitment: &Commitment,
) -> Result<String, ServiceFault> {
    if let Some(hash) = known.get(commitment) {
        return Ok(hash);
    }
    let record = fetch(client, checked, commitment).await.map_err(|failure| failure.of(Call::ModelLookup))?;
    let hash = judge(&record, commitment)?;
    known.put(commitment, hash.clone());
    Ok(hash)
}

async fn fetch(client: &Client, checked: &Checked, commitment: &Commitment) -> Result<ModelRecord, Failure> {
    let options = &checked.options;
    let mut segments = vec!["api", "models"];
    segments.extend(commitment.model_name.split('/'));
    segments.extend(["revision", commitment.model_revision.as_str()]);
    let mut url = join(&options.huggingface, &segments);
    url.set_query(Some("blobs=true"));
    let limit = Limit::starting_now(options.lookup_timeout, options.connect_timeout);
    let mut request = client.get(url).header(ACCEPT, "application/json");
    if let Some(value) = &checked.huggingface_authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let response = wire::send(request, limit).await?;
    let absent = is_absent(&response, checked.huggingface_authorization.is_some());
    let code = response.headers().get(HF_ERROR_CODE).map(|value| value.as_bytes().to_vec());
    let mut answer = wire::json(response, options.max_json_bytes, limit).await;
    if let Err(failure) = &mut answer {
        if absent {
            failure.trouble = Trouble::NotFound;
        }
        if let Some(code) = code {
            let code = printable(&String::from_utf8_lossy(&code), 64);
            failure.detail = format!("{code}: {}", failure.detail);
        }
    }
    answer
}

/// Whether an error says that the repository or the revision is not there for the public. Without
/// a token Hugging Face answers 401 for what is missing or private; with one, 401 is about the token.
fn is_absent(response: &Response, with_token: bool) -> bool {
    let code = response.headers().get(HF_ERROR_CODE).and_then(|value| value.to_str().ok());
    match response.status() {
        StatusCode::NOT_FOUND => true,
        StatusCode::UNAUTHORIZED if !with_token => true,
        status if status.is_client_error() => code.is_some_and(|code| NOT_THERE.contains(&code)),
        _ => false,
    }
}

fn judge(record: &ModelRecord, commitment: &Commitment) -> Result<String, ServiceFault> {
    if !record.sha.eq_ignore_ascii_case(&commitment.model_revision) {
        return Err(faults::revision_mismatch(Call::ModelLookup, &record.sha));
    }
    let fail = |trouble, detail: String| Failure::new(trouble, detail).of(Call::ModelLookup);
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digests = || record.siblings.iter().filter_map(|file| file.lfs.as_ref());
    if let Some(wrong) = digests().find(|lfs| !is_digest(&lfs.sha256)) {
        return Err(fail(Trouble::NotUnderstood, format!("`{}` is not a SHA-256", wrong.sha256)));
    }
    model_hash(&record.siblings).ok_or_else(|| {
        fail(Trouble::NoWeights, format!("{} files, none of them weights", record.siblings.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::miners::protocol::{LargeFile, ModelFile};

    fn commitment(revision: &str) -> Commitment {
        Commitment { model_name: "u/leoma".into(), model_revision: revision.into(), chute_id: "c".into() }
    }

    fn record(sha: &str, name: &str, sha256: &str) -> ModelRecord {
        let lfs = Some(LargeFile { sha256: sha256.into() });
        ModelRecord { sha: sha.into(), siblings: vec![ModelFile { rfilename: name.into(), lfs }] }
    }

    #[test]
    fn a_model_is_held_against_its_commitment() {
        let revision = "a".repeat(40);
        let reason =
            |record: ModelRecord| judge(&record, &commitment(&revision)).map_err(|fault| fault.reason);
        let digest = "1".repeat(64);
        assert!(reason(record(&revision, "w.safetensors", &digest)).is_ok());
        assert_eq!(reason(record("b", "w.bin", &digest)), Err("revision_mismatch:hf=b".into()));
        assert_eq!(reason(record(&revision, "w.txt", &digest)), Err("hf_model_has_no_weights".into()));
        assert_eq!(reason(record(&revision, "w.bin", "zz")), Err("hf_lookup_unexpected".into()));
    }

    #[test]
    fn the_memory_of_models_is_bounded_and_by_revision() {
        let known = KnownModels::default();
        for number in 0..MOST_KNOWN {
            known.put(&commitment(&number.to_string()), "h".into());
        }
        assert_eq!(known.get(&commitment("7")), Some("h".into()));
        assert_eq!(known.get(&commitment("x")), None);
        known.put(&commitment("one more"), "i".into());
        assert_eq!(known.get(&commitment("one more")), Some("i".into()));
        assert!(known.0.lock().unwrap().len() < MOST_KNOWN);
    }
}
