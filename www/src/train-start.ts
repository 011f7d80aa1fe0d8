/** The model that a run starts from: its card when films are read for its network, its weights when the run begins. */

import type { Failure } from './errors';
import { download, get, gunzip } from './fetch';
import type { TrainingCore } from './modules';
import type { Freeze, Network, Settings } from './train-types';
import type { ModelCard, ModelFiles, ValueRange } from './types';
import { checkRange } from './wasm';

/** A model at hand, or the absolute address of its folder, ending in a slash. */
export type Model = ModelFiles | string;

/** Which network: a built-in one with random weights, or a model's. */
export type Choice = ({ architecture: string } | { from: Model; freeze: Freeze }) & { range: ValueRange | undefined };

/** A network, and the model that its runs start from. */
export interface Chosen extends Network {
  start: { card: string; model: Model } | undefined;
}

/**
 * The network that was chosen.
 *
 * @throws the core's errors for a card that it cannot use, {@link Failure} of kind `network`
 */
export async function chosen(core: TrainingCore, choice: Choice, signal: AbortSignal): Promise<Chosen> {
  const { range } = choice;
  checkRange(range);
  if ('architecture' in choice) return described(core, core.Trainer.recipe(choice.architecture, []), range, undefined);
  const { from: model, freeze } = choice;
  const card = await cardOf(model, signal);
  return described(core, core.Trainer.transfer(card, [], JSON.stringify(freeze)), range, { card, model });
}

function described(core: TrainingCore, json: string, range: ValueRange | undefined, start: Chosen['start']): Chosen {
  const recipe = JSON.parse(json) as Settings;
  if (range !== undefined) recipe.preprocess.value_range = range;
  // Two classes until there are films.
  const { layers, parameters, learning } = JSON.parse(core.describeNetwork(JSON.stringify(recipe), 2)) as Omit<Network, 'recipe'>;
  return { recipe, layers, parameters, learning, start };
}

/**
 * The weights that a run with these settings starts from, checked; undefined for random ones.
 *
 * @throws {@link Failure} of kind `settings` when the model is not at hand, `network` and `weights` among the others
 */
export async function startingWeights(
  core: TrainingCore,
  { start: wanted }: Settings,
  start: Chosen['start'],
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (wanted === undefined) return undefined;
  const weights = start && (JSON.parse(start.card) as ModelCard).weights;
  if (start === undefined || weights?.sha256 !== wanted.sha256) {
    throw { kind: 'settings', detail: `the model ${wanted.model}, to start from, is not at hand; choose it again` } satisfies Failure;
  }
  return weightsOf(core, start.card, start.model, signal);
}

/** The `model.json` of a model. */
export async function cardOf(model: Model, signal: AbortSignal): Promise<string> {
  return typeof model === 'string' ? (await get(new URL('model.json', model), signal)).text() : model.card;
}

/**
 * The weights of a model, unpacked, after they were checked against its card.
 *
 * @throws {@link Failure} of kind `network` and `weights`; the core's errors for a card that it cannot read
 */
export async function weightsOf(core: TrainingCore, card: string, model: Model, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const { file, bytes, encoding } = (JSON.parse(card) as ModelCard).weights;
  const stored =
    typeof model === 'string'
      ? await download(new URL(file, model), bytes, signal, () => {})
      : new Uint8Array(await model.weights.arrayBuffer());
  core.Classifier.verify(card, stored);
  return encoding === 'gzip' ? gunzip(stored) : stored;
}
