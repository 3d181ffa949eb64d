//! Layers: file, environment and flags become one tree in which every leaf knows its layer.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider, Source,
    value::{Dict, Map, Value},
};
use toml::de::DeTable;

use super::{
    error::ConfigError,
    origin::Origin,
    schema::{KeySpec, SECTIONS},
    value::{Problem, Setting, Surroundings},
};

/// Prefix of the environment variables that set values: `LEOMA_CHAIN__NETUID`.
pub const ENV_PREFIX: &str = "LEOMA_";
const MAX_FILE_BYTES: u64 = 1024 * 1024;

const FILE_LAYER: &str = "file";
const ENV_LAYER: &str = "environment";
const FLAG_LAYER: &str = "flag";

/// A value given on the command line.
#[derive(Clone)]
pub struct FlagValue {
    /// The flag, for messages, e.g. `--set`.
    pub flag: String,
    /// The setting, e.g. `chain.netuid`.
    pub key: String,
    /// Its text.
    pub text: String,
}

/// Where a configuration is read from. Has no `Debug`: the environment holds secrets.
#[derive(Clone, Default)]
pub struct ConfigSources {
    /// The TOML file; without one the defaults stand.
    pub file: Option<PathBuf>,
    /// The environment: settings by prefix, and whatever secrets refer to.
    pub env: Vec<(String, String)>,
    /// The command line, strongest of all.
    pub flags: Vec<FlagValue>,
}

impl ConfigSources {
    /// The file and flags given, and this process's environment.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<FlagValue>) -> Self {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { file, env, flags }
    }
}

/// One layer as a figment provider.
struct Layer {
    name: &'static str,
    source: Source,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.name, self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// The merged layers and what was wrong with them.
pub(super) struct Layers {
    figment: Figment,
    lines: BTreeMap<String, usize>,
    pub errors: Vec<ConfigError>,
}

impl Layers {
    pub fn of(sources: &ConfigSources) -> Self {
        let mut layers = Self { figment: Figment::new(), lines: BTreeMap::new(), errors: Vec::new() };
        if let Some(path) = &sources.file {
            layers.add_file(path);
        }
        for (name, text) in &sources.env {
            layers.add_variable(name, text);
        }
        for flag in &sources.flags {
            layers.add_flag(flag);
        }
        layers
    }

    fn add_file(&mut self, path: &Path) {
        let text = match read_bounded(path) {
            Ok(text) => text,
            Err(source) => {
                let path = path.to_owned();
                return self.errors.push(ConfigError::Unreadable { path, source });
            }
        };
        let (table, syntax) = DeTable::parse_recoverable(&text);
        if !syntax.is_empty() {
            return self.errors.extend(syntax.iter().map(|error| syntax_error(path, &text, error)));
        }
        let values = match toml::from_str::<Dict>(&text) {
            Ok(values) => values,
            Err(error) => return self.errors.push(syntax_error(path, &text, &error)),
        };
        self.check_keys(path, &text, table.get_ref());
        let source = Source::File(path.to_owned());
        self.merge(Layer { name: FILE_LAYER, source, values: known_sections(values) });
    }

    /// Notes the line of every key, and refuses those that mean nothing.
    fn check_keys(&mut self, path: &Path, text: &str, table: &DeTable<'_>) {
        let at = |span: std::ops::Range<usize>| {
            let line = position(text, span.start).0;
            (line, Origin::File { path: path.to_owned(), line })
        };
        for (section, value) in table {
            let (_, origin) = at(section.span());
            let name = section.get_ref().as_ref();
            let Some(known) = SECTIONS.iter().find(|known| known.name == name) else {
                let suggestion = nearest(name, SECTIONS.iter().map(|known| known.name));
                let key = printable(name);
                self.errors.push(ConfigError::UnknownKey { origin, key, suggestion });
                continue;
            };
            let Some(keys) = value.get_ref().as_table() else {
                self.errors.push(ConfigError::NotASection { origin, key: name.to_owned() });
                continue;
            };
            for key in keys.keys() {
                let (line, origin) = at(key.span());
                let full = format!("{name}.{}", key.get_ref());
                if known.keys.iter().any(|known| known.key == full) {
                    self.lines.insert(full, line);
                } else {
                    let suggestion = nearest_key(&full);
                    self.errors.push(ConfigError::UnknownKey { origin, key: printable(&full), suggestion });
                }
            }
        }
    }

    fn add_variable(&mut self, name: &str, text: &str) {
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else { return };
        let key = rest.to_lowercase().replace("__", ".");
        let variable = |key: &str| format!("{ENV_PREFIX}{}", key.replace('.', "__").to_uppercase());
        let known = known_key(&key).filter(|known| variable(known.key) == name);
        match known {
            Some(known) => {
                let source = Source::Custom(name.to_owned());
                self.add_text(ENV_LAYER, source, known, text);
            }
            None if !means_a_setting(&key) => {}
            None => {
                let origin = Origin::Env { name: printable(name) };
                // `LEOMA_CHAIN_NETUID` is the usual slip: compare without the separators.
                let flat = key.replace(['.', '_'], "");
                let same = all_keys().find(|known| known.key.replace(['.', '_'], "") == flat);
                let suggestion = same.map(|known| known.key.to_owned()).or_else(|| nearest_key(&key));
                let suggestion = suggestion.map(|key| variable(&key));
                self.errors.push(ConfigError::UnknownKey { origin, key: printable(name), suggestion });
            }
        }
    }

    fn add_flag(&mut self, flag: &FlagValue) {
        match known_key(&flag.key) {
            Some(known) => self.add_text(FLAG_LAYER, Source::Custom(flag.flag.clone()), known, &flag.text),
            None => {
                let origin = Origin::Flag { name: flag.flag.clone() };
                let suggestion = nearest_key(&flag.key);
                self.errors.push(ConfigError::UnknownKey { origin, key: printable(&flag.key), suggestion });
            }
        }
    }

    fn add_text(&mut self, name: &'static str, source: Source, key: &KeySpec, text: &str) {
        let leaf = figment::util::nest(key.key, Value::from(text));
        if let Some(values) = leaf.into_dict() {
            self.merge(Layer { name, source, values });
        }
    }

    fn merge(&mut self, layer: Layer) {
        self.figment = std::mem::take(&mut self.figment).merge(layer);
    }

    fn origin_of(&self, key: &str) -> Origin {
        let Some(metadata) = self.figment.find_metadata(key) else { return Origin::Default };
        match (&*metadata.name, &metadata.source) {
            (FILE_LAYER, Some(Source::File(path))) => {
                let line = self.lines.get(key).copied().unwrap_or_default();
                Origin::File { path: path.clone(), line }
            }
            (ENV_LAYER, Some(Source::Custom(name))) => Origin::Env { name: name.clone() },
            (_, Some(Source::Custom(name))) => Origin::Flag { name: name.clone() },
            _ => Origin::Default,
        }
    }
}

/// Reads settings one by one and collects everything that is wrong.
pub(super) struct Reader<'a> {
    layers: &'a mut Layers,
    env: &'a [(String, String)],
    pub origins: BTreeMap<&'static str, Origin>,
}

impl<'a> Reader<'a> {
    pub fn new(layers: &'a mut Layers, env: &'a [(String, String)]) -> Self {
        Self { layers, env, origins: BTreeMap::new() }
    }

    /// One setting, or its default where nobody set it or what was set is refused.
    pub fn setting<T: Setting>(
        &mut self,
        key: &'static str,
        bounds: Option<(u64, u64)>,
        default: impl FnOnce() -> T,
    ) -> T {
        let origin = self.layers.origin_of(key);
        let read = match self.layers.figment.find_value(key) {
            Ok(value) => self.read::<T>(&value, &origin, bounds).map(Some),
            Err(_) => Ok(None),
        };
        self.origins.insert(key, origin.clone());
        match read {
            Ok(read) => read.unwrap_or_else(default),
            Err(problem) => {
                self.layers.errors.push(ConfigError::Value { origin, key, problem });
                default()
            }
        }
    }

    fn read<T: Setting>(
        &self,
        value: &Value,
        origin: &Origin,
        bounds: Option<(u64, u64)>,
    ) -> Result<T, Problem> {
        let mut read = match (origin, value) {
            (Origin::Env { .. } | Origin::Flag { .. }, Value::String(_, text)) => T::from_text(text)?,
            _ => T::from_value(value)?,
        };
        if let (Some((low, high)), Some(number)) = (bounds, read.magnitude())
            && !(low..=high).contains(&number)
        {
            let expected = T::expected();
            return Err(Problem::new(format!("expected {expected} from {low} to {high}, found {number}")));
        }
        read.complete(&Surroundings { origin, env: self.env })?;
        Ok(read)
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let problem = format!("longer than {MAX_FILE_BYTES} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}

fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    // `message()` alone: the error's Display repeats the line, which may hold a secret.
    let (line, column) = position(text, error.span().unwrap_or_default().start);
    let problem = error.message().lines().collect::<Vec<_>>().join("; ");
    ConfigError::Syntax { path: path.to_owned(), line, column, problem }
}

/// Line and column of a byte, both from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(byte)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Leaves out what `check_keys` refused, so that a scalar in a section's place hides nothing.
fn known_sections(values: Dict) -> Dict {
    let is_section = |name: &String| SECTIONS.iter().any(|known| known.name == name);
    values.into_iter().filter(|(name, value)| is_section(name) && value.as_dict().is_some()).collect()
}

/// Whether a variable that is no setting was meant as one: build scripts and shells keep others
/// under our prefix (LEOMA_CACHE, LEOMA_CONFIG), which are none of our business.
fn means_a_setting(key: &str) -> bool {
    let first = key.split(['.', '_']).next().unwrap_or(key);
    key.contains('.') || SECTIONS.iter().any(|section| section.name == first)
}

fn all_keys() -> impl Iterator<Item = &'static KeySpec> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

fn known_key(key: &str) -> Option<&'static KeySpec> {
    all_keys().find(|known| known.key == key)
}

fn printable(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Likeness below which a suggestion would confuse more than help.
const LIKE_ENOUGH: f64 = 0.6;

fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    best(known.map(|candidate| (strsim::normalized_damerau_levenshtein(wanted, candidate), candidate)))
}

/// The known key that looks most like `wanted`, or has the same name in another section.
fn nearest_key(wanted: &str) -> Option<String> {
    let name = wanted.rsplit('.').next().unwrap_or(wanted);
    best(all_keys().map(|known| {
        let whole = strsim::normalized_damerau_levenshtein(wanted, known.key);
        let alone = 0.9 * strsim::normalized_damerau_levenshtein(name, known.name);
        (whole.max(alone), known.key)
    }))
}

fn best<'a>(scored: impl Iterator<Item = (f64, &'a str)>) -> Option<String> {
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= LIKE_ENOUGH).then(|| best.1.to_owned())
}
