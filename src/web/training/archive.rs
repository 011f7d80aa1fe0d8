//! Zips for JavaScript: their files, one at a time, from a file that it reads.

use js_sys::{Function, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::data::{Archive, Source, folder_name, is_archive};
use crate::web::thrown;

#[wasm_bindgen(typescript_custom_section)]
const BLOCKS: &str = "/** A file that is read here and there. */
export interface Blocks { readonly size: number; at(start: number, end: number): Uint8Array; }";

#[wasm_bindgen]
extern "C" {
    /// A file that JavaScript reads, a part a call.
    #[wasm_bindgen(typescript_type = "Blocks")]
    pub type Blocks;
    #[wasm_bindgen(method, getter)]
    fn size(this: &Blocks) -> f64;
    #[wasm_bindgen(method, catch)]
    fn at(this: &Blocks, start: f64, end: f64) -> Result<Uint8Array, JsValue>;
}

impl Source for Blocks {
    fn size(&self) -> u64 {
        Blocks::size(self) as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
        let end = Source::size(self).min(at + into.len() as u64);
        let part = self.at(at as f64, end.max(at) as f64);
        let part = part.map_err(|cause| std::io::Error::other(format!("{cause:?}")))?;
        let len = into.len().min(part.length() as usize);
        part.subarray(0, len as u32).copy_to(&mut into[..len]);
        Ok(len)
    }
}

/// A zip whose list of files was read.
#[wasm_bindgen]
pub struct Zip(Archive<Blocks>);

#[wasm_bindgen]
impl Zip {
    /// Reads the list of the zip called `name`; throws `archive` with what the file is and what to do.
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, file: Blocks) -> Result<Zip, JsValue> {
        Archive::open(name, file).map(Self).map_err(thrown)
    }

    /// Paths of its files and folders; a folder's ends in `/`.
    #[wasm_bindgen(getter)]
    pub fn paths(&self) -> Vec<String> {
        self.0.entries().iter().map(|entry| entry.path.clone()).collect()
    }

    /// What is wrong with it as a whole, as sentences.
    #[wasm_bindgen(getter)]
    pub fn notes(&self) -> Vec<String> {
        self.0.notes()
    }

    /// Hands the bytes of file number `index`, of which there may be `most`, to `sink`, a `Uint8Array` of its own at a time.
    pub fn copy(&self, index: usize, most: f64, sink: &Function) -> Result<(), JsValue> {
        let mut failed = Ok(());
        let copied = self.0.copy(index, most as u64, &mut |piece| {
            if failed.is_ok() {
                failed = sink.call1(&JsValue::UNDEFINED, &Uint8Array::from(piece)).map(drop);
            }
        });
        failed?;
        copied.map_err(thrown)
    }
}

/// Whether a file with this name and these first bytes is opened as a zip.
#[wasm_bindgen(js_name = isArchive)]
pub fn is_zip(file: &str, head: &[u8]) -> bool {
    is_archive(file, head)
}

/// What the files of a zip are put into: its path without the ending.
#[wasm_bindgen(js_name = folderOf)]
pub fn folder_of(path: &str) -> String {
    folder_name(path).to_owned()
}
