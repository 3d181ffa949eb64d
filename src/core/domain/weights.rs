//! The weights vector and the checks before it is submitted.

use super::ids::{BlockNumber, Uid};

/// A winner-take-all vector: the target at 65535, padded with other slots at zero where the subnet
/// wants more entries (the chain counts entries, zeros included). Sorted by uid.
pub fn winner_takes_all(target: Uid, all: &[Uid], min_allowed: u16) -> Vec<(Uid, u16)> {
    let wanted = usize::from(min_allowed).min(all.len()).max(1);
    let padding = all.iter().copied().filter(|uid| *uid != target).take(wanted - 1);
    let mut vector: Vec<_> = padding.map(|uid| (uid, 0)).chain([(target, u16::MAX)]).collect();
    vector.sort();
    vector
}

/// Our own neuron before a submission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnNeuron {
    /// Whether our weights count.
    pub validator_permit: bool,
    /// Block of our last weights or commit.
    pub last_update: BlockNumber,
    /// Block at which we registered: an update at or before it is not of weights.
    pub registered_at: BlockNumber,
    /// Stake that the chain compares with its threshold, in rao.
    pub stake: u64,
    /// Whether we are the subnet's owner, who needs no stake.
    pub is_owner: bool,
    /// Whether the chain holds weights or commits of ours.
    pub has_weights: bool,
}

impl OwnNeuron {
    /// Whether the chain holds weights of ours that a journal with this highest known `LastUpdate` knows
    /// nothing of.
    pub fn was_set_elsewhere(&self, known_update: BlockNumber) -> bool {
        self.has_weights && self.last_update > known_update && self.last_update > self.registered_at
    }
}

/// What is known before a submission, at one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preflight {
    /// The block.
    pub now: BlockNumber,
    /// Our own neuron; `None` when we are not registered.
    pub me: Option<OwnNeuron>,
    /// The highest `LastUpdate` of ours that our journal knows of.
    pub known_update: BlockNumber,
    /// First block at which the rules are in force.
    pub rules_active_from: BlockNumber,
    /// Least stake for setting weights, in rao.
    pub stake_threshold: u64,
    /// Least number of blocks between two settings.
    pub weights_rate_limit: u64,
    /// The subnet's version of commit-reveal and ours, when it has commit-reveal on.
    pub commit_reveal: Option<(u16, u16)>,
    /// The subnet's version key; zero accepts any.
    pub version_key_wanted: u64,
    /// Highest key that the operator vouches for.
    pub version_key_ours: u64,
}

/// Why nothing is submitted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// We are not in the metagraph.
    #[error("our hotkey is not registered on the subnet: register it first")]
    NotRegistered,
    /// The rules are of later.
    #[error("these rules are in force from block {from} on")]
    RulesNotActive {
        /// First block.
        from: BlockNumber,
    },
    /// Somebody else sets weights with our hotkey.
    #[error(
        "our hotkey set weights at block {last_update}, of which our journal knows nothing: another instance runs, or this \
         state folder is new. Make sure that nothing else sets weights with this hotkey, then start once with \
         --i-am-the-only-instance"
    )]
    OtherInstance {
        /// When.
        last_update: BlockNumber,
    },
    /// Our weights would not count.
    #[error("our hotkey has no validator permit: it needs more stake")]
    NoPermit,
    /// The chain would refuse our weights.
    #[error(
        "our hotkey's stake of {stake} rao is below the chain's threshold of {threshold}: it needs more stake"
    )]
    StakeTooLow {
        /// Ours.
        stake: u64,
        /// The chain's.
        threshold: u64,
    },
    /// The rate limit.
    #[error("the subnet's rate limit allows the next weights at block {until}")]
    TooSoon {
        /// First allowed block.
        until: BlockNumber,
    },
    /// The subnet wants commits in a form that we do not speak.
    #[error("the subnet asks for commit-reveal version {wanted}, this validator speaks {ours}: upgrade it")]
    CommitRevealVersion {
        /// The subnet's.
        wanted: u16,
        /// Ours.
        ours: u16,
    },
    /// The subnet asks for a newer validator.
    #[error(
        "the subnet asks for version key {wanted}, weights.version_key is {ours}: upgrade, or vouch for it there"
    )]
    VersionKey {
        /// The subnet's.
        wanted: u64,
        /// Ours.
        ours: u64,
    },
}

impl Refusal {
    /// The refusal in a word, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Refusal::NotRegistered => "not_registered",
            Refusal::RulesNotActive { .. } => "rules_not_active",
            Refusal::OtherInstance { .. } => "other_instance",
            Refusal::NoPermit => "no_permit",
            Refusal::StakeTooLow { .. } => "stake_too_low",
            Refusal::TooSoon { .. } => "too_soon",
            Refusal::CommitRevealVersion { .. } => "commit_reveal_version",
            Refusal::VersionKey { .. } => "version_key",
        }
    }
}

/// Checks a submission; gives our `LastUpdate`, by which a landing is recognised later.
pub fn preflight(check: &Preflight) -> Result<BlockNumber, Refusal> {
    let me = check.me.ok_or(Refusal::NotRegistered)?;
    let last_update = me.last_update;
    if me.was_set_elsewhere(check.known_update) {
        return Err(Refusal::OtherInstance { last_update });
    }
    if check.now < check.rules_active_from {
        return Err(Refusal::RulesNotActive { from: check.rules_active_from });
    }
    if me.stake < check.stake_threshold && !me.is_owner {
        return Err(Refusal::StakeTooLow { stake: me.stake, threshold: check.stake_threshold });
    }
    if !me.validator_permit {
        return Err(Refusal::NoPermit);
    }
    if let Some((wanted, ours)) = check.commit_reveal.filter(|(wanted, ours)| wanted != ours) {
        return Err(Refusal::CommitRevealVersion { wanted, ours });
    }
    if check.version_key_wanted > check.version_key_ours {
        return Err(Refusal::VersionKey { wanted: check.version_key_wanted, ours: check.version_key_ours });
    }
    let until = BlockNumber(last_update.0.saturating_add(check.weights_rate_limit));
    if last_update.0 != 0 && check.now < until {
        return Err(Refusal::TooSoon { until });
    }
    Ok(last_update)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: OwnNeuron = OwnNeuron {
        validator_permit: true,
        last_update: BlockNumber(900),
        registered_at: BlockNumber(5),
        stake: 1000,
        is_owner: false,
        has_weights: true,
    };
    const FINE: Preflight = Preflight {
        now: BlockNumber(1000),
        me: Some(ME),
        known_update: BlockNumber(900),
        rules_active_from: BlockNumber(0),
        stake_threshold: 1000,
        weights_rate_limit: 100,
        commit_reveal: Some((4, 4)),
        version_key_wanted: 0,
        version_key_ours: 0,
    };

    #[test]
    fn the_vector_is_padded_with_zeros_and_sorted() {
        let all: Vec<_> = (0..5).map(Uid).collect();
        assert_eq!(winner_takes_all(Uid(3), &all, 0), [(Uid(3), 65535)]);
        assert_eq!(winner_takes_all(Uid(3), &all, 1), [(Uid(3), 65535)]);
        assert_eq!(winner_takes_all(Uid(1), &all, 3), [(Uid(0), 0), (Uid(1), 65535), (Uid(2), 0)]);
        assert_eq!(winner_takes_all(Uid(4), &all, 1024).len(), 5);
    }

    #[test]
    fn every_refusal_has_its_cause() {
        assert_eq!(preflight(&FINE), Ok(BlockNumber(900)), "limit and threshold are inclusive");
        let with = |me: OwnNeuron| Preflight { me: Some(me), ..FINE };
        let soon = Preflight { now: BlockNumber(999), ..FINE };
        assert_eq!(preflight(&soon), Err(Refusal::TooSoon { until: BlockNumber(1000) }));
        let never = OwnNeuron { last_update: BlockNumber(0), has_weights: false, ..ME };
        let young = Preflight { now: BlockNumber(7), ..with(never) };
        assert_eq!(preflight(&young), Ok(BlockNumber(0)), "never set: no limit");
        assert_eq!(preflight(&Preflight { me: None, ..FINE }), Err(Refusal::NotRegistered));
        let no_permit = with(OwnNeuron { validator_permit: false, ..ME });
        assert_eq!(preflight(&no_permit), Err(Refusal::NoPermit));
        let poor = OwnNeuron { stake: 999, ..ME };
        assert_eq!(preflight(&with(poor)), Err(Refusal::StakeTooLow { stake: 999, threshold: 1000 }));
        assert_eq!(preflight(&with(OwnNeuron { is_owner: true, ..poor })), Ok(BlockNumber(900)));
        let newer = Preflight { version_key_wanted: 2, version_key_ours: 1, ..FINE };
        assert_eq!(preflight(&newer), Err(Refusal::VersionKey { wanted: 2, ours: 1 }));
        let other = Preflight { commit_reveal: Some((5, 4)), ..FINE };
        assert_eq!(preflight(&other), Err(Refusal::CommitRevealVersion { wanted: 5, ours: 4 }));
        let early = Preflight { rules_active_from: BlockNumber(1001), ..FINE };
        assert_eq!(preflight(&early), Err(Refusal::RulesNotActive { from: BlockNumber(1001) }));
    }

    #[test]
    fn weights_that_our_journal_does_not_know_stop_us() {
        let other = Refusal::OtherInstance { last_update: BlockNumber(900) };
        let unknown = Preflight { known_update: BlockNumber(899), ..FINE };
        assert_eq!(preflight(&unknown), Err(other));
        let early = Preflight { rules_active_from: BlockNumber(1001), ..unknown };
        assert_eq!(
            preflight(&early),
            Err(other),
            "known from the first look on, whatever else stands against it"
        );
        let fresh = OwnNeuron { has_weights: false, ..ME };
        assert_eq!(preflight(&Preflight { me: Some(fresh), ..unknown }), Ok(BlockNumber(900)));
        let inherited = OwnNeuron { registered_at: BlockNumber(900), ..ME };
        let inherited = Preflight { me: Some(inherited), ..unknown };
        assert_eq!(preflight(&inherited), Ok(BlockNumber(900)), "the slot's former hotkey set them");
    }
}
