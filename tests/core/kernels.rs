//! Kernels on whole clips: known motion, extremes, odd sizes, thread counts.

use leoma_core::quality::{
    frame::Yuv420Clip,
    instructions::InstructionSet,
    measure::ClipMeasures,
    motion::{LumaPyramid, MIN_TEXTURE, motion_field},
    terms::FirstFrameMeasures,
};
use proptest::prelude::*;

use super::scenes::*;

#[test]
fn known_shifts_are_found_to_an_eighth_of_a_pixel() {
    for (dx, dy) in [(0.0, 0.0), (3.0, -2.0), (0.5, 0.25), (-7.75, 5.5), (22.0, 17.0)] {
        let clip = draw(3, 2, |x, y, t| (x - dx * t, y - dy * t));
        let [a, b] = [0, 1].map(|i| LumaPyramid::new(clip.frame(i).y, WIDTH, HEIGHT));
        let field = motion_field(&a, &b);
        let inner = |i: &usize| {
            let (column, row) = (i % field.columns, i / field.columns);
            (3..field.columns - 3).contains(&column) && (3..field.rows - 3).contains(&row)
        };
        let textured: Vec<_> = (0..field.blocks.len())
            .filter(inner)
            .map(|i| field.blocks[i])
            .filter(|block| block.texture >= MIN_TEXTURE)
            .collect();
        let close = textured.iter().filter(|block| {
            let (x, y) = (f64::from(block.vector.x) / 8.0, f64::from(block.vector.y) / 8.0);
            (x - dx).abs() <= 0.25 && (y - dy).abs() <= 0.25
        });
        let found = close.count();
        assert!(found * 10 >= textured.len() * 9, "({dx}, {dy}): {found} of {}", textured.len());
        assert!(textured.len() > 20);
    }
}

#[test]
fn every_instruction_set_gives_the_same_measures() {
    for clip in [noisy(&living(4, 1.0), 3), draw(3, 2, |x, y, t| (x * 255.0 - 3.0 * t, y * 255.0))] {
        let on = |set: InstructionSet| {
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
            one.install(|| set.limit(|| ClipMeasures::of(&clip, clip.len())))
        };
        let plain = on(InstructionSet::Baseline);
        for set in InstructionSet::ALL.into_iter().filter(|&set| set <= InstructionSet::widest()) {
            assert_eq!(on(set), plain, "{set:?}");
        }
    }
}

#[test]
fn measures_do_not_depend_on_the_number_of_threads() {
    let clip = noisy(&living(5, 1.0), 3);
    let measure = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| ClipMeasures::of(&clip, FRAMES))
    };
    let one = measure(1);
    assert_eq!(one, measure(2));
    assert_eq!(one, measure(5));
}

#[test]
fn reversing_the_frames_reverses_pairs_and_keeps_sums() {
    let clip = living(6, 1.0);
    let forward = ClipMeasures::of(&clip, 9);
    let backward = ClipMeasures::of(&frames(&clip, (0..9).rev()), 9);
    let mut steps = backward.steps.clone();
    steps.reverse();
    assert_eq!(forward.steps, steps);
    assert_eq!((forward.detail, forward.half_detail), (backward.detail, backward.half_detail));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn flat_saturated_and_random_clips_of_odd_sizes_are_measured(
        half_width in 16usize..41, half_height in 16usize..41, count in 1usize..5, kind in 0u8..4
    ) {
        let (width, height) = (2 * half_width, 2 * half_height);
        let size = Yuv420Clip::frame_bytes(width, height);
        let data: Vec<u8> = (0..size * count)
            .map(|i| match kind {
                0 => 128,
                1 => if (i / size + i).is_multiple_of(2) { 0 } else { 255 },
                2 => mix(i as i64, 9, 1) as u8,
                _ => if (i / size).is_multiple_of(2) { 0 } else { 255 },
            })
            .collect();
        let clip = Yuv420Clip::from_planes(width, height, count, data).expect("sizes agree");
        let measures = ClipMeasures::of(&clip, count);
        prop_assert_eq!(measures.frames, count);
        prop_assert_eq!(measures.steps.len(), count - 1);
        prop_assert!(measures.layer_residual() >= 0 && measures.layer_residual() <= measures.affine_residual().max(1));
        prop_assert!((0..=1000).contains(&measures.affine_explained()));
        prop_assert!(measures.blockiness >= 0 && measures.detail >= 0);
        let first = FirstFrameMeasures::of(&clip, &clip);
        prop_assert_eq!((first.ssim, first.color, first.shift), (Some(10_000), Some(0), 0));
    }
}
