//! Max pooling over square windows without padding.
//!
//! candle-core 0.11.1 spreads the gradient over the window and scales it by `1/k²` (finite differences disagree) and has
//! none where kernel and stride differ; here it goes to the winner alone, as in PyTorch and Keras.

use rayon::prelude::*;

/// Shape of a pooling over `planes = n · c` images of `[height, width]`; windows that do not fit are left out ("valid").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2dGeometry {
    pub(crate) planes: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

impl Pool2dGeometry {
    /// `None` unless the window fits into the image and no size is zero.
    pub fn new(planes: usize, height: usize, width: usize, kernel: usize, stride: usize) -> Option<Self> {
        let fits = planes > 0 && kernel > 0 && stride > 0 && kernel <= height && kernel <= width;
        fits.then_some(Self { planes, height, width, kernel, stride })
    }

    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        (self.height - self.kernel) / self.stride + 1
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        (self.width - self.kernel) / self.stride + 1
    }

    /// Values in the output, all planes together.
    pub fn output_len(&self) -> usize {
        self.planes * self.out_height() * self.out_width()
    }

    /// Values in the input, all planes together.
    pub fn input_len(&self) -> usize {
        self.planes * self.height * self.width
    }
}

/// Calls `visit(output index, input index of the winner)` for one plane; of equals the first in row-major order wins.
fn for_each_winner(g: &Pool2dGeometry, plane: &[f32], mut visit: impl FnMut(usize, usize)) {
    let (oh, ow) = (g.out_height(), g.out_width());
    for y in 0..oh {
        for x in 0..ow {
            let corner = y * g.stride * g.width + x * g.stride;
            let mut winner = corner;
            let mut best = plane[corner];
            for i in 0..g.kernel {
                let start = corner + i * g.width;
                for (j, &v) in plane[start..start + g.kernel].iter().enumerate() {
                    if v > best {
                        (winner, best) = (start + j, v);
                    }
                }
            }
            visit(y * ow + x, winner);
        }
    }
}

/// Maximum of each window; same contract as [`reference::max_pool2d`](super::reference::max_pool2d).
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn max_pool2d(g: &Pool2dGeometry, input: &[f32], out: &mut [f32]) {
    assert_eq!((input.len(), out.len()), (g.input_len(), g.output_len()));
    let planes = input.par_chunks_exact(g.height * g.width);
    out.par_chunks_exact_mut(g.out_height() * g.out_width()).zip(planes).for_each(|(out, plane)| {
        if (g.kernel, g.stride) == (2, 2) {
            return max_2x2(g, plane, out);
        }
        for_each_winner(g, plane, |o, winner| out[o] = plane[winner]);
    });
}

/// The common 2×2 window with stride 2: no index is kept, so the compiler vectorises it.
fn max_2x2(g: &Pool2dGeometry, plane: &[f32], out: &mut [f32]) {
    for (row, out) in out.chunks_exact_mut(g.out_width()).enumerate() {
        let (top, bottom) = plane[2 * row * g.width..].split_at(g.width);
        for ((o, t), b) in out.iter_mut().zip(top.chunks_exact(2)).zip(bottom.chunks_exact(2)) {
            *o = t[0].max(t[1]).max(b[0].max(b[1]));
        }
    }
}

/// Gradient for the input; same contract as [`reference::max_pool2d_grad`](super::reference::max_pool2d_grad).
///
/// The winners are found again from the input: that is one comparison a value, less than storing and reading them back.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn max_pool2d_grad(g: &Pool2dGeometry, input: &[f32], grad: &[f32], grad_input: &mut [f32]) {
    assert_eq!((input.len(), grad.len(), grad_input.len()), (g.input_len(), g.output_len(), g.input_len()));
    let plane_len = g.height * g.width;
    let planes = input.par_chunks_exact(plane_len).zip(grad.par_chunks_exact(g.out_height() * g.out_width()));
    grad_input.par_chunks_exact_mut(plane_len).zip(planes).for_each(|(out, (plane, grad))| {
        out.fill(0.0);
        for_each_winner(g, plane, |o, winner| out[winner] += grad[o]);
    });
}
