/**
 * The Rust core, instantiated once per worker. The only file that knows which WebAssembly modules there are, which of
 * them this browser runs best, and how it gets that one; the others are not downloaded.
 */

import { relaxedSimd, simd, threads as sharedMemory } from 'wasm-feature-detect';
import type * as Simd128 from './pkg/simd128/roentgen-simd128.js';
import decodersUrl from './pkg/decoders/roentgen-decoders_bg.wasm?url';
import relaxedSimdUrl from './pkg/relaxed-simd/roentgen-relaxed-simd_bg.wasm?url';
import simd128Url from './pkg/simd128/roentgen-simd128_bg.wasm?url';
import threadsUrl from './pkg/threads/roentgen-threads_bg.wasm?url';
import type { Failure } from './errors';
import { get, isFailure } from './fetch';
import { Pool } from './pool';
import type { RunOptions, Runtime, Variant } from './types';

/** What all variants have in common. */
export type Core = typeof Simd128;
export type Decoders = typeof import('./pkg/decoders/roentgen-decoders.js');
export type { Classifier, Film as DecodedFilm, TrainingRun, TrainingSet } from './pkg/simd128/roentgen-simd128.js';

interface Opened {
  core: Core;
  runtime: Runtime;
}

/** Not more than this unless asked to: each thread is a worker, with megabytes of its own. */
const MAX_THREADS = 8;

/**
 * The exports of the variant that runs best here, or of the one that is asked for, ready to call; and what runs.
 *
 * `script` is that of the calling worker; threads run it too. Compiles while it downloads; where the server sends another
 * type than `application/wasm`, after the download. To be called once in a worker.
 *
 * @throws {@link Failure} of kind `network`, or of kind `unsupported-browser`, also when `options` ask for what this
 *   browser does not have; the signal's reason when aborted
 */
export async function openCore(script: URL, options: RunOptions, signal: AbortSignal): Promise<Opened> {
  const threads = Math.trunc(options.threads ?? Math.min(navigator.hardwareConcurrency, MAX_THREADS)) || 1;
  const variant = options.variant ?? (await best(threads));
  if (!(await supported(variant))) {
    throw { kind: 'unsupported-browser', detail: `WebAssembly is missing, or what ${variant} needs of it` } satisfies Failure;
  }
  if (variant !== 'threads') return openSingle(variant, signal);
  try {
    return await openThreads(script, threads, signal);
  } catch (cause) {
    // What fails for want of a connection would fail again. What was asked for is not replaced.
    if (signal.aborted || isFailure(cause) || options.variant !== undefined) throw cause;
    console.info(`roentgen: going on with one thread, for no more could be started: ${String(cause)}`);
    return openSingle('relaxed-simd', signal);
  }
}

/** A second thread is what shared memory is worth its trouble for. */
async function best(threads: number): Promise<Variant> {
  if (threads > 1 && (await supported('threads'))) return 'threads';
  return (await supported('relaxed-simd')) ? 'relaxed-simd' : 'simd128';
}

/** Whether this browser runs a variant, and lets this page do so. */
async function supported(variant: Variant): Promise<boolean> {
  // It is absent from some hardened browsers.
  if (typeof WebAssembly !== 'object') return false;
  switch (variant) {
    case 'simd128':
      return simd();
    case 'relaxed-simd':
      return relaxedSimd();
    case 'threads':
      return self.crossOriginIsolated && (await relaxedSimd()) && (await sharedMemory());
  }
}

async function openSingle(variant: 'simd128' | 'relaxed-simd', signal: AbortSignal): Promise<Opened> {
  const simd128 = variant === 'simd128';
  const url = simd128 ? simd128Url : relaxedSimdUrl;
  const [core, module] = await Promise.all([
    // The same functions; TypeScript tells classes with private constructors apart by where they are declared.
    bindings(url, simd128 ? import('./pkg/simd128/roentgen-simd128.js') : import('./pkg/relaxed-simd/roentgen-relaxed-simd.js')),
    compiled(url, signal),
  ]);
  await core.default({ module_or_path: module });
  return { core: core as Core, runtime: { variant, threads: 1 } };
}

async function openThreads(script: URL, threads: number, signal: AbortSignal): Promise<Opened> {
  const pool = new Pool(script, threads - 1);
  try {
    const [core, module] = await Promise.race([
      Promise.all([bindings(threadsUrl, import('./pkg/threads/roentgen-threads.js')), compiled(threadsUrl, signal)]),
      // Workers that this site does not let start say so before the module is there.
      pool.failed,
    ]);
    const { memory } = await core.default({ module_or_path: module });
    await pool.run(module, memory);
    core.initThreadPool(threads);
    return { core: core as unknown as Core, runtime: { variant: 'threads', threads: core.threadCount() } };
  } catch (cause) {
    pool.close();
    throw cause;
  }
}

let decoders: Promise<Decoders> | undefined;

/**
 * The decoders that no variant of the core has, downloaded on the first call.
 *
 * @throws {@link Failure} of kind `network`, whereupon the next call tries again
 */
export function openDecoders(): Promise<Decoders> {
  decoders ??= loadDecoders().catch((cause: unknown) => {
    decoders = undefined;
    throw cause;
  });
  return decoders;
}

/** The film in a file's bytes; `decoders` are for one that the core has no decoder for, see `Film.decodes`. */
export function decodedFilm(bytes: Uint8Array, Film: Core['Film'], decoders: Decoders | undefined): Simd128.Film {
  if (decoders === undefined) return Film.decode(bytes);
  const decoded = new decoders.Decoded(bytes);
  try {
    return Film.fromLuma(decoded.width, decoded.height, decoded.luma);
  } finally {
    decoded.free();
  }
}

async function loadDecoders(): Promise<Decoders> {
  // Several films may wait for it: none of them can abort it.
  const module = await compiled(decodersUrl, new AbortController().signal);
  // Not at the same time: an import that failed once fails for good in some browsers, so the connection is tried first.
  const decoders = await bindings(decodersUrl, import('./pkg/decoders/roentgen-decoders.js'));
  await decoders.default({ module_or_path: module });
  return decoders;
}

/** The JavaScript around the module at `url`, from which its own address is not far. */
async function bindings<T>(url: string, imported: Promise<T>): Promise<T> {
  try {
    return await imported;
  } catch (cause) {
    throw { kind: 'network', detail: String(cause), url } satisfies Failure;
  }
}

async function compiled(url: string, signal: AbortSignal): Promise<WebAssembly.Module> {
  const response = await get(url, signal);
  const streamable = response.headers.get('content-type')?.startsWith('application/wasm') ?? false;
  return streamable ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}
