//! A model's card as Markdown: everything model.json says, in the order in which a reader should ask.

use roentgen::audit::CAVEAT;
use roentgen::formats::about::{Ablation, Adaptation, Audit, DataDescription, WithinSource};
use roentgen::formats::{MetricsEntry, ModelCard};
use roentgen::labels::ByName;
use roentgen::metrics::{AnswerSets, Answered, Share};

use crate::evaluate::{present, sets_lines};
use crate::ui;

/// The whole card.
pub fn markdown(card: &ModelCard) -> String {
    let mut parts = vec![
        format!("# {}, version {}", card.name, card.version),
        format!("Tells apart: {}. **Not a medical device.**", card.classes.join(", ")),
    ];
    if !card.summary.is_empty() {
        parts.push(list(&card.summary));
    }
    let mut section = |title: &str, paragraphs: Vec<String>| {
        let paragraphs: Vec<String> = paragraphs.into_iter().filter(|text| !text.is_empty()).collect();
        if !paragraphs.is_empty() {
            parts.push(format!("## {title}"));
            parts.extend(paragraphs);
        }
    };
    let adapted = card.adapted.as_ref().map_or_else(Vec::new, adapted);
    section("What it was adapted on", adapted);
    section("What it is for", vec![card.intended_use.clone()]);
    section("What it must not be used for", vec![list(&card.misuse)]);
    section("What goes wrong", vec![list(&card.limitations)]);
    section("The films", card.data.as_ref().map_or_else(Vec::new, data));
    section("How often it is right", card.metrics.iter().flat_map(measurement).collect());
    section("From probabilities to answers", decisions(card));
    section("Does it look at the lungs?", card.audit.as_ref().map_or_else(Vec::new, audit));
    section("What was tried", ablation(&card.ablation));
    section("The weights", vec![weights(card)]);
    parts.join("\n\n") + "\n"
}

fn adapted(adaptation: &Adaptation) -> Vec<String> {
    let counts = adaptation.images.iter().map(|(class, n)| format!("{n} {class}"));
    let unlabelled = (adaptation.unlabelled > 0).then(|| format!("{} without a label", adaptation.unlabelled));
    let images = counts.chain(unlabelled).collect::<Vec<_>>().join(", ");
    let date = adaptation.date.as_ref().map_or(String::new(), |date| format!(", {date}"));
    vec![format!("{}{date}, on images of one place: {images}.", adaptation.from), adaptation.sentence.clone()]
}

fn data(data: &DataDescription) -> Vec<String> {
    let sources =
        data.sources.iter().map(|source| vec![source.name.clone(), source.description.clone(), source.licence.clone()]);
    let mut splits: Vec<&str> = Vec::new();
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for count in &data.counts {
        if !splits.contains(&count.split.as_str()) {
            splits.push(&count.split);
        }
        if !kinds.contains(&(&count.class, &count.source)) {
            kinds.push((&count.class, &count.source));
        }
    }
    let rows = kinds.iter().map(|(class, source)| {
        let films = splits.iter().map(|split| {
            let count = data.counts.iter().find(|c| (&*c.class, &*c.source, &*c.split) == (class, source, split));
            count.map_or("–".into(), |count| ui::thousands(count.films))
        });
        [class.to_string(), source.to_string()].into_iter().chain(films).collect()
    });
    let head: Vec<&str> = ["class", "source"].into_iter().chain(splits.iter().copied()).collect();
    let confounders = if data.confounders.is_empty() {
        String::new()
    } else {
        format!("What differs between the classes beside the disease:\n\n{}", list(&data.confounders))
    };
    vec![table(&["source", "films", "licence"], sources), table(&head, rows), data.split.clone(), confounders]
}

/// One measurement: the whole, each class, each source.
fn measurement(MetricsEntry { data, split, evaluation }: &MetricsEntry) -> Vec<String> {
    let grouped = |share: [f64; 2], group: Option<[f64; 2]>| match group {
        Some(group) => format!("{} by film, {} by patient", ui::interval(share), ui::interval(group)),
        None => format!("{} by film", ui::interval(share)),
    };
    let ece = evaluation.ece.map_or(String::new(), |ece| format!(" Calibration error {}.", ui::percent(ece)));
    let among = evaluation.among_present.as_ref().map_or(String::new(), |share| {
        let interval = grouped(share.interval, share.interval_by_group);
        format!(" Asked between {} alone: {} right, {interval}.", present(evaluation), ui::percent(share.value))
    });
    let whole = format!(
        "{} films: {} right, 95 % interval {}.{among} Balanced accuracy {}, loss {:.3}.{ece}",
        ui::thousands(evaluation.n),
        ui::percent(evaluation.accuracy),
        grouped(evaluation.accuracy_interval, evaluation.accuracy_interval_by_group),
        ui::percent(evaluation.balanced_accuracy),
        evaluation.loss,
    );
    let rate = |rate: Option<f64>, range: Option<[f64; 2]>| match (rate, range) {
        (Some(rate), Some(range)) => format!("{} ({})", ui::percent(rate), ui::interval(range)),
        _ => "–".into(),
    };
    let classes = evaluation.per_class.iter().map(|(class, rates)| {
        let area = evaluation.auroc.get(class).copied().flatten();
        let range = evaluation.auroc_interval.as_ref().and_then(|all| all.get(class).copied().flatten());
        vec![
            class.to_owned(),
            ui::thousands(rates.n),
            area.map_or("–".into(), |area| area_with(area, range)),
            rate(rates.sensitivity, rates.sensitivity_interval),
            rate(rates.specificity, rates.specificity_interval),
        ]
    });
    let head: Vec<String> = evaluation.classes.iter().map(|class| format!("called {class}")).collect();
    let head: Vec<&str> = ["it is"].into_iter().chain(head.iter().map(String::as_str)).collect();
    let confusion = evaluation.classes.iter().zip(&evaluation.confusion).map(|(class, counts)| {
        [class.clone()].into_iter().chain(counts.iter().map(|&count| ui::thousands(count))).collect()
    });
    let mut sources = Vec::new();
    for (source, part) in evaluation.by_source.iter().flat_map(ByName::iter) {
        let right = rate(Some(part.accuracy), Some(part.accuracy_interval));
        sources.push(vec![source.to_owned(), "all".into(), ui::thousands(part.n), right]);
        for (class, of_class) in part.by_class.iter().flat_map(ByName::iter) {
            let films = ui::thousands(of_class.of);
            sources.push(vec![source.to_owned(), class.to_owned(), films, share(Some(of_class))]);
        }
    }
    vec![
        format!("### {data}, {split}"),
        whole,
        table(&["class against the rest", "films", "AUROC", "sensitivity", "specificity"], classes),
        table(&head, confusion),
        table(&["source", "class", "films", "right"], sources),
    ]
}

fn decisions(card: &ModelCard) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(calibration) = &card.calibration {
        parts.push(format!(
            "The logits are divided by {:.3}, fitted on {} validation films: there the loss goes from {:.3} to {:.3}, the \
             calibration error from {} to {}.",
            calibration.temperature,
            ui::thousands(calibration.films),
            calibration.loss_before,
            calibration.loss_after,
            ui::percent(calibration.ece_before),
            ui::percent(calibration.ece_after),
        ));
    }
    if let Some(answer) = &card.answer {
        parts.extend(answers(card, answer));
    }
    if let Some(points) = &card.operating_points {
        let mut rows = Vec::new();
        for (class, point) in points.iter() {
            let row = |on: String, sensitivity: &Option<Share>, specificity: &Option<Share>| {
                let from = format!("{class}, from {}", ui::percent(point.threshold));
                vec![from, on, share(sensitivity.as_ref()), share(specificity.as_ref())]
            };
            rows.push(row("validation".into(), &point.validation.sensitivity, &point.validation.specificity));
            for MetricsEntry { data, split, evaluation } in &card.metrics {
                if let Some(reached) = evaluation.operating_points.as_ref().and_then(|points| points.get(class)) {
                    rows.push(row(format!("{data}, {split}"), &reached.sensitivity, &reached.specificity));
                }
            }
        }
        let asked = points.iter().next().map_or(0.0, |(_, point)| point.for_sensitivity);
        parts.push(format!(
            "Each finding has an operating point, chosen on validation films for a sensitivity of {}:",
            ui::percent(asked)
        ));
        parts.push(table(&["finding, and from which probability", "on", "sensitivity", "specificity"], rows));
    }
    if let Some(band) = &card.uncertain {
        parts.push(format!(
            "Below {} for the likeliest class the answer is \"uncertain\": chosen on validation films so that of the answers \
             given at most {} are wrong.",
            ui::percent(band.below),
            ui::percent(band.for_error),
        ));
        let row = |on: String, Answered { coverage, error }: &Answered| {
            vec![on, share(Some(coverage)), share(error.as_ref())]
        };
        let measured = card.metrics.iter().filter_map(|MetricsEntry { data, split, evaluation }| {
            evaluation.answered.as_ref().map(|answered| row(format!("{data}, {split}"), answered))
        });
        let rows = [row("validation".into(), &band.validation)].into_iter().chain(measured);
        parts.push(table(&["on", "answered", "of these wrong"], rows));
    }
    parts
}

/// Answers that are sets: what they are, and one table of what they reach.
fn answers(card: &ModelCard, answer: &AnswerSets) -> Vec<String> {
    let healthy = answer
        .healthy
        .as_ref()
        .map_or(String::new(), |healthy| format!(" A set with {healthy} and another class is \"cannot tell\"."));
    let text = format!(
        "The answer is the set of classes that fit an image. Thresholds were chosen on validation images so that the set holds \
         the right class of {} of the images of each class; for images from elsewhere that is not promised.{healthy}",
        ui::percent(answer.coverage),
    );
    let of_data = card.metrics.iter().filter_map(|MetricsEntry { data, split, evaluation }| {
        Some((format!("{data}, {split}"), sets_lines(evaluation.sets.as_ref()?)))
    });
    let columns: Vec<(String, Vec<[String; 4]>)> =
        [("validation".to_owned(), sets_lines(&answer.validation))].into_iter().chain(of_data).collect();
    let mut names: Vec<&String> = Vec::new();
    for [name, ..] in columns.iter().flat_map(|(_, lines)| lines) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let rows = names.iter().map(|name| {
        let cell = |(_, lines): &(String, Vec<[String; 4]>)| {
            let line = lines.iter().find(|[of, ..]| of == *name);
            line.map_or("–".into(), |[_, _, value, range]| format!("{value} ({range})"))
        };
        [name.to_string()].into_iter().chain(columns.iter().map(cell)).collect()
    });
    let head: Vec<&str> = ["the answer"].into_iter().chain(columns.iter().map(|(on, _)| on.as_str())).collect();
    vec![text, table(&head, rows)]
}

fn audit(audit: &Audit) -> Vec<String> {
    let verdict = if audit.works_without_lungs {
        "**This model still works with the lungs masked out**, so what it does is not all about lungs."
    } else {
        "By this rule the model does not work with the lungs masked out, which does not prove that it looks at nothing else."
    };
    let covers = audit.lungs.covers.map_or(String::new(), |share| {
        format!(" and holds {} of the lungs of films that it was not made from", ui::percent(share))
    });
    let lungs = format!(
        "Measured on {}. Where the lungs were taken to lie: {}. That is {} of a film{covers}. What is masked is set to the mean \
         of the rest before anything else is done to the film.",
        audit.data,
        audit.lungs.made_from,
        ui::percent(audit.lungs.area),
    );
    let pairs: Vec<String> = audit.views.iter().next().map_or_else(Vec::new, |(_, whole)| {
        let name =
            |pair: &WithinSource| format!("AUROC {} / {}, {} only", pair.classes[0], pair.classes[1], pair.source);
        whole.within_source.iter().map(name).collect()
    });
    let fixed = ["what is left of the film", "balanced accuracy"];
    let head: Vec<&str> = fixed.into_iter().chain(pairs.iter().map(String::as_str)).collect();
    let mut rows: Vec<Vec<String>> = audit
        .views
        .iter()
        .map(|(view, result)| {
            let range =
                result.balanced_accuracy_interval.map_or(String::new(), |range| format!(" ({})", ui::interval(range)));
            let balanced = format!("{}{range}", ui::percent(result.balanced_accuracy));
            let areas = result.within_source.iter().map(|pair| area_with(pair.auroc, pair.auroc_interval));
            [view.to_owned(), balanced].into_iter().chain(areas).collect()
        })
        .collect();
    let guess = [String::from("a guess"), ui::percent(audit.chance)];
    rows.push(guess.into_iter().chain(pairs.iter().map(|_| "0.500".into())).collect());
    let probes = audit.probes.iter().map(|probe| {
        vec![
            format!("{}, {} or {}", probe.class, probe.sources[0], probe.sources[1]),
            ui::thousands(probe.films),
            area_with(probe.auroc, probe.auroc_interval),
            ui::percent(probe.balanced_accuracy),
            format!("{:.3}", probe.auroc_of_pixels),
        ]
    });
    let head_of_probes = [
        "source of films of one class",
        "films",
        "AUROC from its features",
        "balanced accuracy",
        "AUROC from 8×8 pixels",
    ];
    let mut parts =
        vec![format!("{verdict} The rule: {}", audit.rule), table(&head, rows), lungs, table(&head_of_probes, probes)];
    parts.extend(heat(audit));
    parts
}

/// How much of its heat maps lies inside the lungs.
fn heat(audit: &Audit) -> Vec<String> {
    if audit.heat.is_empty() {
        return Vec::new();
    }
    let rows = audit.heat.iter().map(|heat| {
        let range = heat.share_interval.map_or(String::new(), |range| format!(" ({})", ui::interval(range)));
        let share = format!("{}{range}", ui::percent(heat.share));
        vec![heat.name(), ui::thousands(heat.films), share, ui::percent(heat.area)]
    });
    let head = ["heat map of the class it names", "films", "energy inside the lungs", "if the map were even"];
    vec![table(&head, rows), CAVEAT.into()]
}

/// A table for every run of lines of which each shares a result with the one before.
fn ablation(lines: &[Ablation]) -> Vec<String> {
    let alike = |one: &Ablation, next: &Ablation| one.results.iter().any(|(name, _)| next.results.get(name).is_some());
    lines.chunk_by(alike).map(compared).collect()
}

fn compared(lines: &[Ablation]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in lines.iter().flat_map(|line| line.results.iter()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let rows = lines.iter().map(|line| {
        let results = names.iter().map(|name| line.results.get(name).cloned().unwrap_or_else(|| "–".into()));
        [line.measure.clone()].into_iter().chain(results).collect()
    });
    let head: Vec<&str> = ["measure"].into_iter().chain(names.iter().copied()).collect();
    table(&head, rows)
}

fn weights(card: &ModelCard) -> String {
    let preprocess = &card.preprocess;
    list(&[
        format!(
            "architecture `{}`, films reduced to {}×{} pixels{}",
            card.architecture,
            preprocess.width,
            preprocess.height,
            if card.mirrored { ", judged as they are and mirrored left to right: the mean of the logits" } else { "" },
        ),
        format!("`{}`, {} bytes as downloaded", card.weights.file, ui::thousands(card.weights.bytes as usize)),
        format!("SHA-256 `{}`", card.weights.sha256),
        format!("licence: {}", card.licence),
    ])
}

/// `0.984 (0.979–0.989)`.
fn area_with(area: f64, range: Option<[f64; 2]>) -> String {
    range.map_or_else(|| format!("{area:.3}"), |[low, high]| format!("{area:.3} ({low:.3}–{high:.3})"))
}

/// `95.1 % (93.0–96.6 %)`, the interval by patient where there is one.
fn share(share: Option<&Share>) -> String {
    share.map_or("–".into(), |share| {
        let range = share.interval_by_group.unwrap_or(share.interval);
        format!("{} ({})", ui::percent(share.value), ui::interval(range))
    })
}

fn list(sentences: &[String]) -> String {
    sentences.iter().map(|sentence| format!("- {sentence}")).collect::<Vec<_>>().join("\n")
}

/// Empty without rows. A cell's own `|` and line breaks would end it.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        format!("| {} |", cells.join(" | "))
    };
    let rows: Vec<String> = rows.into_iter().map(line).collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = head.len();
    let head = line(head.iter().map(|cell| cell.to_string()).collect());
    let rule = format!("|{}", " --- |".repeat(columns));
    [vec![head, rule], rows].concat().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_break_its_table() {
        let text = table(&["a", "b"], [vec!["x | y".into(), "1\n2".into()]]);
        assert_eq!(text, "| a | b |\n| --- | --- |\n| x \\| y | 1 2 |");
        assert_eq!(table(&["a"], []), "");
    }
}
