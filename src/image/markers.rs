//! The segments of a JPEG file: where its image ends, and what kind of JPEG it is.

/// What a frame header says (ITU T.81, table B.1, and T.87 for JPEG-LS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its marker, such as 0xc0 for baseline.
    pub marker: u8,
    /// Bits of a sample.
    pub bits: u8,
}

impl Frame {
    /// Whether it is read here: baseline, extended or progressive with Huffman codes, of eight bits.
    pub fn is_read(self) -> bool {
        matches!(self, Self { marker: 0xc0..=0xc2, bits: 8 })
    }
}

const START_OF_SCAN: u8 = 0xda;
#[cfg(feature = "png-jpeg")]
const END_OF_IMAGE: u8 = 0xd9;

/// The frame header of a file; `None` where none comes before the first scan, or the segments make no sense.
pub fn frame(bytes: &[u8]) -> Option<Frame> {
    segments(bytes, 2).find_map(|(marker, at)| match marker {
        // Huffman and arithmetic tables have markers between those of frames.
        0xc4 | 0xc8 | 0xcc => None,
        0xc0..=0xcf | 0xf7 => Some(Frame { marker, bits: *bytes.get(at + 4)? }),
        _ => None,
    })
}

/// The place of the end marker of the first image; `None` where it breaks off, or has no scan.
#[cfg(feature = "png-jpeg")]
pub fn end(bytes: &[u8]) -> Option<usize> {
    let (_, mut at) = segments(bytes, 2).find(|(marker, _)| *marker == START_OF_SCAN)?;
    loop {
        at += bytes
            .get(at..)?
            .windows(2)
            .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7))?;
        at = match bytes[at + 1] {
            END_OF_IMAGE => return Some(at),
            // Tables and notes between scans hold any bytes.
            0xc4 | 0xda..=0xdd | 0xe0..=0xef | 0xfe => at + 2 + length(bytes, at)?,
            _ => at + 2,
        };
    }
}

/// What is odd in a lossless JPEG; jpeg-decoder 0.3.2 gets both wrong: it forgets to start anew after a restart marker, and
/// shifts numbers before it predicts from them.
#[cfg(feature = "dicom")]
pub fn odd_lossless(bytes: &[u8]) -> Option<&'static str> {
    const LOSSLESS: u8 = 0xc3;
    const RESTART_INTERVAL: u8 = 0xdd;
    frame(bytes).filter(|frame| frame.marker == LOSSLESS)?;
    segments(bytes, 2).find_map(|(marker, at)| match marker {
        RESTART_INTERVAL if bytes.get(at + 4..at + 6)? != [0, 0] => Some("that starts anew in between"),
        START_OF_SCAN => {
            // After the number of channels and two bytes for each: the predictor, a zero, and by how much it was shifted.
            let shift = bytes.get(at + 7 + 2 * usize::from(*bytes.get(at + 4)?))?;
            (shift & 15 > 0).then_some("that leaves low bits out")
        }
        _ => None,
    })
}

/// Markers and places of the segments from `at` up to the first scan, by their lengths.
fn segments(bytes: &[u8], mut at: usize) -> impl Iterator<Item = (u8, usize)> {
    std::iter::from_fn(move || {
        loop {
            let &[0xff, marker] = bytes.get(at..at + 2)? else { return None };
            let here = at;
            match marker {
                // A fill byte, or a marker without a length.
                0xff => at += 1,
                0x01 | 0xd0..=0xd8 => at += 2,
                START_OF_SCAN => {
                    at = bytes.len();
                    return Some((marker, here));
                }
                _ => {
                    at += 2 + length(bytes, at)?;
                    return Some((marker, here));
                }
            }
        }
    })
}

/// Of the segment at `at`, without its marker.
fn length(bytes: &[u8], at: usize) -> Option<usize> {
    let &[high, low] = bytes.get(at + 2..at + 4)? else { return None };
    Some(usize::from(u16::from_be_bytes([high, low])))
}
