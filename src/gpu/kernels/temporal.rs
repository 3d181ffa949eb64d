//! Twins: `quality::temporal::{warp, affine}`: block sums and samples of dense flow, which the host puts into measures.

use super::{
    DeviceError, Dispatch, Generation, Pending, Planes, Pooled, Staged,
    flow::{Direction, Fates, Field},
};
use crate::{
    quality::temporal::{
        affine::{Lattice, SPACING, Sample},
        measures::BINS,
        warp::{FlickerBlock, MatchBlock},
    },
    shader::Kernel,
};

/// One frame of every pair, read where the other frame's field points, in 1/16 level, on the device.
pub struct Warped {
    buffer: Pooled,
    /// Words per pair; two pixels each.
    words: u32,
}

/// Warps the other frame of every pair to the one that `field` starts from.
///
/// # Errors
/// What the device reports.
pub fn warp(
    device: &mut Generation,
    planes: &Planes,
    field: &Field,
    direction: Direction,
) -> Result<Warped, DeviceError> {
    let words = (field.width * field.height).div_ceil(2);
    let buffer = device.buffer((field.pairs * words) as usize);
    let [_, other] = direction.planes();
    device.dispatch(&Dispatch {
        kernel: Kernel::Warp,
        params: &[field.width, field.height, planes.stride, other, words],
        buffers: &[&planes.buffer, &field.buffer, &buffer],
        groups: [words.div_ceil(256), 1],
        layers: field.pairs,
    })?;
    Ok(Warped { buffer, words })
}

impl Warped {
    /// The values, pair by pair, `area` pixels each. For tests: scoring reads sums.
    ///
    /// # Errors
    /// What the device reports.
    pub fn values(&self, device: &mut Generation, area: usize) -> Result<Vec<Vec<i16>>, DeviceError> {
        let words = device.read(&self.buffer)?;
        let pair = |words: &[u32]| {
            words.iter().flat_map(|&word| [word as i16, (word >> 16) as i16]).take(area).collect()
        };
        Ok(words.chunks_exact(self.words as usize).map(pair).collect())
    }
}

/// Blocks of every pair's first frame against the second frame, which was warped to it.
///
/// # Errors
/// What the device reports.
pub fn match_blocks(
    device: &mut Generation,
    planes: &Planes,
    warped: &Warped,
    fates: &Fates,
) -> Staged<Vec<Vec<MatchBlock>>> {
    let pairs = planes.count.saturating_sub(1);
    let [columns, rows] = planes.tiles();
    let blocks = columns * rows;
    let sums = device.buffer((pairs * blocks * 5) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::MatchBlocks,
        params: &[planes.width, planes.height, planes.stride, 0, warped.words, fates.words, columns, blocks],
        buffers: &[&planes.buffer, &warped.buffer, &fates.buffer, &sums],
        groups: [columns, rows],
        layers: pairs,
    })?;
    if pairs == 0 {
        return Ok(Pending::new(Vec::new(), |_| Vec::new()));
    }
    Ok(Pending::new(vec![sums], move |words| {
        let block = |&[seen, hidden, error, contrast, census]: &[u32; 5]| MatchBlock {
            seen,
            hidden,
            error,
            contrast,
            census,
        };
        let all: Vec<MatchBlock> = words[0].as_chunks::<5>().0.iter().map(block).collect();
        all.chunks_exact(blocks as usize).map(<[MatchBlock]>::to_vec).collect()
    }))
}

/// One direction of all pairs: the other frame warped to the one that the field starts from, and its pixels' fates.
pub struct Way<'a> {
    /// The warped frames.
    pub warped: &'a Warped,
    /// The fates.
    pub fates: &'a Fates,
}

/// Second differences of every frame but the first and the last: `on` leads to the next frame, `back` to the one before.
///
/// # Errors
/// What the device reports.
pub fn flicker_blocks(
    device: &mut Generation,
    planes: &Planes,
    on: &Way<'_>,
    back: &Way<'_>,
) -> Staged<Vec<Vec<FlickerBlock>>> {
    let triples = planes.count.saturating_sub(2);
    if triples == 0 {
        return Ok(Pending::new(Vec::new(), |_| Vec::new()));
    }
    let [columns, rows] = planes.tiles();
    let blocks = columns * rows;
    let sums = device.buffer((triples * blocks * 2) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::FlickerBlocks,
        params: &[
            planes.width,
            planes.height,
            planes.stride,
            on.warped.words,
            on.fates.words,
            columns,
            blocks,
        ],
        buffers: &[
            &planes.buffer,
            &on.warped.buffer,
            &on.fates.buffer,
            &back.warped.buffer,
            &back.fates.buffer,
            &sums,
        ],
        groups: [columns, rows],
        layers: triples,
    })?;
    Ok(Pending::new(vec![sums], move |words| {
        let block = |&[seen, second]: &[u32; 2]| FlickerBlock { seen, second: second as i32 };
        let all: Vec<FlickerBlock> = words[0].as_chunks::<2>().0.iter().map(block).collect();
        all.chunks_exact(blocks as usize).map(<[FlickerBlock]>::to_vec).collect()
    }))
}

/// The lattice of every pair's field.
///
/// # Errors
/// What the device reports.
pub fn lattices(device: &mut Generation, field: &Field, fates: &Fates) -> Staged<Vec<Lattice>> {
    if field.pairs == 0 {
        return Ok(Pending::new(Vec::new(), |_| Vec::new()));
    }
    let points = |side: u32| ((side + SPACING as u32 / 2 - 1) / SPACING as u32).max(1);
    let (columns, rows) = (points(field.width), points(field.height));
    let count = columns * rows;
    let samples = device.buffer((field.pairs * count) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Lattice,
        params: &[field.width, field.height, fates.words, columns, count],
        buffers: &[&field.buffer, &fates.buffer, &samples],
        groups: [count.div_ceil(64), 1],
        layers: field.pairs,
    })?;
    Ok(Pending::new(vec![samples], move |words| {
        // Fifteen bits with the sign in the highest.
        let component = |bits: u32| (bits << 17) as i32 >> 17;
        let sample = |&word: &u32| Sample {
            x: component(word & 0x7fff),
            y: component(word >> 15 & 0x7fff),
            seen: word >> 30 == 1,
        };
        let lattice = |words: &[u32]| Lattice {
            columns: columns as usize,
            rows: rows as usize,
            samples: words.iter().map(sample).collect(),
        };
        words[0].chunks_exact(count as usize).map(lattice).collect()
    }))
}

/// Pixels of every plane by luma, in bins of eight levels.
///
/// # Errors
/// What the device reports.
pub fn histograms(device: &mut Generation, planes: &Planes) -> Staged<Vec<[u32; BINS]>> {
    let counts = device.buffer(planes.count as usize * BINS);
    device.clear(&counts);
    let pixels = planes.width * planes.height;
    device.dispatch(&Dispatch {
        kernel: Kernel::Histogram,
        params: &[pixels, planes.stride],
        buffers: &[&planes.buffer, &counts],
        groups: [pixels.div_ceil(4096), 1],
        layers: planes.count,
    })?;
    Ok(Pending::new(vec![counts], |words| words[0].as_chunks::<BINS>().0.to_vec()))
}
