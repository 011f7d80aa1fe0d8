/** The films of the worker that trains, and how files become them. */

import type { Film, TrainingCore, TrainingSet } from './modules';
import type { Project, Store } from './train-store';
import type { Failure } from './errors';
import { failureOf } from './jobs';
import type { Unpacked } from './train-archive';
import type { LabelColumns, Settings, Unreadable } from './train-types';
import { decodedFilm, decodersFor } from './wasm';

/** A file with its path below what was dropped. */
export interface PathFile {
  path: string;
  file: Blob;
}

/** A table that says who the patients are, or what the films show. */
export interface Table {
  path: string;
  bytes: Uint8Array;
}

/** How files become classes. */
export interface Sorting {
  seed: number;
  classes: string[] | undefined;
  labels: LabelColumns | undefined;
}

/** How far the reading of films has come. */
export interface Reading {
  done: number;
  total: number;
}

/** Files decoded at a time: enough for every thread, and few enough to stop between them and to show progress. */
export const FILES_AT_ONCE = 16;

/** The core's own limit; larger files are not even read. */
const MAX_FILE_BYTES = 64 * 2 ** 20;

/** The films at hand, and what came with them. */
export interface Films {
  set: TrainingSet;
  unreadable: Unreadable[];
  /** What there was to say of zips. */
  notes: string[];
  /** Tables that came with them. */
  tables: Table[];
  /** The settings of the network that they were read for. */
  network: Settings;
  /** What they were read from; undefined for those of an earlier visit, of which no more is there than that network sees. */
  files: PathFile[] | undefined;
}

export function noFilms(core: TrainingCore, network: Settings): Films {
  return { set: new core.TrainingSet(JSON.stringify(network)), unreadable: [], notes: [], tables: [], network, files: [] };
}

/** Whether films read for one network are what another sees. */
export function areFor({ network }: Films, { preprocess }: Settings): boolean {
  const { height, width, channels, contrast, mean, std, value_range } = network.preprocess;
  return [
    [height, preprocess.height],
    [width, preprocess.width],
    [channels, preprocess.channels],
    [contrast, preprocess.contrast],
    [mean, preprocess.mean],
    [std, preprocess.std],
    [String(value_range), String(preprocess.value_range)],
  ].every(([one, other]) => one === other);
}

/** The films that an earlier visit kept. */
export async function restoredFilms(core: TrainingCore, store: Store, held: NonNullable<Project['films']>): Promise<Films> {
  const { file, paths, unreadable, network = JSON.parse(core.Trainer.recipe('scratch-cnn', [])) as Settings } = held;
  const tables = [...(held.tables ?? []), ...(held.manifest === undefined ? [] : [held.manifest])];
  const films: Films = { ...noFilms(core, network), unreadable, tables, notes: held.notes ?? [], files: undefined };
  restoreKnown(films, held);
  const bytes = new Uint8Array(await (await store.read(file)).arrayBuffer());
  const size = network.preprocess.height * network.preprocess.width;
  paths.forEach((path, i) => films.set.restore(path, bytes.subarray(i * size, (i + 1) * size)));
  films.set.restoreFacts(held.facts ?? '{}');
  return films;
}

/** Takes what is known of a project beside its films: files that are none, and tables. */
export function restoreKnown({ set, tables, unreadable }: Films, { others = [], notes = [] }: Pick<NonNullable<Project['films']>, 'others' | 'notes'>): void {
  set.see(others);
  notes.forEach((note) => set.note(note));
  unreadable.forEach(({ path, message }) => set.addUnreadable(path, message));
  tables.forEach(({ path, bytes }) => set.addTable(path, bytes));
}

/** Adds what is in `given`; what is no film, as far as names say, is not even read. */
export async function readInto(
  core: TrainingCore,
  into: Films,
  { files: all, notes, unreadable }: Unpacked,
  { classes, labels }: Sorting,
  signal: AbortSignal,
  onProgress: (reading: Reading) => unknown,
): Promise<void> {
  // The reason of a zip that is none says more than that there is nothing.
  const [broken] = unreadable;
  if (all.length === 0 && broken !== undefined) throw { kind: broken.kind, detail: broken.message } satisfies Failure;
  into.unreadable.push(...unreadable);
  unreadable.forEach(({ path, message }) => into.set.addUnreadable(path, message));
  into.notes.push(...notes);
  notes.forEach((note) => into.set.note(note));
  const byPath = new Map(into.set.see(all.map(({ path }) => path)).map((path, i) => [path, all[i]!.file]));
  for (const path of into.set.tables) {
    const file = byPath.get(path);
    if (file === undefined) continue;
    const bytes = await contentOf(file);
    if (bytes instanceof Uint8Array) {
      into.set.addTable(path, bytes);
      into.tables.push({ path, bytes });
    } else {
      into.unreadable.push({ path, ...bytes });
    }
  }
  const wanted = into.set.wanted(classes, JSON.stringify(labels ?? {}));
  const files = wanted.flatMap((path) => (byPath.has(path) ? [{ path, file: byPath.get(path)! }] : []));
  for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
    signal.throwIfAborted();
    onProgress({ done: at, total: files.length });
    const paths: string[] = [];
    const bytes: Uint8Array[] = [];
    for (const { path, file } of files.slice(at, at + FILES_AT_ONCE)) {
      const content = await contentOf(file);
      if (!(content instanceof Uint8Array)) {
        into.unreadable.push({ path, ...content });
        into.set.addUnreadable(path, content.message);
      } else if (core.Film.decodes(content)) {
        paths.push(path);
        bytes.push(content);
      } else {
        const failed = await throughDecoders(core, path, content, (film) => into.set.addFilm(path, film, content));
        failed.forEach(({ message }) => into.set.addUnreadable(path, message));
        into.unreadable.push(...failed);
      }
    }
    into.unreadable.push(...(JSON.parse(into.set.add(paths, bytes)) as Unreadable[]));
  }
  onProgress({ done: files.length, total: files.length });
}

/** Hands `take` the film in a file that the core has no decoder for; what is wrong with it, where something is. */
export async function throughDecoders(
  core: TrainingCore,
  path: string,
  bytes: Uint8Array<ArrayBuffer>,
  take: (film: Film) => string,
): Promise<Unreadable[]> {
  const decoders = await decodersFor(bytes, core.Film);
  try {
    const film = await decodedFilm(bytes, core.Film, decoders);
    try {
      return JSON.parse(take(film)) as Unreadable[];
    } finally {
      film.free();
    }
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const { kind, detail: message, range } = failureOf(cause);
    return [{ path, kind, message, range }];
  }
}

/** The bytes of a file, or what is wrong with it. */
export async function contentOf(file: Blob): Promise<Uint8Array<ArrayBuffer> | { kind: string; message: string }> {
  if (file.size === 0) return { kind: 'empty-file', message: 'the file is empty' };
  if (file.size > MAX_FILE_BYTES) {
    return { kind: 'too-many-bytes', message: `file has ${file.size} bytes; the limit is ${MAX_FILE_BYTES}` };
  }
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (cause) {
    return { kind: 'unreadable-file', message: String(cause) };
  }
}
