//! The block that MobileNetV2 and EfficientNet-Lite are made of: widen, convolve each channel by itself, narrow; and the
//! input added where the shape stays.

use crate::error::Result;
use crate::nn::{Activation, Conv2d, Graph, Norm, Value};

const EPSILON: f32 = 1e-5;

/// A convolution's name and that of its normalisation.
pub(super) type Names = [String; 2];

/// Shape of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// How many times wider than the input the block is inside; 1 has no widening convolution.
    pub expansion: usize,
    /// Channels of the output.
    pub filters: usize,
    /// Of the depthwise convolution.
    pub kernel: usize,
    /// Of the depthwise convolution.
    pub stride: usize,
}

/// A convolution that keeps the size but for its stride, its normalisation, and ReLU6 unless `activation` is another.
pub(super) fn convolution(
    net: &mut Graph,
    [name, norm]: &Names,
    x: Value,
    [filters, kernel, stride]: [usize; 3],
    activation: Activation,
) -> Result<Value> {
    let norm = Some(Norm { name: norm, epsilon: EPSILON });
    net.conv2d(name, x, Conv2d { filters, kernel, stride, padding: kernel / 2, norm, activation })
}

/// The block on `x` with `channels` channels, its three layers called as `names` says.
pub(super) fn inverted_residual(
    net: &mut Graph,
    [widen, each, narrow]: &[Names; 3],
    (x, channels): (Value, usize),
    block: Block,
) -> Result<Value> {
    let Block { expansion, filters, kernel, stride } = block;
    let mut y = x;
    if expansion > 1 {
        y = convolution(net, widen, y, [expansion * channels, 1, 1], Activation::Relu6)?;
    }
    let norm = Some(Norm { name: &each[1], epsilon: EPSILON });
    let (padding, activation) = (kernel / 2, Activation::Relu6);
    y = net.depthwise(&each[0], y, Conv2d { filters: 0, kernel, stride, padding, norm, activation })?;
    y = convolution(net, narrow, y, [filters, 1, 1], Activation::Linear)?;
    let stays = stride == 1 && filters == channels;
    Ok(if stays { net.add(&format!("{}.add", narrow[0]), [y, x], Activation::Linear) } else { y })
}
