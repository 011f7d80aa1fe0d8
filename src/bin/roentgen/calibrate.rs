//! `roentgen calibrate`: probabilities that mean what they say, and the decisions that are made from them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use roentgen::classifier::{Classifier, probabilities};
use roentgen::data::{is_test_folder, open_part};
use roentgen::error::{Error, Result};
use roentgen::formats::about::Calibration;
use roentgen::formats::folder::{read_model_folder, write_card};
use roentgen::labels::ByName;
use roentgen::metrics::conformal::{fit_thresholds, images_needed, set_of, sets_reached, typical};
use roentgen::metrics::decision::{answered, cut_for, reached, threshold_for};
use roentgen::metrics::{
    AnswerSets, OperatingPoint, UncertainBand, against_the_rest, calibration_error, cross_entropy, fit_temperature,
};
use serde::Serialize;

use crate::evaluate::{in_words, points_table, sets_table};
use crate::films::{self, Outputs};
use crate::ui;

/// Fit a model's probabilities, thresholds and answers on validation images
///
/// Writes temperature, operating points, uncertain band and answers into model.json. Never give it the test images: what is
/// chosen on them cannot be measured on them.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder; its model.json is changed
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder of class folders with images that the model was not trained on; if it holds a `val` folder, that one is used
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Use only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Sensitivity for which the operating point of each finding is chosen
    #[arg(long, default_value_t = 0.95)]
    sensitivity: f64,
    /// Proportion of wrong answers, among those given, for which the uncertain band is chosen
    #[arg(long, default_value_t = 0.02)]
    error: f64,
    /// Coverage: the proportion of images, in each class and in each of its sources, whose answer is to hold the right class
    #[arg(long, default_value_t = 0.96)]
    coverage: f64,
    /// The class without a finding: a set of it and another class is "cannot tell". Default: the class that was given before,
    /// or the one called Normal, Healthy or No Finding
    #[arg(long, value_name = "CLASS")]
    healthy: Option<String>,
    /// Write the result as JSON to FILE; `-` prints it in place of the report
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The JSON of `--json`: the fields of model.json that were written.
#[derive(Serialize)]
struct Report {
    calibration: Calibration,
    operating_points: ByName<OperatingPoint>,
    /// `None` when no band keeps the error as low as asked for.
    uncertain: Option<UncertainBand>,
    /// `None` when there are too few films for any.
    answer: Option<AnswerSets>,
}

/// Fits, writes and reports.
pub fn run(args: Args) -> Result<ExitCode> {
    for (field, share) in [("sensitivity", args.sensitivity), ("error", args.error)] {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::Config { field, reason: format!("is {share}; it must be 0 to 1") });
        }
    }
    // Of a coverage of 1 no number of films is enough.
    if !(0.0..1.0).contains(&args.coverage) {
        let reason = format!("is {}; it must be 0 or more and less than 1", args.coverage);
        return Err(Error::Config { field: "coverage", reason });
    }
    let (card, safetensors) = read_model_folder(&args.model)?;
    let mut card = card;
    let healthy = match &args.healthy {
        Some(name) => Some(
            card.classes
                .iter()
                .position(|class| class == name)
                .ok_or_else(|| Error::UnknownClass { name: name.clone(), known: card.classes.join(", ") })?,
        ),
        None => card.healthy(),
    };
    let classifier = Classifier::new(card.clone(), &safetensors)?;
    drop(safetensors);
    refuse_test_films(&args.data, &card.classes)?;
    let labelled = open_part(&args.data, Some("val"), &card.classes, &args.only)?;
    films::name_left_out(&labelled);
    let samples = labelled.samples;
    let Outputs { films, values: logits, unreadable, .. } =
        films::judged(&classifier, &samples, |images| classifier.logits(images))?;
    films::name_unreadable(&unreadable);

    let (labels, sources, groups) = (films::labels(&films), films::sources(&films), films::groups(&films));
    let known = Known { labels: &labels, sources: sources.as_deref(), groups: groups.as_deref() };
    let report = fit(&logits, &known, &card.classes, healthy, &args)?;
    card.calibration = Some(report.calibration.clone());
    card.operating_points = Some(report.operating_points.clone());
    card.uncertain.clone_from(&report.uncertain);
    card.answer.clone_from(&report.answer);
    write_card(&args.model, &card)?;
    ui::report(&report, args.json.as_deref(), describe)?;
    if !card.metrics.is_empty() {
        ui::complain(
            "note: the measurements on the card were made before this; renew them with `roentgen evaluate --json FILE` and \
             `roentgen card --evaluation`",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// A folder called `test`, or one that parts its films and has no validation films, is no place to choose anything.
fn refuse_test_films(folder: &Path, classes: &[String]) -> Result<()> {
    let full = folder.canonicalize().ok();
    let name = full.and_then(|full| Some(full.file_name()?.to_string_lossy().into_owned())).unwrap_or_default();
    if is_test_folder(&name) && !classes.contains(&name) {
        let reason = format!("{} holds test films; give the validation films", folder.display());
        return Err(Error::Config { field: "data", reason });
    }
    Ok(())
}

/// What is known of the films: one entry a film.
struct Known<'a> {
    labels: &'a [usize],
    sources: Option<&'a [String]>,
    groups: Option<&'a [String]>,
}

fn fit(logits: &[f32], known: &Known, classes: &[String], healthy: Option<usize>, args: &Args) -> Result<Report> {
    let (&Known { labels, groups, .. }, k) = (known, classes.len());
    let temperature = fit_temperature(logits, labels, k);
    let scores = probabilities(logits, k, temperature);
    let quality = |scores: &[f32]| {
        (cross_entropy(scores, labels, k), calibration_error(scores, labels, k).expect("there are films"))
    };
    let ((loss_before, ece_before), (loss_after, ece_after)) =
        (quality(&probabilities(logits, k, 1.0)), quality(&scores));
    let mut points = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        let (of_class, positives) = against_the_rest(&scores, labels, index, k);
        let threshold = threshold_for(&of_class, &positives, args.sensitivity).ok_or_else(|| Error::Dataset {
            reason: format!("no film of class `{class}`: an operating point needs some of every class"),
        })?;
        let validation = reached(&of_class, &positives, threshold, groups);
        points.push((class.clone(), OperatingPoint { threshold, for_sensitivity: args.sensitivity, validation }));
    }
    let uncertain = cut_for(&scores, labels, k, args.error).map(|below| UncertainBand {
        below,
        for_error: args.error,
        validation: answered(&scores, labels, k, below, groups),
    });
    let calibration = Calibration { temperature, films: labels.len(), loss_before, loss_after, ece_before, ece_after };
    let answer = answers(&scores, known, classes, healthy, args.coverage);
    Ok(Report { calibration, operating_points: points.into_iter().collect(), uncertain, answer })
}

/// Answers that are sets; `None` when the images are too few for any.
fn answers(
    scores: &[f32],
    &Known { labels, sources, groups }: &Known,
    classes: &[String],
    healthy: Option<usize>,
    coverage: f64,
) -> Option<AnswerSets> {
    let (k, needed) = (classes.len(), images_needed(coverage));
    let asked = ui::percent(coverage);
    if labels.len() < needed {
        ui::complain(&format!(
            "note: no answers that are sets of classes: {needed} images are needed for a coverage of {asked}, and there are {}",
            labels.len()
        ));
        return None;
    }
    let typical = typical(scores, labels, k);
    let thresholds = fit_thresholds(scores, labels, &typical, sources, coverage);
    let sets: Vec<Vec<bool>> = scores.chunks_exact(k).map(|row| set_of(row, &thresholds, &typical)).collect();
    let validation = sets_reached(&sets, labels, classes, healthy, sources, groups);
    let few = validation.by_class.iter().filter(|(_, share)| share.of < needed).map(|(class, _)| class);
    let few = few.collect::<Vec<_>>().join(", ");
    if !few.is_empty() {
        ui::complain(&format!(
            "note: fewer than {needed} images of {few}: the coverage of {asked} holds over all images, not in each class; give more \
             images, or a lower --coverage"
        ));
    }
    Some(AnswerSets {
        coverage,
        healthy: healthy.map(|healthy| classes[healthy].clone()),
        typical,
        thresholds: classes.iter().cloned().zip(thresholds).collect(),
        validation,
    })
}

fn describe(Report { calibration, operating_points, uncertain, answer }: &Report) -> String {
    let points = points_table(operating_points.iter().map(|(class, point)| (class, &point.validation)));
    let mut rows = vec![[points[0].clone(), vec!["called from".into()]].concat()];
    for (row, (_, point)) in points.into_iter().skip(1).zip(operating_points.iter()) {
        rows.push([row, vec![ui::percent(point.threshold)]].concat());
    }
    let band = match uncertain {
        Some(band) => format!("uncertain below {}: {}", ui::percent(band.below), in_words(&band.validation)),
        None => "no uncertain band: the surest answers are wrong more often than asked for".into(),
    };
    let sets =
        answer.as_ref().map_or(String::new(), |answer| format!("\n\n{}", ui::table(&sets_table(&answer.validation))));
    format!(
        "temperature        {:.4}, fitted on {} films\nloss               {:.4} before, {:.4} after\n\
         calibration error  {} before, {} after\n\n{}\n\n{band}{sets}",
        calibration.temperature,
        ui::thousands(calibration.films),
        calibration.loss_before,
        calibration.loss_after,
        ui::percent(calibration.ece_before),
        ui::percent(calibration.ece_after),
        ui::table(&rows),
    )
}
