//! Finite differences through the whole network: independent of any framework, PyTorch included.

use roentgen::data::Batch;
use roentgen::models::Architecture;
use roentgen::nn::{Training, Weights};
use roentgen::train::{Freeze, TrainConfig, Trainer};

use super::formula::{batch, graph, network, random, weights};

/// Images of 20 px leave 2×2 maps, so that an error in the order of flattening shows.
const SIDE: usize = 20;
const CLASSES: usize = 3;
const SAMPLES: usize = 36;
/// Stream of the sampled places.
const STREAM: u64 = 60;

/// Mean cross-entropy with `weights`, summed in f64 from the f32 logits.
fn loss(weights: Weights, batch: &Batch) -> f64 {
    let mut network = Training::from_weights(&graph(SIDE, CLASSES), weights).expect("weights that fit");
    let logits = network.forward(batch.n, &batch.images, None);
    let rows = logits.chunks_exact(CLASSES).zip(batch.targets.chunks_exact(CLASSES));
    let total: f64 = rows
        .map(|(logits, targets)| {
            let exponentials = logits.iter().map(|l| f64::from(*l).exp()).sum::<f64>();
            let at_target: f64 = logits.iter().zip(targets).map(|(l, t)| f64::from(*l) * f64::from(*t)).sum();
            exponentials.ln() - at_target
        })
        .sum();
    total / batch.n as f64
}

/// Slope of the loss along one direction by differences: from both sides, from above, from below.
///
/// With step `h` they are wrong by `δ/h` where the loss carries the rounding `δ` ≈ 2e-8 of its logits, by `h` times the
/// second derivative (`h²` times the third from both sides), and by units that change sides within `±h`: rectifiers and
/// poolings have kinks, which the gradient at the point itself knows nothing of. The dense layers have few units near
/// one and take a long step for the rounding's sake, the convolutions a short one for the kinks'.
struct Slopes([f64; 3]);

impl Slopes {
    fn step(name: &str) -> f64 {
        if name.starts_with("conv") { 1e-4 } else { 1e-3 }
    }

    /// How far the nearest is from `expected`: a single kink lies on one side, and leaves the other one right.
    fn distance(&self, expected: f64) -> f64 {
        self.0.iter().map(|slope| (slope - expected).abs()).fold(f64::INFINITY, f64::min)
    }
}

#[test]
fn gradients_of_every_layer_agree_with_finite_differences() {
    let (mut trainer, _) = network(SIDE, CLASSES, |_| {});
    let batch = batch(0, 4, SIDE, CLASSES);
    let start = weights(&graph(SIDE, CLASSES));
    let here = loss(start.clone(), &batch);

    for (name, gradient) in trainer.gradients(batch.clone()).expect("gradients").0 {
        let gradient: Vec<f64> = gradient.values.iter().map(|g| f64::from(*g)).collect();
        let slopes = |direction: &dyn Fn(usize) -> f64| {
            let at = |by: f64| {
                let mut moved = start.clone();
                let values = &mut moved.0.get_mut(&name).expect("a weight for every gradient").values;
                values.iter_mut().enumerate().for_each(|(i, w)| *w = (f64::from(*w) + by * direction(i)) as f32);
                loss(moved, &batch)
            };
            let step = Slopes::step(&name);
            let (above, below) = (at(step), at(-step));
            Slopes([(above - below) / (2.0 * step), (above - here) / step, (here - below) / step])
        };

        // All elements at once: along the gradient itself the slope is its norm.
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let along = slopes(&|i| gradient[i] / norm);
        let off = along.distance(norm) / norm;
        assert!(off < 3e-3, "{name}: norm {norm}, finite differences say {:?}", along.0);

        // And one by one, measured by the typical element.
        let typical = norm / (gradient.len() as f64).sqrt();
        for sample in 0..SAMPLES.min(gradient.len()) {
            let i = (random(STREAM, sample) % gradient.len() as u64) as usize;
            let single = slopes(&|j| f64::from(u8::from(i == j)));
            let off = single.distance(gradient[i]) / typical;
            assert!(off < 0.05, "{name}[{i}]: {}, finite differences say {:?}", gradient[i], single.0);
        }
    }
}

/// Layers that stay are neither moved nor gone below, and change nothing for those that learn.
#[test]
fn frozen_layers_stay_and_leave_the_other_gradients_as_they_are() {
    let batch = batch(0, 4, SIDE, CLASSES);
    let (mut all, _) = network(SIDE, CLASSES, |_| {});
    let expected = all.gradients(batch.clone()).expect("gradients");
    for (parts, learning) in [
        (vec!["conv1"], vec!["conv2", "dense1", "dense2"]),
        (vec!["conv1", "conv2"], vec!["dense1", "dense2"]),
        // What lies above a layer that learns is gone through all the same.
        (vec!["conv2", "dense1"], vec!["conv1", "dense2"]),
    ] {
        let freeze = Freeze::Layers(parts.iter().map(|part| part.to_string()).collect());
        let (mut trainer, _) = network(SIDE, CLASSES, |config| config.freeze = freeze.clone());
        let gradients = trainer.gradients(batch.clone()).expect("gradients").0;
        let names: Vec<String> = learning.iter().flat_map(|l| ["bias", "weight"].map(|p| format!("{l}.{p}"))).collect();
        assert_eq!(gradients.keys().cloned().collect::<Vec<_>>(), names);
        for (name, gradient) in gradients {
            assert_eq!(gradient, expected.0[&name], "{name}, {parts:?} frozen");
        }
        let before = trainer.weights();
        trainer.step(batch.clone()).expect("a step");
        for (name, after) in trainer.weights().0 {
            assert_eq!(after != before.0[&name], names.contains(&name), "{name}, {parts:?} frozen");
        }
    }
}

/// A frozen normalisation goes by what it has learned, not by the batch: logits in training are those in use.
#[test]
fn a_frozen_backbone_with_normalisations_gives_in_training_what_it_gives_in_use() {
    let architecture = Architecture::EfficientNetLite0Slim;
    let graph = architecture.graph_for(32, CLASSES).expect("large enough");
    let config = TrainConfig {
        freeze: Freeze::Backbone,
        ..TrainConfig::recipe(architecture, ["a", "b", "c"].map(str::to_owned).into())
    };
    let mut trainer = Trainer::with_network(config, &graph, Training::new(&graph, 1));
    let images: Vec<f32> = (0..2 * 32 * 32).map(|i| random(STREAM, i) as f32 / u64::MAX as f32).collect();
    let targets = vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    let batch = Batch { images, targets, origins: None, n: 2, channels: 1, height: 32, width: 32, classes: CLASSES };
    let (before, in_use) = (trainer.weights(), trainer.evaluate(batch.clone()).expect("a loss"));
    assert_eq!(trainer.step(batch).expect("a step").loss, in_use.loss);
    for (name, after) in trainer.weights().0 {
        assert_eq!(after != before.0[&name], graph.is_last(&name), "{name}");
    }
}
