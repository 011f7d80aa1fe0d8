//! The style of one image put on another: how sharp and noisy it is, and which greys it uses. Machine, processing and
//! compression decide both, and with them the hospital; the finding lies in where things are.

/// Bands of sharpness: structures of about one, two and four pixels.
const BANDS: usize = 3;

/// How much a band may be raised or lowered: beyond, noise of an 8-bit image would become its content.
const MOST: f32 = 3.0;

/// Gives each band of fine structure in `image` the strength that it has in `other`, in place: the deviation of band `b` is
/// multiplied by `(σ'_b / σ_b)^strength`. The amplitude spectrum of an image, octave by octave, without a Fourier transform.
///
/// # Shapes
/// both row-major of `width` columns and values in `[0, 1]`, as the result has; `strength` in `[0, 1]`, 0 changes nothing
///
/// # Source
/// Xu et al., A Fourier-based Framework for Domain Generalization, arXiv:2105.11120, mixes amplitude spectra; the bands are
/// those of the à trous transform, Starck and Murtagh, Astronomical Image and Data Analysis, 2006, section 2.2.
///
/// # Panics
/// When the images differ in length or are not whole rows.
pub fn match_bands(image: &mut [f32], other: &[f32], width: usize, strength: f32) {
    assert!(image.len() == other.len() && image.len().is_multiple_of(width));
    let (mut own, mut others) = (image.to_vec(), other.to_vec());
    for band in 0..BANDS {
        let (own_smooth, other_smooth) = (smooth(&own, width, 1 << band), smooth(&others, width, 1 << band));
        let ratio = deviation(&others, &other_smooth) / deviation(&own, &own_smooth).max(1e-4);
        let factor = ratio.clamp(1.0 / MOST, MOST).powf(strength) - 1.0;
        let detail = own.iter().zip(&own_smooth);
        image.iter_mut().zip(detail).for_each(|(out, (fine, coarse))| *out += factor * (fine - coarse));
        (own, others) = (own_smooth, other_smooth);
    }
    image.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
}

/// Square root of the mean square of `fine − coarse`, whose mean is next to nothing.
fn deviation(fine: &[f32], coarse: &[f32]) -> f32 {
    let sum: f64 = fine.iter().zip(coarse).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (sum / fine.len() as f64).sqrt() as f32
}

/// Smoothed by the cubic B-spline `[1, 4, 6, 4, 1] / 16` with its taps `step` pixels apart; edges repeat.
fn smooth(values: &[f32], width: usize, step: usize) -> Vec<f32> {
    const TAPS: [f32; 3] = [6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
    let height = values.len() / width;
    let mut across = vec![0.0; values.len()];
    for (row, out) in values.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
        for (x, out) in out.iter_mut().enumerate() {
            let sides = |i: usize| row[x.saturating_sub(i * step)] + row[(x + i * step).min(width - 1)];
            *out = TAPS[0] * row[x] + TAPS[1] * sides(1) + TAPS[2] * sides(2);
        }
    }
    let mut down = vec![0.0; values.len()];
    for (y, out) in down.chunks_exact_mut(width).enumerate() {
        let row = |y: usize| &across[y * width..][..width];
        out.iter_mut().zip(row(y)).for_each(|(out, v)| *out = TAPS[0] * v);
        for (i, tap) in TAPS.into_iter().enumerate().skip(1) {
            let sides = row(y.saturating_sub(i * step)).iter().zip(row((y + i * step).min(height - 1)));
            out.iter_mut().zip(sides).for_each(|(out, (above, below))| *out += tap * (above + below));
        }
    }
    down
}

/// Moves the greys of `image` towards those that `other` has at the same ranks, in place: wholly for a `strength` of 1, by
/// halves for ½. On 256 levels, with mid-ranks.
///
/// # Shapes
/// values in `[0, 1]`, as the result has; the images may differ in length
pub fn match_histogram(image: &mut [f32], other: &[f32], strength: f32) {
    let (own, others) = (ranks(image), ranks(other));
    // For each level the level of the other image whose rank is the first that is no lower.
    let mut to = 0;
    let map = std::array::from_fn::<f32, LEVELS, _>(|level| {
        while to + 1 < LEVELS && others[to] < own[level] {
            to += 1;
        }
        (to as f32 - level as f32) / (LEVELS - 1) as f32
    });
    for v in image {
        *v = (*v + strength * map[level(*v)]).clamp(0.0, 1.0);
    }
}

const LEVELS: usize = 256;

fn level(v: f32) -> usize {
    (v.clamp(0.0, 1.0) * (LEVELS - 1) as f32).round() as usize
}

/// The proportion of pixels darker than each level, those of the level itself counting half.
fn ranks(image: &[f32]) -> [f32; LEVELS] {
    let mut counts = [0_u32; LEVELS];
    image.iter().for_each(|v| counts[level(*v)] += 1);
    let mut below = 0;
    counts.map(|count| {
        let rank = (below as f32 + count as f32 / 2.0) / image.len() as f32;
        below += count;
        rank
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 32;

    /// A slope with a chequered pattern of this height on it.
    fn chequered(height: f32) -> Vec<f32> {
        let at = |i: usize| (i % SIDE, i / SIDE);
        (0..SIDE * SIDE)
            .map(|i| {
                let (x, y) = at(i);
                0.3 + 0.4 * x as f32 / SIDE as f32 + if (x + y) % 2 == 0 { height } else { -height }
            })
            .collect()
    }

    /// The pattern lies in the finest band alone, and its height is the band's deviation.
    #[test]
    fn fine_structure_gets_the_strength_of_the_other_image_and_the_coarse_stays() {
        let (soft, sharp) = (chequered(0.02), chequered(0.05));
        for (strength, height) in [(0.0, 0.02), (0.5, (0.02_f32 * 0.05).sqrt()), (1.0, 0.05)] {
            let mut image = soft.clone();
            match_bands(&mut image, &sharp, SIDE, strength);
            let middle = |x: usize| image[SIDE / 2 * SIDE + x] - image[SIDE / 2 * SIDE + x + 1];
            let (found, slope) = (middle(10).abs().midpoint(middle(11).abs()) / 2.0, 0.4 / SIDE as f32);
            assert!((found - height).abs() < 0.05 * height, "{strength}: {found}, {slope}");
            let mean = |image: &[f32]| image.iter().sum::<f32>() / image.len() as f32;
            assert!((mean(&image) - mean(&soft)).abs() < 1e-3);
        }
        let mut far = chequered(0.001);
        match_bands(&mut far, &chequered(0.2), SIDE, 1.0);
        assert!((far[5] - far[6]).abs() < 2.5 * 3.0 * 0.001 + 0.4 / SIDE as f32, "raised beyond the most");
    }

    /// Ranks by hand: four greys, a quarter of the pixels each, take the four of the other image.
    #[test]
    fn greys_move_to_those_of_the_same_rank() {
        let level = |v: f32| (v * 255.0).round() / 255.0;
        let own: Vec<f32> = [0.1, 0.2, 0.3, 0.4].map(level).repeat(4);
        let other: Vec<f32> = [0.5, 0.6, 0.8, 0.9].map(level).repeat(9);
        for (strength, expected) in
            [(0.0, [0.1, 0.2, 0.3, 0.4]), (0.5, [0.3, 0.4, 0.55, 0.65]), (1.0, [0.5, 0.6, 0.8, 0.9])]
        {
            let mut image = own.clone();
            match_histogram(&mut image, &other, strength);
            for (found, expected) in image.iter().zip(expected) {
                assert!((found - expected).abs() < 0.005, "{strength}: {found}, {expected}");
            }
        }
    }
}
