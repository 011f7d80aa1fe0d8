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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn weights_decay_and_biases_and_strangers_do_not() {
        let var =
            |shape: &[usize]| Var::from_tensor(&Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu).unwrap());
        let named = [("bias", vec![1]), ("stranger", vec![1, 1]), ("weight", vec![1, 1])];
        let vars: BTreeMap<_, _> = named.map(|(name, shape)| (name.to_owned(), var(&shape).unwrap())).into();
        let mut grads = GradientSink::new(vars.values().map(Var::as_tensor));
        // A loss that knows the weight and the bias, and has no slope. (candle takes a factor 0 for a broken graph.)
        let flat = |name: &str| (vars[name].as_tensor() * vars[name].zeros_like().unwrap()).unwrap().sum_all().unwrap();
        let loss = flat("weight") + flat("bias");
        grads.backward(&loss.unwrap()).unwrap();
        for config in [OptimizerConfig::default(), OptimizerConfig::Sgd { momentum: 0.9 }] {
            vars["weight"].set(&Tensor::ones((1, 1), candle_core::DType::F32, &Device::Cpu).unwrap()).unwrap();
            Optimizer::new(config, 0.5, &vars).step(&vars, &grads, 0.1, 1).unwrap();
            let value = |name: &str| vars[name].sum_all().unwrap().to_scalar::<f32>().unwrap();
            // 1 - αλ of the weight is left.
            assert_eq!(["weight", "bias", "stranger"].map(value), [0.95, 1.0, 1.0], "{config:?}");
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
