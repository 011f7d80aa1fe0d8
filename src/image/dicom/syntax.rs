//! Transfer syntaxes: how a file's elements and its pixels are stored (PS3.5, annex A; UIDs of PS3.6, annex A).

use std::borrow::Cow;
use std::io::Read;

use dicom_core::Tag;
use flate2::read::DeflateDecoder;

use super::PREAMBLE;
use super::elements::{Elements, Encoding};
use super::read::{damaged, unsupported};
use crate::error::{Error, Result};
use crate::image::decode::Limits;

/// What to do with a file in a code that is not read.
pub const CONVERT: &str = "convert it to an uncompressed one, with `gdcmconv --raw` or `dcmdjpeg`, or export it from its viewer \
                           as PNG or TIFF";

/// How pixels are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Native,
    Rle,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

/// How a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax {
    pub encoding: Encoding,
    pub code: Code,
}

/// What comes after a file's own header, inflated.
pub struct DataSet<'a> {
    pub bytes: Cow<'a, [u8]>,
    pub syntax: Syntax,
}

const META_GROUP: u16 = 2;
const TRANSFER_SYNTAX: Tag = Tag(META_GROUP, 0x0010);
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

impl<'a> DataSet<'a> {
    /// # Errors
    /// [`Error::Unsupported`] for a code that is not read, [`Error::TooManyBytes`] for what inflates to more than a file may
    /// have, [`Error::Damaged`].
    pub fn of(file: &'a [u8], limits: &Limits) -> Result<Self> {
        let start = if file.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM") { PREAMBLE + 4 } else { 0 };
        let (uid, len) = meta(&file[start..])?;
        let rest = &file[start + len..];
        let uid = uid.as_deref();
        let bytes = match uid {
            Some(DEFLATED) => Cow::Owned(inflate(rest, limits)?),
            _ => Cow::Borrowed(rest),
        };
        let syntax = Syntax { encoding: encoding(&bytes, uid), code: uid.map_or(Ok(Code::Native), code)? };
        Ok(Self { bytes, syntax })
    }
}

/// The transfer syntax that the file's own header names, and how long that header is; it is always explicit, low byte first
/// (PS3.10, 7.1).
fn meta(bytes: &[u8]) -> Result<(Option<String>, usize)> {
    let mut elements = Elements::new(bytes, Encoding::Explicit);
    let mut uid = None;
    loop {
        let place = elements.place();
        let here = bytes.get(place..place + 2);
        if here != Some(&META_GROUP.to_le_bytes()) {
            return Ok((uid, place));
        }
        let Some(element) = elements.next_element()? else { return Ok((uid, place)) };
        if element.tag == TRANSFER_SYNTAX {
            uid = Some(element.word());
        }
    }
}

/// How elements are stored. That VRs are there shows in the first one, which is surer than what some writers say.
fn encoding(set: &[u8], uid: Option<&str>) -> Encoding {
    let explicit = matches!(set, [_, _, _, _, a, b, ..] if a.is_ascii_uppercase() && b.is_ascii_uppercase());
    // The first group is 8 nearly always: of its two bytes the high one is 0.
    let big = uid == Some("1.2.840.10008.1.2.2") || (uid.is_none() && set.starts_with(&[0]));
    match (explicit, big) {
        (true, true) => Encoding::ExplicitBigEndian,
        (true, false) => Encoding::Explicit,
        (false, _) => Encoding::Implicit,
    }
}

fn code(uid: &str) -> Result<Code> {
    let kind = match uid.strip_prefix("1.2.840.10008.1.2") {
        Some("" | ".1" | ".1.99" | ".2") => return Ok(Code::Native),
        Some(".5") => return Ok(Code::Rle),
        Some(".4.50" | ".4.51" | ".4.57" | ".4.70") => return Ok(Code::Jpeg),
        Some(".4.80" | ".4.81") => return Ok(Code::JpegLs),
        Some(".4.90" | ".4.91") => return Ok(Code::Jpeg2000),
        Some(".4.92" | ".4.93") => "JPEG 2000 part 2",
        Some(".4.94" | ".4.95" | ".4.204" | ".4.205") => "pixels on a server, JPIP",
        Some(".4.110" | ".4.111" | ".4.112") => "JPEG XL",
        Some(".4.201" | ".4.202" | ".4.203") => "high-throughput JPEG 2000",
        Some(video) if video.starts_with(".4.10") => "video",
        Some(retired) if retired.starts_with(".4.5") || retired.starts_with(".4.6") => "a retired kind of JPEG",
        _ => "not known here",
    };
    Err(unsupported(format!("DICOM in the transfer syntax {uid} ({kind})")))
}

fn inflate(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>> {
    let mut inflated = Vec::new();
    let read = DeflateDecoder::new(bytes).take(limits.max_bytes.saturating_add(1)).read_to_end(&mut inflated);
    read.map_err(|error| damaged(error.to_string()))?;
    match inflated.len() as u64 {
        bytes if bytes > limits.max_bytes => Err(Error::TooManyBytes { bytes, limit: limits.max_bytes }),
        _ => Ok(inflated),
    }
}
