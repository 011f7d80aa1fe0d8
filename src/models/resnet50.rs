//! ResNet-50: He et al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385, with the stride in the 3×3
//! convolution of a block ("v1.5"), as torchvision has it.
//!
//! Names are torchvision's, so that its published weights load as they are.

use super::normalised::convolution;
use crate::error::Result;
use crate::nn::{Activation, Graph, Value};

/// Blocks of each stage and the width of their 3×3 convolutions; a block's output is four times as wide.
const STAGES: [(usize, usize); 4] = [(3, 64), (4, 128), (6, 256), (3, 512)];
const EXPANSION: usize = 4;

/// The network for images of `side` × `side`.
///
/// # Errors
/// [`Error::Config`](crate::error::Error::Config) when the images are too small.
pub fn resnet50(side: usize, classes: usize) -> Result<Graph> {
    let mut net = Graph::new([3, side, side]);
    let mut x = net.image();
    x = convolution(&mut net, &["conv1", "bn1"].map(String::from), x, [64, 7, 2], Activation::Relu)?;
    x = net.max_pool2d("maxpool", x, 3, 2, 1)?;
    for (stage, (blocks, width)) in STAGES.into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            x = bottleneck(&mut net, &format!("layer{}.{block}", stage + 1), x, width, stride, block == 0)?;
        }
    }
    let x = net.average_pool("avgpool", x);
    net.dense("fc", x, classes, Activation::Linear);
    Ok(net)
}

/// 1×1, 3×3, 1×1, and the input added, through a convolution of its own where the shape changes.
fn bottleneck(net: &mut Graph, name: &str, x: Value, width: usize, stride: usize, changes: bool) -> Result<Value> {
    let part = |part: &str| format!("{name}.{part}");
    let mut y = x;
    for (i, (layer, activation)) in [
        ([width, 1, 1], Activation::Relu),
        ([width, 3, stride], Activation::Relu),
        ([EXPANSION * width, 1, 1], Activation::Linear),
    ]
    .into_iter()
    .enumerate()
    {
        let names = [part(&format!("conv{}", i + 1)), part(&format!("bn{}", i + 1))];
        y = convolution(net, &names, y, layer, activation)?;
    }
    let shortcut = if changes {
        let names = [part("downsample.0"), part("downsample.1")];
        let layer = [EXPANSION * width, 1, stride];
        convolution(net, &names, x, layer, Activation::Linear)?
    } else {
        x
    };
    Ok(net.add(&part("add"), [y, shortcut], Activation::Relu))
}
