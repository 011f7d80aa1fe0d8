//! A network in use: its weights no longer change, so they are prepared once for the kernels.

use std::sync::{Mutex, PoisonError, TryLockError};

use super::arena::Arena;
use super::graph::{Graph, Value};
use super::maps::Head;
use super::parameter::{Order, ParameterSpec};
use super::plan::{Action, Follow, Plan, Step};
use super::weights::Weights;
use crate::error::Result;
use crate::kernels::batch_norm::{BatchNorm, fold};
use crate::kernels::clamp::{Clamp, add};
use crate::kernels::conv2d::{Conv2dGeometry, Prepared};
use crate::kernels::dense::{self, DenseGeometry};
use crate::kernels::depthwise::depthwise;
use crate::kernels::layout::transpose;
use crate::kernels::pool::{average_pool, max_pool};
#[cfg(feature = "int8")]
use crate::kernels::quantized::QuantizedDense;
use crate::kernels::windows::Windows;

/// Numbers that a network in use computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Floats throughout.
    #[default]
    Float,
    /// Dense layers that read what a rectifier let through take weights of eight bits and activations of seven, see
    /// [`QuantizedDense`](crate::kernels::quantized::QuantizedDense). Convolutions stay in floats: Winograd's algorithm on floats is the faster one wherever the
    /// processor has no instruction of its own for byte products, and no slower where it has.
    #[cfg(feature = "int8")]
    Int8,
}

/// See the head of this file.
pub struct Frozen {
    pub(super) plan: Plan,
    pub(super) steps: Vec<Ready>,
    pub(super) head: Head,
    taps: Vec<Tap>,
    /// Channels, rows and columns of an image.
    image: [usize; 3],
    /// Taken by one call at a time; a second one makes buffers of its own.
    arena: Mutex<Arena>,
}

/// A value that leaves a trace.
struct Tap {
    place: usize,
    pixels: usize,
    channels: usize,
}

/// An action with its weights.
pub(super) enum Ready {
    Conv2d { geometry: Conv2dGeometry, prepared: Prepared, pooled: bool, residual: Option<usize>, clamp: Clamp },
    Depthwise { windows: Windows, weight: Vec<f32>, bias: Vec<f32>, clamp: Clamp },
    Dense { factors: Vec<Factor>, clamp: Clamp },
    Add { other: usize, clamp: Clamp },
    MaxPool { windows: Windows },
    AveragePool { pixels: usize, channels: usize },
}

/// A dense layer's weight, or one of two thin factors of it.
pub(super) enum Factor {
    Float {
        inputs: usize,
        outputs: usize,
        weight: Vec<f32>,
        bias: Vec<f32>,
    },
    #[cfg(feature = "int8")]
    Int8 {
        outputs: usize,
        layer: QuantizedDense,
    },
}

impl Frozen {
    /// Takes the weights of `graph` out of `weights`.
    ///
    /// A dense layer's `weight` may be there as two factors, `weight.u` `[outputs, r]` and `weight.v` `[r, inputs]`; it
    /// then computes `(x · vᵀ) · uᵀ`, the same function of the product `u · v` with fewer weights to read. A convolution
    /// with a normalisation may be there with a bias instead, the normalisation being in both.
    ///
    /// # Errors
    /// [`TensorMissing`](crate::error::Error::TensorMissing), [`TensorShape`](crate::error::Error::TensorShape), and
    /// [`Weights`](crate::error::Error::Weights) for tensors that the network has no use for.
    pub fn new(graph: &Graph, mut weights: Weights, precision: Precision) -> Result<Self> {
        let plan = Plan::new(graph, false);
        let steps = plan.steps.iter().map(|step| {
            let precision = if plan.is_rectified(step.input) { precision } else { Precision::Float };
            Ready::new(step.action, graph.parameters(), &mut weights, precision)
        });
        let steps = steps.collect::<Result<_>>()?;
        weights.finish()?;
        let (head, taps) = (Head::of(graph, &plan), Tap::all(graph, &plan));
        Ok(Self { plan, steps, head, taps, image: graph.input(), arena: Mutex::default() })
    }

    /// Dimensions of one image, `[channels, height, width]`.
    pub fn input(&self) -> [usize; 3] {
        self.image
    }

    /// Logits `[n, k]` of `n` images `[n, c, h, w]`.
    ///
    /// # Panics
    /// When `images` does not hold `n` images.
    pub fn logits(&self, n: usize, images: &[f32]) -> Vec<f32> {
        self.run(n, images, |_, _| {})
    }

    /// The features `[n, f]` of `n` images `[n, c, h, w]`, and the logits `[n, k]` that the last layer, a dense one, makes of
    /// them.
    ///
    /// # Panics
    /// When `images` does not hold `n` images.
    pub fn features(&self, n: usize, images: &[f32]) -> [Vec<f32>; 2] {
        let mut features = Vec::new();
        let last = self.plan.steps.last().map_or(0, |step| step.output);
        let logits = self.run(n, images, |step, values| {
            if step.output == last {
                features.clone_from(&values[step.input]);
            }
        });
        [features, logits]
    }

    /// The traces `[n, t]` that `n` images `[n, c, h, w]` leave all through the network, and its logits `[n, k]`.
    ///
    /// For each size of feature maps, one value is chosen: the last of those with the fewest channels. The trace is the mean of
    /// each of its channels over the pixels. The last layers of a trained network keep only what tells its classes apart; the
    /// first ones still have everything else.
    ///
    /// # Panics
    /// When `images` does not hold `n` images.
    pub fn traces(&self, n: usize, images: &[f32]) -> [Vec<f32>; 2] {
        let mut traces = vec![0.0; n * self.trace_len()];
        let logits = self.run(n, images, |step, values| self.leave_traces(n, step, values, &mut traces));
        [traces, logits]
    }

    /// The [`features`](Self::features) and the [`traces`](Self::traces) of `n` images in one pass: features `[n, f]`, traces
    /// `[n, t]`.
    ///
    /// # Panics
    /// When `images` does not hold `n` images.
    pub fn features_and_traces(&self, n: usize, images: &[f32]) -> [Vec<f32>; 2] {
        let (mut features, mut traces) = (Vec::new(), vec![0.0; n * self.trace_len()]);
        let last = self.plan.steps.last().map_or(0, |step| step.output);
        self.run(n, images, |step, values| {
            if step.output == last {
                features.clone_from(&values[step.input]);
            }
            self.leave_traces(n, step, values, &mut traces);
        });
        [features, traces]
    }

    /// Writes what `step` leaves into the `traces` of `n` images.
    fn leave_traces(&self, n: usize, step: &Step, values: &[Vec<f32>], traces: &mut [f32]) {
        let (width, mut first) = (self.trace_len(), 0);
        for tap in &self.taps {
            if tap.place == step.output {
                let mut means = vec![0.0; n * tap.channels];
                average_pool(tap.pixels, tap.channels, &values[tap.place], &mut means);
                for (trace, means) in traces.chunks_exact_mut(width).zip(means.chunks_exact(tap.channels)) {
                    trace[first..first + tap.channels].copy_from_slice(means);
                }
            }
            first += tap.channels;
        }
    }

    /// Numbers in the trace of an image.
    pub fn trace_len(&self) -> usize {
        self.taps.iter().map(|tap| tap.channels).sum()
    }

    /// Logits; `see` is called after every step, with all values that are still there.
    fn run(&self, n: usize, images: &[f32], mut see: impl FnMut(&Step, &[Vec<f32>])) -> Vec<f32> {
        self.with_arena(|arena| {
            let mut values = self.begin(n, images, arena);
            for (i, step) in self.plan.steps.iter().enumerate() {
                self.compute(n, i, &mut values, arena);
                see(step, &values);
                self.release(i, &mut values, arena);
            }
            let last = self.plan.steps.last().map_or(0, |step| step.output);
            let logits = values[last].clone();
            values.into_iter().filter(|value| !value.is_empty()).for_each(|value| arena.give(value));
            logits
        })
    }

    /// Calls `work` with the network's buffers, or with new ones while another call has them.
    pub(super) fn with_arena<R>(&self, work: impl FnOnce(&mut Arena) -> R) -> R {
        let mut own = Arena::default();
        let mut kept = match self.arena.try_lock() {
            Ok(kept) => Some(kept),
            Err(TryLockError::Poisoned(kept)) => Some(PoisonError::into_inner(kept)),
            Err(TryLockError::WouldBlock) => None,
        };
        work(kept.as_deref_mut().unwrap_or(&mut own))
    }

    /// The values before the first step: those of `n` images `[n, c, h, w]`, and none of the others.
    pub(super) fn begin(&self, n: usize, images: &[f32], arena: &mut Arena) -> Vec<Vec<f32>> {
        assert_eq!(images.len(), n * self.plan.lens[0]);
        let [channels, height, width] = self.image;
        let mut values: Vec<Vec<f32>> = vec![Vec::new(); self.plan.lens.len()];
        values[0] = arena.take(images.len());
        transpose(images, [channels, height * width], &mut values[0]);
        values
    }

    /// Takes step `i`, and gives back the values that no later step reads.
    pub(super) fn advance(&self, n: usize, i: usize, values: &mut [Vec<f32>], arena: &mut Arena) {
        self.compute(n, i, values, arena);
        self.release(i, values, arena);
    }

    fn compute(&self, n: usize, i: usize, values: &mut [Vec<f32>], arena: &mut Arena) {
        let step = &self.plan.steps[i];
        let mut out = arena.take(n * self.plan.lens[step.output]);
        self.steps[i].run(n, step, values, &mut out, arena);
        values[step.output] = out;
    }

    fn release(&self, i: usize, values: &mut [Vec<f32>], arena: &mut Arena) {
        let (step, later) = (&self.plan.steps[i], &self.plan.steps[i + 1..]);
        for place in (0..values.len()).filter(|place| step.reads(*place)) {
            if !later.iter().any(|later| later.reads(place)) {
                arena.give(std::mem::take(&mut values[place]));
            }
        }
    }
}

impl Tap {
    /// See [`Frozen::traces`].
    fn all(graph: &Graph, plan: &Plan) -> Vec<Self> {
        let mut taps: Vec<Self> = Vec::new();
        for step in &plan.steps {
            let [height, width, channels] = graph.shape(Value(step.output));
            let tap = Self { place: step.output, pixels: height * width, channels };
            match taps.iter_mut().find(|other| other.pixels == tap.pixels) {
                Some(other) if other.channels >= tap.channels => *other = tap,
                Some(_) => {}
                None => taps.push(tap),
            }
        }
        // Rows of values have no pixels to take a mean over.
        taps.retain(|tap| tap.pixels > 1);
        taps
    }
}

impl Ready {
    fn new(action: Action, parameters: &[ParameterSpec], weights: &mut Weights, precision: Precision) -> Result<Self> {
        match action {
            Action::Conv2d { geometry, follow, pooled, residual, clamp, at } => {
                let [weight, bias] = convolution(follow, &parameters[at..], weights)?;
                Ok(Self::Conv2d {
                    geometry,
                    prepared: Prepared::new(&geometry, &weight, &bias),
                    pooled,
                    residual,
                    clamp,
                })
            }
            Action::Depthwise { windows, follow, clamp, at } => {
                let [weight, bias] = convolution(follow, &parameters[at..], weights)?;
                Ok(Self::Depthwise { windows, weight, bias, clamp })
            }
            Action::Dense { inputs, outputs, clamp, at } => {
                let bias = weights.take(&parameters[at + 1].name, &parameters[at + 1].shape)?;
                let factors = Factor::take(&parameters[at], bias, [inputs, outputs], weights, precision)?;
                Ok(Self::Dense { factors, clamp })
            }
            Action::Add { other, clamp } => Ok(Self::Add { other, clamp }),
            Action::MaxPool { windows } => Ok(Self::MaxPool { windows }),
            Action::AveragePool { pixels, channels } => Ok(Self::AveragePool { pixels, channels }),
            Action::Norm { .. } | Action::Dropout => unreachable!("{action:?} is a step of training"),
        }
    }

    pub(super) fn run(&self, n: usize, step: &Step, values: &[Vec<f32>], out: &mut [f32], arena: &mut Arena) {
        let input = &values[step.input];
        match self {
            Self::Conv2d { geometry, prepared, pooled: true, .. } => {
                prepared.forward_pooled(&geometry.with_batch(n), input, out, None);
            }
            Self::Conv2d { geometry, prepared, residual, clamp, .. } => {
                let residual = residual.map(|place| values[place].as_slice());
                prepared.forward(&geometry.with_batch(n), input, (residual, *clamp), out);
            }
            Self::Depthwise { windows, weight, bias, clamp } => {
                depthwise(&windows.with_batch(n), input, weight, bias, *clamp, out);
            }
            Self::Dense { factors, clamp } => {
                match factors.as_slice() {
                    [whole] => whole.run(n, input, out),
                    [right, left] => {
                        let mut between = arena.take(n * right.outputs());
                        right.run(n, input, &mut between);
                        left.run(n, &between, out);
                        arena.give(between);
                    }
                    other => unreachable!("{} factors", other.len()),
                }
                clamp.apply(out);
            }
            Self::Add { other, clamp } => {
                out.copy_from_slice(input);
                add(&values[*other], *clamp, out);
            }
            Self::MaxPool { windows } => max_pool(&windows.with_batch(n), input, out, None),
            Self::AveragePool { pixels, channels } => average_pool(*pixels, *channels, input, out),
        }
    }
}

/// Weight and bias of a convolution, what follows it folded in. `specs` begin with the weight's.
pub(super) fn convolution(follow: Follow, specs: &[ParameterSpec], weights: &mut Weights) -> Result<[Vec<f32>; 2]> {
    let mut take = |spec: &ParameterSpec| Ok(spec.order.into_memory(weights.take(&spec.name, &spec.shape)?));
    let mut weight = take(&specs[0])?;
    let Follow::Folded(epsilon) = follow else {
        return Ok([weight, take(&specs[1])?]);
    };
    if let Some(folded) = weights.folded_bias(&specs[0].name) {
        return Ok([weight, weights.take(&folded, &specs[1].shape)?]);
    }
    let mut take = |at: usize| weights.take(&specs[at].name, &specs[at].shape);
    let [gamma, beta, mean, variance] = [take(1)?, take(2)?, take(3)?, take(4)?];
    let norm = BatchNorm { gamma: &gamma, beta: &beta, mean: &mean, variance: &variance, epsilon };
    let mut bias = vec![0.0; gamma.len()];
    fold(&norm, &mut weight, &mut bias);
    Ok([weight, bias])
}

impl Factor {
    fn take(
        spec: &ParameterSpec,
        bias: Vec<f32>,
        [inputs, outputs]: [usize; 2],
        weights: &mut Weights,
        precision: Precision,
    ) -> Result<Vec<Self>> {
        let Order::Dense { channels, pixels, .. } = spec.order else { unreachable!("a dense layer's own order") };
        let Some(([u, v], rank)) = weights.factors(&spec.name) else {
            let weight = weights.take(&spec.name, &spec.shape)?;
            return Ok(vec![Self::new([outputs, channels, pixels], weight, bias, precision)]);
        };
        let (right, left) = (weights.take(&v, &[rank, inputs])?, weights.take(&u, &[outputs, rank])?);
        Ok(vec![
            Self::new([rank, channels, pixels], right, vec![0.0; rank], precision),
            // What the right factor gives has signs.
            Self::new([outputs, rank, 1], left, bias, Precision::Float),
        ])
    }

    /// From a weight `[outputs, channels, pixels]` as a file has it.
    fn new([outputs, channels, pixels]: [usize; 3], weight: Vec<f32>, bias: Vec<f32>, precision: Precision) -> Self {
        match precision {
            Precision::Float => {
                let weight = Order::Dense { outputs, channels, pixels }.into_memory(weight);
                Self::Float { inputs: channels * pixels, outputs, weight, bias }
            }
            #[cfg(feature = "int8")]
            Precision::Int8 => {
                let mut rows = vec![0.0; weight.len()];
                transpose(&weight, [channels, pixels], &mut rows);
                Self::Int8 { outputs, layer: QuantizedDense::new(&rows, &bias) }
            }
        }
    }

    fn outputs(&self) -> usize {
        match self {
            Self::Float { outputs, .. } => *outputs,
            #[cfg(feature = "int8")]
            Self::Int8 { outputs, .. } => *outputs,
        }
    }

    fn run(&self, n: usize, input: &[f32], out: &mut [f32]) {
        match self {
            Self::Float { inputs, outputs, weight, bias } => {
                let g = DenseGeometry { batch: n, inputs: *inputs, outputs: *outputs };
                dense::forward(&g, input, weight, bias, out);
            }
            #[cfg(feature = "int8")]
            Self::Int8 { layer, .. } => layer.forward(n, input, out),
        }
    }

    /// The gradient for one row of inputs, given that of its outputs.
    pub(super) fn grad_input(&self, grad: &[f32]) -> Vec<f32> {
        match self {
            Self::Float { inputs, outputs, weight, .. } => {
                let mut grad_input = vec![0.0; *inputs];
                dense::grad_row(
                    &DenseGeometry { batch: 1, inputs: *inputs, outputs: *outputs },
                    grad,
                    weight,
                    &mut grad_input,
                );
                grad_input
            }
            #[cfg(feature = "int8")]
            Self::Int8 { layer, .. } => layer.grad_row(grad),
        }
    }
}
