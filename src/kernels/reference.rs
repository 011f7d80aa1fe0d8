//! What each kernel means, in plain loops: slow, always compiled, and what every faster version is tested against.
//!
//! Sums run in `f64`, so that a difference from these is an error of the fast version, not of the reference.

use super::conv2d::Conv2dGeometry;
use super::windows::Windows;

/// Calls `visit(output, input, weight)` with the flat indices of every product of a convolution.
fn for_each_product(g: &Conv2dGeometry, mut visit: impl FnMut(usize, usize, usize)) {
    let (oh, ow) = (g.out_height(), g.out_width());
    for n in 0..g.batch {
        for co in 0..g.out_channels {
            for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                let output = ((n * g.out_channels + co) * oh + y) * ow + x;
                for ci in 0..g.in_channels {
                    for (i, j) in (0..g.kernel_height).flat_map(|i| (0..g.kernel_width).map(move |j| (i, j))) {
                        let (row, column) = (y * g.stride + i, x * g.stride + j);
                        let input = ((n * g.in_channels + ci) * g.height + row) * g.width + column;
                        let weight = ((co * g.in_channels + ci) * g.kernel_height + i) * g.kernel_width + j;
                        visit(output, input, weight);
                    }
                }
            }
        }
    }
}

fn narrowed(sums: Vec<f64>) -> Vec<f32> {
    sums.into_iter().map(|v| v as f32).collect()
}

/// Convolution without padding (a cross-correlation, as everywhere in deep learning) plus bias: `[n, c_out, oh, ow]`.
pub fn conv2d(g: &Conv2dGeometry, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let plane = g.out_height() * g.out_width();
    let mut out: Vec<f64> = (0..g.output_len()).map(|o| f64::from(bias[o / plane % g.out_channels])).collect();
    for_each_product(g, |o, i, w| out[o] += f64::from(input[i]) * f64::from(weight[w]));
    narrowed(out)
}

/// Gradient of [`conv2d`] for its input, `[n, c_in, h, w]`, given `grad` of its output.
pub fn conv2d_grad_input(g: &Conv2dGeometry, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; g.input_len()];
    for_each_product(g, |o, i, w| out[i] += f64::from(grad[o]) * f64::from(weight[w]));
    narrowed(out)
}

/// Gradients of [`conv2d`] for its weight, `[c_out, c_in, kh, kw]`, and bias, `[c_out]`.
pub fn conv2d_grad_weight(g: &Conv2dGeometry, input: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut weight = vec![0.0; g.weight_len()];
    for_each_product(g, |o, i, w| weight[w] += f64::from(grad[o]) * f64::from(input[i]));
    let plane = g.out_height() * g.out_width();
    let mut bias = vec![0.0; g.out_channels];
    for (o, v) in grad.iter().enumerate() {
        bias[o / plane % g.out_channels] += f64::from(*v);
    }
    (narrowed(weight), narrowed(bias))
}

/// `input · weightᵀ + bias`: input `[n, in]`, weight `[out, in]`, bias `[out]`, returns `[n, out]`.
pub fn dense(input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let inputs = weight.len() / bias.len();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    input
        .chunks_exact(inputs)
        .flat_map(|row| weight.chunks_exact(inputs).zip(bias).map(move |(w, b)| (dot(row, w) + f64::from(*b)) as f32))
        .collect()
}

/// Gradients of [`dense`] for its input `[n, in]`, weight `[out, in]` and bias `[out]`.
pub fn dense_grad(input: &[f32], weight: &[f32], outputs: usize, grad: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let inputs = weight.len() / outputs;
    let (mut gx, mut gw, mut gb) = (vec![0.0; input.len()], vec![0.0; weight.len()], vec![0.0; outputs]);
    for (n, row) in grad.chunks_exact(outputs).enumerate() {
        for (o, v) in row.iter().enumerate() {
            gb[o] += f64::from(*v);
            for i in 0..inputs {
                gx[n * inputs + i] += f64::from(*v) * f64::from(weight[o * inputs + i]);
                gw[o * inputs + i] += f64::from(*v) * f64::from(input[n * inputs + i]);
            }
        }
    }
    (narrowed(gx), narrowed(gw), narrowed(gb))
}

/// Calls `visit(output, input, tap)` with the flat indices, `tap` that of a depthwise weight, of everything that a window
/// sees, in row-major order; channels last.
fn for_each_sight(g: &Windows, mut visit: impl FnMut(usize, usize, usize)) {
    let (oh, ow) = (g.out_height(), g.out_width());
    for (n, y) in (0..g.batch).flat_map(|n| (0..oh).map(move |y| (n, y))) {
        for (x, c) in (0..ow).flat_map(|x| (0..g.channels).map(move |c| (x, c))) {
            for (i, j) in (0..g.kernel_height).flat_map(|i| (0..g.kernel_width).map(move |j| (i, j))) {
                let row = (y * g.stride + i).checked_sub(g.padding.top).filter(|row| *row < g.height);
                let column = (x * g.stride + j).checked_sub(g.padding.left).filter(|column| *column < g.width);
                if let Some((row, column)) = row.zip(column) {
                    let at = |[n, h, w]: [usize; 3], [height, width]: [usize; 2]| {
                        ((n * height + h) * width + w) * g.channels + c
                    };
                    let input = at([n, row, column], [g.height, g.width]);
                    visit(at([n, y, x], [oh, ow]), input, (i * g.kernel_width + j) * g.channels + c);
                }
            }
        }
    }
}

/// Depthwise convolution plus bias: `[n, oh, ow, c]`.
pub fn depthwise(g: &Windows, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let mut out: Vec<f64> = bias.iter().cycle().take(g.output_len()).map(|b| f64::from(*b)).collect();
    for_each_sight(g, |o, i, w| out[o] += f64::from(input[i]) * f64::from(weight[w]));
    narrowed(out)
}

/// Gradient of [`depthwise`] for its input, `[n, h, w, c]`, given `grad` of its output.
pub fn depthwise_grad_input(g: &Windows, weight: &[f32], grad: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; g.input_len()];
    for_each_sight(g, |o, i, w| out[i] += f64::from(grad[o]) * f64::from(weight[w]));
    narrowed(out)
}

/// Gradients of [`depthwise`] for its weight, `[kh, kw, c]`, and bias, `[c]`.
pub fn depthwise_grad_weight(g: &Windows, input: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut weight = vec![0.0; g.weight_len()];
    for_each_sight(g, |o, i, w| weight[w] += f64::from(grad[o]) * f64::from(input[i]));
    let mut bias = vec![0.0; g.channels];
    for (o, v) in grad.iter().enumerate() {
        bias[o % g.channels] += f64::from(*v);
    }
    (narrowed(weight), narrowed(bias))
}

/// Maximum of each window, `[n, oh, ow, c]`, and the flat input index it came from; of equals the first in row-major
/// order.
pub fn max_pool(g: &Windows, input: &[f32]) -> (Vec<f32>, Vec<usize>) {
    let mut winners = vec![None; g.output_len()];
    for_each_sight(g, |o, i, _| {
        if winners[o].is_none_or(|winner: usize| input[i] > input[winner]) {
            winners[o] = Some(i);
        }
    });
    let winners: Vec<usize> = winners.into_iter().flatten().collect();
    (winners.iter().map(|i| input[*i]).collect(), winners)
}

/// Mean and variance, divided by the number of values, of each channel of `[pixels, c]`.
pub fn statistics(channels: usize, input: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let count = (input.len() / channels) as f64;
    let [mut mean, mut variance] = [vec![0.0; channels], vec![0.0; channels]];
    for (i, x) in input.iter().enumerate() {
        mean[i % channels] += f64::from(*x) / count;
    }
    for (i, x) in input.iter().enumerate() {
        variance[i % channels] += (f64::from(*x) - mean[i % channels]).powi(2) / count;
    }
    (mean, variance)
}
