//! Chutes: where a chute answers, and the call that asks it for a clip.

use std::time::Instant;

use reqwest::{
    Client, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};

use crate::domain::commitment::Commitment;

use super::{
    faults::{self, Call, Failure, Trouble, printable},
    options::{Checked, join},
    port::{GenerateRequest, GeneratedClip, ServiceFault},
    protocol::{ChuteRecord, GenerateBody, INVOCATION_ID, is_slug},
    wire::{self, Limit},
};

/// Content types that a clip may have.
const CLIP_TYPES: [&str; 2] = ["video/mp4", "application/octet-stream"];

/// Resolves a commitment's chute to its slug: it exists, it is the committed one, it serves the
/// committed revision (where it says so) and it runs.
pub(super) async fn look_up(
    client: &Client,
    checked: &Checked,
    commitment: &Commitment,
) -> Result<String, ServiceFault> {
    let options = &checked.options;
    let url = join(&options.chutes_api, &["chutes", &commitment.chute_id]);
    let limit = Limit::starting_now(options.lookup_timeout, options.connect_timeout);
    let mut request = client.get(url).header(ACCEPT, "application/json");
    if let Some(value) = &checked.chutes_authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let answer = async { wire::json(wire::send(request, limit).await?, options.max_json_bytes, limit).await };
    let record: ChuteRecord = answer.await.map_err(|failure: Failure| failure.of(Call::ChuteLookup))?;
    judge(record, commitment)
}

fn judge(record: ChuteRecord, commitment: &Commitment) -> Result<String, ServiceFault> {
    let fail = |trouble, detail: String| Err(Failure::new(trouble, detail).of(Call::ChuteLookup));
    // Chutes also finds a chute by name; a name can move to another chute after the commitment.
    if !record.chute_id.eq_ignore_ascii_case(&commitment.chute_id) {
        return fail(Trouble::OtherId, format!("the chute's id is {}", record.chute_id));
    }
    if let Some(revision) =
        record.revision.filter(|text| !text.eq_ignore_ascii_case(&commitment.model_revision))
    {
        return Err(faults::revision_mismatch(Call::ChuteLookup, &revision));
    }
    if !record.hot {
        return fail(Trouble::NotRunning, "no instance is active and verified".into());
    }
    match record.slug {
        Some(slug) if is_slug(&slug) => Ok(slug),
        Some(slug) => fail(Trouble::BadSlug, format!("slug `{slug}` is not of [a-z0-9-]")),
        None => fail(Trouble::BadSlug, "the chute has no slug".into()),
    }
}

/// Asks one chute for one clip.
pub(super) async fn generate(
    client: &Client,
    checked: &Checked,
    request: GenerateRequest,
) -> Result<GeneratedClip, ServiceFault> {
    exchange(client, checked, request).await.map_err(|failure| failure.of(Call::Generate))
}

async fn exchange(
    client: &Client,
    checked: &Checked,
    request: GenerateRequest,
) -> Result<GeneratedClip, Failure> {
    let bad_slug = || Failure::new(Trouble::BadSlug, format!("slug `{}` makes no address", request.slug));
    if !is_slug(&request.slug) {
        return Err(bad_slug());
    }
    let url = checked.chute_url(&request.slug, "generate").ok_or_else(bad_slug)?;
    let mut call = client.post(url).header(ACCEPT, "video/mp4").json(&GenerateBody::new(&request));
    if let Some(value) = &checked.chutes_authorization {
        call = call.header(AUTHORIZATION, value);
    }
    let started = Instant::now();
    let limit = Limit::starting_now(request.timeout, checked.options.connect_timeout);
    let response = wire::send(call, limit).await?;
    let invocation_id = response.headers().get(INVOCATION_ID).map(header_text);
    let named = |mut failure: Failure| {
        if let Some(id) = &invocation_id {
            failure.detail = format!("invocation {id}: {}", failure.detail);
        }
        failure
    };
    if response.status() != StatusCode::OK {
        return Err(named(wire::refused(response, limit).await));
    }
    if !is_clip(response.headers()) {
        let seen = response.headers().get(CONTENT_TYPE).map_or_else(|| "none".to_owned(), header_text);
        return Err(named(Failure::new(Trouble::WrongType, format!("content type {seen}"))));
    }
    let bytes = wire::body(response, checked.options.max_clip_bytes, limit).await.map_err(named)?;
    if bytes.is_empty() {
        return Err(named(Failure::new(Trouble::Empty, "status 200 without a body")));
    }
    Ok(GeneratedClip { bytes, latency: started.elapsed(), invocation_id })
}

fn header_text(value: &HeaderValue) -> String {
    printable(&String::from_utf8_lossy(value.as_bytes()), 128)
}

fn is_clip(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    CLIP_TYPES.iter().any(|known| essence.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commitment() -> Commitment {
        Commitment { model_name: "u/leoma".into(), model_revision: "a".repeat(40), chute_id: "C-1".into() }
    }

    fn record() -> ChuteRecord {
        ChuteRecord {
            chute_id: "c-1".into(),
            slug: Some("s".into()),
            revision: Some("A".repeat(40)),
            hot: true,
        }
    }

    fn reason(change: impl FnOnce(&mut ChuteRecord)) -> String {
        let mut record = record();
        change(&mut record);
        judge(record, &commitment()).map_or_else(|fault| fault.reason, |slug| format!("slug {slug}"))
    }

    #[test]
    fn a_chute_is_held_against_its_commitment() {
        assert_eq!(reason(|_| ()), "slug s");
        assert_eq!(reason(|r| r.revision = None), "slug s");
        assert_eq!(reason(|r| r.chute_id = "other".into()), "chute_fetch_failed");
        assert_eq!(reason(|r| r.revision = Some("main".into())), "revision_mismatch:chute=main");
        assert_eq!(reason(|r| r.hot = false), "chute_not_running");
        assert_eq!(reason(|r| r.slug = None), "chute_slug_invalid");
        assert_eq!(reason(|r| r.slug = Some("a.evil.example/".into())), "chute_slug_invalid");
    }

    #[test]
    fn a_clip_is_known_by_its_content_type() {
        for (value, expected) in [
            ("video/mp4", true),
            ("Video/MP4; codecs=avc1", true),
            ("application/octet-stream", true),
            ("video/mp4x", false),
            ("application/json", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is_clip(&headers), expected, "{value}");
        }
        assert!(!is_clip(&HeaderMap::new()));
    }
}
