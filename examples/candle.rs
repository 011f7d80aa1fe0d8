//! The tutorial's network twice, with the same weights: written in plain candle-nn, and as Roentgen's own, which is a candle
//! [`Module`] as well.
//!
//! ```text
//! cargo run --release --example candle
//! ```

use std::collections::HashMap;
use std::error::Error;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Linear, Module, VarBuilder};
use roentgen::models::{SCRATCH_CNN_SIDE as SIDE, scratch_cnn};
use roentgen::nn::{Network, Precision, Training, Weights};

/// COVID-19 and Normal.
const CLASSES: usize = 2;

/// Conv 32 5×5 ReLU → MaxPool 2×2 → Conv 64 5×5 ReLU → MaxPool 2×2 → Flatten → Dense 512 ReLU → Dense 2, on images
/// `[n, 3, side, side]`. The names are those of Roentgen's weights.
struct ScratchCnn {
    conv1: Conv2d,
    conv2: Conv2d,
    dense1: Linear,
    dense2: Linear,
}

impl ScratchCnn {
    fn new(side: usize, vb: &VarBuilder) -> Result<Self> {
        let valid = Conv2dConfig::default();
        let pooled = ((side - 4) / 2 - 4) / 2;
        Ok(Self {
            conv1: candle_nn::conv2d(3, 32, 5, valid, vb.pp("conv1"))?,
            conv2: candle_nn::conv2d(32, 64, 5, valid, vb.pp("conv2"))?,
            dense1: candle_nn::linear(64 * pooled * pooled, 512, vb.pp("dense1"))?,
            dense2: candle_nn::linear(512, CLASSES, vb.pp("dense2"))?,
        })
    }
}

impl Module for ScratchCnn {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let x = self.conv1.forward(images)?.relu()?.max_pool2d(2)?;
        let x = self.conv2.forward(&x)?.relu()?.max_pool2d(2)?;
        let x = self.dense1.forward(&x.flatten_from(1)?)?.relu()?;
        self.dense2.forward(&x)
    }
}

/// Roentgen's weights by name, as candle's tensors.
fn tensors(weights: &Weights) -> Result<HashMap<String, Tensor>> {
    let tensor = |tensor: &roentgen::nn::Tensor| Tensor::from_slice(&tensor.values, &*tensor.shape, &Device::Cpu);
    weights.0.iter().map(|(name, weight)| Ok((name.clone(), tensor(weight)?))).collect()
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let graph = scratch_cnn(SIDE, CLASSES)?;
    let weights = Training::new(&graph, 1).weights();
    let builder = VarBuilder::from_tensors(tensors(&weights)?, DType::F32, &Device::Cpu);
    let plain = ScratchCnn::new(SIDE, &builder)?;
    let own = Network::new(&graph, weights, Precision::Float)?;

    let images = Tensor::rand(0_f32, 1.0, (5, 3, SIDE, SIDE), &Device::Cpu)?;
    let networks: [(&str, &dyn Module); 2] = [("candle-nn", &plain), ("Roentgen", &own)];
    for (name, network) in networks {
        println!("{name}\n{}", candle_nn::ops::softmax_last_dim(&network.forward(&images)?)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Var;
    use candle_nn::ModuleT;
    use candle_nn::loss::cross_entropy;
    use roentgen::nn::Learner;

    use super::*;

    /// Images of noise, `[3, 3, side, side]`.
    fn images(side: usize) -> Tensor {
        let values = (0..3 * 3 * side * side).map(|i| (i * 37 % 1009) as f32 / 1009.0).collect();
        Tensor::from_vec(values, (3, 3, side, side), &Device::Cpu).unwrap()
    }

    fn largest(tensor: &Tensor) -> f32 {
        tensor.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn both_networks_give_the_same_logits() {
        let graph = scratch_cnn(SIDE, CLASSES).unwrap();
        let weights = Training::new(&graph, 7).weights();
        let builder = VarBuilder::from_tensors(tensors(&weights).unwrap(), DType::F32, &Device::Cpu);
        let plain = ScratchCnn::new(SIDE, &builder).unwrap();
        let own = Network::new(&graph, weights, Precision::Float).unwrap();
        let [plain, own] = [&plain as &dyn Module, &own].map(|network| network.forward(&images(SIDE)).unwrap());
        let apart = largest(&(&plain - own).unwrap());
        assert!(apart <= 1e-5, "{apart} apart");
        assert!(largest(&plain) > 0.01, "two networks that always give zero would agree");
    }

    /// Those above the last pooling: below, candle's are a quarter of what they should be and a sixteenth, see the test of
    /// its pooling.
    #[test]
    fn both_networks_give_the_same_gradients_where_candles_are_right() {
        let side = 20;
        let graph = scratch_cnn(side, CLASSES).unwrap();
        let learner = Learner::new(Training::new(&graph, 7), (0.0, 0));
        let tensors = tensors(&learner.network().weights()).unwrap();
        let variables: HashMap<_, _> =
            tensors.iter().map(|(name, tensor)| (name.clone(), Var::from_tensor(tensor).unwrap())).collect();
        let builder = variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        let plain = ScratchCnn::new(side, &VarBuilder::from_tensors(builder, DType::F32, &Device::Cpu)).unwrap();

        let targets = Tensor::new(&[0_u32, 1, 0], &Device::Cpu).unwrap();
        let loss = cross_entropy(&plain.forward(&images(side)).unwrap(), &targets).unwrap();
        let expected = loss.backward().unwrap();
        let loss = cross_entropy(&learner.forward_t(&images(side), true).unwrap(), &targets).unwrap();
        loss.backward().unwrap();
        let found = super::tensors(&learner.take_gradients()).unwrap();
        for (name, share) in [
            ("dense2.weight", 1.0),
            ("dense2.bias", 1.0),
            ("dense1.weight", 1.0),
            ("dense1.bias", 1.0),
            ("conv2.weight", 0.25),
            ("conv1.weight", 0.0625),
        ] {
            let expected = expected.get(&variables[name]).unwrap();
            let apart = largest(&(expected - (&found[name] * share).unwrap()).unwrap());
            assert!(apart <= 1e-5 * largest(expected), "{name}: {apart} of {} apart", largest(expected));
        }
    }

    /// What keeps the gradients of plain candle from being an oracle for ours below a pooling, and candle's graph from
    /// training the networks here. On the day that this fails they can be compared.
    #[test]
    fn max_pooling_of_candle_0_11_1_has_a_quarter_of_its_gradient() {
        let lock = include_str!("../Cargo.lock");
        assert!(lock.contains("name = \"candle-core\"\nversion = \"0.11.1\""), "another version: look again");
        let image = Var::from_vec(vec![1_f32, 2.0, 3.0, 4.0], (1, 1, 2, 2), &Device::Cpu).unwrap();
        let gradients = image.max_pool2d(2).unwrap().backward().unwrap();
        let gradient = gradients.get(&image).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(gradient, [0.0, 0.0, 0.0, 0.25], "the largest of a window should get all of it, 1");
    }
}
