//! Weights that a training starts from, taken from another network's file.

use super::{Norms, TrainConfig};
use crate::error::{Error, Result};
use crate::nn::{Graph, ParameterSpec, Tensor, Weights, unfolded};

/// What [`initial_weights`] made of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Initial {
    /// The weights that the run starts with.
    pub weights: Weights,
    /// Tensors that the file has nothing for: the seed decided them.
    pub fresh: Vec<String>,
    /// What became of each class's row of the last layer, where the start model's classes are known and are others, or
    /// stand in another order.
    pub rows: Option<Rows>,
}

/// The rows of a last layer by the class that each is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Classes whose row is the start model's.
    pub kept: Vec<String>,
    /// Classes that the start model does not know: their rows are as the seed decides.
    pub new: Vec<String>,
    /// Classes of the start model that the run does not have.
    pub dropped: Vec<String>,
}

impl Rows {
    /// Those of a run for `classes` that starts from a model with other classes, or with these in another order.
    fn between(start: &[String], classes: &[String]) -> Self {
        let (kept, new) = classes.iter().cloned().partition(|class| start.contains(class));
        let dropped = start.iter().filter(|class| !classes.contains(class)).cloned().collect();
        Self { kept, new, dropped }
    }
}

/// What a person should know before the first step, as sentences.
impl std::fmt::Display for Rows {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kept, new, dropped } = self;
        if kept.is_empty() {
            write!(formatter, "The last layer starts anew: the model has none of these classes.")?;
        } else {
            write!(formatter, "The last layer keeps what the model knows of {}.", kept.join(", "))?;
            if !new.is_empty() {
                write!(formatter, " It starts anew for {}.", new.join(", "))?;
            }
        }
        if !dropped.is_empty() {
            write!(formatter, " The model also knows {}, which these data lack.", dropped.join(", "))?;
        }
        Ok(())
    }
}

/// The weights of `graph` as `file` has them.
///
/// The rows of the last layer are matched by class name where the start model's classes are known; what the file has no row
/// for starts as the seed of `config` decides. A first
/// convolution of three colours becomes one of grey by adding its kernels up, which is the same for an image whose colours
/// are equal. A file that was made small is [`unfolded`]. What the network has no place for, the blocks of a longer one, is
/// left out.
///
/// # Errors
/// [`Error::TensorMissing`] and [`Error::TensorShape`] for any other layer: a start from half a network would be a silent
/// mistake. [`Error::Config`] where normalisations that are to learn by batches have lost their statistics.
pub fn initial_weights(graph: &Graph, file: Weights, config: &TrainConfig) -> Result<Initial> {
    let seed = config.seed;
    let (mut file, unfolded) = unfolded(graph, file)?;
    let by_batch = |spec: &ParameterSpec| !spec.trained && !config.freeze.holds(graph, &spec.name);
    if unfolded && config.norms == Norms::Batch && graph.parameters().iter().any(by_batch) {
        let reason = "`batch` starts from another function: the statistics of this model's normalisations lie in its \
                      convolutions; take `running`";
        return Err(Error::Config { field: "norms", reason: reason.into() });
    }
    let others = config.start.as_ref().map(|start| &start.classes).filter(|classes| **classes != config.classes);
    let rows = others.map(|classes| Rows::between(classes, &config.classes));
    let known = others.filter(|_| rows.as_ref().is_some_and(|rows| !rows.kept.is_empty()));
    let (mut weights, mut fresh) = (Weights::default(), Vec::new());
    for spec in graph.parameters() {
        let last = graph.is_last(&spec.name);
        let Some(tensor) = file.0.remove(&spec.name) else {
            if !last {
                return Err(Error::TensorMissing { name: spec.name.clone() });
            }
            fresh.push(spec.name.clone());
            weights.0.insert(spec.name.clone(), drawn(spec, seed));
            continue;
        };
        let tensor = if let Some(known) = known.filter(|_| last) {
            by_name(spec, seed, &tensor, known, &config.classes)?
        } else if tensor.shape == spec.shape && !(last && others.is_some()) {
            tensor
        } else if last {
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
    Ok(Initial { weights, fresh, rows })
}

/// A weight `[classes, ..]` or bias `[classes]` of the last layer: the rows of `tensor`, which are in the order of `start`, in
/// the order of `classes`; for classes that are not among `start` the rows that the seed gives.
///
/// # Errors
/// [`Error::TensorShape`] when `tensor` has not a row of the right length for each class of `start`.
fn by_name(spec: &ParameterSpec, seed: u64, tensor: &Tensor, start: &[String], classes: &[String]) -> Result<Tensor> {
    let expected: Vec<usize> = [&[start.len()], &spec.shape[1..]].concat();
    if tensor.shape != expected {
        return Err(Error::TensorShape { name: spec.name.clone(), expected, found: tensor.shape.clone() });
    }
    let mut made = drawn(spec, seed);
    let row = spec.shape[1..].iter().product();
    for (out, class) in made.values.chunks_exact_mut(row).zip(classes) {
        if let Some(at) = start.iter().position(|known| known == class) {
            out.copy_from_slice(&tensor.values[at * row..][..row]);
        }
    }
    Ok(made)
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
        let Initial { weights, fresh, .. } = initial_weights(&slim(4), file.clone(), &config()).unwrap();
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
        let same = initial_weights(&slim(3), file.clone(), &config()).unwrap();
        assert_eq!(same, Initial { weights: file.clone(), ..Initial::default() });
        let Initial { weights, fresh, .. } = initial_weights(&slim(4), file, &config()).unwrap();
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

    /// What a run for `classes` starts with, from a model that knows `known`.
    fn between(file: &Weights, known: &[&str], classes: &[&str]) -> Result<Initial> {
        let [known, classes] = [known, classes].map(|names| names.iter().map(|name| name.to_string()).collect());
        let start = Start { model: "m".into(), sha256: String::new(), classes: known };
        let config = TrainConfig { start: Some(start), classes, ..config() };
        initial_weights(&slim(config.classes.len()), file.clone(), &config)
    }

    /// Row `i` of the last layer: its weights, then its bias.
    fn row(weights: &Weights, i: usize) -> (&[f32], f32) {
        let (weight, bias) = (&weights.0["classifier.weight"], &weights.0["classifier.bias"]);
        (weight.values.chunks_exact(weight.shape[1]).nth(i).unwrap(), bias.values[i])
    }

    /// A last layer whose biases are no zeros, as training leaves it.
    fn trained(classes: usize) -> Weights {
        let mut weights = Training::new(&slim(classes), 3).weights();
        let biases = &mut weights.0.get_mut("classifier.bias").unwrap().values;
        biases.iter_mut().enumerate().for_each(|(i, bias)| *bias = 0.5 + i as f32);
        weights
    }

    #[test]
    fn rows_of_the_last_layer_go_with_their_class_whatever_the_order() {
        let file = trained(4);
        let Initial { weights, fresh, rows } = between(&file, &["d", "b", "a", "c"], &["a", "b", "c", "d"]).unwrap();
        for (to, from) in [2, 1, 3, 0].into_iter().enumerate() {
            assert_eq!(row(&weights, to), row(&file, from));
        }
        assert_eq!(fresh, Vec::<String>::new());
        assert_eq!(rows.unwrap().to_string(), "The last layer keeps what the model knows of a, b, c, d.");
        assert_eq!(between(&file, &["a", "b", "c", "d"], &["a", "b", "c", "d"]).unwrap().rows, None);
    }

    #[test]
    fn a_class_more_gets_a_row_of_its_own_and_one_less_is_named() {
        let file = trained(4);
        let known = ["d", "b", "a", "c"];
        let Initial { weights, rows, .. } = between(&file, &known, &["a", "b", "c", "d", "mass"]).unwrap();
        for (to, from) in [2, 1, 3, 0].into_iter().enumerate() {
            assert_eq!(row(&weights, to), row(&file, from));
        }
        assert_eq!(row(&weights, 4), row(&Training::new(&slim(5), 9).weights(), 4));
        let expected = "The last layer keeps what the model knows of a, b, c, d. It starts anew for mass.";
        assert_eq!(rows.unwrap().to_string(), expected);
        let Initial { weights, rows, .. } = between(&file, &known, &["a", "mass"]).unwrap();
        assert_eq!(row(&weights, 0), row(&file, 2));
        let dropped = vec!["d".to_owned(), "b".into(), "c".into()];
        assert_eq!(rows, Some(Rows { kept: vec!["a".into()], new: vec!["mass".into()], dropped }));
    }

    #[test]
    fn a_last_layer_in_two_factors_keeps_its_rows_too() {
        let mut file = trained(3);
        let weight = file.0.remove("classifier.weight").unwrap();
        // The identity times the weight.
        let tensor = |shape: [usize; 2], values: Vec<f32>| Tensor { shape: shape.into(), values };
        let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0].to_vec();
        file.0.insert("classifier.weight.u".into(), tensor([3, 3], identity));
        file.0.insert("classifier.weight.v".into(), weight);
        let Initial { weights, .. } = between(&file, &["c", "b", "a"], &["a", "b", "mass", "c"]).unwrap();
        for (to, from) in [(0, 2), (1, 1), (3, 0)] {
            assert_eq!(row(&weights, to), row(&trained(3), from));
        }
    }

    #[test]
    fn classes_of_other_names_start_with_a_last_layer_of_their_own() {
        let file = trained(2);
        let Initial { weights, fresh, rows } = between(&file, &["a", "b"], &["c", "d"]).unwrap();
        assert_eq!(fresh, ["classifier.weight", "classifier.bias"]);
        assert_eq!(row(&weights, 0), row(&Training::new(&slim(2), 9).weights(), 0));
        let expected = "The last layer starts anew: the model has none of these classes. \
                        The model also knows a, b, which these data lack.";
        assert_eq!(rows.unwrap().to_string(), expected);
    }

    #[test]
    fn a_last_layer_of_other_rows_than_its_card_has_classes_is_refused() {
        let error = between(&trained(3), &["a", "b"], &["b", "a"]).unwrap_err();
        assert!(matches!(error, Error::TensorShape { ref name, .. } if name == "classifier.weight"), "{error}");
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
