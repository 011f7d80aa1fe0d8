//! Batches for training: which films step `n` sees, and how they are changed, is a pure function of seed and step.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Dataset, Draw, Origin, Surroundings, match_bands, match_histogram};
use crate::error::{Error, Result};
use crate::preprocess::{Augment, Preprocess};

/// Films ready for the network, with their classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[n, channels, height, width]`, preprocessed.
    pub images: Vec<f32>,
    /// One-hot classes, `[n, classes]`; ones for all that a film may have where that is not known.
    pub targets: Vec<f32>,
    /// Where each image comes from, `[n]`; only where [`Dataset::within_sources`] has the hospital tell as little as can be.
    pub origins: Option<Vec<Origin>>,
    /// Films in the batch.
    pub n: usize,
    /// Channels of a film.
    pub channels: usize,
    /// Height of a film in pixels.
    pub height: usize,
    /// Width of a film in pixels.
    pub width: usize,
    /// Number of classes.
    pub classes: usize,
}

impl Batch {
    /// The films of `dataset` at `indices`, each passed through `change(position in the batch, grey)` before
    /// [`Preprocess::finish`].
    pub(super) fn assemble(
        dataset: &Dataset,
        preprocess: &Preprocess,
        indices: &[usize],
        change: impl Fn(usize, Vec<f32>) -> Vec<f32> + Sync,
    ) -> Self {
        let classes = dataset.classes().len();
        let film_size = preprocess.channels * preprocess.height * preprocess.width;
        let mut images = vec![0.0; indices.len() * film_size];
        let mut targets = vec![0.0; indices.len() * classes];
        for (&i, target) in indices.iter().zip(targets.chunks_exact_mut(classes)) {
            dataset.possible(i).iter().for_each(|&class| target[class] = 1.0);
        }
        images.par_chunks_exact_mut(film_size).zip(indices).enumerate().for_each(|(position, (out, &i))| {
            preprocess.finish(&change(position, dataset.grey(i)), out);
        });
        Self {
            images,
            targets,
            origins: dataset.origins(indices),
            n: indices.len(),
            channels: preprocess.channels,
            height: preprocess.height,
            width: preprocess.width,
            classes,
        }
    }
}

/// Which films are drawn how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Every film equally often: shuffled passes over all of them.
    #[default]
    None,
    /// Every class equally often, each in shuffled passes of its own: small classes are seen more often a film.
    Classes,
    /// Every class equally often, and within a class every collection that its films come from.
    ClassesAndSources,
    /// Every collection of every class in proportion to the square root of its films: a small one is seen more often a
    /// film, but not so often that it is learned by heart.
    SquareRoot,
}

/// How batches are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoaderConfig {
    /// Films in a batch.
    pub batch_size: usize,
    /// Fixes order and augmentation.
    pub seed: u64,
    /// How films are changed.
    pub augment: Augment,
    /// Which films are drawn how often.
    pub balance: Balance,
    /// What is drawn more often than [`Balance::SquareRoot`] alone would.
    pub draw: Vec<Draw>,
    /// Share of the films whose lungs are given the [`Surroundings`] of another film's of the same batch.
    pub surroundings: f32,
    /// Proportion of the images that are given the [style](super::match_bands) of another one of the same batch.
    pub style: f32,
}

/// Endless shuffled, augmented batches. Holds no state between batches, so a resumed run sees what an uninterrupted
/// one would have seen.
#[derive(Debug)]
pub struct Loader {
    preprocess: Preprocess,
    config: LoaderConfig,
    /// Films of the set that the lists are of.
    of: usize,
    /// Films that take turns, each list in shuffled passes of its own: one list for all, or `[class][source]`.
    lists: Vec<Vec<Vec<usize>>>,
    /// In what order the lists of the first and only class take turns, where that is not one after the other.
    turns: Vec<usize>,
    surroundings: Surroundings,
}

/// Where the random number streams of passes over a list begin, and those of the surroundings of the films drawn; those below
/// belong to the films drawn, by number.
const PASS_STREAMS: u64 = 1 << 63;
const SURROUNDINGS_STREAMS: u64 = 1 << 62;
const STYLE_STREAMS: u64 = 1 << 61;

impl Loader {
    /// Batches of `dataset`, which each of them is given again; `preprocess` is the one given to [`Dataset::load`].
    ///
    /// # Errors
    /// [`Error::Config`] for an empty batch or a senseless augmentation, [`Error::Dataset`] when fewer than two classes
    /// have films, or one of them has none, and what [`LoaderConfig::draw`] names that has no films.
    pub fn new(dataset: &Dataset, preprocess: &Preprocess, config: LoaderConfig) -> Result<Self> {
        preprocess.validate()?;
        dataset.assert_prepared_by(preprocess);
        config.augment.validate()?;
        if config.batch_size == 0 {
            return Err(Error::Config { field: "batch_size", reason: "0; it must be at least 1".into() });
        }
        let classes = dataset.classes();
        if classes.len() < 2 {
            let reason = format!("training needs at least two classes; there is {}", classes.join(", "));
            return Err(Error::Dataset { reason });
        }
        if let Some(empty) = dataset.counts()[..classes.len()].iter().position(|&count| count == 0) {
            let reason = format!("class `{}` has no readable film to train on", classes[empty]);
            return Err(Error::Dataset { reason });
        }
        let lists = match config.balance {
            Balance::None => vec![vec![(0..dataset.len()).collect()]],
            Balance::Classes => by_class_and(dataset, |_| 0),
            Balance::ClassesAndSources => by_class_and(dataset, |i| dataset.source(i)),
            Balance::SquareRoot => vec![by_class_and(dataset, |i| dataset.source(i)).concat()],
        };
        let times = Draw::times(&config.draw, &dataset.folders())?;
        let turns = match config.balance {
            Balance::SquareRoot => {
                let weight = |list: &Vec<usize>| times[dataset.label(list[0])] * (list.len() as f64).sqrt();
                turns(&lists[0].iter().map(weight).collect::<Vec<_>>())
            }
            _ => Vec::new(),
        };
        let surroundings = Surroundings::new(preprocess.height, preprocess.width);
        Ok(Self { preprocess: preprocess.clone(), config, of: dataset.len(), lists, turns, surroundings })
    }

    /// The batch of one step, counted from 0: the same for the same seed, on any number of threads.
    ///
    /// # Panics
    /// When `dataset` has not as many films as the one that the batches are of.
    pub fn batch(&self, dataset: &Dataset, step: u64) -> Batch {
        assert_eq!(dataset.len(), self.of);
        let (films, first) = (self.films(step), step * self.config.batch_size as u64);
        let Preprocess { height, width, .. } = self.preprocess;
        let augment = &self.config.augment;
        Batch::assemble(dataset, &self.preprocess, &films, |position, mut grey| {
            if self.config.surroundings > 0.0 {
                let mut rng = self.stream(SURROUNDINGS_STREAMS | (first + position as u64));
                if rng.random::<f32>() < self.config.surroundings {
                    let other = films[rng.random_range(..films.len())];
                    self.surroundings.exchange(&mut grey, &dataset.grey(other));
                }
            }
            if self.config.style > 0.0 {
                let mut rng = self.stream(STYLE_STREAMS | (first + position as u64));
                if rng.random::<f32>() < self.config.style {
                    let other = dataset.grey(films[rng.random_range(..films.len())]);
                    match_bands(&mut grey, &other, width, rng.random());
                    match_histogram(&mut grey, &other, rng.random());
                }
            }
            if augment.is_none() {
                return grey;
            }
            let mut rng = self.stream(first + position as u64);
            let mut out = vec![0.0; grey.len()];
            augment.apply(&grey, height, width, &mut rng, &mut out);
            out
        })
    }

    /// The numbers of the films that are in the batch of one step, in its order.
    pub fn films(&self, step: u64) -> Vec<usize> {
        let first = step * self.config.batch_size as u64;
        let mut passes = BTreeMap::new();
        (first..first + self.config.batch_size as u64).map(|draw| self.film(draw, &mut passes)).collect()
    }

    /// Which film is drawn as number `draw`. `passes` keeps the shuffled lists of one batch from draw to draw.
    fn film(&self, draw: u64, passes: &mut BTreeMap<u64, Vec<usize>>) -> usize {
        // Classes take turns, then the collections of a class, then the films of a collection.
        let (class, turn) = turn_of(draw, self.lists.len());
        let (source, turn) = match self.turns.len() {
            0 => turn_of(turn, self.lists[class].len()),
            cycle => {
                let (place, cycles) = turn_of(turn, cycle);
                let source = self.turns[place];
                let in_part = |part: &[usize]| part.iter().filter(|&&other| other == source).count() as u64;
                (source, cycles * in_part(&self.turns) + in_part(&self.turns[..place]))
            }
        };
        let list = &self.lists[class][source];
        let (place, pass) = turn_of(turn, list.len());
        let stream = PASS_STREAMS | (class as u64) << 52 | (source as u64) << 40 | pass;
        let shuffled = passes.entry(stream).or_insert_with(|| {
            let mut shuffled = list.clone();
            shuffled.shuffle(&mut self.stream(stream));
            shuffled
        });
        shuffled[place]
    }

    /// The random numbers of one film drawn or one pass, independent of all others.
    fn stream(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(stream);
        rng
    }
}

/// Whose turn number `turn` is among `among`, and how many turns each has had before.
fn turn_of(turn: u64, among: usize) -> (usize, u64) {
    ((turn % among as u64) as usize, turn / among as u64)
}

/// Turns after which [`turns`] begins anew.
const CYCLE: usize = 1000;

/// Who is drawn at each turn of a cycle, each in proportion to its weight and as evenly spread as can be.
///
/// Everyone gains its share at every turn, and who has gained most is drawn and pays a whole turn.
fn turns(weights: &[f64]) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    let mut gained = vec![0.0; weights.len()];
    let draw = |_| {
        gained.iter_mut().zip(weights).for_each(|(gained, weight)| *gained += weight / sum);
        let most = (0..weights.len()).max_by(|&a, &b| gained[a].total_cmp(&gained[b])).unwrap_or(0);
        gained[most] -= 1.0;
        most
    };
    (0..CYCLE).map(draw).collect()
}

/// The films of each class, parted by `key`.
fn by_class_and(dataset: &Dataset, key: impl Fn(usize) -> usize) -> Vec<Vec<Vec<usize>>> {
    (0..dataset.label_count())
        .map(|class| {
            let mut parts = BTreeMap::<usize, Vec<usize>>::new();
            for i in (0..dataset.len()).filter(|&i| dataset.label(i) == class) {
                parts.entry(key(i)).or_default().push(i);
            }
            parts.into_values().collect()
        })
        .collect()
}
