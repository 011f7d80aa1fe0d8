//! Film files of every kind, whole and broken, against Pillow's reading of them (`fixtures/make_images.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use roentgen::error::Error;
use roentgen::image::{Limits, Radiograph, decode, is_for_browsers};
use roentgen::preprocess::Preprocess;
use serde::Deserialize;

use crate::common::{FUZZ, change_every_byte};

#[derive(Deserialize)]
struct Expected {
    pictures: BTreeMap<String, Picture>,
    files: BTreeMap<String, File>,
    /// Files whose numbers leave open what is black and white.
    open: BTreeMap<String, Open>,
}

#[derive(Deserialize)]
struct Picture {
    height: usize,
    width: usize,
    white: f32,
    luma: Vec<f32>,
}

#[derive(Deserialize)]
struct File {
    picture: String,
    tolerance: f32,
}

#[derive(Deserialize)]
struct Open {
    #[serde(flatten)]
    file: File,
    /// The smallest and the largest number.
    found: [f32; 2],
    /// The range that makes the picture of them.
    asked: [f32; 2],
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn expected() -> Expected {
    serde_json::from_slice(&read("expected.json")).unwrap()
}

fn broken(name: &str) -> Error {
    decode(&read(&format!("broken/{name}")), &Limits::default()).expect_err(name)
}

#[test]
fn every_format_reads_as_pillow_reads_it() {
    let expected = expected();
    assert!(expected.files.len() > 40);
    let mut wrong = Vec::new();
    for (name, File { picture, tolerance }) in &expected.files {
        let picture = &expected.pictures[picture];
        match decode(&read(name), &Limits::default()) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(film) => wrong.extend(differs(name, &film, picture, *tolerance)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What tells a film from a picture, if it is more than allowed.
fn differs(name: &str, film: &Radiograph, picture: &Picture, tolerance: f32) -> Option<String> {
    if (film.height(), film.width()) != (picture.height, picture.width) {
        return Some(format!("{name}: {}×{}", film.width(), film.height()));
    }
    let pairs = film.luma().iter().zip(&picture.luma);
    let difference = pairs.map(|(found, value)| (found - value / picture.white).abs()).fold(0.0, f32::max);
    (difference > tolerance).then(|| format!("{name}: differs by {difference}, allowed {tolerance}"))
}

#[test]
fn numbers_that_say_nothing_are_refused_with_their_range_and_read_by_the_one_that_is_given() {
    let Expected { pictures, open, .. } = expected();
    assert!(open.len() >= 6);
    for (name, Open { file, found, asked }) in &open {
        let film = decode(&read(name), &Limits::default()).expect(name);
        let plain = Preprocess::new(1, 32, 32);
        let error = plain.ranged(&film).expect_err(name);
        let Error::ValueRange { smallest, largest, low, high } = error else { panic!("{name}: {error}") };
        assert_eq!(([smallest, largest], [low, high]), (*found, *asked), "{name}");
        let ranged = Preprocess { value_range: Some(*asked), ..plain };
        let read = ranged.ranged(&film).expect(name);
        assert_eq!(differs(name, &read, &pictures[&file.picture], file.tolerance), None);
    }
}

#[test]
fn bits_that_are_not_used_are_noticed_unless_the_file_says_what_counts() {
    for (name, above) in [
        ("twelve.png", Some(4096)),
        ("twelve.tif", Some(4096)),
        ("twelve-wrong-max.tif", Some(4096)),
        ("twelve-sbit.png", None),
        ("twelve-shifted.png", None),
        ("twelve-max.tif", None),
        ("twelve-white-is-zero.tif", None),
        ("twelve-imagej.tif", None),
        ("packed12.tif", None),
        ("twelve.pgm", None),
        ("grey16.png", None),
        ("grey8.png", None),
    ] {
        let film = decode(&read(name), &Limits::default()).expect(name);
        assert_eq!(film.values().and_then(|values| values.unused_above()), above, "{name}");
    }
}

#[test]
fn well_known_files_that_are_not_read_are_named_with_what_to_do() {
    let names: BTreeMap<String, String> = serde_json::from_slice(&read("unsupported/names.json")).unwrap();
    assert!(names.len() > 20);
    for (file, name) in &names {
        let error = decode(&read(&format!("unsupported/{file}")), &Limits::default()).expect_err(file);
        assert!(matches!(&error, Error::Unsupported { what, .. } if what == name), "{file}: {error}");
    }
    // Two letters make no BMP.
    let error = decode(b"BMI,age\n22,40\n", &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::UnknownFormat { .. }), "{error}");
}

/// What a browser may try: nothing that is read here, or refused for another reason than its format.
#[test]
fn single_images_of_formats_that_browsers_may_read_are_for_browsers_and_nothing_else_is() {
    let names: BTreeMap<String, String> = serde_json::from_slice(&read("unsupported/names.json")).unwrap();
    for (file, name) in &names {
        let lossy = ["sixteen.jxl", "floats.jxl", "moving.jxl"].contains(&file.as_str());
        let expected = ["AVIF", "HEIC", "JPEG XL"].contains(&name.as_str()) && !lossy;
        assert_eq!(is_for_browsers(&read(&format!("unsupported/{file}"))), expected, "{file}");
    }
    for name in expected().files.keys() {
        assert!(!is_for_browsers(&read(name)), "{name}");
    }
    let file = read("unsupported/film.avif");
    // The name of moving images, as the file's own and among the others; then a preamble of DICOM.
    for at in [8, 16] {
        let mut moving = file.clone();
        moving[at..at + 4].copy_from_slice(b"avis");
        assert!(!is_for_browsers(&moving), "{at}");
    }
    let mut dicom = file.clone();
    dicom[128..132].copy_from_slice(b"DICM");
    assert!(!is_for_browsers(&dicom));
    // A header that is cut short tells nothing, and ends nothing.
    for (file, head) in [("film.avif", 12), ("grey.jxl", 4), ("boxed.jxl", 44)] {
        let file = read(&format!("unsupported/{file}"));
        (0..head).for_each(|length| assert!(!is_for_browsers(&file[..length]), "{length}"));
    }
}

#[test]
fn a_jpeg_that_breaks_off_is_damaged_whatever_was_put_at_its_end() {
    let kinds = ["baseline", "progressive", "colour", "restarts"];
    for (kind, percent) in kinds.iter().flat_map(|kind| [50, 90, 97].map(|percent| (kind, percent))) {
        let name = format!("cut-{kind}-{percent}.jpg");
        let error = broken(&name);
        assert!(matches!(error, Error::Damaged { format: "JPEG", .. }), "{name}: {error}");
    }
    // What comes behind the image is nobody's business.
    let mut bytes = read("film.jpg");
    let film = decode(&bytes, &Limits::default()).unwrap();
    bytes.extend([0; 4096]);
    bytes.extend(read("grey.jpg"));
    assert_eq!(decode(&bytes, &Limits::default()).unwrap(), film);
}

#[test]
fn the_drawn_films_agree_in_every_format() {
    let limits = Limits::default();
    let film = decode(&read("film.png"), &limits).unwrap();
    assert_eq!((film.width(), film.height()), (300, 260));
    assert_eq!(decode(&read("film.tif"), &limits).unwrap(), film);
    for (name, tolerance) in [("film.jpg", 0.03), ("film16.png", 1.0 / 255.0)] {
        let other = decode(&read(name), &limits).unwrap();
        let difference = film.luma().iter().zip(other.luma()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference <= tolerance, "{name}: {difference}");
    }
}

#[test]
fn files_that_are_no_images_are_told_apart_from_damaged_ones() {
    for name in ["empty.png", "text.png"] {
        let error = broken(name);
        assert!(matches!(error, Error::UnknownFormat { .. }), "{name}: {error}");
    }
    let error = broken("page.jpg");
    assert!(matches!(&error, Error::Unsupported { what, .. } if what == "a web page"), "{error}");
    for (name, expected) in [
        ("truncated-grey8.png", "PNG"),
        ("truncated-film.png", "PNG"),
        ("truncated-film.jpg", "JPEG"),
        ("truncated-lossy.webp", "WebP"),
        ("truncated-grey8.bmp", "BMP"),
        ("truncated-grey8.tif", "TIFF"),
        ("truncated-grey.gif", "GIF"),
        ("one-byte-changed.png", "PNG"),
        ("claims-nothing.png", "PNG"),
    ] {
        let error = broken(name);
        assert!(matches!(error, Error::Damaged { format, .. } if format == expected), "{name}: {error}");
    }
    let error = broken("twelve-bits.jpg");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

/// 20 × 20 px of RGB in tiles of 16 × 16, a plane for each channel, as TIFF 6.0 (pages 13 to 16, 38 and 66) has it.
fn tiled_planes() -> Vec<u8> {
    const TILES: u32 = 4 * 3;
    const TILE: u32 = 16 * 16;
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    // What does not fit into an entry lies behind the directory: bits of each sample, places of the tiles, their lengths.
    let behind = 8 + 2 + 11 * 12 + 4;
    let (places, lengths) = (behind + 6, behind + 6 + 4 * TILES);
    let pixels = lengths + 4 * TILES;
    let entries: [(u16, u16, u32, u32); 11] = [
        (256, LONG, 1, 20),
        (257, LONG, 1, 20),
        (258, SHORT, 3, behind),
        (259, SHORT, 1, 1),
        (262, SHORT, 1, 2),
        (277, SHORT, 1, 3),
        (284, SHORT, 1, 2),
        (322, LONG, 1, 16),
        (323, LONG, 1, 16),
        (324, LONG, TILES, places),
        (325, LONG, TILES, lengths),
    ];
    let mut file = b"II*\0\x08\0\0\0\x0b\0".to_vec();
    for (tag, kind, count, value) in entries {
        file.extend(tag.to_le_bytes().into_iter().chain(kind.to_le_bytes()));
        file.extend(count.to_le_bytes().into_iter().chain(value.to_le_bytes()));
    }
    file.extend([0; 4]);
    file.extend([8u16; 3].iter().flat_map(|bits| bits.to_le_bytes()));
    file.extend((0..TILES).flat_map(|tile| (pixels + tile * TILE).to_le_bytes()));
    file.extend((0..TILES).flat_map(|_| TILE.to_le_bytes()));
    file.resize(file.len() + (TILES * TILE) as usize, 90);
    file
}

#[test]
fn a_tiff_with_tiles_of_one_channel_each_is_an_error_and_no_panic() {
    let error = decode(&tiled_planes(), &Limits::default()).unwrap_err();
    assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains("tiles of one channel")), "{error}");
}

#[test]
fn claimed_sizes_are_refused_with_their_numbers() {
    let error = broken("claims-60000.png");
    assert!(matches!(error, Error::TooLarge { width: 60000, height: 60000, limit: 16384 }), "{error}");
    let error = broken("claims-256-megapixels.png");
    assert!(matches!(error, Error::TooManyPixels { width: 16000, height: 16000, .. }), "{error}");
    let small = Limits { max_bytes: 87, ..Limits::default() };
    assert!(matches!(decode(&read("grey8.png"), &small), Err(Error::TooManyBytes { bytes: 88, limit: 87 })));
    for (max_side, max_pixels) in [(23, 1000), (1000, 24 * 16 - 1)] {
        let small = Limits { max_side, max_pixels, ..Limits::default() };
        for name in expected().files.keys() {
            let error = decode(&read(name), &small).expect_err(name);
            assert!(matches!(error, Error::TooLarge { .. } | Error::TooManyPixels { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn one_pixel_is_a_film_and_a_compressed_comment_is_not_unpacked() {
    let film = decode(&read("broken/one-pixel.png"), &Limits::default()).unwrap();
    assert_eq!((film.height(), film.width(), film.luma()), (1, 1, &[128.0 / 255.0][..]));
    let film = decode(&read("broken/text-bomb.png"), &Limits::default()).unwrap();
    assert_eq!(film.luma(), [0.0]);
}

#[test]
fn no_prefix_of_any_file_panics_and_none_short_of_two_thirds_is_a_film() {
    for name in expected().files.keys() {
        let bytes = read(name);
        for length in 0..bytes.len() {
            let film = decode(&bytes[..length], &FUZZ);
            // A second page or frame is not needed for the first.
            let needed = name.starts_with("pages") || name.starts_with("animated");
            assert!(
                film.is_err() || needed || length * 3 > bytes.len() * 2,
                "{name} cut to {length} of {}",
                bytes.len()
            );
        }
    }
}

#[test]
fn no_changed_byte_in_any_file_panics() {
    for name in expected().files.keys() {
        change_every_byte(name, read(name));
    }
}
