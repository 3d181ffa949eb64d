use super::*;
use proptest::prelude::*;

const SPEC: ClipSpec = ClipSpec { frames: 81, width: 832, height: 480, fps: 16 };

/// One synthetic source: frame step, and shots by (frames, motion in levels per frame).
#[derive(Clone, Debug)]
struct Source {
    step_us: u64,
    shots: Vec<(usize, u8)>,
}

impl Source {
    /// Thumbnails of 16 pixels: inside a shot they change by `motion` to and fro, between shots by 100.
    fn timeline(&self) -> Timeline {
        let mut thumbs: Vec<[u8; 16]> = Vec::new();
        for (shot, &(frames, motion)) in self.shots.iter().enumerate() {
            let base = if shot % 2 == 0 { 20 } else { 140 };
            thumbs.extend((0..frames).map(|frame| [base + if frame % 2 == 0 { 0 } else { motion }; 16]));
        }
        let frames = thumbs.iter().enumerate().map(|(t, thumb)| (t as u64 * self.step_us, thumb.as_slice()));
        Timeline::new((1280, 720), 16, frames).expect("valid scan")
    }

    fn find(&self, anchor: u8, range_us: std::ops::Range<u64>) -> Result<Window, NoWindow> {
        let request =
            WindowRequest { key: "clip.mp4", range_us, anchor: &BlockHash([anchor; 32]), spec: SPEC };
        find_window(&self.timeline(), &request)
    }
}

fn whole() -> std::ops::Range<u64> {
    0..u64::MAX
}

#[test]
fn the_walk_starts_at_the_hash_as_a_big_endian_number() {
    let mut hash = [0; 32];
    hash[31] = 200;
    assert_eq!(walk_start(&BlockHash(hash), 7), 200 % 7);
    hash[30] = 3;
    assert_eq!(walk_start(&BlockHash(hash), 1_000), 968); // 3 * 256 + 200
    // 2^256 - 1 modulo 10 is 5 (powers of two end in 2, 4, 8, 6; 2^256 ends in 6).
    assert_eq!(walk_start(&BlockHash([0xff; 32]), 10), 5);
    assert_eq!(walk(&BlockHash(hash), 4).collect::<Vec<_>>(), [0, 1, 2, 3]);
    hash[31] = 202;
    assert_eq!(walk(&BlockHash(hash), 4).collect::<Vec<_>>(), [2, 3, 0, 1]);
    assert_eq!(walk(&BlockHash(hash), 0).count(), 0);
}

#[test]
fn the_choice_is_the_golden_one() {
    let source = Source { step_us: 40_000, shots: vec![(250, 3), (300, 2), (100, 5), (260, 4)] };
    let drawn: Vec<u64> =
        (0..6).map(|anchor| source.find(anchor, whole()).expect("window").start_us).collect();
    assert_eq!(drawn, [4_560_000, 4_280_000, 15_760_000, 3_560_000, 12_480_000, 720_000]);
    let window = source.find(0, whole()).expect("window");
    assert_eq!(window.frames[..10], [114, 116, 117, 119, 120, 122, 123, 125, 126, 128]);
}

#[test]
fn the_files_start_is_no_cut_but_a_shots_start_is() {
    let at_start = Source { step_us: 40_000, shots: vec![(130, 3)] };
    for anchor in 0..40 {
        assert!(at_start.find(anchor, whole()).expect("5.2 s of file").start_us <= 160_000);
    }
    // After a cut 2.0 s are lost, so 6.9 s of shot are too short and 7.2 s are enough.
    let after_cut = |frames| Source { step_us: 40_000, shots: vec![(30, 3), (frames, 3)] };
    assert!(matches!(after_cut(172).find(0, whole()), Err(NoWindow::Short { shots: 2, .. })));
    let start = after_cut(180).find(0, whole()).expect("window").start_us;
    assert!((1_200_000 + 2_000_000..=1_200_000 + 2_160_000).contains(&start), "{start}");
}

#[test]
fn a_slow_holed_still_or_small_source_is_refused_with_the_reason() {
    let at = |step_us, shots: &[(usize, u8)]| Source { step_us, shots: shots.to_vec() }.find(0, whole());
    assert_eq!(at(100_000, &[(100, 3)]), Err(NoWindow::Slow));
    assert_eq!(at(40_000, &[(200, 0)]), Err(NoWindow::Slow)); // every frame repeats the one before
    assert!(at(62_500, &[(90, 3)]).is_ok());
    assert_eq!(at(63_000, &[(90, 3)]), Err(NoWindow::Slow));
    assert!(matches!(at(40_000, &[(90, 3)]), Err(NoWindow::Short { shots: 1, longest_ms: 3_560 })));

    // A change of one level in one of 16 pixels is 62 thousandths a frame; at 25 frames that is 97 a target frame.
    let thumbs: Vec<[u8; 16]> = (0..200).map(|t| std::array::from_fn(|i| u8::from(i == t % 2))).collect();
    let sparse = |step_us: u64| {
        let thumbs = thumbs.iter().enumerate().map(|(t, thumb)| {
            let still: &[u8] = if t % 2 == 0 { &thumb[..] } else { &[0; 16] };
            (t as u64 * step_us, still)
        });
        Timeline::new((1280, 720), 16, thumbs).expect("valid scan")
    };
    let find = |timeline: &Timeline| {
        let anchor = BlockHash([0; 32]);
        find_window(timeline, &WindowRequest { key: "a.mp4", range_us: whole(), anchor: &anchor, spec: SPEC })
    };
    assert_eq!(find(&sparse(40_000)), Err(NoWindow::Still { milli: 96 }));
    assert!(find(&sparse(33_333)).is_ok());

    let small = Timeline::new((176, 144), 16, std::iter::empty()).expect("empty scan");
    assert_eq!(find(&small), Err(NoWindow::Small { width: 176, height: 100 }));
}

#[test]
fn a_manifest_range_bounds_the_window_like_a_files_ends() {
    let source = Source { step_us: 40_000, shots: vec![(1_000, 3)] };
    for anchor in 0..60 {
        let window = source.find(anchor, 10_000_000..16_000_000).expect("window");
        assert!((10_000_000..=10_960_000).contains(&window.start_us), "{}", window.start_us);
        assert!(u64::from(*window.frames.last().expect("81 frames")) * 40_000 < 16_000_000);
    }
    assert!(matches!(source.find(0, 10_000_000..14_000_000), Err(NoWindow::Short { .. })));
    assert!(matches!(source.find(0, 90_000_000..99_000_000), Err(NoWindow::Short { shots: 0, .. })));
}

#[test]
fn of_two_equally_near_frames_the_earlier_is_shown() {
    // Source at 32 frames per second: target 1 at 62500 us is frame 2; at 20 fps it lies between.
    let source = Source { step_us: 50_000, shots: vec![(200, 3)] };
    let window = window_at(&source.timeline(), 0, SPEC).expect("a frame's time");
    assert_eq!(window.frames[..7], [0, 1, 2, 4, 5, 6, 7]); // 125000 lies between frames 2 and 3
    assert_eq!(window.frames.len(), 81);
    assert_eq!(window_at(&source.timeline(), 1, SPEC), None);
    assert_eq!(window_at(&source.timeline(), 9_000_000, SPEC), None);
}

#[test]
fn the_crop_is_centred_even_and_has_the_asked_aspect() {
    let crop = |width, height| centre_crop((width, height), &SPEC).expect("large enough");
    assert_eq!(crop(832, 480), Crop { x: 0, y: 0, width: 832, height: 480 });
    assert_eq!(crop(1920, 1080), Crop { x: 24, y: 0, width: 1872, height: 1080 });
    assert_eq!(crop(640, 480), Crop { x: 0, y: 56, width: 640, height: 368 });
    assert!(centre_crop((0, 0), &SPEC).is_err());
}

fn sources() -> impl Strategy<Value = Source> {
    let shots = prop::collection::vec((1usize..400, 2u8..9), 1..7);
    (prop::sample::select(vec![62_500u64, 41_708, 40_000, 33_333, 16_667]), shots)
        .prop_map(|(step_us, shots)| Source { step_us, shots })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_window_is_complete_inside_one_shot_and_keeps_its_distances(source in sources(), anchor: u8) {
        let timeline = source.timeline();
        let cuts: Vec<u64> = timeline.cuts().iter().map(|&cut| timeline.pts_us()[cut]).collect();
        let Ok(window) = source.find(anchor, whole()) else { return Ok(()) };
        prop_assert_eq!(window.frames.len(), 81);
        let times: Vec<u64> = window.frames.iter().map(|&frame| timeline.pts_us()[frame as usize]).collect();
        prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "no source frame is shown twice");
        prop_assert_eq!(times[0], window.start_us);
        for (k, time) in times.iter().enumerate() {
            let target = window.start_us + k as u64 * 62_500;
            prop_assert!(time.abs_diff(target) * 2 <= source.step_us, "frame {} is the nearest", k);
        }
        for cut in &cuts {
            let after = window.start_us >= cut + SHOT_START_MARGIN_US;
            let before = window.start_us + 81 * 62_500 + CUT_MARGIN_US <= *cut;
            prop_assert!(after || before, "cut at {} and window at {}", cut, window.start_us);
        }
        prop_assert_eq!(window_at(&timeline, window.start_us, SPEC), Some(window.clone()), "replays");
        prop_assert_eq!(source.find(anchor, whole()), Ok(window), "is a pure function");
    }

    #[test]
    fn a_long_enough_moving_shot_is_always_found(frames in 180usize..400, lead in 1usize..50, anchor: u8) {
        let source = Source { step_us: 40_000, shots: vec![(lead, 3), (frames, 3), (lead, 3)] };
        // 2.0 s + 5.0625 s + 0.15 s of 40 ms frames is 180.3: one more is always enough.
        prop_assert_eq!(source.find(anchor, whole()).is_ok(), frames >= 181);
    }

    #[test]
    fn the_walk_visits_every_clip_once(hash: [u8; 32], count in 0usize..60) {
        let mut seen: Vec<usize> = walk(&BlockHash(hash), count).collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
    }

    #[test]
    fn any_source_gives_a_crop_inside_it_or_a_reason(width in 0u32..5_000, height in 0u32..5_000) {
        if let Ok(crop) = centre_crop((width, height), &SPEC) {
            prop_assert!(crop.x + crop.width <= width && crop.y + crop.height <= height);
            prop_assert!([crop.x, crop.y, crop.width, crop.height].iter().all(|side| side % 2 == 0));
            let aspect = f64::from(crop.width) / f64::from(crop.height) / (832.0 / 480.0);
            prop_assert!((0.98..1.02).contains(&aspect), "{aspect}");
        }
    }
}
