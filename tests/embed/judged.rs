//! A verdict whose prompt was read by a text model: the whole way from planes to a card, on drawn weights.
//!
//! Drawn weights understand nothing, so this shows that every number arrives where it belongs, not that it means something.

use std::sync::Arc;

use leoma_core::{
    domain::{
        rules::Rules,
        score::{PromptRead, ScoreCard},
        scoring::{AnchorRule, TermRule, TextModelRules, TextRules},
    },
    quality::{
        embeddings::{FROM, FrameModels, PromptQuestion, asked},
        frame::Yuv420Clip,
        opponents::PreparedTask,
        prompt::{
            anchor::{ceiling, nearness},
            axis::{PromptMeasures, score_prompt},
            view::samples,
        },
        verdict::{JudgeInput, Verdict, judge, judge_measured, read_measured},
    },
};
use leoma_embed::{
    DeviceChoice, Embedder,
    clip::{Clip, ClipShape, tokens::Tokenizer},
    manifest::default_folder,
    reader::{Networks, model_rules, text_model_rules},
};

use crate::support::{models, textured};

const FRAMES: usize = 17;
const SIDE: usize = 96;
const PROMPT: &str = "A red boat sails to the harbour. A man waves.";

/// Texture whose upper half drifts one way and whose lower half the other, by `speed` (even) pixels a frame.
fn clip(speed: usize, frames: usize) -> Yuv420Clip {
    let wide = textured(256, SIDE, 7);
    let ground = wide.frame(0);
    let mut data = Vec::new();
    for t in 0..frames {
        for (plane, width, side, speed) in [
            (ground.y, 256, SIDE, speed),
            (ground.u, 128, SIDE / 2, speed / 2),
            (ground.v, 128, SIDE / 2, speed / 2),
        ] {
            for row in 0..side {
                let left = if row < side / 2 { width - side - t * speed } else { t * speed };
                data.extend(&plane[row * width + left..][..side]);
            }
        }
    }
    Yuv420Clip::from_planes(SIDE, SIDE, frames, data).expect("even sides")
}

fn rules(text: Option<TextModelRules>) -> Rules {
    let mut rules = Rules::embedded();
    (rules.request.width, rules.request.height, rules.request.frames) =
        (SIDE as u32, SIDE as u32, FRAMES as u32);
    rules.scoring.dynamics.min_reference_residual = 1;
    rules.scoring.opponents.frames = 3;
    rules.scoring.models = Some(model_rules().expect("pins"));
    let term = TermRule { bad: -20_000, good: 20_000, weight: 50 };
    let anchor = AnchorRule { bad: 600, good: 700, ceiling: 3_000 };
    rules.scoring.text = text.map(|model| TextRules {
        model,
        slack: 250,
        least_gain: 1,
        txt_rel: term,
        delta_txt: term,
        camera_weight: 50,
        anchor,
    });
    rules
}

fn networks() -> Option<Networks> {
    let folder = default_folder().expect("a cache folder");
    let models = models()?;
    let tokenizer = match Tokenizer::load(&folder) {
        Ok(tokenizer) => tokenizer,
        Err(cause) => {
            crate::support::skip(&cause.to_string());
            return None;
        }
    };
    let shape = ClipShape { vocabulary: ClipShape::VIT_B_32.vocabulary, ..ClipShape::SMALL };
    let drawn = Clip::drawn(shape).expect("drawn");
    let models = Arc::new((*models).clone().with_text(drawn));
    let embedder = Embedder::with_models(DeviceChoice::Cpu, models).expect("the CPU answers the probe");
    let networks = Networks::new(embedder).expect("pins");
    Some(networks.with_text(tokenizer, text_model_rules().expect("pins")))
}

fn card(verdict: Verdict) -> ScoreCard {
    match verdict {
        Verdict::Scored(card) => *card,
        gated => panic!("{gated:?}"),
    }
}

#[test]
fn the_text_model_of_the_rules_reads_the_prompt_and_the_card_says_so() {
    let Some(networks) = networks() else { return };
    let (real, ours, first_frame) = (clip(4, FRAMES), clip(2, FRAMES), clip(2, 1));
    let others = ["a tram in the rain".to_owned(), "two players of chess".to_owned()];
    let with_text = rules(networks.text_rules());
    let input = JudgeInput {
        clip: &ours,
        first_frame: &first_frame,
        reference: Some(&real),
        prompt: PROMPT,
        others: &others,
        rules: &with_text,
        models: Some(&networks),
    };
    let judged = card(judge(&input).expect("judged"));
    assert_eq!(judged.prompt_read, PromptRead::Text);
    let prompt = judged.axes.prompt.expect("read");

    // By hand, from the same question: the seed is a matter of the real clip alone.
    let seed = leoma_core::domain::ids::Digest::of_parts(&[b"leoma text task", &real.digest().0]);
    let question = PromptQuestion { prompt: PROMPT, others: &others, seed };
    let shown = samples(FRAMES);
    let read =
        |clip: &Yuv420Clip, shown: &[usize]| networks.likelihoods(&question, clip, shown).expect("read");
    let (clip, reference, given) =
        (read(&ours, &shown), read(&real, &shown), read(&first_frame, &vec![0; shown.len()]));
    let alike = networks.alike(&ours, &real, FRAMES).expect("read");
    assert_eq!(alike.len(), asked(FRAMES).len() - FROM);
    let measures = PromptMeasures { clip: &clip, reference: &reference, given: &given, alike: &alike };
    let rules_of_text = with_text.scoring.text.as_ref().expect("set");
    let by_hand = score_prompt(&measures, rules_of_text);
    assert_eq!(by_hand.axis, Some(prompt), "no camera word stands in the prompt");
    assert_eq!(judged.terms["txt_rel"], by_hand.terms["txt_rel"]);
    assert_eq!(
        judged.terms["anchor"],
        Some(ceiling(nearness(&alike).expect("frames"), &rules_of_text.anchor))
    );

    // A task that was measured before gives the same card; rules without a text model another one.
    let task = PreparedTask::of(&input.task().expect("with a reference")).expect("measured");
    assert!(task.text.is_some() && task.likeness.is_some());
    assert_eq!(card(judge_measured(&input, &task).expect("judged")), judged);
    // Evidence has the raw values behind it.
    let read = read_measured(&input, &task).expect("judged");
    assert_eq!(read.verdict, Verdict::Scored(Box::new(judged.clone())));
    assert!(read.text.contains_key("txt_rel") && read.text.contains_key("anchor"), "{:?}", read.text);
    assert_eq!(read.text, by_hand.raw);
    let silent = rules(None);
    let without = card(judge(&JudgeInput { rules: &silent, ..input }).expect("judged"));
    assert_eq!((without.prompt_read, without.axes.prompt), (PromptRead::None, None));
    assert_eq!(without.terms["lpips0"], judged.terms["lpips0"]);
    // Without a real clip there is nothing to set a prompt's rank against.
    let alone = card(judge(&JudgeInput { reference: None, ..input }).expect("judged"));
    assert_eq!((alone.prompt_read, alone.axes.prompt), (PromptRead::None, None));
}

#[test]
fn rules_with_a_text_model_are_not_judged_without_it() {
    let Some(models) = models() else { return };
    let embedder = Embedder::with_models(DeviceChoice::Cpu, models).expect("the CPU answers the probe");
    let networks = Networks::new(embedder).expect("pins");
    let rules = rules(Some(text_model_rules().expect("pins")));
    let (real, first_frame) = (clip(4, FRAMES), clip(4, 1));
    let input = JudgeInput {
        clip: &real,
        first_frame: &first_frame,
        reference: Some(&real),
        prompt: PROMPT,
        others: &[],
        rules: &rules,
        models: Some(&networks),
    };
    let refused = judge(&input).expect_err("no text model").to_string();
    assert!(refused.contains("leoma models fetch clip-vit-base-patch32"), "{refused}");
}
