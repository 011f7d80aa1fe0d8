//! What a card says of a model beside its weights and measurements: where its films came from, how its probabilities were
//! corrected, what an audit of it found, what was tried on the way.

use serde::{Deserialize, Serialize};

use crate::labels::ByName;
use crate::metrics::Share;

/// How the network's outputs become probabilities that mean what they say, see
/// [`fit_temperature`](crate::metrics::fit_temperature). Losses are mean cross-entropies in nats, errors expected calibration
/// errors, both on the validation films that the temperature was fitted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Divides every logit.
    pub temperature: f64,
    /// Validation films that it was fitted on.
    #[cfg(feature = "measuring")]
    pub films: usize,
    /// Loss with a temperature of 1.
    #[cfg(feature = "measuring")]
    pub loss_before: f64,
    /// Loss with this temperature.
    #[cfg(feature = "measuring")]
    pub loss_after: f64,
    /// Calibration error with a temperature of 1.
    #[cfg(feature = "measuring")]
    pub ece_before: f64,
    /// Calibration error with this temperature.
    #[cfg(feature = "measuring")]
    pub ece_after: f64,
}

/// Several findings under one name: what an answer says where it holds just these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// For people, such as "Viral or bacterial pneumonia".
    pub name: String,
    /// Two classes or more.
    pub classes: Vec<String>,
}

/// What a model was adapted on: images of one place, from a model that is kept as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adaptation {
    /// Name and version of the model it was adapted from.
    pub from: String,
    /// SHA-256 of that model's weights file.
    pub from_weights_sha256: String,
    /// When, as whoever adapted it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Labelled images of each class.
    pub images: ByName<usize>,
    /// Images without a label.
    #[serde(default)]
    pub unlabelled: usize,
    /// Whether to take it, in a sentence.
    pub sentence: String,
    /// What it reaches on images of that place that it had not learned from, before against after. Kept as written.
    pub report: serde_json::Value,
}

/// The films that a model was made of and measured on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataDescription {
    /// The collections, each with what is to be known of it.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// How the films were parted into training, validation and test films.
    #[serde(default)]
    pub split: String,
    /// How many there are of each kind.
    #[serde(default)]
    pub counts: Vec<Count>,
    /// What differs between the classes beside the disease, a sentence each.
    #[serde(default)]
    pub confounders: Vec<String>,
}

/// A collection of films.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name in the manifest's column `source`.
    pub name: String,
    /// Who is in it, from where, and whom to cite.
    pub description: String,
    /// Under which licence the films are.
    pub licence: String,
}

/// Films of one class and source in one part of the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// `train`, `val` or `test`.
    pub split: String,
    /// The class.
    pub class: String,
    /// The collection; `unknown` without a manifest.
    pub source: String,
    /// How many.
    pub films: usize,
}

/// One line of the table of what was tried: a measure, and what the model reached with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ablation {
    /// What was done or left out.
    pub measure: String,
    /// Results by their name, as text with their unit: the lines need not have the same.
    pub results: ByName<String>,
}

/// What is left of a model when it may not look where the disease is, and what its features know beside the disease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// What it was measured on.
    pub data: String,
    /// Films measured.
    pub films: usize,
    /// Balanced accuracy of a guess, `1 / classes`.
    pub chance: f64,
    /// Where the lungs were taken to be.
    pub lungs: Lungs,
    /// Results by what was left of the films; the whole film is the first.
    pub views: ByName<ViewResult>,
    /// How well the source of a film can be read from the features of films of one class.
    pub probes: Vec<Probe>,
    /// How much of its heat maps lies inside the lungs; a card of earlier times has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heat: Vec<HeatInside>,
    /// Whether the model still works with the lungs masked out, by `rule`.
    pub works_without_lungs: bool,
    /// When it is said to.
    pub rule: String,
}

/// The part of every film that was taken for the lungs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lungs {
    /// How it was made.
    pub made_from: String,
    /// Share of the film's area.
    pub area: f64,
    /// Mean share of the real lungs that it covers, on films with masks that it was not made from; where there are any.
    pub covers: Option<f64>,
}

/// How much of the energy of heat maps lies inside the lungs: see [`energy_inside`](crate::explain::energy_inside). Of each
/// film the map of the class that the model names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatInside {
    /// The class that is named; `None` over the films of all.
    pub class: Option<String>,
    /// Whether the lungs are those drawn around each film's own, and not the part of every film that is taken for them.
    pub drawn: bool,
    /// Films measured; those whose map is all zeros have no share.
    pub films: usize,
    /// Mean share of the energy.
    pub share: f64,
    /// 95 % interval of that, patients resampled where they are known; `None` for a handful of films.
    pub share_interval: Option<[f64; 2]>,
    /// Mean share of the area, which a map has that looks everywhere alike.
    pub area: f64,
}

impl HeatInside {
    /// Which maps and which lungs, for people.
    pub fn name(&self) -> String {
        let class = self.class.as_deref().unwrap_or("all of them");
        if self.drawn { format!("{class}, its own lungs as drawn") } else { class.into() }
    }
}

/// What the model reaches on films of which something was taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewResult {
    /// Films called rightly.
    pub accuracy: Share,
    /// Mean sensitivity over the classes.
    pub balanced_accuracy: f64,
    /// 95 % interval of that, patients resampled where they are known.
    pub balanced_accuracy_interval: Option<[f64; 2]>,
    /// Telling two classes of one source apart, where the hospital gives nothing away.
    pub within_source: Vec<WithinSource>,
}

/// Two classes of one source told apart by the model's probabilities of the two; chance is 0.5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithinSource {
    /// The source.
    pub source: String,
    /// The two classes.
    pub classes: [String; 2],
    /// Films of each.
    pub films: [usize; 2],
    /// Area under the ROC curve.
    pub auroc: f64,
    /// 95 % interval of it, patients resampled where they are known.
    pub auroc_interval: Option<[f64; 2]>,
}

/// Two sources of one class told apart by logistic regression; chance is 0.5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The class that all films are of.
    pub class: String,
    /// The two sources.
    pub sources: [String; 2],
    /// Films that the regression was fitted on.
    pub fitted_on: usize,
    /// Films that it was measured on.
    pub films: usize,
    /// Area under the ROC curve from the network's features.
    pub auroc: f64,
    /// 95 % interval of it, patients resampled where they are known.
    pub auroc_interval: Option<[f64; 2]>,
    /// Balanced accuracy from the network's features.
    pub balanced_accuracy: f64,
    /// Area under the ROC curve from 8×8 pixels of the film instead: how easy it is without any network.
    pub auroc_of_pixels: f64,
}
