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
        // Few images: the weights are read from one end to the other, a row at a time, which memory likes best; several
        // sums a row, or each addition would wait for the one before. Many: sums of several rows and images that fit into
        // the registers beside the images and one weight, 12 of 16 or 24 of 32, and each image is loaded for all rows.
        match (self.batch.images, L::N == 16) {
            (1, _) => self.row_by_row::<L, 1, 8>(),
            (2, _) => self.row_by_row::<L, 2, 4>(),
            (3, _) => self.row_by_row::<L, 3, 4>(),
            (4, _) => self.row_by_row::<L, 4, 2>(),
            (5, _) => self.row_by_row::<L, 5, 2>(),
            (_, false) => self.over_rows::<L, 3>(),
            (_, true) => self.over_rows::<L, 6>(),
        }
    }
}

impl Dots<'_> {
    /// All images at once, `U` sums for each.
    #[inline(always)]
    fn row_by_row<L: Lanes, const N: usize, const U: usize>(&mut self) {
        let Self { width, batch, .. } = *self;
        for row in 0..self.rows {
            let mut sums = [[L::splat(0.0); U]; N];
            // SAFETY: `dots` has checked the slices; `row < rows` and there are `N` images.
            unsafe {
                let weights = self.weight.as_ptr().add(row * width);
                let images: [*const f32; N] = std::array::from_fn(|n| batch.data.as_ptr().add(n * batch.stride));
                let (mut w, mut x) = (weights, images);
                for _ in 0..width / (U * L::N) {
                    for u in 0..U {
                        let w = L::load(w.add(u * L::N));
                        for (sums, x) in sums.iter_mut().zip(x) {
                            sums[u] = w.mul_add(L::load(x.add(u * L::N)), sums[u]);
                        }
                    }
                    w = w.add(U * L::N);
                    x = x.map(|x| x.add(U * L::N));
                }
                let first = width / (U * L::N) * (U * L::N);
                for (n, sums) in spilled(sums).iter().enumerate() {
                    let rest: f32 = (first..width).map(|k| *weights.add(k) * *images[n].add(k)).sum();
                    let sum: f32 = sums.iter().map(|lanes| total::<L>(*lanes)).sum();
                    *self.out.get_unchecked_mut(n * self.rows + row) = sum + rest;
                }
            }
        }
    }

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
            let weights: [*const f32; R] = std::array::from_fn(|r| self.weight.as_ptr().add((row + r) * width));
            let images: [*const f32; N] = std::array::from_fn(|n| batch.data.as_ptr().add((image + n) * batch.stride));
            let (mut w, mut x) = (weights, images);
            for _ in 0..width / L::N {
                let loaded = x.map(|x| L::load(x));
                for (sums, w) in sums.iter_mut().zip(w) {
                    let w = L::load(w);
                    for (sum, x) in sums.iter_mut().zip(loaded) {
                        *sum = w.mul_add(x, *sum);
                    }
                }
                w = w.map(|w| w.add(L::N));
                x = x.map(|x| x.add(L::N));
            }
            let first = width / L::N * L::N;
            for (r, sums) in spilled(sums).iter().enumerate() {
                for (n, lanes) in sums.iter().enumerate() {
                    let rest: f32 = (first..width).map(|k| *weights[r].add(k) * *images[n].add(k)).sum();
                    *self.out.get_unchecked_mut((image + n) * self.rows + row + r) = total::<L>(*lanes) + rest;
                }
            }
        }
        N
    }
}

/// The sum of a register's lanes, halves first, which keeps to whole registers for as long as it can.
#[inline(always)]
fn total<L: Lanes>(mut lanes: [f32; 16]) -> f32 {
    let mut half = L::N / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(sum, v)| *sum += *v);
        half /= 2;
    }
    lanes[0]
}

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
        let mut row = 0;
        while row + 4 <= self.rows {
            self.all_columns::<L, 4>(row);
            row += 4;
        }
        while row < self.rows {
            self.all_columns::<L, 1>(row);
            row += 1;
        }
    }
}

impl<R: Rule, const INPUT: bool> Gradient<'_, R, INPUT> {
    #[inline(always)]
    fn all_columns<L: Lanes, const ROWS: usize>(&mut self, row: usize) {
        let mut at = 0;
        // SAFETY: `dots_gradient` has checked the slices; `row + ROWS <= rows` and the columns end at `width`.
        unsafe {
            while at + L::N <= self.width {
                self.columns::<L, ROWS>(row, at);
                at += L::N;
            }
            while at < self.width {
                self.columns::<f32, ROWS>(row, at);
                at += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn columns<L: Lanes, const ROWS: usize>(&mut self, row: usize, at: usize) {
        let Self { width, batch, .. } = *self;
        // SAFETY: see `all_columns`.
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
