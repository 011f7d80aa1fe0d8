//! A network as candle sees it: a [`Module`], images in and logits out, whose inside is one custom op over the plan. One that
//! learns is a [`ModuleT`], and its op has a way back.
//!
//! candle has what stands above a network: tensors, softmax, heads, losses. The kernels below keep to slices, as no library
//! is as fast in a browser, and so nothing of a network is written twice.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::cpu_backend::unary_map;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor, Var};
use candle_nn::{Module, ModuleT};

use super::dropout::Dropout;
use super::frozen::{Frozen, Precision};
use super::graph::Graph;
use super::parameter::ParameterSpec;
use super::training::Training;
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::kernels::update::Update;

/// A network with weights that no longer change: its [`forward`](Module::forward) takes images `[n, c, h, w]` in f32 and
/// gives their logits `[n, k]`.
///
/// No gradient goes back through it.
pub struct Network(Frozen);

impl Network {
    /// Takes the weights of `graph` out of `weights`, see [`Frozen::new`].
    ///
    /// # Errors
    /// Those of [`Frozen::new`].
    pub fn new(graph: &Graph, weights: Weights, precision: Precision) -> Result<Self> {
        Frozen::new(graph, weights, precision).map(Self)
    }

    /// The plan inside, for whoever wants more of it than logits.
    pub fn plan(&self) -> &Frozen {
        &self.0
    }

    /// The tensor `[n, c, h, w]` of `n` images that are preprocessed as the network wants them.
    ///
    /// # Errors
    /// [`Error::BufferLength`] when `values` is not a whole number of images.
    pub fn images(&self, values: &[f32]) -> Result<Tensor> {
        let [channels, height, width] = self.0.input();
        let n = self.count(values)?;
        Ok(sure(Tensor::from_slice(values, (n, channels, height, width), &Device::Cpu)))
    }

    /// What [`forward`](Module::forward) gives, and the traces `[n, t]` that the images leave in the same pass, see
    /// [`Frozen::traces`].
    ///
    /// # Errors
    /// Those of [`forward`](Module::forward).
    pub fn forward_with_traces(&self, images: &Tensor) -> candle_core::Result<(Tensor, Vec<f32>)> {
        let pass = Pass { plan: &self.0, traces: Some(RefCell::default()) };
        let logits = images.apply_op1_no_bwd(&pass)?;
        Ok((logits, pass.traces.unwrap_or_default().into_inner()))
    }

    /// The logits `[n, k]` of `n` images `[n, c, h, w]`.
    ///
    /// # Errors
    /// Those of [`images`](Self::images); [`Error::Weights`] when the network's output is not finite, which finite weights of
    /// absurd size can do.
    pub fn logits(&self, images: &[f32]) -> Result<Tensor> {
        finite_rows(sure(self.forward(&self.images(images)?)))
    }

    /// [`logits`](Self::logits), and the traces `[n, t]` that the images leave in the same pass.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    pub fn logits_and_traces(&self, images: &[f32]) -> Result<(Tensor, Vec<f32>)> {
        let (logits, traces) = sure(self.forward_with_traces(&self.images(images)?));
        Ok((finite_rows(logits)?, finite(traces)?))
    }

    /// The features of each of `n` images, `[n, f]`: what the last layer, a dense one, makes the logits of.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    pub fn features(&self, images: &[f32]) -> Result<Vec<f32>> {
        let [features, _] = self.0.features(self.count(images)?, images);
        finite(features)
    }

    /// The [`features`](Self::features) and the traces of each of `n` images in one pass.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    pub fn features_and_traces(&self, images: &[f32]) -> Result<[Vec<f32>; 2]> {
        let [features, traces] = self.0.features_and_traces(self.count(images)?, images);
        Ok([finite(features)?, finite(traces)?])
    }

    /// How many images `values` holds.
    fn count(&self, values: &[f32]) -> Result<usize> {
        let image: usize = self.0.input().iter().product();
        let n = values.len() / image;
        if n == 0 || values.len() != n * image {
            return Err(Error::BufferLength { expected: n.max(1) * image, found: values.len() });
        }
        Ok(n)
    }
}

/// `values`, unless there are infinite ones among them.
fn finite(values: Vec<f32>) -> Result<Vec<f32>> {
    if !values.iter().all(|value| value.is_finite()) {
        return Err(Error::Weights { reason: "they drive the network's output out of the range of f32".into() });
    }
    Ok(values)
}

/// `logits`, unless there are infinite ones among them.
fn finite_rows(logits: Tensor) -> Result<Tensor> {
    finite(rows(&logits)).map(|_| logits)
}

/// The values of a tensor `[n, k]`, row-major.
pub fn rows(tensor: &Tensor) -> Vec<f32> {
    sure(tensor.to_vec2::<f32>()).concat()
}

impl Module for Network {
    fn forward(&self, images: &Tensor) -> candle_core::Result<Tensor> {
        images.apply_op1_no_bwd(&Pass { plan: &self.0, traces: None })
    }
}

/// What candle made of tensors that cannot be wrong: of our own making, or checked.
///
/// Without candle's own message, as its formatting would be in what everybody downloads.
///
/// # Panics
/// When they were wrong.
pub fn sure<T>(made: candle_core::Result<T>) -> T {
    made.unwrap_or_else(|_| unreachable!("candle refused a tensor that had been checked"))
}

/// The one op: a pass through the plan.
struct Pass<'a> {
    plan: &'a Frozen,
    /// Where the traces go, where they are wanted.
    traces: Option<RefCell<Vec<f32>>>,
}

impl CustomOp1 for Pass<'_> {
    fn name(&self) -> &'static str {
        "network"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, images) = batch(&self.plan.input(), storage, layout)?;
        let logits = match &self.traces {
            None => self.plan.logits(n, &images),
            Some(wanted) => {
                let [traces, logits] = self.plan.traces(n, &images);
                *wanted.borrow_mut() = traces;
                logits
            }
        };
        let shape = Shape::from((n, logits.len() / n));
        Ok((CpuStorage::F32(logits), shape))
    }
}

/// A network that learns, a type of its own as candle makes every [`Module`] a [`ModuleT`] that learns nothing: its
/// [`forward_t`](ModuleT::forward_t) takes images `[n, c, h, w]` in f32 and gives their logits
/// `[n, k]`, and candle's `backward()` on a loss of those goes back through the plan.
///
/// Its parameters are none of candle's variables, as no gradient of a large weight need exist as a whole: each goes to the
/// rule of [`update_by`](Self::update_by) the moment it is made. Without one they are collected for an optimiser of the
/// caller's own, see [`take_gradients`](Self::take_gradients). Images get no gradient.
pub struct Learner {
    network: Arc<Mutex<Training>>,
    state: Arc<Mutex<State>>,
}

/// What becomes of a parameter's gradient.
type Rule = Box<dyn Fn(&ParameterSpec) -> Update + Send>;

struct State {
    /// Proportion of the last layer's inputs that training drops, and the seed that decides which.
    dropout: (f32, u64),
    /// Passes of training so far, unless [`Learner::set_step`] says otherwise: each drops others.
    step: u64,
    /// Passes of all kinds so far.
    passes: u64,
    rule: Option<Rule>,
    gradients: Weights,
}

impl Learner {
    /// Trains `network`; where its graph has dropout, `dropout` is the proportion and the seed of it.
    pub fn new(network: Training, dropout: (f32, u64)) -> Self {
        let state = State { dropout, step: 0, passes: 0, rule: None, gradients: Weights::default() };
        Self { network: Arc::new(Mutex::new(network)), state: Arc::new(Mutex::new(state)) }
    }

    /// Makes the next pass of training the one after `step` others: what it drops depends on that alone.
    pub fn set_step(&self, step: u64) {
        lock(&self.state).step = step;
    }

    /// From now on every `backward()` is a step of an optimiser: `rule` says what becomes of each parameter's gradient.
    pub fn update_by(&self, rule: impl Fn(&ParameterSpec) -> Update + Send + 'static) {
        lock(&self.state).rule = Some(Box::new(rule));
    }

    /// From now on `backward()` collects the gradients, as it does before [`update_by`](Self::update_by).
    pub fn collect(&self) {
        lock(&self.state).rule = None;
    }

    /// Takes the gradients that the last `backward()` left, by the parameters' names; none where a rule had them.
    pub fn take_gradients(&self) -> Weights {
        std::mem::take(&mut lock(&self.state).gradients)
    }

    /// The network itself, to freeze parts of it or to read and [put](Training::put) its weights. Until what is returned is
    /// dropped, no other call may be made.
    pub fn network(&self) -> MutexGuard<'_, Training> {
        lock(&self.network)
    }

    /// [`forward_t`](ModuleT::forward_t) from images or from their features.
    ///
    /// # Errors
    /// candle's, for a tensor of another shape or type.
    pub fn forward_from(&self, given: Given, input: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        let (number, dropout) = {
            let mut state = lock(&self.state);
            state.passes += 1;
            let (rate, seed) = state.dropout;
            let dropout = train.then(|| Dropout::new(rate, seed, state.step));
            state.step += u64::from(train);
            (state.passes, Mutex::new(dropout))
        };
        let op =
            LearningPass { network: Arc::clone(&self.network), state: Arc::clone(&self.state), number, given, dropout };
        if train {
            // candle goes back to variables only.
            Var::from_tensor(input)?.apply_op1(op)
        } else {
            input.apply_op1_no_bwd(&op)
        }
    }
}

impl ModuleT for Learner {
    fn forward_t(&self, images: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        self.forward_from(Given::Images, images, train)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a pass begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// With images `[n, c, h, w]`.
    Images,
    /// With what the last layer reads of them, `[n, f]`, see [`Training::forward_features`].
    Features,
}

/// A pass through the plan of a network that learns, forward and back.
struct LearningPass {
    network: Arc<Mutex<Training>>,
    state: Arc<Mutex<State>>,
    number: u64,
    given: Given,
    dropout: Mutex<Option<Dropout>>,
}

impl CustomOp1 for LearningPass {
    fn name(&self) -> &'static str {
        "learning-network"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let network = &mut *lock(&self.network);
        let mut dropout = lock(&self.dropout).take();
        let logits = match self.given {
            Given::Images => {
                let (n, images) = batch(&network.input(), storage, layout)?;
                network.forward(n, &images, dropout.as_mut())
            }
            Given::Features => {
                let (n, features) = batch(&[network.feature_len()], storage, layout)?;
                network.forward_features(n, &features, dropout.as_mut())
            }
        };
        let n = layout.dims()[0];
        let shape = Shape::from((n, logits.len() / n));
        Ok((CpuStorage::F32(logits.to_vec()), shape))
    }

    fn bwd(&self, _input: &Tensor, _logits: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let state = &mut *lock(&self.state);
        if state.passes != self.number {
            let reason =
                "a network has gone forward again since, and keeps what the last pass needs on its way back only";
            return Err(candle_core::Error::Msg(reason.into()));
        }
        let network = &mut *lock(&self.network);
        let gradient = gradient.to_vec2::<f32>()?.concat();
        match &state.rule {
            Some(rule) => network.backward(&gradient, rule),
            None => state.gradients = network.gradients(&gradient),
        }
        Ok(None)
    }
}

/// How many rows of shape `row`, images `[c, h, w]` say, a tensor holds, and their values.
fn batch<'a>(row: &[usize], storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<(usize, Cow<'a, [f32]>)> {
    let n = match layout.dims() {
        [n, found @ ..] if *n > 0 && found == row => *n,
        _ => {
            let expected = Shape::from([&[1], row].concat());
            let msg = match row {
                [_, _, _] => "a network takes images [n, c, h, w]",
                _ => "a last layer takes features [n, f]",
            };
            return Err(candle_core::Error::UnexpectedShape { msg: msg.into(), expected, got: layout.shape().clone() });
        }
    };
    let CpuStorage::F32(values) = storage else {
        let (expected, got) = (DType::F32, storage.dtype());
        return Err(candle_core::Error::UnexpectedDType { msg: "a network takes images in f32", expected, got });
    };
    let values = match layout.contiguous_offsets() {
        Some((first, end)) => Cow::Borrowed(&values[first..end]),
        None => Cow::Owned(unary_map(values, layout, |value| value)),
    };
    Ok((n, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::update::Sgd;
    use crate::models::scratch_cnn;

    const SIDE: usize = 16;

    fn network() -> Network {
        let graph = scratch_cnn(SIDE, 2).unwrap();
        Network::new(&graph, Training::new(&graph, 1).weights(), Precision::Float).unwrap()
    }

    fn values(n: usize) -> Vec<f32> {
        let len = n * 3 * SIDE * SIDE;
        (0..len).map(|i| (i * 37 % len) as f32 / len as f32).collect()
    }

    #[test]
    fn a_tensor_of_images_has_the_plans_logits_and_traces() {
        let network = network();
        let expected = network.plan().traces(2, &values(2));
        let images = network.images(&values(2)).unwrap();
        assert_eq!(images.dims(), [2, 3, SIDE, SIDE]);
        let logits = network.forward(&images).unwrap();
        assert_eq!(logits.dims(), [2, 2]);
        assert_eq!(logits.to_vec2::<f32>().unwrap().concat(), expected[1]);
        let (logits, traces) = network.forward_with_traces(&images).unwrap();
        assert_eq!([traces, logits.to_vec2::<f32>().unwrap().concat()], expected);
    }

    /// A part of a larger batch begins behind its first value; images with channels last are strided.
    #[test]
    fn parts_and_transposed_tensors_are_read_by_their_layout() {
        let network = network();
        let images = network.images(&values(3)).unwrap();
        let all = network.forward(&images).unwrap().to_vec2::<f32>().unwrap();
        let part = network.forward(&images.narrow(0, 1, 2).unwrap()).unwrap();
        assert_eq!(part.to_vec2::<f32>().unwrap(), all[1..]);
        let last = images.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
        let strided = last.permute((0, 3, 1, 2)).unwrap();
        assert!(!strided.is_contiguous());
        assert_eq!(network.forward(&strided).unwrap().to_vec2::<f32>().unwrap(), all);
    }

    /// Mean cross-entropy for the targets 1 and 0.
    fn loss(logits: &Tensor) -> Tensor {
        let targets = Tensor::from_slice(&[1_u32, 0], 2, &Device::Cpu).unwrap();
        candle_nn::loss::cross_entropy(logits, &targets).unwrap()
    }

    #[test]
    fn a_loss_goes_back_through_the_plan_to_every_weight() {
        let graph = scratch_cnn(SIDE, 2).unwrap();
        let learner = Learner::new(Training::new(&graph, 1), (0.0, 0));
        let images = network().images(&values(2)).unwrap();
        let logits = learner.forward_t(&images, true).unwrap();
        loss(&logits).backward().unwrap();
        let found = learner.take_gradients();
        // (softmax - target) / n, and then the plan alone.
        let slopes: Vec<f32> = logits
            .to_vec2::<f32>()
            .unwrap()
            .concat()
            .chunks(2)
            .zip([[0.0, 1.0], [1.0, 0.0]])
            .flat_map(|(z, target)| {
                let sum = z[0].exp() + z[1].exp();
                [0, 1].map(|k| 0.5 * (z[k].exp() / sum - target[k]))
            })
            .collect();
        let mut plan = Training::new(&graph, 1);
        plan.forward(2, &values(2), Some(&mut Dropout::new(0.0, 0, 1)));
        let expected = plan.gradients(&slopes);
        assert!(found.0.keys().eq(expected.0.keys()) && found.0.len() == 8);
        for (name, expected) in expected.0 {
            let pairs = found.0[&name].values.iter().zip(&expected.values);
            let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let largest = expected.values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            assert!(largest > 0.0 && apart <= 1e-5 * largest, "{name}: {apart} of {largest} apart");
        }
        assert!(learner.take_gradients().0.is_empty());
    }

    #[test]
    fn with_a_rule_each_step_back_is_one_of_the_optimiser() {
        let graph = scratch_cnn(SIDE, 2).unwrap();
        let learner = Learner::new(Training::new(&graph, 1), (0.5, 3));
        learner.update_by(|_| Update::Sgd(Sgd::new(0.05, 0.0, 0.0)));
        let images = network().images(&values(2)).unwrap();
        let now = || loss(&learner.forward_t(&images, false).unwrap()).to_scalar::<f32>().unwrap();
        let before = now();
        for _ in 0..3 {
            loss(&learner.forward_t(&images, true).unwrap()).backward().unwrap();
        }
        assert!(now() < before, "{} is not less than {before}", now());
        assert!(learner.take_gradients().0.is_empty());
    }

    #[test]
    fn only_the_last_pass_can_be_gone_back_through() {
        let graph = scratch_cnn(SIDE, 2).unwrap();
        let learner = Learner::new(Training::new(&graph, 1), (0.0, 0));
        let images = network().images(&values(2)).unwrap();
        let [first, second] = [(); 2].map(|()| loss(&learner.forward_t(&images, true).unwrap()));
        assert!(first.backward().unwrap_err().to_string().contains("has gone forward again"));
        second.backward().unwrap();
        // Nothing leads back from a pass that is not for training.
        loss(&learner.forward_t(&images, false).unwrap()).backward().unwrap();
        assert_eq!(learner.take_gradients().0.len(), 8);
        assert!(learner.take_gradients().0.is_empty());
    }

    #[test]
    fn tensors_that_are_no_images_of_the_network_are_refused() {
        let network = network();
        let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
        for shape in [&[1, 3, SIDE, SIDE + 1][..], &[3, SIDE, SIDE], &[0, 3, SIDE, SIDE], &[1, 1, SIDE, SIDE]] {
            let error = network.forward(&zeros(shape, DType::F32)).unwrap_err().to_string();
            assert!(error.contains("expected: [1, 3, 16, 16]"), "{error}");
        }
        let error = network.forward(&zeros(&[1, 3, SIDE, SIDE], DType::F64)).unwrap_err().to_string();
        assert!(error.contains("F32") && error.contains("F64"), "{error}");
        for len in [0, 1, 3 * SIDE * SIDE + 1] {
            assert_eq!(network.images(&vec![0.0; len]).unwrap_err().kind(), "buffer-length", "{len}");
        }
    }
}
