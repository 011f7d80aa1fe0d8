//! Layers over the kernels, shaped like candle-nn's: a layer is built from a `VarBuilder` and has a `forward`.
//!
//! Every one of them trains: its gradient is the kernels' own, checked by finite differences.

mod conv2d;
mod dense;
mod dropout;
mod init;
mod pool;
mod variables;

pub use conv2d::Conv2d;
pub use dense::Dense;
pub use dropout::Dropout;
pub use init::glorot_uniform;
pub use pool::MaxPool2d;
pub use variables::Variables;

/// What follows a layer's sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// `max(0, x)`.
    Relu,
}
