//! JPEG, JPEG-LS and JPEG 2000: decoders of others, held to the size that the header tells.

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use openreadout_codecs::{CodecError, Raster, jpeg_decode_limited, jpegls_decode_limited};

use super::header::Header;
use super::read::{damaged, unsupported};
use super::syntax::Code;
use crate::error::{Error, Result};
use crate::image::markers;

/// The numbers of a frame, `[rows, columns, channels]`.
///
/// # Errors
/// [`Error::Unsupported`] for the rarer kinds, [`Error::Damaged`], also where the frame has another size than the header says.
pub fn decode(code: Code, bytes: &[u8], header: &Header) -> Result<Vec<u16>> {
    if code == Code::Jpeg2000 {
        return jpeg2000(bytes, header);
    }
    let most = 2 * count(header);
    let raster = match code {
        Code::JpegLs => jpegls_decode_limited(bytes, most),
        _ => {
            if let Some(what) = markers::odd_lossless(bytes) {
                return Err(unsupported(format!("DICOM with lossless JPEG {what}")));
            }
            jpeg_decode_limited(bytes, most)
        }
    };
    let Raster { width, height, channels, bits_per_sample, data, .. } = raster.map_err(explain)?;
    same_size([width, height, channels], header)?;
    Ok(match bits_per_sample {
        8 => data.into_iter().map(u16::from).collect(),
        _ => data.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect(),
    })
}

fn jpeg2000(bytes: &[u8], header: &Header) -> Result<Vec<u16>> {
    let explain = |error: hayro_jpeg2000::DecodeError| damaged(error.to_string());
    let image = Image::new(bytes, &DecodeSettings::default()).map_err(explain)?;
    same_size([image.width(), image.height(), header.channels.into()], header)?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(explain)?;
    let planes = decoded.components();
    same_size([image.width(), image.height(), planes.len() as u32], header)?;
    let mut samples = vec![0; count(header)];
    for (channel, plane) in planes.iter().enumerate() {
        // The decoder takes all numbers for unsigned ones, which lie half their range higher in the file.
        let offset = if is_signed(bytes) { (1_u64 << (plane.bit_depth() - 1)) as f32 } else { 0.0 };
        let places = samples.iter_mut().skip(channel).step_by(planes.len());
        for (sample, &value) in places.zip(plane.samples()) {
            *sample = (value - offset).round() as i32 as u16;
        }
    }
    Ok(samples)
}

/// Whether a codestream has signed numbers: the highest bit of `Ssiz` of its first component (ITU T.800, table A.9).
fn is_signed(codestream: &[u8]) -> bool {
    codestream.get(42).is_some_and(|ssiz| ssiz & 0x80 != 0)
}

fn count(header: &Header) -> usize {
    usize::from(header.rows) * usize::from(header.columns) * usize::from(header.channels)
}

fn same_size(found: [u32; 3], header: &Header) -> Result<()> {
    let told = [header.columns, header.rows, header.channels].map(u32::from);
    if found == told {
        return Ok(());
    }
    let [width, height, channels] = found;
    let text = |[w, h, c]: [u32; 3]| format!("{w}×{h}×{c}");
    Err(damaged(format!("its frame is {}, its header says {}", text([width, height, channels]), text(told))))
}

fn explain(error: CodecError) -> Error {
    match error {
        CodecError::Unsupported { .. } => unsupported(format!("DICOM with {error}")),
        other => damaged(other.to_string()),
    }
}
