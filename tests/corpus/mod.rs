//! The corpus through the real decode worker: drawn clips always, real clips where they were fetched.

mod bucket;
mod build;
mod drawn;
mod endpoint;
mod real;
mod vision;

use std::{path::Path, sync::Arc};

use leoma::{
    corpus::{Corpus, CorpusOptions},
    decode::{Decoder, DecoderOptions},
    domain::{plan::ClipSpec, rules::Rules},
};

/// The binary under test decodes, as it does for an operator.
fn decoder() -> Arc<Decoder> {
    Arc::new(Decoder::new(DecoderOptions::with_worker(env!("CARGO_BIN_EXE_leoma").into())))
}

/// The embedded rules for another shape, under which every clip that moves at all can be judged.
fn rules(spec: ClipSpec) -> Rules {
    let mut rules = Rules::embedded();
    rules.request = spec;
    rules.scoring.dynamics.min_reference_residual = 1;
    rules
}

async fn open(folder: &Path) -> Corpus {
    let options = CorpusOptions::at(folder.to_str().expect("plain path"));
    Corpus::open(options, decoder()).await.expect("a sound corpus")
}
