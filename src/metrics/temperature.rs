//! One number that makes a network's probabilities mean what they say.

/// The temperatures that are looked at. Films that the network gets all right ask for a temperature of 0, which would call
/// every answer certain; films on which it guesses ask for an infinite one.
const RANGE: [f64; 2] = [0.05, 20.0];

/// The temperature `T` in `[0.05, 20]` for which `softmax(z / T)` gives the truth the largest likelihood.
///
/// The mean negative log likelihood is convex in `β = 1/T`, and its derivative, `mean(Σ pₖ zₖ − z[label])`, rises with `β`:
/// bisection finds the zero, to the last bits of an f64. Dividing by `T` changes no order of classes, so the accuracy stays
/// what it was.
///
/// # Shapes
/// - `logits`: `[n, classes]` row-major, finite
/// - `labels`: `[n]`, each below `classes`; `n` at least 1
///
/// # Source
/// Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2 (arXiv:1706.04599).
pub fn fit_temperature(logits: &[f32], labels: &[usize], classes: usize) -> f64 {
    assert!(!labels.is_empty(), "a temperature needs films");
    assert_eq!(logits.len(), labels.len() * classes);
    let slope = |beta: f64| -> f64 {
        let of_film = |(row, &label): (&[f32], &usize)| expected_logit(row, beta) - f64::from(row[label]);
        logits.chunks_exact(classes).zip(labels).map(of_film).sum()
    };
    // In the logarithm of β: the range is wide, and what counts is the ratio.
    let [mut low, mut high] = [1.0 / RANGE[1], 1.0 / RANGE[0]].map(f64::ln);
    // 64 halvings of a range of 6 leave less than the last bit.
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if slope(middle.exp()) > 0.0 { high = middle } else { low = middle }
    }
    (-0.5 * (low + high)).exp()
}

/// What has to be added to the logits of each class so that `softmax((z + b) / T)` gives the truth the largest likelihood;
/// they sum to 0.
///
/// A training that draws small classes more often gives them too much; at the optimum the mean probability of every class is
/// the share of films that have it. The likelihood is concave in `b`, and each step divides what is missing by the curvature
/// along its own axis, at most four times that of all together.
///
/// # Shapes
/// - `logits`: `[n, classes]` row-major, finite
/// - `labels`: `[n]`, each below `classes`; `n` at least 1
/// - returns `[classes]`
///
/// # Source
/// Guo et al., as above: vector scaling, its weights held at `1/T`.
pub fn fit_offsets(logits: &[f32], labels: &[usize], classes: usize, temperature: f64) -> Vec<f64> {
    assert!(!labels.is_empty(), "offsets need films");
    assert_eq!(logits.len(), labels.len() * classes);
    let n = labels.len() as f64;
    let mut offsets = vec![0.0; classes];
    for _ in 0..OFFSET_STEPS {
        let (mut missing, mut curvature) = (vec![0.0; classes], vec![1e-9; classes]);
        for (row, &label) in logits.chunks_exact(classes).zip(labels) {
            let scaled: Vec<f64> = row.iter().zip(&offsets).map(|(z, b)| (f64::from(*z) + b) / temperature).collect();
            for (k, p) in softmax(scaled).into_iter().enumerate() {
                missing[k] += (f64::from(u8::from(k == label)) - p) / n;
                curvature[k] += p * (1.0 - p) / n;
            }
        }
        for (offset, (missing, curvature)) in offsets.iter_mut().zip(missing.iter().zip(&curvature)) {
            *offset += 0.5 * temperature * missing / curvature;
        }
        let mean = offsets.iter().sum::<f64>() / classes as f64;
        offsets.iter_mut().for_each(|offset| *offset -= mean);
    }
    offsets
}

/// Each halves what is missing, about: enough for the last digits that matter.
const OFFSET_STEPS: usize = 60;

/// `exp(zᵢ − max z) / Σ exp(zⱼ − max z)`, in f64: for fits, whose steps add up what rounding leaves.
pub fn softmax(mut logits: Vec<f64>) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter_mut().for_each(|logit| *logit = (*logit - max).exp());
    let sum: f64 = logits.iter().sum();
    logits.iter_mut().for_each(|exponential| *exponential /= sum);
    logits
}

/// `Σ pₖ zₖ` with `p = softmax(β z)`.
fn expected_logit(row: &[f32], beta: f64) -> f64 {
    let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let (mut sum, mut weighted) = (0.0, 0.0);
    for &z in row {
        let z = f64::from(z);
        let weight = (beta * (z - max)).exp();
        sum += weight;
        weighted += weight * z;
    }
    weighted / sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the largest likelihood the mean probability of each class is its share: the derivative for `b` says no other.
    #[test]
    fn offsets_give_each_class_its_share() {
        let (logits, labels) = overconfident();
        let temperature = fit_temperature(&logits, &labels, 3);
        let offsets = fit_offsets(&logits, &labels, 3, temperature);
        assert!(offsets.iter().sum::<f64>().abs() < 1e-9);
        for class in 0..3 {
            let p = |row: &[f32]| {
                let odds: Vec<f64> =
                    row.iter().zip(&offsets).map(|(z, b)| ((f64::from(*z) + b) / temperature).exp()).collect();
                odds[class] / odds.iter().sum::<f64>()
            };
            let mean = logits.chunks(3).map(p).sum::<f64>() / 30.0;
            let share = labels.iter().filter(|label| **label == class).count() as f64 / 30.0;
            assert!((mean - share).abs() < 1e-6, "class {class}: {mean}, {share} of the films");
        }
    }

    /// Three classes, logits that are too sure of themselves.
    fn overconfident() -> (Vec<f32>, Vec<usize>) {
        let logits = (0..90).map(|i| ((i * 37) % 23) as f32 * 0.5 - 4.0).collect::<Vec<f32>>();
        let labels = (0..30).map(|i| if i % 3 == 0 { (i * 5) % 3 } else { argmax_of(&logits, i) }).collect();
        (logits, labels)
    }

    fn argmax_of(logits: &[f32], film: usize) -> usize {
        crate::metrics::argmax(&logits[3 * film..3 * film + 3])
    }

    /// SciPy 1.17.1, `minimize_scalar` (bounded, xatol 1e-12) of the mean of
    /// `logsumexp(z / T, axis=1) - (z / T)[range(n), labels]` over T in [0.05, 20].
    #[test]
    fn temperature_is_the_minimum_that_scipy_finds() {
        let (logits, labels) = overconfident();
        let temperature = fit_temperature(&logits, &labels, 3);
        assert!((temperature - 2.550_695_666_962_725).abs() < 1e-6, "{temperature}");
    }

    /// Where three of four films with logits (z, 0) are of the first class, it should get 3/4: z / T = ln 3.
    #[test]
    fn films_of_one_kind_get_the_share_that_they_have() {
        for z in [0.5, 1.0, 4.0] {
            let temperature = fit_temperature(&[z, 0.0, z, 0.0, z, 0.0, z, 0.0], &[0, 0, 0, 1], 2);
            assert!((temperature - f64::from(z) / 3.0_f64.ln()).abs() < 1e-9, "{temperature}");
        }
    }

    #[test]
    fn a_network_that_is_always_right_or_only_guesses_stays_in_the_range() {
        let right = fit_temperature(&[3.0, 0.0, 0.0, 3.0], &[0, 1], 2);
        assert!((right - RANGE[0]).abs() < 1e-9, "{right}");
        let wrong = fit_temperature(&[3.0, 0.0, 0.0, 3.0], &[1, 0], 2);
        assert!((wrong - RANGE[1]).abs() < 1e-9, "{wrong}");
    }
}
