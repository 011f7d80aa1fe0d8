/**
 * The threads beside the worker that judges films: workers of their own with the same script, the same module and the
 * same memory. Both ends are in this file: {@link Pool} in the worker that starts them, {@link serve} in each of them.
 */

import type { Bindings, Build, Threaded } from './modules';
import { startWorker } from './start-worker';

/** What a thread is started with. */
interface Share {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
}

/** What a thread answers when it is about to be one; anything else is why it cannot. */
const READY = 'ready';

/** What the core throws in a thread that it was told to end, and what that then answers. */
const ENDED = 'ended';

/** How long threads may take to be gone, when they have nothing to do and are ended. */
const GONE_MS = 500;

/** The end of a thread's name: what tells it that it is one. The beginning is the name of the worker that started it. */
const SUFFIX = ' thread';

/**
 * Firefox collects workers that nothing refers to although they share memory with one that runs:
 * https://bugzilla.mozilla.org/show_bug.cgi?id=1702191
 */
const kept = new Set<Worker>();

/** Workers that are loading, or are threads already. */
export class Pool {
  /** Rejects when one of them cannot start; never resolves. */
  readonly failed: Promise<never>;
  readonly #workers: Worker[] = [];
  #fail!: (reason: unknown) => void;

  /** Starts `size` workers, which load `script` meanwhile. */
  constructor(script: URL, size: number) {
    this.failed = new Promise((_, reject) => (this.#fail = reject));
    // Whoever waits for it hears of it; nobody has to.
    this.failed.catch(() => {});
    try {
      for (let i = 0; i < size; i += 1) this.#start(script);
    } catch (cause) {
      // Some browsers throw where others report an error: a policy against workers.
      this.#fail(cause);
    }
  }

  /** Gives them the module and its memory; resolves when each is about to be a thread. */
  async run(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<void> {
    const ready = this.#workers.map((worker) => {
      const answer = new Promise<void>((resolve, reject) => {
        const settle = ({ data }: MessageEvent<string>) => (data === READY ? resolve() : reject(new Error(data)));
        worker.addEventListener('message', settle, { once: true });
      });
      worker.postMessage({ module, memory } satisfies Share);
      return answer;
    });
    await Promise.race([Promise.all(ready), this.failed]);
  }

  /**
   * Ends them and resolves when they are gone, and the worker that started them may be ended too. `tell` has those that wait
   * for work answer {@link ENDED}.
   *
   * Chromium keeps a worker that is ended while its threads are, and some of those, until the tab is closed: 28 MB and more
   * each time, in about one of ten cases on an idle machine. It says of no worker when it is gone.
   */
  async end(tell?: () => void): Promise<void> {
    if (tell !== undefined) {
      const ended = this.#workers.map((worker) => new Promise((resolve) => worker.addEventListener('message', resolve)));
      tell();
      await Promise.all(ended);
    }
    this.close();
    await new Promise((resolve) => setTimeout(resolve, GONE_MS));
  }

  close(): void {
    for (const worker of this.#workers) {
      worker.terminate();
      kept.delete(worker);
    }
  }

  #start(script: URL): void {
    const worker = startWorker(script, self.name + SUFFIX);
    this.#workers.push(worker);
    kept.add(worker);
    worker.addEventListener('error', (event) => {
      const message = event instanceof ErrorEvent && event.message ? event.message : 'a worker did not load';
      this.#fail(new Error(message));
    });
  }
}

/** Whether this worker was started by a {@link Pool}. */
export function isThread(): boolean {
  return self.name.endsWith(SUFFIX);
}

/**
 * Makes this worker a thread of `build` as soon as it is given its share.
 *
 * A trap here would leave whoever waits for this thread waiting for ever, and deaf to messages: the page, which listens
 * on a channel with the name of its worker, is told instead, and ends them all.
 */
export function serve(build: Build<Bindings & Threaded>): void {
  const core = build.bindings();
  // Reported when it is waited for, below.
  core.catch(() => {});
  self.addEventListener(
    'message',
    async ({ data: { module, memory } }: MessageEvent<Share>) => {
      try {
        await (await core).default({ module_or_path: module, memory });
      } catch (cause) {
        self.postMessage(String(cause));
        return;
      }
      self.postMessage(READY);
      try {
        (await core).runThread();
      } catch (cause) {
        if (cause instanceof Error && cause.message === ENDED) {
          self.postMessage(ENDED);
          return;
        }
        new BroadcastChannel(self.name.slice(0, -SUFFIX.length)).postMessage(String(cause));
      }
    },
    { once: true },
  );
}
