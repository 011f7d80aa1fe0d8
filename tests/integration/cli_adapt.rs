//! `roentgen adapt`, with a model that calls films by their brightness, at a place where all films are darker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use roentgen::formats::folder::read_model_folder;
use roentgen::formats::read_weights;
use serde_json::Value;
use tempfile::tempdir;

use crate::common::{CLASSES, bright, brightness_model, grey_film, json_of, roentgen, text};

/// Films of COVID-19 from grey 100 on, which the model calls Normal up to 127; Normal from 30 on. In folders of other names
/// and in another order than the model's classes.
fn films(dir: &Path, each: u8) -> PathBuf {
    let folder = dir.join("films");
    for i in 0..each {
        grey_film(&folder.join(format!("normal/{i}.png")), 30 + 2 * i);
        grey_film(&folder.join(format!("covid_19/{i}.png")), 100 + 3 * i);
    }
    folder
}

fn adapt(dir: &Path, data: &Path, options: &[&str]) -> Output {
    let [model, data, out] = [&dir.join("model"), data, &dir.join("adapted")].map(|path| path.display().to_string());
    let mut args = vec!["adapt", "--model", &model, "--data", &data, "--out", &out];
    args.extend(options);
    roentgen(args)
}

#[test]
fn it_learns_a_place_and_says_what_that_is_worth() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let data = films(dir.path(), 15);
    grey_film(&data.join("Mass/a.png"), 200);
    fs::write(data.join("normal/broken.png"), b"none").unwrap();
    let output = adapt(dir.path(), &data, &["--date", "2026-11-29", "--json"]);
    let report = json_of(&output);
    assert!(text(&output.stderr).contains("left out: Mass, 1 image(s)"), "{}", text(&output.stderr));
    assert_eq!(report["left_out"][0]["folder"], "Mass");
    assert_eq!(report["unreadable"][0]["file"], "normal/broken.png");
    assert_eq!(report["images"]["COVID-19"], 15);
    assert_eq!(report["images"]["Normal"], 15);
    assert_eq!(report["verdict"], "take", "{}", report["sentence"]);

    // Before, by the formula that the model's weights were made from.
    let right = (0..15).filter(|i| bright(100 + 3 * i) > 0.5).count() + 15;
    let before = &report["before"];
    assert_eq!((&before["accuracy"]["count"], &before["accuracy"]["of"]), (&Value::from(right), &Value::from(30)));
    let loss = (0..15).map(|i| -bright(100 + 3 * i).ln() - (1.0 - bright(30 + 2 * i)).ln()).sum::<f64>() / 30.0;
    assert!((before["loss"].as_f64().unwrap() - loss).abs() < 1e-4, "{} and {loss}", before["loss"]);
    // Brightness tells the classes apart, so every order of them is the right one.
    assert_eq!(before["auroc"]["COVID-19"]["value"], 1.0);
    let after = &report["after"];
    assert_eq!(after["accuracy"]["of"], 30);
    let difference = &report["difference"];
    let both = [before, after].map(|judged| judged["accuracy"]["value"].as_f64().unwrap());
    assert!((difference["accuracy"]["value"].as_f64().unwrap() - (both[1] - both[0])).abs() < 1e-9);
    assert!(both[1] > 0.9, "{after}");

    // A model folder like any other: packed as the shipped one, only its last layer changed, used by `predict`.
    let adapted = dir.path().join("adapted");
    let [(shipped, before), (card, after)] = [&model, &adapted].map(|folder| read_model_folder(folder).unwrap());
    assert_eq!(card.weights.encoding, shipped.weights.encoding);
    assert_eq!((card.id.as_str(), card.classes), ("adapted", CLASSES.map(String::from).to_vec()));
    let [before, after] = [before, after].map(|bytes| read_weights(&bytes).unwrap().0);
    for (name, tensor) in &before {
        assert_eq!(after[name] != *tensor, name.starts_with("dense2"), "{name}");
    }
    let adaptation = card.adapted.unwrap();
    assert_eq!(
        (adaptation.date.as_deref(), adaptation.from_weights_sha256),
        (Some("2026-11-29"), shipped.weights.sha256)
    );
    assert_eq!(adaptation.sentence, report["sentence"]);
    assert!(card.metrics.is_empty() && card.limitations[0].contains("its numbers hold there"));
    let film = data.join("covid_19/3.png");
    let args = ["predict".as_ref(), "--model".as_ref(), adapted.as_os_str(), film.as_os_str(), "--json".as_ref()];
    assert_eq!(json_of(&roentgen(args))["label"], "COVID-19");
    let card = roentgen(["card".as_ref(), "--model".as_ref(), adapted.as_os_str(), "--markdown".as_ref()]);
    assert!(text(&card.stdout).contains("adapted"), "{}{}", text(&card.stdout), text(&card.stderr));
}

/// A patient is never on both sides: with one patient a class there is nothing to learn from.
#[test]
fn patients_of_a_manifest_are_kept_together() {
    let dir = tempdir().unwrap();
    brightness_model(dir.path());
    let data = films(dir.path(), 8);
    let row = |class: &str, i: usize| format!("{class}/{i}.png,{class}-{}\n", i / 4);
    let rows: String = ["normal", "covid_19"].iter().flat_map(|class| (0..8).map(move |i| row(class, i))).collect();
    fs::write(data.join("manifest.csv"), format!("path,group\n{rows}")).unwrap();
    let report = json_of(&adapt(dir.path(), &data, &["--json"]));
    assert_eq!((&report["groups"], &report["ridge"]), (&Value::from(4), &Value::Null));
}

/// Images of one class, two images, and images without labels: what can be given is, and a sentence says what cannot.
#[test]
fn too_little_to_learn_from_is_said() {
    let dir = tempdir().unwrap();
    brightness_model(dir.path());
    let two = films(dir.path(), 1);
    let one_class = dir.path().join("one");
    let flat = dir.path().join("flat");
    for i in 0..6 {
        grey_film(&one_class.join(format!("NORMAL/{i}.png")), 30 + i);
        grey_film(&flat.join(format!("{i}.png")), 30 + i);
    }
    for (data, said) in
        [(two, "not that many"), (one_class, "images of one class only"), (flat, "images without labels")]
    {
        let report = json_of(&adapt(dir.path(), &data, &["--json"]));
        let notes = report["notes"].to_string();
        assert!(notes.contains("The last layer stays") && notes.contains(said), "{notes}");
        assert_eq!((&report["after"]["accuracy"], &report["verdict"]), (&Value::Null, &Value::from("leave")));
        read_model_folder(&dir.path().join("adapted")).unwrap();
    }
}

#[test]
fn folders_of_other_names_and_empty_ones_are_errors() {
    let dir = tempdir().unwrap();
    brightness_model(dir.path());
    let data = dir.path().join("films");
    grey_film(&data.join("Mass/a.png"), 200);
    grey_film(&data.join("Nodule/a.png"), 200);
    let output = adapt(dir.path(), &data, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("it knows COVID-19, Normal; there are: Mass, Nodule"),
        "{}",
        text(&output.stderr)
    );
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(text(&adapt(dir.path(), &empty, &[]).stderr).contains("there is no image"));
    assert!(!dir.path().join("adapted").exists());
}

#[test]
fn the_curve_is_judged_on_the_images_that_were_not_drawn() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path()).display().to_string();
    let data = films(dir.path(), 15).display().to_string();
    let plot = dir.path().join("curve.svg").display().to_string();
    let curve = ["adapt", "--model", &model, "--data", &data, "--curve", "5,8,50", "--draws", "3"];
    let points = json_of(&roentgen([&curve[..], &["--json", "--plot", &plot]].concat()));
    let ks: Vec<_> = points.as_array().unwrap().iter().map(|point| (&point["k"], &point["judged"])).collect();
    // There are no 54 images of a class.
    assert_eq!(ks, [(&Value::from(5), &Value::from(20.0)), (&Value::from(8), &Value::from(14.0))]);
    assert_eq!(points[1]["after"]["auroc"]["mean"], 1.0);
    assert!(points[1]["after"]["accuracy"]["mean"].as_f64() > points[1]["before"]["accuracy"]["mean"].as_f64());
    assert!(fs::read_to_string(plot).unwrap().contains("images a class"));
    let table = roentgen(curve);
    assert!(text(&table.stdout).contains("| none: as shipped | 20 | 1.00"), "{}", text(&table.stdout));
}
