//! Parameters of DINOv2: their names and shapes, and vectors of pictures.

use std::path::Path;

use burn::store::SafetensorsStore;

use super::positions::interpolated;
use crate::{
    error::EmbedError,
    image::RgbImage,
    models::embedding_tone,
    network::Convolution,
    transformer::{
        checkpoint,
        parts::{
            Activation, BlockKeys, ImageTower, Norm, PatchGrid, Reader, Role, TensorSource, TowerShape,
            TowerSource, drawn_tensor,
        },
        tensors::{DeviceLinear, DeviceNorm, TensorTowers},
        tower::{Arithmetic, Shown, image_vectors},
    },
};

/// Name of the model in `config/models.toml`.
pub const DINO: &str = "dinov2-small";

/// Added to variances by every normalisation.
const EPSILON: f64 = 1e-6;

/// What a checkpoint holds beside parameters that have a part: what hid patches in training.
const WITHOUT_PART: [&str; 1] = ["embeddings.mask_token"];

const BLOCK: BlockKeys = BlockKeys {
    norm1: "norm1",
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    out: "attention.output.dense",
    norm2: "norm2",
    widen: "mlp.fc1",
    narrow: "mlp.fc2",
    scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
};

/// Lengths that make an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DinoShape {
    /// How pictures are cut.
    pub grid: PatchGrid,
    /// Patches along a side of the pictures that the positions were trained on.
    pub trained: usize,
    /// The tower.
    pub tower: TowerShape,
}

impl DinoShape {
    /// ViT-S/14 as published (22 million parameters, trained on 518 pixels a side), for pictures of 224.
    pub const VIT_S_14: Self = Self {
        grid: PatchGrid { image_side: 224, patch_side: 14 },
        trained: 37,
        tower: TowerShape { width: 384, heads: 6, layers: 12 },
    };

    /// The same architecture in small, for known answers and fast tests.
    pub const SMALL: Self = Self {
        grid: PatchGrid { image_side: 56, patch_side: 14 },
        trained: 7,
        tower: TowerShape { width: 64, heads: 2, layers: 2 },
    };
}

/// All parameters in memory, as the canonical path takes them: a linear layer is a 1x1 convolution.
#[derive(Debug, Clone)]
pub struct Dino {
    /// Lengths.
    pub shape: DinoShape,
    /// The tower; what its layers add is scaled in their weights.
    pub tower: ImageTower<Convolution, Norm>,
    /// Added to the tokens of every picture `[tokens, width]`: the class with its position, then the positions of patches with
    /// the bias of the layer that makes tokens of them.
    pub positions: Vec<f32>,
}

impl Dino {
    /// Uploads the weights.
    pub fn on(&self, towers: &TensorTowers) -> ImageTower<DeviceLinear, DeviceNorm> {
        self.tower.map(&|layer| towers.linear_layer(layer), &|norm| towers.norm_layer(norm))
    }

    /// Reads every parameter of an architecture, each once.
    ///
    /// # Errors
    /// Whatever `read` refuses.
    pub fn read(
        shape: DinoShape,
        read: impl FnMut(TensorSource) -> Result<Vec<f32>, EmbedError>,
    ) -> Result<Self, EmbedError> {
        let mut reader = Reader { read };
        let DinoShape { grid, trained, tower: TowerShape { width, .. } } = shape;
        let class = reader.tensor("embeddings.cls_token", &[1, 1, width], Role::Embedding)?;
        let sides = [1, trained * trained + 1, width];
        let positions = reader.tensor("embeddings.position_embeddings", &sides, Role::Embedding)?;
        let sides = [width, 3, grid.patch_side, grid.patch_side];
        let mut patches = reader.linear("embeddings.patch_embeddings.projection", &sides, true)?;
        let bias = std::mem::replace(&mut patches.bias, vec![0.0; width]);
        let (of_class, of_patches) = positions.split_at(width);
        let of_patches = interpolated(of_patches, width, trained, grid.patches());
        let sum = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| a + b).collect::<Vec<_>>();
        let rows = of_patches.chunks_exact(width).map(|position| sum(position, &bias));
        Ok(Self {
            shape,
            positions: std::iter::once(sum(of_class, &class)).chain(rows).flatten().collect(),
            tower: ImageTower {
                grid,
                patches,
                before: None,
                tower: reader.tower(&TowerSource {
                    shape: shape.tower,
                    activation: Activation::Gelu,
                    epsilon: EPSILON,
                    blocks: "encoder.layer",
                    keys: &BLOCK,
                    after: "layernorm",
                    projection: None,
                })?,
            },
        })
    }

    /// Parameters by [`drawn_tensor`]: the architecture without its weights, for parity and known answers.
    ///
    /// # Errors
    /// None: drawn values always fit.
    pub fn drawn(shape: DinoShape) -> Result<Self, EmbedError> {
        Self::read(shape, |source| Ok(drawn_tensor(&source)))
    }
}

/// Reads a checkpoint in the format of safetensors. The caller has checked the file's digest.
///
/// # Errors
/// When a tensor is missing, left over, of another shape or type, or not finite.
pub fn load(shape: DinoShape, path: &Path) -> Result<Dino, EmbedError> {
    let store = SafetensorsStore::from_file(path).map_indices_contiguous(false);
    checkpoint::read(DINO, store, &WITHOUT_PART, |read| Dino::read(shape, read))
}

/// Vectors `[images][width]` of pictures of the architecture's side, not of unit length. Their levels become floats as
/// MobileNetV2's do, by the constants of ImageNet.
pub fn vectors<A: Arithmetic>(
    executor: &A,
    tower: &ImageTower<A::Linear, A::Norm>,
    dino: &Dino,
    images: &[&RgbImage],
) -> Vec<Vec<f32>> {
    image_vectors(executor, tower, Shown { images, tone: &embedding_tone(), positions: &dino.positions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformer::parts::Counted;

    #[test]
    fn the_architecture_has_the_published_number_of_parameters() {
        let mut counted = Counted::default();
        let dino = Dino::read(DinoShape::VIT_S_14, |source| {
            let values = counted.count(&source);
            Ok(vec![0.0; values])
        })
        .expect("nothing is refused");
        // `transformers` counts 22,056,576 with the mask token.
        assert_eq!((counted.values, counted.keys.len()), (22_056_576 - 384, 222));
        assert_eq!(dino.positions.len(), 257 * 384);
    }
}
