//! Antialiased resize, the same as Pillow's `Image.resize(..., Image.BILINEAR)` on float images.

/// What one output pixel takes along one axis: `weights[i]` of input `first + i`; the weights sum to 1.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// `image` resized with a triangle filter whose support grows with the downscale factor.
///
/// Weight of input `i` for output `o`: `max(0, 1 − |i + ½ − (o + ½)·s| / max(s, 1))`, normalised to sum 1, with
/// `s = input / output`; one axis after the other. Thin lines fade instead of vanishing or aliasing.
///
/// # Shapes
/// - `image`: row-major `[height, width]`
/// - returns `[out_height, out_width]`
/// - both with values in `[0, 1]`
///
/// # Source
/// `precompute_coeffs` and `bilinear_filter` in Pillow's `src/libImaging/Resample.c`.
pub fn resize(image: &[f32], height: usize, width: usize, out_height: usize, out_width: usize) -> Vec<f32> {
    assert_eq!(image.len(), height * width);
    if (height, width) == (out_height, out_width) {
        return image.to_vec();
    }
    // Rows first (Pillow: columns first; the filter is separable): adding whole rows vectorises, and a large film is
    // down to `out_height` rows before the slower pass.
    let mut rows = vec![0.0; out_height * width];
    for (taps, out) in axis_taps(height, out_height).iter().zip(rows.chunks_exact_mut(width)) {
        for (&weight, row) in taps.weights.iter().zip(image[taps.first * width..].chunks_exact(width)) {
            for (out, v) in out.iter_mut().zip(row) {
                *out += weight * v;
            }
        }
    }
    let taps = axis_taps(width, out_width);
    let mut out = vec![0.0; out_height * out_width];
    for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(out_width)) {
        for (taps, out) in taps.iter().zip(out) {
            // Rounding of the weights' sum may leave [0, 1] by an ulp; the next stages are promised that range.
            *out = taps.weights.iter().zip(&row[taps.first..]).map(|(w, v)| w * v).sum::<f32>().clamp(0.0, 1.0);
        }
    }
    out
}

/// The taps of every output pixel of one axis.
fn axis_taps(input: usize, output: usize) -> Vec<Taps> {
    let scale = input as f64 / output as f64;
    let support = scale.max(1.0);
    (0..output)
        .map(|o| {
            let centre = (o as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let raw: Vec<f64> =
                (first..end).map(|i| (1.0 - ((i as f64 + 0.5 - centre) / support).abs()).max(0.0)).collect();
            let sum: f64 = raw.iter().sum();
            Taps { first, weights: raw.iter().map(|w| (w / sum) as f32).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::image::{Limits, decode};

    /// Pillow 13.0.0's BILINEAR on float images, written by `tests/fixtures/make_images.py`.
    #[derive(Deserialize)]
    struct Fixture {
        cases: Vec<Case>,
        film: Film,
    }

    #[derive(Deserialize)]
    struct Case {
        height: usize,
        width: usize,
        out_height: usize,
        out_width: usize,
        output: Vec<f32>,
    }

    /// The drawn film; every `every`-th value of the result.
    #[derive(Deserialize)]
    struct Film {
        out_height: usize,
        out_width: usize,
        every: usize,
        output: Vec<f32>,
    }

    fn fixture() -> Fixture {
        serde_json::from_str(include_str!("../../tests/fixtures/resize.json")).unwrap()
    }

    fn largest_difference<'a>(found: impl IntoIterator<Item = &'a f32>, expected: &[f32]) -> f32 {
        let mut found = found.into_iter();
        let largest = expected.iter().map(|e| (found.next().unwrap() - e).abs()).fold(0.0, f32::max);
        assert!(found.next().is_none());
        largest
    }

    #[test]
    fn small_images_of_odd_shapes_come_out_as_pillow_makes_them() {
        for Case { height, width, out_height, out_width, output } in fixture().cases {
            let image: Vec<f32> = (0..height * width).map(|i| (i * 7919 % 256) as f32 / 255.0).collect();
            let out = resize(&image, height, width, out_height, out_width);
            let difference = largest_difference(&out, &output);
            assert!(difference <= 1e-5, "{height}×{width} to {out_height}×{out_width}: {difference}");
        }
    }

    #[test]
    fn film_comes_out_as_pillow_makes_it() {
        let bytes = include_bytes!("../../tests/fixtures/images/film.png");
        let film = decode(bytes, &Limits::default()).unwrap();
        let Film { out_height, out_width, every, output } = fixture().film;
        let out = resize(film.luma(), film.height(), film.width(), out_height, out_width);
        let difference = largest_difference(out.iter().step_by(every), &output);
        assert!(difference <= 1e-5, "{difference}");
    }

    #[test]
    fn constant_film_stays_constant_at_any_size() {
        for (height, width) in [(1, 1), (3, 200), (128, 128), (517, 33)] {
            let image = vec![0.3; height * width];
            let out = resize(&image, height, width, 128, 96);
            assert_eq!(out.len(), 128 * 96);
            assert!(out.iter().all(|v| (v - 0.3).abs() < 1e-6));
        }
    }

    #[test]
    fn film_of_the_right_size_is_untouched() {
        let image: Vec<f32> = (0..30).map(|v| v as f32 / 30.0).collect();
        assert_eq!(resize(&image, 5, 6, 5, 6), image);
    }

    #[test]
    fn one_bright_line_keeps_its_light_when_reduced() {
        // A nearest-neighbour or four-tap resize by 8 would miss the line or keep it whole.
        let (height, width) = (256, 256);
        let mut image = vec![0.0; height * width];
        (0..height).for_each(|y| image[y * width + 101] = 1.0);
        let out = resize(&image, height, width, 32, 32);
        let mean = out.iter().sum::<f32>() / out.len() as f32;
        assert!((mean - 1.0 / 256.0).abs() < 1e-5, "{mean}");
        assert!(out.iter().all(|&v| v < 0.2));
    }
}
