//! A third way to run the layers, with the habits of another machine: sums from the last term to the first and
//! every multiply-add fused (rounded once). It stands for machines that are not here, further from the canonical
//! order than the instruction sets that are (`lesser_processor`).

use leoma_embed::network::{Batch, Executor, Network, Padding};
use pulp::NullaryFnOnce;

#[derive(Clone)]
pub struct Maps {
    images: usize,
    channels: usize,
    height: usize,
    width: usize,
    data: Vec<f32>,
}

impl Maps {
    fn area(&self) -> usize {
        self.height * self.width
    }
}

pub struct Reordered<'a>(pub &'a Network);

/// `a * b + c`, rounded once but for double rounding, which other hardware may differ by as well.
#[inline(always)]
pub fn fused(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

fn reflect(at: isize, side: usize) -> usize {
    let last = side as isize - 1;
    (last - (last - at.abs()).abs()) as usize
}

/// One output channel of a convolution, and the maps that it sees with their borders.
struct Channel<'a> {
    maps: &'a [f32],
    sides: [usize; 2],
    weights: &'a [f32],
    bias: f32,
    size: usize,
    stride: usize,
    width: usize,
    out: &'a mut [f32],
}

impl NullaryFnOnce for Channel<'_> {
    type Output = ();

    // Inlined into a function with AVX2, which changes no bit: the product in `fused` is exact.
    #[inline(always)]
    fn call(self) {
        let ([tall, wide], size, stride) = (self.sides, self.size, self.stride);
        for (y, line) in self.out.chunks_exact_mut(self.width).enumerate() {
            for (tap, &weight) in self.weights.iter().enumerate().rev() {
                let (input, row, column) = (tap / (size * size), tap / size % size, tap % size);
                let from = (input * tall + y * stride + row) * wide + column;
                let values = &self.maps[from..=from + (self.width - 1) * stride];
                if stride == 1 {
                    line.iter_mut().zip(values).for_each(|(sum, &value)| *sum = fused(weight, value, *sum));
                } else {
                    let values = values.iter().step_by(stride);
                    line.iter_mut().zip(values).for_each(|(sum, &value)| *sum = fused(weight, value, *sum));
                }
            }
            line.iter_mut().for_each(|sum| *sum += self.bias);
        }
    }
}

impl Executor for Reordered<'_> {
    type Maps = Maps;

    fn upload(&self, batch: Batch) -> Maps {
        Maps { images: batch.images, channels: 3, height: batch.height, width: batch.width, data: batch.data }
    }

    fn convolution(&self, maps: Maps, index: usize) -> Maps {
        let layer = &self.0.convolutions[index];
        let shape = &layer.shape;
        let pad = shape.padding.amount() as isize;
        let (height, width) = (shape.output_side(maps.height), shape.output_side(maps.width));
        let (inputs, outputs) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
        // A map with its border, so that the inner loop has no question.
        let (tall, wide) = (maps.height + 2 * pad as usize, maps.width + 2 * pad as usize);
        let mut padded = vec![0.0f32; maps.images * maps.channels * tall * wide];
        for (out, map) in padded.chunks_exact_mut(tall * wide).zip(maps.data.chunks_exact(maps.area())) {
            for (at, value) in out.iter_mut().enumerate() {
                let (y, x) = ((at / wide) as isize - pad, (at % wide) as isize - pad);
                let inside = (0..maps.height as isize).contains(&y) && (0..maps.width as isize).contains(&x);
                *value = match shape.padding {
                    Padding::Zero(_) if !inside => 0.0,
                    Padding::Zero(_) => map[y as usize * maps.width + x as usize],
                    Padding::Reflect(_) => map[reflect(y, maps.height) * maps.width + reflect(x, maps.width)],
                };
            }
        }
        let mut data = vec![0.0f32; maps.images * shape.outputs * height * width];
        for (plane, out) in data.chunks_exact_mut(height * width).enumerate() {
            let (image, channel) = (plane / shape.outputs, plane % shape.outputs);
            let first = image * maps.channels + channel / outputs * inputs;
            let channel = Channel {
                maps: &padded[first * tall * wide..][..inputs * tall * wide],
                sides: [tall, wide],
                weights: &layer.weight[channel * shape.taps()..][..shape.taps()],
                bias: layer.bias[channel],
                size: shape.size,
                stride: shape.stride,
                width,
                out,
            };
            #[cfg(target_arch = "x86_64")]
            if let Some(processor) = pulp::x86::V3::try_new() {
                processor.vectorize(channel);
                continue;
            }
            channel.call();
        }
        Maps { images: maps.images, channels: shape.outputs, height, width, data }
    }

    fn clamp(&self, mut maps: Maps, ceiling: Option<f32>) -> Maps {
        maps.data.iter_mut().for_each(|value| *value = value.max(0.0).min(ceiling.unwrap_or(f32::MAX)));
        maps
    }

    fn max_pool(&self, maps: Maps, size: usize) -> Maps {
        let (height, width) = (maps.height + 1 - size, maps.width + 1 - size);
        let mut data = Vec::with_capacity(maps.images * maps.channels * height * width);
        for map in maps.data.chunks_exact(maps.area()) {
            for at in 0..height * width {
                let taps = (0..size * size)
                    .map(|tap| (at / width + tap / size) * maps.width + at % width + tap % size);
                data.push(taps.map(|tap| map[tap]).fold(f32::MIN, f32::max));
            }
        }
        Maps { height, width, data, ..maps }
    }

    fn add(&self, mut maps: Maps, other: Maps) -> Maps {
        maps.data.iter_mut().zip(&other.data).for_each(|(sum, value)| *sum += value);
        maps
    }

    fn means(&self, maps: Maps) -> Vec<Vec<f32>> {
        let area = maps.area();
        let mean = |map: &[f32]| map.iter().rev().sum::<f32>() / area as f32;
        let images = maps.data.chunks_exact(area * maps.channels);
        images.map(|image| image.chunks_exact(area).map(mean).collect()).collect()
    }

    fn unit_length(&self, mut maps: Maps) -> Maps {
        let area = maps.area();
        for at in 0..area {
            let squares = (0..maps.channels).rev().map(|c| maps.data[c * area + at]);
            let length = squares.fold(0.0f32, |sum, value| fused(value, value, sum)).sqrt() + 1e-10;
            (0..maps.channels).for_each(|c| maps.data[c * area + at] *= 1.0 / length);
        }
        maps
    }

    fn weighted_difference(&self, maps: &Maps, other: &Maps, head: usize) -> f64 {
        let area = maps.area();
        let weight = &self.0.constants[head];
        let mut sum = 0.0f32;
        for at in (0..area * maps.channels).rev() {
            let difference = maps.data[at] - other.data[at];
            sum = fused(difference * difference, weight[at / area], sum);
        }
        f64::from(sum) / area as f64
    }
}
