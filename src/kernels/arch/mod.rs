//! The only `unsafe` code of the crate: inner loops over registers, behind entry points that check their slices once.

pub(super) mod bytes;
pub(super) mod dense;
pub(super) mod depthwise;
pub(super) mod dot_i8;
pub(super) mod lanes;
pub(super) mod pool;
pub(super) mod product;
pub(super) mod update;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm32;
pub(super) mod windowed_pool;
pub(super) mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;
