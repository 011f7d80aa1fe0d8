//! Convolution as a matrix product whose left operand is the image itself: any kernel, stride and padding.
//!
//! With channels last, the part of a window that lies in one row of the image is one run of floats, so the row of the
//! product that belongs to an output pixel is read where it lies and no window is ever unfolded.
//!
//! Images and gradients are `[n, h, w, c]`, weights `[kh, kw, c_in, c_out]`.

use std::borrow::Cow;

use rayon::prelude::*;

use super::arch::pool::{pool_rows, unpool_rows};
use super::arch::product::{Columns, Finish, Packed, Rows, product, product_transposed};
use super::conv2d::{Conv2dGeometry, sum_over_images};
use super::scratch;

/// Output pixels of one task at least: enough that reading the weights again for each task does not count.
const PIXELS: usize = 48;

/// Where the gradient of a convolution comes from.
#[derive(Debug, Clone, Copy)]
pub enum GradSource<'a> {
    /// The gradient of the outputs themselves.
    Plain(&'a [f32]),
    /// The gradient of the pooled outputs, and the winners that [`forward_pooled`] wrote.
    Pooled(&'a [f32], &'a [f32]),
}

/// Packs a weight for [`forward`].
///
/// # Panics
/// When the weight does not hold what the geometry says.
pub fn pack(g: &Conv2dGeometry, weight: &[f32]) -> Packed {
    assert_eq!(weight.len(), g.weight_len());
    Packed::new(g.taps(), g.out_channels, |tap, output| weight[tap * g.out_channels + output])
}

/// One image with its margins of zeros, or the image itself where there are none.
fn padded<'a>(g: &Conv2dGeometry, image: &'a [f32]) -> Cow<'a, [f32]> {
    if g.padding == 0 {
        return Cow::Borrowed(image);
    }
    let (channels, row) = (g.in_channels, g.padded_width() * g.in_channels);
    let mut whole = vec![0.0; g.padded_height() * row];
    let inner = g.width * channels;
    for (y, from) in image.chunks_exact(inner).enumerate() {
        let at = (y + g.padding) * row + g.padding * channels;
        whole[at..at + inner].copy_from_slice(from);
    }
    Cow::Owned(whole)
}

/// Where the windows of output rows `0 .. rows` begin in a padded image.
pub(super) fn starts(g: &Conv2dGeometry, rows: usize) -> Vec<u32> {
    let step = g.stride * g.in_channels;
    (0..rows).flat_map(|y| (0..g.out_width()).map(move |x| ((y * g.padded_width() + x) * step) as u32)).collect()
}

/// The windows of a padded image as rows of a product.
fn windows<'a>(g: &Conv2dGeometry, image: &'a [f32], starts: &'a [u32]) -> Rows<'a> {
    let (runs, len) = (g.kernel_height, g.kernel_width * g.in_channels);
    Rows { data: image, starts, runs, len, stride: g.padded_width() * g.in_channels }
}

/// `finish(input ⋆ weight + bias)`, the bias being in `weight`.
///
/// # Shapes
/// input `[n, h, w, c_in]`, out and the residual `[n, oh, ow, c_out]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn forward(g: &Conv2dGeometry, input: &[f32], weight: &Packed, finish: Finish<'_>, out: &mut [f32]) {
    assert_eq!((input.len(), out.len()), (g.input_len(), g.output_len()));
    let pixels = g.out_height() * g.out_width();
    let starts = starts(g, g.out_height());
    // A multiple of twelve rows fills every tile of the product; the sums do not depend on how pixels are shared out.
    let share = pixels.div_ceil(2 * rayon::current_num_threads()).max(PIXELS).next_multiple_of(12);
    let images: Vec<_> = input.chunks_exact(g.input_len() / g.batch).map(|image| padded(g, image)).collect();
    let tasks: Vec<_> = out
        .chunks_exact_mut(pixels * g.out_channels)
        .enumerate()
        .flat_map(|(n, out)| {
            out.chunks_mut(share * g.out_channels).enumerate().map(move |(i, out)| (n, i * share, out))
        })
        .collect();
    tasks.into_par_iter().for_each(|(n, first, out)| {
        let count = out.len() / g.out_channels;
        let at = (n * pixels + first) * g.out_channels;
        let residual = finish.residual.map(|residual| &residual[at..at + out.len()]);
        product(windows(g, &images[n], &starts[first..first + count]), weight, out, Finish { residual, ..finish });
    });
}

/// `max(0, input ⋆ weight + bias)`, then the maximum of each 2×2 window; `winners` gets its place, for the gradient.
///
/// The convolution's own output exists two rows at a time only.
///
/// # Shapes
/// input `[n, h, w, c_in]`, out and winners `[n, oh / 2, ow / 2, c_out]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn forward_pooled(
    g: &Conv2dGeometry,
    input: &[f32],
    weight: &Packed,
    out: &mut [f32],
    mut winners: Option<&mut [f32]>,
) {
    assert_eq!((input.len(), out.len()), (g.input_len(), g.pooled_len()));
    assert!(winners.as_ref().is_none_or(|winners| winners.len() == out.len()));
    let row = g.out_width() / 2 * g.out_channels;
    let height = g.out_height() / 2;
    if row == 0 || height == 0 {
        return;
    }
    let starts = starts(g, 2);
    let images: Vec<_> = input.chunks_exact(g.input_len() / g.batch).map(|image| padded(g, image)).collect();
    let mut marks: Vec<&mut [f32]> =
        winners.as_mut().map(|winners| winners.chunks_exact_mut(row).collect()).unwrap_or_default();
    let tasks: Vec<_> =
        out.chunks_exact_mut(row).enumerate().map(|(i, out)| (i, out, marks.get_mut(i).map(std::mem::take))).collect();
    tasks.into_par_iter().with_min_len(4).for_each(|(i, out, winners)| {
        let (n, y) = (i / height, i % height);
        let image = &images[n][2 * y * g.stride * g.padded_width() * g.in_channels..];
        scratch::with(starts.len() * g.out_channels, |sums| {
            product(windows(g, image, &starts), weight, sums, Finish::LINEAR);
            pool_rows(g.out_channels, g.out_width(), sums, out, winners);
        });
    });
}

/// Gradients of [`forward`] or [`forward_pooled`] for the weight and, where asked for, the input; what the slices held is
/// replaced. `weight` is needed for the input only.
///
/// The gradient for the bias is the sum over pixels, see [`bias_gradient`](super::conv2d::bias_gradient).
///
/// # Shapes
/// grad_weight `[kh, kw, c_in, c_out]`, grad_input `[n, h, w, c_in]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn backward(
    g: &Conv2dGeometry,
    (input, weight): (&[f32], &[f32]),
    grad: GradSource<'_>,
    grad_weight: &mut [f32],
    grad_input: Option<&mut [f32]>,
) {
    assert_eq!((input.len(), grad_weight.len()), (g.input_len(), g.weight_len()));
    let image_len = g.input_len() / g.batch;
    let transposed = grad_input.as_ref().map(|gx| {
        assert_eq!((gx.len(), weight.len()), (g.input_len(), g.weight_len()));
        Packed::new(g.out_channels, g.taps(), |output, tap| weight[tap * g.out_channels + output])
    });
    sum_over_images(g, grad_input, grad_weight, |n, mut gx, sum| {
        let image = padded(g, &input[n * image_len..][..image_len]);
        each_gradient_row(g, grad, n, |y, row| {
            add_weight_gradient(g, &image, y, row, sum);
            if let Some((gx, weight)) = gx.as_mut().zip(transposed.as_ref()) {
                add_input_gradient(g, weight, y, row, gx);
            }
        });
    });
}

/// Calls `visit(y, row)` with each row `[ow, c_out]` of the gradient of image `n`'s convolution.
fn each_gradient_row(g: &Conv2dGeometry, grad: GradSource<'_>, n: usize, mut visit: impl FnMut(usize, &[f32])) {
    let row = g.out_width() * g.out_channels;
    match grad {
        GradSource::Plain(grad) => {
            let image = &grad[n * g.out_height() * row..][..g.out_height() * row];
            image.chunks_exact(row).enumerate().for_each(|(y, row)| visit(y, row));
        }
        GradSource::Pooled(grad, winners) => {
            let pooled = g.out_width() / 2 * g.out_channels;
            scratch::with(2 * row, |pair| {
                for y in 0..g.out_height() / 2 {
                    let at = (n * (g.out_height() / 2) + y) * pooled;
                    let range = at..at + pooled;
                    unpool_rows(g.out_channels, g.out_width(), &grad[range.clone()], &winners[range], pair);
                    pair.chunks_exact(row).enumerate().for_each(|(i, row)| visit(2 * y + i, row));
                }
            });
        }
    }
}

fn add_weight_gradient(g: &Conv2dGeometry, image: &[f32], y: usize, row: &[f32], sum: &mut [f32]) {
    let run = g.kernel_width * g.in_channels;
    for (i, sum) in sum.chunks_exact_mut(run * g.out_channels).enumerate() {
        let start = (y * g.stride + i) * g.padded_width() * g.in_channels;
        let columns = Columns { data: image, start, rows: run, stride: g.stride * g.in_channels };
        product_transposed(columns, row, g.out_channels, sum);
    }
}

/// Adds one row's part to the gradient for an image: the gradients of its windows, each where the window lies.
fn add_input_gradient(g: &Conv2dGeometry, weight: &Packed, y: usize, row: &[f32], gx: &mut [f32]) {
    let (taps, run) = (g.taps(), g.kernel_width * g.in_channels);
    let starts: Vec<u32> = (0..g.out_width()).map(|x| (x * g.out_channels) as u32).collect();
    let line = g.width * g.in_channels;
    scratch::with(g.out_width() * taps, |windows| {
        let rows = Rows { data: row, starts: &starts, runs: 1, len: g.out_channels, stride: 0 };
        product(rows, weight, windows, Finish::LINEAR);
        for (x, window) in windows.chunks_exact(taps).enumerate() {
            for (i, window) in window.chunks_exact(run).enumerate() {
                let Some(line_at) = (y * g.stride + i).checked_sub(g.padding).filter(|&at| at < g.height) else {
                    continue;
                };
                let left = (x * g.stride) as isize - g.padding as isize;
                let (from, to) =
                    (left.max(0) as usize, (left + g.kernel_width as isize).clamp(0, g.width as isize) as usize);
                if from >= to {
                    continue;
                }
                let skip = (from as isize - left) as usize * g.in_channels;
                let to = &mut gx[line_at * line..][from * g.in_channels..to * g.in_channels];
                to.iter_mut().zip(&window[skip..]).for_each(|(sum, v)| *sum += v);
            }
        }
    });
}
