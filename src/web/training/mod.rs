//! Training in the browser: films in, steps, a model out. Loop, clock and storage are the worker's.

use std::io::Read;

use js_sys::{Function, Uint8Array};
use rayon::prelude::*;
use serde::Serialize;
use wasm_bindgen::prelude::*;
use web_sys::ImageData;

mod adaptation;
mod archive;
mod evaluation;
mod network;

use super::classifier::Film;
use super::pixels::grey_image_data;
use super::thrown;
use crate::data::{Batch, Collection, Dataset, Facts, LabelColumns, Loader, Shared, Shares};
use crate::error::{Error, Result};
use crate::formats::{ModelCard, read_weights_from};
use crate::image::{Limits, decode};
use crate::models::Architecture;
use crate::nn::{ParameterSpec, Weights};
use crate::preprocess::{Augment, Preprocess};
use crate::train::{Initial, Run, TrainConfig, fingerprint, initial_weights};

fn json(value: &impl Serialize) -> Result<String, JsValue> {
    serde_json::to_string(value).map_err(|error| JsError::from(error).into())
}

fn config_of(json: &str) -> Result<TrainConfig, JsValue> {
    let config: TrainConfig = serde_json::from_str(json).map_err(JsError::from)?;
    config.validate().map_err(thrown)?;
    Ok(config)
}

fn shares(seed: u32, classes: Option<Vec<String>>, labels: &str) -> Result<Shares, JsValue> {
    let labels: LabelColumns = serde_json::from_str(labels).map_err(JsError::from)?;
    Ok(Shares { classes, labels, seed: seed.into(), ..Shares::default() })
}

/// What became of one file.
#[derive(Serialize)]
struct Failed {
    path: String,
    kind: &'static str,
    message: String,
    /// See [`Error::suggested_range`].
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[f32; 2]>,
}

impl Failed {
    fn new(path: String, error: &Error) -> Self {
        Self { path, kind: error.kind(), message: error.to_string(), range: error.suggested_range() }
    }
}

/// Labelled films, decoded and reduced to the size that an architecture looks at: a byte a pixel.
#[wasm_bindgen]
pub struct TrainingSet {
    films: Collection,
    shared: Option<Shared>,
}

/// A film as a set keeps it, and what its file is like.
type Prepared = (Vec<u8>, Facts);

#[wasm_bindgen]
impl TrainingSet {
    /// None yet, to be prepared as `config`, the JSON of a run's settings, says.
    #[wasm_bindgen(constructor)]
    pub fn new(config: &str) -> Result<TrainingSet, JsValue> {
        // Not `config_of`: classes are not known before there are films.
        let config: TrainConfig = serde_json::from_str(config).map_err(JsError::from)?;
        let films = Collection::new(config.preprocess).map_err(thrown)?;
        Ok(Self { films, shared: None })
    }

    /// Decodes image files on all threads; the JSON lists those that are none: `[{path, kind, message, range}]`.
    pub fn add(&mut self, paths: Vec<String>, files: Vec<Uint8Array>) -> Result<String, JsValue> {
        self.shared = None;
        let files: Vec<(String, Vec<u8>)> = paths.into_iter().zip(files.iter().map(Uint8Array::to_vec)).collect();
        let films = &self.films;
        let read = |bytes: &[u8]| films.prepare(bytes, &decode(bytes, &Limits::default())?);
        let greys: Vec<(String, Result<Prepared>)> =
            files.into_par_iter().map(|(path, bytes)| (path, read(&bytes))).collect();
        let failed: Vec<Failed> = greys.into_iter().filter_map(|(path, grey)| self.insert(path, grey)).collect();
        json(&failed)
    }

    /// Takes a film that is decoded already, as one from the other module is, and the bytes that it is from; the JSON is that
    /// of [`Self::add`].
    #[wasm_bindgen(js_name = addFilm)]
    pub fn add_film(&mut self, path: String, film: &Film, bytes: &[u8]) -> Result<String, JsValue> {
        self.shared = None;
        let grey = self.films.prepare(bytes, &film.0);
        json(&Vec::from_iter(self.insert(path, grey)))
    }

    /// Notes that the file at `path` is no film, and why.
    #[wasm_bindgen(js_name = addUnreadable)]
    pub fn add_unreadable(&mut self, path: &str, why: &str) {
        self.films.insert_unreadable(path, why);
    }

    /// Notes which files there are, films or not; what they are called here comes back, as none takes another's place.
    pub fn see(&mut self, paths: Vec<String>) -> Vec<String> {
        self.shared = None;
        self.films.see(&paths)
    }

    /// Notes something about the files as a whole, as a sentence.
    pub fn note(&mut self, sentence: String) {
        self.films.note(sentence);
    }

    /// Paths of the tables among the files, to be given to [`Self::add_table`] before [`Self::wanted`].
    #[wasm_bindgen(getter)]
    pub fn tables(&self) -> Vec<String> {
        self.films.tables().map(str::to_owned).collect()
    }

    /// Takes the table at `path`.
    #[wasm_bindgen(js_name = addTable)]
    pub fn add_table(&mut self, path: &str, bytes: &[u8]) {
        self.shared = None;
        self.films.add_table(path, bytes);
    }

    /// Paths of the files that are films by all that their names say; throws `dataset` when nothing says the classes.
    pub fn wanted(&self, classes: Option<Vec<String>>, labels: &str) -> Result<Vec<String>, JsValue> {
        self.films.images(&shares(0, classes, labels)?).map_err(thrown)
    }

    /// Paths of all files that there were, films or not.
    #[wasm_bindgen(getter)]
    pub fn seen(&self) -> Vec<String> {
        self.films.seen().map(str::to_owned).collect()
    }

    /// What is known of the films as files, as JSON for [`Self::restore_facts`].
    #[wasm_bindgen(getter)]
    pub fn facts(&self) -> Result<String, JsValue> {
        json(&self.films.facts())
    }

    /// Takes what [`Self::facts`] gave.
    #[wasm_bindgen(js_name = restoreFacts)]
    pub fn restore_facts(&mut self, facts: &str) -> Result<(), JsValue> {
        self.films.restore_facts(serde_json::from_str(facts).map_err(JsError::from)?);
        Ok(())
    }

    /// Takes a film as [`Self::grey`] gave it.
    pub fn restore(&mut self, path: &str, grey: Vec<u8>) -> Result<(), JsValue> {
        self.shared = None;
        self.films.insert(path, grey).map_err(thrown)
    }

    /// Takes a film that is of the right size and prepared already, such as a picture made of what [`Self::grey`] gave.
    #[wasm_bindgen(js_name = restoreFilm)]
    pub fn restore_film(&mut self, path: &str, film: &Film) -> Result<(), JsValue> {
        let grey = film.0.luma().iter().map(|value| (value * 255.0).round() as u8).collect();
        self.restore(path, grey)
    }

    /// Number of films.
    #[wasm_bindgen(getter)]
    pub fn length(&self) -> usize {
        self.films.len()
    }

    /// Paths of all films in order.
    #[wasm_bindgen(getter)]
    pub fn paths(&self) -> Vec<String> {
        self.films.paths().map(str::to_owned).collect()
    }

    /// The film at `path`, `[height, width]` grey bytes; undefined when there is none.
    pub fn grey(&self, path: &str) -> Option<Vec<u8>> {
        self.films.grey(path).map(<[u8]>::to_vec)
    }

    /// The film at `path` for a canvas; undefined when there is none.
    pub fn pixels(&self, path: &str) -> Result<Option<ImageData>, JsValue> {
        let Some(grey) = self.films.grey(path) else { return Ok(None) };
        let Preprocess { height, width, .. } = *self.films.preprocess();
        grey_image_data(width, height, grey.iter().copied()).map(Some)
    }

    /// Sorts the films into classes and splits, by `seed` where they have to be drawn: a `data::Report` as JSON.
    ///
    /// `labels` is the JSON of a `data::LabelColumns`: which table says the classes.
    pub fn share(&mut self, seed: u32, classes: Option<Vec<String>>, labels: &str) -> Result<String, JsValue> {
        let shares = shares(seed, classes, labels)?;
        let shared = self.films.share(&shares).map_err(thrown)?;
        json(&self.shared.insert(shared).report)
    }

    /// Paths of the first `most` films of class `label` to train on; none before [`Self::share`].
    pub fn trained(&self, label: usize, most: usize) -> Vec<String> {
        let films = self.shared.iter().flat_map(|shared| &shared.train).filter(|film| film.class == label);
        films.take(most).map(|film| film.path.display().to_string()).collect()
    }

    /// Identifies the films that are trained and validated on; empty before [`Self::share`].
    #[wasm_bindgen(getter)]
    pub fn fingerprint(&self) -> String {
        self.shared.as_ref().map_or_else(String::new, |shared| fingerprint(&shared.train, &shared.val))
    }
}

impl TrainingSet {
    /// Takes what became of a file; what is wrong with it, where something is.
    fn insert(&mut self, path: String, film: Result<Prepared>) -> Option<Failed> {
        let error = film.and_then(|(grey, facts)| self.films.insert_with(&path, grey, Some(facts))).err()?;
        self.films.insert_unreadable(&path, &error.to_string());
        Some(Failed::new(path, &error))
    }

    fn shared(&self) -> Result<&Shared> {
        self.shared.as_ref().ok_or_else(|| Error::Dataset { reason: "the films have not been shared out yet".into() })
    }
}

/// A training run over the films of a set.
#[wasm_bindgen]
pub struct TrainingRun {
    run: Run,
    /// What became of the start model's last layer, where the classes are others.
    start: Option<String>,
    loader: Loader,
    train: Dataset,
    validation: Dataset,
}

#[wasm_bindgen]
impl TrainingRun {
    /// Begins a run with the settings of `config` on films that were shared out. It goes on with `checkpoint`; without one the
    /// weights of `safetensors` are where it starts, the rows of its last layer matched by class; without either those that
    /// the seed draws.
    #[wasm_bindgen(constructor)]
    pub fn new(
        config: &str,
        set: &TrainingSet,
        checkpoint: Option<Pieces>,
        safetensors: Option<Pieces>,
    ) -> Result<TrainingRun, JsValue> {
        let config = config_of(config)?;
        let make = || -> Result<TrainingRun> {
            let shared = set.shared()?;
            if *set.films.preprocess() != config.preprocess {
                let reason = "the films were prepared for another network; read them again".into();
                return Err(Error::Config { field: "preprocess", reason });
            }
            if shared.report.classes != config.classes {
                let reason = format!("the films are of {}", shared.report.classes.join(", "));
                return Err(Error::Config { field: "classes", reason });
            }
            let [train, validation] =
                [&shared.train, &shared.val].map(|films| set.films.dataset(films, &config.classes));
            // The loader checks the settings before 331 MB are allocated.
            let loader = Run::loader(&config, &train)?;
            let data = fingerprint(&shared.train, &shared.val);
            let mut start = None;
            let run = match (checkpoint, safetensors) {
                (Some(checkpoint), _) => Run::resume(checkpoint, config, &data)?,
                (None, Some(file)) => {
                    let Initial { weights, rows, .. } = initial_weights(&config.graph()?, weights_of(file)?, &config)?;
                    start = rows.map(|rows| rows.to_string());
                    Run::from_weights(config, weights, data)?
                }
                (None, None) => Run::new(config, data)?,
            };
            Ok(TrainingRun { run, start, loader, train, validation })
        };
        make().map_err(thrown)
    }

    /// What became of the rows of the start model's last layer, in words; undefined where they are as they were.
    #[wasm_bindgen(getter)]
    pub fn start(&self) -> Option<String> {
        self.start.clone()
    }

    /// One step: `{step, epoch, loss, correct, n, learning_rate, running: {loss, accuracy}}` as JSON; undefined when the
    /// epoch has no more of them, and [`Self::validate`] is next.
    pub fn step(&mut self) -> Result<Option<String>, JsValue> {
        if !self.run.has_steps() {
            return Ok(None);
        }
        let report = self.run.step(&self.loader, &self.train).map_err(thrown)?;
        let value = serde_json::json!({
            "step": self.run.steps(),
            "epoch": self.run.epoch(),
            "loss": report.loss,
            "correct": report.correct,
            "n": report.n,
            "learning_rate": report.learning_rate,
            "running": self.run.history().running.phase(),
        });
        json(&value).map(Some)
    }

    /// Some of the validation; with the last of it an `EpochRecord` as JSON, and `best`: whether the weights are the best
    /// so far.
    pub fn validate(&mut self) -> Result<Option<String>, JsValue> {
        let Some(record) = self.run.validate_some(&self.validation).map_err(thrown)? else { return Ok(None) };
        #[derive(Serialize)]
        struct Ended {
            #[serde(flatten)]
            record: crate::train::EpochRecord,
            best: bool,
        }
        json(&Ended { record, best: self.run.is_best() }).map(Some)
    }

    /// The epoch under way, 1 being the first; undefined when all are done.
    #[wasm_bindgen(getter)]
    pub fn epoch(&self) -> Option<usize> {
        self.run.epoch()
    }

    /// What happened so far, a `History` as JSON.
    #[wasm_bindgen(getter)]
    pub fn history(&self) -> Result<String, JsValue> {
        json(self.run.history())
    }

    /// Hands the bytes that the constructor goes on from to `sink`, a `Uint8Array` at a time, which is another's place after the
    /// call. What `sink` throws ends it and is thrown.
    #[wasm_bindgen(js_name = writeCheckpoint)]
    pub fn write_checkpoint(&mut self, sink: &Function) -> Result<(), JsValue> {
        into(sink, |sink| self.run.write_checkpoint(sink))
    }

    /// Hands the weights as they are now, a safetensors file, to `sink` in the same way; the `model.json` that describes
    /// them is returned.
    #[wasm_bindgen(js_name = writeModel)]
    pub fn write_model(&self, id: &str, sink: &Function) -> Result<String, JsValue> {
        let weights = into(sink, |sink| self.run.write_weights(sink))?;
        let card = self.run.card(id, weights, [self.train.len(), self.validation.len()]).map_err(thrown)?;
        card.validate().map_err(thrown)?;
        Ok(String::from_utf8_lossy(&card.to_json()).into_owned())
    }
}

#[wasm_bindgen(typescript_custom_section)]
const PIECES: &str = "/** A file that is read from beginning to end: `next` gives at most as many bytes as it is asked for, none at the end. */
export interface Pieces { readonly size: number; next(most: number): Uint8Array; }";

#[wasm_bindgen]
extern "C" {
    /// A file that JavaScript reads, a piece a call: as a whole it would be as large as what is made of it.
    #[wasm_bindgen(typescript_type = "Pieces")]
    pub type Pieces;
    #[wasm_bindgen(method, getter)]
    fn size(this: &Pieces) -> f64;
    #[wasm_bindgen(method, catch)]
    fn next(this: &Pieces, most: usize) -> Result<Uint8Array, JsValue>;
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let piece = self.next(out.len()).map_err(|cause| std::io::Error::other(format!("{cause:?}")))?;
        let len = piece.length() as usize;
        if len > out.len() {
            return Err(std::io::Error::other("more bytes than were asked for"));
        }
        piece.copy_to(&mut out[..len]);
        Ok(len)
    }
}

/// The tensors of a weights file.
fn weights_of(mut file: Pieces) -> Result<Weights> {
    let bytes = file.size() as u64;
    read_weights_from(&mut file, bytes)
}

/// What `write` gives, its pieces handed to `sink`, which does not keep them: the next one lies where the last one lay, for a
/// hundred megabytes of them would wait for JavaScript's collection. What `sink` throws is thrown as it is.
fn into<T>(
    sink: &Function,
    write: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<T>,
) -> Result<T, JsValue> {
    let (mut cause, mut buffer) = (None, Uint8Array::new_with_length(0));
    let written = write(&mut |piece| {
        let len = piece.len() as u32;
        if buffer.length() < len {
            buffer = Uint8Array::new_with_length(len);
        }
        let filled = buffer.subarray(0, len);
        filled.copy_from(piece);
        sink.call1(&JsValue::UNDEFINED, &filled).map(drop).map_err(|thrown| {
            cause = Some(thrown);
            Error::Checkpoint { reason: "could not be written".into() }
        })
    });
    written.map_err(|error| cause.unwrap_or_else(|| thrown(error)))
}

/// The network of `config`, the JSON of a run's settings: `{layers: [{name, kind, output, parameters}], parameters, learning}`
/// as JSON, where `learning` counts those of the parameters that learn.
#[wasm_bindgen(js_name = describeNetwork)]
pub fn describe_network(config: &str, classes: usize) -> Result<String, JsValue> {
    let config: TrainConfig = serde_json::from_str(config).map_err(JsError::from)?;
    let architecture = Architecture::from_name(&config.architecture).map_err(thrown)?;
    let graph = architecture.network(&config.preprocess, classes).map_err(thrown)?;
    let learns = |spec: &&ParameterSpec| spec.trained && !config.freeze.holds(&graph, &spec.name);
    let learning: usize = graph.parameters().iter().filter(learns).map(ParameterSpec::len).sum();
    let parameters = graph.parameter_count();
    json(&serde_json::json!({ "layers": graph.summary(), "parameters": parameters, "learning": learning }))
}

/// Throws `config` with the field and what is wrong with it unless `config`, as JSON, can be trained with.
#[wasm_bindgen(js_name = checkSettings)]
pub fn check_settings(config: &str) -> Result<(), JsValue> {
    let config = config_of(config)?;
    config.augment.validate().map_err(thrown)
}

/// The changes to training films that one number stands for, as JSON; 0 changes nothing.
#[wasm_bindgen(js_name = augmentation)]
pub fn augmentation(strength: f32) -> Result<String, JsValue> {
    json(&Augment::of_strength(strength).map_err(thrown)?)
}

/// A network in training without films: for whoever brings batches of numbers of their own.
#[wasm_bindgen]
pub struct Trainer(crate::train::Trainer);

#[wasm_bindgen]
impl Trainer {
    /// The settings of the architecture's recipe for these classes, as JSON, to be changed and trained with.
    pub fn recipe(architecture: &str, classes: Vec<String>) -> Result<String, JsValue> {
        let architecture = Architecture::from_name(architecture).map_err(thrown)?;
        json(&TrainConfig::recipe(architecture, classes))
    }

    /// The settings to go on with from the model whose `model.json` is `card`, as JSON; `freeze` is the JSON of which layers
    /// stay.
    pub fn transfer(card: &str, classes: Vec<String>, freeze: &str) -> Result<String, JsValue> {
        let freeze = serde_json::from_str(freeze).map_err(JsError::from)?;
        let card = ModelCard::from_json(card.as_bytes()).map_err(thrown)?;
        json(&TrainConfig::transfer(&card, classes, freeze).map_err(thrown)?)
    }

    /// Builds the network of `config`, with the weights of `safetensors` or with those that the seed draws.
    #[wasm_bindgen(constructor)]
    pub fn new(config: &str, safetensors: Option<Pieces>) -> Result<Trainer, JsValue> {
        let config: TrainConfig = serde_json::from_str(config).map_err(JsError::from)?;
        let trainer = match safetensors {
            Some(file) => crate::train::Trainer::from_weights(config, weights_of(file).map_err(thrown)?),
            None => crate::train::Trainer::new(config),
        };
        trainer.map(Trainer).map_err(thrown)
    }

    /// One step on images `[n, channels, height, width]` and one-hot targets `[n, classes]`; the mean loss before it.
    pub fn step(&mut self, images: Vec<f32>, targets: Vec<f32>) -> Result<f32, JsValue> {
        let config = self.0.config();
        let (classes, &Preprocess { channels, height, width, .. }) = (config.classes.len(), &config.preprocess);
        let n = targets.len() / classes;
        let batch = Batch { images, targets, origins: None, n, channels, height, width, classes };
        self.0.step(batch).map(|report| report.loss).map_err(thrown)
    }
}
