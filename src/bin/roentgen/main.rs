//! The command line: one file per subcommand, each a thin shell around the library.
//!
//! Exit codes: 0 when all went well, 1 when something failed, 2 when the command line itself makes no sense. What failed
//! is one line on standard error that starts with `error: `.

mod adapt;
mod audit;
mod average;
mod blend;
mod calibrate;
mod card;
mod compress;
mod dataset;
mod distinguish;
mod evaluate;
mod export;
mod films;
mod labels;
mod lungs;
mod model_folder;
mod plot;
mod predict;
mod refit_head;
mod refusal;
mod summary;
mod train;
mod ui;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Classify chest X-rays, and train and judge the networks that do it.
///
/// Research and teaching only: not a medical device, not for diagnosis.
#[derive(Parser)]
#[command(version, after_help = "`roentgen COMMAND --help` says more about each command.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what is in a folder or zip of images: classes and splits, what is left out and why, what differs by class
    Dataset(dataset::Args),
    /// Train a network on folders of labelled films
    Train(Box<train::Args>),
    /// Classify image files with a model
    Predict(predict::Args),
    /// Fit and measure what a model refuses to judge
    Refusal(refusal::Args),
    /// Measure a model on folders of labelled films
    Evaluate(evaluate::Args),
    /// Adapt a model to your hospital from a few labelled images of it, and say whether to take it
    Adapt(adapt::Args),
    /// Fit a model's probabilities, thresholds and uncertain band on validation films
    Calibrate(calibrate::Args),
    /// Look for shortcuts: a model with the lungs masked out, with the border alone, with 8×8 pixels
    Audit(audit::Args),
    /// Find the lungs of films, and cut films to them
    Lungs(lungs::Args),
    /// Average the weights of several trainings that went on from one
    Blend(blend::Args),
    /// Have the last layer tell a few films from others, where training has learned them by heart
    Distinguish(distinguish::Args),
    /// Fit the last layer anew, to what tells healthy images from others within one hospital
    RefitHead(refit_head::Args),
    /// Make a small copy of a trained model for the web
    Compress(compress::Args),
    /// Change what a model says of itself: name, measurements, limits
    Card(card::Args),
    /// Write a model as an ONNX file, for other engines
    Export(export::Args),
    /// Average many films of each class into one sample picture
    Average(average::Args),
    /// Show the layers of a network and its number of parameters
    Summary(summary::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Dataset(args) => dataset::run(args),
        Command::Train(args) => train::run(*args),
        Command::Predict(args) => predict::run(args),
        Command::RefitHead(args) => refit_head::run(args),
        Command::Refusal(args) => refusal::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Adapt(args) => adapt::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Blend(args) => blend::run(args),
        Command::Distinguish(args) => distinguish::run(args),
        Command::Compress(args) => compress::run(args),
        Command::Card(args) => card::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Lungs(args) => lungs::run(args),
        Command::Export(args) => export::run(args),
        Command::Average(args) => average::run(args),
        Command::Summary(args) => summary::run(args),
    };
    outcome.unwrap_or_else(|error| {
        ui::complain(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}
