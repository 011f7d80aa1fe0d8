//! 2×2 max pooling of two rows of a convolution, a register of channels at a time.

use super::lanes::{Channels, Lanes, each_channel};

/// Marks a window whose maximum the rectifier cut off; the others are marked 0 to 3, row by row.
pub const NO_WINNER: f32 = -1.0;

/// The rectified maximum of a window, and its place; of equals the first in row-major order wins, as in PyTorch.
#[inline(always)]
pub fn pool<L: Lanes>([a, b, d, e]: [L; 4], bias: L) -> (L, L) {
    let c = L::splat;
    let upper = (b.max(a), b.if_greater(a, c(1.0), c(0.0)));
    let lower = (e.max(d), e.if_greater(d, c(3.0), c(2.0)));
    let best = lower.0.max(upper.0).add(bias);
    let winner = lower.0.if_greater(upper.0, lower.1, upper.1);
    (best.max(c(0.0)), best.if_greater(c(0.0), winner, c(NO_WINNER)))
}

/// The gradients of the four values of a window.
#[inline(always)]
pub fn unpool<L: Lanes>(grad: L, winner: L) -> [L; 4] {
    let zero = L::splat(0.0);
    // Places are whole numbers: the halves between them tell which is which.
    let [any, over0, over1, over2] = [-0.5, 0.5, 1.5, 2.5].map(|edge| winner.if_greater(L::splat(edge), grad, zero));
    [any.sub(over0), over0.sub(over1), over1.sub(over2), over2]
}

/// `max(0, ·)` of the maximum of each 2×2 window of two rows, and its place where `winners` is given.
///
/// # Shapes
/// `sums`: `[2, width, channels]`; `out` and `winners`: `[width / 2, channels]`
///
/// # Panics
/// When the slices do not hold what the shapes say.
pub fn pool_rows(channels: usize, width: usize, sums: &[f32], out: &mut [f32], winners: Option<&mut [f32]>) {
    assert_eq!((sums.len(), out.len()), (2 * width * channels, width / 2 * channels));
    assert!(winners.as_ref().is_none_or(|winners| winners.len() == out.len()));
    // SAFETY: the slices hold all channels of every pixel.
    unsafe { each_channel(channels, PoolRows { channels, width, sums, out, winners }) }
}

struct PoolRows<'a> {
    channels: usize,
    width: usize,
    sums: &'a [f32],
    out: &'a mut [f32],
    winners: Option<&'a mut [f32]>,
}

impl Channels for PoolRows<'_> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        let row = self.width * self.channels;
        for x in 0..self.width / 2 {
            // SAFETY: the slices hold these channels of every pixel; `2 x + 1 < width`.
            unsafe {
                let from = self.sums.as_ptr().add(2 * x * self.channels + at);
                let four = [0, self.channels, row, row + self.channels].map(|offset| L::load(from.add(offset)));
                let (best, winner) = pool(four, L::splat(0.0));
                let to = x * self.channels + at;
                best.store(self.out.as_mut_ptr().add(to));
                if let Some(winners) = &mut self.winners {
                    winner.store(winners.as_mut_ptr().add(to));
                }
            }
        }
    }
}

/// The gradient of two rows before pooling: each window's goes to its winner, all else is zero.
///
/// # Shapes
/// `grad` and `winners`: `[width / 2, channels]`; `out`: `[2, width, channels]`
///
/// # Panics
/// When the slices do not hold what the shapes say.
pub fn unpool_rows(channels: usize, width: usize, grad: &[f32], winners: &[f32], out: &mut [f32]) {
    assert_eq!((out.len(), grad.len()), (2 * width * channels, width / 2 * channels));
    assert_eq!(grad.len(), winners.len());
    if width % 2 == 1 {
        out.chunks_exact_mut(width * channels).for_each(|row| row[(width - 1) * channels..].fill(0.0));
    }
    // SAFETY: the slices hold all channels of every pixel.
    unsafe { each_channel(channels, UnpoolRows { channels, width, grad, winners, out }) }
}

struct UnpoolRows<'a> {
    channels: usize,
    width: usize,
    grad: &'a [f32],
    winners: &'a [f32],
    out: &'a mut [f32],
}

impl Channels for UnpoolRows<'_> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        let row = self.width * self.channels;
        for x in 0..self.width / 2 {
            // SAFETY: the slices hold these channels of every pixel; `2 x + 1 < width`.
            unsafe {
                let from = x * self.channels + at;
                let grad = L::load(self.grad.as_ptr().add(from));
                let four = unpool(grad, L::load(self.winners.as_ptr().add(from)));
                let to = self.out.as_mut_ptr().add(2 * x * self.channels + at);
                for (value, offset) in four.into_iter().zip([0, self.channels, row, row + self.channels]) {
                    value.store(to.add(offset));
                }
            }
        }
    }
}
