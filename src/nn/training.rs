//! A network in training: forward, back, and each gradient handed to an optimiser's rule as soon as it is known.
//!
//! Activations and gradients stay in buffers that every step uses again. No gradient of a large weight ever exists as a
//! whole, see [`dense::backward`].

use std::borrow::Cow;
use std::ops::Range;

use super::dropout::Dropout;
use super::graph::Graph;
use super::parameter::ParameterSpec;
use super::plan::{Action, Follow, Plan, Step};
use super::weights::{Tensor, Weights};
use crate::error::Result;
use crate::kernels::batch_norm::{BatchNorm, Statistics, batch_norm, batch_norm_grad};
use crate::kernels::clamp::{Clamp, add};
use crate::kernels::conv2d::{self, GradSource, Prepared};
use crate::kernels::dense::{self, DenseGeometry};
use crate::kernels::depthwise::{depthwise, depthwise_grad_input, depthwise_grad_weight};
use crate::kernels::layout::transpose;
use crate::kernels::pool::{average_pool, average_pool_grad, max_pool, max_pool_grad};
use crate::kernels::update::{Parameter, Update};

/// Share of a batch's statistics in the running ones, PyTorch's default.
const MOMENTUM: f32 = 0.1;

/// See the head of this file.
pub struct Training {
    plan: Plan,
    specs: Vec<ParameterSpec>,
    /// One for each of `specs`.
    parameters: Vec<Parameter>,
    /// Which of them stay as they are, one for each of `specs`.
    frozen: Vec<bool>,
    /// Whether normalisations keep to their running statistics in training too.
    held: bool,
    /// Whether the last pass forward was one of training.
    training: bool,
    /// Channels, rows and columns of an image.
    image: [usize; 3],
    /// Images of the last pass forward.
    n: usize,
    /// One for each value of the plan.
    values: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    /// What a value's step needs on the way back: which value of each window won, which activations stayed, mean and
    /// variance of the batch.
    marks: Vec<Vec<f32>>,
}

impl Training {
    /// A network whose weights start as `seed` decides.
    pub fn new(graph: &Graph, seed: u64) -> Self {
        let draw = |spec: &ParameterSpec| spec.order.into_memory(spec.draw(seed));
        Self::with_parameters(graph, graph.parameters().iter().map(draw).collect())
    }

    /// A network that goes on from `weights`.
    ///
    /// # Errors
    /// [`TensorMissing`](crate::error::Error::TensorMissing), [`TensorShape`](crate::error::Error::TensorShape), and
    /// [`Weights`](crate::error::Error::Weights) for tensors that the network has no use for.
    pub fn from_weights(graph: &Graph, mut weights: Weights) -> Result<Self> {
        let take = |spec: &ParameterSpec| Ok(spec.order.into_memory(weights.take(&spec.name, &spec.shape)?));
        let values = graph.parameters().iter().map(take).collect::<Result<_>>()?;
        weights.finish()?;
        Ok(Self::with_parameters(graph, values))
    }

    /// A network whose weights are yet to be [put](Self::put).
    pub fn unset(graph: &Graph) -> Self {
        Self::with_parameters(graph, graph.parameters().iter().map(|spec| vec![0.0; spec.len()]).collect())
    }

    fn with_parameters(graph: &Graph, values: Vec<Vec<f32>>) -> Self {
        let plan = Plan::new(graph, true);
        let buffers = vec![Vec::new(); plan.lens.len()];
        Self {
            plan,
            specs: graph.parameters().to_vec(),
            frozen: vec![false; graph.parameters().len()],
            parameters: values.into_iter().map(|values| Parameter::new(values, 0)).collect(),
            held: false,
            training: false,
            image: graph.input(),
            n: 0,
            values: buffers.clone(),
            gradients: buffers.clone(),
            marks: buffers,
        }
    }

    /// Dimensions of one image, `[channels, height, width]`.
    pub fn input(&self) -> [usize; 3] {
        self.image
    }

    /// Keeps the parameters that `stays` says as they are. Normalisations among them use their running statistics in
    /// training too, and nothing below the lowest layer that still learns is gone back through.
    pub fn freeze(&mut self, stays: impl Fn(&ParameterSpec) -> bool) {
        self.frozen = self.specs.iter().map(stays).collect();
    }

    /// Lets every normalisation keep to its running statistics in training too; its factor and offset learn all the same.
    pub fn hold_statistics(&mut self) {
        self.held = true;
    }

    /// Whether the normalisation whose gamma is at `at` went by the statistics of the batch in the last pass forward.
    fn by_batch(&self, at: usize) -> bool {
        self.training && !self.held && !self.frozen[at]
    }

    /// Logits `[n, k]` of `n` images `[n, c, h, w]`; `dropout` is given while training only.
    ///
    /// # Panics
    /// When `images` does not hold `n` images.
    pub fn forward(&mut self, n: usize, images: &[f32], dropout: Option<&mut Dropout>) -> &[f32] {
        self.begin(n, images);
        self.run(0..self.plan.steps.len(), dropout);
        &self.values[self.last()]
    }

    /// What the last layer, a dense one, reads of `n` images `[n, c, h, w]` in use: `[n, f]`, before anything is dropped.
    ///
    /// # Panics
    /// When `images` does not hold `n` images.
    pub fn features(&mut self, n: usize, images: &[f32]) -> &[f32] {
        self.begin(n, images);
        let (first, place) = self.plan.head();
        self.run(0..first, None);
        &self.values[place]
    }

    /// Floats that the last layer reads of one image.
    pub fn feature_len(&self) -> usize {
        self.plan.lens[self.plan.head().1]
    }

    /// The logits that [`forward`](Self::forward) gives of images whose [`features`](Self::features) `[n, f]` these are, from
    /// the last layer alone. Going [back](Self::backward) from them is for networks in which only that layer learns: what the
    /// others hold is of other images.
    ///
    /// # Panics
    /// When `features` are not those of `n` images.
    pub fn forward_features(&mut self, n: usize, features: &[f32], dropout: Option<&mut Dropout>) -> &[f32] {
        let (first, place) = self.plan.head();
        assert_eq!(features.len(), n * self.plan.lens[place]);
        self.n = n;
        self.values[place].clear();
        self.values[place].extend_from_slice(features);
        self.run(first..self.plan.steps.len(), dropout);
        &self.values[self.last()]
    }

    fn begin(&mut self, n: usize, images: &[f32]) {
        assert_eq!(images.len(), n * self.plan.lens[0]);
        self.n = n;
        self.values[0].resize(images.len(), 0.0);
        let [channels, height, width] = self.image;
        transpose(images, [channels, height * width], &mut self.values[0]);
    }

    fn run(&mut self, steps: Range<usize>, mut dropout: Option<&mut Dropout>) {
        let n = self.n;
        self.training = dropout.is_some();
        for i in steps {
            let step = self.plan.steps[i];
            let mut out = std::mem::take(&mut self.values[step.output]);
            out.resize(n * self.plan.lens[step.output], 0.0);
            let by_batch = matches!(step.action, Action::Norm { at, .. } if self.by_batch(at));
            let (input, marks) = (&self.values[step.input], &mut self.marks[step.output]);
            let parameters = &mut self.parameters;
            match step.action {
                Action::Conv2d { geometry, follow, pooled, clamp, at, .. } => {
                    let g = geometry.with_batch(n);
                    let bias = bias(parameters, follow, at, g.out_channels());
                    let prepared = Prepared::exact(&g, &parameters[at].values, &bias);
                    if pooled {
                        marks.resize(out.len(), 0.0);
                        prepared.forward_pooled(&g, input, &mut out, Some(marks));
                    } else {
                        prepared.forward(&g, input, (None, clamp), &mut out);
                    }
                }
                Action::Depthwise { windows, follow, clamp, at } => {
                    let bias = bias(parameters, follow, at, windows.channels());
                    depthwise(&windows.with_batch(n), input, &parameters[at].values, &bias, clamp, &mut out);
                }
                Action::Norm { channels, epsilon, clamp, at } => {
                    if by_batch {
                        let batch = Statistics::of(channels, input);
                        let [mean, variance] = pair(parameters, at + 2);
                        batch.update(MOMENTUM, &mut mean.values, &mut variance.values);
                        *marks = [batch.mean, batch.variance].concat();
                    } else {
                        *marks = [at + 2, at + 3].map(|at| parameters[at].values.as_slice()).concat();
                    }
                    batch_norm(&norm(parameters, at, marks, epsilon), input, clamp, &mut out);
                }
                Action::Dense { inputs, outputs, clamp, at } => {
                    let g = DenseGeometry { batch: n, inputs, outputs };
                    dense::forward(&g, input, &parameters[at].values, &parameters[at + 1].values, &mut out);
                    clamp.apply(&mut out);
                }
                Action::Add { other, clamp } => {
                    out.copy_from_slice(input);
                    add(&self.values[other], clamp, &mut out);
                }
                Action::MaxPool { windows } => {
                    marks.resize(out.len(), 0.0);
                    max_pool(&windows.with_batch(n), input, &mut out, Some(marks));
                }
                Action::AveragePool { pixels, channels } => average_pool(pixels, channels, input, &mut out),
                Action::Dropout => {
                    out.copy_from_slice(input);
                    marks.clear();
                    if let Some(dropout) = dropout.as_deref_mut() {
                        dropout.draw(out.len(), marks);
                        multiply(&mut out, marks);
                    }
                }
            }
            self.values[step.output] = out;
        }
    }

    /// Goes back from `grad`, the gradient for the logits of the last [`forward`](Self::forward); `rule` says what becomes
    /// of a parameter's gradient.
    ///
    /// # Panics
    /// When `grad` is not as long as the logits.
    pub fn backward(&mut self, grad: &[f32], rule: impl Fn(&ParameterSpec) -> Update) {
        let last = self.last();
        assert_eq!(grad.len(), self.values[last].len());
        self.gradients[last].clear();
        self.gradients[last].extend_from_slice(grad);
        let rule = |(i, spec)| if self.learns(i) { rule(spec) } else { Update::Stay };
        let rules: Vec<Update> = self.specs.iter().enumerate().map(rule).collect();
        for (parameter, rule) in self.parameters.iter_mut().zip(&rules) {
            parameter.slots.resize_with(rule.slots(), Vec::new);
            parameter.slots.iter_mut().for_each(|slot| slot.resize(parameter.values.len(), 0.0));
        }
        let moves = self.moves();
        let mut reached = vec![false; self.values.len()];
        reached[last] = true;
        for i in (0..self.plan.steps.len()).rev() {
            let step = self.plan.steps[i];
            if !reached[step.output] || !moves[step.output] {
                continue;
            }
            let mut grad = std::mem::take(&mut self.gradients[step.output]);
            // What several layers read gets the sum of their gradients.
            let again = std::mem::replace(&mut reached[step.input], true);
            let mut grad_input = if again { Vec::new() } else { std::mem::take(&mut self.gradients[step.input]) };
            grad_input.resize(self.values[step.input].len(), 0.0);
            self.back(step, &rules, &mut grad, moves[step.input].then_some(&mut grad_input));
            if again {
                add(&grad_input, Clamp::NONE, &mut self.gradients[step.input]);
            } else {
                self.gradients[step.input] = grad_input;
            }
            if let Action::Add { other, .. } = step.action {
                if std::mem::replace(&mut reached[other], true) {
                    add(&grad, Clamp::NONE, &mut self.gradients[other]);
                } else {
                    self.gradients[other].clear();
                    self.gradients[other].extend_from_slice(&grad);
                }
            }
            self.gradients[step.output] = grad;
        }
    }

    /// Gradients for the weights, given `grad` for the logits of the last [`forward`](Self::forward); weights and what an
    /// optimiser keeps beside them stay as they are.
    ///
    /// # Panics
    /// When `grad` is not as long as the logits.
    pub fn gradients(&mut self, grad: &[f32]) -> Weights {
        let kept: Vec<_> = self.parameters.iter_mut().map(|parameter| std::mem::take(&mut parameter.slots)).collect();
        self.backward(grad, |_| Update::Keep);
        let gradients = self.slot(0);
        self.parameters.iter_mut().zip(kept).for_each(|(parameter, slots)| parameter.slots = slots);
        gradients
    }

    /// One step back. `grad`, that of the step's output, becomes that of its sums.
    fn back(&mut self, step: Step, rules: &[Update], grad: &mut [f32], grad_input: Option<&mut Vec<f32>>) {
        let (input, output, marks) = (&self.values[step.input], &self.values[step.output], &self.marks[step.output]);
        let grad_input = grad_input.map(Vec::as_mut_slice);
        let by_batch = matches!(step.action, Action::Norm { at, .. } if self.by_batch(at));
        let parameters = &mut self.parameters;
        match step.action {
            Action::Conv2d { geometry, follow, pooled, clamp, at, .. } => {
                let g = geometry.with_batch(self.n);
                let source = if pooled {
                    GradSource::Pooled(grad, marks)
                } else {
                    clamp.gradient(output, grad);
                    GradSource::Plain(grad)
                };
                let weight = &parameters[at].values;
                let (mut grad_weight, mut grad_bias) = (vec![0.0; weight.len()], vec![0.0; g.out_channels()]);
                // A normalisation behind it has the only offset.
                let wanted = (follow == Follow::Bias).then_some(grad_bias.as_mut_slice());
                conv2d::backward(&g, (input, weight), source, (&mut grad_weight, wanted), grad_input);
                deliver(parameters, rules, follow, at, [&grad_weight, &grad_bias]);
            }
            Action::Depthwise { windows, follow, clamp, at } => {
                let g = windows.with_batch(self.n);
                clamp.gradient(output, grad);
                let weight = &parameters[at].values;
                let (mut grad_weight, mut grad_bias) = (vec![0.0; weight.len()], vec![0.0; g.channels()]);
                depthwise_grad_weight(&g, input, grad, &mut grad_weight, &mut grad_bias);
                if let Some(grad_input) = grad_input {
                    depthwise_grad_input(&g, weight, grad, grad_input);
                }
                deliver(parameters, rules, follow, at, [&grad_weight, &grad_bias]);
            }
            Action::Norm { channels, epsilon, clamp, at } => {
                clamp.gradient(output, grad);
                let (mut grad_gamma, mut grad_beta) = (vec![0.0; channels], vec![0.0; channels]);
                let grad_input = grad_input.expect("a convolution lies before every normalisation");
                let norm = norm(parameters, at, marks, epsilon);
                batch_norm_grad(&norm, by_batch, (input, grad), (&mut grad_gamma, &mut grad_beta), grad_input);
                deliver(parameters, rules, Follow::Bias, at, [&grad_gamma, &grad_beta]);
            }
            Action::Dense { inputs, outputs, clamp, at } => {
                let g = DenseGeometry { batch: self.n, inputs, outputs };
                clamp.gradient(output, grad);
                let rules = [rules[at], rules[at + 1]];
                dense::backward(&g, input, grad, &rules, pair(parameters, at), grad_input);
            }
            Action::Add { clamp, .. } => {
                clamp.gradient(output, grad);
                if let Some(grad_input) = grad_input {
                    grad_input.copy_from_slice(grad);
                }
            }
            Action::MaxPool { windows } => {
                if let Some(grad_input) = grad_input {
                    max_pool_grad(&windows.with_batch(self.n), grad, marks, grad_input);
                }
            }
            Action::AveragePool { pixels, channels } => {
                if let Some(grad_input) = grad_input {
                    average_pool_grad(pixels, channels, grad, grad_input);
                }
            }
            Action::Dropout => {
                if !marks.is_empty() {
                    multiply(grad, marks);
                }
                if let Some(grad_input) = grad_input {
                    grad_input.copy_from_slice(grad);
                }
            }
        }
    }

    /// Whether a step back changes parameter `i`, and an optimiser keeps something beside it.
    pub fn learns(&self, i: usize) -> bool {
        self.specs[i].trained && !self.frozen[i]
    }

    /// Whether each value depends on a parameter that learns. The others, the image among them, need no gradient.
    fn moves(&self) -> Vec<bool> {
        let mut moves = vec![false; self.values.len()];
        for step in &self.plan.steps {
            let own = match step.action {
                Action::Conv2d { follow, at, .. } | Action::Depthwise { follow, at, .. } => {
                    self.learns(at) || follow == Follow::Bias && self.learns(at + 1)
                }
                Action::Norm { at, .. } | Action::Dense { at, .. } => self.learns(at) || self.learns(at + 1),
                _ => false,
            };
            moves[step.output] = own || (0..moves.len()).any(|place| moves[place] && step.reads(place));
        }
        moves
    }

    fn last(&self) -> usize {
        self.plan.steps.last().map_or(0, |step| step.output)
    }

    /// Names, shapes and orders of the parameters.
    pub fn specs(&self) -> &[ParameterSpec] {
        &self.specs
    }

    /// The weights as they are now, as a file has them.
    pub fn weights(&self) -> Weights {
        Weights(self.tensors(|parameter| Some(&parameter.values)).collect())
    }

    /// What an optimiser keeps in slot `which` beside each weight, as a file has it; none before the first step back.
    pub fn slot(&self, which: usize) -> Weights {
        Weights(self.tensors(|parameter| parameter.slots.get(which)).collect())
    }

    /// Takes values of parameter `i`, those from place `first` on in its file: the weight's, or what an optimiser keeps in
    /// `slot` beside it. A whole weight in the file's order would be another 110 MB.
    pub fn take(&self, i: usize, slot: Option<usize>, first: usize, file: &mut [f32]) {
        let parameter = &self.parameters[i];
        let values = slot.map_or(&parameter.values, |slot| &parameter.slots[slot]);
        self.specs[i].order.take(first, values, file);
    }

    /// The reverse of [`take`](Self::take); a slot that is not there yet begins with zeros.
    pub fn put(&mut self, i: usize, slot: Option<usize>, first: usize, file: &[f32]) {
        let Parameter { values, slots } = &mut self.parameters[i];
        let len = values.len();
        let values = match slot {
            Some(slot) => {
                slots.resize_with(slots.len().max(slot + 1), || vec![0.0; len]);
                &mut slots[slot]
            }
            None => values,
        };
        self.specs[i].order.put(first, file, values);
    }

    fn tensors<'a>(
        &'a self,
        pick: impl Fn(&'a Parameter) -> Option<&'a Vec<f32>> + 'a,
    ) -> impl Iterator<Item = (String, Tensor)> + 'a {
        self.specs.iter().zip(&self.parameters).filter_map(move |(spec, parameter)| {
            let values = spec.order.to_file(pick(parameter)?);
            Some((spec.name.clone(), Tensor { shape: spec.shape.clone(), values }))
        })
    }
}

/// A weight and its bias.
fn pair(parameters: &mut [Parameter], at: usize) -> [&mut Parameter; 2] {
    let (weight, bias) = parameters[at..at + 2].split_at_mut(1);
    [&mut weight[0], &mut bias[0]]
}

/// The bias of the convolution whose weight is at `at`; zeros where it has none.
fn bias<'a>(parameters: &'a [Parameter], follow: Follow, at: usize, channels: usize) -> Cow<'a, [f32]> {
    match follow {
        Follow::Bias => Cow::Borrowed(&parameters[at + 1].values),
        Follow::Folded(_) | Follow::Nothing => Cow::Owned(vec![0.0; channels]),
    }
}

/// The normalisation whose gamma is at `at`, with the statistics in `marks`, mean first.
fn norm<'a>(parameters: &'a [Parameter], at: usize, marks: &'a [f32], epsilon: f32) -> BatchNorm<'a> {
    let (mean, variance) = marks.split_at(marks.len() / 2);
    BatchNorm { gamma: &parameters[at].values, beta: &parameters[at + 1].values, mean, variance, epsilon }
}

/// Hands the gradients of a weight and of what follows it, where that is a bias, to their rules.
fn deliver(parameters: &mut [Parameter], rules: &[Update], follow: Follow, at: usize, grads: [&[f32]; 2]) {
    let [weight, bias] = grads;
    rules[at].apply(&mut parameters[at], weight);
    if follow == Follow::Bias {
        rules[at + 1].apply(&mut parameters[at + 1], bias);
    }
}

fn multiply(values: &mut [f32], factors: &[f32]) {
    values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}
