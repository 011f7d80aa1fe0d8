//! A model folder from disk to predictions, and every way it may be broken.

use std::fs;

use roentgen::classifier::Classifier;
use roentgen::error::{Error, Result};
use roentgen::formats::folder::{read_model_folder, write_model_folder};
use roentgen::formats::{Encoding, Storage, Weight, write_weights};
use roentgen::image::Radiograph;
use roentgen::preprocess::Preprocess;
use tempfile::tempdir;

use crate::common::{bright, brightness_model, brightness_weights, card};

fn open(weights: &[Weight]) -> Result<Classifier> {
    Classifier::new(card(), &write_weights(weights)?)
}

fn refusal(weights: &[Weight]) -> Error {
    open(weights).err().expect("the weights fit")
}

fn named<'a>(weights: &'a mut [Weight], name: &str) -> &'a mut Weight {
    weights.iter_mut().find(|weight| weight.name == name).unwrap()
}

#[test]
fn the_brightness_model_says_what_its_weights_say() {
    let classifier = open(&brightness_weights()).unwrap();
    for grey in [0u8, 100, 128, 255] {
        let film = Radiograph::new(70, 90, vec![f32::from(grey) / 255.0; 70 * 90]).unwrap();
        let prediction = classifier.classify(&film).unwrap();
        let found = f64::from(*prediction.scores.get("COVID-19").unwrap());
        assert!((found - bright(grey)).abs() < 1e-5, "grey {grey}: {found}, by hand {}", bright(grey));
        assert_eq!(prediction.label, if grey > 127 { "COVID-19" } else { "Normal" });
        assert_eq!(prediction.refused, None);
    }
}

#[test]
fn a_folder_comes_back_from_disk_in_either_encoding() {
    let dir = tempdir().unwrap();
    let safetensors = write_weights(&brightness_weights()).unwrap();
    for encoding in [Encoding::Identity, Encoding::Gzip] {
        let written = write_model_folder(dir.path(), &card(), &safetensors, encoding).unwrap();
        let (read, bytes) = read_model_folder(dir.path()).unwrap();
        assert_eq!(read, written);
        assert!(bytes == safetensors, "{encoding:?} changed the weights");
        let stored = fs::metadata(dir.path().join("weights.safetensors")).unwrap().len();
        assert_eq!(stored, read.weights.bytes);
    }
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["model.json", "weights.safetensors"], "nothing temporary stays behind");
}

#[test]
fn truncated_altered_or_lengthened_weights_do_not_match_the_card() {
    let dir = tempdir().unwrap();
    let folder = brightness_model(dir.path());
    let path = folder.join("weights.safetensors");
    let good = fs::read(&path).unwrap();
    let mut altered = good.clone();
    altered[good.len() / 2] ^= 1;
    for (bytes, what) in
        [(altered, "SHA-256"), (good[..good.len() - 1].to_vec(), "length"), ([&good[..], b"!"].concat(), "length")]
    {
        fs::write(&path, bytes).unwrap();
        let error = read_model_folder(&folder).unwrap_err();
        assert!(matches!(error, Error::WeightsMismatch { what: found, .. } if found == what), "{error}");
    }
}

#[test]
fn a_missing_card_or_weights_file_is_named() {
    let dir = tempdir().unwrap();
    let folder = brightness_model(dir.path());
    fs::remove_file(folder.join("weights.safetensors")).unwrap();
    assert!(read_model_folder(&folder).unwrap_err().to_string().contains("weights.safetensors"));
    fs::remove_file(folder.join("model.json")).unwrap();
    assert!(read_model_folder(&folder).unwrap_err().to_string().contains("model.json"));
}

#[test]
fn a_missing_tensor_is_named() {
    for left_out in brightness_weights() {
        // Without one factor the layer looks for the other form of its weight, or for the factor.
        let weights: Vec<Weight> = brightness_weights().into_iter().filter(|w| w.name != left_out.name).collect();
        let error = refusal(&weights);
        let name = match error {
            Error::TensorMissing { name } => name,
            other => panic!("without {}: {other}", left_out.name),
        };
        assert!(left_out.name.starts_with(&name), "without {} the missing one is said to be {name}", left_out.name);
    }
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let mut weights = brightness_weights();
    named(&mut weights, "conv2.weight").shape = vec![32, 64, 5, 5];
    let error = refusal(&weights).to_string();
    assert_eq!(error, "tensor `conv2.weight`: expected shape [64, 32, 5, 5], found [32, 64, 5, 5]");

    // As many outputs as classes: a card with one class more does not fit.
    let mut three = card();
    three.classes.push("Viral Pneumonia".into());
    let error = Classifier::new(three, &write_weights(&brightness_weights()).unwrap()).err().unwrap();
    assert!(matches!(error, Error::TensorShape { ref name, .. } if name.starts_with("dense2")), "{error}");
}

#[test]
fn factors_that_do_not_multiply_are_refused() {
    for (name, shape) in [("dense1.weight.u", [256, 4]), ("dense1.weight.v", [4, 64 * 29 * 29 / 2])] {
        let mut weights = brightness_weights();
        named(&mut weights, name).shape = shape.to_vec();
        assert_eq!(refusal(&weights).kind(), "tensor-shape", "{name}");
    }
    let mut weights = brightness_weights();
    named(&mut weights, "dense1.weight.v").shape = vec![2 * 64 * 29 * 29];
    assert_eq!(refusal(&weights).kind(), "tensor-shape");
}

#[test]
fn a_tensor_too_many_is_named() {
    let mut weights = brightness_weights();
    weights.push(Weight { name: "dense3.bias".into(), shape: vec![2], values: vec![0.0; 2], storage: Storage::F32 });
    let error = refusal(&weights).to_string();
    assert!(error.contains("dense3.bias"), "{error}");
}

#[test]
fn a_weight_that_is_not_a_number_is_refused() {
    let safetensors = write_weights(&brightness_weights()).unwrap();
    // -4.0, the first bias of the last layer, is the only value with these bytes.
    let position = safetensors.windows(4).position(|bytes| bytes == (-4.0f32).to_le_bytes()).unwrap();
    let mut poisoned = safetensors.clone();
    poisoned[position..position + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = Classifier::new(card(), &poisoned).err().unwrap();
    assert_eq!(error.to_string(), "weights file: tensor `dense2.bias` holds NaN at 0");
}

#[test]
fn finite_weights_that_overflow_the_network_give_an_error_and_no_nan() {
    let mut weights = brightness_weights();
    named(&mut weights, "conv1.weight").values[12] = 10.0;
    named(&mut weights, "dense2.weight").values[0] = f32::MAX;
    let film = Radiograph::new(64, 64, vec![1.0; 64 * 64]).unwrap();
    let error = open(&weights).unwrap().classify(&film).unwrap_err();
    assert_eq!(error.kind(), "weights");
}

#[test]
fn preprocessing_that_does_not_feed_the_network_is_refused() {
    let mut card = card();
    card.preprocess = Preprocess { height: 64, ..card.preprocess };
    let error = Classifier::new(card, &write_weights(&brightness_weights()).unwrap()).err().unwrap().to_string();
    assert!(error.contains("[3, 64, 128]") && error.contains("[3, 128, 128]"), "{error}");
}

#[test]
fn a_file_larger_than_the_network_is_refused_before_it_is_unpacked() {
    let mut weights = brightness_weights();
    let n = 30_000_000;
    weights.push(Weight { name: "ballast".into(), shape: vec![n], values: vec![0.0; n], storage: Storage::F32 });
    let error = refusal(&weights).to_string();
    assert!(error.contains("has at most"), "{error}");
}

#[test]
fn a_write_that_fails_loses_nothing() {
    let dir = tempdir().unwrap();
    let weights = dir.path().join("weights.safetensors");
    fs::write(&weights, b"the old ones").unwrap();
    // A folder in the card's place cannot be replaced by a file.
    fs::create_dir(dir.path().join("model.json")).unwrap();
    let error = write_model_folder(dir.path(), &card(), b"the new ones", Encoding::Identity).unwrap_err();
    assert_eq!(error.kind(), "io");
    assert_eq!(fs::read(&weights).unwrap(), b"the old ones");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "only what was there before");
}

#[test]
fn a_card_that_could_not_be_read_back_is_not_written() {
    let dir = tempdir().unwrap();
    let mut bad = card();
    bad.classes[1] = bad.classes[0].clone();
    assert_eq!(write_model_folder(dir.path(), &bad, b"x", Encoding::Identity).unwrap_err().kind(), "model-card");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
