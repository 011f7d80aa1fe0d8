//! What is in a folder or zip, told from the paths that are in it: classes and splits, and what is left out and why.
//!
//! The one set of rules for the command line, the page and the package. Nothing that could change a result is decided
//! without a sentence in [`Layout::decided`] or a line in [`Layout::left_out`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::labelling::{FoundTable, LabelColumns, Labelled, groups_of, labels_of};
use super::names::{
    BY_HAND, Mask, NoClasses, SPLITS, TRAIN, is_document, is_image, is_system, is_table, mask_of, masked, no_classes,
    one_spelling, split_of, stem,
};
use crate::error::{Error, Result};

/// Where a path belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Index into [`SPLITS`].
    pub(super) split: usize,
    pub(super) class: String,
    /// Below the class folder.
    pub(super) rest: String,
    /// The patient, or another group.
    pub(super) group: Option<String>,
    pub(super) source: Option<String>,
}

/// Files that are left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The reason in kebab case, for programs.
    pub why: &'static str,
    /// The reason in words.
    pub words: String,
    /// How many there are.
    pub count: usize,
    /// Their paths; the first [`MOST_NAMED`] of them.
    pub files: Vec<String>,
}

/// Paths that [`LeftOut`] names at most.
pub const MOST_NAMED: usize = 1000;

impl LeftOut {
    /// Those of `files` that are to be named.
    pub(super) fn new(why: &'static str, words: impl Into<String>, files: &[impl AsRef<str>]) -> Self {
        let named = files.iter().take(MOST_NAMED).map(|file| file.as_ref().to_owned()).collect();
        Self { why, words: words.into(), count: files.len(), files: named }
    }
}

/// What somebody says about a data set beforehand.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted<'a> {
    /// Classes that are named: folders with these names are class folders.
    pub(super) classes: Option<&'a [String]>,
    /// Which columns of a table say the labels.
    pub(super) columns: LabelColumns,
}

/// Which images a set of paths holds, and what they are.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Whether folders, or a table, say which images are for training.
    pub(super) splits: bool,
    /// Which of [`SPLITS`] there is a folder for.
    pub(super) has: [bool; SPLITS.len()],
    /// Where each of them lies, without a `/` at the end; empty where there is none.
    pub(super) folders: [String; SPLITS.len()],
    /// The images, by their paths.
    pub(super) films: BTreeMap<String, Place>,
    /// Class folders without a file, with their splits.
    pub(super) empty: BTreeSet<(usize, String)>,
    pub(super) left_out: Vec<LeftOut>,
    /// What was decided that could have been decided otherwise: sentences.
    pub(super) decided: Vec<String>,
}

/// A folder of files that may be images.
#[derive(Debug, Default)]
struct Folder<'a> {
    folders: BTreeMap<&'a str, Folder<'a>>,
    files: Vec<File<'a>>,
    /// Images in it and below.
    images: usize,
    /// Images in it.
    own: usize,
}

#[derive(Debug, Clone, Copy)]
struct File<'a> {
    path: &'a str,
    name: &'a str,
}

impl<'a> Folder<'a> {
    fn insert(&mut self, path: &'a str) {
        let mut folder = self;
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let image = usize::from(!name.is_empty() && !is_document(name));
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            folder.images += image;
            folder = folder.folders.entry(part).or_default();
        }
        folder.images += image;
        if !name.is_empty() {
            folder.own += image;
            folder.files.push(File { path, name });
        }
    }

    /// The folders with images in them.
    fn full(&self) -> Vec<(&'a str, &Folder<'a>)> {
        self.folders.iter().filter(|(_, folder)| folder.images > 0).map(|(name, folder)| (*name, folder)).collect()
    }

    /// Every file in it and below.
    fn all(&self, into: &mut Vec<File<'a>>) {
        into.extend(&self.files);
        self.folders.values().for_each(|folder| folder.all(into));
    }

    /// Takes the masks out of it, and gives their paths.
    fn take_masks(&mut self, classes: &[String], masks: &mut Vec<&'a str>) {
        let called_so = |name: &str| mask_of(name).filter(|_| !classes.contains(&one_spelling(name)));
        if self.folders.keys().any(|name| called_so(name).is_some()) {
            let mut beside = Vec::new();
            beside.extend(&self.files);
            self.folders
                .iter()
                .filter(|(name, _)| called_so(name).is_none())
                .for_each(|(_, folder)| folder.all(&mut beside));
            beside.retain(|file| !is_document(file.name));
            let names: BTreeSet<&str> =
                beside.iter().map(|file| masked(file.name).unwrap_or(stem(file.name))).collect();
            self.folders.retain(|name, folder| {
                let Some(sure) = called_so(name).filter(|_| !beside.is_empty()) else { return true };
                let mut files = Vec::new();
                folder.all(&mut files);
                let known =
                    files.iter().filter(|file| names.contains(masked(file.name).unwrap_or(stem(file.name)))).count();
                let are = sure == Mask::Sure || 2 * known > files.len();
                if are {
                    masks.extend(files.iter().map(|file| file.path));
                }
                !are
            });
        }
        let names: BTreeSet<&str> = self.files.iter().map(|file| stem(file.name)).collect();
        let is_mask = |file: &File| masked(file.name).is_some_and(|image| names.contains(image));
        masks.extend(self.files.iter().filter(|file| is_mask(file)).map(|file| file.path));
        self.files.retain(|file| !is_mask(file));
        self.folders.values_mut().for_each(|folder| folder.take_masks(classes, masks));
        self.own = self.files.iter().filter(|file| !is_document(file.name)).count();
        self.images = self.own + self.folders.values().map(|folder| folder.images).sum::<usize>();
    }
}

/// What lies in a folder that all else lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `train/<class>/*` and its like.
    Splits,
    /// `<class>/*`.
    Classes,
    /// `<class>/train/*` and its like.
    Inverted,
}

/// A part of the set: where it lies, empty or ending in `/`, and how it is laid out.
#[derive(Debug)]
struct Root {
    prefix: String,
    kind: Kind,
}

/// The parts of a set in `folder`, going down through folders that hold nothing else.
fn roots(folder: &Folder, prefix: &str, classes: &[String]) -> Vec<Root> {
    let children = folder.full();
    let here = |kind| vec![Root { prefix: prefix.to_owned(), kind }];
    let below = |name: &str| format!("{prefix}{name}/");
    if children.iter().any(|(name, _)| classes.contains(&one_spelling(name))) {
        return here(Kind::Classes);
    }
    let is_split = |(name, _): &(&str, &Folder)| split_of(name).is_some();
    if folder.folders.keys().any(|name| split_of(name).is_some()) {
        // `train.zip` of a set that has a `train` and a `test` folder.
        return match children[..] {
            [(name, child)] if child.full().iter().filter(|child| is_split(child)).count() > 1 => {
                roots(child, &below(name), classes)
            }
            _ => here(Kind::Splits),
        };
    }
    if let [(name, child)] = children[..] {
        let nested = child.folders.values().any(|inner| inner.images > 0);
        return if nested && folder.own < child.images {
            roots(child, &below(name), classes)
        } else {
            here(Kind::Classes)
        };
    }
    if children.len() > 1 {
        let only_splits = |(_, child): &(&str, &Folder)| {
            let inner = child.full();
            !inner.is_empty() && inner.iter().all(|split| is_split(split) && split.1.own > 0)
        };
        if children.iter().all(only_splits) {
            return here(Kind::Inverted);
        }
        let parts: Vec<Root> = children.iter().flat_map(|(name, child)| roots(child, &below(name), classes)).collect();
        let apart = children.iter().all(|(name, _)| {
            let name = below(name);
            let mut own = parts.iter().filter(|root| root.prefix.starts_with(&name)).peekable();
            own.peek().is_some() && own.all(|root| root.kind == Kind::Splits)
        });
        if apart || are_parts(&children) {
            return parts;
        }
    }
    here(Kind::Classes)
}

/// Whether numbered folders all hold the same class folders.
fn are_parts(folders: &[(&str, &Folder)]) -> bool {
    let names: Vec<&str> = folders.iter().map(|(name, _)| *name).collect();
    let inner =
        |folder: &Folder| folder.full().into_iter().map(|(name, _)| one_spelling(name)).collect::<BTreeSet<_>>();
    no_classes(&names, f64::INFINITY) == Some(NoClasses::Numbered)
        && folders.iter().all(|(_, folder)| inner(folder).len() > 1 && inner(folder) == inner(folders[0].1))
}

/// Where the classes of a split lie: `train/train/<class>` and `train/images/<class>` are for `train/<class>`.
fn within_split<'f, 'a>(split: usize, mut folder: &'f Folder<'a>, prefix: &str) -> (String, &'f Folder<'a>) {
    let mut prefix = prefix.to_owned();
    while let ([(name, child)], 0) = (&folder.full()[..], folder.own) {
        let container = ["images", "image", "imgs", "data", "dataset", "films", "x-rays", "xrays"]
            .contains(&name.to_lowercase().as_str())
            && child.folders.values().any(|inner| inner.images > 0);
        if split_of(name) != Some(split) && !container {
            break;
        }
        let Some(child) = folder.folders.get(name) else { break };
        prefix = format!("{prefix}{name}/");
        folder = child;
    }
    (prefix, folder)
}

impl Layout {
    /// The layout of `paths`, with `/` on every system; one that ends in it is a folder.
    ///
    /// `train/<class>/*`, `test/<class>/*` and `val/<class>/*`, by their usual words, or `<class>/*` alone; in whichever
    /// folders all of it lies; a table of labels where folders are no classes.
    ///
    /// # Errors
    /// [`Error::Dataset`] that says what to do when neither folders nor a table say the classes.
    pub(super) fn of(paths: &[&str], tables: &[FoundTable], wanted: &Wanted) -> Result<Self> {
        let mut layout = Self::default();
        let classes = wanted.classes.unwrap_or_default();
        let (mut system, mut table_files, mut tree) = (Vec::new(), Vec::new(), Folder::default());
        for &path in paths {
            let name = path.rsplit('/').next().unwrap_or(path);
            if path.split('/').any(is_system) {
                if !path.ends_with('/') {
                    system.push(path);
                }
            } else if let Some((class, rest)) = by_hand(path) {
                layout.place(path, TRAIN, class, rest);
            } else if is_table(name) {
                table_files.push(path);
            } else {
                tree.insert(path);
            }
        }
        let mut masks = Vec::new();
        tree.take_masks(classes, &mut masks);

        let nothing_else = tree.images == 0 && !layout.films.is_empty();
        let found = if nothing_else { Found::default() } else { found(&tree, classes) };
        layout.has = found.has;
        layout.folders = found.folders;
        layout.splits = found.has.contains(&true) || found.inverted;
        layout.decided.extend(found.decided);
        let mut outside = found.outside;
        let problem = match wanted.columns.are_given() {
            true => Some(NoLabels::Asked),
            false if nothing_else => None,
            false => found.problem,
        };
        let mut files = Vec::new();
        tree.all(&mut files);
        files.retain(|file| !is_document(file.name));
        let images: Vec<&str> = files.iter().map(|file| file.path).collect();
        let labelled = match problem {
            None => None,
            Some(_) => labels_of(&images, tables, &wanted.columns)?,
        };
        let labelled = labelled.filter(|labelled| problem == Some(NoLabels::Asked) || labelled.classes() > 1);
        match (problem, labelled) {
            // One folder may be one class.
            (None, _) | (Some(NoLabels::One(_)), None) => {
                for (split, class, rest, file) in &found.films {
                    layout.place(file.path, *split, class, rest);
                }
                layout.empty = found.empty;
                let images = layout.films.keys().map(String::as_str).collect::<Vec<_>>();
                let groups = groups_of(&images, tables);
                for (path, of) in groups.rows {
                    if let Some(place) = layout.films.get_mut(&path) {
                        (place.group, place.source) = of;
                    }
                }
                layout.decided.extend(groups.said);
                if !table_files.is_empty() {
                    let used = groups.used;
                    let unused: Vec<&str> =
                        table_files.into_iter().filter(|path| Some(*path) != used.as_deref()).collect();
                    layout.leave_out("table", "tables that are not used: folders say the classes", &unused);
                }
            }
            (Some(problem), None) => return Err(problem.error(tables, &layout.decided)),
            (Some(problem), Some(labelled)) => {
                outside.clear();
                layout.take(labelled, &problem, &found.split_of);
            }
        }
        let (documents, images): (Vec<&str>, Vec<&str>) = outside.into_iter().partition(|path| !is_image(path));
        layout.leave_out("outside", "outside of class folders", &images);
        layout.leave_out("document", "no images, outside of class folders", &documents);
        layout.leave_out("mask", "masks, or other drawings on the images beside them", &masks);
        layout.leave_out("system", "put there by a system or a program", &system);
        Ok(layout)
    }

    fn place(&mut self, path: &str, split: usize, class: &str, rest: &str) {
        let place = Place { split, class: one_spelling(class), rest: rest.to_owned(), group: None, source: None };
        self.films.insert(path.to_owned(), place);
    }

    fn leave_out(&mut self, why: &'static str, words: &str, files: &[&str]) {
        if !files.is_empty() {
            self.left_out.push(LeftOut::new(why, words, files));
        }
    }

    /// Takes the labels of a table.
    fn take(&mut self, labelled: Labelled, problem: &NoLabels, split_of: &HashMap<String, usize>) {
        self.decided.extend(problem.words());
        self.decided.extend(labelled.said);
        for (path, row) in labelled.rows {
            let split = split_of.get(&path).copied().or(row.split);
            self.splits |= row.split.is_some();
            let rest = path.clone();
            let place =
                Place { split: split.unwrap_or(TRAIN), class: row.class, rest, group: row.group, source: row.source };
            self.has[place.split] |= row.split.is_some();
            self.films.insert(path, place);
        }
        let left = [
            ("several-labels", "the table gives them several labels, and a class is one", labelled.several),
            ("no-label", "the table gives them no label", labelled.unknown),
        ];
        for (why, words, files) in left.into_iter().filter(|(.., files)| !files.is_empty()) {
            self.left_out.push(LeftOut::new(why, words, &files));
        }
    }
}

/// Class and file of a path in the folder of classes made by hand, wherever that lies.
fn by_hand(path: &str) -> Option<(&str, &str)> {
    let below = path.strip_prefix(BY_HAND)?.strip_prefix('/')?;
    below.split_once('/').filter(|(_, rest)| !rest.is_empty())
}

/// Why folders say no classes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NoLabels {
    /// A table is to be used whatever the folders are.
    Asked,
    /// There are none.
    Flat,
    /// There is one, which may hold all images, or be one class.
    One(String),
    Folders(NoClasses, Vec<String>),
}

impl NoLabels {
    fn words(&self) -> Option<String> {
        let list = |names: &[String]| match names {
            [first, .., last] => format!("{first} … {last}"),
            names => names.concat(),
        };
        match self {
            Self::Asked | Self::Flat => None,
            Self::One(name) => Some(format!("the images lie in the one folder `{name}`, which is no class")),
            Self::Folders(NoClasses::Numbered, names) => {
                Some(format!("the folders {} are numbered: their names are no labels", list(names)))
            }
            Self::Folders(NoClasses::Patients, names) => {
                Some(format!("the folders {} look like patients, not like classes", list(names)))
            }
        }
    }

    fn error(&self, tables: &[FoundTable], decided: &[String]) -> Error {
        let what = self.words().unwrap_or_else(|| "there are no class folders".into());
        let mut reason =
            format!("{what}; put the images of each class into a folder of its own, as in train/<class>/ or <class>/");
        for found in tables {
            match &found.table {
                Ok(table) => {
                    reason += &format!(
                        ". A table lies beside, {} (columns {}): name it and its columns of files and of classes \
                         (--labels, --file-column, --label-column; on the page under “Labels in a table”)",
                        found.path,
                        table.titles()
                    );
                }
                Err(why) => reason += &format!(". {} is not read: {why}", found.path),
            }
        }
        if !decided.is_empty() {
            reason += &format!(". Seen so far: {}", decided.join("; "));
        }
        Error::Dataset { reason }
    }
}

/// What folders say.
#[derive(Default)]
struct Found<'a> {
    has: [bool; SPLITS.len()],
    folders: [String; SPLITS.len()],
    inverted: bool,
    films: Vec<(usize, String, String, File<'a>)>,
    empty: BTreeSet<(usize, String)>,
    outside: Vec<&'a str>,
    /// By path, where folders say it.
    split_of: HashMap<String, usize>,
    problem: Option<NoLabels>,
    decided: Vec<String>,
}

/// Sorts the files of the tree by the names of folders.
fn found<'a>(tree: &Folder<'a>, classes: &[String]) -> Found<'a> {
    let mut found = Found::default();
    let roots = roots(tree, "", classes);
    let mut renamed = BTreeMap::new();
    // Folders of classes, each with its split.
    let mut places: Vec<(String, usize, &Folder)> = Vec::new();
    for Root { prefix, kind } in &roots {
        let folder = at(tree, prefix);
        match kind {
            Kind::Classes => places.push((prefix.clone(), TRAIN, folder)),
            Kind::Splits => {
                for (name, child) in &folder.folders {
                    let Some(split) = split_of(name) else { continue };
                    found.has[split] = true;
                    if *name != SPLITS[split] {
                        renamed.insert((*name).to_owned(), split);
                    }
                    let (prefix, child) = within_split(split, child, &format!("{prefix}{name}/"));
                    found.folders[split] = prefix.trim_end_matches('/').to_owned();
                    places.push((prefix, split, child));
                }
            }
            Kind::Inverted => found.take_inverted(prefix, folder),
        }
    }
    let inverted = found.inverted;
    let mut names = BTreeMap::<&str, usize>::new();
    let mut loose = 0;
    let train_only = found.has[TRAIN];
    for (_, _, folder) in places.iter().filter(|(_, split, _)| !train_only || *split == TRAIN) {
        loose += folder.own;
        for (name, class) in &folder.folders {
            *names.entry(name).or_default() += class.images;
        }
    }
    let mut placed = BTreeSet::new();
    for (prefix, split, folder) in &places {
        let mut below = Vec::new();
        folder.all(&mut below);
        found
            .split_of
            .extend(below.iter().filter(|_| found.has.contains(&true)).map(|file| (file.path.to_owned(), *split)));
        for (name, class) in &folder.folders {
            let mut files = Vec::new();
            class.all(&mut files);
            if files.is_empty() {
                found.empty.insert((*split, one_spelling(name)));
            }
            // A folder of papers is no class.
            if class.images == 0 {
                continue;
            }
            for file in files {
                placed.insert(file.path);
                let rest = file.path.strip_prefix(&format!("{prefix}{name}/")).unwrap_or(file.name);
                found.films.push((*split, (*name).to_owned(), rest.to_owned(), file));
            }
        }
    }
    placed.extend(found.films.iter().map(|(.., file)| file.path));
    let mut all = Vec::new();
    tree.all(&mut all);
    found.outside = all.iter().map(|file| file.path).filter(|path| !placed.contains(path)).collect();
    let full: Vec<&str> = names.iter().filter(|(_, images)| **images > 0).map(|(name, _)| *name).collect();
    let mean = names.values().sum::<usize>() as f64 / full.len().max(1) as f64;
    let known = full.iter().any(|name| classes.contains(&one_spelling(name)));
    found.problem = match &full[..] {
        _ if inverted || known => None,
        [] if loose == 0 && !names.is_empty() => None,
        [] => Some(NoLabels::Flat),
        [one] => Some(NoLabels::One((*one).to_owned())),
        names => no_classes(names, mean)
            .map(|kind| NoLabels::Folders(kind, names.iter().map(|name| (*name).to_owned()).collect())),
    };
    found.say(&roots, renamed);
    found
}

impl<'a> Found<'a> {
    fn take_inverted(&mut self, prefix: &str, folder: &Folder<'a>) {
        self.inverted = true;
        for (class, child) in &folder.folders {
            for (name, inner) in &child.folders {
                let Some(split) = split_of(name) else { continue };
                self.has[split] = true;
                let mut files = Vec::new();
                inner.all(&mut files);
                for file in files {
                    let rest = file
                        .path
                        .strip_prefix(prefix)
                        .and_then(|path| path.split_once('/'))
                        .map_or("", |(_, rest)| rest);
                    self.split_of.insert(file.path.to_owned(), split);
                    self.films.push((split, (*class).to_owned(), rest.to_owned(), file));
                }
            }
        }
    }

    fn say(&mut self, roots: &[Root], renamed: BTreeMap<String, usize>) {
        match roots {
            [Root { prefix, .. }] if prefix.is_empty() => {}
            [Root { prefix, .. }] => self.decided.push(format!("the data set is the folder {prefix}")),
            roots => {
                let prefixes: Vec<&str> = roots.iter().map(|root| root.prefix.as_str()).collect();
                self.decided.push(format!("{} folders are taken together: {}", roots.len(), prefixes.join(", ")));
            }
        }
        if self.inverted {
            self.decided.push("the splits are folders in the class folders".into());
        }
        for (name, split) in renamed {
            self.decided.push(format!("the folder `{name}` is taken as {}", SPLITS[split]));
        }
    }
}

/// The folder at `prefix`.
fn at<'f, 'a>(tree: &'f Folder<'a>, prefix: &str) -> &'f Folder<'a> {
    let step = |folder: &'f Folder<'a>, name: &str| folder.folders.get(name).unwrap_or(folder);
    prefix.split('/').filter(|part| !part.is_empty()).fold(tree, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(paths: &[&str], tables: &[(&str, &str)]) -> Result<Layout> {
        let tables: Vec<FoundTable> =
            tables.iter().map(|(path, text)| FoundTable::new(path, text.as_bytes())).collect();
        let all: Vec<&str> = paths.iter().copied().chain(tables.iter().map(|found| found.path.as_str())).collect();
        Layout::of(&all, &tables, &Wanted::default())
    }

    /// `split/class` and how many images it has.
    fn counts(layout: &Layout) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for place in layout.films.values() {
            *counts.entry(format!("{}/{}", SPLITS[place.split], place.class)).or_default() += 1;
        }
        counts
    }

    fn told(layout: &Layout) -> String {
        let counts = counts(layout);
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    }

    /// `{}` is 0 and 1.
    fn two(patterns: &[&str]) -> Vec<String> {
        patterns.iter().flat_map(|pattern| [0, 1].map(|i| pattern.replace("{}", &i.to_string()))).collect()
    }

    fn of(patterns: &[&str]) -> Layout {
        let paths = two(patterns);
        laid_out(&paths.iter().map(String::as_str).collect::<Vec<_>>(), &[]).unwrap()
    }

    fn left(layout: &Layout) -> String {
        layout.left_out.iter().map(|left| format!("{} {}", left.why, left.count)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn splits_in_other_words_and_cases_are_no_classes() {
        for (train, val, test) in [
            ("Train", "Val", "Test"),
            ("Training", "Validation", "Testing"),
            ("train", "valid", "test"),
            ("TRAIN", "dev", "TEST"),
            ("training_set", "validation_set", "test_set"),
        ] {
            let layout =
                of(&[train, val, test].map(|split| format!("x/{split}/A/{{}}.png")).each_ref().map(String::as_str));
            assert_eq!(told(&layout), "test/A 2, train/A 2, val/A 2", "{train}");
            assert!(layout.splits && layout.has == [true; 3]);
            let said = layout.decided.join(" ");
            assert!(train == "train" || said.contains(&format!("`{train}` is taken as train")), "{said}");
        }
    }

    #[test]
    fn outer_folders_are_gone_down_and_what_lies_beside_the_splits_is_named() {
        // As the Kaggle set of pneumonia comes.
        let layout = of(&[
            "chest_xray/train/A/{}.png",
            "chest_xray/test/A/{}.png",
            "chest_xray/chest_xray/train/A/{}.png",
            "chest_xray/__MACOSX/train/A/._{}.png",
            "chest_xray/train/A/.DS_Store",
        ]);
        assert_eq!((told(&layout), left(&layout)), ("test/A 2, train/A 2".into(), "outside 2, system 4".into()));
        assert_eq!(layout.decided, ["the data set is the folder chest_xray/"]);
        // A zip called as a split of what is a whole set, and a split in a split.
        assert_eq!(told(&of(&["train/train/A/{}.png", "train/test/A/{}.png"])), "test/A 2, train/A 2");
        assert_eq!(
            told(&of(&["train/train/A/{}.png", "train/train/B/{}.png", "test/test/A/{}.png"])),
            "test/A 2, train/A 2, train/B 2"
        );
        assert_eq!(told(&of(&["x/train/images/A/{}.png", "x/train/images/B/{}.png"])), "train/A 2, train/B 2");
    }

    #[test]
    fn masks_beside_images_are_left_out_and_named() {
        // As COVID-19 Radiography and COVID-QU-Ex come.
        let layout =
            of(&["A/images/A-{}.png", "A/masks/A-{}.png", "B/images/B-{}.png", "B/masks/B-{}.png", "A.metadata.xlsx"]);
        assert_eq!((told(&layout), left(&layout)), ("train/A 2, train/B 2".into(), "document 2, mask 4".into()));
        assert_eq!(layout.left_out[1].files[0], "A/masks/A-0.png");
        let layout = of(&[
            "Infection Segmentation Data/Infection Segmentation Data/Train/COVID-19/images/c{}.png",
            "Infection Segmentation Data/Infection Segmentation Data/Train/COVID-19/infection masks/c{}.png",
            "Infection Segmentation Data/Infection Segmentation Data/Train/Normal/images/n{}.png",
            "Lung Segmentation Data/Lung Segmentation Data/Train/COVID-19/images/c{}.png",
            "Lung Segmentation Data/Lung Segmentation Data/Train/COVID-19/lung masks/c{}.png",
            "Lung Segmentation Data/Lung Segmentation Data/Val/Normal/images/n{}.png",
        ]);
        assert_eq!(
            (told(&layout), left(&layout)),
            ("train/COVID-19 4, train/Normal 2, val/Normal 2".into(), "mask 4".into())
        );
        assert!(layout.decided[0].contains("2 folders are taken together"), "{:?}", layout.decided);
        // Beside each image, and what is a class for all its name.
        let layout = of(&["A/{}.png", "A/{}_mask.png", "B/{}.png"]);
        assert_eq!((told(&layout), left(&layout)), ("train/A 2, train/B 2".into(), "mask 2".into()));
        assert_eq!(left(&of(&["with_mask/a{}.png", "without_mask/b{}.png", "Segmentation/c{}.png"])), "");
        // Masks alone are images.
        assert_eq!(told(&of(&["masks/A/{}.png", "masks/B/{}.png"])), "train/A 2, train/B 2");
    }

    #[test]
    fn files_of_systems_are_no_images_and_no_classes() {
        let layout = of(&[
            "train/A/{}.png",
            "train/B/{}.png",
            "train/@eaDir/A@SynoEAStream/{}.png",
            "train/A/@eaDir/{}.png/SYNOPHOTO_THUMB_M.jpg",
            "train/Thumbs.db",
            "train/A/desktop.ini",
            "train/A/._{}.png",
            ".git/objects/{}.png",
        ]);
        assert_eq!((told(&layout), left(&layout)), ("train/A 2, train/B 2".into(), "system 12".into()));
    }

    #[test]
    fn splits_in_class_folders_and_parts_with_the_same_classes_are_put_together() {
        assert_eq!(told(&of(&["A/train/{}.png", "A/test/{}.png", "B/train/{}.png"])), "test/A 2, train/A 2, train/B 2");
        assert_eq!(
            told(&of(&["images_001/A/{}.png", "images_001/B/{}.png", "images_002/A/x{}.png", "images_002/B/{}.png"])),
            "train/A 4, train/B 4"
        );
        // Two zips of one set each.
        assert_eq!(
            told(&of(&["one/train/A/{}.png", "one/train/B/{}.png", "two/test/A/{}.png"])),
            "test/A 2, train/A 2, train/B 2"
        );
        // Hospitals are below classes.
        assert_eq!(told(&of(&["A/here/{}.png", "A/there/{}.png", "B/here/{}.png"])), "train/A 4, train/B 2");
    }

    #[test]
    fn classes_made_by_hand_may_be_called_anything_and_accents_are_one_class() {
        let layout = of(&["by hand/test/{}.png", "by hand/train/{}.png"]);
        assert_eq!(told(&layout), "train/test 2, train/train 2");
        assert!(!layout.splits);
        let layout = of(&["set/train/A/{}.png", "set/test/A/{}.png", "by hand/test/{}.png"]);
        assert_eq!(told(&layout), "test/A 2, train/A 2, train/test 2");
        let layout = of(&["train/Neumon\u{ed}a/{}.png", "train/Neumoni\u{301}a/x{}.png", "train/B/{}.png"]);
        assert_eq!(told(&layout), "train/B 2, train/Neumon\u{ed}a 4");
    }

    #[test]
    fn folders_that_are_no_classes_are_refused_by_name() {
        let refusal = |patterns: &[&str], tables: &[(&str, &str)]| {
            let paths = two(patterns);
            laid_out(&paths.iter().map(String::as_str).collect::<Vec<_>>(), tables).unwrap_err().to_string()
        };
        let numbered = refusal(&["images_001/images/a{}.png", "images_002/images/b{}.png"], &[("x.csv", "a,b\n1,2\n")]);
        assert!(
            numbered.contains("images_001 … images_002 are numbered") && numbered.contains("x.csv (columns a, b)"),
            "{numbered}"
        );
        let patients = refusal(&["x/train/patient0000{}/study1/v.jpg", "x/valid/patient1000{}/study1/v.jpg"], &[]);
        assert!(patients.contains("look like patients, not like classes"), "{patients}");
        let flat = refusal(&["{}.png"], &[("t.csv", "PK\x03\x04")]);
        assert!(flat.contains("no class folders") && flat.contains("<class>") && flat.contains("t.csv"), "{flat}");
        // Unless they are asked for.
        let classes = ["images_001".to_owned(), "images_002".to_owned()];
        let wanted = Wanted { classes: Some(&classes), ..Wanted::default() };
        let paths = ["images_001/a.png", "images_002/b.png"];
        assert_eq!(told(&Layout::of(&paths, &[], &wanted).unwrap()), "train/images_001 1, train/images_002 1");
    }

    #[test]
    fn a_table_beside_images_without_class_folders_says_the_labels() {
        let nih = "Image Index,Finding Labels,Patient ID\na0.png,Mass,1\na1.png,Mass|Nodule,2\nb0.png,No Finding,3\nother.png,Mass,4\n";
        let paths = two(&["images_001/images/a{}.png", "images_002/images/b{}.png"]);
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let layout = laid_out(&paths, &[("Data_Entry_2017.csv", nih)]).unwrap();
        assert_eq!(
            (told(&layout), left(&layout)),
            ("train/Mass 1, train/No Finding 1".into(), "several-labels 1, no-label 1".into())
        );
        let said = layout.decided.join("; ");
        for expected in [
            "names are no labels",
            "column `Finding Labels`, files in column `Image Index`",
            "patients are from column `Patient ID`",
            "2 of 4",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        assert_eq!(layout.films["images_001/images/a0.png"].group.as_deref(), Some("1"));
        // Splits from folders, one table for each.
        let layout = laid_out(
            &["C/train/patient1/s/v.jpg", "C/train/patient2/s/v.jpg", "C/valid/patient3/s/v.jpg"],
            &[
                (
                    "C/train.csv",
                    "Path,Sex,No Finding,Edema\nC/train/patient1/s/v.jpg,F,1,\nC/train/patient2/s/v.jpg,M,,1.0\n",
                ),
                ("C/valid.csv", "Path,Sex,No Finding,Edema\nC/valid/patient3/s/v.jpg,F,0,1\n"),
            ],
        )
        .unwrap();
        assert_eq!(told(&layout), "train/Edema 1, train/No Finding 1, val/Edema 1");
        // Splits from a column, names without endings.
        let layout = laid_out(
            &["all/x1.dcm", "all/x2.dcm", "all/x3.dcm"],
            &[("t.csv", "patientId;Target;split\nx1;0;TRAIN\nx2;1;TRAIN\nx3;1;TEST\n")],
        )
        .unwrap();
        assert_eq!(told(&layout), "test/1 1, train/0 1, train/1 1");
    }

    #[test]
    fn a_table_is_taken_in_place_of_folders_where_asked_and_wrong_columns_are_named() {
        let table = FoundTable::new("t.csv", b"f,kind,l\n0.png,x,A\n1.png,y,B\n");
        let ask = |label: &str| {
            let columns =
                LabelColumns { table: Some("t.csv".into()), file: Some("f".into()), label: Some(label.into()) };
            Layout::of(
                &["one/0.png", "two/1.png", "t.csv"],
                std::slice::from_ref(&table),
                &Wanted { columns, classes: None },
            )
        };
        assert_eq!(told(&ask("kind").unwrap()), "train/x 1, train/y 1");
        assert_eq!(told(&ask("L").unwrap()), "train/A 1, train/B 1");
        let missing = ask("q").unwrap_err().to_string();
        assert!(missing.contains("t.csv has no column `q`; it has f, kind, l"), "{missing}");
    }

    #[test]
    fn manifests_of_others_are_used_as_far_as_they_go_and_that_is_said() {
        let paths = ["set/train/A/0.png", "set/train/B/1.png"];
        let with = |text: &str| laid_out(&paths, &[("set/manifest.csv", text)]).unwrap();
        let group = |layout: &Layout| layout.films["set/train/A/0.png"].group.clone();
        for text in [
            "path,group\ntrain/A/0.png,p1\n",
            "path;group\r\ntrain/A/0.png;p1\r\n",
            "\u{feff}path,group\n.\\train\\A\\0.png,p1\n",
            "filename,Patient ID\n0.png,p1\n",
        ] {
            let layout = with(text);
            assert_eq!(group(&layout).as_deref(), Some("p1"), "{text}");
            assert!(layout.decided.join(" ").contains("for 1 of 2 images"), "{:?}", layout.decided);
        }
        for (text, why) in [
            ("filename,finding,view\nx.png,COVID,PA\n", "finding, view"),
            ("path,group\n/old/place/7.png,p1\n", "none of its paths, such as /old/place/7.png"),
        ] {
            let layout = with(text);
            let said = layout.decided.join(" ");
            assert!(
                group(&layout).is_none() && said.contains("manifest.csv is not used") && said.contains(why),
                "{said}"
            );
        }
    }
}
