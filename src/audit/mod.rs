//! Looks for shortcuts: what a model still does when it may not see the lungs, how much of what it looks at is
//! lung, and what its features know of the hospital.
//!
//! Films are changed before anything else happens to them ([`View`]), so no step of the preprocessing lets through what was
//! taken away. What is measured on them ends up in a model's card, [`Audit`](crate::formats::about::Audit). Running the
//! network on the changed films is left to the caller.
//!
//! A network that fails with the lungs masked out may still use a shortcut: it has never seen such films. One that works has
//! shown that it needs no lungs.

mod heat;
mod probe;
mod views;

use crate::formats::about::{ViewResult, WithinSource};
use crate::labels::ByName;
use crate::metrics::intervals::BOOTSTRAP_SEED;
use crate::metrics::{Share, argmax, auroc, auroc_interval, bootstrap};

pub use heat::{CAVEAT, Looked, heat_inside};
pub use probe::{FEWEST, Logistic, Rows, probes};
pub use views::View;

/// When a model is said to work with the lungs masked out; what [`works_without_lungs`] does.
pub const RULE: &str = "With the lungs masked out it keeps more than half of what it has above chance, in balanced accuracy \
    or in telling two classes of one source apart.";

/// A whole-film result nearer to chance than this has nothing to keep.
const WORTH_KEEPING: f64 = 0.05;

/// What is known of the films that are measured.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Names in the order of the labels.
    pub classes: &'a [String],
    /// The class of each film.
    pub labels: &'a [usize],
    /// The source of each film, where any is known.
    pub sources: Option<&'a [String]>,
    /// The patient of each film, where any is known.
    pub groups: Option<&'a [String]>,
}

/// Measures the model's probabilities for films of which something was taken away.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major, `n` at least 1
pub fn measure(scores: &[f32], films: Known<'_>) -> ViewResult {
    let Known { classes, labels, groups, .. } = films;
    let correct: Vec<bool> =
        scores.chunks_exact(classes.len()).zip(labels).map(|(row, &label)| argmax(row) == label).collect();
    let balanced = |drawn: &[u32]| balanced_accuracy(&correct, labels, classes.len(), drawn);
    ViewResult {
        accuracy: Share::of(&correct, groups).expect("there are films"),
        balanced_accuracy: balanced(&vec![1; labels.len()]).expect("there are films"),
        balanced_accuracy_interval: bootstrap(&units(groups, labels.len()), BOOTSTRAP_SEED, balanced),
        within_source: within_source(scores, films),
    }
}

/// Whether a model works with the lungs masked out: see [`RULE`].
pub fn works_without_lungs(views: &ByName<ViewResult>, chance: f64) -> bool {
    let view = |view: View| views.get(view.name());
    let (Some(whole), Some(masked)) = (view(View::Whole), view(View::NoLungs)) else { return false };
    let kept = |masked: f64, whole: f64, chance: f64| {
        whole - chance >= WORTH_KEEPING && masked - chance > 0.5 * (whole - chance)
    };
    let pairs = whole.within_source.iter().zip(&masked.within_source);
    kept(masked.balanced_accuracy, whole.balanced_accuracy, chance)
        || pairs.into_iter().any(|(whole, masked)| kept(masked.auroc, whole.auroc, 0.5))
}

/// Mean over the classes of the share of films called rightly, each film counted as often as it was drawn.
fn balanced_accuracy(correct: &[bool], labels: &[usize], classes: usize, drawn: &[u32]) -> Option<f64> {
    let mut counts = vec![(0, 0); classes];
    for ((&hit, &label), &times) in correct.iter().zip(labels).zip(drawn) {
        counts[label].0 += times * u32::from(hit);
        counts[label].1 += times;
    }
    let rates: Vec<f64> =
        counts.iter().filter(|(_, all)| *all > 0).map(|(hits, all)| f64::from(*hits) / f64::from(*all)).collect();
    (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
}

/// Each pair of classes of each source told apart by the model's probability of the one among the two.
fn within_source(scores: &[f32], Known { classes, labels, sources, groups }: Known<'_>) -> Vec<WithinSource> {
    let Some(sources) = sources else { return Vec::new() };
    let mut names: Vec<&String> = sources.iter().collect();
    names.sort();
    names.dedup();
    let k = classes.len();
    let groups = units(groups, labels.len());
    let mut found = Vec::new();
    for source in names {
        for (a, b) in (0..k).flat_map(|a| (a + 1..k).map(move |b| (a, b))) {
            let films: Vec<usize> =
                (0..labels.len()).filter(|&i| sources[i] == *source && [a, b].contains(&labels[i])).collect();
            let positives: Vec<bool> = films.iter().map(|&i| labels[i] == a).collect();
            let of_a = positives.iter().filter(|&&positive| positive).count();
            if of_a.min(films.len() - of_a) < FEWEST {
                continue;
            }
            // The ratio orders films as the probability of `a` among the two does, and is finite in logarithms.
            let log = |i: usize, class: usize| scores[i * k + class].max(f32::MIN_POSITIVE).ln();
            let ranked: Vec<f32> = films.iter().map(|&i| log(i, a) - log(i, b)).collect();
            let groups: Vec<String> = films.iter().map(|&i| groups[i].clone()).collect();
            found.push(WithinSource {
                source: source.clone(),
                classes: [a, b].map(|class| classes[class].clone()),
                films: [of_a, films.len() - of_a],
                auroc: auroc(&ranked, &positives).expect("films of both"),
                auroc_interval: auroc_interval(&ranked, &positives, &groups),
            });
        }
    }
    found
}

/// What is resampled: patients, or films where those are not known.
fn units(groups: Option<&[String]>, films: usize) -> Vec<String> {
    groups.map_or_else(|| (0..films).map(|film| film.to_string()).collect(), <[String]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(balanced_accuracy: f64, auroc: f64) -> ViewResult {
        ViewResult {
            accuracy: Share::of(&[true], None).unwrap(),
            balanced_accuracy,
            balanced_accuracy_interval: None,
            within_source: vec![WithinSource {
                source: "x".into(),
                classes: ["a".into(), "b".into()],
                films: [30, 30],
                auroc,
                auroc_interval: None,
            }],
        }
    }

    #[test]
    fn a_model_that_keeps_half_of_what_it_has_above_chance_works_without_lungs() {
        let works = |whole: [f64; 2], masked: [f64; 2]| {
            let views = [(View::Whole, whole), (View::NoLungs, masked)];
            let views = views.map(|(view, [balanced, auroc])| (view.name().to_owned(), result(balanced, auroc)));
            works_without_lungs(&views.into_iter().collect(), 0.25)
        };
        assert!(!works([0.95, 0.98], [0.3, 0.55]));
        assert!(works([0.95, 0.98], [0.61, 0.55]), "0.36 of 0.7 above chance");
        assert!(!works([0.95, 0.98], [0.59, 0.55]), "0.34 of 0.7");
        assert!(works([0.95, 0.98], [0.3, 0.75]), "within a source");
        assert!(!works([0.26, 0.51], [0.26, 0.51]), "a model that guesses has nothing to keep");
    }

    /// By hand: class a 3 of 4, class b 1 of 2; within the source x, 2 of a above both of b but for one tie, see below.
    #[test]
    fn films_are_measured_by_class_and_within_a_source() {
        let classes = ["a".to_owned(), "b".to_owned()];
        let n = 2 * FEWEST;
        let labels: Vec<usize> = (0..n).map(|i| i % 2).collect();
        let sources = vec!["x".to_owned(); n];
        // Every film of a has 0.8 for a, every film of b 0.6 but for half of them, which have 0.9.
        let of_a = |i: usize| {
            if i.is_multiple_of(2) {
                0.8
            } else if i % 4 == 1 {
                0.6
            } else {
                0.9
            }
        };
        let scores: Vec<f32> = (0..n).flat_map(|i| [of_a(i), 1.0 - of_a(i)]).collect();
        let known = Known { classes: &classes, labels: &labels, sources: Some(&sources), groups: None };
        let found = measure(&scores, known);
        assert_eq!((found.accuracy.count, found.balanced_accuracy), (FEWEST, 0.5));
        let [pair] = &found.within_source[..] else { panic!("one pair") };
        assert_eq!((pair.films, pair.auroc), ([FEWEST; 2], 0.5));
        let few = Known { labels: &labels[..n - 2], sources: Some(&sources[..n - 2]), ..known };
        assert_eq!(measure(&scores[..2 * (n - 2)], few).within_source, [], "too few films for an area");
    }
}
