//! Depthwise convolution of rows: a register of channels and seven neighbouring pixels at a time.
//!
//! A tile keeps seven sums, one row of the kernel and one value of the input in registers, 13 of them for a kernel five
//! wide; each value is loaded once for all the sums it belongs to. Seven, because the widths of a network for images of
//! 224 pixels, 112 to 7, are its multiples.

use super::super::clamp::Clamp;
use super::super::windows::Windows;
use super::lanes::{Channels, Kernel, Lanes, dispatch, over_channels};

/// Pixels of a tile.
const PIXELS: usize = 7;

/// Pixels of a tile of the gradient for the input: a multiple of every stride there is code for.
const EVEN_PIXELS: usize = 8;

/// Channels that are taken through all rows before the next ones: a line of the cache, so that the rows of a window are
/// still in the first level when the next row of windows sees them.
const LINE: usize = 16;

/// Repeats a body for every column that a tile of any kernel and stride may see: which sums a column belongs to must be
/// known to the compiler, or they would not stay in registers, and it does not always unroll a loop this long.
macro_rules! each_column {
    ($column:ident => $body:block) => {
        each_column!(@ $column $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    (@ $column:ident $body:block $($n:literal)*) => { $({ let $column: usize = $n; $body })* };
}

/// Columns that a tile sees.
const fn span(kernel: usize, stride: usize) -> usize {
    (PIXELS - 1) * stride + kernel
}

/// The pixel of a tile whose window has the tile's column `column` as its own column `j`.
#[inline(always)]
fn pixel_with(column: usize, j: usize, stride: usize) -> Option<usize> {
    column
        .checked_sub(j)
        .filter(|ahead| ahead.is_multiple_of(stride))
        .map(|ahead| ahead / stride)
        .filter(|x| *x < PIXELS)
}

/// Where a tile lies in a row, and which of its columns and pixels there are.
struct Place {
    /// Where in the image the tile's column 0 lies; negative in the padding.
    column: isize,
    /// The tile's first pixel.
    pixel: usize,
    /// Pixels of the tile that the row has.
    pixels: usize,
    /// The first of the tile's columns that lie in the image and belong to a pixel, and the first behind them.
    columns: [usize; 2],
}

impl Place {
    #[inline(always)]
    fn new<const KW: usize, const S: usize>(g: &Windows, pixel: usize) -> Self {
        let column = (pixel * S) as isize - g.padding.left as isize;
        let pixels = PIXELS.min(g.out_width() - pixel);
        let end = (g.width as isize - column).min(((pixels - 1) * S + KW) as isize);
        Self { column, pixel, pixels, columns: [column.min(0).unsigned_abs(), end as usize] }
    }

    /// Whether nothing of the tile is missing.
    #[inline(always)]
    fn is_whole<const KW: usize, const S: usize>(&self) -> bool {
        self.columns == [0, span(KW, S)]
    }
}

/// Calls `$self.$row::<L, KW, S>($at)` with the kernel's width and stride as constants for the kernels of the built-in
/// networks, and zeros for all others. A single lane is what is left over, or slow anyway: code for it would only be large.
macro_rules! specialised {
    ($lanes:ident, $g:expr, $self:ident . $row:ident ($at:expr)) => {
        match ($g.kernel_width, $g.stride) {
            (3, 1) if $lanes::N > 1 => $self.$row::<$lanes, 3, 1>($at),
            (3, 2) if $lanes::N > 1 => $self.$row::<$lanes, 3, 2>($at),
            (5, 1) if $lanes::N > 1 => $self.$row::<$lanes, 5, 1>($at),
            (5, 2) if $lanes::N > 1 => $self.$row::<$lanes, 5, 2>($at),
            _ => $self.$row::<$lanes, 0, 0>($at),
        }
    };
}

/// Rows of `clamp(image ⋆ weight + bias)` from row `first` on, as many as `out` holds.
///
/// # Panics
/// When the slices do not hold what the geometry says, or `out` reaches past the image.
pub fn forward_rows(
    g: &Windows,
    image: &[f32],
    (weight, bias): (&[f32], &[f32]),
    clamp: Clamp,
    first: usize,
    out: &mut [f32],
) {
    assert_eq!((image.len(), weight.len(), bias.len()), (g.image_len(), g.weight_len(), g.channels));
    assert!(out.len().is_multiple_of(g.out_row()) && first + out.len() / g.out_row() <= g.out_height());
    dispatch(Forward { g, image, weight, bias, clamp, first, out });
}

struct Forward<'a> {
    g: &'a Windows,
    image: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    clamp: Clamp,
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { g, image, weight, bias, clamp, first, out } = self;
        for group in (0..g.channels).step_by(LINE) {
            for (i, out) in out.chunks_exact_mut(g.out_row()).enumerate() {
                let mut row = ForwardRow { g, image, weight, bias, clamp, y: first + i, out };
                // SAFETY: `forward_rows` has checked that the slices hold all channels of every pixel.
                unsafe { over_channels::<L>(group..g.channels.min(group + LINE), &mut row) }
            }
        }
    }
}

struct ForwardRow<'a> {
    g: &'a Windows,
    image: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    clamp: Clamp,
    y: usize,
    out: &'a mut [f32],
}

impl Channels for ForwardRow<'_> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        // SAFETY: the caller vouches for the channels.
        unsafe { specialised!(L, self.g, self.row(at)) }
    }
}

impl ForwardRow<'_> {
    #[inline(always)]
    unsafe fn row<L: Lanes, const KW: usize, const S: usize>(&mut self, at: usize) {
        // SAFETY: the caller vouches for the channels; every pixel is one of the row.
        unsafe {
            if KW == 0 {
                // A loop, for a closure would be compiled without the instructions of these lanes.
                for x in 0..self.g.out_width() {
                    self.pixel::<L>(at, x);
                }
                return;
            }
            for x in (0..self.g.out_width()).step_by(PIXELS) {
                let place = Place::new::<KW, S>(self.g, x);
                if place.is_whole::<KW, S>() {
                    self.tile::<L, KW, S, false>(at, place);
                } else {
                    self.tile::<L, KW, S, true>(at, place);
                }
            }
        }
    }

    /// Seven pixels; `CHECKED` where some of them or of the columns they see are missing.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const KW: usize, const S: usize, const CHECKED: bool>(&mut self, at: usize, place: Place) {
        let (g, [begin, end]) = (self.g, place.columns);
        // SAFETY: the rows are inside the image; so are the columns, all of them or those from `begin` to `end`.
        unsafe {
            let mut sums = [L::load(self.bias.as_ptr().add(at)); PIXELS];
            for i in g.rows_inside(self.y) {
                let row = self.image.as_ptr().add((self.y * g.stride + i - g.padding.top) * g.row() + at);
                let row = row.wrapping_offset(place.column * g.channels as isize);
                let weight = self.weight.as_ptr().add(i * KW * g.channels + at);
                let weight: [L; KW] = std::array::from_fn(|j| L::load(weight.add(j * g.channels)));
                each_column!(column => {
                    if column < span(KW, S) && (!CHECKED || (begin <= column && column < end)) {
                        let value = L::load(row.wrapping_add(column * g.channels));
                        for (j, &weight) in weight.iter().enumerate() {
                            if let Some(x) = pixel_with(column, j, S) {
                                sums[x] = value.mul_add(weight, sums[x]);
                            }
                        }
                    }
                });
            }
            let to = self.out.as_mut_ptr().add(place.pixel * g.channels + at);
            let (low, high) = (L::splat(self.clamp.low), L::splat(self.clamp.high));
            for (x, sum) in sums.into_iter().enumerate() {
                if !CHECKED || x < place.pixels {
                    sum.max(low).min(high).store(to.add(x * g.channels));
                }
            }
        }
    }

    /// One pixel of any kernel and stride.
    #[inline(always)]
    unsafe fn pixel<L: Lanes>(&mut self, at: usize, x: usize) {
        let g = self.g;
        // SAFETY: the rows and columns are inside the image; the caller vouches for the channels.
        unsafe {
            let mut sum = L::load(self.bias.as_ptr().add(at));
            for i in g.rows_inside(self.y) {
                for j in g.columns_inside(x) {
                    let row = self.y * g.stride + i - g.padding.top;
                    let column = x * g.stride + j - g.padding.left;
                    let value = L::load(self.image.as_ptr().add((row * g.width + column) * g.channels + at));
                    let weight = self.weight.as_ptr().add((i * g.kernel_width + j) * g.channels + at);
                    sum = value.mul_add(L::load(weight), sum);
                }
            }
            let (low, high) = (L::splat(self.clamp.low), L::splat(self.clamp.high));
            sum.max(low).min(high).store(self.out.as_mut_ptr().add(x * g.channels + at));
        }
    }
}

/// Rows of the gradient for an image from row `first` on, as many as `out` holds: each pixel gathers from the windows
/// that see it.
///
/// # Panics
/// When the slices do not hold what the geometry says, or `out` reaches past the image.
pub fn grad_input_rows(g: &Windows, weight: &[f32], grad: &[f32], first: usize, out: &mut [f32]) {
    assert_eq!((weight.len(), grad.len()), (g.weight_len(), g.out_height() * g.out_row()));
    assert!(out.len().is_multiple_of(g.row()) && first + out.len() / g.row() <= g.height);
    dispatch(GradInput { g, weight, grad, first, out });
}

struct GradInput<'a> {
    g: &'a Windows,
    weight: &'a [f32],
    grad: &'a [f32],
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for GradInput<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { g, weight, grad, first, out } = self;
        for group in (0..g.channels).step_by(LINE) {
            for (i, out) in out.chunks_exact_mut(g.row()).enumerate() {
                let mut row = GradInputRow { g, weight, grad, y: first + i, out };
                // SAFETY: `grad_input_rows` has checked that the slices hold all channels of every pixel.
                unsafe { over_channels::<L>(group..g.channels.min(group + LINE), &mut row) }
            }
        }
    }
}

struct GradInputRow<'a> {
    g: &'a Windows,
    weight: &'a [f32],
    grad: &'a [f32],
    y: usize,
    out: &'a mut [f32],
}

impl Channels for GradInputRow<'_> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        // A stride of 1 is a forward pass and does not come here.
        // SAFETY: the caller vouches for the channels.
        unsafe {
            match (self.g.kernel_width, self.g.stride) {
                (3, 2) if L::N > 1 => self.row::<L, 3, 2>(at),
                (5, 2) if L::N > 1 => self.row::<L, 5, 2>(at),
                _ => self.row::<L, 0, 0>(at),
            }
        }
    }
}

impl GradInputRow<'_> {
    #[inline(always)]
    unsafe fn row<L: Lanes, const KW: usize, const S: usize>(&mut self, at: usize) {
        // SAFETY: the caller vouches for the channels; every pixel is one of the row.
        unsafe {
            if KW == 0 {
                // A loop, for a closure would be compiled without the instructions of these lanes.
                for x in 0..self.g.width {
                    self.pixel::<L>(at, x);
                }
                return;
            }
            // Tiles begin where a window does, which for the first may be in the padding.
            let lead = self.g.padding.left % S;
            for x in (0..self.g.width + lead).step_by(EVEN_PIXELS) {
                self.tile::<L, KW, S>(at, x as isize - lead as isize);
            }
        }
    }

    /// The pixels of a tile from `x` on that the image has.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const KW: usize, const S: usize>(&mut self, at: usize, x: isize) {
        let g = self.g;
        // The first window that sees one of the pixels begins `before` windows ahead of the one that begins at `x`.
        let before = (KW - 1) / S;
        let window = (x + g.padding.left as isize) / S as isize - before as isize;
        // SAFETY: the windows are some of the output's, their rows see this one, and only pixels of the row are stored;
        // the caller vouches for the channels.
        unsafe {
            let mut sums = [L::splat(0.0); EVEN_PIXELS];
            for oy in g.rows_over(self.y) {
                let weight = (self.y + g.padding.top - oy * g.stride) * KW * g.channels + at;
                let weight = self.weight.as_ptr().add(weight);
                let weight: [L; KW] = std::array::from_fn(|j| L::load(weight.add(j * g.channels)));
                let row = self.grad.as_ptr().add(oy * g.out_row() + at);
                each_column!(column => {
                    let ox = window + column as isize;
                    if column <= before + (EVEN_PIXELS - 1) / S && ox >= 0 && (ox as usize) < g.out_width() {
                        let grad = L::load(row.add(ox as usize * g.channels));
                        for (j, &weight) in weight.iter().enumerate() {
                            if let Some(x) = (column * S + j).checked_sub(before * S).filter(|x| *x < EVEN_PIXELS) {
                                sums[x] = grad.mul_add(weight, sums[x]);
                            }
                        }
                    }
                });
            }
            for (i, sum) in sums.into_iter().enumerate() {
                let x = x + i as isize;
                if x >= 0 && (x as usize) < g.width {
                    sum.store(self.out.as_mut_ptr().add(x as usize * g.channels + at));
                }
            }
        }
    }

    /// One pixel for any kernel and stride.
    #[inline(always)]
    unsafe fn pixel<L: Lanes>(&mut self, at: usize, x: usize) {
        let g = self.g;
        // SAFETY: the windows are some of the output's, and see this pixel: its place in them is in the kernel.
        unsafe {
            let mut sum = L::splat(0.0);
            for oy in g.rows_over(self.y) {
                let i = self.y + g.padding.top - oy * g.stride;
                for ox in g.columns_over(x) {
                    let j = x + g.padding.left - ox * g.stride;
                    let grad = L::load(self.grad.as_ptr().add((oy * g.out_width() + ox) * g.channels + at));
                    let weight = self.weight.as_ptr().add((i * g.kernel_width + j) * g.channels + at);
                    sum = grad.mul_add(L::load(weight), sum);
                }
            }
            sum.store(self.out.as_mut_ptr().add(x * g.channels + at));
        }
    }
}

/// Adds the part that rows of an image's gradient, `grad`, from row `first` on, have in the gradients for the weight and
/// the bias.
///
/// # Panics
/// When the slices do not hold what the geometry says, or `grad` reaches past the image.
pub fn add_weight_gradient(
    g: &Windows,
    image: &[f32],
    (first, grad): (usize, &[f32]),
    (weight, bias): (&mut [f32], &mut [f32]),
) {
    assert_eq!((image.len(), weight.len(), bias.len()), (g.image_len(), g.weight_len(), g.channels));
    assert!(grad.len().is_multiple_of(g.out_row()) && first + grad.len() / g.out_row() <= g.out_height());
    dispatch(GradWeight { g, image, first, grad, weight, bias });
}

struct GradWeight<'a> {
    g: &'a Windows,
    image: &'a [f32],
    first: usize,
    grad: &'a [f32],
    weight: &'a mut [f32],
    bias: &'a mut [f32],
}

impl Kernel for GradWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { g, image, first, grad, weight, bias } = self;
        for group in (0..g.channels).step_by(LINE) {
            for (i, grad) in grad.chunks_exact(g.out_row()).enumerate() {
                let mut row = GradWeightRow { g, image, y: first + i, grad, weight, bias };
                // SAFETY: `add_weight_gradient` has checked that the slices hold all channels of every pixel.
                unsafe { over_channels::<L>(group..g.channels.min(group + LINE), &mut row) }
            }
        }
    }
}

struct GradWeightRow<'a> {
    g: &'a Windows,
    image: &'a [f32],
    y: usize,
    grad: &'a [f32],
    weight: &'a mut [f32],
    bias: &'a mut [f32],
}

impl Channels for GradWeightRow<'_> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        // SAFETY: the caller vouches for the channels; every pixel is one of the row.
        unsafe {
            let mut sum = L::splat(0.0);
            for x in 0..self.g.out_width() {
                sum = sum.add(L::load(self.grad.as_ptr().add(x * self.g.channels + at)));
            }
            add_to(self.bias.as_mut_ptr().add(at), sum);
            specialised!(L, self.g, self.row(at));
        }
    }
}

/// # Safety
/// A register can be read and written at `to`.
#[inline(always)]
unsafe fn add_to<L: Lanes>(to: *mut f32, value: L) {
    // SAFETY: the caller vouches for it.
    unsafe { L::load(to).add(value).store(to) }
}

impl GradWeightRow<'_> {
    #[inline(always)]
    unsafe fn row<L: Lanes, const KW: usize, const S: usize>(&mut self, at: usize) {
        let g = self.g;
        // SAFETY: the caller vouches for the channels; every pixel is one of the row, every `i` and `j` in the kernel.
        unsafe {
            for i in g.rows_inside(self.y) {
                let row = self.image.as_ptr().add((self.y * g.stride + i - g.padding.top) * g.row() + at);
                let to = self.weight.as_mut_ptr().add(i * g.kernel_width * g.channels + at);
                if KW == 0 {
                    self.pixels::<L>(at, row, to);
                    continue;
                }
                // Two sums of each where there are few: an addition takes longer than the others are many.
                let mut sums = [[L::splat(0.0); 2]; KW];
                for x in (0..g.out_width()).step_by(PIXELS) {
                    let place = Place::new::<KW, S>(g, x);
                    if place.is_whole::<KW, S>() {
                        self.tile::<L, KW, S, false>(at, place, row, &mut sums);
                    } else {
                        self.tile::<L, KW, S, true>(at, place, row, &mut sums);
                    }
                }
                for (j, [a, b]) in sums.into_iter().enumerate() {
                    add_to(to.add(j * g.channels), a.add(b));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<L: Lanes, const KW: usize, const S: usize, const CHECKED: bool>(
        &self,
        at: usize,
        place: Place,
        row: *const f32,
        sums: &mut [[L; 2]; KW],
    ) {
        let (g, [begin, end]) = (self.g, place.columns);
        // SAFETY: the columns are inside the image, all of them or those from `begin` to `end`; so are the pixels.
        unsafe {
            let from = self.grad.as_ptr().add(place.pixel * g.channels + at);
            let grad: [L; PIXELS] = std::array::from_fn(|x| {
                if !CHECKED || x < place.pixels { L::load(from.add(x * g.channels)) } else { L::splat(0.0) }
            });
            let row = row.wrapping_offset(place.column * g.channels as isize);
            each_column!(column => {
                if column < span(KW, S) && (!CHECKED || (begin <= column && column < end)) {
                    let value = L::load(row.wrapping_add(column * g.channels));
                    for (j, sums) in sums.iter_mut().enumerate() {
                        if let Some(x) = pixel_with(column, j, S) {
                            let sum = &mut sums[if KW == 3 { x % 2 } else { 0 }];
                            *sum = value.mul_add(grad[x], *sum);
                        }
                    }
                }
            });
        }
    }

    /// A row of any kernel and stride.
    #[inline(always)]
    unsafe fn pixels<L: Lanes>(&self, at: usize, row: *const f32, to: *mut f32) {
        let g = self.g;
        // SAFETY: the columns are inside the image, the pixels in the row; the caller vouches for the channels.
        unsafe {
            for x in 0..g.out_width() {
                let grad = L::load(self.grad.as_ptr().add(x * g.channels + at));
                for j in g.columns_inside(x) {
                    let value = L::load(row.add((x * g.stride + j - g.padding.left) * g.channels));
                    let to = to.add(j * g.channels);
                    value.mul_add(grad, L::load(to)).store(to);
                }
            }
        }
    }
}
