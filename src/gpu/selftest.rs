//! Known answers: whether this machine's kernels give the twins' integers, on the adapter in use.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    adapters::is_software,
    device::Generation,
    domain::ids::Digest,
    error::DeviceError,
    kernels::{
        Planes,
        blockiness::grid_sums,
        border::bars,
        color_distance::color_distance,
        detail::detail,
        difference::full_differences,
        downscale::{downscale, pixels},
        flow,
        layers::explain,
        looks::looks,
        mosaic::mosaic,
        motion::{self, motion_fields},
        octaves::octaves,
        ssim::ssim,
        strokes::{Origin, strokes},
    },
    quality::{
        detail::{laplacian_energy, luma_sum},
        difference,
        frame::Yuv420Clip,
        measure::GRID_STEP,
        motion::{LumaPyramid, motion_field},
        selftest::{
            self, KERNELS, cell_values, difference_values, flow_values, grid_values, layer_values,
            look_values, motion_values, octave_values, of, stroke_planes, stroke_values, structure_values,
            temporal_digest, test_clip,
        },
        ssim::ssim as ssim_twin,
        strokes::Strokes,
        verdict::Measure,
    },
};

/// Answers that are committed with the source.
const COMMITTED: &str = include_str!("../../tests/golden/selftest.txt");

/// One kernel's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelCheck {
    /// The kernel, as in `quality::selftest`.
    pub kernel: &'static str,
    /// The twin's digest (for the twins themselves: the committed one).
    pub expected: Digest,
    /// What this adapter gave.
    pub found: Digest,
    /// Wall time from the first dispatch to the value.
    pub time: Duration,
}

impl KernelCheck {
    /// Whether the adapter gives the expected integers.
    pub fn agrees(&self) -> bool {
        self.expected == self.found
    }
}

/// All kernels' answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelfTest {
    /// Name of the adapter.
    pub adapter: String,
    /// `cpu`, `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver and its version; empty for the CPU.
    pub driver: String,
    /// Whether it is the processor or a software adapter on it.
    pub software: bool,
    /// One entry per kernel.
    pub kernels: Vec<KernelCheck>,
}

impl SelfTest {
    /// Names of the kernels that differ, separated by commas; `None` when all agree.
    pub fn differing(&self) -> Option<String> {
        let names: Vec<&str> = self.kernels.iter().filter(|k| !k.agrees()).map(|k| k.kernel).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// Runs every twin against the committed digests.
pub fn of_twins() -> SelfTest {
    let committed: BTreeMap<&str, &str> =
        COMMITTED.lines().filter_map(|line| line.trim().split_once(' ')).collect();
    let clip = test_clip();
    let kernels = KERNELS.iter().map(|&(kernel, answer)| {
        let start = Instant::now();
        let found = answer(&clip);
        let time = start.elapsed();
        let expected = committed.get(kernel).and_then(|text| text.parse().ok());
        // A kernel without a committed answer does not agree.
        KernelCheck { kernel, expected: expected.unwrap_or(Digest([0; 32])), found, time }
    });
    SelfTest {
        adapter: "CPU".to_owned(),
        backend: "cpu".to_owned(),
        driver: String::new(),
        software: true,
        kernels: kernels.collect(),
    }
}

/// Runs every kernel on a device against its twin: on the fixed clip, and on extremes that it does not hold.
///
/// # Errors
/// What the device reports; a kernel that differs is no error here.
pub fn of_device(device: &mut Generation) -> Result<SelfTest, DeviceError> {
    let twins = selftest::digests();
    let mut kernels = Vec::new();
    for (kernel, stage) in STAGES {
        let start = Instant::now();
        let found = stage(device)?;
        let expected = match twins.get(kernel) {
            Some(&digest) => digest,
            None => extremes_of_twins(),
        };
        kernels.push(KernelCheck { kernel, expected, found, time: start.elapsed() });
    }
    let info = device.info();
    Ok(SelfTest {
        adapter: info.name.clone(),
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        software: is_software(info),
        kernels,
    })
}

type Stage = fn(&mut Generation) -> Result<Digest, DeviceError>;

/// Kernels in the order of their work. `clip`, `log2`, `opponents` and `track` of the twins never run on a device.
pub const STAGES: [(&str, Stage); 17] = [
    ("downscale", |device| {
        let frames = test_frames(device);
        let half = downscale(device, &frames)?;
        let planes = pixels(device, half)?;
        Ok(Digest::of(&planes[0]))
    }),
    ("difference", |device| {
        let frames = test_frames(device);
        let found = full_differences(device, &frames, 1)?.read(device)?;
        Ok(of(difference_values(&found[0])))
    }),
    ("detail", |device| {
        let frames = test_frames(device);
        let found = detail(device, &frames)?.read(device)?;
        Ok(of(found.iter().map(|sums| sums.energy as i64)))
    }),
    ("blockiness", |device| {
        let frames = test_frames(device);
        let found = grid_sums(device, &frames, 1)?.read(device)?;
        Ok(of(grid_values(&found[0])))
    }),
    ("border", |device| {
        let frames = test_frames(device);
        let found = bars(device, &frames, 1)?.read(device)?;
        Ok(of([i64::from(found[0].letterbox), i64::from(found[0].pillarbox)]))
    }),
    ("color_distance", |device| {
        let frames = test_frames(device);
        Ok(of(color_distance(device, &frames)?.read(device)?))
    }),
    ("mosaic", |device| {
        let frames = test_frames(device);
        let found = mosaic(device, &frames)?.read(device)?;
        Ok(of(found.iter().flat_map(|cells| cell_values(cells))))
    }),
    ("ssim", |device| {
        let frames = test_frames(device);
        Ok(of(ssim(device, &frames)?.read(device)?[0]))
    }),
    ("motion", |device| {
        let frames = test_frames(device);
        let pyramid = motion::Pyramid::of(device, &frames)?;
        let found = motion_fields(device, &pyramid)?.read(device)?;
        Ok(of(motion_values(&found[0])))
    }),
    ("layers", |device| {
        let frames = test_frames(device);
        let pyramid = motion::Pyramid::of(device, &frames)?;
        let fields = motion_fields(device, &pyramid)?;
        Ok(of(layer_values(&explain(device, &pyramid.half, &fields)?[0])))
    }),
    ("looks", |device| {
        let frames = test_frames(device);
        let pyramid = motion::Pyramid::of(device, &frames)?;
        let smaller = [&pyramid.half, &pyramid.quarter];
        let found = looks(device, &frames, smaller, GRID_STEP as u32)?.read(device)?;
        Ok(of(look_values(&found)))
    }),
    ("octaves", |device| {
        let frames = test_frames(device);
        let half = downscale(device, &frames)?;
        let found = octaves(device, &frames, &half, 1)?.read(device)?;
        Ok(of(octave_values(&found.concat())))
    }),
    ("strokes", |device| {
        let (planes, width, height) = stroke_planes(&test_clip());
        let all: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let half = Planes::of_planes(device, &all, width, height);
        let origin = Origin { half: Planes::of_planes(device, &all[..1], width, height) };
        let windows = strokes(device, &half, &origin)?.read(device)?;
        Ok(of(stroke_values(&Strokes { first_edges: 0, windows })))
    }),
    ("flow", |device| {
        let frames = test_frames(device);
        let half = downscale(device, &frames)?;
        Ok(of(flow_values(&flow::named(device, &half)?)))
    }),
    ("temporal", |device| {
        let clip = test_clip();
        Ok(temporal_digest(&device.clip(&clip, clip.len())?.flow))
    }),
    ("structure", |device| {
        let clip = test_clip();
        Ok(of(structure_values(&device.clip(&clip, clip.len())?.flow)))
    }),
    ("extremes", extremes_of_device),
];

fn test_frames(device: &Generation) -> Planes {
    let clip = test_clip();
    Planes::of_clip(device, &clip, 0, clip.len())
}

/// Side of the extreme planes: not a multiple of a block.
const SIDE: usize = 53;

/// Black, white, a checkerboard, its negative, and a plane of noise over the whole range.
fn extreme_planes() -> [Vec<u8>; 5] {
    let draw = |value: fn(usize, usize) -> u8| (0..SIDE * SIDE).map(|i| value(i % SIDE, i / SIDE)).collect();
    [
        draw(|_, _| 0),
        draw(|_, _| 255),
        draw(|x, y| if (x + y) % 2 == 0 { 0 } else { 255 }),
        draw(|x, y| if (x + y) % 2 == 0 { 255 } else { 0 }),
        draw(|x, y| {
            let mixed = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
            mixed.wrapping_mul(0x2c1b_3c6d).to_le_bytes()[3]
        }),
    ]
}

fn extremes_of_twins() -> Digest {
    let planes = extreme_planes();
    let pyramids = planes.each_ref().map(|plane| LumaPyramid::new(plane, SIDE, SIDE));
    let mut values = Vec::new();
    for (pair, planes) in pyramids.windows(2).zip(planes.windows(2)) {
        values.extend(difference_values(&difference::difference(&planes[0], &planes[1], SIDE, SIDE)));
        values.extend(ssim_twin(&planes[0], &planes[1], SIDE, SIDE));
        values.extend(motion_values(&motion_field(&pair[0], &pair[1])));
    }
    values.extend(planes.iter().map(|plane| laplacian_energy(plane, SIDE, SIDE) as i64));
    values.extend(planes.iter().map(|plane| luma_sum(plane) as i64));
    of(values)
}

fn extremes_of_device(device: &mut Generation) -> Result<Digest, DeviceError> {
    let planes = extreme_planes();
    let planes = Planes::of_planes(device, &planes.each_ref().map(Vec::as_slice), SIDE, SIDE);
    let pyramid = motion::Pyramid::of(device, &planes)?;
    let differences = full_differences(device, &planes, 1)?;
    let similarities = ssim(device, &planes)?;
    let fields = motion_fields(device, &pyramid)?;
    let details = detail(device, &planes)?;
    let (differences, similarities) = (differences.read(device)?, similarities.read(device)?);
    let mut values = Vec::new();
    for ((difference, similarity), field) in differences.iter().zip(similarities).zip(fields.read(device)?) {
        values.extend(difference_values(difference));
        values.extend(similarity);
        values.extend(motion_values(&field));
    }
    let details = details.read(device)?;
    values.extend(details.iter().map(|sums| sums.energy as i64));
    values.extend(details.iter().map(|sums| sums.luma as i64));
    Ok(of(values))
}

/// The clip of the self-test, for callers that time whole runs.
pub fn clip() -> Yuv420Clip {
    test_clip()
}
