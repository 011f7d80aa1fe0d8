//! Pictures that are not to be judged, made from films that are, and from nothing: what a gate is fitted with where there is
//! no collection of other pictures, and beside one where there is.

use rand::Rng;
use rand::seq::SliceRandom;

use super::Kind;
use crate::error::Result;
use crate::image::Radiograph;
use crate::preprocess::resize::resize;

/// Every way in which a film becomes something else, each once.
///
/// # Errors
/// None for a film of two pixels a side and more.
pub fn changed(film: &Radiograph, rng: &mut impl Rng) -> Result<Vec<(Kind, Radiograph)>> {
    Ok(vec![
        (Kind::TurnedLeft, turned(film, |[_, w], y, x| [x, w - 1 - y])?),
        (Kind::TurnedRight, turned(film, |[h, _], y, x| [h - 1 - x, y])?),
        (Kind::UpsideDown, moved(film, |[h, w], y, x| [h - 1 - y, w - 1 - x])?),
        (Kind::UpsideDown, moved(film, |[h, _], y, x| [h - 1 - y, x])?),
        (Kind::Inverted, inverted(film)?),
        (Kind::Cropped, cropped(film, rng)?),
        (Kind::Other, blurred(film, rng)?),
        (Kind::Other, shuffled(film, rng)?),
    ])
}

/// The film mirrored left to right.
///
/// # Errors
/// None.
pub fn mirrored(film: &Radiograph) -> Result<Radiograph> {
    moved(film, |[_, w], y, x| [y, w - 1 - x])
}

/// A picture of nothing: noise, clouds, a slope from dark to bright, stripes, or rectangles.
///
/// # Errors
/// None.
pub fn drawn(rng: &mut impl Rng) -> Result<Radiograph> {
    const SIDE: usize = 192;
    let kind = rng.random_range(0..5);
    let angle = rng.random::<f32>() * std::f32::consts::TAU;
    let (sin, cos) = angle.sin_cos();
    let along = |i: usize| {
        let [x, y] = [i % SIDE, i / SIDE].map(|v| v as f32 / SIDE as f32 - 0.5);
        x * cos + y * sin
    };
    let luma: Vec<f32> = match kind {
        0 => (0..SIDE * SIDE).map(|_| rng.random()).collect(),
        1 => {
            let cells = rng.random_range(3..40);
            let cloud: Vec<f32> = (0..cells * cells).map(|_| rng.random()).collect();
            resize(&cloud, cells, cells, SIDE, SIDE)
        }
        2 => (0..SIDE * SIDE).map(|i| (along(i) / 1.42 + 0.5).clamp(0.0, 1.0)).collect(),
        3 => {
            let period = rng.random_range(0.02..0.3);
            (0..SIDE * SIDE).map(|i| f32::from(u8::from((along(i) / period).rem_euclid(1.0) < 0.5))).collect()
        }
        _ => {
            let mut luma = vec![rng.random::<f32>(); SIDE * SIDE];
            for _ in 0..rng.random_range(2..20) {
                let grey = rng.random();
                let mut span = || {
                    let first = rng.random_range(0..SIDE - 1);
                    first..rng.random_range(first + 1..SIDE)
                };
                let columns = span();
                for y in span() {
                    luma[y * SIDE..][columns.clone()].fill(grey);
                }
            }
            luma
        }
    };
    Radiograph::new(SIDE, SIDE, luma)
}

/// The mean of films, each of them brought to `side` × `side`: what sample pictures are made as. Still a chest film.
///
/// # Errors
/// None for a film or more.
pub fn average(films: &[&Radiograph], side: usize) -> Result<Radiograph> {
    let mut sum = vec![0.0; side * side];
    for film in films {
        for (sum, v) in sum.iter_mut().zip(resize(film.luma(), film.height(), film.width(), side, side)) {
            *sum += v / films.len() as f32;
        }
    }
    Radiograph::new(side, side, sum.into_iter().map(|v| v.clamp(0.0, 1.0)).collect())
}

/// The film as large as it was, each pixel from where `from([height, width], y, x)` says.
fn moved(film: &Radiograph, from: impl Fn([usize; 2], usize, usize) -> [usize; 2]) -> Result<Radiograph> {
    let size = [film.height(), film.width()];
    gathered(film, size, |y, x| from(size, y, x))
}

/// The film with height and width exchanged.
fn turned(film: &Radiograph, from: impl Fn([usize; 2], usize, usize) -> [usize; 2]) -> Result<Radiograph> {
    let [height, width] = [film.height(), film.width()];
    gathered(film, [width, height], |y, x| from([height, width], y, x))
}

/// A picture of `size` whose pixel `(y, x)` is the film's at `from(y, x)`.
fn gathered(film: &Radiograph, size: [usize; 2], from: impl Fn(usize, usize) -> [usize; 2]) -> Result<Radiograph> {
    let [height, width] = size;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let luma = places.map(|(y, x)| from(y, x)).map(|[y, x]| film.luma()[y * film.width() + x]);
    Radiograph::new(height, width, luma.collect())
}

fn inverted(film: &Radiograph) -> Result<Radiograph> {
    Radiograph::new(film.height(), film.width(), film.luma().iter().map(|v| 1.0 - v).collect())
}

/// A third to a half of each side, from anywhere.
fn cropped(film: &Radiograph, rng: &mut impl Rng) -> Result<Radiograph> {
    let share = rng.random_range(0.33..0.5);
    let mut side = |whole: usize| {
        let len = ((whole as f32 * share) as usize).max(1);
        (rng.random_range(0..=whole - len), len)
    };
    let ((top, height), (left, width)) = (side(film.height()), side(film.width()));
    gathered(film, [height, width], |y, x| [top + y, left + x])
}

/// As if reduced to 6 to 14 pixels a side, and enlarged again.
fn blurred(film: &Radiograph, rng: &mut impl Rng) -> Result<Radiograph> {
    let few = rng.random_range(6..=14);
    let small = resize(film.luma(), film.height(), film.width(), few, few);
    Radiograph::new(film.height(), film.width(), resize(&small, few, few, film.height(), film.width()))
}

/// Cut into 2 × 2 to 5 × 5 pieces that are laid out in another order.
fn shuffled(film: &Radiograph, rng: &mut impl Rng) -> Result<Radiograph> {
    let pieces = rng.random_range(2..=5);
    let mut order: Vec<usize> = (0..pieces * pieces).collect();
    order.shuffle(rng);
    if order.is_sorted() {
        order.rotate_left(1);
    }
    let [high, wide] = [film.height() / pieces, film.width() / pieces].map(|side| side.max(1));
    moved(film, |[h, w], y, x| {
        let [row, column] = [(y / high).min(pieces - 1), (x / wide).min(pieces - 1)];
        let from = order[row * pieces + column];
        let place = |piece: usize, len: usize, inside: usize, whole: usize| (piece * len + inside).min(whole - 1);
        [place(from / pieces, high, y - row * high, h), place(from % pieces, wide, x - column * wide, w)]
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn film(height: usize, width: usize, luma: &[f32]) -> Radiograph {
        Radiograph::new(height, width, luma.to_vec()).unwrap()
    }

    #[test]
    fn turns_and_mirrors_are_those_worked_out_by_hand() {
        // 1 2 3
        // 4 5 6, in tenths
        let upright = film(2, 3, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
        let made = changed(&upright, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let expected = [
            (Kind::TurnedLeft, film(3, 2, &[0.3, 0.6, 0.2, 0.5, 0.1, 0.4])),
            (Kind::TurnedRight, film(3, 2, &[0.4, 0.1, 0.5, 0.2, 0.6, 0.3])),
            (Kind::UpsideDown, film(2, 3, &[0.6, 0.5, 0.4, 0.3, 0.2, 0.1])),
            (Kind::UpsideDown, film(2, 3, &[0.4, 0.5, 0.6, 0.1, 0.2, 0.3])),
            (Kind::Inverted, film(2, 3, &[0.9, 0.8, 0.7, 0.6, 0.5, 0.4])),
        ];
        for ((kind, film), (expected_kind, expected)) in made.iter().zip(&expected) {
            assert_eq!(kind, expected_kind);
            assert_eq!((film.height(), film.width()), (expected.height(), expected.width()));
            assert!(film.luma().iter().zip(expected.luma()).all(|(a, b)| (a - b).abs() < 1e-6), "{kind:?}");
        }
    }

    #[test]
    fn a_mirrored_film_has_each_row_the_other_way_round() {
        let film = |luma: &[f32]| film(2, 3, luma);
        let mirrored = mirrored(&film(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])).unwrap();
        assert_eq!(mirrored, film(&[0.3, 0.2, 0.1, 0.6, 0.5, 0.4]));
    }

    #[test]
    fn a_crop_is_smaller_and_a_shuffled_film_has_the_same_pixels_elsewhere() {
        let luma: Vec<f32> = (0..60 * 60).map(|i| i as f32 / 3600.0).collect();
        let whole = film(60, 60, &luma);
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let crop = cropped(&whole, &mut rng).unwrap();
            assert!((19..=30).contains(&crop.height()) && (19..=30).contains(&crop.width()), "{crop:?}");
            // Rows follow one another as they did.
            assert!((crop.luma()[crop.width()] - crop.luma()[0] - 60.0 / 3600.0).abs() < 1e-6);
            let shuffled = shuffled(&whole, &mut rng).unwrap();
            assert_ne!(shuffled.luma(), luma);
            let mut sorted = shuffled.luma().to_vec();
            sorted.sort_by(f32::total_cmp);
            // 60 is divided by 2, 3, 4 and 5.
            assert_eq!(sorted, luma);
        }
    }

    #[test]
    fn drawn_pictures_have_contrast_and_values_in_range() {
        for seed in 0..40 {
            let picture = drawn(&mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            assert!(picture.luma().iter().all(|v| (0.0..=1.0).contains(v)), "seed {seed}");
            let min = picture.luma().iter().copied().fold(1.0, f32::min);
            assert!(picture.luma().iter().any(|v| *v > min), "seed {seed}");
        }
    }

    #[test]
    fn the_average_of_two_films_lies_between_them() {
        let average = average(&[&film(2, 2, &[0.2; 4]), &film(4, 4, &[0.6; 16])], 3).unwrap();
        assert_eq!((average.height(), average.width()), (3, 3));
        assert!(average.luma().iter().all(|v| (v - 0.4).abs() < 1e-6));
    }
}
