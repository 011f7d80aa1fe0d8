//! Weights and images from a formula, the same bits as `tests/fixtures/pytorch/make_scratch_cnn.py` computes, so that
//! a fixture need hold results only.

use std::collections::BTreeMap;

use roentgen::data::Batch;
use roentgen::kernels::custom_op::with_values_mut;
use roentgen::models::{Architecture, ScratchCnn};
use roentgen::nn::Variables;
use roentgen::train::{TrainConfig, Trainer};

/// Streams of the random numbers, one for each weight.
const STREAMS: [(&str, u64); 8] = [
    ("conv1.weight", 1),
    ("conv1.bias", 2),
    ("conv2.weight", 3),
    ("conv2.bias", 4),
    ("dense1.weight", 5),
    ("dense1.bias", 6),
    ("dense2.weight", 7),
    ("dense2.bias", 8),
];
/// Stream of the first image.
const IMAGES: u64 = 4900;
/// Not Keras's zero: a network that ignored its biases must not pass.
const BIAS_BOUND: f64 = 0.05;

/// Number `i` of a stream, by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub fn random(stream: u64, i: usize) -> u64 {
    let mut z = ((stream << 32) + 1 + i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Values on `[low, high)`: 53 random bits scaled in f64, then rounded to f32.
pub fn uniform(stream: u64, low: f64, high: f64) -> impl Iterator<Item = f32> {
    let unit = move |i| (random(stream, i) >> 11) as f64 / (1_u64 << 53) as f64;
    (0..).map(move |i| (low + (high - low) * unit(i)) as f32)
}

/// Glorot's bound for a weight `[out, in]` or `[out, in, kernel, kernel]`, from its shape.
pub fn glorot_bound(shape: &[usize]) -> f64 {
    let area: usize = shape[2..].iter().product();
    (6.0 / ((shape[0] + shape[1]) * area) as f64).sqrt()
}

/// `n` images of noise, those of higher classes brighter, and their classes 0, 1, … in turn.
pub fn batch(number: usize, n: usize, side: usize, classes: usize) -> Batch {
    let (mut images, mut targets) = (Vec::new(), vec![0.0; n * classes]);
    for i in 0..n {
        let label = i % classes;
        targets[i * classes + label] = 1.0;
        let brightness = (label + 1) as f64 / classes as f64;
        images.extend(uniform(IMAGES + (number * n + i) as u64, 0.0, brightness).take(3 * side * side));
    }
    Batch { images, targets, n, channels: 3, height: side, width: side, classes }
}

/// The scratch CNN for images of `side`, its weights from the formula: once to train and once to look at, both over
/// the same weights. `change` sets what the test is about.
pub fn network(side: usize, classes: usize, change: impl FnOnce(&mut TrainConfig)) -> (Trainer, ScratchCnn) {
    let variables = Variables::new(0);
    let build = || ScratchCnn::new(variables.builder(), side, classes).expect("the side is large enough");
    let (trained, looked_at) = (build(), build());
    let streams = BTreeMap::from(STREAMS);
    for (name, var) in variables.all() {
        let bound = if var.rank() > 1 { glorot_bound(var.dims()) } else { BIAS_BOUND };
        let fill = |w: &mut [f32]| w.iter_mut().zip(uniform(streams[&*name], -bound, bound)).for_each(|(w, v)| *w = v);
        with_values_mut(&var, fill).expect("an f32 variable");
    }
    let names = (0..classes).map(|i| format!("class {i}")).collect();
    let mut config = TrainConfig::recipe(Architecture::ScratchCnn, names);
    change(&mut config);
    (Trainer::with_model(config, Box::new(trained), &variables), looked_at)
}
