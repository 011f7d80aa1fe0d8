//! An X-ray film as numbers: what every source (file bytes, canvas pixels) becomes before preprocessing.

mod browsers;
mod decode;
mod dicom;
#[cfg(feature = "png-jpeg")]
mod jpeg;
#[cfg(any(feature = "png-jpeg", feature = "more-formats", feature = "dicom"))]
mod markers;
// DICOM is upright.
#[cfg_attr(not(any(feature = "png-jpeg", feature = "more-formats")), allow(dead_code))]
mod orient;
#[cfg(feature = "png-jpeg")]
mod png;
#[cfg(feature = "more-formats")]
mod pnm;
#[cfg(feature = "more-formats")]
mod rarer;
mod rgba;
#[cfg(feature = "more-formats")]
mod tiff;
#[cfg(feature = "more-formats")]
mod unsupported;
mod values;

use std::fmt;

pub use browsers::is_for_browsers;
#[cfg(feature = "web")]
pub(crate) use decode::check_size;
pub use decode::{Limits, decode, decodes};
pub use dicom::recognise as is_dicom;
pub use rgba::from_rgba;
pub use values::{Known, Values};

use crate::error::{Error, Result};

/// One greyscale film: luminance, row-major `[height, width]`, each value in `[0, 1]` (0 black, 1 white); and how much
/// colour there was before that.
///
/// Cannot hold a buffer of the wrong length, nor an empty one.
#[derive(Clone, PartialEq)]
pub struct Radiograph {
    height: usize,
    width: usize,
    luma: Vec<f32>,
    coloured: f32,
    values: Option<Values>,
    frames: u32,
}

impl Radiograph {
    /// Wraps `luma`, row-major `[height, width]`, values in `[0, 1]`, as a picture without colour.
    ///
    /// # Errors
    /// [`Error::TooSmall`] without pixels, [`Error::BufferLength`] when `luma` does not hold `height * width` values.
    pub fn new(height: usize, width: usize, luma: Vec<f32>) -> Result<Self> {
        if height == 0 || width == 0 {
            return Err(Error::TooSmall { width: width as u32, height: height as u32, minimum: 1 });
        }
        // Saturating, for sizes are 32 bits wide in wasm, where 65,536² would wrap to 0.
        let expected = height.saturating_mul(width);
        if luma.len() != expected {
            return Err(Error::BufferLength { expected, found: luma.len() });
        }
        Ok(Self { height, width, luma, coloured: 0.0, values: None, frames: 1 })
    }

    /// The same film, `share` of whose pixels had a colour when they were read; see [`Self::coloured`].
    pub fn with_coloured(self, share: f32) -> Self {
        Self { coloured: share, ..self }
    }

    /// The same film, whose luminance was made of `values`; see [`Self::values`].
    pub fn with_values(self, values: Option<Values>) -> Self {
        Self { values, ..self }
    }

    /// The same film, the first of so many in its file; see [`Self::frames`].
    pub fn with_frames(self, frames: u32) -> Self {
        Self { frames, ..self }
    }

    /// The same film read by a value `range`, black and white, where its own values leave open what they are and are within
    /// it; otherwise as it is.
    pub fn within(mut self, range: [f32; 2]) -> Self {
        if let Some(values) = self.values.as_mut().filter(|values| values.answered_by(range)) {
            values.rescale(&mut self.luma, range);
        }
        self
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Luminance, row-major `[height, width]`, in `[0, 1]`.
    pub fn luma(&self) -> &[f32] {
        &self.luma
    }

    /// What the numbers of its file were; `None` where their type settles that, as eight bits do.
    pub fn values(&self) -> Option<&Values> {
        self.values.as_ref()
    }

    /// How many images its file holds, of which this is the first: 1 but for DICOM, of other formats no more is read.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Share of the pixels that had a colour, in `[0, 1]`: 0 for grey ones, whatever they were stored as, and for the tint
    /// of a scanned film.
    pub fn coloured(&self) -> f32 {
        self.coloured
    }
}

/// The size alone: a film has up to millions of values, which no message can use.
impl fmt::Debug for Radiograph {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Radiograph({}×{} px)", self.width, self.height)
    }
}
