//! What only a run as WebAssembly can show: 32-bit sizes and the vector paths of our dependencies. Run under node by
//! `./build.sh test`.
#![cfg(target_arch = "wasm32")]

use candle_core::{Device, Tensor};
use roentgen::error::Error;
use roentgen::image::Radiograph;
use wasm_bindgen_test::wasm_bindgen_test;

/// 65,536² is 2³², which is 0 in a 32-bit `usize`: an empty buffer must not pass for so large an image.
#[wasm_bindgen_test]
fn a_pixel_count_past_32_bits_is_refused_not_wrapped() {
    let refused = Radiograph::new(65_536, 65_536, Vec::new()).unwrap_err();
    assert!(matches!(refused, Error::BufferLength { found: 0, expected: usize::MAX }), "{refused}");
    assert_eq!(refused.kind(), "buffer-length");
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
