//! Fully connected layer: `y = x · Wᵀ + b`.
//!
//! With few rows it is bound by reading `W` from memory, not by arithmetic: the scratch CNN's first dense layer holds
//! 110 MB, more than any cache.

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

/// `out[n, o] = Σᵢ input[n, i] · weight[o, i] + bias[o]`.
///
/// # Shapes
/// input `[batch, inputs]`, weight `[outputs, inputs]`, bias `[outputs]`, out `[batch, outputs]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn dense(g: &DenseGeometry, input: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    assert_eq!((bias.len(), out.len()), (g.outputs, g.batch * g.outputs));
    for row in out.chunks_exact_mut(g.outputs) {
        row.copy_from_slice(bias);
    }
    let weight = View::new(weight, g.outputs, g.inputs).transposed();
    gemm(out, g.outputs, View::new(input, g.batch, g.inputs), weight, true, true);
}

/// Gradient for the input, `grad · W`: `[batch, inputs]`.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn dense_grad_input(g: &DenseGeometry, weight: &[f32], grad: &[f32], grad_input: &mut [f32]) {
    assert_eq!(grad_input.len(), g.batch * g.inputs);
    let weight = View::new(weight, g.outputs, g.inputs);
    gemm(grad_input, g.inputs, View::new(grad, g.batch, g.outputs), weight, false, true);
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
    let transposed = View::new(grad, g.batch, g.outputs).transposed();
    gemm(grad_weight, g.inputs, transposed, View::new(input, g.batch, g.inputs), false, true);
    grad_bias.fill(0.0);
    for row in grad.chunks_exact(g.outputs) {
        for (sum, v) in grad_bias.iter_mut().zip(row) {
            *sum += v;
        }
    }
}
