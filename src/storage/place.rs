//! The place where rounds go: an object store behind one address.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, S3ConditionalPut},
    local::LocalFileSystem,
    path::Path,
};
use url::Url;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Times that the client itself repeats one request, on 5xx (`SlowDown` is one) and on a broken connection.
const RETRIES: usize = 3;
/// First and longest wait between them. R2 takes one write per second and key.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(1_100), Duration::from_secs(10));
/// No request is repeated after this long.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The address is none that this build writes to.
    #[error("storage location `{location}`: {problem}")]
    Location {
        /// As configured.
        location: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The folder could not be made or opened.
    #[error("storage folder {path}: {problem}")]
    Folder {
        /// Where.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The service's settings do not fit together.
    #[error("storage location `{location}`: {source}")]
    Service {
        /// As configured.
        location: String,
        /// What the client said.
        source: object_store::Error,
    },
}

/// Name and secret of an access key.
#[derive(Clone)]
pub struct AccessKey {
    /// Its name.
    pub id: String,
    /// Its secret; never shown.
    pub secret: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(…)")
    }
}

/// How an S3-compatible service is spoken to.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// Address of the service; `None`: Amazon's of the region.
    pub endpoint: Option<Url>,
    /// Region; `auto` for R2, `decentralized` for Hippius.
    pub region: String,
    /// Whether the bucket stands in the path rather than in the host name.
    pub path_style: bool,
    /// Whether the service refuses to overwrite when asked to (`If-None-Match: *`).
    pub conditional_writes: bool,
    /// Key; without one requests are not signed.
    pub key: Option<AccessKey>,
    /// Longest time for one request, first byte to last.
    pub timeout: Duration,
    /// Wait before a request is repeated the first time; [`Default`] is what services want.
    pub first_backoff: Duration,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: "auto".to_owned(),
            path_style: true,
            conditional_writes: true,
            key: None,
            timeout: Duration::from_secs(120),
            first_backoff: BACKOFF.0,
        }
    }
}

/// What a place is opened from.
#[derive(Clone, Debug)]
pub struct PlaceOptions {
    /// Folder by path or `file://` address, or `s3://bucket/prefix`.
    pub location: String,
    /// For the last.
    pub s3: S3Options,
}

/// What the place promises of writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Writes {
    /// It refuses to overwrite.
    CreateOnly,
    /// It overwrites: who writes must look first.
    Unconditional,
}

/// An object store and the prefix under which rounds lie in it.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) writes: Writes,
    prefix: Path,
    label: String,
}

impl Place {
    /// Opens a place. Nothing is asked of a service yet; a folder is made where it is missing.
    ///
    /// # Errors
    /// When the address is none, the folder cannot be made, or the settings do not fit together.
    pub fn open(options: &PlaceOptions) -> Result<Self, PlaceError> {
        let location = &options.location;
        let refuse = |problem: &str| PlaceError::Location {
            location: location.chars().take(300).collect(),
            problem: problem.to_owned(),
        };
        match Url::parse(location) {
            Ok(address) if address.scheme() == "s3" => Self::bucket(&address, location, &options.s3),
            Ok(address) if address.scheme() == "file" => {
                let folder = address.to_file_path();
                Self::folder(folder.map_err(|()| refuse("is no local file address: write file:///path"))?)
            }
            _ if location.contains("://") => Err(refuse("give a folder, a file:// or an s3:// address")),
            _ if location.is_empty() => Err(refuse("is empty: give a folder or an s3:// address")),
            _ => Self::folder(PathBuf::from(location)),
        }
    }

    fn folder(folder: PathBuf) -> Result<Self, PlaceError> {
        let failed = |problem: String| PlaceError::Folder { path: folder.clone(), problem };
        std::fs::create_dir_all(&folder).map_err(|error| failed(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            store: Arc::new(store.with_automatic_cleanup(true)),
            writes: Writes::CreateOnly,
            prefix: Path::default(),
            label: folder.display().to_string(),
        })
    }

    fn bucket(address: &Url, location: &str, s3: &S3Options) -> Result<Self, PlaceError> {
        let refuse = |problem: &str| PlaceError::Location {
            location: location.to_owned(),
            problem: problem.to_owned(),
        };
        let bucket = address.host_str().ok_or_else(|| refuse("names no bucket: write s3://bucket/prefix"))?;
        if !address.username().is_empty() || address.password().is_some() || address.query().is_some() {
            // Not shown: it may hold a key.
            return Err(PlaceError::Location {
                location: format!("s3://{bucket}"),
                problem: "holds more than bucket and prefix: keys are settings of their own".into(),
            });
        }
        let service = |source| PlaceError::Service { location: location.to_owned(), source };
        let prefix = Path::parse(address.path().trim_matches('/'))
            .map_err(|error| refuse(&format!("the prefix is not usable: {error}")))?;
        let plain_http = s3.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http");
        let client = ClientOptions::new()
            .with_timeout(s3.timeout)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_allow_http(plain_http);
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: s3.first_backoff, max_backoff: BACKOFF.1, base: 2.0 },
            max_retries: RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        };
        let put = match s3.conditional_writes {
            true => S3ConditionalPut::ETagMatch,
            false => S3ConditionalPut::Disabled,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&s3.region)
            .with_virtual_hosted_style_request(!s3.path_style)
            .with_conditional_put(put)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &s3.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        builder = match &s3.key {
            Some(key) => builder.with_access_key_id(&key.id).with_secret_access_key(&key.secret),
            // Without a key the client would ask the machine's own metadata service for one.
            None => builder.with_skip_signature(true),
        };
        Ok(Self {
            store: Arc::new(builder.build().map_err(service)?),
            writes: if s3.conditional_writes { Writes::CreateOnly } else { Writes::Unconditional },
            prefix: prefix.clone(),
            label: format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned(),
        })
    }

    /// A place over any object store, for tests.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, writes: Writes::CreateOnly, prefix: Path::default(), label: "a store".to_owned() }
    }

    /// Key of a file of a round's folder; names inside use `/`.
    pub(super) fn key(&self, folder: &str, name: &str) -> Path {
        let parts = self.prefix.parts();
        let mut key: Path = parts.collect();
        for part in std::iter::once(folder).chain(name.split('/')) {
            key = key.join(part);
        }
        key
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(location: &str) -> PlaceOptions {
        PlaceOptions { location: location.to_owned(), s3: S3Options::default() }
    }

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("published").display().to_string();
        assert_eq!(Place::open(&options(&path)).expect("a folder").to_string(), path);
        assert!(Place::open(&options(&format!("file://{path}"))).is_ok());
        let bucket = Place::open(&options("s3://rounds/leoma/99/")).expect("a bucket");
        assert_eq!(bucket.to_string(), "s3://rounds/leoma/99");
        let key = bucket.key("71234", "generated_videos/5Abc.mp4");
        assert_eq!(key.as_ref(), "leoma/99/71234/generated_videos/5Abc.mp4");
    }

    #[test]
    fn what_is_no_place_is_refused_without_showing_a_key() {
        for wrong in ["", "https://example.org/x", "s3://", "gs://bucket", "file://host/x"] {
            assert!(matches!(Place::open(&options(wrong)), Err(PlaceError::Location { .. })), "{wrong}");
        }
        let error = Place::open(&options("s3://name:SECRET@bucket/x")).expect_err("a key in the address");
        assert!(!error.to_string().contains("SECRET"), "{error}");
        let key = AccessKey { id: "NAME".into(), secret: "SECRET".into() };
        assert!(!format!("{:?}", S3Options { key: Some(key), ..S3Options::default() }).contains("SECRET"));
    }
}
