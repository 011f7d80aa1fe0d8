//! Weights as `torch.save(model.state_dict(), path)` writes them, from bytes; nothing in the file is ever run.
//!
//! Both of PyTorch's layouts are read. Since 1.6 a file is a zip, nothing in it compressed: `data.pkl`, the pickle of the
//! dictionary, and `data/KEY`, the raw numbers of each storage. Before, and still where it is asked for, it is a row of
//! pickles (magic number, version, what machine wrote it, the dictionary, the keys of the storages) with the raw numbers
//! behind them, each storage led by its length.
//!
//! Source: `torch/serialization.py` and `torch/_utils.py`.

use std::collections::BTreeMap;
use std::io::{self, Cursor};

use zip::ZipArchive;

use super::pickle::{Bytes, Global, Pickle, SAVE_WEIGHTS, Value, unpickle};
use super::weights::{checked, invalid};
use crate::error::{Error, Result};
use crate::nn::{Tensor, Weights};

/// The first entry of a zip.
const ZIP: &[u8] = b"PK\x03\x04";
/// A pickle of protocol 2 of the number 0x1950a86a20f9469cfc6c.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

const REBUILD_TENSOR: Global = ("torch._utils", "_rebuild_tensor_v2");
const REBUILD_PARAMETER: Global = ("torch._utils", "_rebuild_parameter");

/// What the pickle may name besides an ordered dictionary.
const ALLOWED: &[Global] = &[
    REBUILD_TENSOR,
    REBUILD_PARAMETER,
    ("torch", "FloatStorage"),
    ("torch", "HalfStorage"),
    ("torch", "BFloat16Storage"),
    ("torch", "DoubleStorage"),
    ("torch", "LongStorage"),
];

/// Where checkpoints of whole trainings keep the weights.
const NESTED: [&str; 2] = ["state_dict", "model"];

/// Type of the numbers in a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dtype {
    F32,
    F16,
    Bf16,
    F64,
    I64,
}

/// Numbers in the file that tensors look at.
#[derive(Debug, Clone, Copy)]
struct Storage<'a> {
    dtype: Dtype,
    key: &'a str,
}

/// A tensor: some numbers of a storage, in some order.
struct View<'a> {
    storage: Storage<'a>,
    offset: usize,
    shape: Vec<usize>,
    /// How far apart neighbours lie in each dimension, in numbers.
    stride: Vec<usize>,
}

/// The tensors of a `.pth` or `.pt` file as f32, by name, each in row-major order, whatever its strides.
///
/// Numbers may be stored as float, half, bfloat16 or double. Tensors of whole numbers are left out: those are counters,
/// such as the `num_batches_tracked` of each normalisation, which no network here has a use for. Where the file is a
/// checkpoint that holds the weights under `state_dict` or `model`, those come back.
///
/// Never panics, whatever the bytes, and allocates no more than a few times their number: no size in the file is believed
/// before it is compared with what is there.
///
/// # Errors
/// [`Error::Weights`] for a file of another kind, a damaged one, one that asks for anything but what a dictionary of
/// tensors needs, for an empty tensor, and for a value that is not finite.
pub fn read_state_dict(bytes: &[u8]) -> Result<Weights> {
    if bytes.starts_with(ZIP) {
        zipped(bytes)
    } else if bytes.starts_with(LEGACY) {
        legacy(bytes)
    } else {
        let reason = "is neither safetensors nor what torch.save writes; was a web page saved in its place?";
        Err(invalid(reason.into()))
    }
}

fn zipped(bytes: &[u8]) -> Result<Weights> {
    let damaged = |error| invalid(format!("the zip is damaged ({error}); fetch or copy it again"));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    // The folder that everything lies in is called after the file.
    let mut names = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned()));
    let Some(folder) = names.find_map(|name| Some(name.strip_suffix("data.pkl")?.to_owned())) else {
        return Err(invalid(format!("is a zip without `data.pkl`, which torch.save would write; {SAVE_WEIGHTS}")));
    };
    drop(names);
    let has_order = archive.index_for_name(&format!("{folder}byteorder")).is_some();
    let mut entry = |name: &str| -> Result<&[u8]> {
        let mut file = archive.by_name(&format!("{folder}{name}")).map_err(damaged)?;
        // Reading compares with the entry's checksum; nothing is compressed, so the bytes are those in the file.
        let length = io::copy(&mut file, &mut io::sink()).map_err(|error| damaged(error.into()))?;
        let start = file.data_start().unwrap_or(u64::MAX);
        let range = usize::try_from(start).ok().zip(usize::try_from(start.saturating_add(length)).ok());
        range
            .and_then(|(start, end)| bytes.get(start..end))
            .ok_or_else(|| invalid(format!("`{name}` lies outside of it")))
    };
    if has_order && entry("byteorder")? != b"little" {
        return Err(big_endian());
    }
    let pickle = unpickle(&mut Bytes(entry("data.pkl")?), ALLOWED)?;
    tensors(&pickle, bytes.len(), |storage| entry(&format!("data/{}", storage.key)))
}

fn legacy(bytes: &[u8]) -> Result<Weights> {
    let mut rest = Bytes(&bytes[LEGACY.len()..]);
    let version = unpickle(&mut rest, &[])?.root;
    if version != Value::Int(1001) {
        return Err(invalid(format!("is of version {version:?} of PyTorch's format, 1001 is read; {SAVE_WEIGHTS}")));
    }
    let machine = unpickle(&mut rest, &[])?;
    if machine.get(machine.root, "little_endian") != Some(Value::Bool(true)) {
        return Err(big_endian());
    }
    let pickle = unpickle(&mut rest, ALLOWED)?;
    let keys = unpickle(&mut rest, &[])?;
    let Value::List(keys_items) = keys.root else { return Err(invalid("does not list its storages".into())) };

    let mut dtypes = BTreeMap::new();
    for &persistent in &pickle.persistent {
        let Some(Storage { dtype, key }) = storage(&pickle, persistent) else {
            return Err(invalid(format!("describes a storage as no torch.save does; {SAVE_WEIGHTS}")));
        };
        dtypes.insert(key, dtype);
    }
    let mut storages = BTreeMap::new();
    for key in keys.items(keys_items) {
        let Some((key, dtype)) = text(*key).and_then(|key| dtypes.get_key_value(key)) else {
            return Err(invalid(format!("holds a storage {key:?} that no tensor uses")));
        };
        let numbers = u64::from_le_bytes(rest.array()?);
        let length = usize::try_from(numbers).unwrap_or(usize::MAX).saturating_mul(dtype.bytes());
        storages.insert(*key, rest.take(length)?);
    }
    tensors(&pickle, bytes.len(), |Storage { key, .. }| {
        storages.get(key).copied().ok_or_else(|| invalid(format!("storage `{key}` is missing")))
    })
}

/// The tensors of the dictionary in `pickle`, which lies in a file of `size` bytes; `numbers` finds those of a storage.
fn tensors<'a>(
    pickle: &Pickle<'a>,
    size: usize,
    mut numbers: impl FnMut(Storage<'a>) -> Result<&'a [u8]>,
) -> Result<Weights> {
    let nested = NESTED.iter().filter_map(|key| pickle.get(pickle.root, key)).find_map(|value| pickle.dict(value));
    let Some(entries) = nested.or_else(|| pickle.dict(pickle.root)) else {
        return Err(invalid(format!("holds no dictionary of tensors; {SAVE_WEIGHTS}")));
    };
    let mut tensors = BTreeMap::new();
    // Tensors may share numbers, which are then in the file once.
    let mut left = size;
    for &[key, value] in entries {
        let Some(name) = text(key) else { return Err(invalid(format!("calls a tensor {key:?}, which is no text"))) };
        let Some(view) = view(pickle, value) else {
            return Err(invalid(format!("`{name}` in it is no tensor; {SAVE_WEIGHTS}")));
        };
        if view.storage.dtype == Dtype::I64 {
            continue;
        }
        let values = view.values(numbers(view.storage)?, &mut left);
        let values = values.ok_or_else(|| {
            invalid(format!(
                "tensor `{name}` of shape {:?} claims numbers that are not there; fetch or copy it again",
                view.shape
            ))
        })?;
        let tensor = Tensor { shape: view.shape, values };
        checked(name, &tensor)?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(Weights(tensors))
}

/// The tensor that the calls in `value` would make.
fn view<'a>(pickle: &Pickle<'a>, mut value: Value<'a>) -> Option<View<'a>> {
    loop {
        let Value::Call(call) = value else { return None };
        let &[Value::Global(callee), Value::Tuple(arguments)] = pickle.items(call) else { return None };
        match (callee, pickle.items(arguments)) {
            (REBUILD_PARAMETER, &[data, ..]) => value = data,
            (REBUILD_TENSOR, &[persistent, Value::Int(offset), Value::Tuple(shape), Value::Tuple(stride), ..]) => {
                let [shape, stride] = [shape, stride].map(|items| sizes(pickle.items(items)));
                let (storage, offset) = (storage(pickle, persistent)?, usize::try_from(offset).ok()?);
                let view = View { storage, offset, shape: shape?, stride: stride? };
                return (view.shape.len() == view.stride.len()).then_some(view);
            }
            _ => return None,
        }
    }
}

fn sizes(items: &[Value<'_>]) -> Option<Vec<usize>> {
    let size = |item: &Value<'_>| if let Value::Int(size) = item { usize::try_from(*size).ok() } else { None };
    items.iter().map(size).collect()
}

/// `("storage", type, key, device, length)`; in the older layout a sixth item is `None`, or else only a part is meant,
/// which has not been written since 2017.
fn storage<'a>(pickle: &Pickle<'a>, value: Value<'a>) -> Option<Storage<'a>> {
    let Value::Persistent(id) = value else { return None };
    let &[Value::Tuple(id)] = pickle.items(id) else { return None };
    match pickle.items(id) {
        &[Value::Text("storage"), Value::Global(("torch", class)), Value::Text(key), _, _]
        | &[Value::Text("storage"), Value::Global(("torch", class)), Value::Text(key), _, _, Value::None] => {
            Some(Storage { dtype: Dtype::of(class)?, key })
        }
        _ => None,
    }
}

impl Dtype {
    fn of(class: &str) -> Option<Self> {
        match class {
            "FloatStorage" => Some(Self::F32),
            "HalfStorage" => Some(Self::F16),
            "BFloat16Storage" => Some(Self::Bf16),
            "DoubleStorage" => Some(Self::F64),
            "LongStorage" => Some(Self::I64),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// The number in `bytes`, which are as many as [`Dtype::bytes`] says.
    fn read(self, bytes: &[u8]) -> f32 {
        const LENGTH: &str = "as many bytes as a number has";
        match self {
            Self::F32 => f32::from_le_bytes(bytes.try_into().expect(LENGTH)),
            Self::F16 => half::f16::from_le_bytes(bytes.try_into().expect(LENGTH)).to_f32(),
            Self::Bf16 => half::bf16::from_le_bytes(bytes.try_into().expect(LENGTH)).to_f32(),
            Self::F64 => f64::from_le_bytes(bytes.try_into().expect(LENGTH)) as f32,
            Self::I64 => i64::from_le_bytes(bytes.try_into().expect(LENGTH)) as f32,
        }
    }
}

impl View<'_> {
    /// The numbers in row-major order out of those of the storage, or nothing where they would lie beyond its end, or
    /// are more than are `left` to the file.
    fn values(&self, storage: &[u8], left: &mut usize) -> Option<Vec<f32>> {
        let count = self.shape.iter().try_fold(1, |n: usize, &size| n.checked_mul(size))?;
        *left = left.checked_sub(count)?;
        if count == 0 {
            return Some(Vec::new());
        }
        let dimensions = || self.shape.iter().zip(&self.stride);
        let last = dimensions()
            .try_fold(self.offset, |at, (size, stride)| at.checked_add((size - 1).checked_mul(*stride)?))?;
        if last >= storage.len() / self.storage.dtype.bytes() {
            return None;
        }
        // Where each number lies, dimension by dimension from the outermost.
        let mut positions = vec![self.offset];
        for (&size, &stride) in dimensions().filter(|(size, _)| **size > 1) {
            positions = positions.iter().flat_map(|first| (0..size).map(move |i| first + i * stride)).collect();
        }
        let bytes = self.storage.dtype.bytes();
        Some(positions.into_iter().map(|at| self.storage.dtype.read(&storage[bytes * at..][..bytes])).collect())
    }
}

fn text(value: Value<'_>) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

fn big_endian() -> Error {
    invalid(format!("was written on a big-endian machine; on another one, {SAVE_WEIGHTS}"))
}
