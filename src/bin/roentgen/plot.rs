//! Loss and accuracy per epoch, as a drawing.

use plotters::prelude::*;
use roentgen::adapt::{Point, Reached, Spread};
use roentgen::train::EpochRecord;

const SIZE: (u32, u32) = (960, 400);
const TRAIN: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const VALIDATION: RGBColor = RGBColor(0xd6, 0x5f, 0x0e);

type Fault = DrawingAreaErrorKind<std::io::Error>;

/// An SVG with two panels side by side: loss on the left, accuracy in per cent on the right.
pub fn history(epochs: &[EpochRecord]) -> String {
    let mut svg = String::new();
    let drawn = draw(&mut svg, epochs);
    // Drawing into a string cannot fail but for a mistake of ours.
    assert!(drawn.is_ok(), "plot: {drawn:?}");
    svg
}

/// An SVG with two panels: on the left the area under the ROC curve against the number of images, on the right the shares of
/// images that are answered, and answered wrongly; the shipped model at 0. Bars span 95 % of the draws.
pub fn adaptation(points: &[Point]) -> String {
    let mut svg = String::new();
    let drawn = draw_adaptation(&mut svg, points);
    assert!(drawn.is_ok(), "plot: {drawn:?}");
    svg
}

/// A line of a panel: its name, its colour, and the number that it shows.
type Line = (&'static str, RGBColor, fn(&Reached) -> Spread);

fn draw_adaptation(svg: &mut String, points: &[Point]) -> Result<(), Fault> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 2));
    curves(&panels[0], "AUROC", points, 1.0, &[("AUROC", TRAIN, |reached| reached.auroc)])?;
    let answered: [Line; 2] = [
        ("the one right class", TRAIN, |reached| reached.single_right),
        ("wrong", VALIDATION, |reached| reached.wrong),
    ];
    curves(&panels[1], "Answers (% of the images)", points, 100.0, &answered)?;
    root.present()
}

fn curves(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    points: &[Point],
    unit: f64,
    lines: &[Line],
) -> Result<(), Fault> {
    let last = points.iter().map(|point| point.k).max().unwrap_or(1);
    let lowest = if unit == 1.0 { 0.4 } else { 0.0 };
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(48)
        .build_cartesian_2d(-1.0..last as f64 + 2.0, lowest..1.02 * unit)?;
    chart.configure_mesh().x_desc("images a class, 0 being the shipped model").light_line_style(WHITE).draw()?;
    for &(name, colour, of) in lines {
        let shipped = points.first().map(|point| (0.0, of(&point.before)));
        let adapted = points.iter().map(|point| (point.k as f64, of(&point.after)));
        let all: Vec<(f64, Spread)> = shipped.into_iter().chain(adapted).collect();
        let means = all.iter().map(|(k, spread)| (*k, unit * spread.mean));
        chart
            .draw_series(LineSeries::new(means, colour.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        let bars = all.iter().map(|(k, Spread { range: [low, high], .. })| {
            PathElement::new([(*k, unit * low), (*k, unit * high)], colour.stroke_width(1))
        });
        chart.draw_series(bars)?;
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()
}

fn draw(svg: &mut String, epochs: &[EpochRecord]) -> Result<(), Fault> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 2));
    let loss = |e: &EpochRecord| (e.train.loss, e.validation.loss);
    panel(&panels[0], "Loss (cross-entropy)", epochs, loss, 0.0, f64::INFINITY)?;
    let accuracy = |e: &EpochRecord| (100.0 * e.train.accuracy, 100.0 * e.validation.accuracy);
    panel(&panels[1], "Accuracy (%)", epochs, accuracy, f64::NEG_INFINITY, 100.0)?;
    root.present()
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    epochs: &[EpochRecord],
    values: impl Fn(&EpochRecord) -> (f64, f64),
    lowest: f64,
    highest: f64,
) -> Result<(), Fault> {
    let all = epochs.iter().flat_map(|e| [values(e).0, values(e).1]);
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let margin = 0.05 * (high - low).max(0.01);
    let range = (low - margin).max(lowest)..(high + margin).min(highest);
    let last = epochs.len().max(2);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(48)
        .build_cartesian_2d(1..last, range)?;
    chart.configure_mesh().x_desc("epoch").light_line_style(WHITE).draw()?;
    for (name, colour, validation) in [("training", TRAIN, false), ("validation", VALIDATION, true)] {
        let points = epochs.iter().map(|e| (e.epoch, if validation { values(e).1 } else { values(e).0 }));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()
}
