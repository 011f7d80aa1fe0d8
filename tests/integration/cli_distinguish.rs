//! `roentgen distinguish`, on films that differ in one feature, so that the regression can be solved by hand.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::tempdir;

use crate::common::{brightness_model, grey_film, json_of, roentgen, text};

const DARK: u8 = 51;
const BRIGHT: u8 = 204;

/// Ten bright films of a folder that is no class, ten dark ones of a class, and one of each to validate with.
fn films(dir: &Path) {
    for i in 0..10 {
        grey_film(&dir.join(format!("train/Other/{i}.png")), BRIGHT);
        grey_film(&dir.join(format!("train/Normal/rad_{i}.png")), DARK);
        // Not asked for.
        grey_film(&dir.join(format!("train/Normal/ker_{i}.png")), BRIGHT);
    }
    grey_film(&dir.join("val/Other/a.png"), BRIGHT);
    grey_film(&dir.join("val/Normal/rad_a.png"), DARK);
}

fn distinguish(dir: &Path, options: &[&str]) -> Output {
    let [model, data, out] =
        [dir.join("model"), dir.join("films"), dir.join("told")].map(|path| path.display().to_string());
    let mut args = vec!["distinguish", "--model", &model, "--data", &data, "--out", &out];
    args.extend(options);
    roentgen(args)
}

/// What the model says of a film, as the difference of its two logits.
fn logit(model: &Path, film: &Path) -> f64 {
    let output =
        roentgen(["predict".as_ref(), "--model".as_ref(), model.as_os_str(), film.as_os_str(), "--json".as_ref()]);
    let scores = json_of(&output)["scores"].clone();
    let [first, second] = ["COVID-19", "Normal"].map(|class| scores[class].as_f64().unwrap().ln());
    first - second
}

/// Of twenty films at ±1 the regression's weight solves `20 / (1 + exp(w)) = 10 w`: 0.6748 by bisection; it has no constant,
/// being even. Half of it is added to the second class's logit for bright films and taken away for dark ones.
#[test]
fn a_share_of_the_log_odds_is_added_to_the_classes_named() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    films(&dir.path().join("films"));
    let weight = {
        let (mut low, mut high) = (0.0_f64, 2.0_f64);
        for _ in 0..60 {
            let w = 0.5 * (low + high);
            if 20.0 / (1.0 + w.exp()) > 10.0 * w { low = w } else { high = w }
        }
        low
    };
    assert!((weight - 0.6748).abs() < 1e-4, "{weight}");
    let output = distinguish(dir.path(), &["--films", "Other/*", "--from", "Normal/rad_*", "--raise", "Normal"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("told 10 films from 10 others"), "{said}");
    assert!(said.contains("such films, likeliest before: COVID-19 1, Normal 0"), "{said}");

    let told = dir.path().join("told");
    for (film, side) in [("val/Other/a.png", 1.0), ("val/Normal/rad_a.png", -1.0)] {
        let film = dir.path().join("films").join(film);
        let change = logit(&told, &film) - logit(&model, &film);
        assert!((change + side * 0.5 * weight).abs() < 1e-4, "{change}");
    }
    let card: Value = serde_json::from_slice(&fs::read(told.join("model.json")).unwrap()).unwrap();
    assert_eq!(card["id"], "told");
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = tempdir().unwrap();
    brightness_model(dir.path());
    films(&dir.path().join("films"));
    let asked = ["--films", "Other/*", "--from", "Normal/rad_*", "--raise"];
    for (options, said) in [
        ([&asked[..], &["Mass"]].concat(), "`Mass`; the model's classes are COVID-19, Normal"),
        ([&asked[..], &["Normal", "--ridge", "0"]].concat(), "it must be above 0"),
        (vec!["--films", "Othre/*", "--from", "Normal/rad_*", "--raise", "Normal"], "matches the filter"),
    ] {
        let output = distinguish(dir.path(), &options);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
        assert!(!dir.path().join("told").exists());
    }
}
