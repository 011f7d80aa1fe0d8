/** Sample images to train on for whoever has none: downloaded when they are asked for, see scripts/make_samples.py. */

import { errorOf } from '../../errors';
import { get, isFailure } from '../../fetch';
import type { PathFile } from '../../train-films';
import type { Fields } from '../../train-state';

/** How many there are, and megabytes of the zip. */
export const SAMPLE_IMAGES = 80;
export const SAMPLE_MEGABYTES = 0.4;

/** What suits them: some thirty seconds on two cores. Everything else is as the recipe has it. */
export const SAMPLE_FIELDS: Partial<Fields> = { epochs: '6', steps: '12' };

/**
 * The zip with them.
 *
 * @throws RoentgenError of kind `network`
 */
export async function sampleZip(): Promise<PathFile> {
  const path = 'chest-x-rays.zip';
  try {
    const response = await get(new URL(`samples/${path}`, document.baseURI), new AbortController().signal);
    return { path, file: await response.blob() };
  } catch (cause) {
    throw isFailure(cause) ? errorOf(cause) : cause;
  }
}
