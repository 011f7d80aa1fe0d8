//! The elements of a data set, one after the other, each a view of its bytes (PS3.5, chapter 7).

use dicom_core::dictionary::stub::StubDataDictionary;
use dicom_core::{Tag, VR};
use dicom_encoding::Decode;
use dicom_encoding::decode::{
    explicit_be::ExplicitVRBigEndianDecoder, explicit_le::ExplicitVRLittleEndianDecoder,
    implicit_le::ImplicitVRLittleEndianDecoder,
};

use super::read::damaged;
use crate::error::Result;

/// How the headers of elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Implicit,
    Explicit,
    ExplicitBigEndian,
}

/// One element.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    pub tag: Tag,
    /// `UN` in data sets that do not say it.
    pub vr: VR,
    /// Its value; of a sequence its items, of encapsulated pixels all that follows.
    pub value: &'a [u8],
    /// Whether the end of the value is marked, in place of a length.
    pub open: bool,
    pub encoding: Encoding,
}

pub const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);
const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// A length that is not told.
const UNDEFINED: u32 = u32::MAX;

/// Reads elements in order; what is in sequences only where it is asked for.
pub struct Elements<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
    at: usize,
}

impl<'a> Elements<'a> {
    pub fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self { bytes, encoding, at: 0 }
    }

    /// Where the next element begins.
    pub fn place(&self) -> usize {
        self.at
    }

    /// The next element; `None` after the last one, and at the end of an item.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::error::Error::Damaged) where the bytes break off.
    pub fn next_element(&mut self) -> Result<Option<Element<'a>>> {
        let rest = &self.bytes[self.at..];
        // A few bytes of padding end some files.
        if rest.len() < 8 {
            return Ok(None);
        }
        let (tag, vr, length, header) = element_header(rest, self.encoding)?;
        if tag.0 == ITEM.0 {
            return Ok(None);
        }
        let rest = &rest[header..];
        let open = length == UNDEFINED;
        let (value, len) = if !open {
            (slice(rest, length)?, length as usize)
        } else if tag == PIXEL_DATA {
            (rest, rest.len())
        } else {
            // Where the VR is unknown, what is inside is stored without VRs (PS3.5, 6.2.2, note 2).
            let inner = if vr == VR::UN { Encoding::Implicit } else { self.encoding };
            let len = open_length(rest, inner)?;
            (&rest[..len], len)
        };
        self.at += header + len;
        Ok(Some(Element { tag, vr, value, open, encoding: self.encoding }))
    }
}

impl<'a> Element<'a> {
    /// The elements of the first item of a sequence; none where it has no item.
    pub fn first_item(&self) -> Result<Elements<'a>> {
        let encoding = if self.open && self.vr == VR::UN { Encoding::Implicit } else { self.encoding };
        if self.value.len() < 8 {
            return Ok(Elements::new(&[], encoding));
        }
        let (tag, _, length, header) = element_header(self.value, encoding)?;
        let inside = &self.value[header..];
        match tag {
            // Without a length it ends with a mark, at which reading stops.
            ITEM if length == UNDEFINED => Ok(Elements::new(inside, encoding)),
            ITEM => Ok(Elements::new(slice(inside, length)?, encoding)),
            _ => Ok(Elements::new(&[], encoding)),
        }
    }

    /// The first of its whole numbers of 16 bits.
    pub fn short(&self) -> Option<u16> {
        self.shorts().next()
    }

    /// Its whole numbers of 16 bits.
    pub fn shorts(&self) -> impl Iterator<Item = u16> + use<'a> {
        let big = self.encoding == Encoding::ExplicitBigEndian;
        let number = move |pair: &[u8; 2]| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
        self.value.as_chunks::<2>().0.iter().map(number)
    }

    /// Its texts, without the blanks around them.
    pub fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let text = std::str::from_utf8(self.value).unwrap_or_default();
        text.split('\\').map(|text| text.trim_matches([' ', '\0']))
    }

    /// The first of its texts, as long as it may be in a message and plain.
    pub fn word(&self) -> String {
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.');
        self.texts().next().unwrap_or_default().chars().filter(plain).take(64).collect()
    }

    /// The first of its numbers that are stored as text.
    pub fn number(&self) -> Option<f64> {
        self.numbers().next()?
    }

    /// Its numbers that are stored as text; `None` of what is no finite one.
    pub fn numbers(&self) -> impl Iterator<Item = Option<f64>> + use<'a> {
        self.texts().map(|text| text.parse().ok().filter(|number: &f64| number.is_finite()))
    }
}

/// The items of encapsulated pixels: a table of offsets, then the pieces of the frames (PS3.5, A.4).
///
/// # Errors
/// [`Error::Damaged`](crate::error::Error::Damaged) where they break off.
pub fn fragments(bytes: &[u8]) -> Result<Vec<&[u8]>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    loop {
        let (tag, _, length, header) = element_header(rest, Encoding::Explicit)?;
        rest = &rest[header..];
        match tag {
            SEQUENCE_END => return Ok(found),
            ITEM => {
                found.push(slice(rest, length)?);
                rest = &rest[length as usize..];
            }
            _ => return Err(damaged("its pixels are not in items")),
        }
    }
}

/// The length of a sequence that has none, up to its end mark and with it. Marks inside are counted, not descended into: a
/// hostile file nests as deeply as it likes.
fn open_length(bytes: &[u8], encoding: Encoding) -> Result<usize> {
    let mut at = 0;
    let mut depth = 1;
    // From this depth on, VRs are not stored.
    let mut implicit_from = usize::MAX;
    while depth > 0 {
        let encoding = if depth >= implicit_from { Encoding::Implicit } else { encoding };
        let (tag, vr, length, header) = element_header(&bytes[at..], encoding)?;
        at += header;
        match tag {
            ITEM_END | SEQUENCE_END => depth -= 1,
            _ if length == UNDEFINED => {
                depth += 1;
                if tag != ITEM && vr == VR::UN {
                    implicit_from = implicit_from.min(depth);
                }
            }
            _ => at += slice(&bytes[at..], length)?.len(),
        }
        if depth < implicit_from {
            implicit_from = usize::MAX;
        }
    }
    Ok(at)
}

/// Tag, VR, length and the size of the header that `bytes` begin with.
fn element_header(mut bytes: &[u8], encoding: Encoding) -> Result<(Tag, VR, u32, usize)> {
    let source = &mut bytes;
    let read = match encoding {
        Encoding::Implicit => ImplicitVRLittleEndianDecoder::with_dict(StubDataDictionary).decode_header(source),
        Encoding::Explicit => ExplicitVRLittleEndianDecoder::default().decode_header(source),
        Encoding::ExplicitBigEndian => ExplicitVRBigEndianDecoder::default().decode_header(source),
    };
    let (header, len) = read.map_err(|_| damaged("it breaks off"))?;
    Ok((header.tag, header.vr, header.len.0, len))
}

fn slice(bytes: &[u8], length: u32) -> Result<&[u8]> {
    bytes.get(..length as usize).ok_or_else(|| damaged("it breaks off"))
}
