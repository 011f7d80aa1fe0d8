/** Zips among the files that somebody gives, opened by the core, which knows what is a zip and what its names are. In a worker only. */

import type { Blocks, TrainingCore } from './modules';
import type { PathFile } from './train-films';
import type { Unreadable } from './train-types';

/** Known in workers only, and to their library of types, which does not go together with the page's. */
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

/** The most bytes of a zip in a zip or of a model's weights, and of any other file in a zip: the core's limit for images. */
const MOST_LARGE_BYTES = 2 * 2 ** 30;
const MOST_FILE_BYTES = 64 * 2 ** 20;

/** Files with every zip replaced by what it holds. */
export interface Unpacked {
  files: PathFile[];
  /** Zips that break off, and their like: sentences. */
  notes: string[];
  /** Zips, and files in them, that cannot be read. */
  unreadable: Unreadable[];
}

/** Opens every zip among `files`, and those in them; its files get its name for a folder, so that none takes another's place. */
export async function unpacked(core: TrainingCore, files: PathFile[], signal: AbortSignal): Promise<Unpacked> {
  const found: Unpacked = { files: [], notes: [], unreadable: [] };
  for (const { path, file } of files) {
    signal.throwIfAborted();
    if (!(await isZip(core, path, file))) {
      found.files.push({ path, file });
      continue;
    }
    const folder = `${core.folderOf(path)}/`;
    if (files.some((other) => other.path.startsWith(folder))) found.notes.push(`${path} is left out: its folder lies beside it unpacked`);
    else await open(core, path, file, found, signal);
  }
  return found;
}

async function isZip(core: TrainingCore, path: string, file: Blob): Promise<boolean> {
  const name = path.split('/').at(-1) ?? path;
  // Only what has no name that says more is looked into: a folder may hold a hundred thousand images.
  const head = !name.includes('.') || /\.zip/i.test(name) ? file.slice(0, 4) : new Blob();
  return core.isArchive(name, new Uint8Array(await head.arrayBuffer().catch(() => new ArrayBuffer(0))));
}

async function open(core: TrainingCore, path: string, file: Blob, found: Unpacked, signal: AbortSignal): Promise<void> {
  let zip;
  try {
    zip = new core.Zip(path, blocksOf(file));
  } catch (cause) {
    found.unreadable.push({ path, ...failureOf(cause) });
    return;
  }
  try {
    found.notes.push(...zip.notes);
    const folder = core.folderOf(path);
    // Two zips of one name, from two folders.
    const taken = (folder: string): boolean => found.files.some(({ path }) => path.startsWith(`${folder}/`));
    let into = folder;
    for (let number = 2; taken(into); number += 1) into = `${folder} (${number})`;
    for (const [i, inner] of zip.paths.entries()) {
      signal.throwIfAborted();
      if (inner.endsWith('/')) continue;
      const at = `${into}/${inner}`;
      const nested = core.isArchive(inner.split('/').at(-1) ?? inner, new Uint8Array());
      const most = nested || inner.endsWith('.safetensors') ? MOST_LARGE_BYTES : MOST_FILE_BYTES;
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      try {
        zip.copy(i, most, (piece: Uint8Array<ArrayBuffer>) => void pieces.push(piece));
      } catch (cause) {
        found.unreadable.push({ path: at, ...failureOf(cause) });
        continue;
      }
      // Into a Blob, which the browser may put on the disk.
      const content = new Blob(pieces);
      if (nested) await open(core, at, content, found, signal);
      else found.files.push({ path: at, file: content });
    }
  } finally {
    zip.free();
  }
}

function blocksOf(file: Blob): Blocks {
  const reader = new FileReaderSync();
  return { size: file.size, at: (start, end) => new Uint8Array(reader.readAsArrayBuffer(file.slice(start, end))) };
}

function failureOf(cause: unknown): { kind: string; message: string } {
  if (!(cause instanceof Error)) throw cause;
  return { kind: (cause as Error & { kind?: string }).kind ?? 'internal', message: cause.message };
}
