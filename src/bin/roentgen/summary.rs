//! `roentgen summary`: the layers of a network, as Keras prints them.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use roentgen::error::Result;
use roentgen::models::Architecture;
use roentgen::nn::{LayerSummary, ParameterSpec};

use crate::ui;

/// Show the layers of a network and its number of parameters
#[derive(clap::Args)]
pub struct Args {
    /// The network
    #[arg(long, value_parser = PossibleValuesParser::new(Architecture::ALL.map(Architecture::name)))]
    arch: String,
    /// Number of classes it tells apart
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(2..=1000))]
    classes: u16,
    /// Print JSON: {architecture, input, layers, parameters}
    #[arg(long)]
    json: bool,
}

/// Prints the table.
pub fn run(args: Args) -> Result<ExitCode> {
    let architecture = Architecture::from_name(&args.arch)?;
    let graph = architecture.graph(args.classes.into());
    let (layers, parameters) = (graph.summary(), graph.parameters());
    let count = |trained| parameters.iter().filter(|spec| spec.trained == trained).map(ParameterSpec::len).sum();
    let [trainable, fixed]: [usize; 2] = [true, false].map(count);
    if args.json {
        ui::say(serde_json::json!({
            "architecture": architecture.name(),
            "input": architecture.input(),
            "layers": layers,
            "parameters": trainable + fixed,
            "trainable": trainable,
        }))?;
    } else {
        ui::say(describe(architecture, &layers, [trainable, fixed]))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(architecture: Architecture, layers: &[LayerSummary], [trainable, fixed]: [usize; 2]) -> String {
    let title = |texts: [&str; 3]| texts.map(String::from).to_vec();
    let mut rows = vec![title(["Layer (type)", "Output shape", "Param #"])];
    rows.push(vec!["input".into(), shape(&architecture.input()), ui::thousands(0)]);
    rows.extend(layers.iter().map(|layer| {
        vec![format!("{} ({})", layer.name, layer.kind), shape(&layer.output), ui::thousands(layer.parameters)]
    }));
    let table = ui::table(&rows);
    let (head, body) = table.split_once('\n').unwrap_or((&table, ""));
    let rule = "─".repeat(table.lines().map(|line| line.chars().count()).max().unwrap_or(0));
    let megabytes = 4.0 * (trainable + fixed) as f64 / f64::from(1 << 20);
    let [total, trainable, fixed] = [trainable + fixed, trainable, fixed].map(ui::thousands);
    let name = architecture.name();
    format!(
        "Model: {name}\n{rule}\n{head}\n{rule}\n{body}\n{rule}\n\
         Total params: {total} ({megabytes:.2} MiB as f32)\nTrainable params: {trainable}\nNon-trainable params: {fixed}"
    )
}

/// Dimensions as a batch of any size has them, channels first.
fn shape(dimensions: &[usize]) -> String {
    let texts: Vec<String> = dimensions.iter().map(usize::to_string).collect();
    format!("[n, {}]", texts.join(", "))
}
