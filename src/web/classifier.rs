//! The classifier: films, models, predictions.

use wasm_bindgen::prelude::*;
use web_sys::{ImageBitmap, ImageData};

use super::{pixels, thrown};
use crate::explain::colours;
use crate::formats::ModelCard;
use crate::image::{Limits, Radiograph, Values, decode, decodes, is_dicom};
use crate::preprocess::Preprocess;

/// A decoded film, in the module's memory until `free()`.
#[wasm_bindgen]
pub struct Film(pub(super) Radiograph);

#[wasm_bindgen]
impl Film {
    /// Whether a file is for [`Self::decode`]: false for one whose decoder is in another module.
    pub fn decodes(bytes: &[u8]) -> bool {
        decodes(bytes)
    }

    /// Whether that other module is the one of DICOM.
    #[wasm_bindgen(js_name = isDicom)]
    pub fn is_dicom(bytes: &[u8]) -> bool {
        is_dicom(bytes)
    }

    /// Decodes an image file under the default [`Limits`].
    pub fn decode(bytes: &[u8]) -> Result<Film, JsValue> {
        decode(bytes, &Limits::default()).map(Film).map_err(thrown)
    }

    /// Takes the pixels of a canvas, under the default [`Limits`].
    #[wasm_bindgen(js_name = fromImageData)]
    pub fn from_image_data(image: &ImageData) -> Result<Film, JsValue> {
        pixels::read(image).map(Film)
    }

    /// Takes the pixels of a bitmap, under the default [`Limits`]; the bitmap stays open.
    #[wasm_bindgen(js_name = fromBitmap)]
    pub fn from_bitmap(bitmap: &ImageBitmap) -> Result<Film, JsValue> {
        pixels::read_bitmap(bitmap).map(Film)
    }

    /// Takes what another module decoded: luminance, row-major `[height, width]`, in `[0, 1]`, the share of pixels that had a
    /// colour, what its numbers were, and how many images its file holds.
    #[wasm_bindgen(js_name = fromLuma)]
    pub fn from_luma(
        width: u32,
        height: u32,
        luma: Vec<f32>,
        coloured: f32,
        values: Vec<f32>,
        frames: u32,
    ) -> Result<Film, JsValue> {
        let film = Radiograph::new(height as usize, width as usize, luma);
        film.map(|film| film.with_coloured(coloured).with_values(Values::unpacked(&values)).with_frames(frames))
            .map(Film)
            .map_err(thrown)
    }

    /// Reads the film by a value range, black and white, where its own numbers leave that open.
    pub fn within(&mut self, black: f32, white: f32) -> Result<(), JsValue> {
        let preprocess = Preprocess { value_range: Some([black, white]), ..Preprocess::new(1, 1, 1) };
        preprocess.validate().map_err(thrown)?;
        self.0 = preprocess.ranged(&self.0).map_err(thrown)?.into_owned();
        Ok(())
    }

    /// Width in pixels, upright.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> u32 {
        self.0.width() as u32
    }

    /// Height in pixels, upright.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> u32 {
        self.0.height() as u32
    }

    /// The film as it is judged, reduced until no side is longer than `max_side` pixels.
    pub fn preview(&self, max_side: u32) -> Result<ImageData, JsValue> {
        preview(&self.0, max_side as usize)
    }
}

/// A model, ready to judge films.
#[wasm_bindgen]
pub struct Classifier(crate::classifier::Classifier);

#[wasm_bindgen]
impl Classifier {
    /// Throws `model-card` with what is wrong with `card`, the text of `model.json`; after that what it names may be fetched.
    #[wasm_bindgen(js_name = checkCard)]
    pub fn check_card(card: &str) -> Result<(), JsValue> {
        ModelCard::from_json(card.as_bytes()).map(drop).map_err(thrown)
    }

    /// Throws `weights-mismatch` unless `stored`, the weights file as downloaded, is the one the card describes.
    pub fn verify(card: &str, stored: &[u8]) -> Result<(), JsValue> {
        ModelCard::from_json(card.as_bytes()).and_then(|card| card.verify(stored)).map_err(thrown)
    }

    /// Builds the network of `card` from its weights, unpacked.
    #[wasm_bindgen(constructor)]
    pub fn new(card: &str, safetensors: &[u8]) -> Result<Classifier, JsValue> {
        ModelCard::from_json(card.as_bytes())
            .and_then(|card| crate::classifier::Classifier::new(card, safetensors))
            .map(Classifier)
            .map_err(thrown)
    }

    /// Judges a film: a `Prediction` as JSON.
    ///
    /// Of a film that is refused it holds the refusal alone, unless `anyway`.
    pub fn classify(&self, film: &Film, anyway: bool) -> Result<String, JsValue> {
        let prediction = self.0.classify(&film.0).map_err(thrown)?;
        serde_json::to_string(&prediction.shown(anyway)).map_err(|error| JsError::from(error).into())
    }

    /// Where the network found what speaks for `class`: a layer to be stretched over the film.
    pub fn explain(&self, film: &Film, class: &str) -> Result<ImageData, JsValue> {
        let map = self.0.explain(&film.0, class).map_err(thrown)?;
        pixels::image_data(map.width, map.height, &colours(&map))
    }
}

/// Greys of `film` for a canvas, its longer side at most `max_side` pixels.
fn preview(film: &Radiograph, max_side: usize) -> Result<ImageData, JsValue> {
    let (height, width) = (film.height(), film.width());
    let longer = height.max(width);
    let fit = |side: usize| if longer > max_side { (side * max_side).div_ceil(longer) } else { side };
    let (height, width) = (fit(height), fit(width));
    let reduced;
    let luma = if longer > max_side {
        reduced = Preprocess::new(1, height, width).prepare(film).map_err(thrown)?;
        &reduced
    } else {
        film.luma()
    };
    pixels::grey_image_data(width, height, luma.iter().map(|&value| (value * 255.0).round() as u8))
}
