//! A block of a dense layer's weight times a few images, and the gradients of that: each weight is read once.
//!
//! With a batch of five a weight takes part in five products on its way through, so memory sets the pace; everything here
//! is arranged around the one stream of weights, and the few images wait in the first-level cache.

use super::lanes::{Kernel, Lanes, dispatch, spilled};
use super::update::{Rule, Weights};

/// Columns of a batch: row `n` begins at `n · stride`.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub data: &'a [f32],
    pub images: usize,
    pub stride: usize,
}

impl Batch<'_> {
    fn holds(&self, width: usize) -> bool {
        self.images > 0 && (self.images - 1) * self.stride + width <= self.data.len()
    }
}

/// `out[n, o] = Σₖ weight[o, k] · batch[n, k]`.
///
/// # Shapes
/// weight: `[rows, width]`, out: `[images, rows]`, both row-major
///
/// # Panics
/// When the slices do not hold what the shapes say.
pub fn dots(weight: &[f32], width: usize, batch: Batch<'_>, out: &mut [f32]) {
    assert!(width > 0 && weight.len().is_multiple_of(width) && batch.holds(width));
    let rows = weight.len() / width;
    assert_eq!(out.len(), batch.images * rows);
    dispatch(Dots { weight, rows, width, batch, out });
}

struct Dots<'a> {
    weight: &'a [f32],
    rows: usize,
    width: usize,
    batch: Batch<'a>,
    out: &'a mut [f32],
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self) {
        // Sums that fit into the registers beside the images and one weight: 12 of 16, 24 of 32.
        match (self.batch.images, L::N == 16) {
            (1, _) => self.over_rows::<L, 8>(),
            (2 | 3, false) => self.over_rows::<L, 4>(),
            (2 | 3, true) => self.over_rows::<L, 8>(),
            (5, false) => self.over_rows::<L, 2>(),
            (5, true) => self.over_rows::<L, 4>(),
            (_, false) => self.over_rows::<L, 3>(),
            (_, true) => self.over_rows::<L, 6>(),
        }
    }
}

impl Dots<'_> {
    #[inline(always)]
    fn over_rows<L: Lanes, const R: usize>(&mut self) {
        let mut row = 0;
        while row + R <= self.rows {
            self.over_images::<L, R>(row);
            row += R;
        }
        while row < self.rows {
            self.over_images::<L, 1>(row);
            row += 1;
        }
    }

    #[inline(always)]
    fn over_images<L: Lanes, const R: usize>(&mut self, row: usize) {
        let mut image = 0;
        while image < self.batch.images {
            // SAFETY: `dots` has checked the slices; `row + R <= rows` and `image + N <= images`.
            unsafe {
                image += match self.batch.images - image {
                    5 => self.tile::<L, R, 5>(row, image),
                    4.. => self.tile::<L, R, 4>(row, image),
                    3 => self.tile::<L, R, 3>(row, image),
                    2 => self.tile::<L, R, 2>(row, image),
                    _ => self.tile::<L, R, 1>(row, image),
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const N: usize>(&mut self, row: usize, image: usize) -> usize {
        let Self { width, batch, .. } = *self;
        let mut sums = [[L::splat(0.0); N]; R];
        // SAFETY: see `over_images`.
        unsafe {
            let w: [*const f32; R] = std::array::from_fn(|r| self.weight.as_ptr().add((row + r) * width));
            let x: [*const f32; N] = std::array::from_fn(|n| batch.data.as_ptr().add((image + n) * batch.stride));
            let mut k = 0;
            while k + L::N <= width {
                let x = x.map(|x| L::load(x.add(k)));
                for (sums, w) in sums.iter_mut().zip(w) {
                    let w = L::load(w.add(k));
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = w.mul_add(x, *sum);
                    }
                }
                k += L::N;
            }
            for (r, sums) in spilled(sums).iter().enumerate() {
                for (n, lanes) in sums.iter().enumerate() {
                    let rest: f32 = (k..width).map(|k| *w[r].add(k) * *x[n].add(k)).sum();
                    let sum = lanes[..L::N].iter().sum::<f32>();
                    *self.out.get_unchecked_mut((image + n) * self.rows + row + r) = sum + rest;
                }
            }
        }
        N
    }
}

/// Columns of a block that are taken through all rows before the next ones: a batch of five and its gradient take 10 KB
/// of the first-level cache.
const STRIP: usize = 256;

/// The gradients of [`dots`]: the weight's, `Σₙ grad[o, n] · batch[n, k]`, goes to `rule` at once and the input's,
/// `Σₒ grad[o, n] · weight[o, k]` with the weight as it was, to `grad_input`.
///
/// # Shapes
/// weights: `[rows, width]`; grad: `[rows, images]`; grad_input: `[images, width]`
///
/// # Panics
/// When the slices do not hold what the shapes say.
pub fn dots_gradient<R: Rule>(
    rule: R,
    weights: Weights<'_>,
    width: usize,
    batch: Batch<'_>,
    grad: &[f32],
    grad_input: Option<&mut [f32]>,
) {
    assert!(width > 0 && weights.values.len().is_multiple_of(width) && weights.fit::<R>() && batch.holds(width));
    let rows = weights.values.len() / width;
    assert_eq!(grad.len(), rows * batch.images);
    match grad_input {
        Some(out) => {
            assert_eq!(out.len(), batch.images * width);
            out.fill(0.0);
            dispatch(Gradient::<R, true> { rule, weights, rows, width, batch, grad, out });
        }
        None => dispatch(Gradient::<R, false> { rule, weights, rows, width, batch, grad, out: &mut [] }),
    }
}

struct Gradient<'a, R, const INPUT: bool> {
    rule: R,
    weights: Weights<'a>,
    rows: usize,
    width: usize,
    batch: Batch<'a>,
    grad: &'a [f32],
    out: &'a mut [f32],
}

impl<R: Rule, const INPUT: bool> Kernel for Gradient<'_, R, INPUT> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self) {
        for first in (0..self.width).step_by(STRIP) {
            let end = (first + STRIP).min(self.width);
            let mut row = 0;
            while row + 4 <= self.rows {
                self.strip::<L, 4>(row, first, end);
                row += 4;
            }
            while row < self.rows {
                self.strip::<L, 1>(row, first, end);
                row += 1;
            }
        }
    }
}

impl<R: Rule, const INPUT: bool> Gradient<'_, R, INPUT> {
    #[inline(always)]
    fn strip<L: Lanes, const ROWS: usize>(&mut self, row: usize, mut at: usize, end: usize) {
        // SAFETY: `dots_gradient` has checked the slices; `row + ROWS <= rows` and the columns end at `end <= width`.
        unsafe {
            while at + L::N <= end {
                self.columns::<L, ROWS>(row, at);
                at += L::N;
            }
            while at < end {
                self.columns::<f32, ROWS>(row, at);
                at += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn columns<L: Lanes, const ROWS: usize>(&mut self, row: usize, at: usize) {
        let Self { width, batch, .. } = *self;
        // SAFETY: see `strip`.
        unsafe {
            let weights: [L; ROWS] =
                std::array::from_fn(|r| L::load(self.weights.values.as_ptr().add((row + r) * width + at)));
            let mut sums = [L::splat(0.0); ROWS];
            for n in 0..batch.images {
                let x = L::load(batch.data.as_ptr().add(n * batch.stride + at));
                let to = self.out.as_mut_ptr().wrapping_add(n * width + at);
                let mut out = if INPUT { L::load(to) } else { x };
                for r in 0..ROWS {
                    let grad = L::splat(*self.grad.get_unchecked((row + r) * batch.images + n));
                    sums[r] = grad.mul_add(x, sums[r]);
                    if INPUT {
                        out = grad.mul_add(weights[r], out);
                    }
                }
                if INPUT {
                    out.store(to);
                }
            }
            let [sums, weights] = spilled([sums, weights]);
            for (r, (sum, weight)) in sums.iter().zip(&weights).enumerate() {
                let (sum, weight) = (L::load(sum.as_ptr()), L::load(weight.as_ptr()));
                self.weights.update(self.rule, sum, weight, (row + r) * width + at);
            }
        }
    }
}
