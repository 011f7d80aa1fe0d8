//! Adam and SGD over a network's variables.

use std::collections::BTreeMap;

use candle_core::Var;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels::adam::{AdamStep, adam};
use crate::kernels::custom_op::{GradientSink, with_values_mut};
use crate::kernels::sgd::sgd;

/// An optimiser and its constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OptimizerConfig {
    /// Adam; see [`adam`].
    Adam {
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        epsilon: f32,
    },
    /// Stochastic gradient descent; see [`sgd`].
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
}

/// An optimiser with its state: one value or two beside each weight.
pub struct Optimizer {
    config: OptimizerConfig,
    weight_decay: f32,
    /// By variable name, one buffer for each of [`OptimizerConfig::slot_names`].
    pub(super) slots: BTreeMap<String, Vec<Vec<f32>>>,
}

impl Optimizer {
    /// Fresh state for `vars`.
    pub fn new(config: OptimizerConfig, weight_decay: f32, vars: &BTreeMap<String, Var>) -> Self {
        let fresh = |var: &Var| config.slot_names().iter().map(|_| vec![0.0; var.elem_count()]).collect();
        let slots = vars.iter().map(|(name, var)| (name.clone(), fresh(var))).collect();
        Self { config, weight_decay, slots }
    }

    /// Moves every variable that has a gradient; `step` counts from 1.
    ///
    /// # Errors
    /// When a variable is not an f32 tensor on the CPU.
    pub fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        grads: &GradientSink,
        learning_rate: f32,
        step: u64,
    ) -> Result<()> {
        for (name, var) in vars {
            let Some((grad, slots)) = grads.get(var).zip(self.slots.get_mut(name)) else { continue };
            let weight_decay = if var.rank() > 1 { self.weight_decay } else { 0.0 };
            with_values_mut(var, |weight| match (self.config, slots.as_mut_slice()) {
                (OptimizerConfig::Adam { beta1, beta2, epsilon }, [first, second]) => {
                    let step = AdamStep { learning_rate, beta1, beta2, epsilon, weight_decay, step };
                    adam(&step, weight, grad, first, second);
                }
                (OptimizerConfig::Sgd { momentum }, [velocity]) => {
                    sgd(learning_rate, momentum, weight_decay, weight, grad, velocity);
                }
                (config, slots) => unreachable!("{config:?} with {} buffers", slots.len()),
            })?;
        }
        Ok(())
    }
}
