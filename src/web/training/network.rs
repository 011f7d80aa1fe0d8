//! A network without a card: what benches measure, so that nobody else downloads it.

use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::json;
use crate::classifier::{network, softmax};
use crate::models::Architecture;
use crate::nn::{Precision, rows};
use crate::web::thrown;

/// Preprocessed numbers in, logits or probabilities out.
#[wasm_bindgen]
pub struct Network(crate::nn::Network);

/// A weight of a network.
#[derive(Serialize)]
struct Parameter<'a> {
    name: &'a str,
    shape: &'a [usize],
}

#[wasm_bindgen]
impl Network {
    /// Builds `architecture` for `classes` classes from its weights, unpacked; with `int8` its dense layers compute in
    /// eight bits.
    #[wasm_bindgen(constructor)]
    pub fn new(architecture: &str, classes: usize, safetensors: &[u8], int8: bool) -> Result<Network, JsValue> {
        let precision = if int8 { Precision::Int8 } else { Precision::Float };
        Architecture::from_name(architecture)
            .and_then(|architecture| network(architecture, classes, safetensors, precision))
            .map(Network)
            .map_err(thrown)
    }

    /// Names and shapes of the weights of `architecture`, in the order of its layers, as JSON.
    pub fn parameters(architecture: &str, classes: usize) -> Result<String, JsValue> {
        let graph = Architecture::from_name(architecture).map_err(thrown)?.graph(classes);
        let parameters = graph.parameters().iter().map(|spec| Parameter { name: &spec.name, shape: &spec.shape });
        json(&parameters.collect::<Vec<_>>())
    }

    /// Logits `[n, classes]` of images `[n, channels, height, width]`.
    pub fn logits(&self, images: Vec<f32>) -> Result<Vec<f32>, JsValue> {
        self.0.logits(&images).map(|logits| rows(&logits)).map_err(thrown)
    }

    /// Probabilities `[n, classes]` of images `[n, channels, height, width]`.
    pub fn scores(&self, images: Vec<f32>) -> Result<Vec<f32>, JsValue> {
        self.0.logits(&images).map(|logits| rows(&softmax(&logits, 1.0))).map_err(thrown)
    }
}
