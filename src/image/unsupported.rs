//! Names of what people have films in and is not read here: that is no damage, and there is something to do.

use std::io::Read;

use flate2::read::GzDecoder;

use super::{dicom, markers};
use crate::error::Error;

/// What to do with an image that its own program can open.
pub const SAVE_AGAIN: &str = "save it as PNG, as TIFF or as plain JPEG";

const CONVERT: &str = "convert it to PNG or TIFF, with 8 or 16 bits";
const UNPACK: &str = "unpack it and take the images inside";
const NO_IMAGE: &str = "take the image itself, as PNG, JPEG or TIFF";

/// First bytes of well-known files.
const SIGNATURES: &[(&[u8], &str, &str)] = &[
    (b"\xff\x4f\xff\x51", "JPEG 2000", SAVE_AGAIN),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", SAVE_AGAIN),
    (b"\xff\x0a", "JPEG XL", SAVE_AGAIN),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", SAVE_AGAIN),
    (b"\x93NUMPY", "a NumPy array (.npy)", CONVERT),
    (b"ObjectType", "a MetaImage file (.mha)", CONVERT),
    (b"NRRD", "an NRRD file", CONVERT),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", CONVERT),
    (b"P1", "a PBM image of black and white", SAVE_AGAIN),
    (b"P4", "a PBM image of black and white", SAVE_AGAIN),
    (b"P7", "a PAM image", SAVE_AGAIN),
    (b"%PDF-", "a PDF document", NO_IMAGE),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"8BPS", "a Photoshop file", SAVE_AGAIN),
];

/// The error for a file of none of the formats that are read.
pub fn named(bytes: &[u8]) -> Error {
    if bytes.is_empty() {
        return Error::UnknownFormat { reason: "the file is empty".into() };
    }
    match name(bytes).or_else(|| gzipped(bytes)) {
        Some((what, advice)) => Error::Unsupported { what, advice },
        None => Error::UnknownFormat { reason: "its first bytes belong to no image format".into() },
    }
}

/// What the file is, and what to do with it.
fn name(bytes: &[u8]) -> Option<(String, &'static str)> {
    let of = |what: &str, advice: &'static str| Some((what.to_owned(), advice));
    if let Some((_, what, advice)) = SIGNATURES.iter().find(|(signature, ..)| bytes.starts_with(signature)) {
        return of(what, advice);
    }
    match bytes {
        [0xff, 0xd8, 0xff, ..] => return of(&jpeg(markers::frame(bytes)?), SAVE_AGAIN),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', _, ..] => return of("AVIF", SAVE_AGAIN),
        [_, _, _, _, b'f', b't', b'y', b'p', b'h' | b'm', b'e' | b'i', ..] => return of("HEIC", SAVE_AGAIN),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => return of("a video", NO_IMAGE),
        [b'P', b'K', 3, 4, ..] => {
            // The name of the first file inside says what kind of archive it is.
            let arrays = bytes.get(30..200.min(bytes.len())).is_some_and(|head| head.windows(4).any(|w| w == b".npy"));
            return if arrays { of("an archive of NumPy arrays (.npz)", CONVERT) } else { of("a ZIP archive", UNPACK) };
        }
        _ => {}
    }
    if dicom::recognise(bytes) {
        return of("DICOM", UNPACK);
    }
    // The header's length, 348 or 540, in either byte order (nifti1.h and nifti2.h).
    if let [0x5c, 1, 0, 0, ..] | [0, 0, 1, 0x5c, ..] | [0x1c, 2, 0, 0, ..] | [0, 0, 2, 0x1c, ..] = bytes {
        return of("NIfTI", CONVERT);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return of("a tar archive", UNPACK);
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).to_lowercase();
    if text.contains("<svg") {
        return of("an SVG drawing", "export it as PNG");
    }
    if text.contains("<!doctype html") || text.contains("<html") {
        return of("a web page", "open its address in a browser and save the image itself");
    }
    None
}

/// The kind of a JPEG file that is not read (ITU T.81, table B.1).
fn jpeg(frame: markers::Frame) -> String {
    match (frame.marker, frame.bits) {
        (0xf7, _) => "JPEG-LS".into(),
        (0xc3 | 0xc7 | 0xcb | 0xcf, bits) => format!("lossless JPEG of {bits} bits"),
        (0xc0..=0xc2, bits) => format!("JPEG of {bits} bits"),
        (0xc5 | 0xc6, _) => "hierarchical JPEG".into(),
        _ => "JPEG with arithmetic codes".into(),
    }
}

/// What is in a file that is compressed as a whole.
fn gzipped(bytes: &[u8]) -> Option<(String, &'static str)> {
    if !bytes.starts_with(b"\x1f\x8b") {
        return None;
    }
    let mut head = Vec::new();
    // What can be unpacked of a broken file is enough.
    let _ = GzDecoder::new(bytes).take(1024).read_to_end(&mut head);
    Some(match name(&head) {
        Some((what, advice)) => (format!("{what} compressed with gzip"), advice),
        None => ("a file compressed with gzip".into(), UNPACK),
    })
}
