//! `roentgen evaluate`: a model measured on folders of labelled films.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rayon::prelude::*;
use roentgen::classifier::Classifier;
use roentgen::data::{Sample, open_flat, read_film};
use roentgen::error::{Error, Result};
use roentgen::formats::folder::read_model_folder;
use roentgen::image::{Limits, decode};
use roentgen::metrics::{Evaluation, accuracy_by_source, argmax, evaluate};
use roentgen::nn::Precision;
use serde::Serialize;

use crate::ui;

/// Films in one pass through the network: enough to keep every core busy, 6 MB of input at 128 × 128 × 3.
const BATCH: usize = 32;

/// What `roentgen evaluate` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder: model.json and its weights
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder of class folders; where it holds a `test` folder, that one is measured
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Measure only films whose `class/file` matches; may be given more than once
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Write the result as JSON to FILE; `-` prints it in place of the report
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compute dense layers in eight bits, and say on how many films the class is the one that floats give
    #[arg(long)]
    int8: bool,
}

/// The JSON of `--json`: what was measured, and on what.
#[derive(Serialize)]
struct Report {
    model: String,
    version: String,
    data: String,
    #[serde(flatten)]
    evaluation: Evaluation,
    /// Share of the films that get the class that they get in floats, where the model ran in eight bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_class_as_floats: Option<f64>,
    /// Folders that are no class of the model.
    left_out: Vec<String>,
    unreadable: Vec<UnreadableFilm>,
}

/// A film that could not be measured.
#[derive(Serialize)]
pub struct UnreadableFilm {
    /// `class/file`.
    pub file: String,
    /// [`Error::kind`].
    pub kind: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// Measures the model and reports.
pub fn run(args: Args) -> Result<ExitCode> {
    let (card, safetensors) = read_model_folder(&args.model)?;
    let precision = if args.int8 { Precision::Int8 } else { Precision::Float };
    let classifier = Classifier::with_precision(card.clone(), &safetensors, precision)?;
    let floats = args.int8.then(|| Classifier::new(card, &safetensors)).transpose()?;
    drop(safetensors);
    let card = classifier.card();

    let folder = test_folder(&args.data, &card.classes);
    let (samples, left_out) = open_flat(&folder, &card.classes, &args.only)?;
    let Measured { evaluation, unreadable, scores } = measure(&classifier, &samples)?;
    let same = |floats: Measured| {
        let classes = |scores: &[f32]| scores.chunks_exact(card.classes.len()).map(argmax).collect::<Vec<_>>();
        let (here, there) = (classes(&scores), classes(&floats.scores));
        here.iter().zip(&there).filter(|(a, b)| a == b).count() as f64 / here.len() as f64
    };
    let same_class_as_floats = floats.map(|floats| measure(&floats, &samples).map(same)).transpose()?;
    let report = Report {
        model: card.id.clone(),
        version: card.version.clone(),
        data: folder.display().to_string(),
        evaluation,
        same_class_as_floats,
        left_out,
        unreadable,
    };
    for film in &report.unreadable {
        ui::complain(&format!("warning: {} is left out: {}", film.file, film.message));
    }
    let json = || serde_json::to_string_pretty(&report).expect("a report has string keys and no fallible values");
    match &args.json {
        Some(path) if path.as_os_str() == "-" => ui::say(json())?,
        Some(path) => {
            ui::say(describe(&report))?;
            std::fs::write(path, format!("{}\n", json())).map_err(|source| Error::Io { path: path.clone(), source })?;
        }
        None => ui::say(describe(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `dir/test` where it is there and no class is called so; `dir` itself otherwise.
fn test_folder(dir: &Path, classes: &[String]) -> PathBuf {
    let test = dir.join("test");
    if test.is_dir() && !classes.iter().any(|class| class == "test") { test } else { dir.to_owned() }
}

/// What [`measure`] found.
pub struct Measured {
    /// The model judged on the films that could be read.
    pub evaluation: Evaluation,
    /// Those that could not.
    pub unreadable: Vec<UnreadableFilm>,
    /// `[films, classes]`
    pub scores: Vec<f32>,
}

/// Classifies every sample on the path that a single film takes, in batches, and judges the result.
///
/// # Errors
/// [`Error::Dataset`] when no film can be read; whatever the classifier returns.
pub fn measure(classifier: &Classifier, samples: &[Sample]) -> Result<Measured> {
    let bar = ui::progress(samples.len(), "films");
    let (mut scores, mut read, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for batch in samples.chunks(BATCH) {
        let inputs: Vec<Result<Vec<f32>>> = batch.par_iter().map(|sample| input(classifier, &sample.path)).collect();
        let mut images = Vec::new();
        for (sample, input) in batch.iter().zip(inputs) {
            match input {
                Ok(input) => {
                    images.extend(input);
                    read.push(sample);
                }
                Err(error) => unreadable.push(UnreadableFilm {
                    file: sample.name.clone(),
                    kind: error.kind(),
                    message: error.to_string(),
                }),
            }
        }
        if !images.is_empty() {
            scores.extend(classifier.scores(&images)?);
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    if read.is_empty() {
        let example = unreadable.first().map_or("there is none", |film| &film.message);
        return Err(Error::Dataset { reason: format!("none of {} films can be read: {example}", samples.len()) });
    }

    let labels: Vec<usize> = read.iter().map(|sample| sample.class).collect();
    let groups = known(&read, |sample| sample.group.as_ref(), |sample| sample.name.clone());
    let sources = known(&read, |sample| sample.source.as_ref(), |_| "unknown".into());
    let mut evaluation = evaluate(&scores, &labels, &classifier.card().classes, groups.as_deref());
    evaluation.by_source = sources.map(|sources| accuracy_by_source(&scores, &labels, &sources));
    Ok(Measured { evaluation, unreadable, scores })
}

fn input(classifier: &Classifier, path: &Path) -> Result<Vec<f32>> {
    let limits = Limits::default();
    classifier.card().preprocess.apply(&decode(&read_film(path, &limits)?, &limits)?)
}

/// What the manifest says of each film, `otherwise` for films it does not know; `None` when it knows none of them.
fn known<'a>(
    films: &[&'a Sample],
    of: impl Fn(&'a Sample) -> Option<&'a String>,
    otherwise: impl Fn(&Sample) -> String,
) -> Option<Vec<String>> {
    if films.iter().all(|film| of(film).is_none()) {
        return None;
    }
    Some(films.iter().map(|film| of(film).cloned().unwrap_or_else(|| otherwise(film))).collect())
}

fn describe(report: &Report) -> String {
    let evaluation = &report.evaluation;
    let mut text = format!(
        "{} {} on {} films of {}\n\naccuracy           {}   95 % interval {}",
        report.model,
        report.version,
        ui::thousands(evaluation.n),
        report.data,
        ui::percent(evaluation.accuracy),
        ui::interval(evaluation.accuracy_interval),
    );
    if let Some(by_group) = evaluation.accuracy_interval_by_group {
        text += &format!(", by patient {}", ui::interval(by_group));
    }
    text += &format!("\nbalanced accuracy  {}", ui::percent(evaluation.balanced_accuracy));
    text += &format!("\nloss               {:.4}", evaluation.loss);
    if let Some(same) = report.same_class_as_floats {
        text += &format!("\nclass as in floats {}", ui::percent(same));
    }

    let classes = &evaluation.classes;
    let head = |titles: &[&str]| titles.iter().map(|title| title.to_string()).collect::<Vec<_>>();
    let mut rows = vec![head(&[
        "class against the rest",
        "films",
        "AUROC",
        "sensitivity",
        "95 %",
        "specificity",
        "95 %",
        "PPV",
        "NPV",
    ])];
    for (class, rates) in evaluation.per_class.iter() {
        let area = evaluation.auroc.get(class).copied().flatten();
        let rate = |rate: Option<f64>| rate.map_or("–".into(), ui::percent);
        let range = |range: Option<[f64; 2]>| range.map_or(String::new(), ui::interval);
        rows.push(vec![
            class.into(),
            ui::thousands(rates.n),
            area.map_or("–".into(), |area| format!("{area:.4}")),
            rate(rates.sensitivity),
            range(rates.sensitivity_interval),
            rate(rates.specificity),
            range(rates.specificity_interval),
            rate(rates.ppv),
            rate(rates.npv),
        ]);
    }
    text += &format!("\n\n{}", ui::table(&rows));

    let mut rows = vec![["truth ↓  called →".to_owned()].into_iter().chain(classes.iter().cloned()).collect()];
    for (class, counts) in classes.iter().zip(&evaluation.confusion) {
        rows.push([class.clone()].into_iter().chain(counts.iter().map(|&count| ui::thousands(count))).collect());
    }
    text += &format!("\n\n{}", ui::table(&rows));

    if let Some(by_source) = &evaluation.by_source {
        let mut rows = vec![head(&["source", "films", "accuracy", "95 %"])];
        rows.extend(by_source.iter().map(|(source, s)| {
            vec![source.into(), ui::thousands(s.n), ui::percent(s.accuracy), ui::interval(s.accuracy_interval)]
        }));
        text += &format!("\n\n{}", ui::table(&rows));
    }
    if !report.left_out.is_empty() {
        text += &format!("\n\nleft out, no class of the model: {}", report.left_out.join(", "));
    }
    if !report.unreadable.is_empty() {
        text += &format!("\n\nleft out, not readable: {} (named above)", ui::thousands(report.unreadable.len()));
    }
    text
}
