//! The chain: blocks, their execution, the pool and what the host of the chain asks for.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use parity_scale_codec::Encode;
use sp_crypto_hashing::blake2_256;

use super::{
    beacon::{BeaconSwitch, DevBeacon},
    block::{Block, Header},
    config::{DevNeuron, DevnetConfig},
    error::{DevnetError, ModelError},
    extrinsic::{Extrinsic, ExtrinsicError},
    faults::{Fault, Faults},
    forks::{Imports, Replaced, Unfinalized},
    pallets::{
        self, drand, epochs, neurons,
        parameters::{NeuronChange, SubnetParameter},
        system, upgrade,
    },
    pool::{Pool, PoolError, Status, Waiting, Watch},
    produce::{extrinsics_root, state_root, unix_ms},
    runtime::Runtime,
    runtimes::{CODE_KEY, DevRuntime, Runtimes, runtime_of_code},
    state::{Changes, VersionedState, View},
    storage::Storage,
    store::{Origin, Store, StoredBlock},
    validity::{self, ChainContext, Invalid, ValidityError},
};
use crate::domain::ids::{BlockHash, BlockRef, Hotkey, Uid};

/// Blocks whose state and body stay readable.
const KEPT_BLOCKS: u64 = 8192;
/// Blocks that exist before the start block.
const HISTORY: u64 = 300;
/// Neurons of the genesis registered this many blocks before the history.
const REGISTERED_BEFORE: u64 = 7200;
/// Offset of the first epoch, so that epochs do not fall on round numbers.
const EPOCH_OFFSET: u64 = 37;
/// Watchers of swallowed transactions that are kept waiting; older ones see their stream end.
const KEPT_SWALLOWED: usize = 256;

/// Why a submitted transaction is not in the pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Not an extrinsic of this runtime.
    #[error("Extrinsic has invalid format: {0}")]
    Format(#[from] ExtrinsicError),
    /// Refused by a check.
    #[error(transparent)]
    Validity(#[from] ValidityError),
    /// Refused by the pool.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// Refused by an injected fault.
    #[error("refused by an injected fault")]
    Injected {
        /// JSON-RPC error code.
        code: i32,
        /// Number of a custom error.
        custom: Option<u8>,
    },
}

/// Something that the host of the chain asks for; happens at the start of the next block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostAction {
    /// A commitment becomes readable.
    Reveal(Hotkey, Vec<u8>),
    /// A neuron takes the next free slot.
    Register(DevNeuron),
    /// A slot passes to another hotkey.
    Replace(Uid, DevNeuron),
    /// A parameter of the subnet changes.
    SetParameter(SubnetParameter),
    /// A neuron's standing changes.
    ChangeNeuron(Hotkey, NeuronChange),
    /// The beacon stops or starts.
    SwitchBeacon(BeaconSwitch),
    /// A pulse of any beacon is stored: round and signature.
    PublishPulse(u64, Vec<u8>),
    /// The code of another runtime is stored; it runs from the block after that one.
    Upgrade(DevRuntime),
}

/// A block that is kept, with its state and the runtime that reads it.
pub struct Located<'a> {
    /// The block.
    pub block: &'a Arc<Block>,
    /// The runtime whose code stands in its state.
    pub runtime: &'a Arc<Runtime>,
    /// Its state; `None` when it is no longer kept.
    pub view: Option<View<'a>>,
}

impl<'a> Located<'a> {
    /// Typed state, `None` when it is no longer kept.
    pub fn storage(&self) -> Option<Storage<'a>> {
        self.view.clone().map(|view| Storage::on(self.runtime, view))
    }
}

/// The chain and its pool.
pub struct Chain {
    runtimes: Runtimes,
    pub(super) config: DevnetConfig,
    pub(super) genesis: Arc<Block>,
    /// The best chain.
    pub(super) blocks: BTreeMap<u64, Arc<Block>>,
    pub(super) numbers: HashMap<BlockHash, u64>,
    pub(super) state: VersionedState,
    pub(super) beacon: DevBeacon,
    pub(super) finalized: u64,
    pub(super) unfinalized: BTreeMap<u64, Unfinalized>,
    pub(super) replaced: VecDeque<Replaced>,
    pub(super) imports: Imports,
    /// Forks so far; tells a fork's blocks from those that they replace.
    pub(super) forks: u64,
    pub(super) faults: Arc<Faults>,
    pub(super) pool: Pool,
    /// Transactions that a fault swallowed, kept so that their watchers hear nothing.
    swallowed: VecDeque<Waiting>,
    pub(super) actions: Vec<HostAction>,
    pub(super) started_at_ms: u64,
    pub(super) last_time_ms: u64,
    pub(super) store: Option<Store>,
}

impl Chain {
    /// A new chain, or the one in the state file.
    pub fn start(config: DevnetConfig, faults: Arc<Faults>) -> Result<Self, DevnetError> {
        let Some(path) = config.state_file.clone() else { return Ok(Self::begin(config, faults)?) };
        let origin = Origin {
            seed: config.seed,
            netuid: config.netuid.0,
            start_block: config.start_block,
            beacon_period: config.beacon_period,
        };
        let (store, stored) = Store::open(&path, origin)?;
        if stored.is_empty() {
            let mut chain = Self::begin(config, faults)?;
            chain.store = Some(store);
            chain.rewrite_store()?;
            return Ok(chain);
        }
        let mut chain = Self::resume(config, faults, stored)?;
        chain.store = Some(store);
        Ok(chain)
    }

    /// The chain at its start block.
    fn begin(config: DevnetConfig, faults: Arc<Faults>) -> Result<Self, ModelError> {
        let mut runtimes = Runtimes::new(config.runtime.clone())?;
        let runtime = runtimes.load(&config.runtime)?;
        let base = config.start_block.saturating_sub(HISTORY);
        let seed = seed_of(&config);
        let genesis = genesis_of(seed);
        let beacon = DevBeacon::new(seed, config.beacon_period)?;
        let mut state = VersionedState::default();
        let changes = {
            let mut storage = Storage::at(&runtime, &state, base);
            let tempo = u64::from(config.tempo.max(1));
            let blocks = neurons::GenesisBlocks {
                number: base,
                registered_at: base.saturating_sub(REGISTERED_BEFORE).max(1),
                last_epoch: if runtime.epochs_are_stateful() {
                    base.saturating_sub(EPOCH_OFFSET % tempo)
                } else {
                    epochs::last_by_modulo(base, config.netuid.0, config.tempo)
                },
            };
            upgrade::set_code(&mut storage, &config.runtime);
            upgrade::note_runtime(&mut storage)?;
            neurons::write_genesis(&mut storage, &config, blocks)?;
            drand::write_genesis(&mut storage, beacon.public())?;
            storage.discard_events();
            storage.put(super::items::NUMBER, (), base as u32)?;
            storage.put(super::items::BLOCK_HASH, (0u32,), genesis.hash.0)?;
            storage.close()?
        };
        let first = if base == 0 {
            genesis.clone()
        } else {
            // The chain before the history is not kept: its last block stands for all of it.
            Arc::new(Block::new(
                Header {
                    parent: blake2_256(&(seed, base).encode()),
                    number: base,
                    state_root: state_root(&seed, &changes),
                    extrinsics_root: extrinsics_root(&[]),
                    digest: Vec::new(),
                },
                Vec::new(),
            ))
        };
        state.commit(base, changes);
        let mut chain = Self::assemble(config, faults, runtimes, beacon, first, state);
        while chain.head().number.0 < chain.config.start_block {
            chain.produce()?;
        }
        Ok(chain)
    }

    /// The chain whose final blocks these are, oldest first and at least one.
    fn resume(
        config: DevnetConfig,
        faults: Arc<Faults>,
        stored: Vec<StoredBlock>,
    ) -> Result<Self, ModelError> {
        let mut blocks = stored.into_iter().map(StoredBlock::into_parts);
        let missing = || ModelError::Missing("a first block with code in the state file".into());
        let (first, state_there) = blocks.next().ok_or_else(missing)?;
        let code = state_there.get(CODE_KEY).cloned().flatten().ok_or_else(missing)?;
        let runtimes = Runtimes::new(runtime_of_code(&code)?)?;
        let mut state = VersionedState::default();
        state.commit(first.header.number, state_there);
        let beacon = DevBeacon::new(seed_of(&config), config.beacon_period)?;
        let mut chain = Self::assemble(config, faults, runtimes, beacon, first, state);
        for (block, changes) in blocks {
            if let Some(Some(code)) = changes.get(CODE_KEY) {
                chain.runtimes.load(&runtime_of_code(code)?)?;
            }
            chain.finalized = block.header.number;
            chain.import(block, changes);
        }
        let head = chain.storage_at(chain.finalized).ok_or_else(missing)?;
        chain.last_time_ms = head.value(super::items::TIMESTAMP_NOW, ())?;
        Ok(chain)
    }

    /// A chain of one block.
    fn assemble(
        config: DevnetConfig,
        faults: Arc<Faults>,
        runtimes: Runtimes,
        beacon: DevBeacon,
        first: Arc<Block>,
        state: VersionedState,
    ) -> Self {
        let genesis = genesis_of(seed_of(&config));
        let base = first.header.number;
        Self {
            runtimes,
            blocks: BTreeMap::from([(base, first.clone())]),
            numbers: HashMap::from([(genesis.hash, 0), (first.hash, base)]),
            genesis,
            state,
            beacon,
            finalized: base,
            unfinalized: BTreeMap::new(),
            replaced: VecDeque::new(),
            imports: Imports::default(),
            forks: 0,
            faults,
            pool: Pool::default(),
            swallowed: VecDeque::new(),
            actions: Vec::new(),
            started_at_ms: unix_ms(),
            last_time_ms: 0,
            store: None,
            config,
        }
    }

    pub(super) fn head_block(&self) -> &Arc<Block> {
        // `blocks` starts with one block and pruning keeps the newest ones.
        self.blocks.last_key_value().map_or(&self.genesis, |(_, block)| block)
    }

    /// The best block.
    pub fn head(&self) -> BlockRef {
        self.head_block().reference()
    }

    /// Hash of block zero.
    pub fn genesis_hash(&self) -> BlockHash {
        self.genesis.hash
    }

    /// A kept block by number.
    pub fn block(&self, number: u64) -> Option<&Arc<Block>> {
        if number == 0 { Some(&self.genesis) } else { self.blocks.get(&number) }
    }

    /// A kept block with its state, the best when no hash is given.
    pub fn locate(&self, hash: Option<BlockHash>) -> Option<Located<'_>> {
        let number = match hash {
            None => self.head().number.0,
            Some(hash) => match self.numbers.get(&hash) {
                Some(number) => *number,
                None => return self.locate_replaced(hash),
            },
        };
        let view = View::best(&self.state, number);
        Some(Located {
            block: self.block(number)?,
            runtime: self.runtimes.at(&view),
            view: self.blocks.contains_key(&number).then_some(view),
        })
    }

    fn locate_replaced(&self, hash: BlockHash) -> Option<Located<'_>> {
        let replaced = self.replaced.iter().find(|replaced| replaced.block.hash == hash)?;
        let view = replaced.view(self);
        Some(Located { block: &replaced.block, runtime: self.runtimes.at(&view), view: Some(view) })
    }

    /// The runtime whose code stands in the state of the best chain's block `number`.
    fn runtime_at(&self, number: u64) -> &Arc<Runtime> {
        self.runtimes.at(&View::best(&self.state, number))
    }

    /// The runtime that the next block runs by.
    pub fn runtime(&self) -> &Arc<Runtime> {
        self.runtime_at(self.head().number.0)
    }

    /// State after a block, for reading. `None` when it is not kept.
    pub fn storage_at(&self, number: u64) -> Option<Storage<'_>> {
        let storage = || Storage::at(self.runtime_at(number), &self.state, number);
        self.blocks.contains_key(&number).then(storage)
    }

    /// Asks for another runtime: its code is stored in the next block.
    pub fn ask_upgrade(&mut self, runtime: DevRuntime) -> Result<(), ModelError> {
        self.runtimes.load(&runtime)?;
        self.ask(HostAction::Upgrade(runtime));
        Ok(())
    }

    /// Blocks in the order of their import.
    pub fn imports(&self) -> &Imports {
        &self.imports
    }

    /// Settings.
    pub fn config(&self) -> &DevnetConfig {
        &self.config
    }

    /// The development beacon.
    pub fn beacon(&self) -> &DevBeacon {
        &self.beacon
    }

    /// Adds what the host asks for to the next block.
    pub fn ask(&mut self, action: HostAction) {
        self.actions.push(action);
    }

    pub(super) fn context(&self) -> ChainContext {
        ChainContext {
            genesis: self.genesis.hash,
            number: self.head().number.0 + 1,
            rate_limit_in_block: self.config.rate_limit_in_block,
        }
    }

    /// Checks a transaction and puts it into the pool.
    pub fn submit(&mut self, bytes: Vec<u8>) -> Result<(BlockHash, Watch), SubmitError> {
        let rejection = |fault: &Fault| match fault {
            Fault::RejectSubmissions { code, custom, .. } => Some((*code, *custom)),
            _ => None,
        };
        if let Some((code, custom)) = self.faults.take(rejection) {
            return Err(SubmitError::Injected { code, custom });
        }
        let runtime = self.runtime().clone();
        let extrinsic = Extrinsic::decode(&runtime, bytes)?;
        pallets::check_bounds(&runtime, &extrinsic)?;
        let context = self.context();
        let (account, nonce, chain_nonce) = {
            let mut storage = Storage::at(&runtime, &self.state, context.number - 1);
            let model = ValidityError::Model;
            system::initialize(&mut storage, context.number, self.head().hash).map_err(model)?;
            let signed = validity::check(&storage, &extrinsic, &context)?;
            (signed.account, signed.nonce, system::nonce(&storage, signed.account).map_err(model)?)
        };
        if self.faults.take(|fault| matches!(fault, Fault::Swallow { .. }).then_some(())).is_some() {
            return Ok(self.swallow(extrinsic, account, nonce));
        }
        Ok(self.pool.insert(extrinsic, account, nonce, chain_nonce)?)
    }

    fn swallow(&mut self, extrinsic: Extrinsic, account: Hotkey, nonce: u64) -> (BlockHash, Watch) {
        let (waiting, watch) = Waiting::new(extrinsic, account, nonce);
        waiting.report(Status::Ready);
        let hash = waiting.hash;
        self.swallowed.push_back(waiting);
        if self.swallowed.len() > KEPT_SWALLOWED {
            self.swallowed.pop_front();
        }
        (hash, watch)
    }

    /// Nonce that an account's next transaction should carry, the pool's ones counted.
    pub fn next_nonce(&self, account: Hotkey) -> Result<u64, ModelError> {
        let storage = Storage::at(self.runtime(), &self.state, self.head().number.0);
        Ok(self.pool.next_nonce(account, system::nonce(&storage, account)?))
    }

    /// Transactions that wait.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(super) fn import(&mut self, block: Arc<Block>, changes: Changes) {
        let number = block.header.number;
        self.state.commit(number, changes);
        self.numbers.insert(block.hash, number);
        self.blocks.insert(number, block);
        // What may be taken back is kept, however long finality stands still.
        let floor = number.saturating_sub(KEPT_BLOCKS).min(self.finalized);
        while let Some((&oldest, _)) = self.blocks.first_key_value() {
            if oldest >= floor {
                break;
            }
            if let Some(old) = self.blocks.remove(&oldest) {
                self.numbers.remove(&old.hash);
            }
        }
        self.numbers.insert(self.genesis.hash, 0);
        self.state.prune(floor);
        self.forget_replaced(floor);
    }
}

/// What makes the hashes of this chain its own.
fn seed_of(config: &DevnetConfig) -> [u8; 32] {
    blake2_256(&(b"leoma devnet", config.seed, config.netuid.0).encode())
}

fn genesis_of(seed: [u8; 32]) -> Arc<Block> {
    let header = Header {
        parent: [0; 32],
        number: 0,
        state_root: seed,
        extrinsics_root: extrinsics_root(&[]),
        digest: Vec::new(),
    };
    Arc::new(Block::new(header, Vec::new()))
}

/// How a refusal is told by RPC: kept here, beside the errors it tells about.
impl SubmitError {
    /// JSON-RPC code, message and data, as a substrate node words them.
    pub fn rpc_parts(&self) -> (i32, String, Option<String>) {
        match self {
            SubmitError::Format(_) => (1001, self.to_string(), None),
            SubmitError::Validity(ValidityError::Invalid(
                reason @ (Invalid::NoUnsignedValidator | Invalid::CannotLookup),
            )) => (1011, "Unknown Transaction Validity".into(), Some(reason.to_string())),
            SubmitError::Validity(ValidityError::Invalid(reason)) => {
                (1010, "Invalid Transaction".into(), Some(reason.to_string()))
            }
            SubmitError::Validity(ValidityError::Model(error)) => {
                (1002, "Verification Error".into(), Some(error.to_string()))
            }
            SubmitError::Injected { code, custom } => {
                let message = if *code == 1010 { "Invalid Transaction".into() } else { self.to_string() };
                (*code, message, custom.map(|number| Invalid::Custom(number).to_string()))
            }
            SubmitError::Pool(PoolError::AlreadyImported) => (1013, self.to_string(), None),
            SubmitError::Pool(PoolError::TooLowPriority) => (
                1014,
                self.to_string(),
                Some(
                    "The transaction has too low priority to replace another transaction already in the pool."
                        .into(),
                ),
            ),
            SubmitError::Pool(PoolError::ImmediatelyDropped) => (
                1016,
                self.to_string(),
                Some("The transaction couldn't enter the pool because of the limit".into()),
            ),
        }
    }
}
