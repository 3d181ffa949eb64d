//! The example file, and `config show`.

use std::fmt::Write as _;

use serde_json::json;

use super::{
    Config, LoadedConfig,
    origin::Origin,
    schema::{KeySpec, SECTIONS, Shown},
};

const HEAD: &str = "\
# Configuration of Leoma's validator. Every value here is the default; a line that starts with
# `# name =` shows a setting that is unset by default.
#
# Stronger than this file: environment variables (LEOMA_CHAIN__NETUID=99 sets chain.netuid), then
# flags (--set chain.netuid=99). `leoma config show --config FILE` prints what is in force and where
# it came from. Relative paths start at the working directory. Unknown keys are refused.
#
# Nothing here changes a verdict: what does stands in rules.toml.
# Written by `leoma config example`.
";

/// The example file: all settings with their meaning and default.
pub fn example() -> String {
    let defaults = Config::default();
    let shown = defaults.shown();
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, section.docs);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "[{}]", section.name);
        for spec in section.keys {
            text.push('\n');
            describe(&mut text, spec, shown.iter().find(|shown| shown.key == spec.key));
        }
    }
    text
}

fn comment(text: &mut String, docs: &[&str]) {
    for line in docs {
        let _ = writeln!(text, "#{}", line.trim_end());
    }
}

fn describe(text: &mut String, spec: &KeySpec, shown: Option<&Shown<'_>>) {
    comment(text, spec.docs);
    let bounds = spec.bounds.map(|(low, high)| format!(" from {low} to {high}")).unwrap_or_default();
    let _ = writeln!(text, "# ({}{bounds})", (spec.expected)());
    match (shown.and_then(|shown| shown.value.as_ref()), spec.example) {
        (Some(value), _) => {
            let _ = writeln!(text, "{} = {value}", spec.name);
        }
        (None, example) => {
            let example = toml::Value::String(example.unwrap_or_default().to_owned());
            let _ = writeln!(text, "# {} = {example}", spec.name);
        }
    }
}

impl LoadedConfig {
    /// Every setting as a line of TOML, with its origin as a comment; secrets redacted.
    pub fn to_text(&self) -> String {
        let rows: Vec<(String, String)> = self
            .config
            .shown()
            .iter()
            .map(|shown| {
                let line = match &shown.value {
                    Some(value) => format!("{} = {value}", shown.key),
                    None => format!("# {} is unset", shown.key),
                };
                (line, self.source_of(shown))
            })
            .collect();
        let width = rows.iter().map(|(line, _)| line.chars().count()).filter(|n| *n < 60).max().unwrap_or(0);
        rows.iter().map(|(line, source)| format!("{line:<width$}  # {source}\n")).collect()
    }

    /// Every setting as `{"key": {"value", "source"}}`; secrets redacted, unset values `null`.
    pub fn to_json(&self) -> serde_json::Value {
        let rows = self.config.shown().into_iter().map(|shown| {
            let mut row = json!({"value": shown.value, "source": self.origin(shown.key)});
            if let Some(secret) = shown.secret {
                row["secret"] = secret.source().to_string().into();
            }
            (shown.key.to_owned(), row)
        });
        serde_json::Value::Object(rows.collect())
    }

    fn source_of(&self, shown: &Shown<'_>) -> String {
        let origin = self.origin(shown.key);
        match shown.secret {
            Some(secret) if *origin != Origin::Default => format!("{origin}, {}", secret.source()),
            _ => origin.to_string(),
        }
    }
}
