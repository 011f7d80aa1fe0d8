//! Weights in eight bits: one scale a row, symmetric.

/// Rounds each row of a matrix to eight bits: values in `[-127, 127]` and a scale a row, `w ≈ scale · q`.
///
/// `scale = max|w| / 127` over the row, `q = w / scale` rounded half to even. The error of a weight is at most
/// `scale / 2`, that is `max|w| / 254` of its own row: an outlier costs its row and no other. A row of zeros has scale 0.
///
/// # Shapes
/// - `values`: `[rows, columns]` row-major, finite
/// - returns values of the same shape, and scales `[rows]`
pub fn quantize_rows(values: &[f32], rows: usize) -> (Vec<i8>, Vec<f32>) {
    assert!(rows > 0 && values.len().is_multiple_of(rows), "{} values in {rows} rows", values.len());
    let columns = values.len() / rows;
    let mut quantised = Vec::with_capacity(values.len());
    let mut scales = Vec::with_capacity(rows);
    for r in 0..rows {
        let row = &values[r * columns..(r + 1) * columns];
        let scale = row.iter().fold(0.0f32, |max, w| max.max(w.abs())) / 127.0;
        // Zero also when the division underflows: such a row is below 2e-43 and is nothing beside any other.
        let inverse = if scale > 0.0 { 1.0 / f64::from(scale) } else { 0.0 };
        quantised.extend(row.iter().map(|&w| (f64::from(w) * inverse).round_ties_even().clamp(-127.0, 127.0) as i8));
        scales.push(scale);
    }
    (quantised, scales)
}

/// The matrix that [`quantize_rows`] rounded, `scale · q`.
///
/// # Shapes
/// - `values`: `[rows, columns]` row-major, `scales`: `[rows]`
pub fn dequantize_rows(values: &[i8], scales: &[f32]) -> Vec<f32> {
    assert!(!scales.is_empty() && values.len().is_multiple_of(scales.len()));
    let columns = values.len() / scales.len();
    if columns == 0 {
        return Vec::new();
    }
    values
        .chunks_exact(columns)
        .zip(scales)
        .flat_map(|(row, &scale)| row.iter().map(move |&q| f32::from(q) * scale))
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// `numpy.round([63.5, 62.5, -0.5, -127])` = [64, 62, 0, -127]: NumPy 2 rounds half to even.
    #[test]
    fn halves_go_to_the_even_neighbour() {
        let (q, scales) = quantize_rows(&[63.5, 62.5, -0.5, -127.0], 1);
        assert_eq!((q, scales), (vec![64, 62, 0, -127], vec![1.0]));
    }

    #[test]
    fn error_is_at_most_half_a_step_of_its_own_row() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (rows, columns) = (40, 33);
        let values: Vec<f32> =
            (0..rows * columns).map(|i| (rng.random::<f32>() - 0.5) * 10f32.powi((i / columns) as i32 - 20)).collect();
        let (q, scales) = quantize_rows(&values, rows);
        let restored = dequantize_rows(&q, &scales);
        for (i, (w, v)) in values.iter().zip(&restored).enumerate() {
            // Beside the half step: one rounding of scale and one of the product, each below ε|w|.
            let bound = scales[i / columns] / 2.0 + 2.0 * f32::EPSILON * w.abs();
            assert!((w - v).abs() <= bound, "{w} became {v}");
        }
    }

    #[test]
    fn the_largest_weight_of_a_row_comes_back_whole() {
        let (q, scales) = quantize_rows(&[0.3, -2.54, 1.0, 0.01, 0.002, -0.0127], 2);
        assert_eq!((q[1], q[5]), (-127, -127));
        let restored = dequantize_rows(&q, &scales);
        assert!((restored[1] + 2.54).abs() < 1e-6 && (restored[5] + 0.0127).abs() < 1e-8);
    }

    #[test]
    fn rows_of_zeros_and_of_nearly_nothing_stay_finite() {
        let (q, scales) = quantize_rows(&[0.0, 0.0, 1e-45, -1e-45], 2);
        assert_eq!(q, [0, 0, 0, 0]);
        assert_eq!(dequantize_rows(&q, &scales), [0.0; 4]);
    }

    #[test]
    fn rows_without_columns_are_empty() {
        assert_eq!(quantize_rows(&[], 3), (vec![], vec![0.0; 3]));
        assert_eq!(dequantize_rows(&[], &[0.0; 3]), Vec::<f32>::new());
    }
}
