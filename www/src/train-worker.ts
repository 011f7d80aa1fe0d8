/**
 * The worker that trains: keeps the films, takes the steps, writes what is to outlive the visit. The page's own thread
 * only draws what it is told. Talked to through `train.ts`; the threads beside it run the same script.
 */

import * as Comlink from 'comlink';
import type { Adaptation, Adapting } from './adapt-types';
import { adapted, type AdaptSettings } from './adapt-worker';
import type { Failure } from './errors';
import { cancel, failureOf, run } from './jobs';
import type { Outcome } from './link';
import { TRAINING, type TrainingCore, type TrainingRun } from './modules';
import { piecesOf } from './pieces';
import { isThread, serve } from './pool';
import { unpacked, type Unpacked } from './train-archive';
import { zipped } from './files';
import {
  areFor,
  FILES_AT_ONCE,
  noFilms,
  readInto,
  restoredFilms,
  restoreKnown,
  type Films,
  type PathFile,
  type Reading,
  type Sorting,
} from './train-films';
import { packed, projectFolder, unpackedProject, type Packed } from './train-project';
import { chosen, startingWeights, type Choice, type Chosen, type Model } from './train-start';
import { Store, whyNotKept } from './train-store';
import type { Augment, DataReport, EpochRecord, EpochReport, Images, JudgedFilm, Kept, Measured, Network, Report, Settings, StepReport, TrainerOpened, TrainingData, Waiting } from './train-types';
import type { ClassRates, ModelFiles, RunOptions } from './types';
import { endThreads, openCore } from './wasm';
import { imagesIn } from './worker/images';

/** Bytes of a file moved at a time. */
const PIECE_BYTES = 2 ** 20;

/** Of every model that is made here; whoever publishes one names it. */
const MODEL_ID = 'my-model';

let core: TrainingCore;
let network: Chosen;
let films: Films;
/** How they are sorted. */
let sorting: Sorting = { seed: 0, classes: undefined, labels: undefined };
let store: Store | undefined;
/** The best epoch's model: in the store, or here where nothing can be kept. */
let best: { card: string; weights: () => Promise<Blob> } | undefined;
let paused = false;
let stopped = false;
let release: (() => void) | undefined;

const engine = {
  /** Loads the core. With `keep`, what was kept under that name is there again, and changes to it are kept. */
  open(job: number, choice: Choice, options: RunOptions, keep: string | undefined): Promise<Outcome<TrainerOpened>> {
    return run(job, async (signal) => {
      if (keep !== undefined) await hold(keep);
      const opened = await openCore(TRAINING, new URL(import.meta.url), options, signal);
      core = opened.core;
      network = await chosen(core, choice, signal);
      films = noFilms(core, network.recipe);
      store = keep === undefined ? undefined : await Store.open(keep).catch(() => undefined);
      const { films: held, run } = store?.project ?? {};
      if (store !== undefined && held !== undefined) films = await restoredFilms(core, store, held);
      if (store !== undefined && run?.best !== undefined) best = kept(store, run.best);
      return {
        runtime: opened.runtime,
        ...shown(network),
        kept: held && {
          films: held.paths.length,
          unreadable: held.unreadable,
          network: films.network,
          run: run && {
            settings: run.settings,
            epochs: run.epochs,
            step: run.step,
            resumable: run.checkpoint !== undefined && !run.finished,
            model: run.best !== undefined,
          },
        },
      };
    });
  },

  /**
   * Chooses the network that films are read for and that the next run trains. Films that are there are read again where it
   * sees them differently: then `reread`, and they are to be shared out again.
   */
  choose(
    job: number,
    choice: Choice,
    onProgress: (reading: Reading) => unknown,
  ): Promise<Outcome<{ network: Network; reread: boolean }>> {
    return run(job, async (signal) => {
      const wanted = await chosen(core, choice, signal);
      const there = films.set.length + films.unreadable.length > 0;
      const reread = there && !areFor(films, wanted.recipe);
      if (reread && films.files === undefined) {
        const { height, width } = films.network.preprocess;
        const detail = `they are there from an earlier visit, as ${films.network.architecture} sees them, ${height} × ${width} px; drop their folder again to train another network`;
        throw { kind: 'dataset', detail } satisfies Failure;
      }
      if (!areFor(films, wanted.recipe)) {
        const into = noFilms(core, wanted.recipe);
        try {
          const files = films.files ?? [];
          // Without any there is nothing to be wrong with them.
          if (files.length > 0) await readInto(core, into, await unpacked(core, files, signal), sorting, signal, onProgress);
          into.files = files;
        } catch (cause) {
          into.set.free();
          throw cause;
        }
        films.set.free();
        films = into;
      }
      network = wanted;
      return { network: shown(network), reread };
    });
  },

  /**
   * Adds films, or with `replace` takes them in place of all others, if they can be trained on at all; and shares them out.
   * What is kept of an earlier visit stays.
   */
  read(
    job: number,
    files: PathFile[],
    how: Sorting & { replace: boolean },
    onProgress: (reading: Reading) => unknown,
  ): Promise<Outcome<TrainingData>> {
    return run(job, async (signal) => readFilms(files, await unpacked(core, files, signal), how, signal, onProgress));
  },

  /** Takes films, or a project, in place of what is there: whichever the files are. */
  take(
    job: number,
    files: PathFile[],
    how: Sorting,
    onProgress: (reading: Reading) => unknown,
  ): Promise<Outcome<{ kept: Kept } | { data: TrainingData }>> {
    return run(job, async (signal) => {
      const given = await unpacked(core, files, signal);
      const folder = await projectFolder(given.files);
      if (folder !== undefined) return { kept: await takeProject(given.files, folder, signal, onProgress) };
      return { data: await readFilms(files, given, { ...how, replace: true }, signal, onProgress) };
    });
  },

  /** Adds films of a class that a person names; where they are not enough to train on yet, what is missing comes back. */
  addClass(
    job: number,
    files: PathFile[],
    how: Sorting,
    onProgress: (reading: Reading) => unknown,
  ): Promise<Outcome<TrainingData | Waiting>> {
    return run(job, async (signal) => {
      try {
        return await readFilms(files, await unpacked(core, files, signal), { ...how, replace: false }, signal, onProgress);
      } catch (cause) {
        const { kind, detail } = failureOf(cause);
        if (kind !== 'dataset' || films.set.length === 0) throw cause;
        return { waiting: detail.replace(/^data set: /, ''), films: films.set.length, unreadable: films.unreadable };
      }
    });
  },

  /** Sorts the films into classes and splits. */
  share(job: number, how: Sorting): Promise<Outcome<DataReport>> {
    return run(job, async () => share(films, how));
  },

  /** Keeps the films for the next visit; the sentence says why not, where that fails. */
  keepFilms(job: number): Promise<Outcome<string | undefined>> {
    return run(job, async () => {
      try {
        best = undefined;
        // A run on other films goes with them.
        if (store !== undefined) await keepProject(store, undefined);
        return undefined;
      } catch (cause) {
        return whyNotKept(cause);
      }
    });
  },

  /** Everything worth keeping as one zip. */
  exportProject(job: number): Promise<Outcome<Blob>> {
    return run(job, async () => {
      const { set, unreadable, tables, network } = films;
      const run = store?.project.run;
      const project: Packed = {
        films: set.paths,
        unreadable,
        network,
        tables,
        ...known(films),
        ...(run && { run: { settings: run.settings, epochs: run.epochs, step: run.step } }),
        ...(best && { model: { card: best.card, weights: await best.weights() } }),
      };
      return zipped(await packed(project, (path) => set.pixels(path)!));
    });
  },

  /** Takes the project in the files of such a zip in place of what is there, which stays where that fails. */
  importProject(job: number, files: PathFile[], onProgress: (reading: Reading) => unknown): Promise<Outcome<Kept>> {
    return run(job, async (signal) => {
      const given = await unpacked(core, files, signal);
      const folder = await projectFolder(given.files);
      if (folder === undefined) throw { kind: 'dataset', detail: 'there is no project.json of a project in it; export the project again' } satisfies Failure;
      return takeProject(given.files, folder, signal, onProgress);
    });
  },

  /** Forgets all films and what was made of them. */
  clear(job: number): Promise<Outcome<void>> {
    return run(job, async () => {
      films.set.free();
      films = noFilms(core, network.recipe);
      best = undefined;
      await store?.replace({});
    });
  },

  /** The first films of a class to train on. */
  paths(job: number, label: number, most: number): Promise<Outcome<string[]>> {
    return run(job, async () => films.set.trained(label, most));
  },

  /** A film as it is kept: grey, of the size that the network looks at. */
  film(job: number, path: string): Promise<Outcome<ImageBitmap>> {
    return run(job, async () => {
      const pixels = films.set.pixels(path);
      if (pixels === undefined) throw { kind: 'dataset', detail: `there is no film ${path}` } satisfies Failure;
      const bitmap = await createImageBitmap(pixels);
      return Comlink.transfer(bitmap, [bitmap]);
    });
  },

  /** The changes to training films that one number stands for. */
  augmentation(job: number, strength: number): Promise<Outcome<Augment>> {
    return run(job, async () => settingsError(() => JSON.parse(core.augmentation(strength)) as Augment));
  },

  /** Refuses settings that make no sense. */
  check(job: number, wanted: Settings): Promise<Outcome<void>> {
    return run(job, async () => checked(wanted));
  },

  /** Trains to the end, or until stopped: true at the end. `resume` goes on from the checkpoint that is kept. */
  fit(job: number, wanted: Settings, resume: boolean, onReport: (report: Report) => unknown): Promise<Outcome<boolean>> {
    return run(job, async (signal) => {
      checked(wanted);
      if (!areFor(films, wanted)) throw { kind: 'dataset', detail: 'they were read for another network; read them again' } satisfies Failure;
      [paused, stopped] = [false, false];
      const from = resume ? store?.project.run : undefined;
      if (resume && (store === undefined || from?.checkpoint === undefined)) {
        throw { kind: 'checkpoint', detail: 'there is none to go on from' } satisfies Failure;
      }
      const checkpoint = from?.checkpoint && piecesOf(await store!.read(from.checkpoint));
      const weights = resume ? undefined : await startingWeights(core, wanted, network.start, signal);
      if (!resume) best = undefined;
      const training = new core.TrainingRun(JSON.stringify(wanted), films.set, checkpoint || undefined, weights && piecesOf(weights));
      let told: unknown;
      try {
        return await train(training, wanted, signal, (report) => (told = onReport(report)));
      } finally {
        training.free();
        // Reports have a port of their own, which keeps their order; the result must not come before the last of them.
        await told;
      }
    });
  },

  /** Holds the run after the step under way, until {@link engine.resume}. */
  pause(): void {
    paused = true;
  },

  resume(): void {
    paused = false;
    release?.();
  },

  /** Ends the run after the step under way; the best epoch stays the model. */
  stop(): void {
    stopped = true;
    release?.();
  },

  /** Measures the best epoch on the test films; `name` is what the card calls them. */
  evaluate(job: number, name: string): Promise<Outcome<Measured>> {
    return run(job, async () => {
      const { card, weights } = model();
      const json = core.evaluateModel(card, piecesOf(await weights()), films.set, name);
      const { card: measured, ...rest } = JSON.parse(json) as Measured & { card: string };
      best = { card: measured, weights };
      const kept = store?.project.run;
      if (kept?.best !== undefined) await store?.keep({ run: { ...kept, best: { ...kept.best, card: measured } } }).catch(() => {});
      return rest;
    });
  },

  /** The rates of a class whose films are called so from a probability on. */
  ratesAt(job: number, scores: number[], positives: boolean[], threshold: number): Promise<Outcome<ClassRates>> {
    return run(job, async () => {
      return JSON.parse(core.ratesAt(Float32Array.from(scores), Uint8Array.from(positives, Number), threshold)) as ClassRates;
    });
  },

  /** The best epoch. */
  save(job: number): Promise<Outcome<ModelFiles>> {
    return run(job, async () => {
      const { card, weights } = model();
      return { card, weights: await weights() };
    });
  },

  /** Adapts a model to images, beside whatever is trained here. */
  adapt(
    job: number,
    model: Model,
    files: PathFile[],
    settings: AdaptSettings,
    onProgress: (adapting: Adapting) => unknown,
  ): Promise<Outcome<Adaptation>> {
    return run(job, (signal) => adapted(core, model, files, settings, signal, onProgress));
  },

  /** The images among files, beside whatever is trained here. */
  images(job: number, files: PathFile[]): Promise<Outcome<Images>> {
    return run(job, (signal) => imagesIn(core, files, signal));
  },

  /** The class that the nearest folder above each file is called after. */
  labels(job: number, paths: string[], classes: string[]): Promise<Outcome<(number | undefined)[]>> {
    return run(job, async () => paths.map((path) => core.classOf(path, classes)));
  },

  /** What scores of labelled images say of a model. */
  measure(job: number, classes: string[], films: JudgedFilm[]): Promise<Outcome<Measured>> {
    return run(job, async () => JSON.parse(core.evaluateScores(classes, JSON.stringify(films))) as Measured);
  },

  cancel,

  endThreads,
};

export type TrainEngine = typeof engine;

/** Adds films, or takes them in place of those that are there, and shares them out; those stay where that fails. */
async function readFilms(
  files: PathFile[],
  given: Unpacked,
  { replace, ...how }: Sorting & { replace: boolean },
  signal: AbortSignal,
  onProgress: (reading: Reading) => unknown,
): Promise<TrainingData> {
  const into = replace ? noFilms(core, network.recipe) : films;
  try {
    into.files?.push(...files);
    await readInto(core, into, given, how, signal, onProgress);
    const report = share(into, how);
    if (replace) films.set.free();
    films = into;
    return { report, unreadable: into.unreadable };
  } catch (cause) {
    if (replace) into.set.free();
    const failure = failureOf(cause);
    throw failure.kind === 'dataset' ? { ...failure, unreadable: into.unreadable } : cause;
  }
}

function share({ set }: Films, how: Sorting): DataReport {
  sorting = how;
  return JSON.parse(set.share(how.seed, how.classes, JSON.stringify(how.labels ?? {}))) as DataReport;
}

/** Takes a project in place of what is there, which stays where that fails. */
async function takeProject(files: PathFile[], folder: string, signal: AbortSignal, onProgress: (reading: Reading) => unknown): Promise<Kept> {
  let into = noFilms(core, network.recipe);
  let project: Packed;
  const readFor = (network = JSON.parse(core.Trainer.recipe('scratch-cnn', [])) as Settings): void => {
    into.set.free();
    into = noFilms(core, network);
  };
  try {
    project = await unpackedProject(files, folder, readFor, (path, bytes, done, total) => {
      signal.throwIfAborted();
      if (done % FILES_AT_ONCE === 0) onProgress({ done, total });
      const film = core.Film.decode(bytes);
      try {
        into.set.restoreFilm(path, film);
      } finally {
        film.free();
      }
    });
    const { tables, unreadable } = project;
    into = { ...into, tables, unreadable, notes: project.notes ?? [], files: undefined };
    restoreKnown(into, project);
    into.set.restoreFacts(project.facts ?? '{}');
    if (project.model !== undefined) {
      core.Classifier.verify(project.model.card, new Uint8Array(await project.model.weights.arrayBuffer()));
    }
  } catch (cause) {
    into.set.free();
    throw cause;
  }
  films.set.free();
  films = into;
  const { model: given, run } = project;
  best = given && { card: given.card, weights: async () => given.weights };
  if (store !== undefined) await keepProject(store, run && { ...run, finished: true }).catch(() => {});
  return {
    films: films.set.length,
    unreadable: films.unreadable,
    network: films.network,
    run: run && { settings: run.settings, epochs: run.epochs, step: run.step, resumable: false, model: best !== undefined },
  };
}

/** What is known beside the films themselves. */
function known({ set, notes }: Films): { others: string[]; notes: string[]; facts: string } {
  const paths = new Set(set.paths);
  return { others: set.seen.filter((path) => !paths.has(path)), notes, facts: set.facts };
}

async function train(training: TrainingRun, wanted: Settings, signal: AbortSignal, onReport: (report: Report) => unknown): Promise<boolean> {
  const epochs = (JSON.parse(training.history) as { epochs: EpochRecord[] }).epochs;
  let step = epochs.length * wanted.steps_per_epoch;
  let told = false;
  const keep = async (finished: boolean): Promise<void> => {
    if (store === undefined) return;
    try {
      const checkpoint = await store.write('checkpoint', (sink) => training.writeCheckpoint(sink));
      const run = { settings: wanted, epochs: [...epochs], step, finished, checkpoint };
      const kept = store.project.run?.best;
      await store.keep({ run: kept === undefined ? run : { ...run, best: kept } });
    } catch (cause) {
      // Said once: training is worth more than the checkpoint, and the next one may find room.
      if (!told) onReport({ type: 'notice', message: whyNotKept(cause) });
      told = true;
    }
  };
  if (store === undefined) {
    told = true;
  } else if (epochs.length === 0) {
    // An earlier run goes when this one begins, and its model with it.
    const held = store.project.films;
    await store.replace(held === undefined ? {} : { films: held }).catch(() => {});
  }
  if (training.start !== undefined) onReport({ type: 'notice', message: training.start });
  while (training.epoch !== undefined) {
    await turn();
    if (paused && !stopped) await new Promise<void>((resolve) => (release = resolve));
    if (stopped || signal.aborted) {
      await keep(false);
      signal.throwIfAborted();
      return false;
    }
    const started = performance.now();
    const taken = training.step();
    if (taken !== undefined) {
      const report = { type: 'step', ...JSON.parse(taken), ms: performance.now() - started } as StepReport;
      step = report.step;
      onReport(report);
      continue;
    }
    const ended = training.validate();
    if (ended === undefined) continue;
    const report = { type: 'epoch', ...JSON.parse(ended) } as EpochReport;
    const { type: _, best: isBest, ...record } = report;
    epochs.push(record);
    if (isBest) await keepBest(training, wanted);
    onReport(report);
    await keep(training.epoch === undefined);
  }
  return true;
}

/** Takes the weights as they are now for the model; in the store, or in memory where there is no room in it. */
async function keepBest(training: TrainingRun, wanted: Settings): Promise<void> {
  try {
    if (store === undefined) throw new Error('nothing is kept');
    let card = '';
    const file = await store.write('best', (sink) => (card = training.writeModel(MODEL_ID, sink)));
    // The checkpoint that comes next names it again, with the epoch's record.
    const run = store.project.run ?? { settings: wanted, epochs: [], step: 0, finished: false };
    await store.keep({ run: { ...run, best: { file, card } } });
    best = kept(store, { file, card });
  } catch {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    const card = training.writeModel(MODEL_ID, (piece: Uint8Array<ArrayBuffer>) => void pieces.push(piece.slice()));
    const blob = new Blob(pieces);
    best = { card, weights: async () => blob };
  }
}

/** Keeps the films, and a run with the model that it made, in place of what is kept. */
async function keepProject(store: Store, run: Store['project']['run']): Promise<void> {
  const { set, unreadable, tables, network } = films;
  const { paths } = set;
  const file = await store.write('films', (sink) => paths.forEach((path) => sink(set.grey(path) ?? new Uint8Array())));
  await store.replace({ films: { file, paths, unreadable, network, tables, ...known(films) } });
  if (run === undefined) return;
  if (best !== undefined) {
    const { card, weights } = best;
    const pieces = piecesOf(await weights());
    const file = await store.write('best', (sink) => {
      for (let piece = pieces.next(PIECE_BYTES); piece.length > 0; piece = pieces.next(PIECE_BYTES)) sink(piece);
    });
    run = { ...run, best: { file, card } };
    best = kept(store, { file, card });
  }
  await store.keep({ run });
}

function kept(store: Store, { file, card }: { file: string; card: string }): NonNullable<typeof best> {
  return { card, weights: () => store.read(file) };
}

function model(): NonNullable<typeof best> {
  if (best === undefined) throw { kind: 'no-trained-model', detail: '' } satisfies Failure;
  return best;
}

/** What the page is told of a network. */
function shown({ recipe, layers, parameters, learning }: Chosen): Network {
  return { recipe, layers, parameters, learning };
}

function checked(wanted: Settings): void {
  const whole = Number.isInteger(wanted.seed) && wanted.seed >= 0 && wanted.seed < 2 ** 32;
  if (!whole) throw { kind: 'settings', detail: 'seed: must be a whole number from 0 to 4294967295' } satisfies Failure;
  settingsError(() => core.checkSettings(JSON.stringify(wanted)));
}

/** What `work` gives; the card of a broken model fails with the same kind as a person's own settings. */
function settingsError<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw { kind: 'settings', detail: cause instanceof Error ? cause.message : String(cause) } satisfies Failure;
  }
}

/** Keeps what is called `name` to this tab for as long as it lives. */
function hold(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const held = navigator.locks.request(`roentgen ${name}`, { ifAvailable: true }, (lock) => {
      if (lock === null) {
        reject({ kind: 'busy', detail: '' } satisfies Failure);
        return undefined;
      }
      resolve();
      return new Promise(() => {});
    });
    held.catch(reject);
  });
}

const channel = new MessageChannel();

/** Lets messages in: a timer would be slowed down in a hidden tab. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    channel.port1.onmessage = () => resolve();
    channel.port2.postMessage(undefined);
  });
}

if (isThread()) serve(TRAINING.threads);
else Comlink.expose(engine);
