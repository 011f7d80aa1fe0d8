//! An answer in words: what the set of classes that fit an image is called.

use serde::Serialize;

use super::card::ModelCard;
use crate::metrics::conformal::{is_answer, set_of};

/// What an answer says that says nothing.
pub const CANNOT_TELL: &str = "Cannot tell";

/// What a model answers: a class, or several that it cannot tell apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The classes that it names, in the order of the card; none where it cannot tell.
    pub classes: Vec<String>,
    /// The conformal set itself: the classes that fit the image, never none.
    pub set: Vec<String>,
    /// The answer for people: a class, the name of a group, "A or B", "Abnormal, kind unknown" or [`CANNOT_TELL`].
    pub text: String,
}

impl ModelCard {
    /// Which classes are in the set of an image with these probabilities; `None` where the card has no answers.
    pub fn set_of(&self, probabilities: &[f32]) -> Option<Vec<bool>> {
        let answer = self.answer.as_ref()?;
        let threshold = |class: &String| *answer.thresholds.get(class).expect("the card was checked");
        let thresholds: Vec<f64> = self.classes.iter().map(threshold).collect();
        Some(set_of(probabilities, &thresholds, &answer.typical))
    }

    /// The answer to an image with these probabilities; `None` where the card has no answers.
    pub fn answer_to(&self, probabilities: &[f32]) -> Option<Answer> {
        let set = self.set_of(probabilities)?;
        let names: Vec<String> =
            self.classes.iter().zip(&set).filter(|(_, inside)| **inside).map(|(class, _)| class.clone()).collect();
        let says = is_answer(&set, self.healthy());
        let text = if says { self.called(&names) } else { CANNOT_TELL.into() };
        Some(Answer { classes: if says { names.clone() } else { Vec::new() }, set: names, text })
    }

    /// What the classes `names` are called together.
    fn called(&self, names: &[String]) -> String {
        let same = |classes: &[String]| classes.len() == names.len() && names.iter().all(|name| classes.contains(name));
        if let Some((name, _)) = self.groups.iter().find(|(_, classes)| same(classes)) {
            return name.to_owned();
        }
        match names {
            [name] => name.clone(),
            // One less than all, and an answer: all but the healthy class.
            _ if self.healthy().is_some() && names.len() + 1 == self.classes.len() => "Abnormal, kind unknown".into(),
            [others @ .., last] => format!("{} or {last}", others.join(", ")),
            [] => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Encoding, WeightsInfo};
    use crate::metrics::conformal::{AnswerSets, sets_reached, typical};
    use crate::preprocess::Preprocess;

    /// A card on which a class is in the set from a probability of 0.2 on, of the classes `names`.
    fn card(names: &[&str]) -> ModelCard {
        let classes: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let weights = WeightsInfo::of(b"abc", Encoding::Identity);
        let mut card = ModelCard::new("tiny", "scratch-cnn", classes.clone(), Preprocess::new(1, 8, 8), weights);
        let set = (0..classes.len()).map(|class| class == 0).collect();
        card.answer = Some(AnswerSets {
            coverage: 0.9,
            healthy: card.healthy().map(|healthy| classes[healthy].clone()),
            typical: typical(&[], &[], classes.len()),
            // Each class is like itself alone, so that what is compared is the cube of its probability.
            thresholds: classes.iter().map(|class| (class.clone(), 0.2_f64.powi(3))).collect(),
            validation: sets_reached(&[set], &[0], &classes, None, None, None),
        });
        card.validate().unwrap();
        card
    }

    fn text(card: &ModelCard, probabilities: &[f32]) -> String {
        card.answer_to(probabilities).unwrap().text
    }

    #[test]
    fn a_set_is_said_in_words() {
        let mut card = card(&["COVID-19", "Normal", "Viral", "Bacterial"]);
        let groups = |given: &[(&str, &[&str])]| {
            let owned = |classes: &[&str]| classes.iter().map(|class| class.to_string()).collect();
            given.iter().map(|(name, classes)| (name.to_string(), owned(classes))).collect()
        };
        let both: (&str, &[&str]) = ("Viral or bacterial pneumonia", &["Bacterial", "Viral"]);
        card.groups = groups(&[both]);
        for (probabilities, expected) in [
            ([0.9, 0.1, 0.0, 0.0], "COVID-19"),
            ([0.1, 0.9, 0.0, 0.0], "Normal"),
            ([0.0, 0.0, 0.5, 0.5], "Viral or bacterial pneumonia"),
            ([0.5, 0.0, 0.5, 0.0], "COVID-19 or Viral"),
            ([0.34, 0.0, 0.33, 0.33], "Abnormal, kind unknown"),
            ([0.5, 0.5, 0.0, 0.0], "Cannot tell"),
            ([0.25, 0.25, 0.25, 0.25], "Cannot tell"),
        ] {
            assert_eq!(text(&card, &probabilities), expected);
        }
        card.groups = groups(&[both, ("Pneumonia, COVID-19 or another", &["COVID-19", "Viral", "Bacterial"])]);
        assert_eq!(text(&card, &[0.34, 0.0, 0.33, 0.33]), "Pneumonia, COVID-19 or another");
        let unsure = card.answer_to(&[0.5, 0.5, 0.0, 0.0]).unwrap();
        assert_eq!((unsure.classes.len(), unsure.set), (0, vec!["COVID-19".to_owned(), "Normal".to_owned()]));
        assert_eq!(ModelCard { answer: None, ..card }.answer_to(&[0.9, 0.1, 0.0, 0.0]), None);
    }

    #[test]
    fn any_classes_will_do() {
        let two = card(&["Sick", "Healthy"]);
        assert_eq!([&[0.9, 0.1], &[0.1, 0.9], &[0.5, 0.5]].map(|p| text(&two, p)), ["Sick", "Healthy", "Cannot tell"]);
        let kinds = card(&["A", "B", "C", "D"]);
        assert_eq!(text(&kinds, &[0.34, 0.33, 0.33, 0.0]), "A, B or C");
        assert_eq!(text(&kinds, &[0.25, 0.25, 0.25, 0.25]), "Cannot tell");
    }
}
