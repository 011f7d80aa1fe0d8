//! The directories of a TIFF file, as far as the `tiff` crate leaves them alone: which page is the film, and a copy of the file
//! in which that page comes first and is of a kind that the crate reads.

use std::borrow::Cow;

use tiff::tags::Tag;

/// `PhotometricInterpretation` (TIFF 6.0, page 37).
const WHITE_IS_ZERO: u64 = 0;
const BLACK_IS_ZERO: u64 = 1;
const PALETTE: u64 = 3;

/// Bits of `NewSubfileType` of pages that are not the film: a smaller copy of another page, and a mask (TIFF 6.0, page 36).
const REDUCED: u64 = 1;
const MASK: u64 = 4;

/// Directories looked at, in a file that may have them in a circle.
const MOST_PAGES: usize = 64;

/// The page that is the film, in a file that the crate reads.
pub struct Page<'a> {
    pub file: Cow<'a, [u8]>,
    /// Whether its grey values stand for the colours of a palette.
    pub palette: bool,
    /// Whether small numbers are bright. They are given as they are stored.
    pub white_is_zero: bool,
    /// The width in pixels and the bits of a value where these are packed; they are given as bytes of 8.
    pub packed: Option<(u32, u8)>,
}

/// The first page that is no smaller copy of another, also where it hangs below one that is; the first where there is none.
pub fn film(bytes: &[u8]) -> Page<'_> {
    let as_it_is = Page { file: bytes.into(), palette: false, white_is_zero: false, packed: None };
    Layout::of(bytes).and_then(|layout| layout.film()).unwrap_or(as_it_is)
}

/// How the numbers of a file are stored.
#[derive(Clone, Copy)]
struct Layout<'a> {
    bytes: &'a [u8],
    little: bool,
    /// BigTIFF, where places and counts have 8 bytes.
    big: bool,
}

/// One entry of a directory.
#[derive(Clone, Copy)]
struct Entry {
    tag: u16,
    /// Bytes of a value, 0 where it is no whole number.
    size: usize,
    count: usize,
    /// Where the values are.
    at: usize,
}

impl<'a> Layout<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (little, big) = match bytes.get(..4)? {
            b"II*\0" => (true, false),
            b"MM\0*" => (false, false),
            b"II+\0" => (true, true),
            b"MM\0+" => (false, true),
            _ => return None,
        };
        Some(Self { bytes, little, big })
    }

    /// Bytes of a place in the file.
    fn wide(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    /// Where the place of the first directory is.
    fn head(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    /// The whole number of `size` bytes.
    fn number(&self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?.iter().map(|&byte| u64::from(byte));
        let joined = |sum, byte| sum << 8 | byte;
        Some(if self.little { bytes.rev().fold(0, joined) } else { bytes.fold(0, joined) })
    }

    fn place(&self, at: usize) -> Option<usize> {
        usize::try_from(self.number(at, self.wide())?).ok()
    }

    /// The entries of the directory at a place, and the place of the next directory.
    fn directory(&self, at: usize) -> Option<(Vec<Entry>, usize)> {
        let (count_size, entry_size) = if self.big { (8, 20) } else { (2, 12) };
        let count = usize::try_from(self.number(at, count_size)?).ok()?;
        let first = at.checked_add(count_size)?;
        let end = first.checked_add(count.checked_mul(entry_size)?)?;
        self.bytes.get(first..end)?;
        let entry = |at: usize| {
            // BYTE, SHORT, LONG, IFD, LONG8 and IFD8 (TIFF 6.0, page 15; BigTIFF).
            let size: usize = match self.number(at + 2, 2)? {
                1 => 1,
                3 => 2,
                4 | 13 => 4,
                16 | 18 => 8,
                _ => 0,
            };
            let count = self.place(at + 4)?;
            let value = at + 4 + self.wide();
            let inside = size.checked_mul(count)? <= self.wide();
            let at_values = if inside { value } else { self.place(value)? };
            Some(Entry { tag: self.number(at, 2)? as u16, size, count, at: at_values })
        };
        let entries = (first..end).step_by(entry_size).filter_map(entry).collect();
        Some((entries, self.place(end).unwrap_or(0)))
    }

    /// The whole numbers of an entry; none where it holds others.
    fn values(&self, entry: Entry) -> Vec<u64> {
        let count = if entry.size == 0 { 0 } else { entry.count.min(MOST_PAGES) };
        (0..count).filter_map(|i| self.number(entry.at.checked_add(i * entry.size)?, entry.size)).collect()
    }

    /// The first value of a tag.
    fn value(&self, entries: &[Entry], tag: Tag) -> Option<u64> {
        let entry = entries.iter().find(|entry| entry.tag == tag.to_u16())?;
        self.values(*entry).first().copied()
    }

    /// See [`film`].
    fn film(&self) -> Option<Page<'a>> {
        let first = self.place(self.head())?;
        let (chosen, entries) = self.chosen(first)?;
        let mut edits: Vec<(usize, usize, u64)> = Vec::new();
        if chosen != first {
            edits.push((self.head(), self.wide(), chosen as u64));
        }
        let mut edit = |tag: Tag, value: u64| {
            let entry = entries.iter().find(|entry| entry.tag == tag.to_u16() && entry.size > 0);
            edits.extend(entry.map(|entry| (entry.at, entry.size, value)));
        };
        let photometric = self.value(&entries, Tag::PhotometricInterpretation);
        let (palette, white_is_zero) = (photometric == Some(PALETTE), photometric == Some(WHITE_IS_ZERO));
        if palette || white_is_zero {
            edit(Tag::PhotometricInterpretation, BLACK_IS_ZERO);
        }
        let packed = self.packed(&entries);
        if let Some((width, bits)) = packed {
            edit(Tag::ImageWidth, (u64::from(width) * u64::from(bits)).div_ceil(8));
            edit(Tag::BitsPerSample, 8);
        }
        let mut page = Page { file: self.bytes.into(), palette, white_is_zero, packed };
        for (at, size, value) in edits {
            let bytes = value.to_be_bytes();
            let field = page.file.to_mut().get_mut(at..at.checked_add(size)?)?;
            field.copy_from_slice(&bytes[8 - size..]);
            if self.little {
                field.reverse();
            }
        }
        Some(page)
    }

    /// Place and entries of the page that is the film.
    fn chosen(&self, first: usize) -> Option<(usize, Vec<Entry>)> {
        let mut next = first;
        for _ in 0..MOST_PAGES {
            if next == 0 {
                break;
            }
            // A page that is not there is what the crate complains about: no thumbnail before it stands in for it.
            let Some((entries, following)) = self.directory(next) else { return Some((next, Vec::new())) };
            let below = entries.iter().find(|entry| entry.tag == Tag::SubIfd.to_u16()).map(|entry| self.values(*entry));
            if self.is_film(&entries) {
                return Some((next, entries));
            }
            for place in below.into_iter().flatten().filter_map(|place| usize::try_from(place).ok()) {
                let Some((entries, _)) = self.directory(place) else { return Some((place, Vec::new())) };
                if self.is_film(&entries) {
                    return Some((place, entries));
                }
            }
            next = following;
        }
        Some((first, self.directory(first)?.0))
    }

    /// Whether a page is no smaller copy of another, nor a mask. Tag 255 is what 254 was called before TIFF 5.0.
    fn is_film(&self, entries: &[Entry]) -> bool {
        let kind = self.value(entries, Tag::NewSubfileType).unwrap_or(0);
        let older = self.value(entries, Tag::SubfileType);
        self.value(entries, Tag::ImageWidth).is_some() && kind & (REDUCED | MASK) == 0 && older != Some(2)
    }

    /// Width and bits of values of 9 to 15 bits, which the crate does not know, in rows that end with a whole byte.
    fn packed(&self, entries: &[Entry]) -> Option<(u32, u8)> {
        let one = |tag, otherwise| self.value(entries, tag).unwrap_or(otherwise);
        let bits = one(Tag::BitsPerSample, 1);
        let plain = one(Tag::SamplesPerPixel, 1) == 1
            && one(Tag::SampleFormat, 1) == 1
            && one(Tag::Predictor, 1) == 1
            && self.value(entries, Tag::TileWidth).is_none();
        let width = u32::try_from(self.value(entries, Tag::ImageWidth)?).ok()?;
        ((9..16).contains(&bits) && plain).then_some((width, bits as u8))
    }
}
