//! What an adaptation is worth: the user's images judged by cross-validation, before against after.

use serde::Serialize;

use super::decisions::answer;
use super::folds::{fewest_groups, folds};
use super::layer::Learned;
use super::{Adapter, FEWEST, LastLayer, Plan, Ridge, Seen};
use crate::classifier::probabilities;
use crate::formats::ModelCard;
use crate::labels::ByName;
use crate::metrics::intervals::BOOTSTRAP_SEED;
use crate::metrics::{Share, argmax, auroc, auroc_interval, bootstrap, cross_entropy};

/// Folds in which images are judged.
const FOLDS: usize = 5;

/// Whether to take an adaptation. It is taken where the probabilities of the right classes rose, the whole interval of the
/// paired difference in cross-entropy lying below 0, and no fewer images are named rightly. It is not where that interval lies
/// above 0, or that of the difference in accuracy below 0. Else the images are too few to tell. Where the last layer could not
/// be learned it is taken when fewer images are rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Better on the user's images.
    Take,
    /// Worse there, or nothing changed.
    Leave,
    /// Neither is certain.
    TooFew,
}

/// What came of an adaptation: the JSON of `roentgen adapt --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whether to take it.
    pub verdict: Verdict,
    /// The same as a sentence.
    pub sentence: String,
    /// Labelled images of each class, those used.
    pub images: ByName<usize>,
    /// Images without a label.
    pub unlabelled: usize,
    /// Patients, or other groups, that the images are of.
    pub groups: usize,
    /// Classes that the last layer learned from.
    pub learned: Vec<String>,
    /// How firmly it was held; `None` where it was not learned.
    pub ridge: Option<Ridge>,
    /// How many folds the images were judged in.
    pub folds: usize,
    /// The shipped model on the images.
    pub before: Judged,
    /// The adapted one, each image by a model that has not seen it.
    pub after: Judged,
    /// After less before, image by image.
    pub difference: Difference,
    /// Distance from the training images from which on an image is rejected, before and after; `None` without a gate.
    pub maximum_distance: Option<[f32; 2]>,
    /// What there is to say beside it, a sentence each.
    pub notes: Vec<String>,
}

/// What a model reaches on the images. All but `rejected` is `None` where there were not images enough of two classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Of all images, those rejected.
    pub rejected: Share,
    /// Images whose class is the likeliest of those in the folder, rejected ones too.
    pub accuracy: Option<Share>,
    /// The same as the mean over the classes, so that each counts the same.
    pub balanced_accuracy: Option<WithInterval>,
    /// Area under the ROC curve of each class, by its probability among those in the folder.
    pub auroc: Option<ByName<WithInterval>>,
    /// Cross-entropy in nats among all of the model's classes, the mean over the classes in the folder.
    pub loss: Option<f64>,
    /// Of all images, those answered with one class.
    pub single: Option<Share>,
    /// Of all images, those answered with several.
    pub several: Option<Share>,
    /// Of all images, those that are not rejected and get no answer.
    pub cannot_tell: Option<Share>,
    /// Of the images answered, those whose answer does not hold their class.
    pub wrong: Option<Share>,
}

/// A number with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WithInterval {
    /// The number.
    pub value: f64,
    /// 95 % interval, patients resampled.
    pub interval: Option<[f64; 2]>,
}

/// The paired differences, after less before of the same images; means over the classes, but that of the rejected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Of [`Judged::rejected`].
    pub rejected: WithInterval,
    /// Of [`Judged::balanced_accuracy`].
    pub accuracy: Option<WithInterval>,
    /// Of [`Judged::loss`]: below 0 the right classes became likelier.
    pub loss: Option<WithInterval>,
    /// Of the share of images that are answered with their class alone.
    pub single_right: Option<WithInterval>,
}

/// What one model says of one image.
pub(super) struct Said {
    scores: Vec<f32>,
    pub rejected: bool,
    /// Empty where it is rejected, or no answer is given.
    pub answer: Vec<usize>,
}

impl Said {
    pub fn of(card: &ModelCard, layer: &LastLayer, seen: &Seen) -> Self {
        let logits: Vec<f32> = layer.logits(&seen.features).into_iter().map(|z| z as f32).collect();
        let scores = probabilities(&logits, card.classes.len(), card.temperature());
        let limit = card.refusal.as_ref().map_or(f32::INFINITY, |info| info.maximum_distance);
        let rejected = seen.look.rejected || seen.look.distance > limit;
        let answer = if rejected { Vec::new() } else { answer(card, &scores) };
        Self { scores, rejected, answer }
    }

    /// The likeliest of the classes that are learned.
    pub fn named(&self, plan: &Plan) -> usize {
        plan.classes[argmax(&plan.classes.iter().map(|&class| self.scores[class]).collect::<Vec<_>>())]
    }

    /// The probability of a class among those.
    fn among(&self, plan: &Plan, class: usize) -> f32 {
        let all: f32 = plan.classes.iter().map(|&class| self.scores[class]).sum();
        if all > 0.0 { self.scores[class] / all } else { 0.0 }
    }

    /// `−ln p` of the right class, as [`cross_entropy`] has it.
    fn surprise(&self, label: usize) -> f64 {
        cross_entropy(&self.scores, &[label], self.scores.len())
    }
}

/// The images judged, and what was said of each before and after.
pub(super) struct Judgement<'a> {
    images: Vec<&'a Seen>,
    groups: Vec<String>,
    folds: usize,
    pub said: [Vec<Said>; 2],
}

/// Judges the images: of the classes that are learned where there are some, else all of them.
pub(super) fn judge<'a>(
    adapter: &Adapter,
    used: &[&'a Seen],
    plan: &Plan,
    seed: u64,
    progress: &mut impl FnMut(f64),
) -> Judgement<'a> {
    let (images, beside): (Vec<&Seen>, Vec<&Seen>) = used.iter().partition(|seen| plan.has(seen) || !plan.learns());
    let classes: Vec<usize> = images.iter().map(|seen| seen.class.filter(|_| plan.learns()).unwrap_or(0)).collect();
    let groups: Vec<String> = images.iter().map(|seen| seen.group.clone()).collect();
    let count = FOLDS.min(fewest_groups(&classes, &groups)).max(1);
    let fold_of = folds(&classes, &groups, count, seed);
    let before = images.iter().map(|seen| Said::of(adapter.card(), &adapter.layer, seen)).collect();
    let mut after: Vec<Option<Said>> = images.iter().map(|_| None).collect();
    for fold in 0..count {
        let others = (0..images.len()).filter(|&i| fold_of[i] != fold).map(|i| images[i]);
        let others: Vec<&Seen> = others.chain(beside.iter().copied()).collect();
        // Another draw than that of the folds inside.
        let (learned, card) = adapter.learn(&others, plan, seed.wrapping_add(1 + fold as u64));
        let layer = learned.as_ref().map_or(&adapter.layer, |learned| &learned.layer);
        for i in (0..images.len()).filter(|&i| fold_of[i] == fold) {
            after[i] = Some(Said::of(&card, layer, images[i]));
        }
        progress((fold + 1) as f64 / (count + 1) as f64);
    }
    let after = after.into_iter().flatten().collect();
    Judgement { folds: count, ..Judgement::new(images, [before, after]) }
}

impl<'a> Judgement<'a> {
    /// Of images that were all judged by one model before and one after.
    pub fn new(images: Vec<&'a Seen>, said: [Vec<Said>; 2]) -> Self {
        let groups = images.iter().map(|seen| seen.group.clone()).collect();
        Self { images, groups, folds: 1, said }
    }

    pub fn len(&self) -> usize {
        self.images.len()
    }

    pub fn label(&self, i: usize) -> usize {
        self.images[i].class.unwrap_or(0)
    }

    /// Each image's probability of a class among those learned, and whether it is of that class: what an area under the ROC
    /// curve is made of.
    pub fn ranked(&self, said: &[Said], plan: &Plan, class: usize) -> (Vec<f32>, Vec<bool>) {
        let scores = said.iter().map(|said| said.among(plan, class)).collect();
        (scores, (0..said.len()).map(|i| self.label(i) == class).collect())
    }

    /// The mean of a number that each image has, each drawn so often: the mean over `classes`, so that they count the same, or
    /// over all images where none are given. `None` where a class was not drawn.
    fn mean(&self, drawn: &[u32], classes: &[usize], of: impl Fn(usize) -> f64) -> Option<f64> {
        let over = |images: &dyn Fn(usize) -> bool| {
            let (mut sum, mut count) = (0.0, 0);
            for i in (0..self.len()).filter(|&i| images(i)) {
                sum += f64::from(drawn[i]) * of(i);
                count += drawn[i];
            }
            (count > 0).then(|| sum / f64::from(count))
        };
        if classes.is_empty() {
            return over(&|_| true);
        }
        let each: Option<Vec<f64>> = classes.iter().map(|&class| over(&|i| self.label(i) == class)).collect();
        each.map(|means| means.iter().sum::<f64>() / means.len() as f64)
    }

    /// 1 for an image whose class is the likeliest of those learned, 0 for another.
    fn named_rightly(&self, said: &[Said], plan: &Plan, i: usize) -> f64 {
        f64::from(u8::from(said[i].named(plan) == self.label(i)))
    }

    /// Share of images whose class is the likeliest of those learned, the mean over the classes.
    #[cfg(feature = "cli")]
    pub fn balanced_accuracy(&self, said: &[Said], plan: &Plan) -> f64 {
        self.mean(&vec![1; self.len()], &plan.classes, |i| self.named_rightly(said, plan, i)).unwrap_or_default()
    }

    /// [`mean`](Self::mean) with its interval.
    fn measured(&self, classes: &[usize], of: impl Fn(usize) -> f64) -> WithInterval {
        WithInterval {
            value: self.mean(&vec![1; self.len()], classes, &of).unwrap_or_default(),
            interval: bootstrap(&self.groups, BOOTSTRAP_SEED, |drawn| self.mean(drawn, classes, &of)),
        }
    }

    /// The paired difference of a number that is said of an image.
    fn change(&self, classes: &[usize], of: impl Fn(&Said, usize) -> f64) -> WithInterval {
        let [before, after] = &self.said;
        self.measured(classes, |i| of(&after[i], self.label(i)) - of(&before[i], self.label(i)))
    }

    fn judged(&self, said: &[Said], classes: &[String], plan: &Plan) -> Judged {
        let n = self.len();
        let share = |hit: &dyn Fn(usize) -> bool| Share::of(&(0..n).map(hit).collect::<Vec<_>>(), Some(&self.groups));
        let rejected = share(&|i| said[i].rejected).expect("there are images");
        if !plan.learns() {
            return Judged {
                rejected,
                accuracy: None,
                balanced_accuracy: None,
                auroc: None,
                loss: None,
                single: None,
                several: None,
                cannot_tell: None,
                wrong: None,
            };
        }
        let areas = plan.classes.iter().filter_map(|&class| {
            let (scores, positives) = self.ranked(said, plan, class);
            let (value, interval) = (auroc(&scores, &positives)?, auroc_interval(&scores, &positives, &self.groups));
            Some((classes[class].clone(), WithInterval { value, interval }))
        });
        let answered: Vec<usize> = (0..n).filter(|&i| !said[i].answer.is_empty()).collect();
        let wrong: Vec<bool> = answered.iter().map(|&i| !said[i].answer.contains(&self.label(i))).collect();
        let of_answered: Vec<String> = answered.iter().map(|&i| self.groups[i].clone()).collect();
        Judged {
            rejected,
            accuracy: share(&|i| said[i].named(plan) == self.label(i)),
            auroc: Some(areas.collect()),
            balanced_accuracy: Some(self.measured(&plan.classes, |i| self.named_rightly(said, plan, i))),
            loss: self.mean(&vec![1; n], &plan.classes, |i| said[i].surprise(self.label(i))),
            single: share(&|i| said[i].answer.len() == 1),
            several: share(&|i| said[i].answer.len() > 1),
            cannot_tell: share(&|i| said[i].answer.is_empty() && !said[i].rejected),
            wrong: Share::of(&wrong, Some(&of_answered)),
        }
    }
}

impl Report {
    pub(super) fn of(
        shipped: &ModelCard,
        card: &ModelCard,
        given: usize,
        used: &[&Seen],
        plan: &Plan,
        learned: Option<&Learned>,
        judgement: Judgement<'_>,
    ) -> Self {
        let classes = &shipped.classes;
        let [before, after] = judgement.said.each_ref().map(|said| judgement.judged(said, classes, plan));
        let told = |of: &dyn Fn(&Said, usize) -> f64| plan.learns().then(|| judgement.change(&plan.classes, of));
        let hit = |hit: bool| f64::from(u8::from(hit));
        let difference = Difference {
            rejected: judgement.change(&[], |said, _| hit(said.rejected)),
            accuracy: told(&|said, label| hit(said.named(plan) == label)),
            loss: told(&|said, label| said.surprise(label)),
            single_right: told(&|said, label| hit(said.answer == [label])),
        };
        let distance = |card: &ModelCard| card.refusal.as_ref().map(|info| info.maximum_distance);
        let verdict = verdict(&difference);
        let images = super::counts(used, classes);
        let mut groups: Vec<&str> = used.iter().map(|seen| seen.group.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        Self {
            sentence: sentence(verdict, &judgement, [&before, &after], &difference),
            verdict,
            unlabelled: used.iter().filter(|seen| seen.class.is_none()).count(),
            groups: groups.len(),
            learned: plan.classes.iter().map(|&class| classes[class].clone()).collect(),
            ridge: learned.map(|learned| learned.ridge),
            folds: judgement.folds,
            notes: notes(&images, given, used, plan, classes, distance(card).is_some()),
            before,
            after,
            difference,
            maximum_distance: distance(shipped).zip(distance(card)).map(|(before, after)| [before, after]),
            images,
        }
    }
}

/// See [`Verdict`].
fn verdict(difference: &Difference) -> Verdict {
    let below = |change: &WithInterval| change.interval.is_some_and(|[_, high]| high < 0.0);
    let above = |change: &WithInterval| change.interval.is_some_and(|[low, _]| low > 0.0);
    match (&difference.loss, &difference.accuracy) {
        (Some(loss), Some(accuracy)) => {
            if above(loss) || below(accuracy) {
                Verdict::Leave
            } else if below(loss) && accuracy.value >= 0.0 {
                Verdict::Take
            } else {
                Verdict::TooFew
            }
        }
        _ if below(&difference.rejected) => Verdict::Take,
        _ if difference.rejected.value < 0.0 => Verdict::TooFew,
        _ => Verdict::Leave,
    }
}

fn sentence(verdict: Verdict, judgement: &Judgement, [before, after]: [&Judged; 2], difference: &Difference) -> String {
    let n = judgement.images.len();
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let points = |change: &WithInterval| {
        let interval =
            change.interval.map(|[low, high]| format!(", 95 % interval {:+.0} to {:+.0}", 100.0 * low, 100.0 * high));
        format!("{:+.0} points{}", 100.0 * change.value, interval.unwrap_or_default())
    };
    let lead = match verdict {
        Verdict::Take => format!("Take it: on your {n} images"),
        Verdict::Leave => format!("Do not take it: on your {n} images"),
        Verdict::TooFew => format!("The images are too few to tell: on {n} of them"),
    };
    match (&before.balanced_accuracy, &after.balanced_accuracy, &difference.accuracy) {
        (Some(was), Some(is), Some(change)) => format!(
            "{lead} it names the right class for {} after adapting, {} before ({}; the mean over the classes).",
            percent(is.value),
            percent(was.value),
            points(change)
        ),
        _ => {
            let (is, was) = (percent(after.rejected.value), percent(before.rejected.value));
            format!("{lead} it rejects {is} after adapting, {was} before; what it says of them stays.")
        }
    }
}

/// What the numbers leave out.
fn notes(
    images: &ByName<usize>,
    given: usize,
    used: &[&Seen],
    plan: &Plan,
    classes: &[String],
    gated: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    if given > used.len() {
        notes.push(format!(
            "{} of {given} images are used, at most {} a class; with more a training learns more.",
            used.len(),
            super::MOST
        ));
    }
    let few: Vec<&str> = images
        .iter()
        .filter(|(class, _)| !plan.classes.iter().any(|&known| classes[known] == *class))
        .map(|(class, _)| class)
        .collect();
    if !plan.learns() {
        let found = if images.len() == 1 { "images of one class only" } else { "not that many" };
        let found = if images.is_empty() { "images without labels" } else { found };
        notes.push(format!(
            "The last layer stays: it learns from {FEWEST} images or more of each of two classes, and there are {found}.{}",
            if gated { " The distance up to which an image is no stranger was fitted." } else { "" }
        ));
    } else if !few.is_empty() {
        notes.push(format!("Too few images to learn from, {FEWEST} are the fewest: {}.", few.join(", ")));
    }
    let rejected = used.iter().filter(|seen| seen.look.rejected).count();
    if rejected > 0 {
        notes.push(format!(
            "{rejected} of the images are rejected for what they are, upside down say; nothing is learned from them, and no \
             limit lets them through."
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_where_the_intervals_say_so() {
        let change = |value: f64, low: f64, high: f64| WithInterval { value, interval: Some([low, high]) };
        let of = |loss: Option<WithInterval>, accuracy: Option<WithInterval>, rejected: WithInterval| {
            verdict(&Difference { rejected, accuracy, loss, single_right: None })
        };
        let same = change(0.0, 0.0, 0.0);
        let better = Some(change(-0.5, -0.8, -0.2));
        assert_eq!(of(better, Some(change(0.1, -0.05, 0.2)), same), Verdict::Take);
        assert_eq!(of(better, Some(change(-0.1, -0.2, 0.05)), same), Verdict::TooFew);
        assert_eq!(of(better, Some(change(-0.2, -0.3, -0.1)), same), Verdict::Leave);
        assert_eq!(of(Some(change(-0.1, -0.3, 0.1)), Some(same), same), Verdict::TooFew);
        assert_eq!(of(Some(change(0.5, 0.2, 0.8)), Some(same), same), Verdict::Leave);
        // Without a layer to learn only the rejection counts.
        assert_eq!(of(None, None, change(-0.4, -0.6, -0.2)), Verdict::Take);
        assert_eq!(of(None, None, change(-0.1, -0.2, 0.0)), Verdict::TooFew);
        assert_eq!(of(None, None, same), Verdict::Leave);
    }
}
