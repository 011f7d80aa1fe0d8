//! `roentgen card`: what a model says of itself, changed without touching its weights, or printed.

mod markdown;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use roentgen::data::open_part;
use roentgen::error::{Error, Result};
use roentgen::formats::about::{Ablation, Count, DataDescription};
use roentgen::formats::folder::{CARD_FILE, write_file_atomically};
use roentgen::formats::{MetricsEntry, ModelCard};
use roentgen::labels::ByName;
use roentgen::metrics::Evaluation;
use serde::Deserialize;

use crate::ui;

use markdown::markdown;

/// Change what a model says of itself, or print it as Markdown
///
/// What is not given stays as it is.
#[derive(clap::Args)]
#[command(
    after_help = "--describe takes a JSON object with any of: summary [three sentences: where it is right, where \
    not, what to do there], groups {name: [classes]: what an answer of these classes is called}, intended_use, misuse, limitations, licence, \
    data {sources [{name, description, licence}], split, confounders}, ablation [{measure, results {name: text}}]."
)]
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
    /// What is known to go wrong; may be repeated, and replaces what is there
    #[arg(long, value_name = "SENTENCE")]
    limitation: Vec<String>,
    /// Adds a measurement, `DATA=FILE`: a name for the data, and what `roentgen evaluate --json FILE` wrote. A measurement on
    /// the same data is replaced
    #[arg(long, value_name = "DATA=FILE")]
    evaluation: Vec<String>,
    /// Replaces what the model says of itself by the fields of a JSON file
    #[arg(long, value_name = "FILE")]
    describe: Option<PathBuf>,
    /// Counts the images of a folder with train/, val/ and test/ by class and source
    #[arg(long, value_name = "DIR")]
    films: Option<PathBuf>,
    /// Prints the card as Markdown, with the other changes in it
    #[arg(long)]
    markdown: bool,
    /// The split that the measurements are on
    #[arg(long, default_value = "test")]
    split: String,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let path = args.model.join(CARD_FILE);
    let mut card = ModelCard::from_json(&read(&path)?)?;
    let before = card.to_json();
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
    if let Some(path) = &args.describe {
        describe(&mut card, path)?;
    }
    if let Some(dir) = &args.films {
        let counts = count(dir, &card.classes)?;
        card.data.get_or_insert_default().counts = counts;
    }
    card.validate()?;
    let changed = card.to_json();
    if args.markdown && changed == before {
        // Nothing is asked to be written: a folder that cannot be written to can be printed.
        ui::say(markdown(&card).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    write_file_atomically(&path, &changed)?;
    if args.markdown {
        ui::say(markdown(&card).trim_end())?;
    } else {
        ui::say(format!("{}: {} measurements", path.display(), card.metrics.len()))?;
    }
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

/// What a file may say of a model. Everything else in a card is measured, or is the model itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    summary: Option<Vec<String>>,
    groups: Option<ByName<Vec<String>>>,
    intended_use: Option<String>,
    misuse: Option<Vec<String>>,
    limitations: Option<Vec<String>>,
    licence: Option<String>,
    data: Option<DataDescription>,
    ablation: Option<Vec<Ablation>>,
}

fn describe(card: &mut ModelCard, path: &Path) -> Result<()> {
    let given: Description = serde_json::from_slice(&read(path)?)
        .map_err(|error| Error::Config { field: "describe", reason: format!("{}: {error}", path.display()) })?;
    fn replace<T>(field: &mut T, given: Option<T>) {
        if let Some(given) = given {
            *field = given;
        }
    }
    replace(&mut card.summary, given.summary);
    replace(&mut card.groups, given.groups);
    replace(&mut card.intended_use, given.intended_use);
    replace(&mut card.misuse, given.misuse);
    replace(&mut card.limitations, given.limitations);
    replace(&mut card.licence, given.licence);
    replace(&mut card.ablation, given.ablation);
    if let Some(mut data) = given.data {
        // Counted, not told, unless the file tells them.
        if data.counts.is_empty() {
            data.counts = card.data.take().map(|data| data.counts).unwrap_or_default();
        }
        card.data = Some(data);
    }
    Ok(())
}

/// How many films of each class and source each part of a folder holds. Folders that are no class of the model count too:
/// a network may have been trained on them in another way.
fn count(dir: &Path, classes: &[String]) -> Result<Vec<Count>> {
    let mut counts = Vec::new();
    for split in ["train", "val", "test"] {
        let Some(known) = open_part(dir, Some(split), classes, &[]).ok().filter(|labelled| labelled.is_split) else {
            continue;
        };
        let all = [classes, &known.left_out].concat();
        let samples = open_part(dir, Some(split), &all, &[])?.samples;
        let mut by_kind = BTreeMap::new();
        for sample in &samples {
            let source = sample.source.clone().unwrap_or_else(|| "unknown".into());
            *by_kind.entry((sample.class, source)).or_default() += 1;
        }
        counts.extend(by_kind.into_iter().map(|((class, source), films)| Count {
            split: split.into(),
            class: all[class].clone(),
            source,
            films,
        }));
    }
    if counts.is_empty() {
        let reason = format!("{} has no train, val or test folder to count films in", dir.display());
        return Err(Error::Dataset { reason });
    }
    Ok(counts)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}
