//! Colour to luminance: canvas pixels as films, and the one formula that file decoding uses too.

use crate::error::{Error, Result};

use super::Radiograph;

/// Luminance of a colour, on whatever scale the colour is on: `0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601, what
/// Pillow's `convert("L")` and most tools that made the public films use). A grey is returned exactly.
#[inline]
pub(crate) fn luminance([r, g, b]: [f32; 3]) -> f32 {
    // As a distance from green, so that R = G = B leaves G without rounding.
    g + 0.299 * (r - g) + 0.114 * (b - g)
}

/// The film on a canvas: `ImageData` pixels, 8-bit RGBA with alpha not premultiplied, row-major `[height, width, 4]`.
///
/// What is transparent lies on black.
///
/// # Errors
/// [`Error::TooSmall`] without pixels, [`Error::BufferLength`] when `rgba` does not hold `4 * width * height` bytes.
pub fn from_rgba(width: u32, height: u32, rgba: &[u8]) -> Result<Radiograph> {
    let expected = (width as usize).saturating_mul(height as usize).saturating_mul(4);
    if rgba.len() != expected {
        return Err(Error::BufferLength { expected, found: rgba.len() });
    }
    let luma = rgba.chunks_exact(4).map(|p| luminance_alpha([p[0], p[1], p[2], p[3]].map(|v| f32::from(v) / 255.0)));
    Radiograph::new(height as usize, width as usize, luma.collect())
}

/// Luminance of a colour with alpha, all four in `[0, 1]`, over black.
#[inline]
pub(crate) fn luminance_alpha([r, g, b, alpha]: [f32; 4]) -> f32 {
    luminance([r, g, b]) * alpha
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grey_is_kept_exactly() {
        let rgba: Vec<u8> = (0..=255u8).flat_map(|v| [v, v, v, 255]).collect();
        let film = from_rgba(16, 16, &rgba).unwrap();
        let expected: Vec<f32> = (0..=255u8).map(|v| f32::from(v) / 255.0).collect();
        assert_eq!(film.luma(), expected);
    }

    #[test]
    fn colours_have_the_luminance_pillow_gives_them() {
        // Pillow 13.0.0: Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)).
        for (colour, expected) in
            [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([12, 200, 90], 131), ([250, 128, 1], 150)]
        {
            let [r, g, b] = colour;
            let film = from_rgba(1, 1, &[r, g, b, 255]).unwrap();
            assert!((film.luma()[0] * 255.0 - expected as f32).abs() <= 0.51, "{colour:?}");
        }
    }

    #[test]
    fn transparent_pixels_lie_on_black() {
        let film = from_rgba(3, 1, &[200, 200, 200, 0, 200, 200, 200, 51, 255, 255, 255, 255]).unwrap();
        assert_eq!(film.luma()[0], 0.0);
        assert!((film.luma()[1] - 200.0 / 255.0 * 0.2).abs() < 1e-6);
        assert_eq!(film.luma()[2], 1.0);
    }

    #[test]
    fn buffer_of_another_length_is_refused() {
        assert!(matches!(from_rgba(4, 4, &[0; 63]), Err(Error::BufferLength { expected: 64, found: 63 })));
        assert!(matches!(from_rgba(u32::MAX, u32::MAX, &[0; 64]), Err(Error::BufferLength { .. })));
        assert!(matches!(from_rgba(0, 0, &[]), Err(Error::TooSmall { .. })));
    }
}
