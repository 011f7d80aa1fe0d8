//! `roentgen refusal`: fits what refuses pictures that are no frontal chest films, and measures it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use roentgen::classifier::Classifier;
use roentgen::data::{self, FolderOptions, Sample, read_film};
use roentgen::error::{Error, Result};
use roentgen::formats::folder::{read_model_folder, write_card, write_model_folder};
use roentgen::formats::{ModelCard, Storage, Weight, read_weights, write_beside, write_weights};
use roentgen::image::{Limits, Radiograph, decode};
use roentgen::refusal::fit::{Examples, FitConfig, fit, limits};
use roentgen::refusal::{Gate, Kind, Reason, made};
use serde::Serialize;
use serde_json::json;

use crate::ui;

/// Fit and measure which images a model rejects
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Fit it to a model and store it in the model's folder
    ///
    /// Learns from training images, from images that are turned, inverted, cropped and spoilt on purpose, and from any other
    /// pictures you have. The limits are set on validation images. What the model says of an image does not change.
    Fit(FitArgs),
    /// Count which images a model rejects, and why, in each folder of a folder
    Measure(MeasureArgs),
}

#[derive(clap::Args)]
struct FitArgs {
    /// Model folder; its card and weights are changed
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder that it was trained on, with train/<class>/* and preferably val/<class>/*
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder of pictures that are no frontal chest X-rays; its subfolders are searched, too
    #[arg(long, value_name = "DIR")]
    outliers: Option<PathBuf>,
    /// Folder of lateral chest X-rays; its subfolders are searched, too. Those under --outliers count as any other picture
    #[arg(long, value_name = "DIR")]
    laterals: Option<PathBuf>,
    /// Images of each kind to fit on, spread evenly over all
    #[arg(long, default_value_t = 2000)]
    films: usize,
    /// Proportion of the validation images that may be rejected for what they look like, and as many again for their distance
    #[arg(long, default_value_t = 0.005)]
    refused: f64,
    /// Decides which image is spoilt in which way, and the order of the fit
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(clap::Args)]
struct MeasureArgs {
    /// Model folder
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder of folders of images
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Keep the counts in model.json under this name
    #[arg(long, value_name = "NAME")]
    note: Option<String>,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Fit(args) => fit_gate(args),
        Command::Measure(args) => measure(args),
    }
}

/// Films that go through the network at once; each has two changed ones beside it.
const BATCH: usize = 32;
/// Pictures of nothing for every hundred films.
const DRAWN: usize = 15;

fn fit_gate(args: FitArgs) -> Result<ExitCode> {
    if !(0.0..=0.2).contains(&args.refused) {
        let reason = format!("is {}; it must be 0 to 0.2", args.refused);
        return Err(Error::Config { field: "refused", reason });
    }
    let (card, safetensors) = read_model_folder(&args.model)?;
    let card = ModelCard { refusal: None, ..card };
    let classifier = Classifier::new(card.clone(), &safetensors)?;
    let options = FolderOptions { classes: Some(card.classes.clone()), ..FolderOptions::default() };
    let folders = data::open(&args.data, &options)?;
    let (train, val) = (spread(&folders.train, args.films), spread(&folders.val, args.films));
    let collected = [("--outliers", Kind::Other, &args.outliers), ("--laterals", Kind::Lateral, &args.laterals)];
    let collected = collected.into_iter().filter_map(|(option, kind, dir)| Some((option, kind, dir.as_deref()?)));
    let collected: Vec<(Kind, Vec<PathBuf>)> = collected
        .map(|(option, kind, dir)| match pictures(dir)? {
            none if none.is_empty() => {
                Err(Error::Dataset { reason: format!("the folder of {option} has no image in it") })
            }
            found => Ok((kind, found)),
        })
        .collect::<Result<_>>()?;

    let mut examples = Examples::default();
    let mut add = |pictures: &[(Kind, Radiograph)]| -> Result<()> {
        let (kinds, traces) = traces(&classifier, pictures)?;
        examples.kinds.extend(kinds);
        examples.features.extend(traces);
        Ok(())
    };
    let (bar, most) = (ui::progress(train.len(), "films"), Limits::default());
    for (batch, samples) in train.chunks(BATCH).enumerate() {
        let films: Vec<Radiograph> = samples.par_iter().filter_map(|sample| film(sample.read(&most))).collect();
        let changed = films.par_iter().enumerate().map(|(i, film)| {
            let number = batch * BATCH + i;
            let mut rng = ChaCha8Rng::seed_from_u64(args.seed.wrapping_add(number as u64));
            let all = made::changed(film, &mut rng)?;
            // Two of them, another two for the next film.
            let (kinds, step) = (all.len(), all.len() / 2);
            Ok(all
                .into_iter()
                .enumerate()
                .filter(|(kind, _)| kind % step == number % kinds % step)
                .map(|(_, made)| made)
                .collect())
        });
        let changed: Vec<(Kind, Radiograph)> =
            changed.collect::<Result<Vec<Vec<_>>>>()?.into_iter().flatten().collect();
        add(&changed)?;
        if films.len() == BATCH {
            let all: Vec<&Radiograph> = films.iter().collect();
            add(&[(Kind::Film, made::average(&all, AVERAGE_SIDE)?)])?;
        }
        add(&films.into_iter().map(|film| (Kind::Film, film)).collect::<Vec<_>>())?;
        bar.inc(samples.len() as u64);
    }
    bar.finish_and_clear();
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    for _ in 0..(train.len() * DRAWN / 100).div_ceil(BATCH) {
        let drawn = (0..BATCH).map(|_| Ok((Kind::Other, made::drawn(&mut rng)?))).collect::<Result<Vec<_>>>()?;
        add(&drawn)?;
    }
    let paths = |kind: Kind| collected.iter().find(|(other, _)| *other == kind).map_or(0, |(_, paths)| paths.len());
    let bar = ui::progress(paths(Kind::Other) + paths(Kind::Lateral), "other pictures");
    for (kind, paths) in &collected {
        for paths in paths.chunks(BATCH) {
            let films: Vec<Radiograph> = paths.par_iter().filter_map(|path| film(read_film(path, &most))).collect();
            // There are few of these, and patients face either way.
            let mirrored = films.iter().filter(|_| *kind == Kind::Lateral).map(made::mirrored);
            let mirrored = mirrored.collect::<Result<Vec<_>>>()?;
            add(&films.into_iter().chain(mirrored).map(|film| (*kind, film)).collect::<Vec<_>>())?;
            bar.inc(paths.len() as u64);
        }
    }
    bar.finish_and_clear();
    let mut validation = Vec::new();
    let bar = ui::progress(val.len(), "validation films");
    for samples in val.chunks(BATCH) {
        let films: Vec<_> =
            samples.par_iter().filter_map(|sample| Some((Kind::Film, film(sample.read(&most))?))).collect();
        validation.extend(traces(&classifier, &films)?.1);
        bar.inc(samples.len() as u64);
    }
    bar.finish_and_clear();

    let features = validation.len() / val.len().max(1);
    if features == 0 {
        return Err(Error::Dataset { reason: "no validation film can be read".into() });
    }
    let gate = fit(features, &examples, &FitConfig { seed: args.seed, ..FitConfig::default() })?;
    // The limits are those of the gate as stored.
    let stored = write_weights(&packed(&gate))?;
    let gate = Gate::take(&mut read_weights(&stored)?, features)?;
    let mut info = limits(&gate, &validation, args.refused)?;
    let refused = validation.chunks_exact(features).filter(|film| gate.refuse(film, &info).is_some()).count();
    let count = |kind: Kind| examples.kinds.iter().filter(|other| **other == kind).count();
    info.fitted = Some(json!({
        "films": count(Kind::Film),
        "changed": examples.kinds.len() - [Kind::Film, Kind::Other, Kind::Lateral].map(count).iter().sum::<usize>(),
        "others": count(Kind::Other),
        "of_them_collected": paths(Kind::Other),
        "laterals": count(Kind::Lateral),
        "of_them_as_taken": paths(Kind::Lateral),
        "validation_films": val.len(),
        "validation_films_refused": refused,
        "seed": args.seed,
    }));
    let encoding = card.weights.encoding;
    let card = ModelCard { refusal: Some(info), ..card };
    let written = write_model_folder(&args.model, &card, &write_beside(&safetensors, &packed(&gate))?, encoding)?;
    ui::say(format!(
        "fitted on {} pictures; refuses {refused} of {} validation films\n{} bytes of weights, in {}",
        ui::thousands(examples.kinds.len()),
        ui::thousands(val.len()),
        ui::thousands(written.weights.bytes as usize),
        args.model.display(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Side of averaged films in pixels: that of the sample pictures.
const AVERAGE_SIDE: usize = 224;

/// The gate as it is stored.
fn packed(gate: &Gate) -> Vec<Weight> {
    let half = |name: &str| name.ends_with("weight") || name.ends_with("directions");
    let tensors = gate.tensors().into_iter();
    tensors
        .map(|(name, tensor)| {
            let storage = if half(&name) { Storage::F16 } else { Storage::F32 };
            Weight { name, shape: tensor.shape, values: tensor.values, storage }
        })
        .collect()
}

/// Kinds and traces of the pictures that are large enough for the network to see.
fn traces(classifier: &Classifier, pictures: &[(Kind, Radiograph)]) -> Result<(Vec<Kind>, Vec<f32>)> {
    let preprocess = &classifier.card().preprocess;
    let inputs: Vec<_> =
        pictures.par_iter().filter_map(|(kind, picture)| Some((*kind, preprocess.apply(picture).ok()?))).collect();
    if inputs.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let kinds = inputs.iter().map(|(kind, _)| *kind).collect();
    let images: Vec<f32> = inputs.into_iter().flat_map(|(_, input)| input).collect();
    Ok((kinds, classifier.traces(&images)?))
}

/// The picture in a file, if there is one: folders of pictures hold notes and films of rare kinds too.
fn film(bytes: Result<Vec<u8>>) -> Option<Radiograph> {
    bytes.and_then(|bytes| decode(&bytes, &Limits::default())).ok()
}

/// At most `count` samples, evenly over all.
fn spread(samples: &[Sample], count: usize) -> Vec<&Sample> {
    let count = count.min(samples.len());
    (0..count).map(|i| &samples[i * samples.len() / count]).collect()
}

/// All files below a folder, in the order of their names.
pub fn pictures(dir: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::Io { path: dir.into(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_dir() {
            found.extend(pictures(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What was refused of some pictures.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Pictures that could be read.
    pub n: usize,
    /// Of them, those that were refused.
    pub refused: usize,
    /// Of those, how many for each reason.
    pub reasons: BTreeMap<&'static str, usize>,
    /// Files that could not be read, or were too small to be looked at; not among the pictures.
    pub errors: usize,
}

/// Refuses a model that refuses nothing.
///
/// # Errors
/// [`Error::ModelCard`] that says what to do.
pub fn needed(card: &ModelCard) -> Result<()> {
    if card.refusal.is_none() {
        let reason = "it has no `refusal`; fit one with `roentgen refusal fit`".into();
        return Err(Error::ModelCard { reason });
    }
    Ok(())
}

/// Judges the files and counts.
pub fn count<T: Sync>(
    classifier: &Classifier,
    files: &[T],
    read: impl Fn(&T, &Limits) -> Result<Vec<u8>> + Sync,
) -> Counts {
    let limits = Limits::default();
    let bar = ui::progress(files.len(), "pictures");
    let reasons: Vec<Result<Option<Reason>>> = files
        .par_iter()
        .map(|file| {
            let outcome = read(file, &limits).and_then(|bytes| classifier.classify_bytes(&bytes));
            bar.inc(1);
            Ok(outcome?.refused.map(|refusal| refusal.reason))
        })
        .collect();
    bar.finish_and_clear();
    let mut counts = Counts::default();
    for reason in reasons {
        match reason {
            Err(_) => counts.errors += 1,
            Ok(reason) => {
                counts.n += 1;
                if let Some(reason) = reason {
                    counts.refused += 1;
                    *counts.reasons.entry(reason.code()).or_default() += 1;
                }
            }
        }
    }
    counts
}

fn measure(args: MeasureArgs) -> Result<ExitCode> {
    let (card, safetensors) = read_model_folder(&args.model)?;
    needed(&card)?;
    let classifier = Classifier::new(card, &safetensors)?;
    let mut folders: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in pictures(&args.data)? {
        let inside = path.strip_prefix(&args.data).unwrap_or(&path);
        let folder = inside.parent().map(|parent| parent.to_string_lossy().into_owned()).unwrap_or_default();
        folders.entry(folder).or_default().push(path);
    }
    let counted: BTreeMap<String, Counts> = folders
        .into_iter()
        .map(|(folder, paths)| (folder, count(&classifier, &paths, |path, limits| read_film(path, limits))))
        .collect();
    if let Some(name) = args.note {
        let mut card = classifier.card().clone();
        if let Some(info) = &mut card.refusal {
            info.measured.insert(name, json!(counted));
        }
        write_card(&args.model, &card)?;
    }
    if args.json {
        ui::say(serde_json::to_string_pretty(&counted).expect("counts have string keys and no fallible values"))?;
    } else {
        ui::say(table(counted.iter().map(|(folder, counts)| (folder.as_str(), counts))))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each of the `counts`.
pub fn table<'a>(counts: impl Iterator<Item = (&'a str, &'a Counts)>) -> String {
    let mut rows = vec![["pictures", "n", "refused", "", "for being"].map(String::from).to_vec()];
    rows.extend(counts.map(|(name, counts)| {
        let reasons: Vec<String> = counts.reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
        let share = counts.refused as f64 / counts.n.max(1) as f64;
        vec![
            name.to_owned(),
            ui::thousands(counts.n),
            ui::thousands(counts.refused),
            ui::percent(share),
            reasons.join(", "),
        ]
    }));
    ui::table(&rows)
}
