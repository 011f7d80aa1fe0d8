//! Trains the network that finds the lungs, from films on which people drew them.

use candle_core::{Device, Tensor};
use candle_nn::ModuleT;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{CELLS, LungFinder, SIDE};
use crate::error::{Error, Result};
use crate::image::Radiograph;
use crate::nn::{Learner, Training, Weights, sure};
use crate::preprocess::{Augment, stretched};
use crate::train::{Descent, DescentConfig, OptimizerConfig, Schedule, binary_cross_entropy};

/// A film and its lungs, white where there is lung.
pub struct Drawn {
    /// Prepared but for what [`Preprocess::finish`](crate::preprocess::Preprocess::finish) does, `[128, 128]`.
    film: Vec<f32>,
    /// The share of each pixel that is lung, `[128, 128]`.
    lungs: Vec<f32>,
}

impl Drawn {
    /// The pair as the network learns from it.
    ///
    /// # Errors
    /// Those of [`Preprocess::prepare`](crate::preprocess::Preprocess::prepare).
    pub fn new(film: &Radiograph, lungs: &Radiograph) -> Result<Self> {
        Ok(Self { film: LungFinder::preprocess().prepare(film)?, lungs: stretched(lungs, SIDE, SIDE) })
    }
}

/// How the network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct FitConfig {
    /// Passes over the films.
    pub epochs: usize,
    /// Films in a step.
    pub batch_size: usize,
    /// Adam's, before a cosine schedule.
    pub learning_rate: f32,
    /// Decides weights, order and changes.
    pub seed: u64,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self { epochs: 20, batch_size: 16, learning_rate: 2e-3, seed: 0 }
    }
}

/// Decoupled weight decay.
const WEIGHT_DECAY: f32 = 0.01;

/// Trains on `films`, each turned, sized and exposed anew whenever it comes. `told` hears the mean loss of each epoch, a
/// binary cross-entropy a cell.
///
/// # Errors
/// [`Error::Dataset`] for fewer films than one batch has, [`Error::Diverged`].
pub fn fit(films: &[Drawn], config: &FitConfig, mut told: impl FnMut(usize, f32)) -> Result<Weights> {
    let steps = films.len() / config.batch_size.max(1);
    if steps == 0 || config.batch_size == 0 {
        let reason =
            format!("{} films with lungs drawn; at least {} are needed", films.len(), config.batch_size.max(1));
        return Err(Error::Dataset { reason });
    }
    let learner = Learner::new(Training::new(&LungFinder::graph(), config.seed), (0.0, config.seed));
    let how = DescentConfig {
        optimizer: OptimizerConfig::default(),
        schedule: Schedule::Cosine { warmup_steps: steps as u64 },
        learning_rate: config.learning_rate,
        weight_decay: WEIGHT_DECAY,
        total_steps: (config.epochs * steps) as u64,
    };
    let mut descent = Descent::new(learner, how);
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut order: Vec<usize> = (0..films.len()).collect();
    for epoch in 0..config.epochs {
        order.shuffle(&mut rng);
        let mut sum = 0.0;
        for chunk in order.chunks_exact(config.batch_size) {
            let seeds: Vec<u64> = chunk.iter().map(|_| rng.random()).collect();
            let changed: Vec<[Vec<f32>; 2]> =
                chunk.par_iter().zip(seeds).map(|(film, seed)| changed(&films[*film], seed)).collect();
            let images: Vec<f32> = changed.iter().flat_map(|[film, _]| film).copied().collect();
            let targets: Vec<f32> = changed.iter().flat_map(|[_, lungs]| lungs).copied().collect();
            let n = chunk.len();
            let images = Tensor::from_vec(images, (n, 1, SIDE, SIDE), &Device::Cpu);
            let logits = images.and_then(|images| descent.learner().forward_t(&images, true));
            let targets = Tensor::from_vec(targets, (n, CELLS * CELLS), &Device::Cpu);
            let loss = logits.and_then(|logits| binary_cross_entropy(&logits, &targets?));
            let [loss, _] = descent.step(&sure(loss))?;
            sum += loss;
        }
        told(epoch + 1, sum / steps as f32);
    }
    let weights = descent.learner().network().weights();
    Ok(weights)
}

/// The film as the network sees it, and the share of each cell that is lung, both warped alike.
fn changed(drawn: &Drawn, seed: u64) -> [Vec<f32>; 2] {
    let exposed =
        Augment { blur: 1.0, noise: 0.03, frame: 0.1, ..Augment::of_strength(1.5).expect("within its range") };
    let moved =
        Augment { gamma: 0.0, contrast: 0.0, brightness: 0.0, blur: 0.0, noise: 0.0, frame: 0.0, ..exposed.clone() };
    // The same numbers, hence the same warp.
    let apply = |augment: &Augment, from: &[f32]| {
        let mut out = vec![0.0; from.len()];
        augment.apply(from, SIDE, SIDE, &mut ChaCha8Rng::seed_from_u64(seed), &mut out);
        out
    };
    let mut film = vec![0.0; SIDE * SIDE];
    LungFinder::preprocess().finish(&apply(&exposed, &drawn.film), &mut film);
    let lungs = Radiograph::new(SIDE, SIDE, apply(&moved, &drawn.lungs)).expect("a square");
    [film, stretched(&lungs, CELLS, CELLS)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Films of a dark and a bright half, the dark one being the lungs, wherever it lies.
    #[test]
    fn it_learns_where_it_is_dark() {
        let pair = |seed: usize| {
            let dark = move |x: usize| (x + 8 * seed) % SIDE < SIDE / 2;
            let film = |of: &dyn Fn(bool) -> f32| {
                Radiograph::new(SIDE, SIDE, (0..SIDE * SIDE).map(|i| of(dark(i % SIDE))).collect()).unwrap()
            };
            (film(&|dark| if dark { 0.2 } else { 0.7 }), film(&|dark| f32::from(u8::from(dark))))
        };
        let pairs: Vec<_> = (0..8).map(pair).collect();
        let films: Vec<Drawn> = pairs.iter().map(|(film, lungs)| Drawn::new(film, lungs).unwrap()).collect();
        let mut losses = Vec::new();
        let config = FitConfig { epochs: 8, batch_size: 4, learning_rate: 5e-3, seed: 1 };
        let weights = fit(&films, &config, |_, loss| losses.push(loss)).unwrap();
        assert!(losses[7] < losses[0] / 2.0, "{losses:?}");
        let again = fit(&films, &config, |_, _| ()).unwrap();
        assert_eq!(weights, again);
        let finder = LungFinder::new(weights).unwrap();
        let dice = finder.find(&pairs[1].0).unwrap().dice(&pairs[1].1);
        assert!(dice > 0.8, "{dice}");
        assert!(fit(&films[..3], &config, |_, _| ()).is_err());
    }
}
