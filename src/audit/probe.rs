//! How much of the source, the hospital, is in numbers that should be about the disease.

use super::{Known, balanced_accuracy, units};
use crate::error::{Error, Result};
use crate::formats::about::Probe;
use crate::metrics::logistic::{Regression, standard};
use crate::metrics::{auroc, auroc_interval};

/// Fewer films of a kind than this say nothing.
pub const FEWEST: usize = 10;

/// What scikit-learn does where nothing is said.
const RIDGE: f64 = 1.0;

/// Logistic regression on standardised columns, the squares of its weights kept small.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    mean: Vec<f64>,
    scale: Vec<f64>,
    /// One for each column, then the constant.
    weights: Vec<f64>,
}

impl Logistic {
    /// The weights that minimise `Σ log(1 + exp(−±(w·x + c))) + ridge |w|²/2`, `x` with mean 0 and deviation 1 in each column.
    ///
    /// scikit-learn's `LogisticRegression(C=1/ridge)` after its `StandardScaler`.
    ///
    /// # Shapes
    /// - `rows`: `[n, columns]` row-major, finite; `positives`: `[n]`, some of each kind; `ridge` above 0
    ///
    /// # Errors
    /// [`Error::Dataset`] when a number is not finite.
    pub fn fit(rows: &[f32], positives: &[bool], ridge: f64) -> Result<Self> {
        let n = positives.len();
        assert!(n > 0 && rows.len().is_multiple_of(n));
        let columns = rows.len() / n;
        let [mean, scale] = standard(rows, columns);
        let mut model = Self { mean, scale, weights: vec![0.0; columns + 1] };
        let x: Vec<f64> = rows.chunks_exact(columns).flat_map(|row| model.row(row).take(columns)).collect();
        if x.iter().any(|value| !value.is_finite()) {
            let reason = "a regression cannot be fitted to the features; are they finite?".into();
            return Err(Error::Dataset { reason });
        }
        // Of two classes each gets half of the weights, in opposite directions, and so half of their squares together.
        let ridge = 2.0 * ridge / n as f64;
        let labels: Vec<usize> = positives.iter().map(|&positive| usize::from(positive)).collect();
        let regression = Regression {
            rows: &x,
            columns,
            start: &vec![0.0; 2 * n],
            classes: 2,
            labels: &labels,
            importance: &vec![1.0 / n as f64; n],
            ridge,
            // Keeps the constant's own from vanishing where every film is told apart with certainty.
            bias_ridge: 1e-9 / n as f64,
        };
        let solved = regression.solve(vec![0.0; 2 * (columns + 1)]);
        let (negative, positive) = solved.split_at(columns + 1);
        model.weights = positive.iter().zip(negative).map(|(positive, negative)| positive - negative).collect();
        Ok(model)
    }

    /// How much more likely each row is positive than not, in logarithms: positive above 0.
    pub fn logits(&self, rows: &[f32]) -> Vec<f32> {
        rows.chunks_exact(self.mean.len())
            .map(|row| self.row(row).zip(self.weights.iter()).map(|(x, w)| x * w).sum::<f64>() as f32)
            .collect()
    }

    /// A factor for each column as it comes, and a constant: the logits are their sum.
    pub fn coefficients(&self) -> (Vec<f64>, f64) {
        let columns = self.mean.len();
        let factors: Vec<f64> = self.weights.iter().zip(&self.scale).map(|(w, s)| w * s).collect();
        let at_mean: f64 = factors.iter().zip(&self.mean).map(|(factor, mean)| factor * mean).sum();
        (factors, self.weights[columns] - at_mean)
    }

    fn row<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let standardised = row.iter().zip(&self.mean).zip(&self.scale).map(|((v, m), s)| (f64::from(*v) - m) * s);
        standardised.chain([1.0])
    }
}

/// Films with what was read from each of them.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// What is known of them.
    pub films: Known<'a>,
    /// The network's features, `[n, f]`.
    pub features: &'a [f32],
    /// Their 8×8 pixels, `[n, 64]`.
    pub pixels: &'a [f32],
}

/// Each two sources of each class that have enough films, told apart by what was fitted on `fit` and measured on `test`.
///
/// # Errors
/// Those of [`Logistic::fit`].
pub fn probes(fit: Rows<'_>, test: Rows<'_>) -> Result<Vec<Probe>> {
    let (Some(fit_sources), Some(test_sources)) = (fit.films.sources, test.films.sources) else {
        return Ok(Vec::new());
    };
    let mut names: Vec<&String> = test_sources.iter().collect();
    names.sort();
    names.dedup();
    let test_groups = units(test.films.groups, test.films.labels.len());
    let mut found = Vec::new();
    for (class, name) in test.films.classes.iter().enumerate() {
        for (a, b) in (0..names.len()).flat_map(|a| (a + 1..names.len()).map(move |b| (a, b))) {
            let pick = |sources: &[String], labels: &[usize]| -> Vec<usize> {
                let of_pair = |i: &usize| labels[*i] == class && [names[a], names[b]].contains(&&sources[*i]);
                (0..labels.len()).filter(of_pair).collect()
            };
            let sides = |films: &[usize], sources: &[String]| -> Vec<bool> {
                films.iter().map(|&i| sources[i] == *names[a]).collect()
            };
            let enough = |sides: &[bool]| {
                let of_a = sides.iter().filter(|&&side| side).count();
                of_a.min(sides.len() - of_a) >= FEWEST
            };
            let (fit_films, test_films) = (pick(fit_sources, fit.films.labels), pick(test_sources, test.films.labels));
            let (fit_sides, test_sides) = (sides(&fit_films, fit_sources), sides(&test_films, test_sources));
            if !enough(&fit_sides) || !enough(&test_sides) {
                continue;
            }
            let logits = |fit_rows: &[f32], test_rows: &[f32]| -> Result<Vec<f32>> {
                let of = |rows: &[f32], all: usize, films: &[usize]| -> Vec<f32> {
                    let width = rows.len() / all;
                    films.iter().flat_map(|&i| rows[i * width..(i + 1) * width].to_vec()).collect()
                };
                let fitted = Logistic::fit(&of(fit_rows, fit.films.labels.len(), &fit_films), &fit_sides, RIDGE)?;
                Ok(fitted.logits(&of(test_rows, test.films.labels.len(), &test_films)))
            };
            let from_features = logits(fit.features, test.features)?;
            let from_pixels = logits(fit.pixels, test.pixels)?;
            let correct: Vec<bool> =
                from_features.iter().zip(&test_sides).map(|(z, side)| (*z > 0.0) == *side).collect();
            let of_side: Vec<usize> = test_sides.iter().map(|&side| usize::from(side)).collect();
            let groups: Vec<String> = test_films.iter().map(|&i| test_groups[i].clone()).collect();
            found.push(Probe {
                class: name.clone(),
                sources: [names[a], names[b]].map(String::clone),
                fitted_on: fit_films.len(),
                films: test_films.len(),
                auroc: auroc(&from_features, &test_sides).expect("films of both"),
                auroc_interval: auroc_interval(&from_features, &test_sides, &groups),
                balanced_accuracy: balanced_accuracy(&correct, &of_side, 2, &vec![1; correct.len()]).expect("films"),
                auroc_of_pixels: auroc(&from_pixels, &test_sides).expect("films of both"),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> (Vec<f32>, Vec<bool>) {
        let value = |i: usize, j: usize| {
            ((i * 37 + j * 11) % 23) as f64 / 23.0 + if j == 1 { 0.3 * ((i * 7) % 5) as f64 } else { 0.0 }
        };
        let rows = (0..60).flat_map(|i| (0..3).map(move |j| value(i, j) as f32)).collect();
        (rows, (0..60).map(|i| (i * 13 + (i * 37) % 23) % 29 > 14).collect())
    }

    /// scikit-learn 1.9.1, `LogisticRegression(C=1/ridge, solver="newton-cholesky", tol=1e-12)` on `StandardScaler`'s
    /// columns: `decision_function` of the first six rows; its coefficients over the scales, and what is left at 0.
    #[test]
    fn logits_and_coefficients_are_scikit_learns() {
        let (rows, positives) = rows();
        for (ridge, logits, factors, constant) in [
            (
                1.0,
                [-0.463999326, 0.008231512, -0.339424314, 0.017630167, -0.330025658, 0.102361559],
                [0.507869446, -0.312017214, -0.583202178],
                0.243071867,
            ),
            (
                10.0,
                [-0.19836544, -0.058229004, -0.257269581, -0.053941241, -0.252981817, -0.000789834],
                [0.158683988, -0.180493023, -0.20754763],
                0.086481134,
            ),
        ] {
            let model = Logistic::fit(&rows, &positives, ridge).unwrap();
            for (found, expected) in model.logits(&rows).iter().zip(logits) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{found}, not {expected}");
            }
            let (found, left) = model.coefficients();
            for (found, expected) in found.iter().chain([&left]).zip(factors.into_iter().chain([constant])) {
                assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
            }
        }
    }

    #[test]
    fn a_column_that_tells_the_sides_apart_has_finite_weights_and_a_constant_one_none() {
        let rows: Vec<f32> = (0..40).flat_map(|i| [if i < 20 { 0.0 } else { 1.0 }, 7.0]).collect();
        let sides: Vec<bool> = (0..40).map(|i| i >= 20).collect();
        let model = Logistic::fit(&rows, &sides, RIDGE).unwrap();
        let logits = model.logits(&rows);
        assert!(logits.iter().zip(&sides).all(|(z, side)| (*z > 0.0) == *side && z.abs() < 10.0));
        // A mean of 7 is rounded, and what is left of the column with it.
        assert!(model.weights[1].abs() < 1e-12, "{}", model.weights[1]);
    }

    /// Features of which the first says the source, pixels that say nothing; only class 0 has two sources.
    #[test]
    fn the_source_is_read_where_a_class_has_two() {
        let classes = ["a".to_owned(), "b".to_owned()];
        let n = 120;
        let labels: Vec<usize> = (0..n).map(|i| usize::from(i % 3 == 0)).collect();
        let sources: Vec<String> = (0..n).map(|i| if i % 3 == 1 { "x" } else { "y" }.to_owned()).collect();
        let features: Vec<f32> = (0..n).flat_map(|i| [if i % 3 == 1 { 1.0 } else { 0.0 }, (i % 7) as f32]).collect();
        let pixels = vec![0.5; 64 * n];
        let films = Known { classes: &classes, labels: &labels, sources: Some(&sources), groups: None };
        let rows = Rows { films, features: &features, pixels: &pixels };
        let found = probes(rows, rows).unwrap();
        let [probe] = &found[..] else { panic!("{found:?}") };
        assert_eq!((probe.class.as_str(), probe.sources.each_ref().map(String::as_str)), ("a", ["x", "y"]));
        assert_eq!((probe.films, probe.auroc, probe.balanced_accuracy, probe.auroc_of_pixels), (80, 1.0, 1.0, 0.5));
        let unknown = Rows { films: Known { sources: None, ..films }, ..rows };
        assert_eq!(probes(unknown, rows).unwrap(), []);
    }
}
