//! How well a score ranks: the area under the receiver operating characteristic.

/// Probability that a positive case scores above a negative one, ties counting half; `None` when either is missing.
///
/// The area under the ROC curve by the Mann–Whitney statistic: `(R⁺ - n⁺(n⁺+1)/2) / (n⁺n⁻)`, `R⁺` the sum of the ranks of
/// the positive cases, tied scores sharing their mean rank. `O(n log n)`.
///
/// # Shapes
/// - `scores`, `positives`: one entry a case, same length; scores finite
///
/// # Source
/// Hanley and McNeil, Radiology 143 (1982), 29–36.
pub fn auroc(scores: &[f32], positives: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), positives.len());
    let positive_count = positives.iter().filter(|&&positive| positive).count();
    let negative_count = positives.len() - positive_count;
    if positive_count == 0 || negative_count == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));

    let mut rank_sum = 0.0;
    let mut start = 0;
    // `==` and not `total_cmp`: -0.0 and 0.0 are one score.
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        // Ranks start + 1 ..= start + len; all of them get the mean.
        let mean_rank = start as f64 + (tied.len() + 1) as f64 / 2.0;
        rank_sum += mean_rank * tied.iter().filter(|&&i| positives[i]).count() as f64;
        start += tied.len();
    }
    let (p, n) = (positive_count as f64, negative_count as f64);
    Some((rank_sum - p * (p + 1.0) / 2.0) / (p * n))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn 1.9, `roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])`, the example of its documentation.
    #[test]
    fn auroc_of_scikit_learns_example() {
        assert_eq!(auroc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]), Some(0.75));
    }

    /// Counting pairs by definition: each positive above a negative is 1, a tie ½.
    #[test]
    fn auroc_counts_ties_as_half_a_pair() {
        let scores: Vec<f32> = (0..97).map(|i| ((i * 37) % 11) as f32 / 10.0).collect();
        let positives: Vec<bool> = (0..97).map(|i| (i * 13) % 5 < 2).collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for i in (0..97).filter(|&i| positives[i]) {
            for j in (0..97).filter(|&j| !positives[j]) {
                pairs += 1.0;
                won += if scores[i] > scores[j] {
                    1.0
                } else if scores[i] == scores[j] {
                    0.5
                } else {
                    0.0
                };
            }
        }
        let area = auroc(&scores, &positives).unwrap();
        assert!((area - won / pairs).abs() < 1e-12, "{area} {}", won / pairs);
    }

    #[test]
    fn auroc_is_undefined_without_both_kinds() {
        assert_eq!(auroc(&[0.1, 0.9], &[true, true]), None);
        assert_eq!(auroc(&[0.1, 0.9], &[false, false]), None);
        assert_eq!(auroc(&[], &[]), None);
    }

    #[test]
    fn auroc_takes_both_zeros_as_one_score() {
        assert_eq!(auroc(&[-0.0, 0.0], &[false, true]), Some(0.5));
        assert_eq!(auroc(&[0.0, -0.0], &[false, true]), Some(0.5));
    }
}
