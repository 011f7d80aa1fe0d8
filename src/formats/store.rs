//! Tensors on their way into a network: checks that file and architecture fit each other exactly.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::{SimpleBackend, VarBuilder};

use crate::error::{Error, Result};

/// Hands tensors to a network through candle's `VarBuilder`, and remembers what was asked for.
///
/// candle reports a missing tensor as text; here it is [`Error::TensorMissing`] or [`Error::TensorShape`], and a tensor
/// that the network never asked for is an error as well: a file that holds more than the network is not the network's.
pub struct WeightStore(Arc<Shared>);

struct Shared {
    tensors: HashMap<String, Tensor>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    taken: BTreeSet<String>,
    refused: Option<Error>,
}

impl WeightStore {
    /// A store of `tensors`, such as [`read_weights`](super::read_weights) gives.
    pub fn new(tensors: HashMap<String, Tensor>) -> Self {
        Self(Arc::new(Shared { tensors, seen: Mutex::default() }))
    }

    /// Builds a network from the tensors.
    ///
    /// # Errors
    /// [`Error::TensorMissing`] and [`Error::TensorShape`] for the first tensor that does not fit; [`Error::Weights`]
    /// naming those that `build` left over; whatever else `build` returns.
    pub fn build<T>(self, build: impl FnOnce(VarBuilder<'static>) -> Result<T>) -> Result<T> {
        let backend: Box<dyn SimpleBackend> = Box::new(Backend(Arc::clone(&self.0)));
        let built = build(VarBuilder::from_backend(backend, DType::F32, Device::Cpu));
        let seen = std::mem::take(&mut *self.0.seen());
        let built = built.map_err(|error| match error {
            Error::Candle(_) => seen.refused.unwrap_or(error),
            typed => typed,
        })?;
        let mut left: Vec<&str> =
            self.0.tensors.keys().filter(|name| !seen.taken.contains(*name)).map(String::as_str).collect();
        if left.is_empty() {
            return Ok(built);
        }
        left.sort_unstable();
        Err(Error::Weights { reason: format!("the network has no use for: {}", left.join(", ")) })
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A panic while the lock was held left nothing half done: both fields are written in one step.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tensor, or candle's stand-in for the error that is kept for [`WeightStore::build`].
    fn take(&self, name: &str, shape: Option<Shape>) -> candle_core::Result<Tensor> {
        let error = match (self.tensors.get(name), shape) {
            (Some(tensor), Some(shape)) if tensor.shape() != &shape => {
                Error::TensorShape { name: name.into(), expected: shape.into_dims(), found: tensor.dims().to_vec() }
            }
            (Some(tensor), _) => {
                self.seen().taken.insert(name.into());
                return Ok(tensor.clone());
            }
            (None, _) => Error::TensorMissing { name: name.into() },
        };
        let stand_in = candle_core::Error::msg(&error);
        self.seen().refused.get_or_insert(error);
        Err(stand_in)
    }
}

struct Backend(Arc<Shared>);

impl SimpleBackend for Backend {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        self.0.take(name, Some(shape))?.to_device(device)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        self.0.take(name, None)?.to_device(device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.tensors.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(tensors: &[(&str, &[usize])]) -> WeightStore {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        WeightStore::new(tensors.iter().map(|(name, shape)| (name.to_string(), zeros(shape))).collect())
    }

    /// A linear layer of candle's own, 3 inputs and 2 outputs.
    fn linear(vb: VarBuilder) -> Result<candle_nn::Linear> {
        Ok(candle_nn::linear(3, 2, vb.pp("fc"))?)
    }

    #[test]
    fn tensors_that_fit_build_the_network() {
        let layer = store(&[("fc.weight", &[2, 3]), ("fc.bias", &[2])]).build(linear).unwrap();
        assert_eq!(layer.weight().dims(), [2, 3]);
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = store(&[("fc.weight", &[2, 3])]).build(linear).unwrap_err();
        assert!(matches!(error, Error::TensorMissing { ref name } if name == "fc.bias"), "{error}");
    }

    #[test]
    fn a_tensor_of_another_shape_is_named_with_both_shapes() {
        let error = store(&[("fc.weight", &[3, 2]), ("fc.bias", &[2])]).build(linear).unwrap_err();
        assert_eq!(error.to_string(), "tensor `fc.weight`: expected shape [2, 3], found [3, 2]");
    }

    #[test]
    fn tensors_left_over_are_named() {
        let tensors: [(&str, &[usize]); 4] =
            [("fc.weight", &[2, 3]), ("fc.bias", &[2]), ("old.weight", &[1]), ("head", &[1])];
        let error = store(&tensors).build(linear).unwrap_err();
        assert_eq!(error.to_string(), "weights file: the network has no use for: head, old.weight");
    }

    #[test]
    fn a_tensor_asked_for_in_vain_does_not_fail_a_network_that_can_do_without() {
        let optional = |vb: VarBuilder| {
            let _ = vb.get(2, "absent");
            linear(vb)
        };
        assert!(store(&[("fc.weight", &[2, 3]), ("fc.bias", &[2])]).build(optional).is_ok());
    }
}
