//! The subcommands that make a model folder fit for the page: `compress`, `average` and `card`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use roentgen::classifier::Classifier;
use roentgen::formats::ModelCard;
use roentgen::formats::folder::read_model_folder;
use tempfile::TempDir;

use super::cli_train::{data_set, write_films};
use super::common::brightness_model;

fn run(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roentgen")).current_dir(dir).args(arguments).output().expect("the binary starts")
}

fn succeed(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn refusal(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(message.lines().last().is_some_and(|line| line.starts_with("error: ")), "{message}");
    message
}

#[test]
fn a_compressed_model_is_small_and_says_almost_the_same() {
    let dir = data_set();
    let at = dir.path();
    succeed(at, &["train", "--data", "films", "--out", "whole", "--epochs", "1", "--steps-per-epoch", "6"]);
    // No more directions than there are films to find them on: 40 of them span everything that the layer does here.
    succeed(at, &["compress", "--model", "whole", "--data", "films", "--out", "Small (40)", "--rank", "40"]);

    let (whole, weights) = read_model_folder(&at.join("whole")).expect("a model");
    let whole = Classifier::new(whole, &weights).expect("a classifier");
    let (small, weights) = read_model_folder(&at.join("Small (40)")).expect("a model");
    // 40 · 53,824 bytes for the wide factor, 40 · 512 floats for the other, convolutions and biases in f32.
    assert!(weights.len() < 40 * 53_824 + 4 * (40 * 512 + 53_696 + 2_000), "{} bytes", weights.len());
    assert!(small.weights.bytes <= weights.len() as u64);
    assert_eq!(small.id, "small--40", "the folder's name in the characters that an id may have");
    let small = Classifier::new(small, &weights).expect("a classifier");
    for class in ["bright", "dark"] {
        let film = fs::read(at.join("films/val").join(class).join("film 0.png")).expect("a film");
        let [a, b] = [&whole, &small].map(|model| model.classify_bytes(&film).expect("a prediction").scores);
        for ((class, a), (_, b)) in a.iter().zip(b.iter()) {
            assert!((a - b).abs() < 0.02, "{class}: {a} whole, {b} compressed");
        }
    }

    let twice = refusal(at, &["compress", "--model", "Small (40)", "--data", "films", "--out", "smaller"]);
    assert!(twice.contains("compressed already"), "{twice}");
    let rank = refusal(at, &["compress", "--model", "whole", "--data", "films", "--out", "smaller", "--rank", "513"]);
    assert!(rank.contains("between 1 and 512"), "{rank}");
}

#[test]
fn averages_are_of_fifty_films_at_least() {
    let dir = TempDir::new().expect("a temporary folder");
    let films = dir.path().join("films/train");
    // Without a `val` folder some 15 % are held back: about 60 of 70 and 42 of 50 are left.
    write_films(&films.join("bright"), true, 70, 1);
    write_films(&films.join("dark"), false, 50, 1000);
    let few = refusal(dir.path(), &["average", "--data", "films", "--out", "model", "--size", "48"]);
    assert!(few.contains("`dark`") && few.contains("at least 50"), "{few}");

    write_films(&films.join("dark"), false, 70, 1000);
    succeed(dir.path(), &["average", "--data", "films", "--out", "model", "--size", "48"]);
    let list: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("model/samples.json")).expect("a list")).expect("JSON");
    assert_eq!(list[0]["class"], "bright");
    assert_eq!((list[1]["file"].as_str(), list[1]["n"].as_u64()), (Some("samples/dark.png"), Some(50)));
    assert!(list[1]["caption"].as_str().is_some_and(|caption| caption.starts_with("Average of 50 ")));
    let picture = image::open(dir.path().join("model/samples/bright.png")).expect("a picture").to_luma8();
    // The disc in the middle of a "bright" film is 160 of 255 levels above its surroundings. Sharpening adds about twice
    // that on either side of its edge, and the stretch to the whole range leaves about a third of 160.
    let levels = |x, y| i32::from(picture.get_pixel(x, y)[0]);
    assert!(levels(24, 24) - levels(2, 2) > 30, "{} in the middle, {} in the corner", levels(24, 24), levels(2, 2));
}

#[test]
fn a_card_takes_up_what_evaluate_measured_and_keeps_the_rest() {
    let dir = data_set();
    let model = brightness_model(dir.path());
    let before = ModelCard::from_json(&fs::read(model.join("model.json")).expect("a card")).expect("valid");
    let classes = dir.path().join("films/val");
    for (from, to) in ["bright", "dark"].iter().zip(&before.classes) {
        fs::rename(classes.join(from), classes.join(to)).expect("a folder of that class");
    }
    succeed(dir.path(), &["evaluate", "--model", "model", "--data", "films/val", "--json", "result.json"]);
    for _ in 0..2 {
        succeed(
            dir.path(),
            &[
                "card",
                "--model",
                "model",
                "--name",
                "Discs",
                "--evaluation",
                "discs=result.json",
                "--limitation",
                "Discs only.",
            ],
        );
    }
    let after = ModelCard::from_json(&fs::read(model.join("model.json")).expect("a card")).expect("valid");
    assert_eq!((after.name.as_str(), after.limitations.as_slice()), ("Discs", &["Discs only.".to_owned()][..]));
    assert_eq!(after.metrics.len(), before.metrics.len() + 1, "measured again on the same data, the entry is replaced");
    assert_eq!(after.metrics.last().map(|entry| (entry.data.as_str(), entry.evaluation.n)), Some(("discs", 20)));
    assert_eq!((after.weights, after.classes), (before.weights, before.classes));

    let wrong = refusal(dir.path(), &["card", "--model", "model", "--evaluation", "discs=model/model.json"]);
    assert!(wrong.contains("evaluate --json"), "{wrong}");
}
