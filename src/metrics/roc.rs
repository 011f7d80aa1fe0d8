//! Sensitivity against specificity at every threshold.

/// The receiver operating characteristic: `[1 − specificity, sensitivity, threshold]` for each threshold that changes
/// either, a case being called positive when its score is at least the threshold; from `[0, 0, ∞]` to `[1, 1, …]`. Empty
/// when there are no positive or no negative cases.
///
/// Points between two others on a straight line are left out. The area below the points is [`auroc`](super::auroc).
///
/// # Shapes
/// - `scores`, `positives`: one entry a case, same length; scores finite
///
/// # Source
/// Fawcett, Pattern Recognition Letters 27 (2006), 861–874, algorithm 1.
pub fn roc(scores: &[f32], positives: &[bool]) -> Vec<[f64; 3]> {
    let p = positives.iter().filter(|&&positive| positive).count();
    let n = positives.len() - p;
    if p == 0 || n == 0 {
        return Vec::new();
    }
    let mut counts = vec![(0, 0, f64::INFINITY)];
    for (alarms, hits, score) in counts_by_threshold(scores, positives) {
        // Counts, so that what is straight is known exactly.
        if let [.., (a1, h1, _), (a2, h2, _)] = counts[..]
            && (a2 - a1) * (hits - h2) == (alarms - a2) * (h2 - h1)
        {
            counts.pop();
        }
        counts.push((alarms, hits, score));
    }
    let point = |(alarms, hits, score)| [alarms as f64 / n as f64, hits as f64 / p as f64, score];
    counts.into_iter().map(point).collect()
}

/// For each score as a threshold, from high to low: false alarms, hits and the score.
pub(super) fn counts_by_threshold(scores: &[f32], positives: &[bool]) -> Vec<(usize, usize, f64)> {
    assert_eq!(scores.len(), positives.len());
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let (mut hits, mut alarms) = (0, 0);
    let tied = order.chunk_by(|&a, &b| scores[a] == scores[b]);
    tied.map(|tied| {
        let positive = tied.iter().filter(|&&i| positives[i]).count();
        hits += positive;
        alarms += tied.len() - positive;
        (alarms, hits, f64::from(scores[tied[0]]))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::auroc;

    /// scikit-learn 1.9, the example in the documentation of `sklearn.metrics.roc_curve`: fpr [0, 0, 0.5, 0.5, 1], tpr
    /// [0, 0.5, 0.5, 1, 1], thresholds [inf, 0.8, 0.4, 0.35, 0.1].
    #[test]
    fn roc_of_scikit_learns_example() {
        let points = roc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]);
        let expected = [[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [0.5, 1.0], [1.0, 1.0]];
        assert_eq!(points.iter().map(|[x, y, _]| [*x, *y]).collect::<Vec<_>>(), expected);
        let thresholds: Vec<f32> = points.iter().map(|point| point[2] as f32).collect();
        assert_eq!(thresholds, [f32::INFINITY, 0.8, 0.4, 0.35, 0.1]);
    }

    #[test]
    fn the_area_below_the_points_is_the_auroc() {
        let scores: Vec<f32> = (0..97).map(|i| ((i * 37) % 11) as f32 / 10.0).collect();
        let positives: Vec<bool> = (0..97).map(|i| (i * 13) % 5 < 2).collect();
        let points = roc(&scores, &positives);
        let area: f64 = points.windows(2).map(|w| (w[1][0] - w[0][0]) * (w[1][1] + w[0][1]) / 2.0).sum();
        assert!((area - auroc(&scores, &positives).unwrap()).abs() < 1e-12, "{area}");
        assert!(points.len() <= 12, "one for each score at most, and the first");
    }

    #[test]
    fn straight_lines_have_two_points_and_one_kind_of_case_none() {
        assert_eq!(roc(&[0.9, 0.8, 0.2, 0.1], &[true, true, false, false]).len(), 3);
        assert!(roc(&[0.9, 0.8], &[true, true]).is_empty() && roc(&[], &[]).is_empty());
    }
}
