//! Both towers, written once for every executor.

use crate::{
    clip::model::{Clip, Layers, Tower},
    image::{RgbImage, Tone},
};

/// Tokens of several sequences, `[count, tokens, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequences {
    /// Sequences.
    pub count: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Channels of a token.
    pub channels: usize,
    /// The values.
    pub values: Vec<f32>,
}

/// Who computes.
pub trait Arithmetic {
    /// Tokens where this executor keeps them, `[sequences, tokens, channels]`.
    type Tokens;
    /// A linear layer as it takes it.
    type Linear;
    /// A normalisation as it takes it.
    type Norm;

    /// Takes values from memory.
    fn upload(&self, sequences: Sequences) -> Self::Tokens;
    /// Each token through a linear layer.
    fn linear(&self, tokens: &Self::Tokens, layer: &Self::Linear) -> Self::Tokens;
    /// Each token normalised over its channels.
    fn norm(&self, tokens: &Self::Tokens, layer: &Self::Norm) -> Self::Tokens;
    /// Attention with this many heads; `causal`: no token sees a later one.
    fn attention(&self, asked: Asked<Self::Tokens>, heads: usize, causal: bool) -> Self::Tokens;
    /// `x / (1 + exp(-1.702 x))`, OpenAI's approximation of GELU.
    fn quick_gelu(&self, tokens: Self::Tokens) -> Self::Tokens;
    /// Sums.
    fn add(&self, tokens: Self::Tokens, other: &Self::Tokens) -> Self::Tokens;
    /// One token of each sequence, `[sequences, 1, channels]`.
    fn pick(&self, tokens: &Self::Tokens, token: usize) -> Self::Tokens;
    /// Brings sequences of one token back, `[sequences][channels]`.
    fn download(&self, tokens: Self::Tokens) -> Vec<Vec<f32>>;
}

/// What goes into an attention.
pub struct Asked<T> {
    /// What each token asks for.
    pub query: T,
    /// What each is found by.
    pub key: T,
    /// What each tells.
    pub value: T,
}

fn through<A: Arithmetic>(
    executor: &A,
    tower: &Tower<A::Linear, A::Norm>,
    mut tokens: A::Tokens,
    causal: bool,
    read: usize,
) -> Vec<Vec<f32>> {
    for block in &tower.blocks {
        let normed = executor.norm(&tokens, &block.norm1);
        let part = |layer| executor.linear(&normed, layer);
        let asked = Asked { query: part(&block.query), key: part(&block.key), value: part(&block.value) };
        let attended = executor.attention(asked, tower.heads, causal);
        tokens = executor.add(tokens, &executor.linear(&attended, &block.out));
        let normed = executor.norm(&tokens, &block.norm2);
        let wide = executor.quick_gelu(executor.linear(&normed, &block.widen));
        tokens = executor.add(tokens, &executor.linear(&wide, &block.narrow));
    }
    let last = executor.norm(&executor.pick(&tokens, read), &tower.after);
    executor.download(executor.linear(&last, &tower.projection))
}

/// Vectors `[images][space]` of images of the architecture's side, not of unit length.
pub fn image_vectors<A: Arithmetic>(
    executor: &A,
    layers: &Layers<A::Linear, A::Norm>,
    clip: &Clip,
    images: &[&RgbImage],
) -> Vec<Vec<f32>> {
    let shape = &layers.shape;
    let (count, tokens, channels) = (images.len(), shape.image_tokens(), shape.image.width);
    let patches = executor.upload(patches(clip, images));
    let positions = Sequences { count, tokens, channels, values: clip.image_positions.repeat(count) };
    let tokens = executor.add(executor.linear(&patches, &layers.patches), &executor.upload(positions));
    let tokens = executor.norm(&tokens, &layers.before);
    through(executor, &layers.image, tokens, false, 0)
}

/// Patches of images in reading order, each by channel, row and column, after an empty one in the class token's place.
fn patches(clip: &Clip, images: &[&RgbImage]) -> Sequences {
    let shape = &clip.layers.shape;
    let (side, patch) = (shape.image_side, shape.patch_side);
    let batch = tone().batch(images);
    let mut values = Vec::with_capacity(images.len() * shape.image_tokens() * shape.patch_values());
    for image in batch.data.chunks_exact(3 * side * side) {
        values.resize(values.len() + shape.patch_values(), 0.0);
        for at in 0..(side / patch).pow(2) {
            let (left, top) = (at % (side / patch) * patch, at / (side / patch) * patch);
            for plane in image.chunks_exact(side * side) {
                for row in top..top + patch {
                    values.extend_from_slice(&plane[row * side + left..][..patch]);
                }
            }
        }
    }
    Sequences { count: batch.images, tokens: shape.image_tokens(), channels: shape.patch_values(), values }
}

/// The image tower's input: `(pixel / 255 - mean) / deviation` with the constants of CLIP's training set.
fn tone() -> Tone {
    const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
    const DEVIATION: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];
    Tone::new(|channel, pixel| (pixel / 255.0 - MEAN[channel]) / DEVIATION[channel])
}

/// Vector `[space]` of a text's tokens, its start first and its end last, not of unit length. Tokens beyond the
/// context or the vocabulary are left out, which callers rule out.
///
/// No token sees a later one and the last is the one that is read: what other programs pad with has no part in this.
pub fn text_vector<A: Arithmetic>(
    executor: &A,
    layers: &Layers<A::Linear, A::Norm>,
    clip: &Clip,
    text: &[u16],
) -> Vec<f32> {
    let width = layers.shape.text.width;
    let mut values = Vec::with_capacity(text.len() * width);
    for (&token, position) in text.iter().zip(clip.text_positions.chunks_exact(width)) {
        if let Some(vector) = clip.token_vectors.chunks_exact(width).nth(token.into()) {
            values.extend(vector.iter().zip(position).map(|(value, position)| value + position));
        }
    }
    let tokens = values.len() / width;
    if tokens == 0 {
        return Vec::new();
    }
    let sequences = Sequences { count: 1, tokens, channels: width, values };
    let mut vectors = through(executor, &layers.text, executor.upload(sequences), true, tokens - 1);
    vectors.pop().unwrap_or_default()
}
