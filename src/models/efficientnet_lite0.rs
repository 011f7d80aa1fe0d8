//! EfficientNet-Lite0: Tan and Le, arXiv:1905.11946, table 1, without squeeze-and-excitation and with ReLU6, as released
//! for mobile use in 2020. Names and padding are those of timm's `efficientnet_lite0`, whose weights load as they are.

use super::inverted_residual::{Block, inverted_residual};
use super::normalised::{Names, convolution};
use crate::error::Result;
use crate::nn::{Activation, Graph, Value};

/// Expansion, channels, blocks, first stride and kernel of each stage.
pub(super) const STAGES: [[usize; 5]; 7] = [
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
    let x = body(&mut net, &STAGES)?;
    let x = convolution(&mut net, &pair("conv_head", "bn2"), x, [HEAD, 1, 1], Activation::Relu6)?;
    head(&mut net, x, classes);
    Ok(net)
}

/// The first thirteen of its sixteen blocks for grey images of `side` × `side`, and no widening before the mean: 1.4 of
/// 3.4 million weights and 95 % of the multiplications.
///
/// What the published network has after them tells breeds of dogs apart; a film's findings are coarse, and the file is to
/// stay below 1.5 MB in eight bits. Its names are the larger one's, whose weights it starts from: the kernels of the first
/// convolution summed over the colours, for a film has the same grey in all of them.
///
/// # Errors
/// [`Error::Config`](crate::error::Error::Config) when the images are too small.
pub fn efficientnet_lite0_slim(side: usize, classes: usize) -> Result<Graph> {
    let mut net = Graph::new([1, side, side]);
    let mut stages = STAGES;
    stages[5][2] = SLIM_BLOCKS;
    let x = body(&mut net, &stages[..6])?;
    head(&mut net, x, classes);
    Ok(net)
}

/// Blocks that the slim network keeps of the sixth stage's four.
const SLIM_BLOCKS: usize = 2;

fn pair(conv: &str, norm: &str) -> Names {
    [conv.to_owned(), norm.to_owned()]
}

/// The stem and `stages`.
fn body(net: &mut Graph, stages: &[[usize; 5]]) -> Result<Value> {
    let image = net.image();
    let mut x = convolution(net, &pair("conv_stem", "bn1"), image, [STEM, 3, 2], Activation::Relu6)?;
    let mut channels = STEM;
    for (block, names) in blocks(stages) {
        x = inverted_residual(net, &names, (x, channels), block)?;
        channels = block.filters;
    }
    Ok(x)
}

/// The blocks of `stages` in their order, with the names of the layers of each.
pub(super) fn blocks(stages: &[[usize; 5]]) -> impl Iterator<Item = (Block, [Names; 3])> {
    stages.iter().enumerate().flat_map(|(stage, &[expansion, filters, blocks, first, kernel])| {
        (0..blocks).map(move |block| {
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
            (Block { expansion, filters, kernel, stride }, names)
        })
    })
}

/// Mean over the image and the layer of classes.
fn head(net: &mut Graph, x: Value, classes: usize) {
    let x = net.average_pool("global_pool", x);
    let x = net.dropout("drop", x);
    net.dense("classifier", x, classes, Activation::Linear);
}
