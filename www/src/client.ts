/** The page's side of the worker that judges films. */

import * as Comlink from 'comlink';
import workerUrl from './worker?worker&url';
import { Link, type CallOptions } from './link';
import { posted } from './pixels';
import type { Classification, Explanation, Film, ImageSource, ModelFiles, Opened, Progress, RunOptions, ValueRange } from './types';
import type { Engine } from './worker';

export type { CallOptions } from './link';

/** What opening takes besides. */
export interface OpenOptions extends CallOptions, RunOptions {
  /** Called as the weights arrive. */
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** What judging a film takes besides. */
export interface JudgeOptions extends CallOptions {
  /** Called with the film as it was decoded, before it is judged: what is shown is what is judged. */
  onFilm?: ((film: Film) => void) | undefined;
  /** Whether what the model says of a picture that it refuses is wanted all the same. */
  showAnyway?: boolean | undefined;
  /** How to read files whose values leave open what is black and white; all others are read as they are. */
  valueRange?: ValueRange | undefined;
  /** Longest side, in pixels, of what `onFilm` gets: enough for a stage where not given, less for a thumbnail. */
  side?: number | undefined;
}

/** What a heat map takes besides. */
export type ExplainOptions = Pick<JudgeOptions, 'signal' | 'valueRange'>;

/** A worker with at most one model in it. */
export class Client {
  readonly #link = new Link<Engine>(workerUrl);

  /** Whether it is of no use any more: closed, or broken by a failure that the worker may not have survived. */
  get closed(): boolean {
    return this.#link.closed;
  }

  /**
   * Loads the core and a model: the folder at an absolute address ending in a slash, or one at hand. To be called once.
   *
   * @throws {@link RoentgenError}; the signal's reason when aborted
   */
  open(model: URL | ModelFiles, options: OpenOptions): Promise<Opened> {
    const onProgress = Comlink.proxy(options.onProgress ?? (() => {}));
    const { variant, threads } = options;
    const source = model instanceof URL ? model.href : model;
    return this.#link.call(options.signal, (job) => this.#link.engine.open(job, source, { variant, threads }, onProgress));
  }

  /**
   * Judges one film, once the model is there. `onFilm` gets what is judged, to be shown.
   *
   * @throws {@link RoentgenError}; the signal's reason when aborted
   */
  classify(image: ImageSource, options: JudgeOptions): Promise<Classification> {
    const onFilm = Comlink.proxy((film: Film) => {
      if (options.onFilm === undefined || options.signal?.aborted) film.bitmap.close();
      else options.onFilm(film);
    });
    const { signal, showAnyway = false, valueRange, side } = options;
    return this.#link.call(signal, (job) =>
      posted(image, signal, (image) => this.#link.engine.classify(job, image, showAnyway, valueRange, side, onFilm)),
    );
  }

  /**
   * The heat map of one class over a film, see `RoentgenClassifier.explain`.
   *
   * @throws {@link RoentgenError}; the signal's reason when aborted
   */
  explain(image: ImageSource, label: string, { signal, valueRange }: ExplainOptions): Promise<Explanation> {
    // JavaScript may leave the class out; as a string it is an unknown one, of which the error says what to ask for.
    return this.#link.call(signal, (job) =>
      posted(image, signal, (image) => this.#link.engine.explain(job, image, String(label), valueRange)),
    );
  }

  /** Ends the worker and with it every call under way, which rejects with an AbortError. */
  close(): void {
    this.#link.close('the classifier');
  }
}
