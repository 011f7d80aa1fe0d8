//! The threads of the module: rayon's global pool, on workers that the page starts.
//!
//! Each worker instantiates the module in the same shared memory, says that it is ready and calls [`run_thread`]; then
//! the one that judges films calls [`init_thread_pool`]. Not wasm-bindgen-rayon, which does the same: its workers are
//! started by JavaScript inside the crate, from a `blob:` address that the page's policy forbids or a path that Vite
//! cannot bundle, and where one does not start it waits for ever rather than telling the loader, which has to fall back.

use std::sync::{Condvar, Mutex, PoisonError};

use rayon::{ThreadBuilder, ThreadPoolBuilder};
use wasm_bindgen::prelude::*;

/// Threads of the pool that no worker has taken yet.
static OFFERED: Mutex<Vec<ThreadBuilder>> = Mutex::new(Vec::new());
static OFFER: Condvar = Condvar::new();

/// Builds the pool: the caller, which works in it too, and `threads - 1` workers. To be called once.
///
/// Returns when every worker runs, so each of them must have called [`run_thread`] or be about to. Blocks, which browsers
/// allow in workers only.
///
/// # Errors
/// When there is a pool already; the first parallel operation makes one of a single thread.
#[wasm_bindgen(js_name = initThreadPool)]
pub fn init_thread_pool(threads: usize) -> Result<(), JsError> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .spawn_handler(|thread| {
            OFFERED.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            OFFER.notify_one();
            Ok(())
        })
        .build_global()?;
    Ok(())
}

/// Turns the calling worker into a thread of the pool, once there is one; returns only by a trap, or by throwing after
/// [`end_threads`].
#[wasm_bindgen(js_name = runThread)]
pub fn run_thread() {
    let mut offered = OFFERED.lock().unwrap_or_else(PoisonError::into_inner);
    let thread = loop {
        match offered.pop() {
            Some(thread) => break thread,
            None => offered = OFFER.wait(offered).unwrap_or_else(PoisonError::into_inner),
        }
    };
    // The others take theirs while this one runs.
    drop(offered);
    thread.run();
}

/// Has every worker throw `"ended"` out of [`run_thread`] as soon as it has nothing else to do; nothing may be computed here
/// any more.
///
/// A browser ends a worker that waits for shared memory only after some seconds, and keeps the memory until then.
#[wasm_bindgen(js_name = endThreads)]
pub fn end_threads() {
    rayon::spawn_broadcast(|_| wasm_bindgen::throw_str("ended"));
}

/// How many threads work on one film.
#[wasm_bindgen(js_name = threadCount)]
pub fn thread_count() -> usize {
    rayon::current_num_threads()
}
