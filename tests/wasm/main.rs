//! What only a run as WebAssembly can show: 32-bit sizes and the vector paths of our dependencies. Run under node by
//! `./build.sh test`.
#![cfg(target_arch = "wasm32")]

#[cfg(feature = "threads")]
use rayon::prelude::*;
use roentgen::error::Error;
#[cfg(feature = "more-formats")]
use roentgen::image::from_rgba;
use roentgen::image::{Limits, Radiograph, decode, decodes};
use wasm_bindgen_test::wasm_bindgen_test;

/// 65,536² is 2³², which is 0 in a 32-bit `usize`: an empty buffer must not pass for so large an image.
#[wasm_bindgen_test]
fn a_pixel_count_past_32_bits_is_refused_not_wrapped() {
    let refused = Radiograph::new(65_536, 65_536, Vec::new()).unwrap_err();
    assert!(matches!(refused, Error::BufferLength { found: 0, expected: usize::MAX }), "{refused}");
    assert_eq!(refused.kind(), "buffer-length");
}

/// The fixture's header claims 60,000 × 60,000 pixels, whose product is past 32 bits: it alone has to be enough to refuse.
#[cfg(feature = "png-jpeg")]
#[wasm_bindgen_test]
fn a_png_header_that_claims_more_than_the_address_space_is_refused() {
    let file = include_bytes!("../fixtures/images/broken/claims-60000.png");
    let refused = decode(file, &Limits::default()).unwrap_err();
    assert!(matches!(refused, Error::TooLarge { width: 60_000, height: 60_000, limit: 16_384 }), "{refused}");
}

/// Each module knows what it has no decoder for. A file of no known format goes to the module that can name it.
#[wasm_bindgen_test]
fn a_module_decodes_what_it_says_it_does() {
    let png = include_bytes!("../fixtures/images/grey8.png").as_slice();
    let jpeg = include_bytes!("../fixtures/images/grey.jpg").as_slice();
    let others = [
        include_bytes!("../fixtures/images/grey8.bmp").as_slice(),
        include_bytes!("../fixtures/images/grey.gif"),
        include_bytes!("../fixtures/images/grey8.tif"),
        include_bytes!("../fixtures/images/lossless.webp"),
    ];
    let dicom = [
        include_bytes!("../fixtures/dicom/explicit.dcm").as_slice(),
        include_bytes!("../fixtures/dicom/bare-implicit.dcm"),
        include_bytes!("../fixtures/dicom/jpeg-lossless.dcm"),
        include_bytes!("../fixtures/dicom/jpeg-2000.dcm"),
    ];
    let groups = [
        (cfg!(feature = "png-jpeg"), vec![png, jpeg]),
        (cfg!(feature = "more-formats"), others.to_vec()),
        (cfg!(feature = "dicom"), dicom.to_vec()),
    ];
    for (i, (here, files)) in groups.into_iter().enumerate() {
        for (j, file) in files.into_iter().enumerate() {
            assert_eq!(decodes(file), here, "file {j} of group {i}");
            assert_eq!(decode(file, &Limits::default()).is_ok(), here, "file {j} of group {i}");
        }
    }
    for unknown in [b"".as_slice(), b"a text"] {
        assert_eq!(decodes(unknown), cfg!(feature = "more-formats"));
        assert!(decode(unknown, &Limits::default()).is_err());
    }
}

/// A BMP file of 24 bits a pixel, written by hand: the header's fields in order, then one row, blue first.
#[cfg(feature = "more-formats")]
fn bmp(width: i32, height: i32, row: &[u8]) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for field in [54 + row.len() as i32, 0, 54, 40, width, height, 24 << 16 | 1, 0, row.len() as i32, 0, 0, 0, 0] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(row);
    file
}

/// 51 of 255 is 0.2; the file and the canvas's pixels are the same film.
#[cfg(feature = "more-formats")]
#[wasm_bindgen_test]
fn a_file_and_a_canvas_with_the_same_pixels_are_the_same_film() {
    let from_file = decode(&bmp(2, 1, &[255, 255, 255, 51, 51, 51, 0, 0]), &Limits::default()).unwrap();
    let from_canvas = from_rgba(2, 1, &[255, 255, 255, 255, 51, 51, 51, 255]).unwrap();
    assert_eq!(from_file, from_canvas);
    for (found, expected) in from_file.luma().iter().zip([1.0, 0.2]) {
        assert!((found - expected).abs() <= f32::EPSILON, "{found} for {expected}");
    }
}

/// 50,000 × 50,000 pixels of 3 bytes are more than wasm's address space: the header alone has to be enough to refuse.
#[cfg(feature = "more-formats")]
#[wasm_bindgen_test]
fn a_header_that_claims_more_than_the_address_space_is_refused() {
    let refused = decode(&bmp(50_000, 50_000, &[0; 8]), &Limits::default()).unwrap_err();
    assert_eq!(refused.kind(), "too-large", "{refused}");
}

/// The pool of four that `pool.cjs` asks for, beside this file: each of its threads runs, and together they add up.
#[cfg(feature = "threads")]
#[wasm_bindgen_test]
fn every_thread_of_the_pool_works() {
    assert_eq!(roentgen::web::threads::thread_count(), 4);
    assert_eq!(rayon::broadcast(|thread| thread.index()), [0, 1, 2, 3]);
    let sum: u64 = (1..=100_000_u64).into_par_iter().sum();
    assert_eq!(sum, 100_000 * 100_001 / 2);
}
