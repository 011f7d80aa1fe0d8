//! Answers that are sets of classes, which hold the right one as often as stated: split conformal prediction.
//!
//! A class is in the set of an image where its [`conformity`] reaches the threshold of the class. The thresholds are fitted
//! on validation images ([`fit_thresholds`]); what they reach on others is measured with [`sets_reached`]. The stated coverage
//! holds for images like those they were fitted on, and says nothing of images from elsewhere.

use serde::{Deserialize, Serialize};

use super::intervals::{BOOTSTRAP_SEED, Share, bootstrap, units};
use super::{argmax, distinct};
use crate::labels::ByName;

/// Images of a class that a source needs for a threshold of its own. The threshold of fewer is mostly chance.
pub const IMAGES_OF_SOURCE: usize = 50;

/// How a model answers in sets: what a card keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerSets {
    /// Of the images of each class, the share whose set is to hold the class.
    pub coverage: f64,
    /// The class that means "nothing found", where there is one: a set of it and another says nothing.
    pub healthy: Option<String>,
    /// What the model makes of a [`typical`] image: rows the class, columns the probabilities, both in the order of `classes`.
    pub typical: Vec<Vec<f64>>,
    /// The least [`conformity`] with which each class is in the set.
    pub thresholds: ByName<f64>,
    /// What the sets reach on the images that they were fitted on.
    #[cfg(feature = "measuring")]
    pub validation: SetsReached,
}

/// What sets reach on labelled images. A share is `None` where it has no image to stand on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetsReached {
    /// Of all images, those whose set holds the right class.
    pub coverage: Share,
    /// The same for the images of each class that has any.
    pub by_class: ByName<Share>,
    /// The same for the images of each source and class, where the sources are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_source: Option<ByName<ByName<Share>>>,
    /// Classes in a set, on average.
    pub mean_size: f64,
    /// 95 % interval of that, patients resampled where they are known.
    pub mean_size_interval: Option<[f64; 2]>,
    /// Of all images, those whose set is one class.
    pub single: Share,
    /// Of these, the ones whose class is the right one.
    pub single_right: Option<Share>,
    /// Of all images, those whose set is no answer, see [`is_answer`].
    pub cannot_tell: Share,
    /// Of the others, those whose set holds the right class.
    pub answered: Option<Share>,
}

/// What the model makes of a typical image of each class: the mean probabilities of the images of that class, with one more
/// image that is certain of it, so that few images say little and none nothing.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major, probabilities; `labels`: `[n]`
/// - returns `[classes, classes]`, a row for each class, which sums to 1
pub fn typical(scores: &[f32], labels: &[usize], classes: usize) -> Vec<Vec<f64>> {
    let of_class = |class: usize| {
        let (mut sums, mut n) = (vec![0.0; classes], 1.0);
        sums[class] = 1.0;
        for (row, _) in scores.chunks_exact(classes).zip(labels).filter(|(_, label)| **label == class) {
            n += 1.0;
            sums.iter_mut().zip(row).for_each(|(sum, &p)| *sum += f64::from(p));
        }
        sums.iter().map(|sum| sum / n).collect()
    };
    (0..classes).map(of_class).collect()
}

/// How well each class fits an image: `p_y · (Σ_z t_yz p_z)²`, its probability times how like the image is to a typical one
/// of the class, squared.
///
/// Any score keeps the stated coverage; a good one makes small sets that say something. The probability alone (LAC) needs a
/// tiny threshold for a class that is often taken for another, and that lets it into the sets of images that look like
/// neither. The second factor is small there, and leaves it where the two cannot be told apart.
///
/// # Shapes
/// - `probabilities`: `[classes]`, those of one image; `typical`: `[classes, classes]`, see [`typical`]
///
/// # Source
/// Sadinle, Lei and Wasserman, J. Am. Stat. Assoc. 114 (2019), 223–234 (arXiv:1609.00451), for the probability.
pub fn conformity(probabilities: &[f32], typical: &[Vec<f64>]) -> Vec<f64> {
    let of = |(row, &p): (&Vec<f64>, &f32)| {
        let like: f64 = row.iter().zip(probabilities).map(|(t, &p)| t * f64::from(p)).sum();
        f64::from(p) * like * like
    };
    typical.iter().zip(probabilities).map(of).collect()
}

/// The highest threshold that an image like these reaches with a probability of at least `coverage`: of `n` conformities the
/// `⌈(n+1)·coverage⌉`-th from above, halfway down to the next, so that the last digits of another machine's arithmetic change
/// nothing. 0, which all reach, where there are fewer than [`images_needed`].
///
/// # Source
/// Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005); Angelopoulos and Bates, A Gentle Introduction
/// to Conformal Prediction (2021), section 1 (arXiv:2107.07511).
pub fn threshold(mut conformities: Vec<f64>, coverage: f64) -> f64 {
    // Less a hair: 0.96 × 25 is a little more than 24 in binary.
    let rank = ((conformities.len() + 1) as f64 * coverage - 1e-9).ceil().max(1.0) as usize;
    if rank > conformities.len() {
        return 0.0;
    }
    conformities.sort_by(|a, b| b.total_cmp(a));
    let last = conformities[rank - 1];
    let next = conformities[rank..].iter().copied().find(|other| *other < last).unwrap_or(0.0);
    0.5 * (last + next)
}

/// How many images a threshold above 0 needs: the least `n` with `(n+1)·coverage ≤ n`.
pub fn images_needed(coverage: f64) -> usize {
    (coverage / (1.0 - coverage) - 1e-9).ceil().max(1.0) as usize
}

/// The [`threshold`] of the [`conformity`] of each class from its own images, so that the coverage holds in every class (class-conditional); and
/// the lowest of those of its sources that have [`IMAGES_OF_SOURCE`] images of it, so that it holds in each of them (Mondrian).
///
/// A class with fewer images than [`images_needed`] gets the threshold of the images of all classes together: the coverage then
/// holds over all images, not in that class.
///
/// # Shapes
/// - `scores`: `[n, classes]` row-major, probabilities; `labels`, `sources`: `[n]`
/// - `typical`: `[classes, classes]`, see [`typical`]
/// - returns `[classes]`, each in `[0, 1]`
///
/// # Source
/// Vovk, Conditional validity of inductive conformal predictors, Mach. Learn. 92 (2013), 349–376 (arXiv:1209.2673).
pub fn fit_thresholds(
    scores: &[f32],
    labels: &[usize],
    typical: &[Vec<f64>],
    sources: Option<&[String]>,
    coverage: f64,
) -> Vec<f64> {
    let classes = typical.len();
    assert_eq!(scores.len(), labels.len() * classes);
    assert!(sources.is_none_or(|sources| sources.len() == labels.len()));
    let of_truth: Vec<f64> =
        scores.chunks_exact(classes).zip(labels).map(|(row, &label)| conformity(row, typical)[label]).collect();
    let of =
        |kept: &dyn Fn(usize) -> bool| (0..labels.len()).filter(|&i| kept(i)).map(|i| of_truth[i]).collect::<Vec<_>>();
    let of_class = |class: usize| {
        let all = of(&|i| labels[i] == class);
        if all.len() < images_needed(coverage) {
            return threshold(of_truth.clone(), coverage);
        }
        let sources = sources.unwrap_or_default();
        let of_source = |name: &String| of(&|i| labels[i] == class && sources[i] == *name);
        let enough = distinct(sources).into_iter().map(of_source).filter(|images| images.len() >= IMAGES_OF_SOURCE);
        let lowest = enough.map(|images| threshold(images, coverage)).fold(f64::INFINITY, f64::min);
        if lowest.is_finite() { lowest } else { threshold(all, coverage) }
    };
    (0..classes).map(of_class).collect()
}

/// Which classes are in the set of an image: those whose [`conformity`] reaches their threshold, and the likeliest, whatever its
/// threshold. So no set is empty; that a set grows costs no coverage.
///
/// # Shapes
/// - `probabilities`, `thresholds`: `[classes]`; `typical`: `[classes, classes]`, see [`typical`]; returns `[classes]`
pub fn set_of(probabilities: &[f32], thresholds: &[f64], typical: &[Vec<f64>]) -> Vec<bool> {
    assert_eq!(probabilities.len(), thresholds.len());
    let mut set: Vec<bool> =
        conformity(probabilities, typical).iter().zip(thresholds).map(|(c, threshold)| c >= threshold).collect();
    set[argmax(probabilities)] = true;
    set
}

/// Whether a set says something: one class, or several but not all that are all findings. A set with the healthy class and
/// another says nothing, nor does the set of all classes or of none.
pub fn is_answer(set: &[bool], healthy: Option<usize>) -> bool {
    let size = set.iter().filter(|&&inside| inside).count();
    size == 1 || (size > 1 && size < set.len() && !healthy.is_some_and(|healthy| set[healthy]))
}

/// What `sets` reach on labelled images.
///
/// # Shapes
/// - `sets`: one [`set_of`] an image, at least one; `labels`, `sources`, `groups`: one entry an image
pub fn sets_reached(
    sets: &[Vec<bool>],
    labels: &[usize],
    classes: &[String],
    healthy: Option<usize>,
    sources: Option<&[String]>,
    groups: Option<&[String]>,
) -> SetsReached {
    assert_eq!(sets.len(), labels.len());
    let n = labels.len();
    let size = |i: usize| sets[i].iter().filter(|&&inside| inside).count();
    let covered = |i: usize| sets[i][labels[i]];
    let all: Vec<usize> = (0..n).collect();
    let of_all = |hit: &dyn Fn(usize) -> bool| Share::among(&all, hit, groups).expect("a set of images");
    let covered_of = |images: Vec<usize>| Share::among(&images, covered, groups);
    let by_class = |images: &[usize]| -> ByName<Share> {
        let of = |(class, name): (usize, &String)| {
            let of_class = images.iter().copied().filter(|&i| labels[i] == class).collect();
            Some((name.clone(), covered_of(of_class)?))
        };
        classes.iter().enumerate().filter_map(of).collect()
    };
    let by_source = |sources: &[String]| {
        let of_source = |name: &String| by_class(&(0..n).filter(|&i| sources[i] == *name).collect::<Vec<_>>());
        distinct(sources).into_iter().map(|name| (name.clone(), of_source(name))).collect()
    };
    let mean_size = |drawn: &[u32]| {
        let total: f64 = drawn.iter().enumerate().map(|(i, &times)| f64::from(times) * size(i) as f64).sum();
        Some(total / f64::from(drawn.iter().sum::<u32>()))
    };
    SetsReached {
        coverage: of_all(&covered),
        by_class: by_class(&all),
        by_source: sources.map(by_source),
        mean_size: (0..n).map(size).sum::<usize>() as f64 / n as f64,
        mean_size_interval: bootstrap(&units(n, groups), BOOTSTRAP_SEED, mean_size),
        single: of_all(&|i| size(i) == 1),
        single_right: covered_of((0..n).filter(|&i| size(i) == 1).collect()),
        cannot_tell: of_all(&|i| !is_answer(&sets[i], healthy)),
        answered: covered_of((0..n).filter(|&i| is_answer(&sets[i], healthy)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Probabilities of three classes and labels from whole numbers, as in `tests/fixtures/make_conformal.py`.
    fn images() -> (Vec<f32>, Vec<usize>) {
        let weights = |i: usize| [0, 1, 2].map(|k| (1 + (i * 37 + k * 11 + i * k * 5) % 23) as f64);
        let scores: Vec<f32> =
            (0..240).flat_map(|i| weights(i).map(|weight| (weight / weights(i).iter().sum::<f64>()) as f32)).collect();
        let labels = (0..240).map(|i| if i % 4 > 0 { argmax(&scores[3 * i..3 * i + 3]) } else { i / 4 % 3 }).collect();
        (scores, labels)
    }

    fn classes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    /// Each class is like itself alone: then the conformity has the order of the probability.
    fn unlike(classes: usize) -> Vec<Vec<f64>> {
        typical(&[], &[], classes)
    }

    /// MAPIE 1.6.0, `SplitConformalClassifier(conformity_score="lac")` calibrated on the images of one class at a time: see
    /// `tests/fixtures/make_conformal.py`.
    #[test]
    fn sets_are_those_of_mapie() {
        let (scores, labels) = images();
        for (coverage, of_class, of_size, covered) in [
            (0.4, [95, 64, 81], [0, 240, 0, 0], 199),
            (0.8, [126, 179, 101], [0, 74, 166, 0], 214),
            (0.9, [137, 179, 163], [0, 32, 177, 31], 220),
        ] {
            let thresholds = fit_thresholds(&scores, &labels, &unlike(3), None, coverage);
            let sets: Vec<Vec<bool>> = scores.chunks(3).map(|row| set_of(row, &thresholds, &unlike(3))).collect();
            let of = |class: usize| sets.iter().filter(|set| set[class]).count();
            assert_eq!([0, 1, 2].map(of), of_class, "{coverage}");
            let sized =
                |size: usize| sets.iter().filter(|set| set.iter().filter(|&&inside| inside).count() == size).count();
            assert_eq!([0, 1, 2, 3].map(sized), of_size, "{coverage}");
            assert_eq!(sets.iter().zip(&labels).filter(|(set, label)| set[**label]).count(), covered, "{coverage}");
        }
    }

    /// NumPy 2.4.6, the formula of [`conformity`] and `quantile(method="inverted_cdf")`: see `tests/fixtures/make_conformal.py`.
    #[test]
    fn sets_of_typical_images_are_those_of_numpy() {
        let (scores, labels) = images();
        let typical = typical(&scores, &labels, 3);
        for (row, expected) in typical.iter().zip([
            [0.459801128, 0.278812586, 0.261386305],
            [0.254146407, 0.499329021, 0.246524572],
            [0.272143029, 0.262292431, 0.46556455],
        ]) {
            assert!(row.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-8), "{row:?}");
        }
        for (coverage, expected, of_class) in [
            (0.8, [0.036706999327, 0.037226116547, 0.037300081917], [126, 97, 101]),
            (0.9, [0.035433739793, 0.036673469996, 0.023643265308], [137, 168, 163]),
        ] {
            let thresholds = fit_thresholds(&scores, &labels, &typical, None, coverage);
            assert!(thresholds.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{thresholds:?}");
            let sets: Vec<Vec<bool>> = scores.chunks(3).map(|row| set_of(row, &thresholds, &typical)).collect();
            assert_eq!([0, 1, 2].map(|class| sets.iter().filter(|set| set[class]).count()), of_class, "{coverage}");
        }
    }

    /// By hand: of 19 images the ⌈20 · 0.9⌉ = 18th from above, 2/32, halfway to 1/32; of 9 the 9th, of 8 none will do.
    #[test]
    fn the_threshold_is_the_quantile_of_one_image_more() {
        let of = |n: u8| (1..=n).map(|i| f64::from(i) / 32.0).collect::<Vec<_>>();
        assert_eq!(threshold(of(19), 0.9), 1.5 / 32.0);
        assert_eq!(threshold(of(9), 0.9), 0.5 / 32.0);
        assert_eq!(threshold(of(8), 0.9), 0.0);
        assert_eq!(threshold(vec![0.5; 30], 0.9), 0.25, "ties are all inside");
        assert_eq!([0.5, 0.9, 0.95, 0.96].map(images_needed), [1, 9, 19, 24]);
        for coverage in [0.5, 0.9, 0.95, 0.96, 0.97] {
            let n = images_needed(coverage);
            assert!(threshold(vec![0.5; n], coverage) > 0.0 && threshold(vec![0.5; n - 1], coverage) == 0.0, "{n}");
        }
    }

    /// By hand: images of the first class with 0.6 and 0.8, and one that is certain of it, have a mean of 0.8; of the second
    /// there is none. To (0.5, 0.5) both are as like, so that a half is squared; to (0.75, 0.25) the first is more so.
    #[test]
    fn a_class_fits_as_it_is_likely_and_as_the_image_is_typical_of_it() {
        let close = |found: &[f64], expected: &[f64]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        let typical = typical(&[0.6, 0.4, 0.8, 0.2], &[0, 0], 2);
        assert!(close(&typical[0], &[0.8, 0.2]) && close(&typical[1], &[0.0, 1.0]), "{typical:?}");
        assert!(close(&conformity(&[0.5, 0.5], &typical), &[0.125, 0.125]));
        assert!(close(&conformity(&[0.75, 0.25], &typical), &[0.75 * 0.65 * 0.65, 0.25 * 0.25 * 0.25]));
    }

    /// Of two classes that are taken for each other and a third, the second is in the set where the first is likely, and not
    /// where the third is as likely.
    #[test]
    fn a_class_that_is_hard_to_tell_from_one_other_stays_out_of_the_sets_of_a_third() {
        let typical = vec![vec![0.6, 0.4, 0.0], vec![0.4, 0.6, 0.0], vec![0.0, 0.0, 1.0]];
        let second = |row: [f32; 3]| conformity(&row, &typical)[1];
        assert!(second([0.9, 0.1, 0.0]) > 10.0 * second([0.0, 0.1, 0.9]));
    }

    /// The guarantee itself: over 400 draws of calibration and new images from one distribution, the mean coverage of each class
    /// is at least what was asked for. A draw's coverage of 40 images has a variance of at most 1/4, so the mean of 400
    /// lies lower by more than 4 standard errors, 4 · 0.5 / √(400 · 40) < 0.016, once in 30,000 times.
    #[test]
    fn new_images_of_each_class_are_covered_as_often_as_stated() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut image = |label: usize| -> Vec<f32> {
            let weights = [0, 1, 2].map(|k| rng.random::<f32>() * if k == label { 2.0 } else { 1.0 } + 1e-3);
            weights.iter().map(|weight| weight / weights.iter().sum::<f32>()).collect()
        };
        let labels: Vec<usize> = (0..120).map(|i| i % 3).collect();
        let (mut covered, draws) = ([0; 3], 400);
        for _ in 0..draws {
            let scores: Vec<f32> = labels.iter().flat_map(|&label| image(label)).collect();
            let typical = typical(&scores, &labels, 3);
            let thresholds = fit_thresholds(&scores, &labels, &typical, None, 0.9);
            for &label in &labels {
                covered[label] += usize::from(set_of(&image(label), &thresholds, &typical)[label]);
            }
        }
        let share = covered.map(|covered| f64::from(covered as u32) / f64::from(draws * 40));
        assert!(share.iter().all(|share| (0.9 - 0.016..0.97).contains(share)), "{share:?}");
    }

    /// A source whose images fit badly lowers the threshold of their class, if it has enough of them.
    #[test]
    fn the_coverage_holds_in_each_source_with_enough_images() {
        let of_source =
            |n: usize, easy: bool| (0..n).map(move |i| if easy { 0.8 } else { 0.3 } + 0.1 * i as f32 / n as f32);
        for (n, covered) in [(60, true), (40, false)] {
            let of_class: Vec<f32> = of_source(1000, true).chain(of_source(n, false)).collect();
            let scores: Vec<f32> = of_class.iter().flat_map(|&p| [p, 1.0 - p]).collect();
            let labels = vec![0; of_class.len()];
            let sources: Vec<String> = (0..of_class.len()).map(|i| if i < 1000 { "a" } else { "b" }.into()).collect();
            let by_source = fit_thresholds(&scores, &labels, &unlike(2), Some(&sources), 0.9)[0];
            // Cubed, as the likeness of a class to itself alone is its probability.
            assert_eq!(by_source < 0.35_f64.powi(3), covered, "{n}: {by_source}");
            assert!(fit_thresholds(&scores, &labels, &unlike(2), None, 0.9)[0] > 0.5_f64.powi(3));
        }
    }

    /// By hand: 10 images of the second class are too few for 96 %, the 34 of both are not.
    #[test]
    fn a_class_with_too_few_images_takes_the_threshold_of_all() {
        let labels: Vec<usize> = (0..34).map(|i| usize::from(i >= 24)).collect();
        let scores: Vec<f32> = labels
            .iter()
            .enumerate()
            .flat_map(|(i, &label)| {
                let p = 0.5 + i as f32 / 128.0;
                if label == 0 { [p, 1.0 - p] } else { [1.0 - p, p] }
            })
            .collect();
        let found = fit_thresholds(&scores, &labels, &unlike(2), None, 0.96);
        // The ⌈25 · 0.96⌉ = 24th of 24 and the ⌈35 · 0.96⌉ = 34th of 34 are both the first image, 0.5³: halfway to 0.
        assert_eq!(found, [0.0625, 0.0625]);
        assert_eq!(fit_thresholds(&scores[..20], &labels[..10], &unlike(2), None, 0.96), [0.0, 0.0]);
    }

    #[test]
    fn a_set_is_never_empty_and_says_something_or_not() {
        assert_eq!(set_of(&[0.4, 0.35, 0.25], &[0.9, 0.9, 0.9], &unlike(3)), [true, false, false]);
        let answer = |set: [bool; 3], healthy| is_answer(&set, healthy);
        assert!(answer([false, true, false], Some(1)) && answer([true, false, true], Some(1)));
        assert!(!answer([true, true, false], Some(1)) && answer([true, true, false], None));
        assert!(!answer([true; 3], None) && !answer([false; 3], None));
        assert!(!is_answer(&[true, true], None), "both of two classes");
    }

    /// By hand, five images of three classes, the second healthy: sets {0}, {0, 2}, {1}, {0, 1}, {1}, truths 0, 2, 1, 1, 2.
    #[test]
    fn what_sets_reach_is_counted() {
        let sets = [
            [true, false, false],
            [true, false, true],
            [false, true, false],
            [true, true, false],
            [false, true, false],
        ];
        let sets: Vec<Vec<bool>> = sets.map(Vec::from).to_vec();
        let sources = classes(&["x", "x", "y", "x", "y"]);
        let names = classes(&["a", "b", "c"]);
        let found = sets_reached(&sets, &[0, 2, 1, 1, 2], &names, Some(1), Some(&sources), None);
        let counts = |share: &Share| (share.count, share.of);
        assert_eq!(counts(&found.coverage), (4, 5));
        let by_class: Vec<_> = found.by_class.iter().map(|(class, share)| (class, counts(share))).collect();
        assert_eq!(by_class, [("a", (1, 1)), ("b", (2, 2)), ("c", (1, 2))]);
        let of_y = found.by_source.as_ref().unwrap().get("y").unwrap();
        assert_eq!(
            of_y.iter().map(|(class, share)| (class, counts(share))).collect::<Vec<_>>(),
            [("b", (1, 1)), ("c", (0, 1))]
        );
        assert_eq!(found.mean_size, 7.0 / 5.0);
        let [low, high] = found.mean_size_interval.unwrap();
        assert!(low < 1.4 && high > 1.4);
        assert_eq!((counts(&found.single), found.single_right.as_ref().map(counts)), ((3, 5), Some((2, 3))));
        assert_eq!((counts(&found.cannot_tell), found.answered.as_ref().map(counts)), ((1, 5), Some((3, 4))));
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<SetsReached>(&json).unwrap(), found);
    }
}
