//! Whether a probability means what it says: of the films that are called with 0.8, four in five should be right.

use serde::{Deserialize, Serialize};

use super::intervals::wilson;

/// Bins of the expected calibration error in Guo et al., and since then by custom.
pub const RELIABILITY_BINS: usize = 15;

/// The films whose probability lies in one part of `[0, 1]`. Means are `None` where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower end of the bin, which does not belong to it but at 0.
    pub above: f64,
    /// Upper end of the bin, which does.
    pub up_to: f64,
    /// Films in the bin.
    pub count: usize,
    /// Their mean probability.
    pub confidence: Option<f64>,
    /// Fraction of them that were called rightly.
    pub accuracy: Option<f64>,
    /// 95 % interval of that fraction (Wilson).
    pub accuracy_interval: Option<[f64; 2]>,
}

/// The reliability diagram: `bins` parts of `[0, 1]` of equal width, `(m/bins, (m+1)/bins]`, from low to high.
///
/// # Shapes
/// - `probabilities`: `[n]`, that of the most probable class of each film, in `[0, 1]`
/// - `correct`: `[n]`, whether it is the right one
/// - `bins`: at least 1
///
/// # Source
/// Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2 (arXiv:1706.04599).
pub fn reliability(probabilities: &[f32], correct: &[bool], bins: usize) -> Vec<ReliabilityBin> {
    assert_eq!(probabilities.len(), correct.len());
    assert!(bins > 0, "a diagram needs a bin");
    let mut sums = vec![(0, 0, 0.0); bins];
    for (&probability, &hit) in probabilities.iter().zip(correct) {
        let probability = f64::from(probability);
        assert!((0.0..=1.0).contains(&probability), "{probability} is no probability");
        let bin = (probability * bins as f64).ceil().max(1.0) as usize - 1;
        let (count, hits, sum) = &mut sums[bin.min(bins - 1)];
        *count += 1;
        *hits += usize::from(hit);
        *sum += probability;
    }
    let bin = |(m, (count, hits, sum)): (usize, (usize, usize, f64))| {
        let mean = |total: f64| (count > 0).then(|| total / count as f64);
        ReliabilityBin {
            above: m as f64 / bins as f64,
            up_to: (m + 1) as f64 / bins as f64,
            count,
            confidence: mean(sum),
            accuracy: mean(hits as f64),
            accuracy_interval: (count > 0).then(|| wilson(hits, count)),
        }
    };
    sums.into_iter().enumerate().map(bin).collect()
}

/// How far accuracy is from confidence, on average over the films of a [`reliability`] diagram; `None` without films.
///
/// `Σ (nₘ/n) |accuracyₘ − confidenceₘ|`, 0 for a perfectly calibrated model. With few films in a bin chance alone makes it
/// larger than 0.
///
/// # Source
/// Naeini et al., AAAI 2015; Guo et al. 2017, eq. 3.
pub fn expected_calibration_error(bins: &[ReliabilityBin]) -> Option<f64> {
    let n: usize = bins.iter().map(|bin| bin.count).sum();
    let gap = |bin: &ReliabilityBin| Some(bin.count as f64 * (bin.accuracy? - bin.confidence?).abs());
    (n > 0).then(|| bins.iter().filter_map(gap).sum::<f64>() / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    /// scikit-learn 1.9.1, `calibration_curve(correct, probabilities, n_bins=5)`; the sizes of the bins by its
    /// `np.searchsorted(np.linspace(0, 1, 6)[1:-1], probabilities)`, and the error from both by its definition.
    #[test]
    fn reliability_is_scikit_learns_calibration_curve() {
        let probabilities: Vec<f32> = (0..60).map(|i| ((20 + i * 7 % 41) as f64 / 60.5) as f32).collect();
        let correct: Vec<bool> = (0..60).map(|i| i * 13 % 7 < 4).collect();
        let bins = reliability(&probabilities, &correct, 5);
        assert_eq!(bins.iter().map(|bin| bin.count).collect::<Vec<_>>(), [0, 9, 18, 16, 17]);
        let accuracies: Vec<f64> = bins.iter().filter_map(|bin| bin.accuracy).collect();
        assert!(close(&accuracies, &[7.0 / 9.0, 5.0 / 9.0, 0.5625, 7.0 / 17.0]), "{accuracies:?}");
        let confidences: Vec<f64> = bins.iter().filter_map(|bin| bin.confidence).collect();
        let expected = [0.3599632680416107, 0.5096418708562851, 0.7066115736961365, 0.8954788516549503];
        assert!(close(&confidences, &expected), "{confidences:?}");
        assert_eq!((bins[0].confidence, bins[0].accuracy, bins[0].accuracy_interval), (None, None, None));
        assert_eq!(bins[3].accuracy_interval, Some(wilson(9, 16)));
        assert!(close(&[expected_calibration_error(&bins).unwrap()], &[0.2519283761580785]));
        let fine = reliability(&probabilities, &correct, RELIABILITY_BINS);
        assert!(close(&[expected_calibration_error(&fine).unwrap()], &[0.30537190139293674]));
    }

    #[test]
    fn a_bin_has_its_upper_end_and_the_first_has_both() {
        let bins = reliability(&[0.0, 0.5, 0.50001, 1.0], &[true; 4], 2);
        assert_eq!(bins.iter().map(|bin| bin.count).collect::<Vec<_>>(), [2, 2]);
        assert_eq!((bins[1].above, bins[1].up_to), (0.5, 1.0));
    }

    /// By hand: of four films called with 0.75 three are right.
    #[test]
    fn a_model_that_means_what_it_says_has_no_error() {
        let error = |correct: &[bool]| {
            expected_calibration_error(&reliability(&vec![0.75; correct.len()], correct, RELIABILITY_BINS))
        };
        assert_eq!(error(&[true, true, true, false]), Some(0.0));
        assert_eq!(error(&[false; 4]), Some(0.75));
        assert_eq!(error(&[]), None);
    }
}
