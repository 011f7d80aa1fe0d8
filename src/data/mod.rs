//! Labelled films on disk as batches in memory.
//!
//! [`open`] finds the films and their classes and holds some back for validation, [`Dataset::load`] decodes and resizes
//! them once, [`Loader`] draws augmented batches. Same folders, same seed, same step: same batch, on any number of
//! threads. A page, which has no folders to open, hands its films to a [`Collection`] instead. What a batch is used for is left to the trainer.

#[cfg(any(feature = "cli", feature = "training"))]
mod alike;
#[cfg(any(feature = "cli", feature = "training"))]
mod collection;
mod dataset;
mod draw;
mod either;
#[cfg(feature = "cli")]
mod folder;
mod hospital;
#[cfg(any(feature = "cli", feature = "training"))]
mod layout;
mod loader;
#[cfg(any(feature = "cli", feature = "training"))]
mod manifest;
mod origin;
#[cfg(any(feature = "cli", feature = "training"))]
mod split;
mod style;
mod surroundings;
mod survey;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

#[cfg(any(feature = "cli", feature = "training"))]
pub use collection::{Collection, Copies, Report, Shared, Shares};
pub use dataset::{Dataset, Unreadable};
pub use draw::Draw;
#[cfg(feature = "cli")]
pub use draw::draw_by_square_root;
pub use either::Either;
#[cfg(feature = "cli")]
pub use folder::{FolderOptions, Folders, open, open_flat};
pub use hospital::Hospital;
#[cfg(feature = "cli")]
pub use hospital::assign_hospitals;
pub use loader::{Balance, Batch, Loader, LoaderConfig};
pub use origin::{Origin, healthy_class, no_pairs};
pub use style::{match_bands, match_histogram};
pub use surroundings::Surroundings;
pub use survey::{Survey, survey};

use crate::error::{Error, Result};
use crate::image::Limits;

/// One labelled film file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where the file is.
    pub path: PathBuf,
    /// What it is called in messages and filters: `class/file`, with `/` on every system.
    pub name: String,
    /// Index of its class.
    pub class: usize,
    /// Films of one group (a patient, near-duplicates) stay in one split; from the manifest.
    pub group: Option<String>,
    /// Which collection it comes from; from the manifest.
    pub source: Option<String>,
}

/// The bytes of a film file, refused before reading when they are more than `limits` allow.
///
/// # Errors
/// [`Error::TooManyBytes`], [`Error::Io`] (also for a folder).
pub fn read_film(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let io = |source| Error::Io { path: path.into(), source };
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    if size > limits.max_bytes {
        return Err(Error::TooManyBytes { bytes: size, limit: limits.max_bytes });
    }
    let mut bytes = Vec::with_capacity(size as usize);
    // A pipe or a growing file has no size to check beforehand: one byte over the limit is enough to refuse it later.
    file.take(limits.max_bytes + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}
