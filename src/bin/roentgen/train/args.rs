//! What `roentgen train` takes, and the configuration that follows from it.

use std::path::PathBuf;

use crate::films::ValueRange;
use clap::ValueEnum;
use roentgen::data::{Balance, Draw, Either, Hospital};
use roentgen::error::{Error, Result};
use roentgen::formats::ModelCard;
use roentgen::models::Architecture;
use roentgen::preprocess::{Augment, Contrast, Preprocess};
use roentgen::train::{Freeze, Norms, OptimizerConfig, Schedule, TrainConfig, WithinSources};

use crate::labels::Labels;

/// Train a network on folders of labelled images
///
/// The defaults are the tutorial's: 10 epochs of 100 steps of 5 images, Adam with learning rate 1e-4. With `--freeze backbone`
/// they are 10 epochs of 50 steps of 32 images, learning rate 1e-3, and each image goes through the frozen layers once. The
/// epoch with the best validation accuracy is kept. `--out` gets model.json, weights.safetensors, history.json, history.svg and
/// checkpoint.safetensors. Ctrl-C stops after the step under way and leaves a checkpoint that `--resume` continues.
#[derive(clap::Args)]
pub struct Args {
    /// Network to train; default: that of the model folder in --init, else scratch-cnn
    #[arg(long)]
    arch: Option<String>,
    /// Folder or zip with train/<class>/* (and val/, test/), or <class>/* alone, or images with a table of labels
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    #[command(flatten)]
    pub labels: Labels,
    /// Where the model folder is written
    #[arg(long, value_name = "MODEL_DIR")]
    pub out: PathBuf,
    /// Classes in the order of the outputs; default: all class folders in alphabetical order
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub classes: Option<Vec<String>>,
    /// Use only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// Epochs; each ends with a validation
    #[arg(long)]
    epochs: Option<usize>,
    /// Steps in an epoch
    #[arg(long)]
    steps_per_epoch: Option<usize>,
    /// Images in a step
    #[arg(long)]
    batch_size: Option<usize>,
    /// Optimiser
    #[arg(long, value_enum, default_value_t = OptimizerName::Adam)]
    optimizer: OptimizerName,
    /// Learning rate before the schedule
    #[arg(long)]
    learning_rate: Option<f32>,
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
    /// Proportion of activations dropped before the last layer
    #[arg(long, default_value_t = 0.0)]
    dropout: f32,
    /// Proportion of each target spread over all classes
    #[arg(long, default_value_t = 0.0)]
    label_smoothing: f32,
    /// Mixup: blend each training image with another one, in proportions from a Beta distribution with this α; 0 is none
    #[arg(long, default_value_t = 0.0, value_name = "ALPHA")]
    mixup: f32,
    /// Background swap: the proportion of training images whose lungs get the surroundings of another image, so that the
    /// surroundings say nothing of the finding. Lungs are taken to lie where they do in most images
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    surroundings: f32,
    /// Proportion of training images that get the sharpness and the histogram of another image, wholly or in part, so that
    /// machine and processing say nothing of the finding
    #[arg(long, default_value_t = 0.0, value_name = "PROPORTION")]
    style: f32,
    /// The class of healthy images. Whether an image is healthy is then learned between images of one source, where the source
    /// cannot give the answer away. Which finding the others show is learned between all of them
    #[arg(long, value_name = "CLASS")]
    healthy: Option<String>,
    /// Weight, in the question whether an image is healthy, of sources that have only healthy images or none
    #[arg(long, default_value_t = 0.0, value_name = "WEIGHT", requires = "healthy")]
    between: f32,
    /// Proportion of that question that is asked of pairs from one source: which of the two is healthy?
    #[arg(long, default_value_t = 0.0, value_name = "PROPORTION", requires = "healthy")]
    pairs: f32,
    /// A hospital and the `class/file` of its images, if the manifest's sources do not say; may be repeated
    #[arg(long, value_name = "NAME=GLOB|GLOB")]
    hospital: Vec<String>,
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
    /// Largest width of a grey border at each edge of training images, as a proportion of the side
    #[arg(long, default_value_t = 0.0)]
    frame: f32,
    /// Start from the weights in PATH instead of random ones. PATH is a model folder, whose network and preprocessing are used
    /// too, and whose last layer keeps its rows for the classes that the data have, by name. Or it is a file, .safetensors or
    /// PyTorch's .pth, whose last layer starts anew if it is for another number of classes
    #[arg(long, value_name = "PATH")]
    pub init: Option<PathBuf>,
    /// Layers that stay as they start: `none`, `backbone` for all but the last, or names of layers such as
    /// conv_stem,blocks.0
    #[arg(long, value_delimiter = ',', default_value = "none")]
    freeze: Vec<String>,
    /// Statistics that normalisations use while they learn: those of each batch, or their running ones. Default: `running` with
    /// a model folder in --init, else `batch`
    #[arg(long, value_enum)]
    norms: Option<NormsName>,
    /// A folder of images with partial labels: each has one of these classes, not known which; may be repeated
    #[arg(long, value_name = "FOLDER=CLASS|CLASS")]
    either: Vec<String>,
    /// How training images are drawn
    #[arg(long, value_enum, default_value_t = BalanceName::None)]
    balance: BalanceName,
    /// Draw the images of FOLDER this many times as often as `--balance square-root` alone would; may be repeated
    #[arg(long, value_name = "FOLDER=TIMES")]
    draw: Vec<String>,
    /// Contrast step of the preprocessing; default: that of the model folder in --init, else `none`
    #[arg(long, value_enum)]
    contrast: Option<ContrastName>,
    /// Side of the network's images in pixels, 64 to 512, for all networks but scratch-cnn; default: that of the model folder
    /// in --init, else the network's own
    #[arg(long, value_name = "PIXELS")]
    side: Option<usize>,
    /// Subtracted from values in [0, 1]; default: that of the model folder in --init, else the network's own
    #[arg(long)]
    mean: Option<f32>,
    /// Divides the values after that; default as for --mean
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
    #[command(flatten)]
    values: ValueRange,
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
enum NormsName {
    Batch,
    Running,
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

    /// The hospitals and their images.
    ///
    /// # Errors
    /// Those of [`Hospital::parse`].
    pub fn hospitals(&self) -> Result<Vec<Hospital>> {
        self.hospital.iter().map(|text| Hospital::parse(text)).collect()
    }

    /// The configuration that these settings stand for, where the run starts from the model of `card`, or from none.
    ///
    /// # Errors
    /// Those of [`TrainConfig::validate`], an unknown architecture, another one than the model's, or a senseless strength of
    /// augmentation.
    pub fn config(&self, classes: Vec<String>, card: Option<&ModelCard>) -> Result<TrainConfig> {
        let freeze = match &self.freeze.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["none"] => Freeze::None,
            ["backbone"] => Freeze::Backbone,
            _ => Freeze::Layers(self.freeze.clone()),
        };
        let base = match (card, &self.arch) {
            (Some(card), Some(arch)) if *arch != card.architecture => {
                let reason = format!("{arch}; the model in --init is of `{}`", card.architecture);
                return Err(Error::Config { field: "arch", reason });
            }
            (Some(card), _) => TrainConfig::transfer(card, classes, freeze)?,
            (None, arch) => {
                let architecture = Architecture::from_name(arch.as_deref().unwrap_or("scratch-cnn"))?;
                TrainConfig::recipe(architecture, classes).learning(freeze)
            }
        };
        let mut preprocess = base.preprocess;
        self.values.apply(&mut preprocess)?;
        let contrast = self.contrast.map(|name| match name {
            ContrastName::None => Contrast::None,
            ContrastName::Equalise => Contrast::Equalise,
        });
        let config = TrainConfig {
            preprocess: Preprocess {
                height: self.side.unwrap_or(preprocess.height),
                width: self.side.unwrap_or(preprocess.width),
                contrast: contrast.unwrap_or(preprocess.contrast),
                mean: self.mean.unwrap_or(preprocess.mean),
                std: self.std.unwrap_or(preprocess.std),
                ..preprocess
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
            draw: self.draw.iter().map(|text| Draw::parse(text)).collect::<Result<_>>()?,
            epochs: self.epochs.unwrap_or(base.epochs),
            steps_per_epoch: self.steps_per_epoch.unwrap_or(base.steps_per_epoch),
            batch_size: self.batch_size.unwrap_or(base.batch_size),
            optimizer: match self.optimizer {
                OptimizerName::Adam => OptimizerConfig::default(),
                OptimizerName::Sgd => OptimizerConfig::Sgd { momentum: self.momentum },
            },
            learning_rate: self.learning_rate.unwrap_or(base.learning_rate),
            schedule: match self.schedule {
                ScheduleName::Constant => Schedule::Constant,
                ScheduleName::Cosine => Schedule::Cosine { warmup_steps: self.warmup_steps },
            },
            weight_decay: self.weight_decay,
            dropout: self.dropout,
            label_smoothing: self.label_smoothing,
            mixup: self.mixup,
            surroundings: self.surroundings,
            style: self.style,
            hospitals: self.hospitals()?,
            within: self.healthy.clone().map(|healthy| WithinSources {
                healthy,
                between: self.between,
                pairs: self.pairs,
            }),
            norms: match self.norms {
                None => base.norms,
                Some(NormsName::Batch) => Norms::Batch,
                Some(NormsName::Running) => Norms::Running,
            },
            either: self.either()?,
            seed: self.seed,
            ..base
        };
        config.validate()?;
        Ok(config)
    }
}
