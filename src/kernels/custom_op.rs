//! The only file that knows the tensor framework: the kernels as candle operations with gradients.
//!
//! candle's backward pass first makes a zero tensor for every gradient, then adds: for the 110 MB of the scratch CNN's
//! dense layer that is three trips through memory more than the kernel itself takes. A [`GradientSink`] avoids it: while
//! one is open on this thread, gradients of the weights it knows are written straight into its buffers, which are
//! reused from step to step.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, CustomOp3, InplaceOp1, Layout, Result, Shape, Tensor, TensorId, bail};

use super::conv_pool;
use super::conv2d::{self, Conv2dGeometry};
use super::dense::{self, DenseGeometry};
use super::pool::{self, Pool2dGeometry};
use super::relu::{relu, relu_grad};

/// The values of a contiguous f32 tensor.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(data) = storage else { bail!("expected f32 values") };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&data[start..end]),
        None => bail!("expected a contiguous tensor, found {layout:?}"),
    }
}

/// Calls `read` with the values of a contiguous tensor on the CPU, without a copy.
///
/// # Errors
/// When the tensor is not f32, not contiguous or not on the CPU.
pub fn with_values<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(storage) => Ok(read(values(storage, layout)?)),
        _ => bail!("expected a tensor on the CPU"),
    }
}

/// Calls `read` with the values of two tensors; see [`with_values`].
fn with_both<R>(a: &Tensor, b: &Tensor, read: impl FnOnce(&[f32], &[f32]) -> R) -> Result<R> {
    with_values(a, |a| with_values(b, |b| read(a, b)))?
}

/// Calls `write` with the values of a contiguous tensor on the CPU, to be changed in place.
///
/// # Errors
/// When the tensor is not f32 or not contiguous.
pub fn with_values_mut(tensor: &Tensor, write: impl FnOnce(&mut [f32])) -> Result<()> {
    struct Write<F>(RefCell<Option<F>>);
    impl<F: FnOnce(&mut [f32])> InplaceOp1 for Write<F> {
        fn name(&self) -> &'static str {
            "with_values_mut"
        }
        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            let CpuStorage::F32(data) = storage else { bail!("expected f32") };
            let Some((start, end)) = layout.contiguous_offsets() else { bail!("expected a contiguous tensor") };
            if let Some(write) = self.0.take() {
                write(&mut data[start..end]);
            }
            Ok(())
        }
    }
    tensor.inplace_op1(&Write(RefCell::new(Some(write))))
}

/// Buffers that the gradients of known weights are written into; see the head of this file.
#[derive(Default)]
pub struct GradientSink {
    buffers: HashMap<TensorId, Buffer>,
}

#[derive(Default)]
struct Buffer {
    values: Vec<f32>,
    /// Something was written since the sink was opened; a weight used twice adds to it.
    written: bool,
}

thread_local! {
    static OPEN: RefCell<Option<GradientSink>> = const { RefCell::new(None) };
}

impl GradientSink {
    /// A sink for the gradients of `weights`.
    pub fn new<'a>(weights: impl IntoIterator<Item = &'a Tensor>) -> Self {
        let buffers = weights.into_iter().map(|w| {
            let values = vec![0.0; w.elem_count()];
            (w.id(), Buffer { values, written: false })
        });
        Self { buffers: buffers.collect() }
    }

    /// Runs the backward pass from `loss` with this sink open on the calling thread.
    ///
    /// # Errors
    /// Those of the backward pass.
    pub fn backward(&mut self, loss: &Tensor) -> Result<()> {
        for buffer in self.buffers.values_mut() {
            buffer.written = false;
        }
        OPEN.set(Some(std::mem::take(self)));
        let outcome = loss.backward();
        if let Some(sink) = OPEN.take() {
            *self = sink;
        }
        let grads = outcome?;
        // What reached a weight through candle's own operations instead of ours.
        for (id, buffer) in &mut self.buffers {
            let Some(grad) = grads.get_id(*id) else { continue };
            let fresh = !std::mem::replace(&mut buffer.written, true);
            with_values(&grad.contiguous()?, |grad| add_or_replace(&mut buffer.values, grad, fresh))?;
        }
        Ok(())
    }

    /// The gradient of `weight` from the last [`backward`](Self::backward); `None` where nothing reached it.
    pub fn get(&self, weight: &Tensor) -> Option<&[f32]> {
        self.buffers.get(&weight.id()).filter(|b| b.written).map(|b| b.values.as_slice())
    }
}

fn add_or_replace(sum: &mut [f32], values: &[f32], replace: bool) {
    if replace {
        sum.copy_from_slice(values);
    } else {
        sum.iter_mut().zip(values).for_each(|(s, v)| *s += v);
    }
}

/// Computes the gradients of a weight and a bias by `compute(grad_weight, grad_bias)`, into the open sink where it
/// knows both (then candle gets none), else as new tensors.
fn deliver(
    weight: &Tensor,
    bias: &Tensor,
    compute: impl FnOnce(&mut [f32], &mut [f32]) -> Result<()>,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let taken = OPEN.with_borrow_mut(|open| {
        let buffers = &mut open.as_mut()?.buffers;
        let first = |b: &Buffer| !b.written;
        let both = buffers.get(&weight.id()).is_some_and(first) && buffers.get(&bias.id()).is_some_and(first);
        let mut take = |t: &Tensor| buffers.get_mut(&t.id()).map(|b| std::mem::take(&mut b.values));
        if both { take(weight).zip(take(bias)) } else { None }
    });
    let Some((mut w, mut b)) = taken else {
        let (mut w, mut b) = (vec![0.0; weight.elem_count()], vec![0.0; bias.elem_count()]);
        compute(&mut w, &mut b)?;
        let tensor = |v: Vec<f32>, of: &Tensor| Tensor::from_vec(v, of.shape(), of.device());
        return Ok((Some(tensor(w, weight)?), Some(tensor(b, bias)?)));
    };
    let outcome = compute(&mut w, &mut b);
    OPEN.with_borrow_mut(|open| {
        for (tensor, values) in [(weight, w), (bias, b)] {
            if let Some(buffer) = open.as_mut().and_then(|sink| sink.buffers.get_mut(&tensor.id())) {
                *buffer = Buffer { values, written: true };
            }
        }
    });
    outcome.map(|()| (None, None))
}

/// The gradient before the rectifier, given the one after it and the rectified output.
fn before_rectifier(grad: &Tensor, output: &Tensor, rectify: bool) -> Result<Tensor> {
    let grad = grad.contiguous()?;
    if !rectify {
        return Ok(grad);
    }
    let mut masked = with_values(&grad, <[f32]>::to_vec)?;
    with_values(output, |y| relu_grad(y, &mut masked))?;
    Tensor::from_vec(masked, grad.shape(), grad.device())
}

/// A new tensor shaped like `of`, filled by `fill`.
fn filled_like(of: &Tensor, fill: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<Tensor> {
    let mut values = vec![0.0; of.elem_count()];
    fill(&mut values)?;
    Tensor::from_vec(values, of.shape(), of.device())
}

struct Conv2d {
    geometry: Conv2dGeometry,
    rectify: bool,
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        let mut out = vec![0.0; g.output_len()];
        let (input, weight) = (values(input, input_layout)?, values(weight, weight_layout)?);
        conv2d::conv2d(g, input, weight, values(bias, bias_layout)?, self.rectify, &mut out);
        Ok((CpuStorage::F32(out), (g.batch, g.out_channels, g.out_height(), g.out_width()).into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        output: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let g = &self.geometry;
        let grad = before_rectifier(grad, output, self.rectify)?;
        let (gw, gb) = deliver(weight, bias, |gw, gb| {
            with_both(input, &grad, |x, dy| conv2d::conv2d_grad_weight(g, x, dy, gw, gb))
        })?;
        // The first layer's input is an image, which nobody asks a gradient of.
        let gx = input.track_op().then(|| {
            filled_like(input, |gx| with_both(weight, &grad, |w, dy| conv2d::conv2d_grad_input(g, w, dy, gx)))
        });
        Ok((gx.transpose()?, gw, gb))
    }
}

/// Differentiable convolution without padding, plus bias, then a rectifier where `rectify`.
///
/// # Shapes
/// input `[n, c_in, h, w]`, weight `[c_out, c_in, kh, kw]`, bias `[c_out]`, returns `[n, c_out, oh, ow]`
///
/// # Errors
/// When the shapes do not fit together.
pub fn conv2d(input: &Tensor, weight: &Tensor, bias: &Tensor, stride: usize, rectify: bool) -> Result<Tensor> {
    let geometry = Conv2dGeometry::new(dims(input)?, dims(weight)?, stride);
    match geometry {
        Some(geometry) if bias.dims() == [geometry.out_channels] => {
            input.contiguous()?.apply_op3(weight, bias, Conv2d { geometry, rectify })
        }
        _ => bail!("conv2d: input {:?}, weight {:?}, bias {:?}", input.dims(), weight.dims(), bias.dims()),
    }
}

/// The winners that the forward pass found wait here for the backward pass.
struct Conv2dPool {
    geometry: Conv2dGeometry,
    winners: OnceLock<Vec<u8>>,
}

impl CustomOp3 for Conv2dPool {
    fn name(&self) -> &'static str {
        "conv2d_pool"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        let mut out = vec![0.0; conv_pool::pooled_len(g)];
        let mut winners = vec![0; out.len()];
        let (input, weight) = (values(input, input_layout)?, values(weight, weight_layout)?);
        conv_pool::conv2d_pool(g, input, weight, values(bias, bias_layout)?, &mut out, &mut winners);
        // An operation is applied once; were it applied again, the winners would be the same for the same input.
        let _ = self.winners.set(winners);
        let (height, width) = conv_pool::pooled_size(g);
        Ok((CpuStorage::F32(out), (g.batch, g.out_channels, height, width).into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _output: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(winners) = self.winners.get() else { bail!("conv2d_pool: backward before forward") };
        let grad = grad.contiguous()?;
        // The first layer's input is an image, which nobody asks a gradient of.
        let mut gx = input.track_op().then(|| vec![0.0; input.elem_count()]);
        let (gw, gb) = deliver(weight, bias, |gw, gb| {
            with_both(input, weight, |x, w| {
                with_values(&grad, |dy| {
                    conv_pool::conv2d_pool_grad(&self.geometry, (x, w), (dy, winners), (gw, gb), gx.as_deref_mut());
                })
            })?
        })?;
        let gx = gx.map(|gx| Tensor::from_vec(gx, input.shape(), input.device())).transpose()?;
        Ok((gx, gw, gb))
    }
}

/// Differentiable `max_pool2d(conv2d(…))` with a rectifier between and 2×2 windows, in one pass; see [`conv_pool`].
///
/// # Shapes
/// input `[n, c_in, h, w]`, weight `[c_out, c_in, kh, kw]`, bias `[c_out]`, returns `[n, c_out, oh / 2, ow / 2]`
///
/// # Errors
/// When the shapes do not fit together.
pub fn conv2d_pool(input: &Tensor, weight: &Tensor, bias: &Tensor, stride: usize) -> Result<Tensor> {
    match Conv2dGeometry::new(dims(input)?, dims(weight)?, stride) {
        Some(geometry) if bias.dims() == [geometry.out_channels] && conv_pool::pooled_len(&geometry) > 0 => {
            input.contiguous()?.apply_op3(weight, bias, Conv2dPool { geometry, winners: OnceLock::new() })
        }
        _ => bail!("conv2d_pool: input {:?}, weight {:?}, bias {:?}", input.dims(), weight.dims(), bias.dims()),
    }
}

fn dims(tensor: &Tensor) -> Result<[usize; 4]> {
    tensor.dims4().map(|(a, b, c, d)| [a, b, c, d])
}

struct MaxPool2d(Pool2dGeometry);

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let g = &self.0;
        let mut out = vec![0.0; g.output_len()];
        pool::max_pool2d(g, values(input, layout)?, &mut out);
        let (n, c, _, _) = layout.shape().dims4()?;
        Ok((CpuStorage::F32(out), (n, c, g.out_height(), g.out_width()).into()))
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        filled_like(input, |gx| with_both(input, &grad, |x, dy| pool::max_pool2d_grad(&self.0, x, dy, gx))).map(Some)
    }
}

/// Differentiable max pooling without padding over `kernel × kernel` windows.
///
/// # Shapes
/// input `[n, c, h, w]`, returns `[n, c, (h - kernel) / stride + 1, …]`
///
/// # Errors
/// When the window does not fit into the image.
pub fn max_pool2d(input: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let (n, c, h, w) = input.dims4()?;
    match Pool2dGeometry::new(n * c, h, w, kernel, stride) {
        Some(geometry) => input.contiguous()?.apply_op1(MaxPool2d(geometry)),
        None => bail!("max_pool2d: a window of {kernel} with stride {stride} does not fit {:?}", input.dims()),
    }
}

struct Dense {
    geometry: DenseGeometry,
    rectify: bool,
}

impl CustomOp3 for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        let mut out = vec![0.0; g.batch * g.outputs];
        let (input, weight) = (values(input, input_layout)?, values(weight, weight_layout)?);
        dense::dense(g, input, weight, values(bias, bias_layout)?, &mut out);
        if self.rectify {
            relu(&mut out);
        }
        Ok((CpuStorage::F32(out), (g.batch, g.outputs).into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        output: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let g = &self.geometry;
        let grad = before_rectifier(grad, output, self.rectify)?;
        let (gw, gb) = deliver(weight, bias, |gw, gb| {
            with_both(input, &grad, |x, dy| dense::dense_grad_weight(g, x, dy, gw, gb))
        })?;
        let gx = input
            .track_op()
            .then(|| filled_like(input, |gx| with_both(weight, &grad, |w, dy| dense::dense_grad_input(g, w, dy, gx))));
        Ok((gx.transpose()?, gw, gb))
    }
}

/// Differentiable `input · weightᵀ + bias`, then a rectifier where `rectify`.
///
/// # Shapes
/// input `[n, in]`, weight `[out, in]`, bias `[out]`, returns `[n, out]`
///
/// # Errors
/// When the shapes do not fit together.
pub fn dense(input: &Tensor, weight: &Tensor, bias: &Tensor, rectify: bool) -> Result<Tensor> {
    let ((batch, inputs), (outputs, weight_inputs)) = (input.dims2()?, weight.dims2()?);
    if weight_inputs != inputs || bias.dims() != [outputs] {
        bail!("dense: input {:?}, weight {:?}, bias {:?}", input.dims(), weight.dims(), bias.dims());
    }
    let geometry = DenseGeometry { batch, inputs, outputs };
    input.contiguous()?.apply_op3(weight, bias, Dense { geometry, rectify })
}
