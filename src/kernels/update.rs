//! Optimisers as rules for one weight, and the pass over memory that applies them.
//!
//! A rule may also be applied where a gradient is made ([`dense_backward`](super::dense::backward)), so that a large
//! layer's gradient never exists as a whole: 110 MB for the scratch CNN, which would be written and read again.

use rayon::prelude::*;

use super::arch::lanes::Lanes;
use super::arch::update::{Rule, Weights, update as update_part};

/// Elements one task updates: 64 Ki floats keep four streams of 256 KiB busy and the split independent of the threads.
const CHUNK: usize = 1 << 16;

/// What is done with the gradient of a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Update {
    /// It is forgotten; the weight stays.
    Stay,
    /// It is written into the first slot; the weight stays.
    Keep,
    /// A step of Adam; the slots hold the first and the second moment.
    Adam(Adam),
    /// A step of gradient descent; the first slot holds the velocity.
    Sgd(Sgd),
}

impl Update {
    /// Values kept beside each weight.
    pub fn slots(&self) -> usize {
        match self {
            Self::Stay => Stay::SLOTS,
            Self::Keep => Keep::SLOTS,
            Self::Adam(_) => Adam::SLOTS,
            Self::Sgd(_) => Sgd::SLOTS,
        }
    }

    /// Applies the rule to every weight.
    ///
    /// # Panics
    /// When there is not a gradient and a value in each slot for every weight.
    pub fn apply(&self, parameter: &mut Parameter, grad: &[f32]) {
        assert_eq!(grad.len(), parameter.values.len());
        let parts = parameter.parts(CHUNK).into_par_iter().zip(grad.par_chunks(CHUNK));
        parts.for_each(|(weights, grad)| match *self {
            Self::Stay => {}
            Self::Keep => update_part(Keep, grad, weights),
            Self::Adam(rule) => update_part(rule, grad, weights),
            Self::Sgd(rule) => update_part(rule, grad, weights),
        });
    }
}

/// A weight or bias in training.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameter {
    /// The values, in whatever order its layer keeps them.
    pub values: Vec<f32>,
    /// What an optimiser keeps beside each value, in the same order.
    pub slots: Vec<Vec<f32>>,
}

impl Parameter {
    /// `values` with zeros in `slots` slots.
    pub fn new(values: Vec<f32>, slots: usize) -> Self {
        let slots = vec![vec![0.0; values.len()]; slots];
        Self { values, slots }
    }

    /// Values and slots cut into parts of `len`.
    pub(super) fn parts(&mut self, len: usize) -> Vec<Weights<'_>> {
        let mut slots: Vec<_> = self.slots.iter_mut().map(|slot| slot.chunks_mut(len)).collect();
        let mut next = |which: usize| slots.get_mut(which).and_then(Iterator::next).unwrap_or_default();
        self.values.chunks_mut(len).map(|values| Weights { values, slots: [next(0), next(1)] }).collect()
    }
}

/// The gradient is of no use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stay;

impl Rule for Stay {
    const SLOTS: usize = 0;

    #[inline(always)]
    fn apply<L: Lanes>(self, _: L, weight: L, slots: [L; 2]) -> (L, [L; 2]) {
        (weight, slots)
    }
}

/// The gradient is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep;

impl Rule for Keep {
    const SLOTS: usize = 1;

    #[inline(always)]
    fn apply<L: Lanes>(self, grad: L, weight: L, [_, second]: [L; 2]) -> (L, [L; 2]) {
        (weight, [grad, second])
    }
}

/// Adam's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate `α` of this step.
    pub learning_rate: f32,
    /// Decay `β₁` of the first moment.
    pub beta1: f32,
    /// Decay `β₂` of the second moment.
    pub beta2: f32,
    /// `ε`, added to the root after the bias correction.
    pub epsilon: f32,
    /// Decoupled weight decay `λ`: each step multiplies the weights by `1 - αλ` (AdamW). 0 is plain Adam.
    pub weight_decay: f32,
    /// Steps taken, this one included; 1 is the first.
    pub step: u64,
}

/// One step of Adam: `m = β₁m + (1-β₁)g`, `v = β₂v + (1-β₂)g²`, `w ← (1-αλ)w - α/(1-β₁ᵗ) · m / (√(v/(1-β₂ᵗ)) + ε)`.
///
/// # Source
/// Kingma and Ba, arXiv:1412.6980, algorithm 1; Loshchilov and Hutter, arXiv:1711.05101, algorithm 2; as in PyTorch.
/// Keras adds its `ε` to `√v` before the correction, which makes it `ε / √(1-β₂ᵗ)` in this form: its 1e-7 acts like
/// 3.2e-6 in the first step and like 1e-7 after some thousands. The two part where gradients come near that: after ten
/// steps of the scratch CNN on 18 px noise they are a tenth of the way apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    /// `α / (1-β₁ᵗ)`.
    rate: f32,
    /// `1 / √(1-β₂ᵗ)`.
    root: f32,
    /// `1 - αλ`.
    keep: f32,
}

impl Adam {
    /// The rule of one step.
    pub fn new(step: &AdamStep) -> Self {
        let AdamStep { learning_rate, beta1, beta2, epsilon, weight_decay, step } = *step;
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        Self {
            beta1,
            beta2,
            epsilon,
            rate: (f64::from(learning_rate) / correction(beta1)) as f32,
            root: (1.0 / correction(beta2).sqrt()) as f32,
            keep: 1.0 - learning_rate * weight_decay,
        }
    }
}

impl Rule for Adam {
    const SLOTS: usize = 2;

    #[inline(always)]
    fn apply<L: Lanes>(self, grad: L, weight: L, [first, second]: [L; 2]) -> (L, [L; 2]) {
        let c = L::splat;
        let first = c(self.beta1).mul_add(first, c(1.0 - self.beta1).mul(grad));
        let second = c(self.beta2).mul_add(second, c(1.0 - self.beta2).mul(grad).mul(grad));
        let size = second.sqrt().mul_add(c(self.root), c(self.epsilon));
        (c(self.keep).mul(weight).sub(c(self.rate).mul(first).div(size)), [first, second])
    }
}

/// One step of gradient descent with momentum: `u = μu + g`, `w ← (1-αλ)w - αu`, `λ` the decoupled weight decay.
///
/// # Source
/// The form of PyTorch's `SGD` without dampening; Keras folds `α` into `u`, which is the same while `α` is constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    learning_rate: f32,
    momentum: f32,
    keep: f32,
}

impl Sgd {
    /// The rule of a step with learning rate `α`, momentum `μ` and weight decay `λ`.
    pub fn new(learning_rate: f32, momentum: f32, weight_decay: f32) -> Self {
        Self { learning_rate, momentum, keep: 1.0 - learning_rate * weight_decay }
    }
}

impl Rule for Sgd {
    const SLOTS: usize = 1;

    #[inline(always)]
    fn apply<L: Lanes>(self, grad: L, weight: L, [velocity, second]: [L; 2]) -> (L, [L; 2]) {
        let velocity = L::splat(self.momentum).mul_add(velocity, grad);
        let weight = L::splat(self.keep).mul(weight).sub(L::splat(self.learning_rate).mul(velocity));
        (weight, [velocity, second])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adam(weight_decay: f32) -> Update {
        let step = AdamStep { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weight_decay, step: 1 };
        Update::Adam(Adam::new(&step))
    }

    #[test]
    fn first_step_of_adam_moves_by_the_learning_rate_against_the_gradient() {
        // At t = 1 both corrections cancel: w - α·g/(|g| + ε), by arithmetic.
        let mut parameter = Parameter::new(vec![1.0, -2.0, 0.5], 2);
        adam(0.0).apply(&mut parameter, &[0.3, -4.0, 0.0]);
        for (found, expected) in parameter.values.iter().zip([0.9, -1.9, 0.5]) {
            assert!((found - expected).abs() < 1e-5, "{found} against {expected}");
        }
    }

    #[test]
    fn weight_decay_shrinks_a_weight_without_gradient() {
        let mut parameter = Parameter::new(vec![2.0], 2);
        adam(0.5).apply(&mut parameter, &[0.0]);
        assert!((parameter.values[0] - 1.9).abs() < 1e-6);
    }

    #[test]
    fn momentum_adds_up_over_steps() {
        let mut parameter = Parameter::new(vec![0.0], 1);
        for _ in 0..2 {
            Update::Sgd(Sgd::new(0.1, 0.9, 0.0)).apply(&mut parameter, &[1.0]);
        }
        // u is 1, then 1.9; w is -0.1, then -0.29.
        assert!((parameter.values[0] + 0.29).abs() < 1e-6);
    }

    #[test]
    fn keeping_a_gradient_leaves_the_weight() {
        let mut parameter = Parameter::new(vec![1.0; 37], 1);
        let grad: Vec<f32> = (0..37).map(|i| i as f32).collect();
        Update::Keep.apply(&mut parameter, &grad);
        assert_eq!((parameter.values, &parameter.slots[0]), (vec![1.0; 37], &grad));
    }
}
