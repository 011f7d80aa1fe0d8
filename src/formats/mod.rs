//! A model as files: `model.json` (the card) and `weights.safetensors`, and nothing else.
//!
//! What comes out of here has been checked: a [`ModelCard`] holds values that make sense, weights are the ones the card
//! describes, and every tensor is finite. Whether they fit the architecture is for the network to say, as it
//! takes them out of the [`Weights`](crate::nn::Weights).
//!
//! The order of reading, on the command line as on the page: card → stored bytes against the card's length and SHA-256 →
//! gunzip where the card says so → safetensors → dequantised tensors.

pub mod about;
pub mod card;
#[cfg(feature = "cli")]
pub mod folder;
pub mod weights;

pub use card::{Encoding, MetricsEntry, ModelCard, WeightsInfo};
pub use weights::{Storage, Weight, read_weights, write_weights};
