//! A network in training: forward, back, and each gradient handed to an optimiser's rule as soon as it is known.
//!
//! Activations and gradients stay in buffers that every step uses again. No gradient of a large weight ever exists as a
//! whole, see [`dense::backward`].

use super::dropout::Dropout;
use super::graph::Graph;
use super::parameter::ParameterSpec;
use super::plan::{Action, Plan, Step};
use super::weights::{Tensor, Weights};
use crate::error::Result;
use crate::kernels::conv2d::{self, GradSource, Prepared};
use crate::kernels::dense::{self, DenseGeometry};
use crate::kernels::layout::transpose;
use crate::kernels::relu::{relu, relu_grad};
use crate::kernels::update::{Parameter, Update};

/// See the head of this file.
pub struct Training {
    plan: Plan,
    specs: Vec<ParameterSpec>,
    /// One for each of `specs`.
    parameters: Vec<Parameter>,
    /// Channels and pixels of an image.
    image: [usize; 2],
    /// Images of the last pass forward.
    n: usize,
    /// One for each value of the plan.
    values: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    /// What a value's step needs on the way back: which value of each window won, which activations stayed.
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

    fn with_parameters(graph: &Graph, values: Vec<Vec<f32>>) -> Self {
        let plan = Plan::new(graph, true);
        let [channels, height, width] = graph.input();
        let buffers = vec![Vec::new(); plan.lens.len()];
        Self {
            plan,
            specs: graph.parameters().to_vec(),
            parameters: values.into_iter().map(|values| Parameter::new(values, 0)).collect(),
            image: [channels, height * width],
            n: 0,
            values: buffers.clone(),
            gradients: buffers.clone(),
            marks: buffers,
        }
    }

    /// Logits `[n, k]` of `n` images `[n, c, h, w]`; `dropout` is given while training only.
    ///
    /// # Panics
    /// When `images` does not hold `n` images.
    pub fn forward(&mut self, n: usize, images: &[f32], mut dropout: Option<&mut Dropout>) -> &[f32] {
        assert_eq!(images.len(), n * self.plan.lens[0]);
        self.n = n;
        self.values[0].resize(images.len(), 0.0);
        transpose(images, self.image, &mut self.values[0]);
        for step in &self.plan.steps {
            let mut out = std::mem::take(&mut self.values[step.output]);
            out.resize(n * self.plan.lens[step.output], 0.0);
            let (input, marks) = (&self.values[step.input], &mut self.marks[step.output]);
            match step.action {
                Action::Conv2d { geometry, rectify, pooled, weight } => {
                    let g = geometry.with_batch(n);
                    let [weight, bias] = [&self.parameters[weight], &self.parameters[weight + 1]];
                    let prepared = Prepared::exact(&g, &weight.values, &bias.values);
                    if pooled {
                        marks.resize(out.len(), 0.0);
                        prepared.forward_pooled(&g, input, &mut out, Some(marks));
                    } else {
                        prepared.forward(&g, input, rectify, &mut out);
                    }
                }
                Action::Dense { inputs, outputs, rectify, weight } => {
                    let g = DenseGeometry { batch: n, inputs, outputs };
                    let [weight, bias] = [&self.parameters[weight], &self.parameters[weight + 1]];
                    dense::forward(&g, input, &weight.values, &bias.values, &mut out);
                    if rectify {
                        relu(&mut out);
                    }
                }
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
        &self.values[self.last()]
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
        let rules: Vec<Update> = self.specs.iter().map(rule).collect();
        for (parameter, rule) in self.parameters.iter_mut().zip(&rules) {
            parameter.slots.resize_with(rule.slots(), Vec::new);
            parameter.slots.iter_mut().for_each(|slot| slot.resize(parameter.values.len(), 0.0));
        }
        let mut reached = vec![false; self.values.len()];
        reached[last] = true;
        for i in (0..self.plan.steps.len()).rev() {
            let step = self.plan.steps[i];
            if !reached[step.output] {
                continue;
            }
            let mut grad = std::mem::take(&mut self.gradients[step.output]);
            // What several layers read gets the sum of their gradients.
            let again = std::mem::replace(&mut reached[step.input], true);
            let mut grad_input = if again { Vec::new() } else { std::mem::take(&mut self.gradients[step.input]) };
            grad_input.resize(self.values[step.input].len(), 0.0);
            // Nobody asks for the gradient of the images.
            self.back(step, &rules, &mut grad, (step.input > 0).then_some(&mut grad_input));
            self.gradients[step.output] = grad;
            if again {
                self.gradients[step.input].iter_mut().zip(&grad_input).for_each(|(sum, v)| *sum += v);
            } else {
                self.gradients[step.input] = grad_input;
            }
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

    fn back(&mut self, step: Step, rules: &[Update], grad: &mut [f32], grad_input: Option<&mut Vec<f32>>) {
        let (input, output, marks) = (&self.values[step.input], &self.values[step.output], &self.marks[step.output]);
        let grad_input = grad_input.map(Vec::as_mut_slice);
        match step.action {
            Action::Conv2d { geometry, rectify, pooled, weight: at } => {
                let g = geometry.with_batch(self.n);
                if rectify && !pooled {
                    relu_grad(output, grad);
                }
                let source = if pooled { GradSource::Pooled(grad, marks) } else { GradSource::Plain(grad) };
                let [weight, bias] = pair(&mut self.parameters, at);
                let (mut grad_weight, mut grad_bias) = (vec![0.0; weight.values.len()], vec![0.0; bias.values.len()]);
                let delivered = (grad_weight.as_mut_slice(), grad_bias.as_mut_slice());
                conv2d::backward(&g, (input, &weight.values), source, delivered, grad_input);
                rules[at].apply(weight, &grad_weight);
                rules[at + 1].apply(bias, &grad_bias);
            }
            Action::Dense { inputs, outputs, rectify, weight: at } => {
                let g = DenseGeometry { batch: self.n, inputs, outputs };
                if rectify {
                    relu_grad(output, grad);
                }
                let rules = [rules[at], rules[at + 1]];
                dense::backward(&g, input, grad, &rules, pair(&mut self.parameters, at), grad_input);
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

    fn tensors<'a>(
        &'a self,
        pick: impl Fn(&'a Parameter) -> Option<&'a Vec<f32>> + 'a,
    ) -> impl Iterator<Item = (String, Tensor)> + 'a {
        self.specs.iter().zip(&self.parameters).filter_map(move |(spec, parameter)| {
            let values = spec.order.to_file(pick(parameter)?);
            Some((spec.name.clone(), Tensor { shape: spec.shape.clone(), values }))
        })
    }

    /// Puts `slots` beside the weights: what [`slot`](Self::slot) gave, slot by slot.
    ///
    /// # Errors
    /// [`TensorMissing`](crate::error::Error::TensorMissing) and [`TensorShape`](crate::error::Error::TensorShape).
    pub fn set_slots(&mut self, slots: Vec<Weights>) -> Result<()> {
        for parameter in &mut self.parameters {
            parameter.slots.clear();
        }
        for mut slot in slots {
            for (spec, parameter) in self.specs.iter().zip(&mut self.parameters) {
                parameter.slots.push(spec.order.into_memory(slot.take(&spec.name, &spec.shape)?));
            }
        }
        Ok(())
    }
}

/// A weight and its bias.
fn pair(parameters: &mut [Parameter], at: usize) -> [&mut Parameter; 2] {
    let (weight, bias) = parameters[at..at + 2].split_at_mut(1);
    [&mut weight[0], &mut bias[0]]
}

fn multiply(values: &mut [f32], factors: &[f32]) {
    values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}
