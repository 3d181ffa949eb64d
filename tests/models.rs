//! Whether the weights of the embedding models are here, for stories that run with them.

use leoma::{
    domain::rules::Rules,
    embed::{loaded::Models, manifest::default_folder},
};

/// The rules with the embedding models that they name where the weights are here; else, loudly, without. Where
/// `LEOMA_REQUIRE_ASSETS` is set their absence is a failure.
pub fn where_they_are(rules: Rules) -> Rules {
    let folder = default_folder().expect("a cache folder");
    match Models::load(&folder) {
        Ok(_) => rules,
        Err(cause) => {
            assert!(std::env::var_os("LEOMA_REQUIRE_ASSETS").is_none(), "{cause}");
            eprintln!("\n!!! WITHOUT embedding models: {cause}\n");
            rules.without_models()
        }
    }
}
