//! Arithmetic rate of each kernel at the sizes of the built-in networks, and of candle's own operations for the same work.
//!
//! `./build.sh bench` runs it and records the medians; `cargo bench -p roentgen-bench -- conv2` runs a part. Rates are of
//! the operation as it is defined, 2 operations a product, whatever the algorithm saves; so Winograd's may lie above what
//! the machine's arithmetic allows. Adam is bound by memory: its rate is of bytes read and written.

use std::hint::black_box;
use std::time::Duration;

use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roentgen::data::Batch;
use roentgen::kernels::clamp::Clamp;
use roentgen::kernels::conv2d::{Conv2dGeometry, GradSource, Prepared, backward};
use roentgen::kernels::dense::{self, DenseGeometry};
use roentgen::kernels::depthwise::depthwise;
use roentgen::kernels::update::{Adam, AdamStep, Parameter, Update};
use roentgen::models::Architecture;
use roentgen::nn::{Frozen, Precision};
use roentgen::train::{TrainConfig, Trainer};

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

    // As in the network: in use the weight is prepared once, in training at every step. The kernels want channels last;
    // random numbers are as good in any order.
    let mut out = vec![0.0; g.pooled_len()];
    group.throughput(operations(products));
    let prepared = Prepared::new(&g, &weight, &bias);
    group.bench_function(BenchmarkId::new("forward", batch), |b| {
        b.iter(|| prepared.forward_pooled(&g, black_box(&input), &mut out, None));
    });
    let mut winners = vec![0.0; out.len()];
    group.bench_function(BenchmarkId::new("forward-training", batch), |b| {
        b.iter(|| {
            let prepared = Prepared::exact(&g, &weight, &bias);
            prepared.forward_pooled(&g, black_box(&input), &mut out, Some(&mut winners));
        });
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

    let grad = numbers(g.pooled_len());
    let (mut grad_weight, mut grad_bias) = (vec![0.0; g.weight_len()], vec![0.0; conv.out_channels]);
    let mut grad_input = conv.grad_input.then(|| vec![0.0; g.input_len()]);
    group.throughput(operations(products * if conv.grad_input { 2 } else { 1 }));
    group.bench_function(BenchmarkId::new("backward", batch), |b| {
        b.iter(|| {
            let grads = (&mut grad_weight[..], Some(&mut grad_bias[..]));
            let source = GradSource::Pooled(&grad, &winners);
            backward(&g, (black_box(&input), &weight), source, grads, grad_input.as_deref_mut());
        });
    });
}

/// Every shape of convolution of the networks that take ImageNet's weights, one image, each once.
fn backbones(criterion: &mut Criterion) {
    let mut seen = Vec::new();
    for architecture in [Architecture::ResNet50, Architecture::MobileNetV2, Architecture::EfficientNetLite0] {
        let graph = architecture.graph(2);
        let mut group = criterion.benchmark_group(architecture.name());
        group.measurement_time(Duration::from_millis(500)).warm_up_time(Duration::from_millis(100));
        for (name, g) in graph.convolutions() {
            if seen.contains(&g) {
                continue;
            }
            seen.push(g);
            let (input, weight, bias) = (numbers(g.input_len()), numbers(g.weight_len()), numbers(g.weight()[0]));
            let mut out = vec![0.0; g.output_len()];
            group.throughput(operations(g.products()));
            let prepared = Prepared::new(&g, &weight, &bias);
            group.bench_function(BenchmarkId::new("forward", name), |b| {
                b.iter(|| prepared.forward(&g, black_box(&input), (None, Clamp::RELU), &mut out));
            });
            let [image, filter] = [(&input, g.input()), (&weight, g.weight())]
                .map(|(values, shape)| Tensor::from_slice(values, &shape, &Device::Cpu).expect("a tensor"));
            group.bench_function(BenchmarkId::new("conv2d-candle", name), |b| {
                b.iter(|| image.conv2d(&filter, g.padding(), g.stride(), 1, 1));
            });
            let grad = numbers(g.output_len());
            let (mut grad_weight, mut grad_bias) = (vec![0.0; weight.len()], vec![0.0; bias.len()]);
            let mut grad_input = vec![0.0; input.len()];
            group.throughput(operations(2 * g.products()));
            group.bench_function(BenchmarkId::new("backward", name), |b| {
                b.iter(|| {
                    let grads = (&mut grad_weight[..], Some(&mut grad_bias[..]));
                    backward(&g, (black_box(&input), &weight), GradSource::Plain(&grad), grads, Some(&mut grad_input));
                });
            });
        }
        for (name, g) in graph.depthwise_convolutions() {
            let (input, weight) = (numbers(g.input_len()), numbers(g.weight_len()));
            let bias = numbers(weight.len() / g.window());
            let mut out = vec![0.0; g.output_len()];
            group.throughput(operations(g.output_len() * g.window()));
            group.bench_function(BenchmarkId::new("forward", name), |b| {
                b.iter(|| depthwise(&g, black_box(&input), &weight, &bias, Clamp::RELU6, &mut out));
            });
        }
    }
}

/// What arithmetic allows: a matrix product with both operands in the second-level cache.
fn limit(criterion: &mut Criterion) {
    let g = Conv2dGeometry::new([1, 256, 1, 480], [64, 256, 1, 1], 1).expect("the kernel fits");
    let (input, weight) = (numbers(g.input_len()), numbers(g.weight_len()));
    let mut out = vec![0.0; g.output_len()];
    let prepared = Prepared::exact(&g, &weight, &[0.0; 64]);
    let mut group = criterion.benchmark_group("limit");
    group.throughput(operations(g.products()));
    group.bench_function("product", |b| {
        b.iter(|| prepared.forward(&g, black_box(&input), (None, Clamp::NONE), &mut out));
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
            b.iter(|| dense::forward(&g, black_box(&input), &weight, &bias, &mut out));
        });

        // With Adam in the same pass: the rate is of the three times that memory is read and written.
        let (mut weight, mut bias) = (Parameter::new(weight, 2), Parameter::new(bias, 2));
        let mut grad_input = vec![0.0; input.len()];
        group.throughput(Throughput::BytesDecimal((6 * g.inputs * g.outputs * size_of::<f32>()) as u64));
        group.bench_function(BenchmarkId::new("backward-adam", batch), |b| {
            b.iter(|| {
                let parameters = [&mut weight, &mut bias];
                dense::backward(&g, black_box(&input), &out, &[adam(); 2], parameters, Some(&mut grad_input));
            });
        });
    }
}

fn adam() -> Update {
    let step = AdamStep { learning_rate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weight_decay: 0.0, step: 1 };
    Update::Adam(Adam::new(&step))
}

fn optimiser(criterion: &mut Criterion) {
    let parameters = Architecture::ScratchCnn.graph(2).parameter_count();
    let (mut weight, grad) = (Parameter::new(numbers(parameters), 2), numbers(parameters));
    let mut group = criterion.benchmark_group("adam");
    // Four streams read, three written.
    group.throughput(Throughput::BytesDecimal((7 * parameters * size_of::<f32>()) as u64));
    group.bench_function(BenchmarkId::new("step", parameters), |b| {
        b.iter(|| black_box(adam()).apply(&mut weight, &grad));
    });
}

/// The scratch CNN as a whole: predictions and steps of training.
fn network(criterion: &mut Criterion) {
    let architecture = Architecture::ScratchCnn;
    let config = TrainConfig::recipe(architecture, vec!["a".into(), "b".into()]);
    let mut trainer = Trainer::new(config).expect("the recipe");
    let frozen = Frozen::new(&architecture.graph(2), trainer.weights(), Precision::Float).expect("its own weights");
    let [channels, height, width] = architecture.input();
    let images = |n: usize| numbers(n * channels * height * width);
    let mut group = criterion.benchmark_group("scratch-cnn");
    for n in [1, 5, 32] {
        let images = images(n);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("predict", n), |b| b.iter(|| frozen.logits(n, black_box(&images))));
    }
    let batch = Batch {
        images: images(5),
        targets: [1.0, 0.0].repeat(5),
        origins: None,
        n: 5,
        channels,
        height,
        width,
        classes: 2,
    };
    group.throughput(Throughput::Elements(5));
    group.bench_function(BenchmarkId::new("train", 5), |b| b.iter(|| trainer.step(batch.clone()).expect("a step")));
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
    targets = limit, convolutions, dense_layer, optimiser, network, backbones
}
criterion_main!(kernels);
