//! What a network is: layers, what each of them reads, and the weights that they have.

use super::parameter::{Initial, Order, ParameterSpec};
use crate::error::{Error, Result};
use crate::kernels::clamp::Clamp;
use crate::kernels::conv2d::Conv2dGeometry;
use crate::kernels::windows::{Padding, Windows};

/// What follows a layer's sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// `max(0, x)`.
    Relu,
    /// `min(max(0, x), 6)`.
    Relu6,
}

impl Activation {
    pub(super) fn clamp(self) -> Clamp {
        match self {
            Self::Linear => Clamp::NONE,
            Self::Relu => Clamp::RELU,
            Self::Relu6 => Clamp::RELU6,
        }
    }
}

/// The output of a layer, or the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value(pub(crate) usize);

/// A batch normalisation that follows a convolution, with its name in weights files.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm<'a> {
    /// Name, such as `layer1.0.bn1`.
    pub name: &'a str,
    /// Added to the variance.
    pub epsilon: f32,
}

/// A convolution: with a batch normalisation and no bias, or with a bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2d<'a> {
    /// Channels of the output; a depthwise convolution has those of its input.
    pub filters: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Pixels between the windows.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
    /// What follows the sum.
    pub norm: Option<Norm<'a>>,
    /// What follows that.
    pub activation: Activation,
}

impl Conv2d<'_> {
    /// Without padding, stride 1, with a bias and a rectifier: the layer of the first convolutional networks.
    pub fn valid(filters: usize, kernel: usize) -> Self {
        Self { filters, kernel, stride: 1, padding: 0, norm: None, activation: Activation::Relu }
    }
}

/// What a layer does. `at` is the place of its weight among the graph's parameters. What follows it there is the bias,
/// or, where `norm` gives an epsilon, gamma, beta, running mean and running variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Op {
    Conv2d { geometry: Conv2dGeometry, norm: Option<f32>, activation: Activation, at: usize },
    Depthwise { windows: Windows, norm: Option<f32>, activation: Activation, at: usize },
    Dense { activation: Activation, at: usize },
    Add { other: Value, activation: Activation },
    MaxPool2d { windows: Windows },
    AveragePool,
    Flatten,
    Dropout,
}

impl Op {
    /// How many parameters the layer has, and where they begin.
    fn parameters(self) -> std::ops::Range<usize> {
        match self {
            Self::Conv2d { norm: Some(_), at, .. } | Self::Depthwise { norm: Some(_), at, .. } => at..at + 5,
            Self::Conv2d { at, .. } | Self::Depthwise { at, .. } | Self::Dense { at, .. } => at..at + 2,
            _ => 0..0,
        }
    }
}

impl Op {
    /// Whether it pools windows of 2×2 side by side.
    pub fn pools_in_fours(self) -> bool {
        matches!(self, Self::MaxPool2d { windows } if windows.side_by_side(2))
    }
}

/// A layer of a [`Graph`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layer {
    pub name: String,
    pub op: Op,
    pub input: Value,
    /// `[h, w, c]`; a row of values is `[1, 1, c]`.
    pub output: [usize; 3],
}

impl Layer {
    /// Whether the layer reads `value`.
    pub fn reads(&self, value: Value) -> bool {
        self.input == value || matches!(self.op, Op::Add { other, .. } if other == value)
    }
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

    /// Weight `[filters, c, kernel, kernel]`, called `name.weight`, and `name.bias` or what the normalisation has.
    ///
    /// # Errors
    /// [`Error::Config`] when the kernel is larger than what it slides over.
    pub fn conv2d(&mut self, name: &str, input: Value, layer: Conv2d<'_>) -> Result<Value> {
        let [height, width, channels] = self.shape(input);
        let Conv2d { filters, kernel, stride, padding, norm, activation } = layer;
        let shape = [filters, channels, kernel, kernel];
        let geometry = Conv2dGeometry::padded([1, channels, height, width], shape, stride, padding);
        let geometry = geometry.ok_or_else(|| too_small(self.input))?;
        let area = kernel * kernel;
        let order = Order::Kernel { outputs: filters, inputs: channels, taps: area };
        let at = self.weights(name, shape.into(), [channels * area, filters * area], order, norm);
        let output = [geometry.out_height(), geometry.out_width(), filters];
        let op = Op::Conv2d { geometry, norm: norm.map(|norm| norm.epsilon), activation, at };
        Ok(self.push(name, op, input, output))
    }

    /// A convolution of each channel by itself: weight `[c, 1, kernel, kernel]`, else as [`conv2d`](Self::conv2d).
    ///
    /// # Errors
    /// [`Error::Config`] when the kernel is larger than what it slides over.
    pub fn depthwise(&mut self, name: &str, input: Value, layer: Conv2d<'_>) -> Result<Value> {
        let [height, width, channels] = self.shape(input);
        let Conv2d { kernel, stride, padding, norm, activation, .. } = layer;
        let windows = Windows::new([1, height, width, channels], [kernel; 2], stride, Padding::even(padding));
        let windows = windows.ok_or_else(|| too_small(self.input))?;
        let area = kernel * kernel;
        let order = Order::Kernel { outputs: channels, inputs: 1, taps: area };
        let at = self.weights(name, vec![channels, 1, kernel, kernel], [area, area], order, norm);
        let output = [windows.out_height(), windows.out_width(), channels];
        let op = Op::Depthwise { windows, norm: norm.map(|norm| norm.epsilon), activation, at };
        Ok(self.push(name, op, input, output))
    }

    /// The sum of two values of the same shape.
    ///
    /// # Panics
    /// When the shapes differ: that is a mistake in the network's description.
    pub fn add(&mut self, name: &str, [input, other]: [Value; 2], activation: Activation) -> Value {
        let output = self.shape(input);
        assert_eq!(output, self.shape(other), "{name} adds values of different shapes");
        self.push(name, Op::Add { other, activation }, input, output)
    }

    /// The maximum of each square of `window` pixels, `stride` apart; `padding` around the image never wins.
    ///
    /// # Errors
    /// [`Error::Config`] when not even one window fits.
    pub fn max_pool2d(
        &mut self,
        name: &str,
        input: Value,
        window: usize,
        stride: usize,
        padding: usize,
    ) -> Result<Value> {
        let [height, width, channels] = self.shape(input);
        let windows = Windows::new([1, height, width, channels], [window; 2], stride, Padding::even(padding));
        let windows = windows.ok_or_else(|| too_small(self.input))?;
        let output = [windows.out_height(), windows.out_width(), channels];
        Ok(self.push(name, Op::MaxPool2d { windows }, input, output))
    }

    /// The mean of each channel over the whole image.
    pub fn average_pool(&mut self, name: &str, input: Value) -> Value {
        let [_, _, channels] = self.shape(input);
        self.push(name, Op::AveragePool, input, [1, 1, channels])
    }

    /// All values of an image in one row.
    pub fn flatten(&mut self, name: &str, input: Value) -> Value {
        self.push(name, Op::Flatten, input, self.shape(input))
    }

    /// Drops a share of the values while training, which the training run decides on.
    pub fn dropout(&mut self, name: &str, input: Value) -> Value {
        self.push(name, Op::Dropout, input, self.shape(input))
    }

    /// Weight `[outputs, inputs]` and bias `[outputs]`, called `name.weight` and `name.bias`.
    ///
    /// The inputs are counted as PyTorch flattens, `(c, h, w)`.
    pub fn dense(&mut self, name: &str, input: Value, outputs: usize, activation: Activation) -> Value {
        let [height, width, channels] = self.shape(input);
        let inputs = height * width * channels;
        let order = Order::Dense { outputs, channels, pixels: height * width };
        let at = self.weights(name, vec![outputs, inputs], [inputs, outputs], order, None);
        self.push(name, Op::Dense { activation, at }, input, [1, 1, outputs])
    }

    fn push(&mut self, name: &str, op: Op, input: Value, output: [usize; 3]) -> Value {
        self.layers.push(Layer { name: name.to_owned(), op, input, output });
        Value(self.layers.len())
    }

    /// A weight and what goes with it; returns its place.
    fn weights(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        fans: [usize; 2],
        order: Order,
        norm: Option<Norm<'_>>,
    ) -> usize {
        let (at, outputs) = (self.parameters.len(), shape[0]);
        let initial = Initial::glorot_uniform(fans);
        self.parameters.push(ParameterSpec { name: format!("{name}.weight"), shape, initial, order, trained: true });
        let mut vector = |name: String, initial, trained| {
            self.parameters.push(ParameterSpec { name, shape: vec![outputs], initial, order: Order::Same, trained });
        };
        match norm {
            None => vector(format!("{name}.bias"), Initial::Zeros, true),
            Some(Norm { name, .. }) => {
                vector(format!("{name}.weight"), Initial::Ones, true);
                vector(format!("{name}.bias"), Initial::Zeros, true);
                vector(format!("{name}.running_mean"), Initial::Zeros, false);
                vector(format!("{name}.running_var"), Initial::Ones, false);
            }
        }
        at
    }

    /// Dimensions of one image's `value`, `[h, w, c]`.
    pub(super) fn shape(&self, value: Value) -> [usize; 3] {
        value.0.checked_sub(1).map_or(self.input, |layer| self.layers[layer].output)
    }

    /// The layers in their order; the output of layer `i` is value `i + 1`.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Dimensions of one image, `[channels, height, width]`.
    pub fn input(&self) -> [usize; 3] {
        let [height, width, channels] = self.input;
        [channels, height, width]
    }

    /// Names and shapes of the convolutions over all channels, for one image.
    pub fn convolutions(&self) -> impl Iterator<Item = (&str, Conv2dGeometry)> {
        self.layers.iter().filter_map(|layer| match layer.op {
            Op::Conv2d { geometry, .. } => Some((layer.name.as_str(), geometry)),
            _ => None,
        })
    }

    /// Names and shapes of the convolutions of each channel by itself, for one image.
    pub fn depthwise_convolutions(&self) -> impl Iterator<Item = (&str, Windows)> {
        self.layers.iter().filter_map(|layer| match layer.op {
            Op::Depthwise { windows, .. } => Some((layer.name.as_str(), windows)),
            _ => None,
        })
    }

    /// Logits of one image.
    pub fn outputs(&self) -> usize {
        self.shape(Value(self.layers.len())).iter().product()
    }

    /// Whether the parameter called `name` belongs to the last layer, the one whose outputs are the classes.
    pub fn is_last(&self, name: &str) -> bool {
        let last = self.layers.last().map_or("", |layer| layer.name.as_str());
        name.strip_prefix(last).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The weights, in the order of the layers.
    pub fn parameters(&self) -> &[ParameterSpec] {
        &self.parameters
    }

    /// Values of all parameters, running statistics among them.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(ParameterSpec::len).sum()
    }

    /// The layers with their output shapes and parameters. Dropout, which a run has or has not, is no layer of its own.
    pub fn summary(&self) -> Vec<LayerSummary> {
        let layers = self.layers.iter().enumerate().filter(|(_, layer)| layer.op != Op::Dropout);
        layers
            .map(|(i, layer)| {
                let [height, width, channels] = layer.output;
                let row = matches!(layer.op, Op::Flatten | Op::AveragePool | Op::Dense { .. });
                let activated = |kind: &str, activation| match activation {
                    Activation::Relu => format!("{kind}, ReLU"),
                    Activation::Relu6 => format!("{kind}, ReLU6"),
                    Activation::Linear if i + 1 == self.layers.len() => format!("{kind}, softmax"),
                    Activation::Linear => kind.to_owned(),
                };
                let kind = match layer.op {
                    Op::Conv2d { activation, norm: None, .. } => activated("Conv2d", activation),
                    Op::Conv2d { activation, .. } => activated("Conv2d, BatchNorm", activation),
                    Op::Depthwise { activation, norm: None, .. } => activated("DepthwiseConv2d", activation),
                    Op::Depthwise { activation, .. } => activated("DepthwiseConv2d, BatchNorm", activation),
                    Op::Dense { activation, .. } => activated("Dense", activation),
                    Op::Add { activation, .. } => activated("Add", activation),
                    Op::MaxPool2d { .. } => "MaxPool2d".to_owned(),
                    Op::AveragePool => "GlobalAveragePool2d".to_owned(),
                    Op::Flatten => "Flatten".to_owned(),
                    Op::Dropout => "Dropout".to_owned(),
                };
                LayerSummary {
                    name: layer.name.clone(),
                    kind,
                    output: if row { vec![height * width * channels] } else { vec![channels, height, width] },
                    parameters: self.parameters[layer.op.parameters()].iter().map(ParameterSpec::len).sum(),
                }
            })
            .collect()
    }
}

fn too_small([height, width, _]: [usize; 3]) -> Error {
    Error::Config { field: "image size", reason: format!("{width}×{height} px is too small for this network") }
}
