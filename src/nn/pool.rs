//! Max pooling layer, "valid" padding.

use candle_core::Tensor;

use crate::error::Result;
use crate::kernels::custom_op;

/// Maximum over `kernel × kernel` windows, `stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct MaxPool2d {
    /// Side of the window.
    pub kernel: usize,
    /// Distance of windows.
    pub stride: usize,
}

impl MaxPool2d {
    /// `[n, c, h, w]` to `[n, c, (h - kernel) / stride + 1, …]`.
    ///
    /// # Errors
    /// When the window does not fit.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(custom_op::max_pool2d(input, self.kernel, self.stride)?)
    }
}
