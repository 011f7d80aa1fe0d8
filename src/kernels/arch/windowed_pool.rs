//! Max pooling of rows with any window, a register of channels at a time.

use std::ops::Range;

use super::super::windows::Windows;
use super::lanes::{Channels, Lanes, each_channel};

/// Rows of the maximum of each window from row `first` on, as many as `out` holds; `winners` gets its place.
///
/// # Panics
/// When the slices do not hold what the geometry says, or `out` reaches past the image.
pub fn max_rows(g: &Windows, image: &[f32], first: usize, out: &mut [f32], mut winners: Option<&mut [f32]>) {
    assert_eq!(image.len(), g.image_len());
    assert!(out.len().is_multiple_of(g.out_row()) && first + out.len() / g.out_row() <= g.out_height());
    assert!(winners.as_ref().is_none_or(|winners| winners.len() == out.len()));
    for (i, out) in out.chunks_exact_mut(g.out_row()).enumerate() {
        let at = i * g.out_row();
        let winners = winners.as_mut().map(|winners| &mut winners[at..at + out.len()]);
        // SAFETY: the slices hold all channels of every pixel.
        unsafe { each_channel(g.channels, MaxRow { g, image, y: first + i, out, winners }) }
    }
}

struct MaxRow<'a> {
    g: &'a Windows,
    image: &'a [f32],
    y: usize,
    out: &'a mut [f32],
    winners: Option<&'a mut [f32]>,
}

impl Channels for MaxRow<'_> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        let g = self.g;
        let rows = g.rows_inside(self.y);
        for x in 0..g.out_width() {
            let columns = g.columns_inside(x);
            // SAFETY: the caller vouches for the channels; the pixel is one of the row.
            unsafe {
                // The window of ResNet, whole: with its width a constant the loop over it is unrolled.
                let (best, winner) = if columns == (0..3) {
                    self.window::<L>(at, x, rows.clone(), 0..3)
                } else {
                    self.window::<L>(at, x, rows.clone(), columns)
                };
                best.store(self.out.as_mut_ptr().add(x * g.channels + at));
                if let Some(winners) = &mut self.winners {
                    winner.store(winners.as_mut_ptr().add(x * g.channels + at));
                }
            }
        }
    }
}

impl MaxRow<'_> {
    /// The maximum of these rows and columns of a window, and its place in the window.
    #[inline(always)]
    unsafe fn window<L: Lanes>(&self, at: usize, x: usize, rows: Range<usize>, columns: Range<usize>) -> (L, L) {
        let g = self.g;
        // SAFETY: the rows and columns are inside the image; the caller vouches for the channels.
        let value = |i: usize, j: usize| unsafe {
            let row = self.y * g.stride + i - g.padding.top;
            let column = x * g.stride + j - g.padding.left;
            L::load(self.image.as_ptr().add((row * g.width + column) * g.channels + at))
        };
        let mut best = value(rows.start, columns.start);
        let mut winner = L::splat((rows.start * g.kernel_width + columns.start) as f32);
        for i in rows {
            for j in columns.clone() {
                let value = value(i, j);
                winner = value.if_greater(best, L::splat((i * g.kernel_width + j) as f32), winner);
                best = value.if_greater(best, value, best);
            }
        }
        (best, winner)
    }
}

/// Rows of the gradient before pooling from row `first` on, as many as `out` holds: each pixel gathers from the windows
/// that it has won.
///
/// # Panics
/// When the slices do not hold what the geometry says, or `out` reaches past the image.
pub fn max_grad_rows(g: &Windows, grad: &[f32], winners: &[f32], first: usize, out: &mut [f32]) {
    assert_eq!((grad.len(), winners.len()), (g.out_height() * g.out_row(), grad.len()));
    assert!(out.len().is_multiple_of(g.row()) && first + out.len() / g.row() <= g.height);
    for (i, out) in out.chunks_exact_mut(g.row()).enumerate() {
        // SAFETY: the slices hold all channels of every pixel.
        unsafe { each_channel(g.channels, MaxGradRow { g, grad, winners, y: first + i, out }) }
    }
}

struct MaxGradRow<'a> {
    g: &'a Windows,
    grad: &'a [f32],
    winners: &'a [f32],
    y: usize,
    out: &'a mut [f32],
}

impl Channels for MaxGradRow<'_> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        let g = self.g;
        let (rows, zero) = (g.rows_over(self.y), L::splat(0.0));
        for x in 0..g.width {
            let mut sum = zero;
            for oy in rows.clone() {
                for ox in g.columns_over(x) {
                    let place = (self.y + g.padding.top - oy * g.stride) * g.kernel_width
                        + (x + g.padding.left - ox * g.stride);
                    let from = (oy * g.out_width() + ox) * g.channels + at;
                    // SAFETY: the window is one of the output's; the caller vouches for the channels.
                    let (grad, winner) =
                        unsafe { (L::load(self.grad.as_ptr().add(from)), L::load(self.winners.as_ptr().add(from))) };
                    // Places are whole numbers: the halves around one tell it from the others.
                    let not_before = winner.if_greater(L::splat(place as f32 - 0.5), grad, zero);
                    sum = sum.add(winner.if_greater(L::splat(place as f32 + 0.5), zero, not_before));
                }
            }
            // SAFETY: the pixel is one of the row; the caller vouches for the channels.
            unsafe { sum.store(self.out.as_mut_ptr().add(x * g.channels + at)) }
        }
    }
}
