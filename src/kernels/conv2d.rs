//! Two-dimensional convolution without padding ("valid"), with bias and an optional rectifier.
//!
//! Each is a matrix product with the unfolded input (`im2col`), made a few output rows at a time so that the unfolded
//! tile stays in a core's own cache: written out whole, the second layer of the scratch CNN alone would take 10.7 MB an
//! image. Images run in parallel; a single image leaves the parallelism to the matrix product.

use std::ops::Range;

use rayon::prelude::*;

use super::arch::gemm::{View, gemm};
use super::relu::relu;
use super::scratch;

/// Floats of one unfolded tile: 512 KiB, half of the second-level cache of the machines this was measured on.
const TILE: usize = 1 << 17;

/// Partial sums of the weight gradient in one batch: enough to keep eight cores busy, and fixed, so that the order of
/// additions (and the result, to the last bit) does not depend on the number of threads.
const PARTIALS: usize = 8;

/// Shape of a convolution over `batch` images, validated once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dGeometry {
    pub(crate) batch: usize,
    pub(crate) in_channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) out_channels: usize,
    pub(crate) kernel_height: usize,
    pub(crate) kernel_width: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Conv2dGeometry {
    /// From the dimensions of the input `[n, c_in, h, w]` and the weight `[c_out, c_in, kh, kw]`.
    ///
    /// `None` unless the channels agree, the kernel fits into the image and no size is zero.
    pub fn new(input: [usize; 4], weight: [usize; 4], stride: usize) -> Option<Self> {
        let [batch, in_channels, height, width] = input;
        let [out_channels, weight_channels, kernel_height, kernel_width] = weight;
        let some = batch > 0 && in_channels > 0 && out_channels > 0 && stride > 0;
        let fits = (1..=height).contains(&kernel_height) && (1..=width).contains(&kernel_width);
        (some && fits && weight_channels == in_channels).then_some(Self {
            batch,
            in_channels,
            height,
            width,
            out_channels,
            kernel_height,
            kernel_width,
            stride,
            padding: 0,
        })
    }

    /// The same with `padding` zeros around each image, which [`channels_last`](super::channels_last) alone knows how to
    /// do.
    pub fn with_padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Rows of an image with its margins.
    pub(crate) fn padded_height(&self) -> usize {
        self.height + 2 * self.padding
    }

    /// Columns of an image with its margins.
    pub(crate) fn padded_width(&self) -> usize {
        self.width + 2 * self.padding
    }

    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        (self.padded_height() - self.kernel_height) / self.stride + 1
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        (self.padded_width() - self.kernel_width) / self.stride + 1
    }

    /// Values in the input, all images together.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.height * self.width
    }

    /// Values in the output, all images together.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.out_height() * self.out_width()
    }

    /// Values in the weight.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.taps()
    }

    /// How [`channels_last::turned`](super::channels_last::turned) splits `[c_out, c_in, taps]` to make it
    /// `[taps, c_in, c_out]`.
    pub(super) fn taps_last(&self) -> [usize; 2] {
        [self.in_channels, self.kernel_height * self.kernel_width]
    }

    /// Products in one output value: rows of the unfolded matrix.
    pub(super) fn taps(&self) -> usize {
        self.in_channels * self.kernel_height * self.kernel_width
    }

    /// Values in one output channel.
    fn plane(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// Output rows in one tile: as many as unfold into [`TILE`] values, or one, if that has more.
    pub(super) fn tile_rows(&self) -> usize {
        (TILE / (self.taps() * self.out_width())).max(1)
    }

    /// The output's rows, cut into tiles.
    fn tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let rows = self.tile_rows();
        let height = self.out_height();
        (0..height).step_by(rows).map(move |first| first..(first + rows).min(height))
    }

    /// Room for the largest tile.
    fn tile_len(&self) -> usize {
        self.tiles().next().map_or(0, |rows| rows.len() * self.out_width() * self.taps())
    }

    /// Calls `visit(tile range, image range)` for each contiguous run (stride 1: a row) shared by the unfolded tile of
    /// the output rows `rows`, `[taps, rows · ow]`, and the image, `[c_in, h, w]`.
    fn for_each_run(&self, rows: &Range<usize>, mut visit: impl FnMut(Range<usize>, Range<usize>)) {
        let ow = self.out_width();
        let run = if self.stride == 1 { ow } else { 1 };
        let mut at = 0;
        for channel in 0..self.in_channels {
            for i in 0..self.kernel_height {
                for j in 0..self.kernel_width {
                    for y in rows.clone() {
                        let from = (channel * self.height + y * self.stride + i) * self.width + j;
                        for x in (0..ow).step_by(run) {
                            let from = from + x * self.stride;
                            visit(at..at + run, from..from + run);
                            at += run;
                        }
                    }
                }
            }
        }
    }

    /// Copies what the output rows `rows` see of `image` into `tile`, `[taps, rows · ow]`.
    pub(super) fn unfold(&self, image: &[f32], rows: &Range<usize>, tile: &mut [f32]) {
        self.for_each_run(rows, |to, from| tile[to].copy_from_slice(&image[from]));
    }

    /// The reverse of [`unfold`](Self::unfold): adds each value of the tile to the pixel it came from.
    pub(super) fn fold_add(&self, tile: &[f32], rows: &Range<usize>, image: &mut [f32]) {
        self.for_each_run(rows, |from, to| {
            for (sum, v) in image[to].iter_mut().zip(&tile[from]) {
                *sum += v;
            }
        });
    }

    /// The output rows `rows` of every channel of one image's output gradient, `[c_out, rows · ow]`.
    fn rows_of<'a>(&self, image: &'a [f32], rows: &Range<usize>) -> View<'a> {
        View {
            data: &image[rows.start * self.out_width()..],
            rows: self.out_channels,
            columns: rows.len() * self.out_width(),
            row_stride: self.plane(),
            column_stride: 1,
        }
    }
}

/// Convolution plus bias, then `max(0, ·)` where `rectify`.
///
/// # Shapes
/// input `[n, c_in, h, w]`, weight `[c_out, c_in, kh, kw]`, bias `[c_out]`, out `[n, c_out, oh, ow]`, `oh = (h - kh) / stride + 1`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn conv2d(g: &Conv2dGeometry, input: &[f32], weight: &[f32], bias: &[f32], rectify: bool, out: &mut [f32]) {
    assert_eq!((input.len(), weight.len(), bias.len()), (g.input_len(), g.weight_len(), g.out_channels));
    assert!(out.len() == g.output_len() && g.padding == 0);
    let alone = g.batch == 1;
    let weight = View::new(weight, g.out_channels, g.taps());
    let images = input.par_chunks_exact(g.input_len() / g.batch);
    out.par_chunks_exact_mut(g.output_len() / g.batch).zip(images).for_each_init(
        || vec![0.0; g.tile_len()],
        |tile, (out, image)| {
            for (plane, bias) in out.chunks_exact_mut(g.plane()).zip(bias) {
                plane.fill(*bias);
            }
            for rows in g.tiles() {
                g.unfold(image, &rows, tile);
                let columns = rows.len() * g.out_width();
                let unfolded = View::new(tile, g.taps(), columns);
                gemm(&mut out[rows.start * g.out_width()..], g.plane(), weight, unfolded, true, alone);
            }
            if rectify {
                relu(out);
            }
        },
    );
}

/// Gradient for the input, `[n, c_in, h, w]`, given `grad` of the output before the rectifier.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn conv2d_grad_input(g: &Conv2dGeometry, weight: &[f32], grad: &[f32], grad_input: &mut [f32]) {
    assert_eq!((weight.len(), grad.len(), grad_input.len()), (g.weight_len(), g.output_len(), g.input_len()));
    let alone = g.batch == 1;
    let weight = View::new(weight, g.out_channels, g.taps()).transposed();
    let grads = grad.par_chunks_exact(g.output_len() / g.batch);
    grad_input.par_chunks_exact_mut(g.input_len() / g.batch).zip(grads).for_each_init(
        || vec![0.0; g.tile_len()],
        |tile, (out, grad)| {
            out.fill(0.0);
            for rows in g.tiles() {
                let grad = g.rows_of(grad, &rows);
                gemm(tile, grad.columns, weight, grad, false, alone);
                g.fold_add(tile, &rows, out);
            }
        },
    );
}

/// Gradients for the weight, `[c_out, c_in, kh, kw]`, and the bias, `[c_out]`, given `grad` of the output before the
/// rectifier; what the two held before is replaced.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn conv2d_grad_weight(
    g: &Conv2dGeometry,
    input: &[f32],
    grad: &[f32],
    grad_weight: &mut [f32],
    grad_bias: &mut [f32],
) {
    assert_eq!((input.len(), grad.len()), (g.input_len(), g.output_len()));
    assert_eq!((grad_weight.len(), grad_bias.len()), (g.weight_len(), g.out_channels));
    let alone = g.batch == 1;
    let (image_len, result_len) = (g.input_len() / g.batch, g.output_len() / g.batch);
    sum_over_images(g, None, grad_weight, |n, _, sum| {
        let (image, grad) = (&input[n * image_len..][..image_len], &grad[n * result_len..][..result_len]);
        scratch::with(g.tile_len(), |tile| {
            for rows in g.tiles() {
                g.unfold(image, &rows, tile);
                let grad = g.rows_of(grad, &rows);
                let unfolded = View::new(tile, g.taps(), grad.columns).transposed();
                gemm(sum, g.taps(), grad, unfolded, true, alone);
            }
        });
    });
    grad_bias.fill(0.0);
    for (plane, channel) in grad.chunks_exact(g.plane()).zip((0..g.out_channels).cycle()) {
        grad_bias[channel] += plane.iter().sum::<f32>();
    }
}

/// Calls `visit(image, its part of grad_input, sum)` for every image and puts the sum of all sums into `out`.
///
/// Shares of the images run in parallel, each with a sum of its own that begins at zero; the sums are added in their
/// order. The parts of `grad_input` are cleared beforehand.
pub(super) fn sum_over_images(
    g: &Conv2dGeometry,
    grad_input: Option<&mut [f32]>,
    out: &mut [f32],
    visit: impl Fn(usize, Option<&mut [f32]>, &mut [f32]) + Sync,
) {
    let (image_len, share) = (g.input_len() / g.batch, g.batch.div_ceil(PARTIALS));
    let mut parts: Vec<Option<&mut [f32]>> = match grad_input {
        Some(gx) => gx.chunks_mut(share * image_len).map(Some).collect(),
        None => (0..g.batch.div_ceil(share)).map(|_| None).collect(),
    };
    let partials: Vec<Vec<f32>> = parts
        .par_iter_mut()
        .enumerate()
        .map(|(i, part)| {
            let mut sum = vec![0.0; out.len()];
            for image in i * share..((i + 1) * share).min(g.batch) {
                let mut gx = part.as_mut().map(|part| &mut part[(image - i * share) * image_len..][..image_len]);
                if let Some(gx) = &mut gx {
                    gx.fill(0.0);
                }
                visit(image, gx, &mut sum);
            }
            sum
        })
        .collect();
    out.fill(0.0);
    for partial in &partials {
        for (sum, v) in out.iter_mut().zip(partial) {
            *sum += v;
        }
    }
}
