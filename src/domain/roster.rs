//! The miners of a round: who they are, in which order they came, and whether they can take part.

use serde::{Deserialize, Serialize};

use super::{
    commitment::Commitment,
    ids::{BlockNumber, Hotkey, Uid},
    outcome::Fault,
};

/// Order between miners: the earlier one wins ties and owns a duplicated model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Precedence {
    /// Block in which the newest commitment was revealed.
    pub reveal_block: BlockNumber,
    /// Position of the reveal inside its block; the position in storage order where unknown.
    pub index: u32,
    /// Uid, the last tie-break.
    pub uid: Uid,
}

/// Where a valid miner's model answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// Chute id of the commitment.
    pub chute_id: String,
    /// Host part that Chutes resolved for it; matches `[a-z0-9-]+`.
    pub slug: String,
    /// Digest over the model's weight files (`leoma` model hash), hexadecimal.
    pub model_hash: String,
}

/// Whether a miner can be asked this round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Standing {
    /// Every check passed.
    Valid {
        /// Where to ask.
        deployment: Deployment,
    },
    /// A check failed.
    Invalid {
        /// Who is to blame.
        fault: Fault,
        /// Reason code in the community's spelling, e.g. `missing_chute_id`.
        reason: String,
    },
}

/// One row of a round's roster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Slot in the metagraph at the anchor block.
    pub uid: Uid,
    /// The miner.
    pub hotkey: Hotkey,
    /// Newest revealed commitment, when it parses.
    pub commitment: Option<Commitment>,
    /// Order between miners.
    pub precedence: Precedence,
    /// Whether the miner can be asked.
    pub standing: Standing,
}
