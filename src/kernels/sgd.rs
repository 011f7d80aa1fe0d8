//! Stochastic gradient descent with momentum, one pass over memory.

use rayon::prelude::*;

use super::adam::CHUNK;

/// Updates `weight` and `velocity` in place: `u = μu + g`, `w ← (1-αλ)w - αu`, `λ` the decoupled weight decay.
///
/// # Panics
/// When the slices differ in length.
///
/// # Source
/// The form of PyTorch's `SGD` without dampening; Keras folds `α` into `u`, which is the same while `α` is constant.
pub fn sgd(
    learning_rate: f32,
    momentum: f32,
    weight_decay: f32,
    weight: &mut [f32],
    grad: &[f32],
    velocity: &mut [f32],
) {
    assert!(grad.len() == weight.len() && velocity.len() == weight.len());
    let keep = 1.0 - learning_rate * weight_decay;
    let chunks = weight.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK));
    chunks.zip(velocity.par_chunks_mut(CHUNK)).for_each(|((w, g), u)| {
        for ((w, g), u) in w.iter_mut().zip(g).zip(u) {
            *u = momentum * *u + g;
            *w = keep * *w - learning_rate * *u;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_adds_up_over_steps() {
        let (mut w, mut u) = (vec![0.0], vec![0.0]);
        for _ in 0..2 {
            sgd(0.1, 0.9, 0.0, &mut w, &[1.0], &mut u);
        }
        // u is 1, then 1.9; w is -0.1, then -0.29.
        assert!((w[0] + 0.29).abs() < 1e-6);
    }
}
