//! TIFF, read here rather than through `image`, which refuses grey floats, palettes and grey with alpha.

mod pages;

use std::io::Cursor;

use tiff::decoder::ifd::Value;
use tiff::decoder::{ChunkType, Decoder, DecodingResult};
use tiff::tags::{CompressionMethod, Tag};
use tiff::{ColorType, TiffError, TiffUnsupportedError};

use super::decode::{Limits, check_size};
use super::orient::{Orientation, Stored};
use super::rgba::{coloured, luminance, over_black};
use super::unsupported::SAVE_AGAIN;
use super::values::{Known, Values};
use crate::error::{Error, Result};

/// The film of a TIFF or BigTIFF file, its first page in full size: grey of 1 to 16 bits, longer, signed and float ones,
/// palettes, RGB, CMYK; alpha.
///
/// # Errors
/// [`Error::TooLarge`] and [`Error::TooManyPixels`] before decoding, [`Error::Unsupported`] for the rarer kinds,
/// [`Error::Damaged`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    let page = pages::film(bytes);
    let mut decoder = Decoder::new(Cursor::new(&*page.file)).map_err(explain)?;
    let (stored_width, height) = decoder.dimensions().map_err(explain)?;
    let width = page.packed.map_or(stored_width, |(width, _)| width);
    check_size(width, height, limits)?;
    let mut own = tiff::decoder::Limits::default();
    own.decoding_buffer_size = usize::try_from(limits.max_pixels.saturating_mul(8)).unwrap_or(usize::MAX);
    decoder = decoder.with_limits(own);

    let planes = tag(&mut decoder, Tag::PlanarConfiguration)?.is_some_and(|values| values == [SEPARATE_PLANES]);
    if planes && decoder.get_chunk_type() == ChunkType::Tile {
        return Err(unsupported("TIFF with tiles of one channel each".into()));
    }

    let colour = decoder.colortype().map_err(explain)?;
    let orientation = tag(&mut decoder, Tag::Orientation)?
        .and_then(|values| Orientation::of_tag(u16::try_from(*values.first()?).ok()?));
    let alpha = tag(&mut decoder, Tag::ExtraSamples)?.and_then(|values| values.first().copied());
    let palette = if page.palette { tag(&mut decoder, Tag::ColorMap)?.unwrap_or_default() } else { Vec::new() };
    let mut samples = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut samples).map_err(explain)?;

    let (height, width) = (height as usize, width as usize);
    let pixels = height * width;
    let depth = page.packed.map_or(colour.bit_depth(), |(_, bits)| bits);
    let Numbers { values: mut samples, kind } = numbers(samples, width, depth)?;
    let [black, white] = kind.range(depth, &samples);
    // Palettes are places in a table, never bright or dark themselves.
    let [black, white] = if page.white_is_zero && !page.palette { [white, black] } else { [black, white] };
    for value in &mut samples {
        *value = unit((*value - black) / (white - black));
    }
    let channels = match colour {
        ColorType::Gray(_) => 1,
        ColorType::Multiband { num_samples: 2, .. } => 2,
        ColorType::RGB(_) => 3,
        ColorType::RGBA(_) | ColorType::CMYK(_) => 4,
        other => return Err(unsupported(format!("TIFF with colours of the kind {other:?}"))),
    };
    if page.palette && channels != 1 {
        return Err(unsupported("TIFF with a palette and more channels".into()));
    }
    if samples.len() < pixels * channels || depth < 8 && channels > 1 {
        return Err(Error::Damaged {
            format: "TIFF",
            reason: format!("it holds too few samples for {width}×{height} px"),
        });
    }
    // Samples lie side by side, or each channel in a plane of its own.
    let (step, stride) = if layout.planes > 1 { (1, pixels) } else { (channels, 1) };
    let at = |pixel: usize, channel: usize| samples[pixel * step + channel * stride];
    let rgb = |i: usize| [at(i, 0), at(i, 1), at(i, 2)];
    // Colours that were multiplied with alpha when they were stored lie on black already.
    let opaque = alpha == Some(ASSOCIATED_ALPHA);
    // A grey as a colour has exactly that grey for its luminance.
    let pixel: Box<dyn Fn(usize) -> [f32; 3]> = match colour {
        ColorType::Gray(_) if page.palette => {
            let colours = palette_colours(&palette, depth)?;
            let last = colours.len() as f32 - 1.0;
            Box::new(move |i| colours[(at(i, 0) * last).round() as usize])
        }
        ColorType::Gray(_) => Box::new(|i| [at(i, 0); 3]),
        ColorType::Multiband { .. } if alpha == Some(UNASSOCIATED_ALPHA) => Box::new(|i| [at(i, 0) * at(i, 1); 3]),
        ColorType::Multiband { .. } => Box::new(|i| [at(i, 0); 3]),
        ColorType::CMYK(_) => Box::new(|i| rgb(i).map(|ink| (1.0 - ink) * (1.0 - at(i, 3)))),
        ColorType::RGBA(_) if !opaque => Box::new(|i| over_black([at(i, 0), at(i, 1), at(i, 2), at(i, 3)])),
        _ => Box::new(rgb),
    };
    let luma: Vec<f32> = (0..pixels).map(|i| luminance(pixel(i))).collect();
    let coloured = coloured(pixels, &pixel);
    let values = kind.values([black, white], &luma).filter(|_| depth > 8 && !page.palette);
    let orientation = orientation.unwrap_or_default();
    let mut stored = Stored { height, width, luma, coloured, values, orientation };
    say(&mut decoder, &mut stored)?;
    Ok(stored)
}

/// Numbers of a file before they are light.
struct Numbers {
    values: Vec<f32>,
    kind: Kind,
}

/// What their type says of black and white.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Of as many bits: all of them are meant to be used.
    Unsigned,
    /// Nothing: no convention says what they count.
    Open,
    /// That 0 is black and 1 white, if they keep to that.
    Float,
}

/// How far floats may lie outside of `[0, 1]` that are meant to be in it: what sharpening and resizing leave.
const OVERSHOOT: f32 = 0.1;

impl Kind {
    /// Black and white by the type, or the smallest and the largest number where it does not say.
    fn range(self, depth: u8, values: &[f32]) -> [f32; 2] {
        if self == Self::Unsigned {
            return [0.0, ((1u64 << depth) - 1) as f32];
        }
        let finite = values.iter().copied().filter(|value| value.is_finite());
        let [low, high] = finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
        let in_unit = low >= -OVERSHOOT && high <= 1.0 + OVERSHOOT;
        match self {
            Self::Float if in_unit => [0.0, 1.0],
            _ if low < high => [low, high],
            // All the same, which says as little; 0 is the other end of the range.
            _ if low == high && low != 0.0 => [low.min(0.0), low.max(0.0)],
            _ => [0.0, 1.0],
        }
    }

    /// What is known of the numbers that became `luma` by `range`; `None` of floats in `[0, 1]`, which say it all.
    fn values(self, range: [f32; 2], luma: &[f32]) -> Option<Values> {
        let largest = range[0].max(range[1]);
        match self {
            Self::Unsigned => Some(Values::of_type(range, luma)),
            Self::Float if range[0].min(range[1]) == 0.0 && largest == 1.0 => None,
            _ => Some(Values { range, largest, known: Known::Nobody }),
        }
    }
}

/// Reads a film by the range that its file gives for black and white: in the tags that are there for it, or, as ImageJ has it,
/// in its description.
fn say(decoder: &mut Decoder<Cursor<&[u8]>>, stored: &mut Stored) -> Result<()> {
    let mut of = |tag: Tag| Ok(decoder.find_tag(tag).map_err(explain)?.and_then(first));
    let [low, high] = [of(Tag::SMinSampleValue)?, of(Tag::SMaxSampleValue)?];
    let [least, most] = [of(Tag::MinSampleValue)?, of(Tag::MaxSampleValue)?];
    let shown = match decoder.find_tag(Tag::ImageDescription).map_err(explain)? {
        Some(Value::Ascii(text)) => shown_by_imagej(&text),
        _ => None,
    };
    // A range that takes in more than half of what the type has room for changes little, and may be a mere statistic.
    let narrow =
        |values: &Values, high: f32| values.known == Known::Nobody || 2.0 * high < values.range[0].max(values.range[1]);
    let within = |range: [f32; 2]| range[0] < range[1] && range.iter().all(|end| end.is_finite());
    for range in [high.map(|high| [low.unwrap_or(0.0), high]), shown].into_iter().flatten().filter(|r| within(*r)) {
        stored.say(range, |values| values.known != Known::Said && narrow(values, range[1]));
    }
    if let Some(range) = most.map(|most| [least.unwrap_or(0.0), most]).filter(|range| within(*range)) {
        // That it is the largest value in use can be checked.
        let true_of = |values: &Values| values.known == Known::Type && values.largest <= range[1];
        stored.say(range, |values| true_of(values) && narrow(values, range[1]));
    }
    Ok(())
}

/// The first number of a tag.
fn first(value: Value) -> Option<f32> {
    Some(match value {
        Value::List(values) => return values.into_iter().next().and_then(first),
        Value::Byte(v) => v.into(),
        Value::Short(v) => v.into(),
        Value::SignedByte(v) => v.into(),
        Value::SignedShort(v) => v.into(),
        Value::Unsigned(v) => v as f32,
        Value::Signed(v) => v as f32,
        Value::UnsignedBig(v) => v as f32,
        Value::SignedBig(v) => v as f32,
        Value::Float(v) => v,
        Value::Double(v) => v as f32,
        _ => return None,
    })
}

/// The range that ImageJ shows: `min=` and `max=` in a description that begins with its name.
fn shown_by_imagej(description: &str) -> Option<[f32; 2]> {
    description.starts_with("ImageJ=").then_some(())?;
    let number = |name: &str| {
        description.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=')?.trim().parse().ok())
    };
    Some([number("min")?, number("max")?])
}

/// `ExtraSamples` of alpha that the colours were multiplied with when they were stored, and of alpha that they were not
/// (TIFF 6.0, page 31).
const ASSOCIATED_ALPHA: u32 = 1;
const UNASSOCIATED_ALPHA: u32 = 2;

/// `PlanarConfiguration` of files with a plane for each channel (TIFF 6.0, page 38); tiff 0.11.3 panics where such planes are
/// tiled.
const SEPARATE_PLANES: u32 = 2;

/// The unsigned values of a tag; `None` when the file has none.
fn tag(decoder: &mut Decoder<Cursor<&[u8]>>, tag: Tag) -> Result<Option<Vec<u32>>> {
    decoder.find_tag_unsigned_vec(tag).map_err(explain)
}

/// A float clamped to `[0, 1]`; what is not a number becomes black.
fn unit(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

/// A palette's value in `[0, 1]`. Writers scale bytes to its 16 bits by 256 or by 257; the high byte is right for both.
fn high_byte(value: u32) -> f32 {
    (value >> 8) as f32 / 255.0
}

/// Samples of any type as numbers.
fn numbers(samples: DecodingResult, width: usize, depth: u8) -> Result<Numbers> {
    use DecodingResult::*;
    /// As floats: beyond 24 bits no image is told apart by the last of them.
    macro_rules! floats {
        ($values:ident, $kind:ident) => {
            Numbers { values: $values.into_iter().map(|value| value as f32).collect(), kind: Kind::$kind }
        };
    }
    Ok(match samples {
        U8(packed) if depth != 8 => Numbers { values: unpack(&packed, width, depth), kind: Kind::Unsigned },
        U8(values) => floats!(values, Unsigned),
        U16(values) if depth == 16 => floats!(values, Unsigned),
        // Where the highest bits are in use, all are.
        U32(values) if values.iter().any(|value| value >> 30 > 0) => floats!(values, Unsigned),
        U32(values) => floats!(values, Open),
        U64(values) => floats!(values, Open),
        I8(values) => floats!(values, Open),
        I16(values) => floats!(values, Open),
        I32(values) => floats!(values, Open),
        I64(values) => floats!(values, Open),
        F16(values) => Numbers { values: values.into_iter().map(f32::from).collect(), kind: Kind::Float },
        F32(values) => Numbers { values, kind: Kind::Float },
        F64(values) => floats!(values, Float),
        _ => return Err(unsupported(format!("TIFF with samples of {depth} bits"))),
    })
}

/// The colour of every index of a palette, which holds all reds, then all greens, then all blues.
fn palette_colours(palette: &[u32], depth: u8) -> Result<Vec<[f32; 3]>> {
    let levels = if depth <= 8 { 1 << depth } else { 0 };
    if levels == 0 || palette.len() != 3 * levels {
        return Err(Error::Damaged { format: "TIFF", reason: "its palette does not fit its pixels".into() });
    }
    let colour = |i: usize| [palette[i], palette[levels + i], palette[2 * levels + i]];
    Ok((0..levels).map(|i| colour(i).map(high_byte)).collect())
}

/// Numbers of 1 to 15 bits, the high ones first, rows padded to whole bytes.
fn unpack(packed: &[u8], width: usize, depth: u8) -> Vec<f32> {
    let bits = usize::from(depth);
    let row_bytes = (width * bits).div_ceil(8);
    let number = |row: &[u8], x: usize| {
        let (first, last) = (x * bits / 8, ((x + 1) * bits - 1) / 8);
        let joined = row[first..=last].iter().fold(0u32, |sum, &byte| sum << 8 | u32::from(byte));
        let behind = 8 * (last + 1) - (x + 1) * bits;
        (joined >> behind & ((1 << bits) - 1)) as f32
    };
    packed.chunks_exact(row_bytes).flat_map(|row| (0..width).map(move |x| number(row, x))).collect()
}

fn unsupported(what: String) -> Error {
    Error::Unsupported { what, advice: SAVE_AGAIN }
}

fn explain(error: TiffError) -> Error {
    match error {
        TiffError::UnsupportedError(TiffUnsupportedError::UnsupportedCompressionMethod(method)) => {
            unsupported(format!("TIFF compressed with {}", compression(method)))
        }
        TiffError::UnsupportedError(what) => unsupported(format!("TIFF of this kind ({what})")),
        other => Error::Damaged { format: "TIFF", reason: other.to_string() },
    }
}

/// The usual name of a compression, by its number in the registries of TIFF tags.
fn compression(method: CompressionMethod) -> String {
    match method.to_u16() {
        2 | 3 => "CCITT codes of groups 1 to 3".into(),
        6 => "the JPEG of TIFF 6.0, since replaced".into(),
        33003 | 33004 | 33005 | 34712 => "JPEG 2000".into(),
        34887 => "LERC".into(),
        34925 => "LZMA".into(),
        50000 | 34926 => "Zstandard".into(),
        50001 | 34927 => "WebP".into(),
        50002 => "JPEG XL".into(),
        number => format!("method {number}"),
    }
}
