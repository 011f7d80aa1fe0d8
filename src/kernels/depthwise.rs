//! Depthwise convolution, channels last: each channel has a kernel of its own, any size, stride and padding.
//!
//! There are few products for each value, so everything here is about reading values once: bands of rows run in
//! parallel, and [`arch::depthwise`](super::arch::depthwise) takes a line of channels at a time through a band.
//!
//! Images and gradients are `[n, h, w, c]`, weights `[kh, kw, c]`.

use rayon::prelude::*;

use super::arch::depthwise::{add_weight_gradient, forward_rows, grad_input_rows};
use super::clamp::Clamp;
use super::windows::{Padding, TASK, Windows, bands};

/// Partial sums of the weight's gradient: enough to keep eight cores busy, and fixed, so that the order of additions (and
/// the result, to the last bit) does not depend on the number of threads.
const PARTIALS: usize = 8;

/// `clamp(input ⋆ weight + bias)`.
///
/// # Shapes
/// input `[n, h, w, c]`, weight `[kh, kw, c]`, bias `[c]`, out `[n, oh, ow, c]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn depthwise(g: &Windows, input: &[f32], weight: &[f32], bias: &[f32], clamp: Clamp, out: &mut [f32]) {
    assert_eq!((input.len(), out.len()), (g.input_len(), g.output_len()));
    let (rows, row) = (g.out_height(), g.out_row());
    bands(out, rows, row, g.band(rows, row)).into_par_iter().for_each(|(n, first, out)| {
        let image = &input[n * g.image_len()..][..g.image_len()];
        forward_rows(g, image, (weight, bias), clamp, first, out);
    });
}

/// Gradient for the input, `[n, h, w, c]`, given `grad` of the output before the clamp.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn depthwise_grad_input(g: &Windows, weight: &[f32], grad: &[f32], grad_input: &mut [f32]) {
    assert_eq!((weight.len(), grad.len(), grad_input.len()), (g.weight_len(), g.output_len(), g.input_len()));
    if g.stride == 1 {
        // Every window sees its pixels, so every pixel sees its windows: the same with the kernel turned round.
        let turned: Vec<&[f32]> = weight.rchunks_exact(g.channels).collect();
        let turned = turned.concat();
        return depthwise(&turned_round(g), grad, &turned, &vec![0.0; g.channels], Clamp::NONE, grad_input);
    }
    let image_len = g.out_height() * g.out_row();
    bands(grad_input, g.height, g.row(), g.band(g.height, g.row())).into_par_iter().for_each(|(n, first, out)| {
        grad_input_rows(g, weight, &grad[n * image_len..][..image_len], first, out);
    });
}

/// The geometry that leads from the output of `g`, whose stride is 1, back to its input.
fn turned_round(g: &Windows) -> Windows {
    let Padding { top, bottom, left, right } = g.padding;
    let (rows, columns) = (g.kernel_height - 1, g.kernel_width - 1);
    let padding = Padding { top: rows - top, bottom: rows - bottom, left: columns - left, right: columns - right };
    Windows { height: g.out_height(), width: g.out_width(), padding, ..*g }
}

/// Gradients for the weight, `[kh, kw, c]`, and the bias, `[c]`, given `grad` of the output before the clamp; what the two
/// held before is replaced.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn depthwise_grad_weight(g: &Windows, input: &[f32], grad: &[f32], grad_weight: &mut [f32], grad_bias: &mut [f32]) {
    assert_eq!((input.len(), grad.len()), (g.input_len(), g.output_len()));
    assert_eq!((grad_weight.len(), grad_bias.len()), (g.weight_len(), g.channels));
    let (height, row) = (g.out_height(), g.out_row());
    let lines = g.batch * height;
    let share = lines.div_ceil(PARTIALS).max(TASK.div_ceil(row));
    let partials: Vec<(Vec<f32>, Vec<f32>)> = (0..lines.div_ceil(share))
        .into_par_iter()
        .map(|part| {
            let (mut weight, mut bias) = (vec![0.0; g.weight_len()], vec![0.0; g.channels]);
            let (mut line, end) = (part * share, lines.min((part + 1) * share));
            while line < end {
                let (n, first) = (line / height, line % height);
                let next = end.min((n + 1) * height);
                let image = &input[n * g.image_len()..][..g.image_len()];
                add_weight_gradient(g, image, (first, &grad[line * row..next * row]), (&mut weight, &mut bias));
                line = next;
            }
            (weight, bias)
        })
        .collect();
    grad_weight.fill(0.0);
    grad_bias.fill(0.0);
    for (weight, bias) in &partials {
        grad_weight.iter_mut().zip(weight).for_each(|(sum, v)| *sum += v);
        grad_bias.iter_mut().zip(bias).for_each(|(sum, v)| *sum += v);
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::super::tests::{assert_close, values};
    use super::*;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ONE_SIDED: Padding = Padding { top: 0, bottom: 1, left: 0, right: 1 };

    /// `(input, kernel, stride, padding)`: the kernels of the built-in networks over widths that fill tiles, miss them and
    /// are smaller than the kernel; channels that fill no register, and others; kernels and strides without code of their own.
    fn geometries() -> Vec<Windows> {
        let mut all = Vec::new();
        for kernel in [3, 5] {
            for stride in [1, 2] {
                for (i, width) in [1, 2, 5, 6, 7, 8, 13, 14, 15, 16, 31].into_iter().enumerate() {
                    let channels = [1, 3, 4, 7, 8, 16, 21, 32, 33, 47, 48][(i + kernel * stride) % 11];
                    for padding in [Padding::even(kernel / 2), Padding::even(0), ONE_SIDED] {
                        all.extend(Windows::new([1 + i % 2, 5 + i % 4, width, channels], [kernel; 2], stride, padding));
                    }
                }
            }
        }
        let uneven = Padding { top: 2, bottom: 0, left: 1, right: 3 };
        for (input, kernel, stride, padding) in [
            ([1, 1, 1, 1], [1, 1], 1, Padding::default()),
            ([2, 9, 10, 19], [3, 4], 1, uneven),
            ([2, 9, 10, 5], [7, 5], 2, uneven),
            ([3, 8, 11, 6], [2, 3], 3, Padding::even(1)),
            ([1, 10, 9, 18], [3, 3], 4, Padding::even(2)),
            ([11, 2, 3, 17], [3, 3], 1, Padding::even(1)),
            // Large enough for several bands.
            ([1, 40, 40, 40], [3, 3], 1, Padding::even(1)),
            ([2, 41, 40, 36], [5, 5], 2, Padding::even(2)),
        ] {
            all.push(Windows::new(input, kernel, stride, padding).expect("a valid geometry"));
        }
        all
    }

    #[test]
    fn depthwise_and_its_gradients_follow_the_reference() {
        for g in geometries() {
            let (x, w, b) = (values(g.input_len(), 1), values(g.weight_len(), 2), values(g.channels, 3));
            let dy = values(g.output_len(), 4);
            let (taps, what) = (g.kernel_height * g.kernel_width, format!("{g:?}"));

            let mut y = vec![f32::NAN; g.output_len()];
            let expected = reference::depthwise(&g, &x, &w, &b);
            depthwise(&g, &x, &w, &b, Clamp::NONE, &mut y);
            assert_close(&y, &expected, taps + 1, &what);
            let clamp = Clamp { low: -0.5, high: 0.75 };
            depthwise(&g, &x, &w, &b, clamp, &mut y);
            assert_close(&y, &expected.iter().map(|v| v.clamp(-0.5, 0.75)).collect::<Vec<_>>(), taps + 1, &what);

            let mut dx = vec![f32::NAN; g.input_len()];
            depthwise_grad_input(&g, &w, &dy, &mut dx);
            assert_close(&dx, &reference::depthwise_grad_input(&g, &w, &dy), taps, &what);

            let (mut dw, mut db) = (vec![f32::NAN; g.weight_len()], vec![f32::NAN; g.channels]);
            depthwise_grad_weight(&g, &x, &dy, &mut dw, &mut db);
            let (expected_dw, expected_db) = reference::depthwise_grad_weight(&g, &x, &dy);
            let terms = g.output_len() / g.channels;
            assert_close(&dw, &expected_dw, terms, &what);
            assert_close(&db, &expected_db, terms, &what);
        }
    }

    /// The forward pass is linear in input, weight and bias, so that a difference of any step is its derivative.
    #[test]
    fn depthwise_gradients_agree_with_finite_differences() {
        for (kernel, stride, padding) in [(3, 1, Padding::even(1)), (3, 2, ONE_SIDED), (5, 2, Padding::even(2))] {
            let g = Windows::new([2, 6, 8, 2], [kernel; 2], stride, padding).expect("a valid geometry");
            let all = [values(g.input_len(), 1), values(g.weight_len(), 2), values(g.channels, 3)];
            let dy = values(g.output_len(), 4);
            let loss = |[x, w, b]: &[Vec<f32>; 3]| {
                let mut y = vec![f32::NAN; g.output_len()];
                depthwise(&g, x, w, b, Clamp::NONE, &mut y);
                y.iter().zip(&dy).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
            };
            let mut grads = all.clone().map(|values| vec![f32::NAN; values.len()]);
            let [dx, dw, db] = &mut grads;
            depthwise_grad_input(&g, &all[1], &dy, dx);
            depthwise_grad_weight(&g, &all[0], &dy, dw, db);
            for which in 0..3 {
                for i in 0..all[which].len() {
                    let (mut more, mut less) = (all.clone(), all.clone());
                    more[which][i] += 0.5;
                    less[which][i] -= 0.5;
                    let (numeric, analytic) = (loss(&more) - loss(&less), f64::from(grads[which][i]));
                    assert!((numeric - analytic).abs() < 1e-4, "{g:?}: {which}, {i}: {analytic} against {numeric}");
                }
            }
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn depthwise_gives_the_same_bits_on_any_number_of_threads() {
        let g = Windows::new([3, 40, 40, 40], [3, 3], 1, Padding::even(1)).expect("a valid geometry");
        let (x, w, b, dy) =
            (values(g.input_len(), 1), values(g.weight_len(), 2), values(g.channels, 3), values(g.output_len(), 4));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let mut all =
                    [g.output_len(), g.input_len(), g.weight_len(), g.channels].map(|len| vec![f32::NAN; len]);
                let [y, dx, dw, db] = &mut all;
                depthwise(&g, &x, &w, &b, Clamp::RELU6, y);
                depthwise_grad_input(&g, &w, &dy, dx);
                depthwise_grad_weight(&g, &x, &dy, dw, db);
                all
            })
        };
        assert_eq!(on(1), on(5));
    }
}
