//! Films as they were stored, turned upright.

use image::metadata::Orientation;

use super::Radiograph;
use crate::error::Result;

/// A film as its file holds it, before its orientation is applied.
pub struct Stored {
    pub height: usize,
    pub width: usize,
    /// Row-major `[height, width]`, in `[0, 1]`.
    pub luma: Vec<f32>,
    /// Share of the pixels that have a colour.
    pub coloured: f32,
    pub orientation: Orientation,
}

impl Stored {
    /// The film as it is meant to be looked at.
    pub fn upright(self) -> Result<Radiograph> {
        use Orientation::*;
        let Self { height: h, width: w, luma, coloured, orientation } = self;
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
        Ok(Radiograph::new(height, width, luma)?.with_coloured(coloured))
    }
}
