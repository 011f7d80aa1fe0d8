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

/// How far the channels of a pixel lie apart before it counts as coloured, 1 being the whole scale.
///
/// Scans of films in a yellow or blue tone stay below 0.1. Of 426 photographs of 400 kinds of things 74 % have a tenth of
/// their pixels above 0.15; the grey ones among them are for other checks to find.
const COLOUR: f32 = 0.15;

/// Pixels that are looked at for colour: of a larger picture only one in so many.
const LOOKED_AT: usize = 1 << 18;

/// Share of the pixels that have a colour, of `count` pixels that `at` gives on a scale of 0 to 1.
pub(crate) fn coloured(count: usize, at: impl Fn(usize) -> [f32; 3]) -> f32 {
    // An odd step does not look at the same columns of every row of an even width.
    let step = count.div_ceil(LOOKED_AT) | 1;
    let looked_at = (0..count).step_by(step);
    let total = looked_at.len().max(1);
    let is_coloured = |[r, g, b]: [f32; 3]| r.max(g).max(b) - r.min(g).min(b) > COLOUR;
    looked_at.filter(|&i| is_coloured(at(i))).count() as f32 / total as f32
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
    let (pixels, _) = rgba.as_chunks::<4>();
    let unit = |pixel: &[u8; 4]| pixel.map(|v| f32::from(v) / 255.0);
    let luma = pixels.iter().map(|pixel| luminance_alpha(unit(pixel)));
    let share = coloured(pixels.len(), |i| over_black(unit(&pixels[i])));
    Ok(Radiograph::new(height as usize, width as usize, luma.collect())?.with_coloured(share))
}

/// Luminance of a colour with alpha, all four in `[0, 1]`, over black.
#[inline]
pub(crate) fn luminance_alpha([r, g, b, alpha]: [f32; 4]) -> f32 {
    luminance([r, g, b]) * alpha
}

/// A colour with alpha, all four in `[0, 1]`, over black.
pub(crate) fn over_black([r, g, b, alpha]: [f32; 4]) -> [f32; 3] {
    [r * alpha, g * alpha, b * alpha]
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
    fn pixels_with_a_colour_are_counted_and_a_tint_is_none() {
        // Half red, a quarter grey, a quarter red but transparent.
        let mut rgba = [200u8, 0, 0, 255].repeat(32);
        rgba.extend([90u8, 90, 90, 255].repeat(16));
        rgba.extend([200u8, 0, 0, 0].repeat(16));
        assert_eq!(from_rgba(8, 8, &rgba).unwrap().coloured(), 0.5);
        // 30 of 255 apart: the yellow of an old film.
        assert_eq!(from_rgba(8, 8, &[180u8, 170, 150, 255].repeat(64)).unwrap().coloured(), 0.0);
        // More pixels than are looked at: every other column is blue, and the pattern must not fall in step with the look.
        let rgba: Vec<u8> = (0..1001 * 1001).flat_map(|i| [0, 0, if i % 2 == 0 { 255 } else { 0 }, 255]).collect();
        assert!((from_rgba(1001, 1001, &rgba).unwrap().coloured() - 0.5).abs() < 0.01);
    }

    #[test]
    fn buffer_of_another_length_is_refused() {
        assert!(matches!(from_rgba(4, 4, &[0; 63]), Err(Error::BufferLength { expected: 64, found: 63 })));
        assert!(matches!(from_rgba(u32::MAX, u32::MAX, &[0; 64]), Err(Error::BufferLength { .. })));
        assert!(matches!(from_rgba(0, 0, &[]), Err(Error::TooSmall { .. })));
    }
}
