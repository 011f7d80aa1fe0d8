//! RLE lossless: a plane for each byte of each channel, high bytes first, each packed as PackBits (PS3.5, annex G).

use super::header::Header;
use super::pixels::interleaved;
use super::read::damaged;
use crate::error::Result;

/// Bytes of the table of planes.
const TABLE: usize = 64;

/// The numbers of a frame, `[rows, columns, channels]`.
///
/// # Errors
/// [`Error::Damaged`](crate::error::Error::Damaged).
pub fn decode(bytes: &[u8], header: &Header) -> Result<Vec<u16>> {
    let pixels = usize::from(header.rows) * usize::from(header.columns);
    let (channels, size) = (usize::from(header.channels), usize::from(header.bits_allocated / 8));
    let table = bytes.get(..TABLE).ok_or_else(|| damaged("it breaks off"))?;
    let mut words = table.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word) as usize);
    let planes = words.next().unwrap_or(0);
    if planes != channels * size {
        return Err(damaged(format!("it has {planes} planes of RLE, {} are needed", channels * size)));
    }
    let starts: Vec<usize> = words.take(planes).collect();
    let mut samples = vec![0_u16; channels * pixels];
    for (channel, samples) in samples.chunks_exact_mut(pixels).enumerate() {
        for &start in &starts[channel * size..][..size] {
            unpack(bytes.get(start..).unwrap_or_default(), samples)?;
        }
    }
    Ok(if channels > 1 { interleaved(&samples, channels) } else { samples })
}

/// Puts the bytes of a plane below what is in `samples` already: high bytes come first.
fn unpack(packed: &[u8], samples: &mut [u16]) -> Result<()> {
    let breaks_off = || damaged("it breaks off");
    let (mut rest, mut places) = (packed, samples.iter_mut());
    while places.len() > 0 {
        let (&head, after) = rest.split_first().ok_or_else(breaks_off)?;
        // Below 128: one more than so many bytes as they are; above: the next byte 257 less so many times.
        let (used, times) = match usize::from(head) {
            128 => (0, 0),
            count @ 0..128 => (count + 1, 1),
            count => (1, 257 - count),
        };
        let run = after.get(..used).ok_or_else(breaks_off)?;
        for &byte in run.iter().flat_map(|byte| std::iter::repeat_n(byte, times)) {
            // What is beyond the end of the plane pads it to an even length.
            let Some(sample) = places.next() else { return Ok(()) };
            *sample = *sample << 8 | u16::from(byte);
        }
        rest = &after[used..];
    }
    Ok(())
}
