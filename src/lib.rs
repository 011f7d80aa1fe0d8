//! Roentgen classifies chest X-rays, in the browser and on the command line, and trains the networks that do so.

#[cfg(any(feature = "cli", feature = "training"))]
pub mod adapt;
#[cfg(feature = "cli")]
pub mod audit;
pub mod classifier;
#[cfg(feature = "cli")]
pub mod compress;
pub mod data;
pub mod error;
pub mod explain;
pub mod formats;
pub mod image;
pub mod kernels;
pub mod labels;
#[cfg(feature = "cli")]
pub mod lungs;
pub mod metrics;
pub mod models;
pub mod nn;
#[cfg(feature = "cli")]
pub mod onnx;
pub mod preprocess;
pub mod refusal;
pub mod train;
#[cfg(feature = "bindings")]
pub mod web;
