//! What the subcommands that measure a model share: films in, one row of the network's numbers a film out.

use std::collections::BTreeMap;

use image::{GrayImage, ImageFormat};
use rayon::prelude::*;
use roentgen::classifier::Classifier;
use roentgen::data::{ClassFacts, Facts, Labelled, Sample};
use roentgen::error::{Error, Result};
use roentgen::image::{Limits, Radiograph, decode};
use roentgen::preprocess::Preprocess;
use serde::Serialize;

use crate::{model_folder, ui};

/// Films in one pass through the network: enough to keep every core busy, 6 MB of input at 128 × 128 × 3.
const BATCH: usize = 32;

/// What whoever reads films can say of their values.
#[derive(clap::Args, Clone)]
pub struct ValueRange {
    /// Values of black and white in files that leave them open: 16 bits of which fewer are used (`0..4095` for twelve),
    /// signed numbers, floats beyond 1. Files that say their own range, and files of 8 bits, are read as they are. Default: the
    /// range that the model was trained with, if any
    #[arg(long, value_name = "BLACK..WHITE", allow_hyphen_values = true, value_parser = parse_range)]
    value_range: Option<[f32; 2]>,
}

impl ValueRange {
    /// Has films prepared by the range that was given, if one was.
    ///
    /// # Errors
    /// Those of [`Preprocess::validate`].
    pub fn apply(&self, preprocess: &mut Preprocess) -> Result<()> {
        preprocess.value_range = self.value_range.or(preprocess.value_range);
        preprocess.validate()
    }
}

fn parse_range(text: &str) -> Result<[f32; 2], String> {
    let number = |text: &str| text.trim().parse::<f32>().map_err(|_| format!("`{text}` is no number"));
    let (black, white) = text.split_once("..").ok_or("give it as BLACK..WHITE, such as 0..4095")?;
    Ok([number(black)?, number(white)?])
}

/// What [`outputs`] found.
pub struct Outputs<'a, T = f32> {
    /// The films that could be read.
    pub films: Vec<&'a Sample>,
    /// A row for each of them.
    pub values: Vec<T>,
    /// What the file of each of them is like.
    pub facts: Vec<Facts>,
    /// Those that could not be read.
    pub unreadable: Vec<UnreadableFilm>,
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

/// Decodes every sample, has `preprocess` say what its values mean, makes of each what `input` makes of it, and hands that in
/// batches to `network`, which gives one row a film. The progress bar says `what`.
///
/// # Errors
/// [`Error::Dataset`] when no film can be read; whatever `network` returns.
pub fn outputs<'a>(
    samples: &'a [Sample],
    preprocess: &Preprocess,
    what: &'static str,
    input: impl Fn(Radiograph) -> Result<Vec<f32>> + Sync,
    network: impl Fn(&[f32]) -> Result<Vec<f32>>,
) -> Result<Outputs<'a>> {
    each(samples, preprocess, what, |_, film| input(film), |inputs| network(&inputs.concat()))
}

/// As [`outputs`], for whoever wants anything else of each film.
///
/// # Errors
/// Those of [`outputs`].
pub fn each<'a, I: Send, O>(
    samples: &'a [Sample],
    preprocess: &Preprocess,
    what: &'static str,
    input: impl Fn(&'a Sample, Radiograph) -> Result<I> + Sync,
    network: impl Fn(Vec<I>) -> Result<Vec<O>>,
) -> Result<Outputs<'a, O>> {
    let limits = Limits::default();
    let input = |sample: &'a Sample| {
        let bytes = sample.read(&limits)?;
        let film = preprocess.ranged(&decode(&bytes, &limits)?)?.into_owned();
        let facts = Facts::of(&bytes, &film);
        Ok((input(sample, film)?, facts))
    };
    let bar = ui::progress(samples.len(), what);
    let (mut values, mut films, mut all_facts, mut unreadable) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for batch in samples.chunks(BATCH) {
        let inputs: Vec<Result<(I, Facts)>> = batch.par_iter().map(input).collect();
        let mut readable = Vec::new();
        for (sample, input) in batch.iter().zip(inputs) {
            match input {
                Ok((input, facts)) => {
                    readable.push(input);
                    all_facts.push(facts);
                    films.push(sample);
                }
                Err(error) => unreadable.push(UnreadableFilm {
                    file: sample.name.clone(),
                    kind: error.kind(),
                    message: error.to_string(),
                }),
            }
        }
        if !readable.is_empty() {
            values.extend(network(readable)?);
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    if films.is_empty() {
        let example = unreadable.first().map_or("there is none", |film| &film.message);
        return Err(Error::Dataset { reason: format!("none of {} films can be read: {example}", samples.len()) });
    }
    Ok(Outputs { films, values, facts: all_facts, unreadable })
}

/// The outputs that `network` has for films on the path that a single film takes.
///
/// # Errors
/// Those of [`outputs`].
pub fn judged<'a>(
    classifier: &Classifier,
    samples: &'a [Sample],
    network: impl Fn(&[f32]) -> Result<Vec<f32>>,
) -> Result<Outputs<'a>> {
    let card = classifier.card();
    outputs(samples, &card.preprocess, "films", |film| card.preprocess.apply(&film), network)
}

/// What the films of each class are like as files, as a table.
pub fn by_class(classes: &[ClassFacts]) -> String {
    fn counted<T: ToString>(counts: &BTreeMap<T, usize>) -> String {
        let one = |(value, count): (&T, &usize)| format!("{} {}", ui::thousands(*count), value.to_string());
        if let [(value, _)] = counts.iter().collect::<Vec<_>>()[..] {
            return value.to_string();
        }
        counts.iter().map(one).collect::<Vec<_>>().join(", ")
    }
    let titles = ["class", "format", "bits", "px, median", "smallest", "largest", "values"];
    let mut rows = vec![titles.map(String::from).to_vec()];
    // A class without images is like nothing.
    let some = classes.iter().filter(|class| !class.formats.is_empty());
    for ClassFacts { class, formats, bits, sizes, values: [low, high], .. } in some {
        let [smallest, median, largest] = sizes.map(|[height, width]| format!("{width}×{height}"));
        let values = format!("{low:.2}–{high:.2}");
        rows.push(vec![printable(class), counted(formats), counted(bits), median, smallest, largest, values]);
    }
    ui::table(&rows)
}

/// A file or folder may be called anything: line breaks, or commands to the terminal.
pub fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Says on standard error what was decided about a data set, and what of it is left out.
pub fn name_left_out(Labelled { notes, decided, files_left_out, unreadable, .. }: &Labelled) {
    model_folder::name_left_out(notes, decided, files_left_out);
    model_folder::name_unreadable(unreadable);
}

/// Names films that are left out, and why, on standard error.
pub fn name_unreadable(films: &[UnreadableFilm]) {
    for film in films {
        ui::complain(&format!("warning: {} is left out: {}", film.file, film.message));
    }
}

/// The PNG file of a grey picture, row-major `[height, width]`.
///
/// # Errors
/// [`Error::Dataset`] when it cannot be written as one.
pub fn grey_png(height: usize, width: usize, pixels: Vec<u8>) -> Result<Vec<u8>> {
    let picture = GrayImage::from_raw(width as u32, height as u32, pixels).expect("one byte a pixel");
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(|error| Error::Dataset { reason: error.to_string() })?;
    Ok(bytes.into_inner())
}

/// The class of each film.
pub fn labels(films: &[&Sample]) -> Vec<usize> {
    films.iter().map(|film| film.class).collect()
}

/// The group of each film, a film without one being its own; `None` when no film has one.
pub fn groups(films: &[&Sample]) -> Option<Vec<String>> {
    known(films, |film| film.group.as_ref(), |film| film.name.clone())
}

/// The source of each film; `None` when none is known.
pub fn sources(films: &[&Sample]) -> Option<Vec<String>> {
    known(films, |film| film.source.as_ref(), |_| "unknown".into())
}

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
