//! Vectors of bytes times the rows of a matrix of bytes, both read where they lie.
//!
//! With one vector each weight is read once and used once, so memory sets the pace; with several a row's weights are
//! taken to all of them while they are in the nearest cache.

use std::ops::Range;

use super::bytes::{ByteKernel, Dots, GROUP, Leaf, MOST_PRODUCTS, dispatch};

/// Vectors of a tile of sums: with two rows, whose sums take up to two registers each, that is twelve.
const VECTORS: usize = 3;

/// Steps in depth that a few rows are taken through all vectors: a half of a first-level cache of 32 KiB.
const BLOCK: usize = 4096;

/// Bytes of vectors that all rows are taken through: half of a second-level cache of 1 MiB. With few vectors that is all
/// of them, and each row is read from memory in one go: in pieces of a block that was three times slower.
const SPAN: usize = 1 << 19;

/// `out[i, v] = Σₖ rows[i, k] · vectors[v, k]`.
///
/// # Shapes
/// `rows`: `[.., len]`, `vectors`: `[.., len]` with values up to 127, `out`: `[rows, vectors]`, all row-major
///
/// # Panics
/// When the slices do not hold what the shapes say, or `len` is such that a sum might overflow.
pub fn dot_rows(leaf: Leaf, rows: &[i8], vectors: &[u8], len: usize, out: &mut [i32]) {
    assert!(len <= MOST_PRODUCTS, "sums of {len} products may overflow");
    out.fill(0);
    if out.is_empty() || len == 0 {
        return;
    }
    assert!(rows.len().is_multiple_of(len) && vectors.len().is_multiple_of(len));
    let counts = [rows.len() / len, vectors.len() / len];
    assert_eq!(out.len(), counts[0] * counts[1]);
    dispatch(leaf, DotRows { rows, vectors, len, counts, out });
}

struct DotRows<'a> {
    rows: &'a [i8],
    vectors: &'a [u8],
    len: usize,
    counts: [usize; 2],
    out: &'a mut [i32],
}

impl ByteKernel for DotRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<D: Dots>(mut self) {
        let [rows, vectors] = self.counts;
        let span = (SPAN / vectors / BLOCK).max(1) * BLOCK;
        for first in (0..self.len).step_by(span) {
            let steps = first..(first + span).min(self.len);
            let mut row = 0;
            while row < rows {
                // SAFETY: `dot_rows` has checked the slices; `row + R <= rows`, `steps` lie in a row.
                unsafe {
                    match rows - row {
                        4.. if D::N == 16 || vectors == 1 => row += self.rows::<D, 4>(row, &steps),
                        2.. => row += self.rows::<D, 2>(row, &steps),
                        _ => row += self.rows::<D, 1>(row, &steps),
                    }
                }
            }
        }
    }
}

impl DotRows<'_> {
    /// `R` rows and all vectors; returns `R`.
    #[inline(always)]
    unsafe fn rows<D: Dots, const R: usize>(&mut self, row: usize, steps: &Range<usize>) -> usize {
        let vectors = self.counts[1];
        // The few vectors of one tile meet each weight once, which needs no cache.
        let block = if vectors <= VECTORS { steps.len() } else { BLOCK };
        for first in steps.clone().step_by(block) {
            let steps = first..(first + block).min(steps.end);
            let mut vector = 0;
            while vector < vectors {
                // SAFETY: see `run`; `vector + V <= vectors`.
                unsafe {
                    match vectors - vector {
                        VECTORS.. => vector += self.tile::<D, R, VECTORS>(row, vector, &steps),
                        2 => vector += self.tile::<D, R, 2>(row, vector, &steps),
                        _ => vector += self.tile::<D, R, 1>(row, vector, &steps),
                    }
                }
            }
        }
        R
    }

    /// Adds `steps` of `R` rows and `V` vectors; returns `V`.
    #[inline(always)]
    unsafe fn tile<D: Dots, const R: usize, const V: usize>(
        &mut self,
        row: usize,
        vector: usize,
        steps: &Range<usize>,
    ) -> usize {
        let mut sums = [[D::zero(); V]; R];
        let mut k = steps.start;
        // SAFETY: see `run`.
        unsafe {
            let rows: [*const i8; R] = std::array::from_fn(|r| self.rows.as_ptr().add((row + r) * self.len));
            let vectors: [*const u8; V] = std::array::from_fn(|v| self.vectors.as_ptr().add((vector + v) * self.len));
            while k + GROUP * D::N <= steps.end {
                let mut a = [D::activations(vectors[0].add(k)); V];
                for (a, vector) in a.iter_mut().zip(vectors).skip(1) {
                    *a = D::activations(vector.add(k));
                }
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let w = D::weights(row.add(k));
                    for (sum, a) in sums.iter_mut().zip(a) {
                        *sum = sum.add_products(a, w);
                    }
                }
                k += GROUP * D::N;
            }
            // As in the product, lest the sums be kept in memory for the loop's sake.
            let totals: [[i32; V]; R] = std::array::from_fn(|r| std::array::from_fn(|v| sums[r][v].total()));
            for (r, totals) in totals.iter().enumerate() {
                for (v, &total) in totals.iter().enumerate() {
                    let mut total = total;
                    for k in k..steps.end {
                        total += i32::from(*rows[r].add(k)) * i32::from(*vectors[v].add(k));
                    }
                    *self.out.get_unchecked_mut((row + r) * self.counts[1] + vector + v) += total;
                }
            }
        }
        V
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn every_row_meets_every_vector_on_every_leaf() {
        for leaf in Leaf::all() {
            for rows in [1, 2, 3, 4, 5, 9] {
                for vectors in [1, 2, 3, 4, 5, 11] {
                    for len in [0, 1, 15, 16, 17, 31, 63, 64, 65, 130, 2 * BLOCK + 77, SPAN / 8 + 1] {
                        let w: Vec<i8> = (0..rows * len).map(|i| ((i * 7919 % 255) as i32 - 127) as i8).collect();
                        let a: Vec<u8> = (0..vectors * len).map(|i| (i * 104_729 % 128) as u8).collect();
                        let mut out = vec![i32::MIN; rows * vectors];
                        dot_rows(leaf, &w, &a, len, &mut out);
                        for (i, sum) in out.iter().enumerate() {
                            let (w, a) = (&w[i / vectors * len..][..len], &a[i % vectors * len..][..len]);
                            let expected: i32 = w.iter().zip(a).map(|(w, a)| i32::from(*w) * i32::from(*a)).sum();
                            assert_eq!(*sum, expected, "{leaf:?}: {rows} rows, {vectors} vectors of {len}: {i}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn the_longest_sum_does_not_overflow() {
        for leaf in Leaf::all() {
            let mut out = [0];
            dot_rows(leaf, &vec![-128; MOST_PRODUCTS], &vec![127; MOST_PRODUCTS], MOST_PRODUCTS, &mut out);
            assert_eq!(out, [-(1 << 17) * 127 * 128], "{leaf:?}");
        }
    }
}
