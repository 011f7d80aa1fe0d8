//! `roentgen average`: one picture a class, the mean of many films, to show and to try without anybody's own film.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use image::{GrayImage, ImageFormat};
use rayon::prelude::*;
use roentgen::data::{self, FolderOptions, Sample};
use roentgen::error::{Error, Result};
use roentgen::formats::folder::write_file_atomically;
use roentgen::image::{Limits, decode};
use roentgen::preprocess::Preprocess;

use crate::ui;

/// Fewer films than this could let one of them show through.
const FEWEST: usize = 50;

/// Averages the training films of each class into one picture each, and lists them in samples.json.
#[derive(clap::Args)]
pub struct Args {
    /// Folder with train/<class>/*
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Model folder; pictures go to its samples/, the list to its samples.json
    #[arg(long, value_name = "MODEL_DIR")]
    out: PathBuf,
    /// Classes; all class folders where not given
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    classes: Option<Vec<String>>,
    /// Use only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
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
        let (mean, n) = average(&films, args.size)?;
        if n < FEWEST {
            let reason = format!(
                "class `{class}` has {n} readable films; an average of fewer than {FEWEST} could show one of them"
            );
            return Err(Error::Dataset { reason });
        }
        let file = format!("samples/{}.png", slug(class));
        write_file_atomically(&args.out.join(&file), &png(&mean, args.size)?)?;
        let caption = format!("Average of {} training films: {class}", ui::thousands(n));
        entries.push(Entry { file, class: class.clone(), caption, n });
    }
    let json = serde_json::to_vec_pretty(&entries).map_err(|e| Error::Dataset { reason: e.to_string() })?;
    write_file_atomically(&args.out.join("samples.json"), &json)?;
    ui::say(format!("{} averages in {}", entries.len(), pictures.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The mean of the films, `[size, size]`, and how many could be read.
fn average(films: &[&Sample], size: usize) -> Result<(Vec<f64>, usize)> {
    let resize = Preprocess::new(1, size, size);
    resize.validate()?;
    let bar = ui::progress(films.len(), "films");
    let mut sum = vec![0.0_f64; size * size];
    let mut n = 0;
    // In chunks of a fixed size, so that the order of additions does not depend on the number of threads.
    for chunk in films.chunks(64) {
        let read = |film: &&Sample| {
            let limits = Limits::default();
            resize.apply(&decode(&data::read_film(&film.path, &limits)?, &limits)?)
        };
        let read: Vec<Result<Vec<f32>>> = chunk.par_iter().map(read).collect();
        for (film, luma) in chunk.iter().zip(read) {
            match luma {
                Ok(luma) => {
                    sum.iter_mut().zip(&luma).for_each(|(s, v)| *s += f64::from(*v));
                    n += 1;
                }
                Err(error) => ui::complain(&format!("left out, unreadable: {}: {error}", film.name)),
            }
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    sum.iter_mut().for_each(|s| *s /= n.max(1) as f64);
    Ok((sum, n))
}

/// The mean stretched to the whole range from black to white: an average is flat.
fn png(mean: &[f64], size: usize) -> Result<Vec<u8>> {
    let (low, high) = mean.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let scale = 255.0 / (high - low).max(f64::MIN_POSITIVE);
    let pixels = mean.iter().map(|v| ((v - low) * scale).round() as u8).collect();
    let side = size as u32;
    let image = GrayImage::from_raw(side, side, pixels).expect("one pixel a value");
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).map_err(|e| Error::Dataset { reason: e.to_string() })?;
    Ok(bytes.into_inner())
}

/// `COVID-19` as `covid-19`: what is safe in file names and addresses.
fn slug(class: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    class.chars().map(safe).collect()
}
