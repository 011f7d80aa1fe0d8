//! A model as one ONNX file, for the engines that archives are scored with: ONNX Runtime, Triton, Spark, Ray.
//!
//! The file takes what [`Preprocess::apply`](crate::preprocess::Preprocess::apply) gives, so whoever scores films with it
//! has to prepare them as `preprocess` among its metadata says, and gives logits and probabilities. It is made of the
//! layers of a [`Graph`](crate::nn::Graph), so a network that is added needs nothing here unless it brings a new kind of layer.
//!
//! A normalisation stays a node of its own: every tensor in the file is then one of the weights file, under its name, and
//! engines fold it into the convolution when they load the file, as [`Frozen`](crate::nn::Frozen) does. Weights that are
//! stored in eight bits are written as floats: the numbers are the same, and every engine reads them.

mod message;
mod nodes;

use prost::Message;
use serde::Serialize;

use crate::error::Result;
use crate::formats::ModelCard;
use crate::models::Architecture;
use crate::nn::Weights;

use message::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};
use nodes::{Nodes, nodes};

/// Version of the operators: of 2021, which engines of today read.
const OPSET: i64 = 17;
/// Version of the file's layout that came with [`OPSET`].
const IR_VERSION: i64 = 8;

/// Name of the input, `[n, channels, height, width]`.
pub const IMAGE: &str = "image";
/// Name of the output before softmax, `[n, classes]`.
pub const LOGITS: &str = "logits";
/// Name of the output whose rows sum to 1, `[n, classes]`.
pub const PROBABILITIES: &str = "probabilities";

/// The ONNX file of the model that `card` describes and `weights` belong to.
///
/// # Errors
/// Those of [`Architecture::of`], and [`Error::TensorMissing`](crate::error::Error::TensorMissing),
/// [`Error::TensorShape`](crate::error::Error::TensorShape) and [`Error::Weights`](crate::error::Error::Weights) for
/// weights that are not exactly those of the architecture.
pub fn export(card: &ModelCard, weights: Weights) -> Result<Vec<u8>> {
    let architecture = Architecture::of(card)?;
    let classes = card.classes.len();
    let graph = architecture.network(&card.preprocess, classes)?;
    let image = graph.input();
    let Nodes { nodes: mut node, mut initializers } = match card.mirrored {
        false => nodes(&graph, weights, [IMAGE, LOGITS])?,
        true => mirrored(nodes(&graph, weights, [PAIRS, PAIRS_LOGITS])?, classes),
    };
    node.extend(softmax(card.temperature(), &mut initializers));
    let film = "films prepared as the metadata's `preprocess` says, channels first";
    let graph = GraphProto {
        node,
        name: card.id.clone(),
        initializer: initializers,
        input: vec![ValueInfoProto::batch(IMAGE, &image, film)],
        output: vec![
            ValueInfoProto::batch(LOGITS, &[classes], "before softmax, in the order of the metadata's `classes`"),
            ValueInfoProto::batch(PROBABILITIES, &[classes], "softmax of the logits, calibrated where the model is"),
        ],
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: card.intended_use.clone(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata(card),
    };
    Ok(model.encode_to_vec())
}

/// The images followed by the mirrored images, `[2n, channels, height, width]`, and their logits, `[2n, classes]`.
const PAIRS: &str = "pairs";
const PAIRS_LOGITS: &str = "pairs_logits";

/// The nodes of a network from [`PAIRS`] to [`PAIRS_LOGITS`] with what makes the pairs of [`IMAGE`] before them, and the mean
/// of either film's two rows, [`LOGITS`], behind them.
fn mirrored(Nodes { nodes: network, mut initializers }: Nodes, classes: usize) -> Nodes {
    // From the last column to before the first, in steps of one back; the ends are cut off at the image's.
    let sliced = [("mirror_from", -1), ("mirror_to", i64::MIN), ("mirror_axis", 3), ("mirror_step", -1)];
    initializers.extend(sliced.map(|(name, value)| TensorProto::integers(name, &[value])));
    initializers.push(TensorProto::integers("sides_films_classes", &[2, -1, classes as i64]));
    let inputs = [&[IMAGE][..], &sliced.map(|(name, _)| name)].concat();
    let before = [
        node("Slice", &inputs, "mirrored", Vec::new()),
        node("Concat", &[IMAGE, "mirrored"], PAIRS, vec![AttributeProto::int("axis", 0)]),
    ];
    let mean = vec![AttributeProto::ints("axes", &[0]), AttributeProto::int("keepdims", 0)];
    let behind = [
        node("Reshape", &[PAIRS_LOGITS, "sides_films_classes"], "sides_logits", Vec::new()),
        node("ReduceMean", &["sides_logits"], LOGITS, mean),
    ];
    Nodes { nodes: before.into_iter().chain(network).chain(behind).collect(), initializers }
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().copied().map(String::from).collect(),
        output: vec![output.into()],
        name: output.into(),
        op_type: op.into(),
        attribute,
    }
}

/// Softmax of the logits, each divided by the card's temperature first where that changes anything.
fn softmax(temperature: f64, initializers: &mut Vec<TensorProto>) -> Vec<NodeProto> {
    const DIVIDED: &str = "calibrated";
    let softmax = |input| node("Softmax", &[input], PROBABILITIES, vec![AttributeProto::int("axis", 1)]);
    if temperature == 1.0 {
        return vec![softmax(LOGITS)];
    }
    initializers.push(TensorProto::floats("temperature", &[], &[temperature as f32]));
    vec![node("Div", &[LOGITS, "temperature"], DIVIDED, Vec::new()), softmax(DIVIDED)]
}

/// What has to be known to use the file, and which weights it came from; what is no plain text is JSON.
fn metadata(card: &ModelCard) -> Vec<StringStringEntryProto> {
    let plain = [
        ("model_id", &card.id),
        ("model_name", &card.name),
        ("model_version", &card.version),
        ("architecture", &card.architecture),
        ("weights_sha256", &card.weights.sha256),
        ("licence", &card.licence),
        ("intended_use", &card.intended_use),
    ];
    let json = [
        ("classes", Some(json(&card.classes))),
        ("preprocess", Some(json(&card.preprocess))),
        ("calibration", card.calibration.as_ref().map(json)),
        ("operating_points", card.operating_points.as_ref().map(json)),
        ("uncertain", card.uncertain.as_ref().map(json)),
        ("answer", card.answer.as_ref().map(json)),
    ];
    let plain = plain.into_iter().map(|(key, value)| (key, value.clone()));
    plain
        .chain(json.into_iter().filter_map(|(key, value)| Some((key, value?))))
        .map(|(key, value)| StringStringEntryProto { key: key.into(), value })
        .collect()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a card has string keys and no fallible values")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Encoding, WeightsInfo};
    use crate::nn::Tensor;

    fn card() -> ModelCard {
        let classes = ["COVID-19", "Normal"].map(String::from).to_vec();
        let weights = WeightsInfo::of(b"abc", Encoding::Identity);
        ModelCard::new("films", "mobilenet-v2", classes, Architecture::MobileNetV2.preprocess(), weights)
    }

    fn weights() -> Weights {
        let graph = Architecture::MobileNetV2.graph(2);
        let tensor = |spec: &crate::nn::ParameterSpec| {
            (spec.name.clone(), Tensor { shape: spec.shape.clone(), values: spec.draw(1) })
        };
        Weights(graph.parameters().iter().map(tensor).collect())
    }

    #[test]
    fn the_file_says_what_is_needed_to_use_it() {
        let card = card();
        let model = ModelProto::decode(export(&card, weights()).unwrap().as_slice()).unwrap();
        let said = |key: &str| {
            let found: Vec<_> = model.metadata_props.iter().filter(|entry| entry.key == key).collect();
            assert_eq!(found.len(), 1, "{key}");
            found[0].value.clone()
        };
        assert_eq!(said("classes"), r#"["COVID-19","Normal"]"#);
        assert_eq!(
            serde_json::from_str::<crate::preprocess::Preprocess>(&said("preprocess")).unwrap(),
            card.preprocess
        );
        assert_eq!((said("model_id"), said("model_version")), (card.id, card.version));
        assert_eq!(said("weights_sha256"), card.weights.sha256);
        let graph = model.graph.unwrap();
        assert_eq!(graph.input, [ValueInfoProto::batch(IMAGE, &[3, 224, 224], &graph.input[0].doc_string)]);
        let outputs: Vec<_> = graph.output.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(outputs, [LOGITS, PROBABILITIES]);
    }

    #[test]
    fn every_tensor_of_the_weights_is_in_the_file_under_its_name() {
        let weights = weights();
        let model = ModelProto::decode(export(&card(), weights.clone()).unwrap().as_slice()).unwrap();
        let written = model.graph.unwrap().initializer;
        for (name, tensor) in &weights.0 {
            let found = written.iter().find(|found| found.name == *name).unwrap_or_else(|| panic!("{name}"));
            let bytes: Vec<u8> = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(found.dims.iter().map(|&side| side as usize).collect::<Vec<_>>(), tensor.shape, "{name}");
            assert_eq!(found.raw_data, bytes, "{name}");
        }
    }

    #[test]
    fn weights_that_do_not_fit_are_refused_as_the_network_refuses_them() {
        let mut missing = weights();
        missing.0.remove("features.0.1.running_mean").unwrap();
        assert_eq!(export(&card(), missing).unwrap_err().kind(), "tensor-missing");
        let mut more = weights();
        more.0.insert("more".into(), Tensor { shape: vec![1], values: vec![0.0] });
        assert!(export(&card(), more).unwrap_err().to_string().contains("no use for: more"));
    }
}
