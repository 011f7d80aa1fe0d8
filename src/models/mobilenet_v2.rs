//! MobileNetV2: Sandler et al., arXiv:1801.04381, table 2. Names are torchvision's, whose weights load as they are.

use super::inverted_residual::{Block, inverted_residual};
use super::normalised::{Names, convolution};
use crate::error::Result;
use crate::nn::{Activation, Graph};

/// Expansion, channels, blocks and first stride of each stage.
const STAGES: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];
const STEM: usize = 32;
const HEAD: usize = 1280;

/// The network for images of `side` × `side`.
///
/// # Errors
/// [`Error::Config`](crate::error::Error::Config) when the images are too small.
pub fn mobilenet_v2(side: usize, classes: usize) -> Result<Graph> {
    let mut net = Graph::new([3, side, side]);
    let image = net.image();
    let pair = |conv: String, norm: String| -> Names { [format!("features.{conv}"), format!("features.{norm}")] };
    let mut x = convolution(&mut net, &pair("0.0".into(), "0.1".into()), image, [STEM, 3, 2], Activation::Relu6)?;
    let (mut channels, mut at) = (STEM, 1);
    for [expansion, filters, blocks, first] in STAGES {
        for block in 0..blocks {
            // Without a widening convolution the others are counted from 0.
            let each = usize::from(expansion > 1);
            let names = [
                pair(format!("{at}.conv.0.0"), format!("{at}.conv.0.1")),
                pair(format!("{at}.conv.{each}.0"), format!("{at}.conv.{each}.1")),
                pair(format!("{at}.conv.{}", each + 1), format!("{at}.conv.{}", each + 2)),
            ];
            let stride = if block == 0 { first } else { 1 };
            x = inverted_residual(&mut net, &names, (x, channels), Block { expansion, filters, kernel: 3, stride })?;
            (channels, at) = (filters, at + 1);
        }
    }
    x = convolution(&mut net, &pair(format!("{at}.0"), format!("{at}.1")), x, [HEAD, 1, 1], Activation::Relu6)?;
    x = net.average_pool("avgpool", x);
    x = net.dropout("classifier.0", x);
    net.dense("classifier.1", x, classes, Activation::Linear);
    Ok(net)
}
