//! How much of what a model looks at is lung.

use super::{FEWEST, Known, units};
use crate::explain::{HeatMap, energy_inside};
use crate::formats::about::HeatInside;
use crate::metrics::bootstrap;
use crate::metrics::intervals::BOOTSTRAP_SEED;

/// What the shares cannot say, for whoever reads them.
pub const CAVEAT: &str = "A map shows where a class was raised, coarsely and not by what: no share inside the lungs can show \
    that the lungs were what decided.";

/// The heat map of one film held against its lungs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Looked {
    /// The class that the model names, whose map it is.
    pub class: usize,
    /// Share of the map's energy inside the lungs.
    pub inside: f64,
    /// Share of the film's area that is lung.
    pub area: f64,
}

impl Looked {
    /// The map of `class` held against `lungs`, which are `[height, width]` as the map; `None` for a map of zeros.
    pub fn of(map: &HeatMap, class: usize, lungs: &[f32]) -> Option<Self> {
        let area = lungs.iter().map(|v| f64::from(*v)).sum::<f64>() / lungs.len() as f64;
        energy_inside(map, lungs).map(|inside| Self { class, inside, area })
    }
}

/// The mean share of each class that was named, then that of all; classes without a map are left out.
///
/// # Shapes
/// - `looked`: `[n]`, the films of `films`; `None` where there is nothing to measure
pub fn heat_inside(looked: &[Option<Looked>], drawn: bool, films: Known<'_>) -> Vec<HeatInside> {
    assert_eq!(looked.len(), films.labels.len());
    let groups = units(films.groups, looked.len());
    let of = |class: Option<usize>| -> Option<HeatInside> {
        let wanted = |looked: &Looked| class.is_none_or(|class| looked.class == class);
        let (maps, groups): (Vec<Looked>, Vec<String>) = looked
            .iter()
            .zip(&groups)
            .filter_map(|(looked, group)| looked.filter(wanted).map(|looked| (looked, group.clone())))
            .unzip();
        let mean = |drawn: &[u32]| {
            let sum: f64 = maps.iter().zip(drawn).map(|(map, times)| f64::from(*times) * map.inside).sum();
            Some(sum / f64::from(drawn.iter().sum::<u32>()))
        };
        let share = mean(&vec![1; maps.len()]).filter(|_| !maps.is_empty())?;
        let interval = if maps.len() < FEWEST { None } else { bootstrap(&groups, BOOTSTRAP_SEED, mean) };
        let area = maps.iter().map(|map| map.area).sum::<f64>() / maps.len() as f64;
        let class = class.map(|class| films.classes[class].clone());
        Some(HeatInside { class, drawn, films: maps.len(), share, share_interval: interval, area })
    };
    (0..films.classes.len()).map(Some).chain([None]).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_averaged_over_the_class_that_was_named_and_over_all() {
        let classes = ["a", "b", "c"].map(String::from);
        // A film without a map; what the films are has no say.
        let looked: Vec<Option<Looked>> = [(0, 0.5), (0, 1.0), (1, 0.25), (1, 0.25)]
            .map(|(class, inside)| Some(Looked { class, inside, area: 0.25 * (1 + class) as f64 }))
            .into_iter()
            .chain([None])
            .collect();
        let films = Known { classes: &classes, labels: &[2; 5], sources: None, groups: None };
        let found = heat_inside(&looked, true, films);
        let found: Vec<_> = found.iter().map(|one| (one.class.as_deref(), one.films, one.share, one.area)).collect();
        // By hand: (0.5 + 1) / 2; 0.25; (0.5 + 1 + 0.25 + 0.25) / 4; nothing was called c.
        assert_eq!(found, [(Some("a"), 2, 0.75, 0.25), (Some("b"), 2, 0.25, 0.5), (None, 4, 0.5, 0.375)]);
        assert_eq!(heat_inside(&[None; 5], true, films), []);
    }

    /// Films half of which have a share of 0 and half of 1: the mean is binomial, its standard deviation 1/√(4n), and four
    /// equal films a patient make the interval √4 as wide.
    #[test]
    fn the_interval_draws_patients() {
        let n = 400;
        let classes = ["a".to_owned()];
        let looked: Vec<_> = (0..n).map(|i| Some(Looked { class: 0, inside: (i / 4 % 2) as f64, area: 0.5 })).collect();
        let groups: Vec<String> = (0..n).map(|i| format!("{}", i / 4)).collect();
        let labels = vec![0; n];
        let width = |groups| {
            let films = Known { classes: &classes, labels: &labels, sources: None, groups };
            let [low, high] = heat_inside(&looked, false, films)[0].share_interval.unwrap();
            assert!(low < 0.5 && 0.5 < high);
            high - low
        };
        let (films, patients) = (width(None), width(Some(&groups[..])));
        assert!((films - 2.0 * 1.96 / (4.0 * n as f64).sqrt()).abs() < 0.012, "{films}");
        assert!((patients / films - 2.0).abs() < 0.25, "{patients}, {films}");
        let few = Known { classes: &classes, labels: &labels[..FEWEST - 1], sources: None, groups: None };
        assert_eq!(heat_inside(&looked[..FEWEST - 1], false, few)[0].share_interval, None);
    }
}
