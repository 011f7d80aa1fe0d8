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

/// Classify chest X-rays, and train and measure the networks that do it.
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
    // The help of each is the documentation of its `Args`.
    Dataset(dataset::Args),
    Train(Box<train::Args>),
    Predict(predict::Args),
    Refusal(refusal::Args),
    Evaluate(evaluate::Args),
    Adapt(adapt::Args),
    Calibrate(calibrate::Args),
    Audit(audit::Args),
    Lungs(lungs::Args),
    Blend(blend::Args),
    Distinguish(distinguish::Args),
    RefitHead(refit_head::Args),
    Compress(compress::Args),
    Card(card::Args),
    Export(export::Args),
    Average(average::Args),
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
