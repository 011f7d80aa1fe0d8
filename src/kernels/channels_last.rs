//! Convolution with channels last: what a network in use runs, and the gradients that go with it.
//!
//! Two algorithms share the work: [`winograd`] where it applies and there are channels enough to pay for its
//! transforms, [`direct`] for everything else. Training still takes its convolutions from [`conv2d`](super::conv2d):
//! an error of 2e-6 lets another value win in one pooling window of some hundred thousand, whose gradient then goes
//! elsewhere, and the scratch CNN's differed by 1e-3 from PyTorch's.

use super::arch::pool::NO_WINNER;
use super::arch::product::{Finish, Packed};
use super::arch::winograd::Finish as TileFinish;
use super::conv2d::Conv2dGeometry;
use super::winograd::Transformed;
use super::{direct, winograd};

pub use super::arch::winograd::GradSource;

/// Channels on either side from which Winograd's transforms cost less than they save.
const WINOGRAD_CHANNELS: usize = 8;

/// Whether [`winograd`] is the faster one for this geometry.
fn transforms_pay(g: &Conv2dGeometry) -> bool {
    winograd::applies(g) && g.in_channels.min(g.out_channels) >= WINOGRAD_CHANNELS
}

/// A weight ready for either algorithm, with the bias.
pub struct Prepared(Kind);

enum Kind {
    /// The bias is packed with the weight.
    Direct(Packed),
    Winograd {
        weight: Transformed,
        bias: Vec<f32>,
    },
}

impl Prepared {
    /// Prepares a weight `[c_out, c_in, kh, kw]` for the forward pass over geometries like `g`, of any batch.
    ///
    /// # Panics
    /// When a slice does not hold what the geometry says.
    pub fn new(g: &Conv2dGeometry, weight: &[f32], bias: &[f32]) -> Self {
        let weight = turned(weight, g.out_channels, g.taps_last());
        if transforms_pay(g) {
            return Self(Kind::Winograd { weight: Transformed::new(g, &weight, false), bias: bias.to_vec() });
        }
        let mut packed = direct::pack(g, &weight);
        packed.set_bias(bias);
        Self(Kind::Direct(packed))
    }

    /// `input ⋆ weight + bias`, then `max(0, ·)` where `rectify`; channels last.
    ///
    /// # Panics
    /// When a slice does not hold what the geometry says.
    pub fn forward(&self, g: &Conv2dGeometry, input: &[f32], rectify: bool, out: &mut [f32]) {
        match &self.0 {
            Kind::Direct(packed) => {
                direct::forward(g, input, packed, if rectify { Finish::RELU } else { Finish::LINEAR }, out);
            }
            Kind::Winograd { weight, bias } => {
                let low = if rectify { 0.0 } else { f32::NEG_INFINITY };
                let finish = TileFinish::Clamp { low, high: f32::INFINITY };
                winograd::forward(g, (input, weight, bias), finish, out, None);
            }
        }
    }

    /// The maximum of each 2×2 window of `max(0, input ⋆ weight + bias)` and its place; channels last.
    ///
    /// # Panics
    /// When a slice does not hold what the geometry says.
    pub fn forward_pooled(&self, g: &Conv2dGeometry, input: &[f32], out: &mut [f32], winners: Option<&mut [f32]>) {
        match &self.0 {
            Kind::Direct(packed) => direct::forward_pooled(g, input, packed, out, winners),
            Kind::Winograd { weight, bias } => {
                winograd::forward(g, (input, weight, bias), TileFinish::Pool, out, winners);
            }
        }
    }
}

/// `[n, channels, outer, inner]` turned to `[n, inner, outer, channels]`.
///
/// Images are turned with an outer size of 1 and their pixels inside, weights `[c_out, c_in, taps]` with
/// `[c_in, taps]`, which makes them `[taps, c_in, c_out]`.
pub fn turned(values: &[f32], channels: usize, [outer, inner]: [usize; 2]) -> Vec<f32> {
    let mut turned = vec![0.0; values.len()];
    let image = channels * outer * inner;
    for (from, to) in values.chunks_exact(image).zip(turned.chunks_exact_mut(image)) {
        for (c, from) in from.chunks_exact(outer * inner).enumerate() {
            for (o, from) in from.chunks_exact(inner).enumerate() {
                for (i, value) in from.iter().enumerate() {
                    to[(i * outer + o) * channels + c] = *value;
                }
            }
        }
    }
    turned
}

/// The reverse of [`turned`], into `out`.
pub fn turned_back(values: &[f32], channels: usize, [outer, inner]: [usize; 2], out: &mut [f32]) {
    let image = channels * outer * inner;
    for (from, to) in values.chunks_exact(image).zip(out.chunks_exact_mut(image)) {
        for (c, to) in to.chunks_exact_mut(outer * inner).enumerate() {
            for (o, to) in to.chunks_exact_mut(inner).enumerate() {
                for (i, value) in to.iter_mut().enumerate() {
                    *value = from[(i * outer + o) * channels + c];
                }
            }
        }
    }
}

/// The sum over pixels of a gradient `[pixels, c_out]`, of a pooled one over the windows that have a winner.
///
/// # Panics
/// When the gradient is not a whole number of pixels.
pub fn bias_gradient(grad: GradSource<'_>, grad_bias: &mut [f32]) {
    grad_bias.fill(0.0);
    let channels = grad_bias.len();
    match grad {
        GradSource::Plain(grad) => {
            for pixel in grad.chunks_exact(channels) {
                grad_bias.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += v);
            }
        }
        GradSource::Pooled(grad, winners) => {
            for (pixel, winners) in grad.chunks_exact(channels).zip(winners.chunks_exact(channels)) {
                for ((sum, v), winner) in grad_bias.iter_mut().zip(pixel).zip(winners) {
                    *sum += if *winner == NO_WINNER { 0.0 } else { *v };
                }
            }
        }
    }
}

/// Gradients for the weight `[kh, kw, c_in, c_out]`, the bias and, where asked for, the input, all channels last.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn backward(
    g: &Conv2dGeometry,
    (input, weight): (&[f32], &[f32]),
    grad: GradSource<'_>,
    (grad_weight, grad_bias): (&mut [f32], &mut [f32]),
    grad_input: Option<&mut [f32]>,
) {
    if transforms_pay(g) {
        let weight = Transformed::new(g, weight, grad_input.is_some());
        winograd::backward(g, (input, &weight), grad, grad_weight, grad_input);
    } else {
        direct::backward(g, (input, weight), grad, grad_weight, grad_input);
    }
    bias_gradient(grad, grad_bias);
}
