/** The page's side of a worker: starts it, calls it with AbortSignals, and turns its failures into typed errors. */

import * as Comlink from 'comlink';
import { errorOf, InternalError, NetworkError, RoentgenError, WorkerBlockedError, type Failure } from './errors';
import { isForeign, startWorker } from './start-worker';

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; its promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** A result or a failure: an Error that crosses `postMessage` would lose its kind. */
export type Outcome<T> = { ok: true; value: T } | { ok: false; failure: Failure };

/** What every worker has: its calls are named by numbers, and end when told so; and so do its threads. */
export interface Ending {
  cancel(job: number): void;
  endThreads(): Promise<void>;
}

/** How long a worker that is to be ended may take to end its threads: one that computes hears of it only afterwards. */
const ENDING_MS = 2000;

/** A worker that runs `E`. */
export class Link<E extends Ending> {
  readonly engine: Comlink.Remote<E>;
  readonly #worker: Worker;
  /** Where the worker's threads say that they cannot go on. */
  readonly #threads: BroadcastChannel;
  /** Rejects when the worker cannot start, breaks down, or is closed; never resolves. */
  readonly #down: Promise<never>;
  #fail!: (reason: unknown) => void;
  #calls = 0;
  #closed = false;

  constructor(script: string) {
    this.#down = new Promise((_, reject) => (this.#fail = reject));
    // Calls race against it; without any it is nobody's business.
    this.#down.catch(() => {});
    const url = new URL(script, import.meta.url);
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
    this.engine = Comlink.wrap<E>(this.#worker);
  }

  /** Whether it is of no use any more: closed, or broken by a failure that the worker may not have survived. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Ends the worker and with it every call under way, which rejects with an AbortError saying that `what` was closed. */
  close(what: string): void {
    if (this.#closed) return;
    this.#fell(new DOMException(`${what} was closed`, 'AbortError'));
    const late = new Promise((resolve) => setTimeout(resolve, ENDING_MS));
    void Promise.race([this.engine.endThreads(), late]).finally(() => this.#worker.terminate());
  }

  /**
   * What `send` brings back; `job` is the number of the call in the worker.
   *
   * @throws {@link RoentgenError}; the signal's reason when aborted
   */
  async call<T>(signal: AbortSignal | undefined, send: (job: number) => Promise<Outcome<T>>): Promise<T> {
    signal?.throwIfAborted();
    const job = ++this.#calls;
    let onAbort: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => {
        void this.engine.cancel(job as never);
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

  /** Ends a worker that broke down. */
  #stop(reason: RoentgenError): void {
    this.#fell(reason);
    this.#worker.terminate();
  }

  #fell(reason: RoentgenError | DOMException): void {
    this.#closed = true;
    this.#threads.close();
    this.#fail(reason);
  }
}
