//! `roentgen distinguish`: corrects the last layer for a few images that training has memorised.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use roentgen::audit::Logistic;
use roentgen::classifier::Classifier;
use roentgen::data::{self, FolderOptions, Sample};
use roentgen::error::{Error, Result};
use roentgen::formats::{Encoding, ModelCard, folder, in_floats, read_weights, write_weights};
use roentgen::metrics::argmax;
use roentgen::models::Architecture;
use serde_json::{Value, json};

use crate::films::{self, Outputs};
use crate::{model_folder, ui};

/// Correct the last layer for a few images that training has memorised
///
/// A network that has memorised a few images learns no more from them, because their loss is zero. A logistic regression on
/// the network's features, held back by a ridge penalty, still learns to tell them from other images. A proportion of its
/// log odds is added to the logits of the classes that the images may have; all other layers stay. Both groups of images
/// should come from one hospital: otherwise the regression learns the hospital. Fit the probabilities again afterwards,
/// with `roentgen compress --fit-bias` and `roentgen calibrate`.
#[derive(clap::Args)]
pub struct Args {
    /// Trained model folder
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder of images, as for `roentgen train`: the training images are fitted on, the validation images show what changed
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The few images, by `folder/file`; may be repeated
    #[arg(long, value_name = "GLOB", required = true)]
    films: Vec<String>,
    /// The images that they are to be told from; may be repeated
    #[arg(long, value_name = "GLOB", required = true)]
    from: Vec<String>,
    /// Classes that the few images may have
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',', required = true)]
    raise: Vec<String>,
    /// Proportion of the log odds that is added
    #[arg(long, default_value_t = 0.5)]
    share: f64,
    /// Ridge penalty of the regression: the factor of half the squared weights, for features of standard deviation 1
    #[arg(long, default_value_t = 10.0)]
    ridge: f64,
    /// Where the model folder is written
    #[arg(long, value_name = "MODEL_DIR")]
    out: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    for (field, value) in [("share", args.share), ("ridge", args.ridge)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(Error::Config { field, reason: format!("is {value}; it must be above 0") });
        }
    }
    let (card, safetensors) = folder::read_model_folder(&args.model)?;
    let raised = args.raise.iter().map(|name| class(&card, name)).collect::<Result<BTreeSet<_>>>()?;
    let classifier = Classifier::new(card.clone().unmeasured(), &safetensors)?;
    let (films, kept_films) = split(&args.data, &args.films)?;
    let (others, kept_others) = split(&args.data, &args.from)?;

    let features = |films: &[Sample]| read(&classifier, films, |images| classifier.features(images));
    let [of_films, of_others] = [features(&films)?, features(&others)?];
    let fitted_on = [of_films.n, of_others.n];
    let mut sides = vec![true; of_films.n];
    sides.resize(of_films.n + of_others.n, false);
    let told = Logistic::fit(&[of_films.values, of_others.values].concat(), &sides, args.ridge)?;

    let mut weights = read_weights(&safetensors)?;
    let graph = Architecture::of(&card)?.network(&card.preprocess, card.classes.len())?;
    let (by_feature, constant) = told.coefficients();
    for (name, tensor) in weights.0.iter_mut().filter(|(name, _)| graph.is_last(name)) {
        let added: &[f64] = if name.ends_with(".weight") { &by_feature } else { &[constant] };
        for row in raised.iter().map(|class| class * added.len()) {
            let row = tensor.values[row..].iter_mut().zip(added);
            row.for_each(|(weight, odds)| *weight += (args.share * odds) as f32);
        }
    }
    let id = model_folder::id(&args.out, &card.id);
    let mut changed = ModelCard { name: id.clone(), id, ..card.clone().unmeasured() };
    if let Some(Value::Object(training)) = &mut changed.training {
        let how = json!({
            "films": args.films, "from": args.from, "raised": args.raise, "share": args.share, "ridge": args.ridge,
            "fitted_on": fitted_on, "from_weights_sha256": card.weights.sha256,
        });
        training.insert("distinguished".into(), how);
    }
    let bytes = write_weights(&in_floats(weights))?;
    let changed = folder::write_model_folder(&args.out, &changed, &bytes, Encoding::Identity)?;

    let after = Classifier::new(changed, &bytes)?;
    ui::say(format!("told {} films from {} others", ui::thousands(fitted_on[0]), ui::thousands(fitted_on[1])))?;
    for (what, films) in [("such films", &kept_films), ("the others", &kept_others)] {
        if films.is_empty() {
            continue;
        }
        let [before, after] = likeliest([&classifier, &after], films)?;
        ui::say(format!("validation, {what}, likeliest before: {before}\n{:>27}: {after}", "after"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The label of the class called `name`.
fn class(card: &ModelCard, name: &str) -> Result<usize> {
    card.classes.iter().position(|class| class == name).ok_or_else(|| Error::Config {
        field: "raise",
        reason: format!("names `{name}`; the model's classes are {}", card.classes.join(", ")),
    })
}

/// The films that match, to train on and to validate with.
fn split(data: &Path, globs: &[String]) -> Result<(Vec<Sample>, Vec<Sample>)> {
    let folders = data::open(data, &FolderOptions { only: globs.to_vec(), ..FolderOptions::default() })?;
    Ok((folders.train, folders.val))
}

/// Rows of the network's numbers for films that could be read.
struct Read {
    n: usize,
    values: Vec<f32>,
}

fn read(classifier: &Classifier, samples: &[Sample], network: impl Fn(&[f32]) -> Result<Vec<f32>>) -> Result<Read> {
    let Outputs { films, values, unreadable, .. } = films::judged(classifier, samples, network)?;
    films::name_unreadable(&unreadable);
    Ok(Read { n: films.len(), values })
}

/// How many films each class is the likeliest for, by two models that prepare films in the same way.
fn likeliest(models: [&Classifier; 2], films: &[Sample]) -> Result<[String; 2]> {
    let ModelCard { classes, preprocess, .. } = models[0].card();
    let see = |films: Vec<Vec<f32>>| {
        let images = films.concat();
        let [before, after] = models.map(|model| model.logits(&images));
        let (before, after) = (before?, after?);
        let rows = before.chunks_exact(classes.len()).zip(after.chunks_exact(classes.len()));
        Ok(rows.map(|(before, after)| [argmax(before), argmax(after)]).collect())
    };
    let Outputs { values, unreadable, .. } =
        films::each(films, preprocess, "films", |_, film| preprocess.apply(&film), see)?;
    films::name_unreadable(&unreadable);
    let count = |model: usize, class: usize| values.iter().filter(|called| called[model] == class).count();
    Ok([0, 1].map(|model| {
        let each = classes.iter().enumerate().map(|(i, class)| format!("{class} {}", count(model, i)));
        each.collect::<Vec<_>>().join(", ")
    }))
}
