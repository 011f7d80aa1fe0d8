//! Adam, one pass over memory: each weight, gradient and moment is read once and written once.

use rayon::prelude::*;

/// Elements one task updates: 64 Ki floats keep four streams of 256 KiB busy and the split independent of the threads.
pub(super) const CHUNK: usize = 1 << 16;

/// Adam's constants for one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate `α` of this step.
    pub learning_rate: f32,
    /// Decay `β₁` of the first moment.
    pub beta1: f32,
    /// Decay `β₂` of the second moment.
    pub beta2: f32,
    /// `ε`, added to the root after the bias correction.
    pub epsilon: f32,
    /// Decoupled weight decay `λ`: each step multiplies the weights by `1 - αλ` (AdamW). 0 is plain Adam.
    pub weight_decay: f32,
    /// Steps taken, this one included; 1 is the first.
    pub step: u64,
}

/// Updates `weight`, `first` and `second` in place.
///
/// `m = β₁m + (1-β₁)g`, `v = β₂v + (1-β₂)g²`, `w ← (1-αλ)w - α/(1-β₁ᵗ) · m / (√(v/(1-β₂ᵗ)) + ε)`
///
/// # Panics
/// When the slices differ in length.
///
/// # Source
/// Kingma and Ba, arXiv:1412.6980, algorithm 1; Loshchilov and Hutter, arXiv:1711.05101, algorithm 2; as in PyTorch.
/// Keras adds its `ε` to `√v` before the correction, which makes it `ε / √(1-β₂ᵗ)` in this form: its 1e-7 acts like
/// 3.2e-6 in the first step and like 1e-7 after some thousands. The two part where gradients
/// come near that: after ten steps of the scratch CNN on 18 px noise they are a tenth of the way apart.
pub fn adam(step: &AdamStep, weight: &mut [f32], grad: &[f32], first: &mut [f32], second: &mut [f32]) {
    assert!(grad.len() == weight.len() && first.len() == weight.len() && second.len() == weight.len());
    let AdamStep { beta1, beta2, epsilon, .. } = *step;
    let correction = |beta: f32| 1.0 - f64::from(beta).powf(step.step as f64);
    let rate = (f64::from(step.learning_rate) / correction(beta1)) as f32;
    let root = (1.0 / correction(beta2).sqrt()) as f32;
    let keep = 1.0 - step.learning_rate * step.weight_decay;
    let chunks = weight.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK));
    chunks.zip(first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK))).for_each(|((w, g), (m, v))| {
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *w = keep * *w - rate * *m / (v.sqrt() * root + epsilon);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_step_moves_by_the_learning_rate_against_the_gradient() {
        // At t = 1 both corrections cancel: w - α·g/(|g| + ε), by arithmetic.
        let step = AdamStep { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weight_decay: 0.0, step: 1 };
        let (mut w, mut m, mut v) = (vec![1.0, -2.0, 0.5], vec![0.0; 3], vec![0.0; 3]);
        adam(&step, &mut w, &[0.3, -4.0, 0.0], &mut m, &mut v);
        for (found, expected) in w.iter().zip([0.9, -1.9, 0.5]) {
            assert!((found - expected).abs() < 1e-5, "{found} against {expected}");
        }
    }

    #[test]
    fn weight_decay_shrinks_a_weight_without_gradient() {
        let step = AdamStep { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weight_decay: 0.5, step: 1 };
        let (mut w, mut m, mut v) = (vec![2.0], vec![0.0], vec![0.0]);
        adam(&step, &mut w, &[0.0], &mut m, &mut v);
        assert!((w[0] - 1.9).abs() < 1e-6);
    }
}
