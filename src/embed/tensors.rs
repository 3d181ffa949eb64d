//! The fast path: the same layers on burn tensors, on the CPU (flex) or on a wgpu adapter.
//!
//! Last bits depend on the instruction set, the thread count and the adapter; see [`crate::quantised`].

use burn::tensor::{
    Device, Tensor, TensorData, activation,
    module::conv2d,
    ops::{ConvOptions, PadMode},
};

use crate::{
    blurred::Blurred,
    filter::{Filter, Order, Weights},
    network::{Batch, Convolution, Executor, Network, Padding},
};

/// A convolution on the device.
enum Kernel {
    /// All channels with all channels.
    Dense(Filter),
    /// Groups of channels: burn's convolution, channels first.
    Grouped { weight: Tensor<4>, bias: Tensor<1>, stride: usize, groups: usize },
}

/// Runs a network on a burn device.
pub struct TensorExecutor {
    device: Device,
    order: Order,
    kernels: Vec<(Padding, Kernel)>,
    /// By the index of the first of two convolutions that can be one.
    blurred: Vec<Option<Blurred>>,
    /// A value per channel, `[1, channels, 1, 1]` or `[1, 1, 1, channels]`.
    constants: Vec<Tensor<4>>,
}

impl TensorExecutor {
    /// Uploads the weights of a network.
    pub fn new(network: &Network, device: &Device) -> Self {
        let windows = Order::of_windows(device);
        let is_wide = |layer: &Convolution| layer.shape.groups == 1 && layer.shape.size > 1;
        // A single wide layer, at the start, is no reason to keep all maps in its order.
        let mostly_wide = network.convolutions.iter().skip(1).any(is_wide);
        let order = if mostly_wide { windows } else { Order::ChannelsFirst };
        let kernels = network.convolutions.iter().map(|layer| {
            let shape = &layer.shape;
            let sides = [shape.outputs, shape.inputs / shape.groups, shape.size, shape.size];
            let kernel = if shape.groups == 1 {
                let (values, bias) = (&layer.weight[..], &layer.bias[..]);
                let order = if is_wide(layer) { windows } else { order };
                Kernel::Dense(Filter::new(
                    &Weights { values, bias, sides, stride: shape.stride },
                    order,
                    device,
                ))
            } else {
                Kernel::Grouped {
                    weight: Tensor::from_data(TensorData::new(layer.weight.clone(), sides), device),
                    bias: Tensor::from_data(TensorData::new(layer.bias.clone(), [shape.outputs]), device),
                    stride: shape.stride,
                    groups: shape.groups,
                }
            };
            (shape.padding, kernel)
        });
        let constants = network.constants.iter().map(|values| {
            let mut sides = [1; 4];
            sides[order.channels()] = values.len();
            Tensor::from_data(TensorData::new(values.clone(), sides), device)
        });
        let pairs = network.convolutions.windows(2);
        Self {
            device: device.clone(),
            order,
            kernels: kernels.collect(),
            blurred: pairs.map(|pair| Blurred::new(&pair[0], &pair[1], order, device)).collect(),
            constants: constants.collect(),
        }
    }
}

impl Executor for TensorExecutor {
    type Maps = Tensor<4>;

    fn upload(&self, batch: Batch) -> Tensor<4> {
        let shape = [batch.images, 3, batch.height, batch.width];
        let maps = Tensor::from_data(TensorData::new(batch.data, shape), &self.device);
        self.order.arrange(maps, Order::ChannelsFirst)
    }

    fn convolution(&self, maps: Tensor<4>, index: usize) -> Tensor<4> {
        let (padding, kernel) = &self.kernels[index];
        let (maps, border) = match *padding {
            Padding::Zero(amount) => (maps, amount),
            Padding::Reflect(amount) => {
                let both = (amount, amount);
                (maps.pad(self.order.borders(both, both), PadMode::Reflect), 0)
            }
        };
        match kernel {
            Kernel::Dense(filter) => {
                let order = filter.order();
                self.order.arrange(filter.apply(order.arrange(maps, self.order), border), order)
            }
            Kernel::Grouped { weight, bias, stride, groups } => {
                let order = Order::ChannelsFirst;
                let options = ConvOptions::new([*stride; 2], [border; 2], [1; 2], *groups);
                let maps = order.arrange(maps, self.order);
                self.order.arrange(conv2d(maps, weight.clone(), Some(bias.clone()), options), order)
            }
        }
    }

    fn convolution_pair(&self, maps: Tensor<4>, first: usize, second: usize) -> Tensor<4> {
        match self.blurred.get(first) {
            Some(Some(blurred)) if second == first + 1 => blurred.apply(maps),
            _ => self.convolution(self.convolution(maps, first), second),
        }
    }

    fn clamp(&self, maps: Tensor<4>, ceiling: Option<f32>) -> Tensor<4> {
        match ceiling {
            None => activation::relu(maps),
            Some(ceiling) => maps.clamp(0.0, ceiling),
        }
    }

    fn max_pool(&self, maps: Tensor<4>, size: usize) -> Tensor<4> {
        // By rows, then by columns: 2 (size - 1) comparisons a value in place of size^2.
        let along = |maps: Tensor<4>, axis: usize| {
            let length = maps.dims()[axis] + 1 - size;
            let shifted = |by: usize| maps.clone().narrow(axis, by, length);
            (1..size).fold(shifted(0), |best, by| best.max_pair(shifted(by)))
        };
        along(along(maps, self.order.rows()), self.order.columns())
    }

    fn add(&self, maps: Tensor<4>, other: Tensor<4>) -> Tensor<4> {
        maps + other
    }

    fn means(&self, maps: Tensor<4>) -> Vec<Vec<f32>> {
        let (rows, columns) = (self.order.rows(), self.order.columns());
        let sides = maps.dims();
        let area = (sides[rows] * sides[columns]) as f32;
        let sums = floats(maps.sum_dim(columns).sum_dim(rows).into_data());
        let images = sums.chunks_exact(sides[self.order.channels()]);
        images.map(|image| image.iter().map(|sum| sum / area).collect()).collect()
    }

    fn unit_length(&self, maps: Tensor<4>) -> Tensor<4> {
        let length = (maps.clone() * maps.clone()).sum_dim(self.order.channels()).sqrt() + 1e-10;
        maps / length
    }

    fn weighted_difference(&self, maps: &Tensor<4>, other: &Tensor<4>, head: usize) -> f64 {
        let difference = maps.clone() - other.clone();
        let weighted = difference.clone() * difference * self.constants[head].clone();
        let sums = floats(weighted.sum_dim(self.order.channels()).into_data());
        sums.iter().copied().map(f64::from).sum::<f64>() / sums.len() as f64
    }
}

/// The values of a tensor's data; empty when the device gave something else, which the callers' checks catch.
pub(crate) fn floats(data: TensorData) -> Vec<f32> {
    data.try_to_vec::<f32>().unwrap_or_default()
}
