/** Which files of a folder or a zip are images, for a model that is there already. In a worker only. */

import type { TrainingCore } from '../modules';
import { unpacked } from '../train-archive';
import type { PathFile } from '../train-films';
import type { Images } from '../train-types';

/** A folder above all others, see below. */
const ALL = 'images';

/** The images among `given`, zips opened; files that no system, table or mask is called after. */
export async function imagesIn(core: TrainingCore, given: PathFile[], signal: AbortSignal): Promise<Images> {
  const { files, notes, unreadable } = await unpacked(core, given, signal);
  const set = new core.TrainingSet(core.Trainer.recipe('scratch-cnn', []));
  try {
    // As if all of them were of one class: the layout then says which are images, whatever their own folders are called.
    const seen = set.see(files.map(({ path }) => `${ALL}/${path}`));
    const wanted = new Set(files.length === 0 ? [] : set.wanted([ALL], '{}'));
    return { files: files.filter((_, i) => wanted.has(seen[i]!)), notes, unreadable };
  } finally {
    set.free();
  }
}
