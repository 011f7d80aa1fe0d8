//! Dropout with a seed of its own: candle's draws from a generator that cannot be seeded.

use candle_core::Tensor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::Result;

/// Sets a share of the activations to zero while training and scales the rest up, so that sums keep their mean.
///
/// # Source
/// Srivastava et al., JMLR 15 (2014), in the "inverted" form.
#[derive(Debug)]
pub struct Dropout {
    rate: f32,
    rng: ChaCha8Rng,
}

impl Dropout {
    /// Dropping `rate` of the activations, in `[0, 1)`; `stream` (the step, say) gives other masks from the same seed.
    pub fn new(rate: f32, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { rate, rng }
    }

    /// The input with a fresh mask applied; the input itself where the rate is 0.
    ///
    /// # Errors
    /// Those of the product.
    pub fn apply(&mut self, input: &Tensor) -> Result<Tensor> {
        if self.rate == 0.0 {
            return Ok(input.clone());
        }
        let keep = 1.0 / (1.0 - self.rate);
        let draw = |_| if self.rng.random::<f32>() < self.rate { 0.0 } else { keep };
        let mask: Vec<f32> = (0..input.elem_count()).map(draw).collect();
        Ok((input * Tensor::from_vec(mask, input.shape(), input.device())?)?)
    }
}
