//! Image files as films: bytes from anywhere, under limits that are checked before anything is allocated.

use super::Radiograph;
use super::dicom;
use super::orient::Stored;
use super::rgba::{coloured, luminance, over_black};
#[cfg(feature = "png-jpeg")]
use super::{jpeg, png};
#[cfg(feature = "more-formats")]
use super::{pnm, rarer, tiff, unsupported};
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

/// The film in an image file: DICOM, PNG, JPEG, WebP, BMP, TIFF, PGM or the first frame of a GIF, told apart by their bytes.
///
/// Colours become luminance as [`super::from_rgba`] has it, transparency lies on black, the orientation in the file's
/// metadata is applied, 16-bit and float values keep their precision. What black and white are, the file says, or the type of
/// its numbers; where neither does, see [`Radiograph::values`].
///
/// # Errors
/// [`Error::TooManyBytes`] and [`Error::TooLarge`] before decoding, [`Error::UnknownFormat`], [`Error::Unsupported`],
/// [`Error::Damaged`]; [`Error::NotChest`] where a DICOM header says so.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Radiograph> {
    if bytes.len() as u64 > limits.max_bytes {
        return Err(Error::TooManyBytes { bytes: bytes.len() as u64, limit: limits.max_bytes });
    }
    let stored: Result<Stored> = match recognise(bytes) {
        #[cfg(feature = "png-jpeg")]
        Some(Format::Png) => png::decode(bytes, limits),
        #[cfg(feature = "png-jpeg")]
        Some(Format::Jpeg) => jpeg::decode(bytes, limits),
        #[cfg(feature = "more-formats")]
        Some(Format::WebP) => rarer::webp(bytes, limits),
        #[cfg(feature = "more-formats")]
        Some(Format::Bmp) => rarer::bmp(bytes, limits),
        #[cfg(feature = "more-formats")]
        Some(Format::Gif) => rarer::gif(bytes, limits),
        #[cfg(feature = "more-formats")]
        Some(Format::Tiff) => tiff::decode(bytes, limits),
        #[cfg(feature = "more-formats")]
        Some(Format::Pnm) => pnm::decode(bytes, limits),
        #[cfg(feature = "dicom")]
        Some(Format::Dicom) => return dicom::decode(bytes, limits),
        #[cfg(feature = "more-formats")]
        _ => Err(unsupported::named(bytes)),
        #[cfg(not(feature = "more-formats"))]
        _ => Err(Error::UnknownFormat { reason: "its decoder is not built in".into() }),
    };
    stored?.upright()
}

/// Whether this build has the decoder of a file. Of one that is read nowhere too, if it is the build that can say what it is.
pub fn decodes(bytes: &[u8]) -> bool {
    let decoder = match recognise(bytes) {
        Some(Format::Png | Format::Jpeg) => 0,
        Some(Format::Dicom) => 1,
        _ => 2,
    };
    [cfg!(feature = "png-jpeg"), cfg!(feature = "dicom"), cfg!(feature = "more-formats")][decoder]
}

/// The formats that are read, each by one of the modules beside this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Png,
    Jpeg,
    Dicom,
    #[cfg(feature = "more-formats")]
    WebP,
    #[cfg(feature = "more-formats")]
    Bmp,
    #[cfg(feature = "more-formats")]
    Tiff,
    #[cfg(feature = "more-formats")]
    Gif,
    #[cfg(feature = "more-formats")]
    Pnm,
}

/// The format that the first bytes tell, of those that are read.
fn recognise(bytes: &[u8]) -> Option<Format> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
        // Of some kinds of JPEG no more is read than which it is.
        [0xff, 0xd8, 0xff, ..] if is_read(bytes) => Some(Format::Jpeg),
        _ if dicom::recognise(bytes) => Some(Format::Dicom),
        #[cfg(feature = "more-formats")]
        _ => rarer_format(bytes),
        #[cfg(not(feature = "more-formats"))]
        _ => None,
    }
}

#[cfg(any(feature = "png-jpeg", feature = "more-formats", feature = "dicom"))]
fn is_read(jpeg: &[u8]) -> bool {
    super::markers::frame(jpeg).is_none_or(super::markers::Frame::is_read)
}

#[cfg(not(any(feature = "png-jpeg", feature = "more-formats", feature = "dicom")))]
fn is_read(_: &[u8]) -> bool {
    true
}

#[cfg(feature = "more-formats")]
fn rarer_format(bytes: &[u8]) -> Option<Format> {
    match bytes {
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [b'M', b'M', 0, b'*' | b'+', ..] | [b'I', b'I', b'*' | b'+', 0, ..] => Some(Format::Tiff),
        // Two letters are the beginning of many a text: the length of the second header has few values (BITMAPCOREHEADER
        // to BITMAPV5HEADER, and OS/2's).
        [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, 12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0, ..] => {
            Some(Format::Bmp)
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
        [b'P', b'2' | b'3' | b'5' | b'6', b' ' | b'\n' | b'\r' | b'\t' | b'#', ..] => Some(Format::Pnm),
        _ => None,
    }
}

/// Refuses a size that the header claims, before any pixel is read.
pub(crate) fn check_size(width: u32, height: u32, limits: &Limits) -> Result<()> {
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
