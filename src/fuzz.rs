//! The doors through which strangers' bytes come in, one function each: what fuzz targets and their corpora run.
//!
//! A door takes any bytes and must come back, whatever they are. Where bytes are taken it also checks what must hold of
//! them, and panics where it does not. `tests/fuzz` runs the committed corpora and seeded mutations of them.

use crate::{bundle, chain, corpus, decode, domain, miners::doors};

/// One door.
#[derive(Clone, Copy)]
pub struct Door {
    /// Its name, also of its corpus's folder.
    pub name: &'static str,
    /// Whose bytes come in.
    pub from: &'static str,
    /// Takes bytes. Returns whether they were what the door is for.
    pub open: fn(&[u8]) -> bool,
}

/// All doors.
pub const DOORS: [Door; 13] = [
    Door { name: "commitment", from: "a miner, through the chain", open: commitment },
    Door { name: "revealed", from: "a miner, opened by the chain", open: revealed },
    Door { name: "manifest", from: "whoever keeps the corpus", open: manifest },
    Door { name: "bundle", from: "another validator", open: bundle },
    Door { name: "bundle_data", from: "another validator, under its signature", open: bundle_data },
    Door { name: "video", from: "a miner", open: video },
    Door { name: "corpus_commitment", from: "another validator", open: corpus_commitment },
    Door { name: "clip_opening", from: "another validator", open: clip_opening },
    Door { name: "caption_reply", from: "a vision service", open: caption_reply },
    Door { name: "chute", from: "Chutes, in a miner's words", open: doors::chute },
    Door { name: "model", from: "Hugging Face, in a miner's words", open: doors::model },
    Door { name: "headers", from: "any service", open: doors::headers },
    Door { name: "tensors", from: "a miner's repository", open: doors::tensors },
];

fn commitment(bytes: &[u8]) -> bool {
    let Ok(read) = domain::commitment::Commitment::parse(bytes) else { return false };
    read.faults(&domain::ids::Hotkey([7; 32]));
    let again = domain::commitment::Commitment::parse(read.to_json().as_bytes());
    assert_eq!(again, Ok(read), "what was read is written and read again");
    true
}

fn revealed(bytes: &[u8]) -> bool {
    let inner = chain::subtensor::strip_scale_string(bytes);
    assert!(bytes.ends_with(inner), "framing is taken off the front and nowhere else");
    commitment(inner)
}

fn manifest(bytes: &[u8]) -> bool {
    let Ok(read) = corpus::manifest::Manifest::parse(bytes) else { return false };
    let again = corpus::manifest::Manifest::parse(read.to_toml().as_bytes());
    assert_eq!(again.ok().map(|again| again.digest()), Some(read.digest()), "written and read again");
    true
}

fn bundle(bytes: &[u8]) -> bool {
    let Ok(read) = bundle::parse(bytes) else { return false };
    assert_eq!(
        read.to_json().ok().map(String::into_bytes).as_deref(),
        Some(bytes),
        "only canonical bytes are taken"
    );
    true
}

/// What a signed document says may be anything that its validator's key was put under.
fn bundle_data(bytes: &[u8]) -> bool {
    let Ok(read) = serde_json::from_slice::<domain::bundle::RoundBundle>(bytes) else { return false };
    read.named_files();
    read.judge(&domain::rules::Rules::embedded().payout).ok();
    true
}

fn video(bytes: &[u8]) -> bool {
    decode::container_is_sound(bytes)
}

fn corpus_commitment(bytes: &[u8]) -> bool {
    let Ok(read) = domain::corpus_commitment::CorpusCommitment::parse(bytes) else { return false };
    let again = domain::corpus_commitment::CorpusCommitment::parse(&read.to_bytes());
    assert_eq!(again.map(|again| again.digest()), Ok(read.digest()), "written and read again");
    true
}

/// Whoever commits to an entry and a salt can open them, whatever they are.
fn clip_opening(bytes: &[u8]) -> bool {
    use domain::corpus_commitment::{ClipOpening, committed, verify_opening};
    let Ok(read) = serde_json::from_slice::<ClipOpening>(bytes) else { return false };
    let clip = verify_opening(&committed(&read.entry, &read.salt), &read);
    assert_eq!(clip, read.clip(), "the digest fits");
    assert!(verify_opening(&domain::ids::Digest([0; 32]), &read).is_err());
    clip.is_ok()
}

fn caption_reply(bytes: &[u8]) -> bool {
    let Ok(caption) = corpus::vision::caption_of(bytes) else { return false };
    assert!(!caption.contains('\n') && caption.chars().count() <= 400, "{caption}");
    true
}
