//! From chain reads to the roster's candidates.

use std::collections::BTreeMap;

use crate::{
    chain::port::{MinerCommitments, Neuron},
    domain::{commitment::RevealedEntry, ids::Hotkey, roster::Candidate},
};

/// The neurons that revealed at least one commitment, in the order of `neurons`. Commitments of
/// hotkeys that are not (or no longer) in the metagraph are left out. The chain does not keep a
/// reveal's position inside its block, so that the position in storage order takes its place.
pub fn candidates<'a>(neurons: &[Neuron], commitments: &'a [MinerCommitments]) -> Vec<Candidate<'a>> {
    let by_hotkey: BTreeMap<Hotkey, (usize, &MinerCommitments)> = commitments
        .iter()
        .enumerate()
        .filter(|(_, entry)| !entry.revealed.is_empty())
        .map(|(index, entry)| (entry.hotkey, (index, entry)))
        .collect();
    neurons
        .iter()
        .filter_map(|neuron| {
            let (index, entry) = by_hotkey.get(&neuron.hotkey)?;
            let reveal = |reveal: &'a crate::chain::port::RevealedCommitment| RevealedEntry {
                reveal_block: reveal.reveal_block,
                data: &reveal.data,
            };
            Some(Candidate {
                uid: neuron.uid,
                hotkey: neuron.hotkey,
                index: u32::try_from(*index).unwrap_or(u32::MAX),
                revealed: entry.revealed.iter().map(reveal).collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chain::port::RevealedCommitment,
        domain::ids::{BlockNumber, Uid},
    };

    fn neuron(uid: u16, validator_permit: bool) -> Neuron {
        Neuron {
            uid: Uid(uid),
            hotkey: Hotkey([uid as u8; 32]),
            validator_permit,
            last_update: BlockNumber(0),
            stake: 0,
        }
    }

    fn committed(uid: u16, blocks: &[u64]) -> MinerCommitments {
        let reveal = |block: &u64| RevealedCommitment { reveal_block: BlockNumber(*block), data: vec![1] };
        MinerCommitments { hotkey: Hotkey([uid as u8; 32]), revealed: blocks.iter().map(reveal).collect() }
    }

    #[test]
    fn only_registered_hotkeys_with_a_commitment_are_miners() {
        let neurons = [neuron(0, true), neuron(1, false), neuron(2, true), neuron(3, false)];
        let commitments = [committed(9, &[1]), committed(3, &[5, 6]), committed(2, &[4]), committed(1, &[])];
        let candidates = candidates(&neurons, &commitments);
        let rows: Vec<_> = candidates.iter().map(|c| (c.uid.0, c.index, c.revealed.len())).collect();
        assert_eq!(rows, [(2, 2, 1), (3, 1, 2)]);
    }
}
