//! What decisions hang on, fitted again to the user's images: temperature, thresholds, and how far an image may be from those
//! that the network learned from.

use super::layer::{Learned, Rows};
use super::{REFUSED, Seen};
use crate::classifier::probabilities;
use crate::formats::ModelCard;
use crate::formats::about::Calibration;
use crate::metrics::conformal::{fit_thresholds, images_needed, is_answer, set_of, sets_reached};
use crate::metrics::decision::{answered, cut_for, reached, threshold_for};
use crate::metrics::{
    AnswerSets, OperatingPoint, UncertainBand, against_the_rest, argmax, calibration_error, cross_entropy,
    fit_temperature,
};

/// Coverage of answers that are fitted to few images.
const FEW_COVERED: f64 = 0.9;

/// Images that a temperature needs: fewer say less of it than the shipped model's thousands.
const FOR_TEMPERATURE: usize = 50;

/// Images that a threshold of a share of a twentieth needs: of 20 it is one.
const FOR_THRESHOLD: usize = 20;

/// The card with what is decided by fitted again, on what the layer says of images that it had not learned from.
pub(super) fn refitted(card: ModelCard, rows: &Rows, learned: &Learned) -> ModelCard {
    let (k, n, labels, groups) = (rows.classes, rows.labels.len(), &rows.labels, Some(rows.groups.as_slice()));
    let (mut calibration, mut divided) = (card.calibration.clone(), 1.0);
    if n >= FOR_TEMPERATURE {
        divided = fit_temperature(&learned.logits, labels, k);
        let quality = |temperature: f64| {
            let scores = probabilities(&learned.logits, k, temperature);
            (cross_entropy(&scores, labels, k), calibration_error(&scores, labels, k).unwrap_or_default())
        };
        let ((loss_before, ece_before), (loss_after, ece_after)) =
            (quality(card.temperature().recip()), quality(divided));
        let temperature = (divided * card.temperature()).clamp(1e-3, 1e3);
        calibration = Some(Calibration { temperature, films: n, loss_before, loss_after, ece_before, ece_after });
    }
    let scores = probabilities(&learned.logits, k, divided);
    let points = card.operating_points.as_ref().map(|points| {
        let of = |class: &str, point: &OperatingPoint| {
            let index = card.classes.iter().position(|known| known == class).expect("the card was checked");
            let (of_class, positives) = against_the_rest(&scores, labels, index, k);
            let enough = positives.iter().filter(|positive| **positive).count() >= FOR_THRESHOLD;
            let threshold = threshold_for(&of_class, &positives, point.for_sensitivity).filter(|_| enough);
            let threshold = threshold.unwrap_or(point.threshold);
            OperatingPoint { threshold, validation: reached(&of_class, &positives, threshold, groups), ..point.clone() }
        };
        points.iter().map(|(class, point)| (class.to_owned(), of(class, point))).collect()
    });
    let uncertain = card.uncertain.as_ref().map(|band| {
        // Where the surest answers are wrong too often, none is given.
        let below =
            if n < FOR_THRESHOLD { band.below } else { cut_for(&scores, labels, k, band.for_error).unwrap_or(1.0) };
        UncertainBand { below, validation: answered(&scores, labels, k, below, groups), ..band.clone() }
    });
    let answer = card.answer.as_ref().map(|sets| answer_sets(&card, sets, &scores, rows));
    ModelCard { calibration, operating_points: points, uncertain, answer, ..card }
}

/// Answers fitted again, with what a typical image is kept, which takes more of them; at a coverage that so many images can
/// promise.
fn answer_sets(card: &ModelCard, sets: &AnswerSets, scores: &[f32], rows: &Rows) -> AnswerSets {
    let (labels, typical) = (&rows.labels, &sets.typical);
    let coverage = coverage(sets.coverage, labels);
    let thresholds = fit_thresholds(scores, labels, typical, None, coverage);
    let given: Vec<Vec<bool>> =
        scores.chunks_exact(rows.classes).map(|row| set_of(row, &thresholds, typical)).collect();
    AnswerSets {
        coverage,
        validation: sets_reached(&given, labels, &card.classes, card.healthy(), None, Some(&rows.groups)),
        thresholds: card.classes.iter().cloned().zip(thresholds).collect(),
        ..sets.clone()
    }
}

/// The coverage that answers state: as before where each class has the images that it takes; else at most [`FEW_COVERED`], for
/// the threshold would be that of the oddest image of all, and nearly every answer "cannot tell". Never more than the
/// `n / (n + 1)` that `n` images can promise.
fn coverage(before: f64, labels: &[usize]) -> f64 {
    let count = |class: usize| labels.iter().filter(|label| **label == class).count();
    let enough = labels.iter().all(|&class| count(class) >= images_needed(before));
    let n = labels.len() as f64;
    if enough { before } else { before.min(FEW_COVERED).min(n / (n + 1.0)) }
}

/// The distance up to which an image is no stranger, raised so that all but a share of [`REFUSED`] of the images pass, and
/// never lowered; `None` without a gate. Images that are rejected for what they are do not count.
pub(super) fn maximum_distance(card: &ModelCard, images: &[&Seen]) -> Option<f32> {
    let shipped = card.refusal.as_ref()?.maximum_distance;
    let mut distances: Vec<f32> =
        images.iter().filter(|seen| !seen.look.rejected).map(|seen| seen.look.distance).collect();
    distances.sort_by(|a, b| b.total_cmp(a));
    let last = distances.get((REFUSED * distances.len() as f64) as usize).copied();
    Some(last.map_or(shipped, |last| last.max(shipped)))
}

/// What a model answers to the probabilities of an image: the classes in the answer; none where it cannot tell.
pub(super) fn answer(card: &ModelCard, scores: &[f32]) -> Vec<usize> {
    if let Some(sets) = &card.answer {
        let threshold = |class: &String| sets.thresholds.get(class).copied().unwrap_or_default();
        let thresholds: Vec<f64> = card.classes.iter().map(threshold).collect();
        let (set, healthy) = (set_of(scores, &thresholds, &sets.typical), card.healthy());
        let inside = (0..scores.len()).filter(|&class| set[class]);
        return if is_answer(&set, healthy) { inside.collect() } else { Vec::new() };
    }
    let best = argmax(scores);
    let sure = card.uncertain.as_ref().is_none_or(|band| f64::from(scores[best]) >= band.below);
    if sure { vec![best] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::Look;
    use super::*;
    use crate::formats::{Encoding, WeightsInfo};
    use crate::models::Architecture;
    use crate::refusal::GateInfo;

    fn card(maximum_distance: f32) -> ModelCard {
        let weights = WeightsInfo::of(b"abc", Encoding::Identity);
        let classes = ["a", "b"].map(String::from).to_vec();
        let info = GateInfo {
            minimum_probability: 0.5,
            maximum_distance,
            features: 3,
            fitted: None,
            measured: Default::default(),
        };
        let preprocess = Architecture::ScratchCnn.preprocess();
        ModelCard { refusal: Some(info), ..ModelCard::new("m", "scratch-cnn", classes, preprocess, weights) }
    }

    fn limit(shipped: f32, images: &[(f32, bool)]) -> Option<f32> {
        let seen = |&(distance, rejected): &(f32, bool)| Seen {
            name: String::new(),
            class: None,
            group: String::new(),
            features: Vec::new(),
            look: Look { rejected, distance },
        };
        let images: Vec<Seen> = images.iter().map(seen).collect();
        maximum_distance(&card(shipped), &images.iter().collect::<Vec<_>>())
    }

    /// By hand: of 49 images none may be rejected, of 50 one; what is rejected anyway does not count.
    #[test]
    fn the_distance_is_raised_to_let_the_images_pass_and_never_lowered() {
        let images: Vec<(f32, bool)> = (1..=50).map(|i| (i as f32 / 10.0, false)).collect();
        assert_eq!(limit(2.0, &images), Some(4.9));
        assert_eq!(limit(2.0, &images[1..]), Some(5.0));
        assert_eq!(limit(9.0, &images), Some(9.0));
        assert_eq!(limit(2.0, &[(70.0, true), (3.0, false)]), Some(3.0));
        assert_eq!(limit(2.0, &[(70.0, true)]), Some(2.0));
        let none = ModelCard { refusal: None, ..card(1.0) };
        assert_eq!(maximum_distance(&none, &[]), None);
    }

    /// By hand: 96.5 % take 28 images of each class, since 28 is the least n with 0.965 (n + 1) ≤ n; 8 images promise 8/9.
    #[test]
    fn few_images_state_a_lower_coverage() {
        let labels = |each: usize| [vec![0; each], vec![2; each]].concat();
        assert_eq!(coverage(0.965, &labels(28)), 0.965);
        assert_eq!(coverage(0.965, &labels(27)), FEW_COVERED);
        assert_eq!(coverage(0.8, &labels(27)), 0.8);
        assert_eq!(coverage(0.965, &labels(4)), 8.0 / 9.0);
    }

    /// By hand: of two classes 0.9 is sure and 0.7 is not; of sets, 0.7 and 0.3 are both inside.
    #[test]
    fn an_answer_is_what_the_card_decides() {
        let plain = card(1.0);
        assert_eq!(answer(&plain, &[0.3, 0.7]), [1]);
        let validation = answered(&[0.3, 0.7], &[1], 2, 0.8, None);
        let banded =
            ModelCard { uncertain: Some(UncertainBand { below: 0.8, for_error: 0.02, validation }), ..card(1.0) };
        assert!(answer(&banded, &[0.3, 0.7]).is_empty());
        assert_eq!(answer(&banded, &[0.1, 0.9]), [1]);
    }
}
