//! Which device scores.

use std::{fmt, str::FromStr, sync::Arc};

use super::{
    adapters::AdapterWish,
    cpu::CpuScorer,
    device::DeviceOptions,
    error::DeviceError,
    port::{Scorer, ScorerError},
    selftest::{self, SelfTest},
    wgpu_scorer::WgpuScorer,
};

/// Where clips are scored. Every device gives the same integers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ScorerChoice {
    /// A real GPU where there is one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A GPU or nothing: the best one, or one whose name contains the text. Software adapters count.
    Gpu(Option<String>),
}

/// The text is no choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}, found `{0}`")]
pub struct UnknownScorer(String);

/// What a choice looks like.
pub const EXPECTED: &str = "auto, cpu, gpu or gpu:NAME";

impl FromStr for ScorerChoice {
    type Err = UnknownScorer;

    fn from_str(text: &str) -> Result<Self, UnknownScorer> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(None)),
            _ => match text.strip_prefix("gpu:").map(str::trim) {
                Some(name) if !name.is_empty() => Ok(Self::Gpu(Some(name.to_owned()))),
                _ => Err(UnknownScorer(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for ScorerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(None) => f.write_str("gpu"),
            Self::Gpu(Some(name)) => write!(f, "gpu:{name}"),
        }
    }
}

/// An opened scorer.
pub struct OpenScorer {
    /// The scorer, ready to score.
    pub scorer: Arc<dyn Scorer>,
    /// Why this one, in half a sentence.
    pub why: String,
    /// What its self-test found; all kernels agree.
    pub tested: SelfTest,
    /// Whether it is a GPU and no software adapter: then other work belongs there too.
    pub real_gpu: bool,
}

/// Opens the scorer of a choice and tests its kernels. Blocks for a second or so. The processor takes `threads`
/// threads, zero for one per core.
///
/// `auto` falls back to the processor when there is no usable GPU, and never when there is one that computes wrongly:
/// an operator must know that.
///
/// # Errors
/// `ScorerError::Device` when the choice cannot be met or a kernel does not give its known answer.
pub fn open_scorer(choice: &ScorerChoice, threads: usize) -> Result<OpenScorer, ScorerError> {
    let refused = |error: DeviceError| ScorerError::Device(error.to_string());
    match choice {
        ScorerChoice::Cpu => on_cpu("asked for".to_owned(), threads),
        ScorerChoice::Gpu(name) => {
            let wish = name.clone().map_or(AdapterWish::Any, AdapterWish::Named);
            on_gpu(wish, "asked for".to_owned()).map_err(refused)
        }
        ScorerChoice::Auto => {
            match on_gpu(AdapterWish::Real, "a GPU was found and its kernels agree with the twins".to_owned())
            {
                Ok(open) => Ok(open),
                Err(
                    error @ (DeviceError::NoAdapter { .. }
                    | DeviceError::Unsuitable { .. }
                    | DeviceError::Refused { .. }),
                ) => on_cpu(format!("{error}; the twins give the same digests"), threads),
                Err(error) => Err(refused(error)),
            }
        }
    }
}

fn on_gpu(wish: AdapterWish, why: String) -> Result<OpenScorer, DeviceError> {
    let scorer = WgpuScorer::open(DeviceOptions::of(wish))?;
    let tested = scorer.self_test().clone();
    let real_gpu = !tested.software;
    Ok(OpenScorer { scorer: Arc::new(scorer), why, tested, real_gpu })
}

fn on_cpu(why: String, threads: usize) -> Result<OpenScorer, ScorerError> {
    let tested = selftest::of_twins();
    if let Some(kernels) = tested.differing() {
        let text =
            format!("this build computes {kernels} otherwise than its committed answers: it must not score");
        return Err(ScorerError::Device(text));
    }
    Ok(OpenScorer { scorer: Arc::new(CpuScorer::new(threads)?), why, tested, real_gpu: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_shown_alike() {
        for text in ["auto", "cpu", "gpu", "gpu:RTX 4090"] {
            assert_eq!(text.parse::<ScorerChoice>().map(|choice| choice.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "GPU", "gpu:", "gpu: ", "cuda"] {
            let refused = text.parse::<ScorerChoice>().expect_err("no choice");
            assert!(refused.to_string().contains(EXPECTED), "{refused}");
        }
    }
}
