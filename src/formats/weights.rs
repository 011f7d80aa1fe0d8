//! `weights.safetensors`, from and to bytes.
//!
//! Beside plain F32, a tensor `x` may be stored as
//! - F16: rounded to half precision;
//! - I8 with `x.scale` (F32, one value a row, row = first dimension): see [`quantized`](crate::kernels::quantized).
//!
//! A matrix may also be stored as two factors, `x.u` `[out, r]` and `x.v` `[r, in]` with `x = u · v`, each of them in any
//! of the above. The factors are not multiplied here: the layer uses them as they are, which is the faster way too.
//!
//! Source of the container: <https://huggingface.co/docs/safetensors>.

use std::io::{ErrorKind, Read};

use safetensors::tensor::{Metadata, SafeTensors, TensorInfo, TensorView};
use safetensors::{Dtype, serialize};

use crate::error::{Error, Result};
use crate::kernels::quantized::{dequantize_rows, quantize_rows};
use crate::nn::{BESIDE, Tensor, Weights};

/// Ending of the name of the scales of an eight-bit tensor.
const SCALE: &str = ".scale";

/// How a tensor is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Four bytes a weight, exact.
    F32,
    /// Two bytes a weight, 11 significant bits, magnitude below 65,520.
    F16,
    /// One byte a weight and four a row.
    Int8,
}

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Name, such as `dense1.weight`.
    pub name: String,
    /// Dimensions; the first is the row of [`Storage::Int8`].
    pub shape: Vec<usize>,
    /// Row-major, as many as the shape asks for, finite.
    pub values: Vec<f32>,
    /// How to write it.
    pub storage: Storage,
}

/// The tensors in a safetensors file, as f32, by name; scales are used up.
///
/// Never panics, whatever the bytes, and allocates no more than four times their number: no size in the header is
/// believed before it is compared with what is there.
///
/// # Errors
/// [`Error::Weights`] for bytes that are not safetensors, for a type other than F32, F16 and I8, for scales that are
/// missing or make no sense, for an empty tensor, and for a value that is not finite; [`Error::TensorShape`] for scales of another length
/// than the tensor has rows.
pub fn read_weights(safetensors: &[u8]) -> Result<Weights> {
    read_weights_from(&mut &safetensors[..], safetensors.len() as u64)
}

/// Like [`read_weights`], from a file of `bytes` bytes that is read from beginning to end, a piece at a time: what is in it is
/// never there twice.
///
/// # Errors
/// Those of [`read_weights`], and [`Error::Weights`] for a file that cannot be read.
pub fn read_weights_from(file: &mut dyn Read, bytes: u64) -> Result<Weights> {
    read(file, bytes, |_| false)
}

/// Like [`read_weights`], but without the tensors of whole numbers, which that refuses.
#[cfg(feature = "cli")]
pub(super) fn read_floats(safetensors: &[u8]) -> Result<Weights> {
    read(&mut &safetensors[..], safetensors.len() as u64, |dtype| dtype == Dtype::I64)
}

/// The longest header that is read; the largest network's has 100 kB.
const HEADER_LIMIT: u64 = 100_000_000;

/// Values read at a time.
const PIECE: usize = 1 << 18;

/// The header of the safetensors file that begins here, and how many bytes it took: tensors without gaps between them, each
/// as long as its shape and type say.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn read_header(file: &mut dyn Read) -> std::result::Result<(Metadata, u64), String> {
    let mut len = [0; 8];
    file.read_exact(&mut len).map_err(unread)?;
    let len = u64::from_le_bytes(len);
    if len > HEADER_LIMIT {
        return Err("is no safetensors file".into());
    }
    let mut header = Vec::new();
    file.take(len).read_to_end(&mut header).map_err(unread)?;
    let header = serde_json::from_slice(&header).map_err(|error| format!("has no safetensors header: {error}"))?;
    Ok((header, 8 + len))
}

/// Hands the next `len` values of a file to `take`, a piece at a time.
///
/// # Errors
/// A sentence that says why they are not there.
pub fn read_f32s(file: &mut dyn Read, len: usize, mut take: impl FnMut(&[f32])) -> std::result::Result<(), String> {
    let (mut bytes, mut values) = (Vec::new(), Vec::new());
    for first in (0..len).step_by(PIECE) {
        bytes.resize(4 * PIECE.min(len - first), 0);
        file.read_exact(&mut bytes).map_err(unread)?;
        values.clear();
        values.extend(bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)));
        take(&values);
    }
    Ok(())
}

/// Why a file cannot be read on.
fn unread(error: std::io::Error) -> String {
    if error.kind() == ErrorKind::UnexpectedEof { "is cut short".into() } else { error.to_string() }
}

/// The tensors but those of a type that is `left_out`.
fn read(file: &mut dyn Read, bytes: u64, left_out: impl Fn(Dtype) -> bool) -> Result<Weights> {
    let (header, header_bytes) = read_header(file).map_err(invalid)?;
    if header_bytes + header.data_len() as u64 != bytes {
        return Err(invalid("is shorter or longer than its header says".into()));
    }
    let mut weights = Weights::default();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        let values = read_values(file, &name, info, &left_out)?;
        if !left_out(info.dtype) {
            weights.0.insert(name, Tensor { shape: info.shape.clone(), values });
        }
    }
    // All scales are there now, wherever in the file they lay.
    for name in header.offset_keys() {
        let Some(info) = header.info(&name).filter(|info| info.dtype == Dtype::I8) else { continue };
        let scale_name = format!("{name}{SCALE}");
        let scale_dtype = header.info(&scale_name).map(|info| info.dtype);
        let scale = weights.0.remove(&scale_name);
        if let Some(tensor) = weights.0.get_mut(&name).filter(|tensor| !tensor.values.is_empty()) {
            let Some((scale, dtype)) = scale.zip(scale_dtype) else {
                return Err(invalid(format!("tensor `{name}` is stored as I8 without `{scale_name}`")));
            };
            if dtype != Dtype::F32 {
                return Err(invalid(format!("tensor `{scale_name}` is stored as {dtype:?}; scales are F32")));
            }
            let Some(rows) = info.shape.first() else {
                return Err(invalid(format!("tensor `{name}` is stored as I8 and has no rows")));
            };
            rescale(tensor, *rows, scale_name, scale)?;
        }
    }
    for (name, tensor) in &weights.0 {
        checked(name, tensor)?;
    }
    Ok(weights)
}

/// The values of a tensor that comes next in a file; those in eight bits yet without their scales.
fn read_values(
    file: &mut dyn Read,
    name: &str,
    info: &TensorInfo,
    left_out: impl Fn(Dtype) -> bool,
) -> Result<Vec<f32>> {
    let len = info.data_offsets.1 - info.data_offsets.0;
    let mut values = Vec::new();
    if info.dtype == Dtype::F32 {
        values.reserve_exact(len / 4);
        read_f32s(file, len / 4, |piece| values.extend_from_slice(piece)).map_err(invalid)?;
        return Ok(values);
    }
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes).map_err(|error| invalid(unread(error)))?;
    match info.dtype {
        Dtype::F16 => values.extend(bytes.as_chunks().0.iter().map(|&bytes| half::f16::from_le_bytes(bytes).to_f32())),
        Dtype::I8 => values.extend(bytes.iter().map(|&byte| f32::from(byte.cast_signed()))),
        other if left_out(other) => {}
        other => return Err(invalid(format!("tensor `{name}` is stored as {other:?}; F32, F16 and I8 are read"))),
    }
    Ok(values)
}

/// Multiplies each row of a tensor by its scale: the reverse of [`quantize_rows`].
fn rescale(tensor: &mut Tensor, rows: usize, name: String, scale: Tensor) -> Result<()> {
    if scale.shape != [rows] {
        return Err(Error::TensorShape { name, expected: vec![rows], found: scale.shape });
    }
    if let Some(bad) = scale.values.iter().find(|scale| !scale.is_finite() || **scale < 0.0) {
        return Err(invalid(format!("tensor `{name}` holds {bad}; scales are finite and not negative")));
    }
    dequantize_rows(&mut tensor.values, &scale.values);
    Ok(())
}

/// Refuses a tensor that holds nothing, or a number that is not finite.
pub(super) fn checked(name: &str, Tensor { shape, values }: &Tensor) -> Result<()> {
    // No layer has an empty weight, and a product over nothing would be a network that ignores its input.
    if values.is_empty() {
        return Err(invalid(format!("tensor `{name}` of shape {shape:?} is empty")));
    }
    if let Some(position) = values.iter().position(|value| !value.is_finite()) {
        return Err(invalid(format!("tensor `{name}` holds {} at {position}", values[position])));
    }
    Ok(())
}

/// All of `weights`, to be written as they are.
pub fn in_floats(weights: Weights) -> Vec<Weight> {
    let weight = |(name, Tensor { shape, values })| Weight { name, shape, values, storage: Storage::F32 };
    weights.0.into_iter().map(weight).collect()
}

/// A safetensors file of `weights`. The same tensors, in any order, give the same bytes.
///
/// # Errors
/// [`Error::Weights`] when two tensors share a name (scales included), or a value is not finite as stored: weights that
/// cannot be read back are not written.
pub fn write_weights(weights: &[Weight]) -> Result<Vec<u8>> {
    let mut entries: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::with_capacity(weights.len());
    for Weight { name, shape, values, storage } in weights {
        let expected: usize = shape.iter().product();
        assert_eq!(values.len(), expected, "tensor `{name}` of shape {shape:?}");
        // 65,520 is the smallest value that rounds to infinity in half precision.
        let limit = if *storage == Storage::F16 { 65_520.0 } else { f32::INFINITY };
        if let Some(value) = values.iter().find(|value| value.is_nan() || value.abs() >= limit) {
            return Err(invalid(format!("tensor `{name}` holds {value}, which {storage:?} cannot store")));
        }
        match storage {
            Storage::F32 => entries.push((name.clone(), Dtype::F32, shape.clone(), le_bytes(values))),
            Storage::F16 => {
                let bytes = values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
                entries.push((name.clone(), Dtype::F16, shape.clone(), bytes));
            }
            Storage::Int8 => {
                let rows = *shape.first().expect("an eight-bit tensor has a first dimension");
                let (quantised, scales) = quantize_rows(values, rows);
                let bytes = quantised.iter().map(|q| q.cast_unsigned()).collect();
                entries.push((name.clone(), Dtype::I8, shape.clone(), bytes));
                entries.push((format!("{name}{SCALE}"), Dtype::F32, vec![rows], le_bytes(&scales)));
            }
        }
    }
    // Sorted first, so that of two tensors with one name it is not chance which is written.
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(twice) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(invalid(format!("tensor `{}` would be written twice", twice[0].0)));
    }
    let views = entries
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    views.and_then(|views| serialize(views, None)).map_err(|error| invalid(error.to_string()))
}

/// The safetensors file `safetensors` with `beside` in place of what lay [`BESIDE`] its network; the network's own tensors
/// stay bit for bit.
///
/// # Errors
/// [`Error::Weights`] for bytes that are not safetensors, and those of [`write_weights`].
pub fn write_beside(safetensors: &[u8], beside: &[Weight]) -> Result<Vec<u8>> {
    with_others(safetensors, beside, |name| !name.starts_with(BESIDE))
}

/// The safetensors file `safetensors` with `weights` in place of the tensors of the same names; all others stay bit for bit.
///
/// # Errors
/// Those of [`write_beside`].
pub fn write_in_place(safetensors: &[u8], weights: &[Weight]) -> Result<Vec<u8>> {
    with_others(safetensors, weights, |name| weights.iter().all(|weight| weight.name != name))
}

/// The tensors of `safetensors` that are `kept`, and `others`.
fn with_others(safetensors: &[u8], others: &[Weight], kept: impl Fn(&str) -> bool) -> Result<Vec<u8>> {
    let damaged = |error: safetensors::SafeTensorError| invalid(error.to_string());
    let own = SafeTensors::deserialize(safetensors).map_err(damaged)?;
    let added = write_weights(others)?;
    let added = SafeTensors::deserialize(&added).map_err(damaged)?;
    let kept = own.iter().filter(|(name, _)| kept(name));
    serialize(kept.chain(added.iter()), None).map_err(damaged)
}

fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(super) fn invalid(reason: String) -> Error {
    Error::Weights { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(name: &str, shape: &[usize], storage: Storage) -> Weight {
        let n: usize = shape.iter().product();
        let values = (0..n).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect();
        Weight { name: name.into(), shape: shape.to_vec(), values, storage }
    }

    #[test]
    fn what_lies_beside_a_network_is_replaced_and_the_network_stays() {
        let own = [weight("a", &[3, 5], Storage::Int8), weight("b", &[4], Storage::F16)];
        let file = write_weights(&own).unwrap();
        let first = write_beside(&file, &[weight("refusal.x", &[9], Storage::F32)]).unwrap();
        let second = write_beside(&first, &[weight("refusal.y", &[2], Storage::F32)]).unwrap();
        let names: Vec<String> = read_weights(&second).unwrap().0.into_keys().collect();
        assert_eq!(names, ["a", "b", "refusal.y"]);
        assert_eq!(write_beside(&second, &[]).unwrap(), file);
        assert_eq!(write_beside(b"none", &[]).unwrap_err().kind(), "weights");
    }

    #[test]
    fn a_tensor_is_replaced_in_its_place_and_the_others_stay_as_they_are_stored() {
        let own = [weight("a", &[3, 5], Storage::Int8), weight("b", &[4], Storage::F32)];
        let file = write_weights(&own).unwrap();
        let other = Weight { values: vec![7.0; 4], ..own[1].clone() };
        let expected = write_weights(&[own[0].clone(), other.clone()]).unwrap();
        assert_eq!(write_in_place(&file, &[other]).unwrap(), expected);
        assert_eq!(write_in_place(&file, &[]).unwrap(), file);
    }

    /// A file with one tensor, written out by hand as the format's page describes it.
    fn by_hand(dtype: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{}]}}}}"#, data.len());
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn error(bytes: &[u8]) -> Error {
        read_weights(bytes).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        let tensors = read_weights(&by_hand("F32", "[2]", &[0, 0, 128, 63, 0, 0, 0, 192])).unwrap();
        assert_eq!(tensors.0["x"].values, [1.0, -2.0]);
    }

    /// Gives a byte a call, as the slowest of files may.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let len = out.len().min(1);
            self.0.read(&mut out[..len])
        }
    }

    #[test]
    fn a_file_is_read_in_whatever_pieces_it_comes() {
        let weights =
            [weight("a", &[3, 5], Storage::Int8), weight("b", &[4], Storage::F16), weight("c", &[7], Storage::F32)];
        let file = write_weights(&weights).unwrap();
        let len = file.len() as u64;
        assert_eq!(read_weights_from(&mut Dripping(&file), len).unwrap(), read_weights(&file).unwrap());
        assert!(
            read_weights_from(&mut Dripping(&file[..file.len() - 1]), len)
                .unwrap_err()
                .to_string()
                .contains("is cut short")
        );
        for other in [len - 1, len + 1] {
            assert!(
                read_weights_from(&mut Dripping(&file), other)
                    .unwrap_err()
                    .to_string()
                    .contains("than its header says")
            );
        }
    }

    #[test]
    fn each_storage_comes_back_within_its_rounding() {
        for (storage, tolerance) in [(Storage::F32, 0.0), (Storage::F16, 1.0 / 2048.0), (Storage::Int8, 1.0 / 254.0)] {
            let weight = weight("conv.weight", &[3, 2, 5, 5], storage);
            let tensors = read_weights(&write_weights(std::slice::from_ref(&weight)).unwrap()).unwrap();
            assert_eq!(tensors.0.len(), 1, "the scale is used up");
            let tensor = &tensors.0["conv.weight"];
            assert_eq!(tensor.shape, [3, 2, 5, 5]);
            for (read, written) in tensor.values.iter().zip(&weight.values) {
                assert!((read - written).abs() <= tolerance + f32::EPSILON, "{storage:?}: {written} became {read}");
            }
        }
    }

    #[test]
    fn low_rank_factors_stay_apart() {
        let weights = [weight("d.weight.u", &[4, 2], Storage::Int8), weight("d.weight.v", &[2, 6], Storage::Int8)];
        let tensors = read_weights(&write_weights(&weights).unwrap()).unwrap();
        assert_eq!(tensors.0["d.weight.u"].shape, [4, 2]);
        assert_eq!(tensors.0["d.weight.v"].shape, [2, 6]);
    }

    #[test]
    fn order_of_writing_does_not_change_the_bytes() {
        let mut weights = vec![
            weight("b", &[3], Storage::F32),
            weight("a", &[2, 2], Storage::Int8),
            weight("c", &[5], Storage::F16),
            weight("d", &[2], Storage::F32),
        ];
        let bytes = write_weights(&weights).unwrap();
        weights.reverse();
        assert_eq!(bytes, write_weights(&weights).unwrap());
    }

    #[test]
    fn a_parameter_called_scale_is_no_quantisation_scale() {
        let weights = [weight("norm", &[2], Storage::F32), weight("norm.scale", &[2], Storage::F32)];
        assert!(read_weights(&write_weights(&weights).unwrap()).unwrap().0.contains_key("norm.scale"));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = write_weights(&[weight("a", &[2, 3], Storage::Int8), weight("b", &[4], Storage::F32)]).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(error(&bytes[..length]).kind(), "weights", "{length} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn any_single_altered_byte_gives_tensors_or_an_error_and_never_panics() {
        let bytes = write_weights(&[weight("a", &[2, 3], Storage::Int8), weight("b", &[4], Storage::F16)]).unwrap();
        let mut refused = 0;
        for position in 0..bytes.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut altered = bytes.clone();
                altered[position] ^= flip;
                refused += usize::from(read_weights(&altered).is_err());
            }
        }
        assert!(refused > bytes.len(), "only {refused} refused: the header alone should give more");
    }

    #[test]
    fn a_header_that_claims_the_world_is_refused_without_allocating_it() {
        let mut claims = u64::MAX.to_le_bytes().to_vec();
        claims.extend(b"{}");
        assert_eq!(error(&claims).kind(), "weights");
        assert_eq!(error(&by_hand("F32", "[4611686018427387904,4]", &[0; 4])).kind(), "weights");
        assert_eq!(error(&by_hand("F32", "[1000000000]", &[0; 4])).kind(), "weights");
    }

    #[test]
    fn empty_tensors_are_refused() {
        for (dtype, shape) in [("F32", "[0]"), ("F32", "[4,0]"), ("I8", "[0,4]"), ("I8", "[4,0]")] {
            assert!(error(&by_hand(dtype, shape, &[])).to_string().contains("is empty"), "{dtype} {shape}");
        }
        assert!(error(&by_hand("I8", "[]", &[1])).to_string().contains("without `x.scale`"));
    }

    #[test]
    fn values_that_are_not_finite_are_refused_with_their_tensor() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = error(&by_hand("F32", "[1]", &value.to_le_bytes())).to_string();
            assert!(error.contains("tensor `x` holds"), "{error}");
        }
        // 0x7c00 is infinity in IEEE 754 binary16.
        assert!(error(&by_hand("F16", "[1]", &[0x00, 0x7c])).to_string().contains("inf"));
    }

    #[test]
    fn other_types_are_refused_by_name() {
        for (dtype, data) in [("F64", &[0; 8][..]), ("BF16", &[0; 2]), ("U8", &[0]), ("BOOL", &[1])] {
            let error = error(&by_hand(dtype, "[1]", data)).to_string();
            assert!(error.contains(dtype) && error.contains("F32, F16 and I8"), "{error}");
        }
    }

    #[test]
    fn eight_bits_need_a_scale_for_every_row() {
        assert!(error(&by_hand("I8", "[2]", &[1, 2])).to_string().contains("without `x.scale`"));
        let with_scale = |dtype, shape: &[usize], data: &[u8]| {
            let x = TensorView::new(Dtype::I8, vec![2, 2], &[1, 2, 3, 4]).unwrap();
            let scale = TensorView::new(dtype, shape.to_vec(), data).unwrap();
            serialize([("x", x), ("x.scale", scale)], None).unwrap()
        };
        let scales = |values: &[f32]| le_bytes(values);
        assert!(read_weights(&with_scale(Dtype::F32, &[2], &scales(&[0.5, 2.0]))).is_ok());
        assert_eq!(error(&with_scale(Dtype::F32, &[3], &scales(&[1.0; 3]))).kind(), "tensor-shape");
        assert_eq!(error(&with_scale(Dtype::F32, &[2, 1], &scales(&[1.0; 2]))).kind(), "tensor-shape");
        assert_eq!(error(&with_scale(Dtype::F16, &[2], &[0; 4])).kind(), "weights");
        for bad in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(error(&with_scale(Dtype::F32, &[2], &scales(&[1.0, bad]))).to_string().contains("x.scale"));
        }
        // Finite scales may still overflow the product.
        assert!(error(&with_scale(Dtype::F32, &[2], &scales(&[1.0, f32::MAX]))).to_string().contains("inf"));
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let of = |value: f32, storage| Weight { name: "x".into(), shape: vec![1], values: vec![value], storage };
        assert!(write_weights(&[of(f32::NAN, Storage::F32)]).is_err());
        assert!(write_weights(&[of(f32::INFINITY, Storage::Int8)]).is_err());
        assert!(write_weights(&[of(65_520.0, Storage::F16)]).is_err());
        assert!(read_weights(&write_weights(&[of(65_519.0, Storage::F16)]).unwrap()).is_ok());
        assert!(write_weights(&[of(1.0, Storage::F32), of(2.0, Storage::F32)]).is_err());
    }
}
