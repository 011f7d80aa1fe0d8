//! `roentgen dataset` on a small folder with everything wrong in it that it should name.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{grey_film, roentgen, text};

/// Three films of one class and two of the other to train on, two to test on; one file is text. Film 1 is also in test,
/// film 2 also under the other class.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, grey) in [
        ("train/COVID-19/a.png", 1),
        ("train/COVID-19/b.png", 2),
        ("train/Normal/c.png", 3),
        ("train/Normal/d.png", 2),
        ("train/Normal/e.png", 5),
        ("test/COVID-19/f.png", 1),
        ("test/Normal/g.png", 7),
        ("test/Mass/h.png", 8),
    ] {
        grey_film(&dir.path().join(path), grey);
    }
    fs::write(dir.path().join("train/Normal/broken.jpg"), "no film").unwrap();
    dir
}

#[test]
fn dataset_counts_films_and_names_what_is_wrong() {
    let dir = folder();
    let output = roentgen(["dataset".as_ref(), dir.path().as_os_str()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for expected in [
        "class     train  test  all",
        "COVID-19      2     1    3",
        "Normal        3     1    4",
        "all           5     2    7",
        "every film is 90×70 px",
        "imbalance: 1.5 times as many `Normal` as `COVID-19`",
        "images [5, 3, 128, 128]",
        "labels [5, 2], one-hot",
        "there is no val folder",
        "left out: test/Mass",
        "duplicates: 2",
        "train/COVID-19/a.png = test/COVID-19/f.png (in different splits)",
        "train/COVID-19/b.png = train/Normal/d.png (in different classes)",
        "unreadable: 1",
        "train/Normal/broken.jpg: not a readable image",
    ] {
        assert!(table.contains(expected), "{expected:?} is not in\n{table}");
    }
}

#[test]
fn dataset_says_the_same_as_json() {
    let dir = folder();
    let output = roentgen([
        "dataset".as_ref(),
        dir.path().as_os_str(),
        "--json".as_ref(),
        "--classes".as_ref(),
        "Normal,COVID-19".as_ref(),
        "--batch-size".as_ref(),
        "4".as_ref(),
    ]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["classes"], json!(["Normal", "COVID-19"]));
    let train = json!({ "Normal": 3, "COVID-19": 2 });
    assert_eq!(found["splits"], json!({ "train": train, "test": { "Normal": 1, "COVID-19": 1 } }));
    assert_eq!(found["sizes"], json!({ "smallest": [70, 90], "largest": [70, 90] }));
    assert_eq!(found["batch"]["images"], json!([4, 3, 128, 128]));
    assert_eq!(found["batch"]["labels"], json!([4, 2]));
    assert_eq!(found["unreadable"][0]["kind"], "unknown-format");
    let splits: Vec<&Value> = found["duplicates"].as_array().unwrap().iter().map(|copies| &copies["splits"]).collect();
    assert_eq!(splits, [&json!(["train"]), &json!(["test", "train"])]);
}

#[test]
fn dataset_filters_and_refuses_with_one_line() {
    let dir = folder();
    let path = dir.path().as_os_str();
    let output = roentgen(["dataset".as_ref(), path, "--only".as_ref(), "*/[a-c].png".as_ref(), "--json".as_ref()]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["splits"], json!({ "train": { "COVID-19": 2, "Normal": 1 } }));
    assert_eq!(found["unreadable"], json!([]));

    let output = roentgen(["dataset", "/no/such/folder"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(complaint.starts_with("error: data set: /no/such/folder is not a folder"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_or_break_lines_do_no_harm() {
    use std::os::unix::ffi::OsStrExt;

    let dir = folder();
    let odd = std::ffi::OsStr::from_bytes(b"train/Normal/\xff\n.png");
    fs::write(dir.path().join(odd), "no film").unwrap();
    let path = dir.path().as_os_str();
    let output = roentgen(["dataset".as_ref(), path, "--json".as_ref()]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["unreadable"].as_array().unwrap().len(), 2);
    let output = roentgen(["dataset".as_ref(), path]);
    let table = text(&output.stdout);
    assert!(table.contains("  train/Normal/\u{fffd}\u{fffd}.png: not a readable image"), "{table}");
}
