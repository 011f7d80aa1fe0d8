//! The block that MobileNetV2 and EfficientNet-Lite are made of: widen, convolve each channel by itself, narrow; and the
//! input added where the shape stays.

use super::normalised::{Names, convolution, depthwise};
use crate::error::Result;
use crate::nn::{Activation, Graph, Value};

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

/// The block on `x` with `channels` channels, its three layers called as `names` says.
pub(super) fn inverted_residual(
    net: &mut Graph,
    [widen, each, narrow]: &[Names; 3],
    (x, channels): (Value, usize),
    block: Block,
) -> Result<Value> {
    let Block { expansion, filters, kernel, stride } = block;
    let (mut y, wide) = (x, expansion * channels);
    if expansion > 1 {
        y = convolution(net, widen, y, [wide, 1, 1], Activation::Relu6)?;
    }
    y = depthwise(net, each, (y, wide), [kernel, stride], Activation::Relu6)?;
    y = convolution(net, narrow, y, [filters, 1, 1], Activation::Linear)?;
    let stays = stride == 1 && filters == channels;
    Ok(if stays { net.add(&format!("{}.add", narrow[0]), [y, x], Activation::Linear) } else { y })
}
