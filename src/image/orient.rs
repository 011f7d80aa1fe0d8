//! Films as they were stored, turned upright.

use super::{Radiograph, Values};
use crate::error::Result;

/// How a stored film is to be turned, with the number that Exif and TIFF have for it (Exif 2.32, 4.6.4, tag 0x0112).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orientation {
    #[default]
    NoTransforms = 1,
    FlipHorizontal = 2,
    Rotate180 = 3,
    FlipVertical = 4,
    Rotate90FlipH = 5,
    Rotate90 = 6,
    Rotate270FlipH = 7,
    Rotate270 = 8,
}

impl Orientation {
    /// The one of a number; `None` where it has no meaning.
    pub fn of_tag(number: u16) -> Option<Self> {
        use Orientation::*;
        [NoTransforms, FlipHorizontal, Rotate180, FlipVertical, Rotate90FlipH, Rotate90, Rotate270FlipH, Rotate270]
            .into_iter()
            .find(|orientation| *orientation as u16 == number)
    }

    /// What the Exif block of a PNG or JPEG says: a TIFF file of notes, in its first directory.
    #[cfg(feature = "png-jpeg")]
    pub fn from_exif(block: &[u8]) -> Option<Self> {
        const TAG: usize = 0x0112;
        const SHORT: usize = 3;
        let little = match block.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        let number = |at: usize, len: usize| -> Option<usize> {
            let bytes = block.get(at..at.checked_add(len)?)?.iter().map(|&byte| usize::from(byte));
            let joined = |sum, byte| sum << 8 | byte;
            Some(if little { bytes.rev().fold(0, joined) } else { bytes.fold(0, joined) })
        };
        let directory = number(4, 4)?;
        for entry in 0..number(directory, 2)? {
            // Tag, type, count, and a value that is no longer than four bytes.
            let at = directory.checked_add(2 + 12 * entry)?;
            if (number(at, 2)?, number(at + 2, 2)?, number(at + 4, 4)?) == (TAG, SHORT, 1) {
                return Self::of_tag(number(at + 8, 2)? as u16);
            }
        }
        None
    }
}

/// A film as its file holds it, before its orientation is applied.
pub struct Stored {
    pub height: usize,
    pub width: usize,
    /// Row-major `[height, width]`, in `[0, 1]`.
    pub luma: Vec<f32>,
    /// Share of the pixels that have a colour.
    pub coloured: f32,
    /// Where the type of the numbers does not settle what they mean.
    pub values: Option<Values>,
    pub orientation: Orientation,
}

impl Stored {
    /// Reads the film by the `range` that its file gives for black and white, where its `values` leave that open and pass.
    pub fn say(&mut self, range: [f32; 2], pass: impl Fn(&Values) -> bool) {
        if let Some(values) = self.values.as_mut().filter(|values| pass(values)) {
            values.rescale(&mut self.luma, range);
        }
    }

    /// The film as it is meant to be looked at.
    pub fn upright(self) -> Result<Radiograph> {
        use Orientation::*;
        let Self { height: h, width: w, luma, coloured, values, orientation } = self;
        let (height, width) = match orientation {
            NoTransforms | FlipHorizontal | FlipVertical | Rotate180 => (h, w),
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => (w, h),
        };
        // Where the upright pixel (y, x) lies in the stored film.
        let stored = |y: usize, x: usize| match orientation {
            NoTransforms => (y, x),
            FlipHorizontal => (y, w - 1 - x),
            Rotate180 => (h - 1 - y, w - 1 - x),
            FlipVertical => (h - 1 - y, x),
            Rotate90FlipH => (x, y),
            Rotate90 => (h - 1 - x, y),
            Rotate270FlipH => (h - 1 - x, w - 1 - y),
            Rotate270 => (x, w - 1 - y),
        };
        let luma = if orientation == NoTransforms {
            luma
        } else {
            let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
            places.map(|(y, x)| stored(y, x)).map(|(y, x)| luma[y * w + x]).collect()
        };
        Ok(Radiograph::new(height, width, luma)?.with_coloured(coloured).with_values(values))
    }
}
