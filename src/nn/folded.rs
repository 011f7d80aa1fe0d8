//! A trained network's weights without its normalisations, which lie in the convolutions before them from then on.

use super::frozen::convolution;
use super::graph::{Graph, Op};
use super::plan::Follow;
use super::weights::{Tensor, Weights};
use crate::error::Result;

/// The weights of `graph` with every normalisation taken into the weight and a bias of the convolution before it, as
/// [`Frozen::new`](super::Frozen::new) would do on opening them: the same function with a third fewer tensors, and one
/// whose weights can be rounded row by row, for nothing scales a row afterwards.
///
/// # Errors
/// [`TensorMissing`](crate::error::Error::TensorMissing) and [`TensorShape`](crate::error::Error::TensorShape).
pub fn folded(graph: &Graph, mut weights: Weights) -> Result<Weights> {
    for layer in graph.layers() {
        let (Op::Conv2d { norm: Some(epsilon), at, .. } | Op::Depthwise { norm: Some(epsilon), at, .. }) = layer.op
        else {
            continue;
        };
        let specs = &graph.parameters()[at..];
        let [weight, bias] = convolution(Follow::Folded(epsilon), specs, &mut weights)?;
        let weight = Tensor { shape: specs[0].shape.clone(), values: specs[0].order.to_file(&weight) };
        weights.0.insert(specs[0].name.clone(), weight);
        weights.0.insert(format!("{}.bias", layer.name), Tensor { shape: vec![bias.len()], values: bias });
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Architecture;
    use crate::nn::{Frozen, Precision, Training};

    #[test]
    fn a_network_without_its_normalisations_gives_the_same_logits() {
        let graph = Architecture::EfficientNetLite0Slim.graph_for(64, 3).unwrap();
        let mut weights = Training::new(&graph, 5).weights();
        // Statistics and scales as training leaves them: not ones and zeros.
        for (name, tensor) in &mut weights.0 {
            if name.contains("bn") {
                let offset = if name.ends_with("var") || name.ends_with("weight") { 1.0 } else { 0.0 };
                tensor.values.iter_mut().enumerate().for_each(|(i, v)| *v = offset + (i % 7) as f32 / 20.0);
            }
        }
        let images: Vec<f32> = (0..64 * 64).map(|i| (i * 37 % 256) as f32 / 255.0 - 0.5).collect();
        let logits = |weights| Frozen::new(&graph, weights, Precision::Float).unwrap().logits(1, &images);
        let plain = folded(&graph, weights.clone()).unwrap();
        assert!(plain.0.keys().all(|name| !name.contains("bn")), "{:?}", plain.0.keys());
        assert_eq!(logits(plain), logits(weights));
    }
}
