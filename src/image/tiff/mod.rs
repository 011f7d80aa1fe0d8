//! TIFF, read here rather than through `image`, which refuses grey floats, palettes and grey with alpha.

use std::io::Cursor;

use tiff::decoder::{ChunkType, Decoder, DecodingResult};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::decode::{Limits, check_size};
use super::orient::{Orientation, Stored};
use super::rgba::{coloured, luminance, over_black};
use crate::error::{Error, Result};

/// The first film of a TIFF file: grey of 1, 2, 4, 8, 16 or 32 bits, grey floats, palettes, RGB, CMYK; alpha.
///
/// # Errors
/// [`Error::TooLarge`] and [`Error::TooManyPixels`] before decoding, [`Error::UnknownFormat`] for the rarer kinds,
/// [`Error::Damaged`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    let unwrapped = palette_as_grey(bytes);
    let mut decoder = Decoder::new(Cursor::new(unwrapped.as_deref().unwrap_or(bytes))).map_err(explain)?;
    let (width, height) = decoder.dimensions().map_err(explain)?;
    check_size(width, height, limits)?;
    let mut own = tiff::decoder::Limits::default();
    own.decoding_buffer_size = usize::try_from(limits.max_pixels.saturating_mul(8)).unwrap_or(usize::MAX);
    decoder = decoder.with_limits(own);

    let planes = tag(&mut decoder, Tag::PlanarConfiguration)?.is_some_and(|values| values == [SEPARATE_PLANES]);
    if planes && decoder.get_chunk_type() == ChunkType::Tile {
        return Err(unsupported("TIFF tiles of one channel each".into()));
    }

    let colour = decoder.colortype().map_err(explain)?;
    let orientation = tag(&mut decoder, Tag::Orientation)?
        .and_then(|values| Orientation::of_tag(u16::try_from(*values.first()?).ok()?));
    let alpha = tag(&mut decoder, Tag::ExtraSamples)?.and_then(|values| values.first().copied());
    let palette = if unwrapped.is_some() { tag(&mut decoder, Tag::ColorMap)?.unwrap_or_default() } else { Vec::new() };
    let mut samples = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut samples).map_err(explain)?;

    let (height, width) = (height as usize, width as usize);
    let pixels = height * width;
    let depth = colour.bit_depth();
    let samples = scale(samples, width, depth)?;
    let channels = match colour {
        ColorType::Gray(_) => 1,
        ColorType::Multiband { num_samples: 2, .. } => 2,
        ColorType::RGB(_) => 3,
        ColorType::RGBA(_) | ColorType::CMYK(_) => 4,
        other => return Err(unsupported(format!("TIFF colours of the kind {other:?}"))),
    };
    if unwrapped.is_some() && channels != 1 {
        return Err(unsupported("TIFF palettes with more channels".into()));
    }
    if samples.len() < pixels * channels || depth < 8 && channels > 1 {
        return Err(Error::Damaged {
            format: "TIFF",
            reason: format!("it holds too few samples for {width}×{height} px"),
        });
    }
    // Samples lie side by side, or each channel in a plane of its own.
    let (step, stride) = if layout.planes > 1 { (1, pixels) } else { (channels, 1) };
    let at = |pixel: usize, channel: usize| samples[pixel * step + channel * stride];
    let rgb = |i: usize| [at(i, 0), at(i, 1), at(i, 2)];
    // Colours that were multiplied with alpha when they were stored lie on black already.
    let opaque = alpha == Some(ASSOCIATED_ALPHA);
    // A grey as a colour has exactly that grey for its luminance.
    let pixel: Box<dyn Fn(usize) -> [f32; 3]> = match colour {
        ColorType::Gray(_) if unwrapped.is_some() => {
            let colours = palette_colours(&palette, depth)?;
            let last = colours.len() as f32 - 1.0;
            Box::new(move |i| colours[(at(i, 0) * last).round() as usize])
        }
        ColorType::Gray(_) => Box::new(|i| [at(i, 0); 3]),
        ColorType::Multiband { .. } if alpha == Some(UNASSOCIATED_ALPHA) => Box::new(|i| [at(i, 0) * at(i, 1); 3]),
        ColorType::Multiband { .. } => Box::new(|i| [at(i, 0); 3]),
        ColorType::CMYK(_) => Box::new(|i| rgb(i).map(|ink| (1.0 - ink) * (1.0 - at(i, 3)))),
        ColorType::RGBA(_) if !opaque => Box::new(|i| over_black([at(i, 0), at(i, 1), at(i, 2), at(i, 3)])),
        _ => Box::new(rgb),
    };
    let luma = (0..pixels).map(|i| luminance(pixel(i))).collect();
    let coloured = coloured(pixels, &pixel);
    Ok(Stored { height, width, luma, coloured, orientation: orientation.unwrap_or_default() })
}

/// `ExtraSamples` of alpha that the colours were multiplied with when they were stored, and of alpha that they were not
/// (TIFF 6.0, page 31).
const ASSOCIATED_ALPHA: u32 = 1;
const UNASSOCIATED_ALPHA: u32 = 2;

/// `PlanarConfiguration` of files with a plane for each channel (TIFF 6.0, page 38); tiff 0.11.3 panics where such planes are
/// tiled.
const SEPARATE_PLANES: u32 = 2;

/// `PhotometricInterpretation` of palettes, and of grey with 0 as black (TIFF 6.0, page 37).
const PALETTE: u16 = 3;
const BLACK_IS_ZERO: u16 = 1;

/// A copy of the file whose palette indices pass for grey values, which the `tiff` crate reads; `None` when the first
/// picture has no palette, or is not laid out as TIFF 6.0, pages 13 to 16, has it.
fn palette_as_grey(bytes: &[u8]) -> Option<Vec<u8>> {
    let little = bytes.starts_with(b"II*\0");
    if !little && !bytes.starts_with(b"MM\0*") {
        return None;
    }
    let word = |at: usize| -> Option<u16> {
        let pair: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let directory = match (little, word(4)?, word(6)?) {
        (true, low, high) | (false, high, low) => usize::from(high) << 16 | usize::from(low),
    };
    let first_entry = directory.checked_add(2)?;
    for entry in (0..usize::from(word(directory)?)).map(|i| first_entry.checked_add(12 * i)) {
        let entry = entry?;
        if word(entry)? == Tag::PhotometricInterpretation.to_u16() {
            let value = entry.checked_add(8)?;
            if word(value)? != PALETTE {
                return None;
            }
            let mut copy = bytes.to_vec();
            let grey = if little { BLACK_IS_ZERO.to_le_bytes() } else { BLACK_IS_ZERO.to_be_bytes() };
            copy[value..value + 2].copy_from_slice(&grey);
            return Some(copy);
        }
    }
    None
}

/// The unsigned values of a tag; `None` when the file has none.
fn tag(decoder: &mut Decoder<Cursor<&[u8]>>, tag: Tag) -> Result<Option<Vec<u32>>> {
    decoder.find_tag_unsigned_vec(tag).map_err(explain)
}

/// A float clamped to `[0, 1]`; what is not a number becomes black.
fn unit(value: f64) -> f32 {
    if value > 0.0 { value.min(1.0) as f32 } else { 0.0 }
}

/// A palette's value in `[0, 1]`. Writers scale bytes to its 16 bits by 256 or by 257; the high byte is right for both.
fn high_byte(value: u32) -> f32 {
    (value >> 8) as f32 / 255.0
}

/// Samples of any type as values in `[0, 1]`.
fn scale(samples: DecodingResult, width: usize, depth: u8) -> Result<Vec<f32>> {
    Ok(match samples {
        DecodingResult::U8(packed) if depth < 8 => unpack(&packed, width, depth),
        DecodingResult::U8(values) if depth == 8 => values.iter().map(|&v| f32::from(v) / 255.0).collect(),
        DecodingResult::U16(values) if depth == 16 => values.iter().map(|&v| f32::from(v) / 65535.0).collect(),
        DecodingResult::U32(values) if depth == 32 => {
            values.iter().map(|&v| (f64::from(v) / f64::from(u32::MAX)) as f32).collect()
        }
        DecodingResult::F32(values) => values.iter().map(|&v| unit(f64::from(v))).collect(),
        DecodingResult::F64(values) => values.iter().map(|&v| unit(v)).collect(),
        _ => return Err(unsupported(format!("TIFF samples of {depth} bits in an unusual form"))),
    })
}

/// The colour of every index of a palette, which holds all reds, then all greens, then all blues.
fn palette_colours(palette: &[u32], depth: u8) -> Result<Vec<[f32; 3]>> {
    let levels = if depth <= 8 { 1 << depth } else { 0 };
    if levels == 0 || palette.len() != 3 * levels {
        return Err(Error::Damaged { format: "TIFF", reason: "its palette does not fit its pixels".into() });
    }
    let colour = |i: usize| [palette[i], palette[levels + i], palette[2 * levels + i]];
    Ok((0..levels).map(|i| colour(i).map(high_byte)).collect())
}

/// Samples of 1, 2 or 4 bits, rows padded to whole bytes, as values in `[0, 1]`.
fn unpack(packed: &[u8], width: usize, depth: u8) -> Vec<f32> {
    let bits = usize::from(depth);
    let white = (1u32 << bits) - 1;
    let row_bytes = (width * bits).div_ceil(8);
    let sample = |row: &[u8], x: usize| {
        let byte = u32::from(row[x * bits / 8]);
        (byte >> (8 - bits - x * bits % 8) & white) as f32 / white as f32
    };
    packed.chunks_exact(row_bytes).flat_map(|row| (0..width).map(move |x| sample(row, x))).collect()
}

fn unsupported(what: String) -> Error {
    Error::UnknownFormat { reason: format!("{what} are not supported") }
}

fn explain(error: TiffError) -> Error {
    match error {
        TiffError::UnsupportedError(what) => Error::UnknownFormat { reason: format!("TIFF: {what}") },
        other => Error::Damaged { format: "TIFF", reason: other.to_string() },
    }
}
