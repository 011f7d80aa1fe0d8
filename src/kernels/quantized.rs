//! Weights in eight bits with one scale a row, and dense layers that use them as they are.
//!
//! A dense layer whose weight is larger than the caches takes as long as reading it takes; in bytes that is a quarter of
//! the time in floats. Its activations are rounded too, each image with a scale of its own: to seven bits, with which
//! every processor's instruction for sums of byte products gives the same (see `arch::bytes`).

use rayon::prelude::*;

use super::arch::bytes::Leaf;
use super::arch::dot_i8::dot_rows;
use super::dense::DenseGeometry;

/// Rounds each row of a matrix to eight bits: values in `[-127, 127]` and a scale a row, `w ≈ scale · q`.
///
/// `scale = max|w| / 127` over the row, `q = w / scale` rounded half to even. The error of a weight is at most
/// `scale / 2`, that is `max|w| / 254` of its own row: an outlier costs its row and no other. A row of zeros has scale 0.
///
/// # Shapes
/// - `values`: `[rows, columns]` row-major, finite
/// - returns values of the same shape, and scales `[rows]`
pub fn quantize_rows(values: &[f32], rows: usize) -> (Vec<i8>, Vec<f32>) {
    assert!(rows > 0 && values.len().is_multiple_of(rows), "{} values in {rows} rows", values.len());
    let columns = values.len() / rows;
    let mut quantised = Vec::with_capacity(values.len());
    let mut scales = Vec::with_capacity(rows);
    for r in 0..rows {
        let row = &values[r * columns..(r + 1) * columns];
        let scale = row.iter().fold(0.0f32, |max, w| max.max(w.abs())) / 127.0;
        // Zero also when the division underflows: such a row is below 2e-43 and is nothing beside any other.
        let inverse = if scale > 0.0 { 1.0 / f64::from(scale) } else { 0.0 };
        quantised.extend(row.iter().map(|&w| (f64::from(w) * inverse).round_ties_even().clamp(-127.0, 127.0) as i8));
        scales.push(scale);
    }
    (quantised, scales)
}

/// Makes the matrix that [`quantize_rows`] rounded, `scale · q`, of `q` in place.
///
/// # Shapes
/// - `values`: `[rows, columns]` row-major, `scales`: `[rows]`
pub fn dequantize_rows(values: &mut [f32], scales: &[f32]) {
    assert!(!scales.is_empty() && values.len().is_multiple_of(scales.len()));
    let columns = (values.len() / scales.len()).max(1);
    for (row, scale) in values.chunks_exact_mut(columns).zip(scales) {
        row.iter_mut().for_each(|value| *value *= scale);
    }
}

/// The largest rounded activation.
const LARGEST: f32 = 127.0;

/// Weights below which handing rows to other threads costs more than it saves.
const MANY: usize = 1 << 16;

/// A dense layer with its weight in eight bits.
#[derive(Debug, Clone)]
pub struct QuantizedDense {
    inputs: usize,
    /// `[outputs, inputs]`
    values: Vec<i8>,
    scales: Vec<f32>,
    bias: Vec<f32>,
}

impl QuantizedDense {
    /// Rounds `weight`, `[outputs, inputs]` row-major, with [`quantize_rows`]; one that was stored so stays what it was.
    ///
    /// # Panics
    /// When there is not one row of equal length for every bias, or a row is longer than 2¹⁷.
    pub fn new(weight: &[f32], bias: &[f32]) -> Self {
        let (values, scales) = quantize_rows(weight, bias.len());
        Self { inputs: weight.len() / bias.len(), values, scales, bias: bias.to_vec() }
    }

    /// `out[n, o] ≈ Σᵢ input[n, i] · weight[o, i] + bias[o]` for inputs that are not negative, as a rectifier leaves them.
    ///
    /// An image's inputs are rounded to 127 steps between 0 and their largest, half to even.
    ///
    /// # Shapes
    /// input `[batch, inputs]`, out `[batch, outputs]`
    ///
    /// # Panics
    /// When a slice does not hold what the shapes say.
    pub fn forward(&self, batch: usize, input: &[f32], out: &mut [f32]) {
        self.forward_on(Leaf::best(), batch, input, out);
    }

    /// Gradient for one row of inputs, `Σₒ grad[o] · weight[o, i]` with the weight as it was rounded; the rounding of the
    /// inputs counts as if it had slope 1.
    ///
    /// # Panics
    /// When `grad` does not hold one value an output.
    pub fn grad_row(&self, grad: &[f32]) -> Vec<f32> {
        assert_eq!(grad.len(), self.bias.len());
        let mut grad_input = vec![0.0; self.inputs];
        for ((row, scale), grad) in self.values.chunks_exact(self.inputs).zip(&self.scales).zip(grad) {
            let factor = grad * scale;
            // Behind a rectifier many are.
            if factor != 0.0 {
                grad_input.iter_mut().zip(row).for_each(|(out, q)| *out += factor * f32::from(*q));
            }
        }
        grad_input
    }

    fn forward_on(&self, leaf: Leaf, batch: usize, input: &[f32], out: &mut [f32]) {
        let outputs = self.bias.len();
        let g = DenseGeometry { batch, inputs: self.inputs, outputs };
        assert_eq!((input.len(), out.len()), (batch * g.inputs, batch * outputs));
        let mut rounded = vec![0; input.len()];
        let images = input.chunks_exact(g.inputs).zip(rounded.chunks_exact_mut(g.inputs));
        let steps: Vec<f32> = images.map(|(image, rounded)| quantize(image, rounded)).collect();
        let mut sums = vec![0; outputs * batch];
        let rows = if outputs * g.inputs < MANY { outputs } else { outputs.div_ceil(16).next_multiple_of(4) };
        let parts = sums.par_chunks_mut(rows * batch).zip(self.values.par_chunks(rows * g.inputs));
        parts.for_each(|(sums, values)| dot_rows(leaf, values, &rounded, g.inputs, sums));
        for (n, out) in out.chunks_exact_mut(outputs).enumerate() {
            for (o, out) in out.iter_mut().enumerate() {
                *out = sums[o * batch + n] as f32 * (steps[n] * self.scales[o]) + self.bias[o];
            }
        }
    }
}

/// `q = values / step` rounded half to even, with the step that makes 127 of the largest; returns the step. What is
/// negative or not a number becomes 0.
fn quantize(values: &[f32], out: &mut [u8]) -> f32 {
    let largest = values.iter().fold(0.0_f32, |largest, v| if *v > largest { *v } else { largest });
    let step = largest / LARGEST;
    let inverse = if step > 0.0 { step.recip() } else { 0.0 };
    for (q, v) in out.iter_mut().zip(values) {
        let v = v * inverse;
        let v = if v > 0.0 { v } else { 0.0 };
        // 2²³ added to a float of this size leaves the nearest whole number, half to even, in its lowest byte.
        *q = (if v < LARGEST { v } else { LARGEST } + 8_388_608.0).to_bits() as u8;
    }
    step
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::reference;
    use super::super::tests::values;
    use super::*;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn activations_are_rounded_half_to_even_between_zero_and_their_largest() {
        let mut q = [255; 8];
        let step = quantize(&[0.0, -3.0, 0.25, 0.75, 1.25, 0.3, 63.5, f32::NAN], &mut q);
        assert_eq!((step, q), (0.5, [0, 0, 0, 2, 2, 1, 127, 0]));
        assert_eq!(quantize(&[0.0; 8], &mut q), 0.0);
        assert_eq!(q, [0; 8]);
    }

    /// Every leaf, every number of images that has a tile of its own, rows of every remainder, several tasks.
    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn dense_layer_is_within_the_rounding_of_its_operands_on_every_leaf() {
        for (batch, inputs, outputs) in
            [(1, 1, 1), (1, 37, 5), (2, 64, 7), (3, 131, 12), (4, 100, 9), (7, 4100, 18), (1, 5003, 70)]
        {
            let x: Vec<f32> = values(batch * inputs, 1).iter().map(|v| v.max(0.0)).collect();
            let (weight, bias) = (values(outputs * inputs, 2), values(outputs, 3));
            let layer = QuantizedDense::new(&weight, &bias);
            let exact = reference::dense(&x, &weight, &bias);
            let mut first = vec![f32::NAN; exact.len()];
            layer.forward_on(Leaf::Scalar, batch, &x, &mut first);
            // Half a step of the activation, at most 1/254, times each weight; half a step of the weight, as much, times
            // each activation; and their product.
            let bound = inputs as f32 * (2.0 / 254.0 + 1.0 / 254.0_f32.powi(2)) * 1.01;
            for (found, exact) in first.iter().zip(&exact) {
                assert!((found - exact).abs() <= bound, "{batch} × {inputs} × {outputs}: {found}, exact {exact}");
            }
            for leaf in Leaf::all() {
                let mut out = vec![f32::NAN; exact.len()];
                layer.forward_on(leaf, batch, &x, &mut out);
                assert_eq!(out, first, "{leaf:?}: {batch} × {inputs} × {outputs}");
            }
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn gradient_for_a_row_is_the_rounded_weights_adjoint() {
        let (inputs, outputs) = (37, 5);
        let (weight, mut grad) = (values(outputs * inputs, 2), values(outputs, 4));
        grad[2] = 0.0;
        let (q, scales) = quantize_rows(&weight, outputs);
        let rounded = restored(&q, &scales);
        let found = QuantizedDense::new(&weight, &vec![0.0; outputs]).grad_row(&grad);
        for (i, found) in found.iter().enumerate() {
            let products: Vec<f64> =
                (0..outputs).map(|o| f64::from(grad[o]) * f64::from(rounded[o * inputs + i])).collect();
            let (sum, size): (f64, f64) = (products.iter().sum(), products.iter().map(|p| p.abs()).sum());
            // As many roundings again for the factors' own products.
            let bound = 3.0 * outputs as f64 * f64::from(f32::EPSILON) * size;
            assert!((f64::from(*found) - sum).abs() <= bound, "{i}: {found}, not {sum}");
        }
    }

    fn restored(q: &[i8], scales: &[f32]) -> Vec<f32> {
        let mut values: Vec<f32> = q.iter().map(|&q| f32::from(q)).collect();
        dequantize_rows(&mut values, scales);
        values
    }

    /// `numpy.round([63.5, 62.5, -0.5, -127])` = [64, 62, 0, -127]: NumPy 2 rounds half to even.
    #[test]
    fn halves_go_to_the_even_neighbour() {
        let (q, scales) = quantize_rows(&[63.5, 62.5, -0.5, -127.0], 1);
        assert_eq!((q, scales), (vec![64, 62, 0, -127], vec![1.0]));
    }

    #[test]
    fn error_is_at_most_half_a_step_of_its_own_row() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (rows, columns) = (40, 33);
        let values: Vec<f32> =
            (0..rows * columns).map(|i| (rng.random::<f32>() - 0.5) * 10f32.powi((i / columns) as i32 - 20)).collect();
        let (q, scales) = quantize_rows(&values, rows);
        let back = restored(&q, &scales);
        for (i, (w, v)) in values.iter().zip(&back).enumerate() {
            // Beside the half step: one rounding of scale and one of the product, each below ε|w|.
            let bound = scales[i / columns] / 2.0 + 2.0 * f32::EPSILON * w.abs();
            assert!((w - v).abs() <= bound, "{w} became {v}");
        }
    }

    #[test]
    fn the_largest_weight_of_a_row_comes_back_whole() {
        let (q, scales) = quantize_rows(&[0.3, -2.54, 1.0, 0.01, 0.002, -0.0127], 2);
        assert_eq!((q[1], q[5]), (-127, -127));
        let back = restored(&q, &scales);
        assert!((back[1] + 2.54).abs() < 1e-6 && (back[5] + 0.0127).abs() < 1e-8);
    }

    #[test]
    fn rows_of_zeros_and_of_nearly_nothing_stay_finite() {
        let (q, scales) = quantize_rows(&[0.0, 0.0, 1e-45, -1e-45], 2);
        assert_eq!(q, [0, 0, 0, 0]);
        assert_eq!(restored(&q, &scales), [0.0; 4]);
    }

    #[test]
    fn rows_without_columns_are_empty() {
        assert_eq!(quantize_rows(&[], 3), (vec![], vec![0.0; 3]));
        assert_eq!(restored(&[], &[0.0; 3]), Vec::<f32>::new());
    }
}
