/**
 * A project as files for a zip: the films as pictures in the folders that say their classes, the model as a model folder,
 * and in `project.json` what else there is. Films come back bit for bit. In a worker only.
 */

import type { Failure } from './errors';
import type { PathFile } from './train-films';
import type { EpochRecord, Settings, Unreadable } from './train-types';
import type { ModelFiles } from './types';

/** What `project.json` says. */
interface Description {
  format: 1;
  /** Paths of the films, as they came. */
  films: string[];
  unreadable: Unreadable[];
  /** The settings of the network that the films were read for; the scratch CNN's where an earlier version wrote it. */
  network?: Settings;
  /** Path of the manifest, where there is one. */
  manifest?: string;
  run?: { settings: Settings; epochs: EpochRecord[]; step: number };
}

/** Everything that is worth keeping of a project. */
export interface Packed extends Omit<Description, 'format' | 'manifest'> {
  manifest?: { path: string; bytes: Uint8Array };
  model?: ModelFiles;
}

const FOLDER = 'roentgen-project';
const DESCRIPTION = 'project.json';

function pictureOf(path: string): string {
  return `films/${path}.png`;
}

/** The files of a project; `grey` gives a film's bytes, `size` their height and width. */
export async function packed({ manifest, model, ...project }: Packed, grey: (path: string) => Uint8Array, size: [number, number]): Promise<PathFile[]> {
  const description: Description = { format: 1, ...project, ...(manifest && { manifest: manifest.path }) };
  const files = [{ path: DESCRIPTION, file: new Blob([JSON.stringify(description, undefined, 1)]) }];
  if (project.run !== undefined) {
    files.push({ path: 'history.json', file: new Blob([JSON.stringify({ epochs: project.run.epochs }, undefined, 1)]) });
  }
  if (model !== undefined) {
    files.push({ path: 'model/model.json', file: new Blob([model.card]) }, { path: 'model/weights.safetensors', file: model.weights });
  }
  if (manifest !== undefined) files.push({ path: `films/${manifest.path}`, file: new Blob([manifest.bytes.slice()]) });
  for (const path of project.films) files.push({ path: pictureOf(path), file: await png(grey(path), size) });
  return files.map(({ path, file }) => ({ path: `${FOLDER}/${path}`, file }));
}

/** Whether files are those of a project. */
export function isProject(files: PathFile[]): boolean {
  return files.some(({ path }) => path === `${FOLDER}/${DESCRIPTION}`);
}

/**
 * What the files of a project hold; `film` is given each picture's path and bytes, after `network` was given what they were
 * read for.
 *
 * @throws {@link Failure} of kind `dataset` when one is missing or of another version
 */
export async function unpackedProject(
  files: PathFile[],
  network: (settings: Settings | undefined) => void,
  film: (path: string, bytes: Uint8Array, done: number, total: number) => void,
): Promise<Packed> {
  const byPath = new Map(files.map(({ path, file }) => [path, file]));
  const file = (path: string): Blob => {
    const found = byPath.get(`${FOLDER}/${path}`);
    if (found === undefined) throw { kind: 'dataset', detail: `the project lacks ${path}; export it again` } satisfies Failure;
    return found;
  };
  const bytes = async (path: string) => new Uint8Array(await file(path).arrayBuffer());
  const { format, manifest, ...project } = described(await file(DESCRIPTION).text());
  if (format !== 1) throw { kind: 'dataset', detail: `the project is of version ${format}; this page reads version 1` } satisfies Failure;
  network(project.network);
  for (const [i, path] of project.films.entries()) film(path, await bytes(pictureOf(path)), i, project.films.length);
  const hasModel = byPath.has(`${FOLDER}/model/model.json`);
  return {
    ...project,
    ...(manifest !== undefined && { manifest: { path: manifest, bytes: await bytes(`films/${manifest}`) } }),
    ...(hasModel && { model: { card: await file('model/model.json').text(), weights: file('model/weights.safetensors') } }),
  };
}

function described(text: string): Description {
  try {
    const description = JSON.parse(text) as Description;
    if (Array.isArray(description.films) && Array.isArray(description.unreadable)) return description;
  } catch {
    // Said below.
  }
  throw { kind: 'dataset', detail: 'project.json is damaged; export the project again' } satisfies Failure;
}

async function png(grey: Uint8Array, [height, width]: [number, number]): Promise<Blob> {
  const canvas = new OffscreenCanvas(width, height);
  const pixels = new ImageData(width, height);
  grey.forEach((value, i) => pixels.data.set([value, value, value, 255], 4 * i));
  canvas.getContext('2d')?.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}
