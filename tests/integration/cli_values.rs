//! Values that leave open what is black and white, from the command line: said, asked about, and answered once for a set.

use std::path::Path;
use std::process::Output;

use image::{ImageBuffer, Luma};
use serde_json::Value;
use tempfile::TempDir;

use super::common::{CLASSES, brightness_model, grey_film, json_of, roentgen};

/// Writes a film of one value in 16 bits.
fn deep_film(path: &Path, value: u16) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    ImageBuffer::from_pixel(90, 70, Luma([value])).save(path).unwrap();
}

/// What the brightness model gives a film of grey `g` in `[0, 1]`: the logistic function of `8 g - 4`.
fn bright(g: f64) -> f64 {
    1.0 / (1.0 + (4.0 - 8.0 * g).exp())
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn predict_says_that_bits_are_unused_and_reads_them_by_a_range_that_is_given() {
    let dir = TempDir::new().unwrap();
    let model = path(&brightness_model(dir.path()));
    let film = path(&dir.path().join("film.png"));
    deep_film(Path::new(&film), 3000);
    let predict = |more: &[&str]| roentgen([&["predict", "--model", &model, &film][..], more].concat());
    let line: Value = json_of(&predict(&["--json"]));
    let score = |line: &Value| line["scores"][CLASSES[0]].as_f64().unwrap();
    assert!((score(&line) - bright(3000.0 / 65535.0)).abs() < 1e-4, "{line}");
    let note = line["notes"][0].as_str().unwrap();
    assert!(note.contains("below 4096") && note.contains("0..4095"), "{note}");
    assert_eq!(line["suggested_range"], serde_json::json!([0.0, 4095.0]));
    assert!(text(&predict(&[])).contains("note: All its values are below 4096"));

    let line: Value = json_of(&predict(&["--json", "--value-range", "0..4095"]));
    assert!((score(&line) - bright(3000.0 / 4095.0)).abs() < 1e-4, "{line}");
    assert_eq!((&line["notes"], line.get("suggested_range")), (&serde_json::json!([]), None));
    // A range that the film does not keep to makes no white film of it.
    let line: Value = json_of(&predict(&["--json", "--value-range", "0..255"]));
    assert!((score(&line) - bright(3000.0 / 65535.0)).abs() < 1e-4, "{line}");
    assert!(line["notes"][0].as_str().unwrap().contains("reach 3000"), "{line}");

    for (range, complaint) in [("4095", "BLACK..WHITE"), ("0..x", "no number"), ("9..3", "above black")] {
        let output = predict(&["--value-range", range]);
        assert!(!output.status.success() && text(&output).contains(complaint), "{range}: {}", text(&output));
    }
}

#[test]
fn floats_beyond_one_are_refused_by_name_until_a_range_is_given() {
    let dir = TempDir::new().unwrap();
    let model = path(&brightness_model(dir.path()));
    let film = dir.path().join("film.tif");
    // Of one value but for a column at the edge.
    std::fs::write(&film, float_tiff(90, 70, |x| if x == 0 { 1000.0 } else { 3000.0 })).unwrap();
    let predict =
        |more: &[&str]| roentgen([&["predict", "--json", "--model", &model, &path(&film)][..], more].concat());
    // It exits with 1, and says why in its line.
    let line: Value = serde_json::from_slice(&predict(&[]).stdout).unwrap();
    assert_eq!((&line["error"]["kind"], &line["label"]), (&"value-range".into(), &Value::Null));
    assert!(line["error"]["message"].as_str().unwrap().contains("run from 1000 to 3000"), "{line}");
    let line: Value = json_of(&predict(&["--value-range", "0..4095"]));
    let score = line["scores"][CLASSES[0]].as_f64().unwrap();
    // The column takes a ninetieth of the width, and dims it by two thirds at most.
    assert!((score - bright(3000.0 / 4095.0)).abs() < 0.01, "{line}");
}

/// A TIFF of 32-bit floats, in one strip (TIFF 6.0, pages 13 to 16).
fn float_tiff(width: u32, height: u32, value: impl Fn(u32) -> f32) -> Vec<u8> {
    let entries: [(u16, u32); 10] = [
        (256, width),
        (257, height),
        (258, 32),
        (259, 1),
        (262, 1),
        (273, 8 + 2 + 10 * 12 + 4),
        (277, 1),
        (278, height),
        (279, 4 * width * height),
        (339, 3),
    ];
    let mut file = b"II*\0\x08\0\0\0\x0a\0".to_vec();
    for (tag, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(b"\x04\0\x01\0\0\0");
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file.extend((0..height).flat_map(|_| 0..width).flat_map(|x| value(x).to_le_bytes()));
    file
}

/// One class of twelve bits in sixteen, the other of eight: the classic shortcut.
fn half_deep(dir: &Path) -> String {
    for i in 0..14 {
        deep_film(&dir.join(format!("films/COVID-19/{i}.png")), 2600 + 60 * i);
        grey_film(&dir.join(format!("films/Normal/{i}.png")), 20 + 4 * i as u8);
    }
    path(&dir.join("films"))
}

#[test]
fn a_class_of_fewer_bits_is_said_for_the_whole_set_and_answered_once() {
    let dir = TempDir::new().unwrap();
    let films = half_deep(dir.path());
    let said = "in 14 of 28 images (COVID-19 14 of 14, Normal 0 of 14) all values are below 4096";
    let output = text(&roentgen(["dataset", &films]));
    assert!(output.contains(said) && output.contains("0..4095"), "{output}");
    let json: Value = json_of(&roentgen(["dataset", &films, "--json"]));
    let warned =
        |json: &Value, what| json["warnings"].as_array().unwrap().iter().any(|w| w.as_str().unwrap().contains(what));
    assert!(warned(&json, said), "{json}");
    assert_eq!(json["unused"], serde_json::json!({ "below": 4096, "by_class": [[14, 14], [0, 14]] }));
    let answered = text(&roentgen(["dataset", &films, "--value-range", "0..4095"]));
    assert!(!answered.contains("values are below"), "{answered}");

    let model = path(&brightness_model(dir.path()));
    let evaluate = |more: &[&str]| -> Value {
        json_of(&roentgen([&["evaluate", "--json", "-", "--model", &model, "--data", &films][..], more].concat()))
    };
    // The model calls bright films COVID-19: as they are all are dark, and half of them rightly so.
    let plain = evaluate(&[]);
    assert!(warned(&plain, said), "{plain}");
    assert_eq!(plain["accuracy"], 0.5);
    let ranged = evaluate(&["--value-range", "0..4095"]);
    assert!(!warned(&ranged, "values are below"), "{ranged}");
    assert_eq!(ranged["accuracy"], 1.0);

    let out = path(&dir.path().join("trained"));
    let train = ["train", "--data", &films, "--out", &out, "--arch", "efficientnet-lite0-slim", "--side", "64"];
    let steps = ["--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "2"];
    let trained = text(&roentgen([&train[..], &steps].concat()));
    assert!(trained.contains("all values are below 4096"), "{trained}");
    let trained = text(&roentgen([&train[..], &steps, &["--value-range", "0..4095", "--overwrite"]].concat()));
    assert!(!trained.contains("values are below"), "{trained}");
    // The model reads films as it was taught to.
    let card: Value = serde_json::from_slice(&std::fs::read(format!("{out}/model.json")).unwrap()).unwrap();
    assert_eq!(card["preprocess"]["value_range"], serde_json::json!([0.0, 4095.0]));
    let line: Value = json_of(&roentgen(["predict", "--json", "--model", &out, &format!("{films}/COVID-19/3.png")]));
    assert_eq!(line["notes"], serde_json::json!([]));
}
