//! DICOM files from the command line: beside other formats, whatever they are called, in folders and in zips.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::common::{CLASSES, bright, brightness_model, grey_film, json_of, roentgen, text};

/// A DICOM file of one grey of eight bits and as many frames, in Explicit VR Little Endian (PS3.5, 7.1.2).
fn dicom(grey: u8, frames: u32) -> Vec<u8> {
    let (rows, columns) = (70_u16, 90_u16);
    let short = |number: u16| number.to_le_bytes().to_vec();
    let text = |text: &str| format!("{text}{}", if text.len().is_multiple_of(2) { "" } else { " " }).into_bytes();
    let mut file = [&[0; 128][..], b"DICM"].concat();
    let elements = [
        ([0x0002, 0x0010], *b"UI", b"1.2.840.10008.1.2.1\0".to_vec()),
        ([0x0008, 0x0060], *b"CS", text("DX")),
        ([0x0010, 0x0010], *b"PN", text("Doe^Jane")),
        ([0x0028, 0x0002], *b"US", short(1)),
        ([0x0028, 0x0004], *b"CS", text("MONOCHROME2")),
        ([0x0028, 0x0008], *b"IS", text(&frames.to_string())),
        ([0x0028, 0x0010], *b"US", short(rows)),
        ([0x0028, 0x0011], *b"US", short(columns)),
        ([0x0028, 0x0100], *b"US", short(8)),
        ([0x0028, 0x0101], *b"US", short(8)),
        ([0x0028, 0x0102], *b"US", short(7)),
        ([0x0028, 0x0103], *b"US", short(0)),
    ];
    for ([group, element], vr, value) in elements {
        file.extend([short(group), short(element), vr.to_vec(), short(value.len() as u16), value].concat());
    }
    let pixels = vec![grey; frames as usize * usize::from(rows) * usize::from(columns)];
    file.extend([short(0x7fe0), short(0x0010), b"OB\0\0".to_vec()].concat());
    file.extend((pixels.len() as u32).to_le_bytes());
    file.extend(pixels);
    file
}

/// Writes a file, making the folders above it.
fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// What a medium has at its top: a DICOM file without an image.
fn index() -> Vec<u8> {
    [&[0; 128][..], b"DICM", b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0", b"\x04\0\x30\x11CS\x04\0DISC"].concat()
}

/// Two classes, of dark and of bright images, called as people and devices call them.
fn set(dir: &Path) {
    for (i, name) in ["0.dcm", "1.dicom", "IM000002", "DICOM/S0/I3", "4.IMA", "5.png"].iter().enumerate() {
        put(&dir.join("COVID-19").join(name), &dicom(230 - i as u8, 1));
        put(&dir.join("Normal").join(name), &dicom(20 + i as u8, 1));
    }
    put(&dir.join("Normal/DICOMDIR"), &index());
}

#[test]
fn a_dicom_file_gets_the_scores_of_a_png_with_its_pixels_and_several_frames_are_said() {
    let dir = TempDir::new().unwrap();
    let model = brightness_model(dir.path());
    let [one, many, png] = ["one", "many.dcm", "film.png"].map(|name| dir.path().join(name));
    put(&one, &dicom(200, 1));
    put(&many, &dicom(200, 3));
    grey_film(&png, 200);
    let predict = |path: &Path| -> Value {
        json_of(&roentgen([
            "predict".as_ref(),
            "--json".as_ref(),
            "--model".as_ref(),
            model.as_os_str(),
            path.as_os_str(),
        ]))
    };
    let [one, many, png] = [one, many, png].map(|path| predict(&path));
    assert_eq!((&one["scores"], &many["scores"]), (&png["scores"], &png["scores"]));
    assert!((one["scores"][CLASSES[0]].as_f64().unwrap() - bright(200)).abs() < 1e-4, "{one}");
    assert_eq!(one["notes"], json!([]));
    assert_eq!(many["notes"], json!(["Its file holds 3 images, of which this is the first."]));
}

#[test]
fn another_modality_and_an_index_are_refused_by_name() {
    let dir = TempDir::new().unwrap();
    let model = brightness_model(dir.path());
    let [ct, dicomdir] = ["ct.dcm", "DICOMDIR"].map(|name| dir.path().join(name));
    let mut bytes = dicom(200, 1);
    let at = bytes.windows(2).position(|two| two == b"DX").unwrap();
    bytes[at..at + 2].copy_from_slice(b"CT");
    put(&ct, &bytes);
    put(&dicomdir, &index());
    let arguments = ["predict".as_ref(), "--json".as_ref(), "--model".as_ref(), model.as_os_str()];
    let output = roentgen(arguments.into_iter().chain([ct.as_os_str(), dicomdir.as_os_str()]));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["error"]["kind"], "not-chest", "{}", lines[0]);
    assert!(lines[0]["error"]["message"].as_str().unwrap().contains("computed tomography"), "{}", lines[0]);
    assert_eq!(lines[1]["error"]["kind"], "unsupported-format", "{}", lines[1]);
    assert!(!text(&output.stdout).contains("Doe"));
}

#[test]
fn a_folder_and_a_zip_of_dicom_files_are_read_whatever_they_are_called() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    set(&data);
    let zip = dir.path().join("data.zip");
    let mut packed = zip::ZipWriter::new(fs::File::create(&zip).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut folders = vec![data.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            packed.start_file(entry.strip_prefix(&data).unwrap().to_str().unwrap(), stored).unwrap();
            packed.write_all(&fs::read(&entry).unwrap()).unwrap();
        }
    }
    packed.finish().unwrap();
    let model = brightness_model(dir.path());
    for path in [&data, &zip] {
        let found = json_of(&roentgen(["dataset".as_ref(), path.as_os_str(), "--json".as_ref()]));
        assert_eq!(found["unreadable"], json!([]), "{found}");
        for class in 0..2 {
            assert_eq!(found["by_class"][class]["formats"], json!({ "DICOM": 6 }), "{found}");
        }
        let left = &found["files_left_out"][0];
        assert_eq!((&left["why"], &left["count"]), (&json!("system"), &json!(1)), "{found}");
        let evaluate = ["evaluate".as_ref(), "--model".as_ref(), model.as_os_str(), "--json".as_ref(), "-".as_ref()];
        let report = json_of(&roentgen(evaluate.into_iter().chain(["--data".as_ref(), path.as_os_str()])));
        assert_eq!(report["accuracy"], 1.0, "{report}");
    }
}
