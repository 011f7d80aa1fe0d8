//! Classifies image files with a model: `cargo run --release --example classify -- MODEL_DIR IMAGE...`

use std::error::Error;
use std::path::Path;

use roentgen::{Classifier, read_model_folder};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let model = args.next().ok_or("give a model folder, such as www/models/four-findings, and image files")?;
    let (card, weights) = read_model_folder(Path::new(&model))?;
    let classifier = Classifier::new(card, &weights)?;
    for file in args {
        let prediction = classifier.classify_bytes(&std::fs::read(&file)?)?;
        match (&prediction.refused, &prediction.answer) {
            (Some(rejection), _) => println!("{file}: not classified. {}", rejection.message),
            // A set of classes in words, such as "Viral or bacterial pneumonia".
            (None, Some(answer)) => println!("{file}: {}", answer.text),
            (None, None) => println!("{file}: {}", prediction.label),
        }
        for (class, probability) in prediction.scores.iter() {
            println!("  {:5.1} %  {class}", 100.0 * probability);
        }
    }
    Ok(())
}
