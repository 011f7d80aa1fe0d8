//! One batch at a time: forward, loss, backward, optimiser.

use std::sync::MutexGuard;

use candle_core::{Device, Tensor};

use super::descent::scalar;
use super::{
    Descent, DescentConfig, Freeze, Mixup, Norms, TrainConfig, categorical_cross_entropy, healthy_then_kind,
    share_among, smooth_labels,
};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::metrics::argmax;
use crate::nn::{Given, Graph, Learner, Training, Weights, rows, sure};

/// A network in training.
pub struct Trainer {
    config: TrainConfig,
    pub(super) descent: Descent,
    input: usize,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Mean categorical cross-entropy of the batch before the update, against the targets as trained on.
    pub loss: f32,
    /// Images of the batch whose highest logit was the target's class; where two were blended, of the one with more of it.
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
    /// Those of [`TrainConfig::validate`].
    pub fn new(config: TrainConfig) -> Result<Self> {
        config.validate()?;
        let graph = config.graph()?;
        let network = Training::new(&graph, config.seed);
        Ok(Self::with_network(config, &graph, network))
    }

    /// A network that goes on from `weights`.
    ///
    /// # Errors
    /// Those of [`TrainConfig::validate`] and of [`Training::from_weights`].
    pub fn from_weights(config: TrainConfig, weights: Weights) -> Result<Self> {
        config.validate()?;
        let graph = config.graph()?;
        let network = Training::from_weights(&graph, weights)?;
        Ok(Self::with_network(config, &graph, network))
    }

    /// A network whose weights are yet to be put in.
    ///
    /// # Errors
    /// Those of [`TrainConfig::validate`].
    pub(super) fn unset(config: TrainConfig) -> Result<Self> {
        config.validate()?;
        let graph = config.graph()?;
        let network = Training::unset(&graph);
        Ok(Self::with_network(config, &graph, network))
    }

    /// Trains a network of the caller's own, described by `graph`.
    pub fn with_network(config: TrainConfig, graph: &Graph, mut network: Training) -> Self {
        network.freeze(|spec| config.freeze.holds(graph, &spec.name));
        if config.norms == Norms::Running {
            network.hold_statistics();
        }
        let TrainConfig { optimizer, schedule, learning_rate, weight_decay, dropout, seed, .. } = config;
        let steps =
            DescentConfig { optimizer, schedule, learning_rate, weight_decay, total_steps: config.total_steps() };
        let descent = Descent::new(Learner::new(network, (dropout, seed)), steps);
        Self { config, descent, input: graph.input().iter().product() }
    }

    /// The settings of this run.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.descent.steps()
    }

    /// The weights as they are now.
    pub fn weights(&self) -> Weights {
        self.network().weights()
    }

    /// The network itself.
    pub(super) fn network(&self) -> MutexGuard<'_, Training> {
        self.descent.learner().network()
    }

    /// Gradient of the loss on `batch` for every weight; no step is taken.
    ///
    /// # Errors
    /// As for [`step`](Self::step).
    pub fn gradients(&mut self, batch: Batch) -> Result<Weights> {
        let (loss, _) = self.loss(Given::Images, batch, true)?;
        let learner = self.descent.learner();
        learner.collect();
        sure(loss.backward());
        learner.set_step(self.steps());
        Ok(learner.take_gradients())
    }

    /// One optimiser step on `batch`.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss is no longer a number; the weights are then as before the step.
    /// [`Error::BufferLength`] when the images have other dimensions than the network takes.
    pub fn step(&mut self, batch: Batch) -> Result<StepReport> {
        self.step_on(Given::Images, batch)
    }

    /// One optimiser step on a batch of [`features`](Self::features): the step on its images, from the last layer alone.
    ///
    /// # Errors
    /// As for [`step`](Self::step).
    pub fn step_on_features(&mut self, batch: Batch) -> Result<StepReport> {
        self.step_on(Given::Features, batch)
    }

    fn step_on(&mut self, given: Given, batch: Batch) -> Result<StepReport> {
        let n = batch.n;
        let (loss, correct) = self.loss(given, batch, true)?;
        let [loss, learning_rate] = self.descent.step(&loss)?;
        Ok(StepReport { loss, correct, n, learning_rate })
    }

    /// Loss and correct answers on a batch, without training on it.
    ///
    /// # Errors
    /// [`Error::BufferLength`] when the images have other dimensions than the network takes.
    pub fn evaluate(&mut self, batch: Batch) -> Result<StepReport> {
        self.report(Given::Images, batch)
    }

    /// What [`evaluate`](Self::evaluate) gives of the images, from a batch of their [`features`](Self::features).
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate).
    pub fn evaluate_features(&mut self, batch: Batch) -> Result<StepReport> {
        self.report(Given::Features, batch)
    }

    fn report(&mut self, given: Given, batch: Batch) -> Result<StepReport> {
        let n = batch.n;
        let (loss, correct) = self.loss(given, batch, false)?;
        Ok(StepReport { loss: scalar(&loss), correct, n, learning_rate: 0.0 })
    }

    /// The batch with what the last layer reads of its images in their place, `[n, f]`.
    ///
    /// One image at a time: it has the same features, to the last bit, in whichever batch it is, and they take no more memory
    /// than one image does.
    ///
    /// # Errors
    /// [`Error::BufferLength`] when the images have other dimensions than the network takes.
    ///
    /// # Panics
    /// When more than the last layer learns: the features would be others after each step.
    pub fn features(&mut self, batch: Batch) -> Result<Batch> {
        assert_eq!(self.config.freeze, Freeze::Backbone);
        self.check(Given::Images, &batch)?;
        let mut network = self.network();
        let images = batch.images.chunks_exact(self.input);
        let features: Vec<f32> = images.flat_map(|image| network.features(1, image).to_vec()).collect();
        Ok(Batch { images: features, channels: network.feature_len(), height: 1, width: 1, ..batch })
    }

    fn check(&self, given: Given, batch: &Batch) -> Result<()> {
        let len = match given {
            Given::Images => self.input,
            Given::Features => self.network().feature_len(),
        };
        let (expected, found) = (batch.n * len, batch.images.len());
        if expected == found { Ok(()) } else { Err(Error::BufferLength { expected, found }) }
    }

    /// Goes forward: the loss, and how many images are called what they are.
    fn loss(&mut self, given: Given, mut batch: Batch, training: bool) -> Result<(Tensor, usize)> {
        self.check(given, &batch)?;
        let (n, classes) = (batch.n, batch.classes);
        let mixed = training && self.config.mixup > 0.0;
        let mixup = mixed.then(|| Mixup::draw(self.config.mixup, n, self.config.seed, self.steps()));
        if let Some(mixup) = &mixup {
            let partners = mixup.partners(&batch.images);
            mixup.blend(&mut batch.images, &partners);
        }
        let input = match given {
            Given::Images => {
                Tensor::from_vec(batch.images, (n, batch.channels, batch.height, batch.width), &Device::Cpu)
            }
            Given::Features => Tensor::from_vec(batch.images, (n, ()), &Device::Cpu),
        };
        let logits = sure(self.descent.learner().forward_from(given, &sure(input), training));
        let values = rows(&logits);
        let labelled = values.chunks_exact(classes).zip(batch.targets.chunks_exact(classes));
        let correct = labelled.filter(|(logits, allowed)| allowed[argmax(logits)] > 0.0).count();
        let partners = mixup.as_ref().map(|mixup| mixup.partners(&batch.targets));
        share_among(&mut batch.targets, &values, classes);
        if let (Some(mixup), Some(mut partners)) = (mixup, partners) {
            share_among(&mut partners, &values, classes);
            mixup.blend(&mut batch.targets, &partners);
        }
        if training && self.config.label_smoothing > 0.0 {
            smooth_labels(&mut batch.targets, classes, self.config.label_smoothing);
        }
        let targets = sure(Tensor::from_vec(batch.targets, (n, classes), &Device::Cpu));
        let loss = match (&self.config.within, &batch.origins) {
            (Some(within), Some(origins)) if training => {
                let healthy = self.config.classes.iter().position(|class| *class == within.healthy);
                let healthy = healthy.expect("the settings were checked");
                healthy_then_kind(&logits, &targets, origins, healthy, within.pairs.into())
            }
            _ => categorical_cross_entropy(&logits, &targets),
        };
        Ok((sure(loss), correct))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Architecture;
    use crate::models::scratch_cnn;
    use crate::train::OptimizerConfig;

    const SIDE: usize = 16;

    fn trainer(change: impl FnOnce(&mut TrainConfig)) -> Trainer {
        let graph = scratch_cnn(SIDE, 2).unwrap();
        let mut config = TrainConfig::recipe(Architecture::ScratchCnn, vec!["a".into(), "b".into()]);
        change(&mut config);
        Trainer::with_network(config, &graph, Training::new(&graph, 1))
    }

    fn batch() -> Batch {
        let len = 2 * 3 * SIDE * SIDE;
        let images = (0..len).map(|i| (i * 37 % len) as f32 / len as f32).collect();
        Batch {
            images,
            targets: vec![1.0, 0.0, 0.0, 1.0],
            origins: None,
            n: 2,
            channels: 3,
            height: SIDE,
            width: SIDE,
            classes: 2,
        }
    }

    #[test]
    fn divergence_is_an_error_and_leaves_weights_and_position_as_they_were() {
        let mut trainer = trainer(|config| {
            config.optimizer = OptimizerConfig::Sgd { momentum: 0.0 };
            config.learning_rate = 1e30;
        });
        let bits = |trainer: &Trainer| {
            let weights = trainer.weights().0.into_values();
            weights.flat_map(|tensor| tensor.values).map(f32::to_bits).collect::<Vec<_>>()
        };
        trainer.step(batch()).unwrap();
        let before = bits(&trainer);
        let error = trainer.step(batch()).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 1, .. }), "{error}");
        assert_eq!(trainer.steps(), 1);
        assert!(bits(&trainer) == before, "the weights have changed");
    }

    #[test]
    fn evaluation_neither_drops_out_nor_smooths_nor_blends_nor_trains() {
        let mut harsh = trainer(|config| (config.dropout, config.label_smoothing, config.mixup) = (0.9, 0.5, 1.0));
        let mut plain = trainer(|_| {});
        let evaluated = harsh.evaluate(batch()).unwrap();
        assert_eq!(evaluated, harsh.evaluate(batch()).unwrap());
        assert_eq!(evaluated.loss, plain.step(batch()).unwrap().loss);
        assert_ne!(evaluated.loss, harsh.step(batch()).unwrap().loss);
    }

    /// The cross-entropy is linear in the targets, so that the loss of blended films is the blend of what the blended images
    /// would lose with the targets of each.
    #[test]
    fn blended_films_have_the_blend_of_their_targets() {
        let mut mixing = trainer(|config| config.mixup = 1.0);
        let mixup = Mixup::draw(1.0, 2, mixing.config.seed, 0);
        let mut own = batch();
        let partners = mixup.partners(&own.images);
        mixup.blend(&mut own.images, &partners);
        let mut targets = own.targets.clone();
        mixup.blend(&mut targets, &mixup.partners(&own.targets));
        assert!(targets.iter().any(|target| (0.01..0.99).contains(target)), "nothing is blended: {targets:?}");
        let mut expected = 0.0;
        for (row, class) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut certain = own.clone();
            certain.targets = vec![0.0; 4];
            certain.targets[2 * row + class] = 1.0;
            // A row without a target loses nothing; the mean is over both.
            expected += targets[2 * row + class] * trainer(|_| {}).evaluate(certain).unwrap().loss;
        }
        assert!((mixing.step(batch()).unwrap().loss - expected).abs() < 1e-6);
    }

    #[test]
    fn a_step_reports_the_schedules_learning_rate() {
        let mut trainer = trainer(|config| config.schedule = crate::train::Schedule::Cosine { warmup_steps: 4 });
        let rates = [(); 4].map(|()| trainer.step(batch()).unwrap().learning_rate);
        assert_eq!(rates, [0.25_f32, 0.5, 0.75, 1.0].map(|factor| 1e-4 * factor));
    }

    #[test]
    fn weights_decay_and_biases_do_not() {
        for optimizer in [OptimizerConfig::default(), OptimizerConfig::Sgd { momentum: 0.9 }] {
            let run = |weight_decay| {
                let mut trainer = trainer(|config| {
                    (config.optimizer, config.weight_decay, config.learning_rate) = (optimizer, weight_decay, 0.01);
                });
                let before = trainer.weights();
                trainer.step(batch()).unwrap();
                (before, trainer.weights())
            };
            let ((before, plain), (_, decayed)) = (run(0.0), run(0.5));
            for (name, before) in before.0 {
                let (plain, decayed) = (&plain.0[&name].values, &decayed.0[&name].values);
                for ((before, plain), decayed) in before.values.iter().zip(plain).zip(decayed) {
                    // αλ = 0.005 of the weight as it was.
                    let expected = if name.ends_with("weight") { 0.005 * before } else { 0.0 };
                    assert!((plain - decayed - expected).abs() < 1e-6, "{name}: {plain} and {decayed}");
                }
            }
        }
    }

    #[test]
    fn images_of_another_size_are_refused() {
        let wrong = Batch { images: vec![0.0; 2 * 3 * 15 * 16], height: 15, ..batch() };
        assert_eq!(trainer(|_| {}).step(wrong).unwrap_err().kind(), "buffer-length");
    }
}
