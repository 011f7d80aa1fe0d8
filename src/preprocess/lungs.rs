//! Where the lungs lie in a film of which nobody has drawn them: where they lie in most films.

use super::resize::resize;
use crate::error::{Error, Result};
use crate::image::{Limits, Radiograph, decode};

/// Pixels a side of the mean.
const SIDE: usize = 64;

/// A place is taken for lung where at least this share of the masks has lung. A tenth takes in 97.5 % of the lungs of films
/// that the mean was not made from, and 59 % of a film: what is left has next to no lung.
const CUT: f32 = 0.1;

/// The mean of 296 masks that people drew, the training films of V7 Labs' COVID-19 X-ray data set
/// (github.com/v7labs/covid-19-xray-dataset, masks CC BY 4.0), each stretched to a square: a frequency of lung for each
/// place, nobody's film and nobody's lungs. `roentgen audit --lungs DIR --save-lungs FILE` made it.
const MEAN: &[u8] = include_bytes!("mean_lungs.png");

/// How often there is lung at each place of a film.
#[derive(Debug, Clone)]
pub struct MeanLungs(Radiograph);

/// The places of a film that are taken for lung, the same for every film: a mask drawn around each film's own lungs would
/// show their outline.
#[derive(Debug, Clone, PartialEq)]
pub struct LungMask {
    side: usize,
    inside: Vec<bool>,
}

impl MeanLungs {
    /// Mean share of the lungs that the built-in mean covers on the 85 test films with masks of that data set.
    pub const COVERS: f64 = 0.975;

    /// The mean that comes with the program.
    pub fn built_in() -> Self {
        Self::from_png(MEAN).expect("the file is ours")
    }

    /// Reads what [`Self::luma`] was written as.
    ///
    /// # Errors
    /// Those of [`decode`].
    pub fn from_png(bytes: &[u8]) -> Result<Self> {
        decode(bytes, &Limits::default()).map(Self)
    }

    /// The mean of `masks`, white where there is lung, each stretched to a square of 64 pixels.
    ///
    /// # Errors
    /// [`Error::Dataset`] without masks.
    pub fn of(masks: impl IntoIterator<Item = Radiograph>) -> Result<Self> {
        let (mut sum, mut n) = (vec![0.0; SIDE * SIDE], 0);
        for mask in masks {
            let square = resize(mask.luma(), mask.height(), mask.width(), SIDE, SIDE);
            sum.iter_mut().zip(&square).for_each(|(sum, v)| *sum += v);
            n += 1;
        }
        if n == 0 {
            return Err(Error::Dataset { reason: "there are no lung masks to average".into() });
        }
        sum.iter_mut().for_each(|v| *v = (*v / n as f32).clamp(0.0, 1.0));
        Ok(Self(Radiograph::new(SIDE, SIDE, sum)?))
    }

    /// Pixels a side, and the frequency of lung at each, row-major in `[0, 1]`.
    pub fn luma(&self) -> (usize, &[f32]) {
        (self.0.width(), self.0.luma())
    }

    /// The frequency of lung at each place of a film of another size, row-major `[height, width]`.
    pub fn stretched(&self, height: usize, width: usize) -> Vec<f32> {
        resize(self.0.luma(), self.0.height(), self.0.width(), height, width)
    }

    /// The places with lung in at least a tenth of the masks.
    pub fn mask(&self) -> LungMask {
        LungMask::new(self.0.width(), self.0.luma().iter().map(|v| *v >= CUT).collect())
    }
}

impl LungMask {
    /// Row-major `[side, side]`, `true` for lung.
    pub fn new(side: usize, inside: Vec<bool>) -> Self {
        assert_eq!(inside.len(), side * side);
        Self { side, inside }
    }

    /// Whether the place `(y, x)` of a film, both in `[0, 1]`, is taken for lung.
    pub fn contains(&self, y: f64, x: f64) -> bool {
        let place = |v: f64| ((v * self.side as f64) as usize).min(self.side - 1);
        self.inside[place(y) * self.side + place(x)]
    }

    /// Share of a film's area.
    pub fn area(&self) -> f64 {
        self.inside.iter().filter(|inside| **inside).count() as f64 / self.inside.len() as f64
    }

    /// The mask in the size of a heat map, row-major `[height, width]`: the share of each pixel that is inside.
    pub fn stretched(&self, height: usize, width: usize) -> Vec<f32> {
        let inside: Vec<f32> = self.inside.iter().map(|inside| f32::from(u8::from(*inside))).collect();
        resize(&inside, self.side, self.side, height, width)
    }

    /// Share of the lungs of `drawn`, white where there is lung, that it covers; `None` where there is none.
    pub fn covers(&self, drawn: &Radiograph) -> Option<f64> {
        let (height, width) = (drawn.height(), drawn.width());
        let (mut lung, mut covered) = (0_usize, 0_usize);
        for (i, _) in drawn.luma().iter().enumerate().filter(|(_, v)| **v > 0.5) {
            lung += 1;
            let middle = |i: usize, of: usize| (i as f64 + 0.5) / of as f64;
            covered += usize::from(self.contains(middle(i / width, height), middle(i % width, width)));
        }
        (lung > 0).then(|| covered as f64 / lung as f64)
    }
}

/// A mask drawn around the lungs of one film, white where there is lung, brought to the size of that film's heat map as the
/// film was, though with its contrast as it is: `[height, width]`, the share of each pixel that is lung.
pub fn stretched(drawn: &Radiograph, height: usize, width: usize) -> Vec<f32> {
    resize(drawn.luma(), drawn.height(), drawn.width(), height, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(side: usize, inside: impl Fn(usize, usize) -> bool) -> Radiograph {
        let luma = (0..side * side).map(|i| f32::from(u8::from(inside(i / side, i % side)))).collect();
        Radiograph::new(side, side, luma).unwrap()
    }

    /// Nine masks of the left half and one of the right: both are lung in a tenth of them.
    #[test]
    fn a_place_is_lung_where_a_tenth_of_the_masks_has_lung() {
        let masks = |right: usize| (0..10).map(move |i| square(128, |_, x| (x < 64) == (i >= right)));
        let few = MeanLungs::of(masks(0)).unwrap().mask();
        // Resampling leaves some lung in the column beside the edge.
        let beside = 1.0 / few.side as f64;
        assert!(few.contains(0.5, 0.25) && !few.contains(0.5, 0.75) && (0.5..=0.5 + beside).contains(&few.area()));
        let tenth = MeanLungs::of(masks(1)).unwrap().mask();
        assert_eq!(tenth.area(), 1.0);
        assert!(MeanLungs::of([]).is_err());
        // Of the upper half of the film as much as of the whole.
        let half = few.side / 2;
        assert_eq!(few.covers(&square(few.side, |y, _| y < half)), Some(few.area()));
        assert_eq!(few.covers(&square(100, |_, _| false)), None);
    }

    /// Of the 85 films with masks that the mean was not made from, by NumPy: area 0.589, 97.5 % of the lungs covered.
    #[test]
    fn the_lungs_that_come_with_the_program_are_two_and_leave_the_border() {
        let lungs = MeanLungs::built_in().mask();
        assert!((lungs.area() - 0.589).abs() < 0.01, "{}", lungs.area());
        assert!(lungs.contains(0.5, 0.3) && lungs.contains(0.5, 0.7));
        for (y, x) in [(0.02, 0.5), (0.98, 0.5), (0.5, 0.02), (0.5, 0.98)] {
            assert!(!lungs.contains(y, x), "({y}, {x})");
        }
    }
}
