// The module's own worker: instantiates one variant, starts its threads, and answers subject.mjs.

import { layers, named } from './onnx.mjs';
import { safetensors } from './safetensors.mjs';

let core;
let network;
let trainer;

const methods = {
  /** Builds the network from a safetensors or ONNX file, with `learningRate` one to train; returns what it runs on. */
  async open({ variant, threads, int8, architecture, classes, file, onnx, learningRate }) {
    const folder = new URL(`./pkg/${learningRate === undefined ? '' : 'training-'}${variant}/`, import.meta.url);
    const bindings = new URL('roentgen.js', folder).href;
    const [loaded, module] = await Promise.all([
      import(bindings),
      WebAssembly.compileStreaming(fetch(new URL('roentgen_bg.wasm', folder))),
    ]);
    core = loaded;
    const { memory } = await core.default({ module_or_path: module });
    if (variant === 'threads') {
      // This worker is one of them.
      await Promise.all(Array.from({ length: threads - 1 }, () => startThread({ bindings, module, memory })));
      core.initThreadPool(threads);
    } else if (threads !== 1) {
      throw new Error(`${variant} has one thread, not ${threads}`);
    }
    if (onnx !== undefined) {
      const parameters = JSON.parse(core.Network.parameters(architecture, classes));
      network = new core.Network(architecture, classes, safetensors(named(layers(onnx), parameters)), int8);
    } else if (learningRate !== undefined) {
      const names = Array.from({ length: classes }, (_, i) => String(i));
      const config = { ...JSON.parse(core.Trainer.recipe(architecture, names)), learning_rate: learningRate };
      trainer = new core.Trainer(JSON.stringify(config), file);
    } else {
      network = new core.Network(architecture, classes, file, int8);
    }
    return { variant, threads: core.threadCount?.() ?? 1 };
  },

  scores: (images) => network.scores(images),

  logits: (images) => network.logits(images),

  trainStep: (images, targets) => trainer.step(images, targets),
};

onmessage = async ({ data: { method, args } }) => {
  try {
    postMessage({ value: await methods[method](...args) });
  } catch (cause) {
    postMessage({ error: String(cause?.stack ?? cause) });
  }
};

/** Resolves when the thread is about to run: initThreadPool blocks, and a worker that has not loaded by then never would. */
function startThread(share) {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./thread.mjs', import.meta.url), { type: 'module' });
    thread.onmessage = ({ data: { error } }) => (error === undefined ? resolve() : reject(new Error(error)));
    thread.onerror = (event) => reject(new Error(event.message || 'thread.mjs did not load'));
    thread.postMessage(share);
  });
}
