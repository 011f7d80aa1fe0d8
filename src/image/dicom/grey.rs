//! Numbers as grey: modality, then values of interest, then presentation (PS3.4, N.2).

use super::header::{Function, Header, Table, Window};
use crate::image::{Known, Values};

/// Luminance of the stored numbers, and what is known of them; `None` where the file says which are black and white, or
/// their eight bits do.
///
/// A table of all numbers that can be stored is filled first, so that each pixel is one look.
pub fn luma(header: &Header, samples: &[u16]) -> (Vec<f32>, Option<Values>) {
    let value = |pattern: u16| modality(header, stored(header, pattern));
    let said = header.voi_table.is_some() || header.window.is_some();
    let [low, high] = match (said, header.signed) {
        (false, true) => extremes(samples.iter().map(|&sample| value(sample))),
        _ => room(header),
    };
    let grey = |pattern: u16| {
        let value = value(pattern);
        let grey = match (&header.voi_table, header.window) {
            (Some(table), _) => table.at(value) / table.white(),
            (None, Some(window)) => window.grey(value),
            (None, None) => (value - low) / (high - low),
        };
        let grey = grey.clamp(0.0, 1.0) as f32;
        if header.inverted { 1.0 - grey } else { grey }
    };
    let table: Vec<f32> = (0..=header.largest_pattern()).map(grey).collect();
    let luma: Vec<f32> = samples.iter().map(|&sample| table[usize::from(sample)]).collect();
    let ends = [low as f32, high as f32];
    let range = if header.inverted { [ends[1], ends[0]] } else { ends };
    let values = match (said, header.signed) {
        (true, _) => None,
        // No convention says which of numbers below 0 is black.
        (false, true) => Some(Values { range, largest: high as f32, known: Known::Nobody }),
        (false, false) => (header.bits_stored > 8).then(|| Values::of_type(range, &luma)),
    };
    (luma, values)
}

impl Header {
    /// All bits that are stored.
    pub fn largest_pattern(&self) -> u16 {
        u16::MAX >> (16 - self.bits_stored)
    }
}

/// The number that a pattern of bits stands for.
fn stored(header: &Header, pattern: u16) -> f64 {
    let unused = 16 - header.bits_stored;
    if header.signed { f64::from(((pattern << unused) as i16) >> unused) } else { f64::from(pattern) }
}

fn modality(header: &Header, stored: f64) -> f64 {
    match &header.modality_table {
        Some(table) => table.at(stored),
        None => stored * header.slope + header.intercept,
    }
}

/// The ends of what numbers may become before anything says which of them are of interest.
fn room(header: &Header) -> [f64; 2] {
    if let Some(table) = &header.modality_table {
        return [0.0, table.white()];
    }
    extremes([0, header.largest_pattern()].into_iter().map(|pattern| modality(header, f64::from(pattern))))
}

/// Smallest and largest number; of numbers that are all the same, 0 is the other end.
fn extremes(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
    match low < high {
        true => [low, high],
        false if low.is_finite() && low != 0.0 => [low.min(0.0), low.max(0.0)],
        false => [0.0, 1.0],
    }
}

impl Table {
    /// The entry for a number; the first or last one beyond the ends.
    fn at(&self, value: f64) -> f64 {
        let index = (value - f64::from(self.first)).clamp(0.0, (self.entries.len() - 1) as f64);
        f64::from(self.entries[index as usize])
    }

    /// The largest entry that its bits allow.
    fn white(&self) -> f64 {
        f64::from(u16::MAX >> (16 - self.bits))
    }
}

impl Window {
    /// The grey of a number, in `[0, 1]` but for rounding (PS3.3, C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2).
    fn grey(self, value: f64) -> f64 {
        let Self { centre, width, function } = self;
        let linear = |centre: f64, width: f64| {
            if value <= centre - width / 2.0 {
                0.0
            } else if value > centre + width / 2.0 {
                1.0
            } else {
                (value - centre) / width + 0.5
            }
        };
        match function {
            Function::Linear => linear(centre - 0.5, width - 1.0),
            Function::LinearExact => linear(centre, width),
            Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
        }
    }
}
