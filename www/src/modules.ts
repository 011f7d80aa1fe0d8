/**
 * The WebAssembly modules that build.sh makes, as Vite finds them: addresses, and functions that import the JavaScript
 * around each. A worker's script names those that it uses; the others are no part of it.
 */

import type * as Decoding from './pkg/decoders/roentgen-decoders.js';
import type * as Judging from './pkg/simd128/roentgen-simd128.js';
import type * as Pooled from './pkg/threads/roentgen-threads.js';
import type * as Training from './pkg/training-simd128/roentgen-training-simd128.js';
import decodersUrl from './pkg/decoders/roentgen-decoders_bg.wasm?url';
import dicomUrl from './pkg/dicom/roentgen-dicom_bg.wasm?url';
import relaxedSimdUrl from './pkg/relaxed-simd/roentgen-relaxed-simd_bg.wasm?url';
import simd128Url from './pkg/simd128/roentgen-simd128_bg.wasm?url';
import threadsUrl from './pkg/threads/roentgen-threads_bg.wasm?url';
import trainingRelaxedSimdUrl from './pkg/training-relaxed-simd/roentgen-training-relaxed-simd_bg.wasm?url';
import trainingSimd128Url from './pkg/training-simd128/roentgen-training-simd128_bg.wasm?url';
import trainingThreadsUrl from './pkg/training-threads/roentgen-training-threads_bg.wasm?url';

/** What judges films. */
export type Core = typeof Judging;
/** What trains; it has all that judges films as well. */
export type TrainingCore = typeof Training;
/** What decodes formats that the others do not know, one module of them. */
export type Decoders = typeof Decoding;
export type { Classifier, Film } from './pkg/simd128/roentgen-simd128.js';
export type { Adaptation, Blocks, Pieces, TrainingRun, TrainingSet } from './pkg/training-simd128/roentgen-training-simd128.js';

/** What every module has: the function that instantiates it. */
export interface Bindings {
  default(given: { module_or_path: WebAssembly.Module; memory?: WebAssembly.Memory }): Promise<{ memory: WebAssembly.Memory }>;
}

/** What those with threads have besides. */
export type Threaded = Pick<typeof Pooled, 'endThreads' | 'initThreadPool' | 'runThread' | 'threadCount'>;

/** A module and the JavaScript around it, `C`. */
export interface Build<C> {
  url: string;
  bindings(): Promise<C>;
}

/** The variants of a module, by {@link Variant}. All export the same. */
export interface Builds<C> {
  simd128: Build<C>;
  'relaxed-simd': Build<C>;
  threads: Build<C & Threaded>;
}

export const JUDGING: Builds<Core> = {
  simd128: { url: simd128Url, bindings: () => import('./pkg/simd128/roentgen-simd128.js') },
  'relaxed-simd': { url: relaxedSimdUrl, bindings: () => same(import('./pkg/relaxed-simd/roentgen-relaxed-simd.js')) },
  threads: { url: threadsUrl, bindings: () => same(import('./pkg/threads/roentgen-threads.js')) },
};

export const TRAINING: Builds<TrainingCore> = {
  simd128: { url: trainingSimd128Url, bindings: () => import('./pkg/training-simd128/roentgen-training-simd128.js') },
  'relaxed-simd': {
    url: trainingRelaxedSimdUrl,
    bindings: () => same(import('./pkg/training-relaxed-simd/roentgen-training-relaxed-simd.js')),
  },
  threads: {
    url: trainingThreadsUrl,
    bindings: () => same(import('./pkg/training-threads/roentgen-training-threads.js')),
  },
};

/** Decoders of the formats that few images come in. */
export const DECODERS: Build<Decoders> = { url: decodersUrl, bindings: () => import('./pkg/decoders/roentgen-decoders.js') };

/** That of DICOM, with all that it needs of JPEG and JPEG 2000. */
export const DICOM: Build<Decoders> = { url: dicomUrl, bindings: () => same(import('./pkg/dicom/roentgen-dicom.js')) };

/** TypeScript tells classes with private constructors apart by where they are declared. */
function same<C>(imported: Promise<unknown>): Promise<C> {
  return imported as Promise<C>;
}
