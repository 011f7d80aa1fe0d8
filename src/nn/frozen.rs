//! A network in use: its weights no longer change, so they are prepared once for the kernels.

use std::sync::{Mutex, PoisonError};

use super::arena::Arena;
use super::graph::Graph;
use super::parameter::{Order, ParameterSpec};
use super::plan::{Action, Plan};
use super::weights::Weights;
use crate::error::Result;
use crate::kernels::conv2d::{Conv2dGeometry, Prepared};
use crate::kernels::dense::{self, DenseGeometry};
use crate::kernels::layout::transpose;
use crate::kernels::relu::relu;

/// See the head of this file.
pub struct Frozen {
    plan: Plan,
    steps: Vec<Ready>,
    /// Channels and pixels of an image.
    image: [usize; 2],
    /// Taken by one call at a time; a second one makes buffers of its own.
    arena: Mutex<Arena>,
}

/// An action with its weights.
enum Ready {
    Conv2d { geometry: Conv2dGeometry, prepared: Prepared, rectify: bool, pooled: bool },
    Dense { factors: Vec<Factor>, rectify: bool },
    Dropout,
}

/// A dense layer's weight, or one of two thin factors of it.
struct Factor {
    inputs: usize,
    outputs: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Frozen {
    /// Takes the weights of `graph` out of `weights`.
    ///
    /// A dense layer's `weight` may be there as two factors, `weight.u` `[outputs, r]` and `weight.v` `[r, inputs]`; it
    /// then computes `(x · vᵀ) · uᵀ`, the same function of the product `u · v` with fewer weights to read.
    ///
    /// # Errors
    /// [`TensorMissing`](crate::error::Error::TensorMissing), [`TensorShape`](crate::error::Error::TensorShape), and
    /// [`Weights`](crate::error::Error::Weights) for tensors that the network has no use for.
    pub fn new(graph: &Graph, mut weights: Weights) -> Result<Self> {
        let plan = Plan::new(graph, false);
        let steps = plan.steps.iter().map(|step| Ready::new(step.action, graph.parameters(), &mut weights));
        let steps = steps.collect::<Result<_>>()?;
        weights.finish()?;
        let [channels, height, width] = graph.input();
        Ok(Self { plan, steps, image: [channels, height * width], arena: Mutex::default() })
    }

    /// Logits `[n, k]` of `n` images `[n, c, h, w]`.
    ///
    /// # Panics
    /// When `images` does not hold `n` images.
    pub fn logits(&self, n: usize, images: &[f32]) -> Vec<f32> {
        assert_eq!(images.len(), n * self.plan.lens[0]);
        let mut own = Arena::default();
        let mut kept = match self.arena.try_lock() {
            Ok(kept) => Some(kept),
            Err(std::sync::TryLockError::Poisoned(kept)) => Some(PoisonError::into_inner(kept)),
            Err(std::sync::TryLockError::WouldBlock) => None,
        };
        let arena = kept.as_deref_mut().unwrap_or(&mut own);

        let mut values: Vec<Option<Vec<f32>>> = vec![None; self.plan.lens.len()];
        let mut image = arena.take(images.len());
        transpose(images, self.image, &mut image);
        values[0] = Some(image);
        let mut last = 0;
        for (i, (step, ready)) in self.plan.steps.iter().zip(&self.steps).enumerate() {
            let mut out = arena.take(n * self.plan.lens[step.output]);
            let input = values[step.input].as_deref().expect("a plan writes values before it reads them");
            ready.run(n, input, &mut out, arena);
            values[step.output] = Some(out);
            last = step.output;
            if !self.plan.steps[i + 1..].iter().any(|later| later.input == step.input) {
                values[step.input].take().into_iter().for_each(|buffer| arena.give(buffer));
            }
        }
        let logits = values[last].take().expect("the last step has written");
        let copy = logits.clone();
        arena.give(logits);
        copy
    }
}

impl Ready {
    fn new(action: Action, parameters: &[ParameterSpec], weights: &mut Weights) -> Result<Self> {
        let mut take = |spec: &ParameterSpec| Ok(spec.order.into_memory(weights.take(&spec.name, &spec.shape)?));
        match action {
            Action::Conv2d { geometry, rectify, pooled, weight } => {
                let [weight, bias] = [take(&parameters[weight])?, take(&parameters[weight + 1])?];
                Ok(Self::Conv2d { geometry, prepared: Prepared::new(&geometry, &weight, &bias), rectify, pooled })
            }
            Action::Dense { inputs, outputs, rectify, weight } => {
                let bias = take(&parameters[weight + 1])?;
                let factors = Factor::take(&parameters[weight], bias, [inputs, outputs], weights)?;
                Ok(Self::Dense { factors, rectify })
            }
            Action::Dropout => Ok(Self::Dropout),
        }
    }

    fn run(&self, n: usize, input: &[f32], out: &mut [f32], arena: &mut Arena) {
        match self {
            Self::Conv2d { geometry, prepared, rectify, pooled } => {
                let g = geometry.with_batch(n);
                if *pooled {
                    prepared.forward_pooled(&g, input, out, None);
                } else {
                    prepared.forward(&g, input, *rectify, out);
                }
            }
            Self::Dense { factors, rectify } => {
                match factors.as_slice() {
                    [whole] => whole.run(n, input, out),
                    [right, left] => {
                        let mut between = arena.take(n * right.outputs);
                        right.run(n, input, &mut between);
                        left.run(n, &between, out);
                        arena.give(between);
                    }
                    other => unreachable!("{} factors", other.len()),
                }
                if *rectify {
                    relu(out);
                }
            }
            Self::Dropout => out.copy_from_slice(input),
        }
    }
}

impl Factor {
    fn take(
        spec: &ParameterSpec,
        bias: Vec<f32>,
        [inputs, outputs]: [usize; 2],
        weights: &mut Weights,
    ) -> Result<Vec<Self>> {
        let [u, v] = ["u", "v"].map(|factor| format!("{}.{factor}", spec.name));
        let Some(&[rank, ..]) = weights.shape(&v) else {
            let weight = spec.order.into_memory(weights.take(&spec.name, &spec.shape)?);
            return Ok(vec![Self { inputs, outputs, weight, bias }]);
        };
        let Order::Dense { channels, pixels, .. } = spec.order else { unreachable!("a dense layer's own order") };
        let right = Order::Dense { outputs: rank, channels, pixels }.into_memory(weights.take(&v, &[rank, inputs])?);
        let left = Order::Dense { outputs, channels: rank, pixels: 1 }.into_memory(weights.take(&u, &[outputs, rank])?);
        Ok(vec![
            Self { inputs, outputs: rank, weight: right, bias: vec![0.0; rank] },
            Self { inputs: rank, outputs, weight: left, bias },
        ])
    }

    fn run(&self, n: usize, input: &[f32], out: &mut [f32]) {
        let g = DenseGeometry { batch: n, inputs: self.inputs, outputs: self.outputs };
        dense::forward(&g, input, &self.weight, &self.bias, out);
    }
}
