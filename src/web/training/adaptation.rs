//! A model learns a hospital in the page: files in, a report and a model out.

use std::collections::{BTreeMap, HashMap};

use js_sys::{Function, Uint8Array};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::{Failed, Pieces, into, json};
use crate::adapt::{Adapted, Adapter, Input, Options, Report, Seen};
use crate::data::{Named, NamedTables, Unmatched, class_of};
use crate::error::{Error, Result};
use crate::formats::{Encoding, ModelCard, WeightsInfo};
use crate::image::{Limits, decode};
use crate::web::classifier::Film;
use crate::web::thrown;

/// A model that is being adapted, and the images that it is adapted to.
#[wasm_bindgen]
pub struct Adaptation {
    adapter: Adapter,
    seen: BTreeMap<String, Seen>,
    tables: NamedTables,
    named: Named,
    /// By path, as the groups are.
    classes: HashMap<String, Option<usize>>,
    groups: HashMap<String, String>,
    adapted: Option<Adapted>,
}

/// What [`Adaptation::adapt`] is told.
#[derive(Deserialize)]
struct Wanted {
    seed: u32,
    date: Option<String>,
}

/// What it gives.
#[derive(Serialize)]
struct Given<'a> {
    #[serde(flatten)]
    report: &'a Report,
    left_out: &'a [Unmatched],
}

#[wasm_bindgen]
impl Adaptation {
    /// Opens a model from its `model.json` and its weights, unpacked and verified.
    #[wasm_bindgen(constructor)]
    pub fn new(card: &str, weights: Pieces) -> Result<Adaptation, JsValue> {
        let open = || -> Result<Self> {
            let adapter = Adapter::new(ModelCard::from_json(card.as_bytes())?, bytes_of(weights)?)?;
            Ok(Self {
                adapter,
                seen: BTreeMap::new(),
                tables: NamedTables::default(),
                named: Named::default(),
                classes: HashMap::new(),
                groups: HashMap::new(),
                adapted: None,
            })
        };
        open().map_err(thrown)
    }

    /// Sends image files through the network; the JSON lists those that are none: `[{path, kind, message, range}]`.
    pub fn add(&mut self, paths: Vec<String>, files: Vec<Uint8Array>) -> Result<String, JsValue> {
        let files: Vec<(String, Vec<u8>)> = paths.into_iter().zip(files.iter().map(Uint8Array::to_vec)).collect();
        let adapter = &self.adapter;
        let input = |bytes: &[u8]| adapter.input(&decode(bytes, &Limits::default())?);
        let inputs = files.into_par_iter().map(|(path, bytes)| (path, input(&bytes))).collect();
        json(&self.see(inputs).map_err(thrown)?)
    }

    /// Takes an image that is decoded already, as one from the other module is; the JSON is that of [`Self::add`].
    #[wasm_bindgen(js_name = addFilm)]
    pub fn add_film(&mut self, path: String, film: &Film) -> Result<String, JsValue> {
        let input = self.adapter.input(&film.0);
        json(&self.see(vec![(path, input)]).map_err(thrown)?)
    }

    /// The paths of tables among `paths`, which may say which images are of one patient; for [`Self::add_table`].
    pub fn tables(&self, paths: Vec<String>) -> Vec<String> {
        paths.into_iter().filter(|path| NamedTables::is_one(path)).collect()
    }

    /// Takes the bytes of the table at `path`.
    #[wasm_bindgen(js_name = addTable)]
    pub fn add_table(&mut self, path: &str, bytes: &[u8]) {
        self.tables.add(path, bytes);
    }

    /// The paths of images among `paths`: those that a class of the model is called after, or all where they have no labels.
    pub fn images(&mut self, paths: Vec<String>) -> Result<Vec<String>, JsValue> {
        self.named = Named::of(&paths, &self.adapter.card().classes).map_err(thrown)?;
        self.groups = self.tables.groups(&paths);
        let images = self.named.files.iter().map(|(i, class)| (paths[*i].clone(), *class));
        self.classes = images.collect();
        Ok(self.named.files.iter().map(|(i, _)| paths[*i].clone()).collect())
    }

    /// Adapts the model to the images, `wanted` being `{seed, date}` as JSON; `progress` is told how much is done, in `[0, 1]`.
    /// Gives the report of `roentgen adapt --json`.
    pub fn adapt(&mut self, wanted: &str, progress: &Function) -> Result<String, JsValue> {
        let Wanted { seed, date } = serde_json::from_str(wanted).map_err(JsError::from)?;
        let known = self.seen.iter().map(|(path, seen)| {
            let group = self.groups.get(path).unwrap_or(path).clone();
            Seen { name: path.clone(), class: self.classes.get(path).copied().flatten(), group, ..seen.clone() }
        });
        let images: Vec<Seen> = known.collect();
        // What it throws is its own business; the work goes on.
        let tell = |done: f64| drop(progress.call1(&JsValue::UNDEFINED, &JsValue::from_f64(done)));
        let adapted = self.adapter.adapt(&images, &Options { seed: seed.into(), date }, tell).map_err(thrown)?;
        let adapted = self.adapted.insert(adapted);
        json(&Given { report: &adapted.report, left_out: &self.named.left_out })
    }

    /// Hands the weights of the adapted model to `sink`, unpacked, a `Uint8Array` that is another's place after the call.
    #[wasm_bindgen(js_name = writeWeights)]
    pub fn write_weights(&self, sink: &Function) -> Result<(), JsValue> {
        let adapted = self.adapted().map_err(thrown)?;
        into(sink, |sink| sink(&adapted.safetensors))
    }

    /// The `model.json` that goes with `stored`, the file that the weights became, packed with gzip or as they were.
    #[wasm_bindgen(js_name = cardFor)]
    pub fn card_for(&self, stored: &[u8], gzip: bool) -> Result<String, JsValue> {
        let encoding = if gzip { Encoding::Gzip } else { Encoding::Identity };
        let weights = WeightsInfo::of(stored, encoding);
        let card = ModelCard { weights, ..self.adapted().map_err(thrown)?.card.clone() };
        Ok(String::from_utf8_lossy(&card.to_json()).into_owned())
    }
}

impl Adaptation {
    /// Sends what could be read through the network; what could not.
    fn see(&mut self, inputs: Vec<(String, Result<Input>)>) -> Result<Vec<Failed>> {
        let (mut paths, mut readable, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for (path, input) in inputs {
            match input {
                Ok(input) => {
                    paths.push(path);
                    readable.push(input);
                }
                Err(error) => failed.push(Failed::new(path, &error)),
            }
        }
        if !readable.is_empty() {
            self.seen.extend(paths.into_iter().zip(self.adapter.see(readable)?));
        }
        Ok(failed)
    }

    fn adapted(&self) -> Result<&Adapted> {
        self.adapted.as_ref().ok_or_else(|| Error::Dataset { reason: "nothing has been adapted yet".into() })
    }
}

/// All of a file.
fn bytes_of(mut file: Pieces) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(file.size() as usize);
    std::io::Read::read_to_end(&mut file, &mut bytes).map_err(|error| Error::Weights { reason: error.to_string() })?;
    Ok(bytes)
}

/// The class, by its place among `classes`, that the nearest folder above the file at `path` is called after.
#[wasm_bindgen(js_name = classOf)]
pub fn class_of_path(path: &str, classes: Vec<String>) -> Option<usize> {
    class_of(path, &classes)
}
