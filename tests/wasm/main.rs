//! What only a run as WebAssembly can show: 32-bit sizes and the vector paths of our dependencies. Run under node by
//! `./build.sh test`.
#![cfg(target_arch = "wasm32")]

#[cfg(feature = "threads")]
use rayon::prelude::*;
use roentgen::error::Error;
use roentgen::image::{Limits, Radiograph, decode, from_rgba};
use wasm_bindgen_test::wasm_bindgen_test;

/// 65,536² is 2³², which is 0 in a 32-bit `usize`: an empty buffer must not pass for so large an image.
#[wasm_bindgen_test]
fn a_pixel_count_past_32_bits_is_refused_not_wrapped() {
    let refused = Radiograph::new(65_536, 65_536, Vec::new()).unwrap_err();
    assert!(matches!(refused, Error::BufferLength { found: 0, expected: usize::MAX }), "{refused}");
    assert_eq!(refused.kind(), "buffer-length");
}

/// A BMP file of 24 bits a pixel, written by hand: the header's fields in order, then one row, blue first.
fn bmp(width: i32, height: i32, row: &[u8]) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for field in [54 + row.len() as i32, 0, 54, 40, width, height, 24 << 16 | 1, 0, row.len() as i32, 0, 0, 0, 0] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(row);
    file
}

/// 51 of 255 is 0.2; the file and the canvas's pixels are the same film.
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
