//! Pixels of the browser's own kinds: from a canvas, a bitmap or a frame to films, and back for showing.

use js_sys::Uint8ClampedArray;
use wasm_bindgen::prelude::*;
use web_sys::{ContextAttributes2d, ImageBitmap, ImageData, OffscreenCanvas, OffscreenCanvasRenderingContext2d};

use super::thrown;
use crate::image::{Limits, Radiograph, check_size, from_rgba};

/// The film in the pixels of an `ImageData`, under the default [`Limits`].
pub fn read(pixels: &ImageData) -> Result<Radiograph, JsValue> {
    let (width, height) = (pixels.width(), pixels.height());
    check_size(width, height, &Limits::default()).map_err(thrown)?;
    from_rgba(width, height, &pixels.data()).map_err(thrown)
}

/// The film in an `ImageBitmap`, under the default [`Limits`], read by a canvas.
///
/// What is transparent lies on black, as in files.
pub fn read_bitmap(bitmap: &ImageBitmap) -> Result<Radiograph, JsValue> {
    let (width, height) = (bitmap.width(), bitmap.height());
    check_size(width, height, &Limits::default()).map_err(thrown)?;
    let settings = ContextAttributes2d::new();
    // Black below: a canvas with alpha would round twice, when it takes the pixels and when it gives them.
    settings.set_alpha(false);
    // In the memory that it is read from, not the graphics card's.
    settings.set_will_read_frequently(true);
    let context = OffscreenCanvas::new(width, height)?
        .get_context_with_context_options("2d", &settings)?
        .ok_or_else(|| JsError::new("the browser has no canvas to read the image with"))?
        .unchecked_into::<OffscreenCanvasRenderingContext2d>();
    context.draw_image_with_image_bitmap(bitmap, 0.0, 0.0)?;
    read(&context.get_image_data(0.0, 0.0, width.into(), height.into())?)
}

/// `rgba`, row-major `[height, width, 4]`, alpha not premultiplied, for a canvas.
pub fn image_data(width: usize, height: usize, rgba: &[u8]) -> Result<ImageData, JsValue> {
    // A copy: an `ImageData` keeps what it is given, and may not be given the module's memory where threads share that.
    let rgba = Uint8ClampedArray::new_from_slice(rgba);
    ImageData::new_with_js_u8_clamped_array_and_sh(&rgba, width as u32, height as u32)
}

/// Greys, row-major `[height, width]`, for a canvas.
pub fn grey_image_data(width: usize, height: usize, greys: impl Iterator<Item = u8>) -> Result<ImageData, JsValue> {
    let rgba: Vec<u8> = greys.flat_map(|grey| [grey, grey, grey, 255]).collect();
    image_data(width, height, &rgba)
}
