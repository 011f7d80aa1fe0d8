//! Two-dimensional convolution, channels last: what a network in use runs, and the gradients that train it.
//!
//! Two algorithms share the work: [`winograd`] where it applies and there are channels enough to pay for its
//! transforms, [`direct`] for everything else and for training: an error of 2e-6 lets another value win in one pooling
//! window of some hundred thousand, whose gradient then goes elsewhere, and the scratch CNN's differed by 1e-3 from
//! PyTorch's.
//!
//! Images and gradients are `[n, h, w, c]`, weights `[kh, kw, c_in, c_out]`.

use rayon::prelude::*;

use super::arch::pool::NO_WINNER;
use super::arch::product::{Finish, Packed};
use super::arch::winograd::Finish as TileFinish;
use super::clamp::{Clamp, add};
use super::winograd::Transformed;
use super::{direct, winograd};

pub use super::direct::GradSource;

/// Channels on either side from which Winograd's transforms cost less than they save.
const WINOGRAD_CHANNELS: usize = 8;

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
    /// Without padding, from the dimensions of the input `[n, c_in, h, w]` and the weight `[c_out, c_in, kh, kw]`.
    ///
    /// `None` unless the channels agree, the kernel fits into the image and no size is zero.
    pub fn new(input: [usize; 4], weight: [usize; 4], stride: usize) -> Option<Self> {
        Self::padded(input, weight, stride, 0)
    }

    /// The same with `padding` zeros around each image, into which the kernel has to fit with them.
    pub fn padded(input: [usize; 4], weight: [usize; 4], stride: usize, padding: usize) -> Option<Self> {
        let [batch, in_channels, height, width] = input;
        let [out_channels, weight_channels, kernel_height, kernel_width] = weight;
        let some = batch > 0 && in_channels > 0 && out_channels > 0 && stride > 0;
        let fits = |kernel: usize, size: usize| size > 0 && (1..=size + 2 * padding).contains(&kernel);
        let fits = fits(kernel_height, height) && fits(kernel_width, width);
        (some && fits && weight_channels == in_channels).then_some(Self {
            batch,
            in_channels,
            height,
            width,
            out_channels,
            kernel_height,
            kernel_width,
            stride,
            padding,
        })
    }

    /// Dimensions of the input, `[n, c_in, h, w]`.
    pub fn input(&self) -> [usize; 4] {
        [self.batch, self.in_channels, self.height, self.width]
    }

    /// Dimensions of the weight, `[c_out, c_in, kh, kw]`.
    pub fn weight(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels, self.kernel_height, self.kernel_width]
    }

    /// Channels of the output.
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Pixels between the windows.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Zeros around each image.
    pub fn padding(&self) -> usize {
        self.padding
    }

    /// Products of a forward pass, all images together.
    pub fn products(&self) -> usize {
        self.output_len() * self.taps()
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

    /// Products in one output value: rows of the unfolded matrix.
    pub(super) fn taps(&self) -> usize {
        self.in_channels * self.kernel_height * self.kernel_width
    }

    /// The same for another number of images.
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Rows and columns of the output after 2×2 pooling; what does not fill a window is left out.
    pub fn pooled_size(&self) -> (usize, usize) {
        (self.out_height() / 2, self.out_width() / 2)
    }

    /// Values of the pooled output, all images together.
    pub fn pooled_len(&self) -> usize {
        let (height, width) = self.pooled_size();
        self.batch * self.out_channels * height * width
    }
}

/// Tiles of an image from which Winograd's algorithm pays: each weight at each of the 64 points is read from memory, seven
/// times as many as there are weights of 3×3, and used once for every tile.
const WINOGRAD_TILES: usize = 16;

/// Whether [`winograd`] is the faster one for this geometry.
fn transforms_pay(g: &Conv2dGeometry) -> bool {
    winograd::applies(g)
        && g.in_channels.min(g.out_channels) >= WINOGRAD_CHANNELS
        && winograd::tiles(g) >= WINOGRAD_TILES
}

/// A weight ready for either algorithm, with the bias.
pub struct Prepared(Kind);

enum Kind {
    /// The bias is packed with the weight.
    Direct(Packed),
    Winograd {
        weight: Transformed,
        bias: Vec<f32>,
    },
}

impl Prepared {
    /// Prepares a weight for the forward pass over geometries like `g`, of any batch.
    ///
    /// # Panics
    /// When a slice does not hold what the geometry says.
    pub fn new(g: &Conv2dGeometry, weight: &[f32], bias: &[f32]) -> Self {
        if transforms_pay(g) {
            return Self(Kind::Winograd { weight: Transformed::new(g, weight), bias: bias.to_vec() });
        }
        Self::exact(g, weight, bias)
    }

    /// The same with plain sums whatever the geometry: what training takes.
    ///
    /// # Panics
    /// When a slice does not hold what the geometry says.
    pub fn exact(g: &Conv2dGeometry, weight: &[f32], bias: &[f32]) -> Self {
        let mut packed = direct::pack(g, weight);
        packed.set_bias(bias);
        Self(Kind::Direct(packed))
    }

    /// `clamp(input ⋆ weight + bias + residual)`; channels last, the residual like the output.
    ///
    /// # Panics
    /// When a slice does not hold what the geometry says.
    pub fn forward(
        &self,
        g: &Conv2dGeometry,
        input: &[f32],
        (residual, clamp): (Option<&[f32]>, Clamp),
        out: &mut [f32],
    ) {
        match (&self.0, residual) {
            (Kind::Direct(packed), residual) => direct::forward(g, input, packed, Finish { residual, clamp }, out),
            (Kind::Winograd { weight, bias }, None) => {
                winograd::forward(g, (input, weight, bias), TileFinish::Clamp(clamp), out);
            }
            (Kind::Winograd { weight, bias }, Some(residual)) => {
                winograd::forward(g, (input, weight, bias), TileFinish::Clamp(Clamp::NONE), out);
                add(residual, clamp, out);
            }
        }
    }

    /// The maximum of each 2×2 window of `max(0, input ⋆ weight + bias)` and, where asked for, its place; channels last.
    ///
    /// # Panics
    /// When a slice does not hold what the geometry says, or places are asked for that were not prepared for with
    /// [`exact`](Self::exact): they are for training.
    pub fn forward_pooled(&self, g: &Conv2dGeometry, input: &[f32], out: &mut [f32], winners: Option<&mut [f32]>) {
        match &self.0 {
            Kind::Direct(packed) => direct::forward_pooled(g, input, packed, out, winners),
            Kind::Winograd { weight, bias } => {
                assert!(winners.is_none(), "the places of the maxima are for training");
                winograd::forward(g, (input, weight, bias), TileFinish::Pool, out);
            }
        }
    }
}

/// The sum over pixels of a gradient `[pixels, c_out]`, of a pooled one over the windows that have a winner.
///
/// # Panics
/// When the gradient is not a whole number of pixels.
pub fn bias_gradient(grad: GradSource<'_>, grad_bias: &mut [f32]) {
    grad_bias.fill(0.0);
    let channels = grad_bias.len();
    match grad {
        GradSource::Plain(grad) => {
            for pixel in grad.chunks_exact(channels) {
                grad_bias.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += v);
            }
        }
        GradSource::Pooled(grad, winners) => {
            for (pixel, winners) in grad.chunks_exact(channels).zip(winners.chunks_exact(channels)) {
                for ((sum, v), winner) in grad_bias.iter_mut().zip(pixel).zip(winners) {
                    *sum += if *winner == NO_WINNER { 0.0 } else { *v };
                }
            }
        }
    }
}

/// Gradients for the weight and, where asked for, the bias and the input; what the slices held is replaced.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn backward(
    g: &Conv2dGeometry,
    (input, weight): (&[f32], &[f32]),
    grad: GradSource<'_>,
    (grad_weight, grad_bias): (&mut [f32], Option<&mut [f32]>),
    grad_input: Option<&mut [f32]>,
) {
    direct::backward(g, (input, weight), grad, grad_weight, grad_input);
    if let Some(grad_bias) = grad_bias {
        bias_gradient(grad, grad_bias);
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
