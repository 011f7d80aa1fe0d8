//! How weights start.

use candle_nn::Init;

/// Glorot's uniform distribution on `±√(6 / (fan_in + fan_out))`, Keras's default.
///
/// For a convolution the fans are channels times the kernel's area.
///
/// # Source
/// Glorot and Bengio, AISTATS 2010, eq. 16.
pub fn glorot_uniform(fan_in: usize, fan_out: usize) -> Init {
    let up = (6.0 / (fan_in + fan_out) as f64).sqrt();
    Init::Uniform { lo: -up, up }
}
