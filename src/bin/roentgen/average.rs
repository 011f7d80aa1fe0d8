//! `roentgen average`: one picture a class, the mean of many films, to show and to try without anybody's own film.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use image::{ImageBuffer, Luma};
use rayon::prelude::*;
use roentgen::data::{self, FolderOptions, Sample};
use roentgen::error::{Error, Result};
use roentgen::formats::folder::write_file_atomically;
use roentgen::image::{Limits, decode};
use roentgen::preprocess::Preprocess;

use crate::films::grey_png;
use crate::ui;

/// Fewer films than this could let one of them show through.
const FEWEST: usize = 50;

/// Unsharp mask: standard deviation of the blur in pixels, and the multiple of the difference that is added.
///
/// An average has no fine detail left, and to a network blur looks like haze in the lungs. With this much the average
/// of healthy films has about the detail of a film again.
const SHARPEN: (f32, f32) = (2.0, 4.0);

/// Average many images of each class into one sample picture
///
/// Lists the pictures in samples.json. The training images that agree best with the mean of all are typical: their lungs
/// lie in about the same place. The average is sharpened, and stretched to the whole range of brightness.
#[derive(clap::Args)]
pub struct Args {
    /// Folder with train/<class>/*
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Model folder; pictures go to its samples/, the list to its samples.json
    #[arg(long, value_name = "MODEL_DIR")]
    out: PathBuf,
    /// Classes; default: all class folders
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    classes: Option<Vec<String>>,
    /// Use only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Images in one average
    #[arg(long, default_value_t = FEWEST)]
    films: usize,
    /// Side of the pictures, in pixels
    #[arg(long, default_value_t = 224)]
    size: usize,
}

#[derive(serde::Serialize)]
struct Entry {
    file: String,
    class: String,
    caption: String,
    n: usize,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let options = FolderOptions { classes: args.classes.clone(), only: args.only.clone(), ..FolderOptions::default() };
    let folders = data::open(&args.data, &options)?;
    let pictures = args.out.join("samples");
    fs::create_dir_all(&pictures).map_err(|source| Error::Io { path: pictures.clone(), source })?;
    let mut entries = Vec::new();
    for (index, class) in folders.classes.iter().enumerate() {
        let films: Vec<&Sample> = folders.train.iter().filter(|s| s.class == index).collect();
        let typical = typical(&films, args.films, args.size)?;
        let n = typical.len();
        if n < FEWEST {
            let reason = format!(
                "an average of {n} films of class `{class}` could show one of them; at least {FEWEST} readable ones are needed"
            );
            return Err(Error::Dataset { reason });
        }
        let mean = mean(&typical, args.size)?;
        let file = format!("samples/{}.png", slug(class));
        write_file_atomically(&args.out.join(&file), &png(mean, args.size)?)?;
        let caption = format!("Average of {} training films, sharpened: {class}", ui::thousands(n));
        entries.push(Entry { file, class: class.clone(), caption, n });
    }
    let json = serde_json::to_vec_pretty(&entries).map_err(|e| Error::Dataset { reason: e.to_string() })?;
    write_file_atomically(&args.out.join("samples.json"), &json)?;
    ui::say(format!("{} averages in {}", entries.len(), pictures.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the films, `[size, size]` each with mean 0 and standard deviation 1, and hands them over in order.
fn for_each_film(
    films: &[&Sample],
    size: usize,
    what: &'static str,
    mut visit: impl FnMut(usize, Vec<f32>),
) -> Result<()> {
    let resize = Preprocess::new(1, size, size);
    resize.validate()?;
    let bar = ui::progress(films.len(), what);
    let read = |film: &&Sample| {
        let limits = Limits::default();
        resize.apply(&decode(&film.read(&limits)?, &limits)?).map(standardised)
    };
    for (first, chunk) in films.chunks(64).enumerate().map(|(i, chunk)| (64 * i, chunk)) {
        let read: Vec<Result<Vec<f32>>> = chunk.par_iter().map(read).collect();
        for (i, (film, luma)) in chunk.iter().zip(read).enumerate() {
            match luma {
                Ok(luma) => visit(first + i, luma),
                Err(error) => ui::complain(&format!("left out, unreadable: {}: {error}", film.name)),
            }
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Mean 0 and standard deviation 1; a blank film stays at 0.
fn standardised(mut luma: Vec<f32>) -> Vec<f32> {
    let n = luma.len() as f64;
    let mean = luma.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = luma.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    let scale = if variance > 0.0 { variance.sqrt().recip() } else { 0.0 };
    luma.iter_mut().for_each(|v| *v = ((f64::from(*v) - mean) * scale) as f32);
    luma
}

/// The mean of the standardised films, `[size, size]`.
fn mean(films: &[&Sample], size: usize) -> Result<Vec<f32>> {
    let mut sum = vec![0.0_f64; size * size];
    for_each_film(films, size, "averaging", |_, luma| {
        sum.iter_mut().zip(&luma).for_each(|(s, v)| *s += f64::from(*v))
    })?;
    Ok(sum.into_iter().map(|s| (s / films.len().max(1) as f64) as f32).collect())
}

/// The `count` readable films that correlate best with the mean of all.
fn typical<'a>(films: &[&'a Sample], count: usize, size: usize) -> Result<Vec<&'a Sample>> {
    let mean = mean(films, size)?;
    let mut scores = Vec::with_capacity(films.len());
    for_each_film(films, size, "comparing", |i, luma| {
        let product: f64 = luma.iter().zip(&mean).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        scores.push((product, i));
    })?;
    scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    Ok(scores.into_iter().take(count).map(|(_, i)| films[i]).collect())
}

/// The mean sharpened by an unsharp mask and stretched to the whole range from black to white, but for half a per cent
/// at either end.
fn png(mean: Vec<f32>, size: usize) -> Result<Vec<u8>> {
    let side = size as u32;
    let mean: ImageBuffer<Luma<f32>, _> = ImageBuffer::from_raw(side, side, mean).expect("one pixel a value");
    let (deviation, amount) = SHARPEN;
    let blurred = image::imageops::blur(&mean, deviation);
    let sharp: Vec<f32> = mean.iter().zip(blurred.iter()).map(|(v, blurred)| v + amount * (v - blurred)).collect();
    let mut sorted = sharp.clone();
    sorted.sort_by(f32::total_cmp);
    let (low, high) = (sorted[sorted.len() / 200], sorted[sorted.len() - 1 - sorted.len() / 200]);
    let scale = 255.0 / (high - low).max(f32::MIN_POSITIVE);
    let pixels = sharp.iter().map(|v| ((v - low) * scale).round().clamp(0.0, 255.0) as u8).collect();
    grey_png(size, size, pixels)
}

/// `COVID-19` as `covid-19`: what is safe in file names and addresses.
fn slug(class: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    class.chars().map(safe).collect()
}
