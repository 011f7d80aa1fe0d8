//! `roentgen evaluate` on films whose scores are known by arithmetic.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::common::{bright, brightness_model, grey_film, json_of, roentgen, text};

fn evaluate(model: &Path, data: &Path, options: &[&str]) -> Output {
    let mut args =
        vec!["evaluate".as_ref(), "--model".as_ref(), model.as_os_str(), "--data".as_ref(), data.as_os_str()];
    args.extend(options.iter().map(OsStr::new));
    roentgen(args)
}

/// Bright films are called COVID-19: two of three are right, and three of four Normal ones.
fn write_films(data: &Path) {
    for (name, grey) in [
        ("COVID-19/a.png", 220),
        ("COVID-19/b.png", 160),
        ("COVID-19/c.png", 100),
        ("Normal/a.png", 20),
        ("Normal/b.png", 60),
        ("Normal/c.png", 90),
        ("Normal/d.png", 140),
    ] {
        grey_film(&data.join(name), grey);
    }
}

#[test]
fn eight_bits_say_how_often_the_class_is_the_one_of_floats() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let data = dir.path().join("films");
    write_films(&data);
    let floats = json_of(&evaluate(&model, &data, &["--json", "-"]));
    assert!(floats.get("same_class_as_floats").is_none());
    let bytes = json_of(&evaluate(&model, &data, &["--int8", "--json", "-"]));
    // The films lie tens of grey values apart, and seven bits of an activation are two of them.
    assert_eq!(bytes["same_class_as_floats"], 1.0);
    assert_eq!(bytes["confusion"], floats["confusion"]);
    assert_ne!(bytes["loss"], floats["loss"], "the numbers are not those of floats");
}

#[test]
fn numbers_follow_from_the_films() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let data = dir.path().join("films");
    write_films(&data);
    grey_film(&data.join("Mass/a.png"), 10);
    fs::write(data.join("Normal/broken.png"), b"no picture").unwrap();

    let output = evaluate(&model, &data, &["--json", "-"]);
    let json = json_of(&output);
    assert_eq!(json["n"], 7);
    assert_eq!(json["classes"], json!(["COVID-19", "Normal"]));
    assert_eq!(json["confusion"], json!([[2, 1], [1, 3]]));
    assert_eq!(json["accuracy"], 5.0 / 7.0);
    assert_eq!(json["balanced_accuracy"], (2.0 / 3.0 + 3.0 / 4.0) / 2.0);
    assert_eq!(json["per_class"]["COVID-19"]["sensitivity"], 2.0 / 3.0);
    assert_eq!(json["per_class"]["COVID-19"]["specificity"], 0.75);
    // Of the 12 pairs of a COVID-19 and a Normal film only (c, d) is the wrong way round.
    assert_eq!(json["auroc"]["COVID-19"], 11.0 / 12.0);
    assert_eq!(json["auroc"]["Normal"], 11.0 / 12.0);
    let surprise: f64 = [220, 160, 100].map(|g| -bright(g).ln()).iter().sum::<f64>()
        + [20, 60, 90, 140].map(|g| -(1.0 - bright(g)).ln()).iter().sum::<f64>();
    assert!((json["loss"].as_f64().unwrap() - surprise / 7.0).abs() < 1e-5, "{}", json["loss"]);
    // SciPy 1.17, binomtest(5, 7).proportion_ci(method="wilson")
    let interval = json["accuracy_interval"].as_array().unwrap();
    assert!(
        (interval[0].as_f64().unwrap() - 0.358934).abs() < 1e-5
            && (interval[1].as_f64().unwrap() - 0.917781).abs() < 1e-5
    );
    assert!(json["accuracy_interval_by_group"].is_null() && json["by_source"].is_null(), "there is no manifest");

    assert_eq!(json["left_out"], json!(["Mass"]));
    assert_eq!(json["unreadable"][0]["file"], "Normal/broken.png");
    assert_eq!(json["unreadable"][0]["kind"], "unknown-format");
    assert!(text(&output.stderr).starts_with("warning: Normal/broken.png is left out: "));
}

#[test]
fn manifest_gives_groups_and_sources() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let data = dir.path().join("films");
    write_films(&data.join("test"));
    grey_film(&data.join("train/COVID-19/a.png"), 0);
    fs::write(
        data.join("manifest.csv"),
        "path,group,source\n\
         test/COVID-19/a.png,p1,spain\ntest/COVID-19/b.png,p1,spain\ntest/COVID-19/c.png,p2,spain\n\
         test/Normal/a.png,p3,usa\ntest/Normal/b.png,p3,usa\ntest/Normal/c.png,p4,usa\n",
    )
    .unwrap();

    let json = json_of(&evaluate(&model, &data, &["--json", "-"]));
    assert!(json["data"].as_str().unwrap().ends_with("test"), "a folder with train/ and test/ is measured on test/");
    assert_eq!(json["n"], 7);
    let interval = json["accuracy_interval_by_group"].as_array().unwrap();
    assert!(interval[0].as_f64() < Some(5.0 / 7.0) && interval[1].as_f64() > Some(5.0 / 7.0));
    let by_source = &json["by_source"];
    assert_eq!((&by_source["spain"]["n"], &by_source["spain"]["accuracy"]), (&json!(3), &json!(2.0 / 3.0)));
    assert_eq!((&by_source["usa"]["n"], &by_source["usa"]["accuracy"]), (&json!(3), &json!(1.0)));
    let spanish = &by_source["spain"]["by_class"];
    assert_eq!((&spanish["COVID-19"]["count"], &spanish["COVID-19"]["of"]), (&json!(2), &json!(3)));
    assert!(spanish.get("Normal").is_none() && spanish["COVID-19"]["interval_by_group"].is_array());
    // The manifest does not know the fourth Normal film.
    assert_eq!((&by_source["unknown"]["n"], &by_source["unknown"]["accuracy"]), (&json!(1), &json!(0.0)));
}

#[test]
fn only_keeps_the_films_that_match() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    write_films(&dir.path().join("films"));
    let options = ["--only", "COVID-19/*", "--only", "Normal/[ab].png", "--json", "-"];
    let json = json_of(&evaluate(&model, &dir.path().join("films"), &options));
    assert_eq!(json["confusion"], json!([[2, 1], [0, 2]]));
    // What the files of a class without images are like, nobody can say.
    let output = evaluate(&model, &dir.path().join("films"), &["--only", "Normal/*"]);
    let report = text(&output.stdout);
    assert!(report.contains("px, median") && !report.contains("0×0"), "{report}");
}

#[test]
fn report_names_every_number_and_the_file_has_the_json() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let data = dir.path().join("films");
    write_films(&data);
    grey_film(&data.join("Mass/a.png"), 10);
    let file = dir.path().join("evaluation.json");
    let output = evaluate(&model, &data, &["--json", file.to_str().unwrap()]);
    let report = text(&output.stdout);
    for expected in ["7 films", "71.4 %", "35.9–91.8 %", "0.9167", "66.7 %", "no class of the model: Mass"] {
        assert!(report.contains(expected), "{expected} is not in\n{report}");
    }
    let json: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(json["n"], 7);
}

#[test]
fn a_folder_without_the_models_classes_is_one_line_and_exit_code_1() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let data = dir.path().join("films");
    fs::create_dir_all(data.join("Normal")).unwrap();
    fs::write(data.join("Normal/broken.png"), b"no picture").unwrap();
    for (data, expected) in [
        (data, "none of 1 films can be read"),
        (dir.path().to_owned(), "COVID-19"),
        (dir.path().join("absent"), "not a folder"),
    ] {
        let output = evaluate(&model, &data, &[]);
        assert_eq!(output.status.code(), Some(1));
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("error: ") && stderr.contains(expected) && stderr.lines().count() == 1, "{stderr}");
    }
}
