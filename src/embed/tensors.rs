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
    network::{Batch, ConvolutionShape, Executor, Network, Padding},
};

struct Kernel {
    shape: ConvolutionShape,
    weight: Tensor<4>,
    bias: Tensor<1>,
}

/// Runs a network on a burn device.
pub struct TensorExecutor {
    device: Device,
    kernels: Vec<Kernel>,
    /// By the index of the first of two convolutions that can be one.
    blurred: Vec<Option<Blurred>>,
    constants: Vec<Tensor<4>>,
}

impl TensorExecutor {
    /// Uploads the weights of a network.
    pub fn new(network: &Network, device: &Device) -> Self {
        let kernels = network.convolutions.iter().map(|layer| {
            let shape = layer.shape.clone();
            let sides = [shape.outputs, shape.inputs / shape.groups, shape.size, shape.size];
            Kernel {
                weight: Tensor::from_data(TensorData::new(layer.weight.clone(), sides), device),
                bias: Tensor::from_data(TensorData::new(layer.bias.clone(), [shape.outputs]), device),
                shape,
            }
        });
        let constants = network.constants.iter().map(|values| {
            Tensor::from_data(TensorData::new(values.clone(), [1, values.len(), 1, 1]), device)
        });
        let pairs = network.convolutions.windows(2);
        Self {
            device: device.clone(),
            kernels: kernels.collect(),
            blurred: pairs.map(|pair| Blurred::new(&pair[0], &pair[1], device)).collect(),
            constants: constants.collect(),
        }
    }
}

impl Executor for TensorExecutor {
    type Maps = Tensor<4>;

    fn upload(&self, batch: Batch) -> Tensor<4> {
        let shape = [batch.images, 3, batch.height, batch.width];
        Tensor::from_data(TensorData::new(batch.data, shape), &self.device)
    }

    fn convolution(&self, maps: Tensor<4>, index: usize) -> Tensor<4> {
        let Kernel { shape, weight, bias } = &self.kernels[index];
        let (maps, padding) = match shape.padding {
            Padding::Zero(amount) => (maps, amount),
            Padding::Reflect(amount) => (maps.pad([(amount, amount), (amount, amount)], PadMode::Reflect), 0),
        };
        let options = ConvOptions::new([shape.stride; 2], [padding; 2], [1; 2], shape.groups);
        conv2d(maps, weight.clone(), Some(bias.clone()), options)
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
        along(along(maps, 2), 3)
    }

    fn add(&self, maps: Tensor<4>, other: Tensor<4>) -> Tensor<4> {
        maps + other
    }

    fn means(&self, maps: Tensor<4>) -> Vec<Vec<f32>> {
        let [_, channels, height, width] = maps.dims();
        let sums = floats(maps.sum_dim(3).sum_dim(2).into_data());
        let area = (height * width) as f32;
        sums.chunks_exact(channels).map(|image| image.iter().map(|sum| sum / area).collect()).collect()
    }

    fn unit_length(&self, maps: Tensor<4>) -> Tensor<4> {
        let length = (maps.clone() * maps.clone()).sum_dim(1).sqrt() + 1e-10;
        maps / length
    }

    fn weighted_difference(&self, maps: &Tensor<4>, other: &Tensor<4>, head: usize) -> f64 {
        let difference = maps.clone() - other.clone();
        let [_, _, height, width] = difference.dims();
        let weighted = conv2d(
            difference.clone() * difference,
            self.constants[head].clone(),
            None,
            ConvOptions::new([1; 2], [0; 2], [1; 2], 1),
        );
        let sum: f64 = floats(weighted.sum().into_data()).into_iter().map(f64::from).sum();
        sum / (height * width) as f64
    }
}

/// The values of a tensor's data; empty when the device gave something else, which the callers' checks catch.
fn floats(data: TensorData) -> Vec<f32> {
    data.try_to_vec::<f32>().unwrap_or_default()
}
