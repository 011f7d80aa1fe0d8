//! Contrast correction: what undoes the taste of whoever exported the film.

use serde::{Deserialize, Serialize};

/// What is done to the grey values of a resized film.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contrast {
    /// Nothing: the values stay as they are.
    #[default]
    None,
    /// Global histogram equalisation: each value becomes the share of pixels darker than it.
    Equalise,
}

impl Contrast {
    /// Corrects `grey`, values in `[0, 1]`, in place; the result is in `[0, 1]`.
    pub fn apply(self, grey: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Equalise => equalise(grey),
        }
    }
}

/// Histogram equalisation on 256 levels with mid-rank values: `(cdf[v] − hist[v] / 2) / n`.
///
/// The mid-rank keeps the mean at ½ for every film, and a film of one value maps to ½ rather than to an end.
fn equalise(grey: &mut [f32]) {
    let level = |v: f32| (v * 255.0).round() as usize & 0xff;
    let mut histogram = [0u32; 256];
    for &v in grey.iter() {
        histogram[level(v)] += 1;
    }
    let n = grey.len() as f32;
    let mut below = 0;
    let map = histogram.map(|count| {
        let rank = below as f32 + count as f32 / 2.0;
        below += count;
        rank / n
    });
    for v in grey {
        *v = map[level(*v)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equalisation_gives_each_value_its_mid_rank() {
        // By hand: levels 10 (twice), 20 (once), 200 (five times) of 8 pixels.
        let mut grey = [10, 200, 200, 20, 10, 200, 200, 200].map(|v| v as f32 / 255.0);
        Contrast::Equalise.apply(&mut grey);
        let (low, mid, high) = (1.0 / 8.0, 2.5 / 8.0, 5.5 / 8.0);
        assert_eq!(grey, [low, high, high, mid, low, high, high, high]);
        assert_eq!(grey.iter().sum::<f32>() / 8.0, 0.5);
    }

    #[test]
    fn equalisation_undoes_any_monotone_change_of_the_grey_values() {
        let film: Vec<f32> = (0..4096).map(|i| ((i * 37 % 101) as f32 + 20.0) / 255.0).collect();
        let mut plain = film.clone();
        let mut darker: Vec<f32> = film.iter().map(|v| v * 2.0).collect();
        Contrast::Equalise.apply(&mut plain);
        Contrast::Equalise.apply(&mut darker);
        assert_eq!(plain, darker);
    }

    #[test]
    fn film_of_one_value_becomes_middle_grey() {
        let mut grey = [0.9; 50];
        Contrast::Equalise.apply(&mut grey);
        assert_eq!(grey, [0.5; 50]);
    }
}
