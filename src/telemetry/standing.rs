//! How the validator stands with the chain: its own neuron, its weights, and the connection.

use crate::domain::ids::BlockNumber;

/// Our own neuron and weights at the setter's last look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainStanding {
    /// Whether the hotkey is in the metagraph.
    pub registered: bool,
    /// Whether its weights count.
    pub validator_permit: bool,
    /// Its stake, in rao.
    pub stake: u64,
    /// Least stake for setting weights, in rao.
    pub stake_threshold: u64,
    /// Whether it is the subnet's owner, who needs no stake.
    pub is_owner: bool,
    /// Block of its last weights or commit; zero for never.
    pub last_update: BlockNumber,
    /// Most blocks between epochs.
    pub tempo: u16,
    /// Whether the subnet has commit-reveal on.
    pub commit_reveal: bool,
    /// Commits that wait for their reveal.
    pub commits_pending: u64,
    /// Whether the epoch of one of them has come.
    pub reveal_due: bool,
}

impl ChainStanding {
    /// Tempos since our last weights or commit, at a block; `None` before the first.
    pub fn tempos_behind(&self, head: BlockNumber) -> Option<f64> {
        let set = (self.last_update.0 > 0 && self.tempo > 0).then_some(self.last_update.0)?;
        Some(head.0.saturating_sub(set) as f64 / f64::from(self.tempo))
    }

    /// Whether the chain takes our weights as far as stake goes.
    pub fn has_stake(&self) -> bool {
        self.is_owner || self.stake >= self.stake_threshold
    }
}

/// The connection to the chain, as of its last answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChainLink {
    /// The endpoint in use, without its secrets.
    pub endpoint: String,
    /// Spec version of the runtime.
    pub spec_version: u32,
    /// What the runtime lacks of what we use; while it does, nothing is opened or submitted.
    pub safe_hold: Option<String>,
}
