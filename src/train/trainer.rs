//! One batch at a time: forward, loss, backward, optimiser.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};

use super::{Optimizer, TrainConfig, categorical_cross_entropy, smooth_labels};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::kernels::custom_op::{GradientSink, with_values};
use crate::metrics::argmax;
use crate::models::{Architecture, Model};
use crate::nn::{Dropout, Variables};

/// A network in training.
pub struct Trainer {
    config: TrainConfig,
    model: Box<dyn Model>,
    pub(super) vars: BTreeMap<String, Var>,
    pub(super) optimizer: Optimizer,
    grads: GradientSink,
    pub(super) step: u64,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Mean categorical cross-entropy of the batch before the update, against the targets as trained on.
    pub loss: f32,
    /// Images of the batch whose highest logit was the target's class.
    pub correct: usize,
    /// Images in the batch.
    pub n: usize,
    /// The learning rate used.
    pub learning_rate: f32,
}

impl Trainer {
    /// A network with fresh weights, drawn from the configuration's seed.
    ///
    /// # Errors
    /// Those of [`TrainConfig::validate`] and of building the network.
    pub fn new(config: TrainConfig) -> Result<Self> {
        config.validate()?;
        let architecture = Architecture::from_name(&config.architecture)?;
        let variables = Variables::new(config.seed);
        let model = architecture.build(variables.builder(), config.classes.len())?;
        Ok(Self::with_model(config, model, &variables))
    }

    /// Trains a network of the caller's own, built from `variables`.
    pub fn with_model(config: TrainConfig, model: Box<dyn Model>, variables: &Variables) -> Self {
        let vars = variables.all();
        let optimizer = Optimizer::new(config.optimizer, config.weight_decay, &vars);
        let grads = GradientSink::new(vars.values().map(Var::as_tensor));
        Self { config, model, vars, optimizer, grads, step: 0 }
    }

    /// The settings of this run.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The weights as they are now, by name; they change with the next step.
    pub fn weights(&self) -> BTreeMap<String, Tensor> {
        self.vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect()
    }

    /// Gradient of the last step's loss for the weight `name`.
    pub fn gradient(&self, name: &str) -> Option<&[f32]> {
        self.grads.get(self.vars.get(name)?)
    }

    /// One optimiser step on `batch`.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss is no longer a number; the weights are then as before the step.
    pub fn step(&mut self, mut batch: Batch) -> Result<StepReport> {
        let (n, classes) = (batch.n, batch.classes);
        let correct_classes = classes_of(&batch.targets, classes);
        if self.config.label_smoothing > 0.0 {
            smooth_labels(&mut batch.targets, classes, self.config.label_smoothing);
        }
        let (images, targets) = tensors(batch)?;
        let mut dropout = Dropout::new(self.config.dropout, self.config.seed, self.step);
        let logits = self.model.forward_t(&images, Some(&mut dropout))?;
        let loss = categorical_cross_entropy(&logits, &targets)?;
        let value = loss.to_scalar::<f32>()?;
        if !value.is_finite() {
            return Err(Error::Diverged { step: self.step, loss: value });
        }
        self.grads.backward(&loss)?;
        let factor = self.config.schedule.factor(self.step, self.config.total_steps());
        let learning_rate = self.config.learning_rate * factor;
        self.step += 1;
        self.optimizer.step(&self.vars, &self.grads, learning_rate, self.step)?;
        let correct = count_equal(&logits, classes, &correct_classes)?;
        Ok(StepReport { loss: value, correct, n, learning_rate })
    }

    /// Loss and correct answers on a batch, without training on it.
    ///
    /// # Errors
    /// When the images have other dimensions than the network takes.
    pub fn evaluate(&self, batch: Batch) -> Result<StepReport> {
        let correct_classes = classes_of(&batch.targets, batch.classes);
        let (n, classes) = (batch.n, batch.classes);
        let (images, targets) = tensors(batch)?;
        let logits = self.model.forward(&images)?;
        let loss = categorical_cross_entropy(&logits, &targets)?.to_scalar::<f32>()?;
        let correct = count_equal(&logits, classes, &correct_classes)?;
        Ok(StepReport { loss, correct, n, learning_rate: 0.0 })
    }
}

/// Images `[n, c, h, w]` and targets `[n, k]`.
fn tensors(batch: Batch) -> Result<(Tensor, Tensor)> {
    let dims = (batch.n, batch.channels, batch.height, batch.width);
    let images = Tensor::from_vec(batch.images, dims, &Device::Cpu)?;
    Ok((images, Tensor::from_vec(batch.targets, (batch.n, batch.classes), &Device::Cpu)?))
}

/// The most likely class of each row of `[n, classes]`.
fn classes_of(rows: &[f32], classes: usize) -> Vec<usize> {
    rows.chunks_exact(classes).map(argmax).collect()
}

fn count_equal(logits: &Tensor, classes: usize, expected: &[usize]) -> Result<usize> {
    let found = with_values(logits, |values| classes_of(values, classes))?;
    Ok(found.iter().zip(expected).filter(|(a, b)| a == b).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ScratchCnn;
    use crate::train::OptimizerConfig;

    const SIDE: usize = 16;

    fn trainer(change: impl FnOnce(&mut TrainConfig)) -> Trainer {
        let variables = Variables::new(1);
        let model = ScratchCnn::new(variables.builder(), SIDE, 2).unwrap();
        let mut config = TrainConfig::recipe(Architecture::ScratchCnn, vec!["a".into(), "b".into()]);
        change(&mut config);
        Trainer::with_model(config, Box::new(model), &variables)
    }

    fn batch() -> Batch {
        let len = 2 * 3 * SIDE * SIDE;
        let images = (0..len).map(|i| (i * 37 % len) as f32 / len as f32).collect();
        Batch { images, targets: vec![1.0, 0.0, 0.0, 1.0], n: 2, channels: 3, height: SIDE, width: SIDE, classes: 2 }
    }

    #[test]
    fn divergence_is_an_error_and_leaves_weights_and_position_as_they_were() {
        let mut trainer = trainer(|config| {
            config.optimizer = OptimizerConfig::Sgd { momentum: 0.0 };
            config.learning_rate = 1e30;
        });
        let bits = |trainer: &Trainer| {
            let of = |w: &Tensor| with_values(w, |w| w.iter().map(|v| v.to_bits()).collect::<Vec<_>>()).unwrap();
            trainer.weights().values().map(of).collect::<Vec<_>>()
        };
        trainer.step(batch()).unwrap();
        let before = bits(&trainer);
        let error = trainer.step(batch()).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 1, .. }), "{error}");
        assert_eq!(trainer.steps(), 1);
        assert!(bits(&trainer) == before, "the weights have changed");
    }

    #[test]
    fn evaluation_neither_drops_out_nor_smooths_nor_trains() {
        let mut harsh = trainer(|config| (config.dropout, config.label_smoothing) = (0.9, 0.5));
        let mut plain = trainer(|_| {});
        let evaluated = harsh.evaluate(batch()).unwrap();
        assert_eq!(evaluated, harsh.evaluate(batch()).unwrap());
        assert_eq!(evaluated.loss, plain.step(batch()).unwrap().loss);
        assert_ne!(evaluated.loss, harsh.step(batch()).unwrap().loss);
    }

    #[test]
    fn a_step_reports_the_schedules_learning_rate() {
        let mut trainer = trainer(|config| config.schedule = crate::train::Schedule::Cosine { warmup_steps: 4 });
        let rates = [(); 4].map(|()| trainer.step(batch()).unwrap().learning_rate);
        assert_eq!(rates, [0.25_f32, 0.5, 0.75, 1.0].map(|factor| 1e-4 * factor));
    }
}
