//! JPEG, read here rather than through `image`, which has its decoder in the module twice: for the film and for its notes.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::decode::{Limits, check_size, luma};
use super::orient::{Orientation, Stored};
use crate::error::{Error, Result};

const FORMAT: &str = "JPEG";

/// The film in a JPEG file, baseline or progressive: grey, YCbCr, RGB or CMYK of 8 bits.
///
/// # Errors
/// [`Error::TooLarge`] and [`Error::TooManyPixels`] before decoding, [`Error::UnknownFormat`] for the rarer kinds,
/// [`Error::Damaged`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    if lacks_end(bytes) {
        return Err(Error::Damaged { format: FORMAT, reason: "it breaks off before its end marker".into() });
    }
    // The format's own limit of 65,535 px a side; ours is checked below, where it is named.
    let options = DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(explain)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_size(width as u32, height as u32, limits)?;
    let colour = if decoder.input_colorspace() == Some(ColorSpace::Luma) { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(colour));
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif(exif)).unwrap_or_default();
    let channels = colour.num_components();
    let mut samples = vec![0; height * width * channels];
    decoder.decode_into(&mut samples).map_err(explain)?;
    let (luma, coloured) = luma(channels, 8, &samples);
    Ok(Stored { height, width, luma, coloured, orientation })
}

/// Whether there is no end marker after the first scan: the decoder would fill what is missing with grey.
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

/// What the decoder's error means to whoever has the file.
fn explain(error: DecodeErrors) -> Error {
    match error {
        DecodeErrors::Unsupported(scheme) => {
            Error::UnknownFormat { reason: format!("{scheme:?} JPEG is not supported") }
        }
        other => Error::Damaged { format: FORMAT, reason: other.to_string() },
    }
}
