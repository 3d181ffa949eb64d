//! Secrets: where they may come from, and the one type that holds them.

use std::{fmt, io::Read as _, path::PathBuf};

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::value::Problem;

const REDACTED: &str = "***";
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Where a secret's text stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretSource {
    /// In the configuration itself.
    Literal,
    /// In an environment variable: `env:NAME`.
    Env(String),
    /// In a file: `file:PATH`; line breaks at its end are not part of the secret.
    File(PathBuf),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Literal => f.write_str("written there"),
            SecretSource::Env(name) => write!(f, "read from env:{name}"),
            SecretSource::File(path) => write!(f, "read from file:{}", path.display()),
        }
    }
}

/// A secret text: wiped from memory when dropped; `Debug`, `Display` and `Serialize` show `***`.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
    source: SecretSource,
}

impl Secret {
    /// A secret given as text.
    pub fn literal(text: impl Into<String>) -> Self {
        Self { text: Zeroizing::new(text.into()), source: SecretSource::Literal }
    }

    /// Reads a reference: `env:NAME`, `file:PATH` or the secret itself. The first two are empty
    /// until [`Secret::resolve`].
    pub(super) fn reference(text: &str) -> Self {
        let source = if let Some(name) = text.strip_prefix("env:") {
            SecretSource::Env(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            SecretSource::File(PathBuf::from(path))
        } else {
            return Self::literal(text);
        };
        Self { text: Zeroizing::new(String::new()), source }
    }

    /// The secret that `env:NAME` or `file:PATH` on a command line points to, fit for a header.
    ///
    /// # Errors
    /// When the reference leads nowhere, or the secret itself was given: everybody on the machine can read a command line.
    pub fn of_argument(text: &str) -> Result<Self, Problem> {
        let mut secret = Self::reference(text);
        if secret.source == SecretSource::Literal {
            return Err(Problem::new("must be env:NAME or file:PATH: others can read a command line"));
        }
        let env = match &secret.source {
            SecretSource::Env(name) => std::env::var(name).ok().map(|text| (name.clone(), text)),
            _ => None,
        };
        secret.resolve(env.as_slice())?;
        secret.check_header()?;
        Ok(secret)
    }

    /// Fetches the text from where the reference points.
    pub(super) fn resolve(&mut self, env: &[(String, String)]) -> Result<(), Problem> {
        match &self.source {
            SecretSource::Literal => {}
            SecretSource::Env(name) => {
                let found = env.iter().find(|(known, _)| known == name);
                let (_, text) = found.ok_or_else(|| {
                    Problem::new(format!("refers to the environment variable `{name}`, which is not set"))
                })?;
                self.text = Zeroizing::new(text.clone());
            }
            SecretSource::File(path) => self.text = read_file(path)?,
        }
        if self.text.is_empty() {
            return Err(Problem::new("the secret is empty"));
        }
        Ok(())
    }

    /// Checks that the text can be a header value.
    pub(super) fn check_header(&self) -> Result<(), Problem> {
        if !self.text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::new("the secret holds a space, a line break or a non-ASCII character"));
        }
        Ok(())
    }

    /// The secret itself. Hand it to the call that needs it and nowhere else.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Where it came from.
    pub fn source(&self) -> &SecretSource {
        &self.source
    }
}

fn read_file(path: &PathBuf) -> Result<Zeroizing<String>, Problem> {
    let refuse = |what: &dyn fmt::Display| {
        Problem::new(format!("refers to the file {}, which cannot be read: {what}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(|error| refuse(&error))?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).map_err(|error| refuse(&error))?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(refuse(&format!("longer than {MAX_SECRET_BYTES} bytes")));
    }
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.source == other.source
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rendering_shows_the_secret() {
        let secret = Secret::reference("cpk_hunter2");
        for shown in [
            format!("{secret}"),
            format!("{secret:?}"),
            format!("{:#?}", Some(&secret)),
            serde_json::to_string(&secret).expect("json"),
        ] {
            assert!(!shown.contains("hunter2") && shown.contains(REDACTED), "{shown}");
        }
        assert_eq!(secret.expose(), "cpk_hunter2");
    }

    #[test]
    fn references_are_followed_and_failures_name_them() {
        let env = vec![("KEY".to_owned(), "cpk_1".to_owned())];
        let mut secret = Secret::reference("env:KEY");
        secret.resolve(&env).expect("set");
        assert_eq!(secret.expose(), "cpk_1");
        let missing = Secret::reference("env:OTHER").resolve(&env).expect_err("not set");
        assert!(missing.to_string().contains("`OTHER`"), "{missing}");
        let missing = Secret::reference("file:/nonexistent/key").resolve(&env).expect_err("no file");
        assert!(missing.to_string().contains("/nonexistent/key"), "{missing}");
    }

    #[test]
    fn a_command_line_points_to_a_secret_and_never_holds_it() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "sk-1\n").expect("write");
        let secret = Secret::of_argument(&format!("file:{}", path.display())).expect("readable");
        assert_eq!(secret.expose(), "sk-1");
        for bad in ["sk-1", "env:LEOMA_TEST_THAT_NOBODY_SETS", "file:/nonexistent"] {
            let refused = Secret::of_argument(bad).expect_err(bad);
            assert!(!refused.to_string().contains("sk-1"), "{refused}");
        }
    }

    #[test]
    fn a_file_is_read_without_its_last_line_break_and_what_no_header_can_hold_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        let reference = format!("file:{}", path.display());
        std::fs::write(&path, "cpk_2\r\n").expect("write");
        let mut secret = Secret::reference(&reference);
        secret.resolve(&[]).expect("read");
        assert_eq!(secret.expose(), "cpk_2");
        for bad in ["two words", "two\nlines\n", "\n", "kéy"] {
            std::fs::write(&path, bad).expect("write");
            let mut secret = Secret::reference(&reference);
            let refused = secret.resolve(&[]).and_then(|()| secret.check_header()).expect_err(bad);
            assert!(!refused.to_string().contains("two"), "{refused}");
        }
    }
}
