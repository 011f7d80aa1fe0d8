//! The matrix product at the bottom of every convolution and dense layer: a tile of sums kept in registers.
//!
//! Two orders of the left operand are all that is needed. Where it is read along its rows ([`product`]) the rows may lie
//! anywhere: a convolution is this product with the row of an output pixel beginning at the pixel's window, and a window
//! `kw` wide is one run of `kw · c` neighbouring floats, so nothing is ever unfolded. Where it is read along its columns
//! ([`product_transposed`]) it is the gradient for the weights.
//!
//! The right operand is packed into [`panels`](PANEL_VECTORS) of two registers' width. A tile is 6 × 2 registers where
//! there are sixteen of them (12 sums, 2 of the panel, 1 broadcast), 12 × 2 where there are thirty-two.

use super::super::clamp::Clamp;
use super::lanes::{Channels, Kernel, Lanes, dispatch, over_channels, spilled, width};

/// Registers side by side in a panel of the right operand.
pub const PANEL_VECTORS: usize = 2;

/// The right operand of [`product`], packed: panels of `2 · width()` columns, each `[k, columns]`, and a bias.
///
/// Columns past the last are zero.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    panels: Vec<f32>,
    bias: Vec<f32>,
    depth: usize,
    columns: usize,
    panel: usize,
}

impl Packed {
    /// Packs `value(k, n)` for `depth` rows and `columns` columns, with no bias.
    pub fn new(depth: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let panel = PANEL_VECTORS * width();
        let count = columns.div_ceil(panel);
        let mut packed =
            Self { panels: vec![0.0; count * panel * depth], bias: vec![0.0; count * panel], depth, columns, panel };
        packed.fill(value);
        packed
    }

    /// Packs other values of the same shape in place.
    pub fn fill(&mut self, value: impl Fn(usize, usize) -> f32) {
        let (panel, columns) = (self.panel, self.columns);
        for (p, rows) in self.panels.chunks_exact_mut(panel * self.depth.max(1)).enumerate() {
            let first = p * panel;
            let count = panel.min(columns - first);
            for (k, row) in rows.chunks_exact_mut(panel).enumerate() {
                row[..count].iter_mut().enumerate().for_each(|(n, to)| *to = value(k, first + n));
            }
        }
    }

    /// What each column's sum begins with.
    ///
    /// # Panics
    /// When there is not one value for each column.
    pub fn set_bias(&mut self, bias: &[f32]) {
        assert_eq!(bias.len(), self.columns);
        self.bias[..bias.len()].copy_from_slice(bias);
    }
}

/// Where the rows of the left operand lie: row `i` begins at `starts[i]` and has `runs` runs of `len` floats, `stride`
/// apart. The depth of the product is `runs · len`.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    pub data: &'a [f32],
    pub starts: &'a [u32],
    pub runs: usize,
    pub len: usize,
    pub stride: usize,
}

/// What becomes of the sums: `clamp(sum + bias + residual)`.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    pub residual: Option<&'a [f32]>,
    pub clamp: Clamp,
}

impl Finish<'_> {
    /// The sums as they are.
    pub const LINEAR: Finish<'static> = Finish { residual: None, clamp: Clamp::NONE };
}

/// `out[i, n] = finish(Σₖ rows[i, k] · packed[k, n])`.
///
/// # Shapes
/// `out` and `finish.residual`: `[rows.starts.len(), packed.columns]`, row-major
///
/// # Panics
/// When a row reaches past its data, or the slices do not hold what the shapes say.
pub fn product(rows: Rows<'_>, packed: &Packed, out: &mut [f32], finish: Finish<'_>) {
    assert_eq!(packed.panel, PANEL_VECTORS * width(), "packed for another instruction set");
    assert_eq!((rows.runs * rows.len, out.len()), (packed.depth, rows.starts.len() * packed.columns));
    assert!(finish.residual.is_none_or(|residual| residual.len() == out.len()));
    let Some(&last) = rows.starts.iter().max() else { return };
    if rows.runs > 0 {
        assert!(last as usize + (rows.runs - 1) * rows.stride + rows.len <= rows.data.len(), "a row is too long");
    }
    dispatch(Product { rows, packed, out, finish });
}

struct Product<'a> {
    rows: Rows<'a>,
    packed: &'a Packed,
    out: &'a mut [f32],
    finish: Finish<'a>,
}

/// Left rows that are taken through all panels before the next ones: 64 rows of 512 floats fill an eighth of a
/// second-level cache of 1 MiB.
const BLOCK_FLOATS: usize = 1 << 15;

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { rows, packed, out, finish } = self;
        let total = rows.starts.len();
        let most = if L::N == 16 { 12 } else { 6 };
        let block = (BLOCK_FLOATS / packed.depth.max(1)).clamp(1, 512).next_multiple_of(most);
        for first in (0..total).step_by(block) {
            let end = (first + block).min(total);
            for (p, panel) in packed.panels.chunks_exact(packed.panel * packed.depth.max(1)).enumerate() {
                let column = p * packed.panel;
                let mut row = first;
                while row < end {
                    let left = end - row;
                    let at = Place { row, column, columns: packed.columns.min(column + packed.panel) - column };
                    // SAFETY: `product` has checked every row against the data, `out` and the residual against the
                    // shape; `row + R <= end`.
                    unsafe {
                        macro_rules! tile {
                            ($r:literal) => {{
                                if at.columns > L::N {
                                    tile::<L, $r, 2>(&rows, packed, panel, out, &finish, at);
                                } else {
                                    tile::<L, $r, 1>(&rows, packed, panel, out, &finish, at);
                                }
                                row += $r;
                            }};
                        }
                        match left {
                            12.. if L::N == 16 => tile!(12),
                            8.. if L::N == 16 => tile!(8),
                            6.. if L::N != 16 => tile!(6),
                            4.. => tile!(4),
                            2.. => tile!(2),
                            _ => tile!(1),
                        }
                    }
                }
            }
        }
    }
}

/// Where a tile lies in the result, and how many of its columns there are.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    columns: usize,
}

#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize>(
    rows: &Rows<'_>,
    packed: &Packed,
    panel: &[f32],
    out: &mut [f32],
    finish: &Finish<'_>,
    at: Place,
) {
    let mut sums = [[L::splat(0.0); V]; R];
    // SAFETY: for the whole body, see `Product::run`.
    unsafe {
        let bias = packed.bias.as_ptr().add(at.column);
        for v in 0..V {
            let bias = L::load(bias.add(v * L::N));
            for sums in &mut sums {
                sums[v] = bias;
            }
        }
        let mut b = panel.as_ptr();
        let step = PANEL_VECTORS * L::N;
        for run in 0..rows.runs {
            let mut a = [rows.data.as_ptr(); R];
            for (r, a) in a.iter_mut().enumerate() {
                *a = a.add(*rows.starts.get_unchecked(at.row + r) as usize + run * rows.stride);
            }
            let mut left = rows.len;
            while left > 0 {
                // Four steps with fixed offsets to a move of the pointers. The branch between two of them costs nothing and
                // keeps them in order: LLVM's WebAssembly back end would nest the steps of each sum into one expression
                // and put all loads before it, far more than there are registers.
                madd::<L, R, V>(&mut sums, a, b, 0);
                for u in 1..4 {
                    if left > u {
                        madd::<L, R, V>(&mut sums, a, b.wrapping_add(u * step), u);
                    }
                }
                a = a.map(|a| a.wrapping_add(4));
                b = b.wrapping_add(left.min(4) * step);
                left = left.saturating_sub(4);
            }
        }
        let (low, high) = (L::splat(finish.clamp.low), L::splat(finish.clamp.high));
        let first = at.row * packed.columns + at.column;
        if at.columns >= V * L::N && finish.residual.is_none() {
            for (r, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    sum.max(low).min(high).store(out.as_mut_ptr().add(first + r * packed.columns + v * L::N));
                }
            }
            return;
        }
        for (r, sums) in spilled(sums).iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                let to = first + r * packed.columns + v * L::N;
                let left = at.columns - v * L::N;
                let mut sum = L::load(sum.as_ptr());
                if let Some(residual) = finish.residual {
                    sum = sum.add(load_first::<L>(residual.as_ptr().add(to), left));
                }
                let sum = sum.max(low).min(high);
                if left >= L::N {
                    sum.store(out.as_mut_ptr().add(to));
                } else {
                    sum.store_first(out.as_mut_ptr().add(to), left);
                }
            }
        }
    }
}

/// One step in depth: every row's element times the panel's row.
#[inline(always)]
unsafe fn madd<L: Lanes, const R: usize, const V: usize>(
    sums: &mut [[L; V]; R],
    a: [*const f32; R],
    b: *const f32,
    at: usize,
) {
    // SAFETY: see `Product::run`.
    unsafe {
        let mut panel = [L::splat(0.0); V];
        for (v, panel) in panel.iter_mut().enumerate() {
            *panel = L::load(b.add(v * L::N));
        }
        for (sums, a) in sums.iter_mut().zip(a) {
            let a = L::splat(*a.add(at));
            for (sum, panel) in sums.iter_mut().zip(panel) {
                *sum = a.mul_add(panel, *sum);
            }
        }
    }
}

/// The first `count` floats, at most a register, and zeros.
///
/// # Safety
/// `min(count, N)` floats can be read at `from`.
#[inline(always)]
unsafe fn load_first<L: Lanes>(from: *const f32, count: usize) -> L {
    // SAFETY: the caller vouches for `from`; no register has more than 16 lanes.
    unsafe {
        if count >= L::N {
            return L::load(from);
        }
        let mut lanes = [0.0; 16];
        std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
        L::load(lanes.as_ptr())
    }
}

/// A left operand that is read along its columns: element `(i, k)` lies at `start + i + k · stride`.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    pub data: &'a [f32],
    pub start: usize,
    pub rows: usize,
    pub stride: usize,
}

/// `out[i, n] += Σₖ columns[i, k] · right[k, n]` over `depth` steps; `right` `[depth, n]` row-major and not packed.
///
/// # Shapes
/// `right`: `[depth, width]`, `out`: `[columns.rows, width]`, both row-major
///
/// # Panics
/// When the slices do not hold what the shapes say.
pub fn product_transposed(columns: Columns<'_>, right: &[f32], width: usize, out: &mut [f32]) {
    assert!(width > 0 && right.len().is_multiple_of(width) && out.len() == columns.rows * width);
    let depth = right.len() / width;
    if depth == 0 || columns.rows == 0 {
        return;
    }
    let end = columns.start + columns.rows + (depth - 1) * columns.stride;
    assert!(end <= columns.data.len(), "a column is too long");
    dispatch(Transposed { columns, right, width, depth, out });
}

struct Transposed<'a> {
    columns: Columns<'a>,
    right: &'a [f32],
    width: usize,
    depth: usize,
    out: &'a mut [f32],
}

impl Kernel for Transposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self) {
        let mut column = 0;
        while column + PANEL_VECTORS * L::N <= self.width {
            self.strip::<L, PANEL_VECTORS>(column);
            column += PANEL_VECTORS * L::N;
        }
        // SAFETY: `strip` may take any columns below `width`.
        unsafe { over_channels::<L>(column..self.width, &mut self) }
    }
}

impl Channels for Transposed<'_> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        self.strip::<L, 1>(at);
    }
}

impl Transposed<'_> {
    /// All rows of `V` registers' columns.
    #[inline(always)]
    fn strip<L: Lanes, const V: usize>(&mut self, column: usize) {
        let (mut row, total) = (0, self.columns.rows);
        while row < total {
            // SAFETY: `product_transposed` has checked the operands; `row + R <= rows` and `column + V · N <= width`.
            unsafe {
                macro_rules! tile {
                    ($r:literal) => {{
                        self.tile::<L, $r, V>(row, column);
                        row += $r;
                    }};
                }
                match total - row {
                    12.. if L::N == 16 => tile!(12),
                    8.. if L::N == 16 => tile!(8),
                    6.. if L::N != 16 => tile!(6),
                    5 if L::N != 16 => tile!(5),
                    4.. => tile!(4),
                    3 => tile!(3),
                    2 => tile!(2),
                    _ => tile!(1),
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const V: usize>(&mut self, row: usize, column: usize) {
        // SAFETY: see `strip`.
        unsafe {
            let mut sums = [[L::splat(0.0); V]; R];
            let mut a = self.columns.data.as_ptr().add(self.columns.start + row);
            let mut b = self.right.as_ptr().add(column);
            for _ in 0..self.depth {
                let rows = std::array::from_fn(|r| a.add(r));
                madd::<L, R, V>(&mut sums, rows, b, 0);
                a = a.wrapping_add(self.columns.stride);
                b = b.wrapping_add(self.width);
            }
            for (r, sums) in sums.iter().enumerate() {
                let to = self.out.as_mut_ptr().add((row + r) * self.width + column);
                for (v, &sum) in sums.iter().enumerate() {
                    let to = to.add(v * L::N);
                    sum.add(L::load(to)).store(to);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers, so that every sum is exact and any order of additions gives it.
    fn whole(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 + seed * 104_729) % 11) as f32 - 5.0).collect()
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn product_is_the_sum_of_products_for_every_remainder() {
        for m in [1, 2, 3, 5, 6, 7, 11, 12, 13, 29] {
            for n in [1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50] {
                for (runs, len) in [(1, 1), (1, 5), (3, 4), (2, 7)] {
                    let stride = len + 3;
                    let starts: Vec<u32> = (0..m as u32).map(|i| (i * 5) % 13).collect();
                    let data = whole(13 + runs * stride, m);
                    let (b, bias, residual) = (whole(runs * len * n, n), whole(n, 1), whole(m * n, 2));
                    let mut packed = Packed::new(runs * len, n, |k, j| b[k * n + j]);
                    packed.set_bias(&bias);
                    let mut out = vec![f32::NAN; m * n];
                    let rows = Rows { data: &data, starts: &starts, runs, len, stride };
                    let finish = Finish { residual: Some(&residual), clamp: Clamp { low: -20.0, high: 6.0 } };
                    product(rows, &packed, &mut out, finish);
                    for i in 0..m {
                        for j in 0..n {
                            let mut sum = bias[j] + residual[i * n + j];
                            for run in 0..runs {
                                for k in 0..len {
                                    let a = data[starts[i] as usize + run * stride + k];
                                    sum += a * b[(run * len + k) * n + j];
                                }
                            }
                            assert_eq!(
                                out[i * n + j],
                                sum.clamp(-20.0, 6.0),
                                "{m}×{n}, {runs} runs of {len}: {i}, {j}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn product_transposed_adds_the_sum_of_products_for_every_remainder() {
        for m in [1, 2, 3, 5, 6, 7, 11, 12, 13, 29] {
            for n in [1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50] {
                for (depth, stride) in [(1, 1), (7, 3), (4, 40)] {
                    let data = whole(2 + m + depth * stride, m);
                    let right = whole(depth * n, n);
                    let before = whole(m * n, 3);
                    let mut out = before.clone();
                    product_transposed(Columns { data: &data, start: 2, rows: m, stride }, &right, n, &mut out);
                    for i in 0..m {
                        for j in 0..n {
                            let sum: f32 = (0..depth).map(|k| data[2 + i + k * stride] * right[k * n + j]).sum();
                            assert_eq!(out[i * n + j], before[i * n + j] + sum, "{m}×{n}, depth {depth}: {i}, {j}");
                        }
                    }
                }
            }
        }
    }
}
