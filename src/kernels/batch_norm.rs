//! Batch normalisation with channels last: the statistics of a batch, what they do to it, its gradients, and the way out
//! of it for a network in use, whose convolutions take the factors into their weights ([`fold`]).
//!
//! Everything here is bound by memory: the loops are plain ones that the compiler vectorises for whatever
//! [`dispatch`](super::arch::lanes::dispatch) runs them on. A pass works on blocks that stay in a core's own cache, sums
//! of a block are `f32`, sums of blocks `f64`.
//!
//! # Source
//! Ioffe and Szegedy, ICML 2015 (arXiv:1502.03167); momentum and the unbiased running variance as in PyTorch.

use rayon::prelude::*;

use super::arch::lanes::{Kernel, Lanes, dispatch};
use super::clamp::Clamp;

/// What is added to the variance, in PyTorch and in the networks whose weights are read from there.
pub const EPSILON: f32 = 1e-5;

/// The share of a batch in the running statistics, PyTorch's.
pub const MOMENTUM: f32 = 0.1;

/// Values in a block: 64 KiB.
const BLOCK: usize = 1 << 14;

/// Partial sums: enough to keep eight cores busy, and fixed, so that the order of additions (and the result, to the last
/// bit) does not depend on the number of threads.
const PARTIALS: usize = 8;

/// What a normalisation does to each channel: `(x - mean) / √(variance + epsilon) · gamma + beta`.
///
/// Mean and variance are those of the batch in training, and the running ones in use.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'a> {
    /// Factors, PyTorch's `weight`.
    pub gamma: &'a [f32],
    /// Offsets, PyTorch's `bias`.
    pub beta: &'a [f32],
    /// Means.
    pub mean: &'a [f32],
    /// Variances.
    pub variance: &'a [f32],
    /// Keeps the root away from zero.
    pub epsilon: f32,
}

impl BatchNorm<'_> {
    fn channels(&self) -> usize {
        let channels = self.gamma.len();
        assert!(channels > 0 && self.beta.len() == channels);
        assert_eq!((self.mean.len(), self.variance.len()), (channels, channels));
        channels
    }

    /// `1 / √(variance + epsilon)` of each channel.
    fn inverse_deviations(&self) -> impl Iterator<Item = f64> {
        self.variance.iter().map(|v| 1.0 / (f64::from(*v) + f64::from(self.epsilon)).sqrt())
    }

    /// `gamma / √(variance + epsilon)` of each channel.
    fn scales(&self) -> Vec<f32> {
        self.gamma
            .iter()
            .zip(self.inverse_deviations())
            .map(|(gamma, inverse)| (f64::from(*gamma) * inverse) as f32)
            .collect()
    }
}

/// Mean and variance of each channel of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Variances, divided by the number of values: what the batch is normalised with.
    pub variance: Vec<f32>,
    count: usize,
}

impl Statistics {
    /// Those of a batch `[n, h, w, c]`.
    ///
    /// The variance is of differences from a block's own mean, and blocks are joined as Chan, Golub and LeVeque do it
    /// (1979, eq. 2.1): a mean far from zero costs no digits, and the values are read from memory once.
    ///
    /// # Panics
    /// When the input is not a whole number of pixels, or none.
    pub fn of(channels: usize, input: &[f32]) -> Self {
        let shares = over_shares(channels, input.len(), |range| {
            let mut moments = Moments::new(channels);
            input[range].chunks(block(channels)).for_each(|block| moments.add_block(block));
            moments
        });
        let whole = shares.into_iter().reduce(|mut whole, share| {
            whole.join(share.count, &share.mean, &share.squares);
            whole
        });
        let Moments { count, mean, squares } = whole.expect("a share for every batch");
        let variance = squares.iter().map(|squares| (squares / count) as f32).collect();
        Self { mean: mean.iter().map(|mean| *mean as f32).collect(), variance, count: count as usize }
    }

    /// Moves running statistics by `momentum` towards these; the variance that goes there is divided by one less than the
    /// number of values, as in PyTorch.
    ///
    /// # Panics
    /// When the slices are not as long as there are channels, or the batch had a single value a channel, which has no
    /// variance; PyTorch refuses it as well.
    pub fn update(&self, momentum: f32, running_mean: &mut [f32], running_variance: &mut [f32]) {
        assert_eq!((running_mean.len(), running_variance.len()), (self.mean.len(), self.mean.len()));
        assert!(self.count > 1, "one value a channel has no variance");
        let unbiased = self.count as f32 / (self.count - 1) as f32;
        let move_towards = |running: &mut f32, value: f32| *running += momentum * (value - *running);
        running_mean.iter_mut().zip(&self.mean).for_each(|(running, mean)| move_towards(running, *mean));
        running_variance.iter_mut().zip(&self.variance).for_each(|(running, v)| move_towards(running, v * unbiased));
    }
}

/// Values of a block of whole pixels.
fn block(channels: usize) -> usize {
    (BLOCK / channels).max(1) * channels
}

/// What `work` returns for each of up to [`PARTIALS`] ranges of whole blocks, in their order.
fn over_shares<T: Send>(channels: usize, len: usize, work: impl Fn(std::ops::Range<usize>) -> T + Sync) -> Vec<T> {
    assert!(channels > 0 && len > 0 && len.is_multiple_of(channels));
    let share = len.div_ceil(block(channels)).div_ceil(PARTIALS) * block(channels);
    (0..len.div_ceil(share)).into_par_iter().map(|i| work(i * share..len.min((i + 1) * share))).collect()
}

/// Number, mean and sum of squared differences from the mean, for each channel.
struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn new(channels: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    fn add_block(&mut self, block: &[f32]) {
        let channels = self.mean.len();
        let count = (block.len() / channels) as f64;
        let [mut centre, mut sums, mut squares] = std::array::from_fn(|_| vec![0.0_f32; channels]);
        dispatch(BlockMoments { block, centre: &mut centre, sums: &mut sums, squares: &mut squares });
        // The centre is the mean but for its rounding, which the sums of the differences undo.
        let means: Vec<f64> = centre.iter().zip(&sums).map(|(c, s)| f64::from(*c) + f64::from(*s) / count).collect();
        let squares: Vec<f64> =
            squares.iter().zip(&sums).map(|(q, s)| f64::from(*q) - f64::from(*s) * f64::from(*s) / count).collect();
        self.join(count, &means, &squares);
    }

    fn join(&mut self, count: f64, mean: &[f64], squares: &[f64]) {
        let whole = self.count + count;
        let (share, weight) = (count / whole, self.count * count / whole);
        let own = self.mean.iter_mut().zip(&mut self.squares);
        for ((own_mean, own_squares), (mean, squares)) in own.zip(mean.iter().zip(squares)) {
            let apart = mean - *own_mean;
            *own_mean += apart * share;
            *own_squares += squares + apart * apart * weight;
        }
        self.count = whole;
    }
}

/// The mean of a block, then the sums of the differences from it and of their squares; all begin at zero.
struct BlockMoments<'a> {
    block: &'a [f32],
    centre: &'a mut [f32],
    sums: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Kernel for BlockMoments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let channels = self.centre.len();
        for pixel in self.block.chunks_exact(channels) {
            self.centre.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += *x);
        }
        let count = (self.block.len() / channels) as f32;
        self.centre.iter_mut().for_each(|sum| *sum /= count);
        for pixel in self.block.chunks_exact(channels) {
            let sums = self.sums.iter_mut().zip(self.squares.iter_mut());
            for ((sum, squares), (x, centre)) in sums.zip(pixel.iter().zip(self.centre.iter())) {
                let apart = *x - *centre;
                *sum += apart;
                *squares += apart * apart;
            }
        }
    }
}

/// `clamp((x - mean) / √(variance + epsilon) · gamma + beta)` of every pixel.
///
/// # Panics
/// When the slices do not hold the same number of whole pixels.
pub fn batch_norm(norm: &BatchNorm<'_>, input: &[f32], clamp: Clamp, out: &mut [f32]) {
    let len = block(norm.channels());
    assert!(input.len() == out.len() && out.len().is_multiple_of(norm.channels()));
    let scale = norm.scales();
    out.par_chunks_mut(len).zip(input.par_chunks(len)).for_each(|(out, input)| {
        dispatch(Normalise { norm, scale: &scale, input, clamp, out });
    });
}

struct Normalise<'a> {
    norm: &'a BatchNorm<'a>,
    scale: &'a [f32],
    input: &'a [f32],
    clamp: Clamp,
    out: &'a mut [f32],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Clamp { low, high } = self.clamp;
        let channels = self.scale.len();
        for (out, pixel) in self.out.chunks_exact_mut(channels).zip(self.input.chunks_exact(channels)) {
            let channel = self.norm.mean.iter().zip(self.scale).zip(self.norm.beta);
            for ((out, x), ((mean, scale), beta)) in out.iter_mut().zip(pixel).zip(channel) {
                *out = ((*x - *mean) * *scale + *beta).max(low).min(high);
            }
        }
    }
}

/// Gradients for gamma, beta and the input, given `grad` of the output before the clamp; what the slices held is replaced.
///
/// With `x̂ = (x - mean) / √(variance + ε)` over `m` values a channel: `∂beta = Σ g`, `∂gamma = Σ g x̂`, and
/// `∂x = gamma / √(variance + ε) · (g - ∂beta / m - x̂ ∂gamma / m)` where mean and variance are the batch's `own`, which
/// move with `x`; `gamma / √(variance + ε) · g` where they are numbers like others.
///
/// # Panics
/// When the slices do not hold the same number of whole pixels, or there are none.
pub fn batch_norm_grad(
    norm: &BatchNorm<'_>,
    own: bool,
    (input, grad): (&[f32], &[f32]),
    (grad_gamma, grad_beta): (&mut [f32], &mut [f32]),
    grad_input: &mut [f32],
) {
    let channels = norm.channels();
    assert_eq!((grad.len(), grad_input.len()), (input.len(), input.len()));
    assert_eq!((grad_gamma.len(), grad_beta.len()), (channels, channels));
    let len = block(channels);
    let shares = over_shares(channels, input.len(), |range| {
        let mut whole = [vec![0.0_f64; channels], vec![0.0_f64; channels]];
        let mut part = [vec![0.0_f32; channels], vec![0.0_f32; channels]];
        for (input, grad) in input[range.clone()].chunks(len).zip(grad[range].chunks(len)) {
            let [sums, products] = &mut part;
            dispatch(BlockGradients { mean: norm.mean, input, grad, sums, products });
            for (whole, part) in whole.iter_mut().zip(&part) {
                whole.iter_mut().zip(part).for_each(|(whole, part)| *whole += f64::from(*part));
            }
        }
        whole
    });
    let total = |which: usize, c: usize| shares.iter().map(|share| share[which][c]).sum::<f64>();
    let count = (input.len() / channels) as f64;
    let [mut offset, mut slope] = [vec![0.0_f32; channels], vec![0.0_f32; channels]];
    for (c, inverse) in norm.inverse_deviations().enumerate() {
        let (beta, gamma) = (total(0, c), total(1, c) * inverse);
        (grad_beta[c], grad_gamma[c]) = (beta as f32, gamma as f32);
        if own {
            (offset[c], slope[c]) = ((beta / count) as f32, (gamma * inverse / count) as f32);
        }
    }
    let scale = norm.scales();
    let from = input.par_chunks(len).zip(grad.par_chunks(len));
    grad_input.par_chunks_mut(len).zip(from).for_each(|(out, (input, grad))| {
        dispatch(InputGradient { mean: norm.mean, scale: &scale, offset: &offset, slope: &slope, input, grad, out });
    });
}

/// Replaces `sums` by `Σ g` and `products` by `Σ g (x - mean)` of a block.
struct BlockGradients<'a> {
    mean: &'a [f32],
    input: &'a [f32],
    grad: &'a [f32],
    sums: &'a mut [f32],
    products: &'a mut [f32],
}

impl Kernel for BlockGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let channels = self.mean.len();
        self.sums.fill(0.0);
        self.products.fill(0.0);
        for (pixel, grad) in self.input.chunks_exact(channels).zip(self.grad.chunks_exact(channels)) {
            let sums = self.sums.iter_mut().zip(self.products.iter_mut());
            for ((sum, product), ((x, g), mean)) in sums.zip(pixel.iter().zip(grad).zip(self.mean)) {
                *sum += *g;
                *product += *g * (*x - *mean);
            }
        }
    }
}

/// `scale · (g - offset - (x - mean) · slope)`.
struct InputGradient<'a> {
    mean: &'a [f32],
    scale: &'a [f32],
    offset: &'a [f32],
    slope: &'a [f32],
    input: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let channels = self.mean.len();
        let from = self.input.chunks_exact(channels).zip(self.grad.chunks_exact(channels));
        for (out, (pixel, grad)) in self.out.chunks_exact_mut(channels).zip(from) {
            let channel = self.mean.iter().zip(self.scale).zip(self.offset.iter().zip(self.slope));
            for ((out, (x, g)), ((mean, scale), (offset, slope))) in
                out.iter_mut().zip(pixel.iter().zip(grad)).zip(channel)
            {
                *out = *scale * (*g - *offset - (*x - *mean) * *slope);
            }
        }
    }
}

/// Takes a normalisation into the convolution before it: `conv(x; weight, bias)` becomes what the normalisation made of
/// its result. A convolution without bias comes with zeros.
///
/// # Shapes
/// weight `[.., c]`, the output's channels last: `[kh, kw, c_in, c_out]`, or depthwise `[kh, kw, c]`; bias `[c]`
///
/// # Panics
/// When the slices are not as long as there are channels.
pub fn fold(norm: &BatchNorm<'_>, weight: &mut [f32], bias: &mut [f32]) {
    let channels = norm.channels();
    assert!(weight.len().is_multiple_of(channels) && bias.len() == channels);
    let scale = norm.scales();
    for weights in weight.chunks_exact_mut(channels) {
        weights.iter_mut().zip(&scale).for_each(|(weight, scale)| *weight *= scale);
    }
    for (c, bias) in bias.iter_mut().enumerate() {
        *bias = (*bias - norm.mean[c]) * scale[c] + norm.beta[c];
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_close, values};
    use super::super::windows::{Padding, Windows};
    use super::super::{depthwise, reference};
    use super::*;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn assert_within(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!((f64::from(*a) - b).abs() <= tolerance, "{what}: value {i} is {a}, expected {b} (± {tolerance})");
        }
    }

    #[test]
    fn batch_norm_agrees_with_pytorch() {
        // PyTorch 2.15, BatchNorm2d(2).double() in training mode on one image of 2 × 3 pixels, channels last; the gradient
        // is (arange(12) * 5 % 7 - 3).
        let x = [0.5, 100.0, -1.25, 101.0, 2.0, 99.5, 0.75, 102.25, -0.5, 98.0, 3.0, 100.75];
        let dy = [-3.0, 2.0, 0.0, -2.0, 3.0, 1.0, -1.0, -3.0, 2.0, 0.0, -2.0, 3.0];
        let statistics = Statistics::of(2, &x);
        let Statistics { mean, variance, .. } = &statistics;
        let norm = BatchNorm { gamma: &[1.5, -0.5], beta: &[0.25, -1.0], mean, variance, epsilon: EPSILON };
        let mut y = [f32::NAN; 12];
        batch_norm(&norm, &x, Clamp::NONE, &mut y);
        let expected = [
            -0.0124447, -0.9055092, -1.8495575, -1.2834725, 1.5622234, -0.7165275, 0.25, -1.7559268, -1.0622234,
            -0.1495824, 2.6120022, -1.1889817,
        ];
        assert_within(&y, &expected, 1e-5, "output");
        let (mut dgamma, mut dbeta, mut dx) = ([f32::NAN; 2], [f32::NAN; 2], [f32::NAN; 12]);
        batch_norm_grad(&norm, true, (&x, &dy), (&mut dgamma, &mut dbeta), &mut dx);
        assert_within(&dgamma, &[-1.7496312, -5.4804692], 1e-5, "gamma");
        assert_within(&dbeta, &[-1.0, 1.0], 1e-6, "beta");
        let expected = [
            -3.027933, -0.6276896, -0.2535159, 0.6231908, 3.5920988, -0.1192396, -0.8748156, 0.6749376, 2.0067212,
            0.6501837, -1.4425555, -1.2013829,
        ];
        assert_within(&dx, &expected, 1e-5, "input");
        let (mut mean, mut variance) = ([0.0; 2], [1.0; 2]);
        statistics.update(MOMENTUM, &mut mean, &mut variance);
        assert_within(&mean, &[0.075, 10.025], 1e-5, "running mean");
        assert_within(&variance, &[1.145, 1.11], 1e-5, "running variance");
    }

    #[test]
    fn statistics_and_output_follow_the_reference_even_far_from_zero() {
        for (pixels, channels) in [(2, 1), (7, 3), (49, 33), (300, 64), (40, 1000), (3, 20_000), (70_000, 3)] {
            for centre in [0.0, 1000.0] {
                let x: Vec<f32> = values(pixels * channels, 1).iter().map(|v| v + centre).collect();
                let (gamma, beta) = (values(channels, 2), values(channels, 3));
                let statistics = Statistics::of(channels, &x);
                let Statistics { mean, variance, .. } = &statistics;
                let what = format!("{pixels} pixels of {channels} channels around {centre}");
                let (expected_mean, expected_variance) = reference::statistics(channels, &x);
                // Half a unit in the last place of the mean; the variance is at most 1, its sums are of a block's pixels.
                assert_within(mean, &expected_mean, f64::from(f32::EPSILON * (1.0 + centre)), &what);
                assert_within(variance, &expected_variance, 1e-5, &what);
                let norm = BatchNorm { gamma: &gamma, beta: &beta, mean, variance, epsilon: EPSILON };
                let mut y = vec![f32::NAN; x.len()];
                let clamp = Clamp { low: -0.5, high: 0.75 };
                batch_norm(&norm, &x, clamp, &mut y);
                let expected: Vec<f64> = (0..x.len())
                    .map(|i| {
                        let c = i % channels;
                        let apart = f64::from(x[i]) - f64::from(mean[c]);
                        let inverse = 1.0 / (f64::from(variance[c]) + f64::from(EPSILON)).sqrt();
                        (apart * inverse * f64::from(gamma[c]) + f64::from(beta[c])).clamp(-0.5, 0.75)
                    })
                    .collect();
                assert_within(&y, &expected, 1e-5, &what);
            }
        }
    }

    #[test]
    fn batch_norm_gradients_agree_with_finite_differences() {
        let (pixels, channels) = (9, 3);
        let all = [values(pixels * channels, 1), values(channels, 2), values(channels, 3)];
        let dy = values(pixels * channels, 4);
        for own in [true, false] {
            agrees_with_finite_differences(channels, &all, &dy, own);
        }
    }

    /// Where the statistics are not the batch's `own` they stay those of the values in the middle.
    fn agrees_with_finite_differences(channels: usize, all: &[Vec<f32>; 3], dy: &[f32], own: bool) {
        let fixed = Statistics::of(channels, &all[0]);
        let loss = |[x, gamma, beta]: &[Vec<f32>; 3]| {
            let Statistics { mean, variance, .. } = &if own { Statistics::of(channels, x) } else { fixed.clone() };
            let mut y = vec![f32::NAN; x.len()];
            batch_norm(&BatchNorm { gamma, beta, mean, variance, epsilon: EPSILON }, x, Clamp::NONE, &mut y);
            y.iter().zip(dy).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
        };
        let mut grads = all.clone().map(|values| vec![f32::NAN; values.len()]);
        let [dx, dgamma, dbeta] = &mut grads;
        let Statistics { mean, variance, .. } = &Statistics::of(channels, &all[0]);
        let norm = BatchNorm { gamma: &all[1], beta: &all[2], mean, variance, epsilon: EPSILON };
        batch_norm_grad(&norm, own, (&all[0], dy), (dgamma, dbeta), dx);
        const STEP: f32 = 1.0 / 64.0;
        for which in 0..3 {
            for i in 0..all[which].len() {
                let shifted = |by: f32| {
                    let mut all = all.clone();
                    all[which][i] += by;
                    loss(&all)
                };
                let numeric = (shifted(STEP) - shifted(-STEP)) / f64::from(2.0 * STEP);
                let analytic = f64::from(grads[which][i]);
                assert!((numeric - analytic).abs() < 2e-3, "{which}, {i}, own {own}: {analytic} against {numeric}");
            }
        }
    }

    #[test]
    fn a_folded_convolution_gives_what_convolution_and_normalisation_give() {
        let g = Windows::new([1, 6, 7, 20], [3, 3], 1, Padding::even(1)).expect("a valid geometry");
        let (x, mut w, mut b) = (values(g.input_len(), 1), values(g.weight_len(), 2), values(20, 3));
        let variance: Vec<f32> = values(20, 4).iter().map(|v| 1.5 + v).collect();
        let (gamma, beta, mean) = (values(20, 5), values(20, 6), values(20, 7));
        let norm = BatchNorm { gamma: &gamma, beta: &beta, mean: &mean, variance: &variance, epsilon: EPSILON };
        let convolved = reference::depthwise(&g, &x, &w, &b);
        let mut expected = vec![f32::NAN; convolved.len()];
        batch_norm(&norm, &convolved, Clamp::RELU6, &mut expected);
        fold(&norm, &mut w, &mut b);
        let mut y = vec![f32::NAN; g.output_len()];
        depthwise::depthwise(&g, &x, &w, &b, Clamp::RELU6, &mut y);
        assert_close(&y, &expected, 12, "folded");
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn batch_norm_gives_the_same_bits_on_any_number_of_threads() {
        let (x, dy) = (values(5000 * 40, 1), values(5000 * 40, 2));
        let (gamma, beta) = (values(40, 3), values(40, 4));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let statistics = Statistics::of(40, &x);
                let Statistics { mean, variance, .. } = &statistics;
                let norm = BatchNorm { gamma: &gamma, beta: &beta, mean, variance, epsilon: EPSILON };
                let [mut dgamma, mut dbeta, mut dx] = [40, 40, x.len()].map(|len| vec![f32::NAN; len]);
                batch_norm_grad(&norm, true, (&x, &dy), (&mut dgamma, &mut dbeta), &mut dx);
                (statistics, dgamma, dbeta, dx)
            })
        };
        assert_eq!(on(1), on(5));
    }
}
