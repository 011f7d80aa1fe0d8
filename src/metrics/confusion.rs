//! Counts of truth against prediction, and the rates a clinician asks for.

use serde::{Deserialize, Serialize};

use super::intervals::wilson;

/// `counts[t][p]`: films whose class is `t` and that were called `p`, `[classes][classes]`.
///
/// # Shapes
/// - `truth`, `predicted`: one class index a film, each below `classes`
pub fn confusion(truth: &[usize], predicted: &[usize], classes: usize) -> Vec<Vec<usize>> {
    assert_eq!(truth.len(), predicted.len());
    let mut counts = vec![vec![0; classes]; classes];
    for (&t, &p) in truth.iter().zip(predicted) {
        counts[t][p] += 1;
    }
    counts
}

/// One class against the rest. A rate is `None` where it has no case to stand on, and so is its interval (Wilson, 95 %).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassRates {
    /// Films whose class this is.
    pub n: usize,
    /// Of the films of this class, the fraction called so: TP / (TP + FN).
    pub sensitivity: Option<f64>,
    /// 95 % interval of the sensitivity.
    pub sensitivity_interval: Option<[f64; 2]>,
    /// Of the films of other classes, the fraction not called so: TN / (TN + FP).
    pub specificity: Option<f64>,
    /// 95 % interval of the specificity.
    pub specificity_interval: Option<[f64; 2]>,
    /// Positive predictive value, TP / (TP + FP). Holds only for the class balance of the films measured.
    pub ppv: Option<f64>,
    /// 95 % interval of the positive predictive value.
    pub ppv_interval: Option<[f64; 2]>,
    /// Negative predictive value, TN / (TN + FN). Holds only for the class balance of the films measured.
    pub npv: Option<f64>,
    /// 95 % interval of the negative predictive value.
    pub npv_interval: Option<[f64; 2]>,
}

impl ClassRates {
    /// Rates of `class` from a [`confusion`] matrix.
    pub fn of(class: usize, confusion: &[Vec<usize>]) -> Self {
        let total: usize = confusion.iter().flatten().sum();
        let positives: usize = confusion[class].iter().sum();
        let called: usize = confusion.iter().map(|row| row[class]).sum();
        let hits = confusion[class][class];
        let negatives = total - positives;
        let true_negatives = negatives - (called - hits);

        let (sensitivity, sensitivity_interval) = rate(hits, positives);
        let (specificity, specificity_interval) = rate(true_negatives, negatives);
        let (ppv, ppv_interval) = rate(hits, called);
        let (npv, npv_interval) = rate(true_negatives, total - called);
        Self {
            n: positives,
            sensitivity,
            sensitivity_interval,
            specificity,
            specificity_interval,
            ppv,
            ppv_interval,
            npv,
            npv_interval,
        }
    }
}

fn rate(successes: usize, n: usize) -> (Option<f64>, Option<[f64; 2]>) {
    if n == 0 { (None, None) } else { (Some(successes as f64 / n as f64), Some(wilson(successes, n))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the documentation of scikit-learn 1.9, `sklearn.metrics.confusion_matrix`.
    #[test]
    fn confusion_has_the_truth_in_rows() {
        assert_eq!(
            confusion(&[2, 0, 2, 2, 0, 1], &[0, 0, 2, 2, 0, 2], 3),
            vec![vec![2, 0, 0], vec![0, 0, 1], vec![1, 0, 2]]
        );
    }

    /// Worked example of Wikipedia, "Sensitivity and specificity" (2,030 people, faecal occult blood screen): TP 20, FP 180,
    /// FN 10, TN 1820 → sensitivity 66.7 %, specificity 91 %, PPV 10 %, NPV 99.5 %.
    #[test]
    fn rates_match_the_worked_screening_example() {
        let rates = ClassRates::of(0, &[vec![20, 10], vec![180, 1820]]);
        assert_eq!(rates.n, 30);
        assert_eq!(rates.sensitivity, Some(20.0 / 30.0));
        assert_eq!(rates.specificity, Some(0.91));
        assert_eq!(rates.ppv, Some(0.1));
        assert_eq!(rates.npv, Some(1820.0 / 1830.0));
        assert_eq!(rates.sensitivity_interval, Some(wilson(20, 30)));
        assert_eq!(rates.npv_interval, Some(wilson(1820, 1830)));
    }

    #[test]
    fn a_rate_without_cases_is_null() {
        let rates = ClassRates::of(1, &[vec![5, 0], vec![0, 0]]);
        assert_eq!((rates.sensitivity, rates.sensitivity_interval), (None, None));
        assert_eq!((rates.ppv, rates.ppv_interval), (None, None));
        assert_eq!(rates.specificity, Some(1.0));
        assert!(serde_json::to_string(&rates).unwrap().contains(r#""ppv":null"#));
    }
}
