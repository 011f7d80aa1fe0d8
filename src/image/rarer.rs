//! WebP, BMP and the first frame of a GIF, by the decoders of `image`.

use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, webp::WebPDecoder};
use image::{ColorType, ImageDecoder, ImageError};

use super::decode::{Limits, check_size, luma};
use super::orient::{Orientation, Stored};
use super::unsupported::SAVE_AGAIN;
use crate::error::{Error, Result};

/// The film in a WebP file.
///
/// # Errors
/// [`Error::TooLarge`] and [`Error::TooManyPixels`] before decoding, [`Error::Unsupported`] for the rarer kinds,
/// [`Error::Damaged`].
pub fn webp(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    stored(WebPDecoder::new(Cursor::new(bytes)), "WebP", limits)
}

/// The film in a BMP file.
///
/// # Errors
/// As for [`webp`].
pub fn bmp(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    if let Some((width, height)) = claimed_size(bytes) {
        check_size(width, height, limits)?;
    }
    stored(BmpDecoder::new(Cursor::new(bytes)), "BMP", limits)
}

/// The film in the first frame of a GIF file.
///
/// # Errors
/// As for [`webp`].
pub fn gif(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    stored(GifDecoder::new(Cursor::new(bytes)), "GIF", limits)
}

/// What `decoder`, if it could be opened, reads of its file.
///
/// Each by its own type: `ImageReader` knows them as `dyn ImageDecoder`, which keeps all that they can read of a file in
/// the module, colour profiles and three kinds of notes. And not as `DynamicImage`, which keeps every conversion between
/// colour spaces there.
fn stored(decoder: Result<impl ImageDecoder, ImageError>, format: &'static str, limits: &Limits) -> Result<Stored> {
    let failed = |error| explain(error, format);
    let mut decoder = decoder.map_err(failed)?;
    decoder.set_limits(decoder_limits(limits)).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let channels = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::La8 => 2,
        ColorType::Rgb8 => 3,
        ColorType::Rgba8 => 4,
        // None of these decoders gives another type today.
        other => {
            return Err(Error::Unsupported {
                what: format!("{format} with pixels of the kind {other:?}"),
                advice: SAVE_AGAIN,
            });
        }
    };
    let Ok(len) = usize::try_from(decoder.total_bytes()) else {
        return Err(Error::TooManyPixels { width, height, limit: limits.max_pixels });
    };
    let mut samples = vec![0; len];
    decoder.read_image(&mut samples).map_err(failed)?;
    let orientation = Orientation::of_tag(orientation.to_exif().into()).unwrap_or_default();
    let (luma, coloured) = luma(channels, 8, &samples);
    Ok(Stored { height: height as usize, width: width as usize, luma, coloured, values: None, orientation })
}

/// The same limits for the decoders' own buffers, where broken files ask for memory that the size does not justify.
fn decoder_limits(limits: &Limits) -> image::Limits {
    let mut own = image::Limits::no_limits();
    // The widest format kept here has 4 channels of 8 bits, and room for as much again. Sides are left to `check_size`,
    // which names them.
    own.max_alloc = Some(limits.max_pixels.saturating_mul(8));
    own
}

/// The size that the header of a BMP claims: its decoder multiplies it out before it can be asked, and in WebAssembly the
/// product of 60,000 × 60,000 overflows and is reported as a format that is not read.
///
/// `None` for a header that is cut short or claims no pixel: the decoder says what is wrong.
fn claimed_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let four = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
    // After the file header (14 bytes) and its own length; a negative height means rows from the top. The older header of
    // 12 bytes has 16-bit sides and is left to the decoder (Windows: BITMAPINFOHEADER, BITMAPCOREHEADER).
    let newer = u32::from_le_bytes(four(14)?) >= 40;
    let [width, height] = [four(18)?, four(22)?].map(|side| i32::from_le_bytes(side).unsigned_abs());
    (newer && width > 0 && height > 0).then_some((width, height))
}

/// What a decoder's error means to whoever has the file.
fn explain(error: ImageError, format: &'static str) -> Error {
    match error {
        ImageError::Unsupported(unsupported) => {
            Error::Unsupported { what: format!("{format} of this kind ({unsupported})"), advice: SAVE_AGAIN }
        }
        other => Error::Damaged { format, reason: other.to_string() },
    }
}
