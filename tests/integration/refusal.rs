//! What a model refuses to judge: with a gate that lets every film pass, on the command line, and with that of the default
//! model, on pictures made here and on the sample pictures, which are averages of many films.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use roentgen::classifier::Classifier;
use roentgen::formats::folder::{read_model_folder, write_model_folder};
use roentgen::formats::{Encoding, ModelCard, Storage, Weight, write_beside, write_weights};
use roentgen::refusal::{Gate, GateInfo, KINDS, Reason};
use serde_json::Value;
use tempfile::tempdir;

use crate::common::{CLASSES, brightness_weights, card, roentgen, text};

/// Channels of the scratch CNN's feature maps: 32 of its first size, 64 of its second.
const TRACES: usize = 32 + 64;

/// The brightness model with a gate that takes everything for a film near all others.
fn model(dir: &Path, features: usize) -> PathBuf {
    let mut bias = vec![0.0; KINDS.len()];
    bias[0] = 50.0;
    let gate = Gate {
        mean: vec![0.0; features],
        scale: vec![0.0; features],
        weight: vec![0.0; KINDS.len() * features],
        bias,
        directions: vec![0.0; features],
        variances: vec![1.0; 2],
    };
    let beside = gate.tensors().into_iter().map(|(name, tensor)| Weight {
        name,
        shape: tensor.shape,
        values: tensor.values,
        storage: Storage::F32,
    });
    let safetensors =
        write_beside(&write_weights(&brightness_weights()).unwrap(), &beside.collect::<Vec<_>>()).unwrap();
    let refusal =
        GateInfo { minimum_probability: 0.5, maximum_distance: 2.0, features, fitted: None, measured: BTreeMap::new() };
    let folder = dir.join("model");
    write_model_folder(&folder, &ModelCard { refusal: Some(refusal), ..card() }, &safetensors, Encoding::Gzip).unwrap();
    folder
}

/// A striped picture of `side` pixels in a file.
fn striped(path: &Path, side: u32, [a, b]: [[u8; 3]; 2]) {
    RgbImage::from_fn(side, side, |x, _| Rgb(if x / 8 % 2 == 0 { a } else { b })).save(path).unwrap();
}

#[test]
fn a_refused_file_has_a_reason_and_no_score_unless_it_is_to_be_shown_anyway() {
    let dir = tempdir().unwrap();
    let model = model(dir.path(), TRACES);
    let file = |name: &str| dir.path().join(name);
    striped(&file("film.png"), 128, [[20; 3], [200; 3]]);
    striped(&file("small.png"), 95, [[20; 3], [200; 3]]);
    striped(&file("blank.png"), 128, [[90; 3], [92; 3]]);
    striped(&file("colour.png"), 128, [[220, 60, 40], [10, 30, 120]]);
    // The tone of an old film is no colour.
    striped(&file("tinted.png"), 128, [[25, 20, 10], [210, 200, 180]]);
    let cases = [
        ("film.png", None),
        ("small.png", Some("too-small")),
        ("blank.png", Some("blank")),
        ("colour.png", Some("colour-photo")),
        ("tinted.png", None),
    ];
    let predict = |options: &[&str]| {
        let files = cases.iter().map(|(name, _)| file(name).to_str().unwrap().to_owned());
        let fixed = ["predict", "--model", model.to_str().unwrap()];
        roentgen(fixed.iter().chain(options).map(|option| option.to_string()).chain(files))
    };
    let output = predict(&["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    for (line, (name, reason)) in text(&output.stdout).lines().zip(cases) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["error"].is_null(), "{name}: {line}");
        match reason {
            None => assert!(line["refused"].is_null() && line["label"].is_string(), "{name}: {line}"),
            Some(reason) => {
                assert_eq!(line["refused"]["reason"], reason, "{name}");
                assert!(line["refused"]["message"].as_str().unwrap().ends_with('.'), "{name}");
                assert!(line["refused"]["value"].is_number() && line["refused"]["limit"].is_number(), "{name}");
                for key in ["answer", "label", "score", "scores", "uncertain", "called"] {
                    assert!(line[key].is_null(), "{name}: {key} in {line}");
                }
            }
        }
    }
    let shown = predict(&["--json", "--show-anyway"]);
    assert_eq!(shown.status.code(), Some(0));
    for (line, (name, reason)) in text(&shown.stdout).lines().zip(cases) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(CLASSES.contains(&line["label"].as_str().unwrap()), "{name}");
        assert_eq!(line["refused"]["reason"].as_str(), reason, "{name} stays marked");
    }
    let plain = predict(&["--show-anyway"]);
    let lines: Vec<&str> = text(&plain.stdout).lines().collect();
    assert!(lines[1].starts_with("refused") && lines[1].contains("Without that it would be"), "{}", lines[1]);
}

#[test]
fn a_gate_for_another_network_is_an_error_when_the_model_is_opened() {
    let dir = tempdir().unwrap();
    let folder = model(dir.path(), TRACES + 1);
    let (card, safetensors) = read_model_folder(&folder).unwrap();
    let error = Classifier::new(card.clone(), &safetensors).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "model card: `refusal.features` is 97; `scratch-cnn` leaves 96");
    let claims_less = ModelCard { refusal: card.refusal.map(|info| GateInfo { features: TRACES, ..info }), ..card };
    let error = Classifier::new(claims_less, &safetensors).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), "tensor-shape");
}

/// The model that the page opens, once it refuses.
fn default_model() -> Classifier {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/four-findings");
    let (card, safetensors) = read_model_folder(&folder).unwrap();
    assert!(card.refusal.is_some(), "the default model refuses nothing");
    Classifier::new(card, &safetensors).unwrap()
}

fn png(picture: DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn the_default_model_refuses_turned_inverted_and_cut_films_for_what_they_are() {
    let classifier = default_model();
    let refused = |picture: DynamicImage| classifier.classify_bytes(&png(picture)).unwrap().refused.map(|r| r.reason);
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/scratch-cnn/samples");
    for sample in ["covid-19.png", "normal.png"] {
        let film = image::load_from_memory(&fs::read(samples.join(sample)).unwrap()).unwrap();
        assert_eq!(refused(film.clone()), None, "{sample}");
        assert_eq!(refused(film.fliph()), None, "{sample} mirrored");
        assert_eq!(refused(film.rotate90()), Some(Reason::Rotated), "{sample}");
        assert_eq!(refused(film.rotate270()), Some(Reason::Rotated), "{sample}");
        assert_eq!(refused(film.rotate180()), Some(Reason::UpsideDown), "{sample}");
        assert_eq!(refused(film.flipv()), Some(Reason::UpsideDown), "{sample}");
        let mut inverted = film.clone();
        inverted.invert();
        assert_eq!(refused(inverted), Some(Reason::Inverted), "{sample}");
        assert!(refused(film.crop_imm(10, 10, 90, 90).resize_exact(224, 224, image::imageops::Triangle)).is_some());
    }
}

#[test]
fn the_default_model_refuses_drawings_noise_and_slopes() {
    let classifier = default_model();
    let hash =
        |x: u32, y: u32| (x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663)).wrapping_mul(2_654_435_761) >> 24;
    type Grey = fn(u32, u32, u32) -> u8;
    let pictures: [(&str, Grey); 7] = [
        ("noise", |_, _, noise| noise as u8),
        ("a slope", |x, _, _| x as u8),
        ("a slope down", |_, y, _| 255 - y as u8),
        ("stripes", |x, _, _| if x / 12 % 2 == 0 { 20 } else { 220 }),
        ("a chess board", |x, y, _| if (x / 32 + y / 32) % 2 == 0 { 0 } else { 255 }),
        ("a disc", |x, y, _| if x.abs_diff(112).pow(2) + y.abs_diff(112).pow(2) < 6400 { 230 } else { 15 }),
        ("lines of text", |x, y, noise| if y % 16 < 9 && x % 11 < 8 && noise > 120 { 0 } else { 255 }),
    ];
    for (name, grey) in pictures {
        let picture = GrayImage::from_fn(224, 224, |x, y| Luma([grey(x, y, hash(x, y))]));
        let refused = classifier.classify_bytes(&png(picture.into())).unwrap().refused;
        assert!(refused.is_some(), "{name} was judged");
    }
}
