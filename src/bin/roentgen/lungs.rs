//! `roentgen lungs`: trains a network that finds the lungs, and cuts films to them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rayon::prelude::*;
use roentgen::error::{Error, Result};
use roentgen::formats::folder::write_file_atomically;
use roentgen::formats::{in_floats, read_weights, write_weights};
use roentgen::image::Radiograph;
use roentgen::lungs::{Drawn, FitConfig, LungFinder, fit};

use crate::audit::lungs::{masks, read};
use crate::films::grey_png;
use crate::refusal::pictures;
use crate::ui;

/// Find the lungs in images, and crop images to them
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Train the network on images with their lungs drawn, and measure it on those set aside
    Fit(FitArgs),
    /// Measure it on images with their lungs drawn
    Measure(MeasureArgs),
    /// Write a copy of a folder of images, each cropped to its lungs
    Crop(CropArgs),
}

#[derive(clap::Args)]
struct FitArgs {
    /// Folder with images/*.png and masks/*.png of the same names, white where there is lung, and a manifest.csv whose
    /// columns `name` and `split` say which are to train on and which to measure on
    #[arg(long, value_name = "DIR")]
    masks: PathBuf,
    /// File that the weights are written to
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// Passes over the images
    #[arg(long, default_value_t = FitConfig::default().epochs)]
    epochs: usize,
    /// Decides initial weights, order and augmentation
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(clap::Args)]
struct MeasureArgs {
    /// Weights of the network
    #[arg(long, value_name = "FILE.safetensors")]
    finder: PathBuf,
    /// As for `fit`; without a manifest all are measured
    #[arg(long, value_name = "DIR")]
    masks: PathBuf,
}

#[derive(clap::Args)]
struct CropArgs {
    /// Weights of the network
    #[arg(long, value_name = "FILE.safetensors")]
    finder: PathBuf,
    /// Folder of images; its subfolders are searched, too
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder that the images are written to, as PNG, with the manifest if there is one
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Fit(args) => train(&args),
        Command::Measure(args) => {
            let (train, test) = masks(&args.masks)?;
            let drawn = if test.is_empty() { train } else { test };
            measure(&finder(&args.finder)?, &args.masks, &drawn)
        }
        Command::Crop(args) => crop(&args),
    }
}

fn train(args: &FitArgs) -> Result<ExitCode> {
    let (train, test) = masks(&args.masks)?;
    let films = pairs(&args.masks, &train, |film, lungs| Drawn::new(&film, &lungs))?;
    let config = FitConfig { epochs: args.epochs, seed: args.seed, ..FitConfig::default() };
    let bar = ui::progress(config.epochs, "epochs");
    let mut last = f32::NAN;
    let weights = fit(&films, &config, |_, loss| {
        last = loss;
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    write_file_atomically(&args.out, &write_weights(&in_floats(weights.clone()))?)?;
    ui::say(format!("trained on {} films, loss {last:.4}: {}", ui::thousands(films.len()), args.out.display()))?;
    if test.is_empty() { Ok(ExitCode::SUCCESS) } else { measure(&LungFinder::new(weights)?, &args.masks, &test) }
}

fn finder(path: &Path) -> Result<LungFinder> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    LungFinder::new(read_weights(&bytes)?)
}

/// What `of` makes of each film in `dir` and the lungs drawn on it.
fn pairs<T: Send>(
    dir: &Path,
    drawn: &[PathBuf],
    of: impl Fn(Radiograph, Radiograph) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let images = dir.join("images");
    let pair = |mask: &PathBuf| of(read(&images.join(mask.file_name().unwrap_or_default()))?, read(mask)?);
    drawn.par_iter().map(pair).collect()
}

fn measure(finder: &LungFinder, dir: &Path, drawn: &[PathBuf]) -> Result<ExitCode> {
    let found = pairs(dir, drawn, |film, lungs| {
        let map = finder.find(&film)?;
        Ok((map.dice(&lungs), map.crop().map(|crop| crop.keeps(&lungs).unwrap_or(1.0))))
    })?;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let mut dice: Vec<f64> = found.iter().map(|(dice, _)| *dice).collect();
    dice.sort_by(f64::total_cmp);
    let kept: Vec<f64> = found.iter().filter_map(|(_, kept)| *kept).collect();
    let Some(least) = dice.first() else {
        return Err(Error::Dataset { reason: format!("{} has no masks to measure on", dir.display()) });
    };
    ui::say(format!(
        "{} films: Dice {:.3} (median {:.3}, least {least:.3}); {} can be cut to their lungs, which keeps {} of them (least {})",
        ui::thousands(dice.len()),
        mean(&dice),
        dice[dice.len() / 2],
        ui::thousands(kept.len()),
        ui::percent(mean(&kept)),
        ui::percent(kept.iter().copied().fold(1.0, f64::min)),
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn crop(args: &CropArgs) -> Result<ExitCode> {
    let finder = finder(&args.finder)?;
    let data = args.data.canonicalize().map_err(|source| Error::Io { path: args.data.clone(), source })?;
    // Where it will lie: in the first folder above it that there is.
    let out = std::path::absolute(&args.out).map_err(|source| Error::Io { path: args.out.clone(), source })?;
    if out.ancestors().find_map(|folder| folder.canonicalize().ok()).is_some_and(|folder| folder.starts_with(&data)) {
        let reason = format!("`{}` lies in the folder of the films; choose another", args.out.display());
        return Err(Error::Config { field: "out", reason });
    }
    let (manifests, films): (Vec<PathBuf>, Vec<PathBuf>) =
        pictures(&args.data)?.into_iter().partition(|path| path.ends_with("manifest.csv"));
    let mut names = HashMap::new();
    if let Some((one, other)) = films.iter().find_map(|film| Some((names.insert(film.with_extension(""), film)?, film)))
    {
        let reason = format!("{} and {} would have the same name", one.display(), other.display());
        return Err(Error::Dataset { reason });
    }
    let bar = ui::progress(films.len(), "films");
    let cut = |path: &PathBuf| {
        let film = read(path)?;
        let crop = finder.find(&film)?.crop();
        let part = crop.map_or(Ok(film.clone()), |crop| crop.of(&film))?;
        let below = path.strip_prefix(&args.data).expect("found below it").with_extension("png");
        write_film(&args.out.join(below), &part)?;
        bar.inc(1);
        Ok(crop.is_some())
    };
    // A file that is no film is left out with its reason.
    let cut: Vec<(&PathBuf, Result<bool>)> = films.par_iter().map(|path| (path, cut(path))).collect();
    bar.finish_and_clear();
    let (mut done, mut whole) = (0, 0);
    for (path, cut) in cut {
        match cut {
            Ok(true) => done += 1,
            Ok(false) => whole += 1,
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => ui::complain(&format!("warning: {} is left out: {error}", path.display())),
        }
    }
    for manifest in &manifests {
        let below = manifest.strip_prefix(&args.data).expect("found below it");
        write_file_atomically(&args.out.join(below), &renamed(manifest)?)?;
    }
    ui::say(format!(
        "{} films cut to their lungs, {} left whole, where too little lung was found: {}",
        ui::thousands(done),
        ui::thousands(whole),
        args.out.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn write_film(path: &Path, film: &Radiograph) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.into(), source })?;
    }
    let grey = film.luma().iter().map(|v| (v * 255.0).round() as u8).collect();
    write_file_atomically(path, &grey_png(film.height(), film.width(), grey)?)
}

/// The manifest with the films' new names; their hashes, which are others now, are left empty.
fn renamed(manifest: &Path) -> Result<Vec<u8>> {
    let refuse = |error: csv::Error| Error::Dataset { reason: format!("{}: {error}", manifest.display()) };
    let mut reader = csv::Reader::from_path(manifest).map_err(refuse)?;
    let headers = reader.headers().map_err(refuse)?.clone();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&headers).map_err(refuse)?;
    for record in reader.records() {
        let record = record.map_err(refuse)?;
        let fields = headers.iter().zip(&record).map(|(header, field)| match header {
            "path" => Path::new(field).with_extension("png").to_string_lossy().into_owned(),
            "sha256" => String::new(),
            _ => field.to_owned(),
        });
        writer.write_record(fields).map_err(refuse)?;
    }
    writer.into_inner().map_err(|error| Error::Dataset { reason: error.to_string() })
}
