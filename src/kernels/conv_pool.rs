//! Convolution, bias, rectifier and 2×2 max pooling in one pass, forward and backward.
//!
//! What is four times as large as the result, the convolution's output and its gradient, exists one tile at a time only.
//! Apart, the operations write and read it several times: 63 MB for the first layer of the scratch CNN on 32 images,
//! fresh pages at every step; a fifth of a training step went into the kernel's clearing of them.

use std::ops::Range;

use rayon::prelude::*;

use super::arch::gemm::{View, gemm};
use super::conv2d::{Conv2dGeometry, sum_over_images};
use super::scratch;

/// Side and stride of the pooling windows.
const POOL: usize = 2;

/// Marks a window whose maximum the rectifier cut off: no gradient passes.
const NONE: u8 = u8::MAX;

/// Rows and columns of the pooled output; what does not fill a window is left out.
pub fn pooled_size(g: &Conv2dGeometry) -> (usize, usize) {
    (g.out_height() / POOL, g.out_width() / POOL)
}

/// Values of the pooled output, all images together.
pub fn pooled_len(g: &Conv2dGeometry) -> usize {
    let (height, width) = pooled_size(g);
    g.batch * g.out_channels * height * width
}

/// Convolution rows cut into tiles of whole windows: each tile's range of rows.
fn tiles(g: &Conv2dGeometry) -> impl Iterator<Item = Range<usize>> + use<> {
    let rows = (g.tile_rows() / POOL).max(1) * POOL;
    let last = pooled_size(g).0 * POOL;
    (0..last).step_by(rows).map(move |first| first..(first + rows).min(last))
}

/// Columns of the largest tile.
fn tile_columns(g: &Conv2dGeometry) -> usize {
    tiles(g).next().map_or(0, |rows| rows.len()) * g.out_width()
}

/// `max(0, conv + bias)`, then the maximum of each 2×2 window; `winners` gets its place in the window, for the gradient.
///
/// # Shapes
/// input `[n, c_in, h, w]`, weight `[c_out, c_in, kh, kw]`, bias `[c_out]`, out and winners `[n, c_out, oh / 2, ow / 2]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn conv2d_pool(
    g: &Conv2dGeometry,
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    out: &mut [f32],
    winners: &mut [u8],
) {
    assert_eq!((input.len(), weight.len(), bias.len()), (g.input_len(), g.weight_len(), g.out_channels));
    assert_eq!((out.len(), winners.len()), (pooled_len(g), pooled_len(g)));
    let alone = g.batch == 1;
    let weight = View::new(weight, g.out_channels, g.taps());
    let image_len = pooled_len(g) / g.batch;
    let images = input.par_chunks_exact(g.input_len() / g.batch);
    let outputs = out.par_chunks_exact_mut(image_len).zip(winners.par_chunks_exact_mut(image_len));
    outputs.zip(images).for_each_init(
        || (vec![0.0; tile_columns(g) * g.taps()], vec![0.0; tile_columns(g) * g.out_channels]),
        |(unfolded, sums), ((out, winners), image)| {
            for rows in tiles(g) {
                g.unfold(image, &rows, unfolded);
                let columns = rows.len() * g.out_width();
                gemm(sums, columns, weight, View::new(unfolded, g.taps(), columns), false, alone);
                pool_tile(g, &rows, sums, bias, out, winners);
            }
        },
    );
}

/// Pools one tile of sums, `[c_out, rows · ow]`, into its place in the image's output.
fn pool_tile(g: &Conv2dGeometry, rows: &Range<usize>, sums: &[f32], bias: &[f32], out: &mut [f32], winners: &mut [u8]) {
    let (height, width) = pooled_size(g);
    let columns = rows.len() * g.out_width();
    for (channel, (sums, bias)) in sums.chunks_exact(columns).zip(bias).enumerate() {
        for (pair, sums) in sums.chunks_exact(POOL * g.out_width()).enumerate() {
            let at = (channel * height + rows.start / POOL + pair) * width;
            let (top, bottom) = sums.split_at(g.out_width());
            let windows = top.chunks_exact(POOL).zip(bottom.chunks_exact(POOL));
            for ((out, winner), (t, b)) in out[at..at + width].iter_mut().zip(&mut winners[at..at + width]).zip(windows)
            {
                // Of equals the first in row-major order wins, as everywhere here.
                let (upper, u) = if t[1] > t[0] { (t[1], 1) } else { (t[0], 0) };
                let (lower, l) = if b[1] > b[0] { (b[1], 3) } else { (b[0], 2) };
                let (best, place) = if lower > upper { (lower, l) } else { (upper, u) };
                let best = best + bias;
                *out = best.max(0.0);
                *winner = if best > 0.0 { place } else { NONE };
            }
        }
    }
}

/// The gradient of one tile before pooling, `[c_out, rows · ow]`: each window's goes to its winner.
fn spread_tile(g: &Conv2dGeometry, rows: &Range<usize>, grad: &[f32], winners: &[u8], tile: &mut [f32]) {
    let (height, width) = pooled_size(g);
    let columns = rows.len() * g.out_width();
    tile.fill(0.0);
    for (channel, tile) in tile.chunks_exact_mut(columns).enumerate() {
        for (pair, tile) in tile.chunks_exact_mut(POOL * g.out_width()).enumerate() {
            let at = (channel * height + rows.start / POOL + pair) * width;
            for (x, (grad, winner)) in grad[at..at + width].iter().zip(&winners[at..at + width]).enumerate() {
                if *winner != NONE {
                    let (row, column) = (usize::from(*winner) / POOL, usize::from(*winner) % POOL);
                    tile[row * g.out_width() + POOL * x + column] = *grad;
                }
            }
        }
    }
}

/// Gradients of [`conv2d_pool`] for weight and bias and, where asked for, the input; what the slices held is replaced.
///
/// # Shapes
/// grad and winners `[n, c_out, oh / 2, ow / 2]`, grad_weight `[c_out, c_in, kh, kw]`, grad_bias `[c_out]`,
/// grad_input `[n, c_in, h, w]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn conv2d_pool_grad(
    g: &Conv2dGeometry,
    (input, weight): (&[f32], &[f32]),
    (grad, winners): (&[f32], &[u8]),
    (grad_weight, grad_bias): (&mut [f32], &mut [f32]),
    grad_input: Option<&mut [f32]>,
) {
    assert_eq!((input.len(), weight.len()), (g.input_len(), g.weight_len()));
    assert_eq!((grad.len(), winners.len()), (pooled_len(g), pooled_len(g)));
    assert_eq!((grad_weight.len(), grad_bias.len()), (g.weight_len(), g.out_channels));
    assert!(grad_input.as_ref().is_none_or(|gx| gx.len() == g.input_len()));
    let (image_len, pooled) = (g.input_len() / g.batch, pooled_len(g) / g.batch);
    let alone = g.batch == 1;
    let (unfolded_len, spread_len) = (tile_columns(g) * g.taps(), tile_columns(g) * g.out_channels);
    sum_over_images(g, grad_input, grad_weight, |n, mut gx, sum| {
        let image = &input[n * image_len..][..image_len];
        let (grad, winners) = (&grad[n * pooled..][..pooled], &winners[n * pooled..][..pooled]);
        scratch::with(unfolded_len + spread_len, |tile| {
            let (unfolded, spread) = tile.split_at_mut(unfolded_len);
            for rows in tiles(g) {
                let columns = rows.len() * g.out_width();
                let spread = &mut spread[..g.out_channels * columns];
                spread_tile(g, &rows, grad, winners, spread);
                let spread = View::new(spread, g.out_channels, columns);
                g.unfold(image, &rows, unfolded);
                let columns_of = View::new(unfolded, g.taps(), columns).transposed();
                gemm(sum, g.taps(), spread, columns_of, true, alone);
                if let Some(gx) = &mut gx {
                    let weight = View::new(weight, g.out_channels, g.taps()).transposed();
                    gemm(unfolded, columns, weight, spread, false, alone);
                    g.fold_add(unfolded, &rows, gx);
                }
            }
        });
    });
    grad_bias.fill(0.0);
    let plane = pooled / g.out_channels;
    for (i, (grads, winners)) in grad.chunks_exact(plane).zip(winners.chunks_exact(plane)).enumerate() {
        let passing = grads.iter().zip(winners).filter(|(_, winner)| **winner != NONE);
        grad_bias[i % g.out_channels] += passing.map(|(grad, _)| grad).sum::<f32>();
    }
}
