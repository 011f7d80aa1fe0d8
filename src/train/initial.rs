//! Weights that a training starts from, taken from another network's file.

use super::{Norms, TrainConfig};
use crate::error::{Error, Result};
use crate::nn::{Graph, ParameterSpec, Tensor, Weights, unfolded};

/// The weights of `graph` as `file` has them, and the names of those that it has not.
///
/// The last layer starts as the seed of `config` decides where its classes are others, for it knows nothing then; a first
/// convolution of three colours becomes one of grey by adding its kernels up, which is the same for an image whose colours
/// are equal. A file that was made small is [`unfolded`]. What the network has no place for, the blocks of a longer one, is
/// left out.
///
/// # Errors
/// [`Error::TensorMissing`] and [`Error::TensorShape`] for any other layer: a start from half a network would be a silent
/// mistake. [`Error::Config`] where normalisations that are to learn by batches have lost their statistics.
pub fn initial_weights(graph: &Graph, file: Weights, config: &TrainConfig) -> Result<(Weights, Vec<String>)> {
    let seed = config.seed;
    let (mut file, unfolded) = unfolded(graph, file)?;
    let by_batch = |spec: &ParameterSpec| !spec.trained && !config.freeze.holds(graph, &spec.name);
    if unfolded && config.norms == Norms::Batch && graph.parameters().iter().any(by_batch) {
        let reason = "`batch` starts from another function: the statistics of this model's normalisations lie in its \
                      convolutions; take `running`";
        return Err(Error::Config { field: "norms", reason: reason.into() });
    }
    if config.start.as_ref().is_some_and(|start| start.classes != config.classes) {
        file.0.retain(|name, _| !graph.is_last(name));
    }
    let (mut weights, mut fresh) = (Weights::default(), Vec::new());
    for spec in graph.parameters() {
        let Some(tensor) = file.0.remove(&spec.name) else {
            if !graph.is_last(&spec.name) {
                return Err(Error::TensorMissing { name: spec.name.clone() });
            }
            fresh.push(spec.name.clone());
            weights.0.insert(spec.name.clone(), drawn(spec, seed));
            continue;
        };
        let tensor = if tensor.shape == spec.shape {
            tensor
        } else if graph.is_last(&spec.name) {
            fresh.push(spec.name.clone());
            drawn(spec, seed)
        } else if let Some(grey) = grey(&tensor, &spec.shape) {
            grey
        } else {
            let (expected, found) = (spec.shape.clone(), tensor.shape);
            return Err(Error::TensorShape { name: spec.name.clone(), expected, found });
        };
        weights.0.insert(spec.name.clone(), tensor);
    }
    Ok((weights, fresh))
}

fn drawn(spec: &ParameterSpec, seed: u64) -> Tensor {
    Tensor { shape: spec.shape.clone(), values: spec.draw(seed) }
}

/// A kernel `[out, 3, h, w]` as `[out, 1, h, w]`, where that is what is `wanted`.
fn grey(colour: &Tensor, wanted: &[usize]) -> Option<Tensor> {
    let (&[out, 3, height, width], &[.., 1, _, _]) = (&colour.shape[..], wanted) else { return None };
    if wanted != [out, 1, height, width] {
        return None;
    }
    let area = height * width;
    let sum = |kernel: &[f32], i: usize| kernel[i] + kernel[area + i] + kernel[2 * area + i];
    let values =
        colour.values.chunks_exact(3 * area).flat_map(|kernel| (0..area).map(move |i| sum(kernel, i))).collect();
    Some(Tensor { shape: wanted.to_vec(), values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Architecture;
    use crate::nn::{Training, folded};
    use crate::train::{Freeze, Start};

    /// Only what the start depends on.
    fn config() -> TrainConfig {
        let recipe = TrainConfig::recipe(Architecture::EfficientNetLite0Slim, vec!["a".into(), "b".into()]);
        TrainConfig { seed: 9, ..recipe }
    }

    fn slim(classes: usize) -> Graph {
        Architecture::EfficientNetLite0Slim.graph_for(32, classes).unwrap()
    }

    /// The larger network's weights start the slim one; a grey image has the same features in both as far as they go.
    #[test]
    fn the_slim_network_starts_from_the_larger_ones_weights() {
        let large = Architecture::EfficientNetLite0.graph_for(32, 1000).unwrap();
        let file = Training::new(&large, 3).weights();
        let (weights, fresh) = initial_weights(&slim(4), file.clone(), &config()).unwrap();
        assert_eq!(fresh, ["classifier.weight", "classifier.bias"]);
        assert_eq!(weights.0["blocks.5.1.conv_pwl.weight"], file.0["blocks.5.1.conv_pwl.weight"]);
        assert_eq!(weights.0["conv_stem.weight"].shape, [32, 1, 3, 3]);
        let colours = &file.0["conv_stem.weight"].values[..27];
        for (i, grey) in weights.0["conv_stem.weight"].values[..9].iter().enumerate() {
            assert_eq!(*grey, colours[i] + colours[9 + i] + colours[18 + i]);
        }
        Training::from_weights(&slim(4), weights).unwrap();
    }

    #[test]
    fn a_last_layer_for_as_many_classes_goes_on_and_another_starts_anew() {
        let file = Training::new(&slim(3), 3).weights();
        assert_eq!(initial_weights(&slim(3), file.clone(), &config()).unwrap(), (file.clone(), vec![]));
        let (weights, fresh) = initial_weights(&slim(4), file, &config()).unwrap();
        assert_eq!(fresh.len(), 2);
        assert_eq!(
            weights.0["classifier.weight"].values,
            Training::new(&slim(4), 9).weights().0["classifier.weight"].values
        );
    }

    #[test]
    fn half_a_network_is_refused_by_the_name_of_what_is_missing() {
        let mut file = Training::new(&slim(3), 3).weights();
        let kernel = file.0.remove("blocks.2.0.conv_dw.weight").unwrap();
        let error = initial_weights(&slim(3), file.clone(), &config()).unwrap_err();
        assert!(matches!(error, Error::TensorMissing { ref name } if name == "blocks.2.0.conv_dw.weight"), "{error}");
        file.0.insert("blocks.2.0.conv_dw.weight".into(), Tensor { shape: vec![1], values: kernel.values[..1].into() });
        assert!(matches!(initial_weights(&slim(3), file, &config()), Err(Error::TensorShape { .. })));
    }

    #[test]
    fn as_many_classes_of_other_names_start_with_a_last_layer_of_their_own() {
        let file = Training::new(&slim(2), 3).weights();
        let fresh = |classes: [&str; 2]| {
            let start = Start { model: "m".into(), sha256: String::new(), classes: classes.map(str::to_owned).into() };
            initial_weights(&slim(2), file.clone(), &TrainConfig { start: Some(start), ..config() }).unwrap().1
        };
        assert_eq!(fresh(["a", "b"]), Vec::<String>::new());
        assert_eq!(fresh(["b", "a"]), ["classifier.weight", "classifier.bias"]);
    }

    #[test]
    fn normalisations_without_their_statistics_do_not_learn_by_batches() {
        let small = folded(&slim(2), Training::new(&slim(2), 3).weights()).unwrap();
        let start = |change: fn(&mut TrainConfig)| {
            let mut config = config();
            change(&mut config);
            initial_weights(&slim(2), small.clone(), &config).map(drop)
        };
        let error = start(|_| {}).unwrap_err();
        assert!(matches!(error, Error::Config { field: "norms", .. }), "{error}");
        start(|config| config.norms = Norms::Running).unwrap();
        start(|config| config.freeze = Freeze::Backbone).unwrap();
        assert!(start(|config| config.freeze = Freeze::Layers(vec!["conv_stem".into(), "bn1".into()])).is_err());
    }
}
