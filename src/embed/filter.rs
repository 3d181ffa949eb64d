//! Dense convolutions on burn tensors, in the order of axes in which a device does them best.
//!
//! burn's own convolution on the CPU copies every window into a matrix, value by value, and spends more than half
//! of its time there. With channels last no such matrix is needed: of a window `[rows, columns, channels]`, the
//! columns and channels of one row already lie side by side. Once the rows under a window are laid beside each
//! other (`rows` copies of the map, not `rows * columns`), windows are overlapping stretches of one long line, a
//! view with a stride, and the convolution is one product of matrices. On adapters burn's convolution stays.

use burn::tensor::{
    Device, Tensor, TensorData,
    module::conv2d,
    ops::{ConvOptions, PadMode},
};

/// Where the channels of maps lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// `[images, channels, height, width]`.
    ChannelsFirst,
    /// `[images, height, width, channels]`.
    ChannelsLast,
}

impl Order {
    /// The order in which dense windows are fastest on a device.
    pub(crate) fn of_windows(device: &Device) -> Self {
        if *device == Device::flex() { Self::ChannelsLast } else { Self::ChannelsFirst }
    }

    /// Axis of the channels.
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::ChannelsFirst => 1,
            Self::ChannelsLast => 3,
        }
    }

    /// Axis of the rows; that of the columns follows.
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::ChannelsFirst => 2,
            Self::ChannelsLast => 1,
        }
    }

    /// Axis of the columns.
    pub(crate) fn columns(self) -> usize {
        self.rows() + 1
    }

    /// Borders above, below, left and right as burn's `pad` takes them.
    pub(crate) fn borders(self, rows: (usize, usize), columns: (usize, usize)) -> [(usize, usize); 3] {
        match self {
            Self::ChannelsFirst => [(0, 0), rows, columns],
            Self::ChannelsLast => [rows, columns, (0, 0)],
        }
    }

    /// Maps of another order in this one.
    pub(crate) fn arrange(self, maps: Tensor<4>, from: Self) -> Tensor<4> {
        match (from, self) {
            (Self::ChannelsFirst, Self::ChannelsLast) => maps.permute([0, 2, 3, 1]),
            (Self::ChannelsLast, Self::ChannelsFirst) => maps.permute([0, 3, 1, 2]),
            _ => maps,
        }
    }
}

/// Weights of a dense convolution `[outputs, inputs, height, width]` before they are on a device.
pub(crate) struct Weights<'a> {
    /// Values in this order.
    pub(crate) values: &'a [f32],
    /// A value per output.
    pub(crate) bias: &'a [f32],
    /// Lengths of the axes.
    pub(crate) sides: [usize; 4],
    /// Step between windows.
    pub(crate) stride: usize,
}

/// A dense convolution on a device.
pub(crate) struct Filter {
    stride: usize,
    size: [usize; 2],
    kernel: Kernel,
}

enum Kernel {
    /// burn's convolution, channels first.
    Planes { weight: Tensor<4>, bias: Tensor<1> },
    /// A product of matrices, channels last: weights `[columns * rows * inputs, outputs]`, bias `[1, 1, 1, outputs]`.
    Windows { weight: Tensor<2>, bias: Tensor<4> },
}

impl Filter {
    /// Uploads the weights.
    pub(crate) fn new(weights: &Weights<'_>, order: Order, device: &Device) -> Self {
        let sides @ [outputs, inputs, height, width] = weights.sides;
        let weight: Tensor<4> = Tensor::from_data(TensorData::new(weights.values.to_vec(), sides), device);
        let bias: Tensor<1> = Tensor::from_data(TensorData::new(weights.bias.to_vec(), [outputs]), device);
        let kernel = match order {
            Order::ChannelsFirst => Kernel::Planes { weight, bias },
            Order::ChannelsLast => Kernel::Windows {
                // In the order in which a window's values lie: by column, row and channel.
                weight: weight.permute([3, 2, 1, 0]).reshape([width * height * inputs, outputs]),
                bias: bias.reshape([1, 1, 1, outputs]),
            },
        };
        Self { stride: weights.stride, size: [height, width], kernel }
    }

    /// Order of the maps that this filter takes and gives.
    pub(crate) fn order(&self) -> Order {
        match self.kernel {
            Kernel::Planes { .. } => Order::ChannelsFirst,
            Kernel::Windows { .. } => Order::ChannelsLast,
        }
    }

    /// Convolves maps with a border of zeros.
    pub(crate) fn apply(&self, maps: Tensor<4>, border: usize) -> Tensor<4> {
        match &self.kernel {
            Kernel::Planes { weight, bias } => {
                let options = ConvOptions::new([self.stride; 2], [border; 2], [1; 2], 1);
                conv2d(maps, weight.clone(), Some(bias.clone()), options)
            }
            Kernel::Windows { weight, bias } => {
                let images = maps.dims()[0];
                let one = |image: usize| self.windows(maps.clone().narrow(0, image, 1), border, weight);
                let products = (0..images).map(one).collect::<Vec<_>>();
                Tensor::cat(products, 0) + bias.clone()
            }
        }
    }

    /// The products of one image's windows `[1, height, width, channels]` with the weights.
    fn windows(&self, maps: Tensor<4>, border: usize, weight: &Tensor<2>) -> Tensor<4> {
        let [_, height, width, channels] = maps.dims();
        let ([rows, columns], step) = (self.size, self.stride);
        let outputs = weight.dims()[1];
        let [high, wide] =
            [(height, rows), (width, columns)].map(|(side, size)| (side + 2 * border - size) / step + 1);
        // Lines of a whole number of steps, so that windows go on evenly from line to line, and a line more below, which
        // the last windows' ends reach into. What a window sees beyond its line is cut off in the end.
        let pitch = (width + 2 * border).div_ceil(step);
        let right = pitch * step - width - border;
        let below = (high * step + rows).saturating_sub(height + border);
        let borders = Order::ChannelsLast.borders((border, below), (border, right));
        let maps = if borders == [(0, 0); 3] { maps } else { maps.pad(borders, PadMode::Constant(0.0)) };
        let stacked: Tensor<5> = maps.unfold(1, rows, step).permute([0, 1, 2, 4, 3]);
        let [_, lines, length, ..] = stacked.dims();
        let line: Tensor<1> = stacked.reshape([lines * length * rows * channels]);
        let windows: Tensor<2> = line.unfold(0, columns * rows * channels, step * rows * channels);
        let products = windows.narrow(0, 0, high * pitch).matmul(weight.clone());
        products.reshape([1, high, pitch, outputs]).narrow(2, 0, wide)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// The product of matrices is burn's convolution, for every shape.
        #[test]
        fn windows_are_planes(
            images in 1usize..3, inputs in 1usize..4, outputs in 1usize..5, rows in 1usize..5, columns in 1usize..5,
            more in (0usize..7, 0usize..7), stride in 1usize..4, border in 0usize..3,
        ) {
            let device = Device::flex();
            let values =
                |count: usize| (0..count).map(|i| ((i * 37 + 11) % 101) as f32 / 101.0 - 0.5).collect::<Vec<_>>();
            let sides = [outputs, inputs, rows, columns];
            let (weights, bias) = (values(sides.iter().product()), values(outputs));
            let filter = |order| {
                Filter::new(&Weights { values: &weights, bias: &bias, sides, stride }, order, &device)
            };
            let shape = [images, inputs, rows + more.0, columns + more.1];
            let maps: Tensor<4> =
                Tensor::from_data(TensorData::new(values(shape.iter().product()), shape), &device);
            let expected = filter(Order::ChannelsFirst).apply(maps.clone(), border);
            let last = Order::ChannelsLast.arrange(maps, Order::ChannelsFirst);
            let got = filter(Order::ChannelsLast).apply(last, border);
            let got = Order::ChannelsFirst.arrange(got, Order::ChannelsLast);
            prop_assert_eq!(got.dims(), expected.dims());
            let floats = |maps: Tensor<4>| maps.into_data().try_to_vec::<f32>().expect("floats");
            for (got, expected) in floats(got).iter().zip(floats(expected)) {
                prop_assert!((got - expected).abs() < 1e-5, "{} {}", got, expected);
            }
        }
    }
}
