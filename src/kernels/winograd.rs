//! Convolution by Winograd's algorithm: stride 1, kernels 3 and 5 wide, any padding.
//!
//! A 5×5 convolution takes 64 products for 16 outputs instead of 400, a 3×3 one 64 for 36 instead of 324. The work is cut
//! into blocks of tiles so that what lies between the transforms stays in a core's own cache.
//!
//! Images and gradients are `[n, h, w, c]`, weights `[kh, kw, c_in, c_out]`.

use rayon::prelude::*;

use super::arch::product::{Finish as Sums, Packed, Rows, product};
use super::arch::winograd::{Finish, Patch, Planes, SIDE, Window, kernel_matrix, transform_input, transform_output};
use super::conv2d::Conv2dGeometry;
use super::scratch;

/// Tiles of one block: with 32 and 64 channels the planes of 32 tiles take 0.8 MB, most of a second-level cache of 1 MiB.
const BLOCK: usize = 32;

/// Whether this algorithm can do the convolution.
pub fn applies(g: &Conv2dGeometry) -> bool {
    g.stride == 1 && g.kernel_height == g.kernel_width && matches!(g.kernel_height, 3 | 5)
}

/// Tiles that an image is cut into.
pub fn tiles(g: &Conv2dGeometry) -> usize {
    let tiling = Tiling::new(g, false);
    tiling.across * tiling.down
}

/// A weight at the 64 points, `G g Gᵀ`, packed for the products.
#[derive(Debug, Clone)]
pub struct Transformed {
    kernel: usize,
    /// For each point `[c_in, c_out]`.
    points: Vec<Packed>,
}

impl Transformed {
    /// Transforms `weight`.
    ///
    /// # Panics
    /// When the weight does not hold what the geometry says, or the algorithm does not apply.
    pub fn new(g: &Conv2dGeometry, weight: &[f32]) -> Self {
        assert!(applies(g) && weight.len() == g.weight_len());
        let (kernel, len) = (g.kernel_height, g.in_channels * g.out_channels);
        let matrix = kernel_matrix(kernel);
        // Σₐ G[i][a] · g[a][b], then Σ_b of that times G[j][b], over all channels at once.
        let weighted = |sum: &mut [f32], factor: f64, values: &[f32]| {
            sum.iter_mut().zip(values).for_each(|(s, v)| *s += factor as f32 * v);
        };
        let rows: Vec<Vec<f32>> = (0..SIDE)
            .into_par_iter()
            .flat_map_iter(|i| {
                let mut half = vec![0.0; kernel * len];
                for a in 0..kernel {
                    weighted(&mut half, matrix[i][a], &weight[a * kernel * len..(a + 1) * kernel * len]);
                }
                (0..SIDE).map(move |j| {
                    let mut point = vec![0.0; len];
                    for (b, values) in half.chunks_exact(len).enumerate() {
                        weighted(&mut point, matrix[j][b], values);
                    }
                    point
                })
            })
            .collect();
        let pack = |u: &Vec<f32>| Packed::new(g.in_channels, g.out_channels, |k, n| u[k * g.out_channels + n]);
        Self { kernel, points: rows.par_iter().map(pack).collect() }
    }
}

/// Tiles of the images of a convolution, block by block.
#[derive(Debug, Clone, Copy)]
struct Tiling<'a> {
    g: &'a Conv2dGeometry,
    /// Outputs a side.
    side: usize,
    across: usize,
    down: usize,
    pooled: bool,
}

impl<'a> Tiling<'a> {
    fn new(g: &'a Conv2dGeometry, pooled: bool) -> Self {
        let side = SIDE + 1 - g.kernel_height;
        // Where pooling drops an odd last row or column, tiles that hold nothing else are left out.
        let cover = |outputs: usize| if pooled { outputs / 2 * 2 } else { outputs }.div_ceil(side);
        Self { g, side, across: cover(g.out_width()), down: cover(g.out_height()), pooled }
    }

    /// Rows of tiles in a block, at least one.
    fn block_rows(&self) -> usize {
        (BLOCK / self.across.max(1)).clamp(1, self.down.max(1))
    }

    /// Tiles of the largest block.
    fn block_len(&self) -> usize {
        self.block_rows() * self.across
    }

    /// Rows and columns of the result, pooled or not.
    fn result(&self) -> (usize, usize) {
        let (h, w) = (self.g.out_height(), self.g.out_width());
        if self.pooled { (h / 2, w / 2) } else { (h, w) }
    }

    /// Values of one image's result.
    fn result_len(&self) -> usize {
        let (h, w) = self.result();
        h * w * self.g.out_channels
    }

    /// The part of one image's result that tile `(y, x)` covers.
    fn window(&self, y: usize, x: usize) -> Window {
        let side = if self.pooled { self.side / 2 } else { self.side };
        let ((h, w), channels) = (self.result(), self.g.out_channels);
        let (top, left) = ((y * side).min(h), (x * side).min(w));
        let (rows, columns) = (side.min(h - top), side.min(w - left));
        Window { start: (top * w + left) * channels, row: w * channels, rows, columns }
    }

    /// Where tile `(y, x)` begins in the image, and how much of its patch lies inside.
    fn corner(&self, y: usize, x: usize) -> [isize; 2] {
        [y, x].map(|at| (at * self.side) as isize - self.g.padding as isize)
    }

    /// `Bᵀ d B` of every tile of rows `first ..` of one image.
    fn transform_inputs(&self, image: &[f32], first: usize, rows: usize, planes: Planes, out: &mut [f32]) {
        let channels = self.g.in_channels;
        for (tile, (y, x)) in self.tiles(first, rows).enumerate() {
            match self.inside(y, x) {
                Some(patch) => transform_input(image, patch, planes, tile, out),
                None => scratch::with(SIDE * SIDE * channels, |edge| {
                    edge.fill(0.0);
                    self.overlap(y, x, |from, to, len| edge[to..to + len].copy_from_slice(&image[from..from + len]));
                    transform_input(edge, Patch { start: 0, row: SIDE * channels }, planes, tile, out);
                }),
            }
        }
    }

    fn tiles(&self, first: usize, rows: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let across = self.across;
        (first..first + rows).flat_map(move |y| (0..across).map(move |x| (y, x)))
    }

    /// The patch of a tile that lies inside the image whole.
    fn inside(&self, y: usize, x: usize) -> Option<Patch> {
        let [top, left] = self.corner(y, x);
        let fits = |at: isize, size: usize| at >= 0 && at as usize + SIDE <= size;
        let (width, channels) = (self.g.width, self.g.in_channels);
        (fits(top, self.g.height) && fits(left, width))
            .then(|| Patch { start: (top as usize * width + left as usize) * channels, row: width * channels })
    }

    /// Calls `run(place in the image, place in the patch, floats)` for each row of a tile's patch that lies in the image.
    fn overlap(&self, y: usize, x: usize, mut run: impl FnMut(usize, usize, usize)) {
        let ([top, left], channels) = (self.corner(y, x), self.g.in_channels);
        let clip = |at: isize, size: usize| {
            let begin = at.clamp(0, size as isize);
            (begin as usize, (at + SIDE as isize).clamp(begin, size as isize) as usize)
        };
        let ((y0, y1), (x0, x1)) = (clip(top, self.g.height), clip(left, self.g.width));
        for row in y0..y1 {
            let at = (row * self.g.width + x0) * channels;
            let patch = (row as isize - top) as usize * SIDE + (x0 as isize - left) as usize;
            run(at, patch * channels, (x1 - x0) * channels);
        }
    }
}

/// Where the rows of a plane begin.
fn plane_rows(tiles: usize, channels: usize) -> Vec<u32> {
    (0..tiles).map(|tile| (tile * channels) as u32).collect()
}

/// `finish(input ⋆ weight + bias)`; with [`Finish::Pool`] the result is pooled.
///
/// # Shapes
/// input `[n, h, w, c_in]`, bias `[c_out]`, out `[n, oh, ow, c_out]` or `[n, oh / 2, ow / 2, c_out]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn forward(
    g: &Conv2dGeometry,
    (input, weight, bias): (&[f32], &Transformed, &[f32]),
    finish: Finish,
    out: &mut [f32],
) {
    let tiling = Tiling::new(g, matches!(finish, Finish::Pool));
    assert_eq!((input.len(), out.len()), (g.input_len(), g.batch * tiling.result_len()));
    let rows = tiling.block_rows();
    let starts = plane_rows(tiling.block_len(), g.in_channels);
    let (before, after) =
        (Planes::new(tiling.block_len(), g.in_channels), Planes::new(tiling.block_len(), g.out_channels));
    // A block of tile rows writes rows of the result that no other block writes.
    let side = if tiling.pooled { tiling.side / 2 } else { tiling.side };
    let band = rows * side * tiling.result().1 * g.out_channels;
    let image_len = g.input_len() / g.batch;
    let tasks = bands(out, tiling.result_len(), band);
    let blocks = tiling.down.div_ceil(rows);
    tasks.into_par_iter().enumerate().for_each(|(i, out)| {
        let (image, first) = (i / blocks, i % blocks * rows);
        let count = rows.min(tiling.down - first);
        let tiles = count * tiling.across;
        scratch::with(before.len() + after.len(), |planes| {
            let (values, sums) = planes.split_at_mut(before.len());
            let image = &input[image * image_len..(image + 1) * image_len];
            tiling.transform_inputs(image, first, count, before, values);
            for (point, weight) in weight.points.iter().enumerate() {
                let data = &values[point * before.plane..][..tiles * g.in_channels];
                let rows = Rows { data, starts: &starts[..tiles], runs: 1, len: g.in_channels, stride: 0 };
                product(rows, weight, &mut sums[point * after.plane..][..tiles * g.out_channels], Sums::LINEAR);
            }
            for (tile, (y, x)) in tiling.tiles(first, count).enumerate() {
                let mut window = tiling.window(y, x);
                window.start -= first * side * tiling.result().1 * g.out_channels;
                transform_output((weight.kernel, finish), (sums, after, tile), bias, out, window);
            }
        });
    });
}

/// Cuts every image's result into bands of `band` floats.
fn bands(all: &mut [f32], image: usize, band: usize) -> Vec<&mut [f32]> {
    all.chunks_exact_mut(image.max(1)).flat_map(|image| image.chunks_mut(band.max(1))).collect()
}
