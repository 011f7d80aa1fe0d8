/**
 * A project as files for a zip: the films as pictures in the folders that say their classes, the model as a model folder,
 * and in `project.json` what else there is. Films come back bit for bit. In a worker only.
 */

import type { Failure } from './errors';
import type { PathFile, Table } from './train-films';
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
  /** Paths of tables that came with the films. */
  tables?: string[];
  /** The one that an earlier version knew. */
  manifest?: string;
  /** Paths of files that are no films, what there was to say of zips, and what is known of the films as files. */
  others?: string[];
  notes?: string[];
  facts?: string;
  run?: { settings: Settings; epochs: EpochRecord[]; step: number };
}

/** Everything that is worth keeping of a project. */
export interface Packed extends Omit<Description, 'format' | 'manifest' | 'tables'> {
  tables: Table[];
  model?: ModelFiles;
}

const FOLDER = 'roentgen-project';
const DESCRIPTION = 'project.json';

function pictureOf(path: string): string {
  return `films/${path}.png`;
}

/** The files of a project; `pixels` gives a film's. */
export async function packed({ tables, model, ...project }: Packed, pixels: (path: string) => ImageData): Promise<PathFile[]> {
  const description: Description = { format: 1, ...project, tables: tables.map(({ path }) => path) };
  const files = [{ path: DESCRIPTION, file: new Blob([JSON.stringify(description, undefined, 1)]) }];
  if (project.run !== undefined) {
    files.push({ path: 'history.json', file: new Blob([JSON.stringify({ epochs: project.run.epochs }, undefined, 1)]) });
  }
  if (model !== undefined) {
    files.push({ path: 'model/model.json', file: new Blob([model.card]) }, { path: 'model/weights.safetensors', file: model.weights });
  }
  for (const { path, bytes } of tables) files.push({ path: `films/${path}`, file: new Blob([bytes.slice()]) });
  for (const path of project.films) files.push({ path: pictureOf(path), file: await png(pixels(path)) });
  return files.map(({ path, file }) => ({ path: `${FOLDER}/${path}`, file }));
}

/**
 * The folder of a project among files, empty or ending in a slash, wherever and by whichever name it was unpacked or packed
 * again; undefined where there is none.
 */
export async function projectFolder(files: PathFile[]): Promise<string | undefined> {
  const found = files.filter(({ path }) => path === DESCRIPTION || path.endsWith(`/${DESCRIPTION}`));
  // The outermost: a folder of films may hold anything.
  for (const { path, file } of found.sort((one, other) => one.path.length - other.path.length)) {
    if (described(await file.text()) !== undefined) return path.slice(0, -DESCRIPTION.length);
  }
  return undefined;
}

/**
 * What the files of a project hold; `film` is given each picture's path and bytes, after `network` was given what they were
 * read for.
 *
 * @throws {@link Failure} of kind `dataset` when one is missing or of another version
 */
export async function unpackedProject(
  files: PathFile[],
  folder: string,
  network: (settings: Settings | undefined) => void,
  film: (path: string, bytes: Uint8Array, done: number, total: number) => void,
): Promise<Packed> {
  // A Mac decomposes accents.
  const byPath = new Map(files.map(({ path, file }) => [path.normalize(), file]));
  const file = (path: string): Blob => {
    const found = byPath.get(`${folder}${path}`.normalize());
    if (found === undefined) throw { kind: 'dataset', detail: `the project lacks ${path}; export it again` } satisfies Failure;
    return found;
  };
  const bytes = async (path: string) => new Uint8Array(await file(path).arrayBuffer());
  const description = described(await file(DESCRIPTION).text());
  if (description === undefined) throw { kind: 'dataset', detail: 'project.json is damaged; export the project again' } satisfies Failure;
  const { format, manifest, tables = manifest === undefined ? [] : [manifest], ...project } = description;
  if (format !== 1) throw { kind: 'dataset', detail: `the project is of version ${format}; this page reads version 1` } satisfies Failure;
  network(project.network);
  for (const [i, path] of project.films.entries()) film(path, await bytes(pictureOf(path)), i, project.films.length);
  const hasModel = byPath.has(`${folder}model/model.json`.normalize());
  return {
    ...project,
    tables: await Promise.all(tables.map(async (path) => ({ path, bytes: await bytes(`films/${path}`) }))),
    ...(hasModel && { model: { card: await file('model/model.json').text(), weights: file('model/weights.safetensors') } }),
  };
}

/** What a `project.json` says; undefined for one of another program, and for a damaged one. */
function described(text: string): Description | undefined {
  try {
    const description = JSON.parse(text) as Description;
    if (Array.isArray(description.films) && Array.isArray(description.unreadable)) return description;
  } catch {
    // Of another program, for all that is known.
  }
  return undefined;
}

async function png(pixels: ImageData): Promise<Blob> {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  canvas.getContext('2d')?.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}
