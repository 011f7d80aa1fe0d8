//! The rectifier `max(0, x)`, in place: it is always the tail of another operation here.

/// Replaces what is negative by zero.
pub fn relu(values: &mut [f32]) {
    for v in values {
        *v = v.max(0.0);
    }
}

/// Clears the gradient wherever the rectified output is zero: its slope there is zero (at zero itself by convention).
pub fn relu_grad(output: &[f32], grad: &mut [f32]) {
    assert_eq!(output.len(), grad.len());
    for (g, y) in grad.iter_mut().zip(output) {
        if *y <= 0.0 {
            *g = 0.0;
        }
    }
}
