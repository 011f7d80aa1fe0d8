//! A run that can be put down and taken up again: weights, optimiser state, position, history.
//!
//! One safetensors file: the weights under their own names, the optimiser's buffers under `adam.m/<weight>` and the
//! like, everything else as JSON in the header. Readable by anything that reads safetensors.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{History, TrainConfig, Trainer};
use crate::error::{Error, Result};
use crate::nn::{Tensor, Weights};

/// Key of the JSON in the safetensors header.
const STATE: &str = "roentgen.state";

/// Where a run stands, apart from its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Settings of the run; a run can only be continued with the same ones.
    pub config: TrainConfig,
    /// Steps taken.
    pub step: u64,
    /// What happened so far.
    pub history: History,
    /// Identifies the training and validation images, so that a run is not continued on others.
    pub data: String,
}

fn damaged(reason: impl ToString) -> Error {
    Error::Checkpoint { reason: reason.to_string() }
}

fn as_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

impl Checkpoint {
    /// Bytes of a checkpoint of `trainer`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the state cannot be written as JSON.
    pub fn save(&self, trainer: &Trainer) -> Result<Vec<u8>> {
        let mut tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
        let mut add = |prefix: &str, weights: Weights| {
            let entries = weights.0.into_iter();
            tensors.extend(entries.map(|(name, w)| (format!("{prefix}{name}"), (w.shape, as_bytes(&w.values)))));
        };
        add("", trainer.weights());
        for (which, slot) in self.config.optimizer.slot_names().iter().enumerate() {
            add(&format!("{slot}/"), trainer.network.slot(which));
        }
        let views = tensors
            .iter()
            .map(|(name, (shape, bytes))| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(damaged)?;
        let state = serde_json::to_string(self).map_err(damaged)?;
        safetensors::serialize(views, Some(HashMap::from([(STATE.to_owned(), state)]))).map_err(damaged)
    }

    /// Reads what [`save`](Self::save) wrote: the state and a trainer that stands where the saved one stood.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the bytes are damaged or from another version.
    pub fn restore(bytes: &[u8]) -> Result<(Self, Trainer)> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let state = header.metadata().as_ref().and_then(|m| m.get(STATE));
        let state = state.ok_or_else(|| damaged("holds no training state; is it a weights file?"))?;
        let checkpoint: Self = serde_json::from_str(state).map_err(damaged)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let mut parts: BTreeMap<&str, Weights> = BTreeMap::new();
        for (name, view) in tensors.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(damaged(format!("tensor `{name}` is {:?}; it must be F32", view.dtype())));
            }
            let (bytes, _) = view.data().as_chunks::<4>();
            let values = bytes.iter().map(|b| f32::from_le_bytes(*b)).collect();
            let slot =
                checkpoint.config.optimizer.slot_names().iter().find(|slot| name.starts_with(&format!("{slot}/")));
            let (part, name) = slot.map_or(("", name), |slot| (*slot, &name[slot.len() + 1..]));
            let tensor = Tensor { shape: view.shape().to_vec(), values };
            parts.entry(part).or_default().0.insert(name.to_owned(), tensor);
        }
        let weights = parts.remove("").unwrap_or_default();
        let mut trainer = Trainer::from_weights(checkpoint.config.clone(), weights).map_err(damaged)?;
        trainer.step = checkpoint.step;
        // A run that has not taken a step has no slots.
        if !parts.is_empty() {
            let names = checkpoint.config.optimizer.slot_names().iter();
            let slots = names.map(|slot| parts.remove(slot).unwrap_or_default()).collect();
            trainer.network.set_slots(slots).map_err(damaged)?;
        }
        Ok((checkpoint, trainer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_checkpoint_are_an_error_that_says_so() {
        let (values, none) = ([0_u8; 4], None::<HashMap<String, String>>);
        let weights = [("w", TensorView::new(Dtype::F32, vec![1], &values).unwrap())];
        let weights_file = safetensors::serialize(weights.clone(), none).unwrap();
        let garbled = HashMap::from([(STATE.to_owned(), "{\"config\": 1}".to_owned())]);
        let garbled = safetensors::serialize(weights, Some(garbled)).unwrap();
        let reason = |bytes: &[u8]| match Checkpoint::restore(bytes) {
            Err(Error::Checkpoint { reason }) => reason,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("restored from {} bytes", bytes.len()),
        };
        assert!(reason(&weights_file).contains("is it a weights file?"));
        for bytes in [&b""[..], b"not safetensors at all", &weights_file[..20], &[0xff; 64], &garbled] {
            assert!(!reason(bytes).is_empty());
        }
    }
}
