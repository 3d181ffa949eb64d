//! Where the services are and what bounds their answers.

use std::{net::IpAddr, time::Duration};

use reqwest::header::HeaderValue;
use url::{Host, Url};

use crate::config::Secret;

use super::{
    guard::is_public,
    retry::{Backoff, Jitter, LOOKUPS},
};

/// The part of [`ServicesOptions::chute_url_template`] that a slug replaces.
const SLUG_MARK: &str = "{slug}";

/// Where the services are and what bounds their answers.
#[derive(Clone, Debug)]
pub struct ServicesOptions {
    /// Chutes' management API, `https://api.chutes.ai`.
    pub chutes_api: Url,
    /// Address of a chute with `{slug}` in place of the host part, `https://{slug}.chutes.ai`.
    pub chute_url_template: String,
    /// Hugging Face, `https://huggingface.co`.
    pub huggingface: Url,
    /// Chutes API key, sent to Chutes and to chutes. Without it only public chutes are seen.
    pub chutes_key: Option<Secret>,
    /// Hugging Face token, sent to Hugging Face only.
    pub huggingface_token: Option<Secret>,
    /// Most bytes of a clip.
    pub max_clip_bytes: usize,
    /// Most bytes of a look-up's answer.
    pub max_json_bytes: usize,
    /// Limit on making a connection. A generate call's own limit should be longer: where it is not,
    /// a miner is not blamed for an answer that never started.
    pub connect_timeout: Duration,
    /// Limit on one look-up, body and further attempts included; the wait for a place is not counted.
    pub lookup_timeout: Duration,
    /// Look-ups at the same time, at each of the two services.
    pub lookups_at_once: usize,
    /// How look-ups that failed are made again.
    pub backoff: Backoff,
    /// For how long a chute that runs is not asked about again.
    pub chutes_fresh_for: Duration,
    /// Longest that a cold chute is waited for.
    pub warmup_timeout: Duration,
    /// A chute of the validator's own: when it fails as miners do, they are not to blame.
    pub canary_chute: Option<String>,
    /// Hosts that Hugging Face may send a file's reader on to: these and all below them.
    pub file_hosts: Vec<String>,
    /// Seed of the jitter between attempts.
    pub jitter_seed: u64,
}

impl ServicesOptions {
    /// The public services without keys, with start values for the bounds.
    pub fn public() -> Result<Self, url::ParseError> {
        Ok(Self {
            chutes_api: Url::parse("https://api.chutes.ai")?,
            chute_url_template: "https://{slug}.chutes.ai".to_owned(),
            huggingface: Url::parse("https://huggingface.co")?,
            chutes_key: None,
            huggingface_token: None,
            max_clip_bytes: 64 << 20,
            max_json_bytes: 4 << 20,
            connect_timeout: Duration::from_secs(10),
            lookup_timeout: Duration::from_secs(30),
            lookups_at_once: 8,
            backoff: LOOKUPS,
            chutes_fresh_for: Duration::from_secs(180),
            warmup_timeout: Duration::from_secs(60),
            canary_chute: None,
            file_hosts: vec!["huggingface.co".to_owned(), "hf.co".to_owned()],
            jitter_seed: Jitter::random().draw(),
        })
    }
}

/// Why the options were refused.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// An address that cannot be used.
    #[error("{field} = `{value}`: {problem}")]
    Endpoint {
        /// Field of [`ServicesOptions`].
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// A key with characters that no header can carry.
    #[error("{field} has characters that no HTTP header can carry: look for a line break in it")]
    Key {
        /// Field of [`ServicesOptions`].
        field: &'static str,
    },
    /// A bound of zero.
    #[error("{field} is zero: nothing could ever be received")]
    Zero {
        /// Field of [`ServicesOptions`].
        field: &'static str,
    },
    /// TLS could not be set up.
    #[error("HTTP client: {0} (are the system's CA certificates installed, package ca-certificates?)")]
    Client(#[source] reqwest::Error),
}

/// Options that were found usable.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) options: ServicesOptions,
    pub(super) chutes_authorization: Option<HeaderValue>,
    pub(super) huggingface_authorization: Option<HeaderValue>,
    /// Whether any endpoint needs certificates.
    pub(super) uses_tls: bool,
}

impl Checked {
    pub(super) fn new(options: ServicesOptions) -> Result<Self, ServicesError> {
        check_endpoint("chutes_api", options.chutes_api.as_str(), &options.chutes_api)?;
        check_endpoint("huggingface", options.huggingface.as_str(), &options.huggingface)?;
        let chute = check_template(&options.chute_url_template)?;
        let bounds = [
            ("max_clip_bytes", options.max_clip_bytes == 0),
            ("max_json_bytes", options.max_json_bytes == 0),
            ("connect_timeout", options.connect_timeout.is_zero()),
            ("lookup_timeout", options.lookup_timeout.is_zero()),
            ("lookups_at_once", options.lookups_at_once == 0),
        ];
        if let Some((field, _)) = bounds.iter().find(|(_, zero)| *zero) {
            return Err(ServicesError::Zero { field });
        }
        let uses_tls =
            [&options.chutes_api, &options.huggingface, &chute].iter().any(|url| url.scheme() == "https");
        Ok(Self {
            chutes_authorization: bearer("chutes_key", options.chutes_key.as_ref())?,
            huggingface_authorization: bearer("huggingface_token", options.huggingface_token.as_ref())?,
            uses_tls,
            options,
        })
    }

    /// Address of one call of a chute; `None` where the slug does not make an address.
    pub(super) fn chute_url(&self, slug: &str, call: &str) -> Option<Url> {
        let url = Url::parse(&self.options.chute_url_template.replace(SLUG_MARK, slug)).ok()?;
        Some(join(&url, &[call]))
    }
}

impl Checked {
    /// Where Hugging Face may send a file's reader on to: https at one of the configured hosts, or, where Hugging Face is
    /// on this machine, the same host and port.
    pub(super) fn file_address(&self, location: &str) -> Option<Url> {
        let base = &self.options.huggingface;
        let url = base.join(location).ok()?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        if is_here(base) {
            return (url.origin() == base.origin()).then_some(url);
        }
        let Some(Host::Domain(name)) = url.host() else { return None };
        let below = |host: &String| {
            name.strip_suffix(host.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let fits =
            url.scheme() == "https" && url.port().is_none() && self.options.file_hosts.iter().any(below);
        fits.then_some(url)
    }
}

/// An address below a checked endpoint; every segment is percent-encoded.
pub(super) fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // Checked endpoints have a host, and then there is a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

fn check_template(template: &str) -> Result<Url, ServicesError> {
    let field = "chute_url_template";
    let refuse = |problem| ServicesError::Endpoint { field, value: template.to_owned(), problem };
    if template.matches(SLUG_MARK).count() != 1 {
        return Err(refuse("name {slug} exactly once, e.g. https://{slug}.chutes.ai"));
    }
    let url = Url::parse(&template.replace(SLUG_MARK, "probe")).map_err(|_| refuse("not an address"))?;
    check_endpoint(field, template, &url)?;
    Ok(url)
}

/// Keys and clips travel in the clear only on this machine.
fn check_endpoint(field: &'static str, value: &str, url: &Url) -> Result<(), ServicesError> {
    let refuse = |problem| Err(ServicesError::Endpoint { field, value: value.to_owned(), problem });
    let literal: Option<IpAddr> = match url.host() {
        None => return refuse("the address has no host"),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
    };
    let loopback = is_here(url);
    if literal.is_some_and(|address| !is_public(address) && !loopback) {
        return refuse("an address inside a private network: name a public host, or this machine");
    }
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return refuse("plain http is for this machine only: use https"),
        _ => return refuse("use https (or http on this machine)"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("no user or password in an address: keys have their own settings");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("leave out the part from ? or # on");
    }
    Ok(())
}

/// Whether an address names this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        None => false,
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
    }
}

fn bearer(field: &'static str, secret: Option<&Secret>) -> Result<Option<HeaderValue>, ServicesError> {
    let Some(secret) = secret else { return Ok(None) };
    let mut value = HeaderValue::try_from(format!("Bearer {}", secret.expose()))
        .map_err(|_| ServicesError::Key { field })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut ServicesOptions)) -> String {
        let mut options = ServicesOptions::public().expect("constants");
        change(&mut options);
        Checked::new(options).expect_err("refused").to_string()
    }

    #[test]
    fn the_public_services_are_usable_and_slugs_become_hosts() {
        let checked = Checked::new(ServicesOptions::public().expect("constants")).expect("usable");
        assert!(checked.uses_tls);
        let url = checked.chute_url("me-leoma", "generate").expect("address");
        assert_eq!(url.as_str(), "https://me-leoma.chutes.ai/generate");
    }

    #[test]
    fn a_loopback_template_keeps_the_slug_in_the_path() {
        let mut options = ServicesOptions::public().expect("constants");
        options.chute_url_template = "http://127.0.0.1:81/x/{slug}".into();
        let url = Checked::new(options).expect("usable").chute_url("a", "generate").expect("address");
        assert_eq!(url.as_str(), "http://127.0.0.1:81/x/a/generate");
    }

    #[test]
    fn unsafe_or_useless_options_are_refused_by_name() {
        let url = |text: &str| Url::parse(text).expect("address");
        assert!(refusal(|o| o.huggingface = url("http://hub.example")).contains("huggingface = `http://hub"));
        assert!(refusal(|o| o.chutes_api = url("file:///etc")).contains("chutes_api"));
        assert!(refusal(|o| o.chutes_api = url("https://u:p@api.chutes.ai")).contains("no user"));
        assert!(refusal(|o| o.chutes_api = url("https://api.chutes.ai/?a=b")).contains("?"));
        assert!(refusal(|o| o.chute_url_template = "https://chutes.ai".into()).contains("exactly once"));
        assert!(refusal(|o| o.chute_url_template = "http://{slug}.chutes.ai".into()).contains("https"));
        assert!(refusal(|o| o.max_clip_bytes = 0).contains("max_clip_bytes is zero"));
        let broken = refusal(|o| o.chutes_key = Some(Secret::literal("cpk_1\nX: y")));
        assert!(broken.contains("chutes_key") && !broken.contains("cpk_1"), "{broken}");
    }

    #[test]
    fn private_networks_are_refused_and_this_machine_is_not() {
        let at = |text: &str| {
            let mut options = ServicesOptions::public().expect("constants");
            options.huggingface = Url::parse(text).expect("address");
            Checked::new(options).map_err(|error| error.to_string())
        };
        for text in [
            "https://10.0.0.1",
            "https://169.254.169.254/latest",
            "https://192.168.1.1",
            "https://[fe80::1]",
            "https://[::ffff:10.0.0.1]",
            "https://0x0a000001/",
            "https://2130706689.1/",
            "https://0.0.0.0",
        ] {
            let Ok(url) = Url::parse(text) else { continue };
            assert!(at(url.as_str()).is_err_and(|text| text.contains("private network")), "{url}");
        }
        for text in [
            "https://1.1.1.1",
            "https://hub.example",
            "https://127.0.0.1:9",
            "http://[::1]:9",
            "http://localhost",
        ] {
            assert!(at(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_file_is_fetched_from_configured_hosts_only() {
        let options = ServicesOptions::public().expect("constants");
        let checked = Checked::new(options.clone()).expect("usable");
        for text in [
            "https://cas-bridge.xethub.hf.co/x?sig=1",
            "https://hf.co/a",
            "/api/resolve-cache/x",
            "https://cdn-lfs.huggingface.co/a",
        ] {
            assert!(checked.file_address(text).is_some(), "{text}");
        }
        for text in [
            "https://evil.example/hf.co",
            "https://evilhf.co/",
            "http://hf.co/a",
            "https://hf.co:8443/a",
            "https://u@hf.co/a",
            "https://10.0.0.1/a",
            "https://[::1]/a",
            "file:///etc/passwd",
            "//evil.example/a",
            "https://hf.co.evil.example/",
        ] {
            assert!(checked.file_address(text).is_none(), "{text}");
        }
        let here = Url::parse("http://127.0.0.1:81").expect("address");
        let checked = Checked::new(ServicesOptions { huggingface: here, ..options }).expect("usable");
        assert!(
            checked.file_address("/file").is_some()
                && checked.file_address("http://127.0.0.1:81/x").is_some()
        );
        assert!(checked.file_address("http://127.0.0.1:82/x").is_none());
        assert!(checked.file_address("https://hf.co/x").is_none());
    }

    #[test]
    fn segments_cannot_leave_their_place() {
        let base = Url::parse("https://h/api/").expect("address");
        assert_eq!(join(&base, &["a/b?c", "d"]).as_str(), "https://h/api/a%2Fb%3Fc/d");
    }
}
