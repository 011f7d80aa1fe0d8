//! DICOM: elements that say what the numbers mean, and the numbers in one of a dozen codes (DICOM PS3.3, 3.5 and 3.10).
//!
//! The elements are walked, not kept: only those are read that say how numbers become grey and whether this is a chest
//! radiograph at all. What tells who the patient is stays in the file. `dicom-encoding` reads the elements' headers.

#[cfg(feature = "dicom")]
mod compressed;
#[cfg(feature = "dicom")]
mod elements;
#[cfg(feature = "dicom")]
mod grey;
#[cfg(feature = "dicom")]
mod header;
#[cfg(feature = "dicom")]
mod pixels;
#[cfg(feature = "dicom")]
mod read;
#[cfg(feature = "dicom")]
mod rle;
#[cfg(feature = "dicom")]
mod square;
#[cfg(feature = "dicom")]
mod subject;
#[cfg(feature = "dicom")]
mod syntax;

#[cfg(feature = "dicom")]
pub use read::decode;

/// Bytes before the prefix `DICM` (PS3.10, 7.1).
const PREAMBLE: usize = 128;

/// Whether a file is DICOM: with its preamble, or, as old writers have it, at once with an element of the groups 2 or 8
/// (PS3.5, 7.1, and PS3.10, 7.1).
pub fn recognise(bytes: &[u8]) -> bool {
    if bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM") {
        return true;
    }
    let &[a, b, c, d, e, f, g, h, ..] = bytes else { return false };
    let group_and_element = match [a, b] {
        [2 | 8, 0] => u16::from_le_bytes([c, d]),
        [0, 8] => u16::from_be_bytes([c, d]),
        _ => return false,
    };
    let explicit = e.is_ascii_uppercase() && f.is_ascii_uppercase();
    // A length that such an element can have; all are even.
    let implicit = a != 0 && f == 0 && [g, h] == [0, 0] && e % 2 == 0;
    group_and_element < 0x100 && (explicit || implicit)
}
