/** Training from code: `createTrainer`, over the worker that does it. */

import * as Comlink from 'comlink';
import type { Adaptation, Adapting } from './adapt-types';
import { isFiles, modelFolder } from './address';
import workerUrl from './train-worker?worker&url';
import { Link, type CallOptions } from './link';
import type { PathFile, Reading, Sorting } from './train-films';
import type { Choice } from './train-start';
import type { TrainEngine } from './train-worker';
import type {
  Augment,
  DataReport,
  Images,
  JudgedFilm,
  Kept,
  LabelColumns,
  Measured,
  Network,
  NetworkOptions,
  Report,
  Settings,
  TrainerOpened,
  TrainingData,
  Waiting,
} from './train-types';
import type { ClassRates, ModelFiles, RunOptions, Runtime } from './types';

export type { PathFile, Reading } from './train-films';
export type * from './adapt-types';
export type * from './train-types';

/** What is trained, and how it runs. */
export interface TrainerOptions extends CallOptions, RunOptions, NetworkOptions {
  /** Classes in the order of the outputs; every class folder in alphabetical order where not given. */
  classes?: string[] | undefined;
  /** The table that says the labels in place of folders, and its columns; taken by itself where there are no class folders. */
  labels?: LabelColumns | undefined;
  /** Draws splits, initial weights, order, augmentation and dropout: a whole number, 0 where not given. */
  seed?: number | undefined;
  /** Other settings than the recipe's. */
  settings?: Partial<Settings> | undefined;
  /**
   * Keeps films and a checkpoint an epoch under this name, on this device, for {@link Trainer.kept} of the next visit. One
   * tab at a time can have a name. Nothing is kept where not given.
   */
  keep?: string | undefined;
}

/** What reading films takes. */
export interface ReadOptions extends CallOptions {
  /** Called as they are decoded. */
  onProgress?: ((reading: Reading) => void) | undefined;
  /** Takes them in place of those read before, if they can be trained on; otherwise those stay. */
  replace?: boolean | undefined;
  /** In place of the trainer's own. */
  labels?: LabelColumns | undefined;
}

/** What adapting takes. */
export interface AdaptOptions extends CallOptions {
  /** The model to start from: the address of its folder, or its files. */
  model: string | URL | ModelFiles;
  /** Draws the folds that the images are judged in; 0 where not given. */
  seed?: number | undefined;
  /** The day, for the model's card. */
  date?: string | undefined;
  /** Called as images go through the network, and as they are judged. */
  onProgress?: ((adapting: Adapting) => void) | undefined;
}

/** What training takes; whatever is among the settings replaces the trainer's own. */
export interface FitOptions extends CallOptions, Partial<Settings> {
  /** Goes on from the checkpoint that is kept, to the same weights as an unbroken run. */
  resume?: boolean | undefined;
}

/**
 * Trains networks on films of this device, in a worker of its own.
 *
 * ```ts
 * const trainer = await createTrainer({ architecture: 'scratch-cnn', seed: 1 });
 * const data = await trainer.read([...input.files].map((file) => ({ path: file.webkitRelativePath, file })));
 * for await (const report of trainer.fit(data, { epochs: 10 })) console.log(report.type, report);
 * const { evaluation } = await trainer.evaluate(data);
 * const { card, weights } = await trainer.save();
 * ```
 */
export class Trainer {
  readonly #link = new Link<TrainEngine>(workerUrl);
  #opened!: TrainerOpened;
  #seed = 0;
  #classes: string[] | undefined;
  #labels: LabelColumns | undefined;
  #settings: Partial<Settings> = {};

  /** Opens the worker; `createTrainer` calls it. */
  async open({ classes, labels, seed = 0, settings = {}, keep, signal, variant, threads, ...network }: TrainerOptions): Promise<void> {
    [this.#seed, this.#classes, this.#labels, this.#settings] = [seed, classes, labels, settings];
    const choice = choiceOf(network);
    this.#opened = await this.#link.call(signal, (job) => this.#link.engine.open(job, choice, { variant, threads }, keep));
  }

  /**
   * Changes the network that is trained. The films that are there are read again where it sees them at another size, or
   * otherwise differently; whether that was so comes back, and {@link data} gives them then.
   *
   * @throws RoentgenError, of kind `dataset` when films of an earlier visit would have to be read again; nothing has changed
   * then
   */
  async choose(network: NetworkOptions, { signal, onProgress }: Omit<ReadOptions, 'replace'> = {}): Promise<boolean> {
    const choice = choiceOf(network);
    const { network: chosen, reread } = await this.#telling(onProgress, (tell) =>
      this.#link.call(signal, (job) => this.#link.engine.choose(job, choice, tell)),
    );
    this.#opened = { ...this.#opened, ...chosen };
    return reread;
  }

  /** Which build of the core runs, and on how many threads. */
  get runtime(): Runtime {
    return this.#opened.runtime;
  }

  /** The settings that suit the network; those of the recipe for the tutorial's. */
  get recipe(): Settings {
    return this.#opened.recipe;
  }

  /** The layers, for two classes, how many parameters they have, and how many of these learn. */
  get architecture(): Omit<Network, 'recipe'> {
    return this.#opened;
  }

  /** What an earlier visit left under the name `keep`. */
  get kept(): Kept | undefined {
    return this.#opened.kept;
  }

  /** Whether it is of no use any more: closed, or broken down. */
  get closed(): boolean {
    return this.#link.closed;
  }

  /** How films are sorted. */
  get #sorting(): Sorting {
    return { seed: this.#seed, classes: this.#classes, labels: this.#labels };
  }

  /**
   * Adds files, each with its path `train/<class>/…`, `test/<class>/…`, `val/<class>/…` or `<class>/…` in whichever folder;
   * zips are opened. A `manifest.csv` among them gives groups (patients), which stay in one split; a table gives the labels
   * where no folders do. Gives all films read so far, shared out; no file takes the place of another of the same path.
   *
   * @throws RoentgenError of kind `dataset` or `archive`, which says what to do; the signal's reason when aborted
   */
  async read(files: PathFile[], { signal, replace = false, labels, onProgress }: ReadOptions = {}): Promise<TrainingData> {
    this.#labels = labels ?? this.#labels;
    const how = { replace, ...this.#sorting };
    return this.#telling(onProgress, (tell) => this.#link.call(signal, (job) => this.#link.engine.read(job, files, how, tell)));
  }

  /**
   * Takes films as {@link read} with `replace` does, or a project as {@link importProject} does: whichever the files are.
   *
   * @throws RoentgenError of kind `dataset` or `archive`, which says what to do; the signal's reason when aborted
   */
  take(files: PathFile[], { signal, labels, onProgress }: Omit<ReadOptions, 'replace'> = {}): Promise<{ kept: Kept } | { data: TrainingData }> {
    this.#labels = labels ?? this.#labels;
    return this.#telling(onProgress, (tell) => this.#link.call(signal, (job) => this.#link.engine.take(job, files, this.#sorting, tell)));
  }

  /**
   * Adds films of the class called `name`, whatever it is called. Where all films are not enough to train on yet, for there
   * is one class only, they stay, and `waiting` says what is missing.
   *
   * @throws RoentgenError of kind `archive`, which says what to do; the signal's reason when aborted
   */
  addClass(name: string, files: File[], { signal, onProgress }: Omit<ReadOptions, 'replace' | 'labels'> = {}): Promise<TrainingData | Waiting> {
    const by = files.map((file) => ({ path: `by hand/${name}/${file.webkitRelativePath || file.name}`, file }));
    return this.#telling(onProgress, (tell) => this.#link.call(signal, (job) => this.#link.engine.addClass(job, by, this.#sorting, tell)));
  }

  /** What `call` gives; its progress, which has a port of its own, ends with it: the last of it may come after the result. */
  async #telling<P, T>(onProgress: ((progress: P) => void) | undefined, call: (tell: (progress: P) => unknown) => Promise<T>): Promise<T> {
    let running = true;
    try {
      return await call(Comlink.proxy((progress: P) => running && onProgress?.(progress)));
    } finally {
      running = false;
    }
  }

  /** The films that are there, those of an earlier visit: what {@link read} would give. */
  async data(options: CallOptions = {}): Promise<TrainingData> {
    return { report: await this.share(options), unreadable: this.kept?.unreadable ?? [] };
  }

  /** Shares the films out again, by another seed, which stays, or into other classes. */
  async share({ signal, seed, classes }: CallOptions & { seed?: number; classes?: string[] } = {}): Promise<DataReport> {
    this.#seed = seed ?? this.#seed;
    const how = { ...this.#sorting, classes: classes ?? this.#classes };
    return this.#link.call(signal, (job) => this.#link.engine.share(job, how));
  }

  /** Keeps the films under the name `keep`, in place of what was kept; the sentence says why that failed. */
  keepFilms(options: CallOptions = {}): Promise<string | undefined> {
    return this.#link.call(options.signal, (job) => this.#link.engine.keepFilms(job));
  }

  /** Films, labels, history and model as one zip, for {@link importProject} here or elsewhere. */
  exportProject(options: CallOptions = {}): Promise<Blob> {
    return this.#link.call(options.signal, (job) => this.#link.engine.exportProject(job));
  }

  /**
   * Takes the project that {@link exportProject} made, given its zip or the files of it, in place of what is there.
   *
   * @throws RoentgenError of kind `dataset` when it is damaged; what is there stays then
   */
  async importProject(files: PathFile[], { signal, onProgress }: ReadOptions = {}): Promise<Kept> {
    return this.#telling(onProgress, (tell) => this.#link.call(signal, (job) => this.#link.engine.importProject(job, files, tell)));
  }

  /** Forgets all films, and what is kept. */
  clear(options: CallOptions = {}): Promise<void> {
    return this.#link.call(options.signal, (job) => this.#link.engine.clear(job));
  }

  /** Paths of the first `most` films of class number `label` that are trained on. */
  paths(label: number, most: number, options: CallOptions = {}): Promise<string[]> {
    return this.#link.call(options.signal, (job) => this.#link.engine.paths(job, label, most));
  }

  /** A film as the network looks at it. Whoever takes it closes it. */
  film(path: string, options: CallOptions = {}): Promise<ImageBitmap> {
    return this.#link.call(options.signal, (job) => this.#link.engine.film(job, path));
  }

  /** The settings that a run with these changes would have. */
  settings(data: TrainingData, changes: Partial<Settings> = {}): Settings {
    const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
    return { ...this.recipe, ...this.#settings, seed: this.#seed, classes: data.report.classes, ...given };
  }

  /**
   * The changes to training films that one number stands for: 0 changes nothing, 1 is what the command line calls so.
   *
   * @throws RoentgenError of kind `settings` outside 0 to 3
   */
  augmentation(strength: number, options: CallOptions = {}): Promise<Augment> {
    return this.#link.call(options.signal, (job) => this.#link.engine.augmentation(job, strength));
  }

  /**
   * Refuses settings that make no sense.
   *
   * @throws RoentgenError of kind `settings`
   */
  check(settings: Settings, options: CallOptions = {}): Promise<void> {
    return this.#link.call(options.signal, (job) => this.#link.engine.check(job, settings));
  }

  /**
   * Trains, a report a step and one an epoch. Ends early, without an error, after {@link stop}, and when the loop is left.
   *
   * @throws RoentgenError, `settings`, `diverged` and `checkpoint` among its kinds; the signal's reason when aborted
   */
  async *fit(data: TrainingData, { signal, resume = false, ...changes }: FitOptions = {}): AsyncGenerator<Report, void, void> {
    const settings = this.settings(data, changes);
    const reports: Report[] = [];
    let wake = (): void => {};
    const state = { ended: false };
    const onReport = Comlink.proxy((report: Report) => {
      reports.push(report);
      wake();
    });
    const fitted = this.#link.call(signal, (job) => this.#link.engine.fit(job, settings, resume, onReport));
    // Looked at below; until then its failure is nobody's.
    fitted.then(() => {}, () => {}).finally(() => {
      state.ended = true;
      wake();
    });
    try {
      for (;;) {
        const report = reports.shift();
        if (report !== undefined) yield report;
        else if (state.ended) break;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
      await fitted;
    } finally {
      if (!state.ended) {
        this.stop();
        await fitted.catch(() => {});
      }
    }
  }

  /** Holds training after the step under way. */
  pause(): void {
    void this.#link.engine.pause();
  }

  /** Goes on. */
  resume(): void {
    void this.#link.engine.resume();
  }

  /** Ends training after the step under way; the best epoch so far is the model. */
  stop(): void {
    void this.#link.engine.stop();
  }

  /**
   * Measures the best epoch on the test films; the model's card gets the result, with `name` for the films.
   *
   * @throws RoentgenError of kind `no-trained-model` before the first epoch's end, `dataset` without test films
   */
  evaluate(_data: TrainingData, { signal, name = 'the test films of this training' }: CallOptions & { name?: string } = {}): Promise<Measured> {
    return this.#link.call(signal, (job) => this.#link.engine.evaluate(job, name));
  }

  /** The rates of class number `label` on the measured films when those with a probability from `threshold` on are called so. */
  ratesAt({ films }: Measured, label: number, threshold: number, options: CallOptions = {}): Promise<ClassRates> {
    const scores = films.map((film) => film.scores[label] ?? 0);
    const positives = films.map((film) => film.truth === label);
    return this.#link.call(options.signal, (job) => this.#link.engine.ratesAt(job, scores, positives, threshold));
  }

  /**
   * The best epoch as a model: what goes into `model.json` and `weights.safetensors`, and into `createClassifier`.
   *
   * @throws RoentgenError of kind `no-trained-model` before the first epoch's end
   */
  save(options: CallOptions = {}): Promise<ModelFiles> {
    return this.#link.call(options.signal, (job) => this.#link.engine.save(job));
  }

  /**
   * Adapts a model to a hospital from labelled images of it, `<class>/…` in whichever folder, 10 to 50 of each class: the last
   * layer, the thresholds and what is rejected. What is trained here is left alone.
   *
   * The report says what that is worth, by cross-validation on the images; whoever uses the model looks at its verdict first.
   *
   * @throws RoentgenError of kind `dataset` without images, or when no folder is called after a class of the model; the
   * signal's reason when aborted
   */
  async adapt(files: PathFile[], { model, seed = 0, date, signal, onProgress }: AdaptOptions): Promise<Adaptation> {
    const from = isFiles(model) ? model : modelFolder(model).href;
    return this.#telling(onProgress, (tell) =>
      this.#link.call(signal, (job) => this.#link.engine.adapt(job, from, files, { seed, date }, tell)),
    );
  }

  /**
   * The images among `files` by all that their names say, zips opened: for {@link createClassifier}. They are not decoded, and
   * what is trained here is left alone.
   *
   * @throws the signal's reason when aborted
   */
  images(files: PathFile[], { signal }: CallOptions = {}): Promise<Images> {
    return this.#link.call(signal, (job) => this.#link.engine.images(job, files));
  }

  /** The class, by its place among `classes`, that the nearest folder above each file is called after; undefined for none. */
  labels(paths: string[], classes: string[], { signal }: CallOptions = {}): Promise<(number | undefined)[]> {
    return this.#link.call(signal, (job) => this.#link.engine.labels(job, paths, classes));
  }

  /** What a model of `classes` is worth, by its scores of labelled images. */
  measure(classes: string[], films: JudgedFilm[], { signal }: CallOptions = {}): Promise<Measured> {
    return this.#link.call(signal, (job) => this.#link.engine.measure(job, classes, films));
  }

  /** Ends the worker; a call under way rejects with an AbortError. */
  close(): void {
    this.#link.close('the trainer');
  }
}

function choiceOf({ architecture = 'scratch-cnn', from, freeze = 'none', valueRange: range }: NetworkOptions): Choice {
  if (from === undefined) return { architecture, range };
  return { from: isFiles(from) ? from : modelFolder(from).href, freeze, range };
}

/**
 * A trainer, its core loaded.
 *
 * @throws RoentgenError, `busy` among its kinds when another tab has what is kept; the signal's reason when aborted
 */
export async function createTrainer(options: TrainerOptions = {}): Promise<Trainer> {
  const trainer = new Trainer();
  try {
    await trainer.open(options);
    return trainer;
  } catch (error) {
    trainer.close();
    throw error;
  }
}
