//! A model as files: `model.json` (the card) and `weights.safetensors`, and nothing else. Beside them the weights that
//! others publish, in their own formats, for a training to start from.
//!
//! What comes out of here has been checked: a [`ModelCard`] holds values that make sense, weights are the ones the card
//! describes, and every tensor is finite. Whether they fit the architecture is for the network to say, as it
//! takes them out of the [`Weights`](crate::nn::Weights).
//!
//! The order of reading, on the command line as on the page: card → stored bytes against the card's length and SHA-256 →
//! gunzip where the card says so → safetensors → dequantised tensors.

pub mod about;
pub mod answer;
pub mod card;
#[cfg(feature = "cli")]
pub mod folder;
#[cfg(feature = "cli")]
mod pickle;
#[cfg(feature = "cli")]
pub mod pytorch;
pub mod weights;

pub use answer::Answer;
#[cfg(feature = "measuring")]
pub use card::MetricsEntry;
pub use card::{Encoding, ModelCard, WeightsInfo};
pub use weights::{
    Storage, Weight, in_floats, read_weights, read_weights_from, write_beside, write_in_place, write_weights,
};

/// The weights in a file that others published: safetensors, or PyTorch's `.pth` and `.pt`, whichever the content is.
///
/// Tensors of whole numbers are left out, see [`pytorch::read_state_dict`].
///
/// # Errors
/// Those of [`read_weights`] and [`pytorch::read_state_dict`].
#[cfg(feature = "cli")]
pub fn read_published(bytes: &[u8]) -> crate::error::Result<crate::nn::Weights> {
    // A safetensors file is led by the length of its header, eight bytes, and that is JSON.
    if bytes.get(8) == Some(&b'{') { weights::read_floats(bytes) } else { pytorch::read_state_dict(bytes) }
}
