//! `leoma config check|show|example`, and the flags with which other commands read a configuration.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{
    Execute,
    exit::{Exit, Failure, after_help},
};
use crate::{
    config::{self, Config, ConfigErrors, ConfigSources, FlagValue, LoadedConfig, Origin},
    domain::{ids::Digest, rules::EMBEDDED_RULES},
    embed::EmbedderModel,
};

/// Flags of every command that reads a configuration: flatten them into its arguments.
#[derive(Args, Clone)]
pub struct ConfigArgs {
    /// Configuration file (TOML); without one the defaults stand
    #[arg(long, short = 'c', value_name = "FILE", env = "LEOMA_CONFIG")]
    pub config: Option<PathBuf>,
    /// Set one value, e.g. --set chain.netuid=99; repeatable, stronger than file and environment
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<FlagValue>,
    #[command(flatten)]
    bittensor: BittensorFlags,
}

impl ConfigArgs {
    /// Reads file, environment and flags.
    pub fn load(&self) -> Result<LoadedConfig, ConfigErrors> {
        let flags = self.set.iter().cloned().chain(self.bittensor.values()).collect();
        Config::load(&ConfigSources::of_process(self.config.clone(), flags))
    }
}

const BITTENSOR: &str = "Options as in other Bittensor software";

/// The flags that operators know from other Bittensor software; each sets a value of the configuration.
#[derive(Args, Clone, Default)]
struct BittensorFlags {
    /// The same as --set wallet.path=...
    #[arg(long = "wallet.path", help_heading = BITTENSOR, value_name = "DIR")]
    wallet_path: Option<String>,
    /// The same as --set wallet.name=...
    #[arg(long = "wallet.name", help_heading = BITTENSOR, value_name = "NAME")]
    wallet_name: Option<String>,
    /// The same as --set wallet.hotkey=...
    #[arg(long = "wallet.hotkey", help_heading = BITTENSOR, value_name = "NAME")]
    wallet_hotkey: Option<String>,
    /// The same as --set chain.netuid=...
    #[arg(long, help_heading = BITTENSOR, value_name = "NETUID")]
    netuid: Option<String>,
    /// Sets chain.endpoints: finney, test, archive, local, or an address
    #[arg(long = "subtensor.network", help_heading = BITTENSOR, value_name = "NETWORK", conflicts_with = "endpoint")]
    network: Option<String>,
    /// The same as --set chain.endpoints=...
    #[arg(long = "subtensor.chain_endpoint", help_heading = BITTENSOR, value_name = "ADDRESS")]
    endpoint: Option<String>,
}

impl BittensorFlags {
    fn values(&self) -> impl Iterator<Item = FlagValue> {
        let network = self.network.as_deref().map(|name| endpoint_of(name).to_owned());
        let flags = [
            ("--wallet.path", "wallet.path", self.wallet_path.clone()),
            ("--wallet.name", "wallet.name", self.wallet_name.clone()),
            ("--wallet.hotkey", "wallet.hotkey", self.wallet_hotkey.clone()),
            ("--netuid", "chain.netuid", self.netuid.clone()),
            ("--subtensor.network", "chain.endpoints", network),
            ("--subtensor.chain_endpoint", "chain.endpoints", self.endpoint.clone()),
        ];
        flags.into_iter().filter_map(|(flag, key, text)| {
            Some(FlagValue { flag: flag.into(), key: key.into(), text: text? })
        })
    }
}

/// The public endpoint of a network by the name that it has in Bittensor's software; anything else is an address.
fn endpoint_of(network: &str) -> &str {
    match network {
        "finney" => "wss://entrypoint-finney.opentensor.ai:443",
        "test" => "wss://test.finney.opentensor.ai:443",
        "archive" => "wss://archive.chain.opentensor.ai:443",
        "local" => "ws://127.0.0.1:9944",
        address => address,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("expected KEY=VALUE, e.g. chain.netuid=99")]
struct NotKeyValue;

fn key_value(text: &str) -> Result<FlagValue, NotKeyValue> {
    let (key, text) = text.split_once('=').ok_or(NotKeyValue)?;
    Ok(FlagValue { flag: "--set".into(), key: key.trim().into(), text: text.into() })
}

/// Check, show or print a configuration
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma config example > validator.toml",
    "leoma config check --config validator.toml",
    "leoma config show --config validator.toml --set chain.netuid=99",
))]
pub struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Read all layers, open the files they name, and list everything that is wrong
    #[command(after_help = after_help!("leoma config check --config validator.toml"))]
    Check(ConfigArgs),
    /// Print every value in force and where it came from; secrets are shown as ***
    #[command(after_help = after_help!(
        "leoma config show --config validator.toml",
        "leoma config show --json | jq '.[\"web.listen\"].value'",
    ))]
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the rules file built in
    #[command(after_help = after_help!(
        "leoma config rules > rules.toml",
        "leoma config rules --without-models > rules.toml",
        "leoma config rules --embedder dinov2-small > rules.toml",
    ))]
    Rules {
        /// Leave out the embedding models: the terms that rest on them are null, and the rules have another digest
        #[arg(long)]
        without_models: bool,
        /// Name another embedder, whose constants are not calibrated: the rules have another digest
        #[arg(long, value_parser = embedders(), conflicts_with = "without_models")]
        embedder: Option<EmbedderModel>,
    },
    /// Print a configuration file with every setting, its meaning and its default
    #[command(after_help = after_help!("leoma config example > validator.toml"))]
    Example,
}

impl Execute for ConfigCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        let text = match self.action {
            Action::Check(args) => check(&args)?,
            Action::Show { config, json: false } => config.load()?.to_text(),
            Action::Show { config, json: true } => {
                let shown = config.load()?.to_json();
                serde_json::to_string_pretty(&shown).context("printing the configuration")? + "\n"
            }
            Action::Rules { without_models: true, .. } => without_models(EMBEDDED_RULES),
            Action::Rules { embedder, .. } => with_embedder(EMBEDDED_RULES, embedder.unwrap_or_default())?,
            Action::Example => config::example(),
        };
        print(&text)?;
        Ok(Exit::Ok.into())
    }
}

/// A rules file without its table of models; comments stay.
fn without_models(rules: &str) -> String {
    let mut inside = false;
    let kept = rules.lines().filter(|line| {
        inside = if line.starts_with('[') { *line == "[scoring.models]" } else { inside && !line.is_empty() };
        !inside
    });
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Embedders by their names in `config/models.toml`.
fn embedders() -> impl TypedValueParser<Value = EmbedderModel> {
    PossibleValuesParser::new(EmbedderModel::ALL.map(EmbedderModel::name)).map(|name| {
        // The parser lets no other name through.
        EmbedderModel::ALL.into_iter().find(|model| model.name() == name).unwrap_or_default()
    })
}

/// The rules built in with another embedder in their table of models, and what that means; the rest stays.
fn with_embedder(rules: &str, model: EmbedderModel) -> Result<String, Failure> {
    let usual = EmbedderModel::default();
    if model == usual {
        return Ok(rules.to_owned());
    }
    let [old, new] = [usual, model].map(|model| model.rules().context("the pinned models"));
    let (old, new) = (old?, new?);
    let note = format!(
        "# {} in place of {}, with its own answers. NOT CALIBRATED: the constants of id_drift and drift (and, with a\n\
         # text model, of anchor) are those of {1}.\n",
        model.name(),
        usual.name()
    );
    let named = |digest: Digest| format!("embedding = \"{digest}\"");
    Ok(rules
        .replace(&named(old.embedding), &(note + &named(new.embedding)))
        .replace(&old.answers.to_string(), &new.answers.to_string()))
}

fn check(args: &ConfigArgs) -> Result<String, Failure> {
    let loaded = args.load()?;
    loaded.check_files()?;
    for warning in loaded.warnings() {
        eprintln!("warning: {warning}");
    }
    let count = |is: fn(&Origin) -> bool| loaded.origins.values().filter(|origin| is(origin)).count();
    let what = args.config.as_ref().map_or("defaults".into(), |path| path.display().to_string());
    Ok(format!(
        "ok: {what}: {} values from the file, {} from the environment, {} from flags, {} defaults\n",
        count(|origin| matches!(origin, Origin::File { .. })),
        count(|origin| matches!(origin, Origin::Env { .. })),
        count(|origin| matches!(origin, Origin::Flag { .. })),
        count(|origin| matches!(origin, Origin::Default)),
    ))
}

/// Prints to standard output; a reader that went away (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Internal, anyhow::Error::new(error).context("writing to standard output")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::Rules;

    #[test]
    fn rules_without_models_are_the_same_but_for_them() {
        let text = without_models(EMBEDDED_RULES);
        assert_eq!(Rules::parse(&text).expect("rules"), Rules::embedded().without_models());
        assert_eq!(without_models(&text), text);
    }

    #[test]
    fn rules_with_another_embedder_are_the_same_but_for_its_digests() {
        let of = |model| with_embedder(EMBEDDED_RULES, model).expect("pins");
        assert_eq!(of(EmbedderModel::default()), EMBEDDED_RULES);
        let text = of(EmbedderModel::Dinov2Small);
        let mut expected = Rules::embedded();
        expected.scoring.models = Some(EmbedderModel::Dinov2Small.rules().expect("pins"));
        assert_eq!(Rules::parse(&text).expect("rules"), expected);
        assert!(
            text.contains("dinov2-small in place of mobilenetv2-embedder") && text.contains("NOT CALIBRATED")
        );
        assert_eq!(text.lines().count(), EMBEDDED_RULES.lines().count() + 2);
    }
}
