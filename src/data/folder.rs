//! Folders of films as samples: which classes there are, which films, and what was left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

use super::manifest::Manifest;
use super::split::hold_out;
use super::{Either, Sample, Unreadable};
use crate::error::{Error, Result};

/// Which films of a folder are wanted.
#[derive(Debug, Clone)]
pub struct FolderOptions {
    /// Classes in label order; every class folder in alphabetical order when `None`.
    pub classes: Option<Vec<String>>,
    /// Further folders, of films that have one of several classes.
    pub either: Vec<Either>,
    /// Globs on `class/file`; a film is kept when any of them matches, or when there are none.
    pub only: Vec<String>,
    /// Draws the validation films where no `val` folder holds them.
    pub seed: u64,
    /// Share of the training films held back for validation where no `val` folder holds them, in `[0, 0.9]`.
    pub val_fraction: f64,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self { classes: None, either: Vec::new(), only: Vec::new(), seed: 0, val_fraction: 0.15 }
    }
}

/// The films of a folder by split, each split in order of class and name.
#[derive(Debug)]
pub struct Folders {
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Films to train on.
    pub train: Vec<Sample>,
    /// Films to choose the best epoch by.
    pub val: Vec<Sample>,
    /// Whether `val` was drawn from the training films, because there is no `val` folder.
    pub val_drawn: bool,
    /// Films that nothing may be chosen by; empty without a `test` folder.
    pub test: Vec<Sample>,
    /// Class folders left out, as `split/class`, or `class` where there are no splits.
    pub left_out: Vec<String>,
    /// Classes that a split has no film of, in words.
    pub notes: Vec<String>,
    /// What the file system would not show: links in a circle, folders without permission.
    pub unreadable: Vec<Unreadable>,
}

/// Finds the films below `dir`: `train/<class>/*`, `test/<class>/*` and `val/<class>/*`, or `<class>/*` alone.
///
/// Every visible file below a class folder is taken for a film; whether it is one shows when it is decoded. Without a
/// `val` folder a seeded share of the training films is held back, by group where `manifest.csv` in `dir` or the
/// folder above gives groups.
///
/// # Errors
/// [`Error::Dataset`] that says what to do: no such folder, no class folders, a class asked for that is not there, an
/// empty class, a filter that is malformed or leaves nothing. [`Error::Config`] for a share outside `[0, 0.9]`.
pub fn open(dir: &Path, options: &FolderOptions) -> Result<Folders> {
    if !(0.0..=0.9).contains(&options.val_fraction) {
        let reason = format!("{}; it must be 0 to 0.9", options.val_fraction);
        return Err(Error::Config { field: "val_fraction", reason });
    }
    let mut walk = Walk::new(dir, &options.only)?;
    let is_split = |name: &str| dir.join(name).is_dir();
    if !is_split("train") && (is_split("test") || is_split("val")) {
        return Err(refuse(format!("{} has `test` or `val` but no `train` folder", dir.display())));
    }
    let splits = is_split("train");
    let train_dir = if splits { "train" } else { "" };
    let mut train = walk.class_folders(train_dir)?;
    let found = || train.keys().cloned().collect::<Vec<_>>();
    let classes = match &options.classes {
        Some(classes) => {
            check_names(classes)?;
            if let Some(missing) = classes.iter().find(|class| !train.contains_key(*class)) {
                let place = dir.join(train_dir);
                let found = found().join(", ");
                return Err(refuse(format!("no class folder `{missing}` in {}; there are: {found}", place.display())));
            }
            classes.clone()
        }
        // A filter may leave a class empty on purpose; that class is then named as left out.
        None => found()
            .into_iter()
            .filter(|class| options.only.is_empty() || !train[class].is_empty())
            .filter(|class| options.either.iter().all(|either| either.folder != *class))
            .collect(),
    };
    for either in &options.either {
        either.labels(&classes)?;
        if train.get(&either.folder).is_none_or(Vec::is_empty) {
            return Err(refuse(format!("no film in a class folder `{}`, which --either names", either.folder)));
        }
    }
    if let Some(empty) = classes.iter().find(|class| train[*class].is_empty()) {
        let why = if options.only.is_empty() { "its folder is empty" } else { "the filter matches none of its files" };
        return Err(refuse(format!("class `{empty}` has no film: {why}; name the wanted classes with --classes")));
    }
    if classes.is_empty() {
        return Err(refuse(format!("no file in {} matches the filter; it is held against class/file", dir.display())));
    }

    let mut left_out = Vec::new();
    let mut notes = Vec::new();
    let mut pick = |split: &str, mut films: BTreeMap<String, Vec<Sample>>| {
        let mut samples = Vec::new();
        for (label, class) in classes.iter().enumerate() {
            let films = films.remove(class).unwrap_or_default();
            if films.is_empty() {
                notes.push(format!("class `{class}` has no film in {split}"));
            }
            samples.extend(films.into_iter().map(|sample| Sample { class: label, ..sample }));
        }
        for (i, either) in options.either.iter().enumerate() {
            let films = films.remove(&either.folder).unwrap_or_default();
            samples.extend(films.into_iter().map(|sample| Sample { class: classes.len() + i, ..sample }));
        }
        left_out
            .extend(films.into_keys().map(|class| if split.is_empty() { class } else { format!("{split}/{class}") }));
        samples
    };
    let train = pick(train_dir, std::mem::take(&mut train));
    let test = if splits && is_split("test") { pick("test", walk.class_folders("test")?) } else { Vec::new() };
    let val_drawn = !(splits && is_split("val"));
    let (train, val) = if val_drawn {
        hold_out(train, options.val_fraction, options.seed)
    } else {
        (train, pick("val", walk.class_folders("val")?))
    };
    Ok(Folders { classes, train, val, val_drawn, test, left_out, notes, unreadable: walk.unreadable })
}

/// The films of a folder that holds class folders, labelled in the order of `classes`, and the names of the class
/// folders left out because no class is called so. For evaluating a model that has its classes already.
///
/// `manifest.csv` is looked for in `dir` and in the folder above.
///
/// # Errors
/// [`Error::Dataset`] when `dir` holds no folder of any of the classes, or the filter leaves nothing.
pub fn open_flat(dir: &Path, classes: &[String], only: &[String]) -> Result<(Vec<Sample>, Vec<String>)> {
    check_names(classes)?;
    let mut walk = Walk::new(dir, only)?;
    let mut films = walk.class_folders("")?;
    let mut samples = Vec::new();
    let found = films.keys().cloned().collect::<Vec<_>>().join(", ");
    for (label, class) in classes.iter().enumerate() {
        let films = films.remove(class).unwrap_or_default();
        samples.extend(films.into_iter().map(|sample| Sample { class: label, ..sample }));
    }
    if samples.is_empty() {
        let (dir, classes) = (dir.display(), classes.join(", "));
        let reason = match (only.is_empty(), found.as_str()) {
            (false, _) => format!("no file of {classes} in {dir} matches the filter; it is held against class/file"),
            (true, found) => format!("{dir} must hold folders named {classes}; it holds: {found}"),
        };
        return Err(refuse(reason));
    }
    Ok((samples, films.into_keys().collect()))
}

/// What one look through a folder needs and gathers.
struct Walk {
    dir: PathBuf,
    only: Option<GlobSet>,
    manifest: Manifest,
    /// From the manifest's folder to `dir`: empty, or `name/`.
    manifest_prefix: String,
    unreadable: Vec<Unreadable>,
}

impl Walk {
    fn new(dir: &Path, only: &[String]) -> Result<Self> {
        if !dir.is_dir() {
            return Err(refuse(format!("{} is not a folder", dir.display())));
        }
        // `.` and `..` have no name that the manifest of the folder above could know.
        let full = dir.canonicalize().map_err(|source| Error::Io { path: dir.into(), source })?;
        let (manifest_dir, manifest_prefix) = match (full.parent(), full.file_name()) {
            (Some(parent), Some(name)) if !dir.join("manifest.csv").is_file() => {
                (parent, format!("{}/", name.to_string_lossy()))
            }
            _ => (full.as_path(), String::new()),
        };
        let manifest = Manifest::read(manifest_dir)?;
        Ok(Self { dir: dir.into(), only: globs(only)?, manifest, manifest_prefix, unreadable: Vec::new() })
    }

    /// The films of every class folder in `dir/below` that pass the filter, sorted by name; labels are not set yet.
    fn class_folders(&mut self, below: &str) -> Result<BTreeMap<String, Vec<Sample>>> {
        let root = self.dir.join(below);
        let io = |source| Error::Io { path: root.clone(), source };
        let mut folders = BTreeMap::new();
        for entry in std::fs::read_dir(&root).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Follows links, as data sets are often laid out with them.
            if entry.path().is_dir() && !is_hidden(&name) {
                folders.insert(name, entry.path());
            }
        }
        if folders.is_empty() {
            let place = root.display();
            return Err(refuse(format!("{place} has no class folders; films are looked for in {place}/<class>/")));
        }
        let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
        let mut films = BTreeMap::new();
        for (class, folder) in folders {
            let samples = self.films(&class, &folder, &prefix);
            films.insert(class, samples);
        }
        Ok(films)
    }

    /// The files of one class folder and the folders below it.
    fn films(&mut self, class: &str, folder: &Path, prefix: &str) -> Vec<Sample> {
        let mut samples = Vec::new();
        let visible =
            |entry: &walkdir::DirEntry| entry.depth() == 0 || !is_hidden(&entry.file_name().to_string_lossy());
        // Following links, `walkdir` reports a circle as an error instead of going round.
        for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_path_buf();
                    let source = error.into();
                    self.unreadable.push(Unreadable { path: path.clone(), error: Error::Io { path, source } });
                    continue;
                }
            };
            if entry.file_type().is_dir() {
                continue;
            }
            let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            let name = format!("{class}/{}", parts.join("/"));
            if self.only.as_ref().is_some_and(|only| !only.is_match(&name)) {
                continue;
            }
            let row = self.manifest.row(&format!("{}{prefix}{name}", self.manifest_prefix));
            let path = entry.path().to_path_buf();
            samples.push(Sample { path, name, class: 0, group: row.group, source: row.source });
        }
        samples
    }
}

/// `None` when there is no filter.
pub(super) fn globs(patterns: &[String]) -> Result<Option<GlobSet>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let malformed = |error: globset::Error| refuse(format!("filter: {error}"));
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(malformed)?);
    }
    set.build().map(Some).map_err(malformed)
}

/// Refuses a list of classes in which one is named twice, or none is.
fn check_names(classes: &[String]) -> Result<()> {
    if classes.is_empty() {
        return Err(refuse("no classes are named".into()));
    }
    match classes.iter().enumerate().find(|(i, class)| classes[..*i].contains(class)) {
        Some((_, twice)) => Err(refuse(format!("class `{twice}` is named twice"))),
        None => Ok(()),
    }
}

/// Files of the system, not of the data set.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

fn refuse(reason: String) -> Error {
    Error::Dataset { reason }
}
