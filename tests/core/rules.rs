//! Which rules files are refused, and that the refusal names the value.

use leoma_core::domain::rules::{EMBEDDED_RULES, PayoutRule, Rules};

#[test]
fn contradictions_are_refused_by_name() {
    for (from, to, names) in [
        ("version = 1", "version = 2", "version"),
        ("answer_within_blocks = 60", "answer_within_blocks = 95", "answer_within_blocks"),
        ("answer_within_blocks = 60", "answer_within_blocks = 0", "answer_within_blocks"),
        ("settle_within_blocks = 95", "settle_within_blocks = 101", "settle_within_blocks"),
        ("round_interval_blocks = 100", "round_interval_blocks = 0", "round_interval_blocks"),
        ("width = 832", "width = 831", "request.width"),
        ("frames = 81", "frames = 2", "request.frames"),
        ("answer_bytes = 67108864", "answer_bytes = 1000", "limits.answer_bytes"),
        ("decode_seconds = 30", "decode_seconds = 0", "limits.decode_seconds"),
        ("decode_memory_mib = 1024", "decode_memory_mib = 100000", "limits.decode_memory_mib"),
        ("tie_band = 50", "tie_band = 10001", "payout.tie_band"),
        ("rule = \"round\"", "rule = \"lottery\"", "lottery"),
        ("window = 100", "window = 0", "payout.strict.window"),
        ("min_pairs = 60", "min_pairs = 101", "payout.strict.min_pairs"),
        ("coverage_percent = 80", "coverage_percent = 101", "payout.strict.coverage_percent"),
        ("level_ppm = 50000", "level_ppm = 0", "payout.strict.level_ppm"),
        ("challengers = 256", "challengers = 0", "payout.strict.challengers"),
        ("resamples = 16384", "resamples = 1000", "resamples * level_ppm"),
        ("pass_overall = 7500", "pass_overall = 0", "pass_overall"),
        ("temporal = 30", "temporal = 0", "scoring.weights.temporal"),
        ("zero_below = 125", "zero_below = 500", "scoring.dynamics"),
        ("min_reference_residual = 150", "min_reference_residual = 0", "min_reference_residual"),
        ("explained = 970", "explained = 1001", "pan_zoom.explained"),
        ("thickness = 8", "thickness = 0", "border.thickness"),
        ("shortest_lag = 12", "shortest_lag = 7", "recurrence.shortest_lag"),
        ("reversal = 100", "reversal = -1", "crossfade.reversal"),
        ("reach = 16", "reach = 65", "source_copy.reach"),
        ("unlike_long = 120", "unlike_long = 0", "copy.unlike_long"),
        ("min_reference_share = 400", "min_reference_share = 0", "shimmer.min_reference_share"),
        ("fps = 16", "fps = 16\nextra = 1", "extra"),
        ("cap = 3000", "cap = 30.5", "30.5"),
        ("mode = \"decides\"", "mode = \"perhaps\"", "perhaps"),
    ] {
        assert!(EMBEDDED_RULES.contains(from), "{from} is not in the embedded rules");
        let error = Rules::parse(&EMBEDDED_RULES.replacen(from, to, 1)).expect_err(to).to_string();
        assert!(error.contains(names), "{to}: {error}");
    }
}

#[test]
fn every_payout_rule_has_its_name() {
    for (name, rule) in [
        ("round", PayoutRule::Round),
        ("window_strict", PayoutRule::WindowStrict),
        ("window_compat", PayoutRule::WindowCompat),
    ] {
        let text = EMBEDDED_RULES.replacen("rule = \"round\"", &format!("rule = \"{name}\""), 1);
        assert_eq!(Rules::parse(&text).expect(name).payout.rule, rule);
    }
}

#[test]
fn the_embedded_rules_hold() {
    let rules = Rules::embedded();
    assert_eq!((rules.request.frames, rules.request.width, rules.request.height), (81, 832, 480));
    assert_eq!((rules.scoring.pass_overall, rules.scoring.pass_axis), (7_500, 5_000));
}
