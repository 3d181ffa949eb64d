//! A round of a corpus that was committed to: its bundle opens the clip, and the commitment takes the opening.

use ::leoma::domain::{bundle::FileRecord, ids::Digest};

use super::*;

/// Packs the round again, with the secret in the configuration.
async fn pack_with(packed: &Packed, secret: &Path, out: &Path) -> Output {
    let config = packed.world.path("out").join("validator.toml");
    let (state, round) = (packed.world.state(), packed.round.round.to_string());
    let arguments =
        ["bundle", "pack", "--config", text(&config), "--state", text(&state), "--round", &round, "-o"];
    let mut command = tokio::process::Command::new(LEOMA);
    command.args(arguments).arg(out).env("LEOMA_CORPUS__SECRET", secret).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output()).await.expect("leoma ends").expect("leoma runs")
}

pub async fn opens_its_clip(packed: &Packed) {
    let (corpus, public) = (packed.world.path("corpus"), packed.world.path("public"));
    let (secret, out) = (packed.world.path("corpus.secret"), packed.world.path("opened"));
    let place = ["--corpus", text(&corpus), "--secret", text(&secret)];
    let publish = [&["corpus", "publish", "--json", "--to", text(&public)][..], &place[..]].concat();
    let published = json(&leoma(&publish).await);
    let commitment = public.join(published["name"].as_str().expect("a name"));

    let output = pack_with(packed, &secret, &out).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = out.join(packed.round.round.to_string());
    assert_eq!(verify(text(&folder)).await, (0, Vec::new()));
    let opening = folder.join("clip_opening.json");
    let checked = leoma(&["corpus", "check-opening", text(&commitment), text(&opening)]).await;
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    let clip = packed.round.clip.clone().expect("a clip");
    assert!(checked.status.success() && told.contains(&format!(": {clip} (sha256")), "{told}");

    // Another clip's opening is not what was signed, and under the validator's own signature it is not this round's.
    let manifest = std::fs::read(corpus.join("corpus.toml")).expect("a manifest");
    let manifest = ::leoma::corpus::Manifest::parse(&manifest).expect("sound");
    let other = manifest.clips().iter().find(|other| other.key != clip).expect("another clip");
    let open = [&["corpus", "open", "--clip", &other.key][..], &place[..]].concat();
    let foreign = leoma(&open).await.stdout;
    std::fs::write(&opening, &foreign).expect("written");
    let (code, problems) = verify(text(&folder)).await;
    assert_eq!((code, problems.len()), (4, 1), "{problems:?}");
    assert!(problems[0].starts_with("file clip_opening.json"), "{problems:?}");
    forged::signed_anew(&folder, &packed.signer(), |bundle| {
        let record = FileRecord { bytes: foreign.len() as u64, sha256: Digest::of(&foreign) };
        bundle.files.insert("clip_opening.json".into(), record);
    });
    let (code, problems) = verify(text(&folder)).await;
    assert_eq!((code, problems.len()), (4, 1), "{problems:?}");
    assert!(problems[0].contains("does not open this round's clip"), "{problems:?}");
}
