//! Injected faults: what is in force, and how the node asks about it.

use std::{mem::discriminant, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Names of admin calls begin so; no fault touches them, else none could be healed.
pub const ADMIN_PREFIX: &str = "dev_";

/// A fault of the development chain. It stays in force until it is healed or used up. The JSON form
/// is that of `dev_inject`: the name under `fault`, then the fields.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Calls are taken and not answered until this is healed.
    Hang {
        /// Only calls of this RPC method; all when it is left out.
        #[serde(default)]
        method: Option<String>,
    },
    /// The half-dead socket: subscriptions are silent while calls are answered. What they missed
    /// follows when this is healed.
    SilentSubscriptions {},
    /// Nothing listens: every connection is cut and the port is closed; healed, the same port opens.
    NotListening {
        /// Heals by itself after so many milliseconds. By RPC it must be given: nobody could call.
        #[serde(default)]
        for_ms: Option<u64>,
    },
    /// Block zero is told to have another hash.
    WrongGenesis {},
    /// Every answer comes late.
    Slow {
        /// By so many milliseconds.
        ms: u64,
    },
    /// The next submissions are refused by the pool.
    RejectSubmissions {
        /// How many.
        count: u32,
        /// JSON-RPC error code, for example 1010 (invalid) or 1014 (priority too low).
        code: i32,
        /// Number of a `Custom error: N`.
        #[serde(default)]
        custom: Option<u8>,
    },
    /// The next transactions that enter a block fail there.
    FailInBlock {
        /// How many.
        count: u32,
        /// Pallet of the error.
        pallet: String,
        /// Error, by its name in the metadata.
        error: String,
    },
    /// The next submissions are accepted and forgotten: their watchers never hear more.
    Swallow {
        /// How many.
        count: u32,
    },
    /// No block is made by the clock; blocks that are asked for are made.
    ProductionPaused {},
    /// No block becomes final; healed, finality catches up with the next block.
    FinalityStopped {},
}

impl Fault {
    /// Its name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Hang { .. } => "hang",
            Fault::SilentSubscriptions {} => "silent_subscriptions",
            Fault::NotListening { .. } => "not_listening",
            Fault::WrongGenesis {} => "wrong_genesis",
            Fault::Slow { .. } => "slow",
            Fault::RejectSubmissions { .. } => "reject_submissions",
            Fault::FailInBlock { .. } => "fail_in_block",
            Fault::Swallow { .. } => "swallow",
            Fault::ProductionPaused {} => "production_paused",
            Fault::FinalityStopped {} => "finality_stopped",
        }
    }

    /// Whether the other one takes this one's place.
    fn is_replaced_by(&self, other: &Fault) -> bool {
        match (self, other) {
            (Fault::Hang { method: Some(mine) }, Fault::Hang { method: Some(other) }) => mine == other,
            (Fault::Hang { method: Some(_) }, Fault::Hang { method: None }) => true,
            (Fault::Hang { method: None }, Fault::Hang { method: Some(_) }) => false,
            _ => discriminant(self) == discriminant(other),
        }
    }

    fn hangs(&self, asked: &str) -> bool {
        matches!(self, Fault::Hang { method } if method.as_deref().is_none_or(|method| method == asked))
    }

    fn uses_left(&mut self) -> Option<&mut u32> {
        match self {
            Fault::RejectSubmissions { count, .. }
            | Fault::FailInBlock { count, .. }
            | Fault::Swallow { count } => Some(count),
            _ => None,
        }
    }
}

/// The faults in force, shared by the server, the RPC methods and the chain.
pub struct Faults(watch::Sender<Vec<Fault>>);

impl Faults {
    /// None.
    pub fn none() -> Self {
        Self(watch::channel(Vec::new()).0)
    }

    /// Puts a fault into force; one of the same kind is replaced.
    pub fn inject(&self, fault: Fault) {
        self.0.send_modify(|faults| {
            faults.retain(|other| !other.is_replaced_by(&fault));
            faults.push(fault);
            faults.retain_mut(|fault| fault.uses_left().is_none_or(|left| *left > 0));
        });
    }

    /// Ends the faults of a name, or all; how many there were.
    pub fn heal(&self, name: Option<&str>) -> usize {
        let mut healed = 0;
        self.0.send_modify(|faults| {
            let before = faults.len();
            faults.retain(|fault| name.is_some_and(|name| name != fault.name()));
            healed = before - faults.len();
        });
        healed
    }

    /// What is in force.
    pub fn list(&self) -> Vec<Fault> {
        self.0.borrow().clone()
    }

    /// Whether a fault of this kind is in force.
    pub fn any(&self, kind: impl Fn(&Fault) -> bool) -> bool {
        self.0.borrow().iter().any(kind)
    }

    /// The first fault for which `kind` gives something. Counted faults are used up by one.
    pub fn take<T>(&self, kind: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let mut taken = None;
        self.0.send_if_modified(|faults| {
            let Some(index) = faults.iter().position(|fault| kind(fault).is_some()) else { return false };
            taken = kind(&faults[index]);
            let Some(left) = faults[index].uses_left() else { return false };
            *left -= 1;
            if *left == 0 {
                faults.remove(index);
            }
            true
        });
        taken
    }

    /// Waits until the faults are such; at once if they are now.
    pub async fn until(&self, mut condition: impl FnMut(&[Fault]) -> bool) {
        // Fails only when the sender is gone, and this is the sender.
        let _ = self.0.subscribe().wait_for(|faults| condition(faults)).await;
    }

    /// Holds a call as long as the faults of this moment hold it.
    pub async fn hold_call(&self, method: &str) {
        if method.starts_with(ADMIN_PREFIX) {
            return;
        }
        let slow = |fault: &Fault| match fault {
            Fault::Slow { ms } => Some(Duration::from_millis(*ms)),
            _ => None,
        };
        if let Some(delay) = self.take(slow) {
            tokio::time::sleep(delay).await;
        }
        self.until(|faults| !faults.iter().any(|fault| fault.hangs(method))).await;
    }

    /// Holds a message of a subscription while subscriptions are silent.
    pub async fn hold_message(&self) {
        let silent = |fault: &Fault| matches!(fault, Fault::SilentSubscriptions {});
        self.until(|faults| !faults.iter().any(silent)).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    #[test]
    fn faults_are_written_as_the_admin_call_takes_them() {
        let all = [
            (Fault::Hang { method: None }, json!({ "fault": "hang", "method": null })),
            (Fault::SilentSubscriptions {}, json!({ "fault": "silent_subscriptions" })),
            (Fault::NotListening { for_ms: Some(5) }, json!({ "fault": "not_listening", "for_ms": 5 })),
            (Fault::WrongGenesis {}, json!({ "fault": "wrong_genesis" })),
            (Fault::Slow { ms: 5 }, json!({ "fault": "slow", "ms": 5 })),
            (
                Fault::RejectSubmissions { count: 1, code: 1010, custom: Some(6) },
                json!({ "fault": "reject_submissions", "count": 1, "code": 1010, "custom": 6 }),
            ),
            (
                Fault::FailInBlock { count: 1, pallet: "P".into(), error: "E".into() },
                json!({ "fault": "fail_in_block", "count": 1, "pallet": "P", "error": "E" }),
            ),
            (Fault::Swallow { count: 1 }, json!({ "fault": "swallow", "count": 1 })),
            (Fault::ProductionPaused {}, json!({ "fault": "production_paused" })),
            (Fault::FinalityStopped {}, json!({ "fault": "finality_stopped" })),
        ];
        for (fault, text) in all {
            assert_eq!(serde_json::to_value(&fault).expect("JSON"), text);
            assert_eq!(text["fault"], fault.name());
            assert_eq!(serde_json::from_value::<Fault>(text).expect("a fault"), fault);
        }
        let parse = |text: Json| serde_json::from_value::<Fault>(text);
        assert!(parse(json!({ "fault": "hang" })).is_ok());
        assert!(parse(json!({ "fault": "slow", "ms": 1, "msec": 2 })).is_err());
        assert!(parse(json!({ "fault": "flood" })).is_err());
    }

    #[test]
    fn counted_faults_are_used_up_and_others_stay() {
        let faults = Faults::none();
        faults.inject(Fault::Swallow { count: 2 });
        faults.inject(Fault::Slow { ms: 7 });
        let swallow = |fault: &Fault| matches!(fault, Fault::Swallow { .. }).then_some(());
        assert_eq!(faults.take(swallow), Some(()));
        assert_eq!(faults.list(), [Fault::Swallow { count: 1 }, Fault::Slow { ms: 7 }]);
        assert_eq!(faults.take(swallow), Some(()));
        assert_eq!(faults.take(swallow), None);
        let slow = |fault: &Fault| matches!(fault, Fault::Slow { .. }).then_some(());
        assert_eq!((faults.take(slow), faults.take(slow)), (Some(()), Some(())));
        faults.inject(Fault::Slow { ms: 8 });
        faults.inject(Fault::Swallow { count: 0 });
        assert_eq!(faults.list(), [Fault::Slow { ms: 8 }], "replaced, and none of a count of zero");
    }

    #[test]
    fn faults_are_healed_by_name_or_all_at_once() {
        let faults = Faults::none();
        for method in [Some("a"), Some("b"), Some("a")] {
            faults.inject(Fault::Hang { method: method.map(str::to_owned) });
        }
        faults.inject(Fault::WrongGenesis {});
        assert_eq!(faults.list().len(), 3);
        assert!(faults.any(|fault| fault.hangs("a")) && !faults.any(|fault| fault.hangs("c")));
        assert_eq!(faults.heal(Some("hang")), 2);
        assert_eq!(faults.list(), [Fault::WrongGenesis {}]);
        assert_eq!((faults.heal(None), faults.heal(None)), (1, 0));
    }
}
