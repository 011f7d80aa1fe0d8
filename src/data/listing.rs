//! What lies in a folder, or in a zip, on the disk: paths, and where the bytes of each are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use walkdir::WalkDir;

use super::archive::{Archive, Source, folder_name, is_archive};
use super::labelling::FoundTable;
use super::layout::LeftOut;
use super::names::{free, is_document, is_image, is_system, is_table};
use super::{Packed, Stored, Unreadable};
use crate::error::{Error, Result};

/// The most bytes of a table, or of a zip in a zip, which are held in memory.
const MOST_BYTES: u64 = 2 << 30;

/// The bytes of a zip.
#[derive(Debug)]
enum Bytes {
    File {
        file: Mutex<File>,
        len: u64,
    },
    /// Of a zip in a zip.
    Memory(Vec<u8>),
}

impl Source for Bytes {
    fn size(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Memory(bytes) => bytes.size(),
        }
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::File { file, .. } => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(at))?;
                file.read(into)
            }
            Self::Memory(bytes) => bytes.read_at(at, into),
        }
    }
}

/// One file of a zip.
#[derive(Debug)]
struct InArchive {
    archive: Arc<Archive<Bytes>>,
    index: usize,
}

impl Stored for InArchive {
    fn read(&self, most: u64) -> Result<Vec<u8>> {
        self.archive.read(self.index, most)
    }
}

/// Where a file is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its path for messages: that of the zip, and its path in it, for one in a zip.
    pub(super) path: PathBuf,
    pub(super) packed: Option<Packed>,
}

/// All files and empty folders below a folder or in a zip.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// By path below the folder, with `/` on every system.
    pub(super) files: BTreeMap<String, Place>,
    /// Paths of folders, each ending in `/`.
    folders: Vec<String>,
    pub(super) tables: Vec<FoundTable>,
    /// Zips that break off, and their like: sentences.
    pub(super) notes: Vec<String>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) unreadable: Vec<Unreadable>,
}

impl Listing {
    /// What is in the folder or zip at `path`.
    ///
    /// # Errors
    /// [`Error::Dataset`] when it is neither, [`Error::Archive`] for a zip that cannot be read, [`Error::Io`].
    pub(super) fn of(path: &Path) -> Result<Self> {
        let mut listing = Self::default();
        if path.is_dir() {
            listing.walk(path)?;
            listing.read_manifest_above(path)?;
        } else if path.is_file() && is_archive(&file_name(path), &head(path)) {
            listing.add_archive("", path, open(path)?);
        } else {
            return Err(Error::Dataset { reason: format!("{} is not a folder, nor a zip", path.display()) });
        }
        listing.read_tables();
        Ok(listing)
    }

    /// Paths of files and folders.
    pub(super) fn paths(&self) -> Vec<&str> {
        self.files.keys().chain(&self.folders).map(String::as_str).collect()
    }

    /// Takes a table that lies anywhere, unless it is one of those that are there, by its path below the folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn add_table(&mut self, path: &Path) -> Result<()> {
        if !path.is_file() && self.tables.iter().any(|found| found.is_called(&path.to_string_lossy())) {
            return Ok(());
        }
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        self.tables.push(FoundTable::elsewhere(&path.to_string_lossy(), "", &bytes));
        Ok(())
    }

    fn walk(&mut self, root: &Path) -> Result<()> {
        // What the system put into folders of its own is named by the folder.
        let own = |entry: &walkdir::DirEntry| {
            let parent =
                entry.path().parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
            entry.depth() < 2 || !parent.is_some_and(|name| is_system(&name))
        };
        // Following links, `walkdir` reports a circle as an error instead of going round.
        for entry in WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_entry(own) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_path_buf();
                    let top = error.depth() == 0;
                    let error = Error::Io { path: path.clone(), source: error.into() };
                    if top {
                        return Err(error);
                    }
                    self.unreadable.push(Unreadable { path, error });
                    continue;
                }
            };
            let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            let (path, name) = (parts.join("/"), entry.file_name().to_string_lossy());
            if path.is_empty() {
                continue;
            }
            if entry.file_type().is_dir() && !is_system(&name) {
                self.folders.push(path + "/");
            } else if !entry.file_type().is_dir() && !is_system(&name) && looks_packed(&name, entry.path()) {
                self.add_packed(&path, entry.path());
            } else {
                self.insert(path, Place { path: entry.path().to_path_buf(), packed: None });
            }
        }
        Ok(())
    }

    /// Takes a file; never in place of another of the same path.
    fn insert(&mut self, path: String, place: Place) {
        self.files.insert(free(&path, |path| self.files.contains_key(path)), place);
    }

    /// Takes what is in a zip in a folder.
    fn add_packed(&mut self, path: &str, file: &Path) {
        let prefix = folder_name(path);
        if file.with_file_name(folder_name(&file_name(file))).is_dir() {
            let words = "zips beside which their folder lies unpacked";
            self.left_out.push(LeftOut::new("unpacked", words, &[path]));
            return;
        }
        match open(file) {
            Ok(archive) => self.add_archive(&format!("{prefix}/"), file, archive),
            Err(error) => self.unreadable.push(Unreadable { path: file.to_path_buf(), error }),
        }
    }

    /// Takes what is in a zip, under `prefix`.
    fn add_archive(&mut self, prefix: &str, file: &Path, archive: Archive<Bytes>) {
        let archive = Arc::new(archive);
        self.notes.extend(archive.notes());
        for (index, entry) in archive.entries().iter().enumerate() {
            let path = format!("{prefix}{}", entry.path);
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            let shown = file.join(&entry.path);
            if entry.is_folder() {
                self.folders.push(path);
            } else if is_archive(name, b"") && !entry.path.split('/').any(is_system) {
                let inner = archive.read(index, MOST_BYTES);
                match inner.and_then(|bytes| Archive::open(&shown.display().to_string(), Bytes::Memory(bytes))) {
                    Ok(inner) => self.add_archive(&format!("{}/", folder_name(&path)), &shown, inner),
                    Err(error) => self.unreadable.push(Unreadable { path: shown, error }),
                }
            } else {
                let packed = Packed::new(InArchive { archive: archive.clone(), index });
                self.insert(path, Place { path: shown, packed: Some(packed) });
            }
        }
    }

    fn read_tables(&mut self) {
        for (path, place) in self.files.iter().filter(|(path, _)| is_table(path) && !path.split('/').any(is_system)) {
            let bytes = match &place.packed {
                Some(packed) => packed.read(MOST_BYTES),
                None => std::fs::read(&place.path).map_err(|source| Error::Io { path: place.path.clone(), source }),
            };
            match bytes {
                Ok(bytes) => self.tables.push(FoundTable::new(path, &bytes)),
                Err(error) => self.unreadable.push(Unreadable { path: place.path.clone(), error }),
            }
        }
    }

    /// The manifest of the folder above may know the part of its set that `root` is.
    fn read_manifest_above(&mut self, root: &Path) -> Result<()> {
        // `.` and `..` have no name that it could know.
        let full = root.canonicalize().map_err(|source| Error::Io { path: root.into(), source })?;
        let (Some(parent), Some(name)) = (full.parent(), full.file_name()) else { return Ok(()) };
        let manifest = parent.join("manifest.csv");
        if root.join("manifest.csv").is_file() || !manifest.is_file() {
            return Ok(());
        }
        let bytes = std::fs::read(&manifest).map_err(|source| Error::Io { path: manifest.clone(), source })?;
        let above = format!("{}/", name.to_string_lossy());
        self.tables.push(FoundTable::elsewhere(&manifest.to_string_lossy(), &above, &bytes));
        Ok(())
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// The first bytes of a file; none of one that cannot be read, which shows later.
fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut head));
    if read.is_ok() { head } else { Vec::new() }
}

fn looks_packed(name: &str, path: &Path) -> bool {
    is_archive(name, b"") || (!is_image(name) && !is_document(name) && is_archive(name, &head(path)))
}

fn open(path: &Path) -> Result<Archive<Bytes>> {
    let io = |source| Error::Io { path: path.into(), source };
    let file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    Archive::open(&path.display().to_string(), Bytes::File { file: Mutex::new(file), len })
}
