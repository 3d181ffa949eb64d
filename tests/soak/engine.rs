//! Runs the chain block by block, troubles it, and keeps what was seen.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use leoma::{chain::devnet::ValidatorSight, domain::event::Event};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{
    Settings,
    faults::{Ends, Kind, Process, Trouble, waits_for_extrinsic},
    world::{Validator, World},
};

/// A block that comes this much later than it should tells of a busy machine.
const STALL: Duration = Duration::from_millis(1500);
/// Blocks at the end without trouble, in epochs.
const QUIET_EPOCHS: u64 = 2;

/// One trouble as it went.
#[derive(Clone, Debug)]
pub struct Window {
    pub kind: Kind,
    /// Newest block before it.
    pub begin: u64,
    /// Newest block before it was healed; none while it lasts.
    pub heal: Option<u64>,
    /// First final block after it that holds weights or a commit of ours.
    pub recovered: Option<u64>,
}

/// Everything that a run left.
pub struct Run {
    /// Final blocks in order.
    pub sights: BTreeMap<u64, ValidatorSight>,
    pub windows: Vec<Window>,
    pub events: Vec<Event>,
    /// When a block was made.
    pub made_at: BTreeMap<u64, Instant>,
    /// Ends of the validator that nobody had asked for.
    pub deaths: Vec<String>,
    pub starts: u64,
    pub took: Duration,
}

struct Engine<'a> {
    world: &'a World,
    settings: &'a Settings,
    trouble: Trouble,
    validator: Option<Validator>,
    run: Run,
    clock: Interval,
}

/// Runs so many epochs, with troubles unless there are none to choose from.
pub async fn run(world: &World, settings: &Settings) -> Run {
    let validator = Some(world.validator());
    world.until_served().await;
    let mut clock = interval(settings.block_time);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let run = Run {
        sights: BTreeMap::new(),
        windows: Vec::new(),
        events: Vec::new(),
        made_at: BTreeMap::new(),
        deaths: Vec::new(),
        starts: 1,
        took: Duration::ZERO,
    };
    let trouble = Trouble::new(settings.seed);
    let began = Instant::now();
    let mut engine = Engine { world, settings, trouble, validator, run, clock };
    engine.all().await;
    let mut run = engine.run;
    run.took = began.elapsed();
    run.events = world.journal();
    run
}

impl Engine<'_> {
    async fn all(&mut self) {
        self.block().await;
        let first = self.epoch();
        let last = first + self.settings.epochs;
        let troubled_until = last.saturating_sub(QUIET_EPOCHS);
        // Weights must have landed once before there is anything to disturb.
        while self.last().nonce == 0 && self.epoch() < last {
            self.block().await;
        }
        let mut deck: Vec<Kind> = Vec::new();
        let mut switches = self.settings.switch_epochs.iter().map(|epoch| first + epoch).peekable();
        while self.epoch() < troubled_until {
            if switches.next_if(|epoch| self.epoch() >= *epoch).is_some() {
                self.disturb(Kind::CommitRevealSwitched).await;
                continue;
            }
            for _ in 0..self.trouble.pause(self.settings) {
                self.block().await;
            }
            if deck.is_empty() {
                deck = self.trouble.deck(&self.settings.kinds);
            }
            match deck.pop() {
                Some(kind) if self.epoch() < troubled_until => self.disturb(kind).await,
                _ => {}
            }
        }
        while self.epoch() < last {
            self.block().await;
        }
        if let Some(mut validator) = self.validator.take() {
            let status = validator.stop().await;
            if !status.success() {
                self.run.deaths.push(format!("at SIGTERM: {status}"));
            }
        }
    }

    /// One trouble from its beginning until weights or a commit followed on it.
    async fn disturb(&mut self, kind: Kind) {
        if waits_for_extrinsic(kind) {
            let patience = self.head() + 2 * self.settings.tempo;
            while !self.in_flight() && self.head() < patience {
                self.block().await;
            }
        }
        let begin = self.head();
        let (ends, process) = self.trouble.begin(kind, self.world, self.settings).await;
        self.run.windows.push(Window { kind, begin, heal: None, recovered: None });
        if process == Process::Killed
            && let Some(mut validator) = self.validator.take()
        {
            validator.kill();
        }
        match ends {
            Ends::AtOnce => {}
            Ends::At(block) => {
                while self.head() < block {
                    self.block().await;
                }
            }
            Ends::UsedUpBy(block) => {
                while self.head() < block && !self.world.devnet.faults().is_empty() {
                    self.block().await;
                }
            }
        }
        if ends != Ends::AtOnce {
            self.trouble.end(kind, self.world).await;
        }
        if self.validator.is_none() {
            self.validator = Some(self.world.validator());
            self.run.starts += 1;
        }
        let healed = self.head();
        self.window().heal = Some(healed);
        let limit = healed + self.settings.recovery_limit();
        while self.last().block.number.0 < limit {
            self.block().await;
            if self.last().last_update.0 > healed {
                let recovered = self.last().last_update.0;
                self.window().recovered = Some(recovered);
                return;
            }
        }
    }

    /// The trouble of now; stalls of the machine stand in the list too.
    fn window(&mut self) -> &mut Window {
        let drawn = |window: &&mut Window| window.kind != Kind::MachineStalled;
        self.run.windows.iter_mut().rev().find(drawn).expect("a window was opened")
    }

    fn head(&self) -> u64 {
        self.world.devnet.head().number.0
    }

    fn last(&self) -> &ValidatorSight {
        self.run.sights.values().next_back().expect("a block was made")
    }

    fn epoch(&self) -> u64 {
        self.last().epoch
    }

    /// Whether an extrinsic of ours is in the best chain and not final.
    fn in_flight(&self) -> bool {
        let best = self.world.devnet.validator_at(self.head(), self.world.me);
        best.is_some_and(|best| best.nonce > self.last().nonce)
    }

    /// Makes a block when its time has come, and looks at what has become final.
    async fn block(&mut self) {
        self.clock.tick().await;
        let (devnet, before) = (&self.world.devnet, self.head());
        let late = self.run.made_at.get(&before).is_some_and(|made| made.elapsed() > STALL);
        let head = devnet.produce_block().await.number.0;
        self.run.made_at.insert(head, Instant::now());
        if late {
            let stall =
                Window { kind: Kind::MachineStalled, begin: before, heal: Some(head), recovered: Some(head) };
            self.run.windows.push(stall);
        }
        let next =
            self.run.sights.keys().next_back().map_or(devnet.finalized_head().number.0, |last| last + 1);
        for number in next..=devnet.finalized_head().number.0 {
            let seen = devnet.validator_at(number, self.world.me).expect("our slot");
            self.run.sights.insert(number, seen);
        }
        self.mourn();
    }

    /// A validator that ended by itself is noted and started again, as a service manager does.
    fn mourn(&mut self) {
        let Some(validator) = &mut self.validator else { return };
        if let Some(status) = validator.ended() {
            self.run.deaths.push(format!("at block {}: {status}", self.head()));
            self.validator = Some(self.world.validator());
            self.run.starts += 1;
        }
    }
}
