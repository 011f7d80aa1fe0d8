//! Films that are handed over one by one, as a page gets them: laid out, shared out, and compared with each other.
//!
//! The same layouts, names, order and validation films as [`open`](super::open) finds on a disk, so that a page and the
//! command line train on the same batches. Beside that, what only the whole set shows: the same picture, or nearly the same,
//! in two splits or two classes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::alike::{alike, difference_hash};
use super::labelling::{FoundTable, LabelColumns};
use super::layout::{Layout, LeftOut, Place, Wanted};
use super::names::{SPLITS, TRAIN, free, is_system, is_table};
use super::split::hold_out;
use super::summary::{Facts, Summary, summary};
use super::{Dataset, Sample, in_order};
use crate::error::{Error, Result};
use crate::image::Radiograph;
use crate::preprocess::Preprocess;

/// Films of one size by the paths that they came with: 16 kB a film at 128 × 128.
#[derive(Debug)]
pub struct Collection {
    preprocess: Preprocess,
    films: BTreeMap<String, Film>,
    /// Paths of all files that were there, read or not.
    seen: BTreeSet<String>,
    /// Why files that may be films are none, by path.
    unreadable: BTreeMap<String, String>,
    /// Of paths that were there before, which files are called otherwise for it.
    renamed: HashMap<String, String>,
    /// Files that are the same as those of the same path before.
    again: usize,
    tables: Vec<FoundTable>,
    /// What there is to say of zips: sentences.
    notes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Film {
    grey: Vec<u8>,
    /// Of the file; unknown for what is kept from an earlier visit of an earlier version.
    facts: Option<Facts>,
    /// Of the picture, not of the file: a copy in another format without loss is the same.
    hash: [u8; 32],
    /// See [`difference_hash`].
    likeness: u64,
}

/// How films without splits of their own are shared out.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Classes in label order; every class folder in alphabetical order when `None`.
    pub classes: Option<Vec<String>>,
    /// The table that says the classes in place of folders, and its columns.
    pub labels: LabelColumns,
    /// Draws what is held back.
    pub seed: u64,
    /// Share of the training films held back for validation where no `val` folder holds them, in `[0, 0.9]`.
    pub val_fraction: f64,
    /// Share of all films held back for the test where there are no splits at all, in `[0, 0.9]`.
    pub test_fraction: f64,
}

impl Default for Shares {
    fn default() -> Self {
        let labels = LabelColumns::default();
        Self { classes: None, labels, seed: 0, val_fraction: 0.15, test_fraction: 0.2 }
    }
}

/// The films of a collection by split.
#[derive(Debug)]
pub struct Shared {
    /// Films to train on.
    pub train: Vec<Sample>,
    /// Films to choose the best epoch by.
    pub val: Vec<Sample>,
    /// Films that nothing may be chosen by.
    pub test: Vec<Sample>,
    /// What there is to say of them.
    pub report: Report,
}

/// Counts, and what was drawn or left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Films to train on, by class.
    pub train: Vec<usize>,
    /// Films to validate on, by class.
    pub val: Vec<usize>,
    /// Films to test on, by class.
    pub test: Vec<usize>,
    /// Whether the validation films were drawn, for there is no `val` folder.
    pub val_drawn: bool,
    /// Whether the test films were drawn, for there are no splits.
    pub test_drawn: bool,
    /// Pictures that are there more than once.
    pub copies: Vec<Copies>,
    /// Class folders that are no class, zips that break off: sentences.
    pub notes: Vec<String>,
    /// What was decided that could have been decided otherwise: sentences.
    pub decided: Vec<String>,
    /// Files left out, and why.
    pub left_out: Vec<LeftOut>,
    /// What the films of each class are like as files, and patients.
    #[serde(flatten)]
    pub summary: Summary,
}

/// The same picture under several names, or pictures that are nearly the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copies {
    /// Whether they are the same in every byte of what the network sees.
    pub exact: bool,
    /// Their paths in order.
    pub films: Vec<String>,
    /// What became of them, in words.
    pub outcome: &'static str,
    /// Those of them that are not used.
    pub left_out: Vec<String>,
    /// Those of them that are in another split than their folder, or the draw, had put them.
    pub moved: Vec<String>,
}

impl Collection {
    /// None yet; films will be prepared by `preprocess`.
    ///
    /// # Errors
    /// Those of [`Preprocess::validate`].
    pub fn new(preprocess: Preprocess) -> Result<Self> {
        preprocess.validate()?;
        Ok(Self {
            preprocess,
            films: BTreeMap::new(),
            seen: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            renamed: HashMap::new(),
            again: 0,
            tables: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// What is done to the films.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Number of films.
    pub fn len(&self) -> usize {
        self.films.len()
    }

    /// Whether there is no film.
    pub fn is_empty(&self) -> bool {
        self.films.is_empty()
    }

    /// A film as it is kept, grey bytes `[height, width]`, within 1/510 of what [`Preprocess::prepare`] gives; and what the
    /// `file` that it is from is like.
    ///
    /// # Errors
    /// Those of [`Preprocess::prepare`].
    pub fn prepare(&self, file: &[u8], film: &Radiograph) -> Result<(Vec<u8>, Facts)> {
        Dataset::prepared(&self.preprocess, file, film)
    }

    /// Notes which files there are, with `/` on every system; what they are called here is given back. None takes the place
    /// of another: where a path is there already, the file is called `name (2)`.
    pub fn see(&mut self, paths: &[String]) -> Vec<String> {
        let see = |path: &String| {
            let called = free(path, |path| self.seen.contains(path));
            self.seen.insert(called.clone());
            if called != *path {
                self.renamed.insert(called.clone(), path.clone());
            }
            called
        };
        paths.iter().map(see).collect()
    }

    /// Paths of the tables among the files.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        let is_table = |path: &&String| is_table(path) && !path.split('/').any(is_system);
        self.seen.iter().filter(is_table).map(String::as_str)
    }

    /// Takes the table at `path`: who the patients are, or what the images show.
    pub fn add_table(&mut self, path: &str, bytes: &[u8]) {
        self.seen.insert(path.to_owned());
        self.tables.retain(|found| found.path != path);
        self.tables.push(FoundTable::new(path, bytes));
    }

    /// Paths of the files that are images, for all that their names say.
    ///
    /// # Errors
    /// [`Error::Dataset`] when nothing says which classes there are.
    pub fn images(&self, shares: &Shares) -> Result<Vec<String>> {
        Ok(self.layout(shares)?.films.into_keys().collect())
    }

    /// Notes something about the files as a whole, as a sentence.
    pub fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// Takes the film at `path` as [`Self::prepare`] gave it. One that [`Self::see`] gave another name, and that is the same
    /// as the one that has the name, is not taken twice.
    ///
    /// # Errors
    /// [`Error::BufferLength`] when it has another size.
    pub fn insert(&mut self, path: &str, grey: Vec<u8>) -> Result<()> {
        self.insert_with(path, grey, None)
    }

    /// As [`Self::insert`], with what is known of the file.
    ///
    /// # Errors
    /// Those of [`Self::insert`].
    pub fn insert_with(&mut self, path: &str, grey: Vec<u8>, facts: Option<Facts>) -> Result<()> {
        let expected = self.preprocess.height * self.preprocess.width;
        if grey.len() != expected {
            return Err(Error::BufferLength { expected, found: grey.len() });
        }
        let hash = Sha256::digest(&grey).into();
        let before = self.renamed.get(path).and_then(|before| self.films.get(before));
        if before.is_some_and(|film| film.hash == hash) {
            self.seen.remove(path);
            self.again += 1;
            return Ok(());
        }
        self.seen.insert(path.to_owned());
        let likeness = difference_hash(&grey, [self.preprocess.height, self.preprocess.width]);
        self.films.insert(path.to_owned(), Film { grey, facts, hash, likeness });
        Ok(())
    }

    /// Notes that the file at `path` is no film, and why.
    pub fn insert_unreadable(&mut self, path: &str, why: &str) {
        self.seen.insert(path.to_owned());
        self.unreadable.insert(path.to_owned(), why.to_owned());
    }

    /// What is known of the files of the films, by path.
    pub fn facts(&self) -> BTreeMap<&str, &Facts> {
        self.films.iter().filter_map(|(path, film)| Some((path.as_str(), film.facts.as_ref()?))).collect()
    }

    /// Takes what [`Self::facts`] gave.
    pub fn restore_facts(&mut self, facts: BTreeMap<String, Facts>) {
        for (path, facts) in facts {
            if let Some(film) = self.films.get_mut(&path) {
                film.facts = Some(facts);
            }
        }
    }

    /// Paths of all files that were there, images or not.
    pub fn seen(&self) -> impl Iterator<Item = &str> {
        self.seen.iter().map(String::as_str)
    }

    fn layout(&self, shares: &Shares) -> Result<Layout> {
        let paths: Vec<&str> = self.seen().collect();
        let wanted = Wanted { classes: shares.classes.as_deref(), columns: shares.labels.clone() };
        Layout::of(&paths, &self.tables, &wanted)
    }

    /// Paths of all films in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.films.keys().map(String::as_str)
    }

    /// The film at `path`, row-major `[height, width]`.
    pub fn grey(&self, path: &str) -> Option<&[u8]> {
        self.films.get(path).map(|film| film.grey.as_slice())
    }

    /// The films of some of [`Self::share`]'s samples.
    pub fn dataset(&self, samples: &[Sample], classes: &[String]) -> Dataset {
        let grey = |sample: &Sample| self.films[sample.path.to_str().expect("made of a string")].grey.as_slice();
        let films = samples.iter().map(|sample| (sample, grey(sample))).collect();
        Dataset::of(films, classes, &self.preprocess)
    }

    /// Sorts the films into classes and splits.
    ///
    /// `train/<class>/*`, `test/<class>/*` and `val/<class>/*`, or `<class>/*` alone; in whichever folder all of it lies.
    /// A picture that is there twice stays in one split: in its own class it is tested rather than validated on, and
    /// validated rather than trained on; in two classes it is not used at all. Pictures that are nearly the same all go to
    /// that split, whatever their classes.
    ///
    /// # Errors
    /// [`Error::Dataset`] that says what to do: no class folders, one class, a class without a film, too few films to
    /// validate. [`Error::Config`] for a share outside `[0, 0.9]`.
    pub fn share(&self, shares: &Shares) -> Result<Shared> {
        for (field, share) in [("val_fraction", shares.val_fraction), ("test_fraction", shares.test_fraction)] {
            if !(0.0..=0.9).contains(&share) {
                return Err(Error::Config { field, reason: format!("{share}; it must be 0 to 0.9") });
            }
        }
        let layout = self.layout(shares)?;
        if layout.splits && !layout.films.values().any(|place| place.split == TRAIN) {
            return Err(refuse("there is a `test` or `val` folder but no `train` folder".into()));
        }
        let mut notes = self.notes.clone();
        let classes = self.classes(&layout, shares, &mut notes)?;
        let mut copies = self.copies(&layout, &classes);
        let left_out: BTreeSet<&str> = copies.iter().flat_map(|copies| &copies.left_out).map(String::as_str).collect();
        let mut near = self.near_copies(&layout, &classes, &left_out);
        // What is drawn keeps copies together.
        let mut copied = HashMap::new();
        for group in copies.iter().chain(&near) {
            copied.extend(group.films.iter().map(|path| (path.as_str(), &group.films[0])));
        }

        let mut splits = [const { Vec::new() }; SPLITS.len()];
        for path in self.films.keys().filter(|path| !left_out.contains(path.as_str())) {
            let Some(place) = layout.films.get(path) else { continue };
            let Some(label) = classes.iter().position(|name| *name == place.class) else { continue };
            let copy = || copied.get(path.as_str()).map(|first| format!("copy of {first}"));
            splits[place.split].push(Sample {
                path: path.into(),
                name: format!("{}/{}", place.class, place.rest),
                class: label,
                group: place.group.clone().or_else(copy),
                source: place.source.clone(),
                packed: None,
            });
        }
        splits.iter_mut().for_each(|samples| in_order(samples));
        let [mut test, mut val, mut train] = splits;
        let has_val = layout.films.values().any(|place| place.split == 1);
        let (test_drawn, val_drawn) = (!layout.splits, !has_val);
        if test_drawn {
            (train, test) = hold_out(train, shares.test_fraction, shares.seed);
        }
        if val_drawn {
            (train, val) = hold_out(train, shares.val_fraction, shares.seed);
        }
        // Those that folders or a manifest's groups have put on both sides.
        let mut splits = [test, val, train];
        near.iter_mut().for_each(|copies| keep_together(copies, &mut splits));
        let [test, val, train] = splits;
        copies.extend(near);
        let all = || {
            let splits = [("train", &train), ("val", &val), ("test", &test)].into_iter();
            splits.flat_map(|(split, samples)| samples.iter().map(move |sample| (split, sample)))
        };
        let path = |sample: &Sample| sample.path.to_str().unwrap_or_default().to_owned();
        let facts = |(_, sample): (_, &Sample)| Some((sample.class, self.films.get(&path(sample))?.facts.as_ref()?));
        // What a sample has may also be made of copies.
        let group = |(split, sample)| Some((split, layout.films.get(&path(sample))?.group.as_deref()?));
        let summary = summary(&classes, all().filter_map(facts), all().filter_map(group));
        let count = |samples: &[Sample]| {
            let mut counts = vec![0; classes.len()];
            samples.iter().for_each(|sample| counts[sample.class] += 1);
            counts
        };
        let report = Report {
            train: count(&train),
            val: count(&val),
            test: count(&test),
            classes,
            val_drawn,
            test_drawn,
            copies,
            notes,
            decided: layout.decided,
            left_out: layout.left_out,
            summary,
        };
        if let Some(empty) = report.train.iter().position(|&count| count == 0) {
            let class = &report.classes[empty];
            return Err(refuse(format!("class `{class}` has no film left to train on; add films to it")));
        }
        if val.is_empty() {
            return Err(refuse("no film is left to validate on; about 7 films a class are the fewest".into()));
        }
        Ok(Shared { train, val, test, report })
    }

    /// The classes that there are films to train on for; `notes` gets what is beside them.
    fn classes(&self, layout: &Layout, shares: &Shares, notes: &mut Vec<String>) -> Result<Vec<String>> {
        let mut found = BTreeMap::<&str, usize>::new();
        for (path, place) in layout.films.iter().filter(|(_, place)| place.split == TRAIN) {
            *found.entry(&place.class).or_default() += usize::from(self.films.contains_key(path));
        }
        if self.again > 0 {
            notes.push(format!("{} file(s) were there already, with the same path and picture.", self.again));
        }
        let classes: Vec<String> = match &shares.classes {
            Some(classes) => classes.clone(),
            None => found.keys().map(|&class| class.to_owned()).collect(),
        };
        if let Some(missing) = classes.iter().find(|class| found.get(class.as_str()).is_none_or(|&films| films == 0)) {
            let reason = format!("class `{missing}` has no readable film to train on; add films, or leave it out");
            let of_class =
                |(path, why)| layout.films.get(path).filter(|place| place.class == *missing).map(|_| (path, why));
            let mut unread = self.unreadable.iter().filter_map(of_class);
            let example = unread.next();
            return Err(refuse(match example {
                Some((path, why)) => {
                    format!("{reason}. {} of its files are not read, such as {path}: {why}", 1 + unread.count())
                }
                None => reason,
            }));
        }
        if classes.len() < 2 {
            let one = classes.first().map_or("none", String::as_str);
            return Err(refuse(format!("training needs at least two classes; there is {one}")));
        }
        let mut others = BTreeSet::new();
        for place in self.films.keys().filter_map(|path| layout.films.get(path)) {
            if !classes.contains(&place.class) {
                let class = &place.class;
                others.insert(if layout.splits { format!("{}/{class}", SPLITS[place.split]) } else { class.clone() });
            }
        }
        if !others.is_empty() {
            notes.push(format!("Left out, no class to train: {}.", others.into_iter().collect::<Vec<_>>().join(", ")));
        }
        Ok(classes)
    }

    /// Pictures that are there more than once in the classes.
    fn copies(&self, layout: &Layout, classes: &[String]) -> Vec<Copies> {
        let mut alike = BTreeMap::<&[u8; 32], Vec<(&str, &Place)>>::new();
        for (path, film) in &self.films {
            if let Some(place) = layout.films.get(path).filter(|place| classes.contains(&place.class)) {
                alike.entry(&film.hash).or_default().push((path, place));
            }
        }
        let mut copies: Vec<Copies> = alike
            .into_values()
            .filter(|films| films.len() > 1)
            .map(|films| {
                let (first, best) = (&films[0].1.class, films.iter().map(|(_, place)| place.split).min());
                let one_class = films.iter().all(|(_, place)| place.class == *first);
                let one_split = films.iter().all(|(_, place)| Some(place.split) == best);
                let left_out = |(_, place): &&(&str, &Place)| !one_class || Some(place.split) != best;
                Copies {
                    exact: true,
                    outcome: match (one_class, one_split) {
                        (false, _) => "in different classes, so none is used",
                        (true, false) => "in different splits, so it is kept where nothing is learnt from it",
                        (true, true) => "in one class, where it counts more than once; never on both sides of a split",
                    },
                    left_out: films.iter().filter(left_out).map(|(path, _)| path.to_string()).collect(),
                    films: films.iter().map(|(path, _)| path.to_string()).collect(),
                    moved: Vec::new(),
                }
            })
            .collect();
        copies.sort_by(|a, b| a.films.cmp(&b.films));
        copies
    }

    /// Pictures of the classes that are nearly the same, without those that are left out.
    fn near_copies(&self, layout: &Layout, classes: &[String], left_out: &BTreeSet<&str>) -> Vec<Copies> {
        let class = |path: &str| layout.films.get(path).map(|place| &place.class);
        let used = |path: &str| !left_out.contains(path) && class(path).is_some_and(|class| classes.contains(class));
        let films: Vec<(&String, &Film)> = self.films.iter().filter(|(path, _)| used(path)).collect();
        let greys: Vec<_> = films.iter().map(|(_, film)| (film.likeness, film.grey.as_slice())).collect();
        let groups = alike(&greys, [self.preprocess.height, self.preprocess.width]);
        let differ = |group: &&Vec<usize>| group.iter().any(|&film| films[film].1.hash != films[group[0]].1.hash);
        let near = groups.iter().filter(differ).map(|group| {
            let one_class = group.iter().all(|&film| class(films[film].0) == class(films[group[0]].0));
            Copies {
                exact: false,
                films: group.iter().map(|&film| films[film].0.clone()).collect(),
                outcome: if one_class {
                    "nearly the same picture; never on both sides of a split"
                } else {
                    "nearly the same picture in different classes, of which one may be wrong; never on both sides of a split"
                },
                left_out: Vec::new(),
                moved: Vec::new(),
            }
        });
        near.collect()
    }
}

/// Moves all of `copies` to the first of `splits` that has one of them: nothing is learnt from what is tested.
fn keep_together(copies: &mut Copies, splits: &mut [Vec<Sample>; SPLITS.len()]) {
    let one_of = |sample: &Sample| copies.films.iter().any(|path| sample.path == *Path::new(path));
    let Some(first) = splits.iter().position(|samples| samples.iter().any(one_of)) else { return };
    let mut moved = Vec::new();
    for samples in &mut splits[first + 1..] {
        moved.extend(samples.extract_if(.., |sample| one_of(sample)));
    }
    copies.moved = moved.iter().map(|sample| sample.path.display().to_string()).collect();
    splits[first].extend(moved);
    in_order(&mut splits[first]);
}

fn refuse(reason: String) -> Error {
    Error::Dataset { reason }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A film of one grey at each path.
    fn collection(films: &[(&str, u8)]) -> Collection {
        let mut collection = Collection::new(Preprocess::new(1, 2, 2)).unwrap();
        films.iter().for_each(|(path, grey)| collection.insert(path, vec![*grey; 4]).unwrap());
        collection
    }

    /// `n` different films of each class in a folder.
    fn folder(prefix: &str, classes: &[&str], n: u8, first: u8) -> Vec<(String, u8)> {
        let of = |(c, class): (usize, &&str)| {
            let class = class.to_string();
            (0..n).map(move |i| (format!("{prefix}{class}/{i}.png"), first + c as u8 * n + i)).collect::<Vec<_>>()
        };
        classes.iter().enumerate().flat_map(of).collect()
    }

    fn of(films: &[(String, u8)]) -> Collection {
        collection(&films.iter().map(|(path, grey)| (path.as_str(), *grey)).collect::<Vec<_>>())
    }

    fn names(samples: &[Sample]) -> BTreeSet<&str> {
        samples.iter().map(|sample| sample.name.as_str()).collect()
    }

    #[test]
    fn class_folders_alone_are_shared_out_by_class_and_the_same_way_for_the_same_seed() {
        for root in ["", "films/", "a/b/"] {
            let films = of(&folder(root, &["sick", "well"], 40, 1));
            let shared = films.share(&Shares::default()).unwrap();
            let Report { train, val, test, val_drawn, test_drawn, .. } = &shared.report;
            // A fifth of 40, then 15 % of 32, to the nearest.
            assert_eq!((&train[..], &val[..], &test[..]), (&[27, 27][..], &[5, 5][..], &[8, 8][..]), "{root}");
            assert!(*val_drawn && *test_drawn);
            let again = films.share(&Shares::default()).unwrap();
            assert_eq!((&shared.train, &shared.val, &shared.test), (&again.train, &again.val, &again.test));
            let other = films.share(&Shares { seed: 1, ..Shares::default() }).unwrap();
            assert_ne!(names(&shared.test), names(&other.test));
        }
    }

    #[test]
    fn splits_that_are_there_are_kept_and_validation_films_are_drawn_from_training_ones_only() {
        let mut films = folder("set/train/", &["sick", "well"], 20, 1);
        films.extend(folder("set/test/", &["sick", "well"], 5, 100));
        let shared = of(&films).share(&Shares::default()).unwrap();
        assert_eq!((&shared.report.train[..], &shared.report.val[..]), (&[17, 17][..], &[3, 3][..]));
        assert_eq!(shared.report.test, [5, 5]);
        assert!(shared.test.iter().all(|sample| sample.path.starts_with("set/test")));
        assert!(shared.report.val_drawn && !shared.report.test_drawn);
    }

    #[test]
    fn films_stand_in_the_order_of_a_walk_through_the_folders() {
        let films = collection(&[
            ("train/b/x.png", 1),
            ("train/a/x y.png", 2),
            ("train/a/x/z.png", 3),
            ("train/a/x.png", 4),
            ("train/B/1.png", 5),
            ("val/a/1.png", 6),
        ]);
        let shared = films.share(&Shares::default()).unwrap();
        let found: Vec<&str> = shared.train.iter().map(|sample| sample.name.as_str()).collect();
        assert_eq!(found, ["B/1.png", "a/x/z.png", "a/x y.png", "a/x.png", "b/x.png"]);
    }

    #[test]
    fn a_picture_in_two_splits_is_tested_and_not_trained_on_and_in_two_classes_not_used() {
        let mut films = folder("train/", &["sick", "well"], 10, 1);
        films.extend(folder("test/", &["sick", "well"], 2, 100));
        // The same pictures as train/sick/3.png, train/well/2.png and, in the other class, train/sick/5.png.
        films.extend([
            ("test/sick/three.png".into(), 4),
            ("train/well/two.png".into(), 13),
            ("train/well/5b.png".into(), 6),
        ]);
        let shared = of(&films).share(&Shares::default()).unwrap();
        let copies: Vec<_> = shared.report.copies.iter().map(|c| (c.films.len(), c.left_out.join(" "))).collect();
        let expected = [
            (2, "train/sick/3.png".to_owned()),
            (2, "train/sick/5.png train/well/5b.png".to_owned()),
            (2, String::new()),
        ];
        assert_eq!(copies, expected);
        let trained = names(&shared.train).into_iter().chain(names(&shared.val)).collect::<BTreeSet<_>>();
        for gone in ["sick/3.png", "sick/5.png", "well/5b.png"] {
            assert!(!trained.contains(gone), "{gone}");
        }
        assert!(names(&shared.test).contains("sick/three.png"));
        // Whatever is drawn, the two of a kind are on one side.
        for seed in 0..20 {
            let shared = of(&films).share(&Shares { seed, ..Shares::default() }).unwrap();
            let val = names(&shared.val);
            assert_eq!(val.contains("well/2.png"), val.contains("well/two.png"), "seed {seed}");
        }
    }

    #[test]
    fn nearly_the_same_picture_is_moved_to_where_nothing_is_learnt_from_it() {
        // Random pictures; one of them a grey level brighter, under another name.
        let mut films = Collection::new(Preprocess::new(1, 64, 64)).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut picture = || (0..64 * 64).map(|_| rng.random_range(0..250)).collect::<Vec<u8>>();
        for i in 0..40 {
            let (split, class) = (["train", "test"][i % 2], ["sick", "well"][i / 2 % 2]);
            films.insert(&format!("{split}/{class}/{i}.png"), picture()).unwrap();
        }
        let brighter = |path: &str| films.grey(path).unwrap().iter().map(|grey| grey + 1).collect::<Vec<u8>>();
        let [tested, trained] = ["test/sick/1.png", "train/well/2.png"].map(brighter);
        films.insert("train/sick/one.png", tested).unwrap();
        films.insert("train/sick/two.png", trained).unwrap();
        for seed in 0..20 {
            let shared = films.share(&Shares { seed, ..Shares::default() }).unwrap();
            let [one, two] = &shared.report.copies[..] else { panic!("{:?}", shared.report.copies) };
            assert_eq!(
                (&one.films[..], &one.moved[..]),
                (&["test/sick/1.png".into(), "train/sick/one.png".into()][..], &["train/sick/one.png".into()][..])
            );
            assert!(two.moved.is_empty() && two.outcome.contains("different classes"), "{two:?}");
            assert!(names(&shared.test).contains("sick/one.png") && !one.exact);
            let val = names(&shared.val);
            assert_eq!(val.contains("well/2.png"), val.contains("sick/two.png"), "seed {seed}");
            assert_eq!(shared.report.test, [11, 10]);
        }
    }

    #[test]
    fn patients_of_the_manifest_stay_on_one_side() {
        let mut films = of(&folder("set/", &["sick", "well"], 30, 1));
        let rows = (0..30).map(|i| format!("sick/{i}.png,patient {}\n", i / 3)).collect::<String>();
        films.add_table("set/manifest.csv", format!("path,group\n{rows}").as_bytes());
        let shared = films.share(&Shares::default()).unwrap();
        let patients = |samples: &[Sample]| samples.iter().filter_map(|s| s.group.clone()).collect::<BTreeSet<_>>();
        let [train, val, test] = [&shared.train, &shared.val, &shared.test].map(|samples| patients(samples));
        assert_eq!(train.len() + val.len() + test.len(), 10);
        assert!(!val.is_empty() && !test.is_empty());
        films.add_table("set/manifest.csv", b"file,finding\na.png,x\n");
        let decided = films.share(&Shares::default()).unwrap().report.decided.join(" ");
        assert!(decided.contains("set/manifest.csv is not used") && decided.contains("file, finding"), "{decided}");
    }

    #[test]
    fn what_cannot_be_trained_on_is_refused_with_what_to_do() {
        let refusal = |films: &[(&str, u8)]| collection(films).share(&Shares::default()).unwrap_err().to_string();
        assert!(refusal(&[]).contains("no class folders"));
        assert!(refusal(&[("a.png", 1), ("b.png", 2)]).contains("no class folders"));
        assert!(refusal(&[("sick/a.png", 1), ("sick/b.png", 2)]).contains("at least two classes; there is sick"));
        assert!(refusal(&[("test/sick/a.png", 1)]).contains("no `train` folder"));
        let few = refusal(&[("sick/a.png", 1), ("sick/b.png", 2), ("well/a.png", 3)]);
        assert!(few.contains("no film is left to validate on"), "{few}");
        let same = refusal(&[("sick/a.png", 1), ("well/a.png", 1)]);
        assert!(same.contains("class `sick` has no film left"), "{same}");
        let mut broken = of(&folder("", &["sick"], 9, 1));
        broken.insert_unreadable("well/a.dcm", "its bytes look like DICOM");
        let broken = broken.share(&Shares::default()).unwrap_err().to_string();
        let named = "well/a.dcm: its bytes look like DICOM";
        assert!(broken.contains("class `well` has no readable film") && broken.contains(named), "{broken}");
    }

    #[test]
    fn no_file_takes_the_place_of_another() {
        let mut films = Collection::new(Preprocess::new(1, 2, 2)).unwrap();
        let paths = |n: usize| (0..n).map(|i| format!("by hand/test/{i}.png")).collect::<Vec<_>>();
        let mut grey = 0;
        for class in ["test", "normal"] {
            // The same names twice, of other pictures.
            for _ in 0..2 {
                let paths: Vec<String> =
                    paths(12).iter().map(|path| path.replace("/test/", &format!("/{class}/"))).collect();
                for path in films.see(&paths) {
                    grey += 1;
                    films.insert(&path, vec![grey; 4]).unwrap();
                }
            }
        }
        assert_eq!(films.len(), 48);
        assert!(films.grey("by hand/test/0 (2).png").is_some_and(|film| film[0] == 13));
        // The very same file again is there once.
        let again = films.see(&paths(1));
        films.insert(&again[0], vec![1; 4]).unwrap();
        let Report { classes, train, val, test, notes, .. } = films.share(&Shares::default()).unwrap().report;
        assert_eq!(classes, ["normal", "test"]);
        assert_eq!((0..2).map(|class| train[class] + val[class] + test[class]).collect::<Vec<_>>(), [24, 24]);
        assert!(notes[0].contains("1 file(s) were there already"), "{notes:?}");
    }

    #[test]
    fn what_is_no_class_is_named() {
        let mut films = folder("train/", &["a", "b"], 10, 1);
        films.extend([("test/c/1.png".into(), 200), ("train/loose.png".into(), 201), ("other/x.png".into(), 202)]);
        let report = of(&films).share(&Shares::default()).unwrap().report;
        assert!(report.notes.join(" ").contains("test/c"), "{:?}", report.notes);
        let [LeftOut { why: "outside", count: 2, files, .. }] = &report.left_out[..] else { panic!("{report:?}") };
        assert_eq!(*files, ["other/x.png", "train/loose.png"]);
    }
}
