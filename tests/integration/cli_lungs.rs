//! `roentgen lungs`: fitted on films made here, measured, and films cut to what it finds.

use std::fs;
use std::path::Path;
use std::process::Output;

use image::{GrayImage, Luma};
use roentgen::formats::write_weights;
use tempfile::tempdir;

use crate::common::{brightness_weights, roentgen, text};

/// Side of the films in pixels.
const SIDE: u32 = 96;

/// Two dark lungs on grey, moved with each number, as a film and as a mask.
fn draw(number: u32, film: &Path, mask: Option<&Path>) {
    let [across, down] = [(number % 5) as f32 - 2.0, (number % 3) as f32 - 1.0];
    let lung = |column: u32, row: u32| {
        let (x, y) = (column as f32 - across, (row as f32 - 48.0 - down) / 30.0);
        [30.0, 66.0].iter().any(|centre| ((x - centre) / 14.0).powi(2) + y.powi(2) < 1.0)
    };
    let save = |path: &Path, of: &dyn Fn(bool) -> u8| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_fn(SIDE, SIDE, |column, row| Luma([of(lung(column, row))])).save(path).unwrap();
    };
    save(film, &|lung| if lung { 50 } else { 150 + number as u8 });
    if let Some(mask) = mask {
        save(mask, &|lung| if lung { 255 } else { 0 });
    }
}

fn lungs(args: &[&str]) -> Output {
    roentgen([&["lungs"], args].concat())
}

#[test]
fn lungs_are_learned_measured_and_cut_out() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut manifest = "name,split\n".to_owned();
    for number in 0..20 {
        let name = format!("{number}.png");
        draw(number, &dir.path().join("drawn/images").join(&name), Some(&dir.path().join("drawn/masks").join(&name)));
        manifest += &format!("{name},{}\n", if number < 16 { "train" } else { "test" });
    }
    fs::write(path("drawn/manifest.csv"), manifest).unwrap();
    let finder = path("lungs.safetensors");
    let fitted = lungs(&["fit", "--masks", &path("drawn"), "--out", &finder, "--epochs", "30"]);
    let said = text(&fitted.stdout);
    assert!(fitted.status.success(), "{}", text(&fitted.stderr));
    assert!(said.contains("trained on 16 films") && said.contains("4 films: Dice"), "{said}");
    let dice: f64 = said.split("Dice ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    assert!(dice > 0.7, "{said}");
    let measured = lungs(&["measure", "--masks", &path("drawn"), "--finder", &finder]);
    assert_eq!(text(&measured.stdout).trim(), said.lines().last().unwrap());

    draw(3, Path::new(&path("films/train/Normal/a.png")), None);
    fs::write(path("films/train/Normal/b.jpg"), "no film").unwrap();
    fs::write(path("films/manifest.csv"), "path,source,sha256\ntrain/Normal/a.jpg,x,abc\n").unwrap();
    let cut = lungs(&["crop", "--finder", &finder, "--data", &path("films"), "--out", &path("cut")]);
    assert!(cut.status.success(), "{}", text(&cut.stderr));
    assert!(text(&cut.stdout).contains("1 films cut to their lungs, 0 left whole"), "{}", text(&cut.stdout));
    assert!(text(&cut.stderr).contains("b.jpg is left out"), "{}", text(&cut.stderr));
    let film = image::open(path("cut/train/Normal/a.png")).unwrap().to_luma8();
    // The lungs are 64 pixels wide and 60 high, and the crop has a margin and whole cells of 3 pixels.
    assert!((55..95).contains(&film.width()) && (50..90).contains(&film.height()), "{:?}", film.dimensions());
    let manifest = fs::read_to_string(path("cut/manifest.csv")).unwrap();
    assert_eq!(manifest, "path,source,sha256\ntrain/Normal/a.png,x,\n");

    // Nothing is written over, and nothing twice.
    let refused = |out: &str, with: &str| {
        let cut = lungs(&["crop", "--finder", &finder, "--data", &path("films"), "--out", &path(out)]);
        assert_eq!(cut.status.code(), Some(1));
        assert!(text(&cut.stderr).contains(with), "{}", text(&cut.stderr));
    };
    refused("films", "lies in the folder of the films");
    refused("films/cut", "lies in the folder of the films");
    draw(3, Path::new(&path("films/train/Normal/b.png")), None);
    refused("again", "would have the same name");
}

#[test]
fn too_few_drawn_films_and_other_weights_are_refused() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    draw(0, Path::new(&path("drawn/images/0.png")), Some(Path::new(&path("drawn/masks/0.png"))));
    let fitted = lungs(&["fit", "--masks", &path("drawn"), "--out", &path("lungs.safetensors")]);
    assert_eq!(fitted.status.code(), Some(1));
    assert!(text(&fitted.stderr).contains("1 films with lungs drawn; at least 16"), "{}", text(&fitted.stderr));
    fs::write(path("other.safetensors"), write_weights(&brightness_weights()).unwrap()).unwrap();
    let measured = lungs(&["measure", "--masks", &path("drawn"), "--finder", &path("other.safetensors")]);
    assert_eq!(measured.status.code(), Some(1));
    assert!(text(&measured.stderr).contains("stem.0.weight"), "{}", text(&measured.stderr));
}
