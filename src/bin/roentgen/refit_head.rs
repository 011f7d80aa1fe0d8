//! `roentgen refit-head`: fits the last layer again, to tell healthy from ill within each hospital.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use roentgen::classifier::Classifier;
use roentgen::data::{
    self, Draw, Either, FolderOptions, Hospital, Origin, draw_by_square_root, healthy_class, no_pairs,
};
use roentgen::error::{Error, Result};
use roentgen::formats::{Encoding, ModelCard, folder, in_floats, read_weights, write_weights};
use roentgen::models::Architecture;
use roentgen::train::{HeadConfig, HeadExamples, fit_head};
use serde_json::{Value, json};

use crate::films::{self, Outputs};
use crate::{model_folder, ui};

/// Fit the last layer again, to tell healthy from ill within each hospital
///
/// All other layers stay. Each image goes through the network once. Whether an image is healthy is learned between images
/// of one hospital, where only disease differs. Which finding the other images show is learned between all of them, with a
/// ridge penalty of its own (`--kind-ridge`). Fit the probabilities again afterwards, with `roentgen calibrate`.
#[derive(clap::Args)]
pub struct Args {
    /// Trained model folder
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder of images, as for `roentgen train`; the training images are fitted on
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Use only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// A folder of images with partial labels: each has one of these classes, not known which; may be repeated
    #[arg(long, value_name = "FOLDER=CLASS|CLASS")]
    either: Vec<String>,
    /// A hospital and the `class/file` of its images, if the manifest's sources do not say; may be repeated
    #[arg(long, value_name = "NAME=GLOB|GLOB")]
    hospital: Vec<String>,
    /// Draw the images of FOLDER this many times as often as the square root of their number says; may be repeated
    #[arg(long, value_name = "FOLDER=TIMES")]
    draw: Vec<String>,
    /// The class of healthy images
    #[arg(long, value_name = "CLASS", default_value = "Normal")]
    healthy: String,
    /// Weight, in the question whether an image is healthy, of sources that have only healthy images or none
    #[arg(long, default_value_t = 0.3, value_name = "WEIGHT")]
    between: f32,
    /// Proportion of that question that is asked of pairs from one source: which of the two is healthy?
    #[arg(long, default_value_t = 0.5, value_name = "PROPORTION")]
    pairs: f32,
    /// Number of images drawn
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    images: usize,
    /// Ridge penalty of the regression: the factor of half the squared weights, for features of standard deviation 1
    #[arg(long, default_value_t = 100.0)]
    ridge: f64,
    /// Ridge penalty of what tells the findings apart from each other
    #[arg(long, default_value_t = 1000.0)]
    kind_ridge: f64,
    /// Where the model folder is written
    #[arg(long, value_name = "MODEL_DIR")]
    out: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let refuse = |field, reason: String| Err(Error::Config { field, reason });
    for (field, value) in [("ridge", args.ridge), ("kind-ridge", args.kind_ridge)] {
        if !(value.is_finite() && value > 0.0) {
            return refuse(field, format!("is {value}; it must be above 0"));
        }
    }
    for (field, value) in [("between", args.between), ("pairs", args.pairs)] {
        if !(0.0..=1.0).contains(&value) {
            return refuse(field, format!("is {value}; it must be 0 to 1"));
        }
    }
    let (card, safetensors) = folder::read_model_folder(&args.model)?;
    let classes = card.classes.clone();
    let healthy = healthy_class(&classes, &args.healthy)?;
    let either = args.either.iter().map(|text| Either::parse(text)).collect::<Result<Vec<_>>>()?;
    let hospitals = args.hospital.iter().map(|text| Hospital::parse(text)).collect::<Result<Vec<_>>>()?;
    let draws = args.draw.iter().map(|text| Draw::parse(text)).collect::<Result<Vec<_>>>()?;
    let options = FolderOptions {
        classes: Some(classes.clone()),
        either: either.clone(),
        only: args.only.clone(),
        ..FolderOptions::default()
    };
    let mut samples = data::open(&args.data, &options)?.train;
    data::assign_hospitals(&hospitals, &mut samples)?;

    let classifier = Classifier::new(card.clone().unmeasured(), &safetensors)?;
    let Outputs { films, values, unreadable, .. } =
        films::judged(&classifier, &samples, |images| classifier.features(images))?;
    films::name_unreadable(&unreadable);
    let columns = values.len() / films.len();
    let read: Vec<_> = films.into_iter().cloned().collect();
    let folders: Vec<&str> =
        classes.iter().map(String::as_str).chain(either.iter().map(|either| either.folder.as_str())).collect();
    let drawn = draw_by_square_root(&read, &folders, &draws, args.images)?;

    let mut numbers = BTreeMap::new();
    let mut source = |name: Option<&str>| {
        let next = numbers.len();
        *numbers.entry(name.map(str::to_owned)).or_insert(next)
    };
    let sources: Vec<usize> = drawn.iter().map(|&i| source(read[i].source.as_deref())).collect();
    let is_healthy: Vec<bool> = drawn.iter().map(|&i| read[i].class == healthy).collect();
    let origins = Origin::of(&sources, &is_healthy, args.between).ok_or_else(|| no_pairs(&args.healthy))?;
    let possible = either.iter().map(|either| either.labels(&classes)).collect::<Result<Vec<_>>>()?;
    let mut targets = vec![0.0; drawn.len() * classes.len()];
    for (&i, row) in drawn.iter().zip(targets.chunks_exact_mut(classes.len())) {
        match read[i].class.checked_sub(classes.len()) {
            Some(at) => possible[at].iter().for_each(|&class| row[class] = 1.0),
            None => row[read[i].class] = 1.0,
        }
    }
    let features = drawn.iter().flat_map(|&i| &values[i * columns..][..columns]).copied().collect();
    let config = HeadConfig { healthy, pairs: args.pairs, ridge: args.ridge, kind_ridge: args.kind_ridge };
    let layer = fit_head(&HeadExamples { features, targets, origins }, classes.len(), &config);

    let mut weights = read_weights(&safetensors)?;
    let graph = Architecture::of(&card)?.network(&card.preprocess, classes.len())?;
    for (name, tensor) in weights.0.iter_mut().filter(|(name, _)| graph.is_last(name)) {
        let [weight, bias] = &layer;
        tensor.values.clone_from(if name.ends_with(".weight") { weight } else { bias });
    }
    let id = model_folder::id(&args.out, &card.id);
    let mut changed = ModelCard { name: id.clone(), id, ..card.clone().unmeasured() };
    if let Some(Value::Object(training)) = &mut changed.training {
        let how = json!({
            "healthy": args.healthy, "between": args.between, "pairs": args.pairs, "ridge": args.ridge,
            "kind_ridge": args.kind_ridge, "hospitals": hospitals, "either": either, "draw": draws,
            "images": read.len(), "drawn": drawn.len(), "from_weights_sha256": card.weights.sha256,
        });
        training.insert("head".into(), how);
    }
    let bytes = write_weights(&in_floats(weights))?;
    folder::write_model_folder(&args.out, &changed, &bytes, Encoding::Identity)?;
    let [images, times] = [read.len(), drawn.len()].map(ui::thousands);
    ui::say(format!("last layer fitted on {images} images, drawn {times} times; {}", args.out.display()))?;
    Ok(ExitCode::SUCCESS)
}
