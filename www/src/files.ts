/** Films as they come: a folder that is dropped or picked, loose files, a zip. Paths are kept, for they say the classes. */

import type { PathFile } from './train';

/** What was picked in a file field, a folder or files. */
export function filesOf(picked: Iterable<File>): PathFile[] {
  return [...picked].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** What was dropped, folders opened. Reads `transfer` at once: the browser empties it when the event handler returns. */
export async function filesOfDrop(transfer: DataTransfer): Promise<PathFile[]> {
  const found: PathFile[] = [];
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  const entries = items.map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  for (const { entry, file } of entries) {
    if (entry?.isDirectory) await walk(entry as FileSystemDirectoryEntry, found);
    else if (file !== null) found.push({ path: file.name, file });
  }
  return found;
}

async function walk(folder: FileSystemDirectoryEntry, found: PathFile[]): Promise<void> {
  const reader = folder.createReader();
  // It gives a hundred at a time, and none at the end.
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return;
    for (const entry of entries) {
      if (entry.isDirectory) await walk(entry as FileSystemDirectoryEntry, found);
      else {
        const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
        found.push({ path: entry.fullPath.replace(/^\//, ''), file });
      }
    }
  }
}

/** Offers a file for saving. */
export function download(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Bytes of a file that become a part of a zip at a time. */
const PART_BYTES = 4 * 2 ** 20;

/** A zip of files stored as they are: weights do not get smaller. It stays whole when the files are removed. */
export async function zipped(files: PathFile[]): Promise<Blob> {
  const { Zip, ZipPassThrough } = await import('fflate');
  const parts: Blob[] = [];
  const zip = new Zip((error, piece) => {
    if (error !== null) throw error;
    // What lies in a Blob the browser keeps elsewhere: a page has not the memory for a hundred megabytes twice.
    parts.push(new Blob([piece as Uint8Array<ArrayBuffer>]));
  });
  for (const { path, file } of files) {
    const entry = new ZipPassThrough(path);
    zip.add(entry);
    for (let start = 0; start < file.size; start += PART_BYTES) {
      entry.push(new Uint8Array(await file.slice(start, start + PART_BYTES).arrayBuffer()));
    }
    entry.push(new Uint8Array(), true);
  }
  zip.end();
  return new Blob(parts, { type: 'application/zip' });
}
