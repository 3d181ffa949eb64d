//! The canonical executor of the towers: plain f32 arithmetic in one fixed order, the same bits on every machine.
//!
//! Rules as in [`crate::canonical`], whose convolution a linear layer is. Beside `+ - * /` and square roots there are
//! the exponential and the error function of the `libm` crate, which are made of these alone. Sums run from the first
//! term to the last.

use rayon::prelude::*;

use crate::{
    canonical::{Maps, convolve},
    network::Convolution,
    transformer::{
        parts::{Activation, Norm},
        tower::{Arithmetic, Asked, Sequences},
    },
};

/// Runs the towers by the rules of this module. Tokens are maps `[sequences, channels, 1, tokens]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CanonicalTowers;

impl Arithmetic for CanonicalTowers {
    type Tokens = Maps;
    type Linear = Convolution;
    type Norm = Norm;

    fn upload(&self, sequences: Sequences) -> Maps {
        let Sequences { count, tokens, channels, values } = sequences;
        let mut data = vec![0.0; values.len()];
        let area = (tokens * channels).max(1);
        for (out, sequence) in data.chunks_exact_mut(area).zip(values.chunks_exact(area)) {
            for (token, row) in sequence.chunks_exact(channels).enumerate() {
                for (channel, &value) in row.iter().enumerate() {
                    out[channel * tokens + token] = value;
                }
            }
        }
        Maps { images: count, channels, height: 1, width: tokens, data }
    }

    fn linear(&self, tokens: &Maps, layer: &Convolution) -> Maps {
        convolve(tokens, layer)
    }

    /// Mean, then variance around it, each summed in f64 by channel; the result is rounded to f32 once.
    fn norm(&self, tokens: &Maps, layer: &Norm) -> Maps {
        let (channels, width) = (tokens.channels, tokens.width);
        let count = channels as f64;
        let mut out = tokens.clone();
        out.data.par_chunks_mut(channels * width).for_each(|sequence| {
            let (mut means, mut spreads) = (vec![0.0f64; width], vec![0.0f64; width]);
            for channel in sequence.chunks_exact(width) {
                for (mean, &value) in means.iter_mut().zip(channel) {
                    *mean += f64::from(value);
                }
            }
            means.iter_mut().for_each(|mean| *mean /= count);
            for channel in sequence.chunks_exact(width) {
                for ((spread, mean), &value) in spreads.iter_mut().zip(&means).zip(channel) {
                    let distance = f64::from(value) - mean;
                    *spread += distance * distance;
                }
            }
            spreads.iter_mut().for_each(|spread| *spread = (*spread / count + layer.epsilon).sqrt());
            let layers = layer.gain.iter().zip(&layer.offset);
            for (channel, (&gain, &offset)) in sequence.chunks_exact_mut(width).zip(layers) {
                for ((value, mean), spread) in channel.iter_mut().zip(&means).zip(&spreads) {
                    let unit = (f64::from(*value) - mean) / spread;
                    *value = (unit * f64::from(gain) + f64::from(offset)) as f32;
                }
            }
        });
        out
    }

    fn attention(&self, asked: Asked<Maps>, heads: usize, causal: bool) -> Maps {
        let Asked { query, key, value } = asked;
        let (tokens, depth) = (query.width, query.channels / heads.max(1));
        let mut data = vec![0.0; query.data.len()];
        let head = depth * tokens;
        let parts =
            query.data.par_chunks(head).zip(key.data.par_chunks(head)).zip(value.data.par_chunks(head));
        data.par_chunks_mut(head).zip(parts).for_each(|(out, ((query, key), value))| {
            attend(&Head { query, key, value, tokens, causal }, out);
        });
        Maps { data, ..query }
    }

    fn activate(&self, mut tokens: Maps, activation: Activation) -> Maps {
        let each = tokens.data.par_iter_mut().with_min_len(4096);
        match activation {
            Activation::QuickGelu => each.for_each(|value| *value /= 1.0 + libm::expf(-1.702 * *value)),
            Activation::Gelu => each.for_each(|value| {
                *value *= 0.5 * (1.0 + libm::erff(*value * std::f32::consts::FRAC_1_SQRT_2));
            }),
        }
        tokens
    }

    fn add(&self, mut tokens: Maps, other: &Maps) -> Maps {
        for (sum, value) in tokens.data.iter_mut().zip(&other.data) {
            *sum += value;
        }
        tokens
    }

    fn pick(&self, tokens: &Maps, token: usize) -> Maps {
        let data = tokens.data.chunks_exact(tokens.width.max(1)).map(|channel| channel[token]).collect();
        Maps { images: tokens.images, channels: tokens.channels, height: 1, width: 1, data }
    }

    fn download(&self, tokens: Maps) -> Vec<Vec<f32>> {
        tokens.data.chunks_exact(tokens.channels.max(1)).map(<[f32]>::to_vec).collect()
    }
}

/// One head of one sequence, each `[depth, tokens]`.
struct Head<'a> {
    query: &'a [f32],
    key: &'a [f32],
    value: &'a [f32],
    tokens: usize,
    causal: bool,
}

/// Products of query and key summed by channel, times `1 / sqrt(depth)`; their exponentials above the largest, over
/// their sum by token; with these, values summed by token.
fn attend(head: &Head<'_>, out: &mut [f32]) {
    let tokens = head.tokens;
    let scale = 1.0 / ((head.query.len() / tokens) as f32).sqrt();
    // `[asking token, seen token]`.
    let mut weights = vec![0.0f32; tokens * tokens];
    for (query, key) in head.query.chunks_exact(tokens).zip(head.key.chunks_exact(tokens)) {
        for (line, &query) in weights.chunks_exact_mut(tokens).zip(query) {
            for (sum, &key) in line.iter_mut().zip(key) {
                *sum += query * key;
            }
        }
    }
    for (asking, line) in weights.chunks_exact_mut(tokens).enumerate() {
        let (seen, hidden) = line.split_at_mut(if head.causal { asking + 1 } else { tokens });
        let mut largest = f32::NEG_INFINITY;
        for value in seen.iter_mut() {
            *value *= scale;
            largest = if *value > largest { *value } else { largest };
        }
        let mut sum = 0.0f32;
        for value in seen.iter_mut() {
            *value = libm::expf(*value - largest);
            sum += *value;
        }
        seen.iter_mut().for_each(|value| *value /= sum);
        hidden.fill(0.0);
    }
    for (out, values) in out.chunks_exact_mut(tokens).zip(head.value.chunks_exact(tokens)) {
        for (asking, out) in out.iter_mut().enumerate() {
            let mut sum = 0.0f32;
            for (&weight, &value) in weights[asking * tokens..][..tokens].iter().zip(values) {
                sum += weight * value;
            }
            *out = sum;
        }
    }
}
