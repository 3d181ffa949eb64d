//! What is done to the validator and its chain, one thing at a time.

use std::fmt;

use leoma::{
    chain::devnet::{
        BeaconSwitch, DevNeuron, DevRuntime, Devnet, Fault, Missed, NeuronChange, ReplacedTransactions,
        SubnetParameter,
    },
    domain::ids::Uid,
    sim::roster::development_key,
};

use super::{Settings, random::Random, world::World};

/// A kind of trouble.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    EndpointDead,
    ConnectionsCut,
    Hang,
    HalfDead,
    Slow,
    Rejected,
    PriorityTooLow,
    FailsInBlock,
    Swallowed,
    Reorg,
    FinalityStopped,
    BrokenUpgrade,
    BeaconLate,
    BeaconLost,
    SlotReplaced,
    PermitLost,
    Killed,
    KilledInFlight,
    CommitRevealSwitched,
    /// Not injected: this machine was too busy to make blocks in time.
    MachineStalled,
}

impl Kind {
    /// Everything that is drawn.
    pub const DRAWN: [Kind; 18] = [
        Kind::EndpointDead,
        Kind::ConnectionsCut,
        Kind::Hang,
        Kind::HalfDead,
        Kind::Slow,
        Kind::Rejected,
        Kind::PriorityTooLow,
        Kind::FailsInBlock,
        Kind::Swallowed,
        Kind::Reorg,
        Kind::FinalityStopped,
        Kind::BrokenUpgrade,
        Kind::BeaconLate,
        Kind::BeaconLost,
        Kind::SlotReplaced,
        Kind::PermitLost,
        Kind::Killed,
        Kind::KilledInFlight,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::EndpointDead => "endpoint killed and restarted",
            Kind::ConnectionsCut => "connections cut",
            Kind::Hang => "every call hangs",
            Kind::HalfDead => "half-dead socket",
            Kind::Slow => "slow answers",
            Kind::Rejected => "submissions rejected (1010, custom 6)",
            Kind::PriorityTooLow => "submission rejected (1014)",
            Kind::FailsInBlock => "extrinsics fail in a block",
            Kind::Swallowed => "submission swallowed",
            Kind::Reorg => "reorg of the extrinsic's block",
            Kind::FinalityStopped => "finality stopped",
            Kind::BrokenUpgrade => "broken upgrade, then a healthy one",
            Kind::BeaconLate => "beacon stopped, pulses late",
            Kind::BeaconLost => "beacon stopped, pulses lost",
            Kind::SlotReplaced => "the paid slot changes hands",
            Kind::PermitLost => "permit lost and regained",
            Kind::Killed => "kill -9, then a start",
            Kind::KilledInFlight => "kill -9 with the extrinsic not final",
            Kind::CommitRevealSwitched => "commit-reveal switched on or off",
            Kind::MachineStalled => "(the machine was too busy)",
        })
    }
}

/// When a trouble ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ends {
    /// It was over when it had begun.
    AtOnce,
    /// At a block.
    At(u64),
    /// When the chain has used it up, at the latest at a block.
    UsedUpBy(u64),
}

/// What the engine does with the child process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Process {
    Runs,
    Killed,
}

/// A trouble that waits for an extrinsic of ours in the best chain that is not final, up to this block.
pub fn waits_for_extrinsic(kind: Kind) -> bool {
    matches!(kind, Kind::Reorg | Kind::KilledInFlight)
}

/// Begins troubles and ends them.
pub struct Trouble {
    random: Random,
    spec: u32,
    replaced: Option<Uid>,
    strangers: u64,
    commit_reveal: bool,
}

impl Trouble {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0x50AC),
            spec: 461,
            replaced: None,
            strangers: 0,
            commit_reveal: false,
        }
    }

    /// A pause between two troubles, in blocks.
    pub fn pause(&mut self, settings: &Settings) -> u64 {
        self.random.within(settings.tempo * 3 / 4, settings.tempo * 5 / 2)
    }

    /// Every kind once, in an order of chance.
    pub fn deck(&mut self, kinds: &[Kind]) -> Vec<Kind> {
        self.random.shuffled(kinds)
    }

    /// Begins a trouble at the head's block.
    pub async fn begin(&mut self, kind: Kind, world: &World, settings: &Settings) -> (Ends, Process) {
        let devnet = &*world.devnet;
        let (now, tempo) = (devnet.head().number.0, settings.tempo);
        let count = self.random.within(1, 3) as u32;
        let mut ends = Ends::At(now + self.random.within(tempo / 4, tempo * 3 / 2));
        let used_up = Ends::UsedUpBy(now + 3 * tempo);
        let mut process = Process::Runs;
        match kind {
            Kind::EndpointDead => inject(devnet, Fault::NotListening { for_ms: None }).await,
            Kind::ConnectionsCut => {
                devnet.drop_connections();
                ends = Ends::AtOnce;
            }
            Kind::Hang => inject(devnet, Fault::Hang { method: None }).await,
            Kind::HalfDead => inject(devnet, Fault::SilentSubscriptions {}).await,
            Kind::Slow => inject(devnet, Fault::Slow { ms: self.random.within(30, 300) }).await,
            Kind::Rejected => {
                inject(devnet, Fault::RejectSubmissions { count, code: 1010, custom: Some(6) }).await;
                ends = used_up;
            }
            Kind::PriorityTooLow => {
                inject(devnet, Fault::RejectSubmissions { count: 1, code: 1014, custom: None }).await;
                ends = used_up;
            }
            Kind::FailsInBlock => {
                let (pallet, error) = ("SubtensorModule".into(), "SettingWeightsTooFast".into());
                inject(devnet, Fault::FailInBlock { count, pallet, error }).await;
                ends = used_up;
            }
            Kind::Swallowed => {
                inject(devnet, Fault::Swallow { count: 1 }).await;
                ends = used_up;
            }
            Kind::Reorg => {
                let unfinal = now - devnet.finalized_head().number.0;
                let transactions = match self.random.below(2) {
                    0 => ReplacedTransactions::Return,
                    _ => ReplacedTransactions::Drop,
                };
                devnet.reorg(unfinal.max(1), transactions).expect("a fork");
                ends = Ends::AtOnce;
            }
            Kind::FinalityStopped => inject(devnet, Fault::FinalityStopped {}).await,
            Kind::BrokenUpgrade => {
                let entries = ["Weights", "LastUpdate", "TimelockedWeightCommits"];
                let entry = entries[self.random.below(3) as usize];
                self.upgrade(devnet, &[("SubtensorModule", entry, "Elsewhere")]);
            }
            Kind::BeaconLate | Kind::BeaconLost => devnet.switch_beacon(BeaconSwitch::Stop),
            Kind::SlotReplaced => self.replace(world),
            Kind::PermitLost => devnet.change_neuron(world.me, NeuronChange::Permit(false)),
            Kind::Killed | Kind::KilledInFlight => {
                ends = Ends::At(now + self.random.below(tempo));
                process = Process::Killed;
            }
            Kind::CommitRevealSwitched => {
                self.commit_reveal = !self.commit_reveal;
                devnet.set_parameter(SubnetParameter::CommitReveal(self.commit_reveal));
                ends = Ends::AtOnce;
            }
            Kind::MachineStalled => ends = Ends::AtOnce,
        }
        (ends, process)
    }

    /// Ends a trouble that [`Self::begin`] began.
    pub async fn end(&mut self, kind: Kind, world: &World) {
        let devnet = &*world.devnet;
        devnet.heal().await;
        match kind {
            Kind::BrokenUpgrade => self.upgrade(devnet, &[]),
            Kind::BeaconLate => devnet.switch_beacon(BeaconSwitch::Start(Missed::Published)),
            Kind::BeaconLost => devnet.switch_beacon(BeaconSwitch::Start(Missed::Lost)),
            Kind::SlotReplaced => self.give_back(world),
            Kind::PermitLost => devnet.change_neuron(world.me, NeuronChange::Permit(true)),
            _ => {}
        }
    }

    fn upgrade(&mut self, devnet: &Devnet, renamed: &[(&str, &str, &str)]) {
        self.spec += 1;
        devnet.upgrade(DevRuntime::renamed(self.spec, renamed)).expect("a runtime");
    }

    /// A stranger takes the slot that our weights pay, a miner's where they pay the owner.
    fn replace(&mut self, world: &World) {
        let head = world.devnet.head().number.0;
        let row = world.devnet.validator_at(head, world.me).map(|seen| seen.weights).unwrap_or_default();
        let paid = row.iter().find(|(_, weight)| *weight > 0).map(|(uid, _)| *uid);
        let miner = world.cast[self.random.below(2) as usize].uid;
        let uid = paid.filter(|uid| world.cast.iter().any(|miner| miner.uid == *uid)).unwrap_or(miner);
        self.strangers += 1;
        let stranger = development_key(self.strangers, "stranger").hotkey();
        world.devnet.replace(uid, DevNeuron::miner(stranger));
        self.replaced = Some(uid);
    }

    /// The miner registers again and its commitment is revealed anew.
    fn give_back(&mut self, world: &World) {
        let Some(uid) = self.replaced.take() else { return };
        let Some(miner) = world.cast.iter().find(|miner| miner.uid == uid) else { return };
        let now = world.devnet.head().number.0;
        world.devnet.replace(uid, DevNeuron::miner(miner.hotkey).with_revealed(now, &miner.revealed()));
    }
}

async fn inject(devnet: &Devnet, fault: Fault) {
    devnet.inject(fault).await.expect("a fault that the chain knows");
}
