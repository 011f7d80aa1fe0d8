// Weights out of an ONNX file: those of its convolutions and dense layers in the order in which they are computed, which
// is all that a network of known layers needs. Field numbers from onnx.proto, https://github.com/onnx/onnx.

/** `[{ weight, bias }]`, each `{ shape, data }`, one for each Conv and Gemm node; normalisations are folded in already. */
export function layers(file) {
  const graph = message(fields(file).get(7)[0]);
  const tensors = new Map(graph.get(5).map(tensor));
  const nodes = graph.get(1).map((node) => {
    const parts = message(node);
    const texts = (field) => (parts.get(field) ?? []).map(text);
    return { op: texts(4)[0], inputs: texts(1) };
  });
  return nodes
    .filter(({ op }) => op === 'Conv' || op === 'Gemm')
    .map(({ inputs: [, weight, bias] }) => ({ weight: tensors.get(weight), bias: tensors.get(bias) }));
}

/** Those layers under the names that `parameters`, `[{ name, shape }]` in the same order, has for them. */
export function named(found, parameters) {
  const weights = parameters.filter(({ shape }) => shape.length > 1);
  if (weights.length !== found.length) throw new Error(`${found.length} layers in the file, ${weights.length} in the network`);
  return weights.flatMap(({ name, shape }, i) => {
    const { weight, bias } = found[i];
    if (String(weight.shape) !== String(shape)) throw new Error(`${name}: ${weight.shape} in the file, not ${shape}`);
    return [[name, weight], [name.replace(/weight$/, 'bias'), bias]];
  });
}

const text = (bytes) => new TextDecoder().decode(bytes);
const message = (bytes) => fields(bytes);

/** TensorProto: dims 1, float_data 4, name 8, raw_data 9. */
function tensor(bytes) {
  const parts = message(bytes);
  const shape = (parts.get(1) ?? []).flatMap((part) => (typeof part === 'number' ? [part] : varints(part)));
  const raw = parts.get(9)?.[0] ?? parts.get(4)?.[0] ?? new Uint8Array();
  // Copied: nothing aligns it in the file. Tensors of whole numbers (shapes) are of no interest, whatever comes out.
  const data = new Float32Array(raw.slice(0, raw.length - (raw.length % 4)).buffer);
  return [text(parts.get(8)[0]), { shape, data }];
}

/** Field number → its values: numbers for varints, bytes for what has a length; others are passed over. */
function fields(bytes) {
  const found = new Map();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [field, wire] = [Math.floor(key / 8), key % 8];
    let value;
    if (wire === 0) value = varint();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else {
      const length = varint();
      value = bytes.subarray(at, at + length);
      at += length;
    }
    if (value !== undefined) found.set(field, [...(found.get(field) ?? []), value]);
  }
  return found;
}

/** Packed varints. */
function varints(bytes) {
  const values = [];
  let value = 0;
  let factor = 1;
  for (const byte of bytes) {
    value += (byte % 128) * factor;
    factor *= 128;
    if (byte < 128) {
      values.push(value);
      [value, factor] = [0, 1];
    }
  }
  return values;
}
