//! `roentgen card`: what a model says of itself, changed without touching its weights.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use roentgen::error::{Error, Result};
use roentgen::formats::folder::{CARD_FILE, write_file_atomically};
use roentgen::formats::{MetricsEntry, ModelCard};
use roentgen::metrics::Evaluation;

use crate::ui;

/// Changes the model.json of a model folder. What is not given stays as it is.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Name for people
    #[arg(long)]
    name: Option<String>,
    /// Version of the weights
    #[arg(long = "version-text", value_name = "VERSION")]
    version: Option<String>,
    /// Licence of the weights
    #[arg(long)]
    licence: Option<String>,
    /// What it is for, and what not
    #[arg(long)]
    intended_use: Option<String>,
    /// What is known to go wrong; given once or more, these replace the ones that are there
    #[arg(long, value_name = "SENTENCE")]
    limitation: Vec<String>,
    /// Adds a measurement, `DATA=FILE`: what it was measured on, and what `roentgen evaluate --json FILE` wrote; one on
    /// the same data is replaced
    #[arg(long, value_name = "DATA=FILE")]
    evaluation: Vec<String>,
    /// Which part of the data the measurements are on
    #[arg(long, default_value = "test")]
    split: String,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let path = args.model.join(CARD_FILE);
    let mut card = ModelCard::from_json(&read(&path)?)?;
    let replace = |field: &mut String, given: Option<String>| {
        if let Some(given) = given {
            *field = given;
        }
    };
    replace(&mut card.name, args.name);
    replace(&mut card.version, args.version);
    replace(&mut card.licence, args.licence);
    replace(&mut card.intended_use, args.intended_use);
    if !args.limitation.is_empty() {
        card.limitations = args.limitation;
    }
    for evaluation in &args.evaluation {
        let entry = measurement(evaluation, &args.split)?;
        card.metrics.retain(|old| (&old.data, &old.split) != (&entry.data, &entry.split));
        card.metrics.push(entry);
    }
    card.validate()?;
    write_file_atomically(&path, &card.to_json())?;
    ui::say(format!("{}: {} measurements", path.display(), card.metrics.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn measurement(given: &str, split: &str) -> Result<MetricsEntry> {
    let Some((data, file)) = given.split_once('=') else {
        let reason = format!("`{given}`; give DATA=FILE, such as \"test films=evaluation.json\"");
        return Err(Error::Config { field: "evaluation", reason });
    };
    let evaluation: Evaluation = serde_json::from_slice(&read(Path::new(file))?).map_err(|error| Error::Config {
        field: "evaluation",
        reason: format!("{file}: {error}; give a file that `evaluate --json` wrote"),
    })?;
    Ok(MetricsEntry { data: data.to_owned(), split: split.to_owned(), evaluation })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}
