//! The miners of a round: who they are, in which order they came, and whether they can take part.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    commitment::{Commitment, CommitmentFault, RevealedEntry, read_newest},
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

/// A neuron that revealed at least one commitment: only these are miners. Validators and the owner
/// take part exactly when they commit a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate<'a> {
    /// Slot in the metagraph.
    pub uid: Uid,
    /// The miner.
    pub hotkey: Hotkey,
    /// [`Precedence::index`] of the newest entry.
    pub index: u32,
    /// Revealed entries in any order.
    pub revealed: Vec<RevealedEntry<'a>>,
}

/// What one miner claims, read from chain alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Slot in the metagraph.
    pub uid: Uid,
    /// The miner.
    pub hotkey: Hotkey,
    /// Order between miners.
    pub precedence: Precedence,
    /// The newest commitment, or why it does not count.
    pub commitment: Result<Commitment, CommitmentFault>,
}

/// What Chutes and Hugging Face said about one commitment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Model and chute exist, run and agree with the commitment.
    Found {
        /// Where to ask.
        deployment: Deployment,
    },
    /// A check failed.
    Failed {
        /// Who is to blame.
        fault: Fault,
        /// Reason code.
        reason: String,
        /// Model hash, where the model was found all the same: a sleeping chute does not hand its
        /// model over to whoever copied it.
        model_hash: Option<String>,
    },
}

impl Lookup {
    /// The model's hash as far as it is known.
    pub fn model_hash(&self) -> Option<&str> {
        match self {
            Lookup::Found { deployment } => Some(&deployment.model_hash),
            Lookup::Failed { model_hash, .. } => model_hash.as_deref(),
        }
    }
}

/// Reads every candidate's newest commitment; the result is ordered by uid. Hotkeys of the
/// operator's blacklist are kept as rows with the reason `blacklisted`.
pub fn read_claims(candidates: &[Candidate<'_>], blacklist: &BTreeSet<Hotkey>) -> Vec<Claim> {
    let mut claims: Vec<Claim> = candidates
        .iter()
        .map(|candidate| {
            let newest = candidate.revealed.iter().map(|entry| entry.reveal_block).max();
            let commitment = if blacklist.contains(&candidate.hotkey) {
                Err(CommitmentFault::Blacklisted)
            } else {
                read_newest(&candidate.revealed, &candidate.hotkey).map(|(commitment, _)| commitment)
            };
            Claim {
                uid: candidate.uid,
                hotkey: candidate.hotkey,
                precedence: Precedence {
                    reveal_block: newest.unwrap_or_default(),
                    index: candidate.index,
                    uid: candidate.uid,
                },
                commitment,
            }
        })
        .collect();
    claims.sort_by_key(|claim| claim.uid);
    claims
}

/// The distinct commitments that have to be looked up.
pub fn wanted_lookups(claims: &[Claim]) -> BTreeSet<&Commitment> {
    claims.iter().filter_map(|claim| claim.commitment.as_ref().ok()).collect()
}

/// Makes the roster, ordered by uid: one row for every claim.
///
/// Of the miners whose models have one hash, the earliest by precedence owns it and the others are
/// `duplicate_model:earliest_uid=<uid>`. The owner is looked for among all miners whose model was
/// found, running or not. A commitment that was not looked up is our own fault, never the miner's.
pub fn build_roster(claims: Vec<Claim>, lookups: &BTreeMap<Commitment, Lookup>) -> Vec<RosterEntry> {
    build_roster_with(claims, lookups, |_, _| false)
}

/// As [`build_roster`], where models can be copies without having one hash: `is_copy` says so of an earlier miner's
/// commitment and a later one's, both of models that were found. The earliest miner that it says so of, or that has the
/// hash, is the one that a copy is named after; a copy of a copy is one.
pub fn build_roster_with(
    claims: Vec<Claim>,
    lookups: &BTreeMap<Commitment, Lookup>,
    is_copy: impl Fn(&Commitment, &Commitment) -> bool,
) -> Vec<RosterEntry> {
    let found = |claim: &Claim| claim.commitment.as_ref().ok().and_then(|wanted| lookups.get(wanted));
    let mut models: Vec<(Precedence, &Commitment, &str)> = claims
        .iter()
        .filter_map(|claim| {
            Some((claim.precedence, claim.commitment.as_ref().ok()?, found(claim)?.model_hash()?))
        })
        .collect();
    models.sort_unstable();
    let original = |claim: &Claim| {
        let (mine, hash) = (claim.commitment.as_ref().ok()?, found(claim)?.model_hash()?);
        let earlier = models.iter().take_while(|(precedence, ..)| *precedence < claim.precedence);
        let mut copied = earlier.filter(|(_, theirs, other)| *other == hash || is_copy(theirs, mine));
        copied.next().map(|(precedence, ..)| precedence.uid)
    };
    let standings: Vec<Standing> =
        claims.iter().map(|claim| standing(claim, found(claim), original(claim))).collect();
    let mut roster: Vec<RosterEntry> = claims
        .into_iter()
        .zip(standings)
        .map(|(claim, standing)| RosterEntry {
            uid: claim.uid,
            hotkey: claim.hotkey,
            commitment: claim.commitment.ok(),
            precedence: claim.precedence,
            standing,
        })
        .collect();
    roster.sort_by_key(|entry| entry.uid);
    roster
}

/// A miner's own failure is named before a copied model, a copied model before what is not the
/// miner's fault (a passing trouble of a service must not void what is certain).
fn standing(claim: &Claim, lookup: Option<&Lookup>, copied_from: Option<Uid>) -> Standing {
    let invalid = |fault, reason: String| Standing::Invalid { fault, reason };
    if let Err(fault) = &claim.commitment {
        return invalid(Fault::Miner, fault.to_string());
    }
    match (lookup, copied_from) {
        (Some(Lookup::Failed { fault: Fault::Miner, reason, .. }), _) => {
            invalid(Fault::Miner, reason.clone())
        }
        (_, Some(uid)) => invalid(Fault::Miner, format!("duplicate_model:earliest_uid={uid}")),
        (Some(Lookup::Failed { fault, reason, .. }), None) => invalid(*fault, reason.clone()),
        (Some(Lookup::Found { deployment }), None) => Standing::Valid { deployment: deployment.clone() },
        (None, None) => invalid(Fault::Us, "not_looked_up".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn commitment_of(uid: u16) -> Commitment {
        let hotkey = Hotkey([uid as u8; 32]);
        Commitment {
            model_name: format!("u/leoma-{hotkey}"),
            model_revision: "0".repeat(40),
            chute_id: format!("chute-{uid}"),
        }
    }

    fn claim(uid: u16, reveal_block: u64) -> Claim {
        Claim {
            uid: Uid(uid),
            hotkey: Hotkey([uid as u8; 32]),
            precedence: Precedence { reveal_block: BlockNumber(reveal_block), index: 0, uid: Uid(uid) },
            commitment: Ok(commitment_of(uid)),
        }
    }

    fn found(uid: u16, hash: &str) -> (Commitment, Lookup) {
        let deployment =
            Deployment { chute_id: format!("chute-{uid}"), slug: format!("s{uid}"), model_hash: hash.into() };
        (commitment_of(uid), Lookup::Found { deployment })
    }

    fn failed(uid: u16, fault: Fault, reason: &str, hash: Option<&str>) -> (Commitment, Lookup) {
        let model_hash = hash.map(str::to_owned);
        (commitment_of(uid), Lookup::Failed { fault, reason: reason.into(), model_hash })
    }

    fn standings(claims: Vec<Claim>, lookups: Vec<(Commitment, Lookup)>) -> Vec<String> {
        build_roster(claims, &lookups.into_iter().collect())
            .into_iter()
            .map(|entry| match entry.standing {
                Standing::Valid { deployment } => format!("{} {}", entry.uid, deployment.slug),
                Standing::Invalid { fault, reason } => format!("{} {fault:?} {reason}", entry.uid),
            })
            .collect()
    }

    #[test]
    fn the_earliest_reveal_keeps_a_shared_model_whatever_its_uid() {
        let claims = vec![claim(3, 10), claim(1, 20), claim(2, 10)];
        let lookups = vec![found(1, "same"), found(2, "same"), found(3, "same")];
        assert_eq!(
            standings(claims, lookups),
            ["1 Miner duplicate_model:earliest_uid=2", "2 s2", "3 Miner duplicate_model:earliest_uid=2"]
        );
    }

    #[test]
    fn a_sleeping_chute_keeps_its_model_and_a_hash_decides_before_a_passing_trouble() {
        let claims = vec![claim(1, 1), claim(2, 2), claim(3, 3), claim(4, 4)];
        let lookups = vec![
            failed(1, Fault::Miner, "chute_not_running", Some("same")),
            found(2, "same"),
            failed(3, Fault::Us, "chute_lookup_unreachable", Some("same")),
            failed(4, Fault::Us, "chute_lookup_unreachable", Some("other")),
        ];
        assert_eq!(
            standings(claims, lookups),
            [
                "1 Miner chute_not_running",
                "2 Miner duplicate_model:earliest_uid=1",
                "3 Miner duplicate_model:earliest_uid=1",
                "4 Us chute_lookup_unreachable"
            ]
        );
    }

    #[test]
    fn a_copy_without_the_hash_is_named_after_the_earliest_that_it_is_like() {
        let claims = vec![claim(1, 3), claim(2, 2), claim(3, 1), claim(4, 4)];
        let lookups: BTreeMap<_, _> =
            [found(1, "a"), found(2, "b"), found(3, "c"), failed(4, Fault::Us, "later", Some("d"))].into();
        let rows = |pairs: &[(u16, u16)]| -> Vec<String> {
            let is_copy = |earlier: &Commitment, later: &Commitment| {
                pairs.iter().any(|(a, b)| (earlier, later) == (&commitment_of(*a), &commitment_of(*b)))
            };
            let rows = build_roster_with(claims.clone(), &lookups, is_copy).into_iter();
            let reason = |entry: RosterEntry| match entry.standing {
                Standing::Valid { .. } => "valid".to_owned(),
                Standing::Invalid { reason, .. } => reason,
            };
            rows.map(reason).collect()
        };
        assert_eq!(rows(&[]), ["valid", "valid", "valid", "later"]);
        let of = |uid| format!("duplicate_model:earliest_uid={uid}");
        assert_eq!(rows(&[(3, 1), (2, 1)]), [&of(3), "valid", "valid", "later"]);
        assert_eq!(rows(&[(3, 2), (2, 1)]), [&of(2), &of(3), "valid", "later"], "a copy of a copy");
        assert_eq!(rows(&[(1, 2), (2, 4)]), ["valid", "valid", "valid", &of(2)], "the later is the copy");
    }

    #[test]
    fn what_was_not_looked_up_is_not_the_miners_fault() {
        assert_eq!(standings(vec![claim(1, 1)], vec![]), ["1 Us not_looked_up"]);
    }

    #[test]
    fn unreadable_and_blacklisted_commitments_keep_a_row_and_are_not_looked_up() {
        let [good, bad, listed] = [1, 2, 3].map(|byte| Hotkey([byte; 32]));
        let text = |hotkey: Hotkey| {
            serde_json::json!({"model_name": format!("u/leoma{hotkey}"), "model_revision": "a".repeat(40),
                "chute_id": "c"})
            .to_string()
            .into_bytes()
        };
        let (good_text, listed_text) = (text(good), text(listed));
        let candidate = |uid, hotkey, data| Candidate {
            uid: Uid(uid),
            hotkey,
            index: u32::from(uid),
            revealed: vec![RevealedEntry { reveal_block: BlockNumber(4), data }],
        };
        let candidates = [
            candidate(9, listed, listed_text.as_slice()),
            candidate(5, good, good_text.as_slice()),
            candidate(7, bad, b"\xff{".as_slice()),
        ];
        let claims = read_claims(&candidates, &BTreeSet::from([listed]));
        assert_eq!(claims.iter().map(|claim| claim.uid.0).collect::<Vec<_>>(), [5, 7, 9]);
        assert_eq!(wanted_lookups(&claims).len(), 1);
        let roster = build_roster(claims, &BTreeMap::new());
        assert!(roster[0].commitment.is_some());
        assert_eq!(roster[0].precedence, Precedence { reveal_block: BlockNumber(4), index: 5, uid: Uid(5) });
        let miner = |reason: &str| Standing::Invalid { fault: Fault::Miner, reason: reason.into() };
        assert_eq!(roster[1].standing, miner("malformed_commitment"));
        assert_eq!(roster[2].standing, miner("blacklisted"));
    }

    proptest! {
        #[test]
        fn one_owner_per_model_and_the_order_of_claims_is_of_no_account(
            rows in prop::collection::btree_map(0_u16..40, (0_u64..4, 0_u8..4), 0..24),
            rotation in 0_usize..24,
        ) {
            let mut claims: Vec<Claim> = rows.iter().map(|(uid, (block, _))| claim(*uid, *block)).collect();
            let lookups: BTreeMap<_, _> =
                rows.iter().map(|(uid, (_, hash))| found(*uid, &hash.to_string())).collect();
            let roster = build_roster(claims.clone(), &lookups);
            if !claims.is_empty() {
                let by = rotation % claims.len();
                claims.rotate_left(by);
            }
            prop_assert_eq!(&build_roster(claims.clone(), &lookups), &roster);
            prop_assert_eq!(roster.len(), rows.len());
            prop_assert!(roster.is_sorted_by(|a, b| a.uid < b.uid));
            for hash in 0_u8..4 {
                let same = || roster.iter().filter(|entry| rows[&entry.uid.0].1 == hash);
                let valid: Vec<_> =
                    same().filter(|entry| matches!(entry.standing, Standing::Valid { .. })).collect();
                let earliest = same().min_by_key(|entry| entry.precedence);
                prop_assert_eq!(valid, earliest.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
