//! The second look: at what a network made of a picture, its features.
//!
//! A linear head tells what kind of picture it is, and a distance how far it lies from the films that the network learned
//! from. The head knows what it was shown; the distance is for what it was not.

#[cfg(feature = "measuring")]
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reason, Refusal};
use crate::error::{Error, Result};
use crate::metrics::softmax;
use crate::nn::{BESIDE, Tensor, Weights};

/// What the head tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An upright frontal chest film: the kind that is judged.
    Film,
    /// A chest film turned by a quarter, counter-clockwise.
    TurnedLeft,
    /// A chest film turned by a quarter, clockwise.
    TurnedRight,
    /// A chest film turned by a half, or mirrored top to bottom.
    UpsideDown,
    /// A chest film with black and white exchanged.
    Inverted,
    /// A part of a chest film.
    Cropped,
    /// Anything else.
    Other,
    /// A chest film taken from the side.
    Lateral,
}

/// The kinds in the order of the head's outputs. A new one goes to the end: stored heads know those before it.
pub const KINDS: [Kind; 8] = [
    Kind::Film,
    Kind::TurnedLeft,
    Kind::TurnedRight,
    Kind::UpsideDown,
    Kind::Inverted,
    Kind::Cropped,
    Kind::Other,
    Kind::Lateral,
];

/// Bias of a kind that a head was shown no example of: it is never the likeliest.
pub(super) const UNKNOWN_KIND: f32 = -100.0;

impl Kind {
    /// Place among the head's outputs.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Why a picture of this kind is not judged; `None` for the one that is.
    fn reason(self) -> Option<Reason> {
        Some(match self {
            Self::Film => return None,
            Self::TurnedLeft | Self::TurnedRight => Reason::Rotated,
            Self::UpsideDown => Reason::UpsideDown,
            Self::Inverted => Reason::Inverted,
            Self::Cropped => Reason::Cropped,
            Self::Other => Reason::NotAChestFilm,
            Self::Lateral => Reason::Lateral,
        })
    }
}

/// What a model card says of the gate that lies beside the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateInfo {
    /// Probability of an upright frontal chest film that a picture needs.
    pub minimum_probability: f32,
    /// Distance from the training films beyond which a picture is refused; 1 is that of an ordinary one.
    pub maximum_distance: f32,
    /// Numbers that each picture is looked at by.
    pub features: usize,
    /// What it was fitted on and how. Kept as written.
    #[cfg(feature = "measuring")]
    #[serde(default)]
    pub fitted: Option<serde_json::Value>,
    /// What it refused, by the name of the pictures that it was measured on, folder by folder. Kept as written.
    #[cfg(feature = "measuring")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, serde_json::Value>,
}

impl GateInfo {
    /// Refuses limits that make no sense.
    ///
    /// # Errors
    /// [`Error::ModelCard`] that names the field.
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason| Err(Error::ModelCard { reason });
        if !(0.0..=1.0).contains(&self.minimum_probability) {
            let found = self.minimum_probability;
            return refuse(format!("`refusal.minimum_probability` is {found}; it has to be 0 to 1"));
        }
        if !(self.maximum_distance.is_finite() && self.maximum_distance > 0.0) {
            let found = self.maximum_distance;
            return refuse(format!("`refusal.maximum_distance` is {found}; it has to be finite and above 0"));
        }
        Ok(())
    }
}

/// A gate fitted to one network.
///
/// Features are first brought to mean 0 and deviation 1 over the training films, `z`, and cut at ±[`CUT`].
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// `[features]`, of the training films.
    pub mean: Vec<f32>,
    /// `[features]`, one over the deviation on the training films.
    pub scale: Vec<f32>,
    /// `[kinds, features]` row-major.
    pub weight: Vec<f32>,
    /// `[kinds]`
    pub bias: Vec<f32>,
    /// `[directions, features]` row-major, of length 1 and at right angles: those in which the training films vary most.
    pub directions: Vec<f32>,
    /// `[directions + 1]`: the variance of the training films along each, and along every other one.
    pub variances: Vec<f32>,
}

/// Kinds that the first heads knew.
const OLDEST_KINDS: usize = 7;

/// Deviations from the mean at which a feature is cut: single features of pictures that are no films reach thousands, and
/// would decide alone.
const CUT: f32 = 30.0;

impl Gate {
    /// Takes a gate for `features` features out of a weights file. Of kinds that are younger than its head it knows nothing.
    ///
    /// # Errors
    /// [`Error::TensorMissing`] and [`Error::TensorShape`].
    pub fn take(weights: &mut Weights, features: usize) -> Result<Self> {
        let name = |part: &str| format!("{BESIDE}{part}");
        let directions =
            weights.shape(&name("directions")).and_then(|shape| shape.first()).copied().unwrap_or(features);
        let known = weights.shape(&name("head.bias")).and_then(|shape| shape.first()).copied().unwrap_or(KINDS.len());
        let known = known.clamp(OLDEST_KINDS, KINDS.len());
        let mut take = |part: &str, shape: &[usize]| weights.take(&name(part), shape);
        let mut weight = take("head.weight", &[known, features])?;
        weight.resize(KINDS.len() * features, 0.0);
        let mut bias = take("head.bias", &[known])?;
        bias.resize(KINDS.len(), UNKNOWN_KIND);
        Ok(Self {
            mean: take("mean", &[features])?,
            scale: take("scale", &[features])?,
            weight,
            bias,
            directions: take("directions", &[directions, features])?,
            variances: take("variances", &[directions + 1])?,
        })
    }

    /// Its tensors with their names in a weights file.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let features = self.mean.len();
        let tensor = |part: &str, shape: &[usize], values: &[f32]| {
            (format!("{BESIDE}{part}"), Tensor { shape: shape.into(), values: values.into() })
        };
        vec![
            tensor("mean", &[features], &self.mean),
            tensor("scale", &[features], &self.scale),
            tensor("head.weight", &[KINDS.len(), features], &self.weight),
            tensor("head.bias", &[KINDS.len()], &self.bias),
            tensor("directions", &[self.variances.len() - 1, features], &self.directions),
            tensor("variances", &[self.variances.len()], &self.variances),
        ]
    }

    /// The reason against a picture with these features, if there is one.
    pub fn refuse(&self, features: &[f32], info: &GateInfo) -> Option<Refusal> {
        let z = self.standardised(features);
        let kinds = self.kinds(&z);
        let probability = kinds[Kind::Film.index()];
        if probability < info.minimum_probability {
            let likely = |a: &&Kind, b: &&Kind| kinds[a.index()].total_cmp(&kinds[b.index()]);
            let kind = KINDS.iter().filter(|kind| **kind != Kind::Film).max_by(likely);
            let reason = kind.and_then(|kind| kind.reason()).unwrap_or(Reason::NotAChestFilm);
            return Some(reason.refusal(probability, info.minimum_probability));
        }
        let distance = self.distance(&z);
        (distance > info.maximum_distance).then(|| Reason::Unfamiliar.refusal(distance, info.maximum_distance))
    }

    /// `z` of features; what is not a number is as far away as anything can be.
    pub fn standardised(&self, features: &[f32]) -> Vec<f32> {
        assert_eq!(features.len(), self.mean.len());
        let pairs = self.mean.iter().zip(&self.scale);
        let z = |(v, (mean, scale)): (&f32, (&f32, &f32))| {
            let z = (v - mean) * scale;
            if z.is_nan() { CUT } else { z.clamp(-CUT, CUT) }
        };
        features.iter().zip(pairs).map(z).collect()
    }

    /// Probability of each of [`KINDS`].
    pub fn kinds(&self, z: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(z.len()).zip(&self.bias);
        let logits = rows.map(|(row, bias)| dot(row, z) + f64::from(*bias)).collect();
        softmax(logits).into_iter().map(|p| p as f32).collect()
    }

    /// Mahalanobis distance from the training films over the square root of its dimensions, 1 for an ordinary one:
    /// `d² = (Σ aᵢ² / λᵢ + (|z|² − Σ aᵢ²) / λ₀) / features`, `aᵢ` along the directions, `λ₀` the variance along any other.
    ///
    /// # Source
    /// Lee et al., NeurIPS 2018 (arXiv:1807.03888), with the Gaussian of probabilistic principal components (Tipping and
    /// Bishop, 1999): some ten thousand numbers instead of a hundred thousand.
    pub fn distance(&self, z: &[f32]) -> f32 {
        let Some((rest, variances)) = self.variances.split_last() else { return 0.0 };
        let mut outside = dot(z, z);
        let mut sum = 0.0;
        for (direction, variance) in self.directions.chunks_exact(z.len()).zip(variances) {
            let along = dot(direction, z).powi(2);
            outside -= along;
            sum += along / f64::from(*variance);
        }
        ((sum + outside.max(0.0) / f64::from(*rest)) / z.len() as f64).sqrt() as f32
    }
}

/// In f64: a thousand terms that nearly cancel are what a distance is made of.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two features of mean (1, 2) and deviation (2, ½). The head says "film" where the first is high and "inverted" where
    /// it is low; films vary along the second with variance 1/2, and with 2 along the first.
    fn gate() -> Gate {
        let mut weight = vec![0.0; 2 * KINDS.len()];
        weight[2 * Kind::Film.index()] = 2.0;
        weight[2 * Kind::Inverted.index()] = -2.0;
        Gate {
            mean: vec![1.0, 2.0],
            scale: vec![0.5, 2.0],
            weight,
            bias: vec![0.0; KINDS.len()],
            directions: vec![0.0, 1.0],
            variances: vec![0.5, 2.0],
        }
    }

    fn info() -> GateInfo {
        GateInfo {
            minimum_probability: 0.5,
            maximum_distance: 3.0,
            features: 2,
            fitted: None,
            measured: BTreeMap::new(),
        }
    }

    #[test]
    fn the_head_and_the_distance_refuse_each_for_its_reason() {
        let gate = gate();
        // z = (1, 1): e² of e² + 6 + e⁻² is 0.546...; d² = (1 / 0.5 + 1 / 2) / 2.
        assert_eq!(gate.distance(&[1.0, 1.0]), 1.25f32.sqrt());
        assert_eq!(gate.refuse(&[3.0, 2.5], &info()), None);
        let kinds = gate.kinds(&gate.standardised(&[3.0, 2.5]));
        let e = 2f32.exp();
        assert!((kinds[0] - e / (e + 6.0 + 1.0 / e)).abs() < 1e-6, "{kinds:?}");
        let inverted = gate.refuse(&[-1.0, 2.0], &info()).unwrap();
        assert_eq!((inverted.reason, inverted.limit), (Reason::Inverted, 0.5));
        assert!(inverted.value < 0.02);
        // z = (1, 4): d² = (16 / 0.5 + 1 / 2) / 2.
        let far = gate.refuse(&[3.0, 4.0], &info()).unwrap();
        assert_eq!((far.reason, far.value, far.limit), (Reason::Unfamiliar, 16.25f32.sqrt(), 3.0));
    }

    #[test]
    fn features_out_of_all_proportion_are_cut_and_nan_is_refused() {
        let gate = gate();
        assert_eq!(gate.standardised(&[1e30, f32::NEG_INFINITY]), [30.0, -30.0]);
        assert_eq!(gate.refuse(&[3.0, f32::NAN], &info()).unwrap().reason, Reason::Unfamiliar);
    }

    #[test]
    fn a_gate_survives_a_weights_file_and_one_of_another_network_is_an_error() {
        let gate = gate();
        let weights = || Weights(gate.tensors().into_iter().collect());
        assert_eq!(Gate::take(&mut weights(), 2).unwrap(), gate);
        weights().finish().unwrap();
        assert_eq!(Gate::take(&mut weights(), 3).unwrap_err().kind(), "tensor-shape");
        assert_eq!(Gate::take(&mut Weights::default(), 2).unwrap_err().kind(), "tensor-missing");
    }

    #[test]
    fn a_head_from_before_lateral_films_had_a_kind_never_names_them() {
        let mut weights = Weights(gate().tensors().into_iter().collect());
        let tensor = |weights: &mut Weights, part: &str, shape: &[usize]| {
            let tensor = weights.0.get_mut(&format!("{BESIDE}{part}")).unwrap();
            tensor.values.truncate(shape.iter().product());
            tensor.shape = shape.into();
        };
        tensor(&mut weights, "head.weight", &[OLDEST_KINDS, 2]);
        tensor(&mut weights, "head.bias", &[OLDEST_KINDS]);
        let old = Gate::take(&mut weights, 2).unwrap();
        let kinds = old.kinds(&[1.0, 1.0]);
        assert!(kinds[Kind::Lateral.index()] < 1e-40, "{kinds:?}");
        // e² of e² + 5 + e⁻²: the other seven are what they were.
        let e = 2f32.exp();
        assert!((kinds[Kind::Film.index()] - e / (e + 5.0 + 1.0 / e)).abs() < 1e-6, "{kinds:?}");
    }

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        info().validate().unwrap();
        for (bad, field) in [
            (GateInfo { minimum_probability: 1.5, ..info() }, "minimum_probability"),
            (GateInfo { minimum_probability: f32::NAN, ..info() }, "minimum_probability"),
            (GateInfo { maximum_distance: 0.0, ..info() }, "maximum_distance"),
            (GateInfo { maximum_distance: f32::INFINITY, ..info() }, "maximum_distance"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(error.kind() == "model-card" && error.to_string().contains(field), "{error}");
        }
    }
}
