//! Where the lungs are taken to be: the masks of a folder, averaged and each by itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use roentgen::data::{Sample, read_film};
use roentgen::error::{Error, Result};
use roentgen::formats::about::Lungs;
use roentgen::formats::folder::write_file_atomically;
use roentgen::image::{Limits, Radiograph, decode};
use roentgen::preprocess::Preprocess;
use roentgen::preprocess::{LungMask, MeanLungs, stretched};
use serde::Deserialize;

use crate::films::grey_png;
use crate::ui;

/// The mean that comes with the program.
pub fn built_in() -> (Lungs, LungMask) {
    let mask = MeanLungs::built_in().mask();
    let made_from =
        "the mean of 296 lung masks drawn by people (V7 Labs, CC BY 4.0), lung in a tenth of them or more; the \
                     same for every film"
            .into();
    (Lungs { made_from, area: mask.area(), covers: Some(MeanLungs::COVERS) }, mask)
}

/// A mask's line in its folder's manifest.
#[derive(Deserialize)]
struct Row {
    name: String,
    split: String,
    /// The film that it was drawn on, below the folder of the films.
    cxr_path: Option<String>,
}

/// The mean of the masks in `dir`, also written to `save` as a picture.
pub fn average(dir: &Path, save: Option<&Path>) -> Result<(Lungs, LungMask)> {
    let (train, test) = masks(dir)?;
    let drawn = train.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let mean = MeanLungs::of(drawn)?;
    if let Some(path) = save {
        write_file_atomically(path, &png(&mean)?)?;
    }
    let mask = mean.mask();
    let mut covered = Vec::new();
    for path in &test {
        covered.extend(mask.covers(&read(path)?));
    }
    let covers = (!covered.is_empty()).then(|| covered.iter().sum::<f64>() / covered.len() as f64);
    let made_from = format!(
        "the mean of {} lung masks, lung in a tenth of them or more; the same for every film",
        ui::thousands(train.len())
    );
    Ok((Lungs { made_from, area: mask.area(), covers }, mask))
}

/// The masks in `dir` that were drawn on `samples`, films of `folder`, by the name of the film: each in the size of a heat map.
///
/// Only a manifest with a column `cxr_path` can tell.
pub fn drawn_on<'a>(
    dir: &Path,
    folder: &Path,
    samples: &'a [Sample],
    preprocess: &Preprocess,
) -> Result<HashMap<&'a str, Vec<f32>>> {
    let films: Vec<(PathBuf, PathBuf)> = rows(dir)?
        .into_iter()
        .flatten()
        .filter_map(|row| Some((PathBuf::from(row.cxr_path?), dir.join("masks").join(row.name))))
        .collect();
    // As the manifest of the films is found for a part of them by itself, so are the masks.
    let folder = folder.canonicalize().map_err(|source| Error::Io { path: folder.into(), source })?;
    let mut drawn = HashMap::new();
    for sample in samples {
        let film = folder.join(&sample.name);
        if let Some((_, mask)) = films.iter().find(|(below, _)| film.ends_with(below)) {
            drawn.insert(&*sample.name, stretched(&read(mask)?, preprocess.height, preprocess.width));
        }
    }
    Ok(drawn)
}

/// The picture in a file, a mask or a film.
pub fn read(mask: &Path) -> Result<Radiograph> {
    decode(&read_film(mask, &Limits::default())?, &Limits::default())
}

/// The manifest of the masks in `dir`, where there is one.
fn rows(dir: &Path) -> Result<Option<Vec<Row>>> {
    let manifest = dir.join("manifest.csv");
    if !manifest.is_file() {
        return Ok(None);
    }
    let refuse = |error: csv::Error| Error::Dataset { reason: format!("{}: {error}", dir.display()) };
    let mut reader = csv::Reader::from_path(&manifest).map_err(refuse)?;
    reader.deserialize().collect::<Result<_, _>>().map(Some).map_err(refuse)
}

/// The masks to learn from, and those to hold what was learned against.
pub fn masks(dir: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let folder = dir.join("masks");
    if let Some(rows) = rows(dir)? {
        let of = |split: &str| rows.iter().filter(|row| row.split == split).map(|row| folder.join(&row.name)).collect();
        return Ok((of("train"), of("test")));
    }
    let entries = std::fs::read_dir(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.retain(|path| path.extension().is_some_and(|ending| ending == "png"));
    all.sort();
    Ok((all, Vec::new()))
}

fn png(mean: &MeanLungs) -> Result<Vec<u8>> {
    let (side, luma) = mean.luma();
    grey_png(side, side, luma.iter().map(|v| (v * 255.0).round() as u8).collect())
}
