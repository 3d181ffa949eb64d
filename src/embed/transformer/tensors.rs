//! The towers on a burn device.

use burn::tensor::{Device, Tensor, TensorData, activation};

use crate::{
    network::Convolution,
    tensors::floats,
    transformer::{
        parts::{Activation, Norm},
        tower::{Arithmetic, Asked, Sequences},
    },
};

/// Stands for a token that must not be seen: its exponential is zero.
const HIDDEN: f32 = -1e30;

/// Runs the towers on a burn device.
pub struct TensorTowers {
    device: Device,
}

/// Tokens `[sequences * tokens, channels]` on the device.
#[derive(Clone)]
pub struct DeviceTokens {
    sequences: usize,
    tokens: usize,
    values: Tensor<2>,
}

/// Weights `[inputs, outputs]`, bias `[1, outputs]`.
pub struct DeviceLinear {
    weight: Tensor<2>,
    bias: Tensor<2>,
}

/// Gain and offset `[1, channels]`.
pub struct DeviceNorm {
    gain: Tensor<2>,
    offset: Tensor<2>,
    epsilon: f32,
}

impl TensorTowers {
    /// An executor on this device.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone() }
    }

    fn matrix(&self, values: Vec<f32>, sides: [usize; 2]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, sides), &self.device)
    }

    /// Uploads a linear layer.
    pub fn linear_layer(&self, layer: &Convolution) -> DeviceLinear {
        let (inputs, outputs) = (layer.shape.inputs, layer.shape.outputs);
        // Laid out in the order of the product, once.
        let mut weight = vec![0.0; inputs * outputs];
        for (output, row) in layer.weight.chunks_exact(inputs).enumerate() {
            for (input, &value) in row.iter().enumerate() {
                weight[input * outputs + output] = value;
            }
        }
        DeviceLinear {
            weight: self.matrix(weight, [inputs, outputs]),
            bias: self.matrix(layer.bias.clone(), [1, outputs]),
        }
    }

    /// Uploads a normalisation.
    pub fn norm_layer(&self, norm: &Norm) -> DeviceNorm {
        let row = |values: &Vec<f32>| self.matrix(values.clone(), [1, values.len()]);
        DeviceNorm { gain: row(&norm.gain), offset: row(&norm.offset), epsilon: norm.epsilon as f32 }
    }
}

impl Arithmetic for TensorTowers {
    type Tokens = DeviceTokens;
    type Linear = DeviceLinear;
    type Norm = DeviceNorm;

    fn upload(&self, sequences: Sequences) -> DeviceTokens {
        let Sequences { count, tokens, channels, values } = sequences;
        DeviceTokens { sequences: count, tokens, values: self.matrix(values, [count * tokens, channels]) }
    }

    fn linear(&self, tokens: &DeviceTokens, layer: &DeviceLinear) -> DeviceTokens {
        let values = tokens.values.clone().matmul(layer.weight.clone()) + layer.bias.clone();
        DeviceTokens { values, ..*tokens }
    }

    fn norm(&self, tokens: &DeviceTokens, layer: &DeviceNorm) -> DeviceTokens {
        let channels = tokens.values.dims()[1] as f32;
        let values = tokens.values.clone();
        let centred = values.clone() - values.sum_dim(1) / channels;
        let variance = (centred.clone() * centred.clone()).sum_dim(1) / channels;
        let unit = centred / (variance + layer.epsilon).sqrt();
        DeviceTokens { values: unit * layer.gain.clone() + layer.offset.clone(), ..*tokens }
    }

    fn attention(&self, asked: Asked<DeviceTokens>, heads: usize, causal: bool) -> DeviceTokens {
        let (sequences, tokens) = (asked.query.sequences, asked.query.tokens);
        let channels = asked.query.values.dims()[1];
        let depth = channels / heads.max(1);
        let by_head = |part: DeviceTokens| -> Tensor<4> {
            part.values.reshape([sequences, tokens, heads, depth]).swap_dims(1, 2)
        };
        let scores = by_head(asked.query).matmul(by_head(asked.key).swap_dims(2, 3));
        let mut scores = scores / (depth as f32).sqrt();
        if causal {
            let hidden = (0..tokens * tokens)
                .map(|at| if at % tokens > at / tokens { HIDDEN } else { 0.0 })
                .collect::<Vec<_>>();
            let mask: Tensor<4> =
                Tensor::from_data(TensorData::new(hidden, [1, 1, tokens, tokens]), &self.device);
            scores = scores + mask;
        }
        let attended = activation::softmax(scores, 3).matmul(by_head(asked.value));
        let values = attended.swap_dims(1, 2).reshape([sequences * tokens, channels]);
        DeviceTokens { sequences, tokens, values }
    }

    fn activate(&self, tokens: DeviceTokens, activation: Activation) -> DeviceTokens {
        let values = match activation {
            Activation::QuickGelu => tokens.values.clone() * activation::sigmoid(tokens.values * 1.702),
            Activation::Gelu => activation::gelu(tokens.values),
        };
        DeviceTokens { values, ..tokens }
    }

    fn add(&self, tokens: DeviceTokens, other: &DeviceTokens) -> DeviceTokens {
        DeviceTokens { values: tokens.values + other.values.clone(), ..tokens }
    }

    fn pick(&self, tokens: &DeviceTokens, token: usize) -> DeviceTokens {
        let channels = tokens.values.dims()[1];
        let whole: Tensor<3> = tokens.values.clone().reshape([tokens.sequences, tokens.tokens, channels]);
        let values = whole.narrow(1, token, 1).reshape([tokens.sequences, channels]);
        DeviceTokens { sequences: tokens.sequences, tokens: 1, values }
    }

    fn download(&self, tokens: DeviceTokens) -> Vec<Vec<f32>> {
        let channels = tokens.values.dims()[1].max(1);
        floats(tokens.values.into_data()).chunks_exact(channels).map(<[f32]>::to_vec).collect()
    }
}
