//! `roentgen compress`: a trained model folder to one small enough for the web.

use std::path::PathBuf;
use std::process::ExitCode;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use roentgen::classifier::Classifier;
use roentgen::compress::OutputMoments;
use roentgen::data::{self, FolderOptions, Sample};
use roentgen::error::{Error, Result};
use roentgen::formats::{Encoding, ModelCard, Storage, Weight, folder, read_weights, write_weights};
use roentgen::kernels::custom_op::{self, with_values};
use roentgen::metrics::Evaluation;
use roentgen::models::{Architecture, ScratchCnn};

use crate::{evaluate, model_folder, ui};

/// Images in one pass.
const BATCH: usize = 32;

/// Makes a small copy of a trained model: dense layer as two thin factors, eight bits a weight.
///
/// The directions that the factors keep are found on training images. Accuracy before and after is measured on the
/// validation images of the same folder; measure the test images with `roentgen evaluate`.
#[derive(clap::Args)]
pub struct Args {
    /// Trained model folder
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder it was trained on, with train/<class>/* and, better, val/<class>/*
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the small model folder is written
    #[arg(long, value_name = "MODEL_DIR")]
    out: PathBuf,
    /// Directions kept of the first dense layer's outputs
    #[arg(long, default_value_t = 32)]
    rank: usize,
    /// Training images to find the directions on, spread evenly over all
    #[arg(long, default_value_t = 2048)]
    images: usize,
    /// Use only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Name of the small model; the folder's where not given
    #[arg(long)]
    name: Option<String>,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let (card, safetensors) = folder::read_model_folder(&args.model)?;
    let architecture = Architecture::from_name(&card.architecture)?;
    let Architecture::ScratchCnn = architecture;
    let tensors = read_weights(&safetensors)?;
    let outputs = tensors.get("dense1.bias").map_or(0, Tensor::elem_count);
    if !(1..=outputs).contains(&args.rank) {
        let reason = format!("is {}; it must be between 1 and {outputs}", args.rank);
        return Err(Error::Config { field: "rank", reason });
    }
    let Some(weight) = tensors.get("dense1.weight").cloned() else {
        return Err(Error::TensorMissing { name: "dense1.weight (is this model compressed already?)".into() });
    };
    let options =
        FolderOptions { classes: Some(card.classes.clone()), only: args.only.clone(), ..FolderOptions::default() };
    let folders = data::open(&args.data, &options)?;
    let network = ScratchCnn::new(
        VarBuilder::from_tensors(tensors.clone(), DType::F32, &Device::Cpu),
        ScratchCnn::SIDE,
        card.classes.len(),
    )?;
    let moments = moments(&network, &weight, &card, &pick(&folders.train, args.images))?;
    let values = |name: &str| with_values(&tensors[name], <[f32]>::to_vec).map_err(Error::from);
    let low = moments.factor(&values("dense1.weight")?, &values("dense1.bias")?, args.rank);

    let inputs = weight.elem_count() / outputs;
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
    for (name, tensor) in tensors.iter().filter(|(name, _)| !name.starts_with("dense1.")) {
        let shape = tensor.dims().to_vec();
        weights.push(Weight { name: name.clone(), shape, values: values(name)?, storage: Storage::F32 });
    }
    let bytes = write_weights(&weights)?;
    let small = named(&card, &args, low.variance_kept);
    let small = folder::write_model_folder(&args.out, &small, &bytes, Encoding::Gzip)?;

    let before = accuracy(card, &safetensors, &folders.val)?;
    let after = accuracy(small.clone(), &bytes, &folders.val)?;
    ui::say(format!(
        "{} bytes as stored; {:.2} % of the outputs' variance kept\nvalidation accuracy {:.2} % before, {:.2} % after",
        ui::thousands(small.weights.bytes as usize),
        100.0 * low.variance_kept,
        100.0 * before.accuracy,
        100.0 * after.accuracy,
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// `count` samples spread evenly over all.
fn pick(samples: &[Sample], count: usize) -> Vec<Sample> {
    let count = count.clamp(1, samples.len().max(1));
    (0..count.min(samples.len())).map(|i| samples[i * samples.len() / count].clone()).collect()
}

fn moments(network: &ScratchCnn, weight: &Tensor, card: &ModelCard, samples: &[Sample]) -> Result<OutputMoments> {
    let images = model_folder::load_films(samples, &card.classes, &card.preprocess, "reading training images")?;
    let bar = ui::progress(images.len(), "outputs");
    let outputs = weight.dims2()?.0;
    let none = Tensor::zeros(outputs, DType::F32, &Device::Cpu)?;
    let mut moments = OutputMoments::new(outputs);
    for batch in images.batches(&card.preprocess, BATCH) {
        let dims = (batch.n, batch.channels, batch.height, batch.width);
        let features = network.features(&Tensor::from_vec(batch.images, dims, &Device::Cpu)?)?;
        with_values(&custom_op::dense(&features, weight, &none, false)?, |rows| moments.add(rows))?;
        bar.inc(batch.n as u64);
    }
    bar.finish_and_clear();
    Ok(moments)
}

fn named(card: &ModelCard, args: &Args, variance_kept: f64) -> ModelCard {
    let mut small = card.clone();
    small.id = model_folder::id(&args.out, &card.id);
    small.name = args.name.clone().unwrap_or_else(|| small.id.clone());
    small.metrics.clear();
    if let Some(serde_json::Value::Object(training)) = &mut small.training {
        let compression = serde_json::json!({
            "dense1": { "rank": args.rank, "images": args.images, "variance_kept": variance_kept },
            "storage": "dense1.weight.v in eight bits a weight with a scale a row, the rest in f32",
            "from_weights_sha256": card.weights.sha256,
        });
        training.insert("compression".into(), compression);
    }
    small
}

fn accuracy(card: ModelCard, safetensors: &[u8], samples: &[Sample]) -> Result<Evaluation> {
    Ok(evaluate::measure(&Classifier::new(card, safetensors)?, samples)?.0)
}
