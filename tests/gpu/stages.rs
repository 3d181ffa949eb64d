//! Named stage outputs of the adapter under test against the twins, bit for bit. `swiftshader` runs these once more on
//! the other software adapter.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use leoma_core::quality::{
    blockiness, border, color_distance as color_twin, detail as detail_twin, difference as difference_twin,
    flow,
    frame::Yuv420Clip,
    layers as layers_twin,
    looks::FrameLooks,
    measure::ClipMeasures,
    mosaic as mosaic_twin,
    motion::{LumaPyramid, motion_field},
    octaves as octaves_twin, plane, ssim as ssim_twin, strokes as strokes_twin,
    temporal::{affine as affine_twin, warp as warp_twin},
    terms::FirstFrameMeasures,
    verdict::Measure,
};
use leoma_gpu::{
    adapters::AdapterWish,
    device::{DeviceOptions, Generation},
    kernels::{
        Planes,
        blockiness::grid_sums,
        border::bars,
        color_distance::color_distance,
        detail::{chroma_detail, detail},
        difference::{full_differences, pair_differences},
        downscale::{downscale, pixels},
        flow::{self as flow_kernels, Direction},
        layers::explain,
        looks::looks,
        mosaic::mosaic,
        motion::{Pyramid, motion_fields},
        octaves::octaves,
        ssim::ssim,
        strokes::{Origin, strokes},
        temporal,
    },
    selftest,
};

use crate::{
    inputs::{Input, inputs},
    scenes::mix,
};

/// One device for all stages: opening one compiles every kernel.
fn shared() -> MutexGuard<'static, Generation> {
    static DEVICE: LazyLock<Mutex<Generation>> = LazyLock::new(|| Mutex::new(device()));
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The adapter under test: whatever the Vulkan loader offers, lavapipe on a machine without a GPU.
pub fn device() -> Generation {
    let device = Generation::open(&DeviceOptions::of(AdapterWish::Any))
        .expect("an adapter: install mesa-vulkan-drivers");
    if let Some(expected) = std::env::var_os("LEOMA_TEST_ADAPTER") {
        let (expected, name) = (expected.to_string_lossy().into_owned(), &device.info().name);
        assert!(name.contains(&expected), "expected {expected}, the loader offers {name}");
    }
    device
}

fn upload(device: &Generation, input: &Input) -> Planes {
    let planes: Vec<&[u8]> = input.planes.iter().map(Vec::as_slice).collect();
    Planes::of_planes(device, &planes, input.width, input.height)
}

/// Compares one stage on every input.
fn each(stage: impl Fn(&mut Generation, &Input, &Planes)) {
    let mut device = shared();
    let device = &mut *device;
    for input in inputs() {
        let planes = upload(device, &input);
        stage(device, &input, &planes);
    }
}

#[test]
fn downscale_gives_the_twins_pixels() {
    each(|device, input, planes| {
        let half = downscale(device, planes).expect("runs");
        let twin: Vec<_> =
            input.planes.iter().map(|p| plane::downscale(p, input.width, input.height)).collect();
        assert_eq!(pixels(device, half).expect("runs"), twin, "{}", input.name);
    });
}

#[test]
fn difference_gives_the_twins_sums_blocks_and_histograms() {
    each(|device, input, planes| {
        for lag in [1, 2] {
            let found =
                full_differences(device, planes, lag as u32).expect("runs").read(device).expect("runs");
            let twin: Vec<_> = (lag..3)
                .map(|i| {
                    let (a, b) = (&input.planes[i - lag], &input.planes[i]);
                    difference_twin::difference(a, b, input.width, input.height)
                })
                .collect();
            assert_eq!(found, twin, "{} lag {lag}", input.name);
            let short =
                pair_differences(device, planes, lag as u32).expect("runs").read(device).expect("runs");
            assert_eq!(short, twin.iter().map(Into::into).collect::<Vec<_>>(), "{} lag {lag}", input.name);
        }
    });
}

#[test]
fn detail_gives_the_twins_energies_and_luma() {
    each(|device, input, planes| {
        let found = detail(device, planes).expect("runs").read(device).expect("runs");
        for (sums, plane) in found.iter().zip(&input.planes) {
            let energy = detail_twin::laplacian_energy(plane, input.width, input.height);
            assert_eq!((sums.energy, sums.luma), (energy, detail_twin::luma_sum(plane)), "{}", input.name);
        }
        assert_eq!(found.len(), 3);
    });
}

#[test]
fn blockiness_gives_the_twins_phases() {
    each(|device, input, planes| {
        let found = grid_sums(device, planes, 2).expect("runs").read(device).expect("runs");
        let twin = [0, 2].map(|i| blockiness::grid_sums(&input.planes[i], input.width, input.height));
        assert_eq!(found, twin, "{}", input.name);
    });
}

#[test]
fn border_gives_the_twins_bars() {
    each(|device, input, planes| {
        let found = bars(device, planes, 2).expect("runs").read(device).expect("runs");
        let twin = [0, 2].map(|i| border::bars(&input.planes[i], input.width, input.height));
        assert_eq!(found, twin, "{}", input.name);
    });
    let mut device = shared();
    let device = &mut *device;
    let framed: Vec<u8> =
        (0..64 * 48).map(|i| if (9..40).contains(&(i / 64)) { mix(i, 1, 2) as u8 } else { 16 }).collect();
    let planes = Planes::of_planes(device, &[&framed], 64, 48);
    let found = bars(device, &planes, 1).expect("runs").read(device).expect("runs");
    assert_eq!((found[0].letterbox, found[0].pillarbox), (8, 0));
}

#[test]
fn ssim_gives_the_twins_means() {
    each(|device, input, planes| {
        let found = ssim(device, planes).expect("runs").read(device).expect("runs");
        let twin: Vec<_> = input
            .planes
            .windows(2)
            .map(|pair| ssim_twin::ssim(&pair[0], &pair[1], input.width, input.height))
            .collect();
        assert_eq!(found, twin, "{}", input.name);
    });
}

#[test]
fn motion_and_layers_give_the_twins_vectors_and_explanations() {
    each(|device, input, planes| {
        let twins: Vec<_> =
            input.planes.iter().map(|p| LumaPyramid::new(p, input.width, input.height)).collect();
        let pyramid = Pyramid::of(device, planes).expect("runs");
        let fields = motion_fields(device, &pyramid).expect("runs");
        let found = fields.read(device).expect("runs");
        let told = explain(device, &pyramid.half, &fields).expect("runs");
        for (pair, twins) in twins.windows(2).enumerate() {
            let field = motion_field(&twins[0], &twins[1]);
            assert_eq!(found[pair], field, "{} pair {pair}", input.name);
            assert_eq!(
                told[pair],
                layers_twin::explain(&twins[0], &twins[1], &field),
                "{} {pair}",
                input.name
            );
        }
        assert_eq!((found.len(), told.len()), (2, 2));
    });
}

/// Every input with chroma that its luma makes, cut to even sides; flat, saturated and noisy planes among them.
fn coloured(input: &Input) -> Option<Yuv420Clip> {
    let (width, height) = (input.width & !1, input.height & !1);
    if width * height == 0 {
        return None;
    }
    let mut data = Vec::new();
    for plane in &input.planes {
        let line = |row: usize| &plane[row * input.width..][..width];
        data.extend((0..height).flat_map(|row| line(row).iter().copied()));
        let chroma = |offset: usize, turn: u8| {
            let half = (0..height / 2).flat_map(move |row| line(2 * row + offset).iter().step_by(2).copied());
            half.map(move |v| v.wrapping_add(turn))
        };
        data.extend(chroma(0, 0).chain(chroma(1, 90)));
    }
    Some(Yuv420Clip::from_planes(width, height, input.planes.len(), data).expect("sizes agree"))
}

#[test]
fn looks_give_the_twins_histograms_phases_rings_and_bands() {
    let mut device = shared();
    let device = &mut *device;
    for input in inputs() {
        let Some(clip) = coloured(&input) else { continue };
        let frames = Planes::of_clip(device, &clip, 0, clip.len());
        let pyramid = Pyramid::of(device, &frames).expect("runs");
        for step in [1, 2] {
            let seen = looks(device, &frames, [&pyramid.half, &pyramid.quarter], step as u32).expect("runs");
            let twin = (0..clip.len())
                .step_by(step)
                .map(|at| FrameLooks::of(&clip.frame(at), clip.width(), clip.height()));
            assert_eq!(
                seen.read(device).expect("runs"),
                twin.collect::<Vec<_>>(),
                "{} by {step}",
                input.name
            );
        }
    }
}

/// A clip whose planes are noise of growing strength on a moving slope.
fn clip(width: usize, height: usize, frames: usize) -> Yuv420Clip {
    let size = Yuv420Clip::frame_bytes(width, height);
    let data = (0..size * frames)
        .map(|i| {
            let (t, at) = (i / size, i % size);
            let slope = (at % width * 3 + at / width * 5 + t * 4) as u32 % 200;
            (slope + mix(i as i64, 3, 5) % (2 + 2 * t as u32)).min(255) as u8
        })
        .collect();
    Yuv420Clip::from_planes(width, height, frames, data).expect("sizes agree")
}

#[test]
fn color_distance_gives_the_twins_means() {
    let mut device = shared();
    let device = &mut *device;
    for (width, height) in [(150, 118), (64, 48), (8, 8), (6, 40)] {
        let clip = clip(width, height, 2);
        let planes = Planes::of_clip(device, &clip, 0, 2);
        let found = color_distance(device, &planes).expect("runs").read(device).expect("runs");
        let twin = color_twin::color_distance(&clip.frame(0), &clip.frame(1), width, height);
        assert_eq!(found, twin, "{width}x{height}");
    }
    let extremes =
        Yuv420Clip::from_planes(16, 16, 2, [vec![0; 384], vec![255; 384]].concat()).expect("sizes agree");
    let planes = Planes::of_clip(device, &extremes, 0, 2);
    assert_eq!(color_distance(device, &planes).expect("runs").read(device), Ok(Some(28_267)));
}

#[test]
fn mosaic_gives_the_twins_cells() {
    let mut device = shared();
    let device = &mut *device;
    let check = |device: &mut Generation, name: &str, clip: &Yuv420Clip| {
        let planes = Planes::of_clip(device, clip, 0, clip.len());
        let found = mosaic(device, &planes).expect("runs").read(device).expect("runs");
        assert_eq!(found, mosaic_twin::Mosaic::of(clip, clip.len()).frames, "{name}");
    };
    for (width, height) in [(150, 118), (64, 48), (16, 16), (2, 2), (34, 18), (6, 40), (50, 38)] {
        check(device, &format!("slope of {width}x{height}"), &clip(width, height, 3));
        let size = 2 * Yuv420Clip::frame_bytes(width, height);
        for (name, draw) in [
            ("flat", (|_| 128) as fn(usize) -> u8),
            ("saturated", |_| 255),
            ("black and white", |i| if i % 3 == 0 { 255 } else { 0 }),
            ("noise", |i| mix(i as i64, 11, 2) as u8),
        ] {
            let drawn = Yuv420Clip::from_planes(width, height, 2, (0..size).map(draw).collect());
            check(device, &format!("{name} of {width}x{height}"), &drawn.expect("sizes agree"));
        }
    }
}

#[test]
fn octaves_give_the_twins_energies() {
    each(|device, input, planes| {
        let half = downscale(device, planes).expect("runs");
        for step in [1, 2] {
            let found = octaves(device, planes, &half, step).expect("runs").read(device).expect("runs");
            let twin: Vec<_> = input
                .planes
                .iter()
                .step_by(step as usize)
                .map(|p| {
                    let half = plane::downscale(p, input.width, input.height);
                    octaves_twin::octaves(p, &half, input.width, input.height)
                })
                .collect();
            assert_eq!(found, twin, "{} by {step}", input.name);
        }
    });
}

#[test]
fn strokes_give_the_twins_windows() {
    each(|device, input, _| {
        // Planes that stay, so that edges stand, and others between them.
        for (order, first) in [([0, 1, 1, 1, 1, 1, 1, 1, 1], 0), ([0, 1, 2, 0, 1, 1, 1, 2, 1], 2)] {
            let all: Vec<&[u8]> = order.iter().map(|&at: &usize| input.planes[at].as_slice()).collect();
            let planes = Planes::of_planes(device, &all, input.width, input.height);
            let origin = Origin {
                half: Planes::of_planes(device, &[&input.planes[first]], input.width, input.height),
            };
            let found = strokes(device, &planes, &origin).expect("runs").read(device).expect("runs");
            let known = strokes_twin::surroundings(&input.planes[first], input.width, input.height);
            let twin: Vec<_> = [4, 8]
                .map(|end: usize| {
                    let three = strokes_twin::BACK.map(|back| all[end - back]);
                    let counts = strokes_twin::strokes(three, &known, input.width, input.height);
                    strokes_twin::StrokeWindow::of_counts(&counts)
                })
                .into();
            assert_eq!(found, twin, "{}", input.name);
        }
    });
}

#[test]
fn clips_are_measured_alike_whole_and_in_windows() {
    let mut device = shared();
    let device = &mut *device;
    let frame = Yuv420Clip::frame_bytes(50, 38) as u64;
    // All frames at once, and windows of 16 frames that have 8 in common.
    for (most, lengths) in [(u64::MAX, [1, 2, 17]), (17 * frame, [9, 18, 29])] {
        device.limit_binding(most);
        for frames in lengths {
            let clip = clip(50, 38, frames);
            let name = format!("{frames} frames, at most {most} bytes");
            assert_eq!(device.clip(&clip, frames), Ok(ClipMeasures::of(&clip, frames)), "{name}");
        }
    }
    device.limit_binding(15 * frame);
    let refused = device.clip(&clip(50, 38, 29), 29).expect_err("windows of 16 do not fit");
    device.limit_binding(u64::MAX);
    assert!(refused.to_string().contains("50x38"), "{refused}");
    let pair = clip(50, 38, 2);
    let other = Yuv420Clip::from_planes(50, 38, 1, pair.as_bytes()[frame as usize..].to_vec()).expect("fits");
    assert_eq!(device.first_frame(&pair, &other), Ok(FirstFrameMeasures::of(&pair, &other)));
}

#[test]
fn every_digest_of_the_twins_has_a_stage_or_never_runs_on_a_device() {
    let mut device = shared();
    let device = &mut *device;
    let tested = selftest::of_device(device).expect("runs");
    assert_eq!(tested.differing(), None, "{tested:#?}");
    let names: Vec<_> = tested.kernels.iter().map(|kernel| kernel.kernel).collect();
    let on_host = ["clip", "log2", "opponents", "track"];
    for twin in leoma_core::quality::selftest::digests().keys() {
        assert!(names.contains(twin) != on_host.contains(twin), "{twin}");
    }
    assert_eq!(selftest::of_twins().differing(), None);
}

#[test]
fn every_flow_stage_gives_the_twins_vectors() {
    each(|device, input, planes| {
        let twins = [0, 1].map(|i| flow::Pyramid::new(&input.planes[i], input.width, input.height));
        let twin = flow::stages::named(&twins[0], &twins[1]);
        let found = flow_kernels::named(device, planes).expect("runs");
        for (found, twin) in found.iter().zip(&twin) {
            assert_eq!(found.name, twin.name, "{}", input.name);
            let first = found.values.iter().zip(&twin.values).position(|(a, b)| a != b);
            let told = first.map(|at| (at, found.values[at], twin.values[at]));
            assert_eq!((told, found.values.len()), (None, twin.values.len()), "{} {}", input.name, twin.name);
        }
        assert_eq!(found.len(), twin.len(), "{}", input.name);
    });
}

#[test]
fn every_temporal_stage_gives_the_twins_blocks_and_samples() {
    each(|device, input, planes| {
        let (name, area) = (&input.name, input.width * input.height);
        let luma: Vec<_> =
            input.planes.iter().map(|p| flow::Luma::new(p, input.width, input.height)).collect();
        let twins: Vec<_> =
            input.planes.iter().map(|p| flow::Pyramid::new(p, input.width, input.height)).collect();
        let pairs: Vec<_> = twins.windows(2).map(|two| flow::FlowPair::of(&two[0], &two[1])).collect();
        let levels = flow_kernels::Pyramid::of(device, planes).expect("runs");
        let field = |device: &mut Generation, direction| {
            flow_kernels::flow(device, &levels, direction).expect("runs").pop().expect("a base").field
        };
        let (there, back) = (field(device, Direction::Forward), field(device, Direction::Backward));
        let fates = flow_kernels::fates(device, &there, &back).expect("runs");
        let back_fates = flow_kernels::fates(device, &back, &there).expect("runs");
        let warped = temporal::warp(device, planes, &there, Direction::Forward).expect("runs");
        let back_warped = temporal::warp(device, planes, &back, Direction::Backward).expect("runs");
        let forward: Vec<_> =
            pairs.iter().zip(&luma[1..]).map(|(pair, other)| warp_twin::warp(other, &pair.forward)).collect();
        let backward: Vec<_> =
            pairs.iter().zip(&luma).map(|(pair, other)| warp_twin::warp(other, &pair.backward)).collect();
        for (found, twin) in [(&warped, &forward), (&back_warped, &backward)] {
            let twin: Vec<_> = twin.iter().map(|warped| warped.values().to_vec()).collect();
            assert_eq!(found.values(device, area).expect("runs"), twin, "warp of {name}");
        }
        let found = temporal::match_blocks(device, planes, &warped, &fates).expect("runs");
        let twin: Vec<_> =
            (0..2).map(|i| warp_twin::match_blocks(&luma[i], &forward[i], &pairs[i].forward_fates)).collect();
        assert_eq!(found.read(device).expect("runs"), twin, "match_blocks of {name}");
        let on = temporal::Way { warped: &warped, fates: &fates };
        let from = temporal::Way { warped: &back_warped, fates: &back_fates };
        let found = temporal::flicker_blocks(device, planes, &on, &from).expect("runs");
        let after = (&forward[1], pairs[1].forward_fates.as_slice());
        let before = (&backward[0], pairs[0].backward_fates.as_slice());
        let twin = vec![warp_twin::flicker_blocks(&luma[1], after, before)];
        assert_eq!(found.read(device).expect("runs"), twin, "flicker_blocks of {name}");
        let found = temporal::lattices(device, &back, &back_fates).expect("runs");
        let twin: Vec<_> =
            pairs.iter().map(|p| affine_twin::Lattice::of(&p.backward, &p.backward_fates)).collect();
        assert_eq!(found.read(device).expect("runs"), twin, "lattice of {name}");
        let found = temporal::histograms(device, planes).expect("runs").read(device).expect("runs");
        for (bins, plane) in found.iter().zip(&input.planes) {
            let twin = std::array::from_fn(|bin| {
                plane.iter().filter(|&&v| usize::from(v) / 8 == bin).count() as u32
            });
            assert_eq!(*bins, twin, "histogram of {name}");
        }
    });
}

#[test]
fn chroma_is_summed_as_the_twin_sums_it() {
    let mut device = shared();
    let device = &mut *device;
    let clip = clip(50, 38, 2);
    let planes = Planes::of_clip(device, &clip, 0, 2);
    let found =
        chroma_detail(device, &planes).expect("runs").map(|chroma| chroma.read(device).expect("runs"));
    for index in 0..2 {
        let frame = clip.frame(index);
        let twin = [frame.u, frame.v].map(detail_twin::luma_sum);
        assert_eq!(found.each_ref().map(|chroma| chroma[index].luma), twin);
    }
}
