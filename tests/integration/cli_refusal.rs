//! `roentgen refusal`: fitted on films and other pictures made here, with the default model's network, and measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use image::{GrayImage, Luma};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::common::{roentgen, text};

const CLASSES: [&str; 4] = ["COVID-19", "Normal", "Viral Pneumonia", "Bacterial Pneumonia"];

/// Pictures of three kinds that nobody would take for one another; each number gives another one.
#[derive(Clone, Copy)]
enum Drawn {
    /// Two dark fields side by side on grey.
    Film,
    /// One dark field behind a bright bar.
    Lateral,
    /// A chess board.
    Other,
}

fn draw(kind: Drawn, number: u32, path: &Path) {
    let [across, down] = [(number % 7) as f32 - 3.0, (number / 7 % 5) as f32 - 2.0];
    let within = |x: f32, y: f32, centre: f32, [wide, high]: [f32; 2]| {
        ((x - centre - across) / wide).powi(2) + ((y - 64.0 - down) / high).powi(2) < 1.0
    };
    let picture = GrayImage::from_fn(128, 128, |column, row| {
        let (x, y) = (column as f32, row as f32);
        let grain = (column.wrapping_mul(31) ^ row.wrapping_mul(17) ^ number.wrapping_mul(101)) % 12;
        let grey = match kind {
            Drawn::Film if within(x, y, 36.0, [20.0, 40.0]) || within(x, y, 92.0, [20.0, 40.0]) => 40,
            Drawn::Film => 150 + number % 20,
            Drawn::Lateral if (x - 96.0 - across).abs() < 10.0 => 230,
            Drawn::Lateral if within(x, y, 56.0, [44.0, 56.0]) => 70,
            Drawn::Lateral => 120 + number % 20,
            Drawn::Other => [20, 220][((column / (8 + number % 9) + row / (8 + number % 9)) % 2) as usize],
        };
        Luma([(grey + grain) as u8])
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
}

/// The default model's network in `model`, films in `films`, other pictures in `others`, lateral ones in `laterals`, and
/// some of each that nothing is fitted on in `unseen`.
fn pictures() -> TempDir {
    let dir = tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/four-findings");
    fs::create_dir(dir.path().join("model")).unwrap();
    for file in ["model.json", "weights.safetensors"] {
        fs::copy(shipped.join(file), dir.path().join("model").join(file)).unwrap();
    }
    let put =
        |kind, number: u32, folder: &str| draw(kind, number, &dir.path().join(folder).join(format!("{number}.png")));
    for (first, split) in [(0, "train"), (500, "val")] {
        for number in 0..104 {
            put(Drawn::Film, first + number, &format!("films/{split}/{}", CLASSES[number as usize % 4]));
        }
    }
    (0..12).for_each(|number| put(Drawn::Lateral, 3 * number, "laterals"));
    (0..12).for_each(|number| put(Drawn::Other, number, "others/boards"));
    for (kind, folder) in [(Drawn::Film, "film"), (Drawn::Lateral, "lateral"), (Drawn::Other, "other")] {
        (0..8).for_each(|number| put(kind, 1000 + number, &format!("unseen/{folder}")));
    }
    dir
}

/// `roentgen refusal COMMAND` on the model, with options that take a path inside `dir`.
fn run(dir: &TempDir, command: &str, switches: &[&str], paths: &[(&str, &str)]) -> Output {
    let paths = [("--model", "model")].into_iter().chain(paths.iter().copied());
    let paths = paths.flat_map(|(option, path)| [PathBuf::from(option), dir.path().join(path)]);
    roentgen(["refusal", command].iter().chain(switches).map(PathBuf::from).chain(paths))
}

#[test]
fn lateral_films_are_refused_for_being_lateral_where_there_were_some_to_learn_from() {
    let dir = pictures();
    let options = [("--data", "films"), ("--outliers", "others"), ("--laterals", "laterals")];
    let fitted = run(&dir, "fit", &[], &options);
    assert!(fitted.status.success(), "{}", text(&fitted.stderr));
    let card: Value = serde_json::from_slice(&fs::read(dir.path().join("model/model.json")).unwrap()).unwrap();
    let info = &card["refusal"]["fitted"];
    // Each lateral film as it is and mirrored; the other pictures among those that are drawn.
    assert_eq!((&info["laterals"], &info["of_them_as_taken"]), (&24.into(), &12.into()), "{info}");
    assert_eq!(info["of_them_collected"], 12, "{info}");

    let measured = run(&dir, "measure", &["--json"], &[("--data", "unseen")]);
    let counts: Value = serde_json::from_slice(&measured.stdout).unwrap();
    assert_eq!(counts["film"]["n"], 8, "{counts}");
    assert!(counts["film"]["refused"].as_u64().unwrap() <= 1, "{counts}");
    assert_eq!(counts["lateral"]["reasons"]["lateral"], 8, "{counts}");
    assert_eq!(counts["other"]["refused"], 8, "{counts}");
}

#[test]
fn a_folder_without_a_picture_is_an_error_that_names_its_option() {
    let dir = pictures();
    fs::create_dir(dir.path().join("empty")).unwrap();
    for option in ["--outliers", "--laterals"] {
        let refused = run(&dir, "fit", &[], &[("--data", "films"), (option, "empty")]);
        assert_eq!(refused.status.code(), Some(1));
        let message = text(&refused.stderr).lines().last().unwrap_or_default();
        assert!(message.contains(&format!("the folder of {option} has no image in it")), "{message}");
    }
}
