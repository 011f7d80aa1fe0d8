//! PNG, read here rather than through `image`, whose other parts would come along.

use std::io::Cursor;

use png::{BitDepth, Decoder, DecodingError, Transformations};

use super::decode::{Limits, check_size, luma};
use super::orient::{Orientation, Stored};
use super::values::Values;
use crate::error::{Error, Result};

/// The film in a PNG file, of any colour type and depth; of an animation its default image.
///
/// Where the file says that fewer bits count (`sBIT`) and holds no larger values, those bits are black to white: the
/// specification has them shifted up, which many writers leave out (PNG 3rd edition, 11.3.2.6 and 13.12).
///
/// # Errors
/// [`Error::TooLarge`] and [`Error::TooManyPixels`] before decoding, [`Error::Damaged`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    if let Some((width, height)) = claimed_size(bytes) {
        check_size(width, height, limits)?;
    }
    // For the decoder's own buffers, where broken files ask for memory that the size does not justify. The widest format
    // has 4 channels of 16 bits.
    let own = usize::try_from(limits.max_pixels.saturating_mul(8)).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: own });
    // Palettes and fewer than 8 bits become 8 bits.
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(explain)?;
    let (width, height) = reader.info().size();
    check_size(width, height, limits)?;
    let (colour, depth) = reader.output_color_type();
    let orientation = reader.info().exif_metadata.as_deref().and_then(Orientation::from_exif).unwrap_or_default();
    let significant = reader.info().sbit.as_deref().and_then(|bits| bits.first().copied());
    let Some(len) = reader.output_buffer_size() else {
        return Err(Error::TooManyPixels { width, height, limit: limits.max_pixels });
    };
    let mut samples = vec![0; len];
    reader.next_frame(&mut samples).map_err(explain)?;
    let bits = if depth == BitDepth::Sixteen { 16 } else { 8 };
    let (luma, coloured) = luma(colour.samples(), bits, &samples);
    let values = (bits == 16).then(|| Values::of_type([0.0, 65535.0], &luma));
    let mut stored = Stored { height: height as usize, width: width as usize, luma, coloured, values, orientation };
    if let Some(bits @ 1..16) = significant {
        let white = ((1u32 << bits) - 1) as f32;
        stored.say([0.0, white], |values| values.largest <= white);
    }
    Ok(stored)
}

/// The size that the header claims: the decoder multiplies it out before it can be asked, and in WebAssembly the product of
/// 60,000 × 60,000 overflows and is reported as damage.
///
/// `None` for a header that is cut short or claims no pixel: the decoder says what is wrong.
fn claimed_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let four = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
    // The signature (8 bytes) and the length of the first chunk (4) come before (PNG specification, 5.2 and 11.2.1).
    let header = &four(12)? == b"IHDR";
    let (width, height) = (u32::from_be_bytes(four(16)?), u32::from_be_bytes(four(20)?));
    (header && width > 0 && height > 0).then_some((width, height))
}

/// What the decoder's error means to whoever has the file.
fn explain(error: DecodingError) -> Error {
    Error::Damaged { format: "PNG", reason: error.to_string() }
}
