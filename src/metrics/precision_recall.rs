//! Precision against recall at every threshold: what a ROC curve hides where positives are rare.

use super::roc::counts_by_threshold;

/// The precision-recall curve: `[recall, precision, threshold]` for each threshold that changes either, a case being called
/// positive when its score is at least the threshold; from `[0, 1, ∞]`, which is a convention, to recall 1. Empty when
/// there are no positive cases.
///
/// Points are not to be joined by straight lines, which would promise too much between them: precision falls along a step.
///
/// # Shapes
/// - `scores`, `positives`: one entry a case, same length; scores finite
///
/// # Source
/// Davis and Goadrich, The Relationship Between Precision-Recall and ROC Curves, ICML 2006.
pub fn precision_recall(scores: &[f32], positives: &[bool]) -> Vec<[f64; 3]> {
    let all = positives.iter().filter(|&&positive| positive).count();
    if all == 0 {
        return Vec::new();
    }
    let mut points = vec![[0.0, 1.0, f64::INFINITY]];
    for (alarms, hits, score) in counts_by_threshold(scores, positives) {
        points.push([hits as f64 / all as f64, hits as f64 / (hits + alarms) as f64, score]);
        if hits == all {
            // Lower thresholds only add false alarms.
            break;
        }
    }
    points
}

/// Average precision, `Σ (Rₙ − Rₙ₋₁) Pₙ` over the points of [`precision_recall`]: the area below its steps. `None` without
/// positive cases. A model that knows nothing reaches the share of positives.
pub fn average_precision(scores: &[f32], positives: &[bool]) -> Option<f64> {
    let points = precision_recall(scores, positives);
    let area = || points.windows(2).map(|pair| (pair[1][0] - pair[0][0]) * pair[1][1]).sum();
    (!points.is_empty()).then(area)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn 1.9.1, the example in the documentation of `precision_recall_curve` and `average_precision_score`
    /// (0.83…), in our order.
    #[test]
    fn precision_recall_of_scikit_learns_example() {
        let (scores, positives) = ([0.1, 0.4, 0.35, 0.8], [false, false, true, true]);
        let points = precision_recall(&scores, &positives);
        let expected = [[0.0, 1.0], [0.5, 1.0], [0.5, 0.5], [1.0, 2.0 / 3.0]];
        assert_eq!(points.iter().map(|[x, y, _]| [*x, *y]).collect::<Vec<_>>(), expected);
        let thresholds: Vec<f32> = points.iter().map(|point| point[2] as f32).collect();
        assert_eq!(thresholds, [f32::INFINITY, 0.8, 0.4, 0.35]);
        assert!((average_precision(&scores, &positives).unwrap() - 5.0 / 6.0).abs() < 1e-12);
    }

    /// The same, of 97 cases with ties: `average_precision_score` 0.4071829091439366.
    #[test]
    fn tied_scores_are_one_threshold() {
        let scores: Vec<f32> = (0..97).map(|i| ((i * 37) % 11) as f32 / 10.0).collect();
        let positives: Vec<bool> = (0..97).map(|i| (i * 13) % 5 < 2).collect();
        let points = precision_recall(&scores, &positives);
        assert_eq!(points.len(), 12);
        assert!((points[5][0] - 0.48717949).abs() < 1e-8 && (points[5][1] - 0.43181818).abs() < 1e-8, "{points:?}");
        assert!((average_precision(&scores, &positives).unwrap() - 0.4071829091439366).abs() < 1e-12);
    }

    #[test]
    fn without_positives_there_is_nothing_and_without_negatives_no_mistake() {
        assert!(precision_recall(&[0.2], &[false]).is_empty());
        assert_eq!((average_precision(&[0.2], &[false]), average_precision(&[], &[])), (None, None));
        assert_eq!(average_precision(&[0.2, 0.7], &[true, true]), Some(1.0));
    }
}
