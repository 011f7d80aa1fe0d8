//! What the numbers of a file mean: which of them is black and which is white.
//!
//! A file of eight bits says so by its type. One of more bits often holds fewer than it has room for, twelve bits of a
//! detector in sixteen of a file: read by its type it is nearly black. Some files say their range, which is used; of the
//! others it is only noticed here.

use crate::error::{Error, Result};

/// How the numbers of a file became luminance. Only of files whose type does not settle it: more than eight bits, signed
/// numbers, floats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    /// The numbers that became 0 (black) and 1 (white); the first is the larger one where small numbers are bright.
    pub range: [f32; 2],
    /// The largest number of the file.
    pub largest: f32,
    /// Who says that these are black and white.
    pub known: Known,
}

/// Who says what black and white are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nobody: black and white are the smallest and the largest number, which differ from file to file.
    Nobody,
    /// The type of the numbers, of which the file may use a part only.
    Type,
    /// The file, or whoever asked for it to be read.
    Said,
}

/// Black and white of a type whose values leave most of it unused are worth a question below this share of it: two bits.
const UNUSED: f32 = 0.25;

impl Values {
    /// Those of whole numbers of 16 bits or more that became `luma` by the range of their type.
    #[cfg(any(feature = "png-jpeg", feature = "more-formats", feature = "dicom"))]
    pub(super) fn of_type(range: [f32; 2], luma: &[f32]) -> Self {
        let [black, white] = range;
        let largest = if black > white { f32::min } else { f32::max };
        let extreme = luma.iter().copied().fold(if black > white { 1.0 } else { 0.0 }, largest);
        Self { range, largest: (black + extreme * (white - black)).round(), known: Known::Type }
    }

    /// The power of two that all numbers lie below, where that leaves most of their type unused and nobody says that it
    /// should.
    pub fn unused_above(&self) -> Option<u32> {
        let white = self.range[0].max(self.range[1]);
        let unused = self.known == Known::Type && self.largest > 0.0 && self.largest < UNUSED * white;
        unused.then(|| (self.largest as u32 + 1).next_power_of_two().max(256))
    }

    /// The range to ask about where nobody says what it is.
    pub fn suggested(&self) -> Option<[f32; 2]> {
        match self.known {
            Known::Nobody => Some(guess(self.smallest(), self.largest)),
            _ => self.unused_above().map(|above| [0.0, above as f32 - 1.0]),
        }
    }

    /// Whether `range` answers the question that these leave open: all numbers lie below its white.
    pub(crate) fn answered_by(&self, range: [f32; 2]) -> bool {
        self.known != Known::Said && self.largest <= range[1]
    }

    /// Turns `luma`, made by these, into what `range`, black and white, makes of the same numbers.
    pub(super) fn rescale(&mut self, luma: &mut [f32], [low, high]: [f32; 2]) {
        let [black, white] = self.range;
        let range = if black > white { [high, low] } else { [low, high] };
        for value in luma {
            *value = ((black + *value * (white - black) - range[0]) / (range[1] - range[0])).clamp(0.0, 1.0);
        }
        (self.range, self.known) = (range, Known::Said);
    }

    /// What a person should know of them, read with the value `range` if one was given; `None` where nothing is in doubt.
    pub fn note(&self, range: Option<[f32; 2]>) -> Option<String> {
        let Self { largest, .. } = *self;
        if let Some([low, high]) = range.filter(|range| self.known == Known::Type && !self.answered_by(*range)) {
            return Some(format!("Its values reach {largest}, beyond the value range {low}..{high}: its own is used."));
        }
        let above = self.unused_above()?;
        let most = above - 1;
        Some(format!(
            "All its values are below {above}, of {} that it has room for, so it is read with hardly any contrast. If {most} \
             is white, read it with the value range 0..{most}.",
            self.range[0].max(self.range[1]) + 1.0
        ))
    }

    /// Refuses values of which nobody knows what black and white are.
    pub(crate) fn check(&self) -> Result<()> {
        if self.known != Known::Nobody {
            return Ok(());
        }
        let (smallest, largest, [low, high]) = (self.smallest(), self.largest, guess(self.smallest(), self.largest));
        Err(Error::ValueRange { smallest, largest, low, high })
    }

    /// As four numbers, for another module.
    pub fn packed(&self) -> [f32; 4] {
        let known = if self.known == Known::Nobody {
            0.0
        } else if self.known == Known::Type {
            1.0
        } else {
            2.0
        };
        [self.range[0], self.range[1], self.largest, known]
    }

    /// What [`Self::packed`] made; `None` of anything else.
    pub fn unpacked(packed: &[f32]) -> Option<Self> {
        let &[black, white, largest, known] = packed else { return None };
        let known = if known < 0.5 {
            Known::Nobody
        } else if known < 1.5 {
            Known::Type
        } else {
            Known::Said
        };
        Some(Self { range: [black, white], largest, known })
    }

    fn smallest(&self) -> f32 {
        self.range[0].min(self.range[1])
    }
}

/// The range that numbers from `smallest` to `largest` are likely to be meant in: from 0, or from the smallest where that is
/// below, over 8, 10, 12, 14 or 16 bits; just theirs where they are small, or more.
fn guess(smallest: f32, largest: f32) -> [f32; 2] {
    let low = smallest.min(0.0);
    let bits = [8, 10, 12, 14, 16].map(|bits| low + ((1u32 << bits) - 1) as f32);
    match bits.into_iter().find(|high| largest <= *high) {
        Some(high) if largest - low > 16.0 => [low, high],
        _ => [low, largest],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(largest: f32, known: Known) -> Values {
        Values { range: [0.0, 65535.0], largest, known }
    }

    #[test]
    fn a_type_that_is_mostly_unused_is_noticed_with_the_bits_that_are_used() {
        for (largest, above) in [(3999.0, 4096), (4095.0, 4096), (4096.0, 8192), (996.0, 1024), (3.0, 256)] {
            assert_eq!(of(largest, Known::Type).unused_above(), Some(above), "{largest}");
        }
        for largest in [0.0, 16384.0, 63993.0, 65535.0] {
            assert_eq!(of(largest, Known::Type).unused_above(), None, "{largest}");
        }
        assert_eq!(of(3999.0, Known::Said).unused_above(), None);
    }

    #[test]
    fn a_range_is_guessed_from_the_numbers() {
        for (found, expected) in [
            ([0.0, 249.0], [0.0, 255.0]),
            ([83.0, 3999.0], [0.0, 4095.0]),
            ([-1024.0, 2975.0], [-1024.0, 3071.0]),
            ([-2.5, 3.5], [-2.5, 3.5]),
            ([0.0, 1e9], [0.0, 1e9]),
        ] {
            assert_eq!(guess(found[0], found[1]), expected);
        }
    }

    #[test]
    fn values_are_read_by_another_range_whichever_end_is_bright() {
        // 0, 1024 and 4095 of 65535.
        let numbers = [0.0, 1024.0, 4095.0];
        for bright in [true, false] {
            let turned = |v: f32| if bright { v } else { 1.0 - v };
            let mut luma = numbers.map(|v| turned(v / 65535.0));
            let range = if bright { [0.0, 65535.0] } else { [65535.0, 0.0] };
            let mut values = Values::of_type(range, &luma);
            assert_eq!((values.largest, values.unused_above()), (4095.0, Some(4096)));
            values.rescale(&mut luma, [0.0, 4095.0]);
            for (found, number) in luma.iter().zip(numbers) {
                assert!((found - turned(number / 4095.0)).abs() < 1e-5, "{found}");
            }
            assert_eq!((values.known, values.note(None)), (Known::Said, None));
        }
    }

    #[test]
    fn a_range_that_is_exceeded_does_not_make_a_white_image() {
        let values = of(63993.0, Known::Type);
        assert!(!values.answered_by([0.0, 4095.0]));
        assert!(values.note(Some([0.0, 4095.0])).unwrap().contains("reach 63993"));
        assert_eq!(values.note(None), None);
    }
}
