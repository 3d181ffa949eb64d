//! Writing a round's folder: once, whole or not at all, signed last.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    location::{DOCUMENT_FILE, MAX_FILES},
    read::MAX_DOCUMENT_BYTES,
    sealed::{RESULTS_DOMAIN, ROUND_DOMAIN, SignedBundle, canonical, is_signed, message},
    views::{METADATA_FILE, metadata, results, results_file},
};
use crate::{
    chain::wallet::HotkeySigner,
    domain::{
        bundle::{
            BundleError, BundleFacts, Code, FileRecord, Network, RULES_FILE, RoundBundle, SOURCE_FILE,
            SourceFacts,
        },
        event::Event,
        ids::{BlockHash, Digest, Hotkey, NetUid, ParseIdError, RoundId},
        rules::ActiveRules,
    },
    quality::{
        canonical::{CanonicalError, canonical_json},
        selftest,
    },
    store::journal::{Journal, JournalError, JournalIdentity},
    telemetry::build,
};

/// Why a round was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The journal does not give the round.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal's genesis hash is none.
    #[error("the journal's genesis hash: {0}")]
    Genesis(ParseIdError),
    /// The journal's subnet is no number.
    #[error("the journal belongs to subnet `{0}`, which is no number: it is damaged")]
    NetUid(String),
    /// The journal is another hotkey's.
    #[error(
        "the journal was written for hotkey {journal}, the signing hotkey is {signer}: sign with that one"
    )]
    OtherHotkey {
        /// Of the journal.
        journal: String,
        /// Of the signer.
        signer: Hotkey,
    },
    /// The round has no document.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A number of the document is no integer.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A file that the document speaks of is gone.
    #[error("{name} (sha256 {sha256}) is not to be had: the spool keeps the files of the newest rounds only")]
    Missing {
        /// Name in the folder.
        name: String,
        /// What is looked for.
        sha256: Digest,
    },
    /// A file is not what its name says.
    #[error("{path} has sha256 {found}, {name} must have {wanted}: it is damaged")]
    Content {
        /// Where it lies.
        path: PathBuf,
        /// Name in the folder.
        name: String,
        /// Of its bytes.
        found: Digest,
        /// As recorded.
        wanted: Digest,
    },
    /// More than a reader takes.
    #[error(
        "the round has {files} files and a document of {bytes} bytes: at most {MAX_FILES} and {MAX_DOCUMENT_BYTES} are read"
    )]
    TooLarge {
        /// Files.
        files: usize,
        /// Bytes of the document.
        bytes: u64,
    },
    /// The folder is there and does not hold this document.
    #[error("{folder} does not hold the document {ours}: what was published of a round is never changed")]
    Differs {
        /// Where.
        folder: PathBuf,
        /// Digest of ours.
        ours: Digest,
    },
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is packed.
pub struct PackRequest<'a> {
    /// The document's facts.
    pub facts: BundleFacts,
    /// The round's events, in order.
    pub events: &'a [Event],
    /// The rules that the round was opened under.
    pub rules: &'a ActiveRules,
    /// Where a file with this digest lies: miners' clips and answers, the first frame, and the source clip where it may be
    /// published. The last may be left out.
    pub files: &'a dyn Fn(&Digest) -> Option<PathBuf>,
    /// The folder that receives the round's folder.
    pub out: &'a Path,
}

/// A round's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packed {
    /// Where it lies.
    pub folder: PathBuf,
    /// Digest of the document.
    pub digest: Digest,
    /// Files beside the document that it names.
    pub files: usize,
    /// Whether it was there before.
    pub was_there: bool,
}

/// The facts of a round from a validator's journal.
///
/// # Errors
/// When the journal cannot be read, or belongs to another hotkey than `validator`.
pub fn facts_of(
    journal: &Journal,
    round: RoundId,
    validator: Hotkey,
    source: Option<SourceFacts>,
) -> Result<BundleFacts, PackError> {
    let JournalIdentity { genesis, netuid, hotkey } = journal.identity()?;
    // A validator without a hotkey judges too; whoever signs for its rounds then is the operator.
    if hotkey != "none" && hotkey != validator.to_string() {
        return Err(PackError::OtherHotkey { journal: hotkey, signer: validator });
    }
    let genesis: BlockHash = genesis.parse().map_err(PackError::Genesis)?;
    let netuid = NetUid(netuid.parse().map_err(|_| PackError::NetUid(netuid))?);
    let kernels = selftest::digests();
    Ok(BundleFacts {
        network: Network { genesis, netuid },
        validator,
        round,
        opened_unix_ms: journal.opened_unix_ms(round)?.unwrap_or_default(),
        code: Code {
            version: build::describe().to_owned(),
            kernels: kernels.into_iter().map(|(name, digest)| (name.to_owned(), digest)).collect(),
        },
        published_before: journal.published_before(round)?,
        source,
    })
}

/// Packs a round into `out/ROUND`, in a temporary folder that is renamed at the end. A folder that holds the same document
/// already is left as it is; another one is never overwritten.
///
/// # Errors
/// When the round has not ended, a file is missing or damaged, or the folder is taken.
pub fn pack(request: &PackRequest<'_>, signer: &HotkeySigner) -> Result<Packed, PackError> {
    let (validator, signs) = (request.facts.validator, signer.hotkey());
    if validator != signs {
        return Err(PackError::OtherHotkey { journal: validator.to_string(), signer: signs });
    }
    let mut bundle = RoundBundle::of(request.facts.clone(), request.events, request.rules)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PackError::Io { path, source }
    };
    fs::create_dir_all(request.out).map_err(failed(request.out))?;
    let work =
        tempfile::Builder::new().prefix(".pack-").tempdir_in(request.out).map_err(failed(request.out))?;
    let (rules, listed) = (toml_of(request.rules), metadata(&bundle));
    let mut put = |name: &str, bytes: &[u8]| {
        let path = work.path().join(name);
        write(&path, bytes).map_err(failed(&path))?;
        let record = FileRecord { bytes: bytes.len() as u64, sha256: Digest::of(bytes) };
        bundle.files.insert(name.to_owned(), record);
        Ok::<(), PackError>(())
    };
    put(RULES_FILE, rules.as_bytes())?;
    put(METADATA_FILE, listed.as_bytes())?;
    for (name, sha256) in bundle.named_files() {
        match (request.files)(&sha256) {
            Some(from) => {
                let record = copy(&from, &work.path().join(&name), (&name, sha256))?;
                bundle.files.insert(name, record);
            }
            None if name == SOURCE_FILE => {}
            None => return Err(PackError::Missing { name, sha256 }),
        }
    }
    let files = bundle.files.len();
    let (data, digest) = canonical(&bundle)?;
    let signature = signer.sign(&message(ROUND_DOMAIN, &digest));
    let sealed = SignedBundle { bundle, digest, signature };
    let document = sealed.to_json()?;
    if files > MAX_FILES || document.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(PackError::TooLarge { files, bytes: document.len() as u64 });
    }
    let folder = request.out.join(sealed.bundle.round.to_string());
    let packed = Packed { folder, digest, files, was_there: false };
    let there = There { data: &data, validator: &sealed.bundle.validator };
    if packed.folder.exists() {
        return there.already(packed);
    }
    let (_, results_digest) = canonical(&results(&sealed.bundle))?;
    let results_signature = hex::encode(signer.sign(&message(RESULTS_DOMAIN, &results_digest)));
    let results = json!({ "data": results(&sealed.bundle), "signature": results_signature });
    let results_name = results_file(&sealed.bundle.validator);
    for (name, text) in [(results_name.as_str(), canonical_json(&results)?), (DOCUMENT_FILE, document)] {
        let path = work.path().join(name);
        write(&path, text.as_bytes()).map_err(failed(&path))?;
    }
    publish(work, packed, &there)
}

/// Gives the finished folder its name, unless somebody else was sooner.
fn publish(work: tempfile::TempDir, packed: Packed, there: &There<'_>) -> Result<Packed, PackError> {
    let failed = |source| PackError::Io { path: packed.folder.clone(), source };
    make_readable(work.path()).map_err(failed)?;
    match fs::rename(work.path(), &packed.folder) {
        Ok(()) => {
            // Renamed away: there is nothing left to remove.
            let _ = work.keep();
            if let Some(parent) = packed.folder.parent() {
                File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
            }
            Ok(packed)
        }
        Err(_) if packed.folder.exists() => there.already(packed),
        Err(source) => Err(failed(source)),
    }
}

/// What a folder that is there must hold.
struct There<'a> {
    /// Canonical form of the document.
    data: &'a str,
    validator: &'a Hotkey,
}

impl There<'_> {
    /// Whether the folder holds the same document, signed by the same key: compared as bytes, because no parser runs beside
    /// the key.
    fn already(&self, packed: Packed) -> Result<Packed, PackError> {
        let path = packed.folder.join(DOCUMENT_FILE);
        let read = File::open(&path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
        });
        match read {
            Ok(bytes) if self.is_in(&bytes, &packed.digest) => Ok(Packed { was_there: true, ..packed }),
            Ok(_) => Err(PackError::Differs { folder: packed.folder, ours: packed.digest }),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                Err(PackError::Differs { folder: packed.folder, ours: packed.digest })
            }
            Err(source) => Err(PackError::Io { path, source }),
        }
    }

    fn is_in(&self, bytes: &[u8], digest: &Digest) -> bool {
        let head = format!("{{\"data\":{},\"digest\":\"{digest}\",\"signature\":\"", self.data);
        let text = bytes.strip_prefix(head.as_bytes()).and_then(|rest| rest.strip_suffix(b"\"}"));
        let mut signature = [0; 64];
        text.is_some_and(|text| hex::decode_to_slice(text, &mut signature).is_ok())
            && is_signed(self.validator, ROUND_DOMAIN, digest, &signature)
    }
}

/// The rules as a file: layout and comments do not enter their digest.
fn toml_of(rules: &ActiveRules) -> String {
    // Tables of integers and strings, as they were read: serialisation has no way to fail.
    toml::to_string(&rules.rules).unwrap_or_default()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Copies a file and proves that it is the one that is meant.
fn copy(from: &Path, to: &Path, (name, wanted): (&str, Digest)) -> Result<FileRecord, PackError> {
    let io = |path: &Path, source| PackError::Io { path: path.to_owned(), source };
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
    }
    let mut source = File::open(from).map_err(|cause| io(from, cause))?;
    let mut target = File::create_new(to).map_err(|cause| io(to, cause))?;
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0u64, vec![0; 1 << 16]);
    loop {
        let count = source.read(&mut buffer).map_err(|cause| io(from, cause))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        bytes += count as u64;
        target.write_all(&buffer[..count]).map_err(|cause| io(to, cause))?;
    }
    target.sync_all().map_err(|cause| io(to, cause))?;
    let found = Digest(hasher.finalize().into());
    match found == wanted {
        true => Ok(FileRecord { bytes, sha256: found }),
        false => Err(PackError::Content { path: from.to_owned(), name: name.to_owned(), found, wanted }),
    }
}

/// A temporary folder is private; a round's folder is made to be shown. Names reach the disk before the folder gets its own.
fn make_readable(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            File::open(path)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}
