/**
 * Many images through several classifiers at once: a worker for each core, each with the model, each given its next image
 * while it has one in hand, so that reading a file goes on beside decoding another. No image is kept, only its thumbnail.
 */

import { Client } from '../../client';
import { errorOf, InternalError, isAbort, RoentgenError } from '../../errors';
import { get, isFailure } from '../../fetch';
import type { Classification, ModelCard, ModelFiles } from '../../types';

/** Workers at most: each has the model and an image of its own in memory. */
const MOST_WORKERS = 4;

/** Images that a worker has in hand. */
const IN_HAND = 2;

/** Longest side of a thumbnail in pixels: a thousand of them are 16 MB. */
export const THUMB_SIDE = 64;

/** One image, and what became of it. */
export interface Item {
  /** Its place among those that were given. */
  readonly index: number;
  readonly path: string;
  readonly file: Blob;
  /** The class that a folder above it is called after. */
  readonly label: string | undefined;
  result?: Classification;
  error?: RoentgenError;
  thumb?: ImageBitmap;
}

/** How far a run has come. */
export interface Pace {
  done: number;
  total: number;
  /** Images a second; 0 until there is one. */
  speed: number;
}

export class Queue {
  /** Those that have neither a result nor an error yet, and how many have. */
  readonly #items: Item[];
  readonly #before: number;
  readonly #model: ModelFiles;
  readonly #changed: () => void;
  readonly #abort = new AbortController();
  #next = 0;
  #done = 0;
  /** When the stretch under way began; undefined while nothing is classified. */
  #since: number | undefined;
  /** Milliseconds of the stretches before. */
  #spent = 0;
  #paused: Promise<void> | undefined;
  #resume = (): void => {};

  /** `changed` is called after each image. */
  constructor(items: Item[], model: ModelFiles, changed: () => void) {
    this.#items = items.filter(({ result, error }) => result === undefined && error === undefined);
    this.#before = items.length - this.#items.length;
    this.#model = model;
    this.#changed = changed;
  }

  get pace(): Pace {
    const ms = this.#spent + (this.#since === undefined ? 0 : performance.now() - this.#since);
    const [done, total] = [this.#done, this.#items.length].map((count) => count + this.#before) as [number, number];
    return { done, total, speed: ms > 0 ? (1000 * this.#done) / ms : 0 };
  }

  /**
   * Classifies the images that are left; resolves when that is done or was cancelled.
   *
   * @throws {@link RoentgenError} when the model cannot be used
   */
  async run(): Promise<void> {
    const workers = Math.max(1, Math.min(MOST_WORKERS, navigator.hardwareConcurrency, this.#items.length));
    this.#since = performance.now();
    try {
      await Promise.all(Array.from({ length: workers }, () => this.#work()));
    } catch (cause) {
      this.#abort.abort();
      if (!isAbort(cause)) throw cause;
    } finally {
      this.#rest();
    }
  }

  /** Begins no more images until {@link resume}; those in hand are finished. */
  pause(): void {
    if (this.#paused !== undefined) return;
    this.#paused = new Promise((resolve) => (this.#resume = resolve));
    this.#rest();
  }

  resume(): void {
    if (this.#paused === undefined) return;
    this.#paused = undefined;
    this.#since = performance.now();
    this.#resume();
  }

  /** Ends it; what is classified stays. */
  cancel(): void {
    this.#abort.abort();
    this.resume();
  }

  #rest(): void {
    if (this.#since !== undefined) this.#spent += performance.now() - this.#since;
    this.#since = undefined;
  }

  /** One worker from beginning to end; one that breaks down on an image is replaced. */
  async #work(): Promise<void> {
    const { signal } = this.#abort;
    let client = this.#open();
    const alive = async (): Promise<Client> => {
      const held = client;
      if ((await held).closed && client === held) client = this.#open();
      return client;
    };
    const lane = async (): Promise<void> => {
      for (;;) {
        await this.#paused;
        const item = this.#items[this.#next];
        if (item === undefined || signal.aborted) return;
        this.#next += 1;
        // A worker that breaks down takes both images that it has in hand with it, and one of them is no worse for that.
        if (!(await this.#classify(item, await alive(), false))) await this.#classify(item, await alive(), true);
      }
    };
    try {
      await Promise.all(Array.from({ length: IN_HAND }, lane));
    } finally {
      await client.then((client) => client.close(), () => {});
    }
  }

  async #open(): Promise<Client> {
    const client = new Client();
    try {
      // Several images at a time are worth more than several threads on one.
      await client.open(this.#model, { threads: 1, signal: this.#abort.signal });
      return client;
    } catch (cause) {
      client.close();
      throw cause;
    }
  }

  /** Classifies one image; false where it is to be tried once more, for its worker broke down and it is not the `last` try. */
  async #classify(item: Item, client: Client, last: boolean): Promise<boolean> {
    const { signal } = this.#abort;
    try {
      const onFilm = ({ bitmap }: { bitmap: ImageBitmap }): void => {
        item.thumb?.close();
        item.thumb = bitmap;
      };
      item.result = await client.classify(item.file, { signal, side: THUMB_SIDE, onFilm });
    } catch (cause) {
      if (signal.aborted) return true;
      const error = cause instanceof RoentgenError ? cause : new InternalError(String(cause));
      if (error instanceof InternalError && !last) return false;
      item.error = error;
    }
    this.#done += 1;
    this.#changed();
    return true;
  }
}

/** A model of the site's as files, fetched once for all workers. */
export async function fetched(folder: URL, signal: AbortSignal): Promise<ModelFiles> {
  try {
    const card = await (await get(new URL('model.json', folder), signal)).text();
    const { weights } = JSON.parse(card) as ModelCard;
    return { card, weights: await (await get(new URL(weights.file, folder), signal)).blob() };
  } catch (cause) {
    throw isFailure(cause) ? errorOf(cause) : cause;
  }
}
