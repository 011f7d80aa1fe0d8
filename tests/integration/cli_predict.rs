//! `roentgen predict` as a program sees it: lines, exit codes, and files that are none.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::tempdir;

use crate::common::{CLASSES, bright, brightness_model, grey_film, roentgen, text};

fn predict(model: &Path, options: &[&str], files: &[&Path]) -> Output {
    let mut args = vec!["predict".as_ref(), "--model".as_ref(), model.as_os_str()];
    args.extend(options.iter().map(OsStr::new));
    args.extend(files.iter().map(|file| file.as_os_str()));
    roentgen(args)
}

fn lines(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn json_line_has_exactly_the_promised_keys_and_the_scores_worked_out_by_hand() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let (light, dark) = (dir.path().join("light.png"), dir.path().join("dark.png"));
    grey_film(&light, 180);
    grey_film(&dark, 60);
    let output = predict(&model, &["--json"], &[&light, &dark]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty());

    let lines = lines(&output);
    assert_eq!(lines.len(), 2);
    for (line, (file, grey, label)) in lines.iter().zip([(&light, 180, CLASSES[0]), (&dark, 60, CLASSES[1])]) {
        let mut keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let promised =
            ["answer", "called", "error", "file", "label", "ms", "notes", "refused", "score", "scores", "uncertain"];
        assert_eq!(keys, promised);
        assert!(line["answer"].is_null(), "the card says nothing of answers");
        assert_eq!(line["file"], file.to_str().unwrap());
        assert_eq!(line["label"], label);
        assert_eq!(line["score"], line["scores"][label]);
        let first = line["scores"][CLASSES[0]].as_f64().unwrap();
        assert!((first - bright(grey)).abs() < 1e-5, "{first}, by hand {}", bright(grey));
        assert!((first + line["scores"][CLASSES[1]].as_f64().unwrap() - 1.0).abs() < 1e-6);
        assert!(line["refused"].is_null() && line["error"].is_null());
        assert!(line["ms"].as_f64().unwrap() > 0.0);
    }
    let raw = text(&output.stdout);
    assert!(raw.find(CLASSES[0]) < raw.find(r#""Normal":"#), "scores are in the order of the model: {raw}");
}

#[test]
fn bad_files_get_their_error_and_never_stop_the_others() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let path = |name: &str| dir.path().join(name);
    grey_film(&path("good.png"), 200);
    let png = fs::read(path("good.png")).unwrap();
    fs::write(path("cut.png"), &png[..png.len() / 2]).unwrap();
    fs::write(path("empty.png"), b"").unwrap();
    fs::write(path("text.png"), b"this is no picture").unwrap();
    fs::create_dir(path("folder.png")).unwrap();

    let cases = [
        ("missing.png", "io"),
        ("cut.png", "damaged"),
        ("empty.png", "unknown-format"),
        ("text.png", "unknown-format"),
        ("folder.png", "io"),
    ];
    let files: Vec<_> = cases.iter().flat_map(|(name, _)| [path(name), path("good.png")]).collect();
    let output = predict(&model, &["--json"], &files.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    assert_eq!(lines.len(), 2 * cases.len(), "a line for each file, in order");
    for (pair, (name, kind)) in lines.chunks(2).zip(cases) {
        assert_eq!(pair[0]["error"]["kind"], kind, "{name}: {}", pair[0]);
        assert!(!pair[0]["error"]["message"].as_str().unwrap().is_empty());
        for key in ["answer", "label", "score", "scores", "refused"] {
            assert!(pair[0][key].is_null(), "{name}: {key}");
        }
        assert_eq!(pair[1]["label"], CLASSES[0], "the good file after {name}");
    }
    let folder = &lines[8]["error"]["message"];
    assert!(folder.as_str().unwrap().contains("is a folder; name the image files in it"), "{folder}");
}

/// The files of `fixtures/make_images.py` that no program should trust: cut off, altered, claiming any size.
#[test]
fn every_hostile_fixture_gets_an_error_and_the_film_after_it_its_class() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    let film = fixtures.join("film.png");
    let mut broken: Vec<_> =
        fs::read_dir(fixtures.join("broken")).unwrap().map(|entry| entry.unwrap().path()).collect();
    broken.sort();
    assert!(broken.len() > 10, "the fixtures are there");
    let files: Vec<&Path> = broken.iter().flat_map(|path| [path.as_path(), film.as_path()]).collect();

    let output = predict(&model, &["--json"], &files);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "", "nothing panicked");
    let lines = lines(&output);
    assert_eq!(lines.len(), files.len());
    for (pair, path) in lines.chunks(2).zip(&broken) {
        assert!(pair[0]["error"]["kind"].is_string() && pair[0]["label"].is_null(), "{}: {}", path.display(), pair[0]);
        assert!(pair[1]["error"].is_null() && pair[1]["scores"] == lines[1]["scores"], "after {}", path.display());
    }
}

#[test]
fn people_get_one_readable_line_a_file() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    grey_film(&dir.path().join("light.png"), 255);
    // A line break and a terminal's escape character in a name are replaced, not obeyed.
    let names = ["light.png", "missing.png", "two\nlines\x1b[31m.png"].map(|name| dir.path().join(name));
    let output = predict(&model, &[], &names.each_ref().map(AsRef::as_ref));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    // 1 / (1 + e⁻⁴) = 0.982
    assert!(lines[0].starts_with("COVID-19    98.2 %") && lines[0].ends_with("light.png"), "{}", lines[0]);
    assert!(lines[1].starts_with("error") && lines[1].contains("missing.png: "), "{}", lines[1]);
    assert!(lines[2].contains("two\u{fffd}lines\u{fffd}[31m.png: "), "{}", lines[2]);
    assert_eq!(lines.len(), 3);
}

#[cfg(unix)]
#[test]
fn a_file_name_that_is_no_utf8_is_classified_like_any_other() {
    use std::os::unix::ffi::OsStrExt;

    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"r\xf6ntgen.png"));
    grey_film(&odd, 200);
    let output = predict(&model, &["--json"], &[&odd]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(lines(&output)[0]["file"].as_str().unwrap().ends_with("r\u{fffd}ntgen.png"));
}

#[cfg(unix)]
#[test]
fn a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let pipe = dir.path().join("pipe.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let output = predict(&model, &["--json"], &[&pipe]);
    assert!(lines(&output)[0]["error"]["message"].as_str().unwrap().contains("not a regular file"));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let film = dir.path().join("film.png");
    grey_film(&film, 200);
    let mut child = Command::new(env!("CARGO_BIN_EXE_roentgen"))
        .args(["predict".as_ref(), "--json".as_ref(), "--model".as_ref(), model.as_os_str()])
        .args([&film; 20])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_model_that_cannot_be_used_is_one_line_and_exit_code_1() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let film = dir.path().join("film.png");
    grey_film(&film, 200);
    let weights = model.join("weights.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    for (folder, expected) in [(model, "SHA-256"), (dir.path().join("no-model"), "model.json")] {
        let output = predict(&folder, &["--json"], &[&film]);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("error: ") && stderr.contains(expected), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_exit_code_2() {
    assert_eq!(roentgen(["predict", "--model", "somewhere"]).status.code(), Some(2));
    assert_eq!(roentgen(["no-such-command"]).status.code(), Some(2));
}
