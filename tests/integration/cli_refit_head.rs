//! `roentgen refit-head`, on images of one grey from two hospitals that contradict each other.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::tempdir;

use crate::common::{brightness_model, grey_film, json_of, roentgen, text};

const DARK: u8 = 51;
const BRIGHT: u8 = 204;

/// Hospital `a` has healthy and ill people, and the ill are bright; `b` has ill ones alone, and they are dark.
fn images(dir: &Path) {
    for i in 0..12 {
        grey_film(&dir.join(format!("train/Normal/a_{i}.png")), DARK);
        grey_film(&dir.join(format!("train/COVID-19/a_{i}.png")), BRIGHT);
    }
    for i in 0..48 {
        grey_film(&dir.join(format!("train/COVID-19/b_{i}.png")), DARK);
    }
    grey_film(&dir.join("val/COVID-19/a.png"), BRIGHT);
    grey_film(&dir.join("val/Normal/a.png"), DARK);
}

const HOSPITALS: [&str; 4] = ["--hospital", "a=Normal/a_*|COVID-19/a_*", "--hospital", "b=COVID-19/b_*"];

fn refit(dir: &Path, options: &[&str]) -> Output {
    let [model, data, out] =
        [dir.join("model"), dir.join("films"), dir.join("refit")].map(|path| path.display().to_string());
    let mut args = vec!["refit-head", "--model", &model, "--data", &data, "--out", &out, "--ridge", "1"];
    args.extend(options);
    roentgen(args)
}

#[test]
fn what_a_hospital_without_healthy_people_says_counts_as_much_as_asked_for() {
    let dir = tempdir().unwrap();
    brightness_model(dir.path());
    images(&dir.path().join("films"));
    let dark = dir.path().join("films/val/Normal/a.png");
    let normal = |between: &str| {
        let output = refit(dir.path(), &[&HOSPITALS[..], &["--between", between, "--images", "200"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("fitted on 72 images, drawn 200 times"), "{}", text(&output.stdout));
        let model = dir.path().join("refit");
        let said =
            roentgen(["predict".as_ref(), "--model".as_ref(), model.as_os_str(), dark.as_os_str(), "--json".as_ref()]);
        json_of(&said)["scores"]["Normal"].as_f64().unwrap()
    };
    let [within, between] = ["0", "1"].map(normal);
    // Dark images: half as many healthy ones of `a` as ill ones of `b` are drawn, the square roots of 12 and 48.
    assert!(within > 0.9 && between < 0.4, "{within} and {between}");
    let card: Value = serde_json::from_slice(&std::fs::read(dir.path().join("refit/model.json")).unwrap()).unwrap();
    assert_eq!(card["id"], "refit");
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = tempdir().unwrap();
    brightness_model(dir.path());
    images(&dir.path().join("films"));
    for (options, said) in [
        (&["--healthy", "Well"][..], "`Well` is no class; there are: COVID-19, Normal"),
        (&["--between", "2"], "it must be 0 to 1"),
        (&["--kind-ridge", "0"], "it must be above 0"),
        (&["--hospital", "c=Mass/*"], "no image is of the hospital `c`"),
        (&["--hospital", "a=Normal/*", "--hospital", "b=COVID-19/*"], "--hospital says which"),
    ] {
        let output = refit(dir.path(), options);
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        assert!(text(&output.stderr).contains(said), "{options:?}: {}", text(&output.stderr));
        assert!(!dir.path().join("refit").exists());
    }
}
