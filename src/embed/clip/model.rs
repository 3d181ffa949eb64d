//! Parameters of CLIP: their names, shapes, and a formula for pseudo-random ones.

use crate::{
    error::EmbedError,
    network::{Convolution, ConvolutionShape, Padding},
};

/// Name of the model in `config/models.toml`.
pub const CLIP: &str = "clip-vit-base-patch32";

/// Lengths that make an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipShape {
    /// Side of the image in pixels.
    pub image_side: usize,
    /// Side of a patch in pixels.
    pub patch_side: usize,
    /// The image tower.
    pub image: TowerShape,
    /// The text tower.
    pub text: TowerShape,
    /// Tokens that the text tower knows.
    pub vocabulary: usize,
    /// Most tokens of a text, with its start and its end.
    pub context: usize,
    /// Length of the vectors in the space of both.
    pub space: usize,
}

/// Lengths of one tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TowerShape {
    /// Channels of a token.
    pub width: usize,
    /// Heads of its attention.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
}

impl ClipShape {
    /// ViT-B/32 as published: 151 million parameters.
    pub const VIT_B_32: Self = Self {
        image_side: 224,
        patch_side: 32,
        image: TowerShape { width: 768, heads: 12, layers: 12 },
        text: TowerShape { width: 512, heads: 8, layers: 12 },
        vocabulary: 49_408,
        context: 77,
        space: 512,
    };

    /// The same architecture in small, for known answers and fast tests.
    pub const SMALL: Self = Self {
        image_side: 64,
        patch_side: 16,
        image: TowerShape { width: 64, heads: 2, layers: 2 },
        text: TowerShape { width: 64, heads: 2, layers: 2 },
        vocabulary: 512,
        context: 77,
        space: 32,
    };

    /// Tokens of an image: its patches after the class token.
    pub fn image_tokens(&self) -> usize {
        (self.image_side / self.patch_side).pow(2) + 1
    }

    /// Values of a patch.
    pub fn patch_values(&self) -> usize {
        3 * self.patch_side * self.patch_side
    }
}

/// What a parameter does, which decides the range of a pseudo-random one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weights of a linear layer with this many inputs.
    Weight {
        /// Values that an output sums.
        inputs: usize,
    },
    /// Offsets of linear layers and normalisations.
    Offset,
    /// Gains of normalisations.
    Gain,
    /// Vectors of tokens, positions and the class.
    Embedding,
}

/// One tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSource {
    /// Its key.
    pub key: String,
    /// Lengths of its axes.
    pub sides: Vec<usize>,
    /// What it does.
    pub role: Role,
}

/// A normalisation over the channels of each token (Ba et al., "Layer Normalization", 2016), epsilon 1e-5.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Factor by channel.
    pub gain: Vec<f32>,
    /// Addend by channel.
    pub offset: Vec<f32>,
}

/// A transformer block, normalised before its attention and before its two linear layers.
#[derive(Debug, Clone)]
pub struct Block<L, N> {
    /// Before the attention.
    pub norm1: N,
    /// What a token asks for.
    pub query: L,
    /// What it is found by.
    pub key: L,
    /// What it tells.
    pub value: L,
    /// After the attention.
    pub out: L,
    /// Before the linear layers.
    pub norm2: N,
    /// To four times the width.
    pub widen: L,
    /// And back.
    pub narrow: L,
}

/// A tower: blocks between tokens and the common space.
#[derive(Debug, Clone)]
pub struct Tower<L, N> {
    /// Heads of the attention.
    pub heads: usize,
    /// The blocks.
    pub blocks: Vec<Block<L, N>>,
    /// After the last block, on the one token that is read.
    pub after: N,
    /// Into the common space.
    pub projection: L,
}

/// Both towers, with linear layers `L` and normalisations `N` of some executor.
#[derive(Debug, Clone)]
pub struct Layers<L, N> {
    /// Lengths.
    pub shape: ClipShape,
    /// Patches into tokens, no bias.
    pub patches: L,
    /// Before the first block of the image tower.
    pub before: N,
    /// The image tower.
    pub image: Tower<L, N>,
    /// The text tower.
    pub text: Tower<L, N>,
}

/// All parameters in memory, as the canonical path takes them: a linear layer is a 1x1 convolution.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Both towers.
    pub layers: Layers<Convolution, Norm>,
    /// Added to the tokens of every image `[tokens, width]`: positions, the class in the first row.
    pub image_positions: Vec<f32>,
    /// Vectors of tokens `[vocabulary, width]`.
    pub token_vectors: Vec<f32>,
    /// Added to the tokens of every text `[context, width]`.
    pub text_positions: Vec<f32>,
}

impl<L, N> Block<L, N> {
    fn map<M, O>(&self, linear: &impl Fn(&L) -> M, norm: &impl Fn(&N) -> O) -> Block<M, O> {
        Block {
            norm1: norm(&self.norm1),
            query: linear(&self.query),
            key: linear(&self.key),
            value: linear(&self.value),
            out: linear(&self.out),
            norm2: norm(&self.norm2),
            widen: linear(&self.widen),
            narrow: linear(&self.narrow),
        }
    }
}

impl<L, N> Tower<L, N> {
    fn map<M, O>(&self, linear: &impl Fn(&L) -> M, norm: &impl Fn(&N) -> O) -> Tower<M, O> {
        Tower {
            heads: self.heads,
            blocks: self.blocks.iter().map(|block| block.map(linear, norm)).collect(),
            after: norm(&self.after),
            projection: linear(&self.projection),
        }
    }
}

impl<L, N> Layers<L, N> {
    /// The same towers for another executor.
    pub fn map<M, O>(&self, linear: impl Fn(&L) -> M, norm: impl Fn(&N) -> O) -> Layers<M, O> {
        Layers {
            shape: self.shape,
            patches: linear(&self.patches),
            before: norm(&self.before),
            image: self.image.map(&linear, &norm),
            text: self.text.map(&linear, &norm),
        }
    }
}

/// Reads tensors by key, shape and role.
struct Reader<R> {
    read: R,
}

impl<R: FnMut(TensorSource) -> Result<Vec<f32>, EmbedError>> Reader<R> {
    fn tensor(&mut self, key: String, sides: &[usize], role: Role) -> Result<Vec<f32>, EmbedError> {
        (self.read)(TensorSource { key, sides: sides.to_vec(), role })
    }

    /// Weights `[outputs, inputs]`; patches have more axes behind the first.
    fn linear(&mut self, key: &str, sides: &[usize], bias: bool) -> Result<Convolution, EmbedError> {
        let (outputs, inputs) = (sides[0], sides[1..].iter().product());
        let weight = self.tensor(format!("{key}.weight"), sides, Role::Weight { inputs })?;
        let bias = match bias {
            true => self.tensor(format!("{key}.bias"), &[outputs], Role::Offset)?,
            false => vec![0.0; outputs],
        };
        let padding = Padding::Zero(0);
        let shape = ConvolutionShape { inputs, outputs, size: 1, stride: 1, padding, groups: 1 };
        Ok(Convolution { shape, weight, bias })
    }

    fn norm(&mut self, key: &str, width: usize) -> Result<Norm, EmbedError> {
        let gain = self.tensor(format!("{key}.weight"), &[width], Role::Gain)?;
        Ok(Norm { gain, offset: self.tensor(format!("{key}.bias"), &[width], Role::Offset)? })
    }

    fn tower(
        &mut self,
        shape: TowerShape,
        key: &str,
        after: &str,
        projection: (&str, usize),
    ) -> Result<Tower<Convolution, Norm>, EmbedError> {
        let width = shape.width;
        let mut blocks = Vec::with_capacity(shape.layers);
        for layer in 0..shape.layers {
            let key = format!("{key}.encoder.layers.{layer}");
            let at = |part: &str| format!("{key}.{part}");
            blocks.push(Block {
                norm1: self.norm(&at("layer_norm1"), width)?,
                query: self.linear(&at("self_attn.q_proj"), &[width, width], true)?,
                key: self.linear(&at("self_attn.k_proj"), &[width, width], true)?,
                value: self.linear(&at("self_attn.v_proj"), &[width, width], true)?,
                out: self.linear(&at("self_attn.out_proj"), &[width, width], true)?,
                norm2: self.norm(&at("layer_norm2"), width)?,
                widen: self.linear(&at("mlp.fc1"), &[4 * width, width], true)?,
                narrow: self.linear(&at("mlp.fc2"), &[width, 4 * width], true)?,
            });
        }
        let after = self.norm(&format!("{key}.{after}"), width)?;
        let projection = self.linear(projection.0, &[projection.1, width], false)?;
        Ok(Tower { heads: shape.heads, blocks, after, projection })
    }
}

impl Clip {
    /// Reads every parameter of an architecture, each once.
    ///
    /// # Errors
    /// Whatever `read` refuses.
    pub fn read(
        shape: ClipShape,
        read: impl FnMut(TensorSource) -> Result<Vec<f32>, EmbedError>,
    ) -> Result<Self, EmbedError> {
        let mut reader = Reader { read };
        let (image_width, text_width, side) = (shape.image.width, shape.text.width, shape.patch_side);
        let class = "vision_model.embeddings.class_embedding".into();
        let class = reader.tensor(class, &[image_width], Role::Embedding)?;
        let embeddings = |tower: &str, what: &str| format!("{tower}.embeddings.{what}_embedding");
        let positions = format!("{}.weight", embeddings("vision_model", "position"));
        let mut image_positions =
            reader.tensor(positions, &[shape.image_tokens(), image_width], Role::Embedding)?;
        for (position, class) in image_positions.iter_mut().zip(&class) {
            *position += class;
        }
        let tokens = format!("{}.weight", embeddings("text_model", "token"));
        let positions = format!("{}.weight", embeddings("text_model", "position"));
        let patches = embeddings("vision_model", "patch");
        let projected = |key| (key, shape.space);
        Ok(Self {
            image_positions,
            token_vectors: reader.tensor(tokens, &[shape.vocabulary, text_width], Role::Embedding)?,
            text_positions: reader.tensor(positions, &[shape.context, text_width], Role::Embedding)?,
            layers: Layers {
                shape,
                patches: reader.linear(&patches, &[image_width, 3, side, side], false)?,
                before: reader.norm("vision_model.pre_layrnorm", image_width)?,
                image: reader.tower(
                    shape.image,
                    "vision_model",
                    "post_layernorm",
                    projected("visual_projection"),
                )?,
                text: reader.tower(
                    shape.text,
                    "text_model",
                    "final_layer_norm",
                    projected("text_projection"),
                )?,
            },
        })
    }

    /// Parameters by [`drawn_value`]: the architecture without its weights, for parity and known answers.
    ///
    /// # Errors
    /// None: drawn values always fit.
    pub fn drawn(shape: ClipShape) -> Result<Self, EmbedError> {
        Self::read(shape, |source| {
            let name = name_hash(&source.key);
            let count: usize = source.sides.iter().product();
            Ok((0..count as u64).map(|index| drawn_value(name, index, source.role)).collect())
        })
    }
}

/// FNV-1a, 64 bits, of a key.
pub fn name_hash(key: &str) -> u64 {
    key.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Pseudo-random parameter number `index` of the tensor whose key has this hash: the top 24 bits of SplitMix64 (Steele
/// et al., 2014) as a number in -1..1, times a range by role. Weights have the variance `1 / inputs`, so that values
/// keep their size from layer to layer. `tests/golden/clip/make.py` has the same formula.
pub fn drawn_value(name: u64, index: u64, role: Role) -> f32 {
    let mut z = name.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let unit = (z >> 40) as f64 / f64::from(1 << 23) - 1.0;
    let value = match role {
        Role::Weight { inputs } => unit * (3.0 / inputs as f64).sqrt(),
        Role::Offset => unit * 0.125,
        Role::Gain => 1.0 + unit * 0.25,
        Role::Embedding => unit * 0.5,
    };
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_architecture_has_the_published_number_of_parameters() {
        let mut count = 0usize;
        let mut keys = std::collections::BTreeSet::new();
        let clip = Clip::read(ClipShape::VIT_B_32, |source| {
            let values: usize = source.sides.iter().product();
            count += values;
            assert!(keys.insert(source.key.clone()), "{} twice", source.key);
            // Only the class and the positions are touched while reading.
            Ok(vec![0.0; if source.key.contains("position") { values } else { 0 }])
        })
        .expect("nothing is refused");
        // `transformers` counts 151,277,313 with the logit scale, which has no part in a cosine.
        assert_eq!(count, 151_277_313 - 1);
        assert_eq!((clip.layers.shape.image_tokens(), clip.layers.shape.patch_values()), (50, 3072));
    }

    #[test]
    fn drawn_values_stay_in_their_range() {
        let name = name_hash("visual_projection.weight");
        let values: Vec<f32> =
            (0..4096).map(|index| drawn_value(name, index, Role::Weight { inputs: 12 })).collect();
        let mean = values.iter().sum::<f32>() / 4096.0;
        let square = values.iter().map(|v| v * v).sum::<f32>() / 4096.0;
        assert!(values.iter().all(|v| (-0.5..0.5).contains(v)), "range");
        assert!(mean.abs() < 0.02 && (square - 1.0 / 12.0).abs() < 0.01, "{mean} {square}");
        assert_ne!(
            values[0],
            drawn_value(name_hash("text_projection.weight"), 0, Role::Weight { inputs: 12 })
        );
    }
}
