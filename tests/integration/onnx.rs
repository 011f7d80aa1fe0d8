//! `roentgen export`: ONNX Runtime, the engine the files are for, gives what the library gives.

use std::fs;
use std::path::Path;
use std::process::Command;

use roentgen::classifier::probabilities;
use roentgen::formats::about::Calibration;
use roentgen::formats::folder::{read_model_folder, write_model_folder};
use roentgen::formats::{Encoding, ModelCard, read_weights};
use roentgen::models::Architecture;
use roentgen::nn::{Frozen, Graph, Precision, Tensor, Weights, folded};
use roentgen::onnx;
use serde::Deserialize;
use tempfile::tempdir;

use super::backbones;
use super::common::{brightness_model, card, roentgen, text};
use super::formula::uniform;

/// Images in a batch: the file takes any number, and says so.
const N: usize = 2;
/// Streams of the images and of weights that are not a network's own.
const IMAGES: u64 = 80_000;
const OTHERS: u64 = 81_000;
/// What a model may differ by from ONNX Runtime, in logits.
const ALLOWED: f32 = 1e-4;

#[derive(Deserialize)]
struct Outputs {
    logits: Output,
    probabilities: Output,
}

#[derive(Deserialize)]
struct Output {
    dims: Vec<usize>,
    data: Vec<f32>,
}

/// What ONNX Runtime (onnxruntime-web, in node) gives for `file`; `None`, in words, where it is not installed.
fn onnx_runtime(file: &Path, images: &[f32], [channels, height, width]: [usize; 3]) -> Option<Outputs> {
    let at = file.with_extension("images");
    fs::write(&at, images.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).expect("images are written");
    let mut node = Command::new("node");
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/run.mjs")).arg(file).arg(&at);
    node.args([N, channels, height, width].map(|size| size.to_string()));
    let output = match node.output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: node cannot be started ({error}); `./build.sh test` installs it");
            return None;
        }
    };
    if output.status.code() == Some(3) {
        println!("skipped: {}; `./build.sh test` installs it", text(&output.stderr).trim());
        return None;
    }
    assert!(output.status.success(), "{}: {}", file.display(), text(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("the script's JSON"))
}

/// A card for `architecture` with `classes` classes.
fn card_of(architecture: Architecture, classes: usize) -> ModelCard {
    ModelCard {
        architecture: architecture.name().into(),
        classes: (0..classes).map(|i| format!("class {i}")).collect(),
        preprocess: architecture.preprocess(),
        ..card()
    }
}

/// Two images as preprocessing leaves films: around zero.
fn images(graph: &Graph) -> Vec<f32> {
    let len: usize = graph.input().iter().product();
    (0..N).flat_map(|i| uniform(IMAGES + i as u64, -2.0, 2.0).take(len)).collect()
}

/// Weights for `graph` whose logits are as large as a trained network's, up to 10: drawn ones add up to 50,000 in
/// ResNet-50, where a float has no 1e-4.
fn weights(graph: &Graph) -> Weights {
    let mut weights = backbones::weights(graph);
    let network = Frozen::new(graph, weights.clone(), Precision::Float).expect("weights that fit");
    let largest = network.logits(N, &images(graph)).iter().fold(0.0_f32, |max, v| max.max(v.abs()));
    for spec in &graph.parameters()[graph.parameters().len() - 2..] {
        let tensor = weights.0.get_mut(&spec.name).expect("the last layer's weight and bias");
        tensor.values.iter_mut().for_each(|v| *v *= 10.0 / largest);
    }
    weights
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Exports, runs and compares; false where nothing could be run.
fn agrees(name: &str, card: &ModelCard, graph: &Graph, weights: Weights) -> bool {
    let dir = tempdir().expect("a temporary folder");
    let file = dir.path().join("model.onnx");
    fs::write(&file, onnx::export(card, weights.clone()).expect("weights that fit")).expect("the file is written");
    let images = images(graph);
    let Some(found) = onnx_runtime(&file, &images, graph.input()) else { return false };

    let network = Frozen::new(graph, weights, Precision::Float).expect("weights that fit");
    let mut logits = network.logits(N, &images);
    if card.mirrored {
        let mirrored: Vec<f32> = images.chunks(graph.input()[2]).flat_map(|row| row.iter().rev().copied()).collect();
        let mirrored = network.logits(N, &mirrored);
        assert!(difference(&logits, &mirrored) > 10.0 * ALLOWED, "{name}: mirrored or not, it is the same");
        logits.iter_mut().zip(mirrored).for_each(|(own, other)| *own = (*own + other) / 2.0);
    }
    let classes = graph.outputs();
    assert_eq!((&found.logits.dims, &found.probabilities.dims), (&vec![N, classes], &vec![N, classes]), "{name}");
    let off = difference(&found.logits.data, &logits);
    let probabilities = probabilities(&logits, classes, card.temperature());
    let off_probabilities = difference(&found.probabilities.data, &probabilities);
    let largest = logits.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
    println!("{name}: logits up to {largest:.2}, {off:.1e} off, probabilities {off_probabilities:.1e} off");
    assert!(off <= ALLOWED, "{name}: logits differ by {off}");
    assert!(off_probabilities <= ALLOWED, "{name}: probabilities differ by {off_probabilities}");
    // Neither image is ignored, and the two are told apart.
    assert!(difference(&logits[..classes], &logits[classes..]) > 10.0 * ALLOWED, "{name}: {logits:?}");
    true
}

#[test]
fn every_architecture_gives_the_same_logits_in_onnx_runtime() {
    for architecture in Architecture::ALL {
        let graph = architecture.graph(3);
        if !agrees(architecture.name(), &card_of(architecture, 3), &graph, weights(&graph)) {
            return;
        }
    }
}

#[test]
fn weights_in_the_other_forms_that_files_have_give_the_same_too() {
    // The wide dense layer as two factors, as in the shipped model.
    let architecture = Architecture::ScratchCnn;
    let graph = architecture.graph(2);
    let mut factored = weights(&graph);
    let whole = factored.0.remove("dense1.weight").expect("a dense layer");
    let [outputs, inputs] = [whole.shape[0], whole.shape[1]];
    for (i, (factor, shape)) in [("u", [outputs, 4]), ("v", [4, inputs])].into_iter().enumerate() {
        let bound = (3.0 / shape[1] as f64).sqrt();
        let values = uniform(OTHERS + i as u64, -bound, bound).take(shape[0] * shape[1]).collect();
        factored.0.insert(format!("dense1.weight.{factor}"), Tensor { shape: shape.to_vec(), values });
    }

    // A card with a calibration.
    let calibration = Calibration {
        temperature: 2.5,
        films: 100,
        loss_before: 0.5,
        loss_after: 0.4,
        ece_before: 0.1,
        ece_after: 0.02,
    };
    let calibrated = ModelCard { calibration: Some(calibration), ..card_of(architecture, 2) };
    agrees("calibrated", &calibrated, &graph, factored.clone());
    agrees("factors", &card_of(architecture, 2), &graph, factored);

    // Normalisations in the convolutions already, and one channel.
    let architecture = Architecture::EfficientNetLite0Slim;
    let graph = architecture.graph(2);
    let folded = folded(&graph, weights(&graph)).expect("weights that fit");
    assert!(folded.0.keys().all(|name| !name.contains("running")), "nothing is left of the normalisations");
    agrees("folded", &card_of(architecture, 2), &graph, folded.clone());

    // A model that judges each film mirrored too.
    agrees("mirrored", &ModelCard { mirrored: true, ..card_of(architecture, 2) }, &graph, folded);
}

#[test]
fn the_shipped_model_gives_the_same_through_the_command_line() {
    let dir = tempdir().expect("a temporary folder");
    let file = dir.path().join("shipped.onnx");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/scratch-cnn");
    let output =
        roentgen(["export".as_ref(), "--model".as_ref(), model.as_os_str(), "--onnx".as_ref(), file.as_os_str()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (card, safetensors) = read_model_folder(&model).expect("the shipped model");
    let weights = read_weights(&safetensors).expect("its weights");
    assert_eq!(fs::read(&file).expect("the file"), onnx::export(&card, weights.clone()).expect("an export"));
    agrees("shipped", &card, &Architecture::of(&card).expect("its network").graph(card.classes.len()), weights);
}

#[test]
fn what_cannot_be_exported_is_refused_and_leaves_no_file() {
    let dir = tempdir().expect("a temporary folder");
    let model = brightness_model(dir.path());
    let export = |model: &Path, file: &Path| {
        let output =
            roentgen(["export".as_ref(), "--model".as_ref(), model.as_os_str(), "--onnx".as_ref(), file.as_os_str()]);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr).to_owned()
    };
    // A folder that is not there, for the file and for the model.
    let nowhere = export(&model, &dir.path().join("no/such/model.onnx"));
    assert!(nowhere.starts_with("error: ") && nowhere.contains("no/such"), "{nowhere}");
    let missing = export(&dir.path().join("none"), &dir.path().join("model.onnx"));
    assert!(missing.contains("none/model.json"), "{missing}");

    // Weights of another network under a card that is in order.
    let (card, safetensors) = read_model_folder(&model).expect("a model");
    let other =
        ModelCard { architecture: "resnet50".into(), preprocess: Architecture::ResNet50.preprocess(), ..card.clone() };
    write_model_folder(&model, &other, &safetensors, Encoding::Gzip).expect("a folder");
    let weights = export(&model, &dir.path().join("model.onnx"));
    assert!(weights.contains("tensor `conv1.weight`"), "{weights}");
    // A card whose films have another size than the network takes.
    let other = ModelCard { preprocess: Architecture::ResNet50.preprocess(), ..card };
    write_model_folder(&model, &other, &safetensors, Encoding::Gzip).expect("a folder");
    let size = export(&model, &dir.path().join("model.onnx"));
    assert!(size.contains("`preprocess` gives [3, 224, 224]"), "{size}");
    assert!(!dir.path().join("model.onnx").exists());
}
