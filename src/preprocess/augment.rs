//! Random changes to a training film that leave its finding what it was: position, size, exposure.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Points of the tone curve's table. Between them it is linear; the worst error, next to black with the smallest
/// gammas in use, stays below one level of 8 bits.
const TONE_STEPS: usize = 1024;

/// How far a film may be changed; each amount is drawn evenly from its range. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Largest rotation either way, in degrees.
    pub rotate_degrees: f32,
    /// Largest change of size, as a fraction: 0.1 draws factors from 0.9 to 1.1.
    pub scale: f32,
    /// Largest change of the aspect ratio, as a fraction.
    pub aspect: f32,
    /// Largest shift either way along each axis, as a fraction of the side.
    pub shift: f32,
    /// Mirror every other film left to right.
    pub flip: bool,
    /// Range of the logarithm of gamma: 0.4 draws exponents from e^−0.4 to e^0.4.
    pub gamma: f32,
    /// Largest change of contrast about middle grey, as a fraction.
    pub contrast: f32,
    /// Largest change of brightness, where 1 is the step from black to white.
    pub brightness: f32,
    /// Largest blur, the standard deviation of a Gaussian in pixels: how sharp a film is tells its source.
    pub blur: f32,
    /// Largest standard deviation of noise, where 1 is the step from black to white.
    pub noise: f32,
    /// Largest share of the side that a border of one grey covers at each edge: lettering and collimation tell the source.
    pub frame: f32,
}

impl Augment {
    /// All changes at once by one number: 0 is none, 1 is ±10°, ±12 % in size, ±8 % in aspect, ±4 % in position, mirrored
    /// or not, exposure and contrast.
    ///
    /// # Errors
    /// [`Error::Config`] outside `[0, 3]`.
    pub fn of_strength(strength: f32) -> Result<Self> {
        if !(0.0..=3.0).contains(&strength) {
            return Err(Error::Config { field: "augment", reason: "must be between 0 and 3".into() });
        }
        Ok(Self {
            rotate_degrees: 10.0 * strength,
            scale: 0.12 * strength,
            aspect: 0.08 * strength,
            shift: 0.04 * strength,
            flip: strength > 0.0,
            gamma: 0.4 * strength,
            contrast: 0.2 * strength,
            brightness: 0.1 * strength,
            ..Self::default()
        })
    }

    /// Whether films stay as they are.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses ranges that make no sense.
    ///
    /// # Errors
    /// [`Error::Config`] that names the field and its bounds.
    pub fn validate(&self) -> Result<()> {
        for (field, value, limit) in [
            ("augment.rotate_degrees", self.rotate_degrees, 180.0),
            ("augment.scale", self.scale, 0.9),
            ("augment.aspect", self.aspect, 0.9),
            ("augment.shift", self.shift, 1.0),
            ("augment.gamma", self.gamma, 3.0),
            ("augment.contrast", self.contrast, 1.0),
            ("augment.brightness", self.brightness, 1.0),
            ("augment.blur", self.blur, 16.0),
            ("augment.noise", self.noise, 1.0),
            ("augment.frame", self.frame, 0.4),
        ] {
            // A NaN is in no range.
            if !(0.0..=limit).contains(&value) {
                return Err(Error::Config { field, reason: format!("{value}; it must be 0 to {limit}") });
            }
        }
        Ok(())
    }

    /// Draws one change and writes the changed film to `out`: a warp, then gamma, contrast, brightness, clamp to
    /// `[0, 1]`, then blur, noise and a border.
    ///
    /// The warp samples bilinearly, black outside the film, at `M·(x, y) + t` for the output pixel at `(x, y)`, both
    /// in coordinates where a side runs from −1 to 1:
    /// `M = [[f·cosθ·s·a, −sinθ·s], [f·sinθ·s, cosθ·s / a]]` with the flip `f = ±1`, the angle θ, the size `s` and
    /// the aspect `a`. This is PyTorch's `affine_grid` and `grid_sample` with `align_corners=False`.
    ///
    /// As many numbers are drawn from `rng` whatever the ranges are, but for noise, which comes last.
    ///
    /// # Shapes
    /// `grey` and `out`: row-major `[height, width]`, values in `[0, 1]`.
    pub fn apply(&self, grey: &[f32], height: usize, width: usize, rng: &mut impl Rng, out: &mut [f32]) {
        assert_eq!(grey.len(), height * width);
        assert_eq!(out.len(), grey.len());
        let mut within = |range: f32| (rng.random::<f32>() * 2.0 - 1.0) * range;
        let (sin, cos) = within(self.rotate_degrees).to_radians().sin_cos();
        let size = 1.0 + within(self.scale);
        let aspect = 1.0 + within(self.aspect);
        // A side is 2 long in these coordinates.
        let shift = [within(2.0 * self.shift), within(2.0 * self.shift)];
        let flip = if within(1.0) < 0.0 && self.flip { -1.0 } else { 1.0 };
        let gamma = within(self.gamma).exp();
        let contrast = 1.0 + within(self.contrast);
        let brightness = within(self.brightness);
        let (blur, noise) = (within(self.blur).abs(), within(self.noise).abs());
        // Below zero, for every other edge, there is no border.
        let edges: [f32; 4] = std::array::from_fn(|_| within(self.frame).max(0.0));
        let border = (within(1.0) + 1.0) / 2.0;

        let matrix = [[flip * cos * size * aspect, -sin * size], [flip * sin * size, cos * size / aspect]];
        if matrix == [[1.0, 0.0], [0.0, 1.0]] && shift == [0.0, 0.0] {
            out.copy_from_slice(grey);
        } else {
            warp(grey, height, width, matrix, shift, out);
        }
        if (gamma, contrast, brightness) != (1.0, 1.0, 0.0) {
            tone(gamma, contrast, brightness, out);
        }
        if blur > 0.0 {
            smooth(blur, width, out);
        }
        if noise > 0.0 {
            // The sum of three even draws: close enough to a Gaussian, and variance 1 with each on ±1.
            let mut normal = || (0..3).map(|_| rng.random::<f32>() * 2.0 - 1.0).sum::<f32>();
            out.iter_mut().for_each(|v| *v = (*v + noise * normal()).clamp(0.0, 1.0));
        }
        if edges != [0.0; 4] {
            cover(edges, border, width, out);
        }
    }
}

/// Writes `grey` sampled bilinearly at `matrix·(x, y) + shift` to `out`, in coordinates of −1 to 1 a side; 0 outside.
fn warp(grey: &[f32], height: usize, width: usize, matrix: [[f32; 2]; 2], shift: [f32; 2], out: &mut [f32]) {
    let (h, w) = (height as f32, width as f32);
    // The same map in pixel indices: normalised = (2·index + 1) / side − 1, and back.
    let [[xx, xy], [yx, yy]] = [[matrix[0][0], matrix[0][1] * w / h], [matrix[1][0] * h / w, matrix[1][1]]];
    let origin = |from_x: f32, from_y: f32, shift: f32, side: f32| {
        ((from_x * (1.0 / w - 1.0) + from_y * (1.0 / h - 1.0) + shift + 1.0) * side - 1.0) / 2.0
    };
    let x0 = origin(matrix[0][0], matrix[0][1], shift[0], w);
    let y0 = origin(matrix[1][0], matrix[1][1], shift[1], h);
    // A black border of one pixel makes every position that touches the film an ordinary one.
    let stride = width + 2;
    let mut framed = vec![0.0; (height + 2) * stride];
    for (row, framed) in grey.chunks_exact(width).zip(framed.chunks_exact_mut(stride).skip(1)) {
        framed[1..=width].copy_from_slice(row);
    }
    for (row, out) in out.chunks_exact_mut(width).enumerate() {
        // In pixels of the framed film, whose first pixel is the border.
        let (row_x, row_y) = (x0 + xy * row as f32 + 1.0, y0 + yy * row as f32 + 1.0);
        for (column, out) in out.iter_mut().enumerate() {
            let (x, y) = (row_x + xx * column as f32, row_y + yx * column as f32);
            let touches = x >= 0.0 && y >= 0.0 && x < w + 1.0 && y < h + 1.0;
            *out = if touches { bilinear(&framed, stride, x, y) } else { 0.0 };
        }
    }
}

/// The image at the fractional index (`x`, `y`), both at least 0 and below the last index.
#[inline]
fn bilinear(image: &[f32], stride: usize, x: f32, y: f32) -> f32 {
    // A cast, as `floor` is a function call on processors without SSE 4.1; the same for what is not negative.
    let (left, top) = (x as usize, y as usize);
    let (fx, fy) = (x - left as f32, y - top as f32);
    let at = top * stride + left;
    let (above, below) = (&image[at..at + 2], &image[at + stride..at + stride + 2]);
    let upper = above[0] + (above[1] - above[0]) * fx;
    let lower = below[0] + (below[1] - below[0]) * fx;
    upper + (lower - upper) * fy
}

/// Blurs with a Gaussian of `sigma` pixels, cut off at three of them; edges repeat.
fn smooth(sigma: f32, width: usize, values: &mut [f32]) {
    let reach = (3.0 * sigma).ceil() as usize;
    let half: Vec<f32> = (0..=reach).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum = 2.0 * half.iter().sum::<f32>() - half[0];
    let height = values.len() / width;
    let mut across = vec![0.0; values.len()];
    for (row, out) in values.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
        for (x, out) in out.iter_mut().enumerate() {
            let sides = |i: usize| row[x.saturating_sub(i)] + row[(x + i).min(width - 1)];
            *out = (half[0] * row[x] + (1..=reach).map(|i| half[i] * sides(i)).sum::<f32>()) / sum;
        }
    }
    for (y, out) in values.chunks_exact_mut(width).enumerate() {
        let row = |y: usize| &across[y * width..][..width];
        out.iter_mut().zip(row(y)).for_each(|(out, v)| *out = half[0] * v / sum);
        for (i, weight) in half.iter().enumerate().skip(1) {
            let sides = row(y.saturating_sub(i)).iter().zip(row((y + i).min(height - 1)));
            out.iter_mut().zip(sides).for_each(|(out, (above, below))| *out += weight / sum * (above + below));
        }
    }
}

/// Covers the shares `[top, bottom, left, right]` of the sides with one grey.
fn cover([top, bottom, left, right]: [f32; 4], grey: f32, width: usize, values: &mut [f32]) {
    let height = values.len() / width;
    let pixels = |share: f32, side: usize| (share * side as f32).round() as usize;
    let (rows, columns) =
        (pixels(top, height)..height - pixels(bottom, height), pixels(left, width)..width - pixels(right, width));
    for (y, row) in values.chunks_exact_mut(width).enumerate() {
        if rows.contains(&y) {
            row[..columns.start].fill(grey);
            row[columns.end..].fill(grey);
        } else {
            row.fill(grey);
        }
    }
}

/// Replaces each value by `clamp((v^gamma − ½)·contrast + ½ + brightness, 0, 1)`, read from a table: a power a pixel
/// would cost more than the whole warp.
fn tone(gamma: f32, contrast: f32, brightness: f32, values: &mut [f32]) {
    let table: [f32; TONE_STEPS + 1] = std::array::from_fn(|i| {
        let v = (i as f32 / TONE_STEPS as f32).powf(gamma);
        ((v - 0.5) * contrast + 0.5 + brightness).clamp(0.0, 1.0)
    });
    for v in values {
        let position = v.clamp(0.0, 1.0) * TONE_STEPS as f32;
        let below = (position as usize).min(TONE_STEPS - 1);
        *v = table[below] + (table[below + 1] - table[below]) * (position - below as f32);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn film(height: usize, width: usize) -> Vec<f32> {
        (0..height * width).map(|i| (i * 7919 % 256) as f32 / 255.0).collect()
    }

    #[test]
    fn default_changes_nothing() {
        let grey = film(17, 23);
        let mut out = vec![0.0; grey.len()];
        Augment::default().apply(&grey, 17, 23, &mut ChaCha8Rng::seed_from_u64(1), &mut out);
        assert!(Augment::default().is_none());
        assert_eq!(out, grey);
    }

    #[test]
    fn flip_mirrors_about_half_of_the_films() {
        let grey = film(16, 24);
        let mirrored: Vec<f32> = grey.chunks(24).flat_map(|row| row.iter().rev().copied()).collect();
        let augment = Augment { flip: true, ..Augment::default() };
        let mut flipped = 0;
        for seed in 0..200 {
            let mut out = vec![0.0; grey.len()];
            augment.apply(&grey, 16, 24, &mut ChaCha8Rng::seed_from_u64(seed), &mut out);
            let close = |other: &[f32]| out.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(close(&grey) || close(&mirrored));
            flipped += usize::from(close(&mirrored));
        }
        // Binomial(200, ½): 70 to 130 leaves 4 standard deviations either way.
        assert!((70..=130).contains(&flipped), "{flipped}");
    }

    #[test]
    fn warp_by_whole_pixels_moves_the_film_and_leaves_black() {
        let (height, width) = (8, 10);
        let grey = film(height, width);
        let mut out = vec![0.0; grey.len()];
        // Source = output + (3, −2) pixels; a side of n pixels is 2 long.
        warp(&grey, height, width, [[1.0, 0.0], [0.0, 1.0]], [6.0 / 10.0, -4.0 / 8.0], &mut out);
        for y in 0..height {
            for x in 0..width {
                let expected = if y >= 2 && x + 3 < width { grey[(y - 2) * width + x + 3] } else { 0.0 };
                assert!((out[y * width + x] - expected).abs() < 1e-5, "({x}, {y})");
            }
        }
    }

    #[test]
    fn warp_gives_what_pytorch_gives() {
        #[derive(Deserialize)]
        struct Fixture {
            height: usize,
            width: usize,
            cases: Vec<Case>,
        }
        #[derive(Deserialize)]
        struct Case {
            matrix: [[f32; 3]; 2],
            output: Vec<f32>,
        }
        // PyTorch 2.x, written by `tests/fixtures/make_warp.py`.
        let text = include_str!("../../tests/fixtures/warp.json");
        let Fixture { height, width, cases } = serde_json::from_str(text).unwrap();
        let grey = film(height, width);
        for Case { matrix: [[a, b, x], [c, d, y]], output } in cases {
            let mut out = vec![0.0; grey.len()];
            warp(&grey, height, width, [[a, b], [c, d]], [x, y], &mut out);
            let difference = out.iter().zip(&output).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Positions near 20 px carry an error of some 1e-6, and neighbours differ by up to 1.
            assert!(difference < 2e-5, "{difference}");
        }
    }

    #[test]
    fn tone_table_follows_the_formula_within_half_a_level() {
        for (gamma, contrast, brightness) in [(0.67, 1.2, 0.1), (1.5, 0.8, -0.1), (1.0, 1.0, 0.05)] {
            let mut values: Vec<f32> = (0..=255).map(|v| v as f32 / 255.0).collect();
            let expected: Vec<f32> = values
                .iter()
                .map(|v: &f32| ((v.powf(gamma) - 0.5) * contrast + 0.5 + brightness).clamp(0.0, 1.0))
                .collect();
            tone(gamma, contrast, brightness, &mut values);
            for (found, expected) in values.iter().zip(&expected) {
                assert!((found - expected).abs() < 0.5 / 255.0, "{found} {expected}");
            }
        }
    }

    #[test]
    fn blur_keeps_what_is_even_and_spreads_a_point_as_a_gaussian_does() {
        let mut even = vec![0.25; 9 * 11];
        smooth(1.5, 11, &mut even);
        assert!(even.iter().all(|v| (v - 0.25).abs() < 1e-6));
        let mut point = vec![0.0; 21 * 25];
        point[10 * 25 + 12] = 1.0;
        smooth(2.0, 25, &mut point);
        assert!((point.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        // e^(-r²/2σ²) at (2, 1) against the middle: r² = 5, σ = 2.
        let ratio = point[11 * 25 + 14] / point[10 * 25 + 12];
        assert!((ratio - (-5.0_f32 / 8.0).exp()).abs() < 1e-5, "{ratio}");
    }

    #[test]
    fn noise_has_the_deviation_that_was_drawn_at_most() {
        let augment = Augment { noise: 0.1, ..Augment::default() };
        for seed in 0..20 {
            let mut out = vec![0.0; 64 * 64];
            augment.apply(&vec![0.5; 64 * 64], 64, 64, &mut ChaCha8Rng::seed_from_u64(seed), &mut out);
            let mean = out.iter().sum::<f32>() / 4096.0;
            let deviation = (out.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 4096.0).sqrt();
            // Of 4,096 values a deviation is known to 1.1 %, a mean to 0.0016.
            assert!((mean - 0.5).abs() < 0.008 && deviation < 0.106, "{mean} {deviation}");
        }
    }

    #[test]
    fn a_border_covers_its_share_and_nothing_else() {
        let mut values = film(10, 20);
        let inside = values.clone();
        cover([0.2, 0.1, 0.0, 0.25], 2.0, 20, &mut values);
        for (i, (v, before)) in values.iter().zip(&inside).enumerate() {
            let (x, y) = (i % 20, i / 20);
            assert_eq!(*v, if y < 2 || y == 9 || x >= 15 { 2.0 } else { *before }, "({x}, {y})");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_film_and_another_seed_another() {
        let grey = film(32, 32);
        let augment = Augment { rotate_degrees: 10.0, scale: 0.1, gamma: 0.4, shift: 0.05, ..Augment::default() };
        let run = |seed| {
            let mut out = vec![0.0; grey.len()];
            augment.apply(&grey, 32, 32, &mut ChaCha8Rng::seed_from_u64(seed), &mut out);
            out
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn ranges_that_make_no_sense_are_refused_by_name() {
        Augment { rotate_degrees: 10.0, scale: 0.15, flip: true, ..Augment::default() }.validate().unwrap();
        for (bad, field) in [
            (Augment { scale: 1.0, ..Augment::default() }, "augment.scale"),
            (Augment { gamma: f32::NAN, ..Augment::default() }, "augment.gamma"),
            (Augment { shift: -0.1, ..Augment::default() }, "augment.shift"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(matches!(error, Error::Config { field: found, .. } if found == field), "{error}");
        }
    }
}
