//! Mixup: training on blends of two films, which keeps a network from learning single films by heart.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

/// How the films of one batch are blended: each with another of the same batch.
///
/// # Source
/// Zhang et al., mixup: Beyond Empirical Risk Minimization, arXiv:1710.09412, with a share for each film instead of one
/// for all.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixup {
    /// For each film, which one is blended into it.
    partners: Vec<usize>,
    /// For each film, its own share, in `[0.5, 1]`: the lesser one is always the partner's.
    shares: Vec<f32>,
}

/// Where the random number streams of mixup begin; those below belong to dropout.
const STREAMS: u64 = 1 << 63;

impl Mixup {
    /// Draws shares from the Beta(`alpha`, `alpha`) distribution for `n` films; `stream` (the step, say) gives other ones
    /// from the same seed.
    ///
    /// # Panics
    /// When `alpha` is not above 0.
    pub fn draw(alpha: f32, n: usize, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(STREAMS | stream);
        let mut partners: Vec<usize> = (0..n).collect();
        partners.shuffle(&mut rng);
        let shares = Beta::new(f64::from(alpha), f64::from(alpha)).expect("above 0");
        let shares = shares.sample_iter(rng).take(n).map(|share: f64| share.max(1.0 - share) as f32).collect();
        Self { partners, shares }
    }

    /// The rows of `values`, `[n, …]`, that are blended into each row.
    pub fn partners(&self, values: &[f32]) -> Vec<f32> {
        let len = values.len() / self.partners.len();
        self.partners.iter().flat_map(|&i| &values[i * len..(i + 1) * len]).copied().collect()
    }

    /// Blends [`partners`](Self::partners) into the rows of `values`, in place.
    ///
    /// # Panics
    /// When they differ in length.
    pub fn blend(&self, values: &mut [f32], partners: &[f32]) {
        assert_eq!(values.len(), partners.len());
        let len = values.len() / self.shares.len();
        let rows = values.chunks_exact_mut(len).zip(partners.chunks_exact(len));
        for ((row, partner), &share) in rows.zip(&self.shares) {
            row.iter_mut().zip(partner).for_each(|(own, other)| *own = share * *own + (1.0 - share) * other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_blended_with_their_partners_by_their_shares() {
        let mixup = Mixup { partners: vec![1, 0, 2], shares: vec![0.75, 1.0, 0.5] };
        let mut values = [8.0, 0.0, 4.0, 2.0, 6.0, 6.0];
        let partners = mixup.partners(&values);
        assert_eq!(partners, [4.0, 2.0, 8.0, 0.0, 6.0, 6.0]);
        mixup.blend(&mut values, &partners);
        assert_eq!(values, [7.0, 0.5, 4.0, 2.0, 6.0, 6.0]);
    }

    /// The larger of X and 1 - X has the mean ½ + E|X - ½|; for Beta(1, 1), which is uniform, E|X - ½| = ¼, and for small α
    /// nearly all of X lies at 0 and 1.
    #[test]
    fn shares_are_of_the_distribution_and_never_the_lesser_ones() {
        const N: usize = 100_000;
        let mean = |alpha| {
            let mixup = Mixup::draw(alpha, N, 1, 2);
            assert!(mixup.shares.iter().all(|share| (0.5..=1.0).contains(share)));
            mixup.shares.iter().map(|share| f64::from(*share)).sum::<f64>() / N as f64
        };
        // The variance of |X - ½| is 1/12 - 1/16 there; five times its mean's spread.
        assert!((mean(1.0) - 0.75).abs() < 5.0 * (1.0_f64 / 48.0 / N as f64).sqrt());
        assert!(mean(0.01) > 0.98);
    }

    #[test]
    fn seed_and_step_decide_and_every_film_is_a_partner_once() {
        let first = Mixup::draw(0.4, 64, 1, 3);
        assert_eq!(first, Mixup::draw(0.4, 64, 1, 3));
        for other in [Mixup::draw(0.4, 64, 2, 3), Mixup::draw(0.4, 64, 1, 4)] {
            assert_ne!(first.partners, other.partners);
            assert_ne!(first.shares, other.shares);
        }
        let mut partners = first.partners;
        partners.sort_unstable();
        assert_eq!(partners, (0..64).collect::<Vec<_>>());
    }
}
