//! A model learns a hospital: its last layer, and all that decisions hang on, from a few labelled images of one's own.
//!
//! Each image goes through the network once ([`Adapter::see`]). What the last layer reads of it, and the traces that the gate
//! looks at, are all that is kept ([`Seen`]); the rest is arithmetic on them ([`Adapter::adapt`]):
//! 1. the last layer from the shipped one, held near it ([`layer`]);
//! 2. temperature, thresholds and answers from images that the layer has not learned from ([`decisions`]);
//! 3. the distance up to which an image is no stranger;
//! 4. all of that judged by cross-validation, before against after, and whether to take it ([`report`]).
//!
//! Files, clocks and progress bars are the caller's.

#[cfg(feature = "cli")]
mod curve;
mod decisions;
mod folds;
mod layer;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::classifier::Classifier;
use crate::error::{Error, Result};
use crate::formats::about::Adaptation;
use crate::formats::{ModelCard, Storage, Weight, read_weights, write_in_place};
use crate::image::Radiograph;
use crate::labels::ByName;
use crate::models::Architecture;
use crate::nn::Precision;
use crate::refusal::{Kind, plain};

use layer::{Learned, Rows};

#[cfg(feature = "cli")]
pub use curve::{Point, Reached, Spread};
pub use layer::{LastLayer, RIDGES, Ridge};
pub use report::{Difference, Judged, Report, Verdict, WithInterval};

/// Images of a class that are needed to learn from it; images that share a patient count once.
pub const FEWEST: usize = 5;

/// Images of a class that are used at most; with more of them a training learns more.
pub const MOST: usize = 100;

/// Share of the user's images that may still be rejected for their distance.
pub const REFUSED: f64 = 0.02;

/// What the network made of one image, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What it is called in messages.
    pub name: String,
    /// Index of its class; `None` without a label.
    pub class: Option<usize>,
    /// Images of one group, a patient, are never on both sides of a judgement. The image's name where nothing is known.
    pub group: String,
    /// What the last layer reads.
    pub features: Vec<f32>,
    /// What the gate looks at: of it only what is needed.
    pub look: Look,
}

/// How an image stands with the gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Whether it is rejected for what it is: a picture that is no upright frontal chest image.
    pub rejected: bool,
    /// How far it is from the training images; 0 without a gate.
    pub distance: f32,
}

/// A preprocessed image on its way into the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    values: Vec<f32>,
    rejected: bool,
}

/// What an adaptation may be told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// Draws the folds.
    pub seed: u64,
    /// For the card, such as `2026-11-29`.
    pub date: Option<String>,
}

/// A model that is being adapted.
pub struct Adapter {
    classifier: Classifier,
    safetensors: Vec<u8>,
    layer: LastLayer,
}

/// What comes out.
#[derive(Debug, Clone)]
pub struct Adapted {
    /// The card of the adapted model; what it says of the weights file is still that of the shipped one.
    pub card: ModelCard,
    /// Its weights, unpacked: all but the last layer are those that were there, bit for bit.
    pub safetensors: Vec<u8>,
    /// Before against after.
    pub report: Report,
}

impl Adapter {
    /// Opens a model as [`Classifier::new`] does.
    ///
    /// # Errors
    /// Those of [`Classifier::new`], and [`Error::TensorMissing`] when the last layer is no dense one with a bias.
    pub fn new(card: ModelCard, safetensors: Vec<u8>) -> Result<Self> {
        let graph = Architecture::of(&card)?.network(&card.preprocess, card.classes.len())?;
        let layer = LastLayer::of(&read_weights(&safetensors)?, |name| graph.is_last(name))?;
        Ok(Self { classifier: Classifier::with_precision(card, &safetensors, Precision::Float)?, safetensors, layer })
    }

    /// The card that the model was opened with.
    pub fn card(&self) -> &ModelCard {
        self.classifier.card()
    }

    /// An image ready for the network.
    ///
    /// # Errors
    /// Those of [`Preprocess::apply`](crate::preprocess::Preprocess::apply).
    pub fn input(&self, image: &Radiograph) -> Result<Input> {
        let gated = self.classifier.gate().is_some();
        let rejected = gated && plain::refuse(image).is_some();
        Ok(Input { values: self.card().preprocess.apply(image)?, rejected })
    }

    /// What the network makes of some images, in one pass; name, class and group are for the caller to fill in.
    ///
    /// # Errors
    /// [`Error::Weights`] when the network's output is not finite.
    pub fn see(&self, inputs: Vec<Input>) -> Result<Vec<Seen>> {
        let n = inputs.len();
        let (values, rejected): (Vec<_>, Vec<_>) =
            inputs.into_iter().map(|input| (input.values, input.rejected)).unzip();
        let [features, traces] = self.classifier.features_and_traces(&values.concat())?;
        let (features, traces) =
            (features.chunks_exact(features.len() / n), traces.chunks_exact((traces.len() / n).max(1)));
        let mut traces = traces.map(Some).chain(std::iter::repeat(None));
        let seen = features.zip(rejected).map(|(features, rejected)| Seen {
            name: String::new(),
            class: None,
            group: String::new(),
            features: features.to_vec(),
            look: self.look(traces.next().flatten().unwrap_or_default(), rejected),
        });
        Ok(seen.collect())
    }

    fn look(&self, traces: &[f32], rejected: bool) -> Look {
        let Some((gate, info)) = self.classifier.gate().zip(self.card().refusal.as_ref()) else {
            return Look { rejected, distance: 0.0 };
        };
        let z = gate.standardised(traces);
        let is_film = gate.kinds(&z)[Kind::Film.index()] >= info.minimum_probability;
        Look { rejected: rejected || !is_film, distance: gate.distance(&z) }
    }

    /// The model adapted to `images`, and what that is worth.
    ///
    /// `progress` is told how much of the judging is done, in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::Dataset`] without images.
    pub fn adapt(&self, images: &[Seen], options: &Options, mut progress: impl FnMut(f64)) -> Result<Adapted> {
        if images.is_empty() {
            return Err(Error::Dataset { reason: "there is no image to adapt to".into() });
        }
        let used = used(images);
        let used: Vec<&Seen> = used.iter().collect();
        let plan = Plan::of(&used);
        let judged = report::judge(self, &used, &plan, options.seed, &mut progress);
        let (learned, card) = self.learn(&used, &plan, options.seed);
        let layer = learned.as_ref().map_or(&self.layer, |learned| &learned.layer);
        let report = Report::of(self.card(), &card, images.len(), &used, &plan, learned.as_ref(), judged);
        let card = self.described(card, &report, options);
        card.validate()?;
        Ok(Adapted { card, safetensors: write_in_place(&self.safetensors, &layer.weights())?, report })
    }

    /// The last layer learned from `images`, and the card with all that is decided by; without enough of two classes the layer
    /// stays.
    fn learn(&self, images: &[&Seen], plan: &Plan, seed: u64) -> (Option<Learned>, ModelCard) {
        let distance = decisions::maximum_distance(self.card(), images);
        // Not from what the model would never answer on.
        let labelled = images.iter().copied().filter(|seen| plan.has(seen) && !seen.look.rejected).collect::<Vec<_>>();
        let mut card = self.card().clone();
        let mut learned = None;
        if plan.learns() {
            let rows = Rows::of(&self.layer, &labelled, card.temperature());
            let found = layer::learn(&self.layer, &rows, card.temperature(), seed);
            card = decisions::refitted(card, &rows, &found);
            learned = Some(found);
        }
        if let Some((info, distance)) = card.refusal.as_mut().zip(distance) {
            info.maximum_distance = distance;
        }
        (learned, card)
    }

    /// The card with what there is to say of the adaptation, and without what was measured of the shipped model.
    fn described(&self, decided: ModelCard, report: &Report, options: &Options) -> ModelCard {
        let shipped = self.card();
        let refusal = decided.refusal.map(|info| crate::refusal::GateInfo { measured: Default::default(), ..info });
        let adaptation = Adaptation {
            from: format!("{} {}", shipped.name, shipped.version),
            from_weights_sha256: shipped.weights.sha256.clone(),
            date: options.date.clone(),
            images: report.images.clone(),
            unlabelled: report.unlabelled,
            sentence: report.sentence.clone(),
            report: json!({
                "verdict": report.verdict,
                "ridge": report.ridge,
                "folds": report.folds,
                "before": report.before,
                "after": report.after,
                "difference": report.difference,
                "maximum_distance": report.maximum_distance,
            }),
        };
        let on = match report.images.iter().map(|(class, n)| format!("{n} {class}")).collect::<Vec<_>>() {
            none if none.is_empty() => format!("{} images without labels", report.unlabelled),
            counts => format!("images of one place ({})", counts.join(", ")),
        };
        let summary = vec![
            format!("It was adapted to {on}."),
            report.sentence.clone(),
            format!("Those numbers hold there; elsewhere it may be worse than {}.", adaptation.from),
        ];
        let own = "Adapted to images of one place: its numbers hold there and nowhere else. What is said below of data, sources \
                   and limits is of the model that it was adapted from.";
        let limitations = [own.to_owned()].into_iter().chain(shipped.limitations.iter().cloned()).collect();
        let decided = ModelCard {
            calibration: decided.calibration,
            operating_points: decided.operating_points,
            uncertain: decided.uncertain,
            answer: decided.answer,
            refusal,
            ..shipped.clone().unmeasured()
        };
        ModelCard {
            id: format!("{}-adapted", shipped.id.trim_end_matches("-adapted")),
            name: format!("{}, adapted", shipped.name.trim_end_matches(", adapted")),
            summary,
            limitations,
            adapted: Some(adaptation),
            ..decided
        }
    }
}

/// What can be learned from, and how it is judged.
struct Plan {
    /// Classes with images of [`FEWEST`] groups or more, in the model's order; two of them at least, or none is learned from.
    classes: Vec<usize>,
}

impl Plan {
    fn of(images: &[&Seen]) -> Self {
        let mut groups = BTreeMap::<usize, BTreeSet<&str>>::new();
        for seen in images.iter().filter(|seen| !seen.look.rejected) {
            if let Some(class) = seen.class {
                groups.entry(class).or_default().insert(&seen.group);
            }
        }
        let enough = |(class, groups): (usize, BTreeSet<&str>)| (groups.len() >= FEWEST).then_some(class);
        let classes: Vec<usize> = groups.into_iter().filter_map(enough).collect();
        Self { classes: if classes.len() > 1 { classes } else { Vec::new() } }
    }

    /// Whether there is anything to learn a last layer from.
    fn learns(&self) -> bool {
        !self.classes.is_empty()
    }

    /// Whether an image has one of the classes that are learned.
    fn has(&self, seen: &Seen) -> bool {
        seen.class.is_some_and(|class| self.classes.contains(&class))
    }
}

/// At most [`MOST`] images of each class, and as many without a label, evenly over all; those that are the same to the network
/// are of one group.
fn used(images: &[Seen]) -> Vec<Seen> {
    let mut by_class = BTreeMap::<Option<usize>, Vec<&Seen>>::new();
    images.iter().for_each(|seen| by_class.entry(seen.class).or_default().push(seen));
    let mut groups = BTreeMap::<Vec<u32>, String>::new();
    let mut used = Vec::new();
    for of_class in by_class.into_values() {
        let n = of_class.len().min(MOST);
        for seen in (0..n).map(|i| of_class[i * of_class.len() / n]) {
            let bits = seen.features.iter().map(|value| value.to_bits()).collect();
            let group = groups.entry(bits).or_insert_with(|| seen.group.clone()).clone();
            used.push(Seen { group, ..seen.clone() });
        }
    }
    used
}

/// Tensors of a layer as they are stored.
pub(crate) fn weight(name: &str, shape: &[usize], values: &[f32]) -> Weight {
    Weight { name: name.into(), shape: shape.to_vec(), values: values.to_vec(), storage: Storage::F32 }
}

/// Counts by class name.
pub(crate) fn counts(images: &[&Seen], classes: &[String]) -> ByName<usize> {
    let of = |class: usize| images.iter().filter(|seen| seen.class == Some(class)).count();
    classes.iter().enumerate().map(|(i, name)| (name.clone(), of(i))).filter(|(_, n)| *n > 0).collect()
}
