//! The convolution that all later networks are made of: followed by a normalisation in place of a bias.

use crate::error::Result;
use crate::nn::{Activation, Conv2d, Graph, Norm, Value};

/// What torchvision and timm add to a variance.
pub(super) const EPSILON: f32 = 1e-5;

/// A convolution's name and that of its normalisation.
pub(crate) type Names = [String; 2];

/// Filters, rows and columns of the kernel, and stride, the size kept but for the stride.
fn layer<'a>(norm: &'a str, [filters, kernel, stride]: [usize; 3], activation: Activation) -> Conv2d<'a> {
    let norm = Some(Norm { name: norm, epsilon: EPSILON });
    Conv2d { filters, kernel, stride, padding: kernel / 2, norm, activation }
}

/// A convolution `[filters, kernel, stride]` that keeps the size but for its stride.
pub(crate) fn convolution(
    net: &mut Graph,
    [name, norm]: &Names,
    x: Value,
    shape: [usize; 3],
    activation: Activation,
) -> Result<Value> {
    net.conv2d(name, x, layer(norm, shape, activation))
}

/// The same of each channel by itself, `[kernel, stride]`.
pub(crate) fn depthwise(
    net: &mut Graph,
    [name, norm]: &Names,
    (x, channels): (Value, usize),
    [kernel, stride]: [usize; 2],
    activation: Activation,
) -> Result<Value> {
    net.depthwise(name, x, layer(norm, [channels, kernel, stride], activation))
}
