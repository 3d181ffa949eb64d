//! What a tower is made of, where a checkpoint keeps it, and a formula for pseudo-random parameters.

use crate::{
    error::EmbedError,
    network::{Convolution, ConvolutionShape, Padding},
};

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

/// How a square picture is cut into patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchGrid {
    /// Side of the picture in pixels.
    pub image_side: usize,
    /// Side of a patch in pixels.
    pub patch_side: usize,
}

impl PatchGrid {
    /// Patches along a side.
    pub fn patches(&self) -> usize {
        self.image_side / self.patch_side
    }

    /// Tokens of a picture: its patches after the class token.
    pub fn tokens(&self) -> usize {
        self.patches().pow(2) + 1
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
    /// Factors of what a block adds.
    Scale,
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

/// Between the two linear layers of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + exp(-1.702 x))`, OpenAI's approximation of GELU.
    QuickGelu,
    /// `x / 2 (1 + erf(x / sqrt(2)))` (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016).
    Gelu,
}

/// A normalisation over the channels of each token (Ba et al., "Layer Normalization", 2016).
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Factor by channel.
    pub gain: Vec<f32>,
    /// Addend by channel.
    pub offset: Vec<f32>,
    /// Added to a variance before its square root.
    pub epsilon: f64,
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

/// A tower: blocks between tokens and the vector of one of them.
#[derive(Debug, Clone)]
pub struct Tower<L, N> {
    /// Heads of the attention.
    pub heads: usize,
    /// Between the linear layers.
    pub activation: Activation,
    /// The blocks.
    pub blocks: Vec<Block<L, N>>,
    /// After the last block, on the one token that is read.
    pub after: N,
    /// Into another space, where there is one.
    pub projection: Option<L>,
}

/// A tower with what turns pictures into its tokens.
#[derive(Debug, Clone)]
pub struct ImageTower<L, N> {
    /// How pictures are cut.
    pub grid: PatchGrid,
    /// Patches into tokens, no bias.
    pub patches: L,
    /// Before the first block, where there is one.
    pub before: Option<N>,
    /// The tower.
    pub tower: Tower<L, N>,
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
    /// The same tower for another executor.
    pub fn map<M, O>(&self, linear: &impl Fn(&L) -> M, norm: &impl Fn(&N) -> O) -> Tower<M, O> {
        Tower {
            heads: self.heads,
            activation: self.activation,
            blocks: self.blocks.iter().map(|block| block.map(linear, norm)).collect(),
            after: norm(&self.after),
            projection: self.projection.as_ref().map(linear),
        }
    }
}

impl<L, N> ImageTower<L, N> {
    /// The same tower for another executor.
    pub fn map<M, O>(&self, linear: &impl Fn(&L) -> M, norm: &impl Fn(&N) -> O) -> ImageTower<M, O> {
        ImageTower {
            grid: self.grid,
            patches: linear(&self.patches),
            before: self.before.as_ref().map(norm),
            tower: self.tower.map(linear, norm),
        }
    }
}

/// Keys of a block's layers in a checkpoint, behind the block's own.
pub(crate) struct BlockKeys {
    pub(crate) norm1: &'static str,
    pub(crate) query: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    pub(crate) out: &'static str,
    pub(crate) norm2: &'static str,
    pub(crate) widen: &'static str,
    pub(crate) narrow: &'static str,
    /// Factors by channel of what the attention and of what the linear layers add (Touvron et al., "Going deeper with Image
    /// Transformers", 2021: LayerScale).
    pub(crate) scales: Option<[&'static str; 2]>,
}

/// A tower in a checkpoint.
pub(crate) struct TowerSource<'a> {
    pub(crate) shape: TowerShape,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f64,
    /// Before the number of a block.
    pub(crate) blocks: &'a str,
    pub(crate) keys: &'a BlockKeys,
    /// Key of the last normalisation.
    pub(crate) after: &'a str,
    /// Key and outputs of the projection.
    pub(crate) projection: Option<(&'a str, usize)>,
}

/// Reads tensors by key, shape and role.
pub(crate) struct Reader<R> {
    pub(crate) read: R,
}

impl<R: FnMut(TensorSource) -> Result<Vec<f32>, EmbedError>> Reader<R> {
    pub(crate) fn tensor(&mut self, key: &str, sides: &[usize], role: Role) -> Result<Vec<f32>, EmbedError> {
        (self.read)(TensorSource { key: key.to_owned(), sides: sides.to_vec(), role })
    }

    /// Weights `[outputs, inputs]`; patches have more axes behind the first.
    pub(crate) fn linear(
        &mut self,
        key: &str,
        sides: &[usize],
        bias: bool,
    ) -> Result<Convolution, EmbedError> {
        let (outputs, inputs) = (sides[0], sides[1..].iter().product());
        let weight = self.tensor(&format!("{key}.weight"), sides, Role::Weight { inputs })?;
        let bias = match bias {
            true => self.tensor(&format!("{key}.bias"), &[outputs], Role::Offset)?,
            false => vec![0.0; outputs],
        };
        let padding = Padding::Zero(0);
        let shape = ConvolutionShape { inputs, outputs, size: 1, stride: 1, padding, groups: 1 };
        Ok(Convolution { shape, weight, bias })
    }

    pub(crate) fn norm(&mut self, key: &str, width: usize, epsilon: f64) -> Result<Norm, EmbedError> {
        let gain = self.tensor(&format!("{key}.weight"), &[width], Role::Gain)?;
        Ok(Norm { gain, offset: self.tensor(&format!("{key}.bias"), &[width], Role::Offset)?, epsilon })
    }

    pub(crate) fn tower(&mut self, source: &TowerSource<'_>) -> Result<Tower<Convolution, Norm>, EmbedError> {
        let TowerSource { shape, epsilon, keys, .. } = *source;
        let width = shape.width;
        let mut blocks = Vec::with_capacity(shape.layers);
        for layer in 0..shape.layers {
            let at = |part: &str| format!("{}.{layer}.{part}", source.blocks);
            let mut block = Block {
                norm1: self.norm(&at(keys.norm1), width, epsilon)?,
                query: self.linear(&at(keys.query), &[width, width], true)?,
                key: self.linear(&at(keys.key), &[width, width], true)?,
                value: self.linear(&at(keys.value), &[width, width], true)?,
                out: self.linear(&at(keys.out), &[width, width], true)?,
                norm2: self.norm(&at(keys.norm2), width, epsilon)?,
                widen: self.linear(&at(keys.widen), &[4 * width, width], true)?,
                narrow: self.linear(&at(keys.narrow), &[width, 4 * width], true)?,
            };
            if let Some([attention, linear]) = keys.scales {
                scale(&mut block.out, &self.tensor(&at(attention), &[width], Role::Scale)?);
                scale(&mut block.narrow, &self.tensor(&at(linear), &[width], Role::Scale)?);
            }
            blocks.push(block);
        }
        let projection = source.projection.map(|(key, outputs)| self.linear(key, &[outputs, width], false));
        Ok(Tower {
            heads: shape.heads,
            activation: source.activation,
            blocks,
            after: self.norm(source.after, width, epsilon)?,
            projection: projection.transpose()?,
        })
    }
}

/// Folds factors of a layer's outputs into it, in f64, each weight rounded once, so that every executor has the same bits.
fn scale(layer: &mut Convolution, factors: &[f32]) {
    let times = |value: &mut f32, factor: f32| *value = (f64::from(*value) * f64::from(factor)) as f32;
    for (row, &factor) in layer.weight.chunks_exact_mut(layer.shape.inputs).zip(factors) {
        row.iter_mut().for_each(|weight| times(weight, factor));
    }
    layer.bias.iter_mut().zip(factors).for_each(|(bias, &factor)| times(bias, factor));
}

/// Values of a whole tensor by [`drawn_value`].
pub fn drawn_tensor(source: &TensorSource) -> Vec<f32> {
    let name = name_hash(&source.key);
    let count: usize = source.sides.iter().product();
    (0..count as u64).map(|index| drawn_value(name, index, source.role)).collect()
}

/// FNV-1a, 64 bits, of a key.
pub fn name_hash(key: &str) -> u64 {
    key.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Pseudo-random parameter number `index` of the tensor whose key has this hash: the top 24 bits of SplitMix64 (Steele
/// et al., 2014) as a number in -1..1, times a range by role. Weights have the variance `1 / inputs`, so that values
/// keep their size from layer to layer. `tests/golden/parameters.py` has the same formula.
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
        Role::Scale => 0.5 + unit * 0.25,
        Role::Embedding => unit * 0.5,
    };
    value as f32
}

/// What an architecture asks of its checkpoint, counted.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) values: usize,
    pub(crate) keys: std::collections::BTreeSet<String>,
}

#[cfg(test)]
impl Counted {
    /// Counts a tensor, which must be asked for once, and gives the number of its values.
    pub(crate) fn count(&mut self, source: &TensorSource) -> usize {
        let values = source.sides.iter().product();
        self.values += values;
        assert!(self.keys.insert(source.key.clone()), "{} twice", source.key);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn factors_of_outputs_are_folded_by_row() {
        let padding = Padding::Zero(0);
        let shape = ConvolutionShape { inputs: 2, outputs: 2, size: 1, stride: 1, padding, groups: 1 };
        let mut layer = Convolution { shape, weight: vec![1.0, 2.0, 3.0, 4.0], bias: vec![5.0, 6.0] };
        scale(&mut layer, &[0.5, 2.0]);
        assert_eq!((layer.weight, layer.bias), (vec![0.5, 1.0, 6.0, 8.0], vec![2.5, 12.0]));
    }
}
