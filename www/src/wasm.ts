/**
 * The Rust core, instantiated once per worker. The only file that knows which WebAssembly module there is and how the
 * browser gets it.
 */

import init, * as core from './pkg/roentgen.js';
import moduleUrl from './pkg/roentgen_bg.wasm?url';
import type { Failure } from './errors';
import { get } from './fetch';

export type Core = typeof core;
export type { Classifier, Film as DecodedFilm } from './pkg/roentgen.js';

/** A v128 constant and `i8x16.all_true`: valid only where the module's baseline, 128-bit SIMD, is. */
const SIMD_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/**
 * The module's exports, ready to call.
 *
 * Compiles while it downloads; where the server sends another type than `application/wasm`, after the download.
 *
 * @throws {@link Failure} of kind `network` or `unsupported-browser`
 */
export async function openCore(signal: AbortSignal): Promise<Core> {
  if (typeof WebAssembly !== 'object' || !WebAssembly.validate(SIMD_PROBE)) {
    throw { kind: 'unsupported-browser', detail: 'WebAssembly with 128-bit SIMD is missing' } satisfies Failure;
  }
  const response = await get(moduleUrl, signal);
  const streamable = response.headers.get('content-type')?.startsWith('application/wasm') ?? false;
  await init({ module_or_path: streamable ? response : await response.arrayBuffer() });
  return core;
}
