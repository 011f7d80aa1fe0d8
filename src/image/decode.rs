//! Image files as films: bytes from anywhere, under limits that are checked before anything is allocated.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::orient::Stored;
use super::rgba::{luminance, luminance_alpha};
use super::{Radiograph, tiff};
use crate::error::{Error, Result};

/// What a file may ask for before it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Pixels a side.
    pub max_side: u32,
    /// Pixels in all.
    pub max_pixels: u64,
    /// Bytes of the file.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 16,384 px a side, 100 million pixels, 64 MiB: several times the largest digital chest films (about 4,300 px a
    /// side, 18 million pixels, 36 MB at 16 bits), and little enough that decoding fits a browser tab's memory.
    fn default() -> Self {
        Self { max_side: 16_384, max_pixels: 100_000_000, max_bytes: 64 << 20 }
    }
}

/// The film in an image file: PNG, JPEG, WebP, BMP, TIFF or the first frame of a GIF, told apart by their bytes.
///
/// Colours become luminance as [`super::from_rgba`] has it, transparency lies on black, the orientation in the file's
/// metadata is applied, 16-bit and float values keep
/// their precision (floats are clamped to `[0, 1]`).
///
/// # Errors
/// [`Error::TooManyBytes`] and [`Error::TooLarge`] before decoding, [`Error::UnknownFormat`], [`Error::Damaged`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Radiograph> {
    if bytes.len() as u64 > limits.max_bytes {
        return Err(Error::TooManyBytes { bytes: bytes.len() as u64, limit: limits.max_bytes });
    }
    let (format, name) = recognise(bytes)?;
    if format == ImageFormat::Tiff {
        return tiff::decode(bytes, limits)?.upright();
    }
    if format == ImageFormat::Jpeg && lacks_end(bytes) {
        return Err(Error::Damaged { format: name, reason: "it breaks off before its end marker".into() });
    }
    if let Some((width, height)) = claimed_size(format, bytes) {
        check_size(width, height, limits)?;
    }
    let failed = |error| explain(error, name);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(decoder_limits(limits));
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Stored { height: height as usize, width: width as usize, luma: luma(&image), orientation }.upright()
}

/// The format that the first bytes tell, and its name for messages.
fn recognise(bytes: &[u8]) -> Result<(ImageFormat, &'static str)> {
    if bytes.is_empty() {
        return Err(Error::UnknownFormat { reason: "the file is empty".into() });
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => Ok((ImageFormat::Png, "PNG")),
        Ok(ImageFormat::Jpeg) => Ok((ImageFormat::Jpeg, "JPEG")),
        Ok(ImageFormat::WebP) => Ok((ImageFormat::WebP, "WebP")),
        Ok(ImageFormat::Bmp) => Ok((ImageFormat::Bmp, "BMP")),
        Ok(ImageFormat::Tiff) => Ok((ImageFormat::Tiff, "TIFF")),
        Ok(ImageFormat::Gif) => Ok((ImageFormat::Gif, "GIF")),
        Ok(other) => {
            let extension = other.extensions_str().first().copied().unwrap_or("another format");
            Err(Error::UnknownFormat { reason: format!("its bytes look like {extension}") })
        }
        Err(_) => Err(Error::UnknownFormat { reason: "its first bytes belong to no image format".into() }),
    }
}

/// The same limits for the decoders' own buffers, where broken files ask for memory that the size does not justify.
fn decoder_limits(limits: &Limits) -> image::Limits {
    let mut own = image::Limits::no_limits();
    // The widest format kept here has 4 channels of 16 bits. Sides are left to `check_size`, which names them.
    own.max_alloc = Some(limits.max_pixels.saturating_mul(8));
    own
}

/// Refuses a size that the header claims, before any pixel is read.
pub(super) fn check_size(width: u32, height: u32, limits: &Limits) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::TooSmall { width, height, minimum: 1 });
    }
    if width > limits.max_side || height > limits.max_side {
        return Err(Error::TooLarge { width, height, limit: limits.max_side });
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(Error::TooManyPixels { width, height, limit: limits.max_pixels });
    }
    Ok(())
}

/// Whether a JPEG has no end marker after its first scan: the decoder would fill what is missing with grey.
///
/// Looks at segment lengths only; a file whose segments make no sense is left to the decoder to explain.
fn lacks_end(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END_OF_IMAGE: u8 = 0xd9;
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
        match marker {
            START_OF_SCAN => return !bytes[at..].windows(2).any(|pair| pair == [0xff, END_OF_IMAGE]),
            // A fill byte, or a marker without a length.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    false
}

/// The size that the header of a PNG or BMP claims: their decoders multiply it out before they can be asked, and in
/// WebAssembly the product of 60,000 × 60,000 overflows and is reported as damage, or as a format that is not read.
///
/// `None` for the other formats, and for a header that is cut short or claims no pixel: the decoder says what is wrong.
fn claimed_size(format: ImageFormat, bytes: &[u8]) -> Option<(u32, u32)> {
    let four = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
    let (width, height) = match format {
        // The signature (8 bytes) and the length of the first chunk (4) come before (PNG specification, 5.2 and 11.2.1).
        ImageFormat::Png if &four(12)? == b"IHDR" => (u32::from_be_bytes(four(16)?), u32::from_be_bytes(four(20)?)),
        // After the file header (14 bytes) and its own length; a negative height means rows from the top. The older
        // header of 12 bytes has 16-bit sides and is left to the decoder (Windows: BITMAPINFOHEADER, BITMAPCOREHEADER).
        ImageFormat::Bmp if u32::from_le_bytes(four(14)?) >= 40 => {
            (i32::from_le_bytes(four(18)?).unsigned_abs(), i32::from_le_bytes(four(22)?).unsigned_abs())
        }
        _ => return None,
    };
    (width > 0 && height > 0).then_some((width, height))
}

/// Luminance of every pixel in `[0, 1]`, whatever the pixel type.
fn luma(image: &DynamicImage) -> Vec<f32> {
    let byte = |v: u8| f32::from(v) / 255.0;
    let word = |v: u16| f32::from(v) / 65535.0;
    match image {
        DynamicImage::ImageLuma8(image) => image.pixels().map(|p| byte(p.0[0])).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().map(|p| byte(p.0[0]) * byte(p.0[1])).collect(),
        DynamicImage::ImageRgb8(image) => image.pixels().map(|p| luminance(p.0.map(byte))).collect(),
        DynamicImage::ImageRgba8(image) => image.pixels().map(|p| luminance_alpha(p.0.map(byte))).collect(),
        DynamicImage::ImageLuma16(image) => image.pixels().map(|p| word(p.0[0])).collect(),
        DynamicImage::ImageLumaA16(image) => image.pixels().map(|p| word(p.0[0]) * word(p.0[1])).collect(),
        DynamicImage::ImageRgb16(image) => image.pixels().map(|p| luminance(p.0.map(word))).collect(),
        DynamicImage::ImageRgba16(image) => image.pixels().map(|p| luminance_alpha(p.0.map(word))).collect(),
        // None of the decoders switched on gives another type today.
        other => other.to_rgba16().pixels().map(|p| luminance_alpha(p.0.map(word))).collect(),
    }
}

/// What a decoder's error means to whoever has the file.
fn explain(error: ImageError, format: &'static str) -> Error {
    match error {
        ImageError::Unsupported(unsupported) => Error::UnknownFormat { reason: unsupported.to_string() },
        other => Error::Damaged { format, reason: other.to_string() },
    }
}
