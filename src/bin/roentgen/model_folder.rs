//! What the subcommands that make a model folder share: reading the films, and the model's name.

use std::path::Path;

use roentgen::data::{Dataset, LeftOut, Sample, Unreadable};
use roentgen::error::Result;
use roentgen::preprocess::Preprocess;

use crate::ui;

/// Loads the films behind a progress bar that says `what`, and names on standard error those that cannot be read.
///
/// # Errors
/// Those of [`Dataset::load`].
pub fn load_films(
    samples: &[Sample],
    classes: &[String],
    preprocess: &Preprocess,
    what: &'static str,
) -> Result<Dataset> {
    let bar = ui::progress(samples.len(), what);
    let loaded = Dataset::load(samples, classes, preprocess, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let (films, unreadable) = loaded?;
    name_unreadable(&unreadable);
    Ok(films)
}

/// Says on standard error what was decided about a data set, and which of its files are left out, and why.
pub fn name_left_out(notes: &[String], decided: &[String], left_out: &[LeftOut]) {
    notes.iter().for_each(|note| ui::complain(note));
    decided.iter().for_each(|what| ui::complain(what));
    for LeftOut { words, count, files, .. } in left_out {
        let example = files.first().map_or(String::new(), |file| format!(", such as {file}"));
        ui::complain(&format!("left out, {words}: {}{example}", ui::thousands(*count)));
    }
}

/// Names files that are left out, and why, on standard error.
pub fn name_unreadable(files: &[Unreadable]) {
    for file in files {
        ui::complain(&format!("left out, unreadable: {}: {}", file.path.display(), file.error));
    }
}

/// The folder's name in the characters that a model's name may have.
pub fn id(out: &Path, otherwise: &str) -> String {
    let name = out.file_name().map_or_else(String::new, |name| name.to_string_lossy().to_lowercase());
    let kept = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' });
    let id: String = kept.collect::<String>().trim_matches(['-', '.']).into();
    if id.is_empty() { otherwise.to_owned() } else { id }
}
