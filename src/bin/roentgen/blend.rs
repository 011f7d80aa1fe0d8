//! `roentgen blend`: the mean of several trainings' weights.

use std::path::PathBuf;
use std::process::ExitCode;

use roentgen::error::{Error, Result};
use roentgen::formats::{Encoding, ModelCard, folder, in_floats, read_weights, write_weights};
use roentgen::models::Architecture;
use roentgen::nn::{BESIDE, Weights, folded};
use roentgen::preprocess::Preprocess;
use serde_json::json;

use crate::{model_folder, ui};

/// Average the weights of several trainings that continued from one model
///
/// Such models lie in one valley of the loss, whose middle is flatter than the points where they ended. So the mean does better
/// on images that none of them has seen (Wortsman et al., Model soups, ICML 2022). The mean of a model and of one trained on
/// from it for other hospitals keeps most of what each can do (Wortsman et al., Robust fine-tuning, CVPR 2022). A model that is
/// given twice counts twice. The mean of models with different starts is of no use. The first model's preprocessing is kept.
#[derive(clap::Args)]
pub struct Args {
    /// Trained model folder; give it at least twice
    #[arg(long, value_name = "MODEL_DIR", required = true)]
    model: Vec<PathBuf>,
    /// Where the model folder with the mean is written
    #[arg(long, value_name = "MODEL_DIR")]
    out: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let models = args.model.iter().map(|dir| folder::read_model_folder(dir)).collect::<Result<Vec<_>>>()?;
    if models.len() < 2 {
        return Err(Error::Config { field: "model", reason: "is given once; a mean takes at least two".into() });
    }
    let first = &models[0].0;
    // The side may differ: weights of a network that depends on it have other shapes then.
    let at_its_side = |card: &ModelCard| {
        let Preprocess { height, width, .. } = first.preprocess;
        Preprocess { height, width, ..card.preprocess.clone() }
    };
    let is_alike = |card: &ModelCard| {
        (&card.architecture, &card.classes, &at_its_side(card))
            == (&first.architecture, &first.classes, &first.preprocess)
    };
    if let Some((other, _)) = models.iter().find(|(card, _)| !is_alike(card)) {
        let reason = format!("`{}` and `{}` differ in architecture, classes or preprocessing", first.id, other.id);
        return Err(Error::Config { field: "model", reason });
    }
    let mut weights = models.iter().map(|(_, bytes)| read_weights(bytes)).collect::<Result<Vec<_>>>()?;
    weights.iter_mut().for_each(|weights| weights.0.retain(|name, _| !name.starts_with(BESIDE)));
    if weights.iter().any(|other| !other.0.keys().eq(weights[0].0.keys())) {
        let graph = Architecture::of(first)?.network(&first.preprocess, first.classes.len())?;
        weights = weights.into_iter().map(|weights| folded(&graph, weights)).collect::<Result<_>>()?;
    }
    let mean = in_floats(Weights::mean(&weights)?);
    let id = model_folder::id(&args.out, &first.id);
    let of: Vec<_> = models
        .iter()
        .map(|(card, _)| json!({ "weights_sha256": card.weights.sha256, "training": card.training }))
        .collect();
    let card =
        ModelCard { name: id.clone(), id, training: Some(json!({ "mean_of": of })), ..first.clone().unmeasured() };
    let card = folder::write_model_folder(&args.out, &card, &write_weights(&mean)?, Encoding::Identity)?;
    ui::say(format!("{}: the mean of {} models", card.id, models.len()))?;
    Ok(ExitCode::SUCCESS)
}
