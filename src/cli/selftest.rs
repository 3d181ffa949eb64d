//! `leoma selftest`: whether a scorer's kernels and the embedding models give their known answers, on this machine.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;

use super::{
    Execute,
    exit::{Exit, Failure, after_help},
};
use crate::{
    embed::{DeviceChoice, EmbedError, Embedder, EmbedderOptions, manifest::default_folder},
    gpu::{
        adapters::AdapterWish,
        choose::ScorerChoice,
        device::{DeviceOptions, Generation},
        error::DeviceError,
        selftest::{self, SelfTest},
    },
};

/// Run every scoring kernel and the embedding models on their known answers and print digests, times and the adapter
///
/// The models are tried where they would run: on a GPU beside a GPU, else on the processor; models that were not fetched are said
/// and are no failure. A scorer whose kernel differs must not score, and `leoma run` refuses it: then this ends with code 1
/// and names the kernel. A scorer that this machine does not have is wrong usage (code 2).
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma selftest",
    "leoma selftest --scorer gpu",
    "leoma selftest --scorer gpu:llvmpipe --json",
))]
pub struct SelfTestCommand {
    /// What to test: auto, cpu, gpu or gpu:NAME
    #[arg(long, value_name = "SCORER", default_value = "auto", env = "LEOMA_SCORER__DEVICE")]
    scorer: ScorerChoice,
    /// Folder of the embedding models; without it where `leoma models fetch` puts them
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What the models said.
enum ModelCheck {
    /// Known answers, on this device, in this time.
    Agree(String, Duration),
    /// They are not here.
    Absent(String),
    /// They are, and do not give their known answers.
    Differ(String),
}

impl Execute for SelfTestCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        let (tested, note) = run(&self.scorer)?;
        let models =
            check_models(self.models, if tested.software { DeviceChoice::Cpu } else { DeviceChoice::Gpu });
        let note = note.as_deref();
        let text = match self.json {
            true => to_json(&tested, note, &models)?,
            false => to_text(&tested, note) + &models_text(&models),
        };
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(Failure::new(
                    Exit::Internal,
                    anyhow!(error).context("writing to standard output"),
                ));
            }
            _ => {}
        }
        match (tested.differing(), models) {
            (None, ModelCheck::Differ(cause)) => Err(Failure::new(Exit::Internal, anyhow!(cause))),
            (None, _) => Ok(Exit::Ok.into()),
            (Some(kernels), _) => {
                let text = format!("{} computes {kernels} otherwise: it must not score", tested.adapter);
                Err(Failure::new(Exit::Internal, anyhow!(text)))
            }
        }
    }
}

/// The test of a choice, and why `auto` took the processor.
fn run(choice: &ScorerChoice) -> Result<(SelfTest, Option<String>), Failure> {
    let wish = match choice {
        ScorerChoice::Cpu => return Ok((selftest::of_twins(), None)),
        ScorerChoice::Auto => AdapterWish::Real,
        ScorerChoice::Gpu(name) => name.clone().map_or(AdapterWish::Any, AdapterWish::Named),
    };
    let absent = |error: &DeviceError| {
        matches!(
            error,
            DeviceError::NoAdapter { .. } | DeviceError::Unsuitable { .. } | DeviceError::Refused { .. }
        )
    };
    match Generation::open(&DeviceOptions::of(wish)).and_then(|mut device| selftest::of_device(&mut device)) {
        Ok(tested) => Ok((tested, None)),
        Err(error) if absent(&error) && *choice == ScorerChoice::Auto => {
            Ok((selftest::of_twins(), Some(error.to_string())))
        }
        Err(error) if absent(&error) => Err(Failure::new(Exit::Usage, error)),
        Err(error) => Err(Failure::new(Exit::Internal, error)),
    }
}

/// Opens the models, which asks for their known answers.
fn check_models(folder: Option<PathBuf>, device: DeviceChoice) -> ModelCheck {
    let Some(models) = folder.or_else(default_folder) else {
        return ModelCheck::Absent("no cache folder is known: set HOME or pass --models".to_owned());
    };
    let start = Instant::now();
    match Embedder::start(&EmbedderOptions { device, models }) {
        Ok(embedder) => ModelCheck::Agree(embedder.device(), start.elapsed()),
        Err(cause @ EmbedError::Missing { .. }) => ModelCheck::Absent(cause.to_string()),
        Err(cause) => ModelCheck::Differ(cause.to_string()),
    }
}

fn models_text(models: &ModelCheck) -> String {
    match models {
        ModelCheck::Agree(device, time) => {
            format!("{:<9} {:<16} {:>9.2} ms  {device}\n", "ok", "models", time.as_secs_f64() * 1e3)
        }
        ModelCheck::Absent(cause) => format!("{:<9} {:<16} {cause}\n", "absent", "models"),
        ModelCheck::Differ(cause) => format!("{:<9} {:<16} {cause}\n", "DIFFERS", "models"),
    }
}

fn to_text(tested: &SelfTest, note: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(note) = note {
        text.push_str(&format!("note      {note}\n"));
    }
    text.push_str(&format!("adapter   {}\nbackend   {}\n", tested.adapter, tested.backend));
    if !tested.driver.is_empty() {
        text.push_str(&format!("driver    {}\n", tested.driver));
    }
    for kernel in &tested.kernels {
        let state = if kernel.agrees() { "ok" } else { "DIFFERS" };
        let time = kernel.time.as_secs_f64() * 1e3;
        text.push_str(&format!("{state:<9} {:<16} {time:>9.2} ms  {}\n", kernel.kernel, kernel.found));
        if !kernel.agrees() {
            text.push_str(&format!("{:<39}  {} expected\n", "", kernel.expected));
        }
    }
    text
}

fn to_json(tested: &SelfTest, note: Option<&str>, models: &ModelCheck) -> Result<String, Failure> {
    let models = match models {
        ModelCheck::Agree(device, time) => {
            json!({ "agrees": true, "device": device, "microseconds": time.as_micros() as u64 })
        }
        ModelCheck::Absent(cause) => json!({ "agrees": null, "note": cause }),
        ModelCheck::Differ(cause) => json!({ "agrees": false, "note": cause }),
    };
    let kernels: Vec<_> = tested
        .kernels
        .iter()
        .map(|kernel| {
            json!({
                "kernel": kernel.kernel,
                "agrees": kernel.agrees(),
                "digest": kernel.found.to_string(),
                "expected": kernel.expected.to_string(),
                "microseconds": kernel.time.as_micros() as u64,
            })
        })
        .collect();
    let object = json!({
        "adapter": { "name": tested.adapter, "backend": tested.backend, "driver": tested.driver },
        "agrees": tested.differing().is_none(),
        "note": note,
        "kernels": kernels,
        "models": models,
    });
    Ok(serde_json::to_string_pretty(&object).context("printing JSON")? + "\n")
}
