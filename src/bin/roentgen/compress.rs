//! `roentgen compress`: a trained model folder to one small enough for the web.

use std::path::PathBuf;
use std::process::ExitCode;

use roentgen::classifier::Classifier;
use roentgen::compress::OutputMoments;
use roentgen::data::{self, FolderOptions, Sample};
use roentgen::error::{Error, Result};
use roentgen::formats::{Encoding, ModelCard, Storage, Weight, folder, read_weights, write_weights};
use roentgen::metrics::{Evaluation, fit_offsets, fit_temperature};
use roentgen::models::{Architecture, SCRATCH_CNN_SIDE, up_to_dense1};
use roentgen::nn::{Frozen, Graph, Precision, Tensor, Weights, folded};
use serde_json::{Value, json};

use crate::films::{self, Outputs};
use crate::{evaluate, model_folder, ui};

/// Images in one pass.
const BATCH: usize = 32;

/// Make a small copy of a trained model for the web
///
/// It has eight bits a weight. The first dense layer of the scratch CNN becomes two thin factors, whose directions are
/// found on training images. The normalisations of the other networks become part of their convolutions. Accuracy before
/// and after is measured on the validation images of the same folder; measure the test images with `roentgen evaluate`.
#[derive(clap::Args)]
pub struct Args {
    /// Trained model folder
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder that it was trained on, with train/<class>/* and preferably val/<class>/*
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the small model folder is written
    #[arg(long, value_name = "MODEL_DIR")]
    out: PathBuf,
    /// Number of directions kept in the outputs of the scratch CNN's first dense layer
    #[arg(long, default_value_t = 32)]
    rank: usize,
    /// Training images to find the directions on, spread evenly over all
    #[arg(long, default_value_t = 2048)]
    images: usize,
    /// Use only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Change the bias of the last layer so that each class gets its proportion of the validation images: a training that
    /// draws small classes more often gives them too much
    #[arg(long)]
    fit_bias: bool,
    /// Classify each image mirrored left to right as well and take the mean of both logits: right a little more often, in
    /// twice the time
    #[arg(long)]
    mirrored: bool,
    /// Name of the small model; default: that of the folder
    #[arg(long)]
    name: Option<String>,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let (mut card, safetensors) = folder::read_model_folder(&args.model)?;
    card.mirrored |= args.mirrored;
    let options =
        FolderOptions { classes: Some(card.classes.clone()), only: args.only.clone(), ..FolderOptions::default() };
    let folders = data::open(&args.data, &options)?;
    let architecture = Architecture::of(&card)?;
    let graph = architecture.network(&card.preprocess, card.classes.len())?;
    let (mut weights, mut how) = match architecture {
        Architecture::ScratchCnn => factored(&args, &card, read_weights(&safetensors)?, &folders.train)?,
        _ => rounded(&graph, read_weights(&safetensors)?)?,
    };
    if args.fit_bias {
        let offsets = offsets(&card, &write_weights(&weights)?, &folders.val)?;
        let bias = weights.iter_mut().find(|weight| graph.is_last(&weight.name) && weight.shape.len() == 1);
        let bias = bias.expect("the last layer has a bias");
        bias.values.iter_mut().zip(&offsets).for_each(|(bias, offset)| *bias += *offset as f32);
        how["added_to_the_last_bias"] = json!(offsets);
    }
    let bytes = write_weights(&weights)?;
    let small = folder::write_model_folder(&args.out, &named(&card, &args, how), &bytes, Encoding::Gzip)?;

    let before = accuracy(card, &safetensors, &folders.val)?;
    let after = accuracy(small.clone(), &bytes, &folders.val)?;
    ui::say(format!(
        "{} bytes as stored\nvalidation accuracy {:.2} % before, {:.2} % after",
        ui::thousands(small.weights.bytes as usize),
        100.0 * before.accuracy,
        100.0 * after.accuracy,
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What the logits of each class lack, by the validation films.
fn offsets(card: &ModelCard, safetensors: &[u8], samples: &[Sample]) -> Result<Vec<f64>> {
    let classifier = Classifier::new(card.clone().unmeasured(), safetensors)?;
    let Outputs { films, values, .. } = films::judged(&classifier, samples, |images| classifier.logits(images))?;
    let (labels, classes) = (films::labels(&films), card.classes.len());
    let temperature = fit_temperature(&values, &labels, classes);
    Ok(fit_offsets(&values, &labels, classes, temperature))
}

/// Weights of a network of convolutions and normalisations, one byte each, and what was done to them.
fn rounded(graph: &Graph, tensors: Weights) -> Result<(Vec<Weight>, Value)> {
    let weights = folded(graph, tensors)?.0.into_iter().map(|(name, tensor)| {
        let Tensor { shape, values } = tensor;
        // The last layer has few weights, and all that is wrong with them shows.
        let storage = if shape.len() > 1 && !graph.is_last(&name) { Storage::Int8 } else { Storage::F32 };
        Weight { name, shape, values, storage }
    });
    let how = json!({
        "normalisations": "taken into the convolutions",
        "storage": "convolutions in eight bits a weight with a scale a row, the rest in f32",
    });
    Ok((weights.collect(), how))
}

/// Weights of the scratch CNN with its first dense layer as two factors, and what was done to them.
fn factored(args: &Args, card: &ModelCard, tensors: Weights, films: &[Sample]) -> Result<(Vec<Weight>, Value)> {
    let outputs = tensors.shape("dense1.bias").map_or(0, |shape| shape.iter().product());
    if !(1..=outputs).contains(&args.rank) {
        let reason = format!("is {}; it must be between 1 and {outputs}", args.rank);
        return Err(Error::Config { field: "rank", reason });
    }
    let Some(weight) = tensors.0.get("dense1.weight") else {
        return Err(Error::TensorMissing { name: "dense1.weight (is this model compressed already?)".into() });
    };
    let mut features = tensors.clone();
    features.0.retain(|name, _| !name.starts_with("dense2."));
    if let Some(bias) = features.0.get_mut("dense1.bias") {
        bias.values.fill(0.0);
    }
    let moments = moments(features, outputs, card, &pick(films, args.images))?;
    let low = moments.factor(&weight.values, &tensors.0["dense1.bias"].values, args.rank);

    let inputs = weight.values.len() / outputs;
    let mut weights = vec![
        Weight {
            name: "dense1.weight.u".into(),
            shape: vec![outputs, args.rank],
            values: low.u,
            storage: Storage::F32,
        },
        Weight {
            name: "dense1.weight.v".into(),
            shape: vec![args.rank, inputs],
            values: low.v,
            storage: Storage::Int8,
        },
        Weight { name: "dense1.bias".into(), shape: vec![outputs], values: low.bias, storage: Storage::F32 },
    ];
    for (name, tensor) in tensors.0.into_iter().filter(|(name, _)| !name.starts_with("dense1.")) {
        weights.push(Weight { name, shape: tensor.shape, values: tensor.values, storage: Storage::F32 });
    }
    let how = json!({
        "dense1": { "rank": args.rank, "images": args.images, "variance_kept": low.variance_kept },
        "storage": "dense1.weight.v in eight bits a weight with a scale a row, the rest in f32",
    });
    Ok((weights, how))
}

/// `count` samples spread evenly over all.
fn pick(samples: &[Sample], count: usize) -> Vec<Sample> {
    let count = count.clamp(1, samples.len().max(1));
    (0..count.min(samples.len())).map(|i| samples[i * samples.len() / count].clone()).collect()
}

/// Moments of what the network up to its first dense layer, with the weights `features`, gives for films.
fn moments(features: Weights, outputs: usize, card: &ModelCard, samples: &[Sample]) -> Result<OutputMoments> {
    let network = Frozen::new(&up_to_dense1(SCRATCH_CNN_SIDE)?, features, Precision::Float)?;
    let images = model_folder::load_films(samples, &card.classes, &card.preprocess, "reading training images")?;
    let bar = ui::progress(images.len(), "outputs");
    let mut moments = OutputMoments::new(outputs);
    for batch in images.batches(&card.preprocess, BATCH) {
        moments.add(&network.logits(batch.n, &batch.images));
        bar.inc(batch.n as u64);
    }
    bar.finish_and_clear();
    Ok(moments)
}

fn named(card: &ModelCard, args: &Args, mut how: Value) -> ModelCard {
    let mut small = card.clone().unmeasured();
    small.id = model_folder::id(&args.out, &card.id);
    small.name = args.name.clone().unwrap_or_else(|| small.id.clone());
    if let Some(Value::Object(training)) = &mut small.training {
        how["from_weights_sha256"] = json!(card.weights.sha256);
        training.insert("compression".into(), how);
    }
    small
}

fn accuracy(card: ModelCard, safetensors: &[u8], samples: &[Sample]) -> Result<Evaluation> {
    Ok(evaluate::measure(&Classifier::new(card, safetensors)?, samples)?.evaluation)
}
