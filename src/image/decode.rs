//! Image files as films: bytes from anywhere, under limits that are checked before anything is allocated.

use std::io::Cursor;

#[cfg(feature = "more-formats")]
use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, webp::WebPDecoder};
#[cfg(feature = "png-jpeg")]
use image::codecs::{jpeg::JpegDecoder, png::PngDecoder};
use image::{ColorType, ImageDecoder, ImageError, ImageFormat};

use super::Radiograph;
use super::orient::Stored;
use super::rgba::{coloured, luminance, luminance_alpha, over_black};
#[cfg(feature = "more-formats")]
use super::tiff;
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
    if format == ImageFormat::Jpeg && lacks_end(bytes) {
        return Err(Error::Damaged { format: name, reason: "it breaks off before its end marker".into() });
    }
    if let Some((width, height)) = claimed_size(format, bytes) {
        check_size(width, height, limits)?;
    }
    let file = Cursor::new(bytes);
    // Each by its own type: `ImageReader` knows them as `dyn ImageDecoder`, which keeps all that they can read of a file in
    // the module, colour profiles and three kinds of notes.
    let stored = match format {
        #[cfg(feature = "png-jpeg")]
        ImageFormat::Png => stored(PngDecoder::with_limits(file, decoder_limits(limits)), name, limits),
        #[cfg(feature = "png-jpeg")]
        ImageFormat::Jpeg => stored(JpegDecoder::new(file), name, limits),
        #[cfg(feature = "more-formats")]
        ImageFormat::WebP => stored(WebPDecoder::new(file), name, limits),
        #[cfg(feature = "more-formats")]
        ImageFormat::Bmp => stored(BmpDecoder::new(file), name, limits),
        #[cfg(feature = "more-formats")]
        ImageFormat::Gif => stored(GifDecoder::new(file), name, limits),
        #[cfg(feature = "more-formats")]
        ImageFormat::Tiff => tiff::decode(bytes, limits),
        _ => Err(Error::UnknownFormat { reason: format!("{name} is not built in") }),
    };
    stored?.upright()
}

/// What `decoder`, if it could be opened, reads of its file.
fn stored(decoder: Result<impl ImageDecoder, ImageError>, format: &'static str, limits: &Limits) -> Result<Stored> {
    let failed = |error| explain(error, format);
    let mut decoder = decoder.map_err(failed)?;
    decoder.set_limits(decoder_limits(limits)).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let colour = decoder.color_type();
    let Ok(bytes) = usize::try_from(decoder.total_bytes()) else {
        return Err(Error::TooManyPixels { width, height, limit: limits.max_pixels });
    };
    let mut samples = vec![0; bytes];
    decoder.read_image(&mut samples).map_err(failed)?;
    let (luma, coloured) = (luma(colour, &samples)?, coloured_share(colour, &samples));
    Ok(Stored { height: height as usize, width: width as usize, luma, coloured, orientation })
}

/// Whether this build has the decoder of a file; of one that is no image at all too, since [`decode`] says so.
pub fn decodes(bytes: &[u8]) -> bool {
    match recognise(bytes) {
        Ok((ImageFormat::Png | ImageFormat::Jpeg, _)) => cfg!(feature = "png-jpeg"),
        Ok(_) => cfg!(feature = "more-formats"),
        Err(_) => true,
    }
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

/// Luminance of every pixel in `[0, 1]`, whatever the pixel type; words are in the machine's byte order.
///
/// Not through `DynamicImage`, which keeps every conversion between colour spaces in the module.
fn luma(colour: ColorType, samples: &[u8]) -> Result<Vec<f32>> {
    let byte = |v: u8| f32::from(v) / 255.0;
    fn words<const N: usize>(pixel: &[[u8; 2]]) -> [f32; N] {
        std::array::from_fn(|i| f32::from(u16::from_ne_bytes(pixel[i])) / 65535.0)
    }
    let (pairs, _) = samples.as_chunks::<2>();
    Ok(match colour {
        ColorType::L8 => samples.iter().map(|&v| byte(v)).collect(),
        ColorType::La8 => pairs.iter().map(|p| byte(p[0]) * byte(p[1])).collect(),
        ColorType::Rgb8 => samples.as_chunks::<3>().0.iter().map(|p| luminance(p.map(byte))).collect(),
        ColorType::Rgba8 => samples.as_chunks::<4>().0.iter().map(|p| luminance_alpha(p.map(byte))).collect(),
        ColorType::L16 => pairs.chunks_exact(1).map(|p| words::<1>(p)[0]).collect(),
        ColorType::La16 => pairs.chunks_exact(2).map(words).map(|[luma, alpha]| luma * alpha).collect(),
        ColorType::Rgb16 => pairs.chunks_exact(3).map(|p| luminance(words(p))).collect(),
        ColorType::Rgba16 => pairs.chunks_exact(4).map(|p| luminance_alpha(words(p))).collect(),
        // None of the decoders switched on gives another type today.
        other => {
            return Err(Error::UnknownFormat { reason: format!("pixels of the kind {other:?} are not supported") });
        }
    })
}

/// Share of the pixels that have a colour.
fn coloured_share(colour: ColorType, samples: &[u8]) -> f32 {
    let byte = |i: usize| f32::from(samples[i]) / 255.0;
    let word = |i: usize| f32::from(u16::from_ne_bytes([samples[2 * i], samples[2 * i + 1]])) / 65535.0;
    let opaque = |count, at: &dyn Fn(usize) -> f32| coloured(count, |i| [0, 1, 2].map(|c| at(3 * i + c)));
    let clear = |count, at: &dyn Fn(usize) -> f32| coloured(count, |i| over_black([0, 1, 2, 3].map(|c| at(4 * i + c))));
    match colour {
        ColorType::Rgb8 => opaque(samples.len() / 3, &byte),
        ColorType::Rgb16 => opaque(samples.len() / 6, &word),
        ColorType::Rgba8 => clear(samples.len() / 4, &byte),
        ColorType::Rgba16 => clear(samples.len() / 8, &word),
        _ => 0.0,
    }
}

/// What a decoder's error means to whoever has the file.
fn explain(error: ImageError, format: &'static str) -> Error {
    match error {
        ImageError::Unsupported(unsupported) => Error::UnknownFormat { reason: unsupported.to_string() },
        other => Error::Damaged { format, reason: other.to_string() },
    }
}
