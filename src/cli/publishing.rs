//! Starting the publisher of `leoma run`.

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};
use crate::{
    actors::house::HouseParts,
    bundle::{location::DOCUMENT_FILE, packer::RoundPacker},
    chain::wallet::HotkeySigner,
    config::{Config, StorageConfig},
    storage::{
        Outbox, Place, PlaceOptions, S3Options,
        place::AccessKey,
        publisher::{self, PublisherParts},
        sweep::Keep,
    },
    store::spool::Spool,
};

/// A publisher of the rounds that these parts will play, signed by `signer`; runs until `stop`.
///
/// # Errors
/// When the place's settings do not fit together, or a folder cannot be made.
pub(super) fn publisher(
    config: &Config,
    parts: &HouseParts,
    signer: HotkeySigner,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + use<>, Failure> {
    let storage = &config.storage;
    let place = Place::open(&place_options(storage)?).map_err(|cause| Failure::new(Exit::Usage, cause))?;
    let unusable =
        |cause: &dyn std::fmt::Display| Failure::new(Exit::Usage, anyhow!("state folder: {cause}"));
    let packer = RoundPacker {
        state_dir: parts.state_dir.clone(),
        spool: Spool::open(&parts.state_dir.join("spool")).map_err(|cause| unusable(&cause))?,
        corpus: Arc::clone(&parts.corpus),
        rules: Arc::clone(&parts.rules),
        book: Arc::clone(&parts.book),
        signer,
    };
    let publisher = PublisherParts {
        place,
        outbox: Outbox::open(&parts.state_dir.join("outbox")).map_err(|cause| unusable(&cause))?,
        packer: Arc::new(packer),
        document: DOCUMENT_FILE,
        keep: Keep { rounds: storage.keep_rounds, bytes: storage.keep_bytes },
        outbox_bytes: storage.outbox_bytes,
        look: publisher::LOOK,
        backoff: publisher::BACKOFF,
        vitals: Arc::clone(parts.vitals.storage()),
    };
    Ok(publisher::run(publisher, stop))
}

fn place_options(storage: &StorageConfig) -> Result<PlaceOptions, Failure> {
    let key = match (&storage.s3_access_key_id, &storage.s3_secret_access_key) {
        (Some(id), Some(secret)) => {
            Some(AccessKey { id: id.expose().to_owned(), secret: secret.expose().to_owned() })
        }
        (None, None) => None,
        _ => {
            let text =
                "storage.s3_access_key_id and storage.s3_secret_access_key belong together: set both or none";
            return Err(Failure::new(Exit::Usage, anyhow!(text)));
        }
    };
    let endpoint = storage.s3_endpoint.as_ref().map(|address| address.as_str().parse()).transpose();
    let endpoint =
        endpoint.map_err(|cause| Failure::new(Exit::Usage, anyhow!("storage.s3_endpoint: {cause}")))?;
    Ok(PlaceOptions {
        location: storage.location.clone(),
        s3: S3Options {
            endpoint,
            region: storage.s3_region.clone(),
            path_style: storage.s3_path_style,
            conditional_writes: storage.s3_conditional_writes,
            key,
            ..S3Options::default()
        },
    })
}

/// Longest wait for the publisher after everything else has ended.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
