//! A convolution with step 1 and the low-pass with step 2 after it, as one convolution with step 2.
//!
//! The low-pass keeps every fourth value; done as one, the others are never computed: ST-LPIPS' first layer
//! costs 2.8 times less. Both are linear, so weights combine exactly; only the low-pass' mirrored border, which
//! mirrors values that the convolution computes, needs care. With windows of three and a mirror that does not
//! repeat the edge, the window that starts two before the map mirrors into the one that starts at it: with a
//! symmetric low-pass the first value repeats the second, and so does the last one of an odd side. The last
//! window of an even side has two values of the map, the first of them counted twice.

use burn::tensor::{Device, Tensor, ops::PadMode};

use crate::{
    filter::{Filter, Order, Weights},
    network::{Convolution, Padding},
};

/// Low-pass of which the map holds all three values along an axis, or the last two.
#[derive(Clone, Copy)]
enum Reach {
    Whole,
    Last,
}

impl Reach {
    /// Values of the map under the window.
    fn values(self) -> usize {
        match self {
            Self::Whole => 3,
            Self::Last => 2,
        }
    }

    /// Where the window's value `at` lies in the map.
    fn place(self, at: usize) -> usize {
        match self {
            Self::Last if at == 2 => 0,
            _ => at,
        }
    }
}

/// The combined weights for the inside and for the last row, column and corner of even sides.
pub(crate) struct Blurred {
    padding: usize,
    size: usize,
    inside: Filter,
    last_row: Filter,
    last_column: Filter,
    corner: Filter,
}

impl Blurred {
    /// Combines two layers; none when they are not such a pair.
    pub(crate) fn new(
        first: &Convolution,
        second: &Convolution,
        order: Order,
        device: &Device,
    ) -> Option<Self> {
        let (wide, low) = (&first.shape, &second.shape);
        let Padding::Zero(padding) = wide.padding else { return None };
        let fits = wide.groups == 1
            && wide.stride == 1
            && low.groups == wide.outputs
            && low.outputs == wide.outputs
            && (low.size, low.stride, low.padding) == (3, 2, Padding::Reflect(2));
        let symmetric = second.weight.chunks_exact(9).all(|f| {
            (0..9).all(|at| f[at] == f[at / 3 * 3 + 2 - at % 3] && f[at] == f[(2 - at / 3) * 3 + at % 3])
        });
        if !fits || !symmetric {
            return None;
        }
        let bias = (0..wide.outputs).map(|channel| {
            let gain: f64 = second.weight[channel * 9..][..9].iter().map(|&f| f64::from(f)).sum();
            (f64::from(first.bias[channel]) * gain + f64::from(second.bias[channel])) as f32
        });
        let bias: Vec<f32> = bias.collect();
        let combined = |rows, columns| {
            let (values, sides) = combine(first, second, rows, columns);
            Filter::new(&Weights { values: &values, bias: &bias, sides, stride: 2 }, order, device)
        };
        Some(Self {
            padding,
            size: wide.size,
            inside: combined(Reach::Whole, Reach::Whole),
            last_row: combined(Reach::Last, Reach::Whole),
            last_column: combined(Reach::Whole, Reach::Last),
            corner: combined(Reach::Last, Reach::Last),
        })
    }

    /// Both layers on maps whose convolved sides are 3 at least.
    pub(crate) fn apply(&self, maps: Tensor<4>) -> Tensor<4> {
        let order = self.inside.order();
        let (rows, columns) = (order.rows(), order.columns());
        let border = (self.padding, self.padding);
        let padded = maps.pad(order.borders(border, border), PadMode::Constant(0.0));
        let (height, width) = (padded.dims()[rows], padded.dims()[columns]);
        let even = |side: usize| (side + 1 - self.size).is_multiple_of(2);
        let tail = self.size + 1;
        let row = |from: Tensor<4>, inside: &Filter, last: &Filter| {
            let body = inside.apply(from.clone(), 0);
            let end = if even(width) {
                last.apply(from.narrow(columns, width - tail, tail), 0)
            } else {
                edge(&body, columns, body.dims()[columns] - 1)
            };
            Tensor::cat(vec![edge(&body, columns, 0), body, end], columns)
        };
        let body = row(padded.clone(), &self.inside, &self.last_column);
        let end = if even(height) {
            row(padded.narrow(rows, height - tail, tail), &self.last_row, &self.corner)
        } else {
            edge(&body, rows, body.dims()[rows] - 1)
        };
        Tensor::cat(vec![edge(&body, rows, 0), body, end], rows)
    }
}

/// One row or column of maps.
fn edge(maps: &Tensor<4>, axis: usize, at: usize) -> Tensor<4> {
    maps.clone().narrow(axis, at, 1)
}

/// Weights of both layers in one window and their shape: sums of products in f64, rounded once.
fn combine(first: &Convolution, second: &Convolution, rows: Reach, columns: Reach) -> (Vec<f32>, [usize; 4]) {
    let shape = &first.shape;
    let (height, width) = (shape.size + rows.values() - 1, shape.size + columns.values() - 1);
    let mut sums = vec![0.0f64; shape.outputs * shape.inputs * height * width];
    for (plane, weights) in first.weight.chunks_exact(shape.size * shape.size).enumerate() {
        let low = &second.weight[plane / shape.inputs * 9..][..9];
        let out = &mut sums[plane * height * width..][..height * width];
        for (tap, &factor) in low.iter().enumerate() {
            let (down, right) = (rows.place(tap / 3), columns.place(tap % 3));
            for (at, &weight) in weights.iter().enumerate() {
                let (y, x) = (at / shape.size + down, at % shape.size + right);
                out[y * width + x] += f64::from(factor) * f64::from(weight);
            }
        }
    }
    (sums.into_iter().map(|sum| sum as f32).collect(), [shape.outputs, shape.inputs, height, width])
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        canonical::CanonicalExecutor,
        network::{Batch, ConvolutionShape, Executor as _, Network},
    };

    fn network() -> Network {
        let values =
            |count: usize| (0..count).map(|i| ((i * 37 + 11) % 101) as f32 / 101.0 - 0.5).collect::<Vec<_>>();
        let wide = ConvolutionShape {
            inputs: 3,
            outputs: 4,
            size: 5,
            stride: 1,
            padding: Padding::Zero(2),
            groups: 1,
        };
        let low = ConvolutionShape {
            inputs: 4,
            outputs: 4,
            size: 3,
            stride: 2,
            padding: Padding::Reflect(2),
            groups: 4,
        };
        let weight = [1.0f32, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0].map(|v| v / 16.0).repeat(4);
        let convolutions = vec![
            Convolution { weight: values(4 * wide.taps()), bias: values(4), shape: wide },
            Convolution { weight, bias: vec![0.0; 4], shape: low },
        ];
        Network { name: "pair", convolutions, constants: vec![], steps: vec![] }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn one_convolution_is_the_two(
            height in 6usize..17, width in 6usize..17,
            order in prop::sample::select(vec![Order::ChannelsFirst, Order::ChannelsLast]),
        ) {
            let network = network();
            let device = Device::flex();
            let [wide, low] = &network.convolutions[..] else { unreachable!("two layers") };
            prop_assert!(Blurred::new(low, low, order, &device).is_none());
            let blurred = Blurred::new(wide, low, order, &device).expect("such a pair");
            let exact = CanonicalExecutor::new(&network);
            let data: Vec<f32> = (0..3 * height * width).map(|i| ((i * 53) % 97) as f32 / 97.0).collect();
            let batch = Batch { images: 1, height, width, data };
            let expected = exact.convolution_pair(exact.upload(batch.clone()), 0, 1);
            let maps = Tensor::from_data(TensorData::new(batch.data, [1, 3, height, width]), &device);
            let got = blurred.apply(order.arrange(maps, Order::ChannelsFirst));
            let got = Order::ChannelsFirst.arrange(got, order);
            prop_assert_eq!(got.dims()[2..].to_vec(), vec![height.div_ceil(2) + 1, width.div_ceil(2) + 1]);
            let got = got.into_data().try_to_vec::<f32>().expect("floats");
            for (got, expected) in got.iter().zip(expected.values()) {
                prop_assert!((got - expected).abs() < 1e-4, "{} {}", got, expected);
            }
        }
    }
}
