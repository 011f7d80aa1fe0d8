//! The model folder on disk: `model.json` and the weights it names.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::card::{Encoding, MAX_WEIGHTS_BYTES, ModelCard, WeightsInfo};
use crate::error::{Error, Result};

/// File name of the card.
pub const CARD_FILE: &str = "model.json";

/// A card holds text and a few tables; larger than this it is something else.
const MAX_CARD_BYTES: u64 = 16 << 20;

/// Reads `dir/model.json` and the weights it names: the card, and the safetensors bytes, checked and unpacked.
///
/// # Errors
/// [`Error::Io`] with the path that cannot be read, [`Error::TooManyBytes`] for a card that cannot be one,
/// [`Error::ModelCard`], [`Error::WeightsMismatch`] when the stored file is not the one that the card describes,
/// [`Error::Weights`] when it does not unpack.
pub fn read_model_folder(dir: &Path) -> Result<(ModelCard, Vec<u8>)> {
    let card = ModelCard::from_json(&read_file(&dir.join(CARD_FILE), MAX_CARD_BYTES)?)?;
    // One byte more than it should have is enough to know that the file is another one.
    let path = dir.join(&card.weights.file);
    let stored = match read_file(&path, card.weights.bytes) {
        Err(Error::TooManyBytes { bytes, limit }) => {
            return Err(Error::WeightsMismatch {
                what: "length",
                expected: format!("{limit} bytes"),
                found: format!("{bytes} bytes"),
            });
        }
        stored => stored?,
    };
    card.verify(&stored)?;
    let safetensors = unpack(stored, card.weights.encoding)?;
    Ok((card, safetensors))
}

/// Replaces the card of the model folder `dir`, whose weights stay as they are.
///
/// # Errors
/// [`Error::ModelCard`] for a card that could not be read back, [`Error::Io`] with the path that cannot be written.
pub fn write_card(dir: &Path, card: &ModelCard) -> Result<()> {
    card.validate()?;
    write_file_atomically(&dir.join(CARD_FILE), &card.to_json())
}

/// Writes a model folder, making it where it is not there, and returns the card as written.
///
/// The card's `weights` are replaced by what describes the stored file. Both files are complete on disk under temporary
/// names before either takes its place, and the weights that were there keep their place until then; when taking the
/// place fails, the old ones go back. A process killed between the two renames leaves the old weights in
/// `weights.safetensors.previous` beside the old card.
///
/// # Errors
/// [`Error::ModelCard`] for a card that could not be read back, [`Error::Io`] with the path that cannot be written.
pub fn write_model_folder(dir: &Path, card: &ModelCard, safetensors: &[u8], encoding: Encoding) -> Result<ModelCard> {
    let stored = pack(safetensors, encoding);
    let card = ModelCard { weights: WeightsInfo::of(&stored, encoding), ..card.clone() };
    card.validate()?;

    fs::create_dir_all(dir).map_err(at(dir))?;
    let weights = dir.join(&card.weights.file);
    let new_weights = write_beside(&weights, &stored)?;
    let new_card = write_beside(&dir.join(CARD_FILE), &card.to_json())?;

    let placed = take_place(&new_weights, &weights).and_then(|previous| {
        let placed = rename(&new_card, &dir.join(CARD_FILE));
        match (previous, &placed) {
            (Some(previous), Ok(())) => fs::remove_file(&previous).map_err(at(&previous))?,
            (Some(previous), Err(_)) => rename(&previous, &weights)?,
            (None, _) => {}
        }
        placed
    });
    if let Err(error) = placed {
        // Either file may be gone already, renamed or never written. The first error is the one worth reporting.
        let _ = (fs::remove_file(&new_weights), fs::remove_file(&new_card));
        return Err(error);
    }
    Ok(card)
}

/// Writes `bytes` to `path` so that a reader, or a crash, finds either the old file or the new one.
///
/// # Errors
/// [`Error::Io`] with the path that cannot be written.
pub fn write_file_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    rename(&write_beside(path, bytes)?, path)
}

/// Renames `new` to `path`; what was there becomes the `path.previous` that comes back.
fn take_place(new: &Path, path: &Path) -> Result<Option<PathBuf>> {
    if !path.exists() {
        return rename(new, path).map(|()| None);
    }
    let previous = with_ending(path, "previous");
    rename(path, &previous)?;
    if let Err(error) = rename(new, path) {
        rename(&previous, path)?;
        return Err(error);
    }
    Ok(Some(previous))
}

/// Writes `path.partial`, down to the disk, and returns its path. Nothing is left of it on failure.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let partial = with_ending(path, "partial");
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written {
        // Best effort: the error worth reporting is the first one, a full disk say.
        let _ = fs::remove_file(&partial);
        return Err(at(&partial)(error));
    }
    Ok(partial)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(at(to))
}

/// The file's bytes, unless there are more than `limit`.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(at(path))?;
    let mut bytes = Vec::new();
    // Bounded while reading, not by the length the file system states: that of a pipe or of /dev/zero is 0.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(at(path))?;
    if bytes.len() as u64 > limit {
        let stated = fs::metadata(path).map_err(at(path))?.len();
        return Err(Error::TooManyBytes { bytes: stated.max(limit + 1), limit });
    }
    Ok(bytes)
}

fn pack(safetensors: &[u8], encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Identity => safetensors.to_vec(),
        Encoding::Gzip => {
            // The encoder writes neither name nor time into the header: the same weights, the same bytes.
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(safetensors).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
        }
    }
}

fn unpack(stored: Vec<u8>, encoding: Encoding) -> Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(stored),
        Encoding::Gzip => gunzip(&stored, MAX_WEIGHTS_BYTES),
    }
}

/// Unpacks gzip up to `limit` bytes: a thousand times the file's size may come out of it.
fn gunzip(stored: &[u8], limit: u64) -> Result<Vec<u8>> {
    let mut safetensors = Vec::new();
    let mut decoder = GzDecoder::new(stored);
    (&mut decoder)
        .take(limit + 1)
        .read_to_end(&mut safetensors)
        .map_err(|error| Error::Weights { reason: format!("the gzip stream is damaged: {error}") })?;
    if safetensors.len() as u64 > limit {
        return Err(Error::Weights { reason: format!("unpacks to more than {limit} bytes") });
    }
    let trailing = decoder.into_inner().len();
    if trailing > 0 {
        return Err(Error::Weights { reason: format!("{trailing} bytes follow the gzip stream") });
    }
    Ok(safetensors)
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_gives_back_what_was_packed_and_the_same_bytes_each_time() {
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i / 7) as u8).collect();
        let packed = pack(&bytes, Encoding::Gzip);
        assert!(packed.len() < bytes.len() / 2);
        assert_eq!(packed, pack(&bytes, Encoding::Gzip));
        assert_eq!(gunzip(&packed, bytes.len() as u64).unwrap(), bytes);
    }

    #[test]
    fn a_gzip_bomb_is_stopped_at_the_limit() {
        let bomb = pack(&vec![0; 10 << 20], Encoding::Gzip);
        assert!(bomb.len() < 20_000);
        let error = gunzip(&bomb, 1 << 20).unwrap_err().to_string();
        assert_eq!(error, "weights file: unpacks to more than 1048576 bytes");
    }

    #[test]
    fn damaged_gzip_is_an_error() {
        let packed = pack(b"some weights", Encoding::Gzip);
        for length in 0..packed.len() {
            assert_eq!(gunzip(&packed[..length], 100).unwrap_err().kind(), "weights", "cut to {length}");
        }
        assert!(gunzip(b"not gzip at all", 100).is_err());
        let followed = [packed.as_slice(), b"more"].concat();
        assert!(gunzip(&followed, 100).unwrap_err().to_string().contains("4 bytes follow"));
    }

    #[test]
    fn an_atomic_write_replaces_the_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.json");
        write_file_atomically(&path, b"old").unwrap();
        write_file_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(write_file_atomically(&dir.path().join("no/such"), b"").unwrap_err().kind(), "io");
    }
}
