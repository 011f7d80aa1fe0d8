// Roentgen's scratch CNN as a subject for a bench that puts it beside other libraries in the same browser. The bench
// imports this module, hands `init` the weights, then times `predict` and `trainStep`; prepare.mjs makes the folder.
//
//   subject.mjs?variant=simd128 | ?variant=relaxed-simd | ?variant=threads&threads=N
//
// As in the page, the module runs in a worker, which may wait for its threads; what crossing costs is timed with it.

import { safetensors } from './safetensors.mjs';

export const name = 'roentgen';
export const layout = 'NCHW';
export const weightLayout = 'torch';

const CLASSES = 2;
/** The bench's: the rate that all subjects train with. */
const LEARNING_RATE = 1e-4;
/** The bench's names of the weights, and those of src/models/scratch_cnn.rs. */
const LAYERS = ['conv1', 'conv2', 'dense1', 'dense2'];
const PARTS = { kernel: 'weight', bias: 'bias' };

let worker;
let runtime;

/** Starts the worker with the variant asked for, and builds the network in it. */
export async function init({ variant = 'simd128', threads = 1, weights }) {
  const given = weights(weightLayout);
  const parts = Object.entries(PARTS);
  const tensors = LAYERS.flatMap((layer) => parts.map(([theirs, ours]) => [`${layer}.${ours}`, given[`${layer}_${theirs}`]]));
  const file = safetensors(tensors);
  worker = new Worker(new URL('./worker.mjs', import.meta.url), { type: 'module' });
  runtime = await call('open', [{ variant, threads, classes: CLASSES, file }], [file.buffer]);
}

/** Images `[n, 3, 128, 128]` to probabilities `[n, 2]`. */
export function predict(images) {
  return call('scores', [images]);
}

/** One step on images and one-hot targets; the loss before it. */
export function trainStep(images, targets) {
  return call('trainStep', [images, targets, LEARNING_RATE]);
}

/** What runs, once it does. */
export function info() {
  return { ...runtime, isolated: crossOriginIsolated };
}

/** One call at a time: the bench waits for each. */
function call(method, args, transfer = []) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data: { value, error } }) => (error === undefined ? resolve(value) : reject(new Error(error)));
    worker.onerror = (event) => reject(new Error(event.message || 'worker.mjs did not load'));
    worker.postMessage({ method, args }, transfer);
  });
}
