//! Convolution layer, "valid" padding.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

use super::{Activation, glorot_uniform};
use crate::error::Result;
use crate::kernels::channels_last::Prepared;
use crate::kernels::conv2d::Conv2dGeometry;
use crate::kernels::custom_op::{self, with_values};

/// `activation(input ⋆ weight + bias)` without padding.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    activation: Activation,
}

impl Conv2d {
    /// Reads `weight` `[out, in, kernel, kernel]` and `bias` `[out]` from `vb`.
    ///
    /// # Errors
    /// [`Error::TensorMissing`](crate::error::Error::TensorMissing) or
    /// [`Error::TensorShape`](crate::error::Error::TensorShape).
    pub fn new(
        vb: VarBuilder<'_>,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        stride: usize,
        activation: Activation,
    ) -> Result<Self> {
        let area = kernel * kernel;
        let init = glorot_uniform(inputs * area, outputs * area);
        Ok(Self {
            weight: vb.get_with_hints((outputs, inputs, kernel, kernel), "weight", init)?,
            bias: vb.get_with_hints(outputs, "bias", Init::Const(0.0))?,
            stride,
            activation,
        })
    }

    /// The layer's weights as they are now, made ready for [`channels_last`](crate::kernels::channels_last), over images
    /// like those of `geometry`.
    ///
    /// # Errors
    /// When a weight is not an f32 tensor on the CPU.
    pub fn prepared(&self, geometry: &Conv2dGeometry) -> Result<Prepared> {
        let prepared =
            with_values(&self.weight, |weight| with_values(&self.bias, |bias| Prepared::new(geometry, weight, bias)));
        Ok(prepared??)
    }

    /// `[n, in, h, w]` to `[n, out, (h - kernel) / stride + 1, …]`.
    ///
    /// # Errors
    /// When the input has other channels or is smaller than the kernel.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let rectify = self.activation == Activation::Relu;
        Ok(custom_op::conv2d(input, &self.weight, &self.bias, self.stride, rectify)?)
    }

    /// [`forward`](Self::forward), then the maximum of each 2×2 window, in one pass where the activation is a rectifier.
    ///
    /// `[n, in, h, w]` to `[n, out, oh / 2, ow / 2]`.
    ///
    /// # Errors
    /// When the input has other channels or is smaller than the kernel.
    pub fn forward_pooled(&self, input: &Tensor) -> Result<Tensor> {
        match self.activation {
            Activation::Relu => Ok(custom_op::conv2d_pool(input, &self.weight, &self.bias, self.stride)?),
            Activation::Linear => Ok(custom_op::max_pool2d(&self.forward(input)?, 2, 2)?),
        }
    }
}
