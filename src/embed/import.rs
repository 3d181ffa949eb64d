//! Checkpoints of PyTorch into networks, by burn's store.

use std::path::Path;

use burn::{
    module::{Module, Param},
    nn::{
        BatchNorm, BatchNormConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    store::{ModuleSnapshot as _, PytorchStore},
    tensor::{Device, Tensor},
};

use crate::{
    error::EmbedError,
    network::{Convolution, ConvolutionSource, Network, NetworkSource},
};

/// Epsilon of PyTorch's batch normalisation, which both checkpoints were trained with.
const EPSILON: f64 = 1e-5;

/// Whatever a checkpoint holds, in the order of its [`NetworkSource`].
#[derive(Module, Debug)]
struct Parameters {
    convolutions: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    constants: Vec<Constant>,
}

#[derive(Module, Debug)]
struct Constant {
    value: Param<Tensor<4>>,
}

/// Reads the checkpoint of a network. The caller has checked the file's digest.
///
/// # Errors
/// When a tensor is missing, left over, or of another shape.
pub(crate) fn import(source: &NetworkSource, path: &Path) -> Result<Network, EmbedError> {
    let device = Device::flex();
    let mut parameters = empty(source, &device);
    let mut store = PytorchStore::from_file(path).map_indices_contiguous(false).allow_partial(true);
    for (from, to) in renames(source) {
        store = store.with_key_remapping(from, to);
    }
    let refuse = |reason: String| EmbedError::Checkpoint { model: source.name, reason };
    let outcome = parameters.load_from(&mut store).map_err(|error| refuse(error.to_string()))?;
    let left: Vec<_> = outcome
        .unused
        .iter()
        .filter(|key| !source.counters.is_some_and(|counter| key.ends_with(counter)))
        .collect();
    if !outcome.missing.is_empty() || !left.is_empty() || !outcome.errors.is_empty() {
        let missing: Vec<_> = outcome.missing.iter().map(|(key, _)| key).collect();
        return Err(refuse(format!("missing {missing:?}, left over {left:?}, errors {:?}", outcome.errors)));
    }
    network(source, &parameters)
}

fn empty(source: &NetworkSource, device: &Device) -> Parameters {
    let convolutions = source.convolutions.iter().map(|layer| {
        let shape = &layer.shape;
        let padding = PaddingConfig2d::Valid;
        Conv2dConfig::new([shape.inputs, shape.outputs], [shape.size; 2])
            .with_groups(shape.groups)
            .with_padding(padding)
            .with_bias(layer.bias.is_some())
            .init(device)
    });
    let normed = source.convolutions.iter().filter(|layer| layer.norm.is_some());
    let norms = normed.map(|layer| BatchNormConfig::new(layer.shape.outputs).init(device));
    let constants = source.constants.iter().map(|constant| Constant {
        value: Param::from_tensor(Tensor::zeros([1, constant.channels, 1, 1], device)),
    });
    Parameters {
        convolutions: convolutions.collect(),
        norms: norms.collect(),
        constants: constants.collect(),
    }
}

/// Patterns from the checkpoint's keys to the fields of [`Parameters`].
fn renames(source: &NetworkSource) -> Vec<(String, String)> {
    let exact = |key: &str| format!("^{}$", key.replace('.', r"\."));
    let mut pairs = Vec::new();
    let mut norms = 0;
    for (index, layer) in source.convolutions.iter().enumerate() {
        pairs.push((exact(&layer.weight), format!("convolutions.{index}.weight")));
        if let Some(bias) = &layer.bias {
            pairs.push((exact(bias), format!("convolutions.{index}.bias")));
        }
        if let Some(norm) = &layer.norm {
            let prefix = norm.replace('.', r"\.");
            pairs.push((
                format!(r"^{prefix}\.(weight|bias|running_mean|running_var)$"),
                format!("norms.{norms}.$1"),
            ));
            norms += 1;
        }
    }
    for (index, constant) in source.constants.iter().enumerate() {
        pairs.push((exact(&constant.key), format!("constants.{index}.value")));
    }
    pairs
}

fn network(source: &NetworkSource, parameters: &Parameters) -> Result<Network, EmbedError> {
    let refuse = |reason: &str| EmbedError::Checkpoint { model: source.name, reason: reason.into() };
    let floats = |data: burn::tensor::TensorData| {
        data.try_to_vec::<f32>().map_err(|_| refuse("a tensor that is not f32"))
    };
    let mut norms = parameters.norms.iter();
    let mut convolutions = Vec::with_capacity(source.convolutions.len());
    for (layer, loaded) in source.convolutions.iter().zip(&parameters.convolutions) {
        let weight = floats(loaded.weight.val().into_data())?;
        let bias = match &loaded.bias {
            Some(bias) => floats(bias.val().into_data())?,
            None => vec![0.0; layer.shape.outputs],
        };
        let norm = match layer.norm {
            None => None,
            Some(_) => {
                let norm = norms.next().ok_or_else(|| refuse("a normalisation is missing"))?;
                Some(Norm {
                    gain: floats(norm.gamma.val().into_data())?,
                    offset: floats(norm.beta.val().into_data())?,
                    mean: floats(norm.running_mean.value().into_data())?,
                    variance: floats(norm.running_var.value().into_data())?,
                })
            }
        };
        convolutions.push(fold(layer, weight, bias, norm));
    }
    let constants = parameters.constants.iter().map(|constant| floats(constant.value.val().into_data()));
    let constants = constants.collect::<Result<Vec<_>, _>>()?;
    let network = Network { name: source.name, convolutions, constants, steps: source.steps.clone() };
    let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    let sound = network.convolutions.iter().all(|layer| finite(&layer.weight) && finite(&layer.bias))
        && network.constants.iter().all(|values| finite(values));
    if sound { Ok(network) } else { Err(refuse("a weight that is not finite")) }
}

struct Norm {
    gain: Vec<f32>,
    offset: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
}

/// Folds a batch normalisation into the convolution before it: `gain (x - mean) / sqrt(variance + epsilon) +
/// offset`, in f64, each weight rounded once. Done once, so that every executor has the same bits.
fn fold(
    layer: &ConvolutionSource,
    mut weight: Vec<f32>,
    mut bias: Vec<f32>,
    norm: Option<Norm>,
) -> Convolution {
    if let Some(norm) = norm {
        for (channel, weights) in weight.chunks_exact_mut(layer.shape.taps()).enumerate() {
            let deviation = (f64::from(norm.variance[channel]) + EPSILON).sqrt();
            let factor = f64::from(norm.gain[channel]) / deviation;
            for weight in weights {
                *weight = (f64::from(*weight) * factor) as f32;
            }
            let centred = f64::from(bias[channel]) - f64::from(norm.mean[channel]);
            bias[channel] = (f64::from(norm.offset[channel]) + centred * factor) as f32;
        }
    }
    Convolution { shape: layer.shape.clone(), weight, bias }
}
