/** The page's side of the worker: starts it, calls it with AbortSignals, and turns its failures into typed errors. */

import * as Comlink from 'comlink';
import workerUrl from './worker?worker&url';
import { errorOf, InternalError, NetworkError, RoentgenError, WorkerBlockedError } from './errors';
import { isForeign, startWorker } from './start-worker';
import type { Classification, Film, Opened, Progress, RunOptions } from './types';
import type { Engine, Outcome } from './worker';

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; its promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What opening takes besides. */
export interface OpenOptions extends CallOptions, RunOptions {
  /** Called as the weights arrive. */
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** A worker with at most one model in it. */
export class Client {
  readonly #worker: Worker;
  /** Where the worker's threads say that they cannot go on. */
  readonly #threads: BroadcastChannel;
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
    const foreign = isForeign(url);
    const name = `roentgen ${crypto.getRandomValues(new Uint32Array(4)).join('-')}`;
    this.#worker = startWorker(url, name);
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
    // A thread that broke down: the worker waits for it and will answer nothing any more.
    this.#threads = new BroadcastChannel(name);
    this.#threads.addEventListener('message', ({ data }) => this.#stop(new InternalError(String(data))));
    this.#engine = Comlink.wrap<Engine>(this.#worker);
  }

  /** Whether it is of no use any more: closed, or broken by a failure that the worker may not have survived. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Loads the core and the model folder at `model` (an absolute address ending in a slash). To be called once.
   *
   * @throws {@link RoentgenError}; the signal's reason when aborted
   */
  open(model: URL, options: OpenOptions): Promise<Opened> {
    const onProgress = Comlink.proxy(options.onProgress ?? (() => {}));
    const { variant, threads } = options;
    return this.#call(options.signal, (job) => this.#engine.open(job, model.href, { variant, threads }, onProgress));
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
    this.#threads.close();
    this.#fail(reason);
  }
}
