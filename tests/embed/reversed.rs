//! A third executor of towers: sums from the last term to the first, fused, another order of axes.

use leoma_embed::{
    network::Convolution,
    transformer::{
        parts::{Activation, Norm},
        tower::{Arithmetic, Asked, Sequences},
    },
};

use crate::reordered::fused;

/// Runs the towers token by token.
pub struct Reversed;

fn each(tokens: &Sequences, channels: usize, of_token: impl Fn(&[f32]) -> Vec<f32>) -> Sequences {
    let values = tokens.values.chunks_exact(tokens.channels).flat_map(of_token).collect();
    Sequences { count: tokens.count, tokens: tokens.tokens, channels, values }
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).rev().fold(0.0, |sum, (&a, &b)| fused(a, b, sum))
}

impl Arithmetic for Reversed {
    type Tokens = Sequences;
    type Linear = Convolution;
    type Norm = Norm;

    fn upload(&self, sequences: Sequences) -> Sequences {
        sequences
    }

    fn linear(&self, tokens: &Sequences, layer: &Convolution) -> Sequences {
        let rows = || layer.weight.chunks_exact(layer.shape.inputs).zip(&layer.bias);
        each(tokens, layer.shape.outputs, |token| rows().map(|(row, bias)| dot(row, token) + bias).collect())
    }

    fn norm(&self, tokens: &Sequences, layer: &Norm) -> Sequences {
        each(tokens, tokens.channels, |token| {
            let count = token.len() as f32;
            let mean = token.iter().rev().sum::<f32>() / count;
            let centred: Vec<f32> = token.iter().map(|value| value - mean).collect();
            let spread = 1.0 / (dot(&centred, &centred) / count + layer.epsilon as f32).sqrt();
            let scaled = centred.iter().zip(&layer.gain).zip(&layer.offset);
            scaled.map(|((value, gain), &offset)| fused(value * spread, *gain, offset)).collect()
        })
    }

    fn attention(&self, asked: Asked<Sequences>, heads: usize, causal: bool) -> Sequences {
        let Asked { query, key, value } = asked;
        let (tokens, channels) = (query.tokens, query.channels);
        let depth = channels / heads;
        let mut values = vec![0.0; query.values.len()];
        for sequence in 0..query.count {
            let row = |part: &Sequences, token: usize, head: usize| {
                part.values[(sequence * tokens + token) * channels + head * depth..][..depth].to_vec()
            };
            for head in 0..heads {
                for asking in 0..tokens {
                    let seen = if causal { asking + 1 } else { tokens };
                    let question: Vec<f32> =
                        row(&query, asking, head).iter().map(|value| value / (depth as f32).sqrt()).collect();
                    let scores: Vec<f32> =
                        (0..seen).map(|token| dot(&question, &row(&key, token, head)).exp()).collect();
                    let sum = scores.iter().rev().sum::<f32>();
                    let out = &mut values[(sequence * tokens + asking) * channels + head * depth..][..depth];
                    for token in (0..seen).rev() {
                        for (out, told) in out.iter_mut().zip(row(&value, token, head)) {
                            *out = fused(scores[token] / sum, told, *out);
                        }
                    }
                }
            }
        }
        Sequences { values, ..query }
    }

    fn activate(&self, mut tokens: Sequences, activation: Activation) -> Sequences {
        let part = |value: f32| match activation {
            Activation::QuickGelu => 1.0 / (1.0 + (value * -1.702).exp()),
            Activation::Gelu => fused(0.5, libm::erff(value / 2.0f32.sqrt()), 0.5),
        };
        tokens.values.iter_mut().for_each(|value| *value *= part(*value));
        tokens
    }

    fn add(&self, mut tokens: Sequences, other: &Sequences) -> Sequences {
        tokens.values.iter_mut().zip(&other.values).for_each(|(sum, value)| *sum += value);
        tokens
    }

    fn pick(&self, tokens: &Sequences, token: usize) -> Sequences {
        let rows = tokens.values.chunks_exact(tokens.tokens * tokens.channels);
        let values =
            rows.flat_map(|rows| rows[token * tokens.channels..][..tokens.channels].to_vec()).collect();
        Sequences { count: tokens.count, tokens: 1, channels: tokens.channels, values }
    }

    fn download(&self, tokens: Sequences) -> Vec<Vec<f32>> {
        tokens.values.chunks_exact(tokens.channels).map(<[f32]>::to_vec).collect()
    }
}
