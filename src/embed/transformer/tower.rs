//! A tower, written once for every executor.

use crate::{
    image::{RgbImage, Tone},
    transformer::parts::{Activation, ImageTower, PatchGrid, Tower},
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
    /// Each value through a function.
    fn activate(&self, tokens: Self::Tokens, activation: Activation) -> Self::Tokens;
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

/// Vectors `[sequences][channels]` of the token at `read` of each sequence; `causal`: no token sees a later one.
pub fn through<A: Arithmetic>(
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
        let wide = executor.activate(executor.linear(&normed, &block.widen), tower.activation);
        tokens = executor.add(tokens, &executor.linear(&wide, &block.narrow));
    }
    let last = executor.norm(&executor.pick(&tokens, read), &tower.after);
    executor.download(match &tower.projection {
        Some(projection) => executor.linear(&last, projection),
        None => last,
    })
}

/// What an image tower is asked.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// Images of the tower's side.
    pub images: &'a [&'a RgbImage],
    /// What it sees for each level.
    pub tone: &'a Tone,
    /// Added to the tokens of every image `[tokens, width]`: positions, the class in the first row.
    pub positions: &'a [f32],
}

/// Vectors `[images][channels]` of images, not of unit length: what becomes of their class tokens.
pub fn image_vectors<A: Arithmetic>(
    executor: &A,
    tower: &ImageTower<A::Linear, A::Norm>,
    shown: Shown<'_>,
) -> Vec<Vec<f32>> {
    let (count, tokens) = (shown.images.len(), tower.grid.tokens());
    let channels = shown.positions.len() / tokens;
    let patches = executor.upload(patches(tower.grid, shown));
    let positions = Sequences { count, tokens, channels, values: shown.positions.repeat(count) };
    let tokens = executor.add(executor.linear(&patches, &tower.patches), &executor.upload(positions));
    let tokens = match &tower.before {
        Some(before) => executor.norm(&tokens, before),
        None => tokens,
    };
    through(executor, &tower.tower, tokens, false, 0)
}

/// Patches of images in reading order, each by channel, row and column, after an empty one in the class token's place.
fn patches(grid: PatchGrid, shown: Shown<'_>) -> Sequences {
    let PatchGrid { image_side: side, patch_side: patch } = grid;
    let (along, channels, tokens) = (grid.patches(), grid.patch_values(), grid.tokens());
    let batch = shown.tone.batch(shown.images);
    let mut values = Vec::with_capacity(shown.images.len() * tokens * channels);
    for image in batch.data.chunks_exact(3 * side * side) {
        values.resize(values.len() + channels, 0.0);
        for at in 0..along.pow(2) {
            let (left, top) = (at % along * patch, at / along * patch);
            for plane in image.chunks_exact(side * side) {
                for row in top..top + patch {
                    values.extend_from_slice(&plane[row * side + left..][..patch]);
                }
            }
        }
    }
    Sequences { count: batch.images, tokens, channels, values }
}
