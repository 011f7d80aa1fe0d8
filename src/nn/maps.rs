//! The last feature maps of a network in use, and the gradient of one logit for them: what explanations are made of.
//!
//! Behind them lies the network's head, pooling and dense layers. Only that part is gone back through, so this costs
//! little more than a prediction, and it works on weights as they were prepared, whether whole, in factors or in bytes.

use super::arena::Arena;
use super::frozen::{Frozen, Ready};
use super::graph::{Graph, Value};
use super::plan::{Action, Plan, Step};
use crate::kernels::clamp::Clamp;
use crate::kernels::pool::{average_pool_grad, max_pool, max_pool_grad};
use crate::kernels::windows::{Padding, Windows};

/// What the last convolution gives for one image, after its rectifier, and before the pooling behind it if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMaps {
    /// Rows, columns and channels.
    pub shape: [usize; 3],
    /// `[height, width, channels]`
    pub activations: Vec<f32>,
    /// The logit's slope for each of the activations.
    pub gradient: Vec<f32>,
}

/// Where the head of a network begins, and what it is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Head {
    /// The first step behind the feature maps. Where the step before it pools as well, that pooling is the head's.
    first: usize,
    /// Rows, columns and channels of the feature maps.
    shape: [usize; 3],
}

impl Head {
    /// Everything behind the last step that is no pooling and no dense layer; the whole network where there is none.
    pub fn of(graph: &Graph, plan: &Plan) -> Self {
        let maps =
            |step: &Step| matches!(step.action, Action::Conv2d { .. } | Action::Depthwise { .. } | Action::Add { .. });
        let Some(last) = plan.steps.iter().rposition(maps) else {
            return Self { first: 0, shape: graph.shape(graph.image()) };
        };
        let step = &plan.steps[last];
        let shape = match step.action {
            Action::Conv2d { geometry: g, pooled: true, .. } => [g.out_height(), g.out_width(), g.out_channels()],
            _ => graph.shape(Value(step.output)),
        };
        Self { first: last + 1, shape }
    }
}

/// A value of the head, and the layer that gave it.
struct Passed<'a> {
    values: Vec<f32>,
    by: By<'a>,
}

enum By<'a> {
    /// These are the feature maps.
    Nothing,
    MaxPool {
        windows: Windows,
        winners: Vec<f32>,
    },
    Other(&'a Ready),
}

impl Frozen {
    /// The last feature maps of one image `[c, h, w]`, and the gradient of logit `class` for them.
    ///
    /// Of weights and activations in eight bits the rounding counts as if it had slope 1.
    ///
    /// # Panics
    /// When `image` is not one image, or there is no such logit.
    pub fn feature_maps(&self, image: &[f32], class: usize) -> FeatureMaps {
        self.with_arena(|arena| {
            let maps = self.maps(image, arena);
            let mut passed = self.through_head(maps, arena);
            let mut gradient = vec![0.0; passed.last().expect("the logits").values.len()];
            gradient[class] = 1.0;
            for pair in passed.windows(2).rev() {
                gradient = pair[1].back(&pair[0].values, gradient);
            }
            FeatureMaps { shape: self.head.shape, activations: passed.swap_remove(0).values, gradient }
        })
    }

    fn maps(&self, image: &[f32], arena: &mut Arena) -> Vec<f32> {
        let mut values = self.begin(1, image, arena);
        let Some(last) = self.head.first.checked_sub(1) else { return values.swap_remove(0) };
        (0..last).for_each(|i| self.advance(1, i, &mut values, arena));
        let step = &self.plan.steps[last];
        let Ready::Conv2d { geometry, prepared, pooled: true, .. } = &self.steps[last] else {
            self.advance(1, last, &mut values, arena);
            return values.swap_remove(step.output);
        };
        let mut maps = vec![0.0; self.head.shape.iter().product()];
        // What pools in the same pass has a rectifier before it.
        prepared.forward(geometry, &values[step.input], (None, Clamp::RELU), &mut maps);
        maps
    }

    /// Every value from the feature maps to the logits.
    fn through_head(&self, maps: Vec<f32>, arena: &mut Arena) -> Vec<Passed<'_>> {
        let mut passed = vec![Passed { values: maps, by: By::Nothing }];
        let last = self.head.first.checked_sub(1).map(|last| &self.steps[last]);
        if let Some(Ready::Conv2d { pooled: true, .. }) = last {
            let [height, width, channels] = self.head.shape;
            let windows = Windows::new([1, height, width, channels], [2; 2], 2, Padding::default());
            passed.push(Passed::max_pool(windows.expect("the plan found room for it"), &passed[0].values));
        }
        for (step, ready) in self.plan.steps.iter().zip(&self.steps).skip(self.head.first) {
            let input = &passed[passed.len() - 1].values;
            passed.push(match ready {
                Ready::MaxPool { windows } => Passed::max_pool(*windows, input),
                ready => {
                    let mut values = vec![0.0; self.plan.lens[step.output]];
                    let alone = Step { input: 0, ..*step };
                    ready.run(1, &alone, std::slice::from_ref(input), &mut values, arena);
                    Passed { values, by: By::Other(ready) }
                }
            });
        }
        passed
    }
}

impl Passed<'_> {
    fn max_pool(windows: Windows, input: &[f32]) -> Self {
        let (mut values, mut winners) = (vec![0.0; windows.output_len()], vec![0.0; windows.output_len()]);
        max_pool(&windows, input, &mut values, Some(&mut winners));
        Self { values, by: By::MaxPool { windows, winners } }
    }

    /// The gradient for `input`, given `grad` for what the layer made of it.
    fn back(&self, input: &[f32], mut grad: Vec<f32>) -> Vec<f32> {
        let mut grad_input = vec![0.0; input.len()];
        match &self.by {
            By::MaxPool { windows, winners } => max_pool_grad(windows, &grad, winners, &mut grad_input),
            By::Other(Ready::AveragePool { pixels, channels }) => {
                average_pool_grad(*pixels, *channels, &grad, &mut grad_input);
            }
            By::Other(Ready::Dense { factors, clamp }) => {
                clamp.gradient(&self.values, &mut grad);
                return factors.iter().rev().fold(grad, |grad, factor| factor.grad_input(&grad));
            }
            By::Other(_) | By::Nothing => unreachable!("the head is pooling and dense layers"),
        }
        grad_input
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Activation, Conv2d, Norm, Precision, Tensor, Weights};
    use super::*;

    /// Deterministic values in `[-1, 1)`: the fractional parts of multiples of the golden ratio, which never repeat.
    fn values(len: usize, seed: usize) -> Vec<f32> {
        let fraction = |i: usize| ((i + 1 + 7919 * seed) as f64 * 0.618_033_988_749_895).fract();
        (0..len).map(|i| (2.0 * fraction(i) - 1.0) as f32).collect()
    }

    /// Weights that let signals through: as large as Glorot's, biases of another size.
    fn weights(graph: &Graph) -> Weights {
        let tensor = |(i, spec): (usize, &super::super::ParameterSpec)| {
            let fan = spec.shape[1..].iter().product::<usize>().max(1);
            let (middle, size) = match spec.name.rsplit('.').next() {
                _ if spec.is_weight() => (0.0, (3.0 / fan as f32).sqrt()),
                Some("running_var" | "weight") => (1.0, 0.5),
                _ => (0.0, 0.1),
            };
            let values = values(spec.len(), 10 + i).iter().map(|v| middle + size * v).collect();
            (spec.name.clone(), Tensor { shape: spec.shape.clone(), values })
        };
        Weights(graph.parameters().iter().enumerate().map(tensor).collect())
    }

    /// Convolution with pooling in the same pass, then two dense layers with a rectifier between them.
    fn pooled() -> Graph {
        let mut net = Graph::new([2, 15, 14]);
        let x = net.conv2d("conv", net.image(), Conv2d::valid(9, 3)).expect("room");
        let x = net.max_pool2d("pool", x, 2, 2, 0).expect("room");
        let x = net.flatten("flatten", x);
        let x = net.dense("dense1", x, 24, Activation::Relu);
        let x = net.dropout("dropout", x);
        net.dense("dense2", x, 3, Activation::Linear);
        net
    }

    /// A sum at the end, then the mean of each channel.
    fn residual() -> Graph {
        let mut net = Graph::new([3, 12, 10]);
        let layer = |norm| Conv2d {
            filters: 16,
            kernel: 3,
            stride: 1,
            padding: 1,
            norm: Some(Norm { name: norm, epsilon: 1e-5 }),
            activation: Activation::Linear,
        };
        let shortcut = net.conv2d("conv1", net.image(), layer("norm1")).expect("room");
        let x = net.conv2d("conv2", shortcut, layer("norm2")).expect("room");
        let x = net.add("add", [x, shortcut], Activation::Relu);
        let x = net.average_pool("mean", x);
        net.dense("dense", x, 3, Activation::Linear);
        net
    }

    /// Windows that overlap, behind a depthwise convolution.
    fn windowed() -> Graph {
        let mut net = Graph::new([4, 13, 13]);
        let layer = Conv2d { padding: 1, activation: Activation::Relu6, ..Conv2d::valid(4, 3) };
        let x = net.depthwise("conv", net.image(), layer).expect("room");
        let x = net.max_pool2d("pool", x, 3, 2, 1).expect("room");
        net.dense("dense", x, 3, Activation::Linear);
        net
    }

    /// The networks above, and the first with its wide layer as factors and in eight bits.
    fn networks() -> Vec<(&'static str, Graph, Frozen)> {
        let whole = |graph: &Graph, precision| Frozen::new(graph, weights(graph), precision).expect("weights that fit");
        let mut factored = weights(&pooled());
        let wide = factored.0.remove("dense1.weight").expect("a dense layer");
        for (i, (name, shape)) in [("u", [wide.shape[0], 5]), ("v", [5, wide.shape[1]])].into_iter().enumerate() {
            let size = (3.0 / shape[1] as f32).sqrt();
            let values = values(shape[0] * shape[1], 40 + i).iter().map(|v| size * v).collect();
            factored.0.insert(format!("dense1.weight.{name}"), Tensor { shape: shape.to_vec(), values });
        }
        let factored = Frozen::new(&pooled(), factored, Precision::Float).expect("weights that fit");
        vec![
            ("pooled", pooled(), whole(&pooled(), Precision::Float)),
            ("factored", pooled(), factored),
            ("eight bits", pooled(), whole(&pooled(), Precision::Int8)),
            ("residual", residual(), whole(&residual(), Precision::Float)),
            ("windowed", windowed(), whole(&windowed(), Precision::Float)),
        ]
    }

    fn image(graph: &Graph) -> Vec<f32> {
        values(graph.input().iter().product(), 3)
    }

    #[test]
    fn feature_maps_are_those_of_the_last_convolution_before_any_pooling() {
        use crate::models::Architecture;
        for (architecture, shape) in [
            (Architecture::ScratchCnn, [58, 58, 64]),
            (Architecture::ResNet50, [7, 7, 2048]),
            (Architecture::MobileNetV2, [7, 7, 1280]),
            (Architecture::EfficientNetLite0, [7, 7, 1280]),
        ] {
            let graph = architecture.graph(2);
            let head = Head::of(&graph, &Plan::new(&graph, false));
            assert_eq!(head.shape, shape, "{}", architecture.name());
        }
    }

    #[test]
    fn the_head_makes_the_networks_logits_of_the_feature_maps() {
        for (name, graph, network) in networks() {
            let features = network.feature_maps(&image(&graph), 0);
            assert_eq!(features.activations.len(), features.shape.iter().product::<usize>(), "{name}");
            let passed = network.through_head(features.activations, &mut Arena::default());
            for (a, b) in passed.last().unwrap().values.iter().zip(network.logits(1, &image(&graph))) {
                assert!((a - b).abs() < 1e-5, "{name}: {a} through the head, {b} in one go");
            }
        }
    }

    /// Rectifiers and poolings have kinks, beyond which a gradient knows nothing: of the slopes from above, from below and
    /// from both sides one has to be right, or one of a shorter step.
    #[test]
    fn gradient_agrees_with_finite_differences() {
        for (name, graph, network) in networks().into_iter().filter(|(name, ..)| *name != "eight bits") {
            for class in 0..3 {
                let FeatureMaps { activations, gradient, .. } = network.feature_maps(&image(&graph), class);
                let logit = |by: f64, direction: &dyn Fn(usize) -> f64| {
                    let moved = activations.iter().enumerate().map(|(i, a)| (f64::from(*a) + by * direction(i)) as f32);
                    let passed = network.through_head(moved.collect(), &mut Arena::default());
                    f64::from(passed.last().unwrap().values[class])
                };
                // Short steps for the kinks' sake, long ones for the roundings', and the best of them.
                let off = |expected: f64, steps: [f64; 2], direction: &dyn Fn(usize) -> f64| {
                    let slopes = steps.map(|step| {
                        let [below, here, above] = [-step, 0.0, step].map(|by| logit(by, direction));
                        [(above - below) / (2.0 * step), (above - here) / step, (here - below) / step]
                    });
                    slopes.as_flattened().iter().map(|slope| (slope - expected).abs()).fold(f64::INFINITY, f64::min)
                };
                // All at once: along the gradient itself the slope is its norm. Only where something was let through:
                // windows of nothing but zeros have kinks on every side.
                let part = |i: usize| if activations[i] > 0.0 { f64::from(gradient[i]) } else { 0.0 };
                let norm = (0..gradient.len()).map(|i| part(i).powi(2)).sum::<f64>().sqrt();
                assert!(norm > 0.0, "{name}, logit {class}");
                let along = off(norm, [1e-3, 1e-2], &|i| part(i) / norm) / norm;
                assert!(along < 2e-3, "{name}, logit {class}: {along} of the norm off");
                let typical = norm / (gradient.len() as f64).sqrt();
                for i in (0..gradient.len()).step_by(gradient.len() / 40) {
                    let one = off(f64::from(gradient[i]), [1e-2, 1e-1], &|j| f64::from(u8::from(i == j)));
                    assert!(one < 0.02 * typical, "{name}, logit {class}, place {i}: {one} off, typical is {typical}");
                }
            }
        }
    }

    #[test]
    fn eight_bits_change_the_gradient_by_their_rounding_only() {
        let networks = networks();
        let [whole, rounded] = [0, 2].map(|i| networks[i].2.feature_maps(&image(&networks[i].1), 1));
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let pairs = whole.gradient.iter().zip(&rounded.gradient);
        let off = norm(&mut pairs.map(|(a, b)| a - b)) / norm(&mut whole.gradient.iter().copied());
        assert!(off > 0.0 && off < 0.02, "{off}");
    }
}
