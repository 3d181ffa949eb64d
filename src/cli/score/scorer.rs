//! Which device computes: the one place where `--scorer` becomes a scorer.

use std::{str::FromStr, sync::Arc};

use crate::gpu::{
    cpu::CpuScorer,
    port::{Scorer, ScorerError},
};

/// What `--scorer` asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ScorerChoice {
    /// The best device of this machine.
    Auto,
    /// The CPU twins.
    Cpu,
}

#[derive(Debug, thiserror::Error)]
#[error("no scorer is called `{0}`: write auto or cpu")]
pub(super) struct UnknownScorer(String);

impl FromStr for ScorerChoice {
    type Err = UnknownScorer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            other => Err(UnknownScorer(other.chars().take(60).collect())),
        }
    }
}

/// A scorer, and why it was taken when the choice was left to us.
pub(super) struct ChosenScorer {
    /// The scorer.
    pub(super) scorer: Arc<dyn Scorer>,
    /// Why this one; `None` when it was asked for.
    pub(super) why: Option<String>,
}

/// Opens the scorer that was chosen.
///
/// # Errors
/// When the device cannot be opened.
pub(super) fn scorer_of(choice: &ScorerChoice, threads: usize) -> Result<ChosenScorer, ScorerError> {
    let scorer: Arc<dyn Scorer> = Arc::new(CpuScorer::new(threads)?);
    let why = match choice {
        ScorerChoice::Cpu => None,
        ScorerChoice::Auto => Some(
            "this version scores on the CPU twins; they give the digests that every GPU must give".into(),
        ),
    };
    Ok(ChosenScorer { scorer, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_scorers_are_taken() {
        assert_eq!("auto".parse::<ScorerChoice>().expect("known"), ScorerChoice::Auto);
        assert_eq!("cpu".parse::<ScorerChoice>().expect("known"), ScorerChoice::Cpu);
        let refused = "tpu".parse::<ScorerChoice>().expect_err("unknown").to_string();
        assert!(refused.contains("tpu") && refused.contains("auto"), "{refused}");
    }
}
