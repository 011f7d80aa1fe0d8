//! `roentgen audit`: what a model does when it may not look where the disease is.

mod look;
pub mod lungs;
mod report;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use roentgen::audit::{Known, RULE, Rows, View, heat_inside, measure, probes, works_without_lungs};
use roentgen::classifier::Classifier;
use roentgen::data::{Sample, open_part};
use roentgen::error::Result;
use roentgen::formats::about::{Audit, Probe, ViewResult};
use roentgen::formats::folder::{read_model_folder, write_card};
use roentgen::labels::ByName;

use crate::films::{self, Outputs};
use crate::ui;

use look::Seen;

/// Look for shortcuts: a model with the lungs masked out, with the border alone, with 8×8 pixels
///
/// Measures also how much of the heat maps lies inside the lungs, and how well the features tell the source of an image.
/// Writes the result into model.json. What is measured within a source needs a manifest.csv with a column `source`.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder; its model.json is changed
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder with test/<class>/* to measure on, and val/<class>/* to fit the probe on
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Use only images whose `class/file` matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Folder with masks/*.png, white where there is lung, whose mean replaces the built-in one. With the columns `name` and
    /// `split` in its manifest.csv, masks of `train` are averaged, and masks of `test` say how much of the lungs the mean
    /// covers. With a column `cxr_path`, the image that each mask was drawn on, heat maps are also compared with an image's
    /// own lungs
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
    let (about_lungs, mask) = match &args.lungs {
        Some(dir) => lungs::average(dir, args.save_lungs.as_deref())?,
        None => lungs::built_in(),
    };
    let labelled = open_part(&args.data, Some("test"), &card.classes, &args.only)?;
    films::name_left_out(&labelled);
    let (folder, samples) = (labelled.folder, labelled.samples);
    let drawn = match &args.lungs {
        Some(dir) => lungs::drawn_on(dir, &folder, &samples, &card.preprocess)?,
        None => HashMap::new(),
    };
    let Outputs { films, values: seen, unreadable, .. } = look::all(&classifier, &samples, &mask, &drawn)?;
    films::name_unreadable(&unreadable);
    let facts = Facts::of(&films);
    let known = facts.known(&card.classes);
    let view = |(i, view): (usize, View)| {
        let scores: Vec<f32> = seen.iter().flat_map(|seen| &seen.scores[i]).copied().collect();
        (view.name().to_owned(), measure(&scores, known))
    };
    let views: ByName<ViewResult> = View::ALL.into_iter().enumerate().map(view).collect();
    let heat = [false, true].map(|drawn| {
        let looked: Vec<_> = seen.iter().map(|seen| if drawn { seen.inside_drawn } else { seen.inside }).collect();
        heat_inside(&looked, drawn, known)
    });
    let chance = 1.0 / card.classes.len() as f64;
    let audit = Audit {
        data: format!("{} films of the test split", ui::thousands(films.len())),
        films: films.len(),
        chance,
        lungs: about_lungs,
        probes: probe(&classifier, &args, Read::of(&films, &seen))?,
        heat: heat.concat(),
        works_without_lungs: works_without_lungs(&views, chance),
        rule: RULE.into(),
        views,
    };
    card.audit = Some(audit.clone());
    write_card(&args.model, &card)?;
    ui::report(&audit, args.json.as_deref(), report::describe)?;
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

/// What a probe reads of films, a row a film.
struct Read {
    facts: Facts,
    features: Vec<f32>,
    pixels: Vec<f32>,
}

impl Read {
    fn of(films: &[&Sample], seen: &[Seen]) -> Self {
        let features = seen.iter().flat_map(|seen| &seen.features).copied().collect();
        let pixels = seen.iter().flat_map(|seen| &seen.pixels).copied().collect();
        Self { facts: Facts::of(films), features, pixels }
    }

    fn rows<'a>(&'a self, classes: &'a [String]) -> Rows<'a> {
        Rows { films: self.facts.known(classes), features: &self.features, pixels: &self.pixels }
    }
}

/// Fitted on the validation films, which the network has not seen either, and measured on `test`.
fn probe(classifier: &Classifier, args: &Args, test: Read) -> Result<Vec<Probe>> {
    let classes = &classifier.card().classes;
    let labelled = open_part(&args.data, Some("val"), classes, &args.only);
    let Some(labelled) = labelled.ok().filter(|labelled| labelled.is_split) else {
        ui::complain("note: no probe for the source: there is no `val` folder to fit it on");
        return Ok(Vec::new());
    };
    let samples = labelled.samples;
    let Outputs { films, values, .. } = look::features(classifier, &samples)?;
    probes(Read::of(&films, &values).rows(classes), test.rows(classes))
}
