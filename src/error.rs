//! The one error type of the library: variants named by what the caller can do about them, carrying the values.

use std::path::PathBuf;

/// What every fallible function of the library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong outside our own control; a broken invariant of ours panics instead.
// The fields are what each message shows.
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not an image, or are in a format that nobody here knows.
    #[error("not a readable image: {reason}; DICOM, PNG, JPEG, WebP, BMP, TIFF, PGM and GIF are read")]
    UnknownFormat { reason: String },
    /// The bytes are well known, and not read here.
    #[error("{what} is not supported: {advice}")]
    Unsupported { what: String, advice: &'static str },
    /// The numbers of a file can be read, but nobody says which of them is black and which is white.
    #[error(
        "its values run from {smallest} to {largest}, and the file does not say which are black and white: give the value \
         range, such as {low}..{high}, or save it as PNG of 8 or 16 bits"
    )]
    ValueRange { smallest: f32, largest: f32, low: f32, high: f32 },
    /// The file's header says that it shows something else, so no pixel is read.
    #[error(
        "its header says {what}, which is no chest radiograph; where the header is wrong, export the image as PNG and take that"
    )]
    NotChest { what: String },
    /// The bytes claim a known format but break its rules or end too early.
    #[error("damaged {format} image: {reason}")]
    Damaged { format: &'static str, reason: String },
    /// Refused before allocating: a header may claim any size.
    #[error("image is {width}×{height} px; the limit is {limit} px a side")]
    TooLarge { width: u32, height: u32, limit: u32 },
    /// Refused before allocating: each side is allowed, their product is not.
    #[error("image is {width}×{height} px; the limit is {limit} px in all")]
    TooManyPixels { width: u32, height: u32, limit: u64 },
    /// Refused before decoding.
    #[error("file has {bytes} bytes; the limit is {limit}")]
    TooManyBytes { bytes: u64, limit: u64 },
    /// No pixel, or fewer than any network here can use.
    #[error("image is {width}×{height} px; at least {minimum} px a side are needed")]
    TooSmall { width: u32, height: u32, minimum: u32 },
    /// A buffer does not hold what its stated dimensions ask for.
    #[error("buffer holds {found} values; {expected} are needed")]
    BufferLength { expected: usize, found: usize },
    /// `model.json` is not JSON, misses a field, or holds a value that makes no sense.
    #[error("model card: {reason}")]
    ModelCard { reason: String },
    /// The architecture named in a card or on the command line is not built in.
    #[error("unknown architecture `{name}`; known: {known}")]
    UnknownArchitecture { name: String, known: String },
    /// The class asked about is not one that the model tells apart.
    #[error("unknown class `{name}`; the model has: {known}")]
    UnknownClass { name: String, known: String },
    /// The weights are not those that the card describes: altered, truncated, or of another version.
    #[error("weights have {what} {found}; the model card says {expected}")]
    WeightsMismatch { what: &'static str, expected: String, found: String },
    /// The weights file is not valid safetensors.
    #[error("weights file: {reason}")]
    Weights { reason: String },
    /// A weight that the architecture asks for is not in the file.
    #[error("tensor `{name}` is missing from the weights")]
    TensorMissing { name: String },
    /// A weight in the file has another shape than the architecture asks for.
    #[error("tensor `{name}`: expected shape {expected:?}, found {found:?}")]
    TensorShape { name: String, expected: Vec<usize>, found: Vec<usize> },
    /// A folder is not laid out as a data set, or a filter leaves nothing of it.
    #[error("data set: {reason}")]
    Dataset { reason: String },
    /// A zip, or a file in it, is not one that is read: broken, protected, or something else altogether.
    #[error("{name}: {reason}")]
    Archive { name: String, reason: String },
    /// A training or preprocessing setting that makes no sense.
    #[error("{field}: {reason}")]
    Config { field: &'static str, reason: String },
    /// A loss or weight became infinite or not a number.
    #[error("training diverged at step {step}: loss is {loss}; try a smaller learning rate")]
    Diverged { step: u64, loss: f32 },
    /// A checkpoint does not belong to this run, or is damaged.
    #[error("checkpoint: {reason}")]
    Checkpoint { reason: String },
    /// Reading or writing a file failed.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

impl Error {
    /// Stable machine-readable name of the kind of error, in kebab case: what `--json` output and the page's errors carry.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownFormat { .. } => "unknown-format",
            Self::Unsupported { .. } => "unsupported-format",
            Self::ValueRange { .. } => "value-range",
            Self::NotChest { .. } => "not-chest",
            Self::Damaged { .. } => "damaged",
            Self::TooLarge { .. } | Self::TooManyPixels { .. } => "too-large",
            Self::TooManyBytes { .. } => "too-many-bytes",
            Self::TooSmall { .. } => "too-small",
            Self::BufferLength { .. } => "buffer-length",
            Self::ModelCard { .. } => "model-card",
            Self::UnknownArchitecture { .. } => "unknown-architecture",
            Self::UnknownClass { .. } => "unknown-class",
            Self::WeightsMismatch { .. } => "weights-mismatch",
            Self::Weights { .. } => "weights",
            Self::TensorMissing { .. } => "tensor-missing",
            Self::TensorShape { .. } => "tensor-shape",
            Self::Dataset { .. } => "dataset",
            Self::Archive { .. } => "archive",
            Self::Config { .. } => "config",
            Self::Diverged { .. } => "diverged",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Io { .. } => "io",
        }
    }

    /// Black and white by which a file may be readable whose own numbers leave that open.
    pub fn suggested_range(&self) -> Option<[f32; 2]> {
        match *self {
            Self::ValueRange { low, high, .. } => Some([low, high]),
            _ => None,
        }
    }
}
