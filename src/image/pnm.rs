//! PGM and PPM, the plainest of image files: a few numbers as text, then pixels (netpbm.sourceforge.net/doc/pgm.html).

use super::decode::{Limits, check_size, luma};
use super::orient::{Orientation, Stored};
use super::values::Values;
use crate::error::{Error, Result};

/// The film in a PGM or PPM file, its values as text or as bytes, of up to 16 bits; black is 0, white what the header says.
///
/// # Errors
/// [`Error::TooLarge`] and [`Error::TooManyPixels`] before decoding, [`Error::Damaged`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    let channels = if matches!(bytes[1], b'3' | b'6') { 3 } else { 1 };
    let mut text = Text { bytes, at: 2 };
    let [width, height, white] = [text.number()?, text.number()?, text.number()?];
    check_size(width, height, limits)?;
    if white == 0 || white > 65535 {
        return Err(damaged(format!("its header gives {white} for white")));
    }
    let count = width as usize * height as usize * channels;
    let samples: Vec<u8> = if matches!(bytes[1], b'2' | b'3') {
        let mut samples = Vec::new();
        for _ in 0..count {
            samples.extend((text.number()?.min(white) as u16).to_be_bytes());
        }
        samples
    } else {
        // One blank, then values of one byte or two, the high one first.
        let size = if white > 255 { 2 } else { 1 };
        let start = text.at + 1;
        let stored = bytes.get(start..start + size * count);
        let stored = stored.ok_or_else(|| damaged("it breaks off".into()))?;
        if size == 2 { stored.to_vec() } else { stored.iter().flat_map(|&value| [0, value]).collect() }
    };
    let (luma, coloured) = luma(channels, 16, &samples);
    let values = Some(Values::of_type([0.0, 65535.0], &luma));
    let (height, width) = (height as usize, width as usize);
    let mut stored = Stored { height, width, luma, coloured, values, orientation: Orientation::default() };
    // All 16 bits may be claimed for want of knowing better, as their type does elsewhere.
    if white < 65535 {
        stored.say([0.0, white as f32], |_| true);
    }
    if white <= 255 {
        stored.values = None;
    }
    Ok(stored)
}

/// Numbers of a header or of a file that is all text.
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Text<'_> {
    /// The next number, after blanks and comments.
    fn number(&mut self) -> Result<u32> {
        let rest = |at: usize| self.bytes.get(at..).unwrap_or_default();
        loop {
            self.at += rest(self.at).iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if !rest(self.at).starts_with(b"#") {
                break;
            }
            self.at += rest(self.at).iter().take_while(|byte| **byte != b'\n').count();
        }
        let digits = rest(self.at).iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&rest(self.at)[..digits]).ok().and_then(|digits| digits.parse().ok());
        self.at += digits;
        number.ok_or_else(|| damaged("a number is missing".into()))
    }
}

fn damaged(reason: String) -> Error {
    Error::Damaged { format: "PGM", reason }
}
