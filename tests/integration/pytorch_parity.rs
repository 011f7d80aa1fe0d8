//! The whole training path against PyTorch: forward, loss, every gradient, ten steps of each optimiser.
//!
//! Expected numbers: PyTorch 2.12.0 in float64, by `tests/fixtures/pytorch/make_scratch_cnn.py`. All is compared in one
//! measure, the relative error `‖found − expected‖ / ‖expected‖` of a whole tensor or curve (L2). It sees a single wrong
//! element: in the largest fully stored gradient, 51,200 elements, one that is off by itself makes 4e-3.

use std::collections::BTreeMap;

use roentgen::data::Batch;
use roentgen::nn::Frozen;
use roentgen::train::{OptimizerConfig, Trainer};
use safetensors::SafeTensors;
use serde::Deserialize;

use super::formula::{batch, network, random};

const JSON: &str = include_str!("../fixtures/pytorch/scratch_cnn.json");
const GRADIENTS: &[u8] = include_bytes!("../fixtures/pytorch/scratch_cnn_small.safetensors");

#[derive(Deserialize)]
struct Fixture {
    small: Small,
    full: Full,
}

#[derive(Deserialize)]
struct Network {
    side: usize,
    classes: usize,
    n: usize,
    /// Number of the batch for which `logits`, `loss` and the gradients are.
    batch: usize,
    logits: Vec<f64>,
    loss: f64,
}

#[derive(Deserialize)]
struct Small {
    #[serde(flatten)]
    network: Network,
    adam: Run,
    sgd: Run,
}

#[derive(Deserialize)]
struct Full {
    #[serde(flatten)]
    network: Network,
    gradients: BTreeMap<String, GradientSummary>,
    adam: Run,
}

#[derive(Deserialize)]
struct GradientSummary {
    sum: f64,
    norm: f64,
    samples: Vec<f64>,
}

#[derive(Deserialize)]
struct Run {
    learning_rate: f32,
    #[serde(default)]
    momentum: f32,
    losses: Vec<f64>,
    weights_after: BTreeMap<String, Vec<f64>>,
}

fn fixture() -> Fixture {
    serde_json::from_str(JSON).expect("the fixture is as the script writes it")
}

pub fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Asserts `‖found − expected‖ ≤ tolerance · scale`.
fn assert_near(found: &[f64], expected: &[f64], scale: f64, tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let error = norm(found.iter().zip(expected).map(|(a, b)| a - b)) / scale;
    println!("{what}: relative error {error:.1e} (allowed {tolerance:.0e})");
    // Written so that a NaN fails.
    assert!(error <= tolerance, "{what}: relative error {error:e} is more than {tolerance:e}");
}

/// [`assert_near`] with the expectation itself as the scale.
fn assert_agrees(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_near(found, expected, norm(expected.iter().copied()), tolerance, what);
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// The elements that the script stores of a tensor: all of a short one, else 64 at formula-given places.
fn sample(values: &[f32]) -> Vec<f64> {
    const SAMPLES: usize = 64;
    const STREAM: u64 = 50;
    if values.len() <= SAMPLES {
        return widen(values);
    }
    (0..SAMPLES).map(|i| f64::from(values[(random(STREAM, i) % values.len() as u64) as usize])).collect()
}

fn samples_of_weights(trainer: &Trainer) -> BTreeMap<String, Vec<f64>> {
    trainer.weights().0.into_iter().map(|(name, w)| (name, sample(&w.values))).collect()
}

fn logits(model: &Frozen, batch: &Batch) -> Vec<f64> {
    widen(&model.logits(batch.n, &batch.images))
}

/// Takes the steps of `run`, step `i` on `batches(i)`, and holds losses and weights against PyTorch's. `start` are the
/// samples of the weights before the first step.
fn assert_run_follows(
    trainer: &mut Trainer,
    run: &Run,
    start: &BTreeMap<String, Vec<f64>>,
    batches: impl Fn(usize) -> Batch,
    [loss_tolerance, weight_tolerance]: [f64; 2],
) {
    let steps = 0..run.losses.len();
    let losses: Vec<f64> = steps.map(|step| f64::from(trainer.step(batches(step)).expect("a step").loss)).collect();
    assert_agrees(&losses, &run.losses, loss_tolerance, "losses");
    // Held against the way that the weights went, which is a thousandth of the weights themselves.
    let after = samples_of_weights(trainer);
    for (name, expected) in &run.weights_after {
        let way = norm(expected.iter().zip(&start[name]).map(|(a, b)| a - b));
        assert_near(&after[name], expected, way, weight_tolerance, name);
    }
}

/// Rounding of the small network. Its longest sums, the gradients of the first convolution, have 4·14·14 = 784 terms;
/// errors of 2⁻²⁴ a term that add like a random walk come to √784 · 2⁻²⁴ = 1.7e-6 of the terms, and three layers above
/// bring in theirs. The fixture keeps every unit 1e-5 away from the kink of its rectifier or pooling, so none flips.
const SMALL: f64 = 1e-5;

#[test]
fn small_network_gives_pytorchs_logits_loss_and_every_gradient_element() {
    let Small { network: expected, .. } = fixture().small;
    let Network { side, classes, n, batch: number, .. } = expected;
    let (mut trainer, model) = network(side, classes, |_| {});
    let batch = batch(number, n, side, classes);
    assert_agrees(&logits(&model, &batch), &expected.logits, SMALL, "logits");
    let report = trainer.evaluate(batch.clone()).expect("a loss");
    assert_agrees(&[f64::from(report.loss)], &[expected.loss], SMALL, "loss");

    let gradients = SafeTensors::deserialize(GRADIENTS).expect("the fixture is safetensors");
    let found = trainer.gradients(batch).expect("gradients").0;
    assert_eq!(gradients.len(), found.len());
    for (name, found) in found {
        let expected = gradients.tensor(&name).expect("a gradient for every weight");
        assert_eq!(expected.shape(), found.shape, "{name}");
        let (values, _) = expected.data().as_chunks::<4>();
        let expected: Vec<f64> = values.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect();
        assert_agrees(&widen(&found.values), &expected, SMALL, &name);
    }
}

#[test]
fn ten_adam_steps_follow_pytorchs_losses_and_weights() {
    let Small { network: Network { side, classes, n, .. }, adam, .. } = fixture().small;
    let (mut trainer, _) = network(side, classes, |config| config.learning_rate = adam.learning_rate);
    let start = samples_of_weights(&trainer);
    let batches = |step| batch(step, n, side, classes);
    // Adam divides a gradient by its own size, so an element that nearly cancels moves by its relative error, not by its
    // absolute one; hence more for the weights than for the gradients. Keras's form of ε would be off by 1e-3 to 0.2.
    assert_run_follows(&mut trainer, &adam, &start, batches, [SMALL, 5.0 * SMALL]);
}

#[test]
fn ten_sgd_steps_with_momentum_follow_pytorchs_losses_and_weights() {
    let Small { network: Network { side, classes, n, .. }, sgd, .. } = fixture().small;
    let (mut trainer, _) = network(side, classes, |config| {
        config.learning_rate = sgd.learning_rate;
        config.optimizer = OptimizerConfig::Sgd { momentum: sgd.momentum };
    });
    let start = samples_of_weights(&trainer);
    let batches = |step| batch(step, n, side, classes);
    // Linear in the gradients; twice their tolerance, as the gradients of ten batches cancel in part.
    assert_run_follows(&mut trainer, &sgd, &start, batches, [SMALL, 2.0 * SMALL]);
}

/// Rounding of the full network: sums of 2·124·124 = 30,752 terms, √30,752 · 2⁻²⁴ = 1.0e-5 of the terms. The fixture
/// keeps every unit 1e-6 away from its kink, ten times the error of a sum.
const FULL: f64 = 1e-5;

/// Takes about half a gigabyte: 110 MB each for weights, gradients and Adam's two moments, and 50 MB on top.
#[test]
fn tutorials_network_follows_pytorch_in_gradients_and_ten_adam_steps() {
    let Full { network: expected, gradients, adam } = fixture().full;
    let Network { side, classes, n, batch: number, .. } = expected;
    let (mut trainer, model) = network(side, classes, |config| config.learning_rate = adam.learning_rate);
    let start = samples_of_weights(&trainer);
    let batches = |_| batch(number, n, side, classes);
    assert_agrees(&logits(&model, &batches(0)), &expected.logits, FULL, "logits");
    let first = trainer.evaluate(batches(0)).expect("a loss");
    assert_agrees(&[f64::from(first.loss)], &[expected.loss], FULL, "loss");

    let all = trainer.gradients(batches(0)).expect("gradients").0;
    assert_eq!(gradients.len(), all.len());
    for (name, expected) in &gradients {
        let found = &all[name].values;
        let values = || found.iter().map(|v| f64::from(*v));
        assert_near(&[norm(values())], &[expected.norm], expected.norm, FULL, &format!("{name}: norm"));
        // By Cauchy and Schwarz the sum of n errors is at most √n times their norm.
        let scale = expected.norm * (found.len() as f64).sqrt();
        assert_near(&[values().sum()], &[expected.sum], scale, FULL, &format!("{name}: sum"));
        assert_agrees(&sample(found), &expected.samples, FULL, &format!("{name}: samples"));
    }
    // More for the losses, which ten steps on one batch bring near zero, and for the weights, as Adam divides gradients by
    // their size.
    assert_run_follows(&mut trainer, &adam, &start, batches, [5.0 * FULL, 50.0 * FULL]);
}
