//! One vector times the rows of a matrix: each weight is read once and used once, so memory sets the pace.

use super::lanes::{Kernel, Lanes, dispatch};

/// Rows that are read side by side: the vector is loaded once for all of them.
const ROWS: usize = 4;

/// `out[i] = Σₖ rows[i, k] · vector[k]`.
///
/// # Shapes
/// `rows`: `[out.len(), vector.len()]`, row-major
///
/// # Panics
/// When `rows` does not hold what the shapes say.
pub fn dot_rows(rows: &[f32], vector: &[f32], out: &mut [f32]) {
    assert_eq!(rows.len(), out.len() * vector.len());
    dispatch(DotRows { rows, vector, out });
}

struct DotRows<'a> {
    rows: &'a [f32],
    vector: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for DotRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { rows, vector, out } = self;
        let len = vector.len();
        let mut row = 0;
        while row < out.len() {
            // SAFETY: `dot_rows` has checked that every row of `out` has its row of `len` values.
            unsafe {
                if row + ROWS <= out.len() {
                    out[row..row + ROWS].copy_from_slice(&dots::<L, ROWS>(rows.as_ptr().add(row * len), vector));
                    row += ROWS;
                } else {
                    out[row] = dots::<L, 1>(rows.as_ptr().add(row * len), vector)[0];
                    row += 1;
                }
            }
        }
    }
}

/// # Safety
/// `R` rows of `vector.len()` floats can be read at `rows`.
#[inline(always)]
unsafe fn dots<L: Lanes, const R: usize>(rows: *const f32, vector: &[f32]) -> [f32; R] {
    let len = vector.len();
    // Two sums a row: one alone would wait for its own last addition.
    let mut sums = [[L::splat(0.0); 2]; R];
    let mut k = 0;
    // SAFETY: `k` stays below `len`; the caller vouches for the rows.
    unsafe {
        while k + 2 * L::N <= len {
            for half in 0..2 {
                let at = k + half * L::N;
                let x = L::load(vector.as_ptr().add(at));
                for (r, sums) in sums.iter_mut().enumerate() {
                    sums[half] = x.mul_add(L::load(rows.add(r * len + at)), sums[half]);
                }
            }
            k += 2 * L::N;
        }
        std::array::from_fn(|r| {
            let mut lanes = [0.0; 16];
            sums[r][0].add(sums[r][1]).store(lanes.as_mut_ptr());
            let rest: f32 = (k..len).map(|k| vector[k] * *rows.add(r * len + k)).sum();
            lanes[..L::N].iter().sum::<f32>() + rest
        })
    }
}
