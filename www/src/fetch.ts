/** Fetching, with failures that name the address. */

import type { Failure } from './errors';
import type { Progress } from './types';

/**
 * The response for `url`, its status checked.
 *
 * @throws {@link Failure} of kind `network`; the signal's reason when aborted
 */
export async function get(url: string | URL, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { signal, credentials: 'same-origin' });
  } catch (cause) {
    throw failure(url, signal, cause);
  }
  if (!response.ok) {
    throw { kind: 'network', detail: response.statusText, url: String(url), status: response.status } satisfies Failure;
  }
  return response;
}

/**
 * The body of `url`, reporting each piece as it arrives.
 *
 * @param expected bytes to expect, for the progress; a body that is longer is cut off there, one that is shorter is
 *   returned as it is, and both are for the caller's checksum to refuse
 * @throws {@link Failure} of kind `network`; the signal's reason when aborted
 */
export async function download(
  url: URL,
  expected: number,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const { body } = await get(url, signal);
  const bytes = new Uint8Array(expected);
  let loadedBytes = 0;
  onProgress({ loadedBytes, totalBytes: expected });
  const reader = body?.getReader();
  try {
    for (let piece = await reader?.read(); piece?.value !== undefined; piece = await reader?.read()) {
      // One byte too many is kept as a fact, not as bytes: an endless body must not fill the memory.
      if (loadedBytes + piece.value.length > expected) {
        await reader?.cancel();
        throw { kind: 'weights-mismatch', detail: `${url} is longer than the ${expected} bytes of the model card` } satisfies Failure;
      }
      bytes.set(piece.value, loadedBytes);
      loadedBytes += piece.value.length;
      onProgress({ loadedBytes, totalBytes: expected });
    }
  } catch (cause) {
    throw failure(url, signal, cause);
  }
  return bytes.subarray(0, loadedBytes);
}

function failure(url: string | URL, signal: AbortSignal, cause: unknown): unknown {
  if (signal.aborted) return signal.reason;
  if (isFailure(cause)) return cause;
  return { kind: 'network', detail: String(cause), url: String(url) } satisfies Failure;
}

/** Whether `cause` already says what it is. */
export function isFailure(cause: unknown): cause is Failure {
  return typeof cause === 'object' && cause !== null && 'kind' in cause && 'detail' in cause;
}

/**
 * The bytes of a gzip file whose checksum was right.
 *
 * @throws {@link Failure} of kind `weights`
 */
export async function gunzip(stored: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const unpacked = new Blob([stored]).stream().pipeThrough(new DecompressionStream('gzip'));
  try {
    return new Uint8Array(await new Response(unpacked).arrayBuffer());
  } catch (cause) {
    // The checksum was right, so the site published a broken file.
    throw { kind: 'weights', detail: `gzip: ${String(cause)}` } satisfies Failure;
  }
}
