//! The tutorial's network, trained from scratch: two convolutions, two dense layers, 27,613,122 parameters.
//!
//! Conv 32 5×5 ReLU → MaxPool 2×2 → Conv 64 5×5 ReLU → MaxPool 2×2 → Flatten → Dense 512 ReLU → Dense k, softmax outside;
//! "valid" padding, stride 1, Glorot-uniform weights, zero biases. 99.8 % of the parameters sit in the first dense layer.
//!
//! Names and the flatten order (c, h, w) are PyTorch's, so that weights can be exchanged with it.

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

use super::{LayerSummary, Model};
use crate::error::{Error, Result};
use crate::kernels::channels_last::{Prepared, turned, turned_back};
use crate::kernels::conv_pool::pooled_len;
use crate::kernels::conv2d::Conv2dGeometry;
use crate::kernels::custom_op::with_values;
use crate::nn::{Activation, Conv2d, Dense, Dropout};

const CHANNELS: usize = 3;
const FILTERS: [usize; 2] = [32, 64];
const KERNEL: usize = 5;
/// Side and stride of the pooling windows, those of [`Conv2d::forward_pooled`].
const POOL: usize = 2;
const HIDDEN: usize = 512;

/// See the head of this file.
pub struct ScratchCnn {
    conv1: Conv2d,
    conv2: Conv2d,
    dense1: Dense,
    dense2: Dense,
}

/// Side of the feature maps after each convolution and each pooling, for images of `side`.
fn sides(side: usize) -> Option<[usize; 4]> {
    let conv = |side: usize| (side + 1).checked_sub(KERNEL).filter(|&s| s >= POOL);
    let first = conv(side)?;
    let second = conv(first / POOL)?;
    Some([first, first / POOL, second, second / POOL])
}

fn too_small(side: usize) -> Error {
    Error::Config { field: "image size", reason: format!("{side} px is too small for this network") }
}

impl ScratchCnn {
    /// Side of the images in the tutorial, in pixels.
    pub const SIDE: usize = 128;

    /// Builds the network for images of `side` × `side`; the tutorial's is [`SIDE`](Self::SIDE), tests use smaller ones.
    ///
    /// # Errors
    /// [`Error::Config`] when the images are too small for two rounds of convolution and pooling;
    /// [`Error::TensorMissing`] and [`Error::TensorShape`] for weights that do not fit.
    pub fn new(vb: VarBuilder<'_>, side: usize, classes: usize) -> Result<Self> {
        let Some([.., last]) = sides(side) else {
            return Err(too_small(side));
        };
        let flat = FILTERS[1] * last * last;
        Ok(Self {
            conv1: Conv2d::new(vb.pp("conv1"), [CHANNELS, FILTERS[0]], KERNEL, 1, Activation::Relu)?,
            conv2: Conv2d::new(vb.pp("conv2"), [FILTERS[0], FILTERS[1]], KERNEL, 1, Activation::Relu)?,
            dense1: Dense::new(vb.pp("dense1"), [flat, HIDDEN], Activation::Relu)?,
            dense2: Dense::new(vb.pp("dense2"), [HIDDEN, classes], Activation::Linear)?,
        })
    }

    /// The layers with their output shapes and parameters.
    pub fn summary(classes: usize) -> Vec<LayerSummary> {
        let Some([a, b, c, d]) = sides(Self::SIDE) else { return Vec::new() };
        let [first, second] = FILTERS;
        let flat = second * d * d;
        let conv = |inputs: usize, outputs: usize| (inputs * KERNEL * KERNEL + 1) * outputs;
        [
            ("conv1", "Conv2d, ReLU", vec![first, a, a], conv(CHANNELS, first)),
            ("pool1", "MaxPool2d", vec![first, b, b], 0),
            ("conv2", "Conv2d, ReLU", vec![second, c, c], conv(first, second)),
            ("pool2", "MaxPool2d", vec![second, d, d], 0),
            ("flatten", "Flatten", vec![flat], 0),
            ("dense1", "Dense, ReLU", vec![HIDDEN], (flat + 1) * HIDDEN),
            ("dense2", "Dense, softmax", vec![classes], (HIDDEN + 1) * classes),
        ]
        .map(|(name, kind, output, parameters)| LayerSummary {
            name: name.into(),
            kind: kind.into(),
            output,
            parameters,
        })
        .into()
    }

    /// What the first dense layer sees, `[n, 53824]` for the tutorial's images.
    ///
    /// # Errors
    /// When the images have other dimensions than the network was built for.
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        let x = self.conv2.forward_pooled(&self.conv1.forward_pooled(images)?)?;
        Ok(x.flatten_from(1)?)
    }
}

/// The same network with weights that no longer change: its convolutions are prepared once, and run with channels last.
pub struct FrozenScratchCnn {
    conv1: Prepared,
    conv2: Prepared,
    side: usize,
    dense1: Dense,
    dense2: Dense,
}

impl FrozenScratchCnn {
    /// Takes the weights of `network`, built for images of `side` × `side`.
    ///
    /// # Errors
    /// When a weight is not an f32 tensor on the CPU.
    pub fn new(network: ScratchCnn, side: usize) -> Result<Self> {
        let [first, second] = Self::geometries(1, side).ok_or_else(|| too_small(side))?;
        let ScratchCnn { conv1, conv2, dense1, dense2 } = network;
        Ok(Self { conv1: conv1.prepared(&first)?, conv2: conv2.prepared(&second)?, side, dense1, dense2 })
    }

    /// Shapes of the two convolutions over `batch` images.
    fn geometries(batch: usize, side: usize) -> Option<[Conv2dGeometry; 2]> {
        let [_, pooled, ..] = sides(side)?;
        let [one, two] = FILTERS;
        let kernel = |inputs, outputs| [outputs, inputs, KERNEL, KERNEL];
        let first = Conv2dGeometry::new([batch, CHANNELS, side, side], kernel(CHANNELS, one), 1)?;
        Some([first, Conv2dGeometry::new([batch, one, pooled, pooled], kernel(one, two), 1)?])
    }
}

impl Model for FrozenScratchCnn {
    fn forward_t(&self, images: &Tensor, _: Option<&mut Dropout>) -> Result<Tensor> {
        let (n, channels, height, width) = images.dims4()?;
        let taken = (CHANNELS, self.side, self.side);
        if (channels, height, width) != taken {
            let expected = n * CHANNELS * self.side * self.side;
            return Err(Error::BufferLength { expected, found: images.elem_count() });
        }
        let [first, second] = Self::geometries(n, self.side).ok_or_else(|| too_small(self.side))?;
        let pixels = with_values(images, |images| turned(images, CHANNELS, [1, height * width]))?;
        let mut middle = vec![0.0; pooled_len(&first)];
        self.conv1.forward_pooled(&first, &pixels, &mut middle, None);
        let mut last = vec![0.0; pooled_len(&second)];
        self.conv2.forward_pooled(&second, &middle, &mut last, None);
        // The dense layer's weights are for (c, h, w), PyTorch's order.
        let mut features = vec![0.0; last.len()];
        turned_back(&last, FILTERS[1], [1, last.len() / n / FILTERS[1]], &mut features);
        let features = Tensor::from_vec(features, (n, last.len() / n), &Device::Cpu)?;
        self.dense2.forward(&self.dense1.forward(&features)?)
    }
}

impl Model for ScratchCnn {
    fn forward_t(&self, images: &Tensor, dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let hidden = self.dense1.forward(&self.features(images)?)?;
        let hidden = match dropout {
            Some(dropout) => dropout.apply(&hidden)?,
            None => hidden,
        };
        self.dense2.forward(&hidden)
    }
}

#[cfg(test)]
mod tests {
    use crate::models::Architecture;

    #[test]
    fn has_the_tutorials_parameter_count() {
        // 2,432 + 51,264 + 27,558,400 + 1,026, from the published layer summary.
        let counts: Vec<_> = Architecture::ScratchCnn.summary(2).iter().map(|l| l.parameters).collect();
        assert_eq!(counts, [2_432, 0, 51_264, 0, 0, 27_558_400, 1_026]);
        assert_eq!(Architecture::ScratchCnn.parameters(2), 27_613_122);
    }
}
