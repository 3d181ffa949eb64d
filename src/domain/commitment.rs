//! A miner's commitment: which model it entered and where that model answers.

use serde::{Deserialize, Serialize};

/// The JSON that a miner reveals on chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Commitment {
    /// Hugging Face repository `user/leoma-...<hotkey>`.
    pub model_name: String,
    /// Full commit hash of the repository, 40 hexadecimal digits.
    pub model_revision: String,
    /// Chute that serves the model.
    pub chute_id: String,
}
