//! Twin: `quality::flow`. Dense flow of every plane to its neighbour, level by level; `docs/flow.md` has the stages.

use super::{DeviceError, Dispatch, Generation, Pending, Planes, Pooled, downscale::downscale};
use crate::{
    quality::flow::{
        BASE_STEPS, IMPROVE_STEPS, SEARCH_STEPS, patch,
        raster::{LEAST_SIDE, MOST_LEVELS},
        stages::Named,
    },
    shader::Kernel,
};

/// From which frame of a pair to which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the first to the second.
    Forward,
    /// From the second to the first.
    Backward,
}

impl Direction {
    /// Planes of the first and second frame, beyond the pair's number.
    pub(super) fn planes(self) -> [u32; 2] {
        match self {
            Self::Forward => [0, 1],
            Self::Backward => [1, 0],
        }
    }
}

/// Flow pyramids of frames: the given planes, then halves.
pub struct Pyramid<'a> {
    base: &'a Planes,
    below: Vec<Planes>,
}

impl<'a> Pyramid<'a> {
    /// Builds the levels of planes.
    ///
    /// # Errors
    /// What the device reports.
    pub fn of(device: &mut Generation, base: &'a Planes) -> Result<Self, DeviceError> {
        let mut below: Vec<Planes> = Vec::new();
        while below.len() < MOST_LEVELS {
            let above = below.last().unwrap_or(base);
            if above.width.div_ceil(2).min(above.height.div_ceil(2)) < LEAST_SIDE as u32 {
                break;
            }
            let next = downscale(device, above)?;
            below.push(next);
        }
        Ok(Self { base, below })
    }

    /// All levels, the largest first.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = &Planes> + ExactSizeIterator {
        let count = self.below.len() + 1;
        (0..count).map(|level| if level == 0 { self.base } else { &self.below[level - 1] })
    }
}

/// Patches of all pairs on the device: four words each.
pub struct Patches {
    buffer: Pooled,
    per_pair: u32,
}

/// Fields of all pairs on the device: a word per pixel, x in its lower half.
pub struct Field {
    pub(crate) buffer: Pooled,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pairs of frames.
    pub pairs: u32,
}

/// Outputs of one level.
pub struct Level {
    /// Level, 0 is the base.
    pub level: usize,
    /// After the search.
    pub search: Patches,
    /// After taking over neighbours' vectors; not at the base.
    pub improve: Option<Patches>,
    /// A vector for every pixel.
    pub field: Field,
}

/// Flow of every pair of neighbouring planes in one direction: all levels, the coarsest first, the base last.
///
/// # Errors
/// What the device reports.
pub fn flow(
    device: &mut Generation,
    pyramid: &Pyramid<'_>,
    direction: Direction,
) -> Result<Vec<Level>, DeviceError> {
    let mut done: Vec<Level> = Vec::new();
    for (level, planes) in pyramid.levels().enumerate().rev() {
        let stage = Stage::new(planes, direction);
        let steps = if level == 0 { BASE_STEPS } else { SEARCH_STEPS };
        let search = stage.search(device, done.last().map(|coarser| &coarser.field), steps)?;
        let improve = if level > 0 { Some(stage.improve(device, &search)?) } else { None };
        let field = stage.densify(device, improve.as_ref().unwrap_or(&search))?;
        done.push(Level { level, search, improve, field });
    }
    Ok(done)
}

/// One level in one direction.
struct Stage<'a> {
    planes: &'a Planes,
    direction: Direction,
    pairs: u32,
    columns: u32,
    patches: u32,
}

impl<'a> Stage<'a> {
    fn new(planes: &'a Planes, direction: Direction) -> Self {
        let stride = patch::STRIDE as u32;
        let (columns, rows) = (planes.width.div_ceil(stride), planes.height.div_ceil(stride));
        let pairs = planes.count.saturating_sub(1);
        Self { planes, direction, pairs, columns, patches: columns * rows }
    }

    /// The parameters that all stages begin with.
    fn params(&self, more: &[u32]) -> Vec<u32> {
        let [origin, target] = self.direction.planes();
        let planes = self.planes;
        let common = [planes.width, planes.height, planes.stride, origin, target, self.columns, self.patches];
        [&common, more].concat()
    }

    fn empty(&self, device: &Generation) -> Patches {
        let buffer = device.buffer((self.pairs * self.patches * 4) as usize);
        Patches { buffer, per_pair: self.patches }
    }

    fn search(
        &self,
        device: &mut Generation,
        coarser: Option<&Field>,
        steps: u32,
    ) -> Result<Patches, DeviceError> {
        let found = self.empty(device);
        // The coarsest level reads none, but something must be bound.
        let none = device.buffer(1);
        let (field, width, height) =
            coarser.map_or((&none, 0, 0), |field| (&field.buffer, field.width, field.height));
        device.dispatch(&Dispatch {
            kernel: Kernel::FlowSearch,
            params: &self.params(&[steps, width, height]),
            buffers: &[&self.planes.buffer, field, &found.buffer],
            groups: [self.patches.div_ceil(64), 1],
            layers: self.pairs,
        })?;
        Ok(found)
    }

    fn improve(&self, device: &mut Generation, before: &Patches) -> Result<Patches, DeviceError> {
        let found = self.empty(device);
        device.dispatch(&Dispatch {
            kernel: Kernel::FlowImprove,
            params: &self.params(&[IMPROVE_STEPS]),
            buffers: &[&self.planes.buffer, &before.buffer, &found.buffer],
            groups: [self.patches.div_ceil(64), 1],
            layers: self.pairs,
        })?;
        Ok(found)
    }

    fn densify(&self, device: &mut Generation, patches: &Patches) -> Result<Field, DeviceError> {
        let (width, height) = (self.planes.width, self.planes.height);
        let buffer = device.buffer((self.pairs * width * height) as usize);
        device.dispatch(&Dispatch {
            kernel: Kernel::FlowDensify,
            params: &self.params(&[]),
            buffers: &[&self.planes.buffer, &patches.buffer, &buffer],
            groups: self.planes.tiles(),
            layers: self.pairs,
        })?;
        Ok(Field { buffer, width, height, pairs: self.pairs })
    }
}

/// Fates of all pixels on the device: a byte each, every pair from a whole word on.
pub struct Fates {
    pub(crate) buffer: Pooled,
    /// Words per pair.
    pub words: u32,
}

/// The fate of every pixel of the frames that `there` starts from.
///
/// # Errors
/// What the device reports.
pub fn fates(device: &mut Generation, there: &Field, back: &Field) -> Result<Fates, DeviceError> {
    let words = (there.width * there.height).div_ceil(4);
    let buffer = device.buffer((there.pairs * words) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::FlowFates,
        params: &[there.width, there.height, words],
        buffers: &[&there.buffer, &back.buffer, &buffer],
        groups: [words.div_ceil(256), 1],
        layers: there.pairs,
    })?;
    Ok(Fates { buffer, words })
}

/// Every output of every stage for the first pair of planes, in the order and with the names of
/// `quality::flow::stages::named`. For tests and the self-test: scoring reads sums.
///
/// # Errors
/// What the device reports.
pub fn named(device: &mut Generation, planes: &Planes) -> Result<Vec<Named>, DeviceError> {
    let mut all = Vec::new();
    let pyramid = Pyramid::of(device, planes)?;
    for (plane, frame) in ["first", "second"].into_iter().enumerate() {
        for (level, planes) in pyramid.levels().enumerate() {
            let words = device.read(&planes.buffer)?;
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let area = (planes.width * planes.height) as usize;
            let values =
                bytes[plane * planes.stride as usize..][..area].iter().map(|&v| i32::from(v)).collect();
            all.push(Named { name: format!("pyramid.{level}.{frame}"), values });
        }
    }
    let mut bases = Vec::new();
    for (direction, name) in [(Direction::Forward, "forward"), (Direction::Backward, "backward")] {
        for level in flow(device, &pyramid, direction)? {
            let Level { level, search, improve, field } = level;
            all.push(Named { name: format!("search.{level}.{name}"), values: patches(device, search)? });
            if let Some(improve) = improve {
                all.push(Named {
                    name: format!("improve.{level}.{name}"),
                    values: patches(device, improve)?,
                });
            }
            let words = device.read(&field.buffer)?;
            let area = (field.width * field.height) as usize;
            let values = words[..area].iter().flat_map(|&word| [word as i16, (word >> 16) as i16]);
            all.push(Named {
                name: format!("densify.{level}.{name}"),
                values: values.map(i32::from).collect(),
            });
            if level == 0 {
                bases.push(field);
            }
        }
    }
    let [forward, backward] = &bases[..] else { unreachable!("each direction ends at level 0") };
    for (there, back, name) in [(forward, backward, "forward"), (backward, forward, "backward")] {
        let found = fates(device, there, back)?;
        let words = device.read(&found.buffer)?;
        let area = (there.width * there.height) as usize;
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        all.push(Named { name: format!("fates.{name}"), values: bytes.take(area).map(i32::from).collect() });
    }
    Ok(all)
}

/// `x, y, cost` of every patch of the first pair.
fn patches(device: &mut Generation, patches: Patches) -> Result<Vec<i32>, DeviceError> {
    let count = patches.per_pair as usize;
    let pending = Pending::new(vec![patches.buffer], move |words| {
        let found = &words[0].as_chunks::<4>().0[..count];
        found.iter().flat_map(|&[x, y, cost, _]| [x, y, cost]).map(|value| value as i32).collect()
    });
    pending.read(device)
}
