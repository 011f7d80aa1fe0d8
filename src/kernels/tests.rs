//! Every kernel against its reference over odd geometries, and every differentiable operation against finite differences.

use candle_core::{Device, Tensor, Var};

use super::channels_last::{self, GradSource, turned, turned_back};
use super::conv_pool;
use super::conv2d::{self, Conv2dGeometry};
use super::custom_op::{self, GradientSink, with_values};
use super::dense::{self, DenseGeometry};
use super::pool::{self, Pool2dGeometry};
use super::reference;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Deterministic values in `[-1, 1)`: the fractional parts of multiples of the golden ratio, which never repeat.
fn values(len: usize, seed: usize) -> Vec<f32> {
    let fraction = |i: usize| ((i + 1 + 7919 * seed) as f64 * 0.618_033_988_749_895).fract();
    (0..len).map(|i| (2.0 * fraction(i) - 1.0) as f32).collect()
}

/// Asserts agreement within the rounding of a sum of `terms` products of numbers up to 1: `2·n·ε·n` bounds it.
fn assert_close(found: &[f32], expected: &[f32], terms: usize, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let terms = terms as f32;
    let tolerance = 2.0 * terms * f32::EPSILON * terms;
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what}: value {i} is {a}, the reference says {b} (± {tolerance})");
    }
}

/// `(input, weight, stride)`: single pixels, one channel, asymmetric images and kernels, strides beyond the kernel,
/// widths around one and two vectors, and batches that do not divide into equal parts.
const CONVOLUTIONS: &[([usize; 4], [usize; 4], usize)] = &[
    ([1, 1, 1, 1], [1, 1, 1, 1], 1),
    ([2, 3, 5, 5], [4, 3, 5, 5], 1),
    ([1, 1, 7, 4], [2, 1, 3, 2], 1),
    ([3, 2, 9, 6], [5, 2, 2, 3], 2),
    ([1, 4, 8, 11], [3, 4, 1, 1], 3),
    ([2, 2, 10, 10], [3, 2, 3, 3], 4),
    ([9, 3, 12, 13], [7, 3, 5, 5], 1),
    ([1, 5, 6, 17], [8, 5, 5, 1], 1),
    ([2, 3, 16, 37], [6, 3, 5, 5], 1),
    // Large enough that the unfolded matrix takes several tiles.
    ([1, 32, 24, 60], [4, 32, 5, 5], 1),
];

#[test]
fn convolution_and_its_gradients_follow_the_reference() {
    for &(input, weight, stride) in CONVOLUTIONS {
        let g = Conv2dGeometry::new(input, weight, stride).expect("a valid geometry");
        let (x, w, b) = (values(g.input_len(), 1), values(g.weight_len(), 2), values(weight[0], 3));
        let dy = values(g.output_len(), 4);
        let taps = g.weight_len() / weight[0];
        let outputs = g.output_len() / weight[0];
        let what = format!("{g:?}");

        let mut y = vec![f32::NAN; g.output_len()];
        conv2d::conv2d(&g, &x, &w, &b, false, &mut y);
        let expected = reference::conv2d(&g, &x, &w, &b);
        assert_close(&y, &expected, taps + 1, &what);
        conv2d::conv2d(&g, &x, &w, &b, true, &mut y);
        assert_close(&y, &expected.iter().map(|v| v.max(0.0)).collect::<Vec<_>>(), taps + 1, &what);

        let mut dx = vec![f32::NAN; g.input_len()];
        conv2d::conv2d_grad_input(&g, &w, &dy, &mut dx);
        assert_close(&dx, &reference::conv2d_grad_input(&g, &w, &dy), taps * weight[0], &what);

        let (mut dw, mut db) = (vec![f32::NAN; g.weight_len()], vec![f32::NAN; weight[0]]);
        conv2d::conv2d_grad_weight(&g, &x, &dy, &mut dw, &mut db);
        let (expected_dw, expected_db) = reference::conv2d_grad_weight(&g, &x, &dy);
        assert_close(&dw, &expected_dw, outputs, &what);
        assert_close(&db, &expected_db, outputs, &what);
    }
}

#[test]
fn pooled_convolution_and_its_gradients_follow_the_reference() {
    for &(input, weight, stride) in CONVOLUTIONS {
        let g = Conv2dGeometry::new(input, weight, stride).expect("a valid geometry");
        let planes = input[0] * weight[0];
        let Some(pool) = Pool2dGeometry::new(planes, g.out_height(), g.out_width(), 2, 2) else { continue };
        let (x, w, b) = (values(g.input_len(), 1), values(g.weight_len(), 2), values(weight[0], 3));
        let dy = values(pool.output_len(), 4);
        let taps = g.weight_len() / weight[0];
        let what = format!("{g:?}");

        let mut y = vec![f32::NAN; pool.output_len()];
        let mut winners = vec![0; y.len()];
        conv_pool::conv2d_pool(&g, &x, &w, &b, &mut y, &mut winners);
        let rectified: Vec<f32> = reference::conv2d(&g, &x, &w, &b).iter().map(|v| v.max(0.0)).collect();
        let (expected, _) = reference::max_pool2d(&pool, &rectified);
        assert_close(&y, &expected, taps + 1, &what);

        let mut before = reference::max_pool2d_grad(&pool, &rectified, &dy);
        before.iter_mut().zip(&rectified).filter(|(_, y)| **y <= 0.0).for_each(|(g, _)| *g = 0.0);
        let (mut dw, mut db) = (vec![f32::NAN; g.weight_len()], vec![f32::NAN; weight[0]]);
        let mut dx = vec![f32::NAN; g.input_len()];
        conv_pool::conv2d_pool_grad(&g, (&x, &w), (&dy, &winners), (&mut dw, &mut db), Some(&mut dx));
        let (expected_dw, expected_db) = reference::conv2d_grad_weight(&g, &x, &before);
        assert_close(&dw, &expected_dw, g.output_len() / weight[0], &what);
        assert_close(&db, &expected_db, g.output_len() / weight[0], &what);
        assert_close(&dx, &reference::conv2d_grad_input(&g, &w, &before), taps * weight[0], &what);

        let alone = dw.clone();
        conv_pool::conv2d_pool_grad(&g, (&x, &w), (&dy, &winners), (&mut dw, &mut db), None);
        assert_eq!(dw, alone, "{what}: the weight's gradient does not depend on whether the input's is asked for");
    }
}

/// Shapes for Winograd's algorithm: whole tiles, tiles over the edge, odd sums of rows and columns that pooling drops,
/// several blocks of tiles, channels that fill no register.
const TRANSFORMED: &[([usize; 4], [usize; 4], usize)] = &[
    ([1, 8, 12, 12], [8, 8, 5, 5], 1),
    ([2, 9, 13, 30], [11, 9, 5, 5], 1),
    ([1, 16, 8, 8], [8, 16, 3, 3], 1),
    ([3, 8, 17, 23], [20, 8, 3, 3], 1),
    ([1, 32, 24, 60], [17, 32, 5, 5], 1),
    ([9, 8, 3, 3], [8, 8, 3, 3], 1),
];

/// The error that Winograd's algorithm adds to the rounding of a sum: 2e-5 of the largest value is ten times what was
/// measured, and a wrong coefficient in a transform is off by far more.
fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 2e-5 * largest, "{what}: value {i} is {a}, the reference says {b} of {largest}");
    }
}

#[test]
fn convolution_with_channels_last_and_its_gradients_follow_the_reference() {
    for &(input, weight, stride) in CONVOLUTIONS.iter().chain(TRANSFORMED) {
        let g = Conv2dGeometry::new(input, weight, stride).expect("a valid geometry");
        let [_, channels, h, w] = input;
        let (x, k, b) = (values(g.input_len(), 1), values(g.weight_len(), 2), values(weight[0], 3));
        let dy = values(g.output_len(), 4);
        let pixels = [1, g.out_height() * g.out_width()];
        let what = format!("{g:?}");
        let last = turned(&x, channels, [1, h * w]);
        let back = |values: &[f32], channels, order| {
            let mut out = vec![f32::NAN; values.len()];
            turned_back(values, channels, order, &mut out);
            out
        };

        let prepared = channels_last::Prepared::new(&g, &k, &b);
        let mut y = vec![f32::NAN; g.output_len()];
        let expected = reference::conv2d(&g, &x, &k, &b);
        prepared.forward(&g, &last, false, &mut y);
        assert_near(&back(&y, weight[0], pixels), &expected, &what);
        prepared.forward(&g, &last, true, &mut y);
        let rectified: Vec<f32> = expected.iter().map(|v| v.max(0.0)).collect();
        assert_near(&back(&y, weight[0], pixels), &rectified, &what);

        let taps = [channels, weight[2] * weight[3]];
        let (mut dk, mut db) = (vec![f32::NAN; g.weight_len()], vec![f32::NAN; weight[0]]);
        let mut dx = vec![f32::NAN; g.input_len()];
        let kernel = turned(&k, weight[0], taps);
        let grad = turned(&dy, weight[0], pixels);
        channels_last::backward(&g, (&last, &kernel), GradSource::Plain(&grad), (&mut dk, &mut db), Some(&mut dx));
        let (expected_dk, expected_db) = reference::conv2d_grad_weight(&g, &x, &dy);
        assert_near(&back(&dk, weight[0], taps), &expected_dk, &what);
        assert_near(&db, &expected_db, &what);
        assert_near(&back(&dx, channels, [1, h * w]), &reference::conv2d_grad_input(&g, &k, &dy), &what);

        let planes = input[0] * weight[0];
        let Some(pool) = Pool2dGeometry::new(planes, g.out_height(), g.out_width(), 2, 2) else { continue };
        let order = [1, pool.out_height() * pool.out_width()];
        let (expected, _) = reference::max_pool2d(&pool, &rectified);
        let (mut y, mut winners) = (vec![f32::NAN; pool.output_len()], vec![f32::NAN; pool.output_len()]);
        prepared.forward_pooled(&g, &last, &mut y, Some(&mut winners));
        assert_near(&back(&y, weight[0], order), &expected, &what);

        let dy = values(pool.output_len(), 5);
        let mut before = reference::max_pool2d_grad(&pool, &rectified, &dy);
        before.iter_mut().zip(&rectified).filter(|(_, y)| **y <= 0.0).for_each(|(g, _)| *g = 0.0);
        let grad = turned(&dy, weight[0], order);
        let grad = GradSource::Pooled(&grad, &winners);
        channels_last::backward(&g, (&last, &kernel), grad, (&mut dk, &mut db), Some(&mut dx));
        let (expected_dk, expected_db) = reference::conv2d_grad_weight(&g, &x, &before);
        assert_near(&back(&dk, weight[0], taps), &expected_dk, &what);
        assert_near(&db, &expected_db, &what);
        assert_near(&back(&dx, channels, [1, h * w]), &reference::conv2d_grad_input(&g, &k, &before), &what);
    }
}

#[test]
fn padding_is_a_margin_of_zeros() {
    for (input, weight, stride, padding) in
        [([2, 3, 7, 9], [4, 3, 3, 3], 2, 1), ([1, 9, 10, 6], [8, 9, 3, 3], 1, 1), ([1, 8, 9, 13], [12, 8, 5, 5], 1, 2)]
    {
        let [n, c, h, w] = input;
        let padded = Conv2dGeometry::new(input, weight, stride).expect("a valid geometry").with_padding(padding);
        let (wide, high) = (w + 2 * padding, h + 2 * padding);
        let whole = Conv2dGeometry::new([n, c, high, wide], weight, stride).expect("a valid geometry");
        let x = values(padded.input_len(), 1);
        let mut margins = vec![0.0; whole.input_len()];
        for (line, from) in x.chunks_exact(w).enumerate() {
            let at = (line / h * high + line % h + padding) * wide + padding;
            margins[at..at + w].copy_from_slice(from);
        }
        let (k, b) = (values(padded.weight_len(), 2), values(weight[0], 3));
        let mut y = vec![f32::NAN; padded.output_len()];
        let last = turned(&x, c, [1, h * w]);
        channels_last::Prepared::new(&padded, &k, &b).forward(&padded, &last, false, &mut y);
        let mut first = vec![f32::NAN; y.len()];
        turned_back(&y, weight[0], [1, padded.out_height() * padded.out_width()], &mut first);
        assert_near(&first, &reference::conv2d(&whole, &margins, &k, &b), &format!("{padded:?}"));
    }
}

#[test]
fn pooled_convolution_gradients_agree_with_finite_differences() {
    // Multiples of 1/17 in mixed order and kernels of one tap: no two sums of a window are closer than the step.
    let data: Vec<f32> = (0..49).map(|i| ((i * 37) % 49) as f32 / 17.0).collect();
    let x =
        Var::from_tensor(&Tensor::from_vec(data, (1, 1, 7, 7), &Device::Cpu).expect("a tensor")).expect("a variable");
    let w = Var::from_tensor(&Tensor::from_vec(vec![0.9_f32, -1.1], (2, 1, 1, 1), &Device::Cpu).expect("a tensor"));
    let w = w.expect("a variable");
    let b = Var::from_tensor(&Tensor::new(&[-1.0_f32, 2.0], &Device::Cpu).expect("a tensor")).expect("a variable");
    assert_finite_differences(&[&x, &w, &b], || projected(custom_op::conv2d_pool(&x, &w, &b, 1)));
}

#[test]
fn a_convolution_that_does_not_fit_has_no_geometry() {
    assert!(Conv2dGeometry::new([1, 3, 4, 4], [2, 3, 5, 5], 1).is_none(), "kernel larger than the image");
    assert!(Conv2dGeometry::new([1, 3, 8, 8], [2, 1, 5, 5], 1).is_none(), "other channels");
    assert!(Conv2dGeometry::new([1, 3, 8, 8], [2, 3, 5, 5], 0).is_none(), "stride 0");
    assert!(Conv2dGeometry::new([0, 3, 8, 8], [2, 3, 5, 5], 1).is_none(), "no image");
}

#[test]
fn max_pool_and_its_gradient_follow_the_reference() {
    for (planes, height, width, kernel, stride) in [
        (1, 1, 1, 1, 1),
        (3, 4, 6, 2, 2),
        (2, 5, 7, 2, 2),
        (2, 7, 5, 3, 2),
        (1, 9, 9, 2, 3),
        (2, 6, 6, 3, 1),
        (1, 3, 8, 3, 3),
    ] {
        let g = Pool2dGeometry::new(planes, height, width, kernel, stride).expect("a valid geometry");
        let (x, dy) = (values(g.input_len(), 1), values(g.output_len(), 2));
        let mut y = vec![f32::NAN; g.output_len()];
        pool::max_pool2d(&g, &x, &mut y);
        assert_eq!(y, reference::max_pool2d(&g, &x).0, "{g:?}");
        let mut dx = vec![f32::NAN; g.input_len()];
        pool::max_pool2d_grad(&g, &x, &dy, &mut dx);
        assert_eq!(dx, reference::max_pool2d_grad(&g, &x, &dy), "{g:?}");
    }
}

#[test]
fn max_pool_sends_the_gradient_to_the_first_of_equal_maxima() {
    // PyTorch 2.12: torch.nn.functional.max_pool2d(torch.zeros(1, 1, 2, 2), 2) sends the gradient to the first pixel.
    let g = Pool2dGeometry::new(1, 2, 2, 2, 2).expect("a valid geometry");
    let mut dx = [f32::NAN; 4];
    pool::max_pool2d_grad(&g, &[0.0; 4], &[3.0], &mut dx);
    assert_eq!(dx, [3.0, 0.0, 0.0, 0.0]);
}

#[test]
fn dense_and_its_gradients_follow_the_reference() {
    for (batch, inputs, outputs) in
        [(1, 1, 1), (1, 37, 5), (1, 1001, 67), (3, 8, 2), (5, 100, 33), (33, 17, 16), (2, 4099, 3), (3, 1001, 67)]
    {
        let g = DenseGeometry { batch, inputs, outputs };
        let (x, w, b) = (values(batch * inputs, 1), values(outputs * inputs, 2), values(outputs, 3));
        let dy = values(batch * outputs, 4);
        let what = format!("{g:?}");
        let mut y = vec![f32::NAN; batch * outputs];
        dense::dense(&g, &x, &w, &b, &mut y);
        assert_close(&y, &reference::dense(&x, &w, &b), inputs + 1, &what);
        let (ex, ew, eb) = reference::dense_grad(&x, &w, outputs, &dy);
        let mut dx = vec![f32::NAN; x.len()];
        dense::dense_grad_input(&g, &w, &dy, &mut dx);
        assert_close(&dx, &ex, outputs, &what);
        let (mut dw, mut db) = (vec![f32::NAN; w.len()], vec![f32::NAN; outputs]);
        dense::dense_grad_weight(&g, &x, &dy, &mut dw, &mut db);
        assert_close(&dw, &ew, batch, &what);
        assert_close(&db, &eb, batch, &what);
    }
}

/// Asserts that the gradient of `loss` for each of `vars` is what finite differences say.
///
/// Central differences with a step of 2⁻⁷ and a loss summed in f64: their error is below `2⁻¹⁴` times the third
/// derivative (zero for the piecewise linear and bilinear operations here, away from kinks) plus rounding,
/// `2⁷ · ε · terms`; 1 % of the largest gradient allows for a kink crossed by few of the values.
fn assert_finite_differences(vars: &[&Var], loss: impl Fn() -> Tensor) {
    const STEP: f32 = 1.0 / 128.0;
    let total = |t: &Tensor| with_values(t, |v| v.iter().map(|v| f64::from(*v)).sum::<f64>()).expect("f32 values");
    let grads = loss().sum_all().and_then(|l| l.backward()).expect("a backward pass");
    for (which, var) in vars.iter().enumerate() {
        let grad = grads.get(var).expect("a gradient").flatten_all().and_then(|g| g.to_vec1::<f32>()).expect("values");
        let scale = grad.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
        for (i, analytic) in grad.iter().enumerate() {
            let shifted = |by: f32| {
                custom_op::with_values_mut(var, |v| v[i] += by).expect("a variable");
                let value = total(&loss());
                custom_op::with_values_mut(var, |v| v[i] -= by).expect("a variable");
                value
            };
            let numeric = ((shifted(STEP) - shifted(-STEP)) / f64::from(2.0 * STEP)) as f32;
            let off = (numeric - analytic).abs();
            assert!(
                off <= 0.01 * scale + 1e-3,
                "variable {which}, value {i}: {analytic}, finite differences say {numeric}"
            );
        }
    }
}

fn variable(shape: &[usize], seed: usize) -> Var {
    let data = values(shape.iter().product(), seed);
    Var::from_tensor(&Tensor::from_vec(data, shape, &Device::Cpu).expect("a tensor")).expect("a variable")
}

/// A fixed direction to project the output on, so that the loss weighs every output differently.
fn projected(output: candle_core::Result<Tensor>) -> Tensor {
    let output = output.expect("a forward pass");
    let direction = variable(output.dims(), 9);
    (output * direction.as_tensor().detach()).expect("a product")
}

#[test]
fn convolution_gradients_agree_with_finite_differences() {
    for (input, weight, stride) in [([2, 2, 6, 5], [3, 2, 3, 2], 1), ([1, 3, 7, 8], [2, 3, 3, 3], 2)] {
        let (x, w, b) = (variable(&input, 1), variable(&weight, 2), variable(&[weight[0]], 3));
        assert_finite_differences(&[&x, &w, &b], || projected(custom_op::conv2d(&x, &w, &b, stride, false)));
    }
}

#[test]
fn rectified_convolution_gradients_agree_with_finite_differences() {
    // Biases of ±2 keep every sum on one side of the kink: one filter always on, one always off.
    let (x, w) = (variable(&[1, 1, 4, 4], 1), variable(&[2, 1, 2, 2], 2));
    let b = Var::from_tensor(&Tensor::new(&[4.5_f32, -4.5], &Device::Cpu).expect("a tensor")).expect("a variable");
    assert_finite_differences(&[&x, &w, &b], || projected(custom_op::conv2d(&x, &w, &b, 1, true)));
}

#[test]
fn max_pool_gradients_agree_with_finite_differences() {
    for (kernel, stride) in [(2, 2), (3, 2), (2, 3), (3, 1)] {
        // Multiples of 1/17 in mixed order: no two values of a window are closer than twice the step.
        let data: Vec<f32> = (0..98).map(|i| ((i * 37) % 98) as f32 / 17.0).collect();
        let x = Var::from_tensor(&Tensor::from_vec(data, (1, 2, 7, 7), &Device::Cpu).expect("a tensor"))
            .expect("a variable");
        assert_finite_differences(&[&x], || projected(custom_op::max_pool2d(&x, kernel, stride)));
    }
}

#[test]
fn dense_gradients_agree_with_finite_differences() {
    let (x, w, b) = (variable(&[3, 5], 1), variable(&[4, 5], 2), variable(&[4], 3));
    assert_finite_differences(&[&x, &w, &b], || projected(custom_op::dense(&x, &w, &b, false)));
}

#[test]
fn gradient_sink_receives_what_candle_would() {
    let (x, w, b) = (variable(&[2, 3, 6, 6], 1), variable(&[4, 3, 3, 3], 2), variable(&[4], 3));
    let loss = || {
        let y = custom_op::conv2d(&x, &w, &b, 1, true).expect("a forward pass");
        // The same weights a second time, so that the sink has to add; and the bias once more through candle's own ops.
        let z = custom_op::conv2d(&x.affine(0.5, 0.1).expect("a tensor"), &w, &b, 1, true).expect("a forward pass");
        let direct = b.sqr().and_then(|b| b.sum_all()).expect("a sum");
        ((y + z).and_then(|t| t.sqr()).and_then(|t| t.sum_all()).expect("a sum") + direct).expect("a sum")
    };
    let expected = loss().backward().expect("a backward pass");
    let mut sink = GradientSink::new([w.as_tensor(), b.as_tensor()]);
    for _ in 0..2 {
        sink.backward(&loss()).expect("a backward pass");
        for var in [&w, &b] {
            let expected = expected.get(var).expect("a gradient").flatten_all().and_then(|t| t.to_vec1::<f32>());
            let expected = expected.expect("values");
            let found = sink.get(var).expect("a gradient");
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{a} against {b}");
            }
        }
    }
    assert!(sink.get(&x).is_none(), "the sink was not asked about the input");
}
