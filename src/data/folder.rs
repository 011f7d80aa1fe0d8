//! Folders and zips of images as samples: which classes there are, which images, and what was left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::labelling::LabelColumns;
use super::layout::{Layout, LeftOut, Wanted};
use super::listing::Listing;
use super::named::{self, Named, Unmatched};
use super::names::{SPLITS, TRAIN, split_of};
use super::split::hold_out;
use super::{Either, Sample, Unreadable, in_order};
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
    /// The table that says the classes in place of folders, and its columns.
    pub labels: LabelColumns,
    /// Draws the validation films where no `val` folder holds them.
    pub seed: u64,
    /// Share of the training films held back for validation where no `val` folder holds them, in `[0, 0.9]`.
    pub val_fraction: f64,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self {
            classes: None,
            either: Vec::new(),
            only: Vec::new(),
            labels: LabelColumns::default(),
            seed: 0,
            val_fraction: 0.15,
        }
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
    /// Classes that a split has no film of, zips that break off: in words.
    pub notes: Vec<String>,
    /// What was decided that could have been decided otherwise: sentences.
    pub decided: Vec<String>,
    /// Files left out, and why.
    pub files_left_out: Vec<LeftOut>,
    /// What the file system would not show: links in a circle, folders without permission, zips that are none.
    pub unreadable: Vec<Unreadable>,
}

/// Finds the films below `dir`, a folder or a zip: `train/<class>/*`, `test/<class>/*` and `val/<class>/*`, or `<class>/*`
/// alone, in whichever folders all of it lies; or a table that says the classes.
///
/// Every visible file below a class folder is taken for a film; whether it is one shows when it is decoded. Without a
/// `val` folder a seeded share of the training films is held back, by group where `manifest.csv` in `dir` or the
/// folder above gives groups.
///
/// # Errors
/// [`Error::Dataset`] that says what to do: no such folder, no class folders, a class asked for that is not there, an
/// empty class, a filter that is malformed or leaves nothing. [`Error::Archive`] for a zip that is none. [`Error::Config`]
/// for a share outside `[0, 0.9]`.
pub fn open(dir: &Path, options: &FolderOptions) -> Result<Folders> {
    if !(0.0..=0.9).contains(&options.val_fraction) {
        let reason = format!("{}; it must be 0 to 0.9", options.val_fraction);
        return Err(Error::Config { field: "val_fraction", reason });
    }
    options.classes.as_deref().map_or(Ok(()), check_names)?;
    let only = globs(&options.only)?;
    let mut listing = Listing::of(dir)?;
    let layout = listing.layout(options.classes.as_deref(), &options.labels)?;
    if layout.splits && !layout.has[TRAIN] {
        return Err(refuse(format!("{} has `test` or `val` but no `train` folder", dir.display())));
    }
    let mut films = listing.samples(&layout, only.as_ref());
    let train_dir = if layout.splits { SPLITS[TRAIN] } else { "" };
    let mut train = std::mem::take(&mut films[TRAIN]);
    let found = || train.keys().cloned().collect::<Vec<_>>();
    let classes = match &options.classes {
        Some(classes) => {
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
    let [has_test, has_val, _] = layout.has;
    let [test, val, _] = films;
    let test = if has_test { pick(SPLITS[0], test) } else { Vec::new() };
    let (train, val) =
        if has_val { (train, pick(SPLITS[1], val)) } else { hold_out(train, options.val_fraction, options.seed) };
    listing.notes.extend(notes);
    Ok(Folders {
        classes,
        train,
        val,
        val_drawn: !has_val,
        test,
        left_out,
        notes: listing.notes,
        decided: layout.decided,
        files_left_out: [layout.left_out, listing.left_out].concat(),
        unreadable: listing.unreadable,
    })
}

/// The films of one split, labelled in the order of given classes: for measuring a model that has its classes already.
#[derive(Debug)]
pub struct Labelled {
    /// The films.
    pub samples: Vec<Sample>,
    /// Class folders left out because no class is called so.
    pub left_out: Vec<String>,
    /// Where they lie: the folder of the split, or the folder or zip that was given.
    pub folder: PathBuf,
    /// Whether it is the split that was asked for, and not a folder of classes alone.
    pub is_split: bool,
    /// As [`Folders::notes`].
    pub notes: Vec<String>,
    /// As [`Folders::decided`].
    pub decided: Vec<String>,
    /// As [`Folders::files_left_out`].
    pub files_left_out: Vec<LeftOut>,
    /// As [`Folders::unreadable`].
    pub unreadable: Vec<Unreadable>,
}

/// The films of the split `part` in a folder or zip, by any of its usual words; all of its films where it holds class
/// folders alone. Labelled in the order of `classes`.
///
/// # Errors
/// [`Error::Dataset`] when there is no folder of any of the classes, or the filter leaves nothing. [`Error::Archive`] for a
/// zip that is none.
pub fn open_part(dir: &Path, part: Option<&str>, classes: &[String], only: &[String]) -> Result<Labelled> {
    open_labelled(dir, part, classes, only, &LabelColumns::default())
}

/// As [`open_part`], where a table may say the classes.
///
/// # Errors
/// Those of [`open_part`].
pub fn open_labelled(
    dir: &Path,
    part: Option<&str>,
    classes: &[String],
    only: &[String],
    labels: &LabelColumns,
) -> Result<Labelled> {
    check_names(classes)?;
    let globs = globs(only)?;
    let mut listing = Listing::of(dir)?;
    let layout = listing.layout(Some(classes), labels)?;
    let mut films = listing.samples(&layout, globs.as_ref());
    let split = part.and_then(split_of).filter(|&split| layout.has[split]);
    let found = match split {
        None if layout.splits => listing.top_folders().join(", "),
        _ => films[split.unwrap_or(TRAIN)].keys().cloned().collect::<Vec<_>>().join(", "),
    };
    let mut films = match split {
        None if layout.splits => BTreeMap::new(),
        split => std::mem::take(&mut films[split.unwrap_or(TRAIN)]),
    };
    let mut samples = Vec::new();
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
    Ok(Labelled {
        samples,
        left_out: films.into_keys().collect(),
        folder: split.map_or_else(|| dir.to_owned(), |split| dir.join(&layout.folders[split])),
        is_split: split.is_some(),
        notes: listing.notes,
        decided: layout.decided,
        files_left_out: [layout.left_out, listing.left_out].concat(),
        unreadable: listing.unreadable,
    })
}

/// The films of a folder or zip that holds class folders, labelled in the order of `classes`, and the names of the class
/// folders left out because no class is called so.
///
/// # Errors
/// Those of [`open_part`].
pub fn open_flat(dir: &Path, classes: &[String], only: &[String]) -> Result<(Vec<Sample>, Vec<String>)> {
    open_part(dir, None, classes, only).map(|labelled| (labelled.samples, labelled.left_out))
}

/// The images in a folder or zip by the names of a model's `classes`, see [`Named`]: those without a label have the class
/// `classes.len()`. And the folders that are left out.
///
/// # Errors
/// Those of [`Named::of`], and [`Error::Archive`] for a zip that is none.
pub fn open_named(dir: &Path, classes: &[String]) -> Result<(Vec<Sample>, Vec<Unmatched>)> {
    let listing = Listing::of(dir)?;
    let paths: Vec<String> = listing.files.keys().cloned().collect();
    let Named { files, left_out } = Named::of(&paths, classes)?;
    let mut groups = named::groups(&paths, &listing.tables);
    let sample = |(i, class): (usize, Option<usize>)| {
        let (name, place) = (&paths[i], &listing.files[&paths[i]]);
        Sample {
            path: place.path.clone(),
            name: name.clone(),
            class: class.unwrap_or(classes.len()),
            group: groups.remove(name),
            source: None,
            packed: place.packed.clone(),
        }
    };
    Ok((files.into_iter().map(sample).collect(), left_out))
}

/// Whether a folder is called as one of test films is.
pub fn is_test_folder(name: &str) -> bool {
    split_of(name) == Some(0)
}

impl Listing {
    fn layout(&mut self, classes: Option<&[String]>, labels: &LabelColumns) -> Result<Layout> {
        labels.table.as_ref().map_or(Ok(()), |table| self.add_table(Path::new(table)))?;
        Layout::of(&self.paths(), &self.tables, &Wanted { classes, columns: labels.clone() })
    }

    fn top_folders(&self) -> Vec<String> {
        let tops = self.files.keys().filter_map(|path| path.split_once('/')).map(|(top, _)| top.to_owned());
        tops.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// The films of each split by class, those that pass the filter; labels are not set yet.
    fn samples(&self, layout: &Layout, only: Option<&GlobSet>) -> [BTreeMap<String, Vec<Sample>>; SPLITS.len()] {
        let mut films = [const { BTreeMap::<String, Vec<Sample>>::new() }; SPLITS.len()];
        for (split, class) in &layout.empty {
            films[*split].entry(class.clone()).or_default();
        }
        for (path, place) in &layout.films {
            let name = format!("{}/{}", place.class, place.rest);
            let of_class = films[place.split].entry(place.class.clone()).or_default();
            let Some(file) = self.files.get(path).filter(|_| only.is_none_or(|only| only.is_match(&name))) else {
                continue;
            };
            of_class.push(Sample {
                path: file.path.clone(),
                name,
                class: 0,
                group: place.group.clone(),
                source: place.source.clone(),
                packed: file.packed.clone(),
            });
        }
        films.iter_mut().flat_map(BTreeMap::values_mut).for_each(|samples| in_order(samples));
        films
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

fn refuse(reason: String) -> Error {
    Error::Dataset { reason }
}
