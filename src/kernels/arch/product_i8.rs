//! The matrix product of [`product`](super::product) on bytes: activations of seven bits, weights of eight.
//!
//! The rows of the left operand lie anywhere, as there, so that a convolution's windows are read in the image. Four steps
//! in depth are one instruction, and a run whose length is no multiple of four is multiplied with zeros at its end.
//! Sums are whole numbers, exact; what is done with them ([`Out`]) is a multiplication and an addition, each rounded,
//! never one fused: results are the same to the bit on every processor.

use super::bytes::{ByteKernel, Dots, GROUP, Leaf, MOST_PRODUCTS, dispatch, rounded};
use super::lanes::Lanes;
use super::product::PANEL_VECTORS;

/// The right operand of [`product`], packed, and what turns each column's sums into numbers.
///
/// Panels of `2 · N` columns, each `[runs, len / 4, columns, 4]`; columns past the last and steps past a run are zero.
#[derive(Debug, Clone)]
pub struct Packed {
    panels: Vec<i8>,
    scale: Vec<f32>,
    bias: Vec<f32>,
    runs: usize,
    len: usize,
    columns: usize,
    panel: usize,
    leaf: Leaf,
}

impl Packed {
    /// Packs `value(k, n)` for `runs · len` rows and one column for each of `scale` and `bias`.
    ///
    /// # Panics
    /// When there is not a scale for each bias, or the depth is such that a sum might overflow.
    pub fn new(
        leaf: Leaf,
        [runs, len]: [usize; 2],
        scale: &[f32],
        bias: &[f32],
        value: impl Fn(usize, usize) -> i8,
    ) -> Self {
        assert_eq!(scale.len(), bias.len());
        assert!(runs * len <= MOST_PRODUCTS, "sums of {} products may overflow", runs * len);
        let (panel, columns) = (PANEL_VECTORS * leaf.width(), scale.len());
        let (count, groups) = (columns.div_ceil(panel), len.div_ceil(GROUP));
        let mut panels = vec![0; count * runs * groups * panel * GROUP];
        for (k, n) in (0..runs * len).flat_map(|k| (0..columns).map(move |n| (k, n))) {
            let (run, step) = (k / len, k % len);
            let group = (n / panel * runs + run) * groups + step / GROUP;
            panels[(group * panel + n % panel) * GROUP + step % GROUP] = value(k, n);
        }
        let to_panels = |values: &[f32]| {
            let mut values = values.to_vec();
            values.resize(count * panel, 0.0);
            values
        };
        Self { panels, scale: to_panels(scale), bias: to_panels(bias), runs, len, columns, panel, leaf }
    }

    /// Runs, their length, and columns.
    pub fn shape(&self) -> [usize; 3] {
        [self.runs, self.len, self.columns]
    }
}

/// Where the rows of the left operand lie: row `i` begins at `starts[i]` and has runs of bytes, up to 127, `stride` apart;
/// how many and how long is in [`Packed`].
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Holds each run up to the next multiple of four bytes.
    pub data: &'a [u8],
    pub starts: &'a [u32],
    pub stride: usize,
}

/// What becomes of `v = sum · scale + bias`: `[rows, columns]`, row-major.
#[derive(Debug)]
pub enum Out<'a> {
    /// `max(low, v)`
    Floats { out: &'a mut [f32], low: f32 },
    /// `clamp(v, 0, 127)`, rounded half to even.
    Bytes(&'a mut [u8]),
}

impl Out<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Floats { out, .. } => out.len(),
            Self::Bytes(out) => out.len(),
        }
    }
}

/// `out[i, n] = Σₖ rows[i, k] · packed[k, n] · scale[n] + bias[n]`, finished as `out` says.
///
/// # Panics
/// When a row reaches past its data, or `out` has another size.
pub fn product(rows: Rows<'_>, packed: &Packed, out: Out<'_>) {
    assert_eq!(out.len(), rows.starts.len() * packed.columns);
    let Some(&last) = rows.starts.iter().max() else { return };
    if packed.runs > 0 {
        let end = last as usize + (packed.runs - 1) * rows.stride + packed.len.next_multiple_of(GROUP);
        assert!(end <= rows.data.len(), "a row is too long");
    }
    dispatch(packed.leaf, Product { rows, packed, out });
}

struct Product<'a> {
    rows: Rows<'a>,
    packed: &'a Packed,
    out: Out<'a>,
}

/// Left rows that are taken through all panels before the next ones, in bytes: an eighth of a second-level cache.
const BLOCK_BYTES: usize = 1 << 17;

impl ByteKernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<D: Dots>(self) {
        let Self { rows, packed, mut out } = self;
        let total = rows.starts.len();
        let depth = packed.runs * packed.len.div_ceil(GROUP) * GROUP;
        let block = (BLOCK_BYTES / depth.max(1)).clamp(1, 512).next_multiple_of(D::ROWS);
        for first in (0..total).step_by(block) {
            let end = (first + block).min(total);
            for column in (0..packed.columns).step_by(packed.panel) {
                let panel = &packed.panels[column * depth..][..packed.panel * depth];
                let mut row = first;
                while row < end {
                    let at = Place { row, column, columns: packed.panel.min(packed.columns - column) };
                    // SAFETY: `product` has checked every row against the data, and `out` against the shape;
                    // `row + R <= end`.
                    unsafe {
                        macro_rules! tile {
                            ($r:literal) => {{
                                // Narrow registers waste little, and a page has to download each tile.
                                if D::N > 4 && at.columns <= D::N {
                                    tile::<D, $r, 1>(&rows, packed, panel, &mut out, at);
                                } else {
                                    tile::<D, $r, 2>(&rows, packed, panel, &mut out, at);
                                }
                                row += $r;
                            }};
                        }
                        match end - row {
                            12.. if D::ROWS == 12 => tile!(12),
                            6.. if D::ROWS >= 6 => tile!(6),
                            4.. if D::ROWS == 4 => tile!(4),
                            3.. if D::ROWS == 3 => tile!(3),
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
unsafe fn tile<D: Dots, const R: usize, const V: usize>(
    rows: &Rows<'_>,
    packed: &Packed,
    panel: &[i8],
    out: &mut Out<'_>,
    at: Place,
) {
    let mut sums = [[D::zero(); V]; R];
    // SAFETY: for the whole body, see `Product::run`.
    unsafe {
        let mut b = panel.as_ptr();
        let step = packed.panel * GROUP;
        let groups = packed.len.div_ceil(GROUP);
        for run in 0..packed.runs {
            let mut a = [rows.data.as_ptr(); R];
            for (r, a) in a.iter_mut().enumerate() {
                *a = a.add(*rows.starts.get_unchecked(at.row + r) as usize + run * rows.stride);
            }
            let mut k = 0;
            while k + 4 <= groups {
                for u in 0..4 {
                    add_group::<D, R, V>(&mut sums, a, b.add(u * step), u);
                }
                a = a.map(|a| a.add(4 * GROUP));
                b = b.add(4 * step);
                k += 4;
            }
            while k < groups {
                add_group::<D, R, V>(&mut sums, a, b, 0);
                a = a.map(|a| a.add(GROUP));
                b = b.add(step);
                k += 1;
            }
        }
        // A copy, for what follows is a loop: over the sums themselves it would keep them in memory all the while.
        let values: [[D::Floats; V]; R] = std::array::from_fn(|r| std::array::from_fn(|v| sums[r][v].floats()));
        for (r, values) in values.iter().enumerate() {
            for (v, value) in values.iter().enumerate() {
                let column = at.column + v * D::N;
                let load = |values: &[f32]| D::Floats::load(values.as_ptr().add(column));
                let value = value.mul(load(&packed.scale)).add(load(&packed.bias));
                let count = at.columns.saturating_sub(v * D::N).min(D::N);
                if count > 0 {
                    finish::<D>(value, out, (at.row + r) * packed.columns + column, count);
                }
            }
        }
    }
}

/// Four steps in depth: every row's activations times the panel's weights.
#[inline(always)]
unsafe fn add_group<D: Dots, const R: usize, const V: usize>(
    sums: &mut [[D; V]; R],
    a: [*const u8; R],
    b: *const i8,
    at: usize,
) {
    // SAFETY: see `Product::run`.
    unsafe {
        let mut panel = [D::weights(b); V];
        for (v, panel) in panel.iter_mut().enumerate().skip(1) {
            *panel = D::weights(b.add(v * D::N * GROUP));
        }
        for (sums, a) in sums.iter_mut().zip(a) {
            let a = D::spread(a.add(at * GROUP));
            for (sum, panel) in sums.iter_mut().zip(panel) {
                *sum = sum.add_products(a, panel);
            }
        }
    }
}

/// Writes the first `count` of a register's values to `to` and on.
#[inline(always)]
unsafe fn finish<D: Dots>(value: D::Floats, out: &mut Out<'_>, to: usize, count: usize) {
    let splat = D::Floats::splat;
    // SAFETY: see `Product::run`.
    unsafe {
        match out {
            Out::Floats { out, low } => {
                let value = value.max(splat(*low));
                let to = out.as_mut_ptr().add(to);
                if count == D::N { value.store(to) } else { value.store_first(to, count) }
            }
            Out::Bytes(out) => {
                let value = value.max(splat(0.0)).min(splat(127.0));
                let to = out.as_mut_ptr().add(to);
                if count == D::N {
                    D::store_rounded(value, to);
                } else {
                    let mut lanes = [0.0; 16];
                    value.store(lanes.as_mut_ptr());
                    lanes[..count].iter().enumerate().for_each(|(i, v)| to.add(i).write(rounded(*v)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers that look random: multiples of a prime, with both ends of their range among them.
    fn whole(len: usize, seed: usize, modulus: usize) -> impl Iterator<Item = usize> {
        (0..len).map(move |i| (i * 7919 + seed * 104_729) % modulus)
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn product_is_the_same_sum_on_every_leaf_for_every_remainder() {
        for leaf in Leaf::all() {
            for m in [1, 2, 3, 5, 6, 7, 11, 12, 13, 29] {
                for n in [1, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 50] {
                    for (runs, len) in [(1, 1), (1, 5), (5, 15), (3, 4), (2, 7), (2, 32)] {
                        assert_product(leaf, m, n, [runs, len]);
                    }
                }
            }
        }
    }

    fn assert_product(leaf: Leaf, m: usize, n: usize, [runs, len]: [usize; 2]) {
        let what = format!("{leaf:?}: {m}×{n}, {runs} runs of {len}");
        let stride = len + 3;
        let starts: Vec<u32> = (0..m as u32).map(|i| (i * 5) % 13).collect();
        let data: Vec<u8> = whole(13 + runs * stride, m, 128).map(|v| v as u8).collect();
        let weight: Vec<i8> = whole(runs * len * n, n, 255).map(|v| (v as i32 - 127) as i8).collect();
        let scale: Vec<f32> = whole(n, 1, 97).map(|v| (v + 1) as f32 / 30_000.0).collect();
        let bias: Vec<f32> = whole(n, 2, 101).map(|v| v as f32 / 3.0).collect();
        let packed = Packed::new(leaf, [runs, len], &scale, &bias, |k, j| weight[k * n + j]);
        let rows = Rows { data: &data, starts: &starts, stride };
        let (mut floats, mut bytes) = (vec![f32::NAN; m * n], vec![255; m * n]);
        product(rows, &packed, Out::Floats { out: &mut floats, low: -4.0 });
        product(rows, &packed, Out::Bytes(&mut bytes));
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let mut sum = 0;
            for (run, k) in (0..runs).flat_map(|run| (0..len).map(move |k| (run, k))) {
                let a = data[starts[i] as usize + run * stride + k];
                sum += i32::from(a) * i32::from(weight[(run * len + k) * n + j]);
            }
            let value = sum as f32 * scale[j] + bias[j];
            assert_eq!(floats[i * n + j], value.max(-4.0), "{what}: {i}, {j}");
            let byte = value.clamp(0.0, 127.0).round_ties_even() as u8;
            assert_eq!(bytes[i * n + j], byte, "{what}: {i}, {j}");
        }
    }

    /// The largest and smallest sums there are, where an instruction that saturates at sixteen bits would show.
    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn extreme_values_do_not_saturate() {
        for leaf in Leaf::all() {
            let data = [127; 64];
            let packed = Packed::new(leaf, [1, 64], &[1.0; 3], &[0.0; 3], |_, n| [-128, 127, 0][n]);
            let mut out = [f32::NAN; 3];
            let rows = Rows { data: &data, starts: &[0], stride: 0 };
            product(rows, &packed, Out::Floats { out: &mut out, low: f32::NEG_INFINITY });
            assert_eq!(out, [-64.0 * 127.0 * 128.0, 64.0 * 127.0 * 127.0, 0.0], "{leaf:?}");
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn halves_go_to_the_even_byte() {
        for leaf in Leaf::all() {
            let bias: Vec<f32> = (0..300).map(|i| i as f32 / 2.0 - 10.0).collect();
            let packed = Packed::new(leaf, [1, 1], &[0.0; 300], &bias, |_, _| 1);
            let mut out = [255; 300];
            product(Rows { data: &[1; 4], starts: &[0], stride: 0 }, &packed, Out::Bytes(&mut out));
            for (bias, byte) in bias.iter().zip(out) {
                assert_eq!(byte, bias.clamp(0.0, 127.0).round_ties_even() as u8, "{leaf:?}: {bias}");
            }
        }
    }
}
