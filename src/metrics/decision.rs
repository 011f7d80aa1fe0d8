//! From probabilities to decisions: the threshold of a finding, and the films on which no answer is given.
//!
//! Both are chosen on validation films by what they are to reach there; what they reach on others is measured with the
//! same functions.

use serde::{Deserialize, Serialize};

use super::argmax;
use super::intervals::Share;

/// From which probability on a finding is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Called at this probability and above.
    pub threshold: f64,
    /// The sensitivity that it was chosen for.
    #[cfg(feature = "measuring")]
    pub for_sensitivity: f64,
    /// What it reaches on the films it was chosen on.
    #[cfg(feature = "measuring")]
    pub validation: Reached,
}

/// What a threshold reaches on a set of films; a share is `None` where it has no film to stand on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Of the films with the finding, those called.
    pub sensitivity: Option<Share>,
    /// Of the films without it, those not called.
    pub specificity: Option<Share>,
}

/// Below which probability of the most probable class no answer is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UncertainBand {
    /// Below this the answer is "uncertain".
    pub below: f64,
    /// The error among the answers given that it was chosen for.
    #[cfg(feature = "measuring")]
    pub for_error: f64,
    /// What it reaches on the films it was chosen on.
    #[cfg(feature = "measuring")]
    pub validation: Answered,
}

/// What an [`UncertainBand`] reaches on a set of films.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Of all films, those with an answer.
    pub coverage: Share,
    /// Of those, the ones whose answer is wrong; `None` when there is no answer.
    pub error: Option<Share>,
}

/// The highest threshold whose sensitivity is at least `target`, halfway to the next lower probability, so that the last
/// digits of another machine's arithmetic change nothing. `None` without positive cases.
///
/// # Shapes
/// - `probabilities`, `positives`: one entry a film
pub fn threshold_for(probabilities: &[f32], positives: &[bool], target: f64) -> Option<f64> {
    assert_eq!(probabilities.len(), positives.len());
    let mut of_positives: Vec<f32> =
        probabilities.iter().zip(positives).filter(|(_, positive)| **positive).map(|(p, _)| *p).collect();
    of_positives.sort_by(|a, b| b.total_cmp(a));
    // Less a hair: 0.95 × 20 is a little more than 19 in binary.
    let needed = (target * of_positives.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    let last = *of_positives.get(needed - 1)?;
    Some(halfway_down(last, probabilities))
}

/// Sensitivity and specificity of calling the finding at `threshold` and above.
///
/// # Shapes
/// - `probabilities`, `positives`, `groups`: one entry a film
pub fn reached(probabilities: &[f32], positives: &[bool], threshold: f64, groups: Option<&[String]>) -> Reached {
    let share = |kind: bool| {
        let films: Vec<usize> = (0..positives.len()).filter(|&i| positives[i] == kind).collect();
        Share::among(&films, |i| (f64::from(probabilities[i]) >= threshold) == kind, groups)
    };
    Reached { sensitivity: share(true), specificity: share(false) }
}

/// The lowest cut on the largest probability that leaves an error of at most `target` among the answers given, halfway to
/// the next lower one. `None` when every cut leaves more.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major; `labels`: `[n]`
pub fn cut_for(scores: &[f32], labels: &[usize], classes: usize, target: f64) -> Option<f64> {
    let mut films: Vec<(f32, bool)> =
        scores.chunks_exact(classes).zip(labels).map(|(row, &label)| top(row, label)).collect();
    films.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut answered, mut wrong, mut lowest) = (0, 0, None);
    for tied in films.chunk_by(|a, b| a.0 == b.0) {
        answered += tied.len();
        wrong += tied.iter().filter(|(_, right)| !right).count();
        if wrong as f64 <= target * answered as f64 {
            lowest = Some(tied[0].0);
        }
    }
    let tops: Vec<f32> = films.iter().map(|film| film.0).collect();
    lowest.map(|lowest| halfway_down(lowest, &tops))
}

/// Coverage and error of answering only where the largest probability is at least `below`.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major; `labels`, `groups`: `[n]`, `n` at least 1
pub fn answered(scores: &[f32], labels: &[usize], classes: usize, below: f64, groups: Option<&[String]>) -> Answered {
    let films: Vec<(f32, bool)> =
        scores.chunks_exact(classes).zip(labels).map(|(row, &label)| top(row, label)).collect();
    let given: Vec<bool> = films.iter().map(|film| f64::from(film.0) >= below).collect();
    let kept: Vec<usize> = (0..films.len()).filter(|&i| given[i]).collect();
    Answered {
        coverage: Share::of(&given, groups).expect("a set of films"),
        error: Share::among(&kept, |i| !films[i].1, groups),
    }
}

/// The largest probability, and whether it is that of `label`.
fn top(row: &[f32], label: usize) -> (f32, bool) {
    let best = argmax(row);
    (row[best], best == label)
}

/// Halfway from `value` to the next lower one of `all`, or to 0.
fn halfway_down(value: f32, all: &[f32]) -> f64 {
    let next = all.iter().copied().filter(|other| *other < value).fold(0.0, f32::max);
    0.5 * (f64::from(value) + f64::from(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::roc;

    /// 97 films with ties.
    fn films() -> (Vec<f32>, Vec<bool>) {
        let probabilities = (0..97).map(|i| ((i * 37) % 23) as f32 / 23.0).collect::<Vec<_>>();
        let positives = (0..97).map(|i| (i * 13 + (i * 37) % 23) % 29 > 14).collect();
        (probabilities, positives)
    }

    #[test]
    fn the_threshold_is_the_first_point_of_the_roc_curve_that_is_high_enough() {
        let (probabilities, positives) = films();
        for target in [0.05, 0.5, 0.8, 0.9, 0.95, 1.0] {
            let threshold = threshold_for(&probabilities, &positives, target).unwrap();
            let found = reached(&probabilities, &positives, threshold, None);
            let (sensitivity, specificity) = (found.sensitivity.unwrap().value, found.specificity.unwrap().value);
            // All thresholds there are, as the curve leaves out points on straight lines.
            let rates = |at: f32| {
                let called = |kind| {
                    let of_kind = probabilities.iter().zip(&positives).filter(|(_, p)| **p == kind);
                    let (all, above) = of_kind.fold((0, 0), |(n, k), (p, _)| (n + 1, k + i32::from(*p >= at)));
                    f64::from(above) / f64::from(all)
                };
                (called(true), 1.0 - called(false))
            };
            let best = probabilities.iter().map(|&at| rates(at)).filter(|(sensitivity, _)| *sensitivity >= target);
            let best = best.fold(0.0, |best: f64, (_, specificity)| best.max(specificity));
            assert!(
                sensitivity >= target && (specificity - best).abs() < 1e-12,
                "{target}: {sensitivity} {specificity}"
            );
            assert!(roc(&probabilities, &positives).iter().all(|[x, y, _]| *y < target || *x >= 1.0 - best - 1e-12));
        }
        assert_eq!(threshold_for(&probabilities, &[false; 97], 0.9), None);
    }

    /// By hand: 19 of 20 positive films are 95 %, and 0.95 × 20 must not come out as 20.
    #[test]
    fn the_stated_sensitivity_is_met_exactly_where_it_can_be() {
        let probabilities: Vec<f32> = (1..=20).map(|i| i as f32 / 32.0).collect();
        let threshold = threshold_for(&probabilities, &[true; 20], 0.95).unwrap();
        assert_eq!(threshold, (2.0 / 32.0 + 1.0 / 32.0) / 2.0);
        let found = reached(&probabilities, &[true; 20], threshold, None);
        assert_eq!((found.sensitivity.unwrap().count, found.specificity), (19, None));
    }

    /// By hand, largest probabilities 0.9 (right), 0.8 (right), 0.7 (wrong), 0.6 (right): with one wrong in four allowed all
    /// are answered, with one in three not (1/3 at 0.7) but for 0.25 ≤ 1/4 at the end; with none allowed the first two are.
    #[test]
    fn the_cut_answers_as_many_films_as_the_stated_error_allows() {
        let scores = [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4];
        let labels = [0, 0, 1, 0];
        let at = |target| cut_for(&scores, &labels, 2, target).unwrap();
        assert!((at(0.25) - 0.3).abs() < 1e-6, "no film is left out: halfway from 0.6 to nothing");
        assert!((at(0.2) - 0.75).abs() < 1e-6);
        assert!((at(0.0) - 0.75).abs() < 1e-6);
        let found = answered(&scores, &labels, 2, 0.75, None);
        assert_eq!((found.coverage.count, found.coverage.of), (2, 4));
        assert_eq!(found.error.map(|error| (error.count, error.of)), Some((0, 2)));
        let all = answered(&scores, &labels, 2, 0.3, None);
        assert_eq!(all.error.map(|error| (error.count, error.of)), Some((1, 4)));
        assert_eq!(answered(&scores, &labels, 2, 0.95, None).error, None);
        assert_eq!(cut_for(&[0.9, 0.1], &[1], 2, 0.02), None, "the surest answer is wrong");
    }

    #[test]
    fn shares_of_groups_are_resampled_by_group() {
        let (probabilities, positives) = films();
        let groups: Vec<String> = (0..97).map(|i| format!("{}", i / 3)).collect();
        let found = reached(&probabilities, &positives, 0.5, Some(&groups)).sensitivity.unwrap();
        let [low, high] = found.interval_by_group.unwrap();
        assert!(low < found.value && found.value < high);
    }
}
