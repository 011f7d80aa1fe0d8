//! A trained network's weights without its normalisations, which lie in the convolutions before them from then on; and with
//! them again, for training.

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

/// The weights of `graph` as training takes them, from a file that was made small: the same function, in use. Whether a
/// normalisation was put back comes with them.
///
/// One that lies in its convolution is put back as one that does nothing but add the bias: gamma 1, mean 0, variance
/// `1 - ε`. The statistics of its films are lost; training by a batch's would begin from another function. A dense weight in
/// two factors is multiplied out.
///
/// # Errors
/// [`TensorShape`](crate::error::Error::TensorShape) for factors that do not go together.
pub fn unfolded(graph: &Graph, mut weights: Weights) -> Result<(Weights, bool)> {
    let mut any = false;
    for layer in graph.layers() {
        match layer.op {
            Op::Conv2d { norm: Some(epsilon), at, .. } | Op::Depthwise { norm: Some(epsilon), at, .. } => {
                let [weight, gamma, beta, mean, variance] = &graph.parameters()[at..at + 5] else { unreachable!() };
                let Some(bias) = weights.folded_bias(&weight.name).and_then(|name| weights.0.remove(&name)) else {
                    continue;
                };
                any = true;
                weights.0.insert(beta.name.clone(), bias);
                for (spec, value) in [(gamma, 1.0), (mean, 0.0), (variance, 1.0 - epsilon)] {
                    let values = vec![value; spec.len()];
                    weights.0.insert(spec.name.clone(), Tensor { shape: spec.shape.clone(), values });
                }
            }
            Op::Dense { at, .. } => {
                let spec = &graph.parameters()[at];
                let Some(([left, right], rank)) = weights.factors(&spec.name) else { continue };
                let [outputs, inputs] = spec.shape[..] else { unreachable!("a dense weight is a matrix") };
                // The file's last layer may be for other classes.
                let own = weights.shape(&left).and_then(|shape| shape.first().copied());
                let outputs = if graph.is_last(&spec.name) { own.unwrap_or(outputs) } else { outputs };
                let (left, right) = (weights.take(&left, &[outputs, rank])?, weights.take(&right, &[rank, inputs])?);
                let values = product(&left, &right, [rank, inputs]);
                weights.0.insert(spec.name.clone(), Tensor { shape: vec![outputs, inputs], values });
            }
            _ => {}
        }
    }
    Ok((weights, any))
}

/// `[outputs, rank]` times `[rank, inputs]`.
fn product(left: &[f32], right: &[f32], [rank, inputs]: [usize; 2]) -> Vec<f32> {
    let mut product = vec![0.0; left.len() / rank * inputs];
    for (out, factors) in product.chunks_exact_mut(inputs).zip(left.chunks_exact(rank)) {
        for (factor, row) in factors.iter().zip(right.chunks_exact(inputs)) {
            out.iter_mut().zip(row).for_each(|(out, value)| *out += factor * value);
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::models::Architecture;
    use crate::nn::{Activation, Frozen, Precision, Training};

    /// A network as training leaves it.
    fn trained() -> (Graph, Weights) {
        let graph = Architecture::EfficientNetLite0Slim.graph_for(64, 3).unwrap();
        let mut weights = Training::new(&graph, 5).weights();
        // Statistics and scales as training leaves them: not ones and zeros.
        for (name, tensor) in &mut weights.0 {
            if name.contains("bn") {
                let offset = if name.ends_with("var") || name.ends_with("weight") { 1.0 } else { 0.0 };
                tensor.values.iter_mut().enumerate().for_each(|(i, v)| *v = offset + (i % 7) as f32 / 20.0);
            }
        }
        (graph, weights)
    }

    fn image() -> Vec<f32> {
        (0..64 * 64).map(|i| (i * 37 % 256) as f32 / 255.0 - 0.5).collect()
    }

    #[test]
    fn a_network_without_its_normalisations_gives_the_same_logits() {
        let (graph, weights) = trained();
        let logits = |weights| Frozen::new(&graph, weights, Precision::Float).unwrap().logits(1, &image());
        let plain = folded(&graph, weights.clone()).unwrap();
        assert!(plain.0.keys().all(|name| !name.contains("bn")), "{:?}", plain.0.keys());
        assert_eq!(logits(plain), logits(weights));
    }

    #[test]
    fn normalisations_that_are_put_back_change_nothing_and_those_that_are_there_stay() {
        let (graph, weights) = trained();
        let logits = |weights| Training::from_weights(&graph, weights).unwrap().forward(1, &image(), None).to_vec();
        let (again, any) = unfolded(&graph, folded(&graph, weights.clone()).unwrap()).unwrap();
        assert!(any);
        assert_eq!(again.0.keys().collect::<Vec<_>>(), weights.0.keys().collect::<Vec<_>>());
        for (found, expected) in logits(again).iter().zip(logits(weights.clone())) {
            // Some forty layers of rounding; the logits are of the size of 1.
            assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
        }
        assert_eq!(unfolded(&graph, weights.clone()).unwrap(), (weights, false));
    }

    #[test]
    fn a_dense_weight_in_two_factors_is_their_product() {
        let mut graph = Graph::new([1, 1, 3]);
        let x = graph.flatten("flatten", graph.image());
        graph.dense("fc", x, 2, Activation::Linear);
        let tensor = |shape: [usize; 2], values: &[f32]| Tensor { shape: shape.into(), values: values.into() };
        let file = Weights(BTreeMap::from([
            ("fc.weight.u".to_owned(), tensor([2, 2], &[1.0, 2.0, 3.0, -1.0])),
            ("fc.weight.v".to_owned(), tensor([2, 3], &[1.0, 0.0, 2.0, 5.0, 7.0, -1.0])),
        ]));
        let (weights, any) = unfolded(&graph, file).unwrap();
        assert!(!any);
        let expected = tensor([2, 3], &[11.0, 14.0, 0.0, -2.0, -7.0, 7.0]);
        assert_eq!(weights.0, BTreeMap::from([("fc.weight".to_owned(), expected)]));
    }
}
