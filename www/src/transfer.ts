/** What was dropped, pasted or picked: one film, or the error that says what to do instead. */

import { FolderError, NoPictureError, type RoentgenError } from './errors';
import type { ImageSource } from './types';

/** The film to judge, and how many more files came with it. */
export interface Taken {
  /** A Blob or pixels where a program gave it without a name. */
  file: ImageSource;
  others: number;
}

/**
 * The first film among what was dropped or pasted.
 *
 * Reads `transfer` at once: the browser empties it when the event handler returns.
 */
export function take(transfer: DataTransfer, how: 'drop' | 'paste'): Taken | RoentgenError {
  const entries = [...transfer.items].filter((item) => item.kind === 'file');
  const files = entries.flatMap((item) => {
    // A folder shows up as a file that cannot be read; only its entry tells.
    const file = item.webkitGetAsEntry?.()?.isDirectory ? null : item.getAsFile();
    return file === null ? [] : [file];
  });
  return takeFrom(files) ?? (entries.length > 0 ? new FolderError() : new NoPictureError(how));
}

/** Whether a drop or a paste is more than one file: several, a folder, or a zip. Reads `transfer` at once. */
export function isSeveral(transfer: DataTransfer): boolean {
  const items = [...transfer.items].filter(({ kind }) => kind === 'file');
  const holds = (item: DataTransferItem): boolean =>
    item.webkitGetAsEntry?.()?.isDirectory === true || /\.zip$/i.test(item.getAsFile()?.name ?? '');
  return items.length > 1 || items.some(holds);
}

/** The first of `files` that calls itself an image, else the first; undefined when there is none. */
export function takeFrom(files: Iterable<File>): Taken | undefined {
  const all = [...files];
  // Types come from file names here and may be missing or wrong: they order the files but exclude none.
  const file = all.find(({ type }) => type.startsWith('image/')) ?? all[0];
  return file === undefined ? undefined : { file, others: all.length - 1 };
}
