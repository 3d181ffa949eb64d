//! Twin: `quality::motion::motion_field`.

use super::{DeviceError, Dispatch, Generation, Planes, Pooled, downscale::downscale};
use crate::{
    quality::motion::{BLOCK, BlockMotion, MotionField, Vector},
    shader::Kernel,
};

/// Half-, quarter- and eighth-size luma of frames.
pub struct Pyramid {
    /// Half size.
    pub half: Planes,
    /// Quarter size.
    pub quarter: Planes,
    /// Eighth size.
    pub eighth: Planes,
}

impl Pyramid {
    /// Builds the pyramids of frames.
    ///
    /// # Errors
    /// What the device reports.
    pub fn of(device: &mut Generation, frames: &Planes) -> Result<Self, DeviceError> {
        let half = downscale(device, frames)?;
        let quarter = downscale(device, &half)?;
        let eighth = downscale(device, &quarter)?;
        Ok(Self { half, quarter, eighth })
    }
}

/// Block motion of every frame to the next one, on the device.
pub struct Fields {
    /// Four words per block.
    pub(super) blocks: Pooled,
    /// Blocks per row.
    pub(super) columns: u32,
    /// Rows of blocks.
    pub(super) rows: u32,
    /// Pairs of frames.
    pub(super) pairs: u32,
}

/// Matches the blocks of every frame in the next one.
///
/// # Errors
/// What the device reports.
pub fn motion_fields(device: &mut Generation, pyramid: &Pyramid) -> Result<Fields, DeviceError> {
    let Pyramid { half, quarter, eighth } = pyramid;
    let pairs = half.count.saturating_sub(1);
    let (columns, rows) = (half.width.div_ceil(BLOCK as u32), half.height.div_ceil(BLOCK as u32));
    let (coarse_columns, coarse_rows) = (columns.div_ceil(2), rows.div_ceil(2));
    let (blocks, groups) = (columns * rows, coarse_columns * coarse_rows);
    let coarse = device.buffer((pairs * groups * 2) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::MotionSearch,
        params: &[coarse_columns, groups, eighth.width, eighth.height, eighth.words()],
        buffers: &[&eighth.buffer, &coarse],
        groups: [groups.div_ceil(64), 1],
        layers: pairs,
    })?;
    let motion = device.buffer((pairs * blocks * 4) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::MotionRefine,
        params: &[
            columns,
            blocks,
            coarse_columns,
            coarse_rows,
            half.width,
            half.height,
            half.words(),
            quarter.width,
            quarter.height,
            quarter.words(),
        ],
        buffers: &[&half.buffer, &quarter.buffer, &coarse, &motion],
        groups: [blocks.div_ceil(64), 1],
        layers: pairs,
    })?;
    Ok(Fields { blocks: motion, columns, rows, pairs })
}

impl Fields {
    /// Waits for the vectors: 16 bytes for each block of 16x16 pixels.
    ///
    /// # Errors
    /// What the device reports.
    pub fn read(&self, device: &mut Generation) -> Result<Vec<MotionField>, DeviceError> {
        if self.pairs == 0 {
            return Ok(Vec::new());
        }
        let words = device.read(&self.blocks)?;
        let block = |w: &[u32; 4]| BlockMotion {
            vector: Vector { x: w[0] as i32, y: w[1] as i32 },
            error: w[2],
            texture: w[3],
        };
        let all: Vec<BlockMotion> = words.as_chunks::<4>().0.iter().map(block).collect();
        let (columns, rows) = (self.columns as usize, self.rows as usize);
        let field = |blocks: &[BlockMotion]| MotionField { columns, rows, blocks: blocks.to_vec() };
        Ok(all.chunks_exact(columns * rows).map(field).collect())
    }
}
