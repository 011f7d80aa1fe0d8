//! Zips, from bytes that lie anywhere: which files they hold, and each of them.
//!
//! What people have and what is no whole zip is named for what it is: broken off, behind a password, compressed in
//! another way, a web page. Nothing of it is left out without a word.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::DeflateDecoder;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::error::{Error, Result};

/// Bytes of a file that is read here and there.
pub trait Source {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills `into` with those from `at` on, and says how many were read: fewer at the end.
    ///
    /// # Errors
    /// Those of the file.
    fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize>;
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// A zip whose list of files was read.
#[derive(Debug)]
pub struct Archive<S> {
    name: String,
    source: S,
    entries: Vec<Entry>,
    broken_off: bool,
}

/// A file, or a folder, in a zip.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its path with `/` on every system; a folder's ends in it.
    pub path: String,
    /// Whether its name is known for sure: it may be in the code page of whoever packed it.
    pub known: bool,
    /// Bytes of the file.
    pub size: u64,
    method: u16,
    encrypted: bool,
    packed: u64,
    crc: u32,
    /// Where its local header begins.
    header: u64,
    /// Whether all of it is there.
    whole: bool,
}

/// Bytes of the record at the end of a zip, and of the longest comment after it.
const END: usize = 22;
const LONGEST_COMMENT: usize = 65_535;

/// Bytes read at a time.
const PIECE: usize = 1 << 16;

const LOCAL: &[u8] = b"PK\x03\x04";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";

impl<S: Source> Archive<S> {
    /// Reads the list of files of the zip called `name`.
    ///
    /// # Errors
    /// [`Error::Archive`] that says what the file is and what to do: no zip, an empty one, a part of one, one behind a
    /// password or compressed in a way that is not read. [`Error::Archive`] also when it cannot be read at all.
    pub fn open(name: &str, source: S) -> Result<Self> {
        let refuse = |reason: &str| Error::Archive { name: name.to_owned(), reason: reason.to_owned() };
        let io = |error: std::io::Error| refuse(&error.to_string());
        let mut head = vec![0; 512];
        let len = fill(&source, 0, &mut head).map_err(io)?;
        head.truncate(len);
        let listed = directory(&source).map_err(io)?;
        let (entries, broken_off) = match listed {
            Directory::Entries(entries) => (entries, false),
            Directory::OneOfSeveral => {
                return Err(refuse(
                    "it is one part of a zip in several parts; join them, or unpack them and give the folder",
                ));
            }
            Directory::None if head.starts_with(LOCAL) => (salvage(&source).map_err(io)?, true),
            Directory::None => return Err(refuse(what(&head))),
        };
        let archive = Self { name: name.to_owned(), source, entries, broken_off };
        let mut files = archive.entries.iter().filter(|entry| !entry.is_folder()).peekable();
        if files.peek().is_none() {
            return Err(refuse("there is no file in this zip"));
        }
        // One sentence where none of them can be read, rather than one for each.
        let mut troubles = files.map(|entry| entry.trouble());
        let first = troubles.next().flatten();
        match first {
            Some(trouble) if troubles.all(|other| other.as_ref() == Some(&trouble)) => Err(refuse(&format!(
                "all of its files are {trouble}; unpack it and give the folder, or pack it again as usual"
            ))),
            _ => Ok(archive),
        }
    }

    /// Its files and folders.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is wrong with it as a whole, as sentences.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let files = || self.entries.iter().filter(|entry| !entry.is_folder());
        if self.broken_off {
            let whole = files().filter(|entry| entry.whole).count();
            notes.push(format!(
                "{} breaks off: {whole} whole files are there, and nobody knows how many are missing; download or copy it again",
                self.name
            ));
        }
        if let Some(odd) = files().find(|entry| !entry.known) {
            notes.push(format!(
                "names in {} are in a code page that it does not tell, and may be wrong, such as {}; pack it again with \
                 names in UTF-8, or unpack it where it was made",
                self.name, odd.path
            ));
        }
        notes
    }

    /// The bytes of file number `index`, of which there may be `most`.
    ///
    /// # Errors
    /// [`Error::TooManyBytes`]; [`Error::Archive`] when it is damaged, or packed in a way that is not read.
    pub fn read(&self, index: usize, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.copy(index, most, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// Hands the bytes of file number `index` to `sink`, a piece at a time.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn copy(&self, index: usize, most: u64, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        let entry = &self.entries[index];
        let refuse = |reason: String| Error::Archive { name: format!("{} in {}", entry.path, self.name), reason };
        if let Some(trouble) = entry.trouble() {
            return Err(refuse(format!("it is {trouble}; unpack the zip and give the folder")));
        }
        if !entry.whole {
            return Err(refuse("the zip breaks off in it".into()));
        }
        if entry.size > most {
            return Err(Error::TooManyBytes { bytes: entry.size, limit: most });
        }
        let damaged = |error: std::io::Error| refuse(format!("it is damaged: {error}"));
        let start = data_start(&self.source, entry.header).map_err(damaged)?;
        let packed = BufReader::with_capacity(PIECE, At { source: &self.source, at: start, end: start + entry.packed });
        let mut crc = Crc::new();
        let mut give = |piece: &[u8]| {
            crc.update(piece);
            sink(piece);
        };
        // One byte more than it says shows that it says too little.
        let limit = entry.size + 1;
        match entry.method {
            0 => pieces(packed.take(limit), &mut give),
            _ => pieces(BufReader::with_capacity(PIECE, DeflateDecoder::new(packed).take(limit)), &mut give),
        }
        .map_err(damaged)?;
        if u64::from(crc.amount()) != entry.size & 0xffff_ffff || crc.sum() != entry.crc {
            return Err(refuse("it is damaged: its bytes are not those that were packed".into()));
        }
        Ok(())
    }
}

impl Entry {
    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.path.ends_with('/')
    }

    /// Why it cannot be read, as a word after "is".
    fn trouble(&self) -> Option<String> {
        let method = match self.method {
            _ if self.encrypted => return Some("protected by a password".into()),
            0 | 8 => return None,
            1..=5 => "an old method",
            6 => "Implode",
            9 => "Deflate64",
            12 => "bzip2",
            14 => "LZMA",
            93 | 20 => "Zstandard",
            95 => "XZ",
            98 => "PPMd",
            other => return Some(format!("compressed with method {other}, which is not read")),
        };
        Some(format!("compressed with {method}, which is not read"))
    }
}

/// Whether a file of this name and first bytes is opened as a zip: documents are zips too.
pub fn is_archive(file: &str, head: &[u8]) -> bool {
    let name = file.to_lowercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let called_so =
        ["zip", "rar", "7z", "tar", "tgz", "tbz2", "txz", "xz", "bz2"].contains(&ending) || name.ends_with(".tar.gz");
    // `films`, `films.zip (1)`.
    called_so || (head.starts_with(LOCAL) && (!name.contains('.') || name.contains(".zip")))
}

/// What a zip's files are put into: its name without the ending.
pub fn folder_name(file: &str) -> &str {
    let cut = file.to_lowercase().rfind(".zip").filter(|&at| at > 0 && file.is_char_boundary(at));
    cut.map_or(file, |at| &file[..at])
}

/// What a file is that is no zip, by its first bytes, and what to do.
fn what(head: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(head).trim_start_matches(['\u{feff}', ' ', '\r', '\n', '\t']).to_lowercase();
    if head.is_empty() {
        "it is empty; download or copy it again"
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") {
        "it is a web page, perhaps one to log in, and not the zip itself; log in and download it again"
    } else if text.starts_with('<') || text.starts_with('{') {
        "it is a text, perhaps the message of a server, and no zip; download it again"
    } else if head.starts_with(b"Rar!") {
        "it is a RAR archive, which is not read; unpack it and give the folder, or pack it as a zip"
    } else if head.starts_with(b"7z\xbc\xaf\x27\x1c") {
        "it is a 7z archive, which is not read; unpack it and give the folder, or pack it as a zip"
    } else if head.starts_with(b"\x1f\x8b") {
        "it is compressed with gzip, as tar.gz files are, which are not read; unpack it and give the folder, or pack it as a zip"
    } else if head.starts_with(b"BZh") || head.starts_with(b"\xfd7zXZ") || head.get(257..262) == Some(b"ustar") {
        "it is a tar archive, or a compressed one, which is not read; unpack it and give the folder, or pack it as a zip"
    } else if head.starts_with(b"PK") {
        "there is no file in this zip"
    } else {
        "it is no zip, or its beginning is missing; download or copy it again"
    }
}

/// The list of files at the end of a zip.
enum Directory {
    None,
    OneOfSeveral,
    Entries(Vec<Entry>),
}

fn directory(source: &impl Source) -> std::io::Result<Directory> {
    let len = source.size();
    let tail_at = len.saturating_sub((END + LONGEST_COMMENT) as u64);
    let mut tail = vec![0; (len - tail_at) as usize];
    let read = fill(source, tail_at, &mut tail)?;
    tail.truncate(read);
    let Some(end) = (0..tail.len().saturating_sub(END - 1)).rev().find(|&at| tail[at..].starts_with(b"PK\x05\x06"))
    else {
        return Ok(Directory::None);
    };
    let end_at = tail_at + end as u64;
    let record = Fields(&tail[end..]);
    let [mut count, mut size, mut offset] = [record.u16(10).into(), record.u32(12).into(), u64::from(record.u32(16))];
    if record.u16(4) != 0 && record.u16(4) != 0xffff {
        return Ok(Directory::OneOfSeveral);
    }
    let mut before = end_at;
    if count == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff {
        let mut locator = [0; 20];
        if end_at >= 20 && fill(source, end_at - 20, &mut locator)? == 20 && locator.starts_with(b"PK\x06\x07") {
            let mut long = [0; 56];
            let at = Fields(&locator).u64(8);
            if fill(source, at, &mut long)? == 56 && long.starts_with(b"PK\x06\x06") {
                let long = Fields(&long);
                (count, size, offset) = (long.u64(32), long.u64(40), long.u64(48));
                before = at;
            }
        }
    }
    // Bytes in front of the zip move everything.
    let Some(start) = before.checked_sub(size) else { return Ok(Directory::None) };
    let Some(shift) = start.checked_sub(offset) else { return Ok(Directory::None) };
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    if fill(source, start, &mut bytes)? as u64 != size {
        return Ok(Directory::None);
    }
    Ok(listed(&bytes, count, shift).map_or(Directory::None, Directory::Entries))
}

/// The entries of a central directory; `None` when it is none.
fn listed(bytes: &[u8], count: u64, shift: u64) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 46 && rest.starts_with(b"PK\x01\x02") {
        let fields = Fields(rest);
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(fields.u16(at)));
        let (name, after) = rest[46..].split_at_checked(name)?;
        let (extra, after) = after.split_at_checked(extra)?;
        let [packed, size, header] = long_sizes(extra, [(fields.u32(20), 1), (fields.u32(24), 0), (fields.u32(42), 2)]);
        let flags = fields.u16(8);
        let (path, known) = path_of(name, flags, extra);
        let method = fields.u16(10);
        let encrypted = flags & 1 != 0;
        entries.push(Entry {
            path,
            known,
            size,
            method,
            encrypted,
            packed,
            crc: fields.u32(16),
            header: header + shift,
            whole: true,
        });
        rest = after.get(comment..)?;
    }
    (entries.len() as u64 == count || (count == 0xffff && entries.len() > 0xffff)).then_some(entries)
}

/// Sizes that do not fit 32 bits are in an extra field, in the order that each value's second number tells.
fn long_sizes<const N: usize>(extra: &[u8], fields: [(u32, usize); N]) -> [u64; N] {
    let long = extra_field(extra, 1).unwrap_or_default();
    let missing = |order: usize| fields.iter().filter(|(value, other)| *value == u32::MAX && *other < order).count();
    fields.map(|(value, order)| match long.get(8 * missing(order)..8 * missing(order) + 8) {
        Some(bytes) if value == u32::MAX => Fields(bytes).u64(0),
        _ => value.into(),
    })
}

fn extra_field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let (id, len) = (Fields(extra).u16(0), usize::from(Fields(extra).u16(2)));
        let field = extra.get(4..4 + len)?;
        if id == wanted {
            return Some(field);
        }
        extra = &extra[4 + len..];
    }
    None
}

/// A name as text, and whether it is known for sure: as UTF-8, by Info-ZIP's Unicode path field, or in code page 437, which
/// the format says where nothing else is said.
fn path_of(name: &[u8], flags: u16, extra: &[u8]) -> (String, bool) {
    let crc = |bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc.sum()
    };
    let unicode = extra_field(extra, 0x7075).filter(|field| field.len() > 5 && Fields(field).u32(1) == crc(name));
    let (text, known) = match (unicode.map(|field| &field[5..]), std::str::from_utf8(name)) {
        (Some(unicode), _) if flags & 0x800 == 0 => (String::from_utf8_lossy(unicode).into_owned(), true),
        (_, Ok(text)) => (text.to_owned(), true),
        _ => {
            // Frames, shades and mathematics are in no name: another code page's letters look so.
            let letters = name.iter().all(|byte| matches!(byte, 0..=0xaf | 0xe1));
            (name.iter().map(|&byte| cp437(byte)).collect(), letters && flags & 0x800 == 0)
        }
    };
    let text = text.replace('\\', "/");
    let folder = if text.ends_with('/') { "/" } else { "" };
    let parts: Vec<&str> = text.split('/').filter(|part| !["", ".", ".."].contains(part)).collect();
    (parts.join("/") + folder, known)
}

/// The upper half of IBM's code page 437.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

fn cp437(byte: u8) -> char {
    match byte {
        0..=127 => byte.into(),
        _ => CP437.chars().nth(usize::from(byte - 128)).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// The files of a zip without a list, one after the other.
fn salvage(source: &impl Source) -> std::io::Result<Vec<Entry>> {
    let (len, mut at) = (source.size(), 0);
    let mut entries = Vec::new();
    let mut head = [0; 30];
    while fill(source, at, &mut head)? == 30 && head.starts_with(LOCAL) {
        let fields = Fields(&head);
        let flags = fields.u16(6);
        let [name_len, extra_len] = [26, 28].map(|at| usize::from(fields.u16(at)));
        let mut names = vec![0; name_len + extra_len];
        if fill(source, at + 30, &mut names)? != names.len() {
            break;
        }
        let (name, extra) = names.split_at(name_len);
        let (path, known) = path_of(name, flags, extra);
        let [packed, size] = long_sizes(extra, [(fields.u32(18), 1), (fields.u32(22), 0)]);
        let start = at + 30 + names.len() as u64;
        let (method, crc) = (fields.u16(8), fields.u32(14));
        let entry =
            Entry { path, known, size, method, encrypted: flags & 1 != 0, packed, crc, header: at, whole: true };
        let (entry, next) = if flags & 8 != 0 && packed == 0 {
            described(source, entry, start)?
        } else {
            let whole = start + packed <= len;
            (Entry { whole, ..entry }, start + packed)
        };
        let whole = entry.whole;
        entries.push(entry);
        if !whole {
            break;
        }
        at = next;
    }
    Ok(entries)
}

/// An entry whose size is told after its bytes only, and where the next one begins.
fn described(source: &impl Source, entry: Entry, start: u64) -> std::io::Result<(Entry, u64)> {
    let found = match entry.method {
        8 => inflated(source, start)?,
        0 => stored(source, start)?,
        _ => None,
    };
    let Some((packed, size, crc)) = found else { return Ok((Entry { whole: false, ..entry }, source.size())) };
    let end = start + packed;
    let mut after = [0; 28];
    let read = fill(source, end, &mut after)?;
    // With or without a signature, with sizes of four bytes or of eight.
    let lengths = if after.starts_with(DESCRIPTOR) { [16, 24] } else { [12, 20] };
    let next = lengths.into_iter().find(|&len| after[..read].get(len..len + 2) == Some(b"PK"));
    let next = end + next.unwrap_or(lengths[0]) as u64;
    Ok((Entry { packed, size, crc, ..entry }, next))
}

/// Packed and unpacked bytes of what is deflated from `start` on, and its checksum; `None` when it does not end.
fn inflated(source: &impl Source, start: u64) -> std::io::Result<Option<(u64, u64, u32)>> {
    let mut reader = BufReader::with_capacity(PIECE, At { source, at: start, end: source.size() });
    let (mut inflate, mut out, mut crc) = (Decompress::new(false), vec![0; PIECE], Crc::new());
    loop {
        let input = reader.fill_buf()?;
        if input.is_empty() {
            return Ok(None);
        }
        let [before_in, before_out] = [inflate.total_in(), inflate.total_out()];
        let Ok(status) = inflate.decompress(input, &mut out, FlushDecompress::None) else { return Ok(None) };
        crc.update(&out[..(inflate.total_out() - before_out) as usize]);
        reader.consume((inflate.total_in() - before_in) as usize);
        if status == Status::StreamEnd {
            return Ok(Some((inflate.total_in(), inflate.total_out(), crc.sum())));
        }
    }
}

/// The same of what is stored as it is: up to a descriptor that tells just so many bytes.
fn stored(source: &impl Source, start: u64) -> std::io::Result<Option<(u64, u64, u32)>> {
    let mut reader = BufReader::with_capacity(PIECE, At { source, at: start, end: source.size() });
    let (mut crc, mut size, mut window) = (Crc::new(), 0_u64, Vec::<u8>::new());
    // A window of a descriptor's length over the bytes.
    for byte in reader.by_ref().bytes() {
        window.push(byte?);
        if window.len() < 16 {
            continue;
        }
        let fields = Fields(&window);
        if window.starts_with(DESCRIPTOR) && u64::from(fields.u32(8)) == size && fields.u32(4) == crc.sum() {
            return Ok(Some((size, size, crc.sum())));
        }
        crc.update(&window[..1]);
        window.remove(0);
        size += 1;
    }
    Ok(None)
}

/// Where the bytes of an entry begin.
fn data_start(source: &impl Source, header: u64) -> std::io::Result<u64> {
    let mut head = [0; 30];
    if fill(source, header, &mut head)? != 30 || !head.starts_with(LOCAL) {
        return Err(std::io::Error::other("the zip's list does not fit its files"));
    }
    let [name, extra] = [26, 28].map(|at| u64::from(Fields(&head).u16(at)));
    Ok(header + 30 + name + extra)
}

/// Numbers, the low byte first, at fixed places of a record that is long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}

/// A part of a source as a reader.
struct At<'a, S> {
    source: &'a S,
    at: u64,
    end: u64,
}

impl<S: Source> Read for At<'_, S> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(into.len());
        let read = self.source.read_at(self.at, &mut into[..most])?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Fills `into` as far as there are bytes.
fn fill(source: &impl Source, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match source.read_at(at + filled as u64, &mut into[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn pieces(mut reader: impl BufRead, sink: &mut dyn FnMut(&[u8])) -> std::io::Result<()> {
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok(());
        }
        sink(piece);
        let len = piece.len();
        reader.consume(len);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    /// A zip as Python 3.11's `zipfile` writes it with `ZIP_DEFLATED`: `a/b.txt` with 40 times "film", `c.txt` with "x".
    const PYTHON: &str = "504b03041400000008000000215cf783baeb09000000a000000007000000612f622e7478744bcbccc94d1bc41800504b03041400000008000000215c8316dc8c030000000100000005000000632e747874ab0000504b010214031400000008000000215cf783baeb09000000a0000000070000000000000000000000800100000000612f622e747874504b010214031400000008000000215c8316dc8c030000000100000005000000000000000000000080012e000000632e747874504b0506000000000200020068000000540000000000";

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    /// How an entry is written: flags, method and extra field.
    #[derive(Default, Clone, Copy)]
    struct How<'a> {
        flags: u16,
        method: u16,
        extra: &'a [u8],
    }

    fn zip(files: &[(&[u8], &[u8], How)]) -> Vec<u8> {
        let (mut out, mut list) = (Vec::new(), Vec::new());
        for (name, content, how) in files {
            let header = out.len() as u32;
            let packed = if how.method == 8 {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            } else {
                content.to_vec()
            };
            let mut crc = Crc::new();
            crc.update(content);
            let sizes = [crc.sum(), packed.len() as u32, content.len() as u32];
            let later = how.flags & 8 != 0;
            let shared = |sizes: [u32; 3]| {
                let mut bytes = [20_u16, how.flags, how.method, 0, 0].map(u16::to_le_bytes).concat();
                bytes.extend(sizes.map(u32::to_le_bytes).concat());
                bytes.extend([name.len() as u16, how.extra.len() as u16].map(u16::to_le_bytes).concat());
                bytes
            };
            out.extend([LOCAL, &shared(if later { [0; 3] } else { sizes }), name, how.extra, &packed].concat());
            if later {
                out.extend([DESCRIPTOR, &sizes.map(u32::to_le_bytes).concat()].concat());
            }
            list.extend(
                [b"PK\x01\x02\x14\0", &shared(sizes)[..], &[0; 10], &header.to_le_bytes(), name, how.extra].concat(),
            );
        }
        let (at, len, n) = (out.len() as u32, list.len() as u32, files.len() as u16);
        out.extend(list);
        out.extend(
            [
                b"PK\x05\x06\0\0\0\0",
                &n.to_le_bytes()[..],
                &n.to_le_bytes(),
                &len.to_le_bytes(),
                &at.to_le_bytes(),
                &[0; 2],
            ]
            .concat(),
        );
        out
    }

    fn paths<S: Source>(archive: &Archive<S>) -> Vec<&str> {
        archive.entries().iter().map(|entry| entry.path.as_str()).collect()
    }

    fn refusal(bytes: &[u8]) -> String {
        Archive::open("set.zip", bytes.to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn what_another_program_packed_is_read() {
        let archive = Archive::open("set.zip", unhex(PYTHON)).unwrap();
        assert_eq!(paths(&archive), ["a/b.txt", "c.txt"]);
        assert_eq!(archive.read(0, 1000).unwrap(), b"film".repeat(40));
        assert_eq!(archive.read(1, 1000).unwrap(), b"x");
        assert!(matches!(archive.read(0, 100), Err(Error::TooManyBytes { bytes: 160, limit: 100 })));
        assert!(archive.notes().is_empty());
    }

    #[test]
    fn a_zip_that_breaks_off_gives_what_is_there_and_says_so() {
        let deflated = How { method: 8, ..How::default() };
        let long: Vec<u8> = (0..2000_u32).map(|i| (i * i % 251) as u8).collect();
        for how in [deflated, How { flags: 8, ..deflated }, How::default(), How { flags: 8, ..How::default() }] {
            let bytes = zip(&[(b"a.png", &long, how), (b"b.png", &long, how), (b"c.png", &long, how)]);
            let whole = Archive::open("set.zip", bytes.clone()).unwrap();
            assert_eq!((whole.read(2, 5000).unwrap(), whole.notes().len()), (long.clone(), 0));
            let list = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
            // In the third.
            let cut = Archive::open("set.zip", bytes[..list - 30].to_vec()).unwrap();
            assert!(cut.notes()[0].contains("set.zip breaks off: 2 whole files"), "{:?}", cut.notes());
            assert_eq!(cut.read(1, 5000).unwrap(), long);
            assert!(cut.read(2, 5000).unwrap_err().to_string().contains("c.png in set.zip: the zip breaks off in it"));
            // All files, and no list.
            let cut = Archive::open("set.zip", bytes[..list].to_vec()).unwrap();
            assert!(cut.notes()[0].contains("3 whole files"), "{:?}", cut.notes());
        }
    }

    #[test]
    fn names_are_utf8_or_of_the_unicode_field_or_of_code_page_437() {
        let mut field = vec![1];
        let mut crc = Crc::new();
        crc.update(b"\xff.png");
        field.extend(crc.sum().to_le_bytes());
        field.extend("é.png".bytes());
        let extra = [&0x7075_u16.to_le_bytes()[..], &(field.len() as u16).to_le_bytes(), &field].concat();
        let plain = How::default();
        let bytes = zip(&[
            ("Neumonía/1.png".as_bytes(), b"", plain),
            (b"Neumon\xa1a/2.png", b"", plain),
            (b"\xff.png", b"", How { extra: &extra, ..plain }),
            (b"\xd5\xfd\xb3\xa3/3.png", b"", plain),
            (b"films\\train\\", b"", plain),
            (b"films\\train\\4.png", b"", plain),
            (b"../../5.png", b"", plain),
        ]);
        let archive = Archive::open("set.zip", bytes).unwrap();
        let expected =
            ["Neumonía/1.png", "Neumonía/2.png", "é.png", "╒²│ú/3.png", "films/train/", "films/train/4.png", "5.png"];
        assert_eq!(paths(&archive), expected);
        let known: Vec<bool> = archive.entries().iter().map(|entry| entry.known).collect();
        assert_eq!(known, [true, true, true, false, true, true, true]);
        assert!(archive.notes()[0].contains("code page"), "{:?}", archive.notes());
    }

    #[test]
    fn what_is_no_zip_or_is_not_read_is_named_with_what_to_do() {
        let one =
            |flags, method| zip(&[(b"a.png", b"x", How { flags, method, extra: &[] }), (b"dir/", b"", How::default())]);
        for (bytes, named) in [
            (b"".to_vec(), "it is empty"),
            (b"\r\n<!DOCTYPE HTML><title>Login</title>".to_vec(), "web page"),
            (b"Rar!\x1a\x07\x01\0".to_vec(), "RAR archive, which is not read; unpack it"),
            (b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), "7z archive"),
            (b"\x1f\x8b\x08\0".to_vec(), "tar.gz"),
            (zip(&[]), "no file in this zip"),
            (one(1, 0), "protected by a password; unpack it and give the folder"),
            (one(0, 12), "compressed with bzip2, which is not read"),
            (one(0, 14), "LZMA"),
            (one(0, 9), "Deflate64"),
            (b"film".repeat(9), "no zip"),
        ] {
            let message = refusal(&bytes);
            assert!(message.starts_with("set.zip: ") && message.contains(named), "{named}: {message}");
        }
    }

    #[test]
    fn changed_bytes_are_noticed() {
        let mut bytes = zip(&[(b"a.png", b"film film film", How::default())]);
        let at = bytes.windows(4).position(|four| four == b"film").unwrap();
        bytes[at] ^= 1;
        let archive = Archive::open("set.zip", bytes).unwrap();
        assert!(archive.read(0, 100).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_zip_is_known_by_its_name_or_its_bytes_and_documents_are_none() {
        for file in ["a.zip", "A.ZIP", "films", "films.zip (1)", "a.rar"] {
            assert!(is_archive(file, b"PK\x03\x04"), "{file}");
        }
        for (file, head) in [("a.xlsx", &b"PK\x03\x04"[..]), ("films", b"\x89PNG"), ("a.png", b"PK\x03\x04")] {
            assert!(!is_archive(file, head), "{file}");
        }
        assert_eq!(["NORMAL.zip", "a.ZIP (1)", "films"].map(folder_name), ["NORMAL", "a", "films"]);
    }
}
