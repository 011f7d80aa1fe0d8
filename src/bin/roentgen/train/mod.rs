//! `roentgen train`: folders of films to a model folder.

mod args;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use roentgen::data::{self, Dataset, FolderOptions, Loader, LoaderConfig, Sample};
use roentgen::error::{Error, Result};
use roentgen::formats::{Encoding, ModelCard, Storage, Weight, WeightsInfo, folder, write_weights};
use roentgen::nn::Tensor;
use roentgen::train::{Checkpoint, EpochRecord, History, Phase, Running, Schedule, TrainConfig, Trainer};
use sha2::{Digest, Sha256};

use super::{model_folder, plot, ui};

pub use args::Args;

/// Images in a validation batch: enough to keep the cores busy, small beside the training state.
const VALIDATION_BATCH: usize = 32;

/// What a shell reports of a program that Ctrl-C ended, 128 + SIGINT: `train && evaluate` must not go on.
const INTERRUPTED: u8 = 130;

/// Set by Ctrl-C: finish the step, save, stop.
static STOP: AtomicBool = AtomicBool::new(false);

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let options = FolderOptions {
        classes: args.classes.clone(),
        only: args.only.clone(),
        seed: args.seed,
        ..FolderOptions::default()
    };
    let folders = data::open(&args.data, &options)?;
    for note in &folders.notes {
        eprintln!("{note}");
    }
    for folder in &folders.left_out {
        eprintln!("left out: {folder}");
    }
    model_folder::name_unreadable(&folders.unreadable);
    if folders.val.is_empty() {
        let reason = "no film is left to validate on; give more films, or a val folder".into();
        return Err(Error::Dataset { reason });
    }
    let config = args.config(folders.classes.clone())?;
    fs::create_dir_all(&args.out).map_err(|source| Error::Io { path: args.out.clone(), source })?;
    let fingerprint = fingerprint(&folders.train, &folders.val);
    let checkpoint_path = args.out.join("checkpoint.safetensors");
    let (mut state, mut trainer) = if args.resume {
        resume(&checkpoint_path, &config, &fingerprint)?
    } else if checkpoint_path.exists() && !args.overwrite {
        let reason = format!(
            "{} is there already; give --resume to continue it, --overwrite to begin anew, or another --out",
            checkpoint_path.display()
        );
        return Err(Error::Checkpoint { reason });
    } else {
        let trainer = Trainer::new(config.clone())?;
        (Checkpoint { config: config.clone(), step: 0, history: History::default(), data: fingerprint }, trainer)
    };
    let train =
        model_folder::load_films(&folders.train, &config.classes, &config.preprocess, "reading training images")?;
    let validation =
        model_folder::load_films(&folders.val, &config.classes, &config.preprocess, "reading validation images")?;
    report_counts(&train, &validation);

    let loader = LoaderConfig {
        batch_size: config.batch_size,
        seed: config.seed,
        augment: config.augment.clone(),
        balance: config.balance,
    };
    let loader = Loader::new(&train, &config.preprocess, loader)?;
    // A second handler cannot be set; the first one then still stops the run.
    let _ = ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed));
    while state.history.epochs.len() < config.epochs {
        let epoch = state.history.epochs.len() + 1;
        let Some(learning_rate) = train_epoch(&mut trainer, &loader, &mut state, epoch)? else {
            save_checkpoint(&checkpoint_path, &mut state, &trainer)?;
            let out = args.out.display();
            eprintln!("stopped at step {}; `--out {out} --resume` with the same settings continues", trainer.steps());
            return Ok(ExitCode::from(INTERRUPTED));
        };
        let record = EpochRecord {
            epoch,
            train: std::mem::take(&mut state.history.running).phase(),
            validation: validate(&mut trainer, &validation, &config)?,
            learning_rate,
        };
        state.history.epochs.push(record);
        report_epoch(&record, config.epochs, args.json)?;
        if state.history.best().is_some_and(|best| best.epoch == epoch) {
            write_model(&args.out, &state, &trainer, (train.len(), validation.len()))?;
        }
        write_history(&args.out, &state.history)?;
        save_checkpoint(&checkpoint_path, &mut state, &trainer)?;
    }
    if let Some(best) = state.history.best() {
        let Phase { loss, accuracy } = best.validation;
        eprintln!("best epoch {}: validation loss {loss:.4}, accuracy {:.2} %", best.epoch, 100.0 * accuracy);
    }
    Ok(ExitCode::SUCCESS)
}

/// Trains until the end of the epoch; `None` when told to stop before it, else the last learning rate.
fn train_epoch(
    trainer: &mut Trainer,
    loader: &Loader<'_>,
    state: &mut Checkpoint,
    epoch: usize,
) -> Result<Option<f32>> {
    let steps = state.config.steps_per_epoch as u64;
    let bar = ui::progress(steps as usize, "training");
    let mut learning_rate = 0.0;
    while trainer.steps() < epoch as u64 * steps {
        if STOP.load(Ordering::Relaxed) {
            bar.abandon();
            return Ok(None);
        }
        let report = trainer.step(loader.batch(trainer.steps()))?;
        learning_rate = report.learning_rate;
        state.history.running.add(&report);
        let Phase { loss, accuracy } = state.history.running.phase();
        bar.set_position(trainer.steps() - (epoch as u64 - 1) * steps);
        bar.set_message(format!("epoch {epoch}: loss {loss:.4}, accuracy {:.1} %", 100.0 * accuracy));
    }
    bar.finish_and_clear();
    Ok(Some(learning_rate))
}

fn validate(trainer: &mut Trainer, validation: &Dataset, config: &TrainConfig) -> Result<Phase> {
    let mut sums = Running::default();
    for batch in validation.batches(&config.preprocess, VALIDATION_BATCH) {
        sums.add(&trainer.evaluate(batch)?);
    }
    Ok(sums.phase())
}

fn report_counts(train: &Dataset, validation: &Dataset) {
    for (i, class) in train.classes().iter().enumerate() {
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

/// Identifies the images of a run by their names, so that it is not continued on others.
fn fingerprint(train: &[Sample], validation: &[Sample]) -> String {
    let mut hash = Sha256::new();
    for samples in [train, validation] {
        hash.update((samples.len() as u64).to_le_bytes());
        for sample in samples {
            hash.update(&sample.name);
            hash.update([0]);
        }
    }
    format!("{:x}", hash.finalize())
}

fn resume(path: &Path, config: &TrainConfig, data: &str) -> Result<(Checkpoint, Trainer)> {
    let bytes = fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let (state, trainer) = Checkpoint::restore(&bytes)?;
    if state.data != data {
        return Err(Error::Checkpoint { reason: "was made from other images; give the same --data and --only".into() });
    }
    // More epochs may be asked for where the schedule does not depend on their number.
    let same = TrainConfig { epochs: config.epochs, ..state.config.clone() };
    let extended = state.config.epochs != config.epochs && state.config.schedule != Schedule::Constant;
    if same != *config || extended {
        return Err(Error::Checkpoint {
            reason: "was made with other settings; give those of the run, which model.json holds as training.config"
                .into(),
        });
    }
    Ok((Checkpoint { config: config.clone(), ..state }, trainer))
}

fn save_checkpoint(path: &Path, state: &mut Checkpoint, trainer: &Trainer) -> Result<()> {
    state.step = trainer.steps();
    folder::write_file_atomically(path, &state.save(trainer)?)
}

fn write_history(out: &Path, history: &History) -> Result<()> {
    let json = serde_json::to_vec_pretty(history).map_err(|e| Error::Checkpoint { reason: e.to_string() })?;
    folder::write_file_atomically(&out.join("history.json"), &json)?;
    folder::write_file_atomically(&out.join("history.svg"), plot::history(&history.epochs).as_bytes())
}

/// Writes the weights as they are now, as the model of this run.
fn write_model(out: &Path, state: &Checkpoint, trainer: &Trainer, images: (usize, usize)) -> Result<()> {
    let mut weights = Vec::new();
    for (name, Tensor { shape, values }) in trainer.weights().0 {
        weights.push(Weight { name, shape, values, storage: Storage::F32 });
    }
    let config = &state.config;
    let id = model_folder::id(out, &config.architecture);
    let training = serde_json::json!({
        "config": in_short(config)?,
        "images": { "train": images.0, "validation": images.1 },
        "best_epoch": in_short(&state.history.best())?,
        "trainer": concat!("roentgen ", env!("CARGO_PKG_VERSION")),
    });
    let bytes = write_weights(&weights)?;
    let card = ModelCard {
        format: 1,
        id: id.clone(),
        name: id,
        version: "1".into(),
        architecture: config.architecture.clone(),
        classes: config.classes.clone(),
        preprocess: config.preprocess.clone(),
        weights: WeightsInfo::of(&bytes, Encoding::Identity),
        training: Some(training),
        metrics: Vec::new(),
        licence: "that of the images it was trained on; state it before you pass it on".into(),
        intended_use: "Research and teaching. Not a medical device; not for diagnosis.".into(),
        limitations: vec!["Knows nothing but its classes: every image is given to one of them.".into()],
    };
    folder::write_model_folder(out, &card, &bytes, Encoding::Identity).map(drop)
}

/// A value as JSON with each f32 in its own few digits: directly, 0.1 would become 0.10000000149011612.
fn in_short(value: &impl serde::Serialize) -> Result<serde_json::Value> {
    let text = serde_json::to_string(value).and_then(|text| serde_json::from_str(&text));
    text.map_err(|error| Error::Checkpoint { reason: error.to_string() })
}
