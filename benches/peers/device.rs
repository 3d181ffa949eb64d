//! The same kernels and the same verdict on the best adapter that the system has: a GPU, else a software one.
//!
//! A kernel's time runs from its first dispatch to its values on the host; the verdict's includes the upload of the clip.

use std::{cell::RefCell, hint::black_box, rc::Rc};

use leoma::{
    gpu::{
        adapters::AdapterWish,
        device::{DeviceOptions, Generation},
        error::DeviceError,
        kernels::{
            Planes, blockiness, border,
            color_distance::color_distance,
            detail::{chroma_detail, detail},
            difference::pair_differences,
            flow::{self, Direction, Fates, Field},
            layers::explain,
            looks::looks,
            mosaic::mosaic,
            motion::{Fields, Pyramid, motion_fields},
            octaves::octaves,
            ssim::ssim,
            strokes::{Origin, strokes},
            temporal::{Warped, Way, flicker_blocks, lattices, match_blocks, warp},
        },
        port::Scorer as _,
        wgpu_scorer::WgpuScorer,
    },
    quality::{
        frame::Yuv420Clip,
        measure::{BAR_STEP, GRID_STEP, LONGEST_CYCLE, OCTAVE_STEP},
        temporal::affine::Global,
    },
};

use crate::{Failure, Work, inputs::Inputs, lanes::verdict};

/// What the kernels read, on the device. Pairs stand for forward and backward.
struct Stages {
    frames: Planes,
    /// The given first frame and the clip's.
    firsts: Planes,
    pyramid: Pyramid,
    origin: Origin,
    motion: Fields,
    fields: [Field; 2],
    fates: [Fates; 2],
    warped: [Warped; 2],
}

impl Stages {
    fn of(device: &mut Generation, inputs: &Inputs) -> Result<Self, Failure> {
        let (width, height) = inputs.size();
        let frame = Yuv420Clip::frame_bytes(width, height);
        let firsts = [inputs.first_frame.as_bytes(), &inputs.clip.as_bytes()[..frame]].concat();
        let firsts = Planes::of_clip(device, &Yuv420Clip::from_planes(width, height, 2, firsts)?, 0, 2);
        let frames = Planes::of_clip(device, &inputs.clip, 0, inputs.clip.len());
        let pyramid = Pyramid::of(device, &frames)?;
        let motion = motion_fields(device, &pyramid)?;
        let fields = there_and_back(device, &pyramid.half)?;
        let (fates, warped) = (fates_of(device, &fields)?, warped_of(device, &pyramid.half, &fields)?);
        let origin = Origin::of(device, &inputs.clip)?;
        Ok(Self { frames, firsts, pyramid, origin, motion, fields, fates, warped })
    }

    /// Waits for all recorded work by reading something small.
    fn wait(&self, device: &mut Generation) -> Result<(), DeviceError> {
        detail(device, &self.pyramid.eighth)?.read(device).map(drop)
    }

    fn way(&self, direction: Direction) -> Way<'_> {
        let index = usize::from(direction == Direction::Backward);
        Way { warped: &self.warped[index], fates: &self.fates[index] }
    }
}

fn there_and_back(device: &mut Generation, half: &Planes) -> Result<[Field; 2], DeviceError> {
    let pyramid = flow::Pyramid::of(device, half)?;
    let mut field = |direction| {
        let base = flow::flow(device, &pyramid, direction)?.pop();
        Ok(base.ok_or_else(|| DeviceError::Fault("flow without a base level".to_owned()))?.field)
    };
    Ok([field(Direction::Forward)?, field(Direction::Backward)?])
}

fn fates_of(device: &mut Generation, [there, back]: &[Field; 2]) -> Result<[Fates; 2], DeviceError> {
    Ok([flow::fates(device, there, back)?, flow::fates(device, back, there)?])
}

fn warped_of(
    device: &mut Generation,
    half: &Planes,
    [there, back]: &[Field; 2],
) -> Result<[Warped; 2], DeviceError> {
    Ok([warp(device, half, there, Direction::Forward)?, warp(device, half, back, Direction::Backward)?])
}

/// A device with what the kernels read.
struct Bench {
    device: Generation,
    stages: Stages,
}

fn open(inputs: &Inputs) -> Result<Bench, Failure> {
    let mut device = Generation::open(&DeviceOptions::of(AdapterWish::Any))?;
    let stages = Stages::of(&mut device, inputs)?;
    Ok(Bench { device, stages })
}

/// The kernels' works and `device-verdict`, which gives the overall score and the bytes of device buffers.
pub fn works(inputs: &Rc<Inputs>) -> Vec<Work> {
    let bench = Rc::<RefCell<Option<Bench>>>::default();
    let kernels = planes().into_iter().chain(moving());
    let mut works: Vec<Work> = kernels
        .map(|(name, kernel)| {
            let (inputs, bench) = (Rc::clone(inputs), Rc::clone(&bench));
            let run = move |_: &[usize]| -> Result<Vec<f64>, Failure> {
                let mut bench = bench.borrow_mut();
                if bench.is_none() {
                    *bench = Some(open(&inputs)?);
                }
                let Bench { device, stages } = bench.as_mut().ok_or("no device is open")?;
                kernel(device, stages)?;
                Ok(Vec::new())
            };
            Work { name, run: Box::new(run) }
        })
        .collect();
    works.push(scorer(Rc::clone(inputs)));
    works
}

fn scorer(inputs: Rc<Inputs>) -> Work {
    let mut scorer = None;
    let run = move |_: &[usize]| -> Result<Vec<f64>, Failure> {
        let scorer = match &mut scorer {
            Some(scorer) => scorer,
            empty => empty.insert(WgpuScorer::open(DeviceOptions::of(AdapterWish::Any))?),
        };
        let overall = verdict(&inputs, scorer, &inputs.clip)?;
        Ok(vec![overall, scorer.health().buffer_bytes as f64])
    };
    Work { name: "device-verdict", run: Box::new(run) }
}

/// Name of the adapter, and whether it is software on the processor.
pub fn adapter() -> Result<(String, bool), Failure> {
    let device = Generation::open(&DeviceOptions::of(AdapterWish::Any))?;
    let info = device.info();
    Ok((format!("{} ({})", info.name, info.backend), format!("{:?}", info.device_type) == "Cpu"))
}

type Kernel = (&'static str, fn(&mut Generation, &Stages) -> Result<(), DeviceError>);

/// Kernels on single frames and on differences of frames.
fn planes() -> Vec<Kernel> {
    vec![
        ("device-pyramid", |device, stages| {
            let pyramid = Pyramid::of(device, &stages.frames)?;
            detail(device, &pyramid.eighth)?.read(device).map(drop)
        }),
        ("device-difference", |device, stages| {
            pair_differences(device, &stages.frames, 1)?.read(device).map(drop)
        }),
        ("device-lags", |device, stages| {
            let lags = (2..=LONGEST_CYCLE as u32)
                .map(|lag| pair_differences(device, &stages.pyramid.half, lag))
                .collect::<Result<Vec<_>, _>>()?;
            lags.into_iter().try_for_each(|lag| lag.read(device).map(drop))
        }),
        ("device-detail", |device, stages| {
            let (whole, half) = (detail(device, &stages.frames)?, detail(device, &stages.pyramid.half)?);
            whole.read(device)?;
            half.read(device).map(drop)
        }),
        ("device-sums", |device, stages| {
            let luma = detail(device, &stages.frames)?;
            let chroma = chroma_detail(device, &stages.frames)?;
            luma.read(device)?;
            chroma.into_iter().try_for_each(|plane| plane.read(device).map(drop))
        }),
        ("device-blockiness", |device, stages| {
            blockiness::grid_sums(device, &stages.frames, GRID_STEP as u32)?.read(device).map(drop)
        }),
        ("device-border", |device, stages| {
            border::bars(device, &stages.frames, BAR_STEP as u32)?.read(device).map(drop)
        }),
        ("device-looks", |device, stages| {
            let smaller = [&stages.pyramid.half, &stages.pyramid.quarter];
            looks(device, &stages.frames, smaller, GRID_STEP as u32)?.read(device).map(drop)
        }),
        ("device-mosaic", |device, stages| mosaic(device, &stages.frames)?.read(device).map(drop)),
        ("device-octaves", |device, stages| {
            octaves(device, &stages.frames, &stages.pyramid.half, OCTAVE_STEP as u32)?.read(device).map(drop)
        }),
        ("device-strokes", |device, stages| {
            strokes(device, &stages.pyramid.half, &stages.origin)?.read(device).map(drop)
        }),
        ("device-color_distance", |device, stages| {
            color_distance(device, &stages.firsts)?.read(device).map(drop)
        }),
        ("device-ssim", |device, stages| ssim(device, &stages.firsts)?.read(device).map(drop)),
    ]
}

/// Kernels on motion.
fn moving() -> Vec<Kernel> {
    vec![
        ("device-motion", |device, stages| motion_fields(device, &stages.pyramid)?.read(device).map(drop)),
        ("device-layers", |device, stages| explain(device, &stages.pyramid.half, &stages.motion).map(drop)),
        ("device-flow", |device, stages| {
            let _fields = there_and_back(device, &stages.pyramid.half)?;
            stages.wait(device)
        }),
        ("device-fates", |device, stages| {
            let _fates = fates_of(device, &stages.fields)?;
            stages.wait(device)
        }),
        ("device-warp", |device, stages| {
            let _warped = warped_of(device, &stages.pyramid.half, &stages.fields)?;
            stages.wait(device)
        }),
        ("device-match_blocks", |device, stages| {
            let half = &stages.pyramid.half;
            match_blocks(device, half, &stages.warped[0], &stages.fates[0])?.read(device).map(drop)
        }),
        ("device-flicker_blocks", |device, stages| {
            let (on, back) = (stages.way(Direction::Forward), stages.way(Direction::Backward));
            flicker_blocks(device, &stages.pyramid.half, &on, &back)?.read(device).map(drop)
        }),
        ("device-lattice", |device, stages| {
            for (field, fates) in stages.fields.iter().zip(&stages.fates) {
                for lattice in lattices(device, field, fates)?.read(device)? {
                    black_box(Global::fit(&lattice));
                }
            }
            Ok(())
        }),
    ]
}
