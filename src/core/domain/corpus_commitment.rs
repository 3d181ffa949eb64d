//! What is published of a corpus before its clips are: one salted digest per clip, and how a clip is opened later.
//!
//! Miners must not learn which clips will come, and nobody should have to believe that a validator picked its clips
//! beforehand. So the validator publishes a [`CorpusCommitment`]: for every clip, in walk order, SHA-256 over a
//! 32-byte salt and the clip's manifest entry. When a round has closed, its [`ClipOpening`] tells position, entry and
//! salt; [`CorpusCommitment::verify`] recomputes the digest. A salt says nothing about other clips: each is derived
//! from a secret that stays with the validator.

use serde::{Deserialize, Serialize};

use super::{
    ids::{BlockHash, Digest},
    plan::ClipChoice,
};

/// Version of the commitment's form.
pub const COMMITMENT_VERSION: u32 = 1;
/// Name of the opening among a round's artifacts.
pub const OPENING_FILE: &str = "clip_opening.json";
/// Most clips of a commitment, as of a manifest.
pub const MAX_COMMITTED_CLIPS: usize = 20_000;
/// Longest manifest entry that an opening may hold, in bytes.
pub const MAX_ENTRY_BYTES: usize = 16_384;
/// Largest commitment in bytes, as JSON.
pub const MAX_COMMITMENT_BYTES: usize = 2 << 20;

/// The secret from which the salts of a corpus are derived. Never shown: neither by `Debug` nor by serde.
#[derive(Clone, PartialEq, Eq)]
pub struct CorpusSecret([u8; 32]);

impl CorpusSecret {
    /// A secret of 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Reads the 64 hexadecimal digits of the secret's file.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).ok().map(|()| Self(bytes))
    }

    /// The 64 hexadecimal digits for the secret's file, and for nothing else.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The salt of one clip. It depends on nothing but secret and entry, so that a clip keeps its digest when
    /// the manifest grows.
    pub fn salt(&self, entry: &str) -> Digest {
        Digest::of_parts(&[b"leoma/corpus/salt/1", &self.0, Digest::of(entry.as_bytes()).0.as_slice()])
    }
}

impl std::fmt::Debug for CorpusSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CorpusSecret(***)")
    }
}

/// The salted digest of a manifest entry.
pub fn committed(entry: &str, salt: &Digest) -> Digest {
    Digest::of_parts(&[b"leoma/corpus/clip/1", &salt.0, entry.as_bytes()])
}

/// What is published of a corpus beforehand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusCommitment {
    /// Version of this form.
    pub version: u32,
    /// One salted digest per clip, in walk order.
    pub clips: Vec<Digest>,
}

impl CorpusCommitment {
    /// Commits to manifest entries, given in walk order in their canonical form.
    pub fn of<'a>(entries: impl Iterator<Item = &'a str>, secret: &CorpusSecret) -> Self {
        let clips = entries.map(|entry| committed(entry, &secret.salt(entry))).collect();
        Self { version: COMMITMENT_VERSION, clips }
    }

    /// Reads a published commitment.
    ///
    /// # Errors
    /// When it is no commitment of a version that is known here.
    pub fn parse(file: &[u8]) -> Result<Self, OpeningError> {
        if file.len() > MAX_COMMITMENT_BYTES {
            return Err(OpeningError::Form("it has too many bytes".into()));
        }
        let read: Self =
            serde_json::from_slice(file).map_err(|error| OpeningError::Form(error.to_string()))?;
        if read.version != COMMITMENT_VERSION {
            return Err(OpeningError::Form(format!("version {} is not known here", read.version)));
        }
        if read.clips.len() > MAX_COMMITTED_CLIPS {
            return Err(OpeningError::Form(format!("it has more than {MAX_COMMITTED_CLIPS} clips")));
        }
        Ok(read)
    }

    /// The bytes to publish: JSON without spaces.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Integers and digests only: serialisation has no way to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Names this commitment: SHA-256 of [`CorpusCommitment::to_bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Checks that an opening is of this commitment, and says what it opens.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn verify(&self, opening: &ClipOpening) -> Result<OpenedClip, OpeningError> {
        let clips = self.clips.len();
        let wanted =
            self.clips.get(opening.position).ok_or(OpeningError::Position { at: opening.position, clips })?;
        let opened = verify_opening(wanted, opening)?;
        match opening.commitment == self.digest() {
            true => Ok(opened),
            false => Err(OpeningError::Commitment { got: opening.commitment, expected: self.digest() }),
        }
    }

    /// Positions that a round's walk passed before it came to `position`: each must have been opened by an
    /// earlier round, or be of a clip that cannot serve. `None`: there is no such position.
    pub fn passed_before(&self, anchor: &BlockHash, position: usize) -> Option<Vec<usize>> {
        let clips = self.clips.len();
        let start = walk_start(anchor, clips);
        (position < clips)
            .then(|| (0..clips).map(|step| (start + step) % clips).take_while(|at| *at != position).collect())
    }
}

/// Index at which a round's walk over `count` clips begins: the block hash as a big-endian integer modulo `count`; 0 for
/// none.
pub fn walk_start(anchor: &BlockHash, count: usize) -> usize {
    let Some(modulus) = std::num::NonZeroU64::new(count as u64) else { return 0 };
    let fold =
        |rest: u64, byte: &u8| ((u128::from(rest) << 8 | u128::from(*byte)) % modulus.get() as u128) as u64;
    anchor.0.iter().fold(0, fold) as usize
}

/// What opens one clip of a commitment when its round has closed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipOpening {
    /// Digest of the commitment.
    pub commitment: Digest,
    /// The clip's place in it.
    pub position: usize,
    /// The clip's manifest entry in canonical form (JSON without spaces), as it was committed to.
    pub entry: String,
    /// The clip's salt.
    pub salt: Digest,
}

impl ClipOpening {
    /// What the entry says of the clip. That it was committed to is another question: [`CorpusCommitment::verify`].
    ///
    /// # Errors
    /// When the entry is too long or cannot be read.
    pub fn clip(&self) -> Result<OpenedClip, OpeningError> {
        if self.entry.len() > MAX_ENTRY_BYTES {
            return Err(OpeningError::Form(format!("the entry has more than {MAX_ENTRY_BYTES} bytes")));
        }
        serde_json::from_str(&self.entry).map_err(|error| OpeningError::Form(error.to_string()))
    }
}

/// What an opened entry says of the clip, as far as a round's plan says it too. Other fields are not looked at, so that
/// entries of later versions can be verified.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct OpenedClip {
    /// Key in the manifest.
    pub key: String,
    /// SHA-256 of the source file.
    pub sha256: Digest,
    /// What the clip shows: the prompt.
    pub caption: String,
}

impl OpenedClip {
    /// Whether a round's choice is of this clip.
    pub fn is_of(&self, choice: &ClipChoice) -> bool {
        (&self.key, self.sha256, &self.caption) == (&choice.key, choice.sha256, &choice.prompt)
    }
}

/// Opens one entry of a commitment.
pub fn opening(commitment: &CorpusCommitment, position: usize, entry: &str, salt: Digest) -> ClipOpening {
    ClipOpening { commitment: commitment.digest(), position, entry: entry.to_owned(), salt }
}

/// Checks an opening against the salted digest that was published.
///
/// # Errors
/// When salt and entry do not give the digest, or the entry cannot be read.
pub fn verify_opening(wanted: &Digest, opening: &ClipOpening) -> Result<OpenedClip, OpeningError> {
    let clip = opening.clip()?;
    let got = committed(&opening.entry, &opening.salt);
    if got != *wanted {
        return Err(OpeningError::Digest { position: opening.position, got, expected: *wanted });
    }
    Ok(clip)
}

/// Why an opening, or a commitment, was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpeningError {
    /// It cannot be read.
    #[error("not understood: {0}")]
    Form(String),
    /// The commitment has fewer clips.
    #[error("position {at} is opened, the commitment has {clips} clips")]
    Position {
        /// The opened position.
        at: usize,
        /// Clips of the commitment.
        clips: usize,
    },
    /// Another commitment is opened.
    #[error("commitment {got} is opened, this is {expected}")]
    Commitment {
        /// Named by the opening.
        got: Digest,
        /// The one at hand.
        expected: Digest,
    },
    /// Salt and entry are not what was committed to.
    #[error(
        "position {position}: salt and entry give {got}, {expected} was published: the clip was exchanged"
    )]
    Digest {
        /// The opened position.
        position: usize,
        /// What they give.
        got: Digest,
        /// What was published.
        expected: Digest,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(key: &str) -> String {
        format!(r#"{{"key":"{key}","sha256":"{}","caption":"A ball rolls.","later":1}}"#, Digest::of(b"x"))
    }

    fn corpus(keys: &[&str], secret: u8) -> (Vec<String>, CorpusSecret, CorpusCommitment) {
        let entries: Vec<String> = keys.iter().map(|key| entry(key)).collect();
        let secret = CorpusSecret::new([secret; 32]);
        let commitment = CorpusCommitment::of(entries.iter().map(String::as_str), &secret);
        (entries, secret, commitment)
    }

    #[test]
    fn what_was_committed_to_opens_and_nothing_else_does() {
        let (entries, secret, commitment) = corpus(&["a.mp4", "b.mp4"], 7);
        let opened = |position: usize, entry: &str, salt| {
            commitment.verify(&opening(&commitment, position, entry, salt))
        };
        let clip = opened(1, &entries[1], secret.salt(&entries[1])).expect("committed to");
        assert_eq!(clip.key, "b.mp4");
        let choice = ClipChoice {
            key: "b.mp4".into(),
            sha256: Digest::of(b"x"),
            window_start_us: 0,
            first_frame_png: Digest::of(b"png"),
            reference_frames: Digest::of(b"planes"),
            prompt: "A ball rolls.".into(),
        };
        assert!(clip.is_of(&choice) && !clip.is_of(&ClipChoice { prompt: "Another.".into(), ..choice }));

        let refused = opened(0, &entries[1], secret.salt(&entries[1]));
        assert!(matches!(refused, Err(OpeningError::Digest { position: 0, .. })), "{refused:?}");
        let refused = opened(1, &entry("c.mp4"), secret.salt(&entries[1]));
        assert!(matches!(refused, Err(OpeningError::Digest { .. })), "{refused:?}");
        let refused = opened(1, &entries[1], secret.salt(&entries[0]));
        assert!(matches!(refused, Err(OpeningError::Digest { .. })), "{refused:?}");
        let refused = opened(2, &entries[1], secret.salt(&entries[1]));
        assert_eq!(refused, Err(OpeningError::Position { at: 2, clips: 2 }));
        let mut foreign = opening(&commitment, 1, &entries[1], secret.salt(&entries[1]));
        foreign.commitment = Digest::of(b"another");
        assert!(matches!(commitment.verify(&foreign), Err(OpeningError::Commitment { .. })));
    }

    #[test]
    fn a_growing_manifest_keeps_the_digests_of_its_clips_and_another_secret_gives_others() {
        let (_, _, before) = corpus(&["a.mp4", "b.mp4"], 7);
        let (_, _, after) = corpus(&["a.mp4", "aa.mp4", "b.mp4"], 7);
        assert_eq!((before.clips[0], before.clips[1]), (after.clips[0], after.clips[2]));
        let (_, _, other) = corpus(&["a.mp4", "b.mp4"], 8);
        assert!(other.clips.iter().all(|clip| !before.clips.contains(clip)));
    }

    #[test]
    fn the_published_bytes_hold_neither_entry_nor_secret_and_read_back() {
        let (entries, secret, commitment) = corpus(&["a.mp4", "b.mp4"], 7);
        let bytes = commitment.to_bytes();
        let text = String::from_utf8(bytes.clone()).expect("JSON");
        assert!(!text.contains("mp4") && !text.contains(&secret.to_hex()));
        assert!(!text.contains(&secret.salt(&entries[0]).to_string()));
        assert_eq!(CorpusCommitment::parse(&bytes), Ok(commitment));
        assert_eq!(format!("{secret:?}"), "CorpusSecret(***)");
        assert_eq!(CorpusSecret::from_hex(&format!("{}\n", secret.to_hex())), Some(secret));
        assert_eq!(CorpusSecret::from_hex("07"), None);
        assert!(CorpusCommitment::parse(br#"{"version":2,"clips":[]}"#).is_err());
        assert!(CorpusCommitment::parse(&vec![b' '; MAX_COMMITMENT_BYTES + 1]).is_err());
    }

    #[test]
    fn the_walk_to_a_position_can_be_checked() {
        let (_, _, commitment) = corpus(&["a.mp4", "b.mp4", "c.mp4", "d.mp4"], 7);
        let mut hash = [0; 32];
        hash[31] = 2;
        let anchor = BlockHash(hash);
        assert_eq!(commitment.passed_before(&anchor, 2), Some(vec![]));
        assert_eq!(commitment.passed_before(&anchor, 1), Some(vec![2, 3, 0]));
        assert_eq!(commitment.passed_before(&anchor, 4), None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _unread = CorpusCommitment::parse(&bytes);
            if let Ok(opening) = serde_json::from_slice::<ClipOpening>(&bytes) {
                prop_assert!(verify_opening(&Digest::of(b"x"), &opening).is_err());
            }
        }

        #[test]
        fn every_change_of_entry_or_salt_is_seen(key in "[a-z]{1,8}", at in 0usize..80, salt in any::<[u8; 32]>()) {
            let (entries, secret, commitment) = corpus(&[&key], 3);
            let mut changed = entries[0].clone().into_bytes();
            let at = at % changed.len();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).expect("ASCII");
            prop_assert!(commitment.verify(&opening(&commitment, 0, &changed, secret.salt(&entries[0]))).is_err());
            prop_assert!(commitment.verify(&opening(&commitment, 0, &entries[0], Digest(salt))).is_err());
        }
    }
}
