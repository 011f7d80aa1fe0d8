//! `roentgen train`: folders of films to a model folder.

mod args;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use roentgen::data::{self, Dataset, Either, FolderOptions, Loader, Sample};
use roentgen::error::{Error, Result};
use roentgen::formats::{Encoding, ModelCard, folder, read_weights};
use roentgen::models::{Architecture, read_initial};
use roentgen::nn::Weights;
use roentgen::train::{EpochRecord, History, Initial, Phase, Run, TrainConfig, fingerprint, initial_weights};

use super::{films, model_folder, plot, ui};

pub use args::Args;

/// What a shell reports of a program that Ctrl-C ended, 128 + SIGINT: `train && evaluate` must not go on.
const INTERRUPTED: u8 = 130;

/// Set by Ctrl-C: finish the step, save, stop.
static STOP: AtomicBool = AtomicBool::new(false);

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let options = FolderOptions {
        classes: args.classes.clone(),
        either: args.either()?,
        only: args.only.clone(),
        labels: args.labels.columns(),
        seed: args.seed,
        ..FolderOptions::default()
    };
    let mut folders = data::open(&args.data, &options)?;
    data::assign_hospitals(&args.hospitals()?, folders.train.iter_mut().chain(&mut folders.val))?;
    model_folder::name_left_out(&folders.notes, &folders.decided, &folders.files_left_out);
    for folder in &folders.left_out {
        eprintln!("left out: {folder}");
    }
    model_folder::name_unreadable(&folders.unreadable);
    if folders.val.is_empty() {
        let reason = "no film is left to validate on; give more films, or a val folder".into();
        return Err(Error::Dataset { reason });
    }
    let init = args.init.as_deref().map(Init::open).transpose()?;
    let config = args.config(folders.classes.clone(), init.as_ref().and_then(Init::card))?;
    fs::create_dir_all(&args.out).map_err(|source| Error::Io { path: args.out.clone(), source })?;
    let fingerprint = fingerprint(&folders.train, &folders.val);
    let checkpoint_path = args.out.join("checkpoint.safetensors");
    let mut run = if args.resume {
        let io = |source| Error::Io { path: checkpoint_path.clone(), source };
        Run::resume(fs::File::open(&checkpoint_path).map_err(io)?, config.clone(), &fingerprint)?
    } else if checkpoint_path.exists() && !args.overwrite {
        let reason = format!(
            "{} is there already; give --resume to continue it, --overwrite to begin anew, or another --out",
            checkpoint_path.display()
        );
        return Err(Error::Checkpoint { reason });
    } else if let Some(init) = init {
        Run::from_weights(config.clone(), init.weights(&config)?, fingerprint)?
    } else {
        Run::new(config.clone(), fingerprint)?
    };
    let load = |films: &[Sample], what| {
        model_folder::load_films(films, &config.classes, &config.preprocess, what)?.with_either(&config.either)
    };
    let (train, validation) =
        (load(&folders.train, "reading training images")?, load(&folders.val, "reading validation images")?);
    let train = match &config.within {
        Some(within) => train.within_sources(&within.healthy, within.between)?,
        None => train,
    };
    report_counts(&train, &validation, &config.either);
    let splits = [("train", &folders.train), ("val", &folders.val), ("test", &folders.test)];
    let groups =
        splits.iter().flat_map(|(split, films)| films.iter().filter_map(|film| Some((*split, film.group.as_deref()?))));
    let summary = data::summary(&config.classes, train.facts().chain(validation.facts()), groups);
    eprintln!("{}", films::by_class(&summary.by_class));
    summary.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));

    let loader = Run::loader(&config, &train)?;
    // A second handler cannot be set; the first one then still stops the run.
    let _ = ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed));
    while let Some(epoch) = run.epoch() {
        if !train_epoch(&mut run, &loader, &train, epoch)? {
            save_checkpoint(&checkpoint_path, &mut run)?;
            let out = args.out.display();
            eprintln!("stopped at step {}; `--out {out} --resume` with the same settings continues", run.steps());
            return Ok(ExitCode::from(INTERRUPTED));
        };
        let record = validate(&mut run, &validation)?;
        report_epoch(&record, config.epochs, args.json)?;
        if run.is_best() {
            write_model(&args.out, &run, [train.len(), validation.len()])?;
        }
        write_history(&args.out, run.history())?;
        save_checkpoint(&checkpoint_path, &mut run)?;
    }
    if let Some(best) = run.history().best() {
        let Phase { loss, accuracy } = best.validation;
        eprintln!("best epoch {}: validation loss {loss:.4}, accuracy {:.2} %", best.epoch, 100.0 * accuracy);
    }
    Ok(ExitCode::SUCCESS)
}

/// What a run starts from.
enum Init<'a> {
    /// A file of weights, safetensors or PyTorch's.
    File(&'a Path),
    /// A model folder: its card, and its weights as safetensors.
    Model(&'a Path, Box<ModelCard>, Vec<u8>),
}

impl<'a> Init<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        if !path.is_dir() {
            return Ok(Self::File(path));
        }
        let (card, safetensors) = folder::read_model_folder(path)?;
        Ok(Self::Model(path, Box::new(card), safetensors))
    }

    fn card(&self) -> Option<&ModelCard> {
        match self {
            Self::File(_) => None,
            Self::Model(_, card, _) => Some(card),
        }
    }

    /// The weights for the network of `config`.
    fn weights(self, config: &TrainConfig) -> Result<Weights> {
        let architecture = Architecture::from_name(&config.architecture)?;
        let (path, file) = match self {
            Self::Model(path, _, safetensors) => (path, read_weights(&safetensors)?),
            Self::File(path) => {
                let bytes = fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
                (path, read_initial(&bytes, architecture)?)
            }
        };
        let Initial { weights, fresh, rows } = initial_weights(&config.graph()?, file, config)?;
        let (all, taken) = (weights.0.len(), weights.0.len() - fresh.len());
        eprintln!("starting from {taken} of {all} tensors in {}", path.display());
        if !fresh.is_empty() {
            eprintln!("starting anew: {}", fresh.join(", "));
        }
        if let Some(rows) = rows {
            eprintln!("{rows}");
        }
        Ok(weights)
    }
}

/// Trains until the end of the epoch; false when told to stop before it.
fn train_epoch(run: &mut Run, loader: &Loader, train: &Dataset, epoch: usize) -> Result<bool> {
    let steps = run.config().steps_per_epoch as u64;
    let bar = ui::progress(steps as usize, "training");
    while run.has_steps() {
        if STOP.load(Ordering::Relaxed) {
            bar.abandon();
            return Ok(false);
        }
        run.step(loader, train)?;
        let Phase { loss, accuracy } = run.history().running.phase();
        bar.set_position(run.steps() - (epoch as u64 - 1) * steps);
        bar.set_message(format!("epoch {epoch}: loss {loss:.4}, accuracy {:.1} %", 100.0 * accuracy));
    }
    bar.finish_and_clear();
    Ok(true)
}

fn validate(run: &mut Run, validation: &Dataset) -> Result<EpochRecord> {
    loop {
        if let Some(record) = run.validate_some(validation)? {
            return Ok(record);
        }
    }
}

fn report_counts(train: &Dataset, validation: &Dataset, either: &[Either]) {
    for (i, class) in train.classes().iter().chain(either.iter().map(|either| &either.folder)).enumerate() {
        eprintln!("{class}: {} to train on, {} to validate", train.counts()[i], validation.counts()[i]);
    }
}

fn report_epoch(record: &EpochRecord, epochs: usize, json: bool) -> Result<()> {
    let EpochRecord { epoch, train, validation, .. } = record;
    eprintln!(
        "epoch {epoch}/{epochs}: loss {:.4}, accuracy {:.2} %; validation loss {:.4}, accuracy {:.2} %",
        train.loss,
        100.0 * train.accuracy,
        validation.loss,
        100.0 * validation.accuracy
    );
    if json {
        ui::say(serde_json::to_string(record).map_err(|e| Error::Checkpoint { reason: e.to_string() })?)?;
    }
    Ok(())
}

fn save_checkpoint(path: &Path, run: &mut Run) -> Result<()> {
    folder::write_file_atomically(path, &run.checkpoint()?)
}

fn write_history(out: &Path, history: &History) -> Result<()> {
    let json = serde_json::to_vec_pretty(history).map_err(|e| Error::Checkpoint { reason: e.to_string() })?;
    folder::write_file_atomically(&out.join("history.json"), &json)?;
    folder::write_file_atomically(&out.join("history.svg"), plot::history(&history.epochs).as_bytes())
}

/// Writes the weights as they are now, as the model of this run.
fn write_model(out: &Path, run: &Run, images: [usize; 2]) -> Result<()> {
    let mut weights = Vec::new();
    let info = run.write_weights(|piece| {
        weights.extend_from_slice(piece);
        Ok(())
    })?;
    let card = run.card(&model_folder::id(out, &run.config().architecture), info, images)?;
    folder::write_model_folder(out, &card, &weights, Encoding::Identity).map(drop)
}
