//! A clip's measures from the device: the same integers as `ClipMeasures::of` and `FirstFrameMeasures::of`.

use super::{
    device::Generation,
    error::DeviceError,
    flow_measure::{empty_sums, measure_flow},
    kernels::{
        Planes,
        blockiness::grid_sums,
        border::bars,
        color_distance::color_distance,
        detail::detail,
        difference::pair_differences,
        layers::explain,
        looks::looks,
        mosaic::mosaic,
        motion::{Pyramid, motion_fields},
        octaves::octaves,
        ssim::ssim,
        strokes::{Origin, strokes},
    },
    quality::{
        frame::Yuv420Clip,
        looks::Looks,
        measure::{BAR_STEP, ClipMeasures, ClipSums, FrameSums, GRID_STEP, LONGEST_CYCLE, OCTAVE_STEP},
        mosaic::Mosaic,
        plane::{downscale, half_size},
        strokes::{Strokes, edges, windows},
        temporal::{FlowMeasures, measures::FlowSums},
        terms::{FirstFrameMeasures, FirstFrameSums},
        verdict::Measure,
    },
};

/// Windows start at multiples of this, so that sampled frames fall on the same places as in the twin.
const ALIGNMENT: usize = 8;
/// Frames that each window has in common with the one before: the longest lag.
const OVERLAP: usize = LONGEST_CYCLE;
const _: () = assert!(OVERLAP.is_multiple_of(ALIGNMENT) && ALIGNMENT.is_multiple_of(GRID_STEP));
const _: () = assert!(ALIGNMENT.is_multiple_of(BAR_STEP) && ALIGNMENT.is_multiple_of(OCTAVE_STEP));

impl Measure for Generation {
    type Error = DeviceError;

    fn clip(&mut self, clip: &Yuv420Clip, frames: usize) -> Result<ClipMeasures, DeviceError> {
        let frames = frames.min(clip.len());
        let window = window_frames(self, clip, frames)?;
        let mut sums = ClipSums {
            width: clip.width(),
            height: clip.height(),
            frames: Vec::with_capacity(frames),
            steps: Vec::new(),
            lags: vec![Vec::new(); LONGEST_CYCLE - 1],
            motion: Vec::new(),
            flow: FlowMeasures::of_sums(&empty_sums(clip)),
            looks: Looks::default(),
            mosaic: Mosaic::empty(clip.width(), clip.height()),
            strokes: Strokes { first_edges: first_edges(clip, frames), windows: Vec::new() },
        };
        let mut flow = empty_sums(clip);
        let mut start = 0;
        while sums.frames.len() < frames {
            let count = window.min(frames - start);
            measure_window(self, clip, start, count, (&mut sums, &mut flow))?;
            start += count - OVERLAP.min(count);
        }
        sums.flow = FlowMeasures::of_sums(&flow);
        Ok(ClipMeasures::of_sums(sums))
    }

    fn first_frame(
        &mut self,
        given: &Yuv420Clip,
        clip: &Yuv420Clip,
    ) -> Result<FirstFrameMeasures, DeviceError> {
        let size = Yuv420Clip::frame_bytes(given.width(), given.height());
        let both = [&given.as_bytes()[..size], &clip.as_bytes()[..size]].concat();
        // Both have one size, which `judge_by` has checked.
        let both = Yuv420Clip::from_planes(given.width(), given.height(), 2, both)
            .map_err(|e| DeviceError::Fault(e.to_string()))?;
        let frames = Planes::of_clip(self, &both, 0, 2);
        let pyramid = Pyramid::of(self, &frames)?;
        let similarity = ssim(self, &frames)?;
        let color = color_distance(self, &frames)?;
        let fields = motion_fields(self, &pyramid)?;
        let grid = grid_sums(self, &frames, 2)?;
        let half_detail = detail(self, &pyramid.half)?;
        let detail = detail(self, &frames)?;
        let seen = looks(self, &frames, [&pyramid.half, &pyramid.quarter], 2)?;
        let missing = || DeviceError::Fault("a stage gave no result".to_owned());
        Ok(FirstFrameMeasures::of_sums(FirstFrameSums {
            width: given.width(),
            height: given.height(),
            ssim: similarity.read(self)?.first().copied().flatten(),
            color: color.read(self)?,
            field: fields.read(self)?.pop().ok_or_else(missing)?,
            grid: grid.read(self)?.pop().ok_or_else(missing)?,
            half_detail: half_detail.read(self)?.first().ok_or_else(missing)?.energy,
            detail: detail.read(self)?.first().ok_or_else(missing)?.energy,
            looks: seen.read(self)?.pop().ok_or_else(missing)?,
        }))
    }
}

/// Edges of the first frame: one small plane, which the host counts sooner than a device.
fn first_edges(clip: &Yuv420Clip, frames: usize) -> i64 {
    if frames == 0 {
        return 0;
    }
    let (columns, rows) = half_size(clip.width(), clip.height());
    edges(&downscale(clip.frame(0).y, clip.width(), clip.height()), columns, rows)
}

/// Frames per window: all of them, or as many as fit one binding, a multiple of the alignment.
fn window_frames(device: &Generation, clip: &Yuv420Clip, frames: usize) -> Result<usize, DeviceError> {
    let (width, height) = (clip.width(), clip.height());
    let bytes = device.binding_bytes();
    let fit = (bytes / Yuv420Clip::frame_bytes(width, height) as u64) as usize;
    if frames <= fit {
        return Ok(frames);
    }
    let window = fit / ALIGNMENT * ALIGNMENT;
    let least = OVERLAP + ALIGNMENT;
    if window < least { Err(DeviceError::TooLarge { width, height, least, bytes }) } else { Ok(window) }
}

/// Measures frames `[start, start + count)` and appends what earlier windows did not give.
fn measure_window(
    device: &mut Generation,
    clip: &Yuv420Clip,
    start: usize,
    count: usize,
    (sums, flow): (&mut ClipSums, &mut FlowSums),
) -> Result<(), DeviceError> {
    let frames = Planes::of_clip(device, clip, start, count);
    let pyramid = Pyramid::of(device, &frames)?;
    let whole = detail(device, &frames)?;
    let half = detail(device, &pyramid.half)?;
    let grids = grid_sums(device, &frames, GRID_STEP as u32)?;
    let edges = bars(device, &frames, BAR_STEP as u32)?;
    let seen = looks(device, &frames, [&pyramid.half, &pyramid.quarter], GRID_STEP as u32)?;
    let cells = mosaic(device, &frames)?;
    let fine = octaves(device, &frames, &pyramid.half, OCTAVE_STEP as u32)?;
    let origin = Origin::of(device, clip)?;
    let written = strokes(device, &pyramid.half, &origin)?;
    let steps = pair_differences(device, &frames, 1)?;
    let lags = (2..=LONGEST_CYCLE as u32)
        .map(|lag| pair_differences(device, &pyramid.half, lag))
        .collect::<Result<Vec<_>, _>>()?;
    let fields = motion_fields(device, &pyramid)?;
    let motion = explain(device, &pyramid.half, &fields)?;
    let (whole, half, grids, edges) =
        (whole.read(device)?, half.read(device)?, grids.read(device)?, edges.read(device)?);
    let known = sums.frames.len() - start;
    sums.looks.frames.extend(seen.read(device)?.into_iter().skip(known.div_ceil(GRID_STEP)));
    measure_flow(device, &frames, &pyramid.half, known, flow)?;
    let mut fine = fine.read(device)?;
    // A window is new when its last frame is.
    sums.strokes.windows.extend(written.read(device)?.into_iter().skip(windows(known)));
    let sampled = |index: usize, step: usize| index.is_multiple_of(step).then_some(index / step);
    sums.frames.extend((known..count).map(|index| FrameSums {
        detail: whole[index].energy,
        half_detail: half[index].energy,
        grid: sampled(index, GRID_STEP).map(|at| grids[at].clone()),
        bars: sampled(index, BAR_STEP).map(|at| edges[at]),
        octaves: sampled(index, OCTAVE_STEP).map(|at| std::mem::take(&mut fine[at])),
    }));
    sums.mosaic.frames.extend(cells.read(device)?.into_iter().skip(known));
    // A pair is new when its second frame is.
    sums.steps.extend(steps.read(device)?.into_iter().skip(known.saturating_sub(1)));
    sums.motion.extend(motion.into_iter().skip(known.saturating_sub(1)));
    for ((lag, into), found) in (2..).zip(&mut sums.lags).zip(lags) {
        into.extend(found.read(device)?.into_iter().skip(known.saturating_sub(lag)));
    }
    Ok(())
}
