//! `roentgen export`: a model folder to one file for other engines.

use std::path::PathBuf;
use std::process::ExitCode;

use roentgen::error::Result;
use roentgen::formats::folder::{read_model_folder, write_file_atomically};
use roentgen::formats::read_weights;
use roentgen::onnx;

use crate::ui;

/// Write a model as an ONNX file, for other engines
#[derive(clap::Args)]
#[command(
    after_help = "The file takes `image` [n, channels, height, width], prepared as `preprocess` in its metadata \
    says,\nand gives `logits` and `probabilities` [n, classes] in the order of `classes` in its metadata."
)]
pub struct Args {
    /// Model folder: model.json and its weights
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// The ONNX file to write
    #[arg(long, value_name = "FILE")]
    onnx: PathBuf,
}

/// Writes the file.
pub fn run(args: Args) -> Result<ExitCode> {
    let (card, safetensors) = read_model_folder(&args.model)?;
    let file = onnx::export(&card, read_weights(&safetensors)?)?;
    write_file_atomically(&args.onnx, &file)?;
    ui::say(format!(
        "{}: {} {}, {} classes, {} bytes",
        args.onnx.display(),
        card.name,
        card.version,
        card.classes.len(),
        ui::thousands(file.len())
    ))?;
    Ok(ExitCode::SUCCESS)
}
