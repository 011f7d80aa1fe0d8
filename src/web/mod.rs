//! Bindings for the browser: conversion and nothing else.
//!
//! What crosses is bytes, numbers, JSON and the browser's own pixels; no tensor does. Every failure arrives in JavaScript
//! as an `Error` whose `kind` is [`Error::kind`] and whose `message` is the error's own. A panic ends the module: its
//! message goes to the console, the call throws a `WebAssembly.RuntimeError`, and the instance must not be used again.
//!
//! What is compiled depends on the module: [`classifier`] is in each variant of the one that every visitor downloads,
//! [`training`] in those of the one that takes its place in the worker that trains, [`decoders`] is in the one that
//! comes with the first film in another format than PNG or JPEG, and in the one that comes with the first DICOM file.

#[cfg(feature = "web")]
pub mod classifier;
#[cfg(any(feature = "decoders", feature = "dicom-decoder"))]
pub mod decoders;
#[cfg(feature = "web")]
mod pixels;
#[cfg(feature = "threads")]
pub mod threads;
#[cfg(feature = "training")]
pub mod training;

use js_sys::{Array, JsString, Reflect};
use wasm_bindgen::prelude::*;

use crate::error::Error;

/// Sends what a panic says to the console; without it only `unreachable` would be heard.
#[wasm_bindgen(start)]
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
}

/// `error` as a JavaScript `Error` with its `kind`, and where it has one the `range` that may make a file readable.
fn thrown(error: Error) -> JsValue {
    let value = js_sys::Error::new(&error.to_string());
    // Fails on objects that are not extensible only; without a kind the page calls it internal.
    let _ = Reflect::set(&value, &JsString::from("kind"), &JsString::from(error.kind()));
    if let Some(range) = error.suggested_range() {
        let _ = Reflect::set(&value, &JsString::from("range"), &Array::from_iter(range.map(JsValue::from)));
    }
    value.into()
}
