//! Labelled films on disk as batches in memory.
//!
//! [`open`] finds the films and their classes and holds some back for validation, [`Dataset::load`] decodes and resizes
//! them once, [`Loader`] draws augmented batches. Same folders, same seed, same step: same batch, on any number of
//! threads. A page, which has no folders to open, hands its films to a [`Collection`] instead. What a batch is used for is left to the trainer.

#[cfg(any(feature = "cli", feature = "training"))]
mod alike;
#[cfg(any(feature = "cli", feature = "training"))]
mod archive;
#[cfg(any(feature = "cli", feature = "training"))]
mod collection;
mod dataset;
mod draw;
mod either;
#[cfg(feature = "cli")]
mod folder;
mod hospital;
#[cfg(any(feature = "cli", feature = "training"))]
mod labelling;
#[cfg(any(feature = "cli", feature = "training"))]
mod layout;
#[cfg(feature = "cli")]
mod listing;
mod loader;
#[cfg(any(feature = "cli", feature = "training"))]
mod named;
#[cfg(any(feature = "cli", feature = "training"))]
mod names;
mod origin;
#[cfg(any(feature = "cli", feature = "training"))]
mod split;
mod style;
mod summary;
mod surroundings;
#[cfg(feature = "cli")]
mod survey;
#[cfg(any(feature = "cli", feature = "training"))]
mod table;
mod unused;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(any(feature = "cli", feature = "training"))]
pub use archive::{Archive, Source, folder_name, is_archive};
#[cfg(any(feature = "cli", feature = "training"))]
pub use collection::{Collection, Copies, Report, Shared, Shares};
pub use dataset::{Dataset, Unreadable};
pub use draw::Draw;
#[cfg(feature = "cli")]
pub use draw::draw_by_square_root;
pub use either::Either;
#[cfg(feature = "cli")]
pub use folder::{
    FolderOptions, Folders, Labelled, is_test_folder, open, open_flat, open_labelled, open_named, open_part,
};
pub use hospital::Hospital;
#[cfg(feature = "cli")]
pub use hospital::assign_hospitals;
#[cfg(any(feature = "cli", feature = "training"))]
pub use labelling::LabelColumns;
#[cfg(any(feature = "cli", feature = "training"))]
pub use layout::LeftOut;
pub use loader::{Balance, Batch, Loader, LoaderConfig};
#[cfg(feature = "training")]
pub use named::NamedTables;
#[cfg(any(feature = "cli", feature = "training"))]
pub use named::{Named, Unmatched, class_of};
pub use origin::{Origin, healthy_class, no_pairs};
pub use style::{match_bands, match_histogram};
pub use summary::{ClassFacts, Facts, GroupFacts, Summary, summary};
pub use surroundings::Surroundings;
#[cfg(feature = "cli")]
pub use survey::{Survey, survey};
pub use unused::Unused;

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
    /// Where its bytes are when it is no file by itself.
    pub packed: Option<Packed>,
}

impl Sample {
    /// The bytes of the file, refused before reading when they are more than `limits` allow.
    ///
    /// # Errors
    /// Those of [`read_film`], or of the zip that it is in.
    pub fn read(&self, limits: &Limits) -> Result<Vec<u8>> {
        match &self.packed {
            Some(packed) => packed.read(limits.max_bytes),
            None => read_film(&self.path, limits),
        }
    }
}

/// What gives the bytes of a file that is no file by itself, such as one in a zip.
pub trait Stored: fmt::Debug + Send + Sync {
    /// All bytes, of which there may be `most`.
    ///
    /// # Errors
    /// [`Error::TooManyBytes`], and those of whatever holds them.
    fn read(&self, most: u64) -> Result<Vec<u8>>;
}

/// A shared [`Stored`]; the same as another when it is the very same.
#[derive(Debug, Clone)]
pub struct Packed(Arc<dyn Stored>);

impl Packed {
    /// Shares it.
    pub fn new(stored: impl Stored + 'static) -> Self {
        Self(Arc::new(stored))
    }

    /// See [`Stored::read`].
    ///
    /// # Errors
    /// Those of [`Stored::read`].
    pub fn read(&self, most: u64) -> Result<Vec<u8>> {
        self.0.read(most)
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Packed {}

/// As a walk through the folders would find them: names of folders and files compared one by one.
#[cfg(any(feature = "cli", feature = "training"))]
fn in_order(samples: &mut [Sample]) {
    samples.sort_by(|a, b| a.class.cmp(&b.class).then_with(|| a.name.split('/').cmp(b.name.split('/'))));
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
