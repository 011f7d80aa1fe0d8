//! Pixels that are not square, made so: a network has seen no others.

use super::header::Header;
use super::read::damaged;
use crate::error::Result;

/// Sides that differ by less are the same: spacings are rounded where they are written.
const SAME: f64 = 0.01;

/// No device has pixels of other shapes than this.
const MOST: f64 = 16.0;

/// Width and height with square pixels: the side with the coarser steps grows, so that nothing is lost.
///
/// # Errors
/// [`Error::Damaged`](crate::error::Error::Damaged) for pixels of no device.
pub fn size(header: &Header) -> Result<[u32; 2]> {
    let [height, width] = header.pixel;
    let ratio = height / width;
    if !(1.0 / MOST..=MOST).contains(&ratio) {
        return Err(damaged(format!("its pixels are {height} high and {width} wide")));
    }
    let (columns, rows) = (f64::from(header.columns), f64::from(header.rows));
    Ok(if (ratio - 1.0).abs() < SAME {
        [columns as u32, rows as u32]
    } else if ratio > 1.0 {
        [columns as u32, (rows * ratio).round() as u32]
    } else {
        [(columns / ratio).round() as u32, rows as u32]
    })
}

/// An image of another width and height, `[width, height]`: linear between the centres of pixels.
pub fn resample(luma: &[f32], [width, height]: [u32; 2], [new_width, new_height]: [u32; 2]) -> Vec<f32> {
    let across = steps(width as usize, new_width as usize);
    let down = steps(height as usize, new_height as usize);
    let row = |y: usize| &luma[y * width as usize..][..width as usize];
    let between = |a: f32, b: f32, share: f32| a + (b - a) * share;
    down.iter()
        .flat_map(|&(y, below, v)| {
            let (upper, lower) = (row(y), row(below));
            across.iter().map(move |&(x, right, h)| {
                let along = |row: &[f32]| between(row[x], row[right], h);
                between(along(upper), along(lower), v)
            })
        })
        .collect()
}

/// For each new place the two old ones it lies between, and how far it is from the first.
fn steps(old: usize, new: usize) -> Vec<(usize, usize, f32)> {
    let last = old - 1;
    let place = |i: usize| ((i as f64 + 0.5) * old as f64 / new as f64 - 0.5).clamp(0.0, last as f64);
    (0..new).map(place).map(|at| (at as usize, (at as usize + 1).min(last), at.fract() as f32)).collect()
}
