//! What only a run as WebAssembly can show: 32-bit sizes and the vector paths of our dependencies. Run under node by
//! `./build.sh test`.
#![cfg(target_arch = "wasm32")]

use candle_core::{Device, Tensor};
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

/// Odd sizes, so that every tail of the vector kernels is met. Small whole numbers are exact in f32, so the expected
/// product, the textbook's triple sum in integers, must be met bit for bit.
#[wasm_bindgen_test]
fn candles_matrix_product_is_exact_on_whole_numbers() {
    for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 33, 9), (64, 75, 31)] {
        let a: Vec<i32> = (0..m * k).map(|i| (i * 7 % 11) as i32 - 5).collect();
        let b: Vec<i32> = (0..k * n).map(|i| (i * 5 % 13) as i32 - 6).collect();
        let expected: Vec<f32> =
            (0..m * n).map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum::<i32>() as f32).collect();
        let tensor = |values: &[i32], shape| {
            let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
        };
        let product = tensor(&a, (m, k)).matmul(&tensor(&b, (k, n))).unwrap();
        assert_eq!(product.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected, "{m}×{k} · {k}×{n}");
    }
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
