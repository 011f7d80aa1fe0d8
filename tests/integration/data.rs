//! Folders of films as samples, data sets and batches. The films are drawn here: one grey each, so that every value of a
//! batch tells which film it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use image::GrayImage;
use roentgen::data::{
    Balance, Batch, Dataset, Draw, Either, FolderOptions, Folders, Loader, LoaderConfig, Sample, open, open_flat,
    survey,
};
use roentgen::error::Error;
use roentgen::preprocess::{Augment, Preprocess};
use tempfile::TempDir;

const SIDE: usize = 32;

/// A folder with one film of the given grey at each path.
fn folder(films: &[(&str, u8)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for &(path, grey) in films {
        film(&dir.path().join(path), grey);
    }
    dir
}

fn film(path: &Path, grey: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(SIDE as u32, SIDE as u32, [grey].into()).save(path).unwrap();
}

fn names(samples: &[Sample]) -> Vec<&str> {
    samples.iter().map(|sample| sample.name.as_str()).collect()
}

fn only(globs: &[&str]) -> Vec<String> {
    globs.iter().map(|glob| glob.to_string()).collect()
}

/// The message of the error that opening gives.
fn refusal(dir: &Path, options: &FolderOptions) -> String {
    let error = open(dir, options).unwrap_err();
    assert!(matches!(error, Error::Dataset { .. }), "{error}");
    error.to_string()
}

fn four_splits() -> TempDir {
    folder(&[
        ("train/sick/a1.png", 1),
        ("train/sick/b2.png", 2),
        ("train/well/a3.png", 3),
        ("train/well/b4.png", 4),
        ("train/other/c5.png", 5),
        ("val/sick/a6.png", 6),
        ("val/well/a7.png", 7),
        ("test/sick/a8.png", 8),
        ("test/well/a9.png", 9),
        ("test/unknown/z.png", 10),
    ])
}

#[test]
fn splits_are_read_with_classes_in_alphabetical_order() {
    let dir = four_splits();
    let folders = open(dir.path(), &FolderOptions::default()).unwrap();
    assert_eq!(folders.classes, ["other", "sick", "well"]);
    assert_eq!(names(&folders.train), ["other/c5.png", "sick/a1.png", "sick/b2.png", "well/a3.png", "well/b4.png"]);
    assert_eq!(folders.train.iter().map(|sample| sample.class).collect::<Vec<_>>(), [0, 1, 1, 2, 2]);
    assert_eq!(names(&folders.val), ["sick/a6.png", "well/a7.png"]);
    assert_eq!(names(&folders.test), ["sick/a8.png", "well/a9.png"]);
    assert!(!folders.val_drawn);
    assert_eq!(folders.left_out, ["test/unknown"]);
    assert_eq!(folders.notes, ["class `other` has no film in test", "class `other` has no film in val"]);
}

#[test]
fn named_classes_fix_the_label_order_and_leave_the_rest_out() {
    let dir = four_splits();
    let classes = Some(only(&["well", "sick"]));
    let folders = open(dir.path(), &FolderOptions { classes, ..FolderOptions::default() }).unwrap();
    assert_eq!(folders.classes, ["well", "sick"]);
    assert_eq!(names(&folders.train), ["well/a3.png", "well/b4.png", "sick/a1.png", "sick/b2.png"]);
    assert_eq!(folders.train.iter().map(|sample| sample.class).collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert_eq!(folders.left_out, ["train/other", "test/unknown"]);
    assert!(folders.notes.is_empty());
}

#[test]
fn a_film_is_kept_when_any_filter_matches_class_and_file() {
    let dir = four_splits();
    let filter = only(&["sick/a*", "well/*"]);
    let folders = open(dir.path(), &FolderOptions { only: filter, ..FolderOptions::default() }).unwrap();
    assert_eq!(folders.classes, ["sick", "well"]);
    assert_eq!(names(&folders.train), ["sick/a1.png", "well/a3.png", "well/b4.png"]);
    assert_eq!(folders.left_out, ["train/other", "test/unknown"]);
}

#[test]
fn class_folders_alone_are_all_for_training_and_validation() {
    let films: Vec<(String, u8)> =
        (0..40).map(|i| (format!("{}/{i:02}.png", if i % 4 == 0 { "sick" } else { "well" }), i)).collect();
    let dir = folder(&films.iter().map(|(path, grey)| (path.as_str(), *grey)).collect::<Vec<_>>());
    let options = FolderOptions { val_fraction: 0.2, seed: 7, ..FolderOptions::default() };
    let folders = open(dir.path(), &options).unwrap();
    assert!(folders.val_drawn && folders.test.is_empty());
    // A fifth of each class: 2 of 10 and 6 of 30.
    assert_eq!(folders.val.iter().filter(|sample| sample.class == 0).count(), 2);
    assert_eq!(folders.val.iter().filter(|sample| sample.class == 1).count(), 6);
    assert_eq!(folders.train.len(), 32);
    let all: BTreeSet<&str> = names(&folders.train).into_iter().chain(names(&folders.val)).collect();
    assert_eq!(all.len(), 40);
    let again = open(dir.path(), &options).unwrap();
    assert_eq!(names(&again.val), names(&folders.val));
    let other = open(dir.path(), &FolderOptions { seed: 8, ..options }).unwrap();
    assert_ne!(names(&other.val), names(&folders.val));
}

#[test]
fn groups_of_the_manifest_are_never_parted_and_sources_are_held_back_alike() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = String::from("path,split,class,source,group\n");
    for i in 0..120 {
        let class = if i < 60 { "sick" } else { "well" };
        // One hospital in three films, patients with three films each.
        let (source, patient) = (if i % 12 < 3 { "small" } else { "large" }, i / 3);
        let path = format!("train/{class}/{i:03}.png");
        film(&dir.path().join(&path), i as u8);
        manifest += &format!("{path},train,{class},{source},patient{patient}\n");
    }
    fs::write(dir.path().join("manifest.csv"), manifest).unwrap();
    let Folders { train, val, .. } =
        open(dir.path(), &FolderOptions { val_fraction: 0.2, ..FolderOptions::default() }).unwrap();
    let groups = |samples: &[Sample]| samples.iter().map(|s| s.group.clone().unwrap()).collect::<BTreeSet<_>>();
    assert!(groups(&train).is_disjoint(&groups(&val)));
    for (class, source, wanted) in [(0, "small", 3), (0, "large", 9), (1, "small", 3), (1, "large", 9)] {
        let held = val.iter().filter(|s| s.class == class && s.source.as_deref() == Some(source)).count();
        assert_eq!(held, wanted, "{class} {source}");
    }
}

#[test]
fn evaluation_takes_labels_from_the_model_and_groups_from_the_folder_above() {
    let dir = four_splits();
    let manifest = "path,group,source\ntest/sick/a8.png,p1,here\ntest/well/a9.png,p2,\n";
    fs::write(dir.path().join("manifest.csv"), manifest).unwrap();
    let classes = only(&["well", "sick", "absent"]);
    let (samples, left_out) = open_flat(&dir.path().join("test"), &classes, &[]).unwrap();
    assert_eq!(names(&samples), ["well/a9.png", "sick/a8.png"]);
    assert_eq!(samples.iter().map(|sample| sample.class).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(samples[0].group.as_deref(), Some("p2"));
    assert_eq!((samples[0].source.as_deref(), samples[1].source.as_deref()), (None, Some("here")));
    assert_eq!(left_out, ["unknown"]);
    let error = open_flat(dir.path(), &classes, &[]).unwrap_err().to_string();
    assert!(error.contains("well, sick, absent") && error.contains("test, train, val"), "{error}");
    let error = open_flat(&dir.path().join("test"), &classes, &only(&["sick/x*"])).unwrap_err().to_string();
    assert!(error.contains("filter"), "{error}");
}

#[test]
fn folders_that_are_no_data_set_are_refused_with_what_to_do() {
    let good = four_splits();
    let default = FolderOptions::default();
    let missing = refusal(&good.path().join("nowhere"), &default);
    assert!(missing.contains("nowhere is not a folder"), "{missing}");

    let flat = folder(&[("a.png", 1)]);
    let message = refusal(flat.path(), &default);
    assert!(message.contains("no class folders") && message.contains("<class>"), "{message}");

    let half = folder(&[("test/sick/a.png", 1)]);
    let message = refusal(half.path(), &default);
    assert!(message.contains("no `train` folder"), "{message}");

    fs::create_dir(half.path().join("train")).unwrap();
    let message = refusal(half.path(), &default);
    assert!(message.contains("no class folders"), "{message}");

    fs::create_dir_all(good.path().join("train/empty")).unwrap();
    let message = refusal(good.path(), &default);
    assert!(message.contains("class `empty` has no film") && message.contains("--classes"), "{message}");

    let absent = FolderOptions { classes: Some(only(&["sick", "healthy"])), ..default.clone() };
    let message = refusal(good.path(), &absent);
    assert!(message.contains("`healthy`") && message.contains("empty, other, sick, well"), "{message}");

    let twice = FolderOptions { classes: Some(only(&["sick", "sick"])), ..default.clone() };
    assert!(refusal(good.path(), &twice).contains("named twice"));

    let nothing = FolderOptions { only: only(&["sick/q*"]), ..default.clone() };
    assert!(refusal(good.path(), &nothing).contains("matches the filter"));

    let malformed = FolderOptions { only: only(&["sick/[a"]), ..default };
    assert!(refusal(good.path(), &malformed).contains("sick/[a"));
}

#[test]
fn hidden_files_are_passed_over_and_files_that_are_no_films_are_named() {
    let dir = folder(&[("sick/a.png", 1), ("sick/deep/b.png", 2), ("well/c.png", 3)]);
    fs::write(dir.path().join("sick/.DS_Store"), "x").unwrap();
    fs::create_dir(dir.path().join(".git")).unwrap();
    fs::write(dir.path().join("sick/notes.txt"), "no film").unwrap();
    fs::write(dir.path().join("well/zero.jpg"), "").unwrap();
    let folders = open(dir.path(), &FolderOptions { val_fraction: 0.0, ..FolderOptions::default() }).unwrap();
    let expected = ["sick/a.png", "sick/deep/b.png", "sick/notes.txt", "well/c.png", "well/zero.jpg"];
    assert_eq!(names(&folders.train), expected);
    let (dataset, unreadable) =
        Dataset::load(&folders.train, &folders.classes, &Preprocess::new(1, SIDE, SIDE), |_| ()).unwrap();
    assert_eq!(dataset.counts(), [2, 1]);
    let named: Vec<_> = unreadable.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(named, ["notes.txt", "zero.jpg"]);
    assert!(unreadable.iter().all(|file| matches!(file.error, Error::UnknownFormat { .. })));
}

#[cfg(unix)]
#[test]
fn a_link_that_goes_round_in_a_circle_is_named_and_not_followed() {
    let dir = folder(&[("sick/a.png", 1), ("well/b.png", 2)]);
    std::os::unix::fs::symlink(dir.path().join("sick"), dir.path().join("sick/again")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("well/dangling.png")).unwrap();
    let folders = open(dir.path(), &FolderOptions { val_fraction: 0.0, ..FolderOptions::default() }).unwrap();
    assert_eq!(names(&folders.train), ["sick/a.png", "well/b.png"]);
    let named: Vec<_> = folders.unreadable.iter().map(|file| file.path.file_name().unwrap().to_owned()).collect();
    assert_eq!(named, ["again", "dangling.png"]);
}

#[test]
fn a_survey_names_the_same_film_under_two_names() {
    let dir = folder(&[("sick/a.png", 1), ("sick/b.png", 2), ("well/c.png", 1), ("well/d.png", 4)]);
    fs::write(dir.path().join("well/e.png"), "no film").unwrap();
    let folders = open(dir.path(), &FolderOptions { val_fraction: 0.0, ..FolderOptions::default() }).unwrap();
    let found = survey(&folders.train, &Preprocess::new(1, SIDE, SIDE), |_| ());
    assert_eq!(found.readable, [0, 1, 2, 3]);
    assert_eq!(found.duplicates, [[0, 2]]);
    assert_eq!(found.unreadable.len(), 1);
    assert_eq!(found.sizes, [[SIDE, SIDE]; 2]);
}

/// Films of greys counted up from 1: `counts[class]` of each, sources taking turns as `sources` says.
fn dataset(counts: &[usize], source_of: impl Fn(usize) -> Option<String>) -> (Dataset, Preprocess) {
    let dir = tempfile::tempdir().unwrap();
    let mut samples = Vec::new();
    for (class, &count) in counts.iter().enumerate() {
        for _ in 0..count {
            let number = samples.len() + 1;
            let path = dir.path().join(format!("{number}.png"));
            film(&path, number as u8);
            let name = format!("{class}/{number}.png");
            samples.push(Sample { path, name, class, group: None, source: source_of(number), packed: None });
        }
    }
    let classes: Vec<String> = (0..counts.len()).map(|class| format!("class {class}")).collect();
    let preprocess = Preprocess::new(1, SIDE, SIDE);
    let (dataset, unreadable) = Dataset::load(&samples, &classes, &preprocess, |_| ()).unwrap();
    assert!(unreadable.is_empty());
    (dataset, preprocess)
}

fn config(batch_size: usize, balance: Balance) -> LoaderConfig {
    LoaderConfig {
        batch_size,
        seed: 3,
        augment: Augment::default(),
        balance,
        draw: Vec::new(),
        surroundings: 0.0,
        style: 0.0,
    }
}

/// The greys of a batch's films, hence their numbers.
fn numbers(batch: &Batch) -> Vec<usize> {
    let size = batch.channels * batch.height * batch.width;
    batch.images.chunks(size).map(|film| (film[0] * 255.0).round() as usize).collect()
}

fn drawn(loader: &Loader, dataset: &Dataset, steps: std::ops::Range<u64>) -> Vec<usize> {
    steps.flat_map(|step| numbers(&loader.batch(dataset, step))).collect()
}

#[test]
fn a_dataset_keeps_the_order_and_gives_every_film_once_with_a_short_last_batch() {
    let (dataset, preprocess) = dataset(&[3, 4], |_| None);
    assert_eq!((dataset.len(), dataset.counts(), dataset.label(2), dataset.label(3)), (7, vec![3, 4], 0, 1));
    assert_eq!(dataset.image(4), [5; SIDE * SIDE]);
    let batches: Vec<Batch> = dataset.batches(&preprocess, 3).collect();
    assert_eq!(batches.iter().map(|batch| batch.n).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(batches.iter().flat_map(numbers).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(batches[0].targets, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(batches[2].targets, [0.0, 1.0]);
}

#[test]
fn every_film_comes_once_a_pass_and_passes_differ() {
    let (dataset, preprocess) = dataset(&[7, 5], |_| None);
    let loader = Loader::new(&dataset, &preprocess, config(4, Balance::None)).unwrap();
    let (first, second) = (drawn(&loader, &dataset, 0..3), drawn(&loader, &dataset, 3..6));
    let sorted = |numbers: &[usize]| numbers.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&first), (1..=12).collect());
    assert_eq!(sorted(&second), (1..=12).collect());
    assert_ne!(first, second);
    let other = Loader::new(&dataset, &preprocess, LoaderConfig { seed: 4, ..config(4, Balance::None) }).unwrap();
    assert_ne!(drawn(&other, &dataset, 0..3), first);
}

#[test]
fn a_batch_depends_on_seed_and_step_alone_whatever_the_threads() {
    let (dataset, preprocess) = dataset(&[20, 9], |_| None);
    let augment = Augment { rotate_degrees: 10.0, shift: 0.1, gamma: 0.3, flip: true, ..Augment::default() };
    let config = LoaderConfig { augment, ..config(8, Balance::Classes) };
    let batches = |threads: usize, steps: &[u64]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let loader = Loader::new(&dataset, &preprocess, config.clone()).unwrap();
        pool.install(|| steps.iter().map(|&step| loader.batch(&dataset, step)).collect::<Vec<_>>())
    };
    let forward = batches(1, &[0, 1, 2, 3]);
    let mut backward = batches(4, &[3, 2, 1, 0]);
    backward.reverse();
    assert!(forward == backward);
    assert!(forward[0] != forward[1]);
}

#[test]
fn surroundings_come_from_films_of_the_batch_and_lungs_and_targets_stay() {
    let (dataset, preprocess) = dataset(&[20, 20], |_| None);
    let batches = |surroundings: f32| -> Vec<Batch> {
        let config = LoaderConfig { surroundings, ..config(8, Balance::None) };
        let loader = Loader::new(&dataset, &preprocess, config).unwrap();
        (0..25).map(|step| loader.batch(&dataset, step)).collect()
    };
    // The grey at a place of each film: in its corner, and in the middle of a lung.
    let at = |batch: &Batch, place: usize| -> Vec<usize> {
        batch.images.chunks(SIDE * SIDE).map(|film| (film[place] * 255.0).round() as usize).collect()
    };
    let lung = SIDE / 2 * SIDE + SIDE * 3 / 10;
    let (own, all, half) = (batches(0.0), batches(1.0), batches(0.5));
    let mut changed = [0; 2];
    for ((own, all), half) in own.iter().zip(&all).zip(&half) {
        let numbers = at(own, 0);
        for (batch, changed) in [all, half].into_iter().zip(&mut changed) {
            assert_eq!((at(batch, lung), &batch.targets), (numbers.clone(), &own.targets));
            let around = at(batch, 0);
            assert!(around.iter().all(|number| numbers.contains(number)));
            *changed += around.iter().zip(&numbers).filter(|(around, own)| around != own).count();
        }
    }
    // Of 200 films 7 in 8 are given another one than themselves, or half as many: within four standard deviations.
    assert!((156..=194).contains(&changed[0]) && (59..=116).contains(&changed[1]), "{changed:?}");
}

#[test]
fn balanced_classes_are_drawn_equally_often_and_without_replacement() {
    let (dataset, preprocess) = dataset(&[12, 3], |_| None);
    let loader = Loader::new(&dataset, &preprocess, config(6, Balance::Classes)).unwrap();
    let numbers = drawn(&loader, &dataset, 0..4);
    let times = |wanted: std::ops::RangeInclusive<usize>| {
        let mut times = BTreeMap::new();
        numbers.iter().filter(|number| wanted.contains(number)).for_each(|&n| *times.entry(n).or_insert(0) += 1);
        times.into_values().collect::<Vec<_>>()
    };
    assert_eq!(times(1..=12), [1; 12]);
    assert_eq!(times(13..=15), [4; 3]);
}

#[test]
fn balanced_sources_share_their_class_equally() {
    // Class 0 has 12 films of which two are from a small hospital; class 1 has one source.
    let source = |number| Some(if number <= 2 { "small" } else { "large" }.to_string());
    let (dataset, preprocess) = dataset(&[12, 4], source);
    let loader = Loader::new(&dataset, &preprocess, config(5, Balance::ClassesAndSources)).unwrap();
    let numbers = drawn(&loader, &dataset, 0..8);
    let count = |range: std::ops::RangeInclusive<usize>| numbers.iter().filter(|n| range.contains(n)).count();
    assert_eq!((count(1..=2), count(3..=12), count(13..=16)), (10, 10, 20));
}

#[test]
fn small_sources_are_drawn_by_the_square_root_of_their_films() {
    // 100, 16 and 64 films: 10, 4 and 8 of 22 draws.
    let source = |number| Some(if number <= 100 { "large" } else { "small" }.to_string());
    let (dataset, preprocess) = dataset(&[116, 64], source);
    let loader = Loader::new(&dataset, &preprocess, config(10, Balance::SquareRoot)).unwrap();
    let numbers = drawn(&loader, &dataset, 0..100);
    let count = |range: std::ops::RangeInclusive<usize>| numbers.iter().filter(|n| range.contains(n)).count() as f64;
    for (range, share) in [(1..=100, 10.0), (101..=116, 4.0), (117..=180, 8.0)] {
        assert!((count(range.clone()) - 1000.0 * share / 22.0).abs() <= 1.0, "{range:?}: {}", count(range.clone()));
    }
    // Without replacement: before one film comes again, all of its list have come.
    let first = numbers.iter().filter(|n| (101..=116).contains(*n)).take(16).collect::<BTreeSet<_>>();
    assert_eq!(first.len(), 16);
}

#[test]
fn what_is_to_be_drawn_more_often_is() {
    // 100, 16 and 64 films, those of the second class three times as often: 10, 4 and 24 of 38 draws.
    let source = |number| Some(if number <= 100 { "large" } else { "small" }.to_string());
    let (dataset, preprocess) = dataset(&[116, 64], source);
    let loader = |text: &str, balance: Balance| {
        let config = LoaderConfig { draw: vec![Draw::parse(text).unwrap()], ..config(10, balance) };
        Loader::new(&dataset, &preprocess, config)
    };
    let numbers = drawn(&loader("class 1=3", Balance::SquareRoot).unwrap(), &dataset, 0..100);
    let count = |range: std::ops::RangeInclusive<usize>| numbers.iter().filter(|n| range.contains(n)).count() as f64;
    for (range, share) in [(1..=100, 10.0), (101..=116, 4.0), (117..=180, 24.0)] {
        assert!((count(range.clone()) - 1000.0 * share / 38.0).abs() <= 1.0, "{range:?}: {}", count(range.clone()));
    }
    let error = loader("class 2=3", Balance::SquareRoot).unwrap_err().to_string();
    assert!(error.contains("`class 2`") && error.contains("class 0, class 1"), "{error}");
}

#[test]
fn films_of_one_of_several_classes_have_a_one_for_each() {
    let dir = folder(&[("train/a/1.png", 1), ("train/a/2.png", 2), ("train/b/3.png", 3), ("train/others/4.png", 4)]);
    let either = Either { folder: "others".into(), classes: vec!["a".into(), "b".into()] };
    let options = FolderOptions { either: vec![either.clone()], val_fraction: 0.0, ..FolderOptions::default() };
    let folders = open(dir.path(), &options).unwrap();
    assert_eq!((&folders.classes[..], &folders.left_out[..]), (&["a".into(), "b".into()][..], &[][..] as &[String]));
    let preprocess = Preprocess::new(1, SIDE, SIDE);
    let (films, _) = Dataset::load(&folders.train, &folders.classes, &preprocess, |_| ()).unwrap();
    let films = films.with_either(std::slice::from_ref(&either)).unwrap();
    assert_eq!(films.counts(), [2, 1, 1]);
    let batch = films.batches(&preprocess, 4).next().unwrap();
    assert_eq!(batch.targets, [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let loader = Loader::new(&films, &preprocess, config(4, Balance::None)).unwrap();
    assert_eq!(loader.batch(&films, 0).targets.iter().sum::<f32>(), 5.0);
    let elsewhere = FolderOptions { either: vec![Either { folder: "nowhere".into(), ..either.clone() }], ..options };
    assert!(open(dir.path(), &elsewhere).unwrap_err().to_string().contains("`nowhere`"));
}

#[test]
fn training_on_one_class_or_with_an_empty_batch_is_refused() {
    let (one, preprocess) = dataset(&[4], |_| None);
    let error = Loader::new(&one, &preprocess, config(2, Balance::None)).unwrap_err();
    assert!(error.to_string().contains("at least two classes"), "{error}");
    let (two, _) = dataset(&[4, 0], |_| None);
    let error = Loader::new(&two, &preprocess, config(2, Balance::None)).unwrap_err();
    assert!(error.to_string().contains("class `class 1` has no readable film"), "{error}");
    let (two, _) = dataset(&[4, 4], |_| None);
    let error = Loader::new(&two, &preprocess, config(0, Balance::None)).unwrap_err();
    assert!(matches!(error, Error::Config { field: "batch_size", .. }), "{error}");
}

#[test]
fn a_set_without_one_readable_film_is_refused_with_the_first_reason() {
    let samples = [Sample {
        path: PathBuf::from("/nowhere/a.png"),
        name: "x/a.png".into(),
        class: 0,
        group: None,
        source: None,
        packed: None,
    }];
    let error = Dataset::load(&samples, &only(&["x"]), &Preprocess::new(1, SIDE, SIDE), |_| ()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/a.png"), "{error}");
}

#[test]
fn the_small_real_set_opens_with_its_groups() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cxr-mini");
    if !dir.is_dir() {
        eprintln!("skipped: {} is not there", dir.display());
        return;
    }
    // Counts from the data set's own README: 24 films a class and split.
    let folders = open(&dir, &FolderOptions { val_fraction: 0.25, ..FolderOptions::default() }).unwrap();
    assert_eq!(folders.classes, ["Bacterial Pneumonia", "COVID-19", "Normal", "Viral Pneumonia"]);
    assert_eq!((folders.train.len() + folders.val.len(), folders.test.len()), (96, 96));
    assert!(folders.train.iter().all(|sample| sample.group.is_some() && sample.source.is_some()));
    let preprocess = Preprocess::new(3, 128, 128);
    let (dataset, unreadable) = Dataset::load(&folders.test, &folders.classes, &preprocess, |_| ()).unwrap();
    assert!(unreadable.is_empty());
    assert_eq!(dataset.counts(), [24; 4]);
    assert_eq!(dataset.groups().map(<[_]>::len), Some(96));
}
