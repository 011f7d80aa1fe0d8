//! The numbers of the first frame as they are stored, whichever way they are packed.

use std::borrow::Cow;

use dicom_core::VR;

use super::elements::{Element, Encoding, fragments};
use super::header::Header;
use super::read::{damaged, unsupported};
use super::syntax::{Code, Syntax};
use super::{compressed, rle};
use crate::error::Result;

/// Patterns of bits, row-major `[rows, columns, channels]`: those that are stored and no others. Three channels are red,
/// green and blue.
///
/// # Errors
/// [`Error::Unsupported`](crate::error::Error::Unsupported) for the rarer kinds,
/// [`Error::Damaged`](crate::error::Error::Damaged).
pub fn first_frame(header: &Header, pixels: &Element, syntax: &Syntax) -> Result<Vec<u16>> {
    let ybr = header.photometric.starts_with("YBR_FULL");
    let mut samples = match (syntax.code, pixels.open) {
        (Code::Native, false) if header.photometric == "YBR_FULL_422" => {
            return Err(unsupported("DICOM with uncompressed YBR_FULL_422"));
        }
        (Code::Native, false) => native(header, pixels, syntax)?,
        (Code::Native, true) | (_, false) => {
            return Err(damaged("its pixels are not stored as its transfer syntax says"));
        }
        (Code::Rle, true) => rle::decode(&encapsulated(header, pixels)?, header)?,
        (code, true) => compressed::decode(code, &encapsulated(header, pixels)?, header)?,
    };
    let own = matches!(syntax.code, Code::Native | Code::Rle);
    // Above and below the bits that are stored there may be anything.
    let below = if own { (header.high_bit + 1).saturating_sub(header.bits_stored) } else { 0 };
    let mask = header.largest_pattern();
    samples.iter_mut().for_each(|sample| *sample = *sample >> below & mask);
    // Codes with colours of their own give red, green and blue.
    if own && ybr {
        samples.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = rgb(*pixel));
    }
    Ok(samples)
}

/// Numbers that are not compressed.
fn native(header: &Header, pixels: &Element, syntax: &Syntax) -> Result<Vec<u16>> {
    let channels = usize::from(header.channels);
    let count = usize::from(header.rows) * usize::from(header.columns) * channels;
    let big = syntax.encoding == Encoding::ExplicitBigEndian;
    let bytes = pixels.value;
    let size = usize::from(header.bits_allocated / 8);
    let bytes = bytes.get(..count * size).ok_or_else(|| {
        damaged(format!("it holds {} of the {} bytes that its pixels need", bytes.len(), count * size))
    })?;
    let samples: Vec<u16> = match (size, big) {
        // In words of two bytes, the high one first.
        (1, true) if pixels.vr == VR::OW && count.is_multiple_of(2) => {
            bytes.as_chunks::<2>().0.iter().flat_map(|&[a, b]| [b.into(), a.into()]).collect()
        }
        (1, _) => bytes.iter().map(|&byte| byte.into()).collect(),
        (_, true) => bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect(),
        (_, false) => bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect(),
    };
    if header.planar && channels > 1 {
        return Ok(interleaved(&samples, channels));
    }
    Ok(samples)
}

/// The bytes of the first frame, of its pieces.
fn encapsulated<'a>(header: &Header, pixels: &Element<'a>) -> Result<Cow<'a, [u8]>> {
    let items = fragments(pixels.value)?;
    let [offsets, pieces @ ..] = &items[..] else { return Err(damaged("it has no pixels")) };
    let count = match header.frames as usize {
        1 => pieces.len(),
        frames if frames >= pieces.len() => 1,
        // Where the second frame begins, counted from the first piece; each has a header of eight bytes.
        _ => match offsets.as_chunks::<4>().0.get(1) {
            Some(&second) => {
                let second = u32::from_le_bytes(second) as usize;
                let ends = pieces.iter().scan(0, |end, piece| {
                    *end += 8 + piece.len();
                    Some(*end)
                });
                1 + ends.take_while(|end| *end < second).count()
            }
            // Decoders stop at the end of the first.
            None => pieces.len(),
        },
    };
    match &pieces[..count.min(pieces.len())] {
        [] => Err(damaged("it has no pixels")),
        [piece] => Ok(Cow::Borrowed(piece)),
        several => Ok(Cow::Owned(several.concat())),
    }
}

/// Channels side by side that lie one after the other.
pub fn interleaved(planes: &[u16], channels: usize) -> Vec<u16> {
    let pixels = planes.len() / channels;
    (0..pixels).flat_map(|i| (0..channels).map(move |channel| planes[channel * pixels + i])).collect()
}

/// Red, green and blue of luminance and two differences, all of eight bits (PS3.3, C.7.6.3.1.2).
fn rgb([y, blue, red]: [u16; 3]) -> [u16; 3] {
    let [y, blue, red] = [f32::from(y), f32::from(blue) - 128.0, f32::from(red) - 128.0];
    [y + 1.402 * red, y - 0.344_14 * blue - 0.714_14 * red, y + 1.772 * blue]
        .map(|channel| channel.round().clamp(0.0, 255.0) as u16)
}
