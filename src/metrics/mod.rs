//! What a set of predictions is worth: every number beside its interval. Slices only; shared by training, evaluation
//! and the page.

pub mod accuracy;
pub mod auroc;
pub mod calibration;
pub mod conformal;
pub mod confusion;
pub mod decision;
pub mod intervals;
#[cfg(any(feature = "cli", feature = "training"))]
pub mod logistic;
pub mod precision_recall;
pub mod roc;
pub mod temperature;

use serde::{Deserialize, Serialize};

use crate::labels::ByName;

pub use accuracy::{argmax, cross_entropy};
pub use auroc::{auroc, auroc_interval};
pub use calibration::{RELIABILITY_BINS, ReliabilityBin, expected_calibration_error, reliability};
pub use conformal::{AnswerSets, SetsReached};
pub use confusion::{ClassRates, confusion};
pub use decision::{Answered, OperatingPoint, Reached, UncertainBand};
pub use intervals::{Share, bootstrap, bootstrap_by_group, wilson};
pub use precision_recall::{average_precision, precision_recall};
pub use roc::roc;
pub use temperature::{fit_offsets, fit_temperature, softmax};

use intervals::{BOOTSTRAP_SEED, units};

/// What [`evaluate`] measures. Its JSON is what `roentgen evaluate --json` writes and a model card keeps.
///
/// Every proportion has a 95 % interval. What cannot be measured on the films at hand is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Films measured.
    pub n: usize,
    /// Mean categorical cross-entropy in nats.
    pub loss: f64,
    /// Fraction of films whose most probable class is the right one.
    pub accuracy: f64,
    /// Wilson interval of the accuracy, every film taken as a case of its own.
    pub accuracy_interval: [f64; 2],
    /// Interval of the accuracy when patients are resampled; the one to believe where films share patients.
    pub accuracy_interval_by_group: Option<[f64; 2]>,
    /// How often the right class is the most probable of those that have films here, where the model knows others besides:
    /// what it answers when it is asked about these alone.
    #[serde(default)]
    pub among_present: Option<Share>,
    /// Mean sensitivity over the classes that have films.
    pub balanced_accuracy: f64,
    /// Area under the ROC curve of each class against the rest.
    pub auroc: ByName<Option<f64>>,
    /// 95 % interval of each, patients resampled where they are known.
    #[serde(default)]
    pub auroc_interval: Option<ByName<Option<[f64; 2]>>>,
    /// Counts, rows the truth, columns the prediction, both in the order of `classes`.
    pub confusion: Vec<Vec<usize>>,
    /// Sensitivity, specificity and predictive values of each class against the rest.
    pub per_class: ByName<ClassRates>,
    /// Accuracy on each source (hospital, collection) by itself, where the sources are known.
    #[serde(default)]
    pub by_source: Option<ByName<SourceAccuracy>>,
    /// Expected calibration error of the most probable class, in 15 bins.
    #[serde(default)]
    pub ece: Option<f64>,
    /// What each finding's operating point reaches on these films, where the model has them.
    #[serde(default)]
    pub operating_points: Option<ByName<Reached>>,
    /// What the model's uncertain band reaches on these films, where it has one.
    #[serde(default)]
    pub answered: Option<Answered>,
    /// What the model's answers, which are sets of classes, reach on these films, where it gives such.
    #[cfg(feature = "measuring")]
    #[serde(default)]
    pub sets: Option<SetsReached>,
    /// Class names in the order of the model's outputs.
    pub classes: Vec<String>,
}

/// The accuracy on the films of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceAccuracy {
    /// Films of this source.
    pub n: usize,
    /// Fraction of them called rightly.
    pub accuracy: f64,
    /// Wilson interval of it.
    pub accuracy_interval: [f64; 2],
    /// The films of each class by themselves, where the source has any: a source with one class only, or mostly, is easy.
    #[serde(default)]
    pub by_class: Option<ByName<Share>>,
}

/// Measures predictions against the truth.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major, probabilities, finite; `n` at least 1
/// - `labels`: `[n]`, each below `classes.len()`
/// - `groups`: `[n]`, the patient of each film
///
/// # Panics
/// On other lengths, labels out of range or scores that are not finite: they are the caller's mistake, not the data's.
pub fn evaluate(scores: &[f32], labels: &[usize], classes: &[String], groups: Option<&[String]>) -> Evaluation {
    let (n, k) = (labels.len(), classes.len());
    assert!(n > 0, "nothing to evaluate");
    assert_eq!(scores.len(), n * k, "{n} films of {k} classes");
    assert!(scores.iter().all(|score| score.is_finite()), "a score is not finite");

    let predicted: Vec<usize> = scores.chunks_exact(k).map(argmax).collect();
    let correct: Vec<bool> = predicted.iter().zip(labels).map(|(p, t)| p == t).collect();
    let hits = correct.iter().filter(|&&hit| hit).count();
    let confusion = confusion(labels, &predicted, k);
    let rates: Vec<ClassRates> = (0..k).map(|class| ClassRates::of(class, &confusion)).collect();
    let sensitivities: Vec<f64> = rates.iter().filter_map(|rates| rates.sensitivity).collect();
    let units = units(n, groups);
    let areas = (0..k).map(|class| {
        let (probabilities, positives) = against_the_rest(scores, labels, class, k);
        (auroc(&probabilities, &positives), auroc_interval(&probabilities, &positives, &units))
    });
    let (areas, area_intervals): (Vec<_>, Vec<_>) = areas.unzip();

    Evaluation {
        n,
        loss: cross_entropy(scores, labels, k),
        accuracy: hits as f64 / n as f64,
        accuracy_interval: wilson(hits, n),
        accuracy_interval_by_group: groups.map(|groups| bootstrap_by_group(&correct, groups, BOOTSTRAP_SEED)),
        among_present: among_present(scores, labels, k, groups),
        balanced_accuracy: sensitivities.iter().sum::<f64>() / sensitivities.len() as f64,
        auroc: classes.iter().cloned().zip(areas).collect(),
        auroc_interval: Some(classes.iter().cloned().zip(area_intervals).collect()),
        confusion,
        per_class: classes.iter().cloned().zip(rates).collect(),
        by_source: None,
        ece: calibration_error(scores, labels, k),
        operating_points: None,
        answered: None,
        #[cfg(feature = "measuring")]
        sets: None,
        classes: classes.to_vec(),
    }
}

/// [`Evaluation::among_present`]; `None` where every class has films, or only one has.
fn among_present(scores: &[f32], labels: &[usize], classes: usize, groups: Option<&[String]>) -> Option<Share> {
    let present: Vec<usize> = (0..classes).filter(|class| labels.contains(class)).collect();
    if present.len() == classes || present.len() < 2 {
        return None;
    }
    let asked = |row: &[f32]| present[argmax(&present.iter().map(|&class| row[class]).collect::<Vec<_>>())];
    let hits: Vec<bool> = scores.chunks_exact(classes).zip(labels).map(|(row, &label)| asked(row) == label).collect();
    Share::of(&hits, groups)
}

/// The probability of `class` for each film, and whether the film is of that class.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major; `labels`: `[n]`
pub fn against_the_rest(scores: &[f32], labels: &[usize], class: usize, classes: usize) -> (Vec<f32>, Vec<bool>) {
    let probabilities = scores.chunks_exact(classes).map(|row| row[class]).collect();
    (probabilities, labels.iter().map(|&label| label == class).collect())
}

/// The expected calibration error of the most probable class, see [`expected_calibration_error`]; `None` without films.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major, probabilities; `labels`: `[n]`
pub fn calibration_error(scores: &[f32], labels: &[usize], classes: usize) -> Option<f64> {
    let (tops, correct): (Vec<f32>, Vec<bool>) = scores
        .chunks_exact(classes)
        .zip(labels)
        .map(|(row, &label)| {
            let best = argmax(row);
            (row[best], best == label)
        })
        .unzip();
    expected_calibration_error(&reliability(&tops, &correct, RELIABILITY_BINS))
}

/// The names among `names`, sorted, each once.
pub(crate) fn distinct(names: &[String]) -> Vec<&String> {
    let mut names: Vec<&String> = names.iter().collect();
    names.sort();
    names.dedup();
    names
}

/// The accuracy on each source by itself, sorted by name, and on each class of it.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major; `labels`, `sources`, `groups`: `[n]`
pub fn accuracy_by_source(
    scores: &[f32],
    labels: &[usize],
    classes: &[String],
    sources: &[String],
    groups: Option<&[String]>,
) -> ByName<SourceAccuracy> {
    assert_eq!(labels.len(), sources.len());
    let correct: Vec<bool> =
        scores.chunks_exact(classes.len()).zip(labels).map(|(row, &label)| argmax(row) == label).collect();
    let of_source = |name: &String| {
        let films: Vec<usize> = (0..labels.len()).filter(|&i| sources[i] == *name).collect();
        let hits = films.iter().filter(|&&i| correct[i]).count();
        let of_class = |class: usize| {
            let films: Vec<usize> = films.iter().copied().filter(|&i| labels[i] == class).collect();
            Some((classes[class].clone(), Share::among(&films, |i| correct[i], groups)?))
        };
        SourceAccuracy {
            n: films.len(),
            accuracy: hits as f64 / films.len() as f64,
            accuracy_interval: wilson(hits, films.len()),
            by_class: Some((0..classes.len()).filter_map(of_class).collect()),
        }
    };
    distinct(sources).into_iter().map(|name| (name.clone(), of_source(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    /// Scores that are certain of `predicted`.
    fn certain(predicted: &[usize], k: usize) -> Vec<f32> {
        predicted.iter().flat_map(|&p| (0..k).map(move |c| if c == p { 0.8 } else { 0.2 / (k - 1) as f32 })).collect()
    }

    /// The example in the documentation of scikit-learn 1.9, `sklearn.metrics.balanced_accuracy_score`: 0.625.
    #[test]
    fn balanced_accuracy_of_scikit_learns_example() {
        let scores = certain(&[0, 1, 0, 0, 0, 1], 2);
        let evaluation = evaluate(&scores, &[0, 1, 0, 0, 1, 0], &classes(&["a", "b"]), None);
        assert_eq!(evaluation.balanced_accuracy, 0.625);
        assert_eq!(evaluation.accuracy, 4.0 / 6.0);
        assert_eq!(evaluation.accuracy_interval, wilson(4, 6));
        assert_eq!(evaluation.confusion, vec![vec![3, 1], vec![1, 1]]);
    }

    #[test]
    fn json_has_the_promised_keys() {
        let groups: Vec<String> = (0..3).map(|i| i.to_string()).collect();
        let names = classes(&["COVID-19", "Normal"]);
        let evaluation = evaluate(&certain(&[0, 1, 1], 2), &[0, 1, 0], &names, Some(&groups));
        let json = serde_json::to_value(&evaluation).unwrap();
        for key in ["n", "loss", "accuracy", "accuracy_interval", "auroc", "confusion", "per_class", "classes"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert_eq!(json["confusion"], serde_json::json!([[1, 1], [0, 1]]));
        for rate in ["sensitivity", "specificity", "ppv", "npv"] {
            assert!(json["per_class"]["COVID-19"][rate].is_f64(), "{rate}");
            assert_eq!(json["per_class"]["COVID-19"][format!("{rate}_interval")].as_array().unwrap().len(), 2);
        }
        assert_eq!(json["accuracy_interval_by_group"].as_array().unwrap().len(), 2);
        assert_eq!(serde_json::from_value::<Evaluation>(json).unwrap(), evaluation);
    }

    #[test]
    fn a_class_without_films_has_no_auroc_and_leaves_the_balanced_accuracy_alone() {
        let names = classes(&["a", "b", "c"]);
        let evaluation = evaluate(&certain(&[0, 1, 2], 3), &[0, 1, 1], &names, None);
        assert_eq!(evaluation.auroc.get("c"), Some(&None));
        assert_eq!(evaluation.balanced_accuracy, 0.75);
    }

    /// Three films of two classes of a model that knows three: two are given to the third, one of which would be right
    /// without it.
    #[test]
    fn classes_with_films_are_also_judged_among_themselves() {
        let names = classes(&["a", "b", "c"]);
        let scores = [0.3, 0.2, 0.5, 0.4, 0.1, 0.5, 0.1, 0.8, 0.1];
        let evaluation = evaluate(&scores, &[0, 1, 1], &names, None);
        assert_eq!(evaluation.accuracy, 1.0 / 3.0);
        assert_eq!(evaluation.among_present, Share::of(&[true, false, true], None));
        // Every class has films, or only one has: there is nothing else to ask.
        assert_eq!(evaluate(&scores, &[0, 1, 2], &names, None).among_present, None);
        assert_eq!(evaluate(&scores, &[1, 1, 1], &names, None).among_present, None);
    }

    #[test]
    fn sources_are_measured_apart() {
        let sources = classes(&["x", "y", "x", "y"]);
        let names = classes(&["a", "b"]);
        let by_source = accuracy_by_source(&certain(&[0, 0, 1, 1], 2), &[0, 1, 1, 1], &names, &sources, None);
        let accuracies: Vec<(&str, usize, f64)> = by_source.iter().map(|(name, s)| (name, s.n, s.accuracy)).collect();
        assert_eq!(accuracies, [("x", 2, 1.0), ("y", 2, 0.5)]);
        let counts = |source: &str| -> Vec<(String, usize, usize)> {
            let by_class = by_source.get(source).unwrap().by_class.as_ref().unwrap();
            by_class.iter().map(|(class, share)| (class.to_owned(), share.count, share.of)).collect()
        };
        assert_eq!(counts("x"), [("a".to_owned(), 1, 1), ("b".to_owned(), 1, 1)]);
        assert_eq!(counts("y"), [("b".to_owned(), 1, 2)], "y has no film of a");
    }
}
