//! Categorical cross-entropy.

use std::collections::BTreeMap;

use crate::data::Origin;

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

/// The cross-entropy as the sum of two questions: is an image of the class `healthy`, and if not, of which of the others?
/// Mean over the batch, and its gradient for the logits, `[n, k]`.
///
/// With `p = softmax(logits)`, the healthy class `h` and the weight `v` of its origin an image loses
/// `v · (−t_h log p_h − (1 − t_h) log(1 − p_h)) − Σ_{k≠h} t_k log(p_k / (1 − p_h))`, which is
/// [`categorical_cross_entropy`] where all weights are 1.
///
/// Where a source has images `i` that are ill and `j` that are healthy, the proportion `pairs` of its first question is
/// asked of those instead: the mean of `log(1 + exp(d_j − d_i))` over its pairs, `d = log((1 − p_h) / p_h)`, by
/// `(1 − t_hi) t_hj`, counts as much as its images do. A pair says nothing of how high the odds are at its hospital. Summed
/// in f64.
///
/// # Shapes
/// logits and targets `[n, k]` with `k = classes`, targets summing to 1 in each row; origins `[n]`
///
/// # Source
/// Burges et al., Learning to Rank using Gradient Descent, ICML 2005, for the loss of a pair.
///
/// # Panics
/// When the slices differ in length or are not whole rows, or `healthy` is no class.
pub fn healthy_then_kind(
    logits: &[f32],
    targets: &[f32],
    origins: &[Origin],
    classes: usize,
    healthy: usize,
    pairs: f32,
) -> (f32, Vec<f32>) {
    assert!(logits.len() == targets.len() && logits.len().is_multiple_of(classes) && !logits.is_empty());
    assert!(healthy < classes && origins.len() * classes == logits.len());
    let n = origins.len();
    let rows = || logits.chunks_exact(classes).zip(targets.chunks_exact(classes));
    // log Σ exp of all classes but the healthy one, and the log odds of being none such: d.
    let together = |logits: &[f32]| {
        let others = || (0..classes).filter(|&k| k != healthy).map(|k| f64::from(logits[k]));
        let largest = others().fold(f64::NEG_INFINITY, f64::max);
        largest + others().map(|logit| (logit - largest).exp()).sum::<f64>().ln()
    };
    let odds: Vec<f64> = rows().map(|(logits, _)| together(logits) - f64::from(logits[healthy])).collect();
    let ill: Vec<f64> = rows().map(|(_, targets)| 1.0 - f64::from(targets[healthy])).collect();
    let mut loss = 0.0;
    // What the loss falls by for each image's odds.
    let mut slopes = vec![0.0; n];
    let asked = ask_pairs(&odds, &ill, origins, f64::from(pairs), &mut loss, &mut slopes);
    for i in 0..n {
        let weight = f64::from(origins[i].weight) * if asked[i] { 1.0 - f64::from(pairs) } else { 1.0 };
        loss += weight * (ill[i] * softplus(-odds[i]) + (1.0 - ill[i]) * softplus(odds[i]));
        slopes[i] += weight * (sigmoid(odds[i]) - ill[i]);
    }
    let mut gradient = Vec::with_capacity(logits.len());
    for ((logits, targets), (slope, ill)) in rows().zip(slopes.iter().zip(&ill)) {
        let together = together(logits);
        for (k, (&logit, &target)) in logits.iter().zip(targets).enumerate() {
            if k == healthy {
                gradient.push((-slope / n as f64) as f32);
                continue;
            }
            let (log_kind, target) = (f64::from(logit) - together, f64::from(target));
            if target != 0.0 {
                loss -= target * log_kind;
            }
            let kind = log_kind.exp();
            gradient.push(((slope * kind + ill * kind - target) / n as f64) as f32);
        }
    }
    ((loss / n as f64) as f32, gradient)
}

/// Adds the loss of the pairs of each source and its slopes for the `odds`; which images it was asked of.
fn ask_pairs(
    odds: &[f64],
    ill: &[f64],
    origins: &[Origin],
    proportion: f64,
    loss: &mut f64,
    slopes: &mut [f64],
) -> Vec<bool> {
    let mut asked = vec![false; odds.len()];
    if proportion == 0.0 {
        return asked;
    }
    let mut sources = BTreeMap::<usize, Vec<usize>>::new();
    origins.iter().enumerate().for_each(|(i, origin)| sources.entry(origin.source).or_default().push(i));
    for images in sources.into_values() {
        let pairs = || images.iter().flat_map(|&i| images.iter().map(move |&j| (i, j))).filter(|(i, j)| i != j);
        let weight = |i: usize, j: usize| ill[i] * (1.0 - ill[j]);
        let sum: f64 = pairs().map(|(i, j)| weight(i, j)).sum();
        if sum < 0.5 {
            continue;
        }
        let each = proportion * images.len() as f64 / sum;
        for (i, j) in pairs() {
            let (apart, weight) = (odds[i] - odds[j], each * weight(i, j));
            *loss += weight * softplus(-apart);
            let slope = weight * sigmoid(-apart);
            slopes[i] -= slope;
            slopes[j] += slope;
        }
        images.into_iter().for_each(|i| asked[i] = true);
    }
    asked
}

/// `log(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
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

    /// By definition, see [`healthy_then_kind`], in f64, and its differences: four images, three of one source.
    #[test]
    fn the_two_questions_and_the_pairs_have_their_loss_and_its_gradient() {
        let logits = [LOGITS.map(f64::from), [0.5, -1.0, 2.0, 1.0, 0.25, -0.75]].concat();
        let targets = [0.75, 0.0, 0.25, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let origins = [(0, 1.0), (0, 1.0), (1, 0.25), (0, 1.0)].map(|(source, weight)| Origin { source, weight });
        let single = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
        for (healthy, share) in [(0, 0.0), (0, 0.75), (1, 0.75), (2, 0.0), (2, 1.0)] {
            let by_definition = |logits: &[f64]| -> f64 {
                let p: Vec<Vec<f64>> = logits
                    .chunks(3)
                    .map(|z| z.iter().map(|l| l.exp() / z.iter().map(|z| z.exp()).sum::<f64>()).collect())
                    .collect();
                let t: Vec<&[f64]> = targets.chunks(3).collect();
                let odds = |i: usize| ((1.0 - p[i][healthy]) / p[i][healthy]).ln();
                let [mut above, mut below] = [0.0; 2];
                for (i, j) in [(0, 1), (1, 0), (0, 3), (3, 0), (1, 3), (3, 1)] {
                    let weight = (1.0 - t[i][healthy]) * t[j][healthy];
                    above += weight * (1.0 + (odds(j) - odds(i)).exp()).ln();
                    below += weight;
                }
                // No pair where none of the three is healthy.
                let share = if below > 0.0 { share } else { 0.0 };
                let pairs = if share > 0.0 { share * 3.0 * above / below } else { 0.0 };
                let each = (0..4).map(|i| {
                    let v = f64::from(origins[i].weight) * if origins[i].source == 0 { 1.0 - share } else { 1.0 };
                    let first =
                        -t[i][healthy] * p[i][healthy].ln() - (1.0 - t[i][healthy]) * (1.0 - p[i][healthy]).ln();
                    let kinds = (0..3).filter(|k| *k != healthy);
                    v * first + kinds.map(|k| -t[i][k] * (p[i][k] / (1.0 - p[i][healthy])).ln()).sum::<f64>()
                });
                (each.sum::<f64>() + pairs) / 4.0
            };
            let asked = |logits: &[f64]| {
                healthy_then_kind(&single(logits), &single(&targets), &origins, 3, healthy, share as f32)
            };
            let (loss, gradient) = asked(&logits);
            assert!((f64::from(loss) - by_definition(&logits)).abs() < 1e-6, "{healthy}, {share}: {loss}");
            for (i, gradient) in gradient.into_iter().enumerate() {
                let at = |by: f64| {
                    let mut logits = logits.clone();
                    logits[i] += by;
                    by_definition(&logits)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((f64::from(gradient) - slope).abs() < 1e-6, "{healthy}, {share}, {i}: {gradient}, not {slope}");
            }
        }
        let plain = [Origin { source: 0, weight: 1.0 }; 2];
        let (loss, gradient) = healthy_then_kind(&LOGITS, &TARGETS, &plain, 3, 1, 0.0);
        let (expected, slopes) = categorical_cross_entropy(&LOGITS, &TARGETS, 3);
        assert!((loss - expected).abs() < 1e-6);
        assert!(gradient.iter().zip(slopes).all(|(a, b)| (a - b).abs() < 1e-6));
        let (loss, gradient) = healthy_then_kind(&[1000.0, -1000.0], &[0.0, 1.0], &plain[..1], 2, 0, 1.0);
        assert!(loss == 2000.0 && gradient == [1.0, -1.0], "{loss} {gradient:?}");
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
