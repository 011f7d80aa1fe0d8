//! One step down a loss: back through the network, the optimiser's rule and its schedule.

use candle_core::{DType, Tensor};

use super::{OptimizerConfig, Schedule};
use crate::error::{Error, Result};
use crate::nn::{Learner, ParameterSpec, sure};

/// How far a step goes.
#[derive(Debug, Clone, PartialEq)]
pub struct DescentConfig {
    /// The optimiser and its constants.
    pub optimizer: OptimizerConfig,
    /// What becomes of the learning rate over the steps.
    pub schedule: Schedule,
    /// Before the schedule.
    pub learning_rate: f32,
    /// Decoupled, of weights and not of biases.
    pub weight_decay: f32,
    /// Steps of the whole training, for the schedule.
    pub total_steps: u64,
}

/// A network on its way down a loss: whoever trains, asks [`learner`](Self::learner) for logits, makes a loss of them in
/// candle and takes a [`step`](Self::step).
pub struct Descent {
    config: DescentConfig,
    learner: Learner,
    steps: u64,
}

impl Descent {
    /// A training that has not begun.
    pub fn new(learner: Learner, config: DescentConfig) -> Self {
        Self { config, learner, steps: 0 }
    }

    /// The network.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Goes on as if `steps` had been taken.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
        self.learner.set_step(steps);
    }

    /// One step down `loss`, a scalar made of logits of the learner's last pass: the loss before it, and the learning rate.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss is no longer a number; the weights are then as before.
    pub fn step(&mut self, loss: &Tensor) -> Result<[f32; 2]> {
        let value = scalar(loss);
        if !value.is_finite() {
            return Err(Error::Diverged { step: self.steps, loss: value });
        }
        let DescentConfig { optimizer, schedule, weight_decay, total_steps, .. } = self.config;
        let rate = self.config.learning_rate * schedule.factor(self.steps, total_steps);
        let step = self.steps + 1;
        let decay = move |spec: &ParameterSpec| if spec.is_weight() { weight_decay } else { 0.0 };
        self.learner.update_by(move |spec| optimizer.rule(rate, decay(spec), step));
        sure(loss.backward());
        self.set_steps(step);
        Ok([value, rate])
    }
}

/// The value of a loss.
pub(super) fn scalar(loss: &Tensor) -> f32 {
    sure(loss.to_dtype(DType::F32).and_then(|loss| loss.to_scalar()))
}
