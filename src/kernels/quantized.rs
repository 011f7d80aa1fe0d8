//! Inference in eight bits: convolution, pooling and dense layers on whole numbers.
//!
//! A weight is `scale[row] · q` with a row for each output, `q` from -127 to 127, as `formats::quantized` stores it. An
//! activation is `scale · q` with one scale a layer and `q` from 0 to 127: what a rectifier lets through, or an image in
//! `[0, 1]`, has no sign, and with seven bits every processor's instructions agree (see `arch::bytes`). Scales of
//! activations come from a network at work, see [`Calibration`].
//!
//! [`dense_i8_weights`] is for networks whose activations stay floats: it is as exact as one of floats, and reads a
//! quarter of the bytes.

use std::borrow::Cow;

use rayon::prelude::*;

use super::arch::bytes::{GROUP, Leaf, ROUNDING, rounded};
use super::arch::dot_i8::dot_rows;
use super::arch::product_i8::{Out, Packed, Rows, product};
use super::conv2d::Conv2dGeometry;
use super::dense::DenseGeometry;
use super::direct::starts;

/// The largest quantised activation.
pub const LARGEST: u8 = 127;

/// A weight in eight bits: row `r` of the matrix `[outputs, inputs]` is `scales[r] · values[r]`.
///
/// A convolution's weight `[c_out, c_in, kh, kw]` is a matrix of `c_out` rows.
#[derive(Debug, Clone, Copy)]
pub struct QuantizedRows<'a> {
    /// `[outputs, inputs]`, row-major.
    pub values: &'a [i8],
    /// `[outputs]`
    pub scales: &'a [f32],
}

/// `q = clamp(v / scale, 0, 127)`, rounded half to even, so that `v ≈ scale · q`: off by `scale / 2` at most where `v` is
/// in `[0, 127 · scale]`. The division is a multiplication with the inverse. What is not a number becomes 0.
///
/// # Panics
/// When the slices differ in length, or `scale` is not above 0.
pub fn quantize(values: &[f32], scale: f32, out: &mut [u8]) {
    assert_eq!(values.len(), out.len());
    assert!(scale > 0.0, "a scale of {scale}");
    let inverse = scale.recip();
    for (q, v) in out.iter_mut().zip(values) {
        *q = rounded(clamped(v * inverse, f32::from(LARGEST)));
    }
}

/// `value` between 0 and `high`, in comparisons that are one instruction each.
fn clamped(value: f32, high: f32) -> f32 {
    let value = if value > 0.0 { value } else { 0.0 };
    if value < high { value } else { high }
}

/// What activations a layer has seen, for its scale: their largest, and how they are distributed.
///
/// Zeros are left out: they are exact with any scale, and a rectifier makes many.
#[derive(Debug, Clone)]
pub struct Calibration {
    largest: f32,
    /// Upper end of the last bin, a power of two once there are values.
    end: f32,
    bins: Vec<u64>,
}

impl Calibration {
    /// Even, for bins are joined in pairs; each is then at most 1/1024 of the largest value.
    const BINS: usize = 2048;

    /// Nothing seen.
    pub fn new() -> Self {
        Self { largest: 0.0, end: 0.0, bins: vec![0; Self::BINS] }
    }

    /// Counts the finite positive numbers among `values`.
    pub fn observe(&mut self, values: &[f32]) {
        let counted = || values.iter().copied().filter(|v| *v > 0.0 && v.is_finite());
        self.largest = counted().fold(self.largest, f32::max);
        if self.end == 0.0 {
            self.end = f32::MIN_POSITIVE;
        }
        // The last power of two is beyond what a float can hold; the values there stay in the last bin.
        while self.end < self.largest && self.end < f32::MAX / 2.0 {
            self.end *= 2.0;
            for i in 0..Self::BINS / 2 {
                self.bins[i] = self.bins[2 * i] + self.bins[2 * i + 1];
            }
            self.bins[Self::BINS / 2..].fill(0);
        }
        for v in counted() {
            let bin = (v / self.end * Self::BINS as f32) as usize;
            self.bins[bin.min(Self::BINS - 1)] += 1;
        }
    }

    /// A scale with which `share` of the positive values seen are in range, to the width of a bin; 1 where there were
    /// none, for zeros go with any.
    ///
    /// A share of 1 takes the largest. Less cuts off outliers, for finer steps below.
    ///
    /// # Panics
    /// When `share` is not above 0 and at most 1.
    pub fn scale(&self, share: f64) -> f32 {
        assert!(share > 0.0 && share <= 1.0, "a share of {share}");
        if self.largest == 0.0 {
            return 1.0;
        }
        if share == 1.0 {
            return Self::scale_to(self.largest);
        }
        let total: u64 = self.bins.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        let last = self.bins.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let edge = last.map_or(self.largest, |bin| (bin + 1) as f32 * (self.end / Self::BINS as f32));
        Self::scale_to(edge.min(self.largest))
    }

    fn scale_to(limit: f32) -> f32 {
        // Not so small that the inverse is infinite.
        (limit / f32::from(LARGEST)).max(f32::MIN_POSITIVE)
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self::new()
    }
}

/// Output pixels of one task at least, for the weights are read again for each.
const PIXELS: usize = 192;

/// A convolution on quantised activations, channels last, ready to run on any batch.
#[derive(Debug, Clone)]
pub struct QuantizedConv2d(Packed);

impl QuantizedConv2d {
    /// Prepares a weight `[c_out, c_in, kh, kw]` for geometries like `g`, of any batch and size.
    ///
    /// The bias is of the convolution in floats. With an output scale of 1, [`forward_floats`](Self::forward_floats)
    /// returns the convolution's own values.
    ///
    /// # Panics
    /// When a slice does not hold what the geometry says, or a scale of activations is not above 0.
    pub fn new(
        g: &Conv2dGeometry,
        weight: QuantizedRows<'_>,
        bias: &[f32],
        input_scale: f32,
        output_scale: f32,
    ) -> Self {
        Self::on(Leaf::best(), g, weight, bias, input_scale, output_scale)
    }

    fn on(
        leaf: Leaf,
        g: &Conv2dGeometry,
        weight: QuantizedRows<'_>,
        bias: &[f32],
        input_scale: f32,
        output_scale: f32,
    ) -> Self {
        assert_eq!(
            (weight.values.len(), weight.scales.len(), bias.len()),
            (g.weight_len(), g.out_channels, g.out_channels)
        );
        assert!(input_scale > 0.0 && output_scale > 0.0, "scales of {input_scale} and {output_scale}");
        let scale: Vec<f32> = weight.scales.iter().map(|scale| input_scale * scale / output_scale).collect();
        let bias: Vec<f32> = bias.iter().map(|bias| bias / output_scale).collect();
        let area = g.kernel_height * g.kernel_width;
        Self(Packed::new(leaf, [g.kernel_height, g.kernel_width * g.in_channels], &scale, &bias, |k, output| {
            let (tap, channel) = (k / g.in_channels, k % g.in_channels);
            weight.values[(output * g.in_channels + channel) * area + tap]
        }))
    }

    /// `clamp((input ⋆ weight + bias) / output_scale, 0, 127)`, rounded: a convolution and its rectifier.
    ///
    /// # Shapes
    /// input `[n, h, w, c_in]`, out `[n, oh, ow, c_out]`
    ///
    /// # Panics
    /// When a slice does not hold what the geometry says, or the geometry has other channels or another kernel than the
    /// weight.
    pub fn forward(&self, g: &Conv2dGeometry, input: &[u8], out: &mut [u8]) {
        self.in_shares(g, input, out, |out| Out::Bytes(out));
    }

    /// `(input ⋆ weight + bias) / output_scale`, and `max(0, ·)` of it where `rectify`; otherwise as
    /// [`forward`](Self::forward).
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_floats(&self, g: &Conv2dGeometry, input: &[u8], rectify: bool, out: &mut [f32]) {
        let low = if rectify { 0.0 } else { f32::NEG_INFINITY };
        self.in_shares(g, input, out, |out| Out::Floats { out, low });
    }

    /// Gives each task some pixels of one image.
    fn in_shares<T: Send>(
        &self,
        g: &Conv2dGeometry,
        input: &[u8],
        out: &mut [T],
        finish: impl Fn(&mut [T]) -> Out<'_> + Sync,
    ) {
        assert_eq!((input.len(), out.len()), (g.input_len(), g.output_len()));
        let pixels = g.out_height() * g.out_width();
        let starts = starts(g, g.out_height());
        // A multiple of twelve rows fills every tile of the product; sums do not depend on how pixels are shared out.
        let share = pixels.div_ceil(2 * rayon::current_num_threads()).max(PIXELS).next_multiple_of(12);
        let images = self.images(g, input);
        let tasks: Vec<_> = out
            .chunks_exact_mut(pixels * g.out_channels)
            .enumerate()
            .flat_map(|(n, out)| {
                out.chunks_mut(share * g.out_channels).enumerate().map(move |(i, out)| (n, i * share, out))
            })
            .collect();
        tasks.into_par_iter().for_each(|(n, first, out)| {
            let count = out.len() / g.out_channels;
            product(windows(g, &images[n], &starts[first..first + count]), &self.0, finish(out));
        });
    }

    /// The maximum of each 2×2 window of what [`forward`](Self::forward) returns, which is never written out whole.
    ///
    /// Rounding keeps the order, so that this is also what pooling before rounding gives.
    ///
    /// # Shapes
    /// input `[n, h, w, c_in]`, out `[n, oh / 2, ow / 2, c_out]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_pooled(&self, g: &Conv2dGeometry, input: &[u8], out: &mut [u8]) {
        assert_eq!((input.len(), out.len()), (g.input_len(), g.pooled_len()));
        let (row, height) = (g.out_width() / 2 * g.out_channels, g.out_height() / 2);
        if row == 0 || height == 0 {
            return;
        }
        let line = g.out_width() * g.out_channels;
        let band = PIXELS.div_ceil(2 * g.out_width()).min(height);
        let starts = starts(g, 2 * band);
        let images = self.images(g, input);
        let tasks: Vec<_> = out
            .chunks_exact_mut(height * row)
            .enumerate()
            .flat_map(|(n, out)| out.chunks_mut(band * row).enumerate().map(move |(i, out)| (n, i * band, out)))
            .collect();
        tasks.into_par_iter().for_each_init(Vec::new, |whole, (n, y, out)| {
            let lines = 2 * (out.len() / row);
            whole.resize(lines * line, 0);
            let image = &images[n][2 * y * g.stride * g.padded_width() * g.in_channels..];
            let rows = windows(g, image, &starts[..lines * g.out_width()]);
            product(rows, &self.0, Out::Bytes(whole));
            for (pair, out) in whole.chunks_exact(2 * line).zip(out.chunks_exact_mut(row)) {
                pool_rows(g.out_channels, pair, out);
            }
        });
    }

    /// The images, each such that every run may be read up to a whole group.
    fn images<'a>(&self, g: &Conv2dGeometry, input: &'a [u8]) -> Vec<Cow<'a, [u8]>> {
        assert_eq!(self.0.shape(), [g.kernel_height, g.kernel_width * g.in_channels, g.out_channels]);
        input.chunks_exact(g.input_len() / g.batch).map(|image| with_margins(g, image)).collect()
    }
}

/// One image with its margins of zeros and a few bytes at its end, or itself where neither is needed.
fn with_margins<'a>(g: &Conv2dGeometry, image: &'a [u8]) -> Cow<'a, [u8]> {
    if g.padding == 0 && (g.kernel_width * g.in_channels).is_multiple_of(GROUP) {
        return Cow::Borrowed(image);
    }
    let row = g.padded_width() * g.in_channels;
    let mut whole = vec![0; g.padded_height() * row + GROUP - 1];
    let inner = g.width * g.in_channels;
    for (y, from) in image.chunks_exact(inner).enumerate() {
        let at = (y + g.padding) * row + g.padding * g.in_channels;
        whole[at..at + inner].copy_from_slice(from);
    }
    Cow::Owned(whole)
}

/// The windows of an image with its margins as rows of a product.
fn windows<'a>(g: &Conv2dGeometry, image: &'a [u8], starts: &'a [u32]) -> Rows<'a> {
    Rows { data: image, starts, stride: g.padded_width() * g.in_channels }
}

/// The maximum of each 2×2 window of two rows: `pair` is `[2, width, channels]`, `out` `[width / 2, channels]`.
fn pool_rows(channels: usize, pair: &[u8], out: &mut [u8]) {
    let (upper, lower) = pair.split_at(pair.len() / 2);
    let windows = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
    for ((upper, lower), out) in windows.zip(out.chunks_exact_mut(channels)) {
        let ((a, b), (c, d)) = (upper.split_at(channels), lower.split_at(channels));
        for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *out = (*a).max(*b).max((*c).max(*d));
        }
    }
}

/// `out[n, o] = input_scale · scales[o] · Σᵢ input[n, i] · values[o, i] + bias[o]`: a dense layer on quantised
/// activations.
///
/// # Shapes
/// input `[batch, inputs]`, weight `[outputs, inputs]`, bias `[outputs]`, out `[batch, outputs]`
///
/// # Panics
/// When a slice does not hold what the geometry says, or there are more than 2¹⁷ inputs.
pub fn dense(
    g: &DenseGeometry,
    (input, input_scale): (&[u8], f32),
    weight: QuantizedRows<'_>,
    bias: &[f32],
    out: &mut [f32],
) {
    assert_eq!((input.len(), bias.len(), out.len()), (g.batch * g.inputs, g.outputs, g.batch * g.outputs));
    let sums = sums(Leaf::best(), g, input, g.batch, weight);
    for (n, out) in out.chunks_exact_mut(g.outputs).enumerate() {
        for (o, out) in out.iter_mut().enumerate() {
            *out = sums[o * g.batch + n] as f32 * (input_scale * weight.scales[o]) + bias[o];
        }
    }
}

/// Bytes that an activation is cut into by [`dense_i8_weights`], of seven bits each.
const LIMBS: usize = 3;

/// `out[n, o] = scales[o] · Σᵢ input[n, i] · values[o, i] + bias[o]`: a dense layer on floats.
///
/// To turn each weight into a float would take longer than to read it. The activations are turned into whole numbers
/// instead, of 21 bits: `x ≈ step · n` with `step = max|x| / (2²¹ - 1)` over an image, each in three bytes, for which
/// sums are exact. What remains is the rounding of `x`, at most `0.75 · step`: for the sum over `i` at most
/// `max|x| · 2⁻²¹ · Σ|w|`, where a sum of floats may be off by `inputs · 2⁻²⁴ · Σ|x w|`. Images with negative numbers
/// take twice the time, for they are the difference of two without.
///
/// # Shapes
/// As [`dense`].
///
/// # Panics
/// As [`dense`].
pub fn dense_i8_weights(g: &DenseGeometry, input: &[f32], weight: QuantizedRows<'_>, bias: &[f32], out: &mut [f32]) {
    dense_i8_weights_on(Leaf::best(), g, input, weight, bias, out);
}

fn dense_i8_weights_on(
    leaf: Leaf,
    g: &DenseGeometry,
    input: &[f32],
    weight: QuantizedRows<'_>,
    bias: &[f32],
    out: &mut [f32],
) {
    assert_eq!((input.len(), bias.len(), out.len()), (g.batch * g.inputs, g.outputs, g.batch * g.outputs));
    let negative = input.iter().fold(false, |negative, v| negative | (*v < 0.0));
    let signs: &[f32] = if negative { &[1.0, -1.0] } else { &[1.0] };
    let vectors = signs.len() * LIMBS;
    let mut limbs = vec![0; g.batch * vectors * g.inputs];
    let mut steps = Vec::with_capacity(g.batch);
    for (image, limbs) in input.chunks_exact(g.inputs).zip(limbs.chunks_exact_mut(vectors * g.inputs)) {
        // Bits without their sign are in the order of the numbers, with infinities and what is no number above all.
        let largest = image.iter().fold(0, |max, v| v.abs().to_bits().max(max));
        let largest = f32::from_bits(largest);
        for (sign, limbs) in signs.iter().zip(limbs.chunks_exact_mut(LIMBS * g.inputs)) {
            cut(image, sign * LARGEST_WHOLE / largest.max(f32::MIN_POSITIVE), limbs);
        }
        // No number comes out of what is none, as with floats.
        steps.push(if largest.is_finite() { f64::from(largest) / f64::from(LARGEST_WHOLE) } else { f64::NAN });
    }
    let sums = sums(leaf, g, &limbs, g.batch * vectors, weight);
    for (o, sums) in sums.chunks_exact(g.batch * vectors).enumerate() {
        for (n, sums) in sums.chunks_exact(vectors).enumerate() {
            let whole = |sums: &[i32]| sums.iter().fold(0, |whole, sum| (whole << 7) + i64::from(*sum));
            let whole: i64 = whole(&sums[..LIMBS]) - whole(&sums[LIMBS..]);
            let value = whole as f64 * (steps[n] * f64::from(weight.scales[o])) + f64::from(bias[o]);
            out[n * g.outputs + o] = value as f32;
        }
    }
}

/// `2²¹ - 1`, the largest number of three times seven bits.
const LARGEST_WHOLE: f32 = 2_097_151.0;

/// The bytes, highest first, of each `value · inverse` rounded, of negative ones those of 0.
fn cut(values: &[f32], inverse: f32, limbs: &mut [u8]) {
    let (high, rest) = limbs.split_at_mut(values.len());
    let (middle, low) = rest.split_at_mut(values.len());
    for (((v, high), middle), low) in values.iter().zip(high).zip(middle).zip(low) {
        let whole = (clamped(v * inverse, LARGEST_WHOLE) + ROUNDING).to_bits();
        *high = (whole >> 14 & 127) as u8;
        *middle = (whole >> 7 & 127) as u8;
        *low = (whole & 127) as u8;
    }
}

/// Weights from which the rows are shared out among threads.
const MANY: usize = 1 << 16;

/// `[outputs, vectors]`: the sum of products of each row with each vector.
fn sums(leaf: Leaf, g: &DenseGeometry, vectors: &[u8], count: usize, weight: QuantizedRows<'_>) -> Vec<i32> {
    assert_eq!((weight.values.len(), weight.scales.len()), (g.outputs * g.inputs, g.outputs));
    let mut sums = vec![0; g.outputs * count];
    if g.outputs * g.inputs < MANY {
        dot_rows(leaf, weight.values, vectors, g.inputs, &mut sums);
        return sums;
    }
    let rows = g.outputs.div_ceil(4 * rayon::current_num_threads()).next_multiple_of(12);
    let weights = weight.values.par_chunks(rows * g.inputs);
    sums.par_chunks_mut(rows * count).zip(weights).for_each(|(sums, weights)| {
        dot_rows(leaf, weights, vectors, g.inputs, sums);
    });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::quantized::{dequantize_rows, quantize_rows};
    use crate::kernels::layout::transpose;
    use crate::kernels::reference;
    use crate::kernels::tests::values;

    /// `(input, weight, stride, padding)`: single pixels, runs of every remainder of four, odd images that pooling cuts,
    /// channels that fill no register and that fill several, strides beyond the kernel, margins, several bands.
    const CONVOLUTIONS: &[([usize; 4], [usize; 4], usize, usize)] = &[
        ([1, 1, 1, 1], [1, 1, 1, 1], 1, 0),
        ([2, 3, 9, 8], [5, 3, 5, 5], 1, 0),
        ([1, 3, 12, 30], [32, 3, 5, 5], 1, 0),
        ([3, 2, 9, 6], [5, 2, 2, 3], 2, 0),
        ([1, 4, 8, 11], [3, 4, 1, 1], 3, 0),
        ([2, 6, 10, 10], [33, 6, 3, 3], 4, 0),
        ([2, 5, 7, 9], [17, 5, 3, 3], 1, 1),
        ([1, 16, 11, 13], [8, 16, 3, 3], 2, 1),
        ([1, 32, 24, 60], [70, 32, 5, 5], 1, 2),
        ([1, 2, 5, 3], [4, 2, 5, 3], 1, 0),
    ];

    fn geometry((input, weight, stride, padding): ([usize; 4], [usize; 4], usize, usize)) -> Conv2dGeometry {
        Conv2dGeometry::padded(input, weight, stride, padding).expect("a valid geometry")
    }

    /// Images `[n, c, pixels]` with their channels last.
    fn turned(values: &[f32], [channels, pixels]: [usize; 2]) -> Vec<f32> {
        let mut out = vec![f32::NAN; values.len()];
        transpose(values, [channels, pixels], &mut out);
        out
    }

    fn bytes(len: usize, seed: usize) -> Vec<u8> {
        values(len, seed).into_iter().map(|v| (64.0 * (v + 1.0)) as u8).collect()
    }

    /// What the reference says the finished sums are, before they are rounded or cut off.
    fn finished(g: &Conv2dGeometry, sums: &[i32], weight: &[f32], bias: &[f32], [input, output]: [f32; 2]) -> Vec<f32> {
        let channel = |i: usize| i % g.out_channels;
        sums.iter()
            .enumerate()
            .map(|(i, sum)| *sum as f32 * (input * weight[channel(i)] / output) + bias[channel(i)] / output)
            .collect()
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn convolution_follows_the_reference_to_the_bit_on_every_leaf() {
        for (leaf, case) in Leaf::all().into_iter().flat_map(|leaf| CONVOLUTIONS.iter().map(move |case| (leaf, *case)))
        {
            let g = geometry(case);
            let what = format!("{leaf:?}: {g:?}");
            let (weight, scales) = quantize_rows(&values(g.weight_len(), 2), g.out_channels);
            let (input, bias) = (bytes(g.input_len(), 1), values(g.out_channels, 3));
            let weight = QuantizedRows { values: &weight, scales: &scales };
            let activations = [0.01, 0.02 * (g.taps() as f32).sqrt() / 5.0];
            let conv = QuantizedConv2d::on(leaf, &g, weight, &bias, activations[0], activations[1]);
            let sums = reference::conv2d_i8(&g, &input, weight.values);
            let expected = finished(&g, &sums, &scales, &bias, activations);

            let mut floats = vec![f32::NAN; g.output_len()];
            conv.forward_floats(&g, &input, false, &mut floats);
            assert_eq!(floats, expected, "{what}");
            conv.forward_floats(&g, &input, true, &mut floats);
            assert_eq!(floats, expected.iter().map(|v| v.max(0.0)).collect::<Vec<_>>(), "{what}");

            let expected: Vec<u8> = expected.iter().map(|v| v.clamp(0.0, 127.0).round_ties_even() as u8).collect();
            let mut out = vec![255; g.output_len()];
            conv.forward(&g, &input, &mut out);
            assert_eq!(out, expected, "{what}");

            let mut pooled = vec![255; g.pooled_len()];
            conv.forward_pooled(&g, &input, &mut pooled);
            let (height, width) = (g.out_height() / 2, g.out_width() / 2);
            for (i, max) in pooled.iter().enumerate() {
                let (pixel, channel) = (i / g.out_channels, i % g.out_channels);
                let (n, y, x) = (pixel / width / height, pixel / width % height, pixel % width);
                let at = |dy, dx| {
                    let pixel = (n * g.out_height() + 2 * y + dy) * g.out_width() + 2 * x + dx;
                    expected[pixel * g.out_channels + channel]
                };
                assert_eq!(
                    *max,
                    at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1)),
                    "{what}: {n}, {y}, {x}, {channel}"
                );
            }
        }
    }

    /// With `x` in `[0, 127 s]`, `|x - s q| ≤ s / 2` and `|w - t p| ≤ t / 2`, so a product is off by at most
    /// `|x| t / 2 + t |p| s / 2`, their sum by the sum; a quantised output by half its own step more. Cutting off at both
    /// ends brings values nearer to each other, if anything.
    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn error_of_a_quantised_convolution_is_within_what_its_steps_allow() {
        for case in CONVOLUTIONS.iter().copied().filter(|(.., padding)| *padding == 0) {
            let g = geometry(case);
            let ([n, channels, h, w], outputs) = (case.0, [g.out_channels, g.out_height() * g.out_width()]);
            let image: Vec<f32> = values(g.input_len(), 1).iter().map(|v| v + 1.0).collect();
            let (weight, bias) = (values(g.weight_len(), 2), values(g.out_channels, 3));
            let (rows, scales) = quantize_rows(&weight, g.out_channels);
            let (step, output_step) = (2.0 / 127.0, 4.0 * (g.taps() as f32).sqrt() / 127.0);

            let mut quantised = vec![255; image.len()];
            quantize(&turned(&image, [channels, h * w]), step, &mut quantised);
            let weights = QuantizedRows { values: &rows, scales: &scales };
            let mut out = vec![255; g.output_len()];
            QuantizedConv2d::new(&g, weights, &bias, step, output_step).forward(&g, &quantised, &mut out);

            let exact = turned(&reference::conv2d(&g, &image, &weight, &bias), outputs);
            let half_steps: Vec<f32> = scales.iter().flat_map(|scale| vec![scale / 2.0; g.taps()]).collect();
            let of_weights = reference::conv2d(&g, &image, &half_steps, &vec![0.0; g.out_channels]);
            let restored: Vec<f32> = dequantize_rows(&rows, &scales).iter().map(|w| w.abs()).collect();
            let of_inputs =
                reference::conv2d(&g, &vec![step / 2.0; n * channels * h * w], &restored, &vec![0.0; g.out_channels]);
            let of_weights = turned(&of_weights, outputs);
            let of_inputs = turned(&of_inputs, outputs);
            for (i, (q, exact)) in out.iter().zip(&exact).enumerate() {
                let bound = of_weights[i] + of_inputs[i] + output_step / 2.0;
                let (found, exact) = (f32::from(*q) * output_step, exact.clamp(0.0, 127.0 * output_step));
                // Beside the steps: the few roundings of floats that scale and finish, each below ε of the value.
                let bound = bound * 1.0001 + 8.0 * f32::EPSILON * exact;
                assert!((found - exact).abs() <= bound, "{g:?}: value {i} is {found}, not {exact} ± {bound}");
            }
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn activations_are_rounded_half_to_even_and_cut_off_at_both_ends() {
        let mut q = [255; 10];
        quantize(&[0.0, -3.0, 0.25, 0.75, 1.25, 0.3, 63.5, 64.0, f32::INFINITY, f32::NAN], 0.5, &mut q);
        assert_eq!(q, [0, 0, 0, 2, 2, 1, 127, 127, 127, 0]);
        for len in [1, 7, 16, 100] {
            let v = values(len, len);
            let mut q = vec![255; len];
            quantize(&v, 0.0078, &mut q);
            for (v, q) in v.iter().zip(q) {
                assert!(
                    (v.max(0.0) - f32::from(q).mul_add(0.0078, 0.0)).abs() <= 0.0039 * 1.0001 || q == 127,
                    "{v}: {q}"
                );
            }
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn calibration_finds_the_share_of_values_that_it_is_asked_for() {
        let mut seen = Calibration::new();
        assert_eq!(seen.scale(1.0), 1.0, "nothing seen");
        // The numbers to 1000 in three parts of growing size, and one outlier.
        for part in [1..=10, 11..=100, 101..=1000_u16] {
            seen.observe(&part.map(f32::from).collect::<Vec<_>>());
        }
        seen.observe(&[0.0, -5.0, f32::NAN, f32::INFINITY]);
        assert_eq!(seen.scale(1.0), 1000.0 / 127.0);
        seen.observe(&[12_700.0]);
        assert_eq!(seen.scale(1.0), 100.0);
        for share in [0.25, 0.5, 0.9, 0.99] {
            let limit = seen.scale(share) * 127.0;
            let wanted = 1001.0 * share as f32;
            // A bin is 2¹⁴ / 2048 = 8 wide.
            assert!((wanted - 1.0..=wanted + 9.0).contains(&limit), "{share}: {limit}");
        }
        let mut tiny = Calibration::default();
        tiny.observe(&[f32::MAX, 1e-45]);
        assert_eq!(tiny.scale(1.0), f32::MAX / 127.0);
        assert!(tiny.scale(0.5) > 0.0);
    }

    const DENSE: &[(usize, usize, usize)] =
        &[(1, 1, 1), (1, 37, 5), (1, 1001, 67), (3, 8, 2), (5, 100, 33), (9, 17, 16), (2, 9001, 9), (8, 513, 130)];

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn quantised_dense_layer_follows_the_reference_to_the_bit() {
        for &(batch, inputs, outputs) in DENSE {
            let g = DenseGeometry { batch, inputs, outputs };
            let (rows, scales) = quantize_rows(&values(outputs * inputs, 2), outputs);
            let (x, bias) = (bytes(batch * inputs, 1), values(outputs, 3));
            let mut out = vec![f32::NAN; batch * outputs];
            dense(&g, (&x, 0.03), QuantizedRows { values: &rows, scales: &scales }, &bias, &mut out);
            for (i, y) in out.iter().enumerate() {
                let (n, o) = (i / outputs, i % outputs);
                let products = x[n * inputs..].iter().zip(&rows[o * inputs..][..inputs]);
                let sum: i32 = products.map(|(x, w)| i32::from(*x) * i32::from(*w)).sum();
                assert_eq!(*y, sum as f32 * (0.03 * scales[o]) + bias[o], "{g:?}: {n}, {o}");
            }
        }
    }

    /// Within the bound that is derived at [`dense_i8_weights`], and one rounding of the result.
    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn dense_layer_on_floats_is_as_exact_as_one_of_floats() {
        for (leaf, &(batch, inputs, outputs)) in
            Leaf::all().iter().flat_map(|leaf| DENSE.iter().map(move |g| (*leaf, g)))
        {
            let g = DenseGeometry { batch, inputs, outputs };
            let (rows, scales) = quantize_rows(&values(outputs * inputs, 2), outputs);
            let weight = dequantize_rows(&rows, &scales);
            let bias = values(outputs, 3);
            let signed = values(batch * inputs, 1);
            // A rectifier's output, and numbers of both signs, both with an image of another size among them.
            for x in [signed.iter().map(|v| v.max(0.0)).collect(), signed] {
                let x: Vec<f32> = x.iter().enumerate().map(|(i, v)| if i < inputs { *v } else { 1e4 * v }).collect();
                let mut out = vec![f32::NAN; batch * outputs];
                let weights = QuantizedRows { values: &rows, scales: &scales };
                dense_i8_weights_on(leaf, &g, &x, weights, &bias, &mut out);
                for (i, y) in out.iter().enumerate() {
                    let (x, o) = (&x[i / outputs * inputs..][..inputs], i % outputs);
                    let exact = x
                        .iter()
                        .zip(&rows[o * inputs..])
                        .map(|(x, q)| f64::from(*x) * f64::from(*q) * f64::from(scales[o]))
                        .sum::<f64>()
                        + f64::from(bias[o]);
                    let largest = x.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
                    let sum: f32 = weight[o * inputs..][..inputs].iter().map(|w| w.abs()).sum();
                    let bound = f64::from(largest * sum) / f64::from(1 << 21) + exact.abs() * f64::from(f32::EPSILON);
                    assert!((f64::from(*y) - exact).abs() <= bound, "{leaf:?}: {g:?}: {y}, not {exact} ± {bound}");
                }
            }
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn dense_layer_on_floats_lets_no_broken_number_pass() {
        let g = DenseGeometry { batch: 2, inputs: 3, outputs: 1 };
        let weight = QuantizedRows { values: &[1, 2, 3], scales: &[1.0] };
        for broken in [f32::NAN, f32::INFINITY] {
            let mut out = [0.0; 2];
            dense_i8_weights(&g, &[1.0, broken, 0.0, 1.0, 1.0, 1.0], weight, &[0.5], &mut out);
            assert!(out[0].is_nan() && (out[1] - 6.5).abs() < 1e-5, "{out:?}");
        }
        let mut out = [1.0; 2];
        dense_i8_weights(&g, &[0.0; 6], weight, &[0.5], &mut out);
        assert_eq!(out, [0.5; 2], "zeros");
    }
}
