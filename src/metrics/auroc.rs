//! How well a score ranks: the area under the receiver operating characteristic.

use super::intervals::{BOOTSTRAP_SEED, bootstrap};

/// Probability that a positive case scores above a negative one, ties counting half; `None` when either is missing.
///
/// The area under the ROC curve by the Mann–Whitney statistic, counted over cases in the order of their scores: `O(n log n)`.
///
/// # Shapes
/// - `scores`, `positives`: one entry a case, same length; scores finite
///
/// # Source
/// Hanley and McNeil, Radiology 143 (1982), 29–36.
pub fn auroc(scores: &[f32], positives: &[bool]) -> Option<f64> {
    Ranked::new(scores, positives).area(&vec![1; scores.len()])
}

/// 95 % interval of the area when whole groups (patients) are drawn with replacement, see [`bootstrap`]; `None` where
/// resamples have no positive or no negative case.
///
/// # Shapes
/// - `scores`, `positives`, `groups`: one entry a case, same length, at least one; scores finite
pub fn auroc_interval(scores: &[f32], positives: &[bool], groups: &[String]) -> Option<[f64; 2]> {
    let ranked = Ranked::new(scores, positives);
    bootstrap(groups, BOOTSTRAP_SEED, |drawn| ranked.area(drawn))
}

/// Cases in order of their scores: sorted once for all resamples.
struct Ranked<'a> {
    order: Vec<usize>,
    scores: &'a [f32],
    positives: &'a [bool],
}

impl<'a> Ranked<'a> {
    fn new(scores: &'a [f32], positives: &'a [bool]) -> Self {
        assert_eq!(scores.len(), positives.len());
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        Self { order, scores, positives }
    }

    /// The area when case `i` is there `times[i]` times.
    fn area(&self, times: &[u32]) -> Option<f64> {
        // Twice the pairs that are the right way round, as ties count half; whole numbers, so exact.
        let (mut twice, mut positive, mut negative) = (0_u64, 0_u64, 0_u64);
        // `==` and not `total_cmp`: -0.0 and 0.0 are one score.
        for tied in self.order.chunk_by(|&a, &b| self.scores[a] == self.scores[b]) {
            let of = |kind: bool| -> u64 {
                tied.iter().filter(|&&i| self.positives[i] == kind).map(|&i| u64::from(times[i])).sum()
            };
            let (p, n) = (of(true), of(false));
            twice += p * (2 * negative + n);
            positive += p;
            negative += n;
        }
        (positive > 0 && negative > 0).then(|| twice as f64 / (2 * positive * negative) as f64)
    }
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

    /// scikit-learn 1.9.1, `roc_auc_score(positives, scores, sample_weight=times)`: 0.5224926971762416.
    #[test]
    fn cases_that_are_drawn_again_count_again() {
        let scores: Vec<f32> = (0..97).map(|i| ((i * 37) % 23) as f32 / 23.0).collect();
        let positives: Vec<bool> = (0..97).map(|i| (i * 13 + (i * 37) % 23) % 29 > 14).collect();
        let times: Vec<u32> = (0..97).map(|i| (i * 5) % 4).collect();
        let area = Ranked::new(&scores, &positives).area(&times).unwrap();
        assert!((area - 0.522_492_697_176_241_6).abs() < 1e-12, "{area}");
    }

    /// Hanley and McNeil's standard error for 200 cases of each kind that do not share patients.
    #[test]
    fn the_interval_is_as_wide_as_hanley_and_mcneils() {
        let scores: Vec<f32> =
            (0..400).map(|i| ((i * 37) % 400) as f32 + if i % 2 == 0 { 150.0 } else { 0.0 }).collect();
        let positives: Vec<bool> = (0..400).map(|i| i % 2 == 0).collect();
        let groups: Vec<String> = (0..400).map(|i| i.to_string()).collect();
        let a = auroc(&scores, &positives).unwrap();
        let (q1, q2) = (a / (2.0 - a), 2.0 * a * a / (1.0 + a));
        let error = ((a * (1.0 - a) + 199.0 * (q1 - a * a) + 199.0 * (q2 - a * a)) / 40_000.0).sqrt();
        let [low, high] = auroc_interval(&scores, &positives, &groups).unwrap();
        assert!(low < a && a < high);
        let ratio = (high - low) / (2.0 * 1.96 * error);
        // Their formula is for exponential scores; these are uniform.
        assert!((0.8..1.2).contains(&ratio), "{ratio}");
        assert_eq!(auroc_interval(&[0.1, 0.2], &[true, true], &groups[..2]), None);
    }
}
