//! A validator whose rules name embedding models.

use leoma::domain::{event::Event, ids::RoundId, outcome::Outcome, rules::Rules};

use super::world::*;

/// The small world's rules with the models that the rules built in name.
fn with_models() -> Rules {
    let mut rules = small_rules();
    rules.scoring.models = Rules::embedded().scoring.models;
    rules
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_judged_with_the_models_that_the_rules_name_and_never_without() {
    let rules = crate::models::where_they_are(with_models());
    // Slower blocks than elsewhere: every clip costs nine embeddings, and debug builds of tests share the processor.
    let world = World::start_by(&with_models(), 500).await;
    let empty = world.path("no-models");
    std::fs::create_dir_all(&empty).expect("folder");
    let elsewhere = format!("scorer.models={}", empty.display());
    let (status, log) = world.validator(&["--set", &elsewhere]).ends().await;
    assert_eq!(status.code(), Some(3), "{log:?}");
    assert!(log.iter().any(|line| line.contains("leoma models fetch")), "{log:?}");
    if rules.scoring.models.is_none() {
        return;
    }

    let mut validator = world.validator(&["--until-rounds", "1"]);
    validator.says("embedding models").await;
    validator.says("scored").await;
    let (status, metrics) = page(&world, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("leoma_models_info{device=\"cpu-flex\"} 1"), "{metrics}");
    assert!(metrics.contains("leoma_models_values_total{settled_by=\"device\"}"), "{metrics}");
    let (status, log) = validator.ends().await;
    assert_eq!(status.code(), Some(0), "{log:?}");
    let rounds = std::fs::read_to_string(world.path("rounds.json")).expect("rounds");
    let rounds: serde_json::Value = serde_json::from_str(&rounds).expect("JSON");
    let id: RoundId = serde_json::from_value(rounds["rounds"][0]["round"].clone()).expect("a round");
    let events = world.journal().events_of(id).expect("events");
    let cards: Vec<_> = events
        .into_iter()
        .filter_map(|event| match event {
            Event::TicketSettled { outcome: Outcome::Scored { card }, .. } => Some(card),
            _ => None,
        })
        .collect();
    assert!(!cards.is_empty(), "{log:?}");
    for card in cards {
        for term in ["lpips0", "id_drift", "drift"] {
            assert!(card.terms[term].is_some(), "{term}: {card:?}");
        }
    }
}
