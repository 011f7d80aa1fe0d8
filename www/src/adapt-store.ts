/** The adapted model that this device remembers: two files in a cache of their own, until it is forgotten. */

import type { ModelFiles } from './types';

const NAME = 'roentgen-adapted';
const CARD = '/adapted/model.json';
const WEIGHTS = '/adapted/weights.safetensors';

/** Remembers a model in place of the one before. */
export async function remember({ card, weights }: ModelFiles): Promise<void> {
  const cache = await caches.open(NAME);
  await cache.put(WEIGHTS, new Response(weights));
  await cache.put(CARD, new Response(card));
}

/** The model that is remembered, where there is one. */
export async function remembered(): Promise<ModelFiles | undefined> {
  const cache = await caches.open(NAME);
  const [card, weights] = [await cache.match(CARD), await cache.match(WEIGHTS)];
  if (card === undefined || weights === undefined) return undefined;
  return { card: await card.text(), weights: await weights.blob() };
}

/** Forgets it. */
export async function forget(): Promise<void> {
  await caches.delete(NAME);
}
