//! Categorical cross-entropy.

/// Mean over the batch of `-Σⱼ targetⱼ · log softmax(logits)ⱼ`, and its gradient for the logits, `[n, k]`.
///
/// Summed in f64: a loss near zero is the difference of two numbers that are not.
///
/// # Shapes
/// logits and targets `[n, k]` with `k = classes`, targets summing to 1 in each row
///
/// # Panics
/// When the slices differ in length or are not whole rows.
pub fn categorical_cross_entropy(logits: &[f32], targets: &[f32], classes: usize) -> (f32, Vec<f32>) {
    assert!(logits.len() == targets.len() && logits.len().is_multiple_of(classes) && !logits.is_empty());
    let n = (logits.len() / classes) as f64;
    let (mut loss, mut gradient) = (0.0, Vec::with_capacity(logits.len()));
    for (logits, targets) in logits.chunks_exact(classes).zip(targets.chunks_exact(classes)) {
        let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let shifted = || logits.iter().map(|logit| f64::from(*logit) - largest);
        let sum: f64 = shifted().map(f64::exp).sum();
        for (logit, &target) in shifted().zip(targets) {
            // A target of zero counts for nothing, however small its probability: 0 · log 0 is 0.
            if target != 0.0 {
                loss -= f64::from(target) * (logit - sum.ln());
            }
            gradient.push(((logit.exp() / sum - f64::from(target)) / n) as f32);
        }
    }
    ((loss / n) as f32, gradient)
}

/// Makes one target of several that are possible, in place: where a row has ones for all the classes that a film may have,
/// they become shares by the probability that the network gives each now, `tⱼ = pⱼ / Σ_S p`.
///
/// The gradient of the cross-entropy for them is that of `-log Σ_S p`, the likelihood of what is known of the film. A row
/// with a single one stays as it is.
///
/// # Shapes
/// targets and logits `[n, k]` with `k = classes`
///
/// # Source
/// Jin and Ghahramani, Learning with multiple labels, NIPS 2002, section 3.
pub fn share_among(targets: &mut [f32], logits: &[f32], classes: usize) {
    for (targets, logits) in targets.chunks_exact_mut(classes).zip(logits.chunks_exact(classes)) {
        if targets.iter().sum::<f32>() <= 1.0 {
            continue;
        }
        let possible = || targets.iter().zip(logits).filter(|(t, _)| **t > 0.0).map(|(_, l)| *l);
        let largest = possible().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = possible().map(|logit| (logit - largest).exp()).sum();
        for (target, logit) in targets.iter_mut().zip(logits).filter(|(target, _)| **target > 0.0) {
            *target = (logit - largest).exp() / sum;
        }
    }
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
    use super::*;

    /// Logits `[2, 3]` whose targets are classes 0 and 2.
    const LOGITS: [f32; 6] = [1.5, -0.5, 0.25, -2.0, 3.0, 0.0];
    const TARGETS: [f32; 6] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0];

    fn loss(logits: &[f32], targets: &[f32], classes: usize) -> f32 {
        categorical_cross_entropy(logits, targets, classes).0
    }

    #[test]
    fn loss_is_pytorchs() {
        // PyTorch 2.12, float64: F.cross_entropy(logits, tensor([0, 2])).
        assert!((loss(&LOGITS, &TARGETS, 3) - 1.703_468_5).abs() < 1e-6);
    }

    #[test]
    fn smoothed_labels_give_pytorchs_smoothed_loss() {
        let mut targets = TARGETS;
        smooth_labels(&mut targets, 3, 0.1);
        assert!(targets.chunks(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
        // PyTorch 2.12, float64: F.cross_entropy(logits, tensor([0, 2]), label_smoothing=0.1).
        assert!((loss(&LOGITS, &targets, 3) - 1.740_968_5).abs() < 1e-6);
    }

    /// Differences of `-log Σ_S p` itself, in f64, for a film of which two classes of three are possible.
    #[test]
    fn several_possible_classes_have_the_gradient_of_their_sums_likelihood() {
        let (logits, possible) = ([0.75_f32, -1.25, 0.5], [0, 2]);
        let mut targets = [1.0, 0.0, 1.0];
        share_among(&mut targets, &logits, 3);
        assert!((targets.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let (_, gradient) = categorical_cross_entropy(&logits, &targets, 3);
        let likelihood = |logits: [f64; 3]| {
            let exp = logits.map(f64::exp);
            (possible.map(|j: usize| exp[j]).iter().sum::<f64>() / exp.iter().sum::<f64>()).ln()
        };
        for (i, gradient) in gradient.into_iter().enumerate() {
            let at = |by: f64| {
                let mut logits = logits.map(f64::from);
                logits[i] += by;
                likelihood(logits)
            };
            let slope = -(at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((f64::from(gradient) - slope).abs() < 1e-6, "{i}: {gradient}, differences say {slope}");
        }
        let mut certain = TARGETS;
        share_among(&mut certain, &LOGITS, 3);
        assert_eq!(certain, TARGETS);
    }

    #[test]
    fn confident_mistakes_have_a_finite_loss() {
        // Logits 2000 apart: 2000 and ln 2, halved.
        assert!((loss(&[1000.0, -1000.0, 0.0, 0.0], &[0.0, 1.0, 1.0, 0.0], 2) - 1_000.346_6).abs() < 1e-3);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let mut targets = TARGETS;
        smooth_labels(&mut targets, 3, 0.1);
        let (_, gradient) = categorical_cross_entropy(&LOGITS, &targets, 3);
        // A step of 2⁻⁷: the third derivative of the loss is below 1 and leaves h²/6 = 1e-5, rounding 2⁷ · 2⁻²⁴ as much.
        const STEP: f32 = 1.0 / 128.0;
        for (i, gradient) in gradient.into_iter().enumerate() {
            let at = |by: f32| {
                let mut logits = LOGITS;
                logits[i] += by;
                loss(&logits, &targets, 3)
            };
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            assert!((gradient - slope).abs() < 5e-5, "{i}: {gradient}, finite differences say {slope}");
        }
    }
}
