//! Pooling with channels last: the maximum of windows of any size, stride and padding, and the mean of whole images.

use rayon::prelude::*;

use super::arch::lanes::{Kernel, Lanes, dispatch};
use super::arch::windowed_pool::{max_grad_rows, max_rows};
use super::windows::{Windows, bands};

/// The maximum of each window, of what it sees of the image: padding never wins. `winners` gets its place, for the
/// gradient: `row · kw + column` in the window, padding counted; of equals the first in row-major order wins, as in PyTorch.
///
/// What a NaN does is not said.
///
/// # Shapes
/// input `[n, h, w, c]`, out and winners `[n, oh, ow, c]`
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn max_pool(g: &Windows, input: &[f32], out: &mut [f32], winners: Option<&mut [f32]>) {
    assert_eq!((input.len(), out.len()), (g.input_len(), g.output_len()));
    let (rows, row) = (g.out_height(), g.out_row());
    let band = g.band(rows, row);
    let parts = bands(out, rows, row, band);
    let marks: Vec<Option<&mut [f32]>> = match winners {
        Some(winners) => {
            assert_eq!(winners.len(), g.output_len());
            bands(winners, rows, row, band).into_iter().map(|(_, _, part)| Some(part)).collect()
        }
        None => parts.iter().map(|_| None).collect(),
    };
    parts.into_par_iter().zip(marks).for_each(|((n, first, out), winners)| {
        max_rows(g, &input[n * g.image_len()..][..g.image_len()], first, out, winners);
    });
}

/// Gradient of [`max_pool`] for its input, `[n, h, w, c]`: each output's goes to the winner that the forward pass noted.
///
/// # Panics
/// When a slice does not hold what the geometry says.
pub fn max_pool_grad(g: &Windows, grad: &[f32], winners: &[f32], grad_input: &mut [f32]) {
    assert_eq!((grad.len(), winners.len(), grad_input.len()), (g.output_len(), g.output_len(), g.input_len()));
    let image_len = g.out_height() * g.out_row();
    bands(grad_input, g.height, g.row(), g.band(g.height, g.row())).into_par_iter().for_each(|(n, first, out)| {
        let image = n * image_len..(n + 1) * image_len;
        max_grad_rows(g, &grad[image.clone()], &winners[image], first, out);
    });
}

/// Pixels that are added before their sum goes to the others: it keeps the rounding of large images small.
const RUN: usize = 64;

/// The mean over the pixels of each image: `[n, pixels, c]` to `[n, c]`.
///
/// # Panics
/// When the slices do not hold what the shapes say.
pub fn average_pool(pixels: usize, channels: usize, input: &[f32], out: &mut [f32]) {
    assert!(pixels > 0 && channels > 0 && out.len().is_multiple_of(channels));
    assert_eq!(input.len(), out.len() * pixels);
    out.par_chunks_exact_mut(channels).zip(input.par_chunks_exact(pixels * channels)).for_each(|(out, image)| {
        out.fill(0.0);
        let mut sum = vec![0.0; channels];
        for run in image.chunks(RUN * channels) {
            sum.fill(0.0);
            dispatch(AddPixels { pixels: run, sum: &mut sum });
            out.iter_mut().zip(&sum).for_each(|(out, sum)| *out += sum);
        }
        out.iter_mut().for_each(|sum| *sum /= pixels as f32);
    });
}

/// Adds every pixel to `sum`. Plain loops: the compiler vectorises them for whatever [`dispatch`] runs them on.
struct AddPixels<'a> {
    pixels: &'a [f32],
    sum: &'a mut [f32],
}

impl Kernel for AddPixels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for pixel in self.pixels.chunks_exact(self.sum.len()) {
            for (sum, value) in self.sum.iter_mut().zip(pixel) {
                *sum += *value;
            }
        }
    }
}

/// Gradient of [`average_pool`] for its input: every pixel's share of its image's.
///
/// # Panics
/// When the slices do not hold what the shapes say.
pub fn average_pool_grad(pixels: usize, channels: usize, grad: &[f32], grad_input: &mut [f32]) {
    assert!(pixels > 0 && channels > 0 && grad.len().is_multiple_of(channels));
    assert_eq!(grad_input.len(), grad.len() * pixels);
    grad_input.par_chunks_exact_mut(pixels * channels).zip(grad.par_chunks_exact(channels)).for_each(
        |(image, grad)| {
            let (first, others) = image.split_at_mut(channels);
            first.iter_mut().zip(grad).for_each(|(share, grad)| *share = grad / pixels as f32);
            others.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(first));
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::super::tests::{assert_close, values};
    use super::super::windows::Padding;
    use super::*;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn geometries() -> Vec<Windows> {
        let uneven = Padding { top: 1, bottom: 2, left: 0, right: 1 };
        let all = [
            ([1, 1, 1, 1], [1, 1], 1, Padding::default()),
            ([2, 12, 11, 64], [3, 3], 2, Padding::even(1)),
            ([2, 7, 9, 33], [2, 2], 2, Padding::default()),
            ([1, 9, 8, 21], [3, 2], 1, uneven),
            ([3, 8, 13, 5], [3, 4], 3, uneven),
            ([1, 10, 10, 3], [2, 2], 3, Padding::even(1)),
            ([1, 2, 2, 16], [5, 5], 2, Padding::even(2)),
            // Large enough for several bands.
            ([1, 70, 60, 48], [3, 3], 2, Padding::even(1)),
        ];
        let new = |(input, kernel, stride, padding)| Windows::new(input, kernel, stride, padding);
        all.into_iter().map(|g| new(g).expect("a valid geometry")).collect()
    }

    #[test]
    fn max_pool_and_its_gradient_follow_the_reference() {
        for g in geometries() {
            let dy = values(g.output_len(), 2);
            // Below zero, where padding would win if it took part; and few different values, so that many are equal.
            let few: Vec<f32> = values(g.input_len(), 1).iter().map(|v| (3.0 * v).round() - 4.0).collect();
            for x in [values(g.input_len(), 1), few] {
                let (expected, expected_winners) = reference::max_pool(&g, &x);
                let (mut y, mut winners) = (vec![f32::NAN; g.output_len()], vec![f32::NAN; g.output_len()]);
                max_pool(&g, &x, &mut y, None);
                assert_eq!(y, expected, "{g:?}");
                y.fill(f32::NAN);
                max_pool(&g, &x, &mut y, Some(&mut winners));
                assert_eq!(y, expected, "{g:?}");
                let mut dx = vec![f32::NAN; g.input_len()];
                max_pool_grad(&g, &dy, &winners, &mut dx);
                let mut expected = vec![0.0; g.input_len()];
                expected_winners.iter().zip(&dy).for_each(|(i, grad)| expected[*i] += grad);
                assert_close(&dx, &expected, g.kernel_height * g.kernel_width, &format!("{g:?}"));
            }
        }
    }

    #[test]
    fn max_pool_agrees_with_pytorch() {
        // PyTorch 2.15: max_pool2d of arange(16) * 7 % 16 - 20, [1, 1, 4, 4], with kernel 3, stride 2, padding 1; and the
        // gradient of (output * [[1, 2], [3, 4]]).sum().
        let g = Windows::new([1, 4, 4, 1], [3, 3], 2, Padding::even(1)).expect("a valid geometry");
        let x: Vec<f32> = (0..16).map(|i| (i * 7 % 16) as f32 - 20.0).collect();
        let (mut y, mut winners, mut dx) = (vec![0.0; 4], vec![0.0; 4], vec![0.0; 16]);
        max_pool(&g, &x, &mut y, Some(&mut winners));
        assert_eq!(y, [-8.0, -6.0, -5.0, -5.0]);
        max_pool_grad(&g, &[1.0, 2.0, 3.0, 4.0], &winners, &mut dx);
        assert_eq!(dx, [0.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn average_pool_is_the_mean_of_each_image_and_its_gradient_the_adjoint() {
        for (batch, pixels, channels) in [(1, 1, 1), (2, 49, 33), (3, 5, 16), (1, 1000, 7)] {
            let x = values(batch * pixels * channels, 1);
            let dy = values(batch * channels, 2);
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            average_pool(pixels, channels, &x, &mut y);
            let mean = |n: usize, c: usize| {
                let sum: f64 = (0..pixels).map(|p| f64::from(x[(n * pixels + p) * channels + c])).sum();
                (sum / pixels as f64) as f32
            };
            let expected: Vec<f32> = (0..batch).flat_map(|n| (0..channels).map(move |c| mean(n, c))).collect();
            assert_close(&y, &expected, RUN, &format!("{batch}, {pixels}, {channels}"));
            average_pool_grad(pixels, channels, &dy, &mut dx);
            for (i, grad) in dx.iter().enumerate() {
                let expected = dy[i / (pixels * channels) * channels + i % channels] / pixels as f32;
                assert_eq!(*grad, expected, "{batch}, {pixels}, {channels}: value {i}");
            }
        }
    }
}
