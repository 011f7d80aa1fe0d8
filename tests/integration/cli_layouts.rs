//! Folders and zips as people have them, through `roentgen dataset`, `evaluate` and `train`: each kind from small files made
//! here.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{brightness_model, grey_film, json_of, roentgen, text};

/// A folder with a film of another grey at each path.
fn folder(paths: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (i, path) in paths.iter().enumerate() {
        grey_film(&dir.path().join(path), 10 + 3 * i as u8);
    }
    dir
}

/// `n` paths in a folder.
fn some(folder: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{folder}/{i}.png")).collect()
}

/// What `dataset --json` says.
fn dataset(path: &Path) -> Value {
    json_of(&roentgen(["dataset".as_ref(), path.as_os_str(), "--json".as_ref()]))
}

/// What it is refused with.
fn refusal(path: &Path) -> String {
    let output = roentgen(["dataset".as_ref(), path.as_os_str()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr).to_owned()
}

/// Names and contents of the files below a folder, packed as a zip without compression.
fn zipped(dir: &Path) -> Vec<u8> {
    fn files(dir: &Path, below: &str, into: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{below}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                files(&path, &format!("{name}/"), into);
            } else {
                into.insert(name, fs::read(path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    files(dir, "", &mut all);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in all {
        zip.start_file(name, stored).unwrap();
        zip.write_all(&content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn splits_masks_and_system_files_of_a_downloaded_set_are_what_they_are() {
    let mut paths = Vec::new();
    for (split, n) in [("Train", 4), ("valid", 2), ("TEST", 3)] {
        for class in ["NORMAL", "PNEUMONIA"] {
            paths.extend(some(&format!("set/{split}/{class}/images"), n));
            paths.extend(some(&format!("set/{split}/{class}/masks"), n));
        }
    }
    let dir = folder(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    for junk in
        ["set/Train/NORMAL/images/Thumbs.db", "set/Train/@eaDir/x.png", "set/TEST/desktop.ini", "__MACOSX/set/._Train"]
    {
        let junk = dir.path().join(junk);
        fs::create_dir_all(junk.parent().unwrap()).unwrap();
        fs::write(junk, "x").unwrap();
    }
    let found = dataset(dir.path());
    let both = |n: usize| json!({ "NORMAL": n, "PNEUMONIA": n });
    assert_eq!(found["splits"], json!({ "train": both(4), "val": both(2), "test": both(3) }));
    let left: BTreeMap<&str, u64> = found["files_left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left| (left["why"].as_str().unwrap(), left["count"].as_u64().unwrap()))
        .collect();
    // A folder of the system is named, not gone into.
    assert_eq!(left, BTreeMap::from([("mask", 18), ("system", 4)]));
    let decided = found["decided"].to_string();
    assert!(decided.contains("the folder `valid` is taken as val") && decided.contains("set/"), "{decided}");
    assert_eq!(found["by_class"][0]["formats"], json!({ "PNG": 8 + 1 }));
    assert_eq!(found["unreadable"], json!([]));
}

#[test]
fn a_zip_is_read_as_the_folder_it_was_packed_from_and_one_for_each_class_too() {
    let dir = folder(&["a/train/A/0.png", "a/train/A/1.png", "a/train/B/0.png", "a/test/A/0.png", "a/test/B/0.png"]);
    let here = tempfile::tempdir().unwrap();
    let all = here.path().join("films (1)");
    fs::write(&all, zipped(dir.path())).unwrap();
    let (packed, plain) = (dataset(&all), dataset(dir.path()));
    for key in ["classes", "splits", "sizes", "by_class", "duplicates"] {
        assert_eq!(packed[key], plain[key], "{key}");
    }
    // Two zips of a split each, with the same paths in them; a zip for a class, and one in a class folder.
    let parts = tempfile::tempdir().unwrap();
    fs::create_dir_all(parts.path().join("test/B")).unwrap();
    fs::write(parts.path().join("train.zip"), zipped(&dir.path().join("a/train"))).unwrap();
    fs::write(parts.path().join("test/A.zip"), zipped(&dir.path().join("a/test/A"))).unwrap();
    fs::write(parts.path().join("test/B/images.zip"), zipped(&dir.path().join("a/test/B"))).unwrap();
    assert_eq!(dataset(parts.path())["splits"], plain["splits"]);
    // A zip in a zip.
    let outer = here.path().join("outer.zip");
    fs::write(&outer, zipped(parts.path())).unwrap();
    assert_eq!(dataset(&outer)["splits"], plain["splits"]);
    // A zip beside the folder that was made of it is not read twice.
    fs::create_dir(dir.path().join("b")).unwrap();
    fs::write(dir.path().join("a.zip"), zipped(&dir.path().join("a"))).unwrap();
    let found = dataset(dir.path());
    assert_eq!(found["splits"], plain["splits"]);
    assert!(found["files_left_out"].to_string().contains("lies unpacked"), "{found}");
}

#[test]
fn a_zip_that_breaks_off_or_is_none_is_said_to_be_so() {
    let dir = folder(&["train/A/0.png", "train/B/0.png", "train/B/1.png"]);
    let bytes = zipped(dir.path());
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("set.zip");
    let list = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    fs::write(&path, &bytes[..list - 20]).unwrap();
    let found = dataset(&path);
    assert_eq!(found["splits"], json!({ "train": { "A": 1, "B": 1 } }));
    assert!(found["notes"].to_string().contains("breaks off: 2 whole files are there"), "{found}");
    assert!(found["unreadable"].to_string().contains("train/B/1.png"), "{found}");
    for (content, named) in
        [(&b"<html><body>Sign in"[..], "web page"), (b"Rar!\x1a\x07\x01\x00", "RAR archive"), (b"", "it is empty")]
    {
        fs::write(&path, content).unwrap();
        let message = refusal(&path);
        assert!(
            message.starts_with("error: ") && message.contains("set.zip: ") && message.contains(named),
            "{message}"
        );
    }
}

#[test]
fn folders_that_are_no_classes_take_their_labels_from_a_table() {
    let mut paths = some("images_001/images", 6);
    paths.extend(some("images_002/images", 6).iter().map(|path| path.replace("images/", "images/b")));
    let dir = folder(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let message = refusal(dir.path());
    assert!(message.contains("images_001 … images_002 are numbered: their names are no labels"), "{message}");
    let rows = |label: fn(usize) -> &'static str| {
        (0..6).map(|i| format!("{i}.png,{},{}\nb{i}.png,{},{}\n", label(i), i, label(i + 1), i)).collect::<String>()
    };
    let table = rows(|i| if i % 2 == 0 { "Mass" } else { "No Finding" });
    fs::write(dir.path().join("Data_Entry_2017.csv"), format!("Image Index,Finding Labels,Patient ID\n{table}"))
        .unwrap();
    let found = dataset(dir.path());
    assert_eq!(found["splits"], json!({ "train": { "Mass": 6, "No Finding": 6 } }));
    let decided = found["decided"].to_string();
    assert!(decided.contains("column `Finding Labels`, files in column `Image Index`"), "{decided}");
    assert_eq!(found["groups"], json!({ "groups": 6, "images": 12, "across_splits": [] }));
    // One that lies elsewhere, with columns that nobody guesses, in place of class folders.
    let other = tempfile::tempdir().unwrap();
    fs::write(
        other.path().join("t.csv"),
        format!("f;q\n{}", rows(|i| if i < 2 { "x" } else { "y" }).replace(',', ";")),
    )
    .unwrap();
    let file = other.path().join("t.csv");
    let arguments = ["--labels", file.to_str().unwrap(), "--file-column", "f", "--label-column", "q", "--json"];
    let output = roentgen([&["dataset", dir.path().to_str().unwrap()], &arguments[..]].concat());
    assert_eq!(json_of(&output)["splits"], json!({ "train": { "x": 3, "y": 9 } }));
    let output = roentgen(["dataset", dir.path().to_str().unwrap(), "--label-column", "Nothing"]);
    assert!(text(&output.stderr).contains("has no column `Nothing`"), "{}", text(&output.stderr));
}

#[test]
fn patients_are_said_to_be_patients_and_a_manifest_of_somebody_else_stops_nothing() {
    let dir = folder(&[
        "train/patient00001/study1/a.png",
        "train/patient00002/study1/a.png",
        "valid/patient00003/study1/a.png",
    ]);
    let message = refusal(dir.path());
    assert!(
        message.contains("look like patients, not like classes") && message.contains("`valid` is taken as val"),
        "{message}"
    );
    let dir = folder(&["A/0.png", "B/0.png"]);
    fs::write(dir.path().join("manifest.csv"), "filename,finding\nx.png,A\n").unwrap();
    let decided = dataset(dir.path())["decided"].to_string();
    assert!(decided.contains("manifest.csv is not used, so patients are not known"), "{decided}");
}

#[test]
fn a_class_that_differs_as_a_file_is_warned_of() {
    let dir = folder(&["A/0.png", "A/1.png"]);
    for i in 0..2 {
        fs::create_dir_all(dir.path().join("B")).unwrap();
        let pixels = vec![7_u16 + i; 90 * 70];
        let film: image::ImageBuffer<image::Luma<u16>, _> = image::ImageBuffer::from_raw(90, 70, pixels).unwrap();
        film.save(dir.path().join(format!("B/{i}.png"))).unwrap();
    }
    let found = dataset(dir.path());
    let warnings = found["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning.as_str().unwrap().contains("8 bits a value")), "{warnings:?}");
    assert_eq!(found["by_class"][1]["bits"], json!({ "16": 2 }));
}

#[test]
fn a_model_is_measured_on_the_test_split_of_a_zip_without_its_masks() {
    let dir = tempfile::tempdir().unwrap();
    let model = brightness_model(dir.path());
    for i in 0..4 {
        grey_film(&dir.path().join(format!("films/Test/COVID-19/images/{i}.png")), 250 - i);
        grey_film(&dir.path().join(format!("films/Test/Normal/images/{i}.png")), 5 + i);
        // Every one of them is called the other class.
        grey_film(&dir.path().join(format!("films/Test/COVID-19/masks/{i}.png")), 5 + i);
        grey_film(&dir.path().join(format!("films/Test/Normal/masks/{i}.png")), 250 - i);
        grey_film(&dir.path().join(format!("films/Train/Normal/images/{i}.png")), 100);
    }
    fs::write(dir.path().join("films.zip"), zipped(&dir.path().join("films"))).unwrap();
    for data in ["films", "films.zip"] {
        let arguments = ["evaluate", "--model", model.to_str().unwrap(), "--json", "-", "--data"];
        let output = roentgen([&arguments[..], &[dir.path().join(data).to_str().unwrap()]].concat());
        let found = json_of(&output);
        assert_eq!((&found["n"], &found["accuracy"]), (&json!(8), &json!(1.0)), "{data}");
        assert!(text(&output.stderr).contains("masks"), "{}", text(&output.stderr));
    }
}
