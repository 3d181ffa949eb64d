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

/// What is known before a submission, at one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preflight {
    /// The block.
    pub now: BlockNumber,
    /// Our own validator permit and last update; `None` when we are not registered.
    pub me: Option<(bool, BlockNumber)>,
    /// Least number of blocks between two settings.
    pub weights_rate_limit: u64,
    /// Whether the subnet wants commits instead of plain weights.
    pub commit_reveal: bool,
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
    /// Our weights would not count.
    #[error("our hotkey has no validator permit: it needs more stake")]
    NoPermit,
    /// The rate limit.
    #[error("the subnet's rate limit allows the next weights at block {until}")]
    TooSoon {
        /// First allowed block.
        until: BlockNumber,
    },
    /// The subnet wants timelocked commits.
    #[error(
        "the subnet has commit-reveal on, which this version does not speak: plain weights would be refused"
    )]
    CommitReveal,
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

/// Checks a submission; gives our `LastUpdate`, by which a landing is recognised later.
pub fn preflight(check: &Preflight) -> Result<BlockNumber, Refusal> {
    let (permit, last_update) = check.me.ok_or(Refusal::NotRegistered)?;
    if !permit {
        return Err(Refusal::NoPermit);
    }
    if check.commit_reveal {
        return Err(Refusal::CommitReveal);
    }
    if check.version_key_wanted > check.version_key_ours {
        return Err(Refusal::VersionKey { wanted: check.version_key_wanted, ours: check.version_key_ours });
    }
    let until = BlockNumber(last_update.0 + check.weights_rate_limit);
    if last_update.0 != 0 && check.now < until {
        return Err(Refusal::TooSoon { until });
    }
    Ok(last_update)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Preflight = Preflight {
        now: BlockNumber(1000),
        me: Some((true, BlockNumber(900))),
        weights_rate_limit: 100,
        commit_reveal: false,
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
        assert_eq!(preflight(&FINE), Ok(BlockNumber(900)), "the limit is inclusive");
        let soon = Preflight { now: BlockNumber(999), ..FINE };
        assert_eq!(preflight(&soon), Err(Refusal::TooSoon { until: BlockNumber(1000) }));
        let young = Preflight { now: BlockNumber(7), me: Some((true, BlockNumber(0))), ..FINE };
        assert_eq!(preflight(&young), Ok(BlockNumber(0)), "never set: no limit");
        assert_eq!(preflight(&Preflight { me: None, ..FINE }), Err(Refusal::NotRegistered));
        let no_permit = Preflight { me: Some((false, BlockNumber(0))), ..FINE };
        assert_eq!(preflight(&no_permit), Err(Refusal::NoPermit));
        assert_eq!(preflight(&Preflight { commit_reveal: true, ..FINE }), Err(Refusal::CommitReveal));
        let newer = Preflight { version_key_wanted: 2, version_key_ours: 1, ..FINE };
        assert_eq!(preflight(&newer), Err(Refusal::VersionKey { wanted: 2, ours: 1 }));
    }
}
