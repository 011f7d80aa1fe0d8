//! How far a measured proportion may be from the true one: 95 % intervals.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The 97.5 % point of the standard normal distribution: two-sided 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Resamples of the group bootstrap. Its 2.5 % point then has a standard error of about a twentieth of the interval's
/// width, which is less than the third decimal on the test splits used here.
const RESAMPLES: usize = 2000;

/// Seed of the group bootstrap: fixed, so that an evaluation says the same twice.
pub(crate) const BOOTSTRAP_SEED: u64 = 20_210_315;

/// Wilson's 95 % score interval of a proportion, `[low, high]` in `[0, 1]`; `[0, 1]` when `n` is 0.
///
/// `(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)`. Unlike the textbook interval it stays inside `[0, 1]` and keeps its
/// coverage near 0 and 1, where a good classifier lives. It takes the `n` cases to be independent: see
/// [`bootstrap_by_group`] for when they are not.
///
/// # Source
/// Wilson, J. Am. Stat. Assoc. 22 (1927), 209–212; recommended by Newcombe, Stat. Med. 17 (1998), 857–872.
pub fn wilson(successes: usize, n: usize) -> [f64; 2] {
    assert!(successes <= n, "{successes} successes of {n}");
    if n == 0 {
        return [0.0, 1.0];
    }
    let count = n as f64;
    let p = successes as f64 / count;
    let z2 = Z * Z;
    let centre = p + z2 / (2.0 * count);
    let half = Z * (p * (1.0 - p) / count + z2 / (4.0 * count * count)).sqrt();
    let scale = 1.0 + z2 / count;
    // At p = 0 and p = 1 one end is exactly 0 or 1; rounding may leave it a hair outside or inside.
    let low = if successes == 0 { 0.0 } else { (centre - half) / scale };
    let high = if successes == n { 1.0 } else { (centre + half) / scale };
    [low, high]
}

/// A share of films with its 95 % intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Films that count.
    pub count: usize,
    /// Films there are, at least 1.
    pub of: usize,
    /// `count / of`.
    pub value: f64,
    /// Wilson interval, every film a case of its own.
    pub interval: [f64; 2],
    /// Interval with patients resampled, where they are known: the one to believe where films share patients.
    pub interval_by_group: Option<[f64; 2]>,
}

impl Share {
    /// The share of `true`; `None` without films.
    ///
    /// # Shapes
    /// - `hits`, `groups`: one entry a film, same length
    pub fn of(hits: &[bool], groups: Option<&[String]>) -> Option<Self> {
        let (count, of) = (hits.iter().filter(|&&hit| hit).count(), hits.len());
        (of > 0).then(|| Self {
            count,
            of,
            value: count as f64 / of as f64,
            interval: wilson(count, of),
            interval_by_group: groups.map(|groups| bootstrap_by_group(hits, groups, BOOTSTRAP_SEED)),
        })
    }

    /// The share, of the films at the indices `films`, of those for which `hit` holds; `None` without films.
    ///
    /// # Shapes
    /// - `groups`: one entry a film of the whole set that the indices are of
    pub fn among(films: &[usize], hit: impl Fn(usize) -> bool, groups: Option<&[String]>) -> Option<Self> {
        let hits: Vec<bool> = films.iter().map(|&film| hit(film)).collect();
        let groups: Option<Vec<String>> = groups.map(|groups| films.iter().map(|&film| groups[film].clone()).collect());
        Self::of(&hits, groups.as_deref())
    }
}

/// What is resampled as a whole: `groups`, or each of `n` films by itself.
pub(crate) fn units(n: usize, groups: Option<&[String]>) -> Cow<'_, [String]> {
    groups.map_or_else(|| (0..n).map(|film| film.to_string()).collect(), Cow::Borrowed)
}

/// 95 % percentile interval of the accuracy when whole groups (patients) are drawn with replacement, `[low, high]`.
///
/// Films of one patient are alike, so they are not independent cases and [`wilson`] is too narrow for them. The resamples
/// are drawn from `seed` alone: the same input gives the same interval on every machine.
///
/// # Shapes
/// - `correct`, `groups`: one entry a film, same length, at least one
///
/// # Source
/// Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; clusters as units: Davison and Hinkley,
/// Bootstrap Methods and their Application (1997), section 3.8.
pub fn bootstrap_by_group(correct: &[bool], groups: &[String], seed: u64) -> [f64; 2] {
    assert_eq!(correct.len(), groups.len());
    let accuracy = |drawn: &[u32]| {
        let hits: u32 = drawn.iter().zip(correct).map(|(&times, &hit)| times * u32::from(hit)).sum();
        Some(f64::from(hits) / f64::from(drawn.iter().sum::<u32>()))
    };
    bootstrap(groups, seed, accuracy).expect("every resample has an accuracy")
}

/// 95 % percentile interval of any `statistic` when whole groups are drawn with replacement, as in [`bootstrap_by_group`].
///
/// `statistic` is told how often each film was drawn. Resamples for which it is `None` are left out; with more than half of
/// them there is no interval.
pub fn bootstrap(groups: &[String], seed: u64, statistic: impl Fn(&[u32]) -> Option<f64>) -> Option<[f64; 2]> {
    assert!(!groups.is_empty(), "an interval needs at least one case");
    // Sorted by name, so that the draw does not depend on the order of the films.
    let mut units: BTreeMap<&str, u32> = groups.iter().map(|group| (group.as_str(), 0)).collect();
    units.values_mut().zip(0..).for_each(|(unit, i)| *unit = i);
    let unit_of: Vec<usize> = groups.iter().map(|group| units[group.as_str()] as usize).collect();

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut drawn, mut films) = (vec![0; units.len()], vec![0; groups.len()]);
    let mut values: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            drawn.fill(0);
            // Drawn as u32: `usize` would take another stream on 32-bit WebAssembly.
            (0..drawn.len()).for_each(|_| drawn[rng.random_range(0..units.len() as u32) as usize] += 1);
            films.iter_mut().zip(&unit_of).for_each(|(times, &unit)| *times = drawn[unit]);
            statistic(&films)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    (2 * values.len() > RESAMPLES).then(|| [percentile(&values, 0.025), percentile(&values, 0.975)])
}

/// The value at `fraction` of the way through `sorted`, linear between neighbours.
fn percentile(sorted: &[f64], fraction: f64) -> f64 {
    let position = fraction * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Newcombe, Stat. Med. 17 (1998), 857–872, table I, method 3 (score interval without continuity correction).
    #[test]
    fn wilson_gives_newcombes_published_intervals() {
        for (successes, n, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let [lo, hi] = wilson(successes, n);
            assert!((lo - low).abs() < 5e-5 && (hi - high).abs() < 5e-5, "{successes}/{n}: [{lo}, {hi}]");
        }
    }

    #[test]
    fn wilson_is_exact_at_the_ends_and_says_nothing_without_cases() {
        assert_eq!(wilson(0, 7)[0], 0.0);
        assert_eq!(wilson(7, 7)[1], 1.0);
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    fn names(n: usize, per_group: usize) -> Vec<String> {
        (0..n).map(|i| format!("patient {}", i / per_group)).collect()
    }

    /// With a film a group the number of hits in a resample is Binomial(n, p), whose standard deviation is known.
    #[test]
    fn bootstrap_of_single_films_matches_the_binomial() {
        let n = 400;
        let correct: Vec<bool> = (0..n).map(|i| i % 10 != 0).collect();
        let [lo, hi] = bootstrap_by_group(&correct, &names(n, 1), 1);
        let half = Z * (0.9 * 0.1 / n as f64).sqrt();
        assert!((lo - (0.9 - half)).abs() < 0.006, "{lo}");
        assert!((hi - (0.9 + half)).abs() < 0.006, "{hi}");
    }

    /// Four equal films a patient are one case: the interval is √4 as wide as that of as many single films.
    #[test]
    fn bootstrap_widens_when_the_films_of_a_patient_agree() {
        let n = 400;
        let correct: Vec<bool> = (0..n).map(|i| (i / 4) % 10 != 0).collect();
        let [lo, hi] = bootstrap_by_group(&correct, &names(n, 4), 1);
        let [single_lo, single_hi] = bootstrap_by_group(&correct, &names(n, 1), 1);
        let ratio = (hi - lo) / (single_hi - single_lo);
        assert!((ratio - 2.0).abs() < 0.25, "{ratio}");
    }

    #[test]
    fn bootstrap_depends_on_the_seed_and_not_on_the_order_of_the_films() {
        let groups = names(60, 3);
        let correct: Vec<bool> = (0..60).map(|i| i % 7 != 0).collect();
        let forwards = bootstrap_by_group(&correct, &groups, 5);
        let reversed: Vec<bool> = correct.iter().rev().copied().collect();
        let reversed_groups: Vec<String> = groups.iter().rev().cloned().collect();
        assert_eq!(forwards, bootstrap_by_group(&reversed, &reversed_groups, 5));
        assert_ne!(forwards, bootstrap_by_group(&correct, &groups, 6));
    }

    /// `numpy.percentile([1, 2, 4, 8], [0, 25, 50, 100])` in NumPy 2 gives 1, 1.75, 3, 8.
    #[test]
    fn percentile_is_linear_between_neighbours() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (fraction, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 3.0), (1.0, 8.0)] {
            assert_eq!(percentile(&sorted, fraction), expected);
        }
    }
}
