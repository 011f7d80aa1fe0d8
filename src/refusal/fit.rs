//! Fitting a gate to a network: logistic regression for the head, one Gaussian for the distance, and both limits from films
//! that neither has seen.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, SymmetricEigen};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::gate::UNKNOWN_KIND;
use super::{Gate, GateInfo, KINDS, Kind};
use crate::error::{Error, Result};
use crate::metrics::softmax;

/// Features of pictures with what each of them is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Examples {
    /// `[n, features]` row-major.
    pub features: Vec<f32>,
    /// `[n]`
    pub kinds: Vec<Kind>,
}

/// How a gate is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct FitConfig {
    /// Directions in which the films' variance is told apart.
    pub directions: usize,
    /// Passes of the logistic regression over the examples.
    pub passes: usize,
    /// Decides the order of the examples.
    pub seed: u64,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self { directions: 32, passes: 30, seed: 0 }
    }
}

/// Films below which a quantile of a hundredth means nothing.
const FEWEST_FILMS: usize = 100;

/// A gate for `features` numbers a picture; [`limits`] finds the limits that it needs.
///
/// # Errors
/// [`Error::Dataset`] for fewer than 100 films, or without an example of anything but films.
pub fn fit(features: usize, examples: &Examples, config: &FitConfig) -> Result<Gate> {
    let films: Vec<&[f32]> =
        rows(features, examples).filter(|(_, kind)| *kind == Kind::Film).map(|(row, _)| row).collect();
    enough("training", films.len())?;
    if films.len() == examples.kinds.len() {
        return Err(Error::Dataset { reason: "a gate needs pictures that are no films, made ones at least".into() });
    }
    let (mean, scale) = standard(features, &films);
    let empty = Vec::new;
    let blank = Gate { mean, scale, weight: empty(), bias: empty(), directions: empty(), variances: empty() };
    let z: Vec<f32> = examples.features.chunks_exact(features).flat_map(|row| blank.standardised(row)).collect();
    let (weight, bias) = head(features, &z, &examples.kinds, config);
    let film_z = z.chunks_exact(features).zip(&examples.kinds).filter(|(_, kind)| **kind == Kind::Film).map(|(z, _)| z);
    let (directions, variances) = directions(features, config.directions, film_z);
    Ok(Gate { weight, bias, directions, variances, ..blank })
}

/// The limits with which `gate` refuses a share of `refused` of validation films, `[n, features]`, for what they are, and as
/// many again for their distance, which may be the same ones.
///
/// # Errors
/// [`Error::Dataset`] for fewer than 100 films.
pub fn limits(gate: &Gate, validation: &[f32], refused: f64) -> Result<GateInfo> {
    let features = gate.mean.len();
    enough("validation", validation.len() / features)?;
    let looks: Vec<Vec<f32>> = validation.chunks_exact(features).map(|row| gate.standardised(row)).collect();
    let mut probabilities: Vec<f32> = looks.iter().map(|z| gate.kinds(z)[Kind::Film.index()]).collect();
    let mut distances: Vec<f32> = looks.iter().map(|z| gate.distance(z)).collect();
    probabilities.sort_by(f32::total_cmp);
    distances.sort_by(|a, b| b.total_cmp(a));
    // The most extreme films that may be refused are; the next one is the limit, and passes.
    let at = ((refused * looks.len() as f64) as usize).min(looks.len() - 1);
    Ok(GateInfo {
        minimum_probability: probabilities[at],
        maximum_distance: distances[at],
        features,
        fitted: None,
        measured: BTreeMap::new(),
    })
}

fn enough(what: &str, count: usize) -> Result<()> {
    if count < FEWEST_FILMS {
        let reason = format!("a gate needs {FEWEST_FILMS} {what} films or more, and there are {count}");
        return Err(Error::Dataset { reason });
    }
    Ok(())
}

fn rows(features: usize, examples: &Examples) -> impl Iterator<Item = (&[f32], Kind)> {
    assert_eq!(examples.features.len(), features * examples.kinds.len());
    examples.features.chunks_exact(features).zip(examples.kinds.iter().copied())
}

/// Mean and one over the deviation of each feature; a feature that never changes is left out by a scale of 0.
fn standard(features: usize, films: &[&[f32]]) -> (Vec<f32>, Vec<f32>) {
    let n = films.len() as f64;
    let (mut sums, mut squares) = (vec![0.0_f64; features], vec![0.0_f64; features]);
    for film in films {
        for ((sum, square), v) in sums.iter_mut().zip(&mut squares).zip(film.iter().copied().map(f64::from)) {
            *sum += v;
            *square += v * v;
        }
    }
    let moments =
        sums.iter().zip(&squares).map(|(sum, square)| (sum / n, (square / n - (sum / n).powi(2)).max(0.0).sqrt()));
    moments.map(|(mean, deviation)| (mean as f32, if deviation > 1e-6 { 1.0 / deviation as f32 } else { 0.0 })).unzip()
}

/// Examples in one step of the regression.
const BATCH: usize = 64;
/// Adam (Kingma and Ba, arXiv:1412.6980) with its usual decay rates; the learning rate falls to 0 along half a cosine.
const LEARNING_RATE: f64 = 0.003;
const DECAY: [f64; 2] = [0.9, 0.999];
/// Penalty on half the squared weights, in the loss that is a mean over examples.
const PENALTY: f64 = 0.003;

/// Multinomial logistic regression: weight `[kinds, features]` and bias `[kinds]`. Every kind counts the same in all, however
/// many examples it has.
fn head(features: usize, z: &[f32], kinds: &[Kind], config: &FitConfig) -> (Vec<f32>, Vec<f32>) {
    let width = features + 1;
    let mut parameters = vec![0.0_f64; KINDS.len() * width];
    let mut moments = vec![[0.0_f64; 2]; parameters.len()];
    let count = |kind: Kind| kinds.iter().filter(|other| **other == kind).count();
    let present = KINDS.iter().filter(|kind| count(**kind) > 0).count();
    let importance = KINDS.map(|kind| kinds.len() as f64 / (present * count(kind).max(1)) as f64);

    let mut order: Vec<usize> = (0..kinds.len()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let steps = config.passes * order.len().div_ceil(BATCH);
    let mut step = 0;
    let mut gradient = vec![0.0_f64; parameters.len()];
    for _ in 0..config.passes {
        order.shuffle(&mut rng);
        for batch in order.chunks(BATCH) {
            gradient.copy_from_slice(&parameters);
            gradient.iter_mut().for_each(|g| *g *= PENALTY);
            for &i in batch {
                let x = &z[i * features..][..features];
                let truth = kinds[i];
                let share = importance[truth.index()] / batch.len() as f64;
                for (kind, slope) in slopes(&parameters, x, truth).into_iter().enumerate() {
                    let row = &mut gradient[kind * width..][..width];
                    for (g, x) in row.iter_mut().zip(x) {
                        *g += share * slope * f64::from(*x);
                    }
                    row[features] += share * slope;
                }
            }
            step += 1;
            let rate = LEARNING_RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
            adam(&mut parameters, &mut moments, &gradient, rate, step);
        }
    }
    let row = |kind: usize| &parameters[kind * width..][..width];
    let weight = (0..KINDS.len()).flat_map(|kind| row(kind)[..features].iter().map(|w| *w as f32)).collect();
    // A kind without an example would otherwise be as likely as any for a picture that is like nothing known.
    let bias = |kind: usize| if count(KINDS[kind]) > 0 { row(kind)[features] as f32 } else { UNKNOWN_KIND };
    (weight, (0..KINDS.len()).map(bias).collect())
}

/// Slope of the loss for each kind's logit: its probability, less 1 for the truth.
fn slopes(parameters: &[f64], x: &[f32], truth: Kind) -> Vec<f64> {
    let rows = parameters.chunks_exact(x.len() + 1);
    let logit = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * f64::from(*x)).sum::<f64>() + row[x.len()];
    let mut slopes = softmax(rows.map(logit).collect());
    slopes[truth.index()] -= 1.0;
    slopes
}

fn adam(parameters: &mut [f64], moments: &mut [[f64; 2]], gradient: &[f64], rate: f64, step: usize) {
    let [first, second] = DECAY.map(|decay| 1.0 - decay.powi(step as i32));
    for ((parameter, [m, v]), g) in parameters.iter_mut().zip(moments).zip(gradient) {
        *m = DECAY[0] * *m + (1.0 - DECAY[0]) * g;
        *v = DECAY[1] * *v + (1.0 - DECAY[1]) * g * g;
        *parameter -= rate * (*m / first) / ((*v / second).sqrt() + 1e-8);
    }
}

/// The `count` directions in which the films vary most, `[count, features]`, and the variance along each, then the mean one
/// along all others.
fn directions<'a>(features: usize, count: usize, films: impl Iterator<Item = &'a [f32]>) -> (Vec<f32>, Vec<f32>) {
    let films: Vec<f64> = films.flatten().copied().map(f64::from).collect();
    let n = films.len() / features;
    // Of mean 0 by construction, but for what was cut.
    let films = DMatrix::from_vec(features, n, films);
    let eigen = SymmetricEigen::new(&films * films.transpose() / n as f64);
    let mut order: Vec<usize> = (0..features).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let (first, others) = order.split_at(count.min(features - 1));
    // Rounding leaves variances that are really 0 on either side of it.
    let variance = |i: &usize| (eigen.eigenvalues[*i] as f32).max(SMALLEST_VARIANCE);
    let rest = others.iter().map(variance).sum::<f32>() / others.len() as f32;
    let along = first.iter().flat_map(|&i| eigen.eigenvectors.column(i).iter().map(|x| *x as f32).collect::<Vec<_>>());
    (along.collect(), first.iter().map(variance).chain([rest]).collect())
}

/// Of features whose deviation is 1: what no film varies along still cannot decide alone.
const SMALLEST_VARIANCE: f32 = 1e-3;

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    /// Films at (0, 0) with deviations 1 and ½, inverted ones at (−6, 0), anything else at (6, 0).
    fn examples(n: usize, seed: u64) -> Examples {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Sum of twelve: a normal deviate but for its far tails.
        let mut normal = || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
        let mut examples = Examples::default();
        for (kind, centre) in [(Kind::Film, 0.0), (Kind::Inverted, -6.0), (Kind::Other, 6.0)] {
            for _ in 0..n {
                examples.features.extend([centre + normal(), 0.5 * normal()]);
                examples.kinds.push(kind);
            }
        }
        examples
    }

    #[test]
    fn a_fitted_gate_refuses_what_it_was_shown_what_it_was_not_and_as_many_films_as_it_may() {
        let validation = &examples(1000, 2).features[..2000];
        let gate = fit(2, &examples(1000, 1), &FitConfig::default()).unwrap();
        let info = limits(&gate, validation, 0.01).unwrap();
        let reason = |x: f32, y: f32| gate.refuse(&[x, y], &info).map(|refusal| refusal.reason);
        use super::super::Reason;
        assert_eq!(reason(0.0, 0.0), None);
        assert_eq!(reason(-6.0, 0.0), Some(Reason::Inverted));
        assert_eq!(reason(6.0, 0.0), Some(Reason::NotAChestFilm));
        // 10 deviations away along the axis that no example lies on.
        assert_eq!(reason(0.0, 5.0), Some(Reason::Unfamiliar));
        let refused = validation.chunks(2).filter(|film| gate.refuse(film, &info).is_some()).count();
        assert!((10..=20).contains(&refused), "{refused} of 1000, two times one in a hundred at most");
        // 1 on average, with a deviation of 0.032 for each of both sets of films: half the sum of two variances, each of
        // which is known to √(2 / 1000). Four and a half of them.
        let distances = validation.chunks(2).map(|film| gate.distance(&gate.standardised(film)).powi(2));
        let mean = distances.sum::<f32>() / 1000.0;
        assert!((mean - 1.0).abs() < 0.2, "{mean}");
    }

    #[test]
    fn the_same_examples_and_seed_give_the_same_gate() {
        let fit = |seed| {
            let config = FitConfig { seed, ..FitConfig::default() };
            fit(2, &examples(150, 1), &config).unwrap()
        };
        assert_eq!(fit(3), fit(3));
        assert_ne!(fit(3).weight, fit(4).weight);
    }

    #[test]
    fn too_few_films_are_an_error_that_counts_them() {
        let few = fit(2, &examples(99, 1), &FitConfig::default()).unwrap_err();
        assert!(few.to_string().contains("100 training films or more, and there are 99"), "{few}");
        let gate = fit(2, &examples(100, 1), &FitConfig::default()).unwrap();
        let few = limits(&gate, &examples(99, 1).features[..198], 0.01).unwrap_err();
        assert!(few.to_string().contains("100 validation films or more, and there are 99"), "{few}");
        let films = Examples { features: vec![0.5; 400], kinds: vec![Kind::Film; 200] };
        assert_eq!(fit(2, &films, &FitConfig::default()).unwrap_err().kind(), "dataset");
    }
}
