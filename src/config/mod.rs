//! The operator's configuration: default < TOML file < environment < flags, every value with where
//! it came from, everything that is wrong reported at once.

mod error;
mod layers;
mod origin;
mod render;
mod schema;
mod secret;
mod value;

use std::{collections::BTreeMap, path::PathBuf};

pub use error::{ConfigError, ConfigErrors};
pub use layers::{ConfigSources, ENV_PREFIX, FlagValue};
use layers::{Layers, Reader};
pub use origin::Origin;
pub use render::example;
pub use schema::{
    ChainConfig, ChallengeConfig, Config, CorpusConfig, DecodeConfig, LogConfig, RulesConfig, ScorerConfig,
    ServicesConfig, StateConfig, StorageConfig, WalletConfig, WebConfig, WeightsConfig,
};
pub use secret::{Secret, SecretSource};
pub use value::{ChuteUrlTemplate, Endpoint, FileName, LogFilter, Password, Problem, ServiceUrl};

pub use crate::telemetry::LogFormat;
use crate::{
    chain::wallet::hotkey_path,
    telemetry::{Color, LogOptions},
};

/// A configuration in force.
#[derive(Clone, Debug)]
pub struct LoadedConfig {
    /// The values.
    pub config: Config,
    /// Where each came from, by dotted key.
    pub origins: BTreeMap<&'static str, Origin>,
}

impl Config {
    /// Reads all layers. Either every value is right, or the error lists all that are not.
    pub fn load(sources: &ConfigSources) -> Result<LoadedConfig, ConfigErrors> {
        let mut layers = Layers::of(sources);
        let mut reader = Reader::new(&mut layers, &sources.env);
        let config = Self::read(&mut reader);
        let origins = reader.origins;
        if layers.errors.is_empty() {
            layers.errors.extend(config.hotkey_path().err().map(|problem| ConfigError::Value {
                origin: origins.get(WALLET_NAME).cloned().unwrap_or(Origin::Default),
                key: WALLET_NAME,
                problem,
            }));
        }
        if layers.errors.is_empty() {
            Ok(LoadedConfig { config, origins })
        } else {
            Err(ConfigErrors(layers.errors))
        }
    }
}

/// The setting that names a wallet.
const WALLET_NAME: &str = "wallet.name";

impl Config {
    /// Where the hotkey that signs stands; `None` without one.
    ///
    /// # Errors
    /// When both a file and a wallet are named, or no folder of wallets is known.
    pub fn hotkey_path(&self) -> Result<Option<PathBuf>, Problem> {
        let Some(name) = &self.wallet.name else { return Ok(self.chain.hotkey_file.clone()) };
        if self.chain.hotkey_file.is_some() {
            return Err(Problem::new("chain.hotkey_file names a hotkey too: set only one of them"));
        }
        let wallets = match &self.wallet.path {
            Some(path) => path.clone(),
            None => {
                let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
                let missing = || Problem::new("no home folder is known: set wallet.path");
                home.ok_or_else(missing)?.join(".bittensor/wallets")
            }
        };
        Ok(Some(hotkey_path(&wallets, name.as_str(), self.wallet.hotkey.as_str())))
    }
}

impl LogConfig {
    /// The options of [`crate::telemetry::init`]; colours as the terminal and `NO_COLOR` ask.
    pub fn options(&self) -> LogOptions {
        LogOptions { format: self.format, filter: self.filter.as_str().to_owned(), color: Color::Auto }
    }
}

impl LoadedConfig {
    /// Whether the files that the configuration names can be opened; all that cannot be at once.
    pub fn check_files(&self) -> Result<(), ConfigErrors> {
        let key = if self.config.wallet.name.is_some() { WALLET_NAME } else { "chain.hotkey_file" };
        let hotkey = self.config.hotkey_path().ok().flatten();
        let named = [(key, &hotkey), ("rules.file", &self.config.rules.file)];
        let errors: Vec<ConfigError> = named
            .into_iter()
            .filter_map(|(key, path)| {
                let path = path.as_ref()?;
                let refused = std::fs::File::open(path).err()?;
                let problem = Problem::new(format!("{} cannot be read: {refused}", path.display()));
                Some(ConfigError::Value { origin: self.origin(key).clone(), key, problem })
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
    }

    /// Where a setting came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// What is allowed but deserves a second look, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let Config { web, weights, .. } = &self.config;
        if !web.listen.ip().is_loopback() {
            warnings.push(format!(
                "web.listen {} is reachable from other machines and asks for no password",
                web.listen
            ));
        }
        if weights.submit && self.config.hotkey_path().is_ok_and(|path| path.is_none()) {
            let unset =
                "chain.hotkey_file and wallet.name are unset: rounds are scored, but no weights are set";
            warnings.push(unset.into());
        }
        for shown in self.config.shown() {
            let literal = shown.secret.is_some_and(|secret| *secret.source() == SecretSource::Literal);
            if let (true, Origin::File { path, .. }) = (literal, self.origin(shown.key))
                && is_readable_by_others(path)
            {
                warnings.push(format!(
                    "{} is written in {}, which other users can read: chmod 600, or use env:NAME or file:PATH",
                    shown.key,
                    path.display()
                ));
            }
        }
        warnings
    }
}

#[cfg(unix)]
fn is_readable_by_others(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_path: &std::path::Path) -> bool {
    false
}
