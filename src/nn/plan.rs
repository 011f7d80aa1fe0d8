//! From the layers of a graph to the steps that are run: what can be done in one pass is.

use super::graph::{Activation, Graph, Op, Value};
use crate::kernels::conv2d::Conv2dGeometry;

/// One pass of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub action: Action,
    /// Place of what it reads among the values; 0 is the image.
    pub input: usize,
    /// Place of what it writes.
    pub output: usize,
}

/// What a step does. `weight` is the place of its weight among the parameters; the bias is the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    /// With a rectifier and 2×2 pooling in the same pass where `pooled`.
    Conv2d {
        geometry: Conv2dGeometry,
        rectify: bool,
        pooled: bool,
        weight: usize,
    },
    Dense {
        inputs: usize,
        outputs: usize,
        rectify: bool,
        weight: usize,
    },
    Dropout,
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
        let len = |value: usize| graph.shape(Value(value)).iter().product::<usize>();
        let mut plan = Self { steps: Vec::new(), lens: vec![0; layers.len() + 1] };
        plan.lens[0] = len(0);
        // Where each value really lies: a flattened image is the image itself.
        let mut places: Vec<usize> = vec![0];
        for (i, layer) in layers.iter().enumerate() {
            let (input, value) = (places[layer.input.0], Value(i + 1));
            let rectify = |activation| activation == Activation::Relu;
            let (action, output) = match (layer.op, layer.weight) {
                (Op::Conv2d { geometry, activation }, Some(weight)) => {
                    let pooled = rectify(activation) && pools_next(graph, value);
                    let action = Action::Conv2d { geometry, rectify: rectify(activation), pooled, weight };
                    (action, i + 1 + usize::from(pooled))
                }
                (Op::Dense { activation }, Some(weight)) => {
                    let (inputs, outputs) = (len(layer.input.0), len(i + 1));
                    (Action::Dense { inputs, outputs, rectify: rectify(activation), weight }, i + 1)
                }
                (Op::MaxPool2d { .. }, _) if input == i + 1 => {
                    // Done by the convolution.
                    places.push(input);
                    continue;
                }
                (Op::Dropout, _) if training => (Action::Dropout, i + 1),
                _ => {
                    places.push(input);
                    continue;
                }
            };
            plan.steps.push(Step { action, input, output });
            plan.lens[output] = len(output);
            places.push(output);
        }
        plan
    }
}

/// Whether the layer after `value` pools it in 2×2 windows, and nothing else reads it.
fn pools_next(graph: &Graph, value: Value) -> bool {
    let readers: Vec<_> = graph.layers().iter().enumerate().filter(|(_, layer)| layer.input == value).collect();
    matches!(readers[..], [(at, layer)] if at == value.0 && layer.op == Op::MaxPool2d { window: 2 })
}
