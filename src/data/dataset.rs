//! A set of labelled films in memory, decoded and resized once: one byte a pixel.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::origin::{healthy_class, no_pairs};
use super::{Batch, Either, Facts, Origin, Sample};
use crate::error::{Error, Result};
use crate::image::{Limits, Radiograph, decode};
use crate::preprocess::Preprocess;

/// A file that could not become a film, and why.
#[derive(Debug)]
pub struct Unreadable {
    /// Where the file is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: Error,
}

/// Films of one size with their classes: `[n, height, width]` grey bytes, 16 kB a film at 128 × 128.
#[derive(Debug, Clone)]
pub struct Dataset {
    height: usize,
    width: usize,
    classes: Vec<String>,
    films: Vec<u8>,
    /// Index of each film's class; from the number of classes on, of what is in `either`.
    labels: Vec<usize>,
    /// Folder of the films of each further label, and the classes that they may have.
    either: Vec<(String, Vec<usize>)>,
    /// Index of each film's collection; all 0 without a manifest.
    sources: Vec<usize>,
    /// Where [`Self::within_sources`] has set them.
    origins: Option<Vec<Origin>>,
    groups: Option<Vec<String>>,
    names: Vec<String>,
    /// What the files were like; empty where that was not looked at.
    facts: Vec<Facts>,
}

impl Dataset {
    /// Decodes and prepares every sample on all cores; files that fail are left out and returned beside.
    ///
    /// The order is that of `samples`, whatever the threads do. `progress` is told the number of files done, once for
    /// each, from any thread. A film is kept as bytes (rounded), so its values are within 1/510 of what
    /// [`Preprocess::prepare`] gives.
    ///
    /// # Errors
    /// [`Error::Config`] from `preprocess`, [`Error::Dataset`] when no file could be read.
    pub fn load(
        samples: &[Sample],
        classes: &[String],
        preprocess: &Preprocess,
        progress: impl Fn(usize) + Sync,
    ) -> Result<(Self, Vec<Unreadable>)> {
        preprocess.validate()?;
        let limits = Limits::default();
        let done = AtomicUsize::new(0);
        let films: Vec<Result<(Vec<u8>, Facts)>> = samples
            .par_iter()
            .map(|sample| {
                let film = sample
                    .read(&limits)
                    .and_then(|bytes| Self::prepared(preprocess, &bytes, &decode(&bytes, &limits)?));
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                film
            })
            .collect();

        let (mut read, mut facts, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for (sample, film) in samples.iter().zip(films) {
            match film {
                Ok((film, of_file)) => {
                    read.push((sample, film));
                    facts.push(of_file);
                }
                Err(error) => unreadable.push(Unreadable { path: sample.path.clone(), error }),
            }
        }
        if read.is_empty() {
            let reason = match unreadable.first() {
                Some(Unreadable { path, error }) => {
                    format!("none of {} files could be read; {}: {error}", unreadable.len(), path.display())
                }
                None => "there are no films".into(),
            };
            return Err(Error::Dataset { reason });
        }
        let dataset = Self { facts, ..Self::of(read, classes, preprocess) };
        Ok((dataset, unreadable))
    }

    /// The set of `films` in their order, each prepared by `preprocess` and rounded to bytes.
    pub(super) fn of(films: Vec<(&Sample, impl AsRef<[u8]>)>, classes: &[String], preprocess: &Preprocess) -> Self {
        let size = preprocess.height * preprocess.width;
        let mut sources = BTreeMap::new();
        for (sample, film) in &films {
            assert_eq!(film.as_ref().len(), size);
            let next = sources.len();
            sources.entry(sample.source.as_deref()).or_insert(next);
        }
        let mut greys = Vec::with_capacity(films.len() * size);
        films.iter().for_each(|(_, film)| greys.extend_from_slice(film.as_ref()));
        Self {
            height: preprocess.height,
            width: preprocess.width,
            classes: classes.to_vec(),
            either: Vec::new(),
            labels: films.iter().map(|(sample, _)| sample.class).collect(),
            sources: films.iter().map(|(sample, _)| sources[&sample.source.as_deref()]).collect(),
            origins: None,
            // Groups are of use only when every film has one.
            groups: films.iter().map(|(sample, _)| sample.group.clone()).collect(),
            names: films.iter().map(|(sample, _)| sample.name.clone()).collect(),
            films: greys,
            facts: Vec::new(),
        }
    }

    /// A film as it is kept, and what the `file` that it is from is like.
    ///
    /// # Errors
    /// Those of [`Preprocess::prepare`].
    pub(super) fn prepared(preprocess: &Preprocess, file: &[u8], film: &Radiograph) -> Result<(Vec<u8>, Facts)> {
        let film = preprocess.ranged(film)?;
        Ok((Self::bytes_of(&preprocess.prepare(&film)?), Facts::of(file, &film)))
    }

    /// Values in `[0, 1]` as they are kept.
    fn bytes_of(grey: &[f32]) -> Vec<u8> {
        grey.iter().map(|v| (v * 255.0).round() as u8).collect()
    }

    /// The set with a meaning for labels that are no class: the first of them for the first of `either`.
    ///
    /// # Errors
    /// Those of [`Either::labels`].
    pub fn with_either(mut self, either: &[Either]) -> Result<Self> {
        let of = |either: &Either| Ok((either.folder.clone(), either.labels(&self.classes)?));
        self.either = either.iter().map(of).collect::<Result<_>>()?;
        Ok(self)
    }

    /// The set with an [`Origin`] for each image, for the two questions that a diagnosis is made of. Whether an image is of the
    /// class `healthy` counts in full between images of one source, and by `between` for an image whose source has only
    /// healthy images or none, where the source alone gives the answer away. What an image that is not healthy shows counts
    /// in full between all of them.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no such class, or no source has both kinds of images.
    pub fn within_sources(mut self, healthy: &str, between: f32) -> Result<Self> {
        let healthy_label = healthy_class(&self.classes, healthy)?;
        let is_healthy: Vec<bool> = self.labels.iter().map(|label| *label == healthy_label).collect();
        let origins = Origin::of(&self.sources, &is_healthy, between);
        self.origins = Some(origins.ok_or_else(|| no_pairs(healthy))?);
        Ok(self)
    }

    /// [`Batch::origins`] of the images at `indices`.
    pub(super) fn origins(&self, indices: &[usize]) -> Option<Vec<Origin>> {
        self.origins.as_ref().map(|origins| indices.iter().map(|&i| origins[i]).collect())
    }

    /// Labels that films have: classes, and what may be one of several.
    pub(super) fn label_count(&self) -> usize {
        self.classes.len() + self.either.len()
    }

    /// The folders that labels stand for: the classes, then those whose films have one of several.
    pub(super) fn folders(&self) -> Vec<&str> {
        self.classes.iter().chain(self.either.iter().map(|(folder, _)| folder)).map(String::as_str).collect()
    }

    /// The classes that film `i` may have: its own, or several of which nobody knows which it is.
    pub(super) fn possible(&self, i: usize) -> &[usize] {
        match self.labels[i].checked_sub(self.classes.len()) {
            Some(at) => &self.either[at].1,
            None => &self.labels[i..=i],
        }
    }

    /// Number of films.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no film; [`Self::load`] never returns such a set.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Height of every film in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of every film in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Class names in label order.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Index of the class of film `i`.
    pub fn label(&self, i: usize) -> usize {
        self.labels[i]
    }

    /// Index of the class of every film.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Index of the collection that film `i` comes from.
    pub(super) fn source(&self, i: usize) -> usize {
        self.sources[i]
    }

    /// Group of every film (a patient, near-duplicates), when the manifest knows them all.
    pub fn groups(&self) -> Option<&[String]> {
        self.groups.as_deref()
    }

    /// The label of each film and what its file was like; nothing where the films were not read from files here.
    pub fn facts(&self) -> impl Iterator<Item = (usize, &Facts)> {
        self.labels.iter().copied().zip(&self.facts)
    }

    /// `class/file` of film `i`.
    pub fn name(&self, i: usize) -> &str {
        &self.names[i]
    }

    /// Film `i`, row-major `[height, width]`.
    pub fn image(&self, i: usize) -> &[u8] {
        let size = self.height * self.width;
        &self.films[i * size..(i + 1) * size]
    }

    /// Film `i` with values in `[0, 1]`, as [`Preprocess::finish`] takes it.
    pub(super) fn grey(&self, i: usize) -> Vec<f32> {
        self.image(i).iter().map(|&v| f32::from(v) / 255.0).collect()
    }

    /// Films of each label: the classes, then what may be one of several.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.label_count()];
        self.labels.iter().for_each(|&label| counts[label] += 1);
        counts
    }

    /// Every film once, in order, unchanged; the last batch may be short. `preprocess` is the one given to
    /// [`Self::load`].
    pub fn batches(&self, preprocess: &Preprocess, batch_size: usize) -> impl Iterator<Item = Batch> {
        assert!(batch_size > 0);
        self.assert_prepared_by(preprocess);
        (0..self.len()).step_by(batch_size).filter_map(move |start| self.batch_from(preprocess, start, batch_size))
    }

    /// Up to `batch_size` films from number `start` on, unchanged; `None` beyond the last one. `preprocess` as for
    /// [`Self::batches`].
    pub fn batch_from(&self, preprocess: &Preprocess, start: usize, batch_size: usize) -> Option<Batch> {
        self.assert_prepared_by(preprocess);
        let films: Vec<usize> = (start..self.len().min(start + batch_size)).collect();
        (!films.is_empty()).then(|| Batch::assemble(self, preprocess, &films, |_, grey| grey))
    }

    /// A set prepared for another size would be read as another picture.
    pub(super) fn assert_prepared_by(&self, preprocess: &Preprocess) {
        assert_eq!((self.height, self.width), (preprocess.height, preprocess.width));
    }
}
