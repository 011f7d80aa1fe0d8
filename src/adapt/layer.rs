//! The last layer, learned anew from where it is.

use rayon::prelude::*;
use serde::{Serialize, Serializer};

use super::folds::{fewest_groups, folds};
use super::{Seen, weight};
use crate::error::{Error, Result};
use crate::formats::Weight;
use crate::metrics::logistic::{Regression, standard};
use crate::metrics::softmax;
use crate::nn::Weights;

/// How firmly the last layer is held where it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ridge {
    /// It does not move at all.
    Unchanged,
    /// Its biases move, its weights do not.
    Biases,
    /// The factor of half the squared change of its weights, for features of deviation 1 and a mean loss.
    Weights(f64),
}

/// What is chosen from, the firmest first.
pub const RIDGES: [Ridge; 8] = [
    Ridge::Unchanged,
    Ridge::Biases,
    Ridge::Weights(10.0),
    Ridge::Weights(3.0),
    Ridge::Weights(1.0),
    Ridge::Weights(0.3),
    Ridge::Weights(0.1),
    Ridge::Weights(0.03),
];

/// Holds the biases: of 100 images it lets a bias change by one about as easily as it lets it stay.
const BIAS_RIDGE: f64 = 0.01;

/// Folds in which the ridge is chosen.
const FOLDS: usize = 5;

impl Serialize for Ridge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unchanged => "unchanged".serialize(serializer),
            Self::Biases => "biases".serialize(serializer),
            Self::Weights(ridge) => ridge.serialize(serializer),
        }
    }
}

/// A network's last layer: one row of weights a class, and a bias.
#[derive(Debug, Clone, PartialEq)]
pub struct LastLayer {
    names: [String; 2],
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl LastLayer {
    /// Finds it among `weights`.
    ///
    /// # Errors
    /// [`Error::TensorMissing`] when it is not a matrix and a bias.
    pub fn of(weights: &Weights, is_last: impl Fn(&str) -> bool) -> Result<Self> {
        let find = |ending: &str| {
            let found = weights.0.iter().find(|(name, _)| is_last(name) && name.ends_with(ending));
            let missing = || Error::TensorMissing { name: format!("the last layer's{ending}") };
            found.map(|(name, tensor)| (name.clone(), tensor.values.clone())).ok_or_else(missing)
        };
        let ((weight_name, weight), (bias_name, bias)) = (find(".weight")?, find(".bias")?);
        Ok(Self { names: [weight_name, bias_name], weight, bias })
    }

    fn columns(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// What it makes of an image's features.
    pub fn logits(&self, features: &[f32]) -> Vec<f64> {
        let row = |(row, bias): (&[f32], &f32)| {
            row.iter().zip(features).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() + f64::from(*bias)
        };
        self.weight.chunks_exact(self.columns()).zip(&self.bias).map(row).collect()
    }

    /// Its tensors.
    pub fn weights(&self) -> [Weight; 2] {
        let [name, bias] = &self.names;
        let classes = self.bias.len();
        [weight(name, &[classes, self.columns()], &self.weight), weight(bias, &[classes], &self.bias)]
    }

    /// The layer after `change`, found for features brought to `mean` 0 and deviation 1 and for logits divided by `temperature`.
    fn changed(&self, change: &[f64], [mean, scale]: &[Vec<f64>; 2], temperature: f64) -> Self {
        let mut new = self.clone();
        let columns = self.columns();
        for (class, change) in change.chunks_exact(columns + 1).enumerate() {
            let mut constant = change[columns];
            for (column, weight) in new.weight[class * columns..][..columns].iter_mut().enumerate() {
                let factor = change[column] * scale[column];
                *weight = (f64::from(*weight) + temperature * factor) as f32;
                constant -= factor * mean[column];
            }
            new.bias[class] = (f64::from(new.bias[class]) + temperature * constant) as f32;
        }
        new
    }
}

/// Labelled images as the layer learns from them.
pub(super) struct Rows {
    /// `[n, columns]`.
    pub features: Vec<f32>,
    /// `[n, classes]`: the shipped logits over the temperature.
    pub start: Vec<f64>,
    pub labels: Vec<usize>,
    pub groups: Vec<String>,
    pub classes: usize,
}

impl Rows {
    pub fn of(layer: &LastLayer, images: &[&Seen], temperature: f64) -> Self {
        let start = images.iter().flat_map(|seen| layer.logits(&seen.features)).map(|z| z / temperature);
        Self {
            features: images.iter().flat_map(|seen| seen.features.iter().copied()).collect(),
            start: start.collect(),
            labels: images.iter().filter_map(|seen| seen.class).collect(),
            groups: images.iter().map(|seen| seen.group.clone()).collect(),
            classes: layer.bias.len(),
        }
    }

    fn columns(&self) -> usize {
        self.features.len() / self.labels.len()
    }
}

/// What was learned.
pub(super) struct Learned {
    pub layer: LastLayer,
    pub ridge: Ridge,
    /// `[n, classes]`: for each image the logits, over the temperature, of the layer that its fold did not teach.
    pub logits: Vec<f32>,
}

/// The layer with the ridge of [`RIDGES`] that makes images likeliest that were not learned from.
///
/// Every class counts the same in all. The softmax goes over all of the model's classes: those without images stay as they
/// are, and learn only that they are not what is seen here.
pub(super) fn learn(layer: &LastLayer, rows: &Rows, temperature: f64, seed: u64) -> Learned {
    let count = FOLDS.min(fewest_groups(&rows.labels, &rows.groups));
    let fold_of = folds(&rows.labels, &rows.groups, count, seed);
    let in_fold = |fold: usize| -> Vec<Vec<f64>> {
        let (mut learned_from, mut held) = (Vec::new(), Vec::new());
        (0..rows.labels.len()).for_each(|i| if fold_of[i] == fold { held.push(i) } else { learned_from.push(i) });
        let part = Part::of(rows, &learned_from);
        let mut from = part.zeros();
        let logits = RIDGES.into_iter().map(|ridge| {
            from = part.solve(ridge, std::mem::take(&mut from));
            held.iter().flat_map(|&i| part.logits(rows, i, &from)).collect()
        });
        logits.collect()
    };
    let by_fold: Vec<Vec<Vec<f64>>> = (0..count).into_par_iter().map(in_fold).collect();
    // Back in the order of the images.
    let k = rows.classes;
    let logits = |ridge: usize| {
        let mut next = vec![0; count];
        let mut take = |fold: usize| {
            let first = next[fold];
            next[fold] += k;
            &by_fold[fold][ridge][first..first + k]
        };
        fold_of.iter().flat_map(|&fold| take(fold).to_vec()).collect::<Vec<f64>>()
    };
    let importance = importance(&rows.labels);
    let all: Vec<Vec<f64>> = (0..RIDGES.len()).map(logits).collect();
    let losses: Vec<f64> = all.iter().map(|logits| loss(logits, &rows.labels, k, &importance)).collect();
    // The first of equals, which is the firmest.
    let best = (1..losses.len()).fold(0, |best, i| if losses[i] < losses[best] { i } else { best });
    let whole = Part::of(rows, &(0..rows.labels.len()).collect::<Vec<_>>());
    let change = RIDGES[..=best].iter().fold(whole.zeros(), |from, &ridge| whole.solve(ridge, from));
    Learned {
        layer: layer.changed(&change, &whole.standard, temperature),
        ridge: RIDGES[best],
        logits: all[best].iter().map(|&z| z as f32).collect(),
    }
}

/// Mean cross-entropy, weighed.
fn loss(logits: &[f64], labels: &[usize], classes: usize, importance: &[f64]) -> f64 {
    let of = |((row, &label), counts): ((&[f64], &usize), &f64)| {
        -counts * softmax(row.to_vec())[label].max(f64::MIN_POSITIVE).ln()
    };
    logits.chunks_exact(classes).zip(labels).zip(importance).map(of).sum()
}

/// How much each image counts: every class that is there the same in all, 1 together.
fn importance(labels: &[usize]) -> Vec<f64> {
    let count = |class: usize| labels.iter().filter(|other| **other == class).count();
    let there: std::collections::BTreeSet<usize> = labels.iter().copied().collect();
    labels.iter().map(|&class| 1.0 / (there.len() * count(class)) as f64).collect()
}

/// Some of the images, standardised among themselves.
struct Part {
    standard: [Vec<f64>; 2],
    z: Vec<f64>,
    start: Vec<f64>,
    labels: Vec<usize>,
    importance: Vec<f64>,
    columns: usize,
    classes: usize,
}

impl Part {
    fn of(rows: &Rows, images: &[usize]) -> Self {
        let (columns, classes) = (rows.columns(), rows.classes);
        let features: Vec<f32> =
            images.iter().flat_map(|&i| rows.features[i * columns..][..columns].iter().copied()).collect();
        let standard = standard(&features, columns);
        let z = features.chunks_exact(columns).flat_map(|row| standardised(row, &standard)).collect();
        let start = images.iter().flat_map(|&i| rows.start[i * classes..][..classes].iter().copied()).collect();
        let labels: Vec<usize> = images.iter().map(|&i| rows.labels[i]).collect();
        Self { importance: importance(&labels), standard, z, start, labels, columns, classes }
    }

    fn zeros(&self) -> Vec<f64> {
        vec![0.0; self.classes * (self.columns + 1)]
    }

    /// The change that a ridge leaves, from the one that a firmer ridge left.
    fn solve(&self, ridge: Ridge, from: Vec<f64>) -> Vec<f64> {
        let regression = |columns: usize, rows, ridge| Regression {
            rows,
            columns,
            start: &self.start,
            classes: self.classes,
            labels: &self.labels,
            importance: &self.importance,
            ridge,
            bias_ridge: BIAS_RIDGE,
        };
        match ridge {
            Ridge::Unchanged => self.zeros(),
            Ridge::Biases => {
                let biases = regression(0, &[], 0.0).solve(vec![0.0; self.classes]);
                biases.into_iter().flat_map(|bias| std::iter::repeat_n(0.0, self.columns).chain([bias])).collect()
            }
            Ridge::Weights(ridge) => regression(self.columns, &self.z, ridge).solve(from),
        }
    }

    /// The logits of image `i` of `rows` after a change.
    fn logits(&self, rows: &Rows, i: usize, change: &[f64]) -> Vec<f64> {
        let before = &rows.start[i * self.classes..][..self.classes];
        let z: Vec<f64> = standardised(&rows.features[i * self.columns..][..self.columns], &self.standard).collect();
        let row = |change: &[f64]| z.iter().zip(change).map(|(z, w)| z * w).sum::<f64>() + change[self.columns];
        before.iter().zip(change.chunks_exact(self.columns + 1)).map(|(before, change)| before + row(change)).collect()
    }
}

/// Features brought to mean 0 and deviation 1.
fn standardised<'a>(row: &'a [f32], [mean, scale]: &'a [Vec<f64>; 2]) -> impl Iterator<Item = f64> + 'a {
    row.iter().zip(mean).zip(scale).map(|((x, mean), scale)| (f64::from(*x) - mean) * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes by the first of three features; the third class is one that nobody has.
    fn layer() -> LastLayer {
        LastLayer {
            names: ["last.weight".into(), "last.bias".into()],
            weight: vec![2.0, 0.0, 0.1, -2.0, 0.0, 0.1, 0.0, 0.5, 0.0],
            bias: vec![0.0, 0.5, -1.0],
        }
    }

    /// `n` images of each of two classes whose first feature lies on either side of `middle`.
    fn rows(n: usize, middle: f32, temperature: f64) -> Rows {
        let noise = |i: usize| ((i * 37) % 19) as f32 / 19.0 - 0.5;
        let image = |i: usize| Seen {
            name: i.to_string(),
            class: Some(i % 2),
            group: i.to_string(),
            features: vec![middle + [0.6, -0.6][i % 2] + noise(i), noise(3 * i + 1), noise(5 * i + 2)],
            look: crate::adapt::Look { rejected: false, distance: 0.0 },
        };
        let images: Vec<Seen> = (0..2 * n).map(image).collect();
        Rows::of(&layer(), &images.iter().collect::<Vec<_>>(), temperature)
    }

    fn right(layer: &LastLayer, rows: &Rows) -> usize {
        let called = |(features, label): (&[f32], &usize)| {
            let logits = layer.logits(features);
            usize::from((logits[0] > logits[1]) == (*label == 0))
        };
        rows.features.chunks_exact(3).zip(&rows.labels).map(called).sum()
    }

    /// The images of a place where everything is brighter: the shipped layer calls all of them by one name.
    #[test]
    fn a_shifted_place_is_learned_from_ten_images_a_class() {
        let images = rows(10, 2.0, 1.0);
        assert_eq!(right(&layer(), &images), 10);
        let learned = learn(&layer(), &images, 1.0, 3);
        assert_ne!(learned.ridge, Ridge::Unchanged);
        let others = rows(60, 2.0, 1.0);
        assert!(right(&learned.layer, &others) >= 110, "{} of 120", right(&learned.layer, &others));
        assert_eq!(learned.logits.len(), 3 * 20);
    }

    /// What is stored gives the logits that were judged: by the images themselves, at another temperature, in f32.
    #[test]
    fn the_changed_layer_has_the_logits_that_were_found() {
        let temperature = 1.7;
        let images = rows(12, 1.0, temperature);
        let whole = Part::of(&images, &(0..24).collect::<Vec<_>>());
        let change = whole.solve(Ridge::Weights(0.1), whole.zeros());
        let changed = layer().changed(&change, &whole.standard, temperature);
        for (i, features) in images.features.chunks_exact(3).enumerate() {
            let expected = whole.logits(&images, i, &change);
            for (found, expected) in changed.logits(features).iter().zip(expected) {
                assert!((found / temperature - expected).abs() < 1e-5, "{found} and {expected}");
            }
        }
    }

    #[test]
    fn where_nothing_is_better_the_layer_stays() {
        // Every image is there twice, of one patient and under both labels: nothing in it says which, and a layer that gives
        // every class the same says all there is.
        let mut images = rows(20, 0.0, 1.0);
        images.start.fill(0.0);
        images.labels = (0..40).map(|i| i % 2).collect();
        images.groups = (0..40).map(|i| format!("patient {}", i / 2)).collect();
        images.features = (0..120).map(|i| ((i / 6 * 31 + i % 3 * 17) % 29) as f32).collect();
        images.classes = 2;
        images.start.truncate(80);
        let even = LastLayer { weight: vec![0.0; 6], bias: vec![0.0; 2], ..layer() };
        let learned = learn(&even, &images, 1.0, 0);
        assert!(
            matches!(learned.ridge, Ridge::Unchanged | Ridge::Biases | Ridge::Weights(10.0)),
            "{:?}",
            learned.ridge
        );
    }
}
