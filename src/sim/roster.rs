//! Who takes part in the simulation: three honest stand-ins, cheats and failures.

use std::time::Duration;

use leoma_film::{attacks::Attack, transfer::TransferStyle};
use serde::{Deserialize, Serialize};

use crate::{
    chain::{devnet::DevNeuron, wallet::HotkeySigner},
    domain::{
        commitment::Commitment,
        ids::{Digest, Hotkey, Uid},
    },
};

/// Slot of the subnet's owner.
pub const OWNER: Uid = Uid(0);
/// Slot of the development validator.
pub const VALIDATOR: Uid = Uid(1);
/// Slot of the first miner; the others follow in the order of [`personas`].
const FIRST_MINER: u16 = 2;
/// Stake of the owner and of the validator, in rao.
const OWNER_STAKE: u64 = 1_000_000_000_000;
const VALIDATOR_STAKE: u64 = 50_000_000_000_000;
/// Blocks between the reveals of two miners, and from the last one to the chain's start.
const REVEAL_STEP: u64 = 10;

/// What a right validator makes of a miner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// It may win.
    Honest,
    /// It tries to be paid for nothing; it must never win.
    Cheat,
    /// It does not deliver; it must never win.
    Failure,
}

/// What a miner's chute does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Behaviour {
    /// Moves the given frame by the real clip's motion.
    Transfer {
        /// How it moves.
        style: TransferStyle,
        /// x264's quality, smaller is better.
        crf: u8,
        /// Whether the copycat copies this miner.
        copied: bool,
    },
    /// The file of the honest miner that is marked so.
    Copycat,
    /// The first frames of a motion transfer: nearly perfect, but too few.
    Short {
        /// How many frames.
        frames: u32,
    },
    /// A cheat of the evidence, for a gate of its own.
    Attack {
        /// Which.
        attack: Attack,
        /// Which variant of it.
        variant: usize,
    },
    /// Another size than the asked one.
    WrongSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A file with damaged pictures.
    Corrupt,
    /// No answer.
    Hang,
    /// Works, but its chute has no running instance.
    Cold,
    /// Works, but its commitment is no JSON.
    Malformed,
}

/// A character of the play.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Persona {
    /// Name in reports.
    pub label: &'static str,
    /// What a right validator makes of it.
    pub expect: Expectation,
    /// What its chute does.
    pub behaviour: Behaviour,
}

/// Attacks that take part, with their variant, one of each kind at most. Labels and reveals follow from the list; the
/// report counts every one of them as a cheat.
pub const ATTACKS: &[(Attack, usize)] = &[
    (Attack::Pan, 0),
    (Attack::Zoom, 0),
    (Attack::BlurredFreeze, 1),
    (Attack::Shimmer, 0),
    (Attack::Crossfade, 0),
    (Attack::Loop, 0),
    (Attack::SourceCopy, 0),
    (Attack::Reencode, 0),
    (Attack::TextOverlay, 1),
];

/// A miner that attacks.
fn attacker((attack, variant): (Attack, usize)) -> Persona {
    Persona {
        label: attack.name(),
        expect: Expectation::Cheat,
        behaviour: Behaviour::Attack { attack, variant },
    }
}

/// The characters, in the order of their uids and of their reveals.
pub fn personas() -> Vec<Persona> {
    let attackers = ATTACKS.iter().map(|attack| attacker(*attack));
    standing_cast().into_iter().chain(attackers).collect()
}

fn standing_cast() -> Vec<Persona> {
    let honest = |label, pace, softness, crf| Persona {
        label,
        expect: Expectation::Honest,
        behaviour: Behaviour::Transfer {
            style: TransferStyle { pace, softness },
            crf,
            copied: label == "honest-sharp",
        },
    };
    let other = |label, expect, behaviour| Persona { label, expect, behaviour };
    vec![
        honest("honest-sharp", 1.0, 0.0, 17),
        honest("honest-lively", 1.3, 0.2, 23),
        honest("honest-soft", 0.7, 0.45, 29),
        attacker((Attack::Freeze, 0)),
        attacker((Attack::Parallax, 0)),
        other("copycat", Expectation::Cheat, Behaviour::Copycat),
        other("too-short", Expectation::Cheat, Behaviour::Short { frames: 24 }),
        other("wrong-size", Expectation::Failure, Behaviour::WrongSize { width: 640, height: 368 }),
        other("corrupt", Expectation::Failure, Behaviour::Corrupt),
        other("hanging", Expectation::Failure, Behaviour::Hang),
        other("cold-chute", Expectation::Failure, Behaviour::Cold),
        other("bad-commitment", Expectation::Failure, Behaviour::Malformed),
    ]
}

/// A miner as the subnet and the services know it.
#[derive(Clone, PartialEq, Debug)]
pub struct Enrolled {
    /// Its character.
    pub persona: Persona,
    /// Its slot.
    pub uid: Uid,
    /// Its key.
    pub hotkey: Hotkey,
    /// What it committed to, or meant to.
    pub commitment: Commitment,
    /// Host part of its chute.
    pub slug: String,
}

/// One line of `roster.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterLine {
    /// The miner.
    pub hotkey: Hotkey,
    /// Its slot.
    pub uid: Uid,
    /// Its name in reports.
    pub label: String,
    /// What a right validator makes of it.
    pub expect: Expectation,
}

/// A key that depends on the simulation's seed and a name alone. Worth nothing: everyone has it.
pub fn development_key(seed: u64, name: &str) -> HotkeySigner {
    HotkeySigner::from_seed(Digest::of_parts(&[b"leoma/sim/hotkey", &seed.to_le_bytes(), name.as_bytes()]).0)
}

impl Enrolled {
    /// All characters with their keys and commitments.
    pub fn all(seed: u64) -> Vec<Self> {
        personas()
            .into_iter()
            .zip(FIRST_MINER..)
            .map(|(persona, uid)| Self::new(seed, persona, Uid(uid)))
            .collect()
    }

    fn new(seed: u64, persona: Persona, uid: Uid) -> Self {
        let label = persona.label;
        let hotkey = development_key(seed, label).hotkey();
        let digest = |what: &str| {
            hex::encode(
                Digest::of_parts(&[b"leoma/sim", what.as_bytes(), &seed.to_le_bytes(), label.as_bytes()]).0,
            )
        };
        let id = digest("chute");
        let commitment = Commitment {
            model_name: format!("stand-ins/leoma-{label}-{hotkey}"),
            model_revision: digest("revision")[..40].to_owned(),
            chute_id: [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..32]].join("-"),
        };
        Self { persona, uid, hotkey, commitment, slug: format!("stand-in-{label}") }
    }

    /// Digest of the one weight file in its repository, in hexadecimal; distinct per miner.
    pub fn weights_sha256(&self) -> String {
        Digest::of_parts(&[b"leoma/sim/weights", self.commitment.model_revision.as_bytes()]).to_string()
    }

    /// The bytes that its commitment revealed.
    pub fn revealed(&self) -> Vec<u8> {
        let json = serde_json::json!({
            "model_name": self.commitment.model_name,
            "model_revision": self.commitment.model_revision,
            "chute_id": self.commitment.chute_id,
        });
        let mut bytes = json.to_string().into_bytes();
        if self.persona.behaviour == Behaviour::Malformed {
            bytes.truncate(bytes.len() / 2);
        }
        bytes
    }

    /// Its line of `roster.json`.
    pub fn line(&self) -> RosterLine {
        RosterLine {
            hotkey: self.hotkey,
            uid: self.uid,
            label: self.persona.label.to_owned(),
            expect: self.persona.expect,
        }
    }
}

/// The subnet's neurons by uid: owner, validator, miners. Commitments were revealed one after the
/// other before the chain's start, so that nobody who copies is earlier than what it copies.
pub fn neurons(seed: u64, start_block: u64, miners: &[Enrolled]) -> Vec<DevNeuron> {
    let mut all = vec![
        DevNeuron::validator(development_key(seed, "owner").hotkey(), OWNER_STAKE),
        DevNeuron::validator(development_key(seed, "validator").hotkey(), VALIDATOR_STAKE),
    ];
    let first = start_block.saturating_sub(REVEAL_STEP * (miners.len() as u64 + 1)).max(1);
    all.extend(miners.iter().zip(0..).map(|(miner, place)| {
        DevNeuron::miner(miner.hotkey).with_revealed(first + REVEAL_STEP * place, &miner.revealed())
    }));
    all
}

/// How long the copycat waits for something to copy.
pub(super) const COPY_PATIENCE: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use leoma_film::attacks::{Copied, File, Needs};

    use super::*;

    #[test]
    fn keys_slots_models_and_chutes_are_distinct_and_repeatable() {
        let miners = Enrolled::all(7);
        assert_eq!(miners, Enrolled::all(7));
        assert_ne!(miners[0].hotkey, Enrolled::all(8)[0].hotkey);
        let distinct = |of: fn(&Enrolled) -> String| {
            let set: std::collections::BTreeSet<String> = miners.iter().map(of).collect();
            assert_eq!(set.len(), miners.len());
        };
        distinct(|m| m.hotkey.to_string());
        distinct(|m| m.uid.to_string());
        distinct(|m| m.commitment.chute_id.clone());
        distinct(|m| m.commitment.model_revision.clone());
        distinct(|m| m.slug.clone());
        distinct(Enrolled::weights_sha256);
    }

    #[test]
    fn all_commitments_but_the_malformed_one_are_in_order() {
        for miner in Enrolled::all(1) {
            let read = Commitment::parse(&miner.revealed());
            if miner.persona.behaviour == Behaviour::Malformed {
                assert!(read.is_err());
                continue;
            }
            let commitment = read.expect("a commitment");
            assert_eq!(commitment, miner.commitment);
            commitment.check_owner(&miner.hotkey).expect("its own name");
            commitment.check_form().expect("well formed");
        }
    }

    #[test]
    fn the_play_has_three_honest_miners_and_every_kind_of_trouble() {
        let count = |expect| personas().iter().filter(|p| p.expect == expect).count();
        assert_eq!(count(Expectation::Honest), 3);
        assert_eq!(count(Expectation::Cheat), 4 + ATTACKS.len());
        assert_eq!(count(Expectation::Failure), 5);
    }

    #[test]
    fn attacks_that_play_need_no_other_file_than_an_encode() {
        for persona in personas() {
            if let Behaviour::Attack { attack, variant } = persona.behaviour {
                let plain = matches!(attack.file(variant), File::Encoded | File::Copied(Copied::Encoded));
                assert!(plain && attack.needs(variant) != Needs::Other, "{}", persona.label);
            }
        }
    }

    #[test]
    fn every_attack_would_be_a_cheat_of_its_own_name() {
        let cast = personas();
        for attack in Attack::ALL {
            let persona = attacker((attack, 0));
            assert_eq!((persona.label, persona.expect), (attack.name(), Expectation::Cheat));
            let taken = cast.iter().filter(|other| other.label == persona.label);
            let of_this = |other: &Persona| matches!(other.behaviour, Behaviour::Attack { attack: playing, .. } if playing == attack);
            assert!(taken.clone().all(of_this), "{} is a name of its own", persona.label);
            assert!(taken.count() < 2, "{} plays once", persona.label);
        }
    }

    #[test]
    fn who_copies_committed_later_than_what_it_copies() {
        let miners = Enrolled::all(1);
        let neurons = neurons(1, 700_090, &miners);
        assert_eq!(neurons.len(), miners.len() + 2);
        let blocks: Vec<u64> = neurons[2..].iter().map(|n| n.revealed[0].0).collect();
        assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]) && blocks[blocks.len() - 1] < 700_090);
        assert_eq!(neurons[usize::from(miners[0].uid.0)].hotkey, miners[0].hotkey);
    }
}
