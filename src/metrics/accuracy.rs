//! Whether the most probable class is the right one, and how surprised the model was by the truth.

/// The smallest probability that the loss takes the logarithm of. Keras 3 clips at the same value
/// (`keras.config.epsilon()`), so that one certain mistake cannot make the mean infinite.
const EPSILON: f64 = 1e-7;

/// Index of the largest score; the first of equals.
pub fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, &score) in scores.iter().enumerate() {
        if score > scores[best] {
            best = i;
        }
    }
    best
}

/// Mean categorical cross-entropy, `-mean(ln p[label])` in nats.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major, probabilities
/// - `labels`: `[n]`, each below `classes`
pub fn cross_entropy(scores: &[f32], labels: &[usize], classes: usize) -> f64 {
    let sum: f64 = scores
        .chunks_exact(classes)
        .zip(labels)
        .map(|(row, &label)| -f64::from(row[label]).clamp(EPSILON, 1.0).ln())
        .sum();
    sum / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the documentation of scikit-learn 1.9, `sklearn.metrics.log_loss`: 0.21616…
    #[test]
    fn cross_entropy_of_scikit_learns_example() {
        let scores = [0.1, 0.9, 0.9, 0.1, 0.8, 0.2, 0.35, 0.65];
        let loss = cross_entropy(&scores, &[1, 0, 0, 1], 2);
        assert!((loss - 0.21616).abs() < 5e-6, "{loss}");
    }

    #[test]
    fn a_certain_mistake_costs_a_finite_loss() {
        assert!((cross_entropy(&[1.0, 0.0], &[1], 2) - 16.118_095_650_958_32).abs() < 1e-12);
    }

    #[test]
    fn argmax_takes_the_first_of_equals() {
        assert_eq!(argmax(&[0.2, 0.4, 0.4]), 1);
        assert_eq!(argmax(&[0.5, 0.5]), 0);
    }
}
