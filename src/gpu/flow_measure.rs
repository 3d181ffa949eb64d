//! A clip's flow measures from the device: the same integers as `FlowMeasures::of`.

use super::{
    device::Generation,
    error::DeviceError,
    kernels::{
        Planes,
        detail::{chroma_detail, detail},
        flow::{Direction, Fates, Field, Pyramid, fates, flow},
        temporal::{Warped, Way, flicker_blocks, histograms, lattices, match_blocks, warp},
    },
    quality::{
        frame::Yuv420Clip,
        plane::half_size,
        temporal::measures::{FlowSums, FrameSums, PairSums},
    },
};

/// The sums of no frame of a clip.
pub(crate) fn empty_sums(clip: &Yuv420Clip) -> FlowSums {
    let half = half_size(clip.width(), clip.height());
    FlowSums {
        pixels: (clip.width() * clip.height()) as i64,
        flow_pixels: (half.0 * half.1) as i64,
        frames: Vec::new(),
        histograms: Vec::new(),
        pairs: Vec::new(),
        flicker: Vec::new(),
    }
}

/// One direction of all pairs of a window.
struct Direct {
    field: Field,
    fates: Fates,
    warped: Warped,
}

impl Direct {
    fn way(&self) -> Way<'_> {
        Way { warped: &self.warped, fates: &self.fates }
    }
}

/// Measures the frames of a window whose first `known` frames were measured before, and appends what is new. `half` are
/// the frames' luma planes at half size.
pub(crate) fn measure_flow(
    device: &mut Generation,
    frames: &Planes,
    half: &Planes,
    known: usize,
    sums: &mut FlowSums,
) -> Result<(), DeviceError> {
    let luma = detail(device, frames)?;
    let [blue, red] = chroma_detail(device, frames)?;
    let bins = histograms(device, half)?;
    let (on, back) = directions(device, half)?;
    let blocks = match_blocks(device, half, &on.warped, &on.fates)?;
    let flicker = flicker_blocks(device, half, &on.way(), &back.way())?;
    let forward = lattices(device, &on.field, &on.fates)?;
    let backward = lattices(device, &back.field, &back.fates)?;
    let (luma, blue, red) = (luma.read(device)?, blue.read(device)?, red.read(device)?);
    let planes = luma.iter().zip(&blue).zip(&red).skip(known);
    sums.frames.extend(planes.map(|((luma, blue), red)| FrameSums {
        luma: luma.luma,
        blue: blue.luma,
        red: red.luma,
    }));
    sums.histograms.extend(bins.read(device)?.into_iter().skip(known));
    let pairs = blocks.read(device)?.into_iter().zip(forward.read(device)?).zip(backward.read(device)?);
    // A pair or triple is new when its last frame is.
    let new = pairs.skip(known.saturating_sub(1));
    sums.pairs.extend(new.map(|((blocks, forward), backward)| PairSums { blocks, forward, backward }));
    sums.flicker.extend(flicker.read(device)?.into_iter().skip(known.saturating_sub(2)));
    Ok(())
}

/// Flow of all pairs there and back, what becomes of every pixel, and the warped frames.
fn directions(device: &mut Generation, half: &Planes) -> Result<(Direct, Direct), DeviceError> {
    let pyramid = Pyramid::of(device, half)?;
    let base = |device: &mut Generation, direction| {
        let levels = flow(device, &pyramid, direction)?;
        let missing = || DeviceError::Fault("flow gave no field".to_owned());
        Ok(levels.into_iter().next_back().ok_or_else(missing)?.field)
    };
    let there = base(device, Direction::Forward)?;
    let back = base(device, Direction::Backward)?;
    let (there_fates, back_fates) = (fates(device, &there, &back)?, fates(device, &back, &there)?);
    let there_warped = warp(device, half, &there, Direction::Forward)?;
    let back_warped = warp(device, half, &back, Direction::Backward)?;
    Ok((
        Direct { field: there, fates: there_fates, warped: there_warped },
        Direct { field: back, fates: back_fates, warped: back_warped },
    ))
}
