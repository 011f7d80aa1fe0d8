//! How much the number of images counts: adapted to `k` images a class, judged on all others, over many draws.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::report::{Judgement, Said};
use super::{Adapter, Plan, Seen};
use crate::error::{Error, Result};
use crate::metrics::auroc;

/// Images of a class that have to be left to judge on.
const LEFT: usize = 4;

/// One point of the curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Images of each class that were learned from.
    pub k: usize,
    /// The classes that have enough images.
    pub classes: Vec<String>,
    /// Images judged, on average over the draws.
    pub judged: f64,
    /// How many draws there were.
    pub draws: usize,
    /// The shipped model.
    pub before: Reached,
    /// The adapted one, on the same images.
    pub after: Reached,
    /// Share of the draws after which the area under the curve was larger than before.
    pub better: f64,
}

/// Means over the draws, each with the range that 95 % of the draws lie in. Shares are of all images judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reached {
    /// Mean area under the ROC curve over the classes.
    pub auroc: Spread,
    /// Images whose class is the likeliest of those there: the mean over the classes.
    pub accuracy: Spread,
    /// Images answered with one class, the right one.
    pub single_right: Spread,
    /// Images answered with several classes that hold the right one.
    pub several_right: Spread,
    /// Images answered without the right class.
    pub wrong: Spread,
    /// Images with no answer.
    pub cannot_tell: Spread,
    /// Images rejected.
    pub rejected: Spread,
}

/// A mean over draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// What 95 % of the draws lie in.
    pub range: [f64; 2],
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Self { mean: values.iter().sum::<f64>() / values.len() as f64, range: [at(0.025), at(0.975)] }
    }
}

/// What one draw reached.
type Numbers = [f64; 7];

impl Adapter {
    /// The curve over the numbers of images `ks`; `progress` is told of each draw done.
    ///
    /// A patient is learned from or judged on, never both. A class takes part where it has four groups more than `k`.
    ///
    /// # Errors
    /// [`Error::Dataset`] when two classes do not have images enough for any `k`.
    pub fn curve(
        &self,
        images: &[Seen],
        ks: &[usize],
        draws: usize,
        seed: u64,
        progress: impl Fn() + Sync,
    ) -> Result<Vec<Point>> {
        let points: Vec<Point> =
            ks.iter().filter_map(|&k| self.point(images, k, draws.max(1), seed, &progress)).collect();
        if points.is_empty() {
            let least = ks.iter().min().copied().unwrap_or_default() + LEFT;
            let reason = format!("a curve needs {least} images or more of each of two classes");
            return Err(Error::Dataset { reason });
        }
        Ok(points)
    }

    fn point(
        &self,
        images: &[Seen],
        k: usize,
        draws: usize,
        seed: u64,
        progress: &(impl Fn() + Sync),
    ) -> Option<Point> {
        let names = &self.card().classes;
        let groups = |class: usize| {
            let mut groups: Vec<&str> =
                images.iter().filter(|seen| seen.class == Some(class)).map(|seen| seen.group.as_str()).collect();
            groups.sort_unstable();
            groups.dedup();
            groups
        };
        let classes: Vec<usize> = (0..names.len()).filter(|&class| groups(class).len() >= k + LEFT).collect();
        if classes.len() < 2 {
            return None;
        }
        let plan = Plan { classes: classes.clone() };
        let draw = |draw: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(draw as u64));
            let (mut drawn, mut learned_from) = (Vec::new(), Vec::new());
            for &class in &classes {
                let mut groups = groups(class);
                groups.shuffle(&mut rng);
                groups.truncate(k);
                // One image a patient: `k` is the number of images.
                let of = |group: &str| images.iter().find(|seen| seen.class == Some(class) && seen.group == group);
                learned_from.extend(groups.iter().filter_map(|group| of(group)));
                drawn.extend(groups);
            }
            let rest: Vec<&Seen> =
                images.iter().filter(|seen| plan.has(seen) && !drawn.contains(&seen.group.as_str())).collect();
            let (learned, card) = self.learn(&learned_from, &plan, seed.wrapping_add(draw as u64));
            let layer = learned.as_ref().map_or(&self.layer, |learned| &learned.layer);
            let before = rest.iter().map(|seen| Said::of(self.card(), &self.layer, seen)).collect();
            let after = rest.iter().map(|seen| Said::of(&card, layer, seen)).collect();
            progress();
            let judgement = Judgement::new(rest, [before, after]);
            (judgement.len(), judgement.numbers(0, &plan), judgement.numbers(1, &plan))
        };
        let done: Vec<(usize, Numbers, Numbers)> = (0..draws).into_par_iter().map(draw).collect();
        let reached = |of: &dyn Fn(&(usize, Numbers, Numbers)) -> Numbers| {
            let spread = |number: usize| Spread::of(done.iter().map(|draw| of(draw)[number]).collect());
            Reached {
                auroc: spread(0),
                accuracy: spread(1),
                single_right: spread(2),
                several_right: spread(3),
                wrong: spread(4),
                cannot_tell: spread(5),
                rejected: spread(6),
            }
        };
        let n = done.len() as f64;
        Some(Point {
            k,
            classes: classes.iter().map(|&class| names[class].clone()).collect(),
            judged: done.iter().map(|draw| draw.0 as f64).sum::<f64>() / n,
            draws: done.len(),
            before: reached(&|draw| draw.1),
            after: reached(&|draw| draw.2),
            better: done.iter().filter(|draw| draw.2[0] > draw.1[0]).count() as f64 / n,
        })
    }
}

impl Judgement<'_> {
    /// One draw's numbers, in the order of [`Reached`], before (0) or after (1).
    fn numbers(&self, which: usize, plan: &Plan) -> Numbers {
        let said = &self.said[which];
        let n = said.len() as f64;
        let share = |hit: &dyn Fn(&Said, usize) -> bool| {
            said.iter().enumerate().filter(|(i, said)| hit(said, self.label(*i))).count() as f64 / n
        };
        let area = |class: usize| {
            let (scores, positives) = self.ranked(said, plan, class);
            auroc(&scores, &positives)
        };
        let areas: Vec<f64> = plan.classes.iter().filter_map(|&class| area(class)).collect();
        [
            areas.iter().sum::<f64>() / areas.len().max(1) as f64,
            self.balanced_accuracy(said, plan),
            share(&|said, label| said.answer == [label]),
            share(&|said, label| said.answer.len() > 1 && said.answer.contains(&label)),
            share(&|said, label| !said.answer.is_empty() && !said.answer.contains(&label)),
            share(&|said, _| said.answer.is_empty() && !said.rejected),
            share(&|said, _| said.rejected),
        ]
    }
}
