//! The arithmetic that everything stands on: convolution, pooling, dense layers and optimiser steps, on slices.
//!
//! Each file holds one operation, forward first, then its gradients. [`reference`] says in plain loops what each of them
//! means and every fast version is held to it. Shapes are validated once, in a geometry type, and passed on. Nothing here
//! knows what a network is.
//!
//! Results do not depend on the number of threads: work is cut by the shape of the problem, and partial sums are added in
//! a fixed order, so that a run can be repeated bit for bit.

mod arch;
pub mod batch_norm;
pub mod clamp;
pub mod conv2d;
pub mod dense;
pub mod depthwise;
mod direct;
pub mod layout;
pub mod pool;
pub mod quantized;
pub mod reference;
mod scratch;
pub mod update;
pub mod windows;
mod winograd;

#[cfg(test)]
mod tests;
