//! Fully connected layer: `y = x · Wᵀ + b`.
//!
//! With few rows it is bound by reading `W` from memory, not by arithmetic: the scratch CNN's first dense layer holds
//! 110 MB, more than any cache.

use std::ops::Range;

use rayon::prelude::*;

use super::arch::dot::dot_rows;
use super::arch::gemm::{View, gemm};

/// Sizes of a dense layer on a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenseGeometry {
    /// Rows of the input and output.
    pub batch: usize,
    /// Values in a row of the input.
    pub inputs: usize,
    /// Values in a row of the output.
    pub outputs: usize,
}

/// Parts that a large layer's work is cut into. The matrix product packs its operands on one thread, which for a weight
/// larger than the caches is most of the time; in parts the packing is parallel too. Fixed, so that the order of
/// additions does not depend on the number of threads.
const PARTS: usize = 8;

/// Weights below which cutting costs more than it saves.
const SMALL: usize = 1 << 16;

impl DenseGeometry {
    fn parts(&self) -> usize {
        if self.inputs * self.outputs < SMALL { 1 } else { PARTS }
    }

    /// The inputs cut into [`parts`](Self::parts) ranges.
    fn input_ranges(&self) -> Vec<Range<usize>> {
        let len = self.inputs.div_ceil(self.parts());
        (0..self.inputs).step_by(len).map(|start| start..(start + len).min(self.inputs)).collect()
    }

    /// Columns `range` of a row-major matrix of `rows` rows and `inputs` columns.
    fn columns<'a>(&self, matrix: &'a [f32], rows: usize, range: &Range<usize>) -> View<'a> {
        assert_eq!(matrix.len(), rows * self.inputs);
        let data = &matrix[range.start..];
        View { data, rows, columns: range.len(), row_stride: self.inputs, column_stride: 1 }
    }
}

/// `out[n, o] = Σᵢ input[n, i] · weight[o, i] + bias[o]`.
///
/// # Shapes
/// input `[batch, inputs]`, weight `[outputs, inputs]`, bias `[outputs]`, out `[batch, outputs]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn dense(g: &DenseGeometry, input: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    assert_eq!((bias.len(), out.len()), (g.outputs, g.batch * g.outputs));
    if g.batch == 1 {
        assert_eq!((input.len(), weight.len()), (g.inputs, g.outputs * g.inputs));
        // The matrix product would pack the weight, which is to write and read again what is used once.
        let rows = g.outputs.div_ceil(g.parts()).next_multiple_of(4);
        out.par_chunks_mut(rows).zip(weight.par_chunks(rows * g.inputs)).for_each(|(out, weight)| {
            dot_rows(weight, input, out);
        });
        out.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
        return;
    }
    let sums = |range: &Range<usize>| {
        let mut sum = vec![0.0; out.len()];
        let weight = g.columns(weight, g.outputs, range).transposed();
        gemm(&mut sum, g.outputs, g.columns(input, g.batch, range), weight, false, false);
        sum
    };
    let partials: Vec<Vec<f32>> = g.input_ranges().par_iter().map(sums).collect();
    for (row, out) in out.chunks_exact_mut(g.outputs).enumerate() {
        out.copy_from_slice(bias);
        for partial in &partials {
            out.iter_mut().zip(&partial[row * g.outputs..]).for_each(|(sum, v)| *sum += v);
        }
    }
}

/// Gradient for the input, `grad · W`: `[batch, inputs]`.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn dense_grad_input(g: &DenseGeometry, weight: &[f32], grad: &[f32], grad_input: &mut [f32]) {
    assert_eq!(grad_input.len(), g.batch * g.inputs);
    let columns = |range: &Range<usize>| {
        let mut part = vec![0.0; g.batch * range.len()];
        let weight = g.columns(weight, g.outputs, range);
        gemm(&mut part, range.len(), View::new(grad, g.batch, g.outputs), weight, false, false);
        part
    };
    let ranges = g.input_ranges();
    let parts: Vec<Vec<f32>> = ranges.par_iter().map(columns).collect();
    for (range, part) in ranges.into_iter().zip(parts) {
        for (row, part) in grad_input.chunks_exact_mut(g.inputs).zip(part.chunks_exact(range.len())) {
            row[range.clone()].copy_from_slice(part);
        }
    }
}

/// Gradients for the weight, `gradᵀ · x`: `[outputs, inputs]`, and the bias: `[outputs]`.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn dense_grad_weight(
    g: &DenseGeometry,
    input: &[f32],
    grad: &[f32],
    grad_weight: &mut [f32],
    grad_bias: &mut [f32],
) {
    assert_eq!((grad_weight.len(), grad_bias.len()), (g.outputs * g.inputs, g.outputs));
    let rows = g.outputs.div_ceil(g.parts());
    grad_weight.par_chunks_mut(rows * g.inputs).enumerate().for_each(|(i, part)| {
        // The gradients of this part's outputs, one row each.
        let data = &grad[i * rows..];
        let view =
            View { data, rows: part.len() / g.inputs, columns: g.batch, row_stride: 1, column_stride: g.outputs };
        gemm(part, g.inputs, view, View::new(input, g.batch, g.inputs), false, false);
    });
    grad_bias.fill(0.0);
    for row in grad.chunks_exact(g.outputs) {
        for (sum, v) in grad_bias.iter_mut().zip(row) {
            *sum += v;
        }
    }
}
