/** The part of the training worker that adapts a model: files through the network, then the arithmetic. In a worker only. */

import type { AdaptReport, Adaptation, Adapting } from './adapt-types';
import type { Adaptation as Core, TrainingCore } from './modules';
import { piecesOf } from './pieces';
import { unpacked } from './train-archive';
import { contentOf, FILES_AT_ONCE, throughDecoders, type PathFile } from './train-films';
import { cardOf, weightsOf, type Model } from './train-start';
import type { Unreadable } from './train-types';

/** What draws the folds, and the day for the card. */
export interface AdaptSettings {
  seed: number;
  date: string | undefined;
}

/** Adapts `model` to the images in `files`. */
export async function adapted(
  core: TrainingCore,
  model: Model,
  files: PathFile[],
  settings: AdaptSettings,
  signal: AbortSignal,
  onProgress: (adapting: Adapting) => unknown,
): Promise<Adaptation> {
  const card = await cardOf(model, signal);
  const given = await unpacked(core, files, signal);
  const work = new core.Adaptation(card, piecesOf(await weightsOf(core, card, model, signal)));
  try {
    const unreadable = [...given.unreadable, ...(await seen(core, work, given.files, signal, onProgress))];
    const total = given.files.length;
    const told = (judged: number): void => void onProgress({ done: total, total, judged });
    told(0);
    const report = JSON.parse(work.adapt(JSON.stringify(settings), told)) as AdaptReport;
    signal.throwIfAborted();
    return { report, unreadable, model: await packed(work) };
  } finally {
    work.free();
  }
}

/** Sends the images among the files through the network; what could not be read. */
async function seen(
  core: TrainingCore,
  work: Core,
  all: PathFile[],
  signal: AbortSignal,
  onProgress: (adapting: Adapting) => unknown,
): Promise<Unreadable[]> {
  const unreadable: Unreadable[] = [];
  const byPath = new Map(all.map(({ path, file }) => [path, file]));
  for (const path of work.tables(all.map(({ path }) => path))) {
    const content = await contentOf(byPath.get(path)!);
    if (content instanceof Uint8Array) work.addTable(path, content);
    else unreadable.push({ path, ...content });
  }
  const files = work.images(all.map(({ path }) => path)).map((path) => ({ path, file: byPath.get(path)! }));
  for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
    signal.throwIfAborted();
    onProgress({ done: at, total: files.length, judged: 0 });
    const paths: string[] = [];
    const bytes: Uint8Array[] = [];
    const some = files.slice(at, at + FILES_AT_ONCE);
    for (const { path, file } of some) {
      const content = await contentOf(file);
      if (!(content instanceof Uint8Array)) {
        unreadable.push({ path, ...content });
      } else if (core.Film.decodes(content)) {
        paths.push(path);
        bytes.push(content);
      } else {
        unreadable.push(...(await throughDecoders(core, path, content, (film) => work.addFilm(path, film))));
      }
    }
    unreadable.push(...(JSON.parse(work.add(paths, bytes)) as Unreadable[]));
  }
  return unreadable;
}

/** The model as its files are stored: its weights packed, as those of the shipped models are. */
async function packed(work: Core): Promise<Adaptation['model']> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  work.writeWeights((piece: Uint8Array<ArrayBuffer>) => void pieces.push(piece.slice()));
  const weights = await new Response(new Blob(pieces).stream().pipeThrough(new CompressionStream('gzip'))).blob();
  const stored = new Uint8Array(await weights.arrayBuffer());
  return { card: work.cardFor(stored, true), weights };
}
