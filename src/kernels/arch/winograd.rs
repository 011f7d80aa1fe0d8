//! The transforms of Winograd's convolution on 8×8 tiles, a register of channels at a time.
//!
//! With the points 0, ±1, ±2, ±½ and ∞ an 8×8 patch `d` of the input and a kernel `g` give an `m`×`m` patch of the output
//! as `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`, `m = 9 - kernel`: 64 products instead of `m²·kernel²`. The products of all tiles and
//! channels are 64 matrix products.
//!
//! # Source
//! Winograd, *Arithmetic Complexity of Computations*, 1980; Lavin and Gray, arXiv:1509.09308. Relative error in f32 over
//! 32 channels: 2e-6, against 4e-7 for the direct sum.

use super::super::clamp::Clamp;
use super::lanes::{Channels, Lanes, each_channel};
use super::pool::pool;

/// Side of a tile of the input.
pub const SIDE: usize = 8;
/// Products of a tile and channel: matrix products that a convolution becomes.
pub const POINTS: usize = SIDE * SIDE;

/// The finite points, in the order of the rows of `Bᵀ`.
const FINITE: [f64; SIDE - 1] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

/// `G`, `[8][kernel]`: powers of each point over the product of its distances to the others; the last row is ∞.
pub fn kernel_matrix(kernel: usize) -> [[f64; SIDE]; SIDE] {
    let mut g = [[0.0; SIDE]; SIDE];
    for (i, (row, p)) in g.iter_mut().zip(FINITE).enumerate() {
        let distances: f64 = FINITE.iter().enumerate().filter(|&(k, _)| k != i).map(|(_, q)| p - q).product();
        row.iter_mut().take(kernel).enumerate().for_each(|(j, to)| *to = p.powi(j as i32) / distances);
    }
    g[SIDE - 1][kernel - 1] = 1.0;
    g
}

/// `Bᵀ d` for one column of a tile.
#[inline(always)]
fn input_column<L: Lanes>(d: [L; SIDE]) -> [L; SIDE] {
    let c = L::splat;
    let odd = |a: f32, b: f32, e: f32| d[1].mul(c(a)).sub(d[3].mul(c(b))).add(d[5].mul(c(e)));
    let even = |a: f32, b: f32| d[2].mul_add(c(a), d[6]).sub(d[4].mul(c(b)));
    let (e1, o1) = (even(1.0, 4.25), odd(1.0, 4.25, 1.0));
    let (e2, o2) = (even(0.25, 1.25), odd(0.5, 2.5, 2.0));
    let (e3, o3) = (even(4.0, 5.0), odd(2.0, 2.5, 0.5));
    [
        d[2].sub(d[4]).mul_add(c(5.25), d[6].sub(d[0])),
        e1.add(o1),
        e1.sub(o1),
        e2.add(o2),
        e2.sub(o2),
        e3.add(o3),
        e3.sub(o3),
        d[3].sub(d[5]).mul_add(c(5.25), d[7].sub(d[1])),
    ]
}

/// `Aᵀ s` for one column of sums: `M` outputs.
#[inline(always)]
fn output_column<L: Lanes, const M: usize>(s: [L; SIDE]) -> [L; M] {
    let c = L::splat;
    let (e1, o1) = (s[1].add(s[2]), s[1].sub(s[2]));
    let (e2, o2) = (s[3].add(s[4]), s[3].sub(s[4]));
    let (e3, o3) = (s[5].add(s[6]), s[5].sub(s[6]));
    std::array::from_fn(|i| {
        let power = (1_u32 << i) as f32;
        let (a, b, d) = if i % 2 == 0 { (e1, e2, e3) } else { (o1, o2, o3) };
        let sum = d.mul_add(c(1.0 / power), b.mul_add(c(power), a));
        let sum = if i == 0 { sum.add(s[0]) } else { sum };
        if i == M - 1 { sum.add(s[SIDE - 1]) } else { sum }
    })
}

/// Applies `column` to the columns, then to the rows of the result.
#[inline(always)]
fn both_ways<L: Lanes, const FROM: usize, const TO: usize>(
    mut patch: impl FnMut(usize) -> [L; FROM],
    column: impl Fn([L; FROM]) -> [L; TO],
) -> [[L; TO]; TO] {
    let mut half = [[L::splat(0.0); TO]; FROM];
    for (i, half) in half.iter_mut().enumerate() {
        *half = column(patch(i));
    }
    let mut whole = [[L::splat(0.0); TO]; TO];
    for j in 0..TO {
        let done = column(std::array::from_fn(|i| half[i][j]));
        for (whole, done) in whole.iter_mut().zip(done) {
            whole[j] = done;
        }
    }
    whole
}

/// Values of one block of tiles at all points: value `(point, tile, channel)` lies at
/// `point · plane + tile · channels + channel`.
#[derive(Debug, Clone, Copy)]
pub struct Planes {
    pub channels: usize,
    pub plane: usize,
}

impl Planes {
    /// For at most `tiles` tiles. Sixteen floats keep the planes from lying a multiple of 4 KiB apart, where the 64
    /// stores of a tile would fall into one set of the first-level cache.
    pub fn new(tiles: usize, channels: usize) -> Self {
        Self { channels, plane: tiles * channels + 16 }
    }

    /// Floats of all points.
    pub fn len(&self) -> usize {
        POINTS * self.plane
    }

    /// Whether `tile` of a block lies inside a buffer of `len` floats.
    fn holds(&self, tile: usize, len: usize) -> bool {
        (tile + 1) * self.channels <= self.plane && self.len() <= len
    }
}

/// An 8×8 patch of an image `[h, w, channels]`, the pixel `(i, j)` at `start + i · row + j · channels`.
#[derive(Debug, Clone, Copy)]
pub struct Patch {
    pub start: usize,
    pub row: usize,
}

impl Patch {
    fn end(&self, channels: usize) -> usize {
        self.start + (SIDE - 1) * self.row + SIDE * channels
    }
}

/// `Bᵀ d B` of one patch into its place among the planes.
///
/// # Panics
/// When the patch or the tile lies outside its slice.
pub fn transform_input(image: &[f32], patch: Patch, planes: Planes, tile: usize, out: &mut [f32]) {
    assert!(patch.end(planes.channels) <= image.len() && planes.holds(tile, out.len()));
    // SAFETY: patch and tile lie inside their slices with all channels.
    unsafe { each_channel(planes.channels, InputTile { image, patch, planes, tile, out }) }
}

struct InputTile<'a> {
    image: &'a [f32],
    patch: Patch,
    planes: Planes,
    tile: usize,
    out: &'a mut [f32],
}

impl Channels for InputTile<'_> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        let Planes { channels, plane } = self.planes;
        // SAFETY: see `each_channel` above.
        unsafe {
            let from = self.image.as_ptr().add(self.patch.start + at);
            let load = |i: usize| std::array::from_fn(|j| L::load(from.add(i * self.patch.row + j * channels)));
            let done = both_ways::<L, SIDE, SIDE>(load, input_column);
            let to = self.out.as_mut_ptr().add(self.tile * channels + at);
            for (i, row) in done.iter().enumerate() {
                for (j, value) in row.iter().enumerate() {
                    value.store(to.add((i * SIDE + j) * plane));
                }
            }
        }
    }
}

/// What a patch of outputs becomes.
#[derive(Debug, Clone, Copy)]
pub enum Finish {
    /// `clamp(sum + bias)`.
    Clamp(Clamp),
    /// `max(0, max over each 2×2 window + bias)`.
    Pool,
}

/// A rectangle of an image `[h, w, channels]` that a tile writes: pixel `(i, j)` at
/// `start + i · row + j · channels`, of which the first `rows` × `columns` exist.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub start: usize,
    pub row: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Window {
    fn fits(&self, channels: usize, len: usize) -> bool {
        let (rows, columns) = (self.rows, self.columns);
        rows == 0 || columns == 0 || self.start + (rows - 1) * self.row + columns * channels <= len
    }
}

/// `Aᵀ s A` of one tile, finished and written to its window; the windows of [`Finish::Pool`] are those of the pooled
/// image.
///
/// # Panics
/// When the tile or the window lies outside its slice, or the kernel is neither 3 nor 5 wide.
pub fn transform_output(
    (kernel, finish): (usize, Finish),
    (sums, planes, tile): (&[f32], Planes, usize),
    bias: &[f32],
    out: &mut [f32],
    window: Window,
) {
    let channels = planes.channels;
    assert!(planes.holds(tile, sums.len()) && bias.len() == channels && window.fits(channels, out.len()));
    let most = if matches!(finish, Finish::Pool) { (SIDE + 1 - kernel) / 2 } else { SIDE + 1 - kernel };
    assert!(window.rows <= most && window.columns <= most);
    let job = OutputJob { sums, planes, tile, bias, out, window, finish };
    // SAFETY: tile, bias and window lie inside their slices with all channels.
    unsafe {
        match kernel {
            3 => each_channel(channels, OutputTile::<6>(job)),
            5 => each_channel(channels, OutputTile::<4>(job)),
            _ => unreachable!("no transform for kernels of {kernel}"),
        }
    }
}

struct OutputJob<'a> {
    sums: &'a [f32],
    planes: Planes,
    tile: usize,
    bias: &'a [f32],
    out: &'a mut [f32],
    window: Window,
    finish: Finish,
}

/// A job whose tiles give `M` × `M` outputs.
struct OutputTile<'a, const M: usize>(OutputJob<'a>);

impl<const M: usize> Channels for OutputTile<'_, M> {
    #[inline(always)]
    unsafe fn at<L: Lanes>(&mut self, at: usize) {
        let job = &mut self.0;
        let Planes { channels, plane } = job.planes;
        // SAFETY: see `each_channel` above.
        unsafe {
            let from = job.sums.as_ptr().add(job.tile * channels + at);
            let load = |i: usize| std::array::from_fn(|j| L::load(from.add((i * SIDE + j) * plane)));
            let y = both_ways::<L, SIDE, M>(load, output_column);
            let bias = L::load(job.bias.as_ptr().add(at));
            let place = |i: usize, j: usize| job.window.start + i * job.window.row + j * channels + at;
            match job.finish {
                Finish::Clamp(Clamp { low, high }) => {
                    let (low, high) = (L::splat(low), L::splat(high));
                    for (i, row) in y.iter().enumerate() {
                        for (j, value) in row.iter().enumerate() {
                            if i >= job.window.rows || j >= job.window.columns {
                                continue;
                            }
                            value.add(bias).max(low).min(high).store(job.out.as_mut_ptr().add(place(i, j)));
                        }
                    }
                }
                Finish::Pool => {
                    for i in 0..M / 2 {
                        for j in 0..M / 2 {
                            if i >= job.window.rows || j >= job.window.columns {
                                continue;
                            }
                            let four =
                                [y[2 * i][2 * j], y[2 * i][2 * j + 1], y[2 * i + 1][2 * j], y[2 * i + 1][2 * j + 1]];
                            let (best, _) = pool(four, bias);
                            best.store(job.out.as_mut_ptr().add(place(i, j)));
                        }
                    }
                }
            }
        }
    }
}
