//! The JSON that the services answer, in the shape of the real ones.

use serde_json::{Value, json};

use crate::miners::protocol::GenerateBody;

use super::{StandInMiner, files};

/// `GET /chutes/{id}`.
pub(super) fn chute(miner: &StandInMiner, hot: bool) -> Value {
    let instances = if hot {
        json!([{"instance_id": format!("{}-1", miner.chute_id), "active": true, "verified": true}])
    } else {
        json!([])
    };
    json!({
        "chute_id": miner.chute_id,
        "name": miner.repo,
        "slug": miner.slug,
        "public": true,
        "version": "1",
        "revision": miner.revision,
        "hot": hot,
        "instances": instances,
        "concurrency": 1,
        "user": {"username": miner.repo.split('/').next()},
    })
}

/// `GET /api/models/{repo}/revision/{revision}?blobs=true`.
pub(super) fn model(miner: &StandInMiner) -> Value {
    let readme = json!({"rfilename": "README.md", "size": 12, "blobId": "0".repeat(40)});
    let weights = miner.lfs.iter().map(|(name, sha256)| {
        let size = files::size(miner, name);
        json!({"rfilename": name, "size": size, "lfs": {"sha256": sha256, "size": size, "pointerSize": 134}})
    });
    json!({
        "id": miner.repo,
        "sha": miner.revision,
        "private": false,
        "gated": false,
        "siblings": std::iter::once(readme).chain(weights).collect::<Vec<_>>(),
    })
}

/// An error of Chutes.
pub(super) fn detail(text: &str) -> Value {
    json!({ "detail": text })
}

/// An error of Hugging Face.
pub(super) fn error(text: &str) -> Value {
    json!({ "error": text })
}

/// The miner template's own limits on a request.
pub(super) fn check(body: &GenerateBody) -> Result<(), &'static str> {
    if !(1..=161).contains(&body.num_frames) {
        return Err("num_frames must be in 1..=161");
    }
    if !(1..=30).contains(&body.fps) {
        return Err("fps must be in 1..=30");
    }
    match body.first_frame_png() {
        Ok(bytes) if !bytes.is_empty() => Ok(()),
        _ => Err("image must be base64"),
    }
}
