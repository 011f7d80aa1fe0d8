// Roentgen as a subject for a bench that puts it beside other libraries in the same browser. The bench
// imports this module, hands `init` the weights, then times `predict` and `trainStep`; prepare.mjs makes the folder.
//
//   subject.mjs?variant=simd128 | ?variant=relaxed-simd | ?variant=threads&threads=N    …&int8=true
//
// Beside the scratch CNN, which the bench calls `seed`, it takes the networks of NETWORKS, their weights from ONNX files.
//
// As in the page, the module runs in a worker, which may wait for its threads; what crossing costs is timed with it.

import { safetensors } from './safetensors.mjs';

export const name = 'roentgen';
export const layout = 'NCHW';
export const weightLayout = 'torch';

/** The bench's names of the networks, and ours. */
const NETWORKS = { resnet50: 'resnet50', mobilenetv2: 'mobilenet-v2', efficientnet_lite0: 'efficientnet-lite0' };
/** The bench's: the rate that all subjects train with. */
const LEARNING_RATE = 1e-4;
/** The bench's names of the weights, and those of src/models/scratch_cnn.rs. */
const LAYERS = ['conv1', 'conv2', 'dense1', 'dense2'];
const PARTS = { kernel: 'weight', bias: 'bias' };

let worker;
let runtime;
let method = 'scores';
/** What the scratch CNN was opened with, until it is trained. */
let given;

/** Starts the worker with the variant asked for, and builds the network in it. */
export async function init({ variant = 'simd128', threads = 1, int8 = false, model = 'seed', modelUrl, weights }) {
  start();
  const settings = { variant, threads, int8 };
  if (model !== 'seed') {
    const onnx = new Uint8Array(await (await fetch(modelUrl)).arrayBuffer());
    runtime = await call('open', [{ ...settings, architecture: NETWORKS[model], classes: 1000, onnx }], [onnx.buffer]);
    method = 'logits';
    return;
  }
  const values = weights(weightLayout);
  const parts = Object.entries(PARTS);
  const tensors = LAYERS.flatMap((layer) => parts.map(([theirs, ours]) => [`${layer}.${ours}`, values[`${layer}_${theirs}`]]));
  const file = safetensors(tensors);
  given = { ...settings, architecture: 'scratch-cnn', classes: 2, file };
  runtime = await call('open', [given]);
}

/** Images `[n, 3, 128, 128]` to probabilities `[n, 2]`, or for the other networks `[n, 3, 224, 224]` to logits. */
export function predict(images) {
  return call(method, [images]);
}

/** One step on images and one-hot targets; the loss before it. The first puts the module that trains in the other's place. */
export async function trainStep(images, targets) {
  if (given !== undefined) {
    worker.terminate();
    start();
    const opening = { ...given, learningRate: LEARNING_RATE };
    given = undefined;
    runtime = await call('open', [opening], [opening.file.buffer]);
  }
  return call('trainStep', [images, targets]);
}

/** What runs, once it does. */
export function info() {
  return { ...runtime, isolated: crossOriginIsolated };
}

function start() {
  worker = new Worker(new URL('./worker.mjs', import.meta.url), { type: 'module' });
}

/** One call at a time: the bench waits for each. */
function call(method, args, transfer = []) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data: { value, error } }) => (error === undefined ? resolve(value) : reject(new Error(error)));
    worker.onerror = (event) => reject(new Error(event.message || 'worker.mjs did not load'));
    worker.postMessage({ method, args }, transfer);
  });
}
