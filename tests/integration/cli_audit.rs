//! `roentgen audit` on films whose scores follow from where they are bright.

use std::fs;
use std::path::Path;
use std::process::Output;

use image::{GrayImage, ImageFormat, Luma};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::common::{brightness_model, grey_film, json_of, roentgen, text};

/// Films of each class and source: enough for an area under a curve, and for a probe.
const EACH: u8 = 10;

fn audit(model: &Path, data: &Path, options: &[&str]) -> Output {
    let [model, data] = [model, data].map(|path| path.to_str().unwrap());
    roentgen([&["audit", "--model", model, "--data", data][..], options].concat())
}

/// Writes val and test films of both classes and of the sources x and y, which differ a little in brightness.
fn write_films(data: &Path, film: impl Fn(&Path, bool, u8)) {
    let mut manifest = "path,group,source\n".to_owned();
    for (split, class) in [("val", "COVID-19"), ("val", "Normal"), ("test", "COVID-19"), ("test", "Normal")] {
        for i in 0..2 * EACH {
            let (source, name) = (if i < EACH { "x" } else { "y" }, format!("{split}/{class}/{i}.png"));
            film(&data.join(&name), class == "COVID-19", if i < EACH { i } else { 20 + i });
            manifest += &format!("{name},{split} {class} {i},{source}\n");
        }
    }
    fs::write(data.join("manifest.csv"), manifest).unwrap();
}

/// Writes a square picture, one grey in its left half and another in its right.
fn halves(path: &Path, side: u32, [left, right]: [u8; 2]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let film = GrayImage::from_fn(side, side, |x, _| Luma([if x < side / 2 { left } else { right }]));
    film.save_with_format(path, ImageFormat::Png).unwrap();
}

/// A film with two lungs of one grey in a body of another.
fn lungs_film(path: &Path, lungs: u8, body: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let film = GrayImage::from_fn(100, 100, |x, y| {
        let lung = (30..70).contains(&y) && ((20..40).contains(&x) || (60..80).contains(&x));
        Luma([if lung { lungs } else { body }])
    });
    film.save_with_format(path, ImageFormat::Png).unwrap();
}

#[test]
fn a_model_that_looks_at_the_lungs_fails_without_them() {
    let dir = tempdir().unwrap();
    let (model, data) = (brightness_model(dir.path()), dir.path().join("films"));
    write_films(&data, |path, covid, i| lungs_film(path, if covid { 255 - i } else { i / 4 }, 120));
    let found = json_of(&audit(&model, &data, &["--json", "-"]));
    let view = |name: &str| found["views"][name]["balanced_accuracy"].as_f64().unwrap();
    assert_eq!(view("the whole film"), 1.0);
    assert_eq!(view("lungs masked out"), 0.5);
    assert_eq!(view("border only, the outer 11 %"), 0.5);
    assert_eq!(view("lungs only"), 1.0);
    assert_eq!(found["views"].as_object().unwrap().len(), 5);
    let pair = &found["views"]["lungs masked out"]["within_source"][0];
    assert_eq!(
        (&pair["source"], &pair["classes"], &pair["films"]),
        (&json!("x"), &json!(["COVID-19", "Normal"]), &json!([10, 10]))
    );
    assert_eq!(pair["auroc"], 0.5, "films that are all alike");
    assert_eq!(found["works_without_lungs"], false);
    assert_eq!(found["chance"], 0.5);
    let card: Value = serde_json::from_slice(&fs::read(model.join("model.json")).unwrap()).unwrap();
    assert_eq!(card["audit"], found);
}

#[test]
fn a_model_that_needs_no_lungs_is_labelled_so_and_its_features_tell_the_source() {
    let dir = tempdir().unwrap();
    let (model, data) = (brightness_model(dir.path()), dir.path().join("films"));
    write_films(&data, |path, covid, i| grey_film(path, if covid { 180 + i } else { 30 + i }));
    let output = audit(&model, &data, &[]);
    let said = text(&output.stdout);
    assert!(
        said.contains("WORKS WITHOUT LUNGS. The rule: With the lungs masked out it keeps more than half"),
        "{said}"
    );
    let found: Value = serde_json::from_slice(&fs::read(model.join("model.json")).unwrap()).unwrap();
    let found = &found["audit"];
    assert_eq!(found["works_without_lungs"], true);
    assert_eq!(found["views"]["lungs masked out"]["balanced_accuracy"], 1.0);
    // Brightness is all that the network has for features, and the sources differ in it.
    let probes = found["probes"].as_array().unwrap();
    assert_eq!(probes.iter().map(|probe| &probe["class"]).collect::<Vec<_>>(), [&json!("COVID-19"), &json!("Normal")]);
    for probe in probes {
        assert_eq!(
            (&probe["auroc"], &probe["auroc_of_pixels"], &probe["films"]),
            (&json!(1.0), &json!(1.0), &json!(20))
        );
        assert_eq!((&probe["balanced_accuracy"], &probe["fitted_on"]), (&json!(1.0), &json!(20)));
    }
    assert_eq!(found["lungs"]["covers"], 0.975);
}

#[test]
fn masks_of_ones_own_are_averaged_and_held_against_others() {
    let dir = tempdir().unwrap();
    let (model, data, lungs) = (brightness_model(dir.path()), dir.path().join("films"), dir.path().join("lungs"));
    write_films(&data, |path, covid, i| grey_film(path, if covid { 180 + i } else { 30 + i }));
    let mask = |name: &str, right: u32| {
        fs::create_dir_all(lungs.join("masks")).unwrap();
        let mask = GrayImage::from_fn(64, 64, |x, _| Luma([if x < right { 255 } else { 0 }]));
        mask.save_with_format(lungs.join("masks").join(name), ImageFormat::Png).unwrap();
    };
    mask("a.png", 32);
    mask("b.png", 16);
    mask("c.png", 64);
    fs::write(lungs.join("manifest.csv"), "name,split\na.png,train\nb.png,train\nc.png,test\n").unwrap();
    let (folder, saved) = (lungs.to_str().unwrap(), dir.path().join("mean.png"));
    let options = ["--lungs", folder, "--save-lungs", saved.to_str().unwrap(), "--json", "-"];
    let found = json_of(&audit(&model, &data, &options));
    assert_eq!((&found["lungs"]["area"], &found["lungs"]["covers"]), (&json!(0.5), &json!(0.5)));
    let mean = image::open(saved).unwrap().to_luma8();
    assert_eq!([10, 20, 40].map(|x| mean.get_pixel(x, 5).0[0]), [255, 128, 0]);

    for (bad, expected) in [(dir.path().join("absent"), "absent"), (data.clone(), "missing field `name`")] {
        let output = audit(&model, &data, &["--lungs", bad.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let stderr = text(&output.stderr);
        assert!(
            stderr.contains(expected) && stderr.lines().filter(|line| line.starts_with("error: ")).count() == 1,
            "{stderr}"
        );
    }
}

/// The map of the bright class is the film itself, as the network has one feature map and its mean: of a film with greys of
/// 200 and 100 in its halves two thirds of the map lie in the brighter one, but for the two pixels over which a map is
/// interpolated. Nothing raises the other class, so its maps are zeros.
#[test]
fn the_share_of_the_maps_inside_the_lungs_is_that_of_the_film() {
    let dir = tempdir().unwrap();
    let (model, data, lungs) = (brightness_model(dir.path()), dir.path().join("films"), dir.path().join("lungs"));
    // Fifteen of twenty are bright on the left, the last five on the right.
    write_films(&data, |path, covid, i| {
        let bright = if i < 35 { [200, 100] } else { [100, 200] };
        halves(path, 128, if covid { bright } else { bright.map(|grey| grey / 4) });
    });
    // As wide as their mean, so that resampling leaves no lung beside the edge.
    halves(&lungs.join("masks/left.png"), 64, [255, 0]);
    halves(&lungs.join("masks/right.png"), 64, [0, 255]);
    halves(&lungs.join("masks/all.png"), 64, [255, 255]);
    let manifest = "name,split,cxr_path\nleft.png,train,\nright.png,test,test/COVID-19/0.png\n\
        all.png,test,test/COVID-19/1.png\nleft.png,test,test/Normal/1.png\nleft.png,test,train/COVID-19/2.png\n";
    fs::write(lungs.join("manifest.csv"), manifest).unwrap();
    let folder = lungs.to_str().unwrap();
    let found = json_of(&audit(&model, &data, &["--lungs", folder, "--json", "-"]));
    let heat = found["heat"].as_array().unwrap();
    let of = |heat: &Value| (heat["class"].clone(), heat["drawn"] == true, heat["films"].as_u64().unwrap());
    let covid = json!("COVID-19");
    let expected = [(covid.clone(), false, 20), (Value::Null, false, 20), (covid, true, 2), (Value::Null, true, 2)];
    assert_eq!(heat.iter().map(of).collect::<Vec<_>>(), expected);
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 0.005;
    // (15 · ⅔ + 5 · ⅓) / 20 in the left half; (⅓ + 1) / 2 in the right half of one film and the whole of another.
    assert!(near(&heat[0]["share"], 7.0 / 12.0) && near(&heat[0]["area"], 0.5), "{}", heat[0]);
    assert!(near(&heat[2]["share"], 2.0 / 3.0) && near(&heat[2]["area"], 0.75), "{}", heat[2]);
    // Each film is a patient's only one: binomial, a standard deviation of ⅓ √(¾ · ¼ / 20) = 0.032.
    let [low, high] = [0, 1].map(|end| heat[0]["share_interval"][end].as_f64().unwrap());
    assert!((high - low - 2.0 * 1.96 * 0.032).abs() < 0.03 && low < 7.0 / 12.0 && 7.0 / 12.0 < high, "{low}–{high}");
    assert_eq!(heat[2]["share_interval"], Value::Null, "two films");

    // Of the test films by themselves the masks are found as well.
    let alone = json_of(&audit(&model, &data.join("test"), &["--lungs", folder, "--json", "-"]));
    assert_eq!(alone["heat"], found["heat"]);

    let markdown = || text(&roentgen(["card", "--model", model.to_str().unwrap(), "--markdown"]).stdout).to_owned();
    let row = "| COVID-19, its own lungs as drawn | 2 | 66";
    assert!(markdown().contains(row) && markdown().contains("can show that the lungs were what decided"));
    // A card from before maps were measured.
    let path = model.join("model.json");
    let mut card: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    card["audit"].as_object_mut().unwrap().remove("heat");
    fs::write(&path, card.to_string()).unwrap();
    assert!(markdown().contains("## Does it look at the lungs?") && !markdown().contains("heat map"));
}

#[test]
fn films_without_sources_are_audited_without_what_needs_them() {
    let dir = tempdir().unwrap();
    let (model, data) = (brightness_model(dir.path()), dir.path().join("films"));
    for i in 0..4 {
        grey_film(&data.join(format!("COVID-19/{i}.png")), 200 + i);
        grey_film(&data.join(format!("Normal/{i}.png")), 20 + i);
    }
    let output = audit(&model, &data, &["--json", "-"]);
    let found = json_of(&output);
    assert_eq!((&found["probes"], &found["views"]["8×8 pixels"]["within_source"]), (&json!([]), &json!([])));
    assert!(text(&output.stderr).contains("no `val` folder"), "{}", text(&output.stderr));
}
