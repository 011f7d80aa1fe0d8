//! `roentgen calibrate`, and what predicting and measuring make of it, on films whose scores are known by arithmetic.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::common::{BAND_GREYS, BANDS, bands_model, bright, brightness_model, grey_film, json_of, roentgen, text};

fn run(command: &str, model: &Path, data: &Path, options: &[&str]) -> Output {
    let mut args = vec![command.as_ref(), "--model".as_ref(), model.as_os_str(), "--data".as_ref(), data.as_os_str()];
    args.extend(options.iter().map(OsStr::new));
    roentgen(args)
}

fn predict(model: &Path, film: &Path, options: &[&str]) -> Output {
    let mut args = vec!["predict".as_ref(), "--model".as_ref(), model.as_os_str(), film.as_os_str()];
    args.extend(options.iter().map(OsStr::new));
    roentgen(args)
}

fn card(model: &Path) -> Value {
    serde_json::from_slice(&fs::read(model.join("model.json")).unwrap()).unwrap()
}

/// Asserts that a number in JSON is the expected one, but for the rounding of f32.
fn assert_near(found: &Value, expected: f64) {
    assert!((found.as_f64().unwrap() - expected).abs() < 1e-5, "{found}, not {expected}");
}

/// Of four films of one grey, logits `z = 8 × 0.8 − 4` and 0, three are of the first class: the temperature that gives them
/// 3/4 is `z / ln 3`.
#[test]
fn every_probability_that_anyone_sees_is_calibrated() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let data = dir.path().join("films");
    for name in ["COVID-19/a.png", "COVID-19/b.png", "COVID-19/c.png", "Normal/d.png"] {
        grey_film(&data.join("val").join(name), 204);
        grey_film(&data.join("test").join(name), 204);
    }
    let film = data.join("val/Normal/d.png");
    let before = json_of(&predict(&model, &film, &["--json"]));
    assert_near(&before["score"], bright(204));
    assert_eq!((&before["uncertain"], &before["called"]), (&json!(false), &Value::Null));

    let found = json_of(&run("calibrate", &model, &data, &["--json", "-"]));
    assert_near(&found["calibration"]["temperature"], 2.4 / 3.0_f64.ln());
    assert_eq!(found["calibration"]["films"], 4);
    assert_near(&found["calibration"]["ece_before"], bright(204) - 0.75);
    assert_near(&found["calibration"]["ece_after"], 0.0);
    assert_near(&found["calibration"]["loss_after"], -0.75 * 0.75_f64.ln() - 0.25 * 0.25_f64.ln());
    // Halfway from the films' probability down to nothing.
    assert_near(&found["operating_points"]["COVID-19"]["threshold"], 0.375);
    assert_near(&found["operating_points"]["Normal"]["threshold"], 0.125);
    assert_eq!(found["uncertain"], Value::Null, "one answer in four is wrong whatever is left out");
    assert_eq!(found["answer"], Value::Null, "four films are too few for any threshold");
    let card = card(&model);
    for field in ["calibration", "operating_points"] {
        assert_eq!(card[field], found[field]);
    }

    let after = json_of(&predict(&model, &film, &["--json"]));
    assert_near(&after["score"], 0.75);
    assert_eq!(after["called"], json!({"COVID-19": true, "Normal": true}));
    let measured = json_of(&run("evaluate", &model, &data, &["--json", "-"]));
    assert_near(&measured["ece"], 0.0);
    let covid = &measured["operating_points"]["COVID-19"];
    assert_eq!((&covid["sensitivity"]["value"], &covid["specificity"]["value"]), (&json!(1.0), &json!(0.0)));
    // Again, on the logits and not on what is calibrated already.
    let again = json_of(&run("calibrate", &model, &data, &["--json", "-"]));
    assert_eq!(again, found);
}

#[test]
fn an_uncertain_answer_is_said_in_words_and_measured() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let val = dir.path().join("val");
    for i in 0..3 {
        grey_film(&val.join(format!("COVID-19/{i}.png")), 230 - i);
        grey_film(&val.join(format!("Normal/{i}.png")), 20 + i);
    }
    grey_film(&val.join("COVID-19/dark.png"), 120);
    grey_film(&val.join("Normal/bright.png"), 135);
    let report = run("calibrate", &model, &val, &[]);
    let said = text(&report.stdout);
    assert!(said.contains("answers 75.0 % of the films") && said.contains("0.0 % of them wrongly"), "{said}");

    let film = dir.path().join("grey.png");
    grey_film(&film, 128);
    let line = json_of(&predict(&model, &film, &["--json"]));
    assert_eq!((&line["uncertain"], &line["label"]), (&json!(true), &json!("COVID-19")));
    let said = predict(&model, &film, &[]);
    let said = text(&said.stdout);
    assert!(said.starts_with("uncertain ") && said.contains("most probable is COVID-19"), "{said}");
    grey_film(&film, 240);
    assert_eq!(json_of(&predict(&model, &film, &["--json"]))["uncertain"], false);

    let measured = json_of(&run("evaluate", &model, &val, &["--json", "-"]));
    let Value::Object(coverage) = &measured["answered"]["coverage"] else { panic!("{measured}") };
    assert_eq!((&coverage["count"], &coverage["of"]), (&json!(6), &json!(8)));
    assert_eq!((&measured["answered"]["error"]["count"], &measured["answered"]["error"]["of"]), (&json!(0), &json!(6)));
    // SciPy 1.17, binomtest(6, 8).proportion_ci(method="wilson")
    assert_near(&coverage["interval"][0], 0.409_276);
    assert_near(&coverage["interval"][1], 0.928_521);
}

#[test]
fn groups_widen_the_intervals_of_what_is_decided() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let val = dir.path().join("val");
    let mut manifest = "path,group\n".to_owned();
    for i in 0..12 {
        for (class, grey) in [("COVID-19", if i < 3 { 110 } else { 220 }), ("Normal", 30)] {
            grey_film(&val.join(format!("{class}/{i}.png")), grey);
            manifest += &format!("val/{class}/{i}.png,{class} {}\n", i / 3);
        }
    }
    fs::write(dir.path().join("manifest.csv"), manifest).unwrap();
    let found = json_of(&run("calibrate", &model, &val, &["--sensitivity", "0.75", "--json", "-"]));
    let sensitivity = &found["operating_points"]["COVID-19"]["validation"]["sensitivity"];
    assert_eq!((&sensitivity["count"], &sensitivity["of"]), (&json!(9), &json!(12)));
    let low = |interval: &str| sensitivity[interval][0].as_f64().unwrap();
    assert!(low("interval_by_group") < low("interval"), "{sensitivity}");
}

/// A class that no data set here has, as the tutorial's next step asks for.
#[test]
fn a_fifth_class_goes_through_everything() {
    let dir = tempdir().unwrap();
    let model = bands_model(dir.path());
    let films = dir.path().join("films");
    for (class, grey) in BANDS.iter().zip(BAND_GREYS) {
        for i in 0..4 {
            grey_film(&films.join(format!("val/{class}/{i}.png")), grey + 5 * i);
            grey_film(&films.join(format!("test/{class}/{i}.png")), grey - 5 * i);
        }
    }
    let found = json_of(&run("calibrate", &model, &films, &["--json", "-"]));
    assert_eq!(found["operating_points"].as_object().unwrap().keys().collect::<Vec<_>>(), sorted(&BANDS));
    assert!(found["uncertain"]["below"].is_number());
    let measured = json_of(&run("evaluate", &model, &films, &["--json", "-"]));
    assert_eq!(measured["accuracy"], 1.0);
    assert_eq!(measured["operating_points"]["Mass"]["sensitivity"]["of"], 4);
    assert_eq!(measured["operating_points"]["Mass"]["specificity"]["of"], 16);
    let film = films.join("test/Mass/0.png");
    let line = json_of(&predict(&model, &film, &["--json"]));
    assert_eq!(
        (&line["label"], &line["uncertain"], &line["called"]["Mass"]),
        (&json!("Mass"), &json!(false), &json!(true))
    );
}

/// The answers of a model whose classes lie next to each other in brightness: halfway between two it cannot tell them apart.
/// What `evaluate` says of them is counted again from what `predict` says.
#[test]
fn an_answer_is_a_set_of_classes_that_holds_the_right_one_as_often_as_asked_for() {
    let dir = tempdir().unwrap();
    let model = bands_model(dir.path());
    let val = dir.path().join("val");
    let mut manifest = "path,source\n".to_owned();
    let mut films = Vec::new();
    for (class, grey) in BANDS.iter().zip(BAND_GREYS) {
        // Up to 28 off the middle of a band, whose borders are 25.5 off.
        for i in 0..58 {
            let name = format!("{class}/{i}.png");
            grey_film(&val.join(&name), (i16::from(grey) + i - 29).clamp(0, 255) as u8);
            manifest += &format!("val/{name},{}\n", if i % 10 == 9 { "south" } else { "north" });
            films.push((*class, val.join(name)));
        }
    }
    fs::write(dir.path().join("manifest.csv"), manifest).unwrap();
    let found = json_of(&run("calibrate", &model, &val, &["--coverage", "0.95", "--json", "-"]));
    let answer = &found["answer"];
    assert_eq!((&answer["coverage"], &answer["healthy"]), (&json!(0.95), &json!("Normal")));
    assert_eq!(card(&model)["answer"], *answer);

    let mut args = vec!["predict".as_ref(), "--json".as_ref(), "--model".as_ref(), model.as_os_str()];
    args.extend(films.iter().map(|(_, film)| film.as_os_str()));
    let output = roentgen(args);
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let holds = |line: &Value, class: &str| line["answer"]["set"].as_array().unwrap().contains(&json!(class));
    let count = |hit: &dyn Fn(&Value, &str) -> bool| {
        lines.iter().zip(&films).filter(|(line, (class, _))| hit(line, class)).count()
    };
    let measured = json_of(&run("evaluate", &model, &val, &["--json", "-"]));
    assert_eq!(measured["sets"], answer["validation"]);
    let sets = &measured["sets"];
    assert_eq!(sets["coverage"]["count"], count(&holds));
    for class in BANDS {
        let of_class = count(&|line, truth| truth == class && holds(line, class));
        assert_eq!(sets["by_class"][class]["count"], of_class);
        assert!(of_class * 20 >= 58 * 19, "{class}: {of_class} of 58");
        assert_eq!(
            (&sets["by_source"]["north"][class]["of"], &sets["by_source"]["south"][class]["of"]),
            (&json!(53), &json!(5))
        );
    }
    let size = |line: &Value| line["answer"]["set"].as_array().unwrap().len();
    assert_eq!(sets["single"]["count"], count(&|line, _| size(line) == 1));
    assert_eq!(sets["single_right"]["count"], count(&|line, class| size(line) == 1 && holds(line, class)));
    assert_eq!(sets["cannot_tell"]["count"], count(&|line, _| line["answer"]["classes"] == json!([])));
    assert_near(&sets["mean_size"], lines.iter().map(size).sum::<usize>() as f64 / 290.0);
    let said = run("evaluate", &model, &val, &[]);
    let said = text(&said.stdout);
    assert!(said.contains("the answer, a set of classes") && said.contains("of Mass, north"), "{said}");

    let film = dir.path().join("film.png");
    let answer_to = |grey: u8| {
        grey_film(&film, grey);
        let said = predict(&model, &film, &[]);
        (json_of(&predict(&model, &film, &["--json"]))["answer"].clone(), text(&said.stdout).to_owned())
    };
    let (single, said) = answer_to(BAND_GREYS[4]);
    assert_eq!(single, json!({"classes": ["Mass"], "set": ["Mass"], "text": "Mass"}));
    assert!(said.starts_with("Mass ") && !said.contains("most probable"), "{said}");
    let pneumonias = json!(["Viral Pneumonia", "Bacterial Pneumonia"]);
    let (both, _) = answer_to(102);
    assert_eq!(
        both,
        json!({"classes": pneumonias, "set": pneumonias, "text": "Viral Pneumonia or Bacterial Pneumonia"})
    );
    let (unsure, said) = answer_to(51);
    assert_eq!(unsure, json!({"classes": [], "set": ["Normal", "Viral Pneumonia"], "text": "Cannot tell"}));
    assert!(said.starts_with("Cannot tell ") && said.contains("most probable is "), "{said}");

    // Told what to call the two; another class is the healthy one.
    let told = dir.path().join("told.json");
    fs::write(&told, json!({"groups": {"Pneumonia": pneumonias}}).to_string()).unwrap();
    assert_eq!(
        roentgen(["card".as_ref(), "--model".as_ref(), model.as_os_str(), "--describe".as_ref(), told.as_os_str()])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(answer_to(102).0["text"], "Pneumonia");
    json_of(&run("calibrate", &model, &val, &["--coverage", "0.95", "--healthy", "Mass", "--json", "-"]));
    assert_eq!((&answer_to(204).0["text"], &answer_to(102).0["text"]), (&json!("Cannot tell"), &json!("Pneumonia")));
    // It stays the healthy one.
    let again = json_of(&run("calibrate", &model, &val, &["--coverage", "0.95", "--json", "-"]));
    assert_eq!(again["answer"]["healthy"], "Mass");
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort();
    names
}

#[test]
fn what_cannot_be_fitted_is_one_line_and_leaves_the_card_alone() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let test = dir.path().join("films/test");
    grey_film(&test.join("COVID-19/a.png"), 200);
    grey_film(&test.join("Normal/a.png"), 20);
    let half = dir.path().join("half");
    grey_film(&half.join("COVID-19/a.png"), 200);
    let before = fs::read(model.join("model.json")).unwrap();
    for (data, options, expected) in [
        (&test, &[][..], "give the validation films"),
        (&half, &[], "no film of class `Normal`"),
        (&half, &["--sensitivity", "95"], "must be 0 to 1"),
        (&half, &["--error", "NaN"], "must be 0 to 1"),
        (&half, &["--coverage", "96"], "less than 1"),
        (&half, &["--coverage", "1"], "less than 1"),
        (&half, &["--healthy", "Well"], "unknown class `Well`"),
        (&dir.path().join("absent"), &[], "not a folder"),
    ] {
        let output = run("calibrate", &model, data, options);
        assert_eq!(output.status.code(), Some(1));
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("error: ") && stderr.contains(expected) && stderr.lines().count() == 1, "{stderr}");
    }
    assert_eq!(fs::read(model.join("model.json")).unwrap(), before);
}
