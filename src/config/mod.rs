//! The operator's configuration: default < TOML file < environment < flags, every value with where
//! it came from, everything that is wrong reported at once.

mod error;
mod layers;
mod origin;
mod render;
mod schema;
mod secret;
mod value;

use std::collections::BTreeMap;

pub use error::{ConfigError, ConfigErrors};
pub use layers::{ConfigSources, ENV_PREFIX, FlagValue};
use layers::{Layers, Reader};
pub use origin::Origin;
pub use render::example;
pub use schema::{
    ChainConfig, ChallengeConfig, Config, CorpusConfig, DecodeConfig, LogConfig, RulesConfig, ScorerConfig,
    ServicesConfig, StateConfig, WebConfig, WeightsConfig,
};
pub use secret::{Secret, SecretSource};
pub use value::{ChuteUrlTemplate, Endpoint, LogFilter, Problem, ServiceUrl};

pub use crate::telemetry::LogFormat;
use crate::telemetry::{Color, LogOptions};

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
            Ok(LoadedConfig { config, origins })
        } else {
            Err(ConfigErrors(layers.errors))
        }
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
        let named =
            [("chain.hotkey_file", &self.config.chain.hotkey_file), ("rules.file", &self.config.rules.file)];
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
        let Config { chain, web, weights, .. } = &self.config;
        if !web.listen.ip().is_loopback() {
            warnings.push(format!(
                "web.listen {} is reachable from other machines and asks for no password",
                web.listen
            ));
        }
        if weights.submit && chain.hotkey_file.is_none() {
            warnings.push("chain.hotkey_file is unset: rounds are scored, but no weights are set".into());
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
