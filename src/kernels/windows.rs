//! Windows that slide over each channel by itself: the geometry that depthwise convolution and pooling share.

use std::ops::Range;

/// Values of the output below which a task is not worth handing to another thread: some ten microseconds of work.
pub(super) const TASK: usize = 1 << 14;

/// Rows and columns of nothing around an image, which may differ from side to side: TensorFlow's "same" padding of an
/// even image at stride 2 is one-sided, PyTorch's is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns before.
    pub left: usize,
    /// Columns behind.
    pub right: usize,
}

impl Padding {
    /// The same on every side.
    pub const fn even(by: usize) -> Self {
        Self { top: by, bottom: by, left: by, right: by }
    }
}

/// Windows over a batch of images `[n, h, w, c]`, validated once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) kernel_height: usize,
    pub(crate) kernel_width: usize,
    pub(crate) stride: usize,
    pub(crate) padding: Padding,
}

impl Windows {
    /// Windows of `kernel` rows and columns, `stride` apart both ways; what does not fill a window is left out.
    ///
    /// `None` unless the window fits into the padded image, every padding is less than the window, so that each window
    /// sees some of the image, and no size is zero.
    pub fn new(input: [usize; 4], kernel: [usize; 2], stride: usize, padding: Padding) -> Option<Self> {
        let [batch, height, width, channels] = input;
        let [kernel_height, kernel_width] = kernel;
        let some = !input.contains(&0) && stride > 0;
        let fits = |kernel: usize, len: usize, before: usize, behind: usize| {
            before.max(behind) < kernel && kernel <= len + before + behind
        };
        let fits = fits(kernel_height, height, padding.top, padding.bottom)
            && fits(kernel_width, width, padding.left, padding.right);
        (some && fits).then_some(Self { batch, height, width, channels, kernel_height, kernel_width, stride, padding })
    }

    /// The same for another number of images.
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Whether the windows are squares of `side` pixels that touch and do not overlap, without padding.
    pub fn side_by_side(&self, side: usize) -> bool {
        [self.kernel_height, self.kernel_width, self.stride] == [side; 3] && self.padding == Padding::default()
    }

    /// Channels of the images.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows and columns of a window.
    pub fn kernel(&self) -> [usize; 2] {
        [self.kernel_height, self.kernel_width]
    }

    /// Pixels between the windows.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// What is around each image.
    pub fn padding(&self) -> Padding {
        self.padding
    }

    /// Values of one channel that a window sees.
    pub fn window(&self) -> usize {
        self.kernel_height * self.kernel_width
    }

    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        (self.height + self.padding.top + self.padding.bottom - self.kernel_height) / self.stride + 1
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        (self.width + self.padding.left + self.padding.right - self.kernel_width) / self.stride + 1
    }

    /// Values in the input, all images together.
    pub fn input_len(&self) -> usize {
        self.batch * self.image_len()
    }

    /// Values in the output, all images together.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_height() * self.out_row()
    }

    /// Values in a depthwise weight, `[kh, kw, c]`.
    pub fn weight_len(&self) -> usize {
        self.kernel_height * self.kernel_width * self.channels
    }

    /// Values in one image of the input.
    pub(super) fn image_len(&self) -> usize {
        self.height * self.row()
    }

    /// Values in one row of the input.
    pub(super) fn row(&self) -> usize {
        self.width * self.channels
    }

    /// Values in one row of the output.
    pub(super) fn out_row(&self) -> usize {
        self.out_width() * self.channels
    }

    /// Rows of the windows of output row `y` that lie in the image.
    pub(super) fn rows_inside(&self, y: usize) -> Range<usize> {
        inside(y * self.stride, self.kernel_height, self.padding.top, self.height)
    }

    /// Columns of the windows of output column `x` that lie in the image.
    pub(super) fn columns_inside(&self, x: usize) -> Range<usize> {
        inside(x * self.stride, self.kernel_width, self.padding.left, self.width)
    }

    /// Output rows whose windows see row `y` of the input.
    pub(super) fn rows_over(&self, y: usize) -> Range<usize> {
        over(y + self.padding.top, self.kernel_height, self.stride, self.out_height())
    }

    /// Output columns whose windows see column `x` of the input.
    pub(super) fn columns_over(&self, x: usize) -> Range<usize> {
        over(x + self.padding.left, self.kernel_width, self.stride, self.out_width())
    }

    /// Rows of a task, where images have `rows` rows of `row` values: two tasks for each thread, if they are worth it.
    pub(super) fn band(&self, rows: usize, row: usize) -> usize {
        let tasks = (2 * rayon::current_num_threads()).div_ceil(self.batch);
        rows.div_ceil(tasks).max(TASK.div_ceil(row)).min(rows)
    }
}

/// The part of a window, beginning at `start` of an image of length `len` behind its padding, that is in the image.
fn inside(start: usize, kernel: usize, padding: usize, len: usize) -> Range<usize> {
    padding.saturating_sub(start).min(kernel)..kernel.min((len + padding).saturating_sub(start))
}

/// The windows that see position `at`, counted from the padding's begin.
fn over(at: usize, kernel: usize, stride: usize, windows: usize) -> Range<usize> {
    (at + 1).saturating_sub(kernel).div_ceil(stride)..windows.min(at / stride + 1)
}

/// Cuts `[images, rows, row]` into bands of at most `band` rows: `(image, first row, values)`.
pub(super) fn bands<T>(values: &mut [T], rows: usize, row: usize, band: usize) -> Vec<(usize, usize, &mut [T])> {
    let images = values.chunks_exact_mut(rows * row).enumerate();
    images
        .flat_map(|(n, image)| image.chunks_mut(band * row).enumerate().map(move |(i, part)| (n, i * band, part)))
        .collect()
}
