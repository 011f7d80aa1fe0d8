//! What a trained model is worth: its scores of the test films, and the curves that they give.

use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::{Pieces, TrainingSet, json};
use crate::classifier::Classifier;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::formats::{MetricsEntry, ModelCard};
use crate::metrics::{
    ClassRates, Evaluation, RELIABILITY_BINS, ReliabilityBin, argmax, average_precision, confusion, evaluate,
    expected_calibration_error, precision_recall, reliability, roc,
};
use crate::nn::Precision;
use crate::web::thrown;

/// Films in one pass through the network when a model is measured.
const BATCH: usize = 32;

/// What a model makes of the test films.
#[derive(Serialize)]
struct Measured {
    evaluation: Evaluation,
    /// Those of each class against the rest, in order.
    curves: Vec<Curves>,
    reliability: Vec<ReliabilityBin>,
    expected_calibration_error: Option<f64>,
    films: Vec<Judged>,
    /// The card with the evaluation in it, where the model was at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<String>,
}

impl Measured {
    fn of(evaluation: Evaluation, films: Vec<Judged>, classes: usize) -> Self {
        let reliability = reliability_of(&films);
        Self {
            evaluation,
            curves: (0..classes).map(|class| curves(&films, class)).collect(),
            expected_calibration_error: expected_calibration_error(&reliability),
            reliability,
            films,
            card: None,
        }
    }
}

#[derive(Serialize)]
struct Curves {
    roc: Vec<[f64; 3]>,
    precision_recall: Vec<[f64; 3]>,
    average_precision: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct Judged {
    path: String,
    /// Indices of classes.
    truth: usize,
    called: usize,
    scores: Vec<f32>,
}

/// Measures a model on the test films of a set: `{evaluation, curves, reliability, expected_calibration_error, films, card}`
/// as JSON, as in `train-types.ts`.
#[wasm_bindgen(js_name = evaluateModel)]
pub fn evaluate_model(card: &str, mut weights: Pieces, set: &TrainingSet, data: &str) -> Result<String, JsValue> {
    let mut measure = || -> Result<Measured> {
        let (card, bytes) = (ModelCard::from_json(card.as_bytes())?, weights.size() as u64);
        let classifier = Classifier::read(card, &mut weights, bytes, Precision::Float)?;
        let (shared, mut card) = (set.shared()?, classifier.card().clone());
        if shared.test.is_empty() {
            return Err(Error::Dataset { reason: "there are no test films".into() });
        }
        if shared.report.classes != card.classes {
            return Err(Error::Dataset { reason: "the films are of other classes than the model".into() });
        }
        let test = set.films.dataset(&shared.test, &card.classes);
        let mut scores = Vec::with_capacity(test.len() * card.classes.len());
        for Batch { images, .. } in test.batches(&card.preprocess, BATCH) {
            scores.extend(classifier.scores(&images)?);
        }
        let evaluation = classifier.evaluate(&scores, test.labels(), None, test.groups());
        let k = card.classes.len();
        let films: Vec<Judged> = shared.test.iter().zip(scores.chunks_exact(k)).map(judged).collect();
        card.metrics =
            vec![MetricsEntry { data: data.to_owned(), split: "test".into(), evaluation: evaluation.clone() }];
        let card = Some(String::from_utf8_lossy(&card.to_json()).into_owned());
        Ok(Measured { card, ..Measured::of(evaluation, films, k) })
    };
    json(&measure().map_err(thrown)?)
}

/// What [`evaluate_model`] gives but for the card, of images that a model has classified already: `films` is its key of that
/// name, with at least one image.
#[wasm_bindgen(js_name = evaluateScores)]
pub fn evaluate_scores(classes: Vec<String>, films: &str) -> Result<String, JsValue> {
    let films: Vec<Judged> = serde_json::from_str(films).map_err(JsError::from)?;
    let k = classes.len();
    if films.is_empty() || films.iter().any(|film| film.scores.len() != k || film.truth >= k || film.called >= k) {
        let reason = format!("scores are needed of at least one image, of {k} classes each");
        return Err(thrown(Error::Dataset { reason }));
    }
    let scores: Vec<f32> = films.iter().flat_map(|film| film.scores.iter().copied()).collect();
    let labels: Vec<usize> = films.iter().map(|film| film.truth).collect();
    json(&Measured::of(evaluate(&scores, &labels, &classes, None), films, k))
}

fn judged((film, scores): (&crate::data::Sample, &[f32])) -> Judged {
    let path = film.path.display().to_string();
    Judged { path, truth: film.class, called: argmax(scores), scores: scores.to_vec() }
}

fn curves(films: &[Judged], class: usize) -> Curves {
    let scores: Vec<f32> = films.iter().map(|film| film.scores[class]).collect();
    let positives: Vec<bool> = films.iter().map(|film| film.truth == class).collect();
    Curves {
        roc: roc(&scores, &positives),
        precision_recall: precision_recall(&scores, &positives),
        average_precision: average_precision(&scores, &positives),
    }
}

fn reliability_of(films: &[Judged]) -> Vec<ReliabilityBin> {
    let probabilities: Vec<f32> = films.iter().map(|film| film.scores[film.called]).collect();
    let correct: Vec<bool> = films.iter().map(|film| film.called == film.truth).collect();
    reliability(&probabilities, &correct, RELIABILITY_BINS)
}

/// The rates of one class when a film with at least `threshold` is called so: `ClassRates` as JSON.
///
/// `scores` has each film's for the class, `positives` 1 where it is of the class.
#[wasm_bindgen(js_name = ratesAt)]
pub fn rates_at(scores: &[f32], positives: &[u8], threshold: f32) -> Result<String, JsValue> {
    // Class 0 is the one that is asked about.
    let truth: Vec<usize> = positives.iter().map(|&positive| usize::from(positive == 0)).collect();
    let called: Vec<usize> = scores.iter().map(|&score| usize::from(score < threshold)).collect();
    json(&ClassRates::of(0, &confusion(&truth, &called, 2)))
}
