//! Commit-reveal of weights, version 4: what a commit hides and how it is sealed.

use parity_scale_codec::Encode;

use super::{
    port::{CommitCall, WeightsCall},
    timelock::{Beacon, TimelockError, seal},
};
use crate::domain::ids::{Digest, Hotkey};

/// The version of commit-reveal that this module speaks.
pub const VERSION: u16 = 4;

/// The hidden vector in the form that the chain decodes after the reveal: SCALE of hotkey, uids,
/// values and version key. The chain refuses a payload whose hotkey is not the committer's.
pub fn payload(hotkey: Hotkey, call: &WeightsCall) -> Vec<u8> {
    let uids: Vec<u16> = call.uids.iter().map(|uid| uid.0).collect();
    (hotkey.0.to_vec(), uids, &call.values, call.version_key).encode()
}

/// A sealed vector and the name by which it is found on chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedWeights {
    /// What is submitted.
    pub call: CommitCall,
    /// SHA-256 of the sealed bytes.
    pub commit: Digest,
}

/// Seals a vector of this hotkey to a round of the beacon.
///
/// # Errors
/// As [`seal`].
pub fn seal_weights(
    beacon: &Beacon,
    reveal_round: u64,
    hotkey: Hotkey,
    call: &WeightsCall,
) -> Result<SealedWeights, TimelockError> {
    let sealed = seal(&beacon.public_key, reveal_round, &payload(hotkey, call))?;
    let commit = Digest::of(&sealed);
    let (netuid, born_at) = (call.netuid, call.born_at);
    let call = CommitCall { netuid, sealed, reveal_round, version: VERSION, born_at };
    Ok(SealedWeights { call, commit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chain::timelock::open,
        domain::ids::{NetUid, Uid},
    };

    /// What Bittensor's own client seals (`tests/golden/timelock/make.py`).
    #[test]
    fn the_official_client_s_commit_opens_to_our_payload() {
        let golden = include_str!("../../tests/golden/timelock/golden.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("golden file");
        let bytes =
            |text: &serde_json::Value| hex::decode(text.as_str().expect("text")).expect("hexadecimal");
        let recorded = &golden["sealed"]["weights"];
        let numbers = |name: &str| {
            let list = recorded[name].as_array().expect(name).iter();
            list.map(|number| number.as_u64().expect("number") as u16).collect::<Vec<_>>()
        };
        let call = WeightsCall {
            netuid: NetUid(99),
            uids: numbers("uids").into_iter().map(Uid).collect(),
            values: numbers("values"),
            version_key: recorded["version_key"].as_u64().expect("key"),
            born_at: None,
        };
        let hotkey = Hotkey(bytes(&recorded["hotkey"]).try_into().expect("32 bytes"));
        let opened = open(&bytes(&recorded["sealed"]), &bytes(&golden["signature"])).expect("opens");
        assert_eq!(hex::encode(&opened), hex::encode(payload(hotkey, &call)));
        assert_eq!(opened, bytes(&recorded["opened"]));

        let ours = seal_weights(&Beacon::quicknet(), 1000, hotkey, &call).expect("sealed");
        assert_eq!(open(&ours.call.sealed, &bytes(&golden["signature"])), Ok(opened));
        assert_eq!(ours.commit, Digest::of(&ours.call.sealed));
    }
}
