//! Finite differences through the whole network: independent of any framework, PyTorch included.

use roentgen::data::Batch;
use roentgen::nn::{Training, Weights};

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
