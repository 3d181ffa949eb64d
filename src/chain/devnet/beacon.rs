//! The development beacon: a key of the chain's own that signs rounds as drand's `quicknet` does.
//!
//! Its signatures open what was sealed to its public key, so timelocks end here as they do on
//! subtensor. It is **not** drand: whoever knows the chain's seed knows the key, and what was sealed
//! to quicknet's key stays shut (`Devnet::publish_pulse` brings in a published signature).

use ark_bls12_381::Fr;
use ark_ec::PrimeGroup;
use ark_ff::PrimeField;
use ark_serialize::CanonicalSerialize;
use serde::Deserialize;
use sha2::{Digest, Sha512};
use timelock::engines::drand::TinyBLS381;

use super::error::ModelError;
use crate::chain::timelock::{Beacon, PublicKeyGroup, identity};

/// Bytes of a compressed signature.
pub const SIGNATURE: usize = 48;

/// What happens to the rounds that were missed while the beacon stood still.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Those that something waits for are published now, late.
    Published,
    /// They are never published.
    Lost,
}

/// Whether rounds are published.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeaconSwitch {
    /// From now on no round is published: an outage of drand, or of those who carry its pulses.
    Stop,
    /// Rounds are published again.
    Start(Missed),
}

/// The beacon: key, schedule and whether it runs.
pub struct DevBeacon {
    secret: Fr,
    public: Beacon,
    running: bool,
    first_round: u64,
}

impl DevBeacon {
    /// A beacon with a key made from `seed`, on quicknet's clock with another `period` in seconds.
    pub fn new(seed: [u8; 32], period: u32) -> Result<Self, ModelError> {
        // Twice as many bits as the group's order has: the remainder is uniform for every purpose.
        let wide = Sha512::new().chain_update(b"leoma devnet beacon").chain_update(seed).finalize();
        let secret = Fr::from_le_bytes_mod_order(&wide);
        let mut public = Beacon { period: u64::from(period.max(1)), ..Beacon::quicknet() };
        (PublicKeyGroup::generator() * secret)
            .serialize_compressed(&mut public.public_key[..])
            .map_err(|error| unwritable("public key", error))?;
        Ok(Self { secret, public, running: true, first_round: 0 })
    }

    /// Public key, genesis and period.
    pub fn public(&self) -> &Beacon {
        &self.public
    }

    /// Newest round whose time has come: round 1 is signed at the genesis. Zero before it.
    pub fn newest_round(&self, unix_ms: u64) -> u64 {
        let seconds = unix_ms / 1000;
        if seconds < self.public.genesis_time { 0 } else { self.public.round_at(seconds) + 1 }
    }

    /// Whether rounds are published now.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Rounds before this one are not published any more.
    pub fn first_round(&self) -> u64 {
        self.first_round
    }

    /// Stops or starts the beacon at a time.
    pub fn switch(&mut self, switch: BeaconSwitch, unix_ms: u64) {
        self.running = switch != BeaconSwitch::Stop;
        if switch == BeaconSwitch::Start(Missed::Lost) {
            self.first_round = self.newest_round(unix_ms);
        }
    }

    /// Signature of a round.
    pub fn sign(&self, round: u64) -> Result<[u8; SIGNATURE], ModelError> {
        let mut signature = [0; SIGNATURE];
        identity(round)
            .extract::<TinyBLS381>(self.secret)
            .0
            .serialize_compressed(&mut signature[..])
            .map_err(|error| unwritable("signature", error))?;
        Ok(signature)
    }
}

fn unwritable(what: &str, error: ark_serialize::SerializationError) -> ModelError {
    ModelError::Encode { what: format!("the beacon's {what}"), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::timelock::{TimelockError, open, seal};

    fn beacon(seed: u8) -> DevBeacon {
        DevBeacon::new([seed; 32], 3).expect("a key")
    }

    #[test]
    fn a_signature_opens_what_was_sealed_to_its_round_and_nothing_else() {
        let (ours, other) = (beacon(1), beacon(2));
        let sealed = seal(&ours.public().public_key, 77, b"message").expect("sealed");
        let sign = |beacon: &DevBeacon, round| beacon.sign(round).expect("signature");
        assert_eq!(open(&sealed, &sign(&ours, 77)).as_deref(), Ok(&b"message"[..]));
        assert_eq!(open(&sealed, &sign(&ours, 78)), Err(TimelockError::NotOpened));
        assert_eq!(open(&sealed, &sign(&other, 77)), Err(TimelockError::NotOpened));
        assert_eq!(beacon(1).public(), ours.public(), "the key comes from the seed");
        assert_ne!(other.public(), ours.public());
    }

    #[test]
    fn the_first_round_is_signed_at_the_genesis() {
        let beacon = beacon(1);
        let genesis = beacon.public().genesis_time * 1000;
        assert_eq!(beacon.newest_round(genesis - 1), 0);
        assert_eq!(beacon.newest_round(genesis), 1);
        assert_eq!(beacon.newest_round(genesis + 2_999), 1);
        assert_eq!(beacon.newest_round(genesis + 3_000), 2);
    }

    #[test]
    fn lost_rounds_stay_lost_and_published_ones_come_late() {
        let mut beacon = beacon(1);
        let at = |round: u64| (beacon_genesis() + (round - 1) * 3) * 1000;
        beacon.switch(BeaconSwitch::Stop, at(10));
        assert!(!beacon.is_running());
        beacon.switch(BeaconSwitch::Start(Missed::Published), at(20));
        assert!(beacon.is_running());
        assert_eq!(beacon.first_round(), 0);
        beacon.switch(BeaconSwitch::Start(Missed::Lost), at(30));
        assert_eq!(beacon.first_round(), 30);
    }

    fn beacon_genesis() -> u64 {
        Beacon::quicknet().genesis_time
    }
}
