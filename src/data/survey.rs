//! A look at every film file of a data set before anyone trains on it: broken ones, and the same one twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{Facts, Sample, Unreadable};
use crate::image::{Limits, decode};
use crate::preprocess::Preprocess;

/// What [`survey`] found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Indices of the films that decode, ascending.
    pub readable: Vec<usize>,
    /// What each of them is like as a file, in the same order.
    pub facts: Vec<Facts>,
    /// Files that do not.
    pub unreadable: Vec<Unreadable>,
    /// Files with the same bytes: indices of two or more samples, in order of the first.
    pub duplicates: Vec<Vec<usize>>,
    /// Smallest and largest height and width in pixels, as `[height, width]`; zeros without a readable film.
    pub sizes: [[usize; 2]; 2],
}

/// Reads, hashes (SHA-256) and decodes every file on all cores, its values as `preprocess` takes them. `progress` is told the
/// number of files done, once for each, from any thread.
pub fn survey(samples: &[Sample], preprocess: &Preprocess, progress: impl Fn(usize) + Sync) -> Survey {
    let limits = Limits::default();
    let done = AtomicUsize::new(0);
    let films: Vec<_> = samples
        .par_iter()
        .map(|sample| {
            let bytes = sample.read(&limits);
            let hash = bytes.as_ref().ok().map(Sha256::digest);
            let facts = bytes.and_then(|bytes| {
                let film = decode(&bytes, &limits)?;
                let film = preprocess.ranged(&film)?;
                Ok(Facts::of(&bytes, &film))
            });
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            (hash, facts)
        })
        .collect();

    let mut survey = Survey::default();
    let mut alike = HashMap::<_, Vec<usize>>::new();
    let mut sizes: Option<[[usize; 2]; 2]> = None;
    for (i, (hash, facts)) in films.into_iter().enumerate() {
        if let Some(hash) = hash {
            alike.entry(hash).or_default().push(i);
        }
        match facts {
            Ok(facts) => {
                survey.readable.push(i);
                let size = [facts.height, facts.width];
                survey.facts.push(facts);
                let [low, high] = sizes.unwrap_or([size; 2]);
                sizes =
                    Some([[0, 1].map(|axis| low[axis].min(size[axis])), [0, 1].map(|axis| high[axis].max(size[axis]))]);
            }
            Err(error) => survey.unreadable.push(Unreadable { path: samples[i].path.clone(), error }),
        }
    }
    survey.sizes = sizes.unwrap_or_default();
    survey.duplicates = alike.into_values().filter(|alike| alike.len() > 1).collect();
    survey.duplicates.sort();
    survey
}
