//! Image files as films: bytes from anywhere, under limits that are checked before anything is allocated.

use super::Radiograph;
use super::rgba::{coloured, luminance, over_black};
#[cfg(feature = "png-jpeg")]
use super::{jpeg, png};
#[cfg(feature = "more-formats")]
use super::{rarer, tiff};
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
    let stored = match recognise(bytes)? {
        #[cfg(feature = "png-jpeg")]
        Format::Png => png::decode(bytes, limits),
        #[cfg(feature = "png-jpeg")]
        Format::Jpeg => jpeg::decode(bytes, limits),
        #[cfg(feature = "more-formats")]
        Format::WebP => rarer::webp(bytes, limits),
        #[cfg(feature = "more-formats")]
        Format::Bmp => rarer::bmp(bytes, limits),
        #[cfg(feature = "more-formats")]
        Format::Gif => rarer::gif(bytes, limits),
        #[cfg(feature = "more-formats")]
        Format::Tiff => tiff::decode(bytes, limits),
        #[cfg(not(all(feature = "png-jpeg", feature = "more-formats")))]
        other => Err(Error::UnknownFormat { reason: format!("{other:?} is not built in") }),
    };
    stored?.upright()
}

/// Whether this build has the decoder of a file; of one that is no image at all too, since [`decode`] says so.
pub fn decodes(bytes: &[u8]) -> bool {
    match recognise(bytes) {
        Ok(Format::Png | Format::Jpeg) => cfg!(feature = "png-jpeg"),
        Ok(_) => cfg!(feature = "more-formats"),
        Err(_) => true,
    }
}

/// The formats that are read, each by one of the modules beside this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Png,
    Jpeg,
    WebP,
    Bmp,
    Tiff,
    Gif,
}

/// The first bytes of formats that are read, and of some that people have films in and are not, by their usual names.
const SIGNATURES: &[(&[u8], Result<Format, &str>)] = &[
    (b"\x89PNG\r\n\x1a\n", Ok(Format::Png)),
    (b"\xff\xd8\xff", Ok(Format::Jpeg)),
    (b"GIF87a", Ok(Format::Gif)),
    (b"GIF89a", Ok(Format::Gif)),
    (b"MM\0*", Ok(Format::Tiff)),
    (b"II*\0", Ok(Format::Tiff)),
    (b"BM", Ok(Format::Bmp)),
    (b"\xff\x4f\xff\x51", Err("JPEG 2000")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Err("JPEG 2000")),
    (b"%PDF-", Err("PDF")),
];

/// The format that the first bytes tell.
fn recognise(bytes: &[u8]) -> Result<Format> {
    let unknown = |reason: &str| Err(Error::UnknownFormat { reason: reason.into() });
    if bytes.is_empty() {
        return unknown("the file is empty");
    }
    // These have something else in front: a length, or a preamble of 128 bytes.
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => return Ok(Format::WebP),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => return unknown("its bytes look like HEIC, AVIF or a video"),
        _ if bytes.get(128..132) == Some(b"DICM") => return unknown("its bytes look like DICOM"),
        _ => {}
    }
    match SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        Some((_, Ok(format))) => Ok(*format),
        Some((_, Err(name))) => unknown(&format!("its bytes look like {name}")),
        None => unknown("its first bytes belong to no image format"),
    }
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

/// Luminance of every pixel in `[0, 1]`, and the share of the pixels that have a colour: of 1 to 4 channels, grey or colours
/// with or without alpha, of 8 bits or of 16 with the high byte first.
pub(super) fn luma(channels: usize, bits: u32, samples: &[u8]) -> (Vec<f32>, f32) {
    /// Both of `count` pixels that `at` gives as colours over black. A grey as a colour has that grey for its luminance.
    fn both(grey: bool, count: usize, at: impl Fn(usize) -> [f32; 3]) -> (Vec<f32>, f32) {
        ((0..count).map(|i| luminance(at(i))).collect(), if grey { 0.0 } else { coloured(count, at) })
    }
    /// The same of every `C` channels, of which `colour` makes a colour from values in `[0, 1]`.
    fn each<const C: usize>(bits: u32, samples: &[u8], colour: impl Fn([f32; C]) -> [f32; 3]) -> (Vec<f32>, f32) {
        if bits == 8 {
            let pixels = samples.as_chunks::<C>().0;
            return both(C < 3, pixels.len(), |i| colour(pixels[i].map(|v| f32::from(v) / 255.0)));
        }
        let pixels = samples.as_chunks::<2>().0.as_chunks::<C>().0;
        both(C < 3, pixels.len(), |i| colour(pixels[i].map(|v| f32::from(u16::from_be_bytes(v)) / 65535.0)))
    }
    match channels {
        1 => each(bits, samples, |[grey]| [grey; 3]),
        2 => each(bits, samples, |[grey, alpha]| [grey * alpha; 3]),
        3 => each(bits, samples, |colour| colour),
        _ => each(bits, samples, over_black),
    }
}
