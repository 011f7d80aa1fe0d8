//! Images parted into folds, each judged by what was learned from the others.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The fold of each image, below `count`: as many of every class in each fold as can be, and all of a group in one.
///
/// A group of several classes counts as its first image's. The same images give the same folds for a `seed`.
///
/// # Shapes
/// - `classes`, `groups`: one entry an image
pub fn folds(classes: &[usize], groups: &[String], count: usize, seed: u64) -> Vec<usize> {
    let mut units = BTreeMap::<&str, Vec<usize>>::new();
    for (i, group) in groups.iter().enumerate() {
        units.entry(group).or_default().push(i);
    }
    let mut units: Vec<Vec<usize>> = units.into_values().collect();
    units.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    // Large ones first: small ones can make up for them.
    units.sort_by_key(|unit| std::cmp::Reverse(unit.len()));
    let most = classes.iter().max().map_or(0, |class| class + 1);
    let (mut by_class, mut total) = (vec![vec![0; count]; most], vec![0; count]);
    let mut fold_of = vec![0; classes.len()];
    for unit in units {
        let own = classes[unit[0]];
        let fold = (0..count).min_by_key(|&fold| (by_class[own][fold], total[fold])).unwrap_or(0);
        for i in unit {
            by_class[classes[i]][fold] += 1;
            total[fold] += 1;
            fold_of[i] = fold;
        }
    }
    fold_of
}

/// How many groups the class with the fewest has, of those with any.
pub fn fewest_groups(classes: &[usize], groups: &[String]) -> usize {
    let mut of_class = BTreeMap::<usize, std::collections::BTreeSet<&str>>::new();
    for (class, group) in classes.iter().zip(groups) {
        of_class.entry(*class).or_default().insert(group);
    }
    of_class.values().map(|groups| groups.len()).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_have_all_classes_alike_and_no_group_in_two() {
        // 30 images of class 0, two a patient; 20 of class 2, each a patient.
        let classes: Vec<usize> = (0..50).map(|i| if i < 30 { 0 } else { 2 }).collect();
        let groups: Vec<String> =
            (0..50).map(|i| if i < 30 { format!("p{}", i / 2) } else { format!("q{i}") }).collect();
        let found = folds(&classes, &groups, 5, 1);
        for fold in 0..5 {
            let of = |class: usize| (0..50).filter(|&i| classes[i] == class && found[i] == fold).count();
            assert_eq!((of(0), of(2)), (6, 4));
        }
        assert!((0..15).all(|i| found[2 * i] == found[2 * i + 1]));
        assert_eq!(found, folds(&classes, &groups, 5, 1));
        assert_ne!(found, folds(&classes, &groups, 5, 2));
        assert_eq!(fewest_groups(&classes, &groups), 15);
    }
}
