//! Networks: described once as a [`Graph`] of plain layers, then run from one of two plans.
//!
//! [`Frozen`] has weights that no longer change and prepares them; [`Training`] goes forward and back and hands each
//! gradient to an optimiser the moment it is known. Both work on slices with channels last; what crosses the border,
//! images and weights, has channels first, as PyTorch and the files do. To candle they are modules: a [`Network`] and a
//! [`Learner`].

mod arena;
mod dropout;
mod folded;
mod frozen;
mod graph;
mod maps;
mod network;
mod parameter;
mod plan;
mod training;
mod weights;

pub use dropout::Dropout;
pub use folded::{folded, unfolded};
pub use frozen::{Frozen, Precision};
pub use graph::{Activation, Conv2d, Graph, LayerSummary, Norm, Value};
#[cfg(feature = "cli")]
pub(crate) use graph::{Layer, Op};
pub use maps::FeatureMaps;
pub use network::{Given, Learner, Network, rows, sure};
pub use parameter::{Initial, Order, ParameterSpec};
pub use training::Training;
pub use weights::{BESIDE, Tensor, Weights};
