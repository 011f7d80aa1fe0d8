/**
 * The worker: fetches a model, keeps the classifier, judges films. Everything slow happens here, so the page's own
 * thread stays free. The page talks to it through `client.ts` and through nothing else. The same script is what the
 * threads beside it run.
 */

import * as Comlink from 'comlink';
import type { Failure } from './errors';
import { download, get, gunzip } from './fetch';
import { cancel, run } from './jobs';
import type { Outcome } from './link';
import { JUDGING, type Classifier, type Core, type Film as DecodedFilm } from './modules';
import type { Crossing } from './pixels';
import { isThread, serve } from './pool';
import type { Classification, Explanation, Film, ModelCard, ModelFiles, Opened, Prediction, Progress, RunOptions, ValueRange } from './types';
import { checkRange, decodedFilm, decodersFor, endThreads, openCore } from './wasm';

/** Longest side of the film sent back for showing: more than the stage has on a laptop. */
const SHOWN_SIDE = 1400;

/** The file's bytes are read, and limited, before the core sees them; the core's own limit is the same 64 MiB. */
const MAX_FILE_BYTES = 64 * 2 ** 20;

let core: Promise<Core> | undefined;
let classifier: Promise<Classifier> | undefined;

const engine = {
  /**
   * Opens `model`, the address of a folder (ending in a slash) or a model at hand, and keeps the classifier. To be called
   * once.
   *
   * `job` names the call for {@link engine.cancel}.
   */
  open(
    job: number,
    model: string | ModelFiles,
    options: RunOptions,
    onProgress: (progress: Progress) => void,
  ): Promise<Outcome<Opened>> {
    return run(job, async (signal) => {
      const running = openCore(JUDGING, new URL(import.meta.url), options, signal);
      core = running.then(({ core }) => core);
      const opened = openModel(core, model, signal, onProgress);
      classifier = opened.then(({ classifier }) => classifier);
      // A film may already wait for either; a failure reaches it, and this call, but is not "unhandled" without one.
      core.catch(() => {});
      classifier.catch(() => {});
      return { card: (await opened).card, runtime: (await running).runtime };
    });
  },

  /** Judges one film; `onFilm` gets it as soon as it is decoded, even while the model still loads. */
  classify(
    job: number,
    image: Crossing,
    showAnyway: boolean,
    range: ValueRange | undefined,
    side: number | undefined,
    onFilm: (film: Film) => unknown,
  ): Promise<Outcome<Classification>> {
    return run(job, async (signal) => {
      const { film, started } = await decode(image, range, signal);
      try {
        const decoded = performance.now() - started;
        // Awaited, so that the page shows the film before it shows what is said of it.
        const picture = await shown(film, side);
        await onFilm(Comlink.transfer(picture, [picture.bitmap]));
        const model = await whenOpen(classifier, signal);
        signal.throwIfAborted();
        const judging = performance.now();
        const prediction = JSON.parse(model.classify(film, showAnyway)) as Prediction;
        return { ...prediction, ms: decoded + performance.now() - judging };
      } finally {
        film.free();
      }
    });
  },

  /** The heat map of one class over a film, which is decoded anew: nothing is kept of those that were judged. */
  async explain(job: number, image: Crossing, label: string, range: ValueRange | undefined): Promise<Outcome<Explanation>> {
    const outcome = await run(job, async (signal) => {
      const { film, started } = await decode(image, range, signal);
      try {
        const decoded = performance.now() - started;
        const model = await whenOpen(classifier, signal);
        signal.throwIfAborted();
        const explaining = performance.now();
        const map = model.explain(film, label);
        const ms = decoded + performance.now() - explaining;
        return { label, bitmap: await createImageBitmap(map), ms };
      } finally {
        film.free();
      }
    });
    return outcome.ok ? Comlink.transfer(outcome, [outcome.value.bitmap]) : outcome;
  },

  /** Ends a call: its downloads stop, and if its film is not yet being judged it never will be. */
  cancel,

  endThreads,
};

export type Engine = typeof engine;

/** The film, once its decoder is there, and when its decoding began; a bitmap is closed. */
async function decode(
  image: Crossing,
  range: ValueRange | undefined,
  signal: AbortSignal,
): Promise<{ film: DecodedFilm; started: number }> {
  try {
    checkRange(range);
    const bytes = image instanceof Blob ? await read(image) : undefined;
    const { Film } = await whenOpen(core, signal);
    const decoders = bytes && (await whenOpen(decodersFor(bytes, Film), signal));
    const started = performance.now();
    const film = bytes ? await decodedFilm(bytes, Film, decoders) : filmOf(image as ImageData | ImageBitmap, Film);
    if (range !== undefined) film.within(...range);
    return { film, started };
  } finally {
    if (image instanceof ImageBitmap) image.close();
  }
}

function filmOf(pixels: ImageData | ImageBitmap, Film: Core['Film']): DecodedFilm {
  return pixels instanceof ImageData ? Film.fromImageData(pixels) : Film.fromBitmap(pixels);
}

async function openModel(
  core: Promise<Core>,
  model: string | ModelFiles,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<{ card: ModelCard; classifier: Classifier }> {
  const atHand = typeof model === 'object';
  // The card downloads beside the module, and the weights as soon as both are there: the module checks the card first.
  const [{ Classifier }, cardJson] = await Promise.all([
    core,
    atHand ? model.card : text(new URL('model.json', model), signal),
  ]);
  Classifier.checkCard(cardJson);
  const card = JSON.parse(cardJson) as ModelCard;
  const { file, bytes, encoding } = card.weights;
  const stored = atHand
    ? new Uint8Array(await model.weights.arrayBuffer())
    : await download(new URL(file, model), bytes, signal, onProgress);
  Classifier.verify(cardJson, stored);
  const raw = encoding === 'gzip' ? await gunzip(stored) : stored;
  signal.throwIfAborted();
  return { card, classifier: new Classifier(cardJson, raw) };
}

async function text(url: URL, signal: AbortSignal): Promise<string> {
  return (await get(url, signal)).text();
}

async function read(file: Blob): Promise<Uint8Array<ArrayBuffer>> {
  if (file.size === 0) throw { kind: 'empty-file', detail: '' } satisfies Failure;
  if (file.size > MAX_FILE_BYTES) {
    throw { kind: 'too-many-bytes', detail: `file has ${file.size} bytes; the limit is ${MAX_FILE_BYTES}` } satisfies Failure;
  }
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (cause) {
    throw { kind: 'unreadable-file', detail: String(cause) } satisfies Failure;
  }
}

/** The film as the page gets it: an ImageBitmap, which moves and is drawn without copying a pixel on its thread. */
async function shown(film: DecodedFilm, side = SHOWN_SIDE): Promise<Film> {
  return { fileWidth: film.width, fileHeight: film.height, bitmap: await createImageBitmap(film.preview(side)) };
}

/** `opening`'s value, or the signal's reason if that comes first. */
function whenOpen<T>(opening: Promise<T> | undefined, signal: AbortSignal): Promise<T> {
  if (opening === undefined) return Promise.reject({ kind: 'internal', detail: 'no model was opened' } satisfies Failure);
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    opening.then(resolve, reject);
  });
}

if (isThread()) serve(JUDGING.threads);
else Comlink.expose(engine);
