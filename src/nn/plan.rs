//! From the layers of a graph to the steps that are run: what can be done in one pass is.
//!
//! In use a normalisation is folded into the convolution before it, and a sum is made where one of its convolutions ends;
//! in training both are steps of their own, as their gradients need what lies between.

use super::graph::{Activation, Graph, Op, Value};
use crate::kernels::clamp::Clamp;
use crate::kernels::conv2d::Conv2dGeometry;
use crate::kernels::windows::Windows;

/// One pass of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub action: Action,
    /// Place of what it reads among the values; 0 is the image.
    pub input: usize,
    /// Place of what it writes.
    pub output: usize,
}

impl Step {
    /// Whether the step reads the value at `place`.
    pub fn reads(&self, place: usize) -> bool {
        let second = match self.action {
            Action::Conv2d { residual, .. } => residual,
            Action::Add { other, .. } => Some(other),
            _ => None,
        };
        self.input == place || second == Some(place)
    }
}

/// What a step does. `at` is the place of its first parameter: a weight, with the bias after it; a weight without a bias
/// but with a normalisation's four where `norm` gives its epsilon; or those four alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    /// With 2×2 pooling in the same pass where `pooled`, or with another value added to the sums.
    Conv2d {
        geometry: Conv2dGeometry,
        follow: Follow,
        pooled: bool,
        residual: Option<usize>,
        clamp: Clamp,
        at: usize,
    },
    Depthwise {
        windows: Windows,
        follow: Follow,
        clamp: Clamp,
        at: usize,
    },
    Norm {
        channels: usize,
        epsilon: f32,
        clamp: Clamp,
        at: usize,
    },
    Dense {
        inputs: usize,
        outputs: usize,
        clamp: Clamp,
        at: usize,
    },
    Add {
        other: usize,
        clamp: Clamp,
    },
    MaxPool {
        windows: Windows,
    },
    AveragePool {
        pixels: usize,
        channels: usize,
    },
    Dropout,
}

/// What comes after a convolution's weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Follow {
    Bias,
    /// A normalisation with this epsilon, to be folded into the weight.
    Folded(f32),
    /// A step of its own.
    Nothing,
}

/// Steps in order, and where their values lie.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// Floats of each value of one image; a value that no step writes has none.
    pub lens: Vec<usize>,
}

impl Plan {
    /// The steps of `graph`, those that only training takes where `training`.
    pub fn new(graph: &Graph, training: bool) -> Self {
        let layers = graph.layers();
        let len = |value: Value| graph.shape(value).iter().product::<usize>();
        let mut plan = Self { steps: Vec::new(), lens: vec![0; layers.len() + 1] };
        plan.lens[0] = len(graph.image());
        // Where each value really lies: a flattened image is the image itself.
        let mut places: Vec<usize> = vec![0];
        for (i, layer) in layers.iter().enumerate() {
            let (input, value) = (places[layer.input.0], Value(i + 1));
            let follow = |norm: Option<f32>| match norm {
                None => Follow::Bias,
                Some(_) if training => Follow::Nothing,
                Some(epsilon) => Follow::Folded(epsilon),
            };
            // In training a normalisation is a step of its own, and has the clamp.
            let apart =
                |norm: Option<f32>, clamp, at| norm.filter(|_| training).map(|epsilon| (epsilon, clamp, at + 1));
            let place = match layer.op {
                Op::Conv2d { geometry, norm, activation, at } => {
                    let (follow, clamp) = (follow(norm), activation.clamp());
                    let pooled = norm.is_none() && activation == Activation::Relu && pools_next(graph, value);
                    let action = |clamp| Action::Conv2d { geometry, follow, pooled, residual: None, clamp, at };
                    match apart(norm, clamp, at) {
                        Some(norm) => plan.push_normalised(action(Clamp::NONE), norm, input, value, graph),
                        None => plan.push(action(clamp), input, value.0 + usize::from(pooled), graph),
                    }
                }
                Op::Depthwise { windows, norm, activation, at } => {
                    let (follow, clamp) = (follow(norm), activation.clamp());
                    let action = |clamp| Action::Depthwise { windows, follow, clamp, at };
                    match apart(norm, clamp, at) {
                        Some(norm) => plan.push_normalised(action(Clamp::NONE), norm, input, value, graph),
                        None => plan.push(action(clamp), input, value.0, graph),
                    }
                }
                Op::Dense { activation, at } => {
                    let (inputs, outputs) = (len(layer.input), len(value));
                    let action = Action::Dense { inputs, outputs, clamp: activation.clamp(), at };
                    plan.push(action, input, value.0, graph)
                }
                Op::Add { other, activation } => {
                    let clamp = activation.clamp();
                    let ends = [layer.input, other].map(|end| (places[end.0], readers(graph, end)));
                    let fused = if training { None } else { plan.add_to_convolution(ends, clamp, value.0) };
                    match fused {
                        Some(place) => place,
                        None => plan.push(Action::Add { other: places[other.0], clamp }, input, value.0, graph),
                    }
                }
                // Done by the convolution.
                Op::MaxPool2d { .. } if input == value.0 => input,
                Op::MaxPool2d { windows } => plan.push(Action::MaxPool { windows }, input, value.0, graph),
                Op::AveragePool => {
                    let [height, width, channels] = graph.shape(layer.input);
                    plan.push(Action::AveragePool { pixels: height * width, channels }, input, value.0, graph)
                }
                Op::Dropout if training => plan.push(Action::Dropout, input, value.0, graph),
                Op::Flatten | Op::Dropout => input,
            };
            places.push(place);
        }
        plan
    }

    /// Whether the value at `place` has no negative numbers.
    pub fn is_rectified(&self, place: usize) -> bool {
        self.steps.iter().find(|step| step.output == place).is_some_and(|step| match step.action {
            Action::Conv2d { pooled: true, .. } => true,
            Action::Conv2d { clamp, .. }
            | Action::Depthwise { clamp, .. }
            | Action::Norm { clamp, .. }
            | Action::Dense { clamp, .. }
            | Action::Add { clamp, .. } => clamp.low >= 0.0,
            Action::MaxPool { .. } | Action::AveragePool { .. } | Action::Dropout => self.is_rectified(step.input),
        })
    }

    /// The first of the steps that the last layer takes, its dropout among them, and the place of what they read.
    pub fn head(&self) -> (usize, usize) {
        let last = self.steps.len() - 1;
        let first = match self.steps[..last].last() {
            Some(step) if step.action == Action::Dropout => last - 1,
            _ => last,
        };
        (first, self.steps[first].input)
    }

    fn push(&mut self, action: Action, input: usize, output: usize, graph: &Graph) -> usize {
        self.steps.push(Step { action, input, output });
        self.lens[output] = graph.shape(Value(output)).iter().product();
        output
    }

    /// A convolution and its normalisation as two steps with a value of their own between them.
    fn push_normalised(
        &mut self,
        convolution: Action,
        (epsilon, clamp, at): (f32, Clamp, usize),
        input: usize,
        value: Value,
        graph: &Graph,
    ) -> usize {
        let [height, width, channels] = graph.shape(value);
        let between = self.lens.len();
        self.lens.push(height * width * channels);
        self.steps.push(Step { action: convolution, input, output: between });
        self.push(Action::Norm { channels, epsilon, clamp, at }, between, value.0, graph)
    }

    /// Lets the last step, where it is a convolution that only this sum reads, add the sum's other value.
    fn add_to_convolution(&mut self, ends: [(usize, usize); 2], sum: Clamp, output: usize) -> Option<usize> {
        let last = self.steps.last_mut()?;
        let [(a, of_a), (b, of_b)] = ends;
        let (other, readers) = if last.output == a { (b, of_a) } else { (a, of_b) };
        match &mut last.action {
            Action::Conv2d { residual, clamp, pooled: false, .. }
                if [a, b].contains(&last.output) && a != b && readers == 1 && *clamp == Clamp::NONE =>
            {
                (*residual, *clamp) = (Some(other), sum);
                self.lens[output] = std::mem::take(&mut self.lens[last.output]);
                last.output = output;
                Some(output)
            }
            _ => None,
        }
    }
}

/// How many layers read `value`.
fn readers(graph: &Graph, value: Value) -> usize {
    graph.layers().iter().filter(|layer| layer.reads(value)).count()
}

/// Whether the layer after `value` pools it in 2×2 windows side by side, and nothing else reads it.
fn pools_next(graph: &Graph, value: Value) -> bool {
    let next = graph.layers().get(value.0);
    readers(graph, value) == 1 && next.is_some_and(|next| next.input == value && next.op.pools_in_fours())
}
