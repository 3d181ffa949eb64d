//! The S3 server: a process of its own over a temporary folder.

use std::{path::PathBuf, process::Stdio, time::Duration};

use leoma::{embed::manifest::default_folder, storage::place::AccessKey};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// Name and secret that the server knows.
pub const KEY: (&str, &str) = ("leoma-test", "a secret of the tests");
pub const BUCKET: &str = "rounds";
const PATIENCE: Duration = Duration::from_secs(30);

pub fn key(secret: &str) -> AccessKey {
    AccessKey { id: KEY.0.into(), secret: secret.into() }
}

/// A running server with one bucket. Ends when dropped.
pub struct Bucket {
    pub url: String,
    folder: tempfile::TempDir,
    _process: Child,
}

impl Bucket {
    /// `None`, said loudly, where the server is not installed; a failure where `LEOMA_REQUIRE_ASSETS` is set.
    pub async fn start() -> Option<Self> {
        let program = installed()?;
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let mut process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0", "--access-key", KEY.0, "--secret-key", KEY.1])
            .arg(folder.path())
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let url = timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.expect("reads").expect("the server says where it listens");
                if let Some((_, url)) = line.split_once("server is running at ") {
                    break url.trim().to_owned();
                }
            }
        });
        let url = url.await.expect("in time");
        // Read on, so that the server never blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self { url, folder, _process: process })
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// Keys in the bucket, sorted.
    pub fn listing(&self) -> Vec<String> {
        let (root, mut found, mut folders) = (self.root(), Vec::new(), vec![self.root()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("reads").map(|entry| entry.expect("entry")) {
                match entry.file_type().expect("kind").is_dir() {
                    true => folders.push(entry.path()),
                    false => {
                        found.push(entry.path().strip_prefix(&root).expect("inside").display().to_string())
                    }
                }
            }
        }
        found.sort();
        found
    }

    pub fn read(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.root().join(key)).unwrap_or_else(|error| panic!("{key}: {error}"))
    }

    /// Something that another writer left.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.root().join(key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
}

fn installed() -> Option<PathBuf> {
    let program = default_folder().expect("a cache folder").with_file_name("s3s-fs").join("bin/s3s-fs");
    if program.is_file() {
        return Some(program);
    }
    let skipped = "SKIPPED: no S3 server; run scripts/fetch-s3-server.sh";
    assert!(std::env::var_os("LEOMA_REQUIRE_ASSETS").is_none(), "{skipped}");
    eprintln!("{skipped}");
    None
}
