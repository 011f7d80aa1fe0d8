//! Categorical cross-entropy.

use candle_core::{D, Tensor};

use crate::error::Result;

/// Mean over the batch of `-Σⱼ targetⱼ · log softmax(logits)ⱼ`: a scalar.
///
/// # Shapes
/// logits and targets `[n, k]`, targets summing to 1 in each row
///
/// # Errors
/// When the shapes differ.
pub fn categorical_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let log_probabilities = candle_nn::ops::log_softmax(logits, D::Minus1)?;
    Ok((log_probabilities * targets)?.sum(D::Minus1)?.mean_all()?.neg()?)
}

/// Spreads the share `epsilon` of each target evenly over the `classes`, in place: `(1 - ε)·t + ε/k`.
///
/// # Source
/// Szegedy et al., arXiv:1512.00567, section 7.
pub fn smooth_labels(targets: &mut [f32], classes: usize, epsilon: f32) {
    for target in targets {
        *target = (1.0 - epsilon) * *target + epsilon / classes as f32;
    }
}
