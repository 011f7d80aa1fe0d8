//! Adam and SGD: their settings, and the rule of one step.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels::update::{Adam, AdamStep, Sgd, Update};

/// An optimiser and its constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OptimizerConfig {
    /// Adam; see [`Adam`].
    Adam {
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        epsilon: f32,
    },
    /// Stochastic gradient descent; see [`Sgd`].
    Sgd {
        /// Share of the last update that carries on; 0 is plain SGD.
        momentum: f32,
    },
}

impl Default for OptimizerConfig {
    /// Keras's Adam, the tutorial's optimiser.
    fn default() -> Self {
        Self::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }
    }
}

impl OptimizerConfig {
    /// Refuses constants outside their ranges.
    ///
    /// # Errors
    /// [`Error::Config`] names the constant.
    pub fn validate(&self) -> Result<()> {
        let share = |field, value: f32| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => Err(Error::Config { field, reason: format!("is {value}; it must be at least 0 and below 1") }),
        };
        match *self {
            Self::Adam { beta1, beta2, epsilon } => {
                share("beta1", beta1)?;
                share("beta2", beta2)?;
                if !(epsilon.is_finite() && epsilon > 0.0) {
                    return Err(Error::Config { field: "epsilon", reason: "must be a positive number".into() });
                }
                Ok(())
            }
            Self::Sgd { momentum } => share("momentum", momentum),
        }
    }

    /// Names of the running averages that this optimiser keeps beside each weight.
    pub(super) fn slot_names(&self) -> &'static [&'static str] {
        match self {
            Self::Adam { .. } => &["adam.m", "adam.v"],
            Self::Sgd { .. } => &["sgd.velocity"],
        }
    }

    /// The rule of step `step`, which counts from 1.
    pub fn rule(&self, learning_rate: f32, weight_decay: f32, step: u64) -> Update {
        match *self {
            Self::Adam { beta1, beta2, epsilon } => {
                Update::Adam(Adam::new(&AdamStep { learning_rate, beta1, beta2, epsilon, weight_decay, step }))
            }
            Self::Sgd { momentum } => Update::Sgd(Sgd::new(learning_rate, momentum, weight_decay)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_name_for_every_slot() {
        for config in [OptimizerConfig::default(), OptimizerConfig::Sgd { momentum: 0.9 }] {
            assert_eq!(config.slot_names().len(), config.rule(0.1, 0.0, 1).slots(), "{config:?}");
        }
    }

    #[test]
    fn constants_outside_their_ranges_are_refused_by_name() {
        let adam = |beta1, beta2, epsilon| OptimizerConfig::Adam { beta1, beta2, epsilon };
        for (config, name) in [
            (adam(1.0, 0.999, 1e-7), "beta1"),
            (adam(0.9, -0.1, 1e-7), "beta2"),
            (adam(0.9, 0.999, 0.0), "epsilon"),
            (adam(0.9, 0.999, f32::NAN), "epsilon"),
            (OptimizerConfig::Sgd { momentum: 1.0 }, "momentum"),
        ] {
            let error = config.validate().unwrap_err();
            assert!(matches!(error, Error::Config { field, .. } if field == name), "{error}");
        }
        OptimizerConfig::default().validate().unwrap();
    }
}
