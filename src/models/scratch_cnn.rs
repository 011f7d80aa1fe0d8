//! The tutorial's network, trained from scratch: two convolutions, two dense layers, 27,613,122 parameters.
//!
//! Conv 32 5×5 ReLU → MaxPool 2×2 → Conv 64 5×5 ReLU → MaxPool 2×2 → Flatten → Dense 512 ReLU → Dense k, softmax outside;
//! "valid" padding, stride 1, Glorot-uniform weights, zero biases. 99.8 % of the parameters sit in the first dense layer.
//!
//! Names and the flatten order (c, h, w) are PyTorch's, so that weights can be exchanged with it.

use crate::error::Result;
use crate::nn::{Activation, Conv2d, Graph, Value};

/// Side of the images in the tutorial, in pixels.
pub const SIDE: usize = 128;

const HIDDEN: usize = 512;

/// The network for images of `side` × `side`; the tutorial's is [`SIDE`], tests use smaller ones.
///
/// # Errors
/// [`Error::Config`](crate::error::Error::Config) when the images are too small for two rounds of convolution and
/// pooling.
pub fn scratch_cnn(side: usize, classes: usize) -> Result<Graph> {
    let (mut net, x) = features(side)?;
    let x = net.dense("dense1", x, HIDDEN, Activation::Relu);
    let x = net.dropout("dropout", x);
    net.dense("dense2", x, classes, Activation::Linear);
    Ok(net)
}

/// The network up to the sums of its first dense layer, before bias and rectifier count: what
/// [`compress`](crate::compress) looks at.
///
/// # Errors
/// As for [`scratch_cnn`].
pub fn up_to_dense1(side: usize) -> Result<Graph> {
    let (mut net, x) = features(side)?;
    net.dense("dense1", x, HIDDEN, Activation::Linear);
    Ok(net)
}

/// What the first dense layer sees, 53,824 values for the tutorial's images.
fn features(side: usize) -> Result<(Graph, Value)> {
    let mut net = Graph::new([3, side, side]);
    let mut x = net.image();
    for (round, filters) in [(1, 32), (2, 64)] {
        x = net.conv2d(&format!("conv{round}"), x, Conv2d::valid(filters, 5))?;
        x = net.max_pool2d(&format!("pool{round}"), x, 2, 2, 0)?;
    }
    let x = net.flatten("flatten", x);
    Ok((net, x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_tutorials_layers_and_parameter_counts() {
        // From the published layer summary: 2,432 + 51,264 + 27,558,400 + 1,026.
        let summary = scratch_cnn(SIDE, 2).unwrap().summary();
        let counts: Vec<_> = summary.iter().map(|layer| layer.parameters).collect();
        assert_eq!(counts, [2_432, 0, 51_264, 0, 0, 27_558_400, 1_026]);
        let shapes: Vec<_> = summary.iter().map(|layer| layer.output.as_slice()).collect();
        let expected: [&[usize]; 7] =
            [&[32, 124, 124], &[32, 62, 62], &[64, 58, 58], &[64, 29, 29], &[53_824], &[512], &[2]];
        assert_eq!(shapes, expected);
    }

    #[test]
    fn images_too_small_for_its_layers_are_refused() {
        // 16 → 12 → 6 → 2 → 1; of 15 px, 5 are left for the second kernel and 1 for the second pooling.
        assert!(scratch_cnn(16, 2).is_ok());
        for side in [0, 4, 5, 13, 15] {
            assert!(scratch_cnn(side, 2).unwrap_err().to_string().contains("too small"), "{side}");
        }
    }
}
