/** Where a model is: at an address, or at hand. */

import { NoModelError } from './errors';
import type { ModelFiles } from './types';

/** Whether a model is at hand rather than at an address. */
export function isFiles(model: string | URL | ModelFiles): model is ModelFiles {
  return typeof model === 'object' && 'weights' in model;
}

/**
 * The absolute address of a model folder, with the slash at its end that makes `model.json` lie inside.
 *
 * @throws {@link NoModelError} when `model` is empty or no address
 */
export function modelFolder(model: string | URL): URL {
  const text = String(model).trim();
  if (text === '' || !URL.canParse(text, document.baseURI)) throw new NoModelError();
  const url = new URL(text, document.baseURI);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}
