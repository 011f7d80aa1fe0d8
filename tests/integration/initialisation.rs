//! Weights start as Keras's do: Glorot uniform, zero biases, decided by the seed alone.

use roentgen::models::{Architecture, scratch_cnn};
use roentgen::nn::{Graph, Training, Weights};

/// `√(6 / (fan_in + fan_out))` with the fans that `keras.initializers.GlorotUniform` takes: a convolution's channels
/// times the area of its kernel.
const BOUNDS: [(&str, f64); 4] = [
    ("conv1.weight", 0.082_807_867),  // fans 75 and 800
    ("conv2.weight", 0.05),           // fans 800 and 1600
    ("dense1.weight", 0.010_508_284), // fans 53,824 and 512
    ("dense2.weight", 0.108_042_361), // fans 512 and 2
];

fn start(graph: &Graph, seed: u64) -> Weights {
    Training::new(graph, seed).weights()
}

#[test]
fn weights_start_uniform_on_glorots_range_and_biases_at_zero() {
    let start = start(&Architecture::ScratchCnn.graph(2), 1).0;
    for (name, bound) in BOUNDS {
        let weights = &start[name].values;
        let n = weights.len() as f64;
        let largest = weights.iter().fold(0.0_f64, |m, w| m.max(f64::from(w.abs())));
        // Rounding the bound to f32 may move it by 2⁻²⁴ of itself.
        assert!(largest <= bound * (1.0 + 1e-6), "{name}: {largest} is beyond {bound}");
        // All n values stay below (1 - 20/n) of the bound once in e²⁰ draws.
        assert!(largest > bound * (1.0 - 20.0 / n), "{name}: {largest} is far below {bound}");
        // The variance of U(-a, a) is a²/3 and its fourth moment a⁴/5: over n draws the mean spreads by a/√(3n), the
        // variance by a²·√((1/5 - 1/9)/n). Five such spreads are left once in two million.
        let mean = weights.iter().map(|w| f64::from(*w)).sum::<f64>() / n;
        assert!(mean.abs() < 5.0 * bound / (3.0 * n).sqrt(), "{name}: mean {mean}");
        let variance = weights.iter().map(|w| (f64::from(*w) - mean).powi(2)).sum::<f64>() / n;
        let off = (variance - bound * bound / 3.0).abs();
        assert!(off < 5.0 * bound * bound * (4.0 / 45.0 / n).sqrt(), "{name}: variance {variance}");
        let bias = &start[&name.replace("weight", "bias")].values;
        assert!(bias.iter().all(|b| *b == 0.0), "{name}'s bias");
    }
}

#[test]
fn the_seed_alone_decides_the_start() {
    let graph = scratch_cnn(18, 2).expect("the network");
    let drawn = |seed| {
        let start = start(&graph, seed).0;
        BOUNDS.map(|(name, _)| start[name].values.clone())
    };
    let (first, again, other) = (drawn(7), drawn(7), drawn(8));
    assert_eq!(first, again);
    for (a, b) in first.iter().zip(&other) {
        let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
        assert!(same * 100 < a.len(), "{same} of {} weights are the same with another seed", a.len());
    }
}
