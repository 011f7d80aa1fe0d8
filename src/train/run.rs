//! A training run from its first step to its model: where it stands, its epochs, and what is written of it.
//!
//! One step or one validation batch at a time, for the loop, the clock and the files belong to the caller. The command
//! line and the page both train through here, so that the same settings, films and seed give both the same losses.

use std::io::Read;

use sha2::{Digest, Sha256};

use super::checkpoint::write_tensors;
use super::features::Features;
use super::{Checkpoint, EpochRecord, History, Running, Schedule, StepReport, TrainConfig, Trainer};
use crate::data::{Dataset, Loader, LoaderConfig, Sample};
use crate::error::{Error, Result};
#[cfg(feature = "measuring")]
use crate::formats::ModelCard;
use crate::formats::{Encoding, WeightsInfo};
use crate::nn::Weights;

/// Images in a validation batch: enough to keep the cores busy, and little beside the training state. A network in training
/// keeps every layer's values, 38 MB of an image in the slim EfficientNet-Lite0: 32 of them would be 1.2 GB in a browser.
const VALIDATION_BATCH: usize = 8;

/// See the head of this file.
pub struct Run {
    trainer: Trainer,
    state: Checkpoint,
    /// Of the last step.
    learning_rate: f32,
    /// Sums of a validation under way, and how many films it has seen.
    validation: (Running, usize),
    /// Those of the films to train on and of the others, where [`TrainConfig::keeps_features`]. They are computed again by a
    /// run that goes on, to the same bits.
    features: Option<[Features; 2]>,
}

impl Run {
    /// A run that has not begun. `data` is the [`fingerprint`] of its films.
    ///
    /// # Errors
    /// Those of [`TrainConfig::validate`].
    pub fn new(config: TrainConfig, data: String) -> Result<Self> {
        Ok(Self::with(Trainer::new(config.clone())?, config, data))
    }

    /// A run that has not begun, whose network has `weights` already, such as [`initial_weights`](super::initial_weights)
    /// gives.
    ///
    /// # Errors
    /// Those of [`Trainer::from_weights`].
    pub fn from_weights(config: TrainConfig, weights: Weights, data: String) -> Result<Self> {
        Ok(Self::with(Trainer::from_weights(config.clone(), weights)?, config, data))
    }

    fn with(trainer: Trainer, config: TrainConfig, data: String) -> Self {
        Self::at(trainer, Checkpoint { config, step: 0, history: History::default(), data })
    }

    fn at(trainer: Trainer, state: Checkpoint) -> Self {
        let features = state.config.keeps_features().then(Default::default);
        Self { trainer, state, learning_rate: 0.0, validation: Default::default(), features }
    }

    /// The run whose checkpoint is read from `checkpoint`, to be continued with `config`, which may ask for another number of epochs
    /// where the schedule does not depend on it.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for damaged bytes, other films or other settings.
    pub fn resume(checkpoint: impl Read, config: TrainConfig, data: &str) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::Checkpoint { reason: reason.to_owned() });
        let (state, trainer) = Checkpoint::read(checkpoint)?;
        if state.data != data {
            return refuse("was made from other images; give those of the run");
        }
        let same = TrainConfig { epochs: config.epochs, ..state.config.clone() };
        let extended = state.config.epochs != config.epochs && state.config.schedule != Schedule::Constant;
        if same != config || extended {
            return refuse(
                "was made with other settings; give those of the run, which model.json holds as training.config",
            );
        }
        Ok(Self::at(trainer, Checkpoint { config, ..state }))
    }

    /// The settings.
    pub fn config(&self) -> &TrainConfig {
        &self.state.config
    }

    /// What happened so far.
    pub fn history(&self) -> &History {
        &self.state.history
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.trainer.steps()
    }

    /// The epoch under way, 1 being the first; `None` when all are done.
    pub fn epoch(&self) -> Option<usize> {
        let done = self.state.history.epochs.len();
        (done < self.state.config.epochs).then_some(done + 1)
    }

    /// Whether the epoch under way has steps to take; without any it waits for its validation.
    pub fn has_steps(&self) -> bool {
        self.epoch().is_some_and(|epoch| self.steps() < (epoch * self.state.config.steps_per_epoch) as u64)
    }

    /// The batches that `train` gives under these settings.
    ///
    /// # Errors
    /// Those of [`Loader::new`].
    pub fn loader(config: &TrainConfig, train: &Dataset) -> Result<Loader> {
        let loader = LoaderConfig {
            batch_size: config.batch_size,
            seed: config.seed,
            augment: config.augment.clone(),
            balance: config.balance,
            draw: config.draw.clone(),
            surroundings: config.surroundings,
            style: config.style,
        };
        Loader::new(train, &config.preprocess, loader)
    }

    /// One step on the batch of `train` whose turn it is; `loader` is [`loader`](Self::loader)'s for these films.
    ///
    /// # Errors
    /// Those of [`Trainer::step`].
    pub fn step(&mut self, loader: &Loader, train: &Dataset) -> Result<StepReport> {
        let step = self.trainer.steps();
        let report = match &mut self.features {
            Some([features, _]) => {
                let films = loader.films(step).into_iter();
                let batch = features.batch(&mut self.trainer, train, &self.state.config.preprocess, films)?;
                self.trainer.step_on_features(batch)?
            }
            None => self.trainer.step(loader.batch(train, step))?,
        };
        self.learning_rate = report.learning_rate;
        self.state.history.running.add(&report);
        Ok(report)
    }

    /// Judges the next films of `validation`; with the last of them the epoch ends and its record is returned.
    ///
    /// # Errors
    /// Those of [`Trainer::evaluate`].
    pub fn validate_some(&mut self, validation: &Dataset) -> Result<Option<EpochRecord>> {
        let (sums, seen) = &mut self.validation;
        let preprocess = &self.state.config.preprocess;
        let films = *seen..validation.len().min(*seen + VALIDATION_BATCH);
        if !films.is_empty() {
            *seen = films.end;
            let report = match &mut self.features {
                Some([_, features]) => {
                    let batch = features.batch(&mut self.trainer, validation, preprocess, films)?;
                    self.trainer.evaluate_features(batch)?
                }
                None => {
                    let batch = validation.batch_from(preprocess, films.start, films.len()).expect("films of the set");
                    self.trainer.evaluate(batch)?
                }
            };
            sums.add(&report);
            if *seen < validation.len() {
                return Ok(None);
            }
        }
        let (sums, _) = std::mem::take(&mut self.validation);
        let record = EpochRecord {
            epoch: self.state.history.epochs.len() + 1,
            train: std::mem::take(&mut self.state.history.running).phase(),
            validation: sums.phase(),
            learning_rate: self.learning_rate,
        };
        self.state.history.epochs.push(record);
        Ok(Some(record))
    }

    /// Whether the last epoch that ended is the best so far: then its weights are the model.
    pub fn is_best(&self) -> bool {
        self.state.history.best().is_some_and(|best| best.epoch == self.state.history.epochs.len())
    }

    /// Bytes to [`resume`](Self::resume) from. A validation under way starts over.
    ///
    /// # Errors
    /// Those of [`Checkpoint::save`].
    pub fn checkpoint(&mut self) -> Result<Vec<u8>> {
        self.state.step = self.trainer.steps();
        self.state.save(&self.trainer)
    }

    /// Hands the bytes of [`checkpoint`](Self::checkpoint) to `sink`, a piece at a time.
    ///
    /// # Errors
    /// Those of [`Checkpoint::write`].
    pub fn write_checkpoint(&mut self, sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.state.step = self.trainer.steps();
        self.state.write(&self.trainer, sink)
    }

    /// Hands the weights as they are now, a safetensors file, to `sink` a piece at a time; what describes them is returned.
    ///
    /// # Errors
    /// Whatever `sink` returns.
    pub fn write_weights(&self, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<WeightsInfo> {
        let (mut bytes, mut hash) = (0, Sha256::new());
        write_tensors(&self.trainer, None, &[], &mut |piece| {
            bytes += piece.len() as u64;
            hash.update(piece);
            sink(piece)
        })?;
        Ok(WeightsInfo::hashed(bytes, format!("{:x}", hash.finalize()), Encoding::Identity))
    }

    /// The card of the model whose weights, those of the best epoch, are described by `weights`.
    ///
    /// `images` counts those trained and validated on.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the settings cannot be written as JSON.
    #[cfg(feature = "measuring")]
    pub fn card(&self, id: &str, weights: WeightsInfo, images: [usize; 2]) -> Result<ModelCard> {
        let config = &self.state.config;
        let training = serde_json::json!({
            "config": in_short(config)?,
            "images": { "train": images[0], "validation": images[1] },
            "best_epoch": in_short(&self.state.history.best())?,
            "trainer": concat!("roentgen ", env!("CARGO_PKG_VERSION")),
        });
        let (classes, preprocess) = (config.classes.clone(), config.preprocess.clone());
        let card = ModelCard::new(id, &config.architecture, classes, preprocess, weights);
        Ok(ModelCard { training: Some(training), ..card })
    }
}

/// Identifies the films of a run by their names, so that it is not continued on others.
pub fn fingerprint(train: &[Sample], validation: &[Sample]) -> String {
    let mut hash = Sha256::new();
    for samples in [train, validation] {
        hash.update((samples.len() as u64).to_le_bytes());
        for sample in samples {
            hash.update(&sample.name);
            hash.update([0]);
        }
    }
    format!("{:x}", hash.finalize())
}

/// A value as JSON with each f32 in its own few digits: directly, 0.1 would become 0.10000000149011612.
#[cfg(feature = "measuring")]
fn in_short(value: &impl serde::Serialize) -> Result<serde_json::Value> {
    let text = serde_json::to_string(value).and_then(|text| serde_json::from_str(&text));
    text.map_err(|error| Error::Checkpoint { reason: error.to_string() })
}
