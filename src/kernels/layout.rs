//! Orders of the same numbers: channels first, as files and PyTorch have them, and channels last, as the kernels do.

/// Every matrix `[rows, columns]` of `values` turned to `[columns, rows]`.
///
/// With `[channels, pixels]` this puts the channels of images last, with `[pixels, channels]` first again.
///
/// # Panics
/// When the slices do not hold equally many whole matrices.
pub fn transpose(values: &[f32], [rows, columns]: [usize; 2], out: &mut [f32]) {
    assert!(values.len() == out.len() && values.len().is_multiple_of(rows * columns));
    for (from, to) in values.chunks_exact(rows * columns).zip(out.chunks_exact_mut(rows * columns)) {
        for (row, from) in from.chunks_exact(columns).enumerate() {
            to[row..].iter_mut().step_by(rows).zip(from).for_each(|(to, from)| *to = *from);
        }
    }
}
