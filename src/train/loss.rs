//! What training minimises, written in candle: its autograd goes back to the logits, and through a [`Learner`] to the weights.
//!
//! Every loss is a scalar in f64: one near zero is the difference of two numbers that are not.
//!
//! [`Learner`]: crate::nn::Learner

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::ops::log_softmax;

use crate::data::Origin;

/// Mean over the batch of `-Σⱼ targetⱼ · log softmax(logits)ⱼ`.
///
/// # Shapes
/// logits and targets `[n, k]`, targets summing to 1 in each row; the loss is a scalar
///
/// # Errors
/// candle's, for other shapes.
pub fn categorical_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let (n, _) = logits.dims2()?;
    let logs = log_softmax(&logits.to_dtype(DType::F64)?, 1)?;
    (logs * targets.to_dtype(DType::F64)?)?.sum_all()?.affine(-1.0 / n as f64, 0.0)
}

/// Mean over all logits `z` of `−t · log σ(z) − (1 − t) · log(1 − σ(z))`, `t` being their targets in `[0, 1]`.
///
/// # Shapes
/// logits and targets alike; the loss is a scalar
///
/// # Errors
/// candle's, for other shapes.
pub fn binary_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let logits = logits.to_dtype(DType::F64)?;
    (softplus(&logits)? - (&logits * targets.to_dtype(DType::F64)?)?)?.mean_all()
}

/// The cross-entropy as the sum of two questions: is an image of the class `healthy`, and if not, of which of the others?
/// Mean over the batch.
///
/// With `p = softmax(logits)`, the healthy class `h` and the weight `v` of its origin an image loses
/// `v · (−t_h log p_h − (1 − t_h) log(1 − p_h)) − Σ_{k≠h} t_k log(p_k / (1 − p_h))`, which is
/// [`categorical_cross_entropy`] where all weights are 1.
///
/// Where a source has images `i` that are ill and `j` that are healthy, the proportion `pairs` of its first question is
/// asked of those instead: the mean of `log(1 + exp(d_j − d_i))` over its pairs, `d = log((1 − p_h) / p_h)`, by
/// `(1 − t_hi) t_hj`, counts as much as its images do. A pair says nothing of how high the odds are at its hospital.
///
/// # Shapes
/// logits and targets `[n, k]`, targets summing to 1 in each row; origins `[n]`; the loss is a scalar
///
/// # Source
/// Burges et al., Learning to Rank using Gradient Descent, ICML 2005, for the loss of a pair.
///
/// # Errors
/// candle's, for other shapes or when `healthy` is no class.
///
/// # Panics
/// When there are not as many origins as images.
pub fn healthy_then_kind(
    logits: &Tensor,
    targets: &Tensor,
    origins: &[Origin],
    healthy: usize,
    pairs: f64,
) -> Result<Tensor> {
    let (n, classes) = logits.dims2()?;
    assert_eq!(origins.len(), n);
    let [logits, targets] = [logits.to_dtype(DType::F64)?.contiguous()?, targets.to_dtype(DType::F64)?.contiguous()?];
    let kinds = all_but(healthy, classes)?;
    let others = logits.index_select(&kinds, 1)?;
    let together = others.log_sum_exp(1)?;
    // Log odds of being ill: d.
    let odds = (&together - logits.narrow(1, healthy, 1)?.squeeze(1)?)?;
    let ill: Vec<f64> =
        targets.narrow(1, healthy, 1)?.squeeze(1)?.to_vec1()?.into_iter().map(|t: f64| 1.0 - t).collect();
    let (paired, ranking) = pairs_within_sources(&odds, &ill, origins, pairs)?;
    let weight = |i: usize| f64::from(origins[i].weight) * if paired[i] { 1.0 - pairs } else { 1.0 };
    let [if_ill, if_healthy]: [Vec<f64>; 2] =
        [(0..n).map(|i| weight(i) * ill[i]).collect(), (0..n).map(|i| weight(i) * (1.0 - ill[i])).collect()];
    let first = (softplus(&odds.neg()?)? * Tensor::new(if_ill, &Device::Cpu)?)?.sum_all()?
        + (softplus(&odds)? * Tensor::new(if_healthy, &Device::Cpu)?)?.sum_all()?;
    let logs = others.broadcast_sub(&together.unsqueeze(1)?)?;
    let second = (logs * targets.index_select(&kinds, 1)?)?.sum_all()?;
    let loss = (first? - second)?;
    let loss = if let Some(ranking) = ranking { (loss + ranking)? } else { loss };
    loss.affine(1.0 / n as f64, 0.0)
}

/// The loss of the pairs of all sources, if there are any, and which images belong to a source that has some.
fn pairs_within_sources(
    odds: &Tensor,
    ill: &[f64],
    origins: &[Origin],
    proportion: f64,
) -> Result<(Vec<bool>, Option<Tensor>)> {
    let (mut paired, mut loss) = (vec![false; ill.len()], None);
    if proportion == 0.0 {
        return Ok((paired, loss));
    }
    let mut sources = BTreeMap::<usize, Vec<usize>>::new();
    origins.iter().enumerate().for_each(|(i, origin)| sources.entry(origin.source).or_default().push(i));
    for images in sources.into_values() {
        let of = |share: &dyn Fn(f64) -> f64| -> Vec<usize> {
            images.iter().copied().filter(|&i| share(ill[i]) > 0.0).collect()
        };
        let (sick, well) = (of(&|ill| ill), of(&|ill| 1.0 - ill));
        let pairs = sick.iter().flat_map(|&i| well.iter().map(move |&j| (i, j)));
        let weights: Vec<f64> = pairs.map(|(i, j)| if i == j { 0.0 } else { ill[i] * (1.0 - ill[j]) }).collect();
        let sum: f64 = weights.iter().sum();
        if sum < 0.5 {
            continue;
        }
        let weights = Tensor::from_vec(weights, (sick.len(), well.len()), &Device::Cpu)?;
        let of = |images: &[usize]| {
            let places: Vec<u32> = images.iter().map(|&i| i as u32).collect();
            odds.index_select(&Tensor::new(places, &Device::Cpu)?, 0)
        };
        let apart = of(&well)?.unsqueeze(0)?.broadcast_sub(&of(&sick)?.unsqueeze(1)?)?;
        let each = proportion * images.len() as f64 / sum;
        let here = (softplus(&apart)? * weights)?.sum_all()?.affine(each, 0.0)?;
        loss = Some(match loss {
            None => here,
            Some(loss) => (loss + here)?,
        });
        images.into_iter().for_each(|i| paired[i] = true);
    }
    Ok((paired, loss))
}

/// The places of all `classes` but the `healthy` one.
pub(super) fn all_but(healthy: usize, classes: usize) -> Result<Tensor> {
    let places: Vec<u32> = (0..classes).filter(|&class| class != healthy).map(|class| class as u32).collect();
    Tensor::new(places, &Device::Cpu)
}

/// `log(1 + exp(x))` of each value, without overflow.
fn softplus(x: &Tensor) -> Result<Tensor> {
    Tensor::stack(&[&x.zeros_like()?, x], 0)?.log_sum_exp(0)
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
    use candle_core::Var;

    use super::*;

    /// Logits `[2, 3]` whose targets are classes 0 and 2.
    const LOGITS: [f32; 6] = [1.5, -0.5, 0.25, -2.0, 3.0, 0.0];
    const TARGETS: [f32; 6] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0];

    /// A loss of `logits` `[n, k]`, and the gradient that candle's autograd gives for them.
    fn with_gradient(logits: &[f32], k: usize, loss: impl Fn(&Tensor) -> Result<Tensor>) -> (f64, Vec<f32>) {
        let logits = Var::from_slice(logits, (logits.len() / k, k), &Device::Cpu).unwrap();
        let loss = loss(&logits).unwrap();
        let gradient = loss.backward().unwrap().remove(&logits).unwrap();
        (loss.to_scalar().unwrap(), gradient.to_vec2().unwrap().concat())
    }

    fn table(values: &[f32], k: usize) -> Tensor {
        Tensor::from_slice(values, (values.len() / k, k), &Device::Cpu).unwrap()
    }

    fn cross_entropy(logits: &[f32], targets: &[f32], k: usize) -> (f64, Vec<f32>) {
        with_gradient(logits, k, |logits| categorical_cross_entropy(logits, &table(targets, k)))
    }

    fn loss(logits: &[f32], targets: &[f32], k: usize) -> f64 {
        cross_entropy(logits, targets, k).0
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
        let (_, gradient) = cross_entropy(&logits, &targets, 3);
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
                let targets = table(&single(&targets), 3);
                with_gradient(&single(logits), 3, |logits| {
                    healthy_then_kind(logits, &targets, &origins, healthy, share)
                })
            };
            let (loss, gradient) = asked(&logits);
            assert!((loss - by_definition(&logits)).abs() < 1e-6, "{healthy}, {share}: {loss}");
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
        let (loss, gradient) =
            with_gradient(&LOGITS, 3, |logits| healthy_then_kind(logits, &table(&TARGETS, 3), &plain, 1, 0.0));
        let (expected, slopes) = cross_entropy(&LOGITS, &TARGETS, 3);
        assert!((loss - expected).abs() < 1e-6);
        assert!(gradient.iter().zip(slopes).all(|(a, b)| (a - b).abs() < 1e-6));
        let (loss, gradient) = with_gradient(&[1000.0, -1000.0], 2, |logits| {
            healthy_then_kind(logits, &table(&[0.0, 1.0], 2), &plain[..1], 0, 1.0)
        });
        assert!(loss == 2000.0 && gradient == [1.0, -1.0], "{loss} {gradient:?}");
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let mut targets = TARGETS;
        smooth_labels(&mut targets, 3, 0.1);
        let (_, gradient) = cross_entropy(&LOGITS, &targets, 3);
        // A step of 2⁻⁷: the third derivative of the loss is below 1 and leaves h²/6 = 1e-5, rounding 2⁷ · 2⁻²⁴ as much.
        const STEP: f32 = 1.0 / 128.0;
        for (i, gradient) in gradient.into_iter().enumerate() {
            let at = |by: f32| {
                let mut logits = LOGITS;
                logits[i] += by;
                loss(&logits, &targets, 3)
            };
            let slope = ((at(STEP) - at(-STEP)) / f64::from(2.0 * STEP)) as f32;
            assert!((gradient - slope).abs() < 5e-5, "{i}: {gradient}, finite differences say {slope}");
        }
    }

    /// Expected: the definition in double precision, by Python.
    #[test]
    fn the_binary_loss_and_its_gradient_are_those_of_the_definition() {
        let targets = table(&[1.0, 0.25, 0.0, 1.0], 4);
        let (loss, gradient) =
            with_gradient(&[0.0, 2.0, -3.0, 100.0], 4, |logits| binary_cross_entropy(logits, &targets));
        let expected = (std::f64::consts::LN_2 + 1.626_928_1 + 0.048_587_35 + 0.0) / 4.0;
        assert!((loss - expected).abs() < 1e-6, "{loss}");
        for (gradient, expected) in gradient.iter().zip([-0.125, 0.157_699_27, 0.011_856_468, 0.0]) {
            assert!((gradient - expected).abs() < 1e-6, "{gradient} {expected}");
        }
    }
}
