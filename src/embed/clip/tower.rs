//! Vectors of pictures and texts by CLIP's towers.

use crate::{
    clip::model::{Clip, Layers},
    image::{RgbImage, Tone},
    transformer::tower::{self, Arithmetic, Sequences, Shown, through},
};

/// Vectors `[images][space]` of images of the architecture's side, not of unit length.
pub fn image_vectors<A: Arithmetic>(
    executor: &A,
    layers: &Layers<A::Linear, A::Norm>,
    clip: &Clip,
    images: &[&RgbImage],
) -> Vec<Vec<f32>> {
    let shown = Shown { images, tone: &tone(), positions: &clip.image_positions };
    tower::image_vectors(executor, &layers.image, shown)
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
