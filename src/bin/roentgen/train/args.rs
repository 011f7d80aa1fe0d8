//! What `roentgen train` takes, and the configuration that follows from it.

use std::path::PathBuf;

use clap::ValueEnum;
use roentgen::data::Balance;
use roentgen::error::Result;
use roentgen::models::Architecture;
use roentgen::preprocess::{Augment, Contrast, Preprocess};
use roentgen::train::{OptimizerConfig, Schedule, TrainConfig};

/// Trains a network on folders of X-rays and writes a model folder.
///
/// The defaults are the tutorial's: 10 epochs of 100 steps of 5 images, Adam with learning rate 1e-4. The epoch with the
/// best validation accuracy is kept. `--out` gets model.json, weights.safetensors, history.json, history.svg and
/// checkpoint.safetensors. Ctrl-C stops after the step under way and leaves a checkpoint that `--resume` continues.
#[derive(clap::Args)]
pub struct Args {
    /// Network to train
    #[arg(long, default_value = "scratch-cnn")]
    arch: String,
    /// Folder with train/<class>/* (and val/, test/), or <class>/* alone
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Where the model folder is written
    #[arg(long, value_name = "MODEL_DIR")]
    pub out: PathBuf,
    /// Classes in the order of the outputs; all class folders in alphabetical order where not given
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub classes: Option<Vec<String>>,
    /// Use only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// Epochs; each ends with a validation
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Steps in an epoch
    #[arg(long, default_value_t = 100)]
    steps_per_epoch: usize,
    /// Images in a step
    #[arg(long, default_value_t = 5)]
    batch_size: usize,
    /// Optimiser
    #[arg(long, value_enum, default_value_t = OptimizerName::Adam)]
    optimizer: OptimizerName,
    /// Learning rate before the schedule
    #[arg(long, default_value_t = 1e-4)]
    learning_rate: f32,
    /// Momentum of SGD
    #[arg(long, default_value_t = 0.0)]
    momentum: f32,
    /// Learning rate over the run
    #[arg(long, value_enum, default_value_t = ScheduleName::Constant)]
    schedule: ScheduleName,
    /// Steps over which a cosine schedule rises
    #[arg(long, default_value_t = 0)]
    warmup_steps: u64,
    /// Decoupled weight decay
    #[arg(long, default_value_t = 0.0)]
    weight_decay: f32,
    /// Share of activations dropped before the last layer
    #[arg(long, default_value_t = 0.0)]
    dropout: f32,
    /// Share of each target spread over all classes
    #[arg(long, default_value_t = 0.0)]
    label_smoothing: f32,
    /// Strength of random changes to training images: 0 is none, 1 is ±10°, ±12 % in size, ±8 % in aspect, ±4 % in
    /// position, mirrored or not, exposure and contrast
    #[arg(long, default_value_t = 0.0)]
    augment: f32,
    /// How training images are drawn
    #[arg(long, value_enum, default_value_t = BalanceName::None)]
    balance: BalanceName,
    /// Contrast step of the preprocessing
    #[arg(long, value_enum, default_value_t = ContrastName::None)]
    contrast: ContrastName,
    /// Subtracted from values in [0, 1]
    #[arg(long, default_value_t = 0.0)]
    mean: f32,
    /// Then divided by
    #[arg(long, default_value_t = 1.0)]
    std: f32,
    /// Decides initial weights, order of images, augmentation and dropout
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Continue from the checkpoint in --out, to the same weights as an unbroken run
    #[arg(long)]
    pub resume: bool,
    /// Begin anew although --out holds a checkpoint, and replace it
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// Print one JSON line an epoch on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum OptimizerName {
    Adam,
    Sgd,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScheduleName {
    Constant,
    Cosine,
}

#[derive(Clone, Copy, ValueEnum)]
enum BalanceName {
    None,
    Classes,
    ClassesAndSources,
}

#[derive(Clone, Copy, ValueEnum)]
enum ContrastName {
    None,
    Equalise,
}

impl Args {
    /// The configuration that these settings stand for.
    ///
    /// # Errors
    /// Those of [`TrainConfig::validate`], and an unknown architecture or a senseless strength of augmentation.
    pub fn config(&self, classes: Vec<String>) -> Result<TrainConfig> {
        let architecture = Architecture::from_name(&self.arch)?;
        let recipe = TrainConfig::recipe(architecture, classes);
        let contrast = match self.contrast {
            ContrastName::None => Contrast::None,
            ContrastName::Equalise => Contrast::Equalise,
        };
        let config = TrainConfig {
            preprocess: Preprocess { contrast, mean: self.mean, std: self.std, ..recipe.preprocess.clone() },
            augment: Augment::of_strength(self.augment)?,
            balance: match self.balance {
                BalanceName::None => Balance::None,
                BalanceName::Classes => Balance::Classes,
                BalanceName::ClassesAndSources => Balance::ClassesAndSources,
            },
            epochs: self.epochs,
            steps_per_epoch: self.steps_per_epoch,
            batch_size: self.batch_size,
            optimizer: match self.optimizer {
                OptimizerName::Adam => OptimizerConfig::default(),
                OptimizerName::Sgd => OptimizerConfig::Sgd { momentum: self.momentum },
            },
            learning_rate: self.learning_rate,
            schedule: match self.schedule {
                ScheduleName::Constant => Schedule::Constant,
                ScheduleName::Cosine => Schedule::Cosine { warmup_steps: self.warmup_steps },
            },
            weight_decay: self.weight_decay,
            dropout: self.dropout,
            label_smoothing: self.label_smoothing,
            seed: self.seed,
            ..recipe
        };
        config.validate()?;
        Ok(config)
    }
}
