//! What an audit found, in words and tables for a terminal.

use roentgen::audit::CAVEAT;
use roentgen::formats::about::Audit;

use crate::ui;

/// What was found, in tables.
pub fn describe(audit: &Audit) -> String {
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
    if !audit.heat.is_empty() {
        let title = ["heat map of the class it names", "films", "inside the lungs", "95 %", "if it were even"];
        let mut rows = vec![title.map(String::from).to_vec()];
        rows.extend(audit.heat.iter().map(|heat| {
            vec![
                heat.name(),
                ui::thousands(heat.films),
                ui::percent(heat.share),
                range(heat.share_interval),
                ui::percent(heat.area),
            ]
        }));
        text += &format!("\n\n{}\n{CAVEAT}", ui::table(&rows));
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
