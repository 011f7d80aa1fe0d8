//! `model.json`: everything about a model but its numbers.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::about::Calibration;
#[cfg(feature = "measuring")]
use super::about::{Ablation, Adaptation, Audit, DataDescription};
use crate::error::{Error, Result};
use crate::labels::ByName;
#[cfg(feature = "measuring")]
use crate::metrics::Evaluation;
use crate::metrics::{AnswerSets, OperatingPoint, UncertainBand};
use crate::preprocess::Preprocess;
use crate::refusal::GateInfo;

/// The version of the card's layout that this code reads and writes.
pub const FORMAT: u32 = 1;

/// Weights larger than this are refused, stored or unpacked. The largest network planned here holds 110 MB of f32; a
/// tab of a browser has at most 4 GiB in all.
pub const MAX_WEIGHTS_BYTES: u64 = 1 << 30;

/// What the class of images without a finding is called, in lower case.
const HEALTHY: [&str; 3] = ["normal", "healthy", "no finding"];

/// What a model is, how to feed it, how good it is, and how to tell its weights from any others.
///
/// [`ModelCard::from_json`] is the only way in for bytes from outside, and checks everything. What only people read, it passes
/// over without the feature `measuring`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Layout of this card, [`FORMAT`].
    pub format: u32,
    /// Short name for folders and addresses: lower-case letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Version of the weights, free text that is not empty.
    pub version: String,
    /// Name of a built-in architecture, such as `scratch-cnn`.
    pub architecture: String,
    /// Class names in the order of the network's outputs, at least two.
    pub classes: Vec<String>,
    /// How an image becomes the network's input.
    pub preprocess: Preprocess,
    /// Whether each film is judged mirrored left to right as well: its logits are then the mean of both.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirrored: bool,
    /// The file with the weights.
    pub weights: WeightsInfo,
    /// How it was trained and on what: recipe, data, seed. Kept as written.
    #[cfg(feature = "measuring")]
    #[serde(default)]
    pub training: Option<serde_json::Value>,
    /// What it reaches, each on the data it was measured on.
    #[cfg(feature = "measuring")]
    #[serde(default)]
    pub metrics: Vec<MetricsEntry>,
    /// Licence of the weights.
    pub licence: String,
    /// Where it is right, where it is not, and what to do there: three sentences that anybody understands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summary: Vec<String>,
    /// What it is for, and what it is not for.
    pub intended_use: String,
    /// Uses that it is known to be wrong for, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misuse: Vec<String>,
    /// What is known to go wrong.
    #[serde(default)]
    pub limitations: Vec<String>,
    /// The films it was made of and measured on.
    #[cfg(feature = "measuring")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataDescription>,
    /// What makes its outputs probabilities; without it they are taken as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// From which probability on each finding is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_points: Option<ByName<OperatingPoint>>,
    /// Below which probability the answer is "uncertain".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<UncertainBand>,
    /// From which fit on each class is in the answer, which is a set of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerSets>,
    /// What several classes are called together, such as "Viral or bacterial pneumonia": an answer of just these says it so.
    #[serde(default, skip_serializing_if = "ByName::is_empty")]
    pub groups: ByName<Vec<String>>,
    /// When a picture is refused; without it every picture is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<GateInfo>,
    /// What it was adapted on, where it was: all that is measured holds there.
    #[cfg(feature = "measuring")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapted: Option<Adaptation>,
    /// What an audit for shortcuts found.
    #[cfg(feature = "measuring")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// What was tried on the way, and what each measure changed.
    #[cfg(feature = "measuring")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ablation: Vec<Ablation>,
}

/// Which file the weights are, byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightsInfo {
    /// File name in the model folder, without any path.
    pub file: String,
    /// Length of the file as stored, which is what is downloaded.
    pub bytes: u64,
    /// SHA-256 of the file as stored, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Whether the stored file is the safetensors or has to be unpacked first.
    pub encoding: Encoding,
}

/// How the weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As they are.
    Identity,
    /// gzip: every browser opens it with its own `DecompressionStream`.
    Gzip,
}

/// One measurement of the model.
#[cfg(feature = "measuring")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsEntry {
    /// The data it was measured on.
    pub data: String,
    /// Which part of it, such as `test`.
    pub split: String,
    /// What came out.
    pub evaluation: Evaluation,
}

impl WeightsInfo {
    /// Describes `stored`, the bytes of a weights file as they will lie on disk.
    pub fn of(stored: &[u8], encoding: Encoding) -> Self {
        Self::hashed(stored.len() as u64, sha256_hex(stored), encoding)
    }

    /// Describes a weights file by its length and its SHA-256 in lower-case hexadecimal digits.
    pub fn hashed(bytes: u64, sha256: String, encoding: Encoding) -> Self {
        Self { file: "weights.safetensors".into(), bytes, sha256, encoding }
    }
}

impl ModelCard {
    /// The card of a network that nothing is known of but what it is.
    pub fn new(
        id: &str,
        architecture: &str,
        classes: Vec<String>,
        preprocess: Preprocess,
        weights: WeightsInfo,
    ) -> Self {
        Self {
            format: FORMAT,
            id: id.to_owned(),
            name: id.to_owned(),
            version: "1".into(),
            architecture: architecture.to_owned(),
            classes,
            preprocess,
            mirrored: false,
            weights,
            #[cfg(feature = "measuring")]
            training: None,
            #[cfg(feature = "measuring")]
            metrics: Vec::new(),
            licence: "that of the images it was trained on; state it before you pass it on".into(),
            summary: Vec::new(),
            intended_use: "Research and teaching. Not a medical device; not for diagnosis.".into(),
            misuse: Vec::new(),
            limitations: vec!["Knows nothing but its classes: every image is given to one of them.".into()],
            #[cfg(feature = "measuring")]
            data: None,
            calibration: None,
            operating_points: None,
            uncertain: None,
            answer: None,
            groups: ByName::default(),
            refusal: None,
            #[cfg(feature = "measuring")]
            adapted: None,
            #[cfg(feature = "measuring")]
            audit: None,
            #[cfg(feature = "measuring")]
            ablation: Vec::new(),
        }
    }

    /// The card without what was measured of the weights, for other weights.
    pub fn unmeasured(self) -> Self {
        Self {
            #[cfg(feature = "measuring")]
            metrics: Vec::new(),
            calibration: None,
            operating_points: None,
            uncertain: None,
            answer: None,
            refusal: None,
            #[cfg(feature = "measuring")]
            adapted: None,
            #[cfg(feature = "measuring")]
            audit: None,
            ..self
        }
    }

    /// The index of the class that means "nothing found": the one its answers were made with, or one that is called so.
    pub fn healthy(&self) -> Option<usize> {
        match &self.answer {
            Some(AnswerSets { healthy, .. }) => {
                healthy.as_ref().and_then(|name| self.classes.iter().position(|class| class == name))
            }
            None => self.classes.iter().position(|class| HEALTHY.contains(&class.to_lowercase().as_str())),
        }
    }

    /// What divides the network's outputs before they become probabilities, 1 where the card has no calibration.
    pub fn temperature(&self) -> f64 {
        self.calibration.as_ref().map_or(1.0, |calibration| calibration.temperature)
    }

    /// Reads and checks a card.
    ///
    /// Fields it does not know are ignored, so that a card may say more than this version reads.
    ///
    /// # Errors
    /// [`Error::ModelCard`] with the field and what is wrong with it.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        // The version is looked at first: a later layout would otherwise be reported as a missing field.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(json).map_err(not_json)?;
        if version.format != FORMAT {
            let format = version.format;
            return Err(invalid(format!(
                "`format` is {format}, this version of roentgen reads {FORMAT}; update roentgen or convert the model"
            )));
        }
        let card: Self = serde_json::from_slice(json).map_err(not_json)?;
        card.validate()?;
        Ok(card)
    }

    /// The card as JSON for people to read, with a newline at the end.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a card has string keys and no fallible values");
        json.push(b'\n');
        json
    }

    /// Checks every value that has a range. Reading does it; a card made by hand needs it before it is written.
    ///
    /// # Errors
    /// [`Error::ModelCard`] with the field and what is wrong with it.
    pub fn validate(&self) -> Result<()> {
        for (field, text) in [
            ("name", &self.name),
            ("version", &self.version),
            ("architecture", &self.architecture),
            ("licence", &self.licence),
            ("intended_use", &self.intended_use),
        ] {
            if text.trim().is_empty() {
                return Err(invalid(format!("`{field}` is empty")));
            }
        }
        if !is_plain_name(&self.id, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c)) {
            return Err(invalid(format!("`id` is {:?}; use lower-case letters, digits, `-`, `_` and `.`", self.id)));
        }
        self.validate_classes()?;
        self.preprocess.validate().map_err(|error| invalid(format!("`preprocess`: {error}")))?;
        self.validate_weights()?;
        self.validate_decisions()?;
        #[cfg(feature = "measuring")]
        for entry in &self.metrics {
            if entry.evaluation.classes != self.classes {
                let found = entry.evaluation.classes.join(", ");
                return Err(invalid(format!("`metrics` of {:?} are of other classes ({found})", entry.data)));
            }
        }
        Ok(())
    }

    fn validate_classes(&self) -> Result<()> {
        if self.classes.len() < 2 {
            return Err(invalid(format!("`classes` has {} name(s); at least 2 are needed", self.classes.len())));
        }
        for (i, class) in self.classes.iter().enumerate() {
            if class.trim().is_empty() {
                return Err(invalid(format!("`classes[{i}]` is empty")));
            }
            if self.classes[..i].contains(class) {
                return Err(invalid(format!("`classes` names {class:?} twice")));
            }
        }
        Ok(())
    }

    fn validate_weights(&self) -> Result<()> {
        let WeightsInfo { file, bytes, sha256, .. } = &self.weights;
        // The page joins it to an address and the command line to a folder: nothing that leaves either.
        if !is_plain_name(file, |c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return Err(invalid(format!("`weights.file` is {file:?}; it has to be a plain file name beside the card")));
        }
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(invalid("`weights.sha256` has to be 64 lower-case hexadecimal digits".into()));
        }
        if *bytes == 0 || *bytes > MAX_WEIGHTS_BYTES {
            return Err(invalid(format!("`weights.bytes` is {bytes}; it has to be 1 to {MAX_WEIGHTS_BYTES}")));
        }
        Ok(())
    }

    /// Numbers that every prediction goes through.
    fn validate_decisions(&self) -> Result<()> {
        self.refusal.as_ref().map_or(Ok(()), GateInfo::validate)?;
        let temperature = self.temperature();
        // An f32 is divided by it.
        if !(1e-3..=1e3).contains(&temperature) {
            return Err(invalid(format!("`calibration.temperature` is {temperature}; it has to be 0.001 to 1000")));
        }
        let points = self.operating_points.iter().flat_map(ByName::iter);
        let thresholds = points.map(|(class, point)| (format!("operating_points.{class}.threshold"), point.threshold));
        let below = self.uncertain.as_ref().map(|band| ("uncertain.below".to_owned(), band.below));
        let of_sets = self.answer.iter().flat_map(|answer| answer.thresholds.iter());
        let of_sets = of_sets.map(|(class, threshold)| (format!("answer.thresholds.{class}"), *threshold));
        let coverage = self.answer.as_ref().map(|answer| ("answer.coverage".to_owned(), answer.coverage));
        for (field, probability) in thresholds.chain(below).chain(of_sets).chain(coverage) {
            if !(0.0..=1.0).contains(&probability) {
                return Err(invalid(format!("`{field}` is {probability}; it has to be 0 to 1")));
            }
        }
        for (class, _) in self.operating_points.iter().flat_map(ByName::iter) {
            self.validate_is_class("operating_points", class)?;
        }
        if let Some(AnswerSets { healthy, thresholds, typical, .. }) = &self.answer {
            if let Some(class) = healthy {
                self.validate_is_class("answer.healthy", class)?;
            }
            if thresholds.len() != self.classes.len()
                || !self.classes.iter().all(|class| thresholds.get(class).is_some())
            {
                return Err(invalid("`answer.thresholds` has to name every class, each once".into()));
            }
            let k = self.classes.len();
            let is_row = |row: &Vec<f64>| row.len() == k && row.iter().all(|p| (0.0..=1.0).contains(p));
            if typical.len() != k || !typical.iter().all(is_row) {
                return Err(invalid(format!("`answer.typical` has to be {k} rows of {k} numbers, each 0 to 1")));
            }
        }
        for (name, classes) in self.groups.iter() {
            if name.trim().is_empty() || classes.len() < 2 {
                return Err(invalid(format!("`groups`: {name:?} has to have a name and at least two classes")));
            }
            for class in classes {
                self.validate_is_class("groups", class)?;
            }
        }
        Ok(())
    }

    fn validate_is_class(&self, field: &str, class: &str) -> Result<()> {
        if !self.classes.iter().any(|known| known == class) {
            return Err(invalid(format!("`{field}` names {class:?}, which is no class")));
        }
        Ok(())
    }

    /// Checks that `stored` is the weights file this card describes, byte for byte.
    ///
    /// # Errors
    /// [`Error::WeightsMismatch`]: by length first, which names a truncated download for what it is, then by SHA-256.
    pub fn verify(&self, stored: &[u8]) -> Result<()> {
        if stored.len() as u64 != self.weights.bytes {
            return Err(Error::WeightsMismatch {
                what: "length",
                expected: format!("{} bytes", self.weights.bytes),
                found: format!("{} bytes", stored.len()),
            });
        }
        let found = sha256_hex(stored);
        if found != self.weights.sha256 {
            return Err(Error::WeightsMismatch { what: "SHA-256", expected: self.weights.sha256.clone(), found });
        }
        Ok(())
    }
}

fn is_plain_name(name: &str, allowed: impl Fn(char) -> bool) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.len() <= 100 && name.chars().all(allowed)
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn invalid(reason: String) -> Error {
    Error::ModelCard { reason }
}

fn not_json(error: serde_json::Error) -> Error {
    invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A card whose weights are the three bytes "abc", with the digest that FIPS 180-2 appendix B.1 gives for them.
    fn card_of_abc() -> Value {
        json!({
            "format": 1, "id": "tiny", "name": "Tiny", "version": "1", "architecture": "scratch-cnn",
            "classes": ["COVID-19", "Normal"],
            "preprocess": {"height": 128, "width": 128, "channels": 3, "contrast": "none", "mean": 0.0, "std": 1.0},
            "weights": {
                "file": "weights.safetensors", "bytes": 3, "encoding": "identity",
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            },
            "licence": "MIT", "intended_use": "tests"
        })
    }

    fn read(card: &Value) -> Result<ModelCard> {
        ModelCard::from_json(card.to_string().as_bytes())
    }

    #[test]
    fn a_card_survives_writing_and_reading() {
        let card = read(&card_of_abc()).unwrap();
        assert_eq!(ModelCard::from_json(&card.to_json()).unwrap(), card);
        assert_eq!(WeightsInfo::of(b"abc", Encoding::Identity), card.weights);
    }

    #[test]
    fn verify_tells_truncated_from_altered() {
        let card = read(&card_of_abc()).unwrap();
        card.verify(b"abc").unwrap();
        let truncated = card.verify(b"ab").unwrap_err().to_string();
        assert_eq!(truncated, "weights have length 2 bytes; the model card says 3 bytes");
        let altered = card.verify(b"abd").unwrap_err();
        assert_eq!(altered.kind(), "weights-mismatch");
        assert!(altered.to_string().contains("SHA-256"), "{altered}");
    }

    #[test]
    fn each_value_that_makes_no_sense_is_named() {
        for (pointer, value, named) in [
            ("/format", json!(2), "update roentgen"),
            ("/id", json!("Tiny model"), "`id`"),
            ("/name", json!("  "), "`name` is empty"),
            ("/licence", json!(""), "`licence` is empty"),
            ("/classes", json!(["one"]), "at least 2"),
            ("/classes", json!(["a", "b", "a"]), "\"a\" twice"),
            ("/classes/1", json!(""), "`classes[1]` is empty"),
            ("/classes/1", json!(7), "expected a string"),
            ("/preprocess/std", json!(0.0), "`preprocess`"),
            ("/weights/file", json!("../weights.safetensors"), "`weights.file`"),
            ("/weights/file", json!("a/b"), "`weights.file`"),
            ("/weights/file", json!("C:\\b"), "`weights.file`"),
            ("/weights/file", json!(".."), "`weights.file`"),
            ("/weights/file", json!(""), "`weights.file`"),
            ("/weights/sha256", json!("ba7816bf"), "64 lower-case"),
            ("/weights/sha256", json!("z".repeat(64)), "64 lower-case"),
            ("/weights/bytes", json!(0), "`weights.bytes`"),
            ("/weights/bytes", json!(-3), "invalid value"),
            ("/weights/bytes", json!(u64::MAX), "`weights.bytes`"),
            ("/weights/encoding", json!("brotli"), "brotli"),
        ] {
            let mut card = card_of_abc();
            *card.pointer_mut(pointer).unwrap() = value.clone();
            let error = read(&card).expect_err(&format!("{pointer} = {value}"));
            assert_eq!(error.kind(), "model-card");
            assert!(error.to_string().contains(named), "{pointer} = {value}: {error}");
        }
    }

    #[test]
    fn what_decides_is_checked_and_an_old_card_gains_no_field() {
        let old = String::from_utf8(read(&card_of_abc()).unwrap().to_json()).unwrap();
        for field in [
            "misuse",
            "data",
            "calibration",
            "operating_points",
            "uncertain",
            "answer",
            "groups",
            "summary",
            "refusal",
            "audit",
            "ablation",
        ] {
            assert!(!old.contains(field), "{field}");
        }
        let share = json!({"count": 19, "of": 20, "value": 0.95, "interval": [0.76, 0.99], "interval_by_group": null});
        let mut card = card_of_abc();
        card["calibration"] = json!({
            "temperature": 1.5, "films": 20, "loss_before": 0.4, "loss_after": 0.3, "ece_before": 0.1, "ece_after": 0.02
        });
        card["operating_points"] = json!({"Normal": {
            "threshold": 0.3, "for_sensitivity": 0.95, "validation": {"sensitivity": share, "specificity": null}
        }});
        card["uncertain"] = json!({"below": 0.6, "for_error": 0.02, "validation": {"coverage": share, "error": null}});
        card["answer"] = json!({
            "coverage": 0.96, "healthy": "Normal", "typical": [[0.9, 0.1], [0.2, 0.8]], "thresholds": {"COVID-19": 0.2, "Normal": 0.4},
            "validation": {
                "coverage": share, "by_class": {"Normal": share}, "by_source": {"a": {"Normal": share}}, "mean_size": 1.2,
                "mean_size_interval": [1.1, 1.3], "single": share, "single_right": share, "cannot_tell": share,
                "answered": share
            }
        });
        card["groups"] = json!({"Either": ["COVID-19", "Normal"]});
        card["refusal"] = json!({"minimum_probability": 0.1, "maximum_distance": 2.5, "features": 352});
        let read_back = read(&card).unwrap();
        assert_eq!(read_back.temperature(), 1.5);
        assert_eq!(ModelCard::from_json(&read_back.to_json()).unwrap(), read_back);
        let (metrics, groups) = (Vec::new(), read_back.groups.clone());
        assert_eq!(ModelCard { metrics, groups, ..read(&card_of_abc()).unwrap() }, read_back.unmeasured());
        for (pointer, value, named) in [
            ("/calibration/temperature", json!(0.0), "`calibration.temperature`"),
            ("/calibration/temperature", json!(-1.0), "`calibration.temperature`"),
            ("/operating_points/Normal/threshold", json!(1.5), "`operating_points.Normal.threshold`"),
            ("/operating_points", json!({"Mass": card["operating_points"]["Normal"]}), "no class"),
            ("/uncertain/below", json!(-0.1), "`uncertain.below`"),
            ("/answer/coverage", json!(96), "`answer.coverage`"),
            ("/answer/healthy", json!("Mass"), "`answer.healthy` names \"Mass\""),
            ("/answer/thresholds/Normal", json!(-0.1), "`answer.thresholds.Normal`"),
            ("/answer/thresholds", json!({"COVID-19": 0.2}), "every class"),
            ("/answer/thresholds", json!({"COVID-19": 0.2, "Mass": 0.2}), "every class"),
            ("/answer/typical", json!([[0.9, 0.1]]), "2 rows of 2 numbers"),
            ("/answer/typical/1", json!([0.9, 1.1]), "each 0 to 1"),
            ("/groups", json!({" ": ["COVID-19", "Normal"]}), "`groups`"),
            ("/groups/Either", json!(["Normal"]), "at least two classes"),
            ("/groups/Either", json!(["Normal", "Mass"]), "no class"),
            ("/refusal/minimum_probability", json!(2.0), "`refusal.minimum_probability`"),
            ("/refusal/maximum_distance", json!(-1.0), "`refusal.maximum_distance`"),
        ] {
            let mut card = card.clone();
            *card.pointer_mut(pointer).unwrap() = value;
            let error = read(&card).unwrap_err();
            assert!(error.kind() == "model-card" && error.to_string().contains(named), "{pointer}: {error}");
        }
    }

    #[test]
    fn the_healthy_class_is_the_one_that_is_called_so_or_that_the_answers_were_fitted_with() {
        let healthy = |classes: Value| {
            let mut card = card_of_abc();
            card["classes"] = classes;
            read(&card).unwrap().healthy()
        };
        assert_eq!(healthy(json!(["COVID-19", "NORMAL"])), Some(1));
        assert_eq!(healthy(json!(["No Finding", "Mass"])), Some(0));
        assert_eq!(healthy(json!(["Abnormal", "Mass"])), None);
    }

    #[test]
    fn a_missing_field_is_named() {
        for field in ["format", "id", "classes", "preprocess", "weights", "licence", "intended_use"] {
            let mut card = card_of_abc();
            card.as_object_mut().unwrap().remove(field);
            let error = read(&card).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }

    #[test]
    fn bytes_that_are_no_card_are_an_error() {
        for bytes in [&b""[..], b"\xff\xfe", b"[]", b"{", b"{\"format\": 1e99}"] {
            assert_eq!(ModelCard::from_json(bytes).unwrap_err().kind(), "model-card");
        }
    }
}
