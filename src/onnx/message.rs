//! The messages of an ONNX file that are written here, with the field numbers of `onnx.proto`.
//!
//! Kept by hand, so that building needs no protobuf compiler. A field that is not here is one that no network of ours
//! needs; readers take an absent field for its default.
//!
//! # Source
//! <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>, whose names these are.

use prost::{Message, Oneof};

/// `TensorProto.DataType.FLOAT`.
pub const FLOAT: i32 = 1;
/// `TensorProto.DataType.INT64`.
const INT64: i32 = 7;

#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(string, tag = "6")]
    pub doc_string: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    /// Empty for the operators of ONNX itself.
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
}

/// Which of the values counts is said by `r#type`.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

impl AttributeProto {
    /// `AttributeType.FLOAT`.
    pub fn float(name: &str, value: f32) -> Self {
        Self { name: name.into(), f: Some(value), r#type: 1, ..Self::default() }
    }

    /// `AttributeType.INT`.
    pub fn int(name: &str, value: usize) -> Self {
        Self { name: name.into(), i: Some(signed(value)), r#type: 2, ..Self::default() }
    }

    /// `AttributeType.INTS`.
    pub fn ints(name: &str, values: &[usize]) -> Self {
        Self { name: name.into(), ints: values.iter().copied().map(signed).collect(), r#type: 7, ..Self::default() }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    /// Little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

impl TensorProto {
    /// A row of integers, signed.
    pub fn integers(name: &str, values: &[i64]) -> Self {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dims: vec![signed(values.len())], data_type: INT64, name: name.into(), raw_data }
    }

    /// Floats; none of `dims` for a single one.
    pub fn floats(name: &str, dims: &[usize], values: &[f32]) -> Self {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dims: dims.iter().copied().map(signed).collect(), data_type: FLOAT, name: name.into(), raw_data }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
    #[prost(string, tag = "3")]
    pub doc_string: String,
}

impl ValueInfoProto {
    /// Floats of as many images as come, each with dimensions `image`.
    pub fn batch(name: &str, image: &[usize], doc_string: &str) -> Self {
        let sides = image.iter().map(|&side| Size::DimValue(signed(side)));
        let dim = std::iter::once(Size::DimParam("n".into())).chain(sides);
        let dim = dim.map(|size| Dimension { value: Some(size) }).collect();
        let tensor_type = Some(TensorType { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) });
        Self { name: name.into(), r#type: Some(TypeProto { tensor_type }), doc_string: doc_string.into() }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(oneof = "Size", tags = "1, 2")]
    pub value: Option<Size>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Size {
    #[prost(int64, tag = "1")]
    DimValue(i64),
    /// Any number, the same wherever the name is.
    #[prost(string, tag = "2")]
    DimParam(String),
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).expect("sizes of networks are far below 2⁶³")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from the encoding rules of protocol buffers: key `field · 8 + wire type`, then a varint (type 0), a length
    /// and bytes (2) or four bytes (5).
    #[test]
    fn messages_have_the_bytes_that_the_encoding_rules_ask_for() {
        assert_eq!(AttributeProto::int("k", 300).encode_to_vec(), [0x0a, 1, b'k', 0x18, 0xac, 2, 0xa0, 1, 2]);
        assert_eq!(AttributeProto::int("k", 0).encode_to_vec(), [0x0a, 1, b'k', 0x18, 0, 0xa0, 1, 2], "a zero is said");
        assert_eq!(
            AttributeProto::float("k", 1.0).encode_to_vec(),
            [0x0a, 1, b'k', 0x15, 0, 0, 0x80, 0x3f, 0xa0, 1, 1]
        );
        assert_eq!(AttributeProto::ints("k", &[5, 0]).encode_to_vec(), [0x0a, 1, b'k', 0x42, 2, 5, 0, 0xa0, 1, 7]);
        let tensor = TensorProto::floats("t", &[1], &[-2.0]).encode_to_vec();
        assert_eq!(tensor, [0x0a, 1, 1, 0x10, 1, 0x42, 1, b't', 0x4a, 4, 0, 0, 0, 0xc0]);
        let value = ValueInfoProto::batch("v", &[3], "").encode_to_vec();
        let type_of_n_by_3 = [0x12, 15, 0x0a, 13, 8, 1, 0x12, 9, 0x0a, 3, 0x12, 1, b'n', 0x0a, 2, 8, 3];
        assert_eq!(value, [&[0x0a, 1, b'v'][..], &type_of_n_by_3].concat());
    }
}
