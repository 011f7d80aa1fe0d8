//! Weights and images from a formula, the same bits as `tests/fixtures/pytorch/make_scratch_cnn.py` computes, so that
//! a fixture need hold results only.

use std::collections::BTreeMap;

use roentgen::data::Batch;
use roentgen::models::{Architecture, scratch_cnn};
use roentgen::nn::{Frozen, Graph, ParameterSpec, Precision, Tensor, Training, Weights};
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
    Batch { images, targets, origins: None, n, channels: 3, height: side, width: side, classes }
}

/// The scratch CNN for images of `side`.
pub fn graph(side: usize, classes: usize) -> Graph {
    scratch_cnn(side, classes).expect("the side is large enough")
}

/// Weights for `graph` from the formula.
pub fn weights(graph: &Graph) -> Weights {
    let streams = BTreeMap::from(STREAMS);
    let tensor = |spec: &ParameterSpec| {
        let bound = if spec.is_weight() { glorot_bound(&spec.shape) } else { BIAS_BOUND };
        let values = uniform(streams[&*spec.name], -bound, bound).take(spec.len()).collect();
        (spec.name.clone(), Tensor { shape: spec.shape.clone(), values })
    };
    Weights(graph.parameters().iter().map(tensor).collect())
}

/// The scratch CNN for images of `side`, its weights from the formula: once to train and once in use. `change` sets what
/// the test is about.
pub fn network(side: usize, classes: usize, change: impl FnOnce(&mut TrainConfig)) -> (Trainer, Frozen) {
    let graph = graph(side, classes);
    let frozen = Frozen::new(&graph, weights(&graph), Precision::Float).expect("weights that fit");
    let training = Training::from_weights(&graph, weights(&graph)).expect("weights that fit");
    let names = (0..classes).map(|i| format!("class {i}")).collect();
    let mut config = TrainConfig::recipe(Architecture::ScratchCnn, names);
    change(&mut config);
    (Trainer::with_network(config, &graph, training), frozen)
}
