//! Bundles that somebody changed: on the way, or the validator itself, who signs what it likes.

use std::path::{Path, PathBuf};

use leoma::{
    bundle::{
        SignedBundle, parse,
        sealed::{ROUND_DOMAIN, canonical, message},
    },
    chain::wallet::HotkeySigner,
    domain::{
        bundle::{FileRecord, RoundBundle, RoundResult},
        ids::Digest,
        outcome::Outcome,
        score::{Score, ScoreCard},
    },
    quality::canonical::score_digest,
};

use super::{Packed, leoma, text, verify};

fn document(folder: &Path) -> PathBuf {
    folder.join("round.json")
}

pub fn read(folder: &Path) -> SignedBundle {
    parse(&std::fs::read(document(folder)).expect("round.json")).expect("a signed document")
}

/// Changes a document and signs it anew.
pub fn signed_anew(folder: &Path, signer: &HotkeySigner, change: impl FnOnce(&mut RoundBundle)) {
    let mut signed = read(folder);
    change(&mut signed.bundle);
    (_, signed.digest) = canonical(&signed.bundle).expect("integers");
    signed.signature = signer.sign(&message(ROUND_DOMAIN, &signed.digest));
    std::fs::write(document(folder), signed.to_json().expect("integers")).expect("written");
}

/// The winner's score card.
pub fn winning_card(bundle: &mut RoundBundle) -> &mut ScoreCard {
    let winner = bundle.winner().expect("a winner");
    let record = bundle.miners.iter_mut().find(|miner| miner.hotkey == winner).expect("a row");
    match &mut record.ticket {
        Some(Outcome::Scored { card }) => card,
        other => panic!("the winner's clip was scored, not {other:?}"),
    }
}

/// Forged text, file by file, by somebody without the key.
async fn without_the_key(packed: &Packed) {
    let edited = |name: &str, edit: &dyn Fn(String) -> String| {
        let folder = packed.copy(name);
        let path = document(&folder);
        let text = std::fs::read_to_string(&path).expect("round.json");
        let changed = edit(text.clone());
        assert_ne!(changed, text, "{name}");
        std::fs::write(&path, changed).expect("written");
        folder
    };
    let mut bundle = read(&packed.folder);
    let overall = format!("\"overall\":{}", winning_card(&mut bundle.bundle).overall);
    let signature = hex::encode(bundle.signature);
    let digest = bundle.digest.to_string();
    for (name, part, edit) in [
        (
            "score",
            "signature round.json",
            &(|text: String| text.replace(&overall, "\"overall\":9999")) as &dyn Fn(String) -> String,
        ),
        ("white-space", "form round.json", &|text| text.replacen(':', ": ", 1)),
        ("unsigned", "form round.json", &|text| text.replace(&format!(",\"signature\":\"{signature}\""), "")),
        ("empty-signature", "signature round.json", &|text| text.replace(&signature, "")),
        ("zero-signature", "signature round.json", &|text| text.replace(&signature, &"0".repeat(128))),
        ("digest", "signature round.json", &|text| {
            text.replace(
                &format!("\"digest\":\"{digest}\",\"signature\""),
                &format!("\"digest\":\"{}\",\"signature\"", "0".repeat(64)),
            )
        }),
        ("schema", "form round.json", &|text| text.replace("\"schema\":1", "\"schema\":2")),
        ("half", "form round.json", &|text| text[..text.len() / 2].to_owned()),
    ] {
        let (code, told) = verify(text(&edited(name, edit))).await;
        assert!(code == 4 && told.len() == 1 && told[0].starts_with(part), "{name}: {code} {told:?}");
    }
}

async fn files(packed: &Packed) {
    let clips = packed.folder.join("generated_videos");
    let clip = std::fs::read_dir(clips).expect("clips").next().expect("one").expect("entry").file_name();
    let clip = format!("generated_videos/{}", clip.to_str().expect("plain name"));
    for name in [clip.as_str(), "rules.toml", "first_frame.png", "original_clip.mp4", "metadata.json"] {
        let folder = packed.copy("file");
        let mut bytes = std::fs::read(folder.join(name)).expect(name);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(folder.join(name), bytes).expect("written");
        let (code, told) = verify(text(&folder)).await;
        assert!(
            code == 4 && told.iter().any(|told| told.starts_with(&format!("file {name}"))),
            "{name}: {told:?}"
        );
        std::fs::remove_file(folder.join(name)).expect("removed");
        let (code, told) = verify(text(&folder)).await;
        assert!(code == 4 && told.iter().any(|told| told.contains("is not there")), "{name}: {told:?}");
        std::fs::remove_dir_all(folder).expect("removed");
    }
    let folder = packed.copy("results");
    let results = folder.join("evaluation_results").join(format!("{}.json", packed.signer().hotkey()));
    let forged =
        std::fs::read_to_string(&results).expect("results").replace("\"passed\":true", "\"passed\":false");
    std::fs::write(&results, forged).expect("written");
    let (code, told) = verify(text(&folder)).await;
    assert!(code == 4 && told.len() == 1 && told[0].starts_with("signature evaluation_results/"), "{told:?}");
}

/// A validator that lies under its own signature.
async fn with_the_key(packed: &Packed) {
    let signer = packed.signer();
    let loser = packed.round.miners.iter().find(|row| row.outcome == "forfeit").expect("a loser").hotkey;
    type Change<'a> = &'a dyn Fn(&mut RoundBundle);
    let lies: [(&str, &str, Change); 6] = [
        ("winner", "record winner", &|bundle| bundle.result = RoundResult::Closed { winner: Some(loser) }),
        ("overall", "record", &|bundle| {
            let card = winning_card(bundle);
            card.overall = Score::clamped(i64::from(card.overall.get()) - 1);
            card.score_digest = score_digest(card);
        }),
        ("score-digest", "record", &|bundle| winning_card(bundle).score_digest = Digest([0; 32])),
        ("seed", "record miners", &|bundle| {
            let asked = bundle.miners.iter_mut().find(|miner| miner.seed.is_some()).expect("one was asked");
            asked.seed = asked.seed.map(|seed| seed ^ 1);
        }),
        ("rules", "record rules_digest", &|bundle| bundle.rules_digest = Digest([0; 32])),
        ("escape", "record ../../secret", &|bundle| {
            let record = FileRecord { bytes: 1, sha256: Digest([0; 32]) };
            bundle.files.insert("../../secret".into(), record);
        }),
    ];
    for (name, wanted, change) in lies {
        let folder = packed.copy(name);
        signed_anew(&folder, &signer, change);
        let (code, told) = verify(text(&folder)).await;
        assert!(code == 4 && told.iter().any(|told| told.starts_with(wanted)), "{name}: {code} {told:?}");
    }
    let folder = packed.copy("other-key");
    signed_anew(&folder, &HotkeySigner::from_seed([9; 32]), |_| {});
    let (code, told) = verify(text(&folder)).await;
    assert!(code == 4 && told[0].starts_with("signature round.json"), "{told:?}");
    // What was published once is never changed, whoever signs.
    let folder = packed.copy("later");
    let state = packed.world.path("bundles").join(packed.round.round.to_string());
    signed_anew(&folder, &signer, |bundle| bundle.opened_unix_ms += 1);
    let kept = packed.world.path("bundles-kept");
    std::fs::rename(&state, &kept).expect("moved");
    std::fs::rename(&folder, &state).expect("moved");
    let refused = packed.pack().await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("never changed"), "{told}");
    std::fs::remove_dir_all(&state).expect("removed");
    std::fs::rename(kept, state).expect("moved back");
    let open = leoma(&["bundle", "show", text(&packed.folder.join("metadata.json"))]).await;
    assert_eq!(open.status.code(), Some(3), "another file is no document");
}

pub async fn every_forgery_is_named(packed: &Packed) {
    without_the_key(packed).await;
    files(packed).await;
    with_the_key(packed).await;
}
