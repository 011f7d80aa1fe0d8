//! Everything that decides what a training run does; saved beside what it produced.

use serde::{Deserialize, Serialize};

use super::{OptimizerConfig, Schedule};
use crate::data::{Balance, Draw, Either, Hospital};
use crate::error::{Error, Result};
use crate::formats::ModelCard;
use crate::models::Architecture;
use crate::nn::Graph;
use crate::preprocess::{Augment, Preprocess};

/// The settings of a run. [`TrainConfig::recipe`] gives the tutorial's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Name of the architecture, as [`Architecture::name`] gives it.
    pub architecture: String,
    /// Class names in the order of the network's outputs.
    pub classes: Vec<String>,
    /// What is done to an image before the network sees it.
    pub preprocess: Preprocess,
    /// Random changes to training images.
    pub augment: Augment,
    /// How training images are drawn.
    pub balance: Balance,
    /// What is drawn more often than [`Balance::SquareRoot`] alone would.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draw: Vec<Draw>,
    /// Epochs; each ends with a validation.
    pub epochs: usize,
    /// Optimiser steps in an epoch.
    pub steps_per_epoch: usize,
    /// Images in a step.
    pub batch_size: usize,
    /// The optimiser and its constants.
    pub optimizer: OptimizerConfig,
    /// Learning rate, before the schedule.
    pub learning_rate: f32,
    /// How the learning rate changes over the run.
    pub schedule: Schedule,
    /// Decoupled weight decay (AdamW's `λ`) of weights; biases never decay.
    pub weight_decay: f32,
    /// Share of the activations dropped before the last layer while training, in `[0, 1)`.
    pub dropout: f32,
    /// Share `ε` of each target spread evenly over all classes, in `[0, 1)`.
    pub label_smoothing: f32,
    /// The `α` of [`Mixup`](super::Mixup); 0 is none.
    #[serde(default)]
    pub mixup: f32,
    /// Share of the training images whose lungs are given the [`Surroundings`](crate::data::Surroundings) of another image's,
    /// in `[0, 1]`.
    #[serde(default)]
    pub surroundings: f32,
    /// Proportion of the training images that are given the [style](crate::data::match_bands) of another one, in `[0, 1]`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub style: f32,
    /// Which images come from one hospital, where the manifest's sources do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hospitals: Vec<Hospital>,
    /// Has the hospital tell as little as can be of whether an image is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<WithinSources>,
    /// Which layers stay as they start.
    #[serde(default)]
    pub freeze: Freeze,
    /// What normalisations go by while training.
    #[serde(default)]
    pub norms: Norms,
    /// The model whose weights the run starts from; those that the seed draws where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// Folders of films that have one of several classes, nobody knows which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub either: Vec<Either>,
    /// Decides the initial weights, the order of images, augmentation and dropout.
    pub seed: u64,
}

/// Whether an image is healthy is learned between images of one source, see
/// [`Dataset::within_sources`](crate::data::Dataset::within_sources).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithinSources {
    /// The class of healthy images.
    pub healthy: String,
    /// How much images of sources without the other kind count in that question, in `[0, 1]`.
    pub between: f32,
    /// Proportion of the question that is asked of pairs of one source, one image of each kind, in `[0, 1]`: which of them is
    /// healthy?
    pub pairs: f32,
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

/// Layers that training leaves as they are: their normalisations too, which then use their running statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freeze {
    /// Every layer learns.
    #[default]
    None,
    /// Only the last layer learns.
    Backbone,
    /// All parameters whose name begins with one of these parts, such as `conv_stem` or `blocks.0`, stay.
    Layers(Vec<String>),
}

/// What normalisations that learn go by while training. In use it is their running statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norms {
    /// The mean and variance of the batch, which move the running ones.
    #[default]
    Batch,
    /// Their running statistics, which stay: the network is the same function in training as in use, for batches of any size.
    Running,
}

/// A model that a run starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its id.
    pub model: String,
    /// SHA-256 of its weights file as stored.
    pub sha256: String,
    /// Its classes, in the order of its outputs: a run keeps the rows of the last layer whose classes it has.
    pub classes: Vec<String>,
}

impl Start {
    /// The model that `card` describes.
    pub fn of(card: &ModelCard) -> Self {
        let (model, sha256) = (card.id.clone(), card.weights.sha256.clone());
        Self { model, sha256, classes: card.classes.clone() }
    }
}

impl Freeze {
    /// Whether the parameter called `name` of `graph` stays.
    pub fn holds(&self, graph: &Graph, name: &str) -> bool {
        let inside = |part: &String| name.strip_prefix(part.as_str()).is_some_and(|rest| rest.starts_with('.'));
        match self {
            Self::None => false,
            Self::Backbone => !graph.is_last(name),
            Self::Layers(parts) => parts.iter().any(inside),
        }
    }
}

impl TrainConfig {
    /// The tutorial's settings: 10 epochs of 100 steps of 5 images, Adam with learning rate 1e-4, nothing else.
    pub fn recipe(architecture: Architecture, classes: Vec<String>) -> Self {
        Self {
            architecture: architecture.name().to_owned(),
            classes,
            preprocess: architecture.preprocess(),
            augment: Augment::default(),
            balance: Balance::default(),
            draw: Vec::new(),
            epochs: 10,
            steps_per_epoch: 100,
            batch_size: 5,
            optimizer: OptimizerConfig::default(),
            learning_rate: 1e-4,
            schedule: Schedule::default(),
            weight_decay: 0.0,
            dropout: 0.0,
            label_smoothing: 0.0,
            mixup: 0.0,
            surroundings: 0.0,
            style: 0.0,
            hospitals: Vec::new(),
            within: None,
            freeze: Freeze::default(),
            norms: Norms::default(),
            start: None,
            either: Vec::new(),
            seed: 0,
        }
    }

    /// The settings to go on with from the model of `card`: its preprocessing, its normalisations as they are, and
    /// [`learning`](Self::learning) what `freeze` leaves.
    ///
    /// Normalisations keep their running statistics. A compressed model no longer has those of its training images, see
    /// [`unfolded`](crate::nn::unfolded), and the statistics of a batch of a few images are poor.
    ///
    /// # Errors
    /// Those of [`Architecture::of`].
    pub fn transfer(card: &ModelCard, classes: Vec<String>, freeze: Freeze) -> Result<Self> {
        let recipe = Self::recipe(Architecture::of(card)?, classes).learning(freeze);
        let preprocess = card.preprocess.clone();
        Ok(Self { preprocess, norms: Norms::Running, start: Some(Start::of(card)), ..recipe })
    }

    /// The same settings, but for which layers learn, and with epochs, steps, batch size and learning rate that suit them. A
    /// last layer alone takes larger steps, and many more of them in the same time, see [`keeps_features`](Self::keeps_features).
    pub fn learning(self, freeze: Freeze) -> Self {
        match freeze {
            Freeze::Backbone => Self { freeze, steps_per_epoch: 50, batch_size: 32, learning_rate: 1e-3, ..self },
            _ => Self { freeze, ..self },
        }
    }

    /// The network to train, for films as they are prepared here.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`], and those of [`Architecture::network`].
    pub fn graph(&self) -> Result<Graph> {
        Architecture::from_name(&self.architecture)?.network(&self.preprocess, self.classes.len())
    }

    /// Steps in the whole run.
    pub fn total_steps(&self) -> u64 {
        (self.epochs * self.steps_per_epoch) as u64
    }

    /// Refuses settings that make no sense, before anything is computed.
    ///
    /// # Errors
    /// [`Error::Config`] names the field; [`Error::UnknownArchitecture`].
    pub fn validate(&self) -> Result<()> {
        let refuse = |field, reason: &str| Err(Error::Config { field, reason: reason.to_owned() });
        self.preprocess.validate()?;
        if self.classes.len() < 2 {
            return refuse("classes", "a classifier needs at least two");
        }
        for (field, value) in
            [("epochs", self.epochs), ("steps per epoch", self.steps_per_epoch), ("batch size", self.batch_size)]
        {
            if value == 0 {
                return refuse(field, "must be at least 1");
            }
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return refuse("learning rate", "must be a positive number");
        }
        for (field, value) in [("weight decay", self.weight_decay), ("mixup", self.mixup)] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(field, "must be zero or a positive number");
            }
        }
        for (field, share) in [("dropout", self.dropout), ("label smoothing", self.label_smoothing)] {
            if !(0.0..1.0).contains(&share) {
                return refuse(field, "must be at least 0 and below 1");
            }
        }
        let [between, pairs] = self.within.as_ref().map_or([0.0; 2], |within| [within.between, within.pairs]);
        let proportions =
            [("surroundings", self.surroundings), ("style", self.style), ("between", between), ("pairs", pairs)];
        for (field, proportion) in proportions {
            if !(0.0..=1.0).contains(&proportion) {
                return refuse(field, "must be at least 0 and at most 1");
            }
        }
        if let Some(WithinSources { healthy, .. }) = &self.within
            && !self.classes.contains(healthy)
        {
            return refuse("healthy", &format!("`{healthy}` is no class; there are: {}", self.classes.join(", ")));
        }
        for either in &self.either {
            either.labels(&self.classes)?;
        }
        if !(self.draw.is_empty() || self.balance == Balance::SquareRoot) {
            return refuse("draw", "needs `square-root` as balance, which it changes");
        }
        let graph = self.graph()?;
        if let Freeze::Layers(parts) = &self.freeze {
            for part in parts {
                let alone = Freeze::Layers(vec![part.clone()]);
                if !graph.parameters().iter().any(|spec| alone.holds(&graph, &spec.name)) {
                    return refuse("freeze", &format!("`{}` has no layer called `{part}`", self.architecture));
                }
            }
        }
        if graph.parameters().iter().all(|spec| !spec.trained || self.freeze.holds(&graph, &spec.name)) {
            return refuse("freeze", "leaves nothing to learn");
        }
        self.optimizer.validate()
    }
}
