//! The last layer alone, fitted to the end on kept features: a convex problem, solved in seconds, where the many small steps
//! of training would stop somewhere on the way.

use candle_core::{DType, Device, Tensor, Var};

use super::lbfgs::minimise;
use super::loss::all_but;
use super::{healthy_then_kind, share_among};
use crate::data::Origin;
use crate::metrics::logistic::standard;
use crate::nn::sure;

/// How a last layer is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadConfig {
    /// Index of the class of healthy images.
    pub healthy: usize,
    /// As [`WithinSources::pairs`](super::WithinSources::pairs).
    pub pairs: f32,
    /// Holds back what tells healthy images from the others: the factor of half the square of those weights, for features of
    /// deviation 1, beside a loss that is summed over images.
    pub ridge: f64,
    /// The same for what tells the others apart.
    pub kind_ridge: f64,
}

/// Features of images and what is known of them.
#[derive(Debug, Clone, Default)]
pub struct HeadExamples {
    /// `[n, features]` row-major.
    pub features: Vec<f32>,
    /// Ones for the classes that each image may have, `[n, classes]`.
    pub targets: Vec<f32>,
    /// Where each image comes from, `[n]`.
    pub origins: Vec<Origin>,
}

/// The last layer's weight, `[classes, features]`, and bias, `[classes]`, that lose least on `examples`.
///
/// The loss is that of [`healthy_then_kind`], beside `ridge` and `kind_ridge`: with the healthy class's weights `w_h` and the
/// mean `m` of the `c` others', they hold `|w_h|² + c |m|²`, and the squares of what the others differ from `m` by.
///
/// # Panics
/// When the slices are not whole rows, or there is no example.
pub fn fit_head(examples: &HeadExamples, classes: usize, config: &HeadConfig) -> [Vec<f32>; 2] {
    let HeadExamples { features, targets, origins } = examples;
    let n = origins.len();
    assert!(n > 0 && features.len().is_multiple_of(n) && targets.len() == n * classes);
    let columns = features.len() / n;
    let [mean, scale] = standard(features, columns);
    let rows: Vec<f64> = features
        .chunks_exact(columns)
        .flat_map(|row| {
            row.iter().zip(mean.iter().zip(&scale)).map(|(v, (mean, scale))| (f64::from(*v) - mean) * scale)
        })
        .collect();
    let rows = sure(Tensor::from_vec(rows, (n, columns), &Device::Cpu));
    let loss = |layer: &[f64]| sure(loss(&rows, targets, origins, layer, config));
    let width = columns + 1;
    let layer = minimise(vec![0.0; classes * width], loss);
    let (mut weight, mut bias) = (Vec::new(), Vec::new());
    for row in layer.chunks_exact(width) {
        // From features of deviation 1 back to those that the network makes.
        let unscaled: Vec<f64> = row.iter().zip(&scale).map(|(w, scale)| w * scale).collect();
        bias.push((row[columns] - unscaled.iter().zip(&mean).map(|(w, mean)| w * mean).sum::<f64>()) as f32);
        weight.extend(unscaled.iter().map(|w| *w as f32));
    }
    [weight, bias]
}

/// The loss of `layer`, `[classes, columns + 1]` whose last column is the bias, and its gradient.
fn loss(
    rows: &Tensor,
    targets: &[f32],
    origins: &[Origin],
    layer: &[f64],
    config: &HeadConfig,
) -> candle_core::Result<(f64, Vec<f64>)> {
    let (n, columns) = rows.dims2()?;
    let classes = layer.len() / (columns + 1);
    let layer = Var::from_slice(layer, (classes, columns + 1), &Device::Cpu)?;
    let [weight, bias] = [layer.narrow(1, 0, columns)?, layer.narrow(1, columns, 1)?];
    let logits = rows.matmul(&weight.t()?)?.broadcast_add(&bias.t()?)?;
    let mut shares = targets.to_vec();
    share_among(&mut shares, &logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, classes);
    let shares = Tensor::from_vec(shares, (n, classes), &Device::Cpu)?;
    let loss = healthy_then_kind(&logits, &shares, origins, config.healthy, config.pairs.into())?;
    let loss = (loss + held_back(&weight, config)?.affine(1.0 / n as f64, 0.0)?)?;
    let gradient = loss.backward()?.remove(&layer).expect("the loss is made of it");
    Ok((loss.to_scalar()?, gradient.flatten_all()?.to_vec1()?))
}

/// What both ridges cost; nothing holds the biases.
fn held_back(weight: &Tensor, config: &HeadConfig) -> candle_core::Result<Tensor> {
    let classes = weight.dim(0)?;
    let others = weight.contiguous()?.index_select(&all_but(config.healthy, classes)?, 0)?;
    let mean = others.mean_keepdim(0)?;
    let square = |weight: Tensor, factor: f64| weight.sqr()?.sum_all()?.affine(0.5 * factor, 0.0);
    let healthy = square(weight.narrow(0, config.healthy, 1)?, config.ridge)?;
    let kinds = square(others.broadcast_sub(&mean)?, config.kind_ridge)?;
    healthy + square(mean, config.ridge * (classes - 1) as f64)? + kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: HeadConfig = HeadConfig { healthy: 1, pairs: 0.0, ridge: 2.0, kind_ridge: 2.0 };

    /// Two sources, two features. In both the first tells ill from healthy; the second tells the sources apart, and the
    /// second source has hardly any healthy image.
    fn examples(weight: f32) -> HeadExamples {
        let mut found = HeadExamples::default();
        for i in 0..120 {
            let [noise, other] = [(37, 41), (23, 19)].map(|(a, b)| ((i * a) % b) as f32 / b as f32 - 0.5);
            let source = usize::from(i % 3 == 0);
            let ill = source == 1 || i % 2 == 0;
            found.features.extend([if ill { 1.0 } else { -1.0 } + 4.0 * noise, source as f32 + 0.1 * other]);
            found.targets.extend(if ill { [1.0, 0.0] } else { [0.0, 1.0] });
            found.origins.push(Origin { source, weight: if source == 1 { weight } else { 1.0 } });
        }
        found
    }

    /// With two classes and equal ridges the problem is logistic regression, of which scikit-learn's optimum has no slope.
    #[test]
    fn at_the_optimum_nothing_pulls() {
        let examples = examples(1.0);
        let [weight, bias] = fit_head(&examples, 2, &CONFIG);
        let n = examples.origins.len();
        let [mean, scale] = standard(&examples.features, 2);
        // ∂/∂w of Σ log-loss + ridge/2 |w|² by hand, in features of deviation 1.
        let mut pull = [0.0; 2];
        for i in 0..n {
            let x: Vec<f64> = (0..2).map(|c| f64::from(examples.features[2 * i + c])).collect();
            let logit = |class: usize| {
                f64::from(bias[class]) + (0..2).map(|c| f64::from(weight[2 * class + c]) * x[c]).sum::<f64>()
            };
            let p = 1.0 / (1.0 + (logit(1) - logit(0)).exp());
            for c in 0..2 {
                pull[c] += (p - f64::from(examples.targets[2 * i])) * (x[c] - mean[c]) * scale[c];
            }
        }
        for c in 0..2 {
            pull[c] += CONFIG.ridge * f64::from(weight[c]) / scale[c];
            assert!(pull[c].abs() < 1e-2, "{pull:?}");
        }
    }

    #[test]
    fn what_tells_only_sources_apart_counts_for_less_where_they_count_for_less() {
        let by_source = |weight| {
            let [weights, _] = fit_head(&examples(weight), 2, &CONFIG);
            let apart = |column: usize| weights[column] - weights[2 + column];
            apart(1) / apart(0)
        };
        let (between, within) = (by_source(1.0), by_source(0.0));
        assert!(between > 1.0 && within.abs() < 0.5 * between, "{between} and {within}");
    }
}
