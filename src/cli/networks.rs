//! The embedding models that rules name, opened for a command.

use std::{path::Path, sync::Arc};

use anyhow::anyhow;

use super::exit::{Exit, Failure};
use crate::{
    domain::rules::Rules,
    embed::{DeviceChoice, manifest::default_folder, reader},
    quality::embeddings::{self, FrameModels},
};

/// Opens the models that the rules name, from a folder or from where `leoma models fetch` puts them; none where the rules
/// name none. Blocks for a second or so.
///
/// # Errors
/// When a model is missing (code 3), is not the one that the rules name (code 2), or no device gives its known answers.
pub(super) fn open(
    rules: &Rules,
    folder: Option<&Path>,
    wanted: DeviceChoice,
) -> Result<Option<Arc<dyn FrameModels>>, Failure> {
    if rules.scoring.models.is_none() {
        return Ok(None);
    }
    let folder = folder.map(Path::to_owned).or_else(default_folder).ok_or_else(|| {
        Failure::new(Exit::Usage, anyhow!("no folder of models is known: set HOME, or name one"))
    })?;
    let opened = reader::open(wanted, &folder, &rules.scoring)
        .map_err(|cause| Failure::new(exit_of(&cause), anyhow!(cause).context("the rules name models")))?;
    if let Some(note) = opened.note {
        tracing::warn!("embedding models run on the processor, with the same results: {note}");
    }
    let models: Arc<dyn FrameModels> = Arc::new(opened.networks);
    embeddings::named(&rules.scoring, Some(models.as_ref()))
        .map_err(|cause| Failure::new(Exit::Usage, anyhow!(cause)))?;
    Ok(Some(models))
}

fn exit_of(cause: &crate::embed::EmbedError) -> Exit {
    use crate::embed::EmbedError::{Digest, Missing, Unreadable};
    match cause {
        Missing { .. } | Unreadable { .. } | Digest { .. } => Exit::Unreadable,
        _ => Exit::Internal,
    }
}
