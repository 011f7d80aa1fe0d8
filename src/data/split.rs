//! Films held back for validation, whole groups at a time.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Sample;

/// Parts `samples` into `(train, validation)`; each keeps the order that the films had.
///
/// About `fraction` of every class and source goes to validation, whole groups at a time, so that no patient is in
/// both; a film without a group is a group of its own. Every class keeps at least one group to train on. Groups are
/// drawn by `seed`; the same films give the same parts.
pub fn hold_out(samples: Vec<Sample>, fraction: f64, seed: u64) -> (Vec<Sample>, Vec<Sample>) {
    let mut groups = BTreeMap::<(bool, &str), Vec<usize>>::new();
    for (i, sample) in samples.iter().enumerate() {
        // `bool` keeps a group's name apart from the file name of a film without one.
        let key = sample.group.as_deref().map_or((false, sample.name.as_str()), |group| (true, group));
        groups.entry(key).or_default().push(i);
    }
    // A group that spans classes (one patient, two findings) is counted where its first film is.
    let mut strata = BTreeMap::<(usize, Option<&str>), Vec<Vec<usize>>>::new();
    for group in groups.into_values() {
        let first = &samples[group[0]];
        strata.entry((first.class, first.source.as_deref())).or_default().push(group);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut held = vec![false; samples.len()];
    for groups in strata.values_mut() {
        groups.shuffle(&mut rng);
        let wanted = fraction * groups.iter().map(Vec::len).sum::<usize>() as f64;
        let mut taken = 0.0;
        for group in groups.iter().skip(1) {
            let size = group.len() as f64;
            // Half of a group may go over the share: the nearest count, not always the lower one.
            if taken + size / 2.0 <= wanted {
                taken += size;
                group.iter().for_each(|&i| held[i] = true);
            }
        }
    }
    let mut held = held.into_iter();
    samples.into_iter().partition(|_| !held.next().unwrap_or(false))
}
