//! Films of which something was taken away.

use crate::image::Radiograph;
use crate::preprocess::LungMask;
use crate::preprocess::resize::resize;

/// Width of the border, as a share of each side: hardly any lung reaches there.
const BORDER: f64 = 0.11;

/// Pixels a side of the smallest picture.
const PIXELS: usize = 8;

/// What is left of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// All of it.
    Whole,
    /// All but the lungs.
    NoLungs,
    /// The lungs alone.
    OnlyLungs,
    /// The outer 11 % on each side.
    Border,
    /// What is left of it in 8×8 pixels.
    Pixels,
}

impl View {
    /// All of them, the whole film first.
    pub const ALL: [Self; 5] = [Self::Whole, Self::NoLungs, Self::OnlyLungs, Self::Border, Self::Pixels];

    /// Name for people and in a card.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "the whole film",
            Self::NoLungs => "lungs masked out",
            Self::OnlyLungs => "lungs only",
            Self::Border => "border only, the outer 11 %",
            Self::Pixels => "8×8 pixels",
        }
    }

    /// The film with the rest taken away: set to the mean of what is left, so that nothing of it gets into a histogram.
    pub fn of(self, film: Radiograph, lungs: &LungMask) -> Radiograph {
        let (height, width) = (film.height(), film.width());
        // Of the middle of a pixel, both coordinates in [0, 1].
        match self {
            Self::Whole => film,
            Self::NoLungs => keep(&film, |y, x| !lungs.contains(y, x)),
            Self::OnlyLungs => keep(&film, |y, x| lungs.contains(y, x)),
            Self::Border => keep(&film, |y, x| [y, x].iter().any(|v| *v < BORDER || *v > 1.0 - BORDER)),
            Self::Pixels => {
                let small = resize(film.luma(), height, width, PIXELS, PIXELS);
                same_size(&film, resize(&small, PIXELS, PIXELS, height, width))
            }
        }
    }
}

/// The film where `kept` says so of the middle of a pixel, and the mean of that elsewhere.
fn keep(film: &Radiograph, kept: impl Fn(f64, f64) -> bool) -> Radiograph {
    let (height, width) = (film.height(), film.width());
    let middle = |i: usize, of: usize| (i as f64 + 0.5) / of as f64;
    let kept: Vec<bool> =
        (0..height * width).map(|i| kept(middle(i / width, height), middle(i % width, width))).collect();
    let left = film.luma().iter().zip(&kept).filter(|(_, kept)| **kept);
    let (n, sum) = left.fold((0_usize, 0.0), |(n, sum), (v, _)| (n + 1, sum + f64::from(*v)));
    let mean = (sum / n.max(1) as f64) as f32;
    let luma = film.luma().iter().zip(&kept).map(|(&v, &kept)| if kept { v } else { mean }).collect();
    same_size(film, luma)
}

fn same_size(film: &Radiograph, luma: Vec<f32>) -> Radiograph {
    Radiograph::new(film.height(), film.width(), luma).expect("as many pixels as before")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lungs in the middle half of each side.
    fn lungs() -> LungMask {
        let side = 16;
        let inside = (0..side * side).map(|i| [i / side, i % side].iter().all(|v| (4..12).contains(v)));
        LungMask::new(side, inside.collect())
    }

    /// A film of 40 × 80 pixels, each another grey.
    fn film() -> Radiograph {
        Radiograph::new(40, 80, (0..3200).map(|i| i as f32 / 3200.0).collect()).unwrap()
    }

    #[test]
    fn what_is_taken_away_leaves_no_trace() {
        let (film, lungs) = (film(), lungs());
        let mut other = film.luma().to_vec();
        (10..30).for_each(|y| (20..60).for_each(|x| other[80 * y + x] = 0.3));
        let other = Radiograph::new(40, 80, other).unwrap();
        for view in [View::NoLungs, View::Border] {
            assert_eq!(view.of(film.clone(), &lungs), view.of(other.clone(), &lungs), "{}", view.name());
        }
        assert_ne!(View::OnlyLungs.of(film.clone(), &lungs), View::OnlyLungs.of(other.clone(), &lungs));
        assert_ne!(View::Pixels.of(film.clone(), &lungs), View::Pixels.of(other, &lungs));
        assert_eq!(View::Whole.of(film.clone(), &lungs), film);
    }

    #[test]
    fn what_is_left_is_as_it_was_and_the_rest_its_mean() {
        let (film, lungs) = (film(), lungs());
        let masked = View::NoLungs.of(film.clone(), &lungs);
        assert_eq!(masked.luma()[..80 * 10], film.luma()[..80 * 10]);
        // By symmetry the mean of what lies around the middle is that of the whole film.
        assert!((masked.luma()[80 * 20 + 40] - 0.5).abs() < 1e-3);
        let border = View::Border.of(film.clone(), &lungs);
        // 11 % of 40 rows are 4.4 of them, of 80 columns 8.8.
        let kept = |y: usize, x: usize| border.luma()[80 * y + x] == film.luma()[80 * y + x];
        assert!(kept(3, 40) && !kept(4, 40) && kept(20, 8) && !kept(20, 9) && kept(36, 40) && kept(20, 71));
        let pixels = View::Pixels.of(film.clone(), &lungs);
        let distinct = |film: &Radiograph| film.luma().windows(2).filter(|w| w[0] != w[1]).count();
        assert!(distinct(&pixels) > 0 && pixels.height() == 40 && pixels.width() == 80);
    }
}
