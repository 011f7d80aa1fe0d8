//! Arithmetic rate of each kernel at the sizes of the scratch CNN, and of candle's own operations for the same work.
//!
//! `./build.sh bench` runs it and records the medians; `cargo bench --bench kernels -- conv2` runs a part. Rates are of
//! the operation as it is defined, 2 operations a product, whatever the algorithm saves; so Winograd's may lie above what
//! the machine's arithmetic allows. Adam is bound by memory: its rate is of bytes read and written.

use std::hint::black_box;
use std::time::Duration;

use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roentgen::kernels::adam::{AdamStep, adam};
use roentgen::kernels::channels_last::{GradSource, Prepared, backward, turned};
use roentgen::kernels::conv_pool::{conv2d_pool, conv2d_pool_grad, pooled_len};
use roentgen::kernels::conv2d::Conv2dGeometry;
use roentgen::kernels::dense::{DenseGeometry, dense, dense_grad_input, dense_grad_weight};
use roentgen::models::Architecture;

/// One image, as the page asks for, and the tutorial's batch.
const BATCHES: [usize; 2] = [1, 5];

const KERNEL: usize = 5;

/// A convolution with the pooling that follows it.
struct Convolution {
    name: &'static str,
    in_channels: usize,
    side: usize,
    out_channels: usize,
    /// The first layer's input is the image, which needs no gradient.
    grad_input: bool,
}

const CONVOLUTIONS: [Convolution; 2] = [
    Convolution { name: "conv1", in_channels: 3, side: 128, out_channels: 32, grad_input: false },
    Convolution { name: "conv2", in_channels: 32, side: 62, out_channels: 64, grad_input: true },
];

/// Numbers around zero: a rectifier stops half of them, as in a network.
fn numbers(len: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(len as u64);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Two operations a product.
fn operations(products: usize) -> Throughput {
    Throughput::Elements(2 * products as u64)
}

fn convolutions(criterion: &mut Criterion) {
    for conv in CONVOLUTIONS {
        for batch in BATCHES {
            convolution(criterion, &conv, batch);
        }
    }
}

fn convolution(criterion: &mut Criterion, conv: &Convolution, batch: usize) {
    let input_shape = [batch, conv.in_channels, conv.side, conv.side];
    let weight_shape = [conv.out_channels, conv.in_channels, KERNEL, KERNEL];
    let g = Conv2dGeometry::new(input_shape, weight_shape, 1).expect("the kernel fits");
    let (input, weight, bias) = (numbers(g.input_len()), numbers(g.weight_len()), numbers(conv.out_channels));
    let products = g.output_len() * conv.in_channels * KERNEL * KERNEL;
    let mut group = criterion.benchmark_group(conv.name);

    // As in the network: the weight is prepared once, and activations stay channels last from layer to layer.
    let last = turned(&input, conv.in_channels, [1, conv.side * conv.side]);
    let mut out = vec![0.0; pooled_len(&g)];
    group.throughput(operations(products));
    let prepared = Prepared::new(&g, &weight, &bias);
    group.bench_function(BenchmarkId::new("forward", batch), |b| {
        b.iter(|| prepared.forward_pooled(&g, black_box(&last), &mut out, None));
    });
    let mut winners = vec![0; out.len()];
    group.bench_function(BenchmarkId::new("forward-training", batch), |b| {
        b.iter(|| conv2d_pool(&g, black_box(&input), &weight, &bias, &mut out, &mut winners));
    });

    let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).expect("a tensor");
    let image = tensor(&input, &input_shape);
    let filter = tensor(&weight, &weight_shape);
    let offset = tensor(&bias, &[1, conv.out_channels, 1, 1]);
    group.bench_function(BenchmarkId::new("forward-candle", batch), |b| {
        b.iter(|| image.conv2d(&filter, 0, 1, 1, 1)?.broadcast_add(&offset)?.relu()?.max_pool2d(2));
    });
    group.bench_function(BenchmarkId::new("conv2d-candle", batch), |b| {
        b.iter(|| image.conv2d(&filter, 0, 1, 1, 1));
    });

    let grad = numbers(pooled_len(&g));
    let (mut grad_weight, mut grad_bias) = (vec![0.0; g.weight_len()], vec![0.0; conv.out_channels]);
    let mut grad_input = conv.grad_input.then(|| vec![0.0; g.input_len()]);
    group.throughput(operations(products * if conv.grad_input { 2 } else { 1 }));
    group.bench_function(BenchmarkId::new("backward-training", batch), |b| {
        b.iter(|| {
            let grads = (&mut grad_weight[..], &mut grad_bias[..]);
            conv2d_pool_grad(&g, (black_box(&input), &weight), (&grad, &winners), grads, grad_input.as_deref_mut());
        });
    });

    let mut places = vec![0.0; out.len()];
    prepared.forward_pooled(&g, &last, &mut out, Some(&mut places));
    let kernel = turned(&weight, conv.out_channels, [conv.in_channels, KERNEL * KERNEL]);
    group.bench_function(BenchmarkId::new("backward", batch), |b| {
        b.iter(|| {
            let grads = (&mut grad_weight[..], &mut grad_bias[..]);
            let source = GradSource::Pooled(&grad, &places);
            backward(&g, (black_box(&last), &kernel), source, grads, grad_input.as_deref_mut());
        });
    });
}

fn dense_layer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dense1");
    for batch in BATCHES {
        let g = DenseGeometry { batch, inputs: 53_824, outputs: 512 };
        let products = batch * g.inputs * g.outputs;
        let (input, weight, bias) = (numbers(batch * g.inputs), numbers(g.outputs * g.inputs), numbers(g.outputs));
        let mut out = vec![0.0; batch * g.outputs];
        group.throughput(operations(products));
        group.bench_function(BenchmarkId::new("forward", batch), |b| {
            b.iter(|| dense(&g, black_box(&input), &weight, &bias, &mut out));
        });

        let (mut grad_input, mut grad_weight) = (vec![0.0; input.len()], vec![0.0; weight.len()]);
        let mut grad_bias = vec![0.0; g.outputs];
        group.throughput(operations(2 * products));
        group.bench_function(BenchmarkId::new("backward", batch), |b| {
            b.iter(|| {
                dense_grad_input(&g, &weight, black_box(&out), &mut grad_input);
                dense_grad_weight(&g, &input, black_box(&out), &mut grad_weight, &mut grad_bias);
            });
        });
    }
}

fn optimiser(criterion: &mut Criterion) {
    let parameters = Architecture::ScratchCnn.parameters(2);
    let (mut weight, grad) = (numbers(parameters), numbers(parameters));
    let (mut first, mut second) = (vec![0.0; parameters], vec![0.0; parameters]);
    let step = AdamStep { learning_rate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weight_decay: 0.0, step: 1 };
    let mut group = criterion.benchmark_group("adam");
    // Four streams read, three written.
    group.throughput(Throughput::BytesDecimal((7 * parameters * size_of::<f32>()) as u64));
    group.bench_function(BenchmarkId::new("step", parameters), |b| {
        b.iter(|| adam(black_box(&step), &mut weight, &grad, &mut first, &mut second));
    });
}

/// Short: a rate to the nearest few percent of every kernel in a minute, not the last percent of one.
fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
}

criterion_group! {
    name = kernels;
    config = quick();
    targets = convolutions, dense_layer, optimiser
}
criterion_main!(kernels);
