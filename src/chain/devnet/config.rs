//! What a development chain is made of.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{error::DevnetError, pallets::neurons::MAX_NEURONS, runtimes::DevRuntime};
use crate::domain::ids::{Hotkey, NetUid};

/// Most epochs between a commit of weights and its reveal, as on chain.
const MAX_REVEAL_PERIOD: u64 = 100;
/// Most blocks between the best and the newest final block.
const MAX_FINALITY_LAG: u32 = 256;

/// Settings of a development chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevnetConfig {
    /// Address to listen on; port 0 picks a free one. There is no access control: keep to loopback.
    pub listen: SocketAddr,
    /// Time between blocks; `None` makes blocks only by `Devnet::produce_block`.
    pub block_time: Option<Duration>,
    /// The one subnet beside root.
    pub netuid: NetUid,
    /// Number of the head at the start; a few hundred blocks before it exist too.
    pub start_block: u64,
    /// Seed of the genesis hash and so of every block hash.
    pub seed: u64,
    /// Where block times come from.
    pub clock: ChainClock,
    /// Blocks between epochs; zero turns epochs off.
    pub tempo: u16,
    /// Least number of blocks between two weight settings of a hotkey.
    pub weights_rate_limit: u64,
    /// Least number of entries in a weights vector.
    pub min_allowed_weights: u16,
    /// Version key that `set_weights` must reach; zero accepts any.
    pub weights_version_key: u64,
    /// Whether weights are committed and revealed later instead of set plainly.
    pub commit_reveal: bool,
    /// Epochs between a commit of weights and its reveal.
    pub reveal_period: u64,
    /// Seconds between rounds of the development beacon.
    pub beacon_period: u32,
    /// Stake below which a hotkey may not set weights, in rao.
    pub stake_threshold: u64,
    /// Neurons by uid; uid 0 is the owner's hotkey.
    pub neurons: Vec<DevNeuron>,
    /// Blocks between the best block and the newest final one; zero makes every block final.
    pub finality_lag: u32,
    /// Whether the admin calls (`dev_*`) are served; only on loopback.
    pub admin: bool,
    /// File that keeps the chain over restarts (`store.rs` says how). Of a chain that is in it, all
    /// that stands in the state comes from there: neurons, parameters, runtime.
    pub state_file: Option<PathBuf>,
    /// The runtime at the start.
    pub runtime: DevRuntime,
    /// Fault switch: leaves the weights rate limit to the block (`SettingWeightsTooFast`), as older
    /// runtimes did, instead of refusing in the pool (`Custom error: 6`).
    pub rate_limit_in_block: bool,
}

/// Where `Timestamp.Now` comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChainClock {
    /// Twelve seconds per block number from a fixed time: equal settings and equal transactions
    /// give equal block hashes.
    Slots,
    /// The machine's clock (always later than the parent block).
    Wall,
}

impl Default for DevnetConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            block_time: None,
            netuid: NetUid(99),
            start_block: 1_000_000,
            seed: 0,
            clock: ChainClock::Slots,
            tempo: 100,
            weights_rate_limit: 100,
            min_allowed_weights: 1,
            weights_version_key: 0,
            commit_reveal: false,
            reveal_period: 1,
            beacon_period: 3,
            stake_threshold: 0,
            neurons: Vec::new(),
            finality_lag: 0,
            admin: false,
            state_file: None,
            runtime: DevRuntime::default(),
            rate_limit_in_block: false,
        }
    }
}

impl DevnetConfig {
    /// Refuses settings that no chain could have.
    pub(super) fn check(&self) -> Result<(), DevnetError> {
        let refuse = |field, problem: String| Err(DevnetError::Config { field, problem });
        if self.start_block == 0 || self.start_block > u64::from(u32::MAX / 2) {
            return refuse("start_block", format!("{} is not within 1..={}", self.start_block, u32::MAX / 2));
        }
        if self.netuid.0 == 0 || self.netuid.0 >= 4096 {
            return refuse("netuid", format!("{} is not within 1..=4095", self.netuid));
        }
        if self.block_time.is_some_and(|time| time < Duration::from_millis(10)) {
            return refuse("block_time", "a block takes at least 10 ms".into());
        }
        if self.reveal_period == 0 || self.reveal_period > MAX_REVEAL_PERIOD {
            return refuse(
                "reveal_period",
                format!("{} is not within 1..={MAX_REVEAL_PERIOD}", self.reveal_period),
            );
        }
        if self.beacon_period == 0 {
            return refuse("beacon_period", "rounds are at least a second apart".into());
        }
        if self.finality_lag > MAX_FINALITY_LAG {
            return refuse(
                "finality_lag",
                format!("{} blocks: at most {MAX_FINALITY_LAG}", self.finality_lag),
            );
        }
        if self.admin && !self.listen.ip().is_loopback() {
            let problem = format!("admin calls are served on loopback only, not on {}", self.listen);
            return refuse("admin", problem);
        }
        if self.neurons.len() > usize::from(MAX_NEURONS) {
            return refuse("neurons", format!("{} neurons: at most {MAX_NEURONS}", self.neurons.len()));
        }
        let mut hotkeys: Vec<Hotkey> = self.neurons.iter().map(|neuron| neuron.hotkey).collect();
        hotkeys.sort();
        if let Some(pair) = hotkeys.windows(2).find(|pair| pair[0] == pair[1]) {
            return refuse("neurons", format!("hotkey {} stands twice", pair[0]));
        }
        Ok(())
    }
}

/// A neuron of the development chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevNeuron {
    /// Its hotkey.
    pub hotkey: Hotkey,
    /// Stake in rao.
    pub stake: u64,
    /// Whether it may set weights.
    pub validator_permit: bool,
    /// Commitments already revealed: reveal block, and bytes as the pallet stores them (with the
    /// SCALE string framing that `frame_revealed` adds).
    pub revealed: Vec<(u64, Vec<u8>)>,
}

impl DevNeuron {
    /// A neuron without stake, permit or commitments: a miner.
    pub fn miner(hotkey: Hotkey) -> Self {
        Self { hotkey, stake: 0, validator_permit: false, revealed: Vec::new() }
    }

    /// A neuron with stake and permit.
    pub fn validator(hotkey: Hotkey, stake: u64) -> Self {
        Self { hotkey, stake, validator_permit: true, revealed: Vec::new() }
    }

    /// The same neuron with one more revealed commitment; `text` is framed.
    pub fn with_revealed(mut self, block: u64, text: &[u8]) -> Self {
        self.revealed.push((block, super::frame_revealed(text)));
        self
    }
}
