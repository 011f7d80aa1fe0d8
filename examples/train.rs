//! Trains the tutorial's network: `cargo run --release --example train -- DATA_DIR MODEL_DIR [EPOCHS]`
//!
//! DATA_DIR holds `train/<class>/*`, or `<class>/*` alone. MODEL_DIR gets a model that `examples/classify.rs` opens.

use std::error::Error;
use std::path::Path;

use roentgen::data::{Dataset, FolderOptions, Sample, open};
use roentgen::formats::Encoding;
use roentgen::formats::folder::write_model_folder;
use roentgen::models::Architecture;
use roentgen::train::{Run, TrainConfig, fingerprint};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [data, out, epochs @ ..] = args.as_slice() else { return Err("give DATA_DIR and MODEL_DIR".into()) };

    // Which images there are. Without a `val` folder some of the training images are held back for validation.
    let folders = open(Path::new(data), &FolderOptions::default())?;
    let mut config = TrainConfig::recipe(Architecture::ScratchCnn, folders.classes.clone());
    if let Some(epochs) = epochs.first() {
        config.epochs = epochs.parse()?;
    }

    // All of them in memory, decoded and resized once.
    let load = |samples: &[Sample]| Dataset::load(samples, &config.classes, &config.preprocess, |_| {});
    let ((train, _), (validation, _)) = (load(&folders.train)?, load(&folders.val)?);
    let loader = Run::loader(&config, &train)?;
    let mut run = Run::new(config.clone(), fingerprint(&folders.train, &folders.val))?;

    while let Some(epoch) = run.epoch() {
        while run.has_steps() {
            run.step(&loader, &train)?;
        }
        let record = loop {
            if let Some(record) = run.validate_some(&validation)? {
                break record;
            }
        };
        println!("epoch {epoch}: validation accuracy {:.1} %", 100.0 * record.validation.accuracy);
        // The best epoch so far is the model.
        if run.is_best() {
            let mut weights = Vec::new();
            let info = run.write_weights(|piece| {
                weights.extend_from_slice(piece);
                Ok(())
            })?;
            let card = run.card("my-model", info, [train.len(), validation.len()])?;
            write_model_folder(Path::new(out), &card, &weights, Encoding::Identity)?;
        }
    }
    Ok(())
}
