/** Which network the page trains: the tutorial's from random weights, or a model's, its last layer or all of it. */

import { SITE_MODELS } from './page/site-models';
import type { NetworkOptions, Settings } from './train';
import type { ModelFiles, ValueRange } from './types';

/** What the fields of the network say. */
export interface NetworkChoice {
  learns: 'random' | 'last' | 'all';
  /** Address of a model of the site's, or {@link FOLDER}. */
  model: string;
  /** The model of a folder, once it is chosen. */
  files: ModelFiles | undefined;
  /** How films are read whose values leave open what is black and white. */
  range: ValueRange | undefined;
}

/** In place of an address: a folder of the user's. */
export const FOLDER = 'folder';

export const RANDOM: NetworkChoice = { learns: 'random', model: SITE_MODELS[0]?.[0] ?? FOLDER, files: undefined, range: undefined };

/** What the trainer is asked for; undefined as long as a folder is to be chosen. */
export function optionsOf({ learns, model, files, range: valueRange }: NetworkChoice): NetworkOptions | undefined {
  if (learns === 'random') return { architecture: 'scratch-cnn', valueRange };
  const from = model === FOLDER ? files : model;
  return from === undefined ? undefined : { from, freeze: learns === 'last' ? 'backbone' : 'none', valueRange };
}

/** The choice that led to these settings. A folder is not remembered. */
export function chosenBy({ start, freeze, preprocess }: Settings): NetworkChoice {
  const { value_range: range } = preprocess;
  if (start === undefined) return { ...RANDOM, range };
  const own = SITE_MODELS.find(([address]) => address.split('/').at(-2) === start.model);
  return { learns: freeze === 'backbone' ? 'last' : 'all', model: own?.[0] ?? FOLDER, files: undefined, range };
}
