//! What `roentgen train` takes, and the configuration that follows from it.

use std::path::PathBuf;

use clap::ValueEnum;
use roentgen::data::{Balance, Either};
use roentgen::error::Result;
use roentgen::models::Architecture;
use roentgen::preprocess::{Augment, Contrast, Preprocess};
use roentgen::train::{Freeze, OptimizerConfig, Schedule, TrainConfig};

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
    /// Blend each training image with another one, by shares of a Beta distribution with this α; 0 is none
    #[arg(long, default_value_t = 0.0, value_name = "ALPHA")]
    mixup: f32,
    /// Strength of random changes to training images: 0 is none, 1 is ±10°, ±12 % in size, ±8 % in aspect, ±4 % in
    /// position, mirrored or not, exposure and contrast
    #[arg(long, default_value_t = 0.0)]
    augment: f32,
    /// Largest blur of training images, the standard deviation of a Gaussian in pixels of the network's input
    #[arg(long, default_value_t = 0.0)]
    blur: f32,
    /// Largest standard deviation of noise on training images, where 1 is from black to white
    #[arg(long, default_value_t = 0.0)]
    noise: f32,
    /// Largest share of the side that a border of one grey covers at each edge of training images
    #[arg(long, default_value_t = 0.0)]
    frame: f32,
    /// Start from the weights in FILE (.safetensors, or PyTorch's .pth) instead of random ones; the last layer starts
    /// anew where its classes are others
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub init: Option<PathBuf>,
    /// Layers that stay as they start: `none`, `backbone` for all but the last, or names of layers such as
    /// conv_stem,blocks.0
    #[arg(long, value_delimiter = ',', default_value = "none")]
    freeze: Vec<String>,
    /// A folder of films that have one of several classes, nobody knows which; may be given more than once
    #[arg(long, value_name = "FOLDER=CLASS|CLASS")]
    either: Vec<String>,
    /// How training images are drawn
    #[arg(long, value_enum, default_value_t = BalanceName::None)]
    balance: BalanceName,
    /// Contrast step of the preprocessing
    #[arg(long, value_enum, default_value_t = ContrastName::None)]
    contrast: ContrastName,
    /// Subtracted from values in [0, 1]; the network's own where not given
    #[arg(long)]
    mean: Option<f32>,
    /// Then divided by
    #[arg(long)]
    std: Option<f32>,
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
    SquareRoot,
}

#[derive(Clone, Copy, ValueEnum)]
enum ContrastName {
    None,
    Equalise,
}

impl Args {
    /// The folders whose films have one of several classes.
    ///
    /// # Errors
    /// Those of [`Either::parse`].
    pub fn either(&self) -> Result<Vec<Either>> {
        self.either.iter().map(|text| Either::parse(text)).collect()
    }

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
            preprocess: Preprocess {
                contrast,
                mean: self.mean.unwrap_or(recipe.preprocess.mean),
                std: self.std.unwrap_or(recipe.preprocess.std),
                ..recipe.preprocess.clone()
            },
            augment: Augment {
                blur: self.blur,
                noise: self.noise,
                frame: self.frame,
                ..Augment::of_strength(self.augment)?
            },
            balance: match self.balance {
                BalanceName::None => Balance::None,
                BalanceName::Classes => Balance::Classes,
                BalanceName::ClassesAndSources => Balance::ClassesAndSources,
                BalanceName::SquareRoot => Balance::SquareRoot,
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
            mixup: self.mixup,
            freeze: match &self.freeze.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["none"] => Freeze::None,
                ["backbone"] => Freeze::Backbone,
                _ => Freeze::Layers(self.freeze.clone()),
            },
            either: self.either()?,
            seed: self.seed,
            ..recipe
        };
        config.validate()?;
        Ok(config)
    }
}
