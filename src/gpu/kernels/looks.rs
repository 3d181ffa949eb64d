//! Twin: `quality::looks`.

use super::{Generation, Pending, Planes, Staged, sampled::Sampled, sum};
use crate::{
    quality::looks::{
        FrameLooks,
        bands::{BandSums, SIZES},
        color::{BINS, ColorSums, SECTORS},
        luma::{LumaSums, PERIOD},
    },
    shader::Kernel,
};

/// Bins, sectors, black, white, luma, saturation.
const COLOR_ROWS: usize = BINS + SECTORS + 4;
/// Phases, rings, sides.
const LUMA_ROWS: usize = PERIOD * PERIOD + 2;

/// Looks of the frames 0, `step`, 2 `step` and so on. `smaller` are the frames' luma planes at half and quarter size.
///
/// # Errors
/// What the device reports.
pub fn looks(
    device: &mut Generation,
    frames: &Planes,
    smaller: [&Planes; 2],
    step: u32,
) -> Staged<Vec<FrameLooks>> {
    let samples = frames.count.div_ceil(step);
    let colors = [frames.width, frames.height].map(|side| (side / 2).div_ceil(16));
    let mut buffers = vec![
        Sampled { kernel: Kernel::LooksColors, step, groups: colors, values: COLOR_ROWS }
            .sums(device, frames)?,
        Sampled { kernel: Kernel::LooksLuma, step, groups: [frames.tiles()[0], 1], values: LUMA_ROWS }
            .sums(device, frames)?,
    ];
    for planes in [frames, smaller[0], smaller[1]] {
        let bands = Sampled { kernel: Kernel::LooksBands, step, groups: planes.tiles(), values: 1 };
        buffers.push(bands.sums(device, planes)?);
    }
    let size = [frames.width, frames.height];
    Ok(Pending::new(buffers, move |words| {
        let rows: Vec<Vec<sum::RowSum>> = words.iter().map(|words| sum::row_sums(words)).collect();
        let [width, height] = size.map(|side| side as usize);
        let of_sample = |index: usize| FrameLooks {
            color: color_sums(&rows[0][index * COLOR_ROWS..][..COLOR_ROWS], width / 2 * (height / 2)),
            luma: luma_sums(&rows[1][index * LUMA_ROWS..][..LUMA_ROWS], size),
            bands: BandSums::counted(
                std::array::from_fn(|at: usize| rows[2 + at][index].sum as u64),
                width,
                height,
            ),
        };
        debug_assert_eq!(SIZES + 2, rows.len());
        (0..samples as usize).map(of_sample).collect()
    }))
}

fn color_sums(rows: &[sum::RowSum], samples: usize) -> ColorSums {
    let value = |at: usize| rows[at].sum as u64;
    ColorSums {
        samples: samples as u64,
        bins: std::array::from_fn(value),
        hues: std::array::from_fn(|sector| value(BINS + sector)),
        dark: value(BINS + SECTORS),
        bright: value(BINS + SECTORS + 1),
        luma: value(BINS + SECTORS + 2),
        saturation: value(BINS + SECTORS + 3),
    }
}

fn luma_sums(rows: &[sum::RowSum], size: [u32; 2]) -> LumaSums {
    LumaSums {
        size,
        phases: std::array::from_fn(|phase| rows[phase].sum),
        rings: rows[PERIOD * PERIOD].sum,
        sides: rows[PERIOD * PERIOD + 1].sum,
    }
}
