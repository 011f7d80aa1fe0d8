//! The modules with decoders of the formats that few films come in, or of DICOM, and nothing else.

use wasm_bindgen::prelude::*;

use super::thrown;
use crate::image::{Limits, Radiograph, decode, is_for_browsers};

/// A decoded film on its way to the module that judges it, in this one's memory until `free()`.
#[wasm_bindgen]
pub struct Decoded(Radiograph);

#[wasm_bindgen]
impl Decoded {
    /// Decodes an image file under the default [`Limits`].
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: &[u8]) -> Result<Decoded, JsValue> {
        decode(bytes, &Limits::default()).map(Decoded).map_err(thrown)
    }

    /// Whether a file that is not decoded here is for the browser to try.
    #[wasm_bindgen(js_name = isForBrowsers)]
    pub fn is_for_browsers(bytes: &[u8]) -> bool {
        is_for_browsers(bytes)
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

    /// A copy of the luminance, row-major `[height, width]`, in `[0, 1]`: what the other module's `Film.fromLuma` takes.
    #[wasm_bindgen(getter)]
    pub fn luma(&self) -> Vec<f32> {
        self.0.luma().to_vec()
    }

    /// What the numbers of the file were, for `Film.fromLuma` too; empty where their type settles that.
    #[wasm_bindgen(getter)]
    pub fn values(&self) -> Vec<f32> {
        self.0.values().map_or_else(Vec::new, |values| values.packed().to_vec())
    }

    /// Share of the pixels that had a colour, in `[0, 1]`, for `Film.fromLuma` too.
    #[wasm_bindgen(getter)]
    pub fn coloured(&self) -> f32 {
        self.0.coloured()
    }

    /// How many images the file holds, of which this is the first, for `Film.fromLuma` too.
    #[wasm_bindgen(getter)]
    pub fn frames(&self) -> u32 {
        self.0.frames()
    }
}
