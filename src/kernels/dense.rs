//! Fully connected layer: `y = x · Wᵀ + b`.
//!
//! With few rows it is bound by reading `W` from memory, not by arithmetic: the scratch CNN's first dense layer holds
//! 110 MB, more than any cache. So the weight lies in memory in blocks of [`BLOCK`] columns, each block with all its rows
//! in one piece: forward and backward walk through it from one end to the other, tasks take whole blocks, and the
//! gradient goes into the weight in the same pass ([`Update`]).

use rayon::prelude::*;

use super::arch::dense::{Batch, dots, dots_gradient};
use super::arch::update::Weights;
use super::scratch;
use super::update::{Keep, Parameter, Stay, Update};

/// Columns of a block; the last one of a weight may have fewer. A batch of five and its gradient take 20 KB of the
/// first-level cache.
pub const BLOCK: usize = 512;

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

impl DenseGeometry {
    /// Weights of a block of full width.
    fn block(&self) -> usize {
        self.outputs * BLOCK
    }

    fn assert_holds(&self, input: &[f32], weight: &[f32], output: &[f32]) {
        assert_eq!((input.len(), weight.len()), (self.batch * self.inputs, self.inputs * self.outputs));
        assert_eq!(output.len(), self.batch * self.outputs);
    }

    /// The columns of the input that block `i` of the weight meets.
    fn columns<'a>(&self, input: &'a [f32], i: usize) -> Batch<'a> {
        Batch { data: &input[i * BLOCK..], images: self.batch, stride: self.inputs }
    }
}

/// Where weight `[output, input]` of `[outputs, inputs]` lies, block by block: a function of `(output, input)`.
pub fn place_in_blocks(inputs: usize, outputs: usize) -> impl Fn(usize, usize) -> usize {
    move |output, input| {
        let first = input / BLOCK * BLOCK;
        first * outputs + output * BLOCK.min(inputs - first) + (input - first)
    }
}

/// `out[n, o] = Σᵢ input[n, i] · weight[o, i] + bias[o]`.
///
/// # Shapes
/// input `[batch, inputs]`, weight `[outputs, inputs]` in blocks, bias `[outputs]`, out `[batch, outputs]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn forward(g: &DenseGeometry, input: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    g.assert_holds(input, weight, out);
    assert_eq!(bias.len(), g.outputs);
    scratch::with(weight.len().div_ceil(g.block()) * out.len(), |sums| {
        let blocks = weight.par_chunks(g.block()).zip(sums.par_chunks_exact_mut(out.len()));
        blocks.enumerate().for_each(|(i, (weight, sums))| {
            dots(weight, weight.len() / g.outputs, g.columns(input, i), sums);
        });
        out.chunks_exact_mut(g.outputs).for_each(|row| row.copy_from_slice(bias));
        for sums in sums.chunks_exact(out.len()) {
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
        }
    });
}

/// Gradient of [`forward`] for one row of its input, `out[i] = Σₒ grad[o] · weight[o, i]`; the weight stays as it is.
///
/// # Shapes
/// grad `[outputs]`, weight `[outputs, inputs]` in blocks, out `[inputs]`
///
/// # Panics
/// When a slice does not hold what the geometry says, or that has several rows.
pub fn grad_row(g: &DenseGeometry, grad: &[f32], weight: &[f32], out: &mut [f32]) {
    assert_eq!(g.batch, 1);
    g.assert_holds(out, weight, grad);
    weight.par_chunks(g.block()).zip(out.par_chunks_mut(BLOCK)).for_each(|(weight, out)| {
        out.fill(0.0);
        for (row, grad) in weight.chunks_exact(out.len()).zip(grad) {
            // Behind a rectifier many are.
            if *grad != 0.0 {
                out.iter_mut().zip(row).for_each(|(out, weight)| *out += grad * weight);
            }
        }
    });
}

/// Gradients of [`forward`], given `grad` of its output: the weight's and the bias's go to `update` at once, with what it
/// keeps beside them, the input's to `grad_input` where asked for.
///
/// # Shapes
/// grad `[batch, outputs]`, weight and its slots `[outputs, inputs]` in blocks, grad_input `[batch, inputs]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn backward(
    g: &DenseGeometry,
    input: &[f32],
    grad: &[f32],
    update: &[Update; 2],
    [weight, bias]: [&mut Parameter; 2],
    grad_input: Option<&mut [f32]>,
) {
    g.assert_holds(input, &weight.values, grad);
    let by_output: Vec<f32> = (0..g.outputs).flat_map(|o| grad[o..].iter().step_by(g.outputs).copied()).collect();
    let blocks = weight.parts(g.block());
    let visit = |i: usize, weights: Weights<'_>, grad_input: Option<&mut [f32]>| {
        let (width, batch) = (weights.values.len() / g.outputs, g.columns(input, i));
        match update[0] {
            Update::Stay => dots_gradient(Stay, weights, width, batch, &by_output, grad_input),
            Update::Keep => dots_gradient(Keep, weights, width, batch, &by_output, grad_input),
            Update::Adam(rule) => dots_gradient(rule, weights, width, batch, &by_output, grad_input),
            Update::Sgd(rule) => dots_gradient(rule, weights, width, batch, &by_output, grad_input),
        }
    };
    match grad_input {
        Some(out) => scratch::with(input.len(), |sums| {
            assert_eq!(out.len(), input.len());
            let parts = sums.par_chunks_mut(g.batch * BLOCK);
            blocks.into_par_iter().zip(parts).enumerate().for_each(|(i, (block, sums))| visit(i, block, Some(sums)));
            for (i, sums) in sums.chunks(g.batch * BLOCK).enumerate() {
                let width = sums.len() / g.batch;
                for (row, sums) in out.chunks_exact_mut(g.inputs).zip(sums.chunks_exact(width)) {
                    row[i * BLOCK..][..width].copy_from_slice(sums);
                }
            }
        }),
        None => blocks.into_par_iter().enumerate().for_each(|(i, block)| visit(i, block, None)),
    }
    let grad_bias: Vec<f32> = by_output.chunks_exact(g.batch).map(|row| row.iter().sum()).collect();
    update[1].apply(bias, &grad_bias);
}
