//! Where the lungs of one film lie, as a small network sees it, and the film cut to them.
//!
//! A measure against shortcuts: what lies outside the lungs tells the hospital. The audit goes by a place that is the same for
//! every film instead, [`MeanLungs`](crate::preprocess::MeanLungs), for a film's own outline would give something away.

mod fit;

pub use fit::{Drawn, FitConfig, fit};

use crate::error::Result;
use crate::image::Radiograph;
use crate::models::normalised::{convolution, depthwise};
use crate::nn::{Activation, Conv2d, Frozen, Graph, Precision, Weights};
use crate::preprocess::{Contrast, Preprocess};

/// Side of the films that the network sees, in pixels.
const SIDE: usize = 128;
/// Cells a side of what it says.
const CELLS: usize = 32;
/// Channels of its blocks, and how many there are: with 7×7 windows on cells the last of six sees all of the film.
const WIDTH: usize = 48;
const BLOCKS: usize = 6;

/// Share of the lungs that may lie outside of each edge of the crop before its margin: a stray cell must not move it.
const TAIL: f64 = 0.01;
/// Margin around the lungs, as a share of the film's side.
const MARGIN: f64 = 0.04;
/// Less lung than this share of the film cannot be trusted to be the lungs.
const LEAST: f64 = 0.08;

/// A network that finds the lungs of a frontal film.
pub struct LungFinder(Frozen);

/// How sure it is of lung in each of 32×32 cells of a film, row-major, in `[0, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LungMap(Vec<f32>);

/// A part of a film, as shares of its sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crop {
    /// Upper and lower edge.
    pub rows: [f64; 2],
    /// Left and right edge.
    pub columns: [f64; 2],
}

impl LungFinder {
    /// The network: two convolutions that bring the film to 32×32 cells, then depthwise 7×7 and pointwise ones around which
    /// the cells go unchanged, and one logit a cell.
    pub fn graph() -> Graph {
        let mut net = Graph::new([1, SIDE, SIDE]);
        let described = |net: &mut Graph| -> Result<()> {
            let names = |name: String| [name.clone(), name + ".bn"];
            let mut x = net.image();
            for (i, filters) in [WIDTH / 3, WIDTH].into_iter().enumerate() {
                x = convolution(net, &names(format!("stem.{i}")), x, [filters, 3, 2], Activation::Relu)?;
            }
            for block in 0..BLOCKS {
                let [wide, point] = ["wide", "point"].map(|part| names(format!("blocks.{block}.{part}")));
                let inner = depthwise(net, &wide, (x, WIDTH), [7, 1], Activation::Relu)?;
                let inner = convolution(net, &point, inner, [WIDTH, 1, 1], Activation::Linear)?;
                x = net.add(&format!("blocks.{block}"), [inner, x], Activation::Relu);
            }
            net.conv2d("lung", x, Conv2d { activation: Activation::Linear, ..Conv2d::valid(1, 1) })?;
            Ok(())
        };
        described(&mut net).expect("its layers fit each other");
        net
    }

    /// How a film is brought to what the network sees.
    fn preprocess() -> Preprocess {
        Preprocess { contrast: Contrast::Equalise, mean: 0.5, std: 0.29, ..Preprocess::new(1, SIDE, SIDE) }
    }

    /// The network with weights as [`fit`] gives them.
    ///
    /// # Errors
    /// Those of [`Frozen::new`].
    pub fn new(weights: Weights) -> Result<Self> {
        Frozen::new(&Self::graph(), weights, Precision::Float).map(Self)
    }

    /// Where the lungs of `film` are.
    ///
    /// # Errors
    /// Those of [`Preprocess::apply`].
    pub fn find(&self, film: &Radiograph) -> Result<LungMap> {
        let logits = self.0.logits(1, &Self::preprocess().apply(film)?);
        Ok(LungMap(logits.into_iter().map(sigmoid).collect()))
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

impl LungMap {
    /// Whether the place `(y, x)` of the film, both in `[0, 1]`, is lung: by bilinear interpolation between the middles of
    /// the cells.
    pub fn contains(&self, y: f64, x: f64) -> bool {
        let along = |v: f64| {
            let at = (v * CELLS as f64 - 0.5).clamp(0.0, (CELLS - 1) as f64);
            (at as usize, (at as usize + 1).min(CELLS - 1), at.fract())
        };
        let ((top, bottom, down), (left, right, across)) = (along(y), along(x));
        let row = |row: usize| {
            let [a, b] = [left, right].map(|column| f64::from(self.0[row * CELLS + column]));
            a + across * (b - a)
        };
        row(top) + down * (row(bottom) - row(top)) >= 0.5
    }

    /// Share of the film that is lung.
    pub fn area(&self) -> f64 {
        self.0.iter().filter(|sure| **sure >= 0.5).count() as f64 / self.0.len() as f64
    }

    /// The part of the film with the lungs, and a margin; `None` where too little of it is lung to trust that.
    pub fn crop(&self) -> Option<Crop> {
        let lung = |row: usize, column: usize| f64::from(u8::from(self.0[row * CELLS + column] >= 0.5));
        let sums = |of: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..CELLS).map(|i| (0..CELLS).map(|j| of(i, j)).sum()).collect()
        };
        let reach = |sums: Vec<f64>| {
            let all: f64 = sums.iter().sum();
            let mut below = sums.iter().scan(0.0, |below, sum| {
                *below += sum;
                Some(*below)
            });
            // The first cell with which the tail is passed, and the first with which all but the tail is there.
            let first = below.clone().position(|below| below > TAIL * all).unwrap_or(0);
            let last = below.position(|below| below >= (1.0 - TAIL) * all).unwrap_or(CELLS - 1);
            let share = |cell: usize| cell as f64 / CELLS as f64;
            [(share(first) - MARGIN).max(0.0), (share(last + 1) + MARGIN).min(1.0)]
        };
        (self.area() >= LEAST).then(|| Crop {
            rows: reach(sums(&|row, column| lung(row, column))),
            columns: reach(sums(&|column, row| lung(row, column))),
        })
    }

    /// The overlap of this with lungs that somebody drew, white where there is lung: `2·|A ∩ B| / (|A| + |B|)` in pixels of
    /// the drawing, 1 where both have none.
    ///
    /// # Source
    /// Dice, Measures of the Amount of Ecologic Association Between Species, Ecology 26 (1945).
    pub fn dice(&self, drawn: &Radiograph) -> f64 {
        let (height, width) = (drawn.height(), drawn.width());
        let middle = |i: usize, of: usize| (i as f64 + 0.5) / of as f64;
        let (mut both, mut sum) = (0_usize, 0_usize);
        for (i, value) in drawn.luma().iter().enumerate() {
            let is = [*value > 0.5, self.contains(middle(i / width, height), middle(i % width, width))];
            both += usize::from(is == [true; 2]);
            sum += is.into_iter().filter(|is| *is).count();
        }
        if sum == 0 { 1.0 } else { 2.0 * both as f64 / sum as f64 }
    }
}

impl Crop {
    /// That part of `film`, whole pixels of it.
    ///
    /// # Errors
    /// Those of [`Radiograph::new`], when not a pixel is left.
    pub fn of(&self, film: &Radiograph) -> Result<Radiograph> {
        let pixels = |[from, to]: [f64; 2], of: usize| {
            (from * of as f64).round() as usize..((to * of as f64).round() as usize).min(of)
        };
        let (rows, columns) = (pixels(self.rows, film.height()), pixels(self.columns, film.width()));
        let luma = rows.clone().flat_map(|row| &film.luma()[row * film.width()..][columns.clone()]).copied().collect();
        Radiograph::new(rows.len(), columns.len(), luma)
    }

    /// Share of the lungs of `drawn`, white where there is lung, that it keeps; `None` where there is none.
    pub fn keeps(&self, drawn: &Radiograph) -> Option<f64> {
        let sum = |film: &Radiograph| film.luma().iter().filter(|value| **value > 0.5).count() as f64;
        let kept = self.of(drawn).map_or(0.0, |kept| sum(&kept));
        (sum(drawn) > 0.0).then(|| kept / sum(drawn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lungs in the rows 8 to 23, columns 4 to 11 and 20 to 27 of 32.
    fn two_lungs() -> LungMap {
        let lung = |y: usize, x: usize| (8..24).contains(&y) && ((4..12).contains(&x) || (20..28).contains(&x));
        LungMap((0..CELLS * CELLS).map(|i| if lung(i / CELLS, i % CELLS) { 0.9 } else { 0.1 }).collect())
    }

    #[test]
    fn the_crop_is_around_both_lungs_and_no_stray_cell_moves_it() {
        let mut map = two_lungs();
        let near = |crop: Crop| {
            let edges = [crop.rows, crop.columns].concat();
            // 8/32, 24/32, 4/32 and 28/32, each with a margin of 4 %.
            let expected = [0.21, 0.79, 0.085, 0.915];
            edges.iter().zip(expected).all(|(edge, expected)| (edge - expected).abs() < 1e-9)
        };
        assert!(near(map.crop().unwrap()), "{:?}", map.crop());
        map.0[0] = 0.9;
        assert!(near(map.crop().unwrap()), "{:?}", map.crop());
        assert_eq!(LungMap(vec![0.1; CELLS * CELLS]).crop(), None);
        let whole = LungMap(vec![0.9; CELLS * CELLS]).crop().unwrap();
        assert_eq!((whole.rows, whole.columns), ([0.0, 1.0], [0.0, 1.0]));
    }

    #[test]
    fn overlap_and_what_a_crop_keeps_are_counted_in_the_drawing() {
        let map = two_lungs();
        let square = |inside: &dyn Fn(usize, usize) -> bool| {
            let luma = (0..320 * 320).map(|i| f32::from(u8::from(inside(i / 320, i % 320)))).collect();
            Radiograph::new(320, 320, luma).unwrap()
        };
        let same = square(&|y, x| (80..240).contains(&y) && ((40..120).contains(&x) || (200..280).contains(&x)));
        assert!(map.dice(&same) > 0.97, "{}", map.dice(&same));
        // One lung of two: 2·1 / (2 + 1).
        let one = square(&|y, x| (80..240).contains(&y) && (40..120).contains(&x));
        assert!((map.dice(&one) - 2.0 / 3.0).abs() < 0.02, "{}", map.dice(&one));
        assert_eq!(map.dice(&square(&|_, _| false)), 0.0);
        let crop = Crop { rows: [0.25, 0.5], columns: [0.0, 1.0] };
        assert_eq!((crop.keeps(&same), crop.keeps(&square(&|_, _| false))), (Some(0.5), None));
        let part = crop.of(&same).unwrap();
        assert_eq!((part.height(), part.width()), (80, 320));
    }
}
