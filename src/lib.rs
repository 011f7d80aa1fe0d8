//! Roentgen classifies chest X-rays, in the browser and on the command line, and trains the networks that do so.
//!
//! It is for research and teaching. **It is not a medical device**, and nothing that it says is a diagnosis.
//!
//! # An image and its answer
//!
#![cfg_attr(feature = "cli", doc = "```")]
#![cfg_attr(not(feature = "cli"), doc = "```ignore")]
//! let (card, weights) = roentgen::read_model_folder("www/models/four-findings".as_ref())?;
//! let classifier = roentgen::Classifier::new(card, &weights)?;
//! let image = std::fs::read("www/models/four-findings/samples/normal.png")?;
//! let prediction = classifier.classify_bytes(&image)?;
//! assert_eq!(prediction.label, "Normal");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/classify.rs` is a program of this, `examples/train.rs` one that trains, `examples/candle.rs` shows a network to
//! whoever knows candle.
//!
//! # The path
//!
//! 1. [`image::decode`] turns the bytes of a file, [`image::from_rgba`] the pixels of a canvas, into a [`Radiograph`]:
//!    luminance in `[0, 1]`. Limits are checked before anything is allocated.
//! 2. [`preprocess::Preprocess`] makes the numbers of it that a network takes. Its settings are part of the model.
//! 3. [`models`] describes each network once, as a [`nn::Graph`] of plain layers. [`nn::Frozen`] runs it with weights that no
//!    longer change, [`nn::Training`] forward and back. [`kernels`] has the arithmetic. To candle a network is one custom op in
//!    a module: [`nn::Network`] in use, [`nn::Learner`] in training.
//! 4. [`Classifier`] shows the whole path of one image. The logits become calibrated probabilities and a set of classes
//!    ([`Answer`]), or the image is rejected with a reason ([`refusal`]). [`explain`] says where the network looked.
//! 5. A model is a folder with its card ([`ModelCard`]) and its weights; [`formats`] reads, checks and writes both.
//!
//! To train, [`data`] makes labelled images in memory of folders, tables and zips, and draws batches of them;
//! [`train::Run`] takes one step at a time. The loop, the clock and the files belong to the caller. [`metrics`] measures.
//! Whatever fails gives the one [`Error`].
//!
//! # Features and their price
//!
//! | feature | what it brings | price |
//! |---|---|---|
//! | `cli` (default) | the command line; folders, tables and zips; `.pth` and ONNX; `adapt`, `audit`, `compress`, `lungs` | 85 crates more than without any |
//! | `png-jpeg` | decoders of PNG and JPEG | 9 crates |
//! | `more-formats` | decoders of WebP, BMP, GIF, TIFF and PGM | 17 crates |
//! | `measuring` | the parts of a card that only people read, and measuring answers that are sets | 5 % of the module that classifies |
//! | `web` | bindings for a module that classifies | a module of 257 kB in Brotli |
//! | `training` | `web`, and bindings for a module that trains | one of 824 kB, 150 of them candle's autograd |
//! | `decoders` | bindings for a module with `more-formats` | one of 204 kB |
//! | `threads` | `web` with threads in shared memory; takes the compiler flags in `build.sh` | 3 kB |
//!
//! Without any feature the crate runs and trains networks, and decodes no file: `default-features = false`, 138 crates, most of
//! them candle's.

#[cfg(any(feature = "cli", feature = "training"))]
pub mod adapt;
#[cfg(feature = "cli")]
pub mod audit;
pub mod classifier;
#[cfg(feature = "cli")]
pub mod compress;
pub mod data;
pub mod error;
pub mod explain;
pub mod formats;
pub mod image;
pub mod labels;
#[cfg(feature = "cli")]
pub mod lungs;
pub mod metrics;
pub mod models;
pub mod nn;
#[cfg(feature = "cli")]
pub mod onnx;
pub mod preprocess;
pub mod refusal;
pub mod train;
#[cfg(feature = "bindings")]
pub mod web;

pub use classifier::{Classifier, Prediction};
pub use error::{Error, Result};
#[cfg(feature = "cli")]
pub use formats::folder::read_model_folder;
pub use formats::{Answer, ModelCard};
pub use image::Radiograph;
pub use nn::Network;
pub use roentgen_kernels as kernels;
