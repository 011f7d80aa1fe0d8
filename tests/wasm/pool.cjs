// Loaded into node in front of wasm-bindgen's test runner: gives a module that has a pool its threads, on workers of
// node's, so that every test runs in the pool as it does in a browser. Modules without one are left alone.

const { writeSync } = require('node:fs');
const Module = require('node:module');
const { Worker, isMainThread, workerData } = require('node:worker_threads');

// More than most machines that run this have to spare, so that threads wait for each other; tests/wasm/main.rs counts them.
const THREADS = 4;

if (isMainThread) {
  const load = Module._load;
  const served = new Set();
  Module._load = (...request) => {
    const bindings = load(...request);
    if (bindings?.initThreadPool !== undefined && !served.has(bindings)) {
      served.add(bindings);
      const share = { path: Module._resolveFilename(...request), module: bindings.__wbg_wasm_module, memory: bindings.__wbg_memory };
      // Unlike a browser's, these start while this thread waits for them.
      for (let i = 1; i < THREADS; i += 1) new Worker(__filename, { workerData: share, execArgv: [] }).unref();
      bindings.initThreadPool(THREADS);
    }
    return bindings;
  };
} else {
  const { path, module, memory } = workerData;
  const bindings = require(path);
  bindings.initSync({ module, memory });
  try {
    bindings.runThread();
  } catch (error) {
    // The others would wait for this thread for ever.
    writeSync(2, `a thread of the pool broke down: ${error.stack}\n`);
    process.kill(process.pid);
  }
}
