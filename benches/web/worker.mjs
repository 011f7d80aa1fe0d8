// The bench's worker: one variant of the module that trains on its threads, as the page's workers have it; numbers in,
// numbers out. The module that everybody downloads has the same kernels, and none of what only a bench calls. The threads
// beside the worker run the same script.

import { TRAINING } from '../../www/src/modules';
import { piecesOf } from '../../www/src/pieces';
import { isThread, serve } from '../../www/src/pool';
import { endThreads, openCore } from '../../www/src/wasm';
import { layers, named } from './onnx.mjs';
import { safetensors } from './safetensors.mjs';

let network;
let trainer;

const methods = {
  /**
   * Builds a network from the bytes of a safetensors or ONNX file, or where there are neither from weights of its own;
   * with `learningRate` one to train. Returns what it runs on.
   */
  async open({ variant, threads, int8, architecture, classes, file, onnx, learningRate }) {
    const script = new URL(import.meta.url);
    const { core, runtime } = await openCore(TRAINING, script, { variant, threads }, new AbortController().signal);
    if (file === undefined) {
      const parameters = JSON.parse(core.Network.parameters(architecture, classes));
      file = safetensors(onnx === undefined ? drawn(parameters) : named(layers(onnx), parameters));
    }
    if (learningRate === undefined) {
      network = new core.Network(architecture, classes, file, int8);
    } else {
      const names = Array.from({ length: classes }, (_, i) => String(i));
      const config = { ...JSON.parse(core.Trainer.recipe(architecture, names)), learning_rate: learningRate };
      trainer = new core.Trainer(JSON.stringify(config), piecesOf(file));
      // Its 110 MB go now rather than with the next collection.
      file.buffer.transfer?.(0);
    }
    return runtime;
  },

  scores: (images) => network.scores(images),

  logits: (images) => network.logits(images),

  endThreads,

  trainStep: (images, targets) => trainer.step(images, targets),
};

/** Weights such as a network begins its training with: uniform, within √(6 / inputs); normalisations change nothing. */
function drawn(parameters) {
  return parameters.map(({ name, shape }) => {
    const data = new Float32Array(shape.reduce((product, side) => product * side, 1));
    if (shape.length > 1) {
      const limit = Math.sqrt(6 / shape.slice(1).reduce((product, side) => product * side, 1));
      data.forEach((_, i) => (data[i] = (2 * Math.random() - 1) * limit));
    } else if (/(weight|running_var)$/.test(name)) {
      data.fill(1);
    }
    return [name, { shape, data }];
  });
}

async function answer({ data: { method, args } }) {
  try {
    postMessage({ value: await methods[method](...args) });
  } catch (cause) {
    postMessage({ error: cause?.stack ?? cause?.detail ?? String(cause) });
  }
}

if (isThread()) serve(TRAINING.threads);
else onmessage = answer;
