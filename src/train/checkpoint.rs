//! A run that can be put down and taken up again: weights, optimiser state, position, history.
//!
//! One safetensors file: the weights under their own names, the optimiser's buffers under `adam.m/<weight>` and the
//! like, everything else as JSON in the header. Readable by anything that reads safetensors.

use std::collections::BTreeMap;
use std::io::Read;

use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};

use super::{History, TrainConfig, Trainer};
use crate::error::{Error, Result};
use crate::formats::weights::{read_f32s, read_header};
use crate::nn::Training;

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

/// The tensors of a file of `network`, by name, with the parameter that each is of and the slot, where it is not the weight
/// itself: the weights, then the optimiser's `slots`, each in the order in which [`Weights`](crate::nn::Weights) has them.
fn tensors(network: &Training, slots: &[&str]) -> Vec<(String, usize, Option<usize>)> {
    let specs = network.specs();
    let mut order: Vec<usize> = (0..specs.len()).collect();
    order.sort_by_key(|&i| &specs[i].name);
    let weights = order.iter().map(|&i| (specs[i].name.clone(), i, None));
    let beside = slots.iter().enumerate().flat_map(|(slot, prefix)| {
        let learning = order.iter().filter(|&&i| network.learns(i));
        learning.map(move |&i| (format!("{prefix}/{}", specs[i].name), i, Some(slot)))
    });
    weights.chain(beside).collect()
}

/// Hands a safetensors file to `sink`, a piece at a time: the weights, then the optimiser's `slots`, with `state` in the
/// header. Written by hand, for the library of the format wants all tensors beside each other first.
pub(super) fn write_tensors(
    trainer: &Trainer,
    state: Option<String>,
    slots: &[&str],
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let network = trainer.network();
    let tensors = tensors(&network, slots);
    let specs = network.specs();
    let mut header = serde_json::Map::new();
    if let Some(state) = state {
        header.insert("__metadata__".into(), serde_json::json!({ STATE: state }));
    }
    let mut end = 0;
    for (name, i, _) in &tensors {
        let start = end;
        end += 4 * specs[*i].len();
        let entry = serde_json::json!({ "dtype": "F32", "shape": specs[*i].shape, "data_offsets": [start, end] });
        header.insert(name.clone(), entry);
    }
    let mut header = serde_json::to_vec(&header).map_err(damaged)?;
    // Tensors are to begin at a multiple of eight.
    header.resize(header.len().next_multiple_of(8), b' ');
    sink(&(header.len() as u64).to_le_bytes())?;
    sink(&header)?;
    let (mut values, mut bytes) = (Vec::new(), Vec::new());
    for (_, i, slot) in tensors {
        for first in (0..specs[i].len()).step_by(PIECE) {
            values.resize(PIECE.min(specs[i].len() - first), 0.0);
            network.take(i, slot, first, &mut values);
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            sink(&bytes)?;
        }
    }
    Ok(())
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
        write_tensors(trainer, Some(state), self.slots(), &mut sink)
    }

    /// Reads what [`write`](Self::write) wrote, from beginning to end: the state and a trainer that stands where the saved
    /// one stood. No tensor is there twice at any time.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the bytes cannot be read, are damaged or from another version.
    pub fn read(mut file: impl Read) -> Result<(Self, Trainer)> {
        let (header, _) = read_header(&mut file).map_err(damaged)?;
        let state = header.metadata().as_ref().and_then(|m| m.get(STATE));
        let state = state.ok_or_else(|| damaged("holds no training state; is it a weights file?"))?;
        let checkpoint: Self = serde_json::from_str(state).map_err(damaged)?;
        let mut trainer = Trainer::unset(checkpoint.config.clone()).map_err(damaged)?;
        trainer.descent.set_steps(checkpoint.step);
        let mut network = trainer.network();
        let expected = tensors(&network, checkpoint.slots());
        let mut expected: BTreeMap<_, _> = expected.into_iter().map(|(name, i, slot)| (name, (i, slot))).collect();
        for name in header.offset_keys() {
            let unknown = || damaged(format!("the network has no tensor `{name}`"));
            let (i, slot) = expected.remove(&name).ok_or_else(unknown)?;
            let shape = network.specs()[i].shape.clone();
            match header.info(&name) {
                Some(info) if info.dtype == Dtype::F32 && info.shape == shape => {}
                _ => return Err(damaged(format!("tensor `{name}` must be F32 of shape {shape:?}"))),
            }
            let len: usize = shape.iter().product();
            let mut first = 0;
            let put = |values: &[f32]| {
                network.put(i, slot, first, values);
                first += values.len();
            };
            read_f32s(&mut file, len, put).map_err(damaged)?;
        }
        if let Some(missing) = expected.keys().next() {
            return Err(damaged(format!("tensor `{missing}` is missing")));
        }
        if file.read(&mut [0]).map_err(damaged)? > 0 {
            return Err(damaged("is longer than its header says"));
        }
        drop(network);
        Ok((checkpoint, trainer))
    }

    /// What the optimiser keeps beside each weight; nothing before the first step.
    fn slots(&self) -> &'static [&'static str] {
        if self.step == 0 { &[] } else { self.config.optimizer.slot_names() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use safetensors::tensor::{SafeTensors, TensorView};

    use super::*;
    use crate::models::Architecture;
    use crate::nn::{Activation, Graph, Tensor};

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
            .step(crate::data::Batch {
                images,
                targets,
                origins: None,
                n: 1,
                channels: 1,
                height: 2,
                width: 2,
                classes: 3,
            })
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
            let tensors = if which == 0 { trainer.weights() } else { trainer.network().slot(which - 1) };
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
        let reason = |bytes: &[u8]| match Checkpoint::read(bytes) {
            Err(Error::Checkpoint { reason }) => reason,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("restored from {} bytes", bytes.len()),
        };
        assert!(reason(&weights_file).contains("is it a weights file?"));
        assert_eq!(reason(&weights_file[..4]), "is cut short");
        for bytes in [&b""[..], b"not safetensors at all", &weights_file[..20], &[0xff; 64], &garbled] {
            assert!(!reason(bytes).is_empty());
        }
    }
}
