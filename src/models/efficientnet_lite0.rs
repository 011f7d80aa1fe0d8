//! EfficientNet-Lite0: Tan and Le, arXiv:1905.11946, table 1, without squeeze-and-excitation and with ReLU6, as released
//! for mobile use in 2020. Names and padding are those of timm's `efficientnet_lite0`, whose weights load as they are.

use super::inverted_residual::{Block, inverted_residual};
use super::normalised::{Names, convolution};
use crate::error::Result;
use crate::nn::{Activation, Graph};

/// Expansion, channels, blocks, first stride and kernel of each stage.
const STAGES: [[usize; 5]; 7] = [
    [1, 16, 1, 1, 3],
    [6, 24, 2, 2, 3],
    [6, 40, 2, 2, 5],
    [6, 80, 3, 2, 3],
    [6, 112, 3, 1, 5],
    [6, 192, 4, 2, 5],
    [6, 320, 1, 1, 3],
];
const STEM: usize = 32;
const HEAD: usize = 1280;

/// The network for images of `side` × `side`.
///
/// # Errors
/// [`Error::Config`](crate::error::Error::Config) when the images are too small.
pub fn efficientnet_lite0(side: usize, classes: usize) -> Result<Graph> {
    let mut net = Graph::new([3, side, side]);
    let image = net.image();
    let pair = |conv: &str, norm: &str| -> Names { [conv.to_owned(), norm.to_owned()] };
    let mut x = convolution(&mut net, &pair("conv_stem", "bn1"), image, [STEM, 3, 2], Activation::Relu6)?;
    let mut channels = STEM;
    for (stage, [expansion, filters, blocks, first, kernel]) in STAGES.into_iter().enumerate() {
        for block in 0..blocks {
            let part =
                |conv: &str, norm: &str| -> Names { [conv, norm].map(|part| format!("blocks.{stage}.{block}.{part}")) };
            // Without a widening convolution the narrowing one is called what that would be, and normalisations count
            // from the first.
            let names = if expansion > 1 {
                [part("conv_pw", "bn1"), part("conv_dw", "bn2"), part("conv_pwl", "bn3")]
            } else {
                [part("", ""), part("conv_dw", "bn1"), part("conv_pw", "bn2")]
            };
            let stride = if block == 0 { first } else { 1 };
            x = inverted_residual(&mut net, &names, (x, channels), Block { expansion, filters, kernel, stride })?;
            channels = filters;
        }
    }
    x = convolution(&mut net, &pair("conv_head", "bn2"), x, [HEAD, 1, 1], Activation::Relu6)?;
    x = net.average_pool("global_pool", x);
    x = net.dropout("drop", x);
    net.dense("classifier", x, classes, Activation::Linear);
    Ok(net)
}
