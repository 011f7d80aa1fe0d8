/** The page's side of the worker: starts it, calls it with AbortSignals, and turns its failures into typed errors. */

import * as Comlink from 'comlink';
import workerUrl from './worker?worker&url';
import { errorOf, InternalError, NetworkError, RoentgenError, WorkerBlockedError } from './errors';
import type { Classification, Film, ModelCard, Progress } from './types';
import type { Engine, Outcome } from './worker';

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; its promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** A worker with at most one model in it. */
export class Client {
  readonly #worker: Worker;
  readonly #engine: Comlink.Remote<Engine>;
  /** Rejects when the worker cannot start, breaks down, or is closed; never resolves. */
  readonly #down: Promise<never>;
  #fail!: (reason: unknown) => void;
  #calls = 0;
  #closed = false;

  constructor() {
    this.#down = new Promise((_, reject) => (this.#fail = reject));
    // Calls race against it; without any it is nobody's business.
    this.#down.catch(() => {});
    const url = new URL(workerUrl, import.meta.url);
    const foreign = url.origin !== location.origin;
    this.#worker = foreign ? foreignWorker(url) : new Worker(url, { type: 'module' });
    this.#worker.addEventListener('error', (event) => {
      // Only code that ran has a message; a script that did not load, or was forbidden, has none.
      const message = event instanceof ErrorEvent ? event.message : '';
      const error = message
        ? new InternalError(message)
        : foreign
          ? new WorkerBlockedError(url)
          : new NetworkError(url.href, undefined, 'the worker did not load');
      this.#stop(error);
    });
    this.#engine = Comlink.wrap<Engine>(this.#worker);
  }

  /** Whether it is of no use any more: closed, or broken by a failure that the worker may not have survived. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Loads the model folder at `model` (an absolute address ending in a slash).
   *
   * @throws {@link RoentgenError}; the signal's reason when aborted
   */
  open(model: URL, options: CallOptions & { onProgress?: ((progress: Progress) => void) | undefined }): Promise<ModelCard> {
    const onProgress = Comlink.proxy(options.onProgress ?? (() => {}));
    return this.#call(options.signal, (job) => this.#engine.open(job, model.href, onProgress));
  }

  /**
   * Judges one film, once the model is there. `onFilm` gets what is judged, to be shown.
   *
   * @throws {@link RoentgenError}; the signal's reason when aborted
   */
  classify(image: Blob | ImageData, options: CallOptions & { onFilm?: ((film: Film) => void) | undefined }): Promise<Classification> {
    const onFilm = Comlink.proxy((film: Film) => {
      if (options.onFilm === undefined || options.signal?.aborted) film.bitmap.close();
      else options.onFilm(film);
    });
    return this.#call(options.signal, (job) => this.#engine.classify(job, image, onFilm));
  }

  /** Ends the worker and with it every call under way, which rejects with an AbortError. */
  close(): void {
    this.#stop(new DOMException('the classifier was closed', 'AbortError'));
  }

  async #call<T>(signal: AbortSignal | undefined, send: (job: number) => Promise<Outcome<T>>): Promise<T> {
    signal?.throwIfAborted();
    const job = ++this.#calls;
    let onAbort: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => {
        void this.#engine.cancel(job);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
    try {
      const outcome = await Promise.race([send(job), aborted, this.#down]);
      if (outcome.ok) return outcome.value;
      const error = errorOf(outcome.failure);
      // A WebAssembly trap leaves the module's memory in an unknown state: nothing may run in it again.
      if (error instanceof InternalError) this.#stop(error);
      throw error;
    } finally {
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    }
  }

  #stop(reason: RoentgenError | DOMException): void {
    this.#closed = true;
    this.#worker.terminate();
    this.#fail(reason);
  }
}

/**
 * A worker whose script lies on another origin, where browsers refuse `new Worker(url)`: one of the page's own origin
 * that imports it. The script's server has to allow that (CORS), and so has the page's policy: `worker-src` with `blob:`
 * and the script's origin.
 */
function foreignWorker(url: URL): Worker {
  const shim = URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: 'text/javascript' }));
  try {
    return new Worker(shim, { type: 'module' });
  } finally {
    // The worker has taken the address already; a revoked one still loads where the fetch has begun.
    setTimeout(() => URL.revokeObjectURL(shim), 10_000);
  }
}
