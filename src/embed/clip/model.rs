//! Parameters of CLIP: their names and shapes.

use std::path::Path;

use burn::store::PytorchStore;

use crate::{
    error::EmbedError,
    network::Convolution,
    transformer::{
        checkpoint,
        parts::{
            Activation, BlockKeys, ImageTower, Norm, PatchGrid, Reader, Role, TensorSource, Tower,
            TowerShape, TowerSource, drawn_tensor,
        },
        tensors::{DeviceLinear, DeviceNorm, TensorTowers},
    },
};

/// Name of the model in `config/models.toml`.
pub const CLIP: &str = "clip-vit-base-patch32";

/// Added to variances by every normalisation.
const EPSILON: f64 = 1e-5;

/// What a checkpoint holds beside parameters: indices of positions (`0, 1, 2 ...`), and the temperature, whose
/// published value (100) is part of the rules' unit and not of a cosine.
const WITHOUT_PART: [&str; 3] =
    ["text_model.embeddings.position_ids", "vision_model.embeddings.position_ids", "logit_scale"];

const BLOCK: BlockKeys = BlockKeys {
    norm1: "layer_norm1",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    out: "self_attn.out_proj",
    norm2: "layer_norm2",
    widen: "mlp.fc1",
    narrow: "mlp.fc2",
    scales: None,
};

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

    /// How images are cut.
    pub fn grid(&self) -> PatchGrid {
        PatchGrid { image_side: self.image_side, patch_side: self.patch_side }
    }
}

/// Both towers, with linear layers `L` and normalisations `N` of some executor.
#[derive(Debug, Clone)]
pub struct Layers<L, N> {
    /// Lengths.
    pub shape: ClipShape,
    /// The image tower.
    pub image: ImageTower<L, N>,
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

impl<L, N> Layers<L, N> {
    /// The same towers for another executor.
    pub fn map<M, O>(&self, linear: impl Fn(&L) -> M, norm: impl Fn(&N) -> O) -> Layers<M, O> {
        Layers {
            shape: self.shape,
            image: self.image.map(&linear, &norm),
            text: self.text.map(&linear, &norm),
        }
    }
}

impl Clip {
    /// Uploads the weights of both towers.
    pub fn on(&self, towers: &TensorTowers) -> Layers<DeviceLinear, DeviceNorm> {
        self.layers.map(|layer| towers.linear_layer(layer), |norm| towers.norm_layer(norm))
    }

    /// Reads every parameter of an architecture, each once.
    ///
    /// # Errors
    /// Whatever `read` refuses.
    pub fn read(
        shape: ClipShape,
        read: impl FnMut(TensorSource) -> Result<Vec<f32>, EmbedError>,
    ) -> Result<Self, EmbedError> {
        let mut reader = Reader { read };
        let (grid, image_width, text_width) = (shape.grid(), shape.image.width, shape.text.width);
        let side = grid.patch_side;
        let class = "vision_model.embeddings.class_embedding";
        let class = reader.tensor(class, &[image_width], Role::Embedding)?;
        let positions = "vision_model.embeddings.position_embedding.weight";
        let mut image_positions = reader.tensor(positions, &[grid.tokens(), image_width], Role::Embedding)?;
        for (position, class) in image_positions.iter_mut().zip(&class) {
            *position += class;
        }
        let tokens = "text_model.embeddings.token_embedding.weight";
        let positions = "text_model.embeddings.position_embedding.weight";
        let patches = "vision_model.embeddings.patch_embedding";
        let tower = |shape, blocks, after, projection| TowerSource {
            shape,
            activation: Activation::QuickGelu,
            epsilon: EPSILON,
            blocks,
            keys: &BLOCK,
            after,
            projection: Some(projection),
        };
        Ok(Self {
            image_positions,
            token_vectors: reader.tensor(tokens, &[shape.vocabulary, text_width], Role::Embedding)?,
            text_positions: reader.tensor(positions, &[shape.context, text_width], Role::Embedding)?,
            layers: Layers {
                shape,
                image: ImageTower {
                    grid,
                    patches: reader.linear(patches, &[image_width, 3, side, side], false)?,
                    before: Some(reader.norm("vision_model.pre_layrnorm", image_width, EPSILON)?),
                    tower: reader.tower(&tower(
                        shape.image,
                        "vision_model.encoder.layers",
                        "vision_model.post_layernorm",
                        ("visual_projection", shape.space),
                    ))?,
                },
                text: reader.tower(&tower(
                    shape.text,
                    "text_model.encoder.layers",
                    "text_model.final_layer_norm",
                    ("text_projection", shape.space),
                ))?,
            },
        })
    }

    /// Parameters by [`drawn_tensor`]: the architecture without its weights, for parity and known answers.
    ///
    /// # Errors
    /// None: drawn values always fit.
    pub fn drawn(shape: ClipShape) -> Result<Self, EmbedError> {
        Self::read(shape, |source| Ok(drawn_tensor(&source)))
    }
}

/// Reads a checkpoint of PyTorch. The caller has checked the file's digest.
///
/// # Errors
/// When a tensor is missing, left over, of another shape or type, or not finite.
pub fn load(shape: ClipShape, path: &Path) -> Result<Clip, EmbedError> {
    let store = PytorchStore::from_file(path).map_indices_contiguous(false);
    checkpoint::read(CLIP, store, &WITHOUT_PART, |read| Clip::read(shape, read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformer::parts::Counted;

    #[test]
    fn the_architecture_has_the_published_number_of_parameters() {
        let mut counted = Counted::default();
        let clip = Clip::read(ClipShape::VIT_B_32, |source| {
            let values = counted.count(&source);
            // Only the class and the positions are touched while reading.
            Ok(vec![0.0; if source.key.contains("position") { values } else { 0 }])
        })
        .expect("nothing is refused");
        // `transformers` counts 151,277,313 with the logit scale, which has no part in a cosine.
        assert_eq!(counted.values, 151_277_313 - 1);
        let grid = clip.layers.shape.grid();
        assert_eq!((grid.tokens(), grid.patch_values()), (50, 3072));
    }
}
