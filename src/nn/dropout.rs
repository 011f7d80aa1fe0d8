//! Dropout with a seed of its own.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

    /// Fills `mask` with `len` factors, 0 for what is dropped.
    pub fn draw(&mut self, len: usize, mask: &mut Vec<f32>) {
        mask.clear();
        if self.rate == 0.0 {
            return mask.resize(len, 1.0);
        }
        let keep = 1.0 / (1.0 - self.rate);
        mask.extend((0..len).map(|_| if self.rng.random::<f32>() < self.rate { 0.0 } else { keep }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 100_000;

    fn mask(rate: f32, seed: u64, stream: u64) -> Vec<f32> {
        let mut mask = Vec::new();
        Dropout::new(rate, seed, stream).draw(N, &mut mask);
        mask
    }

    #[test]
    fn the_dropped_share_is_the_rate_and_the_mean_stays() {
        for rate in [0.1_f32, 0.5, 0.9] {
            let mask = mask(rate, 1, 0);
            let keep = 1.0 / (1.0 - rate);
            assert!(mask.iter().all(|&m| m == 0.0 || m == keep));
            let dropped = mask.iter().filter(|&&m| m == 0.0).count() as f64 / N as f64;
            // A share p of n draws spreads by √(p(1-p)/n); five such spreads.
            let rate = f64::from(rate);
            let spread = (rate * (1.0 - rate) / N as f64).sqrt();
            assert!((dropped - rate).abs() < 5.0 * spread, "{dropped} dropped at rate {rate}");
            let mean = mask.iter().map(|&m| f64::from(m)).sum::<f64>() / N as f64;
            assert!((mean - 1.0).abs() < 5.0 * spread / (1.0 - rate), "mean {mean} at rate {rate}");
        }
    }

    #[test]
    fn seed_and_stream_decide_the_mask() {
        let first = mask(0.5, 1, 3);
        assert_eq!(first, mask(0.5, 1, 3));
        for other in [mask(0.5, 2, 3), mask(0.5, 1, 4)] {
            let equal = first.iter().zip(&other).filter(|(a, b)| a == b).count() as f64 / N as f64;
            // Independent masks agree at half the places, ± 5 · √(¼ / n).
            assert!((equal - 0.5).abs() < 0.008, "{equal} of the places are alike");
        }
    }
}
