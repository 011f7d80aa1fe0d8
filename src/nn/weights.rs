//! Tensors on their way into a network: checks that file and network fit each other exactly.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Numbers with dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Row-major, as many as the shape says.
    pub values: Vec<f32>,
}

/// Beginning of the names of tensors that lie in a network's weights file and are none of its own: those of a
/// [`Gate`](crate::refusal::Gate).
pub const BESIDE: &str = "refusal.";

/// The tensors of a weights file by name; a network takes them out one by one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights(pub BTreeMap<String, Tensor>);

impl Weights {
    /// The mean of several networks' weights, summed in f64.
    ///
    /// # Errors
    /// [`Error::TensorMissing`] and [`Error::TensorShape`] where they have not the same tensors.
    ///
    /// # Panics
    /// When there are none.
    pub fn mean(several: &[Self]) -> Result<Self> {
        let (first, others) = several.split_first().expect("at least one network");
        let names: Vec<&String> = several.iter().flat_map(|weights| weights.0.keys()).collect();
        if let Some(name) = names.into_iter().find(|name| !first.0.contains_key(*name)) {
            return Err(Error::TensorMissing { name: name.clone() });
        }
        let mean = first.0.iter().map(|(name, tensor)| {
            let mut sums: Vec<f64> = tensor.values.iter().map(|value| f64::from(*value)).collect();
            for other in others {
                let other = other.0.get(name).ok_or_else(|| Error::TensorMissing { name: name.clone() })?;
                if other.shape != tensor.shape {
                    let (expected, found) = (tensor.shape.clone(), other.shape.clone());
                    return Err(Error::TensorShape { name: name.clone(), expected, found });
                }
                sums.iter_mut().zip(&other.values).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            let values = sums.into_iter().map(|sum| (sum / several.len() as f64) as f32).collect();
            Ok((name.clone(), Tensor { shape: tensor.shape.clone(), values }))
        });
        mean.collect::<Result<_>>().map(Self)
    }

    /// Takes the tensor called `name`.
    ///
    /// # Errors
    /// [`Error::TensorMissing`], and [`Error::TensorShape`] where it has other dimensions.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.0.remove(name).ok_or_else(|| Error::TensorMissing { name: name.into() })?;
        if tensor.shape != shape {
            return Err(Error::TensorShape { name: name.into(), expected: shape.to_vec(), found: tensor.shape });
        }
        Ok(tensor.values)
    }

    /// Dimensions of the tensor called `name`, where there is one.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// Names of the two factors that stand in for the dense weight `name`, `[outputs, rank]` and `[rank, inputs]`, and
    /// their rank; `None` where the weight is there as a whole.
    pub fn factors(&self, name: &str) -> Option<([String; 2], usize)> {
        let names = ["u", "v"].map(|factor| format!("{name}.{factor}"));
        let rank = self.shape(&names[1])?.first().copied()?;
        Some((names, rank))
    }

    /// Name of the bias beside the convolution's `weight` that a normalisation was folded into; `None` where the
    /// normalisation is there itself.
    pub fn folded_bias(&self, weight: &str) -> Option<String> {
        let bias = weight.replace(".weight", ".bias");
        self.shape(&bias).is_some().then_some(bias)
    }

    /// To be called when a network has taken all it wants: a file that holds more is not the network's. What lies
    /// [`BESIDE`] it may stay.
    ///
    /// # Errors
    /// [`Error::Weights`] naming what is left.
    pub fn finish(self) -> Result<()> {
        let left: Vec<String> = self.0.into_keys().filter(|name| !name.starts_with(BESIDE)).collect();
        if left.is_empty() {
            return Ok(());
        }
        Err(Error::Weights { reason: format!("the network has no use for: {}", left.join(", ")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        let zeros = |shape: &[usize]| Tensor { shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] };
        let tensors = [("fc.weight", zeros(&[2, 3])), ("fc.bias", zeros(&[2]))];
        Weights(tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into())
    }

    #[test]
    fn a_mean_is_of_each_value_and_of_the_same_tensors_only() {
        let of =
            |values: [f32; 2]| Weights([("w".to_owned(), Tensor { shape: vec![2], values: values.into() })].into());
        let mean = Weights::mean(&[of([1.0, -2.0]), of([2.0, 4.0]), of([6.0, 1.0])]).unwrap();
        assert_eq!(mean, of([3.0, 1.0]));
        assert!(matches!(Weights::mean(&[of([1.0, 2.0]), weights()]), Err(Error::TensorMissing { .. })));
        assert!(matches!(Weights::mean(&[weights(), of([1.0, 2.0])]), Err(Error::TensorMissing { .. })));
    }

    #[test]
    fn tensors_that_fit_are_taken() {
        let mut weights = weights();
        assert_eq!(weights.take("fc.weight", &[2, 3]).unwrap(), [0.0; 6]);
        assert_eq!(weights.take("fc.bias", &[2]).unwrap(), [0.0; 2]);
        weights.finish().unwrap();
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = weights().take("fc.scale", &[2]).unwrap_err();
        assert!(matches!(error, Error::TensorMissing { ref name } if name == "fc.scale"), "{error}");
    }

    #[test]
    fn a_tensor_of_another_shape_is_named_with_both_shapes() {
        let error = weights().take("fc.weight", &[3, 2]).unwrap_err();
        assert_eq!(error.to_string(), "tensor `fc.weight`: expected shape [3, 2], found [2, 3]");
    }

    #[test]
    fn what_lies_beside_a_network_may_stay() {
        let mut weights = weights();
        weights.take("fc.weight", &[2, 3]).unwrap();
        weights.take("fc.bias", &[2]).unwrap();
        weights.0.insert("refusal.mean".into(), Tensor { shape: vec![1], values: vec![0.0] });
        weights.finish().unwrap();
    }

    #[test]
    fn tensors_left_over_are_named() {
        let error = weights().finish().unwrap_err();
        assert_eq!(error.to_string(), "weights file: the network has no use for: fc.bias, fc.weight");
    }
}
