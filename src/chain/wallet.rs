//! The hotkey: read from a bittensor hotkey file, held in memory, used to sign.
//!
//! File format: JSON with `accountId`, `publicKey`, `ss58Address`, `secretSeed`, `secretPhrase`,
//! `privateKey`, `cryptoType`, all optional and in any order. Secrets are wiped from memory when
//! dropped and appear in no message. A file may be sealed under a password.

mod sealed;

use std::{
    fmt,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Deserializer};
use subxt_signer::{bip39, sr25519};
use zeroize::{Zeroize, Zeroizing};

use crate::domain::ids::Hotkey;

/// Largest hotkey file; a real one has about 500 bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// `cryptoType` of sr25519, the only kind of key that subtensor's hotkeys have.
const SR25519: u64 = 1;
/// The context that Substrate binds every sr25519 signature to.
const SIGNING_CONTEXT: &[u8] = b"substrate";

/// Why a hotkey file was refused. No variant holds anything of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// The file could not be read or written.
    #[error("hotkey file {path}: {problem}")]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The file is larger than any hotkey file.
    #[error("the hotkey file has more than {MAX_FILE_BYTES} bytes: this is not a hotkey file")]
    TooLarge,
    /// The file is encrypted in a way that wallets gave up.
    #[error(
        "the hotkey file is encrypted in an old way ({kind}): restore the hotkey with a current wallet \
         (`btcli wallet regen-hotkey`) or point to another file"
    )]
    Outdated {
        /// Kind of encryption, by the file's first bytes.
        kind: &'static str,
    },
    /// The file is encrypted and there is no password.
    #[error(
        "the hotkey file is encrypted and no password was given: set wallet.password to env:NAME or file:PATH, or start \
         on a terminal, where it is asked for"
    )]
    PasswordNeeded,
    /// The password does not open the file.
    #[error("the password does not open the hotkey file, or the file was changed")]
    WrongPassword,
    /// The file is a coldkey's.
    #[error(
        "{path} is a coldkey, which holds the stake and has no business on a validator's machine: point to the hotkey, \
         wallets/NAME/hotkeys/HOTKEY"
    )]
    Coldkey {
        /// Where.
        path: PathBuf,
    },
    /// The file is not the JSON of a hotkey.
    #[error("the hotkey file is not the JSON object of a bittensor hotkey ({problem} at line {line})")]
    Malformed {
        /// What kind of problem.
        problem: &'static str,
        /// Line of the file.
        line: usize,
    },
    /// The key is not sr25519.
    #[error("the hotkey has cryptoType {found}, expected {SR25519} (sr25519): create an sr25519 hotkey")]
    CryptoType {
        /// What the file says.
        found: u64,
    },
    /// The file names a key but holds none.
    #[error(
        "the hotkey file holds no secretSeed, secretPhrase or privateKey: it is a watch-only key and can not sign"
    )]
    NoSecret,
    /// The secret does not have the right form.
    #[error("the hotkey file's {field} is malformed: expected {expected}")]
    BadSecret {
        /// Field.
        field: &'static str,
        /// The form it should have.
        expected: &'static str,
    },
    /// A public field does not belong to the secret.
    #[error(
        "the hotkey file's {field} does not belong to its secret, whose address is {derived}: the file was changed"
    )]
    Mismatch {
        /// Field.
        field: &'static str,
        /// The address that the secret has.
        derived: Hotkey,
    },
}

/// The place of a hotkey file in a wallet folder: `<wallets>/NAME/hotkeys/HOTKEY`.
pub fn hotkey_path(wallets: &Path, name: &str, hotkey: &str) -> PathBuf {
    wallets.join(name).join("hotkeys").join(hotkey)
}

/// A hotkey that can sign. Clones share one copy of the secret.
#[derive(Clone)]
pub struct HotkeySigner {
    secret: Arc<Secret>,
    hotkey: Hotkey,
}

/// What a hotkey file can hold.
enum Secret {
    /// A 32-byte seed.
    Seed { seed: Zeroizing<[u8; 32]>, keypair: sr25519::Keypair },
    /// A mnemonic.
    Phrase { phrase: Text, keypair: sr25519::Keypair },
    /// An expanded secret key, as keys made from a URI have.
    Expanded(schnorrkel::Keypair),
}

impl HotkeySigner {
    /// A new random hotkey.
    pub fn generate() -> Self {
        Self::from_seed(schnorrkel::MiniSecretKey::generate().to_bytes())
    }

    /// The hotkey of a 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        // Invariant: any 32 bytes are a seed; the library checks nothing but the length.
        let keypair = sr25519::Keypair::from_secret_key(*seed).expect("32 bytes are a seed");
        let hotkey = Hotkey(keypair.public_key().0);
        Self { secret: Arc::new(Secret::Seed { seed, keypair }), hotkey }
    }

    /// Reads a hotkey file.
    ///
    /// A file that others can read is read with a warning in the log.
    ///
    /// # Errors
    /// When the file is missing, too large, encrypted, malformed, not sr25519, without a secret, or
    /// when its public fields do not belong to its secret.
    pub fn read_file(path: &Path) -> Result<Self, WalletError> {
        Self::read_file_with(path, || None)
    }

    /// As [`HotkeySigner::read_file`]; `password` is asked once if the file is sealed.
    ///
    /// # Errors
    /// As there, and when there is no password or a wrong one.
    pub fn read_file_with(
        path: &Path,
        password: impl FnOnce() -> Option<Zeroizing<String>>,
    ) -> Result<Self, WalletError> {
        if is_coldkey(path) {
            return Err(WalletError::Coldkey { path: path.to_owned() });
        }
        let failed = |error: io::Error| file_error(path, &error);
        let file = std::fs::File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(WalletError::File { path: path.to_owned(), problem: "is not a file".to_owned() });
        }
        if let Some(problem) = exposure(&metadata) {
            tracing::warn!(path = %path.display(), "the hotkey file {problem}");
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize + 1));
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        Self::from_bytes(&bytes, password)
    }

    /// Reads the contents of a hotkey file; `password` is asked once if they are sealed.
    ///
    /// # Errors
    /// As [`HotkeySigner::read_file_with`].
    pub fn from_bytes(
        bytes: &[u8],
        password: impl FnOnce() -> Option<Zeroizing<String>>,
    ) -> Result<Self, WalletError> {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(WalletError::TooLarge);
        }
        if bytes.starts_with(sealed::MARK) {
            return Self::from_json(&sealed::open(bytes, &password().ok_or(WalletError::PasswordNeeded)?)?);
        }
        match outdated(bytes) {
            Some(kind) => Err(WalletError::Outdated { kind }),
            None => Self::from_json(bytes),
        }
    }

    fn from_json(bytes: &[u8]) -> Result<Self, WalletError> {
        let file: KeyFile = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        match file.crypto_type {
            None | Some(SR25519) => {}
            Some(found) => return Err(WalletError::CryptoType { found }),
        }
        let signer = file.signer()?;
        file.belongs_to(signer.hotkey)?;
        Ok(signer)
    }

    /// Writes the hotkey as a standard file that only its owner can read (mode 0600), creating
    /// missing folders. An existing file is never replaced: it may be the only copy of a key.
    ///
    /// # Errors
    /// When the file exists or can not be written.
    pub fn write_file(&self, path: &Path) -> Result<(), WalletError> {
        let failed = |error: &io::Error| file_error(path, error);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        // Created with mode 0600 under a random name, then linked into place whole.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
        file.write_all(self.to_json().as_bytes()).map_err(|error| failed(&error))?;
        file.as_file().sync_all().map_err(|error| failed(&error))?;
        file.persist_noclobber(path).map_err(|error| failed(&error.error))?;
        Ok(())
    }

    /// The public key.
    pub fn hotkey(&self) -> Hotkey {
        self.hotkey
    }

    /// Signs a message: sr25519 in Substrate's context, 64 bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        match &*self.secret {
            Secret::Seed { keypair, .. } | Secret::Phrase { keypair, .. } => keypair.sign(message).0,
            Secret::Expanded(keypair) => {
                keypair.sign(schnorrkel::signing_context(SIGNING_CONTEXT).bytes(message)).to_bytes()
            }
        }
    }

    fn from_keypair(keypair: schnorrkel::Keypair) -> Self {
        let hotkey = Hotkey(keypair.public.to_bytes());
        Self { secret: Arc::new(Secret::Expanded(keypair)), hotkey }
    }

    fn to_json(&self) -> Zeroizing<String> {
        let (field, value) = match &*self.secret {
            Secret::Seed { seed, .. } => ("secretSeed", prefixed_hex(&**seed)),
            Secret::Phrase { phrase, .. } => ("secretPhrase", phrase.0.clone()),
            Secret::Expanded(keypair) => {
                ("privateKey", prefixed_hex(&*Zeroizing::new(keypair.secret.to_bytes())))
            }
        };
        // None of the values needs escaping: hexadecimal, base58 and mnemonic words.
        let public = hex::encode(self.hotkey.0);
        let hotkey = self.hotkey;
        Zeroizing::new(format!(
            "{{\"accountId\":\"0x{public}\",\"publicKey\":\"0x{public}\",\"ss58Address\":\"{hotkey}\",\
             \"cryptoType\":{SR25519},\"{field}\":\"{}\"}}\n",
            *value
        ))
    }
}

impl fmt::Debug for HotkeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HotkeySigner({})", self.hotkey)
    }
}

/// A secret string of the file.
struct Text(Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyFile {
    account_id: Option<String>,
    public_key: Option<String>,
    ss58_address: Option<String>,
    secret_seed: Option<Text>,
    secret_phrase: Option<Text>,
    private_key: Option<Text>,
    crypto_type: Option<u64>,
}

impl KeyFile {
    /// The signer from the first secret that is there: seed, then phrase, then expanded key.
    fn signer(&self) -> Result<HotkeySigner, WalletError> {
        if let Some(text) = &self.secret_seed {
            let expected = "0x and 64 hexadecimal digits";
            let seed = fixed_hex(&text.0).ok_or(WalletError::BadSecret { field: "secretSeed", expected })?;
            return Ok(HotkeySigner::from_seed(*seed));
        }
        if let Some(text) = &self.secret_phrase {
            return from_phrase(text).ok_or(WalletError::BadSecret {
                field: "secretPhrase",
                expected: "12 to 24 words of the English BIP-39 list with a valid checksum",
            });
        }
        let text = self.private_key.as_ref().ok_or(WalletError::NoSecret)?;
        let bytes: Option<Zeroizing<[u8; 64]>> = fixed_hex(&text.0);
        let secret = bytes.and_then(|bytes| schnorrkel::SecretKey::from_bytes(&*bytes).ok());
        let secret = secret.ok_or(WalletError::BadSecret {
            field: "privateKey",
            expected: "0x and 128 hexadecimal digits of an sr25519 secret key",
        })?;
        Ok(HotkeySigner::from_keypair(secret.to_keypair()))
    }

    /// Every public field that is there must name the derived key.
    fn belongs_to(&self, derived: Hotkey) -> Result<(), WalletError> {
        let hex_key = |text: &String| fixed_hex::<32>(text).map(|bytes| Hotkey(*bytes));
        let stated = [
            ("publicKey", self.public_key.as_ref().map(hex_key)),
            ("accountId", self.account_id.as_ref().map(hex_key)),
            ("ss58Address", self.ss58_address.as_ref().map(|text| text.parse().ok())),
        ];
        match stated.into_iter().find(|(_, key)| key.is_some_and(|key| key != Some(derived))) {
            Some((field, _)) => Err(WalletError::Mismatch { field, derived }),
            None => Ok(()),
        }
    }
}

fn from_phrase(text: &Text) -> Option<HotkeySigner> {
    let mnemonic = bip39::Mnemonic::parse_in_normalized(bip39::Language::English, text.0.trim()).ok()?;
    let keypair = sr25519::Keypair::from_phrase(&mnemonic, None).ok()?;
    let hotkey = Hotkey(keypair.public_key().0);
    let phrase = Text(Zeroizing::new(text.0.trim().to_owned()));
    Some(HotkeySigner { secret: Arc::new(Secret::Phrase { phrase, keypair }), hotkey })
}

fn fixed_hex<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut *bytes).ok()?;
    Some(bytes)
}

fn prefixed_hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 + 2 * bytes.len()));
    text.push_str("0x");
    let mut digits = hex::encode(bytes);
    text.push_str(&digits);
    digits.zeroize();
    text
}

/// Whether a path is a coldkey's in the standard layout, `wallets/NAME/coldkey` or `coldkeypub.txt`.
fn is_coldkey(path: &Path) -> bool {
    let begins = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("coldkey"));
    begins && path.parent().and_then(Path::file_name).is_none_or(|folder| folder != "hotkeys")
}

/// Kind of encryption by the marks that old wallets left at the file's start.
fn outdated(bytes: &[u8]) -> Option<&'static str> {
    [(&b"$ANSIBLE_VAULT"[..], "Ansible vault"), (b"gAAAAA", "Fernet")]
        .into_iter()
        .find(|(mark, _)| bytes.starts_with(mark))
        .map(|(_, kind)| kind)
}

/// The error without serde's own text, which may quote a value of the file.
fn malformed(error: &serde_json::Error) -> WalletError {
    let problem = match error.classify() {
        serde_json::error::Category::Data => "a field has the wrong type or appears twice",
        serde_json::error::Category::Eof => "the file ends too early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "not JSON",
    };
    WalletError::Malformed { problem, line: error.line() }
}

fn file_error(path: &Path, error: &io::Error) -> WalletError {
    WalletError::File { path: path.to_owned(), problem: error.to_string() }
}

#[cfg(unix)]
fn exposure(metadata: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| format!("is open to others (mode {mode:o}): run chmod 600 on it"))
}

#[cfg(not(unix))]
fn exposure(_: &std::fs::Metadata) -> Option<String> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_file_that_others_can_touch_is_told_with_its_mode() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (mode, shown) in [(0o600, None), (0o400, None), (0o640, Some("640")), (0o604, Some("604"))] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("a mode");
            let told = exposure(&fs::metadata(file.path()).expect("metadata"));
            match shown {
                None => assert_eq!(told, None, "{mode:o}"),
                Some(shown) => assert!(told.is_some_and(|text| text.contains(shown)), "{mode:o}"),
            }
        }
    }
}
