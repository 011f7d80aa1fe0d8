/**
 * The Rust core, instantiated once per worker. The only file that knows which variant of it this browser runs best, and how
 * it gets that one; the others are not downloaded.
 */

import { relaxedSimd, simd, threads as sharedMemory } from 'wasm-feature-detect';
import type { Failure } from './errors';
import { get, isFailure } from './fetch';
import { DECODERS, DICOM, type Bindings, type Build, type Builds, type Decoders } from './modules';
import { Pool } from './pool';
import type { RunOptions, Runtime, ValueRange, Variant } from './types';

interface Opened<C> {
  core: C;
  runtime: Runtime;
}

/** Not more than this unless asked to: each thread is a worker, with megabytes of its own. */
const MAX_THREADS = 8;

/**
 * The exports of the one of `builds` that runs best here, or of the one that is asked for, ready to call; and what runs.
 *
 * `script` is that of the calling worker; threads run it too. Compiles while it downloads; where the server sends another
 * type than `application/wasm`, after the download. To be called once in a worker.
 *
 * @throws {@link Failure} of kind `network`, or of kind `unsupported-browser`, also when `options` ask for what this
 *   browser does not have; the signal's reason when aborted
 */
export async function openCore<C extends Bindings>(
  builds: Builds<C>,
  script: URL,
  options: RunOptions,
  signal: AbortSignal,
): Promise<Opened<C>> {
  const threads = Math.trunc(options.threads ?? Math.min(navigator.hardwareConcurrency, MAX_THREADS)) || 1;
  const variant = options.variant ?? (await best(threads));
  if (!(await supported(variant))) {
    throw { kind: 'unsupported-browser', detail: `WebAssembly is missing, or what ${variant} needs of it` } satisfies Failure;
  }
  if (variant !== 'threads') return openSingle(builds, variant, signal);
  try {
    return await openThreads(builds, script, threads, signal);
  } catch (cause) {
    // What fails for want of a connection would fail again. What was asked for is not replaced.
    if (signal.aborted || isFailure(cause) || options.variant !== undefined) throw cause;
    console.info(`roentgen: going on with one thread, for no more could be started: ${String(cause)}`);
    return openSingle(builds, 'relaxed-simd', signal);
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

async function openSingle<C extends Bindings>(
  builds: Builds<C>,
  variant: 'simd128' | 'relaxed-simd',
  signal: AbortSignal,
): Promise<Opened<C>> {
  const build = builds[variant];
  const [core, module] = await Promise.all([bindings(build), compiled(build, signal)]);
  await core.default({ module_or_path: module });
  return { core, runtime: { variant, threads: 1 } };
}

async function openThreads<C extends Bindings>(
  { threads: build }: Builds<C>,
  script: URL,
  threads: number,
  signal: AbortSignal,
): Promise<Opened<C>> {
  const pool = new Pool(script, threads - 1);
  end = () => pool.end();
  try {
    const [core, module] = await Promise.race([
      Promise.all([bindings(build), compiled(build, signal)]),
      // Workers that this site does not let start say so before the module is there.
      pool.failed,
    ]);
    const { memory } = await core.default({ module_or_path: module });
    await pool.run(module, memory);
    core.initThreadPool(threads);
    end = () => pool.end(() => core.endThreads());
    return { core, runtime: { variant: 'threads', threads: core.threadCount() } };
  } catch (cause) {
    pool.close();
    throw cause;
  }
}

const decoders = new Map<Build<Decoders>, Promise<Decoders>>();

/**
 * The decoders for a file, downloaded with the first file that needs them; undefined for one that the core decodes.
 *
 * @throws {@link Failure} of kind `network`, whereupon the next call tries again
 */
export async function decodersFor(bytes: Uint8Array, Film: Pick<Films<unknown>, 'decodes' | 'isDicom'>): Promise<Decoders | undefined> {
  if (Film.decodes(bytes)) return undefined;
  const build = Film.isDicom(bytes) ? DICOM : DECODERS;
  const opening = decoders.get(build) ?? loadDecoders(build);
  decoders.set(build, opening);
  return opening.catch((cause: unknown) => {
    decoders.delete(build);
    throw cause;
  });
}

/** Ends the threads of this worker's core, which may do nothing any more; resolves when the worker itself may be ended. */
export function endThreads(): Promise<void> {
  return end();
}

let end = (): Promise<void> => Promise.resolve();

/** How a core makes films. */
interface Films<F> {
  decodes(bytes: Uint8Array): boolean;
  isDicom(bytes: Uint8Array): boolean;
  decode(bytes: Uint8Array): F;
  fromBitmap(bitmap: ImageBitmap): F;
  fromLuma(width: number, height: number, luma: Float32Array, coloured: number, values: Float32Array, frames: number): F;
}

/** @throws {@link Failure} of kind `settings` for a value range that makes no sense */
export function checkRange(range: ValueRange | undefined): void {
  if (range === undefined || range[0] < range[1]) return;
  throw { kind: 'settings', detail: 'of a value range, [black, white], white must be above black' } satisfies Failure;
}

/** The film in a file's bytes, by the {@link decodersFor} it, or by the browser where it reads a format that they do not know. */
export async function decodedFilm<F>(bytes: Uint8Array<ArrayBuffer>, Film: Films<F>, decoders: Decoders | undefined): Promise<F> {
  if (decoders === undefined) return Film.decode(bytes);
  const bitmap = decoders.Decoded.isForBrowsers(bytes) ? await browsersOwn(bytes) : undefined;
  if (bitmap !== undefined) {
    try {
      return Film.fromBitmap(bitmap);
    } finally {
      bitmap.close();
    }
  }
  const decoded = new decoders.Decoded(bytes);
  try {
    return Film.fromLuma(decoded.width, decoded.height, decoded.luma, decoded.coloured, decoded.values, decoded.frames);
  } finally {
    decoded.free();
  }
}

/** What the browser makes of a file; undefined where it does not read it, and our own error says more than the browser's. */
function browsersOwn(bytes: Uint8Array<ArrayBuffer>): Promise<ImageBitmap | undefined> {
  const options = { imageOrientation: 'from-image', premultiplyAlpha: 'none', colorSpaceConversion: 'none' } as const;
  return createImageBitmap(new Blob([bytes]), options).catch(() => undefined);
}

async function loadDecoders(build: Build<Decoders>): Promise<Decoders> {
  // Several films may wait for it: none of them can abort it.
  const module = await compiled(build, new AbortController().signal);
  // Not at the same time: an import that failed once fails for good in some browsers, so the connection is tried first.
  const decoders = await bindings(build);
  await decoders.default({ module_or_path: module });
  return decoders;
}

/** The JavaScript around a module, from which the module's address is not far. */
async function bindings<C>({ url, bindings }: Build<C>): Promise<C> {
  try {
    return await bindings();
  } catch (cause) {
    throw { kind: 'network', detail: String(cause), url } satisfies Failure;
  }
}

async function compiled({ url }: Build<unknown>, signal: AbortSignal): Promise<WebAssembly.Module> {
  const response = await get(url, signal);
  const streamable = response.headers.get('content-type')?.startsWith('application/wasm') ?? false;
  return streamable ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}
