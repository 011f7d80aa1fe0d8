//! From the bytes of an image file to a class with a probability: the one file that shows the whole path.
//!
//! Opening a model: card → [`read_weights_from`] → the network that [`Architecture`] describes, a [`Network`].
//! Each film: [`decode`] → [`plain::refuse`] → [`Preprocess::apply`](crate::preprocess::Preprocess::apply) → candle's tensor
//! → network → [`Gate::refuse`], and [`softmax`] at the card's temperature → the card's thresholds → [`Answer`].
//! That the weights are those of the card is for the caller to check first, on the bytes as stored:
//! [`ModelCard::verify`].

use std::io::Read;

use candle_core::{Device, Tensor};
use candle_nn::ops::softmax_last_dim;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::explain::{HeatMap, grad_cam};
use crate::formats::{Answer, ModelCard, read_weights_from};
use crate::image::{Limits, Radiograph, Values, decode};
use crate::labels::ByName;
#[cfg(feature = "measuring")]
use crate::metrics::conformal::sets_reached;
use crate::metrics::decision::{answered, reached};
use crate::metrics::{Evaluation, accuracy_by_source, against_the_rest, argmax, evaluate};
use crate::models::Architecture;
use crate::nn::{Graph, Network, Precision, Weights, rows, sure};
use crate::refusal::{Gate, Refusal, plain};

/// What a weights file may hold beside the weights: its header.
const HEADER_BYTES: usize = 1 << 20;

/// A network with its weights and the card that says how to feed it.
pub struct Classifier {
    card: ModelCard,
    network: Network,
    /// There where the card has a refusal.
    gate: Option<Gate>,
}

/// What the network says of one film.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// What the model answers, a set of classes; `None` where the card says nothing of it.
    pub answer: Option<Answer>,
    /// The most probable class.
    pub label: String,
    /// Its probability, in `[0, 1]`; calibrated where the card has a calibration.
    pub score: f32,
    /// The probability of each class, in the order of the card; they sum to 1.
    pub scores: ByName<f32>,
    /// Whether the answer is "uncertain": the most probable class is not probable enough for the card.
    pub uncertain: bool,
    /// Whether each finding's probability reaches its operating point, where the card has them.
    pub called: Option<ByName<bool>>,
    /// Why the prediction should not be used, where there is a reason.
    pub refused: Option<Refusal>,
    /// What is in doubt about the film's values, as sentences.
    pub notes: Vec<String>,
    /// The value range to read the film with instead, where its values leave it open.
    pub suggested_range: Option<[f32; 2]>,
}

/// What is shown of a prediction: of a refused picture the reason alone, all else being `null`, unless whoever asked wants it
/// anyway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
// The fields of `Prediction`.
#[allow(missing_docs)]
pub struct Shown<'a> {
    pub answer: Option<&'a Answer>,
    pub label: Option<&'a str>,
    pub score: Option<f32>,
    pub scores: Option<&'a ByName<f32>>,
    pub uncertain: Option<bool>,
    pub called: Option<&'a ByName<bool>>,
    pub refused: Option<&'a Refusal>,
    pub notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggested_range: Option<[f32; 2]>,
}

impl Prediction {
    /// What is to be shown of it; `anyway`, also where it was refused.
    pub fn shown(&self, anyway: bool) -> Shown<'_> {
        let refused = self.refused.as_ref();
        let alone = Shown { refused, notes: &self.notes, suggested_range: self.suggested_range, ..Shown::default() };
        if refused.is_some() && !anyway {
            return alone;
        }
        Shown {
            answer: self.answer.as_ref(),
            label: Some(&self.label),
            score: Some(self.score),
            scores: Some(&self.scores),
            uncertain: Some(self.uncertain),
            called: self.called.as_ref(),
            ..alone
        }
    }
}

/// Builds `architecture` for `classes` classes from unpacked weights, without a card.
///
/// # Errors
/// [`Error::Weights`], [`Error::TensorMissing`] and [`Error::TensorShape`] for weights that are not exactly those of
/// the architecture.
pub fn network(
    architecture: Architecture,
    classes: usize,
    safetensors: &[u8],
    precision: Precision,
) -> Result<Network> {
    let graph = architecture.graph(classes);
    let weights = unpacked(architecture, &graph, &mut &safetensors[..], safetensors.len() as u64)?;
    Network::new(&graph, weights, precision)
}

/// The tensors of a weights file for `graph`.
fn unpacked(architecture: Architecture, graph: &Graph, file: &mut dyn Read, bytes: u64) -> Result<Weights> {
    // Before anything is unpacked into f32: a file larger than the whole network in f32 is another network's.
    let limit = (4 * graph.parameter_count() + HEADER_BYTES) as u64;
    if bytes > limit {
        let reason = format!("{bytes} bytes; `{}` has at most {limit}", architecture.name());
        return Err(Error::Weights { reason });
    }
    read_weights_from(file, bytes)
}

impl Classifier {
    /// Opens a model from its card and its weights, `safetensors` being unpacked and verified.
    ///
    /// # Errors
    /// [`Error::ModelCard`] for a card whose preprocessing does not give what the network takes,
    /// [`Error::UnknownArchitecture`]; [`Error::Weights`], [`Error::TensorMissing`] and [`Error::TensorShape`] for weights
    /// that are not exactly those of the architecture.
    pub fn new(card: ModelCard, safetensors: &[u8]) -> Result<Self> {
        Self::with_precision(card, safetensors, Precision::Float)
    }

    /// Opens a model that computes with other numbers.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_precision(card: ModelCard, safetensors: &[u8], precision: Precision) -> Result<Self> {
        Self::read(card, &mut &safetensors[..], safetensors.len() as u64, precision)
    }

    /// Opens a model whose weights are read from a file of `bytes` bytes, from beginning to end.
    ///
    /// # Errors
    /// As for [`new`](Self::new), and [`Error::Weights`] for a file that cannot be read.
    pub fn read(card: ModelCard, file: &mut dyn Read, bytes: u64, precision: Precision) -> Result<Self> {
        card.validate()?;
        let architecture = Architecture::of(&card)?;
        let classes = card.classes.len();
        let graph = architecture.network(&card.preprocess, classes)?;
        let mut weights = unpacked(architecture, &graph, file, bytes)?;
        let gate = card.refusal.as_ref().map(|info| Gate::take(&mut weights, info.features)).transpose()?;
        let network = Network::new(&graph, weights, precision)?;
        if let Some(info) = card.refusal.as_ref().filter(|info| info.features != network.plan().trace_len()) {
            let (given, left) = (info.features, network.plan().trace_len());
            let reason = format!("`refusal.features` is {given}; `{}` leaves {left}", card.architecture);
            return Err(Error::ModelCard { reason });
        }
        Ok(Self { card, network, gate })
    }

    /// The card that the model was opened with.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Classifies an image file given by its bytes.
    ///
    /// # Errors
    /// Those of [`decode`] under the default [`Limits`], and those of [`Self::classify`].
    pub fn classify_bytes(&self, bytes: &[u8]) -> Result<Prediction> {
        self.classify(&decode(bytes, &Limits::default())?)
    }

    /// Classifies a film. It also does so where it is refused: what is shown of that is for [`Prediction::shown`].
    ///
    /// # Errors
    /// [`Error::TooSmall`] for a film too small to be one, and those of [`Self::scores`].
    pub fn classify(&self, film: &Radiograph) -> Result<Prediction> {
        let film = &*self.card.preprocess.ranged(film)?;
        let input = self.card.preprocess.apply(film)?;
        let values = film.values();
        let (logits, refused) = match (&self.gate, &self.card.refusal) {
            (Some(gate), Some(info)) => {
                let (logits, traces) = self.network.logits_and_traces(&input)?;
                (self.with_mirror(logits, &input)?, plain::refuse(film).or_else(|| gate.refuse(&traces, info)))
            }
            _ => (self.with_mirror(self.network.logits(&input)?, &input)?, None),
        };
        let scores = rows(&softmax(&logits, self.card.temperature()));
        let best = argmax(&scores);
        let by_class: ByName<f32> = self.card.classes.iter().cloned().zip(scores.iter().copied()).collect();
        let reaches = |class: &str, threshold: f64| by_class.get(class).is_some_and(|p| f64::from(*p) >= threshold);
        let called = self.card.operating_points.as_ref().map(|points| {
            points.iter().map(|(class, point)| (class.to_owned(), reaches(class, point.threshold))).collect()
        });
        Ok(Prediction {
            answer: self.card.answer_to(&scores),
            label: self.card.classes[best].clone(),
            score: scores[best],
            uncertain: self.card.uncertain.as_ref().is_some_and(|band| f64::from(scores[best]) < band.below),
            called,
            scores: by_class,
            refused,
            notes: self.notes(film),
            suggested_range: values.and_then(Values::suggested),
        })
    }

    /// What a person should know of how `film` was read: sentences.
    fn notes(&self, film: &Radiograph) -> Vec<String> {
        let of_values = film.values().and_then(|values| values.note(self.card.preprocess.value_range));
        let frames = film.frames();
        let of_frames = (frames > 1).then(|| format!("Its file holds {frames} images, of which this is the first."));
        of_values.into_iter().chain(of_frames).collect()
    }

    /// Where the network found what speaks for `class`, see [`grad_cam`].
    ///
    /// # Errors
    /// [`Error::UnknownClass`] when the card has no such class, [`Error::TooSmall`] for a film too small to be one.
    pub fn explain(&self, film: &Radiograph, class: &str) -> Result<HeatMap> {
        let index = self
            .card
            .classes
            .iter()
            .position(|known| known == class)
            .ok_or_else(|| Error::UnknownClass { name: class.into(), known: self.card.classes.join(", ") })?;
        Ok(self.heat_map(&self.card.preprocess.apply(film)?, index))
    }

    /// [`explain`](Self::explain) for a film that is preprocessed as the card says, `[channels, height, width]`, and the class
    /// at an index. Of a model that judges films mirrored too it is the mean of both maps.
    ///
    /// # Panics
    /// When `image` is not one film, or there is no such class.
    pub fn heat_map(&self, image: &[f32], class: usize) -> HeatMap {
        let map = grad_cam(self.network.plan(), image, class);
        if !self.card.mirrored {
            return map;
        }
        let other = grad_cam(self.network.plan(), &mirror(image, map.width), class);
        map.mean(&mirror(&other.values, other.width))
    }

    /// The probability of each class for each of `n` films, preprocessed as the card says; calibrated where the card has a
    /// calibration. Shapes as for [`Network::logits`].
    ///
    /// # Errors
    /// Those of [`Network::logits`].
    pub fn scores(&self, images: &[f32]) -> Result<Vec<f32>> {
        let logits = self.with_mirror(self.network.logits(images)?, images)?;
        Ok(rows(&softmax(&logits, self.card.temperature())))
    }

    /// What the model gives for each of `n` films before any calibration: [`Network::logits`], or their mean with those of
    /// the films mirrored left to right where the card says so.
    ///
    /// # Errors
    /// Those of [`Network::logits`].
    pub fn logits(&self, images: &[f32]) -> Result<Vec<f32>> {
        Ok(rows(&self.with_mirror(self.network.logits(images)?, images)?))
    }

    /// The mean of the `logits` of `images` and those of the mirrored images, where the card wants it.
    fn with_mirror(&self, logits: Tensor, images: &[f32]) -> Result<Tensor> {
        if !self.card.mirrored {
            return Ok(logits);
        }
        let mirrored = self.network.logits(&mirror(images, self.card.preprocess.width))?;
        let mean: Vec<f32> =
            rows(&logits).iter().zip(rows(&mirrored)).map(|(own, other)| 0.5 * (own + other)).collect();
        Ok(tensor(&mean, self.card.classes.len()))
    }

    /// The features that the network judges each of `n` films by, `[n, features]`: what its last layer reads.
    ///
    /// # Errors
    /// Those of [`Network::logits`].
    pub fn features(&self, images: &[f32]) -> Result<Vec<f32>> {
        self.network.features(images)
    }

    /// The traces that `n` films leave all through the network, `[n, traces]`: what a [`Gate`] is fitted to.
    ///
    /// # Errors
    /// Those of [`Network::logits`].
    pub fn traces(&self, images: &[f32]) -> Result<Vec<f32>> {
        self.network.logits_and_traces(images).map(|(_, traces)| traces)
    }

    /// The features that the last layer makes the [`logits`](Self::logits) of, and the [`traces`](Self::traces): in one pass
    /// an image. Where the card wants the mirrored image too, the features are the mean of both.
    ///
    /// # Errors
    /// Those of [`Network::logits`].
    pub fn features_and_traces(&self, images: &[f32]) -> Result<[Vec<f32>; 2]> {
        let [mut features, traces] = self.network.features_and_traces(images)?;
        if self.card.mirrored {
            let mirrored = self.network.features(&mirror(images, self.card.preprocess.width))?;
            features.iter_mut().zip(mirrored).for_each(|(own, other)| *own = 0.5 * (*own + other));
        }
        Ok([features, traces])
    }

    /// What refuses pictures, where the card has a refusal.
    pub fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// Measures [`scores`](Self::scores) against the truth, the card's decisions among them.
    ///
    /// # Shapes
    /// - `scores`: `[n, classes]` row-major; `labels`, `sources`, `groups`: `[n]`, `n` at least 1
    pub fn evaluate(
        &self,
        scores: &[f32],
        labels: &[usize],
        sources: Option<&[String]>,
        groups: Option<&[String]>,
    ) -> Evaluation {
        let (classes, k) = (&self.card.classes, self.card.classes.len());
        let mut evaluation = evaluate(scores, labels, classes, groups);
        evaluation.operating_points = self.card.operating_points.as_ref().map(|points| {
            let of = |class: &str, threshold| {
                let index = classes.iter().position(|known| known == class).expect("the card was checked");
                let (probabilities, positives) = against_the_rest(scores, labels, index, k);
                reached(&probabilities, &positives, threshold, groups)
            };
            points.iter().map(|(class, point)| (class.to_owned(), of(class, point.threshold))).collect()
        });
        evaluation.answered = self.card.uncertain.as_ref().map(|band| answered(scores, labels, k, band.below, groups));
        #[cfg(feature = "measuring")]
        if self.card.answer.is_some() {
            let sets: Vec<Vec<bool>> = scores.chunks_exact(k).filter_map(|row| self.card.set_of(row)).collect();
            evaluation.sets = Some(sets_reached(&sets, labels, classes, self.card.healthy(), sources, groups));
        }
        evaluation.by_source = sources.map(|sources| accuracy_by_source(scores, labels, classes, sources, groups));
        evaluation
    }
}

/// Images, or maps, of `width` columns mirrored left to right.
fn mirror(values: &[f32], width: usize) -> Vec<f32> {
    values.chunks_exact(width).flat_map(|row| row.iter().rev()).copied().collect()
}

/// [`softmax`] of `logits` `[n, classes]`, row-major, at `temperature`.
pub fn probabilities(logits: &[f32], classes: usize, temperature: f64) -> Vec<f32> {
    rows(&softmax(&tensor(logits, classes), temperature))
}

/// Rows of `classes` numbers as candle's tensor `[n, classes]`.
fn tensor(rows: &[f32], classes: usize) -> Tensor {
    sure(Tensor::from_slice(rows, (rows.len() / classes, classes), &Device::Cpu))
}

/// The probability of each class for films whose network gave `logits`, `[n, classes]`: each row's
/// `exp(zᵢ / T) / Σ exp(zⱼ / T)`.
pub fn softmax(logits: &Tensor, temperature: f64) -> Tensor {
    sure(logits.affine(1.0 / temperature, 0.0).and_then(|divided| softmax_last_dim(&divided)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.special.softmax([1, 2, 3])` = [0.09003057, 0.24472847, 0.66524096] (SciPy 1.17).
    #[test]
    fn softmax_matches_scipy() {
        for (p, expected) in
            probabilities(&[1.0, 2.0, 3.0], 3, 1.0).iter().zip([0.090_030_57, 0.244_728_47, 0.665_240_96])
        {
            assert!((p - expected).abs() < 1e-7, "{p}");
        }
    }

    /// `scipy.special.softmax(np.array([1, 2, 3]) / 2.5)` = [0.21198272, 0.31624106, 0.47177622] (SciPy 1.17.1).
    #[test]
    fn a_temperature_divides_the_logits() {
        let found = probabilities(&[1.0, 2.0, 3.0, 1.0, 2.0, 3.0], 3, 2.5);
        for (p, expected) in found.iter().zip([0.211_982_72, 0.316_241_06, 0.471_776_22].into_iter().cycle()) {
            assert!((p - expected).abs() < 1e-7, "{p}");
        }
    }

    /// Only differences count: two logits one apart give 1 / (1 + e) wherever they are.
    #[test]
    fn softmax_of_huge_logits_is_finite() {
        for offset in [0.0, 1e4, -1e4, 1e6] {
            let p = probabilities(&[offset, offset + 1.0], 2, 1.0);
            assert!((p[0] - 0.268_941_42).abs() < 1e-7 && (p[0] + p[1] - 1.0).abs() < 1e-6, "{p:?}");
        }
        assert_eq!(probabilities(&[f32::MAX, f32::MIN], 2, 1.0), [1.0, 0.0]);
    }
}
