//! DICOM files of every syntax and of every way from numbers to grey, against pydicom's reading of them
//! (`fixtures/make_dicom.py`).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use roentgen::error::Error;
use roentgen::image::{Limits, decode, is_dicom};
use roentgen::preprocess::Preprocess;
use serde::Deserialize;

use crate::common::{FUZZ, change_every_byte};

#[derive(Deserialize)]
struct Expected {
    pictures: BTreeMap<String, Picture>,
    files: BTreeMap<String, File>,
    /// Files that do not say which of their numbers, from the first to the second, are black and white.
    open: BTreeMap<String, [f32; 2]>,
    /// Files whose header says that they are no chest radiograph, and how it does.
    refused: BTreeMap<String, String>,
    /// Files in codes that are not read, and what their message says.
    unsupported: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Picture {
    height: usize,
    width: usize,
    luma: Vec<f32>,
}

#[derive(Deserialize)]
struct File {
    picture: String,
    /// As a share of black to white: one level for lossy codes, the rounding of pydicom's values elsewhere.
    tolerance: f32,
    #[serde(default = "one")]
    frames: u32,
}

fn one() -> u32 {
    1
}

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dicom");
    std::fs::read(folder.join(name)).unwrap()
}

fn expected() -> Expected {
    serde_json::from_slice(&read("expected.json")).unwrap()
}

#[test]
fn every_syntax_and_every_way_to_grey_reads_as_pydicom_reads_it() {
    let expected = expected();
    assert!(expected.files.len() > 60);
    let mut wrong = Vec::new();
    for (name, File { picture, tolerance, frames }) in &expected.files {
        let picture = &expected.pictures[picture];
        let image = match decode(&read(name), &Limits::default()) {
            Ok(image) => image,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let size = (image.height(), image.width(), image.frames());
        if size != (picture.height, picture.width, *frames) {
            wrong.push(format!("{name}: {size:?}"));
            continue;
        }
        let pairs = image.luma().iter().zip(&picture.luma);
        let difference = pairs.map(|(found, value)| (found - value).abs()).fold(0.0, f32::max);
        if difference > *tolerance {
            wrong.push(format!("{name}: differs by {difference}, allowed {tolerance}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn signed_numbers_without_a_window_ask_for_the_value_range() {
    for (name, found) in expected().open {
        let image = decode(&read(&name), &Limits::default()).expect(&name);
        let plain = Preprocess::new(1, 32, 32);
        let error = plain.ranged(&image).expect_err(&name);
        let Error::ValueRange { smallest, largest, .. } = error else { panic!("{name}: {error}") };
        assert_eq!([smallest, largest], found, "{name}");
        let ranged = Preprocess { value_range: Some([-2048.0, 2047.0]), ..plain };
        let image = ranged.ranged(&image).expect(&name).into_owned();
        // The first number of the picture is 40, 2048 above what is stored.
        assert!((image.luma()[0] - 40.0 / 4095.0).abs() < 1e-4, "{name}: {}", image.luma()[0]);
    }
}

#[test]
fn what_the_file_says_of_its_numbers_leaves_no_question_and_sixteen_bits_of_which_twelve_are_used_do() {
    let mut sixteen = read("explicit.dcm");
    // BitsStored and HighBit of 16: elements (0028,0101) and (0028,0102), US.
    for (element, value) in [(1, 16), (2, 15)] {
        let header = [0x28, 0, element, 1, b'U', b'S', 2, 0];
        let at = sixteen.windows(8).position(|window| window == header).unwrap() + 8;
        sixteen[at] = value;
    }
    let image = decode(&sixteen, &Limits::default()).unwrap();
    assert_eq!(image.values().unwrap().unused_above(), Some(4096));
    for name in ["explicit.dcm", "sixteen.dcm", "window.dcm", "mono1.dcm", "eight.dcm", "voi-lut.dcm"] {
        let image = decode(&read(name), &Limits::default()).expect(name);
        assert_eq!(image.values().and_then(|values| values.unused_above()), None, "{name}");
    }
}

#[test]
fn what_is_no_chest_radiograph_is_refused_by_its_header_before_its_pixels_are_read() {
    for (name, words) in expected().refused {
        let whole = read(&name);
        // All but the last of the pixels are missing, which nobody notices.
        let error = decode(&whole, &Limits { max_pixels: 1, ..Limits::default() }).expect_err(&name);
        assert!(matches!(&error, Error::NotChest { what } if *what == words), "{name}: {error}");
    }
}

#[test]
fn codes_that_are_not_read_are_named_with_what_to_do() {
    for (name, words) in expected().unsupported {
        let error = decode(&read(&name), &Limits::default()).expect_err(&name);
        assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains(&words)), "{name}: {error}");
    }
}

#[test]
fn a_file_that_breaks_off_is_damaged_wherever_it_does() {
    let error = decode(&read("truncated.dcm"), &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Damaged { format: "DICOM", .. }), "{error}");
    for name in expected().files.keys() {
        let bytes = read(name);
        for length in 0..bytes.len() {
            // Of several frames the first is enough.
            let needed = name.starts_with("frames");
            let image = decode(&bytes[..length], &FUZZ);
            assert!(image.is_err() || needed || length + 16 > bytes.len(), "{name} cut to {length} of {}", bytes.len());
        }
    }
}

#[test]
fn no_changed_byte_in_any_file_panics() {
    let expected = expected();
    let others = expected.refused.keys().chain(expected.unsupported.keys()).chain(expected.open.keys());
    for name in expected.files.keys().chain(others) {
        change_every_byte(name, read(name));
    }
}

#[test]
fn sizes_that_are_claimed_are_refused_with_their_numbers() {
    for name in expected().files.keys() {
        for (max_side, max_pixels) in [(23, 1000), (1000, 24 * 16 - 1)] {
            let small = Limits { max_side, max_pixels, ..Limits::default() };
            let error = decode(&read(name), &small).expect_err(name);
            assert!(matches!(error, Error::TooLarge { .. } | Error::TooManyPixels { .. }), "{name}: {error}");
        }
    }
    // The square image of pixels that are twice as high as wide.
    let tall = Limits { max_side: 31, ..Limits::default() };
    let error = decode(&read("aspect.dcm"), &tall).unwrap_err();
    assert!(matches!(error, Error::TooLarge { width: 24, height: 32, limit: 31 }), "{error}");
}

#[test]
fn a_bomb_of_deflated_zeros_is_not_inflated() {
    // The file's own header, whose first element says how long the rest of it is, and then zeros.
    let mut file = read("deflated.dcm");
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap());
    file.truncate(144 + length as usize);
    let mut packed = DeflateEncoder::new(file, Compression::best());
    packed.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = packed.finish().unwrap();
    let error = decode(&bomb, &FUZZ).unwrap_err();
    assert!(bomb.len() < 100_000 && matches!(error, Error::TooManyBytes { limit: 1_048_576, .. }), "{error}");
}

#[test]
fn nothing_of_the_patient_is_in_any_message() {
    let expected = expected();
    let small = Limits { max_pixels: 1, ..Limits::default() };
    let names = expected.files.keys().chain(expected.refused.keys()).chain(expected.unsupported.keys());
    for name in names.map(String::as_str).chain(["truncated.dcm"]) {
        let bytes = read(name);
        let patient = ["Doe", "Jane", "4711", "Nowhere"];
        let stored = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(name == "deflated.dcm" || patient.iter().all(|word| stored(word)), "{name} has no patient");
        let message = decode(&bytes, &small).expect_err(name).to_string();
        assert!(!patient.iter().any(|word| message.contains(word)), "{name}: {message}");
    }
}

#[test]
fn a_dicom_file_is_known_by_its_bytes_and_others_are_none() {
    for name in expected().files.keys() {
        assert!(is_dicom(&read(name)), "{name}");
    }
    for other in [&b""[..], b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"\x08\0\x05\0abcd", &[0; 200]] {
        assert!(!is_dicom(other), "{other:?}");
    }
}
