//! What the official SDK sees of a validator that ran.

use leoma::domain::{event::PayTarget, ids::Hotkey};
use serde_json::{Value, json};

use super::Official;

/// Asserts that, as the SDK reads the chain at a URL, a validator's whole weight lies on whom it pays. Skips, with a word,
/// where the SDK is not installed.
pub async fn assert_seen_to_pay(chain: &str, validator: Hotkey, paid: PayTarget) {
    let Some(mut official) = Official::start(Some(chain)).await else { return };
    let graph = official.ask("metagraph", json!({})).await;
    let rows = official.ask("weights", json!({})).await;
    let paid = match paid {
        PayTarget::Miner { hotkey } => hotkey.to_string(),
        PayTarget::Owner => graph["owner"].as_str().expect("an owner").to_owned(),
    };
    let uid_of = |hotkey: &str| -> &Value {
        let neurons = graph["neurons"].as_array().expect("neurons");
        &neurons.iter().find(|neuron| neuron["hotkey"] == hotkey).expect(hotkey)["uid"]
    };
    let row = &rows[uid_of(&validator.to_string()).to_string()];
    assert_eq!(row, &json!([[uid_of(&paid), 1.0]]), "{rows}");
}
