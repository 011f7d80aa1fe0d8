//! Matrix product over strided views, checked once, then handed to the `gemm` crate, which picks the instruction set.

use gemm::Parallelism;

/// A matrix inside a slice: element `(i, j)` lies at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> View<'a> {
    /// A dense row-major `[rows, columns]` matrix.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same numbers read as `[columns, rows]`.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// The highest index that a strided matrix touches, plus one.
fn extent(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + (columns - 1) * column_stride + 1 }
}

/// `out = a · b`, or `out += a · b` where `accumulate`; `out` is `[a.rows, b.columns]` with rows `out_stride` apart.
///
/// # Panics
/// When the inner dimensions differ or a view reaches past its slice: both are our own mistakes.
pub fn gemm(out: &mut [f32], out_stride: usize, a: View<'_>, b: View<'_>, accumulate: bool, parallel: bool) {
    assert_eq!(a.columns, b.rows);
    assert!(extent(a.rows, a.columns, a.row_stride, a.column_stride) <= a.data.len());
    assert!(extent(b.rows, b.columns, b.row_stride, b.column_stride) <= b.data.len());
    assert!(extent(a.rows, b.columns, out_stride, 1) <= out.len());
    assert!(out_stride >= b.columns, "rows of the product overlap");
    let parallelism = if parallel { Parallelism::Rayon(0) } else { Parallelism::None };
    // SAFETY: the three assertions on extents keep every access inside its slice; `out` is borrowed mutably, so it
    // overlaps neither operand; strides are element counts below `isize::MAX`, being offsets inside slices.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
