//! From the layers of a network to the nodes of an ONNX graph.

use super::message::{AttributeProto, NodeProto, TensorProto};
use crate::error::Result;
use crate::kernels::windows::Windows;
use crate::nn::{Activation, Graph, Layer, Op, ParameterSpec, Weights};

/// What is made of a network: the graph without its inputs and outputs.
pub struct Nodes {
    pub nodes: Vec<NodeProto>,
    pub initializers: Vec<TensorProto>,
}

/// Where a layer's output is in the ONNX graph.
#[derive(Clone)]
struct Output {
    name: String,
    /// Whether it is `[n, values]` rather than `[n, c, h, w]`.
    flat: bool,
}

/// The nodes of `graph` with its weights as they come out of a file, from the value `image` to the value `logits`.
///
/// # Errors
/// Those of [`Frozen::new`](crate::nn::Frozen::new): both take the same weights.
pub fn nodes(graph: &Graph, weights: Weights, [image, logits]: [&str; 2]) -> Result<Nodes> {
    let mut builder = Builder { parameters: graph.parameters(), weights, nodes: Vec::new(), initializers: Vec::new() };
    let mut outputs = vec![Output { name: image.to_owned(), flat: false }];
    for layer in graph.layers() {
        let output = builder.layer(layer, &outputs)?;
        outputs.push(output);
    }
    let Builder { weights, mut nodes, initializers, .. } = builder;
    weights.finish()?;
    let last = nodes.last_mut().expect("a network has layers");
    last.output = vec![logits.to_owned()];
    Ok(Nodes { nodes, initializers })
}

struct Builder<'a> {
    parameters: &'a [ParameterSpec],
    weights: Weights,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Builder<'_> {
    fn layer(&mut self, layer: &Layer, outputs: &[Output]) -> Result<Output> {
        let name = layer.name.as_str();
        let input = outputs[layer.input.0].clone();
        match layer.op {
            Op::Conv2d { geometry, norm, activation, at } => {
                let [_, _, height, width] = geometry.weight();
                let windows = sliding([height, width], geometry.stride(), [geometry.padding(); 4]);
                self.convolution(name, &input, (windows, 1), (norm, activation), at)
            }
            Op::Depthwise { windows, norm, activation, at } => {
                self.convolution(name, &input, (attributes(&windows), windows.channels()), (norm, activation), at)
            }
            Op::Dense { activation, at } => {
                let input = self.flat(name, input);
                let sums = self.dense(name, &input.name, at)?;
                Ok(self.activated(name, Output { name: sums, flat: true }, activation))
            }
            Op::Add { other, activation } => {
                let other = &outputs[other.0];
                assert_eq!(input.flat, other.flat, "{name} adds values of different shapes");
                let sum = self.node("Add", name, &[&input.name, &other.name], Vec::new());
                Ok(self.activated(name, Output { name: sum, flat: input.flat }, activation))
            }
            Op::MaxPool2d { windows } => {
                let output = self.node("MaxPool", name, &[&input.name], attributes(&windows));
                Ok(Output { name: output, flat: false })
            }
            Op::AveragePool => {
                let output = self.node("GlobalAveragePool", name, &[&input.name], Vec::new());
                Ok(Output { name: output, flat: false })
            }
            Op::Flatten => Ok(self.flat(name, input)),
            // In use it does nothing.
            Op::Dropout => Ok(input),
        }
    }

    /// A node with one output, called as the node; returns that name.
    fn node(&mut self, op: &str, name: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        self.nodes.push(NodeProto {
            input: inputs.iter().copied().map(String::from).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute,
        });
        name.to_owned()
    }

    /// A constant under its own name; returns the name.
    fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.initializers.push(TensorProto::floats(name, shape, values));
        name.to_owned()
    }

    /// The parameter at `at` as a constant under its name in the file.
    fn parameter(&mut self, at: usize) -> Result<String> {
        let ParameterSpec { name, shape, .. } = &self.parameters[at];
        let values = self.weights.take(name, shape)?;
        Ok(self.constant(name, shape, &values))
    }

    /// `input` with one row an image, in PyTorch's order of flattening, which is ONNX's too.
    fn flat(&mut self, name: &str, input: Output) -> Output {
        if input.flat {
            return input;
        }
        let name = format!("{name}.flat");
        Output { name: self.node("Flatten", &name, &[&input.name], vec![AttributeProto::int("axis", 1)]), flat: true }
    }

    /// The output of `name` after what follows its sum. Its node has the layer's name, the clamp a longer one.
    fn activated(&mut self, name: &str, sum: Output, activation: Activation) -> Output {
        let clamped = format!("{name}.activation");
        let name = match activation {
            Activation::Linear => return sum,
            Activation::Relu => self.node("Relu", &clamped, &[&sum.name], Vec::new()),
            Activation::Relu6 => {
                let [low, high] = [("min", 0.0), ("max", 6.0)]
                    .map(|(end, value)| self.constant(&format!("{clamped}.{end}"), &[], &[value]));
                self.node("Clip", &clamped, &[&sum.name, &low, &high], Vec::new())
            }
        };
        Output { name, flat: sum.flat }
    }

    fn convolution(
        &mut self,
        name: &str,
        input: &Output,
        (mut attributes, groups): (Vec<AttributeProto>, usize),
        (norm, activation): (Option<f32>, Activation),
        at: usize,
    ) -> Result<Output> {
        assert!(!input.flat, "{name} slides over an image");
        attributes.push(AttributeProto::int("group", groups));
        let weight = self.parameter(at)?;
        let folded = norm.and_then(|_| self.weights.folded_bias(&weight));
        let bias = match (norm, folded) {
            (None, _) => Some(self.parameter(at + 1)?),
            (Some(_), Some(bias)) => {
                let shape = &self.parameters[at + 1].shape;
                let values = self.weights.take(&bias, shape)?;
                Some(self.constant(&bias, shape, &values))
            }
            (Some(_), None) => None,
        };
        let normalised = norm.filter(|_| bias.is_none());
        let inputs: Vec<&str> = [input.name.as_str(), &weight].into_iter().chain(bias.as_deref()).collect();
        let mut sums = self.node("Conv", name, &inputs, attributes);
        if let Some(epsilon) = normalised {
            let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|i| self.parameter(at + i));
            let inputs = [sums.as_str(), &gamma?, &beta?, &mean?, &variance?];
            let epsilon = vec![AttributeProto::float("epsilon", epsilon)];
            sums = self.node("BatchNormalization", &format!("{name}.norm"), &inputs, epsilon);
        }
        Ok(self.activated(name, Output { name: sums, flat: false }, activation))
    }

    /// A dense layer, or two in a row where its weight is in the file as two factors; returns the last one's output.
    fn dense(&mut self, name: &str, input: &str, at: usize) -> Result<String> {
        let spec = &self.parameters[at];
        let transposed = || vec![AttributeProto::int("transB", 1)];
        let Some(([u, v], rank)) = self.weights.factors(&spec.name) else {
            let [weight, bias] = [self.parameter(at)?, self.parameter(at + 1)?];
            return Ok(self.node("Gemm", name, &[input, &weight, &bias], transposed()));
        };
        let [outputs, inputs] = [spec.shape[0], spec.shape[1]];
        let mut factor = |factor: &str, shape: [usize; 2]| {
            let values = self.weights.take(factor, &shape)?;
            Ok(self.constant(factor, &shape, &values))
        };
        let (right, left) = (factor(&v, [rank, inputs])?, factor(&u, [outputs, rank])?);
        let bias = self.parameter(at + 1)?;
        let between = self.node("Gemm", &format!("{name}.v"), &[input, &right], transposed());
        Ok(self.node("Gemm", name, &[&between, &left, &bias], transposed()))
    }
}

fn attributes(windows: &Windows) -> Vec<AttributeProto> {
    let padding = windows.padding();
    sliding(windows.kernel(), windows.stride(), [padding.top, padding.left, padding.bottom, padding.right])
}

/// What convolution and pooling share; `padding` begins with what is before rows and columns.
fn sliding(kernel: [usize; 2], stride: usize, padding: [usize; 4]) -> Vec<AttributeProto> {
    vec![
        AttributeProto::ints("kernel_shape", &kernel),
        AttributeProto::ints("strides", &[stride; 2]),
        AttributeProto::ints("pads", &padding),
    ]
}
