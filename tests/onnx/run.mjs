// What ONNX Runtime makes of a file: tests/integration/onnx.rs compares it with the library.
//
//   node tests/onnx/run.mjs FILE IMAGES N C H W
//
// IMAGES holds little-endian floats [N, C, H, W]. Prints { logits, probabilities }, each { dims, data }. Exits with 3, and a
// word on standard error, where ONNX Runtime is not installed.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

// It is installed with the page, not with the tests beside it.
const require = createRequire(new URL('../../www/package.json', import.meta.url));
let ort;
try {
  ort = require('onnxruntime-web');
} catch (cause) {
  console.error(cause.message.split('\n')[0]);
  process.exit(3);
}

const [file, images, ...sizes] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(file));
const bytes = readFileSync(images);
const floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const outputs = await session.run({ image: new ort.Tensor('float32', floats, sizes.map(Number)) });
const plain = ({ dims, data }) => ({ dims, data: Array.from(data) });
console.log(JSON.stringify(Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, plain(value)]))));
