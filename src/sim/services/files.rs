//! Files of the repositories: as on Hugging Face their reader is sent on to where the bytes lie, and reads ranges there.

use std::{ops::RangeInclusive, sync::Arc};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Registry, StandInMiner};

/// What every file of a stand-in's repository measures at least.
pub(super) const SIZE: u64 = 1 << 20;

type Place = (String, String, String, String);

/// The size that a repository lists for a file.
pub(super) fn size(miner: &StandInMiner, name: &str) -> u64 {
    miner.contents.get(name).map_or(SIZE, |bytes| SIZE.max(bytes.len() as u64))
}

fn holder(registry: &Registry, (user, name, revision, file): &Place) -> Option<Arc<StandInMiner>> {
    let miner = registry.by_model.get(&(format!("{user}/{name}"), revision.clone()))?;
    miner.contents.contains_key(file).then(|| Arc::clone(miner))
}

/// `GET /{user}/{name}/resolve/{revision}/{file}`.
pub(super) async fn sent_on(State(registry): State<Arc<Registry>>, Path(place): Path<Place>) -> Response {
    if holder(&registry, &place).is_none() {
        return (StatusCode::NOT_FOUND, "Entry not found").into_response();
    }
    let (user, name, revision, file) = place;
    (StatusCode::FOUND, [(header::LOCATION, format!("/bytes/{user}/{name}/{revision}/{file}"))])
        .into_response()
}

/// Bytes of a file: one range of it.
pub(super) async fn bytes(
    State(registry): State<Arc<Registry>>,
    Path(place): Path<Place>,
    headers: HeaderMap,
) -> Response {
    let Some(miner) = holder(&registry, &place) else { return StatusCode::NOT_FOUND.into_response() };
    let size = size(&miner, &place.3);
    let Some(range) = range(&headers).filter(|range| *range.end() < size) else {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    };
    let content = &miner.contents[&place.3];
    let byte = |at: u64| content.get(at as usize).copied().unwrap_or(0);
    let body: Vec<u8> = range.clone().map(byte).collect();
    let told = format!("bytes {}-{}/{size}", range.start(), range.end());
    (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, told)], body).into_response()
}

fn range(headers: &HeaderMap) -> Option<RangeInclusive<u64>> {
    let text = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    let (first, last) = text.split_once('-')?;
    Some(first.parse().ok()?..=last.parse().ok()?)
}
