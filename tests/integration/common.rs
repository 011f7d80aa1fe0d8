//! A model whose answers can be worked out by hand, small films, and the command line under test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use roentgen::formats::folder::write_model_folder;
use roentgen::formats::{Encoding, ModelCard, Storage, Weight, WeightsInfo, write_weights};
use roentgen::image::{Limits, decode};
use roentgen::models::Architecture;
use serde_json::Value;

/// Classes of [`brightness_weights`]; bright films are the first.
pub const CLASSES: [&str; 2] = ["COVID-19", "Normal"];

/// Side of the feature maps that the first dense layer sees: ((128 - 4) / 2 - 4) / 2.
const SIDE: usize = 29;
const FLAT: usize = 64 * SIDE * SIDE;

/// Weights of the scratch CNN that measure the mean brightness: its logits for a film of one grey `g` in `[0, 1]` are
/// `8 g - 4` and 0, so the first class has probability [`bright`]`(g)`.
///
/// One filter of each convolution passes its first input channel on, the first hidden unit takes the mean of the first
/// feature map. The large layers are stored in eight bits and the first dense layer as factors of rank 2, which loses
/// nothing here (all values of a row are 0 or its maximum) and makes 160 kB of what would be 110 MB.
pub fn brightness_weights() -> Vec<Weight> {
    let one_at = |n: usize, position: usize, value: f32| {
        let mut values = vec![0.0; n];
        values[position] = value;
        values
    };
    let weight = |name: &str, shape: &[usize], values: Vec<f32>, storage| Weight {
        name: name.into(),
        shape: shape.to_vec(),
        values,
        storage,
    };
    // The centre of a 5×5 kernel is its value 12.
    let mut mean = vec![0.0; 2 * FLAT];
    mean[..SIDE * SIDE].fill(1.0 / (SIDE * SIDE) as f32);
    vec![
        weight("conv1.weight", &[32, 3, 5, 5], one_at(32 * 3 * 25, 12, 1.0), Storage::Int8),
        weight("conv1.bias", &[32], vec![0.0; 32], Storage::F32),
        weight("conv2.weight", &[64, 32, 5, 5], one_at(64 * 32 * 25, 12, 1.0), Storage::Int8),
        weight("conv2.bias", &[64], vec![0.0; 64], Storage::F32),
        weight("dense1.weight.u", &[512, 2], one_at(512 * 2, 0, 1.0), Storage::F16),
        weight("dense1.weight.v", &[2, FLAT], mean, Storage::Int8),
        weight("dense1.bias", &[512], vec![0.0; 512], Storage::F32),
        weight("dense2.weight", &[2, 512], one_at(2 * 512, 0, 8.0), Storage::F32),
        weight("dense2.bias", &[2], vec![-4.0, 0.0], Storage::F32),
    ]
}

/// Probability of the first class that [`brightness_weights`] give a film of one grey: the logistic function.
pub fn bright(grey: u8) -> f64 {
    1.0 / (1.0 + (4.0 - 8.0 * f64::from(grey) / 255.0).exp())
}

/// Classes of [`bands_model`], from dark to bright; the last is one that no data set here has.
pub const BANDS: [&str; 5] = ["Normal", "Viral Pneumonia", "Bacterial Pneumonia", "COVID-19", "Mass"];

/// The grey in the middle of each of the [`BANDS`].
pub const BAND_GREYS: [u8; 5] = [25, 76, 128, 179, 230];

/// Writes a model to `dir/bands` that calls a film by its mean brightness `g`: class `i` has the logit
/// `40 (2 cᵢ g − cᵢ²)`, which is largest for the nearest `cᵢ` = 0.1, 0.3, 0.5, 0.7, 0.9.
pub fn bands_model(dir: &Path) -> PathBuf {
    let centres = [0.1_f32, 0.3, 0.5, 0.7, 0.9];
    let mut weights = brightness_weights();
    for weight in &mut weights {
        match &*weight.name {
            "dense2.weight" => {
                weight.shape = vec![5, 512];
                weight.values = vec![0.0; 5 * 512];
                centres.iter().enumerate().for_each(|(i, c)| weight.values[512 * i] = 80.0 * c);
            }
            "dense2.bias" => {
                weight.shape = vec![5];
                weight.values = centres.map(|c| -40.0 * c * c).to_vec();
            }
            _ => {}
        }
    }
    let card = ModelCard { id: "bands".into(), classes: BANDS.map(String::from).to_vec(), ..card() };
    let folder = dir.join("bands");
    write_model_folder(&folder, &card, &write_weights(&weights).unwrap(), Encoding::Gzip).unwrap();
    folder
}

/// A card for weights of the scratch CNN; which ones is filled in when the folder is written.
pub fn card() -> ModelCard {
    let weights = WeightsInfo::of(b"none yet", Encoding::Identity);
    let classes = CLASSES.map(String::from).to_vec();
    ModelCard {
        name: "Brightness".into(),
        licence: "MIT".into(),
        intended_use: "tests".into(),
        limitations: Vec::new(),
        ..ModelCard::new("brightness", "scratch-cnn", classes, Architecture::ScratchCnn.preprocess(), weights)
    }
}

/// Writes the brightness model to `dir/model` and returns that folder.
pub fn brightness_model(dir: &Path) -> PathBuf {
    let folder = dir.join("model");
    let safetensors = write_weights(&brightness_weights()).unwrap();
    write_model_folder(&folder, &card(), &safetensors, Encoding::Gzip).unwrap();
    folder
}

/// Writes a PNG of one grey, making the folders above it.
pub fn grey_film(path: &Path, grey: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let film = image::GrayImage::from_pixel(90, 70, image::Luma([grey]));
    film.save_with_format(path, image::ImageFormat::Png).unwrap();
}

/// Runs the command line to its end.
pub fn roentgen(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roentgen")).args(args).output().unwrap()
}

/// The JSON that a command printed, which has to have gone well.
pub fn json_of(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the command said, which has to be UTF-8.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Small enough that a lie about the size costs nothing.
pub const FUZZ: Limits = Limits { max_side: 4096, max_pixels: 1 << 18, max_bytes: 1 << 20 };

/// Decodes an image file with each byte changed in six ways: it has to return, and what is readable has luminance in `[0, 1]`.
pub fn change_every_byte(name: &str, mut bytes: Vec<u8>) {
    for i in 0..bytes.len() {
        let kept = bytes[i];
        for changed in [0, 1, 0x7f, 0xff, kept ^ 0x80, kept.wrapping_add(1)] {
            bytes[i] = changed;
            if let Ok(image) = decode(&bytes, &FUZZ) {
                assert!(image.luma().iter().all(|v| (0.0..=1.0).contains(v)), "{name}, byte {i} = {changed}");
            }
        }
        bytes[i] = kept;
    }
}
