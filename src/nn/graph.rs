//! What a network is: layers, what each of them reads, and the weights that they have.

use super::parameter::{Initial, Order, ParameterSpec};
use crate::error::{Error, Result};
use crate::kernels::conv2d::Conv2dGeometry;

/// What follows a layer's sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// `max(0, x)`.
    Relu,
}

/// The output of a layer, or the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value(pub(super) usize);

/// A convolution with bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Channels of the output.
    pub filters: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Pixels between the windows.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// What follows the sum.
    pub activation: Activation,
}

impl Conv2d {
    /// Without padding, stride 1, with a rectifier: the layer of the first convolutional networks.
    pub fn valid(filters: usize, kernel: usize) -> Self {
        Self { filters, kernel, stride: 1, padding: 0, activation: Activation::Relu }
    }
}

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    Conv2d {
        geometry: Conv2dGeometry,
        activation: Activation,
    },
    /// Square windows side by side.
    MaxPool2d {
        window: usize,
    },
    Flatten,
    Dropout,
    Dense {
        activation: Activation,
    },
}

/// A layer of a [`Graph`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layer {
    pub name: String,
    pub op: Op,
    pub input: Value,
    /// `[h, w, c]`; a row of values is `[1, 1, c]`.
    pub output: [usize; 3],
    /// Place of the weight among the graph's parameters, the bias being the next; none for layers without.
    pub weight: Option<usize>,
}

/// One line of a layer table, as Keras prints it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LayerSummary {
    /// Name in the network, `conv1`.
    pub name: String,
    /// Kind of layer, `Conv2d`.
    pub kind: String,
    /// Dimensions of the output without the batch, `[c, h, w]` or `[values]`.
    pub output: Vec<usize>,
    /// Weights and biases.
    pub parameters: usize,
}

/// A network: layers in an order in which they can be computed. The output of the last one are the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    input: [usize; 3],
    layers: Vec<Layer>,
    parameters: Vec<ParameterSpec>,
}

impl Graph {
    /// A network without layers for images `[channels, height, width]`.
    pub fn new([channels, height, width]: [usize; 3]) -> Self {
        Self { input: [height, width, channels], layers: Vec::new(), parameters: Vec::new() }
    }

    /// What the network is given.
    pub fn image(&self) -> Value {
        Value(0)
    }

    /// Weight `[filters, c, kernel, kernel]` and bias `[filters]`, called `name.weight` and `name.bias`.
    ///
    /// # Errors
    /// [`Error::Config`] when the kernel is larger than what it slides over.
    pub fn conv2d(&mut self, name: &str, input: Value, layer: Conv2d) -> Result<Value> {
        let [height, width, channels] = self.shape(input);
        let Conv2d { filters, kernel, stride, padding, activation } = layer;
        let weight = [filters, channels, kernel, kernel];
        let geometry = Conv2dGeometry::padded([1, channels, height, width], weight, stride, padding);
        let geometry = geometry.ok_or_else(|| too_small(self.input))?;
        let area = kernel * kernel;
        let order = Order::Kernel { outputs: filters, inputs: channels, taps: area };
        let parameter = self.weight_and_bias(name, weight.into(), [channels * area, filters * area], order);
        let output = [geometry.out_height(), geometry.out_width(), filters];
        Ok(self.push(name, Op::Conv2d { geometry, activation }, input, output, Some(parameter)))
    }

    /// The maximum of each square of `window` pixels; what does not fill one is left out.
    ///
    /// # Errors
    /// [`Error::Config`] when not even one window fits.
    pub fn max_pool2d(&mut self, name: &str, input: Value, window: usize) -> Result<Value> {
        let [height, width, channels] = self.shape(input);
        if height < window || width < window {
            return Err(too_small(self.input));
        }
        let output = [height / window, width / window, channels];
        Ok(self.push(name, Op::MaxPool2d { window }, input, output, None))
    }

    /// All values of an image in one row.
    pub fn flatten(&mut self, name: &str, input: Value) -> Value {
        let output = self.shape(input);
        self.push(name, Op::Flatten, input, output, None)
    }

    /// Drops a share of the values while training, which the training run decides on.
    pub fn dropout(&mut self, name: &str, input: Value) -> Value {
        let output = self.shape(input);
        self.push(name, Op::Dropout, input, output, None)
    }

    /// Weight `[outputs, inputs]` and bias `[outputs]`, called `name.weight` and `name.bias`.
    ///
    /// The inputs are counted as PyTorch flattens, `(c, h, w)`.
    pub fn dense(&mut self, name: &str, input: Value, outputs: usize, activation: Activation) -> Value {
        let [height, width, channels] = self.shape(input);
        let inputs = height * width * channels;
        let order = Order::Dense { outputs, channels, pixels: height * width };
        let parameter = self.weight_and_bias(name, vec![outputs, inputs], [inputs, outputs], order);
        self.push(name, Op::Dense { activation }, input, [1, 1, outputs], Some(parameter))
    }

    fn push(&mut self, name: &str, op: Op, input: Value, output: [usize; 3], weight: Option<usize>) -> Value {
        self.layers.push(Layer { name: name.to_owned(), op, input, output, weight });
        Value(self.layers.len())
    }

    fn weight_and_bias(&mut self, name: &str, shape: Vec<usize>, fans: [usize; 2], order: Order) -> usize {
        let bias = ParameterSpec {
            name: format!("{name}.bias"),
            shape: vec![shape[0]],
            initial: Initial::Zeros,
            order: Order::Same,
        };
        let initial = Initial::glorot_uniform(fans);
        self.parameters.push(ParameterSpec { name: format!("{name}.weight"), shape, initial, order });
        self.parameters.push(bias);
        self.parameters.len() - 2
    }

    /// Dimensions of one image's `value`, `[h, w, c]`.
    pub(super) fn shape(&self, value: Value) -> [usize; 3] {
        value.0.checked_sub(1).map_or(self.input, |layer| self.layers[layer].output)
    }

    /// The layer whose output is `value`.
    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Dimensions of one image, `[channels, height, width]`.
    pub fn input(&self) -> [usize; 3] {
        let [height, width, channels] = self.input;
        [channels, height, width]
    }

    /// Logits of one image.
    pub fn outputs(&self) -> usize {
        self.shape(Value(self.layers.len())).iter().product()
    }

    /// The weights, in the order of the layers.
    pub fn parameters(&self) -> &[ParameterSpec] {
        &self.parameters
    }

    /// The layers with their output shapes and parameters. Dropout, which a run has or has not, is no layer of its own.
    pub fn summary(&self) -> Vec<LayerSummary> {
        let layers = self.layers.iter().enumerate().filter(|(_, layer)| layer.op != Op::Dropout);
        layers
            .map(|(i, layer)| {
                let [height, width, channels] = layer.output;
                let row = matches!(layer.op, Op::Flatten | Op::Dense { .. });
                let activated = |kind: &str, activation| match activation {
                    Activation::Relu => format!("{kind}, ReLU"),
                    Activation::Linear if i + 1 == self.layers.len() => format!("{kind}, softmax"),
                    Activation::Linear => kind.to_owned(),
                };
                let kind = match layer.op {
                    Op::Conv2d { activation, .. } => activated("Conv2d", activation),
                    Op::MaxPool2d { .. } => "MaxPool2d".to_owned(),
                    Op::Flatten => "Flatten".to_owned(),
                    Op::Dropout => "Dropout".to_owned(),
                    Op::Dense { activation } => activated("Dense", activation),
                };
                LayerSummary {
                    name: layer.name.clone(),
                    kind,
                    output: if row { vec![height * width * channels] } else { vec![channels, height, width] },
                    parameters: layer
                        .weight
                        .map_or(0, |at| self.parameters[at..at + 2].iter().map(ParameterSpec::len).sum()),
                }
            })
            .collect()
    }
}

fn too_small([height, width, _]: [usize; 3]) -> Error {
    Error::Config { field: "image size", reason: format!("{width}×{height} px is too small for this network") }
}
