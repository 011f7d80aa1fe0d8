//! `roentgen blend`: means of weights that lie in files of several forms.

use std::path::Path;

use roentgen::formats::{Encoding, ModelCard, Weight, folder, in_floats, read_weights, write_weights};
use roentgen::models::Architecture;
use roentgen::nn::{Training, Weights, folded};
use roentgen::preprocess::Preprocess;
use tempfile::tempdir;

use crate::common::{card, roentgen, text};

fn write(dir: &Path, side: usize, weights: Weights, beside: &[Weight]) {
    let preprocess = Preprocess { height: side, width: side, ..Architecture::EfficientNetLite0Slim.preprocess() };
    let card = ModelCard { architecture: Architecture::EfficientNetLite0Slim.name().into(), preprocess, ..card() };
    let all = [in_floats(weights), beside.to_vec()].concat();
    folder::write_model_folder(dir, &card, &write_weights(&all).unwrap(), Encoding::Identity).unwrap();
}

/// The function of `folded` is the network's own, so the mean of both forms of one network is that network.
#[test]
fn a_mean_takes_models_made_small_and_of_another_side() {
    let dir = tempdir().unwrap();
    let graph = Architecture::EfficientNetLite0Slim.graph(card().classes.len());
    let weights = Training::new(&graph, 3).weights();
    let small = folded(&graph, weights.clone()).unwrap();
    let [large, compact, out] = ["large", "compact", "out"].map(|name| dir.path().join(name));
    write(&large, 192, weights, &[]);
    let beside = in_floats(Weights(
        [("refusal.mean".into(), roentgen::nn::Tensor { shape: vec![1], values: vec![0.5] })].into(),
    ));
    write(&compact, 224, small.clone(), &beside);
    let arguments = ["blend", "--model"].map(Into::into).into_iter().chain([
        compact.as_os_str().to_owned(),
        "--model".into(),
        large.as_os_str().to_owned(),
        "--out".into(),
        out.as_os_str().to_owned(),
    ]);
    let output = roentgen(arguments.collect::<Vec<std::ffi::OsString>>());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (card, bytes) = folder::read_model_folder(&out).unwrap();
    assert_eq!(card.preprocess.height, 224);
    assert_eq!(read_weights(&bytes).unwrap(), small);
}
