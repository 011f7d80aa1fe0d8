//! A run that can be put down and taken up again: weights, optimiser state, position, history.
//!
//! One safetensors file: the weights under their own names, the optimiser's buffers under `adam.m/<weight>` and the
//! like, everything else as JSON in the header. Readable by anything that reads safetensors.

use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{History, TrainConfig, Trainer};
use crate::error::{Error, Result};
use crate::nn::{ParameterSpec, Tensor, Weights};

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

/// Values turned to bytes at a time.
const PIECE: usize = 1 << 18;

/// Hands a safetensors file to `sink`, a piece at a time: the weights, then the optimiser's `slots`, with `state` in the
/// header. Written by hand, for the library of the format wants all tensors beside each other first.
pub(super) fn write_tensors(
    trainer: &Trainer,
    state: Option<String>,
    slots: &[&str],
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    // The order in which `Weights` has them.
    fn sorted<'a>(specs: impl Iterator<Item = &'a ParameterSpec>) -> Vec<&'a ParameterSpec> {
        let mut specs: Vec<_> = specs.collect();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        specs
    }
    let weights = (String::new(), sorted(trainer.network.specs().iter()));
    let beside = slots.iter().map(|slot| (format!("{slot}/"), sorted(trainer.network.learning())));
    let mut header = serde_json::Map::new();
    if let Some(state) = state {
        header.insert("__metadata__".into(), serde_json::json!({ STATE: state }));
    }
    let mut end = 0;
    for (prefix, specs) in std::iter::once(weights).chain(beside) {
        for spec in specs {
            let start = end;
            end += 4 * spec.shape.iter().product::<usize>();
            let entry = serde_json::json!({ "dtype": "F32", "shape": spec.shape, "data_offsets": [start, end] });
            header.insert(format!("{prefix}{}", spec.name), entry);
        }
    }
    let mut header = serde_json::to_vec(&header).map_err(damaged)?;
    // Tensors are to begin at a multiple of eight.
    header.resize(header.len().next_multiple_of(8), b' ');
    sink(&(header.len() as u64).to_le_bytes())?;
    sink(&header)?;
    let mut bytes = Vec::new();
    let mut write = |weights: Weights| -> Result<()> {
        for piece in weights.0.values().flat_map(|tensor| tensor.values.chunks(PIECE)) {
            bytes.clear();
            bytes.extend(piece.iter().flat_map(|value| value.to_le_bytes()));
            sink(&bytes)?;
        }
        Ok(())
    };
    write(trainer.weights())?;
    (0..slots.len()).try_for_each(|which| write(trainer.network.slot(which)))
}

impl Checkpoint {
    /// Bytes of a checkpoint of `trainer`.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn save(&self, trainer: &Trainer) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(trainer, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Hands the bytes of a checkpoint of `trainer` to `sink`, a piece at a time: as a whole they are as large as the
    /// trainer itself, and a page has not that much memory to spare.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the state cannot be written as JSON; whatever `sink` returns.
    pub fn write(&self, trainer: &Trainer, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let state = serde_json::to_string(self).map_err(damaged)?;
        let slots = if trainer.step == 0 { &[] } else { self.config.optimizer.slot_names() };
        write_tensors(trainer, Some(state), slots, &mut sink)
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
        let names = checkpoint.config.optimizer.slot_names();
        // One part at a time: all of them beside the bytes would be the trainer twice.
        let part = |wanted: Option<&str>| -> Result<Weights> {
            let mut weights = Weights::default();
            for (name, view) in tensors.iter() {
                let inside = |slot: &str| name.strip_prefix(slot).and_then(|rest| rest.strip_prefix('/'));
                let name = match wanted {
                    Some(slot) => inside(slot),
                    None => names.iter().all(|slot| inside(slot).is_none()).then_some(name),
                };
                let Some(name) = name else { continue };
                if view.dtype() != Dtype::F32 {
                    return Err(damaged(format!("tensor `{name}` is {:?}; it must be F32", view.dtype())));
                }
                let (bytes, _) = view.data().as_chunks::<4>();
                let values = bytes.iter().map(|b| f32::from_le_bytes(*b)).collect();
                weights.0.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), values });
            }
            Ok(weights)
        };
        let mut trainer = Trainer::from_weights(checkpoint.config.clone(), part(None)?).map_err(damaged)?;
        trainer.step = checkpoint.step;
        // A run that has not taken a step has no slots.
        if checkpoint.step > 0 {
            let slots = names.iter().map(|slot| part(Some(slot))).collect::<Result<_>>()?;
            trainer.network.set_slots(slots).map_err(damaged)?;
        }
        Ok((checkpoint, trainer))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use safetensors::tensor::TensorView;

    use super::*;
    use crate::models::Architecture;
    use crate::nn::{Activation, Graph, Training};

    /// What is written by hand is what the library of the format reads, offsets, shapes and all.
    #[test]
    fn a_checkpoint_is_a_safetensors_file_with_the_optimisers_averages_beside_the_weights() {
        let mut graph = Graph::new([1, 2, 2]);
        let x = graph.flatten("flatten", graph.image());
        graph.dense("dense", x, 3, Activation::Linear);
        let config = TrainConfig::recipe(Architecture::ScratchCnn, vec!["a".into(), "b".into(), "ü".into()]);
        let mut trainer = Trainer::with_network(config.clone(), &graph, Training::new(&graph, 1));
        let mut checkpoint = Checkpoint { config, step: 0, history: History::default(), data: "films".into() };
        let names = |bytes: &[u8]| {
            let mut names: Vec<_> =
                SafeTensors::deserialize(bytes).unwrap().names().into_iter().map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(names(&checkpoint.save(&trainer).unwrap()), ["dense.bias", "dense.weight"]);

        let images = vec![0.25, 0.5, 0.75, 1.0];
        let targets = vec![1.0, 0.0, 0.0];
        trainer
            .step(crate::data::Batch { images, targets, n: 1, channels: 1, height: 2, width: 2, classes: 3 })
            .unwrap();
        checkpoint.step = trainer.steps();
        let bytes = checkpoint.save(&trainer).unwrap();
        let mut weights = Vec::new();
        let mut sink = |piece: &[u8]| {
            weights.extend_from_slice(piece);
            Ok(())
        };
        write_tensors(&trainer, None, &[], &mut sink).unwrap();
        assert_eq!(crate::formats::read_weights(&weights).unwrap(), trainer.weights());
        let all = ["adam.m/", "adam.v/", ""].map(|slot| ["bias", "weight"].map(|name| format!("{slot}dense.{name}")));
        assert_eq!(names(&bytes), all.concat());
        let file = SafeTensors::deserialize(&bytes).unwrap();
        for (which, slot) in ["", "adam.m/", "adam.v/"].into_iter().enumerate() {
            let tensors = if which == 0 { trainer.weights() } else { trainer.network.slot(which - 1) };
            for (name, Tensor { shape, values }) in tensors.0 {
                let view = file.tensor(&format!("{slot}{name}")).unwrap();
                let expected: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                assert_eq!((view.shape(), view.data()), (&shape[..], &expected[..]), "{slot}{name}");
            }
        }
    }

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
