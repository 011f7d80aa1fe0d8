//! Files that are not read here and that some browsers read well enough: single images, with values that 8 bits are enough for.

use super::dicom;

/// Whether a file is for the browser to try: AVIF, HEIC or JPEG XL.
///
/// Not where it holds moving images, of which nobody says which one is meant; and not a JPEG XL of more than 12 bits, or of
/// floats, of which a browser keeps 8 and nobody could tell any more how many were used.
pub fn is_for_browsers(bytes: &[u8]) -> bool {
    match bytes {
        // It begins with 128 bytes of anything.
        _ if dicom::recognise(bytes) => false,
        [0xff, 0x0a, stream @ ..] => is_plain(stream).unwrap_or(false),
        [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => boxed(bytes).and_then(is_plain).unwrap_or(false),
        [a, b, c, d, b'f', b't', b'y', b'p', ..] => {
            let end = (u32::from_be_bytes([*a, *b, *c, *d]) as usize).min(bytes.len());
            // What the file calls itself, a version, then what else it is (ISO/IEC 14496-12, 4.3).
            let brands = bytes.get(8..end).unwrap_or_default().as_chunks::<4>().0;
            !brands.iter().any(|brand| matches!(brand, b"avis" | b"hevc" | b"hevx" | b"msf1"))
                && matches!(brands.first(), Some(b"avif" | b"heic" | b"heix" | b"mif1"))
        }
        _ => false,
    }
}

/// What follows the signature of the JPEG XL in a file of boxes (ISO/IEC 18181-2, 9).
fn boxed(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (head, rest) = bytes.split_first_chunk::<8>()?;
        let [a, b, c, d, kind @ ..] = *head;
        match &kind {
            b"jxlc" => return rest.strip_prefix(b"\xff\x0a"),
            // The first part of several; its number comes before it.
            b"jxlp" => return rest.get(4..)?.strip_prefix(b"\xff\x0a"),
            _ => bytes = bytes.get((u32::from_be_bytes([a, b, c, d]) as usize).max(8)..)?,
        }
    }
}

/// Whether a JPEG XL, without its signature, is a single image of at most 12 bits (ISO/IEC 18181-1, annex D).
fn is_plain(stream: &[u8]) -> Option<bool> {
    let mut bits = Bits { bytes: stream, at: 0 };
    bits.skip_size()?;
    if bits.flag()? {
        // All is as usual: 8 bits.
        return Some(true);
    }
    if bits.flag()? {
        // Orientation.
        bits.take(3)?;
        if bits.flag()? {
            bits.skip_size()?;
        }
        let (preview, moving) = (bits.flag()?, bits.flag()?);
        if preview || moving {
            return Some(false);
        }
    }
    let floats = bits.flag()?;
    // 8, 10, 12, or another number.
    Some(!floats && bits.take(2)? < 3)
}

/// The bits of a JPEG XL, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |value, i| {
            let bit = self.bytes.get(self.at / 8)? >> (self.at % 8) & 1;
            self.at += 1;
            Some(value | u32::from(bit) << i)
        })
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    /// Height, and width where it is no simple ratio of that: small multiples of 8, or numbers of up to 30 bits.
    fn skip_size(&mut self) -> Option<()> {
        let small = self.flag()?;
        self.skip_side(small)?;
        if self.take(3)? == 0 {
            self.skip_side(small)?;
        }
        Some(())
    }

    fn skip_side(&mut self, small: bool) -> Option<()> {
        let count = if small { 5 } else { [9, 13, 18, 30][self.take(2)? as usize] };
        self.take(count).map(drop)
    }
}
