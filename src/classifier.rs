//! From the bytes of an image file to a class with a probability: the one file that shows the whole path.
//!
//! Opening a model: card → [`read_weights`] → the network that [`Architecture`] describes, [`Frozen`].
//! Each film: [`decode`] → [`Preprocess::apply`](crate::preprocess::Preprocess::apply) → network → [`softmax`].
//! That the weights are those of the card is for the caller to check first, on the bytes as stored:
//! [`ModelCard::verify`].

use serde::Serialize;

use crate::error::{Error, Result};
use crate::formats::{ModelCard, read_weights};
use crate::image::{Limits, Radiograph, decode};
use crate::labels::ByName;
use crate::metrics::argmax;
use crate::models::Architecture;
use crate::nn::{Frozen, Precision};

/// What a weights file may hold beside the weights: its header.
const HEADER_BYTES: usize = 1 << 20;

/// A network with its weights and nothing around it: numbers in, probabilities out.
pub struct Network {
    model: Frozen,
    input: [usize; 3],
    classes: usize,
}

/// A network with its weights and the card that says how to feed it.
pub struct Classifier {
    card: ModelCard,
    network: Network,
}

/// What the network says of one film.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The most probable class.
    pub label: String,
    /// Its probability as the network puts it, in `[0, 1]`; not calibrated.
    pub score: f32,
    /// The probability of each class, in the order of the card; they sum to 1.
    pub scores: ByName<f32>,
    /// Why the prediction should not be used, where there is a reason.
    pub refused: Option<Refusal>,
}

/// Why a film was not classified although it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Stable name of the reason, in kebab case.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}

impl Network {
    /// Builds `architecture` for `classes` classes from unpacked weights.
    ///
    /// # Errors
    /// [`Error::Weights`], [`Error::TensorMissing`] and [`Error::TensorShape`] for weights that are not exactly those of
    /// the architecture.
    pub fn new(architecture: Architecture, classes: usize, safetensors: &[u8], precision: Precision) -> Result<Self> {
        // Before anything is unpacked into f32: a file larger than the whole network in f32 is another network's.
        let graph = architecture.graph(classes);
        let limit = 4 * graph.parameter_count() + HEADER_BYTES;
        if safetensors.len() > limit {
            let reason = format!("{} bytes; `{}` has at most {limit}", safetensors.len(), architecture.name());
            return Err(Error::Weights { reason });
        }
        let model = Frozen::new(&graph, read_weights(safetensors)?, precision)?;
        Ok(Self { model, input: architecture.input(), classes })
    }

    /// What the network gives for each of `n` films, before [`softmax`].
    ///
    /// # Shapes
    /// - `images`: `[n, channels, height, width]`, preprocessed
    /// - returns `[n, classes]` row-major
    ///
    /// # Errors
    /// [`Error::BufferLength`] when `images` is not a whole number of films, [`Error::Weights`] when the network's output
    /// is not finite, which finite weights of absurd size can do.
    pub fn logits(&self, images: &[f32]) -> Result<Vec<f32>> {
        let film: usize = self.input.iter().product();
        let n = images.len() / film;
        if n == 0 || images.len() != n * film {
            return Err(Error::BufferLength { expected: n.max(1) * film, found: images.len() });
        }
        let logits = self.model.logits(n, images);
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(Error::Weights { reason: "they drive the network's output out of the range of f32".into() });
        }
        Ok(logits)
    }

    /// The probability of each class for each of `n` films: [`logits`](Self::logits) in `[0, 1]`, rows summing to 1.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    pub fn scores(&self, images: &[f32]) -> Result<Vec<f32>> {
        Ok(self.logits(images)?.chunks_exact(self.classes).flat_map(softmax).collect())
    }
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
        card.validate()?;
        let architecture = Architecture::from_name(&card.architecture)?;
        let settings = &card.preprocess;
        let (given, taken) = ([settings.channels, settings.height, settings.width], architecture.input());
        if given != taken {
            let reason = format!(
                "`preprocess` gives {given:?} (channels, height, width); `{}` takes {taken:?}",
                card.architecture
            );
            return Err(Error::ModelCard { reason });
        }
        let network = Network::new(architecture, card.classes.len(), safetensors, precision)?;
        Ok(Self { card, network })
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

    /// Classifies a film.
    ///
    /// # Errors
    /// [`Error::TooSmall`] for a film too small to be one, and those of [`Self::scores`].
    pub fn classify(&self, film: &Radiograph) -> Result<Prediction> {
        let scores = self.scores(&self.card.preprocess.apply(film)?)?;
        let best = argmax(&scores);
        Ok(Prediction {
            label: self.card.classes[best].clone(),
            score: scores[best],
            scores: self.card.classes.iter().cloned().zip(scores).collect(),
            refused: None,
        })
    }

    /// The probability of each class for each of `n` films, preprocessed as the card says; see [`Network::scores`].
    ///
    /// # Errors
    /// Those of [`Network::scores`].
    pub fn scores(&self, images: &[f32]) -> Result<Vec<f32>> {
        self.network.scores(images)
    }
}

/// Probabilities of one film's logits, `exp(zᵢ - max z) / Σ exp(zⱼ - max z)`, summed in f64.
///
/// Subtracting the maximum changes nothing but keeps `exp` from overflowing.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f64> = logits.iter().map(|&z| f64::from(z - max).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| (e / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.special.softmax([1, 2, 3])` = [0.09003057, 0.24472847, 0.66524096] (SciPy 1.17).
    #[test]
    fn softmax_matches_scipy() {
        for (p, expected) in softmax(&[1.0, 2.0, 3.0]).iter().zip([0.090_030_57, 0.244_728_47, 0.665_240_96]) {
            assert!((p - expected).abs() < 1e-7, "{p}");
        }
    }

    /// Only differences count: two logits one apart give 1 / (1 + e) wherever they are.
    #[test]
    fn softmax_of_huge_logits_is_finite() {
        for offset in [0.0, 1e4, -1e4, 1e6] {
            let p = softmax(&[offset, offset + 1.0]);
            assert!((p[0] - 0.268_941_42).abs() < 1e-7 && (p[0] + p[1] - 1.0).abs() < 1e-6, "{p:?}");
        }
        assert_eq!(softmax(&[f32::MAX, f32::MIN]), [1.0, 0.0]);
    }
}
