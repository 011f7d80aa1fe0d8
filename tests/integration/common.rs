//! A model whose answers can be worked out by hand, small films, and the command line under test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use roentgen::formats::folder::write_model_folder;
use roentgen::formats::{Encoding, ModelCard, Storage, Weight, WeightsInfo, write_weights};
use roentgen::models::Architecture;

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

/// A card for weights of the scratch CNN; which ones is filled in when the folder is written.
pub fn card() -> ModelCard {
    ModelCard {
        format: 1,
        id: "brightness".into(),
        name: "Brightness".into(),
        version: "1".into(),
        architecture: "scratch-cnn".into(),
        classes: CLASSES.map(String::from).to_vec(),
        preprocess: Architecture::ScratchCnn.preprocess(),
        weights: WeightsInfo::of(b"none yet", Encoding::Identity),
        training: None,
        metrics: Vec::new(),
        licence: "MIT".into(),
        intended_use: "tests".into(),
        limitations: Vec::new(),
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

/// What the command said, which has to be UTF-8.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
