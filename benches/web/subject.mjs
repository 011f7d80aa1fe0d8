// Roentgen as a subject for a bench that puts it beside other libraries in the same browser. The bench imports this module,
// calls `init`, then times `predict` and `trainStep`. Vite makes a folder of it that any static server can serve:
//
//   ./build.sh build && (cd www && npm run build -- --mode bench)     target/bench/web/
//
//   subject.mjs?variant=simd128 | ?variant=relaxed-simd | ?variant=threads&threads=N    …&int8=true
//
// Beside the scratch CNN, which the bench calls `seed`, it takes the networks of NETWORKS, their weights from ONNX files.
// Where the bench has no weights they are drawn.
//
// As in the page, the modules run in workers, which may wait for their threads; what crossing costs is timed with it.

import workerUrl from './worker.mjs?worker&url';
import { safetensors } from './safetensors.mjs';

export const name = 'roentgen';
export const layout = 'NCHW';
export const weightLayout = 'torch';

/** The bench's names of the networks, and ours. */
const NETWORKS = {
  seed: { architecture: 'scratch-cnn', classes: 2 },
  resnet50: { architecture: 'resnet50', classes: 1000 },
  mobilenetv2: { architecture: 'mobilenet-v2', classes: 1000 },
  efficientnet_lite0: { architecture: 'efficientnet-lite0', classes: 1000 },
};
/** The bench's: the rate that all subjects train with. */
const LEARNING_RATE = 1e-4;
/** The bench's names of the weights, and those of src/models/scratch_cnn.rs. */
const LAYERS = ['conv1', 'conv2', 'dense1', 'dense2'];
const PARTS = { kernel: 'weight', bias: 'bias' };

let worker;
let runtime;
let method;
/** What was opened, until it is trained. */
let opened;

/** Takes what the network is built from; the first call builds it, in a worker, so that whoever trains builds it once. */
export async function init({ variant = 'simd128', threads = 1, int8 = false, model = 'seed', modelUrl, weights }) {
  method = model === 'seed' ? 'scores' : 'logits';
  opened = { variant, threads: Number(threads), int8, ...NETWORKS[model] };
  if (model === 'seed' && weights !== undefined) {
    const given = weights(weightLayout);
    const parts = Object.entries(PARTS);
    opened.file = safetensors(
      LAYERS.flatMap((layer) => parts.map(([theirs, ours]) => [`${layer}.${ours}`, given[`${layer}_${theirs}`]])),
    );
  } else if (model !== 'seed' && modelUrl !== undefined) {
    opened.onnx = new Uint8Array(await (await fetch(modelUrl)).arrayBuffer());
  }
}

/** Images `[n, 3, 128, 128]` to probabilities `[n, 2]`, or for the other networks `[n, 3, 224, 224]` to logits. */
export async function predict(images) {
  if (worker === undefined) await open('judge', opened);
  return call(method, [images]);
}

/** One step on images and one-hot targets; the loss before it. The first puts a worker that trains in the other's place. */
export async function trainStep(images, targets) {
  if (opened !== undefined) {
    const start = { ...opened, learningRate: LEARNING_RATE };
    opened = undefined;
    // Not copied: a tab that trains has no use for the weights that it began with.
    await open('train', start, start.file === undefined ? [] : [start.file.buffer]);
  }
  return call('trainStep', [images, targets]);
}

/** What runs, once it does. */
export function info() {
  return { variant: opened?.variant, threads: opened?.threads, ...runtime, isolated: crossOriginIsolated };
}

/** A worker of that name in place of the one before, its network built. */
async function open(name, settings, transfer = []) {
  if (worker !== undefined) {
    // Otherwise the browser keeps them, and their memory, for some seconds.
    await call('endThreads', []);
    worker.terminate();
  }
  worker = new Worker(new URL(workerUrl, import.meta.url), { type: 'module', name });
  runtime = await call('open', [settings], transfer);
}

/** One call at a time: the bench waits for each. */
function call(method, args, transfer = []) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data: { value, error } }) => (error === undefined ? resolve(value) : reject(new Error(error)));
    worker.onerror = (event) => reject(new Error(event.message || 'worker.mjs did not load'));
    worker.postMessage({ method, args }, transfer);
  });
}
