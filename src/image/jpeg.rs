//! JPEG, read here rather than through `image`, which has its decoder in the module twice: for the film and for its notes.

use std::cell::Cell;

use zune_core::bytestream::{ZByteIoError, ZByteReaderTrait, ZCursor, ZSeekFrom};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::decode::{Limits, check_size, luma};
use super::markers;
use super::orient::{Orientation, Stored};
use crate::error::{Error, Result};

const FORMAT: &str = "JPEG";

/// The film in a JPEG file, baseline or progressive: grey, YCbCr, RGB or CMYK of 8 bits.
///
/// # Errors
/// [`Error::TooLarge`] and [`Error::TooManyPixels`] before decoding, [`Error::Damaged`], also where the data end before the
/// film does, with or without an end marker.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    // A file whose segments make no sense is left to the decoder to explain.
    let end = match markers::end(bytes) {
        Some(end) => end,
        None if markers::frame(bytes).is_some() => return Err(damaged("it breaks off before its end marker".into())),
        None => bytes.len(),
    };
    let padded = [&bytes[..end], &[0; PADDING], &[0xff, 0xd9]].concat();
    let beyond = Cell::new(0);
    let reader = Watched { cursor: ZCursor::new(&padded), end: end as u64, beyond: &beyond };

    // The format's own limit of 65,535 px a side; ours is checked below, where it is named.
    let options = DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(reader, options);
    decoder.decode_headers().map_err(explain)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_size(width as u32, height as u32, limits)?;
    let colour = if decoder.input_colorspace() == Some(ColorSpace::Luma) { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(colour));
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif(exif)).unwrap_or_default();
    let channels = colour.num_components();
    let mut samples = vec![0; height * width * channels];
    decoder.decode_into(&mut samples).map_err(explain)?;
    if beyond.get() > AHEAD {
        return Err(damaged("its data end before the image does".into()));
    }
    let (luma, coloured) = luma(channels, 8, &samples);
    Ok(Stored { height, width, luma, coloured, values: None, orientation })
}

/// Zeros that stand behind a film's data, before the end marker: the decoder fills what is missing with grey and says
/// nothing, but it has to read them first.
const PADDING: usize = 64;

/// Bytes that the decoder reads ahead of those that it uses, at most: its buffer has 64 bits.
const AHEAD: usize = 8;

/// Bytes of a film's data that counts how many of the [`PADDING`] are read as data: four at a time, where what looks for
/// markers reads one.
struct Watched<'a> {
    cursor: ZCursor<&'a Vec<u8>>,
    /// Where the padding begins.
    end: u64,
    beyond: &'a Cell<usize>,
}

impl ZByteReaderTrait for Watched<'_> {
    #[inline(always)]
    fn read_byte_no_error(&mut self) -> u8 {
        self.cursor.read_byte_no_error()
    }

    #[inline(always)]
    fn read_exact_bytes(&mut self, buf: &mut [u8]) -> Result<(), ZByteIoError> {
        if buf.len() == 4 && self.cursor.z_position()? >= self.end {
            self.beyond.set(self.beyond.get() + 4);
        }
        self.cursor.read_exact_bytes(buf)
    }

    fn read_bytes(&mut self, buf: &mut [u8]) -> Result<usize, ZByteIoError> {
        self.cursor.read_bytes(buf)
    }

    fn peek_bytes(&mut self, buf: &mut [u8]) -> Result<usize, ZByteIoError> {
        self.cursor.peek_bytes(buf)
    }

    fn peek_exact_bytes(&mut self, buf: &mut [u8]) -> Result<(), ZByteIoError> {
        self.cursor.peek_exact_bytes(buf)
    }

    #[inline(always)]
    fn z_seek(&mut self, from: ZSeekFrom) -> Result<u64, ZByteIoError> {
        self.cursor.z_seek(from)
    }

    #[inline(always)]
    fn is_eof(&mut self) -> Result<bool, ZByteIoError> {
        self.cursor.is_eof()
    }

    fn z_position(&mut self) -> Result<u64, ZByteIoError> {
        self.cursor.z_position()
    }

    fn read_remaining(&mut self, sink: &mut Vec<u8>) -> Result<usize, ZByteIoError> {
        self.cursor.read_remaining(sink)
    }
}

fn damaged(reason: String) -> Error {
    Error::Damaged { format: FORMAT, reason }
}

/// What the decoder's error means to whoever has the file: the kinds that it does not read are told before.
fn explain(error: DecodeErrors) -> Error {
    damaged(error.to_string())
}
