/** Images that a program gives, on their way to a worker. */

import * as Comlink from 'comlink';
import { NoPictureError, NoPixelsError, type Failing } from './errors';
import type { Outcome } from './link';
import type { ImageSource } from './types';

/** An image that crosses to a worker as it is. */
export type Crossing = Blob | ImageData | ImageBitmap;

/** Why the pixels of each kind of source may not be there. */
const WITHOUT: Record<string, Failing> = {
  ImageData: 'closed',
  HTMLCanvasElement: 'empty',
  OffscreenCanvas: 'empty',
  ImageBitmap: 'closed',
  HTMLImageElement: 'loading',
  VideoFrame: 'closed',
};

/**
 * `image` itself where it crosses to a worker, else a copy of its pixels as they are now, which is the caller's to close or to
 * move.
 *
 * @throws {@link RoentgenError} of kind `no-picture` for anything else, at once; the promise rejects with `no-pixels`
 */
export function crossing(image: ImageSource): Blob | ImageData | Promise<ImageBitmap> {
  // By name: those of another frame are of other classes, and no browser must have them all.
  const name = Object.prototype.toString.call(image).slice(8, -1);
  if (name === 'Blob' || name === 'File') return image as Blob;
  if (name === 'ImageData' && isWhole(image as ImageData)) return image as ImageData;
  const failing = WITHOUT[name];
  if (failing === undefined) throw new NoPictureError('call');
  return createImageBitmap(image, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' }).catch((cause: unknown) => {
    throw new NoPixelsError(isForeign(cause) ? 'foreign' : failing, String(cause));
  });
}

/**
 * What `post` brings back, which is given `image` as it is now to post it to a worker.
 *
 * @throws {@link RoentgenError} of kind `no-picture` or `no-pixels`; the signal's reason when aborted before that
 */
export async function posted<T>(
  image: ImageSource,
  signal: AbortSignal | undefined,
  post: (image: Crossing) => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  const taken = crossing(image);
  if (!(taken instanceof Promise)) return post(taken);
  const bitmap = await taken;
  try {
    signal?.throwIfAborted();
    return await post(Comlink.transfer(bitmap, [bitmap]));
  } catch (cause) {
    bitmap.close();
    throw isForeign(cause) ? new NoPixelsError('foreign', String(cause)) : cause;
  }
}

/** Whether it has bytes, and has not given them away: floats are the browser's to convert. */
function isWhole({ data }: ImageData): boolean {
  return data.length > 0 && Object.prototype.toString.call(data) === '[object Uint8ClampedArray]';
}

/** Whether a browser says so of pixels from another site: some make the bitmap, and do not let it go to a worker. */
function isForeign(cause: unknown): boolean {
  return cause instanceof DOMException && ['SecurityError', 'DataCloneError'].includes(cause.name);
}
