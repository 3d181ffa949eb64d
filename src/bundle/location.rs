//! Where a bundle lies: one file, a folder, or an address. Every read is bounded, and no name leaves the folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use reqwest::{Client, StatusCode, redirect::Policy};
use url::Url;

use super::{
    read::{MAX_DOCUMENT_BYTES, ReadError, parse},
    sealed::SignedBundle,
};

/// Name of the document in a round's folder.
pub const DOCUMENT_FILE: &str = "round.json";
/// Most files beside a document: a clip and two answers for each of 256 miners, and what all share.
pub const MAX_FILES: usize = 1_024;
/// Largest file beside a document, in bytes: the largest answer that rules may allow.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait between two parts of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not there.
    #[error("{place} is not there")]
    Missing {
        /// Where it was looked for.
        place: String,
    },
    /// More bytes than it may have.
    #[error("{place} has more than {limit} bytes")]
    TooLarge {
        /// Where it lies.
        place: String,
        /// Most bytes that were read.
        limit: u64,
    },
    /// The name leaves the folder, or is no plain file.
    #[error(
        "{place} is not a plain file below the bundle's folder: links and other kinds of files are not read"
    )]
    NotPlain {
        /// Where it lies.
        place: String,
    },
    /// The document stands alone.
    #[error("{place} is a document without its folder: name the folder to read the files beside it")]
    Alone {
        /// The document.
        place: String,
    },
    /// The disk.
    #[error("{place}: {source}")]
    Io {
        /// Where.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// The address did not answer with the file.
    #[error("{place}: {problem}")]
    Http {
        /// The address.
        place: String,
        /// What came instead.
        problem: String,
    },
    /// The document was refused.
    #[error("{place}: {source}")]
    Refused {
        /// Where it lies.
        place: String,
        /// Why.
        source: Box<ReadError>,
    },
}

/// Where files beside a document are read from.
#[derive(Clone, Debug)]
enum Source {
    /// Nowhere.
    Document(PathBuf),
    /// A folder.
    Folder(PathBuf),
    /// An address that ends with a slash.
    Url(Url, Client),
}

/// A bundle whose document was read and whose signature holds.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The document.
    pub signed: SignedBundle,
    /// Its bytes as they were read.
    pub text: Bytes,
    source: Source,
}

impl Opened {
    /// Opens a bundle by the path of its document or folder, or by `http://` or `https://` address of either. No redirect is
    /// followed and no proxy is taken from the environment.
    ///
    /// # Errors
    /// When the document is not there, too large, or refused ([`ReadError`]).
    pub async fn open(location: &str) -> Result<Self, FetchError> {
        let source = match Url::parse(location) {
            Ok(url) if ["http", "https"].contains(&url.scheme()) => Source::Url(base_of(url), client()?),
            _ if Path::new(location).is_dir() => Source::Folder(PathBuf::from(location)),
            _ => Source::Document(PathBuf::from(location)),
        };
        let (bytes, place) = match &source {
            Source::Document(path) => (read_file(path, MAX_DOCUMENT_BYTES)?, path.display().to_string()),
            other => (other.read(DOCUMENT_FILE, MAX_DOCUMENT_BYTES).await?, other.place(DOCUMENT_FILE)),
        };
        let signed = parse(&bytes).map_err(|cause| FetchError::Refused { place, source: Box::new(cause) })?;
        Ok(Self { signed, text: bytes, source })
    }

    /// Whether there are files beside the document.
    pub fn has_files(&self) -> bool {
        !matches!(self.source, Source::Document(_))
    }

    /// Where a file lies, for messages.
    pub fn place(&self, name: &str) -> String {
        self.source.place(name)
    }

    /// Reads a file of at most `limit` bytes. Names come from the document: whoever calls has made sure that it is one that
    /// the document may speak of.
    ///
    /// # Errors
    /// When it is not there, no plain file, or has more bytes.
    pub async fn read(&self, name: &str, limit: u64) -> Result<Bytes, FetchError> {
        self.source.read(name, limit).await
    }
}

impl Source {
    fn place(&self, name: &str) -> String {
        match self {
            Source::Document(path) => path.display().to_string(),
            Source::Folder(folder) => folder.join(name).display().to_string(),
            Source::Url(base, _) => format!("{base}{name}"),
        }
    }

    async fn read(&self, name: &str, limit: u64) -> Result<Bytes, FetchError> {
        let place = self.place(name);
        let parts_are_names = name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        if !parts_are_names || name.contains(['\\', '?', '#', '%', ':']) {
            return Err(FetchError::NotPlain { place });
        }
        match self {
            Source::Document(_) => Err(FetchError::Alone { place }),
            Source::Folder(folder) => read_inside(folder, name, limit),
            Source::Url(base, client) => {
                let refused = |problem: url::ParseError| FetchError::Http {
                    place: place.clone(),
                    problem: problem.to_string(),
                };
                fetch(client, base.join(name).map_err(refused)?, limit).await
            }
        }
    }
}

/// The folder of an address: without `round.json`, with a slash at its end.
fn base_of(mut url: Url) -> Url {
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().strip_suffix(DOCUMENT_FILE).unwrap_or(url.path()).trim_end_matches('/').to_owned();
    url.set_path(&format!("{path}/"));
    url
}

fn client() -> Result<Client, FetchError> {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(|cause| FetchError::Http { place: "HTTP client".into(), problem: cause.to_string() })
}

async fn fetch(client: &Client, url: Url, limit: u64) -> Result<Bytes, FetchError> {
    let place = url.to_string();
    let failed = |cause: reqwest::Error| FetchError::Http {
        place: place.clone(),
        problem: cause.without_url().to_string(),
    };
    let answer = client.get(url).send().await.map_err(failed)?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(FetchError::Missing { place }),
        other => return Err(FetchError::Http { place, problem: format!("answered {other}") }),
    }
    if answer.content_length().is_some_and(|length| length > limit) {
        return Err(FetchError::TooLarge { place, limit });
    }
    let (mut content, mut chunks) = (BytesMut::new(), answer.bytes_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(failed)?;
        if (content.len() + chunk.len()) as u64 > limit {
            return Err(FetchError::TooLarge { place, limit });
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content.freeze())
}

fn read_inside(folder: &Path, name: &str, limit: u64) -> Result<Bytes, FetchError> {
    let path = folder.join(name);
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FetchError::Missing { place: path.display().to_string() },
        _ => FetchError::Io { place: path.display().to_string(), source },
    };
    let root = fs::canonicalize(folder).map_err(failed)?;
    let real = fs::canonicalize(&path).map_err(failed)?;
    if real != root.join(name) {
        return Err(FetchError::NotPlain { place: path.display().to_string() });
    }
    read_file(&path, limit)
}

fn read_file(path: &Path, limit: u64) -> Result<Bytes, FetchError> {
    use std::io::Read as _;
    let place = || path.display().to_string();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FetchError::Missing { place: place() },
        _ => FetchError::Io { place: place(), source },
    };
    // Asked before it is opened: opening a pipe would wait for its writer.
    let facts = fs::metadata(path).map_err(failed)?;
    if !facts.is_file() {
        return Err(FetchError::NotPlain { place: place() });
    }
    let mut content = Vec::with_capacity(facts.len().min(limit) as usize);
    let file = fs::File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut content).map_err(failed)?;
    match content.len() as u64 > limit {
        true => Err(FetchError::TooLarge { place: place(), limit }),
        false => Ok(content.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_folder() {
        let base = |text: &str| base_of(text.parse().expect("address")).to_string();
        for text in ["https://x.org/b/7", "https://x.org/b/7/", "https://x.org/b/7/round.json?a=1#b"] {
            assert_eq!(base(text), "https://x.org/b/7/");
        }
        assert_eq!(base("http://x.org"), "http://x.org/");
    }

    #[tokio::test]
    async fn no_name_leaves_the_folder() {
        let outside = tempfile::tempdir().expect("folder");
        std::fs::write(outside.path().join("secret"), b"key").expect("written");
        let folder = outside.path().join("7");
        std::fs::create_dir(&folder).expect("folder");
        std::fs::write(folder.join("plain"), b"clip").expect("written");
        std::os::unix::fs::symlink("../secret", folder.join("link")).expect("link");
        std::os::unix::fs::symlink("..", folder.join("up")).expect("link");
        let source = Source::Folder(folder);
        assert_eq!(source.read("plain", 4).await.expect("plain"), &b"clip"[..]);
        assert!(matches!(source.read("plain", 3).await, Err(FetchError::TooLarge { .. })));
        assert!(matches!(source.read("none", 3).await, Err(FetchError::Missing { .. })));
        for name in ["../secret", "link", "up/secret", "/etc/passwd", "a//b", ".hidden", "a\\b", "a%2e", ""] {
            let refused = source.read(name, 100).await;
            assert!(matches!(refused, Err(FetchError::NotPlain { .. })), "{name}: {refused:?}");
        }
    }
}
