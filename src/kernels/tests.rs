//! Every kernel against its reference over odd geometries, and every gradient against finite differences.

use super::clamp::Clamp;
use super::conv2d::{self, Conv2dGeometry, GradSource, Prepared};
use super::dense::{self, DenseGeometry, place_in_blocks};
use super::layout::transpose;
use super::reference;
use super::update::{Adam, AdamStep, Parameter, Sgd, Update};
use super::windows::{Padding, Windows};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Deterministic values in `[-1, 1)`: the fractional parts of multiples of the golden ratio, which never repeat.
pub(super) fn values(len: usize, seed: usize) -> Vec<f32> {
    let fraction = |i: usize| ((i + 1 + 7919 * seed) as f64 * 0.618_033_988_749_895).fract();
    (0..len).map(|i| (2.0 * fraction(i) - 1.0) as f32).collect()
}

/// Asserts agreement within the rounding of a sum of `terms` products of numbers up to 1: `2·n·ε·n` bounds it.
pub(super) fn assert_close(found: &[f32], expected: &[f32], terms: usize, what: &str) {
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

/// Shapes for Winograd's algorithm: whole tiles, tiles over the edge, odd sums of rows and columns that pooling drops,
/// several blocks of tiles, channels that fill no register.
const TRANSFORMED: &[([usize; 4], [usize; 4], usize)] = &[
    ([1, 8, 20, 20], [8, 8, 5, 5], 1),
    ([2, 9, 13, 37], [11, 9, 5, 5], 1),
    ([1, 16, 26, 26], [8, 16, 3, 3], 1),
    ([3, 8, 23, 27], [20, 8, 3, 3], 1),
    ([1, 32, 24, 60], [17, 32, 5, 5], 1),
    ([9, 8, 3, 110], [8, 8, 3, 3], 1),
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

/// `values` with every matrix of the given size turned.
fn turned(values: &[f32], size: [usize; 2]) -> Vec<f32> {
    let mut out = vec![f32::NAN; values.len()];
    transpose(values, size, &mut out);
    out
}

/// A weight `[c_out, c_in, taps]` as the kernels have it, `[taps, c_in, c_out]`.
fn kernel_last(weight: &[f32], g: &Conv2dGeometry) -> Vec<f32> {
    let taps = g.kernel_height * g.kernel_width;
    turned(&turned(weight, [g.out_channels * g.in_channels, taps]), [g.out_channels, g.in_channels])
}

/// The reverse of [`kernel_last`].
fn kernel_first(weight: &[f32], g: &Conv2dGeometry) -> Vec<f32> {
    let taps = g.kernel_height * g.kernel_width;
    turned(&turned(weight, [g.in_channels, g.out_channels]), [taps, g.out_channels * g.in_channels])
}

/// A convolution's operands in the reference's order, channels first, and in the kernels'.
struct Case {
    g: Conv2dGeometry,
    input: [Vec<f32>; 2],
    weight: [Vec<f32>; 2],
    bias: Vec<f32>,
}

impl Case {
    fn new(g: Conv2dGeometry) -> Self {
        let (x, w) = (values(g.input_len(), 1), values(g.weight_len(), 2));
        let last = turned(&x, [g.in_channels, g.height * g.width]);
        let kernel = kernel_last(&w, &g);
        Self { g, input: [x, last], weight: [w, kernel], bias: values(g.out_channels, 3) }
    }

    /// The sums as the reference has them, channels last.
    fn sums(&self) -> Vec<f32> {
        let Self { g, input, weight, bias } = self;
        let expected = reference::conv2d(g, &input[0], &weight[0], bias);
        turned(&expected, [g.out_channels, g.out_height() * g.out_width()])
    }

    /// Holds both algorithms' forward pass, plain and rectified, against `expected`.
    fn assert_forward(&self, expected: &[f32]) {
        let Self { g, input, weight, bias } = self;
        let rectified: Vec<f32> = expected.iter().map(|v| v.max(0.0)).collect();
        let what = format!("{g:?}");
        let residual = values(expected.len(), 6);
        let added: Vec<f32> = expected.iter().zip(&residual).map(|(a, b)| (a + b).max(0.0)).collect();
        for (finish, expected) in [
            ((None, Clamp::NONE), expected),
            ((None, Clamp::RELU), &rectified),
            ((Some(residual.as_slice()), Clamp::RELU), &added),
        ] {
            let mut y = vec![f32::NAN; g.output_len()];
            Prepared::new(g, &weight[1], bias).forward(g, &input[1], finish, &mut y);
            assert_near(&y, expected, &what);
            Prepared::exact(g, &weight[1], bias).forward(g, &input[1], finish, &mut y);
            assert_close(&y, expected, g.weight_len() / g.out_channels + 2, &what);
        }
    }

    /// Holds the gradients for `grad` against the reference's for `plain`, the gradient of the sums, channels last.
    fn assert_backward(&self, grad: GradSource<'_>, plain: &[f32]) {
        let Self { g, input, weight, bias } = self;
        let (pixels, taps) = (g.out_height() * g.out_width(), g.weight_len() / g.out_channels);
        let plain = turned(plain, [pixels, g.out_channels]);
        let what = format!("{g:?}");
        let (mut dw, mut db) = (vec![f32::NAN; g.weight_len()], vec![f32::NAN; bias.len()]);
        let mut dx = vec![f32::NAN; g.input_len()];
        conv2d::backward(g, (&input[1], &weight[1]), grad, (&mut dw, Some(&mut db)), Some(&mut dx));
        let (expected_dw, expected_db) = reference::conv2d_grad_weight(g, &input[0], &plain);
        assert_close(&kernel_first(&dw, g), &expected_dw, g.batch * pixels, &what);
        assert_close(&db, &expected_db, g.batch * pixels, &what);
        let expected = reference::conv2d_grad_input(g, &weight[0], &plain);
        assert_close(&turned(&dx, [g.height * g.width, g.in_channels]), &expected, taps * g.out_channels, &what);

        let alone = dw.clone();
        conv2d::backward(g, (&input[1], &weight[1]), grad, (&mut dw, Some(&mut db)), None);
        assert_eq!(dw, alone, "{what}: the weight's gradient does not depend on whether the input's is asked for");
    }
}

#[test]
fn convolution_and_its_gradients_follow_the_reference() {
    for &(input, weight, stride) in CONVOLUTIONS.iter().chain(TRANSFORMED) {
        let case = Case::new(Conv2dGeometry::new(input, weight, stride).expect("a valid geometry"));
        case.assert_forward(&case.sums());
        let dy = values(case.g.output_len(), 4);
        case.assert_backward(GradSource::Plain(&dy), &dy);
    }
}

#[test]
fn pooled_convolution_and_its_gradients_follow_the_reference() {
    for &(input, weight, stride) in CONVOLUTIONS.iter().chain(TRANSFORMED) {
        let case = Case::new(Conv2dGeometry::new(input, weight, stride).expect("a valid geometry"));
        let g = &case.g;
        let sums = [g.batch, g.out_height(), g.out_width(), g.out_channels];
        let Some(pool) = Windows::new(sums, [2, 2], 2, Padding::default()) else { continue };
        let what = format!("{g:?}");
        let rectified: Vec<f32> = case.sums().iter().map(|v| v.max(0.0)).collect();
        let (expected, places) = reference::max_pool(&pool, &rectified);
        let (mut y, mut winners) = (vec![f32::NAN; g.pooled_len()], vec![f32::NAN; g.pooled_len()]);
        Prepared::new(g, &case.weight[1], &case.bias).forward_pooled(g, &case.input[1], &mut y, None);
        assert_near(&y, &expected, &what);
        let exact = Prepared::exact(g, &case.weight[1], &case.bias);
        exact.forward_pooled(g, &case.input[1], &mut y, Some(&mut winners));
        assert_close(&y, &expected, g.weight_len() / g.out_channels + 1, &what);

        let dy = values(g.pooled_len(), 5);
        let mut plain = vec![0.0; rectified.len()];
        places.into_iter().zip(&dy).filter(|(at, _)| rectified[*at] > 0.0).for_each(|(at, dy)| plain[at] += dy);
        case.assert_backward(GradSource::Pooled(&dy, &winners), &plain);
    }
}

/// The reference knows no padding: it gets images with their margins written out.
#[test]
fn margins_are_zeros_around_the_image() {
    for (input, weight, stride, padding) in [
        ([2, 3, 7, 9], [5, 3, 3, 3], 1, 1),
        ([1, 8, 17, 16], [9, 8, 5, 5], 1, 2),
        ([1, 8, 22, 23], [8, 8, 3, 3], 1, 1),
        ([2, 4, 9, 8], [3, 4, 3, 3], 2, 1),
        ([1, 3, 14, 14], [6, 3, 7, 7], 2, 3),
    ] {
        let case = Case::new(Conv2dGeometry::padded(input, weight, stride, padding).expect("a valid geometry"));
        let [n, c, h, w] = input;
        let (high, wide) = (h + 2 * padding, w + 2 * padding);
        let whole = Conv2dGeometry::new([n, c, high, wide], weight, stride).expect("a valid geometry");
        let mut margins = vec![0.0; whole.input_len()];
        let places: Vec<usize> = (0..case.input[0].len())
            .map(|i| (i / (h * w) * high + i / w % h + padding) * wide + i % w + padding)
            .collect();
        places.iter().zip(&case.input[0]).for_each(|(&at, v)| margins[at] = *v);
        let pixels = case.g.out_height() * case.g.out_width();
        let expected = reference::conv2d(&whole, &margins, &case.weight[0], &case.bias);
        case.assert_forward(&turned(&expected, [weight[0], pixels]));

        let dy = values(case.g.output_len(), 4);
        let (mut dw, mut db) = (vec![f32::NAN; case.g.weight_len()], vec![f32::NAN; weight[0]]);
        let mut dx = vec![f32::NAN; case.g.input_len()];
        let operands = (case.input[1].as_slice(), case.weight[1].as_slice());
        conv2d::backward(&case.g, operands, GradSource::Plain(&dy), (&mut dw, Some(&mut db)), Some(&mut dx));
        let dy = turned(&dy, [pixels, weight[0]]);
        let what = format!("{:?}", case.g);
        let (expected, _) = reference::conv2d_grad_weight(&whole, &margins, &dy);
        assert_close(&kernel_first(&dw, &case.g), &expected, n * pixels, &what);
        let expected = reference::conv2d_grad_input(&whole, &case.weight[0], &dy);
        let inner: Vec<f32> = places.iter().map(|&at| expected[at]).collect();
        assert_close(&turned(&dx, [h * w, c]), &inner, whole.weight_len(), &what);
    }
}

#[test]
fn a_convolution_that_does_not_fit_has_no_geometry() {
    assert!(Conv2dGeometry::new([1, 3, 4, 4], [2, 3, 5, 5], 1).is_none(), "kernel larger than the image");
    assert!(Conv2dGeometry::new([1, 3, 8, 8], [2, 1, 5, 5], 1).is_none(), "other channels");
    assert!(Conv2dGeometry::new([1, 3, 8, 8], [2, 3, 5, 5], 0).is_none(), "stride 0");
    assert!(Conv2dGeometry::new([0, 3, 8, 8], [2, 3, 5, 5], 1).is_none(), "no image");
}

/// A dense weight in the order of files put into blocks.
fn in_blocks(weight: &[f32], inputs: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; weight.len()];
    let place = place_in_blocks(inputs, weight.len() / inputs);
    weight.iter().enumerate().for_each(|(i, value)| out[place(i / inputs, i % inputs)] = *value);
    out
}

/// `(batch, inputs, outputs)`: every number of images that has a tile of its own and sums of those, odd rows, widths
/// around a register, a block and several.
const DENSE: [(usize, usize, usize); 12] = [
    (1, 1, 1),
    (1, 37, 5),
    (1, 1024, 8),
    (1, 2051, 67),
    (2, 4099, 3),
    (3, 1001, 67),
    (4, 8, 2),
    (5, 1100, 33),
    (6, 100, 7),
    (9, 1031, 13),
    (32, 260, 6),
    (33, 17, 16),
];

#[test]
fn dense_and_its_gradients_follow_the_reference() {
    for (batch, inputs, outputs) in DENSE {
        let g = DenseGeometry { batch, inputs, outputs };
        let (x, w, b) = (values(batch * inputs, 1), values(outputs * inputs, 2), values(outputs, 3));
        let dy = values(batch * outputs, 4);
        let what = format!("{g:?}");
        let mut y = vec![f32::NAN; batch * outputs];
        dense::forward(&g, &x, &in_blocks(&w, inputs), &b, &mut y);
        assert_close(&y, &reference::dense(&x, &w, &b), inputs + 1, &what);

        let (ex, ew, eb) = reference::dense_grad(&x, &w, outputs, &dy);
        let mut dx = vec![f32::NAN; x.len()];
        let [mut weight, mut bias] = [Parameter::new(in_blocks(&w, inputs), 1), Parameter::new(b.clone(), 1)];
        dense::backward(&g, &x, &dy, &[Update::Keep; 2], [&mut weight, &mut bias], Some(&mut dx));
        assert_close(&dx, &ex, outputs, &what);
        assert_close(&weight.slots[0], &in_blocks(&ew, inputs), batch, &what);
        assert_close(&bias.slots[0], &eb, batch, &what);
        assert!(
            weight.values == in_blocks(&w, inputs) && bias.values == b,
            "{what}: a gradient that is kept moves nothing"
        );

        let row = DenseGeometry { batch: 1, ..g };
        dx.fill(f32::NAN);
        for (dx, dy) in dx.chunks_exact_mut(inputs).zip(dy.chunks_exact(outputs)) {
            dense::grad_row(&row, dy, &weight.values, dx);
        }
        assert_close(&dx, &ex, outputs, &format!("{what}, row by row"));

        let kept = weight.slots[0].clone();
        dense::backward(&g, &x, &dy, &[Update::Keep; 2], [&mut weight, &mut bias], None);
        assert_eq!(
            weight.slots[0], kept,
            "{what}: the weight's gradient does not depend on whether the input's is asked for"
        );
    }
}

/// Adam by the formula of the paper, in f64: weight, moments and gradient give the next weight.
fn adam_reference(step: &AdamStep, [w, m, v, g]: [f64; 4]) -> f64 {
    let [alpha, b1, b2, eps, decay] =
        [step.learning_rate, step.beta1, step.beta2, step.epsilon, step.weight_decay].map(f64::from);
    let t = step.step as f64;
    let first = (b1 * m + (1.0 - b1) * g) / (1.0 - b1.powf(t));
    let second = (b2 * v + (1.0 - b2) * g * g) / (1.0 - b2.powf(t));
    w - alpha * decay * w - alpha * first / (second.sqrt() + eps)
}

#[test]
fn a_step_in_the_pass_of_the_gradient_is_the_step_after_it() {
    let step = AdamStep { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weight_decay: 0.1, step: 3 };
    for (batch, inputs, outputs) in DENSE {
        let g = DenseGeometry { batch, inputs, outputs };
        let (x, dy) = (values(batch * inputs, 1), values(batch * outputs, 4));
        let start = |seed: usize, slots: usize| Parameter {
            values: values(inputs * outputs, seed),
            slots: (0..slots)
                .map(|slot| values(inputs * outputs, seed + 1 + slot).iter().map(|v| v.abs()).collect())
                .collect(),
        };
        let mut bias = Parameter::new(vec![0.0; outputs], 2);
        let mut kept = start(2, 1);
        dense::backward(&g, &x, &dy, &[Update::Keep; 2], [&mut kept, &mut bias], None);
        for (rule, slots) in [(Update::Adam(Adam::new(&step)), 2), (Update::Sgd(Sgd::new(0.1, 0.9, 0.1)), 1)] {
            let (mut at_once, mut after) = (start(2, slots), start(2, slots));
            dense::backward(&g, &x, &dy, &[rule, Update::Keep], [&mut at_once, &mut bias], None);
            rule.apply(&mut after, &kept.slots[0]);
            // Not to the bit: a value at the end of a row is multiplied and added with one rounding or two.
            let pairs = [(&at_once.values, &after.values)].into_iter().chain(at_once.slots.iter().zip(&after.slots));
            pairs.for_each(|(a, b)| assert_close(a, b, 2, &format!("{g:?} {rule:?}")));
        }
        let before = start(2, 2);
        let mut moved = before.clone();
        Update::Adam(Adam::new(&step)).apply(&mut moved, &kept.slots[0]);
        for (i, found) in moved.values.iter().enumerate() {
            let operands = [before.values[i], before.slots[0][i], before.slots[1][i], kept.slots[0][i]].map(f64::from);
            let expected = adam_reference(&step, operands);
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} against {expected}");
        }
    }
}

/// Asserts that `gradient` is what finite differences of `loss` say, for every value of `at`.
///
/// Central differences with a step of 2⁻⁷ and a loss summed in f64: their error is below `2⁻¹⁴` times the third
/// derivative (zero for the piecewise linear and bilinear operations here, away from kinks) plus rounding,
/// `2⁷ · ε · terms`; 1 % of the largest gradient allows for a kink crossed by few of the values.
fn assert_finite_differences(at: &[f32], gradient: &[f32], what: &str, loss: impl Fn(&[f32]) -> f64) {
    const STEP: f32 = 1.0 / 128.0;
    assert_eq!(at.len(), gradient.len(), "{what}");
    let scale = gradient.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
    for (i, analytic) in gradient.iter().enumerate() {
        let shifted = |by: f32| {
            let mut moved = at.to_vec();
            moved[i] += by;
            loss(&moved)
        };
        let numeric = ((shifted(STEP) - shifted(-STEP)) / f64::from(2.0 * STEP)) as f32;
        let off = (numeric - analytic).abs();
        assert!(off <= 0.01 * scale + 1e-3, "{what}, value {i}: {analytic}, finite differences say {numeric}");
    }
}

/// The output weighed by a fixed direction, so that every value counts differently.
fn projected(output: &[f32], direction: &[f32]) -> f64 {
    output.iter().zip(direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn convolution_gradients_agree_with_finite_differences() {
    for (input, weight, stride, padding) in
        [([2, 2, 6, 5], [3, 2, 3, 2], 1, 0), ([1, 3, 7, 8], [2, 3, 3, 3], 2, 0), ([1, 2, 5, 4], [3, 2, 3, 3], 2, 1)]
    {
        let g = Conv2dGeometry::padded(input, weight, stride, padding).expect("a valid geometry");
        let (x, w, b) = (values(g.input_len(), 1), values(g.weight_len(), 2), values(weight[0], 3));
        let dy = values(g.output_len(), 9);
        let loss = |x: &[f32], w: &[f32], b: &[f32]| {
            let mut y = vec![f32::NAN; g.output_len()];
            Prepared::exact(&g, w, b).forward(&g, x, (None, Clamp::NONE), &mut y);
            projected(&y, &dy)
        };
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; b.len()]);
        conv2d::backward(&g, (&x, &w), GradSource::Plain(&dy), (&mut dw, Some(&mut db)), Some(&mut dx));
        assert_finite_differences(&x, &dx, "input", |x| loss(x, &w, &b));
        assert_finite_differences(&w, &dw, "weight", |w| loss(&x, w, &b));
        assert_finite_differences(&b, &db, "bias", |b| loss(&x, &w, b));
    }
}

#[test]
fn pooled_convolution_gradients_agree_with_finite_differences() {
    // Multiples of 1/17 in mixed order and kernels of one tap: no two sums of a window are closer than the step.
    let x: Vec<f32> = (0..49).map(|i| ((i * 37) % 49) as f32 / 17.0).collect();
    let (w, b) = ([0.9, -1.1], [-1.0, 2.0]);
    let g = Conv2dGeometry::new([1, 1, 7, 7], [2, 1, 1, 1], 1).expect("a valid geometry");
    let dy = values(g.pooled_len(), 9);
    let forward = |x: &[f32], w: &[f32], b: &[f32]| {
        let (mut y, mut winners) = (vec![f32::NAN; g.pooled_len()], vec![f32::NAN; g.pooled_len()]);
        Prepared::exact(&g, w, b).forward_pooled(&g, x, &mut y, Some(&mut winners));
        (projected(&y, &dy), winners)
    };
    let (_, winners) = forward(&x, &w, &b);
    let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; 2], vec![0.0; 2]);
    conv2d::backward(&g, (&x, &w), GradSource::Pooled(&dy, &winners), (&mut dw, Some(&mut db)), Some(&mut dx));
    assert_finite_differences(&x, &dx, "input", |x| forward(x, &w, &b).0);
    assert_finite_differences(&w, &dw, "weight", |w| forward(&x, w, &b).0);
    assert_finite_differences(&b, &db, "bias", |b| forward(&x, &w, b).0);
}

#[test]
fn dense_gradients_agree_with_finite_differences() {
    let g = DenseGeometry { batch: 3, inputs: 5, outputs: 4 };
    let (x, w, b, dy) = (values(15, 1), values(20, 2), values(4, 3), values(12, 9));
    let loss = |x: &[f32], w: &[f32], b: &[f32]| {
        let mut y = vec![f32::NAN; 12];
        dense::forward(&g, x, w, b, &mut y);
        projected(&y, &dy)
    };
    let mut dx = vec![0.0; x.len()];
    let [mut weight, mut bias] = [Parameter::new(w.clone(), 1), Parameter::new(b.clone(), 1)];
    dense::backward(&g, &x, &dy, &[Update::Keep; 2], [&mut weight, &mut bias], Some(&mut dx));
    assert_finite_differences(&x, &dx, "input", |x| loss(x, &w, &b));
    assert_finite_differences(&w, &weight.slots[0], "weight", |w| loss(&x, w, &b));
    assert_finite_differences(&b, &bias.slots[0], "bias", |b| loss(&x, &w, b));
}
