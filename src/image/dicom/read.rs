//! From a file's bytes to the image in it, step by step.

use super::header::Header;
use super::syntax::DataSet;
use super::{grey, pixels::first_frame, square, subject};
use crate::error::{Error, Result};
use crate::image::decode::{Limits, check_size};
use crate::image::{Radiograph, Values};

/// The first frame of a DICOM file as it is meant to be looked at, with square pixels: through the modality and VOI
/// tables, or the first window; where the file has neither, black and white are the ends of what it has room for.
///
/// # Errors
/// [`Error::NotChest`] where the header says so, before any pixel is decoded; [`Error::TooLarge`],
/// [`Error::TooManyPixels`] and [`Error::TooManyBytes`] before anything is allocated; [`Error::Unsupported`] for the
/// codes that are not read, by name; [`Error::Damaged`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Radiograph> {
    let set = DataSet::of(bytes, limits)?;
    let (header, pixels) = Header::read(&set.bytes, set.syntax.encoding)?;
    subject::check(&header.modality, &header.body_part)?;
    let (width, height) = (header.columns.into(), header.rows.into());
    check_size(width, height, limits)?;
    header.check_numbers()?;
    let [square_width, square_height] = square::size(&header)?;
    check_size(square_width, square_height, limits)?;

    let samples = first_frame(&header, &pixels, &set.syntax)?;
    let (luma, coloured, values): (Vec<f32>, f32, Option<Values>) = if header.channels == 1 {
        let (luma, values) = grey::luma(&header, &samples);
        (luma, 0.0, values)
    } else {
        let bytes: Vec<u8> = samples.iter().map(|&sample| sample as u8).collect();
        let (luma, coloured) = crate::image::decode::luma(header.channels.into(), 8, &bytes);
        (luma, coloured, None)
    };
    let (size, square) = ([width, height], [square_width, square_height]);
    let luma = if size == square { luma } else { square::resample(&luma, size, square) };
    let radiograph = Radiograph::new(square_height as usize, square_width as usize, luma)?;
    Ok(radiograph.with_coloured(coloured).with_values(values).with_frames(header.frames))
}

pub fn damaged(reason: impl Into<String>) -> Error {
    Error::Damaged { format: "DICOM", reason: reason.into() }
}

pub fn unsupported(what: impl Into<String>) -> Error {
    Error::Unsupported { what: what.into(), advice: super::syntax::CONVERT }
}
