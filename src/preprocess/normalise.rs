//! The last step: grey values shifted, scaled and repeated over the channels.

/// Writes `(v − mean) / std` of every grey value into each channel of `out` (`[channels, grey.len()]`).
pub fn normalise(grey: &[f32], mean: f32, std: f32, out: &mut [f32]) {
    let (first, rest) = out.split_at_mut(grey.len());
    for (out, &v) in first.iter_mut().zip(grey) {
        *out = (v - mean) / std;
    }
    for channel in rest.chunks_exact_mut(grey.len()) {
        channel.copy_from_slice(first);
    }
}
