//! `roentgen predict`: image files in, one line a file out.

use std::io::{Cursor, Error as IoError, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use image::{ImageError, ImageFormat, RgbImage};
use roentgen::classifier::{Classifier, Prediction, Shown};
use roentgen::data::read_film;
use roentgen::error::{Error, Result};
use roentgen::explain::overlay;
use roentgen::formats::ModelCard;
use roentgen::formats::answer::CANNOT_TELL;
use roentgen::formats::folder::{read_model_folder, write_file_atomically};
use roentgen::image::{Limits, decode};
use serde::Serialize;

use crate::films::ValueRange;
use crate::ui;

/// Classify image files with a model
#[derive(clap::Args)]
#[command(
    after_help = "A file that cannot be classified, or that the model rejects as no frontal chest X-ray, is reported in its line and \
    does not stop the others.\nExit code: 0 when every file was classified, 1 when any was not."
)]
pub struct Args {
    /// Model folder: model.json and its weights
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Image files (DICOM, PNG, JPEG, WebP, BMP, TIFF, PGM, GIF)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON object a line: {file, answer {classes, set, text}, label, score, scores, uncertain, called,
    /// refused, notes, error, ms}; `answer.classes` is empty where the model cannot tell
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    values: ValueRange,
    /// Show what the model says of rejected files too, marked as rejected
    #[arg(long)]
    show_anyway: bool,
    /// Write the image, one only, as PNG with a heat map (Grad-CAM) over it: what speaks for a class, and where
    #[arg(long, value_name = "OUT.png")]
    explain: Option<PathBuf>,
    /// The class that --explain is about; default: the most probable one
    #[arg(long, value_name = "NAME", requires = "explain")]
    class: Option<String>,
}

/// How far the heat map hides the film where it is hottest.
const OPACITY: f32 = 0.6;

/// What a model without answers says where its most probable class is not probable enough.
const UNCERTAIN: &str = "uncertain";

/// One line of `--json`. With an error, or where the file was refused and not to be shown anyway, `answer`, `label`, `score`,
/// `scores`, `uncertain` and `called` are null.
#[derive(Serialize)]
struct Line<'a> {
    /// As given; bytes that are no UTF-8 are replaced by U+FFFD.
    file: &'a str,
    #[serde(flatten)]
    shown: Shown<'a>,
    error: Option<Failure>,
    /// Reading, decoding and classifying, in milliseconds.
    ms: f64,
}

#[derive(Serialize)]
struct Failure {
    kind: &'static str,
    message: String,
}

/// Classifies every file.
pub fn run(args: Args) -> Result<ExitCode> {
    if args.explain.is_some() && args.files.len() > 1 {
        let reason = format!("writes one picture, and {} files are named; name one", args.files.len());
        return Err(Error::Config { field: "explain", reason });
    }
    let (mut card, safetensors) = read_model_folder(&args.model)?;
    args.values.apply(&mut card.preprocess)?;
    let classifier = Classifier::new(card, &safetensors)?;
    // The classifier has its own copy by now, and the files may be many.
    drop(safetensors);

    let bar = ui::progress(args.files.len(), "films");
    let width = width(classifier.card());
    let mut failed = false;
    for path in &args.files {
        let start = Instant::now();
        let outcome = classify(&classifier, path);
        let ms = start.elapsed().as_secs_f64() * 1000.0;
        failed |= outcome.as_ref().map_or(true, |prediction| prediction.refused.is_some() && !args.show_anyway);
        let file = path.to_string_lossy();
        let line = if args.json {
            json(&file, &outcome, args.show_anyway, ms)
        } else {
            text(&file, &outcome, args.show_anyway, ms, width)
        };
        bar.suspend(|| ui::say(line))?;
        if !args.json {
            outcome
                .iter()
                .flat_map(|prediction| &prediction.notes)
                .for_each(|note| ui::complain(&format!("note: {note}")));
        }
        bar.inc(1);
        if let (Some(out), Ok(prediction)) = (&args.explain, &outcome) {
            explain(&classifier, path, args.class.as_ref().unwrap_or(&prediction.label), out)?;
        }
    }
    bar.finish_and_clear();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn classify(classifier: &Classifier, path: &Path) -> Result<Prediction> {
    let io = |source| Error::Io { path: path.into(), source };
    let kind = std::fs::metadata(path).map_err(io)?.file_type();
    if kind.is_dir() {
        return Err(io(IoError::new(ErrorKind::IsADirectory, "is a folder; name the image files in it")));
    }
    // Opening a named pipe that nobody writes to would wait for ever.
    if !kind.is_file() {
        return Err(io(IoError::new(ErrorKind::InvalidInput, "is not a regular file")));
    }
    let bytes = read_film(path, &Limits::default())?;
    // A decoder that panics on a hostile file must not take the other files with it. The classifier is only read.
    catch_unwind(AssertUnwindSafe(|| classifier.classify_bytes(&bytes)))
        .unwrap_or_else(|_| Err(Error::Damaged { format: "or hostile", reason: "the decoder gave up on it".into() }))
}

/// Writes the film at `path` with the heat map of `class` over it.
fn explain(classifier: &Classifier, path: &Path, class: &str, out: &Path) -> Result<()> {
    let limits = Limits::default();
    let film = decode(&read_film(path, &limits)?, &limits)?;
    let film = classifier.card().preprocess.ranged(&film)?;
    let pixels = overlay(&film, &classifier.explain(&film, class)?, OPACITY);
    let picture = RgbImage::from_raw(film.width() as u32, film.height() as u32, pixels).expect("three values a pixel");
    let mut png = Cursor::new(Vec::new());
    let failed = |error: ImageError| Error::Io { path: out.into(), source: IoError::other(error) };
    picture.write_to(&mut png, ImageFormat::Png).map_err(failed)?;
    write_file_atomically(out, &png.into_inner())
}

fn json(file: &str, outcome: &Result<Prediction>, anyway: bool, ms: f64) -> String {
    let line = Line {
        file,
        shown: outcome.as_ref().map(|prediction| prediction.shown(anyway)).unwrap_or_default(),
        error: outcome.as_ref().err().map(|error| Failure { kind: error.kind(), message: error.to_string() }),
        ms: (ms * 100.0).round() / 100.0,
    };
    serde_json::to_string(&line).expect("a line has string keys and no fallible values")
}

/// Of the column with the answers, so that lines can be printed one by one: the longest that is usual is known from the model.
fn width(card: &ModelCard) -> usize {
    let names = card.classes.iter().map(String::as_str).chain(card.groups.iter().map(|(name, _)| name));
    let unsure = if card.answer.is_some() { CANNOT_TELL } else { UNCERTAIN };
    names.chain([unsure]).map(|name| name.chars().count()).max().unwrap_or(0)
}

fn text(file: &str, outcome: &Result<Prediction>, anyway: bool, ms: f64, width: usize) -> String {
    let line = match outcome {
        Err(error) => format!("{:<width$}  {:>7}  {ms:>6.0} ms  {file}: {}", "error", "", without_path(error)),
        Ok(Prediction { refused: Some(refusal), label, score, .. }) => {
            let nevertheless = if anyway {
                format!(" Without that it would be {label}, {}.", ui::percent((*score).into()))
            } else {
                String::new()
            };
            format!("{:<width$}  {:>7}  {ms:>6.0} ms  {file}: {}{nevertheless}", "refused", "", refusal.message)
        }
        Ok(Prediction { answer, uncertain, label, score, .. }) => {
            let score = ui::percent((*score).into());
            let unsure = if *uncertain { UNCERTAIN } else { label };
            let said = answer.as_ref().map_or(unsure, |answer| &answer.text);
            if said == label {
                format!("{said:<width$}  {score:>7}  {ms:>6.0} ms  {file}")
            } else {
                format!("{said:<width$}  {:>7}  {ms:>6.0} ms  {file}: most probable is {label}, {score}", "")
            }
        }
    };
    // A file may be called anything: line breaks in its name, or commands to the terminal.
    line.replace(char::is_control, "\u{fffd}")
}

/// The message without the path that the line has already.
fn without_path(error: &Error) -> String {
    match error {
        Error::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
