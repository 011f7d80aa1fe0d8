//! `roentgen adapt`: a model learns a hospital from a few labelled images of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use roentgen::adapt::{Adapted, Adapter, Judged, Options, Point, Reached, Report, Ridge, Seen, Spread, WithInterval};
use roentgen::data::{Sample, Unmatched, open_named};
use roentgen::error::Result;
use roentgen::formats::ModelCard;
use roentgen::formats::folder::{read_model_folder, write_file_atomically, write_model_folder};
use roentgen::labels::ByName;
use roentgen::metrics::Share;
use serde::Serialize;

use crate::films::{self, Outputs, UnreadableFilm};
use crate::{model_folder, plot, ui};

/// Adapt a model to your hospital from 10 to 50 labelled images of each class
///
/// Fits the last layer, the thresholds and the rejection of unfamiliar images to yours. Cross-validation on your images
/// compares before and after, and says whether to take the result. Each image goes through the network once. Folders are
/// matched to the model's classes by name, in any case. Images of one class, or without class folders, fit the rejection
/// alone. A class that the model does not know needs `roentgen train --init`.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder to start from; it stays as it is
    #[arg(long, value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Folder or zip of class folders with your images; a `manifest.csv` in it, or above it, names the patients
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the adapted model folder is written
    #[arg(long, value_name = "MODEL_DIR", required_unless_present = "curve")]
    out: Option<PathBuf>,
    /// Date for the model card, such as 2026-11-29
    #[arg(long)]
    date: Option<String>,
    /// Draws the folds
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print the report as JSON, or write it to FILE and print it in words
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Adapt to K images of each class and measure on all others, over many draws; prints a table and writes no model
    #[arg(long, value_name = "K,...", value_delimiter = ',', conflicts_with = "out")]
    curve: Option<Vec<usize>>,
    /// Draws for each number of images of --curve
    #[arg(long, default_value_t = 50, requires = "curve")]
    draws: usize,
    /// Draw the curve as an SVG file
    #[arg(long, value_name = "FILE", requires = "curve")]
    plot: Option<PathBuf>,
}

/// The JSON of `--json`.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    report: &'a Report,
    left_out: &'a [Unmatched],
    unreadable: &'a [UnreadableFilm],
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let (card, safetensors) = read_model_folder(&args.model)?;
    let encoding = card.weights.encoding;
    let adapter = Adapter::new(card, safetensors)?;
    let (samples, left_out) = open_named(&args.data, &adapter.card().classes)?;
    let (images, unreadable) = seen(&adapter, &samples)?;
    for Unmatched { folder, files } in &left_out {
        ui::complain(&format!(
            "left out: {folder}, {files} image(s): it is called after no class of the model; to teach it a new class, train \
             from it with `roentgen train --init`"
        ));
    }
    films::name_unreadable(&unreadable);
    if let Some(ks) = &args.curve {
        return curve(&args, &adapter, &images, ks);
    }
    let bar = ui::progress(100, "judging");
    let options = Options { seed: args.seed, date: args.date.clone() };
    let adapted = adapter.adapt(&images, &options, |done| bar.set_position((100.0 * done) as u64));
    bar.finish_and_clear();
    let Adapted { card, safetensors, report } = adapted?;
    let out = args.out.as_deref().expect("asked for where there is no curve");
    let card = ModelCard { id: model_folder::id(out, &card.id), ..card };
    let written = write_model_folder(out, &card, &safetensors, encoding)?;
    let output = Output { report: &report, left_out: &left_out, unreadable: &unreadable };
    ui::report(&output, args.json.as_deref(), |output| describe(output.report))?;
    if args.json.as_deref().is_none_or(|path| path != Path::new("-")) {
        let bytes = ui::thousands(written.weights.bytes as usize);
        ui::say(format!("\n{bytes} bytes of weights, in {}", out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The images as the network sees them, and those that cannot be read.
fn seen(adapter: &Adapter, samples: &[Sample]) -> Result<(Vec<Seen>, Vec<UnreadableFilm>)> {
    let classes = adapter.card().classes.len();
    let Outputs { films, values, unreadable, .. } = films::each(
        samples,
        &adapter.card().preprocess,
        "images",
        |_, image| adapter.input(&image),
        |inputs| adapter.see(inputs),
    )?;
    let known = films.into_iter().zip(values).map(|(sample, seen)| Seen {
        name: sample.name.clone(),
        class: Some(sample.class).filter(|class| *class < classes),
        group: sample.group.clone().unwrap_or_else(|| sample.name.clone()),
        ..seen
    });
    Ok((known.collect(), unreadable))
}

fn describe(report: &Report) -> String {
    let mut rows = vec![["", "before", "after"].map(String::from).to_vec()];
    let [before, after] = [&report.before, &report.after];
    let mut line = |name: &str, of: &dyn Fn(&Judged) -> Option<String>| {
        if let Some((before, after)) = of(before).zip(of(after)) {
            rows.push(vec![name.into(), before, after]);
        }
    };
    line("named rightly, of the folder's classes", &|judged| judged.accuracy.as_ref().map(share));
    line("the same, mean over the classes", &|judged| judged.balanced_accuracy.as_ref().map(mean));
    for (class, _) in before.auroc.iter().flat_map(ByName::iter) {
        line(&format!("AUROC of {class}"), &|judged| judged.auroc.as_ref()?.get(class).map(area));
    }
    line("answered with one class", &|judged| judged.single.as_ref().map(share));
    line("answered with several", &|judged| judged.several.as_ref().map(share));
    line("cannot tell", &|judged| judged.cannot_tell.as_ref().map(share));
    line("rejected", &|judged| Some(share(&judged.rejected)));
    line("wrong, of those answered", &|judged| {
        Some(judged.wrong.as_ref().map_or_else(|| "none answered".into(), share))
    });
    line("cross-entropy, mean over the classes", &|judged| judged.loss.map(|loss| format!("{loss:.3}")));
    let counts = report.images.iter().map(|(class, n)| format!("{n} {class}"));
    let unlabelled = (report.unlabelled > 0).then(|| format!("{} without a label", report.unlabelled));
    let counts = counts.chain(unlabelled).collect::<Vec<_>>().join(", ");
    let held = match report.ridge {
        Some(Ridge::Unchanged) => "\nlast layer unchanged: no change made images likelier that were not learned from",
        Some(Ridge::Biases) => "\nlast layer: its biases alone",
        _ => "",
    };
    let notes: String = report.notes.iter().map(|note| format!("\n{note}")).collect();
    format!(
        "{counts}; judged in {} folds, each image by a model that had not seen it{held}\n\n{}\n\n{}{notes}",
        report.folds,
        ui::table(&rows),
        report.sentence
    )
}

fn share(share: &Share) -> String {
    let interval = share.interval_by_group.filter(|_| share.count != 0 && share.count != share.of);
    format!("{} ({})", ui::percent(share.value), ui::interval(interval.unwrap_or(share.interval)))
}

fn mean(mean: &WithInterval) -> String {
    let interval = mean.interval.map(|interval| format!(" ({})", ui::interval(interval)));
    format!("{}{}", ui::percent(mean.value), interval.unwrap_or_default())
}

fn area(area: &WithInterval) -> String {
    let interval = area.interval.map(|[low, high]| format!(" ({low:.2}–{high:.2})"));
    format!("{:.3}{}", area.value, interval.unwrap_or_default())
}

fn curve(args: &Args, adapter: &Adapter, images: &[Seen], ks: &[usize]) -> Result<ExitCode> {
    let bar = ui::progress(ks.len() * args.draws, "draws");
    let points = adapter.curve(images, ks, args.draws, args.seed, || bar.inc(1));
    bar.finish_and_clear();
    let points = points?;
    if let Some(path) = &args.plot {
        write_file_atomically(path, plot::adaptation(&points).as_bytes())?;
    }
    ui::report(&points, args.json.as_deref(), |points| markdown(points))?;
    Ok(ExitCode::SUCCESS)
}

/// The curve as a Markdown table.
fn markdown(points: &[Point]) -> String {
    let mut text = String::from(
        "| images a class | judged on | AUROC | named rightly | answered with the one right class | with several, the right one \
         among them | wrongly | cannot tell | rejected |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let number = |Spread { mean, range: [low, high] }: Spread| format!("{mean:.2} ({low:.2}–{high:.2})");
    let percent = |Spread { mean, range: [low, high] }: Spread| {
        format!("{:.0} % ({:.0}–{:.0})", 100.0 * mean, 100.0 * low, 100.0 * high)
    };
    let mut row = |images: String, judged: f64, reached: &Reached| {
        let shares = [
            reached.accuracy,
            reached.single_right,
            reached.several_right,
            reached.wrong,
            reached.cannot_tell,
            reached.rejected,
        ];
        let shares = shares.map(percent).join(" | ");
        text.push_str(&format!("| {images} | {judged:.0} | {} | {shares} |\n", number(reached.auroc)));
    };
    if let Some(first) = points.first() {
        row("none: as shipped".into(), first.judged, &first.before);
    }
    for point in points {
        row(point.k.to_string(), point.judged, &point.after);
    }
    text.pop();
    text
}
