//! The canonical path: plain f32 arithmetic in one fixed order, the same bits on every machine.
//!
//! Every output value of a layer is one chain of additions and multiplications whose order this file fixes:
//! a convolution starts at its bias and adds `weight * value` by input channel, then window row, then window
//! column. Rust contracts nothing into fused operations and IEEE 754 rounds each operation the same way
//! everywhere; no function beyond `+ - * /` and the square root (exact by IEEE 754) is used. Values that do not
//! depend on each other may be computed side by side, in vectors or on threads, without any change of a bit. So
//! the loop where the time goes is compiled twice, for any x86-64 and for AVX2 ([`wide`]).

use pulp::NullaryFnOnce;
use rayon::prelude::*;

use crate::network::{Batch, Convolution, Executor, Network, Padding};

/// Output channels that are computed together.
const LANES: usize = 4;
/// Output columns that are computed together.
const COLUMNS: usize = 16;

/// Maps `[images, channels, height, width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Maps {
    pub(crate) images: usize,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) data: Vec<f32>,
}

impl Maps {
    fn area(&self) -> usize {
        self.height * self.width
    }

    /// All values, image by image, channel by channel.
    pub fn values(&self) -> &[f32] {
        &self.data
    }
}

/// Runs a network on the CPU by the rules of this module.
#[derive(Clone, Copy)]
pub struct CanonicalExecutor<'a> {
    network: &'a Network,
}

impl<'a> CanonicalExecutor<'a> {
    /// An executor of this network.
    pub fn new(network: &'a Network) -> Self {
        Self { network }
    }
}

impl Executor for CanonicalExecutor<'_> {
    type Maps = Maps;

    fn upload(&self, batch: Batch) -> Maps {
        Maps { images: batch.images, channels: 3, height: batch.height, width: batch.width, data: batch.data }
    }

    fn convolution(&self, maps: Maps, index: usize) -> Maps {
        convolve(&maps, &self.network.convolutions[index])
    }

    fn clamp(&self, mut maps: Maps, ceiling: Option<f32>) -> Maps {
        let ceiling = ceiling.unwrap_or(f32::INFINITY);
        for value in &mut maps.data {
            *value = if *value > 0.0 { *value } else { 0.0 };
            *value = if *value < ceiling { *value } else { ceiling };
        }
        maps
    }

    fn max_pool(&self, maps: Maps, size: usize) -> Maps {
        let (height, width) = (maps.height + 1 - size, maps.width + 1 - size);
        let mut data = vec![0.0; maps.images * maps.channels * height * width];
        data.par_chunks_mut(height * width).zip(maps.data.par_chunks(maps.area())).for_each(|(out, map)| {
            for (y, line) in out.chunks_exact_mut(width).enumerate() {
                line.copy_from_slice(&map[y * maps.width..][..width]);
                for tap in 1..size * size {
                    let from = (y + tap / size) * maps.width + tap % size;
                    for (best, &value) in line.iter_mut().zip(&map[from..from + width]) {
                        *best = if value > *best { value } else { *best };
                    }
                }
            }
        });
        Maps { height, width, data, ..maps }
    }

    fn add(&self, mut maps: Maps, other: Maps) -> Maps {
        for (sum, value) in maps.data.iter_mut().zip(&other.data) {
            *sum += value;
        }
        maps
    }

    /// Summed row by row in f64, divided once.
    fn means(&self, maps: Maps) -> Vec<Vec<f32>> {
        let area = maps.area();
        let mean = |map: &[f32]| {
            let mut sum = 0.0f64;
            for &value in map {
                sum += f64::from(value);
            }
            (sum / area as f64) as f32
        };
        maps.data
            .chunks_exact(area * maps.channels)
            .map(|image| image.chunks_exact(area).map(mean).collect())
            .collect()
    }

    fn unit_length(&self, mut maps: Maps) -> Maps {
        let area = maps.area();
        for image in maps.data.chunks_exact_mut(area * maps.channels) {
            let mut length = vec![0.0f32; area];
            for map in image.chunks_exact(area) {
                for (sum, &value) in length.iter_mut().zip(map) {
                    *sum += value * value;
                }
            }
            for sum in &mut length {
                *sum = sum.sqrt() + 1e-10;
            }
            for map in image.chunks_exact_mut(area) {
                for (value, &length) in map.iter_mut().zip(&length) {
                    *value /= length;
                }
            }
        }
        maps
    }

    /// Per pixel by channel in f32, pixels in order in f64.
    fn weighted_difference(&self, maps: &Maps, other: &Maps, head: usize) -> f64 {
        let area = maps.area();
        let mut sums = vec![0.0f32; area];
        let pairs = maps.data.chunks_exact(area).zip(other.data.chunks_exact(area));
        for ((one, other), &weight) in pairs.zip(&self.network.constants[head]) {
            for ((sum, &a), &b) in sums.iter_mut().zip(one).zip(other) {
                let difference = a - b;
                *sum += difference * difference * weight;
            }
        }
        let mut total = 0.0f64;
        for &sum in &sums {
            total += f64::from(sum);
        }
        total / area as f64
    }
}

/// Index of a mirrored coordinate: `-1` is 1, `side` is `side - 2`.
fn mirrored(at: isize, side: usize) -> usize {
    let last = side as isize - 1;
    let at = at.abs();
    (if at > last { 2 * last - at } else { at }) as usize
}

/// Maps with their border, rows `stride` values apart so that whole vectors can be read.
struct Padded {
    height: usize,
    stride: usize,
    data: Vec<f32>,
}

fn pad(maps: &Maps, padding: Padding, spare: usize) -> Padded {
    let amount = padding.amount();
    let (height, stride) = (maps.height + 2 * amount, maps.width + 2 * amount + spare);
    let mut data = vec![0.0; maps.images * maps.channels * height * stride];
    data.par_chunks_mut(height * stride).zip(maps.data.par_chunks(maps.area())).for_each(|(out, map)| {
        for (y, line) in out.chunks_exact_mut(stride).enumerate() {
            let from = y as isize - amount as isize;
            let inside = (0..maps.height as isize).contains(&from);
            let row = match padding {
                Padding::Zero(_) if !inside => continue,
                Padding::Zero(_) => from as usize,
                Padding::Reflect(_) => mirrored(from, maps.height),
            };
            let row = &map[row * maps.width..][..maps.width];
            line[amount..amount + maps.width].copy_from_slice(row);
            if let Padding::Reflect(_) = padding {
                for step in 1..=amount {
                    line[amount - step] = row[step];
                    line[amount + maps.width - 1 + step] = row[maps.width - 1 - step];
                }
            }
        }
    });
    Padded { height, stride, data }
}

/// Maps through a convolution.
pub(crate) fn convolve(maps: &Maps, layer: &Convolution) -> Maps {
    let shape = &layer.shape;
    let (height, width) = (shape.output_side(maps.height), shape.output_side(maps.width));
    let mut data = vec![0.0; maps.images * shape.outputs * height * width];
    let image = shape.outputs * height * width;
    let dense = shape.groups == 1 && shape.stride == 1 && shape.outputs.is_multiple_of(LANES);
    // A 1x1 convolution sees no rows: the map is one long row.
    let flat = dense && shape.size == 1 && shape.padding.amount() == 0;
    let (rows, columns) = if flat { (1, height * width) } else { (height, width) };
    let spare = columns.next_multiple_of(COLUMNS) - columns;
    let flattened;
    let source = if flat {
        flattened = Maps { height: 1, width: columns, ..maps.clone() };
        &flattened
    } else {
        maps
    };
    let padded = pad(source, shape.padding, spare);
    let input = shape.inputs * padded.height * padded.stride;
    for (out, planes) in data.chunks_exact_mut(image).zip(padded.data.chunks_exact(input)) {
        let view = Window { planes, height: padded.height, stride: padded.stride, rows, columns };
        if dense { view.dense(layer, out) } else { view.grouped(layer, out) }
    }
    Maps { images: maps.images, channels: shape.outputs, height, width, data }
}

/// One padded image under a convolution.
#[derive(Clone, Copy)]
struct Window<'a> {
    planes: &'a [f32],
    height: usize,
    stride: usize,
    rows: usize,
    columns: usize,
}

impl Window<'_> {
    /// All channels with all channels, step 1: four output channels by eight columns at a time.
    fn dense(&self, layer: &Convolution, out: &mut [f32]) {
        let (taps, size, area) = (layer.shape.taps(), layer.shape.size, self.rows * self.columns);
        out.par_chunks_mut(LANES * area).enumerate().for_each(|(block, out)| {
            let first = block * LANES;
            // Weights of the four channels side by side, in the order of the sum.
            let mut weights = vec![[0.0f32; LANES]; taps];
            for (lane, channel) in layer.weight[first * taps..].chunks_exact(taps).take(LANES).enumerate() {
                for (weight, &value) in weights.iter_mut().zip(channel) {
                    weight[lane] = value;
                }
            }
            let bias: [f32; LANES] = std::array::from_fn(|lane| layer.bias[first + lane]);
            wide(Block { window: self, weights: &weights, bias, size, out });
        });
    }

    /// Any groups and any step.
    fn grouped(&self, layer: &Convolution, out: &mut [f32]) {
        let shape = &layer.shape;
        let (taps, plane) = (shape.taps(), self.height * self.stride);
        let (inputs, outputs) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
        out.par_chunks_mut(self.rows * self.columns).enumerate().for_each(|(channel, out)| {
            let planes = &self.planes[channel / outputs * inputs * plane..][..inputs * plane];
            let weights = &layer.weight[channel * taps..][..taps];
            let (bias, size, step) = (layer.bias[channel], shape.size, shape.stride);
            wide(Single { window: &Window { planes, ..*self }, weights, bias, size, step, out });
        });
    }
}

/// One output channel of any convolution, one row at a time; the window's planes are those that it sees.
struct Single<'a> {
    window: &'a Window<'a>,
    /// By input channel, window row and window column.
    weights: &'a [f32],
    bias: f32,
    size: usize,
    step: usize,
    /// `[rows, columns]`.
    out: &'a mut [f32],
}

impl NullaryFnOnce for Single<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (window, size, step) = (self.window, self.size, self.step);
        for (y, line) in self.out.chunks_exact_mut(window.columns).enumerate() {
            line.fill(self.bias);
            for (tap, &weight) in self.weights.iter().enumerate() {
                let (input, row, column) = (tap / (size * size), tap / size % size, tap % size);
                let from = (input * window.height + y * step + row) * window.stride + column;
                let values = &window.planes[from..=from + (window.columns - 1) * step];
                // With the step known the loop becomes vectors.
                match step {
                    1 => line.iter_mut().zip(values).for_each(|(sum, &value)| *sum += weight * value),
                    2 => line
                        .iter_mut()
                        .zip(values.iter().step_by(2))
                        .for_each(|(sum, &value)| *sum += weight * value),
                    _ => line
                        .iter_mut()
                        .zip(values.iter().step_by(step))
                        .for_each(|(sum, &value)| *sum += weight * value),
                }
            }
        }
    }
}

/// Four output channels of a dense convolution.
struct Block<'a> {
    window: &'a Window<'a>,
    /// By input channel, window row and window column.
    weights: &'a [[f32; LANES]],
    bias: [f32; LANES],
    size: usize,
    /// `[LANES, rows, columns]`.
    out: &'a mut [f32],
}

impl NullaryFnOnce for Block<'_> {
    type Output = ();

    // Always inlined, here and below: `wide` chooses the instructions of the function that this becomes a part of.
    #[inline(always)]
    fn call(self) {
        let (rows, columns) = (self.window.rows, self.window.columns);
        for y in 0..rows {
            for x in (0..columns).step_by(COLUMNS) {
                let sums = self.tile(x, y);
                let count = COLUMNS.min(columns - x);
                for (lane, sums) in sums.iter().enumerate() {
                    let at = (lane * rows + y) * columns + x;
                    self.out[at..at + count].copy_from_slice(&sums[..count]);
                }
            }
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn tile(&self, x: usize, y: usize) -> [[f32; COLUMNS]; LANES] {
        let mut sums = self.bias.map(|bias| [bias; COLUMNS]);
        let (size, window) = (self.size, self.window);
        let plane = window.height * window.stride;
        for (channel, weights) in self.weights.chunks_exact(size * size).enumerate() {
            for (row, weights) in weights.chunks_exact(size).enumerate() {
                let from = channel * plane + (y + row) * window.stride + x;
                let line = &window.planes[from..from + size - 1 + COLUMNS];
                for (column, weights) in weights.iter().enumerate() {
                    // A row ends `COLUMNS` values after its last window's start: there is always a chunk. Its
                    // length is known at compile time, so that the sums stay in vector registers.
                    if let Some(values) = line[column..].first_chunk::<COLUMNS>() {
                        for lane in 0..LANES {
                            for at in 0..COLUMNS {
                                sums[lane][at] += weights[lane] * values[at];
                            }
                        }
                    }
                }
            }
        }
        sums
    }
}

/// Does work with AVX2 where there is such a thing: the same operations, more of them side by side. FMA comes with
/// it and is not used, since nothing here asks for it.
fn wide(work: impl NullaryFnOnce<Output = ()>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(processor) = pulp::x86::V3::try_new() {
        return processor.vectorize(work);
    }
    work.call();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::ConvolutionShape;

    fn noise(seed: u32, count: usize) -> Vec<f32> {
        (0..count as u32)
            .map(|i| {
                let hash = (i ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
                ((hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35) >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// The definition, value by value, in the documented order.
    fn by_definition(maps: &Maps, layer: &Convolution) -> Vec<f32> {
        let shape = &layer.shape;
        let pad = shape.padding.amount() as isize;
        let (height, width) = (shape.output_side(maps.height), shape.output_side(maps.width));
        let (inputs, outputs) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
        let at = |image: usize, channel: usize, y: isize, x: isize| {
            let inside = (0..maps.height as isize).contains(&y) && (0..maps.width as isize).contains(&x);
            let (y, x) = match shape.padding {
                Padding::Zero(_) if !inside => return 0.0,
                Padding::Zero(_) => (y as usize, x as usize),
                Padding::Reflect(_) => (mirrored(y, maps.height), mirrored(x, maps.width)),
            };
            maps.data[((image * maps.channels + channel) * maps.height + y) * maps.width + x]
        };
        let mut out = Vec::new();
        for image in 0..maps.images {
            for channel in 0..shape.outputs {
                for y in 0..height {
                    for x in 0..width {
                        let mut sum = layer.bias[channel];
                        for input in 0..inputs {
                            for row in 0..shape.size {
                                for column in 0..shape.size {
                                    let weight = layer.weight[((channel * inputs + input) * shape.size
                                        + row)
                                        * shape.size
                                        + column];
                                    let from = channel / outputs * inputs + input;
                                    let y = (y * shape.stride + row) as isize - pad;
                                    let x = (x * shape.stride + column) as isize - pad;
                                    sum += weight * at(image, from, y, x);
                                }
                            }
                        }
                        out.push(sum);
                    }
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn the_blocked_loops_give_the_bits_of_the_definition(
            images in 1usize..3, height in 5usize..14, width in 5usize..14, kind in 0usize..5,
            inputs in 1usize..5, outputs in 1usize..4, size in prop::sample::select(vec![1usize, 3, 5]),
            stride in 1usize..3, padding in 0usize..3, seed: u32,
        ) {
            let (inputs, outputs, groups) = match kind {
                0 => (inputs, outputs * LANES, 1),
                1 => (inputs, outputs, 1),
                2 => (inputs * outputs, inputs * outputs, inputs * outputs),
                3 => (2 * inputs, 2 * outputs, 2),
                _ => (inputs, LANES, 1),
            };
            let padding = if seed % 2 == 0 { Padding::Zero(padding) } else { Padding::Reflect(padding) };
            let shape = ConvolutionShape { inputs, outputs, size, stride, padding, groups };
            let layer = Convolution {
                weight: noise(seed, outputs * shape.taps()),
                bias: noise(seed ^ 1, outputs),
                shape,
            };
            let maps = Maps { images, channels: inputs, height, width, data: noise(seed ^ 2, images * inputs * height * width) };
            let expected = by_definition(&maps, &layer);
            let got = convolve(&maps, &layer);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&got.data), bits(&expected));
        }
    }

    #[test]
    fn pooling_clamping_means_and_lengths_by_hand() {
        let network =
            Network { name: "hand", convolutions: vec![], constants: vec![vec![2.0, 1.0]], steps: vec![] };
        let executor = CanonicalExecutor::new(&network);
        let maps =
            |data: &[f32], height, width| Maps { images: 1, channels: 1, height, width, data: data.to_vec() };
        let pooled =
            executor.max_pool(maps(&[1.0, 5.0, 2.0, 0.0, -1.0, 3.0, 4.0, 2.0, 9.0, 0.0, 0.0, 1.0], 3, 4), 3);
        assert_eq!(pooled.data, [9.0, 5.0]);
        assert_eq!(executor.clamp(maps(&[-2.0, 3.0, 7.0], 1, 3), Some(6.0)).data, [0.0, 3.0, 6.0]);
        assert_eq!(executor.clamp(maps(&[-2.0, 3.0, 7.0], 1, 3), None).data, [0.0, 3.0, 7.0]);
        assert_eq!(executor.means(maps(&[1.0, 2.0, 6.0], 1, 3)), [[3.0]]);
        let two = Maps { images: 1, channels: 2, height: 1, width: 1, data: vec![3.0, 4.0] };
        let unit = executor.unit_length(two);
        assert_eq!(unit.data, [0.6, 0.8]);
        let other = Maps { data: vec![0.6, 0.3], ..unit.clone() };
        assert!((executor.weighted_difference(&unit, &other, 0) - 0.25).abs() < 1e-7);
    }

    #[test]
    fn mirrors_do_not_repeat_the_edge() {
        assert_eq!([-2, -1, 0, 4, 5, 6].map(|at| mirrored(at, 5)), [2, 1, 0, 4, 3, 2]);
    }
}
