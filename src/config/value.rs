//! Types of single values: how each is read from TOML and from text, and how it is shown.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use figment::value::Value;
use url::{Host, Url};

use super::{origin::Origin, secret::Secret};
use crate::{
    domain::ids::NetUid,
    gpu::choose::{self, ScorerChoice},
    telemetry::{self, LogFormat},
};

const MAX_LIST: usize = 16;

/// What is wrong with one value. Never holds a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Problem(String);

impl Problem {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// What a value may need beyond itself to be complete.
pub(super) struct Surroundings<'a> {
    pub origin: &'a Origin,
    pub env: &'a [(String, String)],
}

/// A type that a configuration value can have.
pub(super) trait Setting: Sized {
    /// What is expected, for messages and comments.
    fn expected() -> String;
    /// Reads the text of an environment variable or flag.
    fn from_text(text: &str) -> Result<Self, Problem>;
    /// Reads a TOML value.
    fn from_value(value: &Value) -> Result<Self, Problem> {
        match value {
            Value::String(_, text) => Self::from_text(text),
            other => Err(wrong_type::<Self>(other)),
        }
    }
    /// The value in TOML, secrets redacted; `None` when unset.
    fn shown(&self) -> Option<toml::Value>;
    /// The number, where there are bounds to hold it against.
    fn magnitude(&self) -> Option<u64> {
        None
    }
    /// Fetches what the value refers to.
    fn complete(&mut self, _surroundings: &Surroundings<'_>) -> Result<(), Problem> {
        Ok(())
    }
    /// The secret in it.
    fn secret(&self) -> Option<&Secret> {
        None
    }
}

/// A refusal that says what was found only by type, so that it is safe for secrets.
fn wrong_type<T: Setting>(found: &Value) -> Problem {
    let found = match found {
        Value::String(..) => "text",
        Value::Char(..) => "a character",
        Value::Bool(..) => "true or false",
        Value::Num(_, number) if number.to_f64().is_some() => "a number with a fraction",
        Value::Num(..) => "a whole number",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a table",
        Value::Array(..) => "a list",
    };
    Problem::new(format!("expected {}, found {found}", T::expected()))
}

fn refused<T: Setting>(text: &str) -> Problem {
    Problem::new(format!("expected {}, found `{}`", T::expected(), shorten(text)))
}

fn shorten(text: &str) -> String {
    let printable = |c: char| if c.is_control() { '?' } else { c };
    match text.char_indices().nth(60) {
        Some((end, _)) => text[..end].chars().map(printable).chain(['…']).collect(),
        None => text.chars().map(printable).collect(),
    }
}

macro_rules! whole_numbers {
    ($($number:ty),+) => {$(
        impl Setting for $number {
            fn expected() -> String {
                "a whole number".into()
            }
            fn from_text(text: &str) -> Result<Self, Problem> {
                text.trim().parse().map_err(|_| refused::<Self>(text))
            }
            fn from_value(value: &Value) -> Result<Self, Problem> {
                let Value::Num(_, number) = value else { return Err(wrong_type::<Self>(value)) };
                if number.to_f64().is_some() {
                    return Err(wrong_type::<Self>(value));
                }
                let wide = number.to_i128().or_else(|| number.to_u128().and_then(|n| n.try_into().ok()));
                wide.and_then(|n| n.try_into().ok()).ok_or_else(|| {
                    let shown = wide.map(|n| n.to_string()).unwrap_or_default();
                    Problem::new(format!("{shown} does not fit: the largest possible is {}", <$number>::MAX))
                })
            }
            fn shown(&self) -> Option<toml::Value> {
                Some(toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX)))
            }
            fn magnitude(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }
        }
    )+};
}
whole_numbers!(u16, u32, u64, usize);

impl Setting for NetUid {
    fn expected() -> String {
        u16::expected()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        u16::from_text(text).map(NetUid)
    }
    fn from_value(value: &Value) -> Result<Self, Problem> {
        u16::from_value(value).map(NetUid)
    }
    fn shown(&self) -> Option<toml::Value> {
        self.0.shown()
    }
    fn magnitude(&self) -> Option<u64> {
        self.0.magnitude()
    }
}

impl Setting for bool {
    fn expected() -> String {
        "true or false".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        text.trim().parse().map_err(|_| refused::<Self>(text))
    }
    fn from_value(value: &Value) -> Result<Self, Problem> {
        match value {
            Value::Bool(_, value) => Ok(*value),
            other => Err(wrong_type::<Self>(other)),
        }
    }
    fn shown(&self) -> Option<toml::Value> {
        Some(toml::Value::Boolean(*self))
    }
}

fn shown_text(text: impl fmt::Display) -> Option<toml::Value> {
    Some(toml::Value::String(text.to_string()))
}

impl Setting for String {
    fn expected() -> String {
        "text that is not empty".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        if text.is_empty() || text.contains('\0') {
            return Err(refused::<Self>(text));
        }
        Ok(text.to_owned())
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(self)
    }
}

impl Setting for PathBuf {
    fn expected() -> String {
        "a path".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        if text.is_empty() || text.contains('\0') {
            return Err(refused::<Self>(text));
        }
        Ok(PathBuf::from(text))
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(self.display())
    }
}

impl Setting for SocketAddr {
    fn expected() -> String {
        "an address with its port, such as 127.0.0.1:9099".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        text.trim().parse().map_err(|_| refused::<Self>(text))
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(self)
    }
}

impl<T: Setting> Setting for Option<T> {
    fn expected() -> String {
        format!("{}; may be left out", T::expected())
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        // An empty variable is how a shell or a compose file unsets one.
        if text.is_empty() { Ok(None) } else { T::from_text(text).map(Some) }
    }
    fn from_value(value: &Value) -> Result<Self, Problem> {
        T::from_value(value).map(Some)
    }
    fn shown(&self) -> Option<toml::Value> {
        self.as_ref().and_then(T::shown)
    }
    fn magnitude(&self) -> Option<u64> {
        self.as_ref().and_then(T::magnitude)
    }
    fn complete(&mut self, surroundings: &Surroundings<'_>) -> Result<(), Problem> {
        self.as_mut().map_or(Ok(()), |value| value.complete(surroundings))
    }
    fn secret(&self) -> Option<&Secret> {
        self.as_ref().and_then(T::secret)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn expected() -> String {
        format!("a list of 1 to {MAX_LIST}, each {}", T::expected())
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        bounded::<T>(parts.len())?;
        parts.into_iter().map(T::from_text).collect()
    }
    fn from_value(value: &Value) -> Result<Self, Problem> {
        let Value::Array(_, values) = value else { return Err(wrong_type::<Self>(value)) };
        bounded::<T>(values.len())?;
        values.iter().map(T::from_value).collect()
    }
    fn shown(&self) -> Option<toml::Value> {
        Some(toml::Value::Array(self.iter().filter_map(T::shown).collect()))
    }
}

fn bounded<T: Setting>(length: usize) -> Result<(), Problem> {
    if (1..=MAX_LIST).contains(&length) {
        return Ok(());
    }
    Err(Problem::new(format!("expected {}, found {length}", <Vec<T>>::expected())))
}

impl Setting for Secret {
    fn expected() -> String {
        "env:NAME, file:PATH or the secret itself".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        Ok(Secret::reference(text))
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(self)
    }
    fn complete(&mut self, surroundings: &Surroundings<'_>) -> Result<(), Problem> {
        fetch(self, surroundings)?;
        self.check_header()
    }
    fn secret(&self) -> Option<&Secret> {
        Some(self)
    }
}

/// Fetches what a secret refers to, unless it stands where everybody can see it.
fn fetch(secret: &mut Secret, surroundings: &Surroundings<'_>) -> Result<(), Problem> {
    let literal = *secret.source() == super::SecretSource::Literal;
    if literal && matches!(surroundings.origin, Origin::Flag { .. }) {
        return Err(Problem::new(
            "a secret on the command line is visible to every process: give env:NAME or file:PATH",
        ));
    }
    secret.resolve(surroundings.env)
}

/// A secret that people choose: any text.
#[derive(Clone, PartialEq, Debug)]
pub struct Password(Secret);

impl Password {
    /// The password itself. Hand it to the call that needs it and nowhere else.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl Setting for Password {
    fn expected() -> String {
        "env:NAME, file:PATH or the password itself".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        Secret::from_text(text).map(Self)
    }
    fn shown(&self) -> Option<toml::Value> {
        self.0.shown()
    }
    fn complete(&mut self, surroundings: &Surroundings<'_>) -> Result<(), Problem> {
        fetch(&mut self.0, surroundings)
    }
    fn secret(&self) -> Option<&Secret> {
        Some(&self.0)
    }
}

/// Name of a file or folder, without a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileName(String);

impl FileName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for FileName {
    fn expected() -> String {
        "a name without slashes".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        let plain = !text.is_empty() && ![".", ".."].contains(&text) && !text.contains(['/', '\\', '\0']);
        if plain { Ok(Self(text.to_owned())) } else { Err(refused::<Self>(text)) }
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(&self.0)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// WebSocket address of a chain endpoint. A path or user part is often an access key, so
/// `Debug` and `Display` leave it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    text: String,
    shown: String,
}

impl Endpoint {
    /// The whole address, with whatever key it holds.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Setting for Endpoint {
    fn expected() -> String {
        "an address that starts with wss:// or ws://".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        // The text may hold a key, so a refusal does not repeat it.
        let problem = || Problem::new(format!("expected {}", Self::expected()));
        let url = Url::parse(text).map_err(|_| problem())?;
        let host = url.host_str().filter(|_| ["ws", "wss"].contains(&url.scheme())).ok_or_else(problem)?;
        let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
        let shown = if bare && url.password().is_none() && url.fragment().is_none() {
            text.to_owned()
        } else {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{host}{port}/***", url.scheme())
        };
        Ok(Self { text: text.to_owned(), shown })
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(self)
    }
}

fn service_url<T: Setting>(text: &str, tried: &str) -> Result<Url, Problem> {
    let url = Url::parse(tried).map_err(|_| refused::<T>(text))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(Problem::new(
            "an address holds no user, password or query: keys have settings of their own",
        ));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(Problem::new("http:// is only for loopback addresses: keys would travel in the clear")),
        _ => Err(refused::<T>(text)),
    }
}

/// Base address of an HTTP service: https, or http on loopback.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// The address without a slash at its end.
    pub fn as_str(&self) -> &str {
        self.0.trim_end_matches('/')
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Setting for ServiceUrl {
    fn expected() -> String {
        "an https:// address (http:// on loopback)".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        service_url::<Self>(text, text)?;
        Ok(Self(text.to_owned()))
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(self)
    }
}

/// Address of a miner's chute with `{slug}` in the place of its host name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChuteUrlTemplate(String);

impl ChuteUrlTemplate {
    /// The template, `{slug}` included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for ChuteUrlTemplate {
    fn expected() -> String {
        "an https:// address (http:// on loopback) with {slug} in it once".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        if text.matches("{slug}").count() != 1 {
            return Err(refused::<Self>(text));
        }
        service_url::<Self>(text, &text.replace("{slug}", "a-slug"))?;
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(&self.0)
    }
}

/// Directives that choose which events are logged, e.g. `info,leoma::decode=debug`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFilter(String);

impl LogFilter {
    /// The directives.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for LogFilter {
    fn expected() -> String {
        "log directives such as `info` or `info,leoma::decode=debug`".into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        telemetry::parse_filter(text).map_err(|_| refused::<Self>(text))?;
        Ok(Self(text.to_owned()))
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(&self.0)
    }
}

macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal),+ })+) => {$(
        impl Setting for $name {
            fn expected() -> String {
                format!("one of {}", [$($word),+].join(", "))
            }
            fn from_text(text: &str) -> Result<Self, Problem> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(refused::<Self>(text)),
                }
            }
            fn shown(&self) -> Option<toml::Value> {
                shown_text(match self { $(Self::$variant => $word),+ })
            }
        }
    )+};
}

impl Setting for ScorerChoice {
    fn expected() -> String {
        choose::EXPECTED.into()
    }
    fn from_text(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|_| refused::<Self>(text))
    }
    fn shown(&self) -> Option<toml::Value> {
        shown_text(self.to_string())
    }
}

words! {
    LogFormat { Plain = "plain", Json = "json" }
}
