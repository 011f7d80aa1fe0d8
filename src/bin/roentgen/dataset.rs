//! `roentgen dataset`: what is in a folder of films, before anyone trains on it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use roentgen::data::{self, Batch, Dataset, FolderOptions, Folders, LeftOut, Sample, Summary, Survey, Unreadable};
use roentgen::error::{Error, Result};
use roentgen::models::Architecture;
use roentgen::preprocess::Preprocess;
use serde_json::{Value, json};

use crate::films::{self, ValueRange, printable};
use crate::labels::Labels;
use crate::ui;

/// Say what is in a folder or zip of images
///
/// Names classes and splits, what is left out and why, and in what the files of each class differ.
#[derive(clap::Args)]
pub struct Args {
    /// Folder or zip with train/<class>/*, test/<class>/* and val/<class>/*, or <class>/* alone, or images with a table of
    /// labels
    dir: PathBuf,
    #[command(flatten)]
    labels: Labels,
    /// Count only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Classes in label order; default: all class folders in alphabetical order
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    classes: Option<Vec<String>>,
    /// Network whose batches are shown
    #[arg(
        long,
        default_value = "scratch-cnn",
        value_parser = PossibleValuesParser::new(Architecture::ALL.map(Architecture::name)),
    )]
    arch: String,
    /// Images in the batch that is shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch_size: u16,
    #[command(flatten)]
    values: ValueRange,
    /// Print JSON: {classes, splits, sizes, unreadable, duplicates, left_out, files_left_out, notes, decided, by_class, groups,
    /// unused, warnings, batch}
    #[arg(long)]
    json: bool,
}

/// Reads every film, prints what was found.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut preprocess = Architecture::from_name(&args.arch)?.preprocess();
    args.values.apply(&mut preprocess)?;
    // The folder as it is: nothing is held back for validation here.
    let options = FolderOptions {
        classes: args.classes,
        only: args.only,
        labels: args.labels.columns(),
        val_fraction: 0.0,
        ..FolderOptions::default()
    };
    let mut folders = data::open(&args.dir, &options)?;
    let mut films = Films::gather(&mut folders);
    let bar = ui::progress(films.samples.len(), "Reading films");
    films.survey = data::survey(&films.samples, &preprocess, |_| bar.inc(1));
    bar.finish_and_clear();
    films.survey.unreadable.append(&mut folders.unreadable);
    let batch = films.batch(&folders.classes, &preprocess, args.batch_size.into())?;
    if args.json {
        ui::say(films.to_json(&folders, &batch))?;
    } else {
        ui::say(films.describe(&args.dir, &folders, &batch))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The films of all splits in one list, so that copies are found across splits.
struct Films {
    samples: Vec<Sample>,
    /// Split names with the index of their first sample, in order.
    splits: Vec<(&'static str, usize)>,
    survey: Survey,
}

impl Films {
    /// Takes the samples out of `folders`.
    fn gather(folders: &mut Folders) -> Self {
        let mut films = Self { samples: Vec::new(), splits: Vec::new(), survey: Survey::default() };
        for (split, samples) in [("train", &mut folders.train), ("val", &mut folders.val), ("test", &mut folders.test)]
        {
            if !samples.is_empty() {
                films.splits.push((split, films.samples.len()));
                films.samples.append(samples);
            }
        }
        films
    }

    fn split(&self, sample: usize) -> &'static str {
        self.splits.iter().rfind(|(_, first)| *first <= sample).map_or("train", |(split, _)| split)
    }

    /// Readable films of one split, by class.
    fn counts(&self, split: &str, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &i in self.survey.readable.iter().filter(|&&i| self.split(i) == split) {
            counts[self.samples[i].class] += 1;
        }
        counts
    }

    /// A batch of readable training films, spread evenly over the classes' order; `None` when no film is readable.
    fn batch(&self, classes: &[String], preprocess: &Preprocess, size: usize) -> Result<Option<Batch>> {
        let train: Vec<usize> = self.survey.readable.iter().copied().filter(|&i| self.split(i) == "train").collect();
        if train.is_empty() {
            return Ok(None);
        }
        let picks = (0..size).map(|i| self.samples[train[i * train.len() / size]].clone()).collect::<Vec<_>>();
        let (dataset, _) = Dataset::load(&picks, classes, preprocess, |_| ())?;
        Ok(dataset.batches(preprocess, size).next())
    }

    /// What is worth saying about one set of copies beyond their names.
    fn where_copies_lie(&self, copies: &[usize]) -> Option<String> {
        let splits: BTreeSet<_> = copies.iter().map(|&i| self.split(i)).collect();
        let classes: BTreeSet<_> = copies.iter().map(|&i| self.samples[i].class).collect();
        match (splits.len() > 1, classes.len() > 1) {
            (false, false) => None,
            (true, false) => Some("in different splits".into()),
            (false, true) => Some("in different classes".into()),
            (true, true) => Some("in different splits and classes".into()),
        }
    }

    /// What the readable films are like as files.
    fn summary(&self, classes: &[String]) -> Summary {
        let facts = self.survey.readable.iter().map(|&i| self.samples[i].class).zip(&self.survey.facts);
        let groups = (0..self.samples.len()).filter_map(|i| Some((self.split(i), self.samples[i].group.as_deref()?)));
        data::summary(classes, facts, groups)
    }

    fn describe(&self, dir: &Path, folders: &Folders, batch: &Option<Batch>) -> String {
        let classes = &folders.classes;
        let title = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        let counts: Vec<Vec<usize>> = self.splits.iter().map(|(split, _)| self.counts(split, classes.len())).collect();
        let mut rows = vec![title(&["class"])];
        rows[0].extend(self.splits.iter().map(|(split, _)| split.to_string()));
        rows[0].push("all".into());
        let row = |name: &str, numbers: Vec<usize>| {
            let all = numbers.iter().sum();
            let cells = numbers.into_iter().chain([all]).map(ui::thousands);
            std::iter::once(printable(name)).chain(cells).collect::<Vec<_>>()
        };
        for (label, class) in classes.iter().enumerate() {
            rows.push(row(class, counts.iter().map(|split| split[label]).collect()));
        }
        rows.push(row("all", counts.iter().map(|split| split.iter().sum()).collect()));
        let mut text = ui::table(&rows);

        // Writing to a String cannot fail.
        let mut line = |words: String| _ = write!(text, "\n{}", printable(&words));
        line(String::new());
        match self.survey.sizes {
            _ if self.survey.readable.is_empty() => {}
            [[low_h, low_w], high] if [low_h, low_w] == high => {
                line(format!("sizes: every film is {low_w}×{low_h} px"))
            }
            [[low_h, low_w], [high_h, high_w]] => {
                line(format!("sizes: {low_w} to {high_w} px wide, {low_h} to {high_h} px high"));
            }
        }
        let summary = self.summary(classes);
        if !self.survey.readable.is_empty() {
            films::by_class(&summary.by_class).lines().for_each(|row| line(row.to_owned()));
        }
        summary.warnings.iter().for_each(|warning| line(format!("warning: {warning}")));
        if let Some(groups) = &summary.groups {
            let [groups, images] = [groups.groups, groups.images].map(ui::thousands);
            line(format!("patients: {groups}, of {images} images"));
        }
        if let Some(words) = imbalance(classes, &counts[0]) {
            line(words);
        }
        match batch {
            Some(batch) => {
                let Batch { n, channels, height, width, classes, .. } = batch;
                let [low, high] = range(batch);
                line(format!(
                    "a batch: images [{n}, {channels}, {height}, {width}], channels first, \
                     values in [{low:.3}, {high:.3}]; labels [{n}, {classes}], one-hot"
                ));
            }
            None => line("a batch: none, as no training film is readable".into()),
        }
        if folders.val_drawn {
            line(
                "there is no val folder: `roentgen train` holds back a share of the training films, \
                 whole groups at a time"
                    .into(),
            );
        }
        folders.decided.iter().for_each(|what| line(format!("decided: {what}")));
        folders.notes.iter().for_each(|note| line(format!("note: {note}")));
        for LeftOut { words, count, files, .. } in &folders.files_left_out {
            let named: Vec<&str> = files.iter().take(NAMED).map(String::as_str).collect();
            let more = if *count > named.len() { ", …" } else { "" };
            line(format!("left out, {words}: {}, namely {}{more}", ui::thousands(*count), named.join(", ")));
        }
        if !folders.left_out.is_empty() {
            line(format!("left out: {}", folders.left_out.join(", ")));
        }
        let below = |path: &Path| path.strip_prefix(dir).unwrap_or(path).display().to_string();
        let copies: usize = self.survey.duplicates.iter().map(|copies| copies.len() - 1).sum();
        line(format!("duplicates: {}", ui::thousands(copies)));
        for copies in &self.survey.duplicates {
            let names: Vec<String> = copies.iter().map(|&i| below(&self.samples[i].path)).collect();
            let remark = self.where_copies_lie(copies).map(|words| format!(" ({words})")).unwrap_or_default();
            line(format!("  {}{remark}", names.join(" = ")));
        }
        line(format!("unreadable: {}", ui::thousands(self.survey.unreadable.len())));
        for Unreadable { path, error } in &self.survey.unreadable {
            let reason = match error {
                // The line has the path already.
                Error::Io { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            line(format!("  {}: {reason}", below(path)));
        }
        text
    }

    fn to_json(&self, folders: &Folders, batch: &Option<Batch>) -> Value {
        let classes = &folders.classes;
        let splits = self.splits.iter().map(|(split, _)| {
            let counts = classes.iter().cloned().zip(self.counts(split, classes.len()).into_iter().map(Value::from));
            (split.to_string(), Value::Object(counts.collect()))
        });
        let duplicates = self.survey.duplicates.iter().map(|copies| {
            json!({
                "files": copies.iter().map(|&i| self.samples[i].path.to_string_lossy()).collect::<Vec<_>>(),
                "splits": copies.iter().map(|&i| self.split(i)).collect::<BTreeSet<_>>(),
                "classes": copies.iter().map(|&i| &classes[self.samples[i].class]).collect::<BTreeSet<_>>(),
            })
        });
        let unreadable = self.survey.unreadable.iter().map(|Unreadable { path, error }| {
            let file = path.to_string_lossy();
            json!({ "file": file, "kind": error.kind(), "message": error.to_string() })
        });
        let [smallest, largest] = self.survey.sizes;
        let Summary { by_class, groups, unused, warnings } = self.summary(classes);
        json!({
            "classes": classes,
            "splits": Value::Object(splits.collect()),
            "sizes": { "smallest": smallest, "largest": largest },
            "unreadable": unreadable.collect::<Vec<_>>(),
            "duplicates": duplicates.collect::<Vec<_>>(),
            "left_out": folders.left_out,
            "files_left_out": folders.files_left_out,
            "notes": folders.notes,
            "decided": folders.decided,
            "by_class": by_class,
            "groups": groups,
            "unused": unused,
            "warnings": warnings,
            "batch": batch.as_ref().map(|batch| json!({
                "images": [batch.n, batch.channels, batch.height, batch.width],
                "range": range(batch),
                "labels": [batch.n, batch.classes],
            })),
        })
    }
}

/// Files left out for one reason that are named; JSON has more.
const NAMED: usize = 3;

/// Smallest and largest value of the images.
fn range(batch: &Batch) -> [f32; 2] {
    batch.images.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], &v| [low.min(v), high.max(v)])
}

/// How much more of one class there is than of another, when it is enough to sway a network: half as much again.
fn imbalance(classes: &[String], train: &[usize]) -> Option<String> {
    let (most, largest) = train.iter().enumerate().max_by_key(|(_, count)| **count)?;
    let (least, smallest) = train.iter().enumerate().min_by_key(|(_, count)| **count)?;
    (*smallest > 0 && 2 * largest >= 3 * smallest).then(|| {
        let times = *largest as f64 / *smallest as f64;
        format!(
            "imbalance: {times:.1} times as many `{}` as `{}` films to train on; \
             accuracy alone will flatter, see sensitivity and specificity",
            classes[most], classes[least]
        )
    })
}
