//! The rectifier `max(0, x)` and its relatives: they are always the tail of another operation here.

use rayon::prelude::*;

/// Values that one thread takes at a time: 64 KiB, which is more work than handing it over.
const SHARE: usize = 1 << 14;

/// `min(max(x, low), high)`, what an operation does to its result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// What is smaller becomes this.
    pub low: f32,
    /// What is larger becomes this.
    pub high: f32,
}

impl Clamp {
    /// Results as they are.
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };
    /// `max(0, x)`.
    pub const RELU: Self = Self { low: 0.0, high: f32::INFINITY };
    /// `min(max(0, x), 6)`, MobileNet's.
    pub const RELU6: Self = Self { low: 0.0, high: 6.0 };

    /// Applies it to every value.
    pub fn apply(self, values: &mut [f32]) {
        values.iter_mut().for_each(|v| *v = v.max(self.low).min(self.high));
    }

    /// Clears the gradient wherever the clamped output is at a limit: its slope there is zero (by convention at the limit
    /// itself, as in PyTorch).
    ///
    /// # Panics
    /// When the slices differ in length.
    pub fn gradient(self, output: &[f32], grad: &mut [f32]) {
        assert_eq!(output.len(), grad.len());
        if self == Self::NONE {
            return;
        }
        grad.par_chunks_mut(SHARE).zip(output.par_chunks(SHARE)).for_each(|(grad, output)| {
            for (g, y) in grad.iter_mut().zip(output) {
                *g = if *y > self.low && *y < self.high { *g } else { 0.0 };
            }
        });
    }
}

/// `clamp(out + other)`, in place.
///
/// # Panics
/// When the slices differ in length.
pub fn add(other: &[f32], clamp: Clamp, out: &mut [f32]) {
    assert_eq!(other.len(), out.len());
    out.par_chunks_mut(SHARE).zip(other.par_chunks(SHARE)).for_each(|(out, other)| {
        out.iter_mut().zip(other).for_each(|(out, v)| *out = (*out + v).max(clamp.low).min(clamp.high));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn a_clamp_stops_the_gradient_at_its_limits() {
        // torch.nn.functional.relu6 of -1, 0, 0.5, 6 and 7 in PyTorch 2.15 passes the gradient of 0.5 only.
        let mut grad = [1.0, 2.0, 3.0, 4.0, 5.0];
        Clamp::RELU6.gradient(&[0.0, 0.0, 0.5, 6.0, 6.0], &mut grad);
        assert_eq!(grad, [0.0, 0.0, 3.0, 0.0, 0.0]);
        let mut grad = [1.0, 2.0, 3.0];
        Clamp::NONE.gradient(&[f32::MIN, 0.0, f32::MAX], &mut grad);
        assert_eq!(grad, [1.0, 2.0, 3.0]);
    }
}
