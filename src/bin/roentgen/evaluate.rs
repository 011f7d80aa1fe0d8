//! `roentgen evaluate`: a model measured on folders of labelled films.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use roentgen::classifier::Classifier;
use roentgen::data::{self, LeftOut, Sample, Summary, open_labelled};
use roentgen::error::Result;
use roentgen::formats::folder::read_model_folder;
use roentgen::labels::ByName;
use roentgen::metrics::{Answered, Evaluation, Reached, SetsReached, Share, argmax};
use roentgen::nn::Precision;
use serde::Serialize;

use crate::films::{self, Outputs, UnreadableFilm, ValueRange};
use crate::labels::Labels;
use crate::refusal::{self, Counts};
use crate::ui;

/// Measure a model on folders of labelled images
#[derive(clap::Args)]
pub struct Args {
    /// Model folder: model.json and its weights
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder or zip of class folders; if it holds a `test` folder, that one is measured
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    labels: Labels,
    /// Measure only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Write the result as JSON to FILE; `-` prints it in place of the report
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    values: ValueRange,
    /// Count which images the model rejects, and why; they are measured all the same
    #[arg(long)]
    refuse: bool,
    /// Compute dense layers in eight bits, and say for how many images the class is the one that floats give
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
    /// What the model refuses of each class, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<BTreeMap<String, Counts>>,
    /// Folders that are no class of the model.
    left_out: Vec<String>,
    /// Zips that break off, and their like.
    notes: Vec<String>,
    /// What was decided about the folder that could have been decided otherwise.
    decided: Vec<String>,
    /// Files that are left out, and why.
    files_left_out: Vec<LeftOut>,
    /// What the films of each class are like as files.
    #[serde(flatten)]
    summary: Summary,
    unreadable: Vec<UnreadableFilm>,
}

/// Measures the model and reports.
pub fn run(args: Args) -> Result<ExitCode> {
    let (mut card, safetensors) = read_model_folder(&args.model)?;
    args.values.apply(&mut card.preprocess)?;
    let precision = if args.int8 { Precision::Int8 } else { Precision::Float };
    let classifier = Classifier::with_precision(card.clone(), &safetensors, precision)?;
    let floats = args.int8.then(|| Classifier::new(card, &safetensors)).transpose()?;
    drop(safetensors);
    let card = classifier.card();

    let labelled = open_labelled(&args.data, Some("test"), &card.classes, &args.only, &args.labels.columns())?;
    films::name_left_out(&labelled);
    let samples = labelled.samples;
    let Measured { evaluation, summary, unreadable, scores } = measure(&classifier, &samples)?;
    let same = |floats: Measured| {
        let classes = |scores: &[f32]| scores.chunks_exact(card.classes.len()).map(argmax).collect::<Vec<_>>();
        let (here, there) = (classes(&scores), classes(&floats.scores));
        here.iter().zip(&there).filter(|(a, b)| a == b).count() as f64 / here.len() as f64
    };
    let same_class_as_floats = floats.map(|floats| measure(&floats, &samples).map(same)).transpose()?;
    let refused = args.refuse.then(|| refused(&classifier, &samples)).transpose()?;
    let report = Report {
        model: card.id.clone(),
        version: card.version.clone(),
        data: labelled.folder.display().to_string(),
        evaluation,
        same_class_as_floats,
        refused,
        left_out: labelled.left_out,
        notes: labelled.notes,
        decided: labelled.decided,
        files_left_out: labelled.files_left_out,
        summary,
        unreadable,
    };
    films::name_unreadable(&report.unreadable);
    ui::report(&report, args.json.as_deref(), describe)?;
    Ok(ExitCode::SUCCESS)
}

/// What the model refuses of the films of each class.
fn refused(classifier: &Classifier, samples: &[Sample]) -> Result<BTreeMap<String, Counts>> {
    refusal::needed(classifier.card())?;
    let classes = classifier.card().classes.iter().enumerate();
    let counted = classes.map(|(index, class)| {
        let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.class == index).collect();
        (class.clone(), refusal::count(classifier, &samples, |sample, limits| sample.read(limits)))
    });
    Ok(counted.collect())
}

/// What [`measure`] found.
pub struct Measured {
    /// The model judged on the films that could be read.
    pub evaluation: Evaluation,
    /// What the films of each class are like as files.
    pub summary: Summary,
    /// Those that could not be read.
    pub unreadable: Vec<UnreadableFilm>,
    /// `[films, classes]`
    pub scores: Vec<f32>,
}

/// Classifies every sample on the path that a single film takes, in batches, and judges the result.
///
/// # Errors
/// Those of [`films::judged`].
pub fn measure(classifier: &Classifier, samples: &[Sample]) -> Result<Measured> {
    let Outputs { films, values: scores, facts, unreadable } =
        films::judged(classifier, samples, |images| classifier.scores(images))?;
    let (labels, sources, groups) = (films::labels(&films), films::sources(&films), films::groups(&films));
    let evaluation = classifier.evaluate(&scores, &labels, sources.as_deref(), groups.as_deref());
    let groups = films.iter().filter_map(|film| Some(("test", film.group.as_deref()?)));
    let summary = data::summary(&evaluation.classes, labels.iter().copied().zip(&facts), groups);
    Ok(Measured { evaluation, summary, unreadable, scores })
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
    if let Some(share) = &evaluation.among_present {
        text += &format!(
            "\nasked between {} alone: {}, 95 % interval {}",
            present(evaluation),
            ui::percent(share.value),
            ui::interval(bounds(share)),
        );
    }
    text += &format!("\nbalanced accuracy  {}", ui::percent(evaluation.balanced_accuracy));
    text += &format!("\nloss               {:.4}", evaluation.loss);
    if let Some(ece) = evaluation.ece {
        text += &format!("\ncalibration error  {}", ui::percent(ece));
    }
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

    if let Some(points) = &evaluation.operating_points {
        text += &format!("\n\n{}", ui::table(&points_table(points.iter())));
    }
    if let Some(answered) = &evaluation.answered {
        text += &format!("\n\n{}", in_words(answered));
    }
    if let Some(sets) = &evaluation.sets {
        text += &format!("\n\n{}", ui::table(&sets_table(sets)));
    }

    let mut rows = vec![["truth ↓  called →".to_owned()].into_iter().chain(classes.iter().cloned()).collect()];
    for (class, counts) in classes.iter().zip(&evaluation.confusion) {
        rows.push([class.clone()].into_iter().chain(counts.iter().map(|&count| ui::thousands(count))).collect());
    }
    text += &format!("\n\n{}", ui::table(&rows));

    if let Some(by_source) = &evaluation.by_source {
        let mut rows = vec![head(&["source", "films", "accuracy", "95 %"])];
        for (source, s) in by_source.iter() {
            let all = [ui::thousands(s.n), ui::percent(s.accuracy), ui::interval(s.accuracy_interval)];
            rows.push([vec![source.to_owned()], all.to_vec()].concat());
            for (class, share) in s.by_class.iter().flat_map(ByName::iter) {
                let of_class = [ui::thousands(share.of), ui::percent(share.value), ui::interval(bounds(share))];
                rows.push([vec![format!("  {class}")], of_class.to_vec()].concat());
            }
        }
        text += &format!("\n\n{}", ui::table(&rows));
    }
    if let Some(refused) = &report.refused {
        text += &format!("\n\n{}", refusal::table(refused.iter().map(|(class, counts)| (class.as_str(), counts))));
    }
    text += &format!("\n\n{}", films::by_class(&report.summary.by_class));
    for warning in &report.summary.warnings {
        text += &format!("\nwarning: {warning}");
    }
    if !report.left_out.is_empty() {
        text += &format!("\n\nleft out, no class of the model: {}", report.left_out.join(", "));
    }
    if !report.unreadable.is_empty() {
        text += &format!("\n\nleft out, not readable: {} (named above)", ui::thousands(report.unreadable.len()));
    }
    text
}

/// The classes that have films, in words.
pub fn present(evaluation: &Evaluation) -> String {
    let classes = evaluation.per_class.iter().filter(|(_, rates)| rates.n > 0).map(|(class, _)| class);
    classes.collect::<Vec<_>>().join(" and ")
}

/// What operating points reach, as rows of a table.
pub fn points_table<'a>(points: impl Iterator<Item = (&'a str, &'a Reached)>) -> Vec<Vec<String>> {
    let title = ["at its operating point", "sensitivity", "95 %", "specificity", "95 %"];
    let mut rows = vec![title.map(String::from).to_vec()];
    for (class, reached) in points {
        let cells = [&reached.sensitivity, &reached.specificity].map(|share| match share {
            Some(share) => [ui::percent(share.value), ui::interval(bounds(share))],
            None => ["–".into(), String::new()],
        });
        rows.push([vec![class.to_owned()], cells.concat()].concat());
    }
    rows
}

/// What an uncertain band reaches, as a sentence.
pub fn in_words(Answered { coverage, error }: &Answered) -> String {
    let answers = format!("answers {} of the films ({})", ui::percent(coverage.value), ui::interval(bounds(coverage)));
    match error {
        Some(error) => {
            format!("{answers}, {} of them wrongly ({})", ui::percent(error.value), ui::interval(bounds(error)))
        }
        None => answers,
    }
}

/// What answers that are sets reach, a line each: its name, the films it is a share of, its value and its interval.
pub fn sets_lines(sets: &SetsReached) -> Vec<[String; 4]> {
    let line = |name: String, share: &Share| {
        [name, ui::thousands(share.of), ui::percent(share.value), ui::interval(bounds(share))]
    };
    let mut lines = vec![line("holds the right class".into(), &sets.coverage)];
    lines.extend(sets.by_class.iter().map(|(class, share)| line(format!("of {class}"), share)));
    for (source, classes) in sets.by_source.iter().flat_map(ByName::iter) {
        lines.extend(classes.iter().map(|(class, share)| line(format!("of {class}, {source}"), share)));
    }
    lines.push(line("is one class".into(), &sets.single));
    lines.extend(sets.single_right.as_ref().map(|share| line("is one class: the right one".into(), share)));
    lines.push(line("cannot tell".into(), &sets.cannot_tell));
    lines.extend(sets.answered.as_ref().map(|share| line("can tell: holds the right class".into(), share)));
    let range = sets.mean_size_interval.map_or(String::new(), |[low, high]| format!("{low:.2}–{high:.2}"));
    let films = ui::thousands(sets.coverage.of);
    lines.push(["classes in it, on average".into(), films, format!("{:.2}", sets.mean_size), range]);
    lines
}

/// [`sets_lines`] as a table with a head.
pub fn sets_table(sets: &SetsReached) -> Vec<Vec<String>> {
    let head = ["the answer, a set of classes", "images", "share", "95 %"].map(String::from);
    [head].into_iter().chain(sets_lines(sets)).map(Vec::from).collect()
}

/// The interval to believe.
fn bounds(share: &Share) -> [f64; 2] {
    share.interval_by_group.unwrap_or(share.interval)
}
