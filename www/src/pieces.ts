/** A file read from beginning to end, a piece a call: as a whole a checkpoint is 331 MB. In a worker only. */

import type { Pieces } from './modules';

/** Known in workers only, and to their library of types, which does not go together with the page's. */
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

export function piecesOf(file: Blob | Uint8Array<ArrayBuffer>): Pieces {
  const size = file instanceof Blob ? file.size : file.length;
  let at = 0;
  const next = (most: number): Uint8Array<ArrayBuffer> => {
    const end = Math.min(at + most, size);
    const piece = file instanceof Blob ? new FileReaderSync().readAsArrayBuffer(file.slice(at, end)) : file.subarray(at, end);
    at = end;
    return piece instanceof ArrayBuffer ? new Uint8Array(piece) : piece;
  };
  return { size, next };
}
