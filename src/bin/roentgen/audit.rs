//! `roentgen audit`: what a model does when it may not look where the disease is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use image::{GrayImage, ImageFormat};
use roentgen::audit::{Known, LungMask, MeanLungs, RULE, Rows, View, measure, probes, works_without_lungs};
use roentgen::classifier::Classifier;
use roentgen::data::{Sample, open_flat, read_film};
use roentgen::error::{Error, Result};
use roentgen::formats::about::{Audit, Lungs, Probe, ViewResult};
use roentgen::formats::folder::{read_model_folder, write_card, write_file_atomically};
use roentgen::image::{Limits, Radiograph, decode};
use roentgen::labels::ByName;
use roentgen::preprocess::Preprocess;
use serde::Deserialize;

use crate::films::{self, Outputs};
use crate::ui;

/// Pixels a side of the pictures that the probe without a network reads.
const PIXELS: usize = 8;

/// Measures a model with the lungs masked out, with the border alone and with 8×8 pixels, and reads the source of films
/// from its features; writes the result into model.json.
///
/// The films need a manifest.csv with a column `source` for what is measured within a source and for the probe.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder; its model.json is changed
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder with test/<class>/* to measure on, and val/<class>/* to fit the probe on
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Use only films whose `class/file` matches; may be given more than once
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Folder with masks/*.png, white where there is lung, to average instead of the mean that is built in; where its
    /// manifest.csv has columns `name` and `split`, those of `train` are averaged and those of `test` say how much of the
    /// lungs the mean covers
    #[arg(long, value_name = "DIR")]
    lungs: Option<PathBuf>,
    /// Write the mean of the masks as a PNG
    #[arg(long, value_name = "FILE", requires = "lungs")]
    save_lungs: Option<PathBuf>,
    /// Write the result as JSON to FILE; `-` prints it in place of the report
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let (mut card, safetensors) = read_model_folder(&args.model)?;
    let classifier = Classifier::new(card.clone(), &safetensors)?;
    drop(safetensors);
    let (lungs, mask) = match &args.lungs {
        Some(dir) => average_masks(dir, args.save_lungs.as_deref())?,
        None => built_in_lungs(),
    };
    let folder = films::part(&args.data, "test", &card.classes);
    let (samples, _) = open_flat(&folder, &card.classes, &args.only)?;
    let mut views = Vec::new();
    for view in View::ALL {
        let input = |film: Radiograph| card.preprocess.apply(&view.of(film, &mask));
        let Outputs { films, values: scores, unreadable } =
            films::outputs(&samples, view.name(), input, |images| classifier.scores(images))?;
        if view == View::Whole {
            films::name_unreadable(&unreadable);
        }
        views.push((view.name().to_owned(), measure(&scores, Facts::of(&films).known(&card.classes))));
    }
    let views: ByName<ViewResult> = views.into_iter().collect();
    let (_, whole) = views.iter().next().expect("the whole film is the first");
    let chance = 1.0 / card.classes.len() as f64;
    let audit = Audit {
        data: format!("{} films of the test split", ui::thousands(whole.accuracy.of)),
        films: whole.accuracy.of,
        chance,
        lungs,
        probes: probe(&classifier, &args, &samples)?,
        works_without_lungs: works_without_lungs(&views, chance),
        rule: RULE.into(),
        views,
    };
    card.audit = Some(audit.clone());
    write_card(&args.model, &card)?;
    ui::report(&audit, args.json.as_deref(), describe)?;
    Ok(ExitCode::SUCCESS)
}

/// What is known of films that were read.
struct Facts {
    labels: Vec<usize>,
    sources: Option<Vec<String>>,
    groups: Option<Vec<String>>,
}

impl Facts {
    fn of(films: &[&Sample]) -> Self {
        Self { labels: films::labels(films), sources: films::sources(films), groups: films::groups(films) }
    }

    fn known<'a>(&'a self, classes: &'a [String]) -> Known<'a> {
        Known { classes, labels: &self.labels, sources: self.sources.as_deref(), groups: self.groups.as_deref() }
    }
}

/// Fitted on the validation films, which the network has not seen either, and measured on `test`.
fn probe(classifier: &Classifier, args: &Args, test: &[Sample]) -> Result<Vec<Probe>> {
    let classes = &classifier.card().classes;
    let folder = films::part(&args.data, "val", classes);
    if folder == args.data {
        ui::complain("note: no probe for the source: there is no `val` folder to fit it on");
        return Ok(Vec::new());
    }
    let (fit, _) = open_flat(&folder, classes, &args.only)?;
    let read = |samples| -> Result<(Facts, Vec<f32>, Vec<f32>)> {
        let Outputs { films, values, .. } = films::judged(classifier, samples, |images| classifier.features(images))?;
        let small = Preprocess::new(1, PIXELS, PIXELS);
        let pixels = films::outputs(samples, "8×8 pixels", |film| small.apply(&film), |images| Ok(images.to_vec()))?;
        // The network's preprocessing may refuse a film that 8×8 pixels can be made of.
        assert_eq!(films.len(), pixels.films.len(), "both refuse the same films");
        Ok((Facts::of(&films), values, pixels.values))
    };
    let (fit_facts, fit_features, fit_pixels) = read(&fit)?;
    let (test_facts, test_features, test_pixels) = read(test)?;
    probes(
        Rows { films: fit_facts.known(classes), features: &fit_features, pixels: &fit_pixels },
        Rows { films: test_facts.known(classes), features: &test_features, pixels: &test_pixels },
    )
}

fn built_in_lungs() -> (Lungs, LungMask) {
    let mask = MeanLungs::built_in().mask();
    let made_from =
        "the mean of 296 lung masks drawn by people (V7 Labs, CC BY 4.0), lung in a tenth of them or more; the \
                     same for every film"
            .into();
    (Lungs { made_from, area: mask.area(), covers: Some(MeanLungs::COVERS) }, mask)
}

/// A mask's line in its folder's manifest.
#[derive(Deserialize)]
struct Row {
    name: String,
    split: String,
}

fn average_masks(dir: &Path, save: Option<&Path>) -> Result<(Lungs, LungMask)> {
    let (train, test) = masks(dir)?;
    let read = |path: &PathBuf| decode(&read_film(path, &Limits::default())?, &Limits::default());
    let drawn = train.iter().map(read).collect::<Result<Vec<_>>>()?;
    let mean = MeanLungs::of(drawn)?;
    if let Some(path) = save {
        write_file_atomically(path, &png(&mean)?)?;
    }
    let mask = mean.mask();
    let mut covered = Vec::new();
    for path in &test {
        covered.extend(mask.covers(&read(path)?));
    }
    let covers = (!covered.is_empty()).then(|| covered.iter().sum::<f64>() / covered.len() as f64);
    let made_from = format!(
        "the mean of {} lung masks, lung in a tenth of them or more; the same for every film",
        ui::thousands(train.len())
    );
    Ok((Lungs { made_from, area: mask.area(), covers }, mask))
}

/// The masks to average, and those to hold the mean against.
fn masks(dir: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let refuse = |reason: String| Error::Dataset { reason: format!("{}: {reason}", dir.display()) };
    let folder = dir.join("masks");
    let manifest = dir.join("manifest.csv");
    if manifest.is_file() {
        let mut reader = csv::Reader::from_path(&manifest).map_err(|error| refuse(error.to_string()))?;
        let rows = reader.deserialize().collect::<Result<Vec<Row>, _>>().map_err(|error| refuse(error.to_string()))?;
        let of = |split: &str| rows.iter().filter(|row| row.split == split).map(|row| folder.join(&row.name)).collect();
        return Ok((of("train"), of("test")));
    }
    let entries = std::fs::read_dir(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.retain(|path| path.extension().is_some_and(|ending| ending == "png"));
    all.sort();
    Ok((all, Vec::new()))
}

fn png(mean: &MeanLungs) -> Result<Vec<u8>> {
    let (side, luma) = mean.luma();
    let pixels = luma.iter().map(|v| (v * 255.0).round() as u8).collect();
    let picture = GrayImage::from_raw(side as u32, side as u32, pixels).expect("one pixel a value");
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(|error| Error::Dataset { reason: error.to_string() })?;
    Ok(bytes.into_inner())
}

fn describe(audit: &Audit) -> String {
    let range = |range: Option<[f64; 2]>| range.map_or(String::new(), ui::interval);
    let mut rows = vec![["what is left", "balanced accuracy", "95 %", "accuracy"].map(String::from).to_vec()];
    for (view, result) in audit.views.iter() {
        rows.push(vec![
            view.into(),
            ui::percent(result.balanced_accuracy),
            range(result.balanced_accuracy_interval),
            ui::percent(result.accuracy.value),
        ]);
    }
    rows.push(vec!["a guess".into(), ui::percent(audit.chance)]);
    let mut text = ui::table(&rows);
    let (_, whole) = audit.views.iter().next().expect("the whole film is the first");
    for (i, pair) in whole.within_source.iter().enumerate() {
        let [a, b] = &pair.classes;
        let mut rows = vec![[format!("{a} against {b}, {} only", pair.source), "AUROC".into(), "95 %".into()].to_vec()];
        for (view, result) in audit.views.iter() {
            let found = &result.within_source[i];
            let bounds = found.auroc_interval.map_or(String::new(), |[low, high]| format!("{low:.3}–{high:.3}"));
            rows.push(vec![view.into(), format!("{:.3}", found.auroc), bounds]);
        }
        text += &format!("\n\n{}", ui::table(&rows));
    }
    if !audit.probes.is_empty() {
        let title = ["the source, read from", "films", "AUROC", "balanced accuracy", "AUROC of 8×8 pixels"];
        let mut rows = vec![title.map(String::from).to_vec()];
        rows.extend(audit.probes.iter().map(|probe| {
            vec![
                format!("{} of {} or {}", probe.class, probe.sources[0], probe.sources[1]),
                ui::thousands(probe.films),
                format!("{:.3}", probe.auroc),
                ui::percent(probe.balanced_accuracy),
                format!("{:.3}", probe.auroc_of_pixels),
            ]
        }));
        text += &format!("\n\n{}", ui::table(&rows));
    }
    let verdict = if audit.works_without_lungs { "WORKS WITHOUT LUNGS" } else { "does not work without lungs" };
    let covers = audit.lungs.covers.map_or(String::new(), |share| format!(", {} of real lungs", ui::percent(share)));
    format!(
        "{text}\n\n{verdict}. The rule: {}\nlungs: {}; {} of the film{covers}",
        audit.rule,
        audit.lungs.made_from,
        ui::percent(audit.lungs.area),
    )
}
