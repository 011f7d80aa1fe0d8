//! Pictures that are nearly the same: the same film scanned, scaled or compressed twice. Their bytes differ, and yet a
//! network that has seen the one knows the other.

use crate::preprocess::resize;

/// Bits in which the hashes of two pictures of one film differ at most.
const BITS: u32 = 4;

/// Correlation of the thumbnails of two pictures of one film, at least: hashes alone agree for films that merely have the
/// same pose.
const CORRELATION: f64 = 0.995;

/// Pixels a side of a thumbnail.
const SIDE: usize = 64;

/// 64 bits that survive another size, compression and brightness: whether a picture of 9 × 8 pixels gets brighter from one
/// to the next.
///
/// # Shapes
/// - `grey`: `[height, width]`, row-major
///
/// # Source
/// Krawetz, "Kind of Like That", hackerfactor.com, 2013 ("dHash").
pub(super) fn difference_hash(grey: &[u8], [height, width]: [usize; 2]) -> u64 {
    let small = reduced(grey, [height, width], [8, 9]);
    let brighter = small.chunks_exact(9).flat_map(|row| row.windows(2).map(|pair| pair[0] < pair[1]));
    brighter.fold(0, |hash, bit| hash << 1 | u64::from(bit))
}

/// Groups of more than one picture, each nearly the same as another of its group: numbers into `films`, in order.
///
/// # Shapes
/// - `films`: the [`difference_hash`] of each and its grey bytes, all of one `[height, width]`
pub(super) fn alike(films: &[(u64, &[u8])], size: [usize; 2]) -> Vec<Vec<usize>> {
    // Each film points to one that is alike, or to itself: the first of its group.
    let mut first: Vec<usize> = (0..films.len()).collect();
    fn group(first: &[usize], mut film: usize) -> usize {
        while first[film] != film {
            film = first[film];
        }
        film
    }
    for b in 0..films.len() {
        for a in 0..b {
            if (films[a].0 ^ films[b].0).count_ones() > BITS {
                continue;
            }
            let [x, y] = [group(&first, a), group(&first, b)];
            if x != y && correlation(films[a].1, films[b].1, size) > CORRELATION {
                first[x.max(y)] = x.min(y);
            }
        }
    }
    let mut groups = vec![Vec::new(); films.len()];
    (0..films.len()).for_each(|film| groups[group(&first, film)].push(film));
    groups.retain(|films| films.len() > 1);
    groups
}

/// Standard deviation of a thumbnail below which it shows nothing: one grey of 255, which rounding alone can make.
const NOTHING: f64 = 1.0 / 255.0;

/// Pearson's correlation of two pictures' thumbnails; 0 where one shows nothing.
fn correlation(a: &[u8], b: &[u8], size: [usize; 2]) -> f64 {
    let [a, b] = [a, b].map(|grey| {
        let mut thumbnail = reduced(grey, size, [SIDE, SIDE]);
        let mean = thumbnail.iter().sum::<f32>() / thumbnail.len() as f32;
        thumbnail.iter_mut().for_each(|value| *value -= mean);
        thumbnail
    });
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    let [spread_a, spread_b] = [dot(&a, &a), dot(&b, &b)];
    if spread_a.min(spread_b) < NOTHING * NOTHING * a.len() as f64 {
        return 0.0;
    }
    dot(&a, &b) / (spread_a * spread_b).sqrt()
}

fn reduced(grey: &[u8], [height, width]: [usize; 2], [rows, columns]: [usize; 2]) -> Vec<f32> {
    let grey: Vec<f32> = grey.iter().map(|&value| f32::from(value) / 255.0).collect();
    resize::resize(&grey, height, width, rows, columns)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const SIZE: [usize; 2] = [96, 128];

    /// A picture of large, soft shapes, as films have them, drawn by `seed`; `change` is given each grey in `[0, 1]`.
    fn film(seed: u64, mut change: impl FnMut(f64) -> f64) -> Vec<u8> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let waves: Vec<[f64; 3]> = (0..12).map(|_| [9.0, 9.0, 6.3].map(|most| rng.random_range(0.0..most))).collect();
        let grey = |y: usize, x: usize| {
            let (y, x) = (y as f64 / SIZE[0] as f64, x as f64 / SIZE[1] as f64);
            let sum: f64 = waves.iter().map(|[v, u, phase]| (v * y + u * x + phase).sin()).sum();
            0.5 + sum / 12.0
        };
        let places = (0..SIZE[0]).flat_map(|y| (0..SIZE[1]).map(move |x| (y, x)));
        places.map(|(y, x)| (change(grey(y, x).clamp(0.0, 1.0)) * 255.0).round() as u8).collect()
    }

    fn groups(films: &[Vec<u8>]) -> Vec<Vec<usize>> {
        let hashed: Vec<_> = films.iter().map(|film| (difference_hash(film, SIZE), film.as_slice())).collect();
        alike(&hashed, SIZE)
    }

    #[test]
    fn a_film_compressed_again_or_brightened_is_the_same_and_another_is_not() {
        let mut noise = ChaCha8Rng::seed_from_u64(1);
        let films = [
            film(1, |v| v),
            film(2, |v| v),
            film(1, |v| (v + noise.random_range(-0.03..0.03)).clamp(0.0, 1.0)),
            film(3, |v| v),
            film(2, |v| 0.1 + 0.8 * v),
            film(1, |v| v.powf(1.1)),
            // Its negative.
            film(3, |v| 1.0 - v),
        ];
        assert_eq!(groups(&films), [vec![0, 2, 5], vec![1, 4]]);
    }

    #[test]
    fn films_of_one_pose_are_not_the_same_film() {
        // Four fifths of one picture, a fifth of another: the hashes may agree, the pictures do not.
        let mix = |seed| {
            let other = film(seed, |v| v);
            let mut at = other.iter();
            film(1, |v| 0.7 * v + 0.3 * f64::from(*at.next().expect("as many")) / 255.0)
        };
        assert_eq!(groups(&[mix(2), mix(3), mix(4), mix(5)]), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn single_greys_are_like_nothing() {
        let greys: Vec<_> = (0..40).map(|grey| vec![grey; SIZE[0] * SIZE[1]]).collect();
        assert_eq!(groups(&greys), Vec::<Vec<usize>>::new());
    }
}
