//! From a film of any size to the numbers one network takes. The settings are part of the model's file, not of the
//! code that calls it.
//!
//! Order: value range → antialiased resize → contrast → `(v − mean) / std` → grey repeated over the channels. Training works on the
//! same two halves, [`Preprocess::prepare`] once per film and [`Preprocess::finish`] once per use, with
//! [`Augment`] between them. Which settings a network needs is left to the network.

mod augment;
mod contrast;
mod lungs;
mod normalise;
pub(crate) mod resize;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use augment::Augment;
pub use contrast::Contrast;
pub use lungs::{LungMask, MeanLungs, stretched};
pub(crate) use resize::resize;

use crate::error::{Error, Result};
use crate::image::{Radiograph, Values};

/// Fewest pixels a side that are worth classifying: below this a chest film is an icon, not a film.
///
/// The smallest thumbnails of the public collections have 64 px a side; half of that leaves room for crops.
pub const MINIMUM_SIDE: usize = 32;

/// Most pixels a side that a network's input may have: a card that asks for more is a mistake, or an attack on memory.
const MAXIMUM_INPUT: usize = 4096;

/// How a film becomes one network's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Height of the input in pixels.
    pub height: usize,
    /// Width of the input in pixels.
    pub width: usize,
    /// 1, or 3 for networks that were laid out for colour: the grey value is repeated.
    pub channels: usize,
    /// What is done to the grey values after resizing.
    #[serde(default)]
    pub contrast: Contrast,
    /// Subtracted from every value in `[0, 1]`.
    pub mean: f32,
    /// Divides every value after the mean is subtracted.
    pub std: f32,
    /// The numbers that are black and white in files whose type leaves that open, see [`Radiograph::within`]; nobody has said
    /// so where it is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_range: Option<[f32; 2]>,
}

impl Preprocess {
    /// Plain input of a given size: no contrast correction, values in `[0, 1]` (a byte divided by 255).
    pub fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { height, width, channels, contrast: Contrast::None, mean: 0.0, std: 1.0, value_range: None }
    }

    /// Refuses settings that no network can use.
    ///
    /// # Errors
    /// [`Error::Config`] that names the field: a side of 0 or beyond 4096, channels other than 1 or 3, a mean that is
    /// not finite, a standard deviation that is not finite and above 0, a value range whose white is not above its black.
    pub fn validate(&self) -> Result<()> {
        let refuse = |field, reason| Err(Error::Config { field, reason });
        for (field, side) in [("preprocess.height", self.height), ("preprocess.width", self.width)] {
            if side == 0 || side > MAXIMUM_INPUT {
                return refuse(field, format!("{side} px; it must be 1 to {MAXIMUM_INPUT}"));
            }
        }
        if self.channels != 1 && self.channels != 3 {
            return refuse("preprocess.channels", format!("{}; it must be 1 or 3", self.channels));
        }
        if !self.mean.is_finite() {
            return refuse("preprocess.mean", format!("{}; it must be finite", self.mean));
        }
        if !(self.std.is_finite() && self.std > 0.0) {
            return refuse("preprocess.std", format!("{}; it must be finite and above 0", self.std));
        }
        match self.value_range {
            Some([black, white]) if !(black < white && black.is_finite() && white.is_finite()) => {
                refuse("value range", format!("{black}..{white}; white must be above black"))
            }
            _ => Ok(()),
        }
    }

    /// The film as its numbers are meant: by the value range, where they leave that open.
    ///
    /// # Errors
    /// [`Error::ValueRange`] where nobody says what they mean.
    pub fn ranged<'a>(&self, film: &'a Radiograph) -> Result<Cow<'a, Radiograph>> {
        let Some(values) = film.values() else { return Ok(Cow::Borrowed(film)) };
        let film = match self.value_range.filter(|range| values.answered_by(*range)) {
            Some(range) => Cow::Owned(film.clone().within(range)),
            None => Cow::Borrowed(film),
        };
        film.values().map_or(Ok(()), Values::check)?;
        Ok(film)
    }

    /// The first half: the film [ranged](Self::ranged) and resized, then its contrast corrected. Row-major `[height, width]`
    /// in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::TooSmall`] when a side of `film` is below [`MINIMUM_SIDE`], and those of [`ranged`](Self::ranged).
    pub fn prepare(&self, film: &Radiograph) -> Result<Vec<f32>> {
        if film.height().min(film.width()) < MINIMUM_SIDE {
            return Err(Error::TooSmall {
                width: film.width() as u32,
                height: film.height() as u32,
                minimum: MINIMUM_SIDE as u32,
            });
        }
        let film = self.ranged(film)?;
        let mut grey = resize(film.luma(), film.height(), film.width(), self.height, self.width);
        self.contrast.apply(&mut grey);
        Ok(grey)
    }

    /// The second half: writes `(v − mean) / std` into every channel of `out`.
    ///
    /// # Shapes
    /// - `grey`: `[height, width]` in `[0, 1]`, as [`Self::prepare`] returns it
    /// - `out`: `[channels, height, width]`
    pub fn finish(&self, grey: &[f32], out: &mut [f32]) {
        assert_eq!(grey.len(), self.height * self.width);
        assert_eq!(out.len(), self.channels * grey.len());
        normalise::normalise(grey, self.mean, self.std, out);
    }

    /// Both halves: what the network takes for one film, `[channels, height, width]`.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn apply(&self, film: &Radiograph) -> Result<Vec<f32>> {
        let grey = self.prepare(film)?;
        let mut out = vec![0.0; self.channels * grey.len()];
        self.finish(&grey, &mut out);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Known;

    #[test]
    fn recipe_divides_bytes_by_255_and_repeats_them_over_three_channels() {
        let bytes: Vec<u8> = (0..128 * 128).map(|i| (i % 256) as u8).collect();
        let luma: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
        let film = Radiograph::new(128, 128, luma.clone()).unwrap();
        let out = Preprocess::new(3, 128, 128).apply(&film).unwrap();
        assert_eq!(out, [&luma[..], &luma, &luma].concat());
    }

    #[test]
    fn mean_and_deviation_are_applied_to_values_in_0_to_1() {
        let film = Radiograph::new(32, 32, vec![0.75; 32 * 32]).unwrap();
        let preprocess = Preprocess { mean: 0.5, std: 0.25, ..Preprocess::new(1, 40, 48) };
        let out = preprocess.apply(&film).unwrap();
        assert_eq!(out.len(), 40 * 48);
        assert!(out.iter().all(|v| (v - 1.0).abs() < 1e-6));
    }

    #[test]
    fn film_below_the_minimum_side_is_refused_with_its_size() {
        let film = Radiograph::new(31, 400, vec![0.5; 31 * 400]).unwrap();
        let error = Preprocess::new(1, 128, 128).apply(&film).unwrap_err();
        assert!(matches!(error, Error::TooSmall { width: 400, height: 31, minimum: 32 }), "{error}");
    }

    /// Half of 4095 in a file of 16 bits, and of floats up to 4095.
    #[test]
    fn a_value_range_answers_what_a_film_leaves_open_and_nothing_else() {
        let of = |luma: f32, values| Radiograph::new(32, 32, vec![luma; 32 * 32]).unwrap().with_values(values);
        let ranged = Preprocess { value_range: Some([0.0, 4095.0]), ..Preprocess::new(1, 32, 32) };
        let twelve = |known| Some(Values { range: [0.0, 65535.0], largest: 2047.5, known });
        let plain = Preprocess::new(1, 32, 32);
        assert!((ranged.prepare(&of(2047.5 / 65535.0, twelve(Known::Type))).unwrap()[0] - 0.5).abs() < 1e-5);
        assert!(plain.prepare(&of(2047.5 / 65535.0, twelve(Known::Type))).unwrap()[0] < 0.04);
        assert!(ranged.prepare(&of(2047.5 / 65535.0, twelve(Known::Said))).unwrap()[0] < 0.04);
        let floats = || of(0.5, Some(Values { range: [0.0, 4095.0], largest: 4095.0, known: Known::Nobody }));
        let error = plain.prepare(&floats()).unwrap_err();
        assert!(error.to_string().contains("run from 0 to 4095") && error.to_string().contains("0..4095"), "{error}");
        assert!((ranged.prepare(&floats()).unwrap()[0] - 0.5).abs() < 1e-6);
        let bytes = of(0.75, None);
        assert_eq!(ranged.prepare(&bytes).unwrap(), plain.prepare(&bytes).unwrap());
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let good = Preprocess::new(3, 128, 128);
        good.validate().unwrap();
        for (bad, field) in [
            (Preprocess { height: 0, ..good.clone() }, "preprocess.height"),
            (Preprocess { width: usize::MAX, ..good.clone() }, "preprocess.width"),
            (Preprocess { channels: 2, ..good.clone() }, "preprocess.channels"),
            (Preprocess { mean: f32::NAN, ..good.clone() }, "preprocess.mean"),
            (Preprocess { std: 0.0, ..good.clone() }, "preprocess.std"),
            (Preprocess { std: f32::INFINITY, ..good.clone() }, "preprocess.std"),
            (Preprocess { value_range: Some([4095.0, 0.0]), ..good.clone() }, "value range"),
            (Preprocess { value_range: Some([0.0, f32::NAN]), ..good.clone() }, "value range"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(matches!(error, Error::Config { field: found, .. } if found == field), "{error}");
        }
    }

    #[test]
    fn settings_survive_json_and_an_unknown_field_is_refused() {
        let preprocess = Preprocess { contrast: Contrast::Equalise, ..Preprocess::new(3, 128, 96) };
        let json = serde_json::to_string(&preprocess).unwrap();
        assert_eq!(json, r#"{"height":128,"width":96,"channels":3,"contrast":"equalise","mean":0.0,"std":1.0}"#);
        assert_eq!(serde_json::from_str::<Preprocess>(&json).unwrap(), preprocess);
        assert!(serde_json::from_str::<Preprocess>(&json.replace("mean", "average")).is_err());
        let ranged = Preprocess { value_range: Some([0.0, 4095.0]), ..preprocess };
        assert_eq!(serde_json::from_str::<Preprocess>(&serde_json::to_string(&ranged).unwrap()).unwrap(), ranged);
    }
}
