//! What of a header is needed to make grey of numbers; nothing of it says who the patient is.

use dicom_core::{Tag, VR};

use super::elements::{Element, Elements, Encoding, PIXEL_DATA};
use super::read::{damaged, unsupported};
use crate::error::{Error, Result};

/// A table in place of a formula (PS3.3, C.11.1 and C.11.2).
#[derive(Debug)]
pub struct Table {
    /// The number that the first entry is for.
    pub first: i32,
    /// Bits that an entry may use.
    pub bits: u32,
    pub entries: Vec<u16>,
}

/// How a window maps numbers to grey (PS3.3, C.11.2.1.2 and C.11.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Function {
    #[default]
    Linear,
    LinearExact,
    Sigmoid,
}

/// A range of numbers to be shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub centre: f64,
    pub width: f64,
    pub function: Function,
}

/// The elements that are read, by the names of PS3.6.
#[derive(Debug, Default)]
pub struct Header {
    pub modality: String,
    pub body_part: String,
    pub rows: u16,
    pub columns: u16,
    /// `NumberOfFrames`.
    pub frames: u32,
    /// `SamplesPerPixel`.
    pub channels: u16,
    pub photometric: String,
    /// Whether channels lie one after the other, not side by side.
    pub planar: bool,
    pub bits_allocated: u16,
    pub bits_stored: u16,
    pub high_bit: u16,
    pub signed: bool,
    /// Whether small numbers are bright.
    pub inverted: bool,
    pub slope: f64,
    pub intercept: f64,
    pub modality_table: Option<Table>,
    /// The first of several.
    pub voi_table: Option<Table>,
    /// The first of several.
    pub window: Option<Window>,
    /// Height and width of a pixel, in any unit.
    pub pixel: [f64; 2],
}

/// Numbers that elements hold as text, before it is known whether they make sense.
#[derive(Default)]
struct Texts {
    spacing: [Option<[f64; 2]>; 3],
    centre: Option<f64>,
    width: Option<f64>,
    function: Function,
}

impl Header {
    /// What a data set says, and its pixels.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without pixels, [`Error::Damaged`].
    pub fn read(set: &[u8], encoding: Encoding) -> Result<(Self, Element<'_>)> {
        let mut elements = Elements::new(set, encoding);
        let mut texts = Texts::default();
        let (mut modality_table, mut voi_table) = (None, None);
        let [mut rows, mut columns, mut allocated, mut stored, mut high] = [None; 5];
        let mut header = Self { frames: 1, channels: 1, slope: 1.0, ..Self::default() };
        let pixels = loop {
            let Some(element) = elements.next_element()? else {
                return Err(if rows.is_some() { damaged("it breaks off before its pixels") } else { without_image() });
            };
            match element.tag {
                Tag(0x0008, 0x0060) => header.modality = element.word(),
                Tag(0x0018, 0x0015) => header.body_part = element.word(),
                Tag(0x0018, 0x1164) => texts.spacing[1] = pair(&element),
                Tag(0x0028, 0x0002) => header.channels = element.short().unwrap_or(1),
                Tag(0x0028, 0x0004) => header.photometric = element.word(),
                Tag(0x0028, 0x0006) => header.planar = element.short() == Some(1),
                Tag(0x0028, 0x0008) => header.frames = element.number().map_or(1, |frames| frames.max(1.0) as u32),
                Tag(0x0028, 0x0010) => rows = element.short(),
                Tag(0x0028, 0x0011) => columns = element.short(),
                Tag(0x0028, 0x0030) => texts.spacing[0] = pair(&element),
                Tag(0x0028, 0x0034) => texts.spacing[2] = pair(&element),
                Tag(0x0028, 0x0100) => allocated = element.short(),
                Tag(0x0028, 0x0101) => stored = element.short(),
                Tag(0x0028, 0x0102) => high = element.short(),
                Tag(0x0028, 0x0103) => header.signed = element.short() == Some(1),
                Tag(0x0028, 0x1050) => texts.centre = element.number(),
                Tag(0x0028, 0x1051) => texts.width = element.number(),
                Tag(0x0028, 0x1052) => header.intercept = element.number().unwrap_or(0.0),
                Tag(0x0028, 0x1053) => header.slope = element.number().filter(|slope| *slope != 0.0).unwrap_or(1.0),
                Tag(0x0028, 0x1056) => texts.function = function(&element),
                Tag(0x0028, 0x3000) => modality_table = Some(element),
                Tag(0x0028, 0x3010) => voi_table = Some(element),
                Tag(0x2050, 0x0020) => header.inverted = element.word() == "INVERSE",
                PIXEL_DATA => break element,
                Tag(0x7fe0, 0x0008 | 0x0009) => return Err(unsupported("DICOM with numbers that are floats")),
                _ => {}
            }
        };
        let needed = |number: Option<u16>, name: &str| number.ok_or_else(|| damaged(format!("it has no {name}")));
        header.rows = needed(rows, "Rows")?;
        header.columns = needed(columns, "Columns")?;
        header.bits_allocated = needed(allocated, "BitsAllocated")?;
        header.bits_stored = stored.unwrap_or(header.bits_allocated);
        header.high_bit = high.unwrap_or(header.bits_stored.saturating_sub(1));
        header.inverted |= header.photometric == "MONOCHROME1";
        header.modality_table = modality_table.map(|element| table(&element, header.signed)).transpose()?.flatten();
        header.voi_table = voi_table.map(|element| table(&element, header.signed)).transpose()?.flatten();
        header.window = texts.window();
        header.pixel = texts.spacing.into_iter().flatten().next().unwrap_or([1.0; 2]);
        Ok((header, pixels))
    }

    /// Refuses numbers of a kind that is not read.
    ///
    /// # Errors
    /// [`Error::Unsupported`], and [`Error::Damaged`] for more bits than there is room for.
    pub fn check_numbers(&self) -> Result<()> {
        let photometric = self.photometric.as_str();
        match (self.channels, photometric) {
            (1, "MONOCHROME1" | "MONOCHROME2" | "") => {}
            (3, "RGB" | "YBR_FULL" | "YBR_FULL_422" | "YBR_ICT" | "YBR_RCT") if self.bits_allocated == 8 => {}
            (channels, _) => {
                let (bits, channels) = (self.bits_allocated, channels.to_string());
                return Err(unsupported(format!("DICOM with {channels} × {bits} bits of {photometric}")));
            }
        }
        if !matches!(self.bits_allocated, 8 | 16) {
            return Err(unsupported(format!("DICOM with numbers of {} bits", self.bits_allocated)));
        }
        if self.bits_stored == 0 || self.bits_stored > self.bits_allocated || self.high_bit >= self.bits_allocated {
            let (stored, allocated) = (self.bits_stored, self.bits_allocated);
            return Err(damaged(format!("it stores {stored} bits in {allocated}, up to bit {}", self.high_bit)));
        }
        Ok(())
    }
}

impl Texts {
    /// The window, if it makes sense (PS3.3, C.11.2.1.2.1).
    fn window(&self) -> Option<Window> {
        let (centre, width, function) = (self.centre?, self.width?, self.function);
        let narrowest = if function == Function::Linear { width >= 1.0 } else { width > 0.0 };
        narrowest.then_some(Window { centre, width, function })
    }
}

fn without_image() -> Error {
    Error::Unsupported { what: "DICOM without an image in it".into(), advice: "take the file that has the image" }
}

/// Two numbers above 0.
fn pair(element: &Element) -> Option<[f64; 2]> {
    let mut numbers = element.numbers().map(|number| number.filter(|number| *number > 0.0));
    Some([numbers.next()??, numbers.next()??])
}

fn function(element: &Element) -> Function {
    match element.word().as_str() {
        "LINEAR_EXACT" => Function::LinearExact,
        "SIGMOID" => Function::Sigmoid,
        _ => Function::Linear,
    }
}

/// The table in the first item of a sequence; `None` where it has none, or one that makes no sense.
fn table(sequence: &Element, signed: bool) -> Result<Option<Table>> {
    let mut elements = sequence.first_item()?;
    let (mut descriptor, mut data) = (None, None);
    while let Some(element) = elements.next_element()? {
        match element.tag {
            Tag(0x0028, 0x3002) => descriptor = Some(element),
            Tag(0x0028, 0x3006) => data = Some(element),
            _ => {}
        }
    }
    let (Some(descriptor), Some(data)) = (descriptor, data) else { return Ok(None) };
    let mut numbers = descriptor.shorts();
    let (Some(count), Some(first), Some(bits @ 1..=16)) = (numbers.next(), numbers.next(), numbers.next()) else {
        return Ok(None);
    };
    // 65,536 does not fit, and is written as 0.
    let count = if count == 0 { 1 << 16 } else { usize::from(count) };
    // Where the VR does not say it, the first number is signed as the pixels are (PS3.3, C.11.1.1).
    let signed = descriptor.vr == VR::SS || (signed && descriptor.vr != VR::US);
    let first = if signed { i32::from(first as i16) } else { i32::from(first) };
    // Eight bits may be packed two in a word.
    let packed = data.value.len() < 2 * count;
    let entries: Vec<u16> = if packed {
        data.value.iter().take(count).map(|&byte| byte.into()).collect()
    } else {
        data.shorts().take(count).collect()
    };
    Ok((!entries.is_empty()).then_some(Table { first, bits: bits.into(), entries }))
}
