//! What PyTorch saves, read: both of its layouts, and what is refused and why.
//!
//! The files, and what PyTorch makes of them: `tests/fixtures/pytorch/make_state_dicts.py`.

use std::fs;
use std::path::Path;

use roentgen::error::{Error, Result};
use roentgen::formats::pytorch::read_state_dict;
use roentgen::formats::{read_published, read_weights};
use roentgen::nn::Weights;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytorch/state_dicts");
    fs::read(folder.join(name)).expect("a file of the script")
}

fn expected() -> Weights {
    read_weights(&fixture("expected.safetensors")).expect("safetensors")
}

/// The reason for refusing `file`.
fn refusal(file: &[u8]) -> String {
    match read_state_dict(file).expect_err("to be refused") {
        Error::Weights { reason } => reason,
        other => panic!("another kind of error: {other}"),
    }
}

fn position(file: &[u8], word: &[u8]) -> usize {
    file.windows(word.len()).position(|bytes| bytes == word).expect("a word of the file")
}

#[test]
fn both_layouts_give_pytorchs_numbers_in_its_order() {
    for name in ["zip.pth", "legacy.pth"] {
        assert_eq!(read_state_dict(&fixture(name)).unwrap(), expected(), "{name}");
    }
    assert_eq!(expected().0.len(), 10, "all tensors but the counter");
}

#[test]
fn weights_inside_a_checkpoint_are_found() {
    for name in ["nested.pth", "nested-legacy.pth"] {
        let weights = read_state_dict(&fixture(name)).unwrap();
        assert_eq!(weights.0.len(), 1, "{name}");
        assert_eq!(weights.0["weight"], expected().0["conv.weight"], "{name}");
    }
}

#[test]
fn a_command_in_the_file_is_named_and_not_run() {
    for name in ["malicious.pth", "malicious-legacy.pth"] {
        let reason = refusal(&fixture(name));
        assert!(reason.contains("`posix.system`") && reason.contains("nothing was run"), "{name}: {reason}");
    }
    assert!(!Path::new("roentgen-was-here").exists());
}

#[test]
fn what_is_no_dictionary_of_float_tensors_is_refused_with_the_reason() {
    for (name, reason) in [
        ("whole-model.pth", "`torch.nn.modules.linear.Linear`"),
        ("bytes.pth", "`torch.ByteStorage`"),
        ("not-only-tensors.pth", "`epoch` in it is no tensor"),
        ("expanded.pth", "shape [1000000] claims numbers that are not there"),
        ("empty.pth", "tensor `weight` of shape [0, 3] is empty"),
        ("nan.pth", "tensor `weight` holds NaN at 1"),
        ("expected.safetensors", "is neither safetensors nor what torch.save writes"),
    ] {
        let found = refusal(&fixture(name));
        assert!(found.contains(reason), "{name}: {found}");
    }
}

#[test]
fn a_file_of_a_big_endian_machine_is_refused() {
    let mut file = fixture("legacy.pth");
    // The value follows the key and two bytes that memorise it; 0x88 is true, 0x89 false.
    let value = position(&file, b"little_endian") + 15;
    assert_eq!(file[value], 0x88);
    file[value] = 0x89;
    assert!(refusal(&file).contains("big-endian"));
}

#[test]
fn every_truncation_is_an_error() {
    for name in ["zip.pth", "legacy.pth"] {
        let file = fixture(name);
        for length in 0..file.len() {
            assert!(read_state_dict(&file[..length]).is_err(), "{name} cut to {length} of {} bytes", file.len());
        }
    }
    let file = fixture("legacy.pth");
    assert!(refusal(&file[..file.len() - 3]).contains("ends 3 bytes too early"));
}

#[test]
fn any_altered_byte_gives_tensors_or_an_error_and_never_panics() {
    for name in ["zip.pth", "legacy.pth"] {
        let file = fixture(name);
        let mut refused = 0;
        for position in 0..file.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut altered = file.clone();
                altered[position] ^= flip;
                refused += usize::from(read_state_dict(&altered).is_err());
            }
        }
        assert!(refused > file.len(), "{name}: only {refused} refused");
    }
}

#[test]
fn a_number_altered_in_the_zip_does_not_pass_its_checksum() {
    let mut file = fixture("zip.pth");
    // The second number of the first tensor, -1.5 + 1/7 in float32.
    let at = position(&file, &(1.0f32 / 7.0 - 1.5).to_le_bytes());
    file[at] ^= 1;
    assert!(refusal(&file).contains("the zip is damaged"), "{}", refusal(&file));
}

#[test]
fn published_weights_are_known_by_their_content() -> Result<()> {
    assert_eq!(read_published(&fixture("zip.pth"))?, expected());
    assert_eq!(read_published(&fixture("legacy.pth"))?, expected());
    assert_eq!(read_published(&fixture("expected.safetensors"))?, expected());
    let error = read_published(b"<!DOCTYPE html>").unwrap_err().to_string();
    assert!(error.contains("web page"), "{error}");
    Ok(())
}

#[test]
fn counters_in_published_safetensors_are_left_out() {
    let one = 1.0f32.to_le_bytes();
    let weight = TensorView::new(Dtype::F32, vec![1], &one).unwrap();
    let count = TensorView::new(Dtype::I64, vec![], &[44, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    let file = serialize([("bn.weight", weight), ("bn.num_batches_tracked", count)], None).unwrap();
    let names: Vec<String> = read_published(&file).unwrap().0.into_keys().collect();
    assert_eq!(names, ["bn.weight"]);
    assert!(read_weights(&file).unwrap_err().to_string().contains("I64"), "a model folder has none");
}
