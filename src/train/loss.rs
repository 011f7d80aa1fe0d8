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

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Logits `[2, 3]` whose targets are classes 0 and 2.
    const LOGITS: [[f32; 3]; 2] = [[1.5, -0.5, 0.25], [-2.0, 3.0, 0.0]];
    const TARGETS: [f32; 6] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0];

    fn loss<const N: usize, const K: usize>(logits: [[f32; K]; N], targets: &[f32]) -> f32 {
        let logits = Tensor::new(&logits, &Device::Cpu).unwrap();
        let targets = Tensor::from_slice(targets, (N, K), &Device::Cpu).unwrap();
        categorical_cross_entropy(&logits, &targets).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn loss_is_pytorchs() {
        // PyTorch 2.12, float64: F.cross_entropy(logits, tensor([0, 2])).
        assert!((loss(LOGITS, &TARGETS) - 1.703_468_5).abs() < 1e-6);
    }

    #[test]
    fn smoothed_labels_give_pytorchs_smoothed_loss() {
        let mut targets = TARGETS;
        smooth_labels(&mut targets, 3, 0.1);
        assert!(targets.chunks(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
        // PyTorch 2.12, float64: F.cross_entropy(logits, tensor([0, 2]), label_smoothing=0.1).
        assert!((loss(LOGITS, &targets) - 1.740_968_5).abs() < 1e-6);
    }

    #[test]
    fn confident_mistakes_have_a_finite_loss() {
        // Logits 2000 apart: 2000 and ln 2, halved.
        assert!((loss([[1000.0, -1000.0], [0.0, 0.0]], &[0.0, 1.0, 1.0, 0.0]) - 1_000.346_6).abs() < 1e-3);
    }
}
