//! Chutes: where a chute answers, waking it, and the call that asks it for a clip.

use std::time::{Instant, SystemTime};

use reqwest::{
    Client, RequestBuilder, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;

use crate::{domain::commitment::Commitment, store::spool::Spool};

use super::{
    faults::{self, Call, Failure, Trouble, printable},
    host::{Answered, Host},
    options::{Checked, join},
    port::{GenerateRequest, GeneratedClip, ServiceFault},
    protocol::{ChuteRecord, GenerateBody, INVOCATION_ID, is_slug},
    retry::told,
    wire::{self, Limit},
};

/// Content types that a clip may have.
const CLIP_TYPES: [&str; 2] = ["video/mp4", "application/octet-stream"];
/// Most bytes that are read of a warm-up's status lines.
const MAX_WARMUP_BYTES: usize = 256 << 10;

/// What a call to Chutes needs.
#[derive(Clone, Copy)]
pub(super) struct Chutes<'a> {
    pub(super) client: &'a Client,
    pub(super) checked: &'a Checked,
}

impl Chutes<'_> {
    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.checked.chutes_authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }

    /// What Chutes says about a chute; asked again as the table of faults says.
    pub(super) async fn record(&self, host: &Host, chute_id: &str) -> Result<ChuteRecord, ServiceFault> {
        let asked = host.ask(|limit| async move {
            let url = join(&self.checked.options.chutes_api, &["chutes", chute_id]);
            let request = self.authorized(self.client.get(url).header(ACCEPT, "application/json"));
            let response = wire::send(request, limit).await?;
            let told = told(response.headers(), SystemTime::now());
            let value = wire::json(response, self.checked.options.max_json_bytes, limit).await?;
            Ok(Answered { value, told })
        });
        let record: ChuteRecord = asked.await.map_err(|failure| failure.of(Call::ChuteLookup))?;
        // Chutes also finds a chute by name; a name can move to another chute after the commitment.
        if !record.chute_id.eq_ignore_ascii_case(chute_id) {
            let detail = format!("the chute's id is {}", record.chute_id);
            return Err(Failure::new(Trouble::OtherId, detail).of(Call::ChuteLookup));
        }
        Ok(record)
    }

    /// Wakes a chute and follows its status until it is hot, the stream ends or the limit passes.
    pub(super) async fn warm_up(&self, chute_id: &str, limit: Limit) -> Result<(), ServiceFault> {
        let of = |failure: Failure| failure.of(Call::ChuteLookup);
        let url = join(&self.checked.options.chutes_api, &["chutes", "warmup", chute_id]);
        let request = self.authorized(self.client.get(url).header(ACCEPT, "text/event-stream"));
        let response = wire::send(request, limit).await.map_err(of)?;
        if response.status() != StatusCode::OK {
            return Err(of(wire::refused(response, limit).await));
        }
        let is_hot = |line: &[u8]| {
            let text = line.strip_prefix(b"data:").unwrap_or(line);
            serde_json::from_slice::<WarmupStatus>(text).is_ok_and(|said| said.status == "hot")
        };
        match wire::line(response, MAX_WARMUP_BYTES, limit, is_hot).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(of(Failure::new(Trouble::NotRunning, "the warm-up ended before it was hot"))),
            Err(failure) if failure.trouble == Trouble::Deadline => {
                Err(of(Failure::new(Trouble::NotRunning, "not hot within the warm-up's limit")))
            }
            Err(failure) => Err(of(failure)),
        }
    }

    /// Asks one chute for one clip.
    pub(super) async fn generate(
        &self,
        request: GenerateRequest,
        spool: &Spool,
    ) -> Result<GeneratedClip, ServiceFault> {
        self.exchange(request, spool).await.map_err(|failure| failure.of(Call::Generate))
    }

    async fn exchange(&self, request: GenerateRequest, spool: &Spool) -> Result<GeneratedClip, Failure> {
        let options = &self.checked.options;
        let bad_slug = || Failure::new(Trouble::BadSlug, format!("slug `{}` makes no address", request.slug));
        if !is_slug(&request.slug) {
            return Err(bad_slug());
        }
        let url = self.checked.chute_url(&request.slug, "generate").ok_or_else(bad_slug)?;
        let call = self.client.post(url).header(ACCEPT, "video/mp4").json(&GenerateBody::new(&request));
        let started = Instant::now();
        let limit = Limit::starting_now(request.timeout, options.connect_timeout);
        let response = wire::send(self.authorized(call), limit).await?;
        let invocation_id = response.headers().get(INVOCATION_ID).map(header_text);
        let named = |mut failure: Failure| {
            if let Some(id) = &invocation_id {
                failure.detail = format!("invocation {id}: {}", failure.detail);
            }
            failure
        };
        if response.status() != StatusCode::OK {
            return Err(named(scarcity(wire::refused(response, limit).await)));
        }
        if !is_clip(response.headers()) {
            let seen = response.headers().get(CONTENT_TYPE).map_or_else(|| "none".to_owned(), header_text);
            return Err(named(Failure::new(Trouble::WrongType, format!("content type {seen}"))));
        }
        if wire::is_encoded(response.headers()) {
            return Err(named(Failure::new(Trouble::WrongType, "a content encoding that was not asked for")));
        }
        let file = wire::spooled(response, spool, options.max_clip_bytes, limit).await.map_err(named)?;
        if file.bytes() == 0 {
            return Err(named(Failure::new(Trouble::Empty, "status 200 without a body")));
        }
        Ok(GeneratedClip { file, latency: started.elapsed(), invocation_id })
    }
}

/// A line of a warm-up's stream.
#[derive(Deserialize)]
struct WarmupStatus {
    status: String,
}

/// What a busy chute gives as its reason. It tells kinds apart and proves nothing: a chute can write what it likes.
fn scarcity(failure: Failure) -> Failure {
    if !matches!(failure.trouble, Trouble::Status(429 | 503)) {
        return failure;
    }
    let text = failure.detail.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let trouble = if says(&["maintenance"]) {
        Trouble::Maintenance
    } else if says(&["infra_overload", "maximum capacity"]) {
        Trouble::Overload
    } else if says(&["no_targets", "no targets"]) {
        Trouble::NoTargets
    } else {
        failure.trouble
    };
    Failure { trouble, ..failure }
}

/// Holds a chute against its commitment: it serves the committed revision (where it says so), runs, and has a host name.
pub(super) fn judge(record: &ChuteRecord, commitment: &Commitment) -> Result<String, ServiceFault> {
    let fail = |trouble, detail: String| Err(Failure::new(trouble, detail).of(Call::ChuteLookup));
    let other = |text: &&String| !text.eq_ignore_ascii_case(&commitment.model_revision);
    if let Some(revision) = record.revision.as_ref().filter(other) {
        return Err(faults::revision_mismatch(Call::ChuteLookup, revision));
    }
    if !record.hot {
        return fail(Trouble::NotRunning, "no instance is active and verified".into());
    }
    match &record.slug {
        Some(slug) if is_slug(slug) => Ok(slug.clone()),
        Some(slug) => fail(Trouble::BadSlug, format!("slug `{slug}` is not of [a-z0-9-]")),
        None => fail(Trouble::BadSlug, "the chute has no slug".into()),
    }
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
        judge(&record, &commitment()).map_or_else(|fault| fault.reason, |slug| format!("slug {slug}"))
    }

    #[test]
    fn a_chute_is_held_against_its_commitment() {
        assert_eq!(reason(|_| ()), "slug s");
        assert_eq!(reason(|r| r.revision = None), "slug s");
        assert_eq!(reason(|r| r.revision = Some("main".into())), "revision_mismatch:chute=main");
        assert_eq!(reason(|r| r.hot = false), "chute_not_running");
        assert_eq!(reason(|r| r.slug = None), "chute_slug_invalid");
        assert_eq!(reason(|r| r.slug = Some("a.evil.example/".into())), "chute_slug_invalid");
    }

    #[test]
    fn scarcity_is_told_apart_by_its_words() {
        let kind = |status, text: &str| scarcity(Failure::new(Trouble::Status(status), text)).trouble;
        assert_eq!(kind(429, "status 429: {\"detail\": \"INFRA_OVERLOAD\"}"), Trouble::Overload);
        assert_eq!(kind(503, "at maximum capacity, try again later"), Trouble::Overload);
        assert_eq!(kind(429, "no_targets"), Trouble::NoTargets);
        assert_eq!(kind(503, "scheduled maintenance"), Trouble::Maintenance);
        assert_eq!(kind(429, "slow down"), Trouble::Status(429));
        assert_eq!(kind(500, "maintenance"), Trouble::Status(500), "only where it can be so");
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
