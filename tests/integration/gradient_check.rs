//! Finite differences through the whole network: independent of any framework, PyTorch included.

use candle_core::{Device, Tensor};
use roentgen::data::Batch;
use roentgen::kernels::custom_op::{with_values, with_values_mut};
use roentgen::models::{Model, ScratchCnn};
use roentgen::train::OptimizerConfig;

use super::formula::{batch, network, random};

/// Images of 20 px leave 2×2 maps, so that an error in the order of flattening shows.
const SIDE: usize = 20;
const CLASSES: usize = 3;
const SAMPLES: usize = 36;
/// Stream of the sampled places.
const STREAM: u64 = 60;

/// Mean cross-entropy, summed in f64 from the f32 logits.
fn loss(model: &ScratchCnn, images: &Tensor, batch: &Batch) -> f64 {
    let logits = model.forward(images).expect("a forward pass");
    let total = |logits: &[f32]| -> f64 {
        let rows = logits.chunks_exact(CLASSES).zip(batch.targets.chunks_exact(CLASSES));
        rows.map(|(logits, targets)| {
            let exponentials = logits.iter().map(|l| f64::from(*l).exp()).sum::<f64>();
            let at_target: f64 = logits.iter().zip(targets).map(|(l, t)| f64::from(*l) * f64::from(*t)).sum();
            exponentials.ln() - at_target
        })
        .sum()
    };
    with_values(&logits, total).expect("f32 values") / batch.n as f64
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
    // A learning rate that moves nothing, so that the gradient can be read and the weights stay.
    let (mut trainer, model) = network(SIDE, CLASSES, |config| {
        config.optimizer = OptimizerConfig::Sgd { momentum: 0.0 };
        config.learning_rate = f32::MIN_POSITIVE;
    });
    let batch = batch(0, 4, SIDE, CLASSES);
    let images = Tensor::from_slice(&batch.images, (4, 3, SIDE, SIDE), &Device::Cpu).expect("a tensor");
    let reported = f64::from(trainer.step(batch.clone()).expect("a step").loss);
    let here = loss(&model, &images, &batch);
    assert!((reported - here).abs() < 1e-6, "{reported} with the weights in place, {here} after a step of nothing");

    for (name, weight) in trainer.weights() {
        let gradient: Vec<f64> = trainer.gradient(&name).expect("a gradient").iter().map(|g| f64::from(*g)).collect();
        let original = with_values(&weight, <[f32]>::to_vec).expect("f32 values");
        let slopes = |direction: &dyn Fn(usize) -> f64| {
            let at = |by: f64| {
                let moved = |(i, w): (usize, &mut f32)| *w = (f64::from(original[i]) + by * direction(i)) as f32;
                with_values_mut(&weight, |w| w.iter_mut().enumerate().for_each(moved)).expect("f32 values");
                loss(&model, &images, &batch)
            };
            let step = Slopes::step(&name);
            let (above, below) = (at(step), at(-step));
            with_values_mut(&weight, |w| w.copy_from_slice(&original)).expect("f32 values");
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
