/**
 * Classifies chest X-rays on this device: the programmatic entry of the npm package `roentgen`.
 *
 * ```ts
 * import { createClassifier } from 'roentgen';
 *
 * const classifier = await createClassifier({ model: '/models/scratch-cnn/' });
 * const { label, score } = await classifier.classify(file);
 * ```
 *
 * The model is fetched once; the films given to `classify` go nowhere. Not a medical device.
 */

import { isFiles, modelFolder } from './address';
import { Client, type ExplainOptions, type JudgeOptions, type OpenOptions } from './client';
import type { Trainer, TrainerOptions } from './train';
import type { Classification, Explanation, ImageSource, ModelCard, ModelFiles, Runtime } from './types';

export { modelFolder } from './address';
export * from './errors';
export type * from './types';
export type { CallOptions, ExplainOptions, JudgeOptions as ClassifyOptions, OpenOptions } from './client';
export type * from './train';

/** Where the model is, what to do while it loads, and how it is to run. */
export interface ClassifierOptions extends OpenOptions {
  /** Address of a model folder, absolute or relative to the page, which holds `model.json` and the weights; or both at hand. */
  model: string | URL | ModelFiles;
}

/** A model, ready in a worker of its own. */
export interface RoentgenClassifier {
  /** What the model is and how good it is. */
  readonly card: ModelCard;
  /** Which build of the core runs, and on how many threads. */
  readonly runtime: Runtime;
  /**
   * Judges one film: an image file, or the pixels of a canvas, an image element, a bitmap or a video frame as they are now. The
   * same pixels give the same scores, whatever they come in. Calls run one after the other.
   *
   * @throws RoentgenError of a kind in `errors.ts`; the signal's reason when aborted
   */
  classify(image: ImageSource, options?: JudgeOptions): Promise<Classification>;
  /**
   * Where the network found what speaks for a class of the card in a film (Grad-CAM): a layer to be stretched over it.
   *
   * It shows where the network looked, not whether there is disease, and only coarsely where.
   *
   * @throws RoentgenError of a kind in `errors.ts`, `unknown-class` among them; the signal's reason when aborted
   */
  explain(image: ImageSource, label: string, options?: ExplainOptions): Promise<Explanation>;
  /** Ends the worker; a call under way rejects with an AbortError. */
  close(): void;
}

/**
 * A classifier with the model loaded and checked against its SHA-256.
 *
 * @throws RoentgenError, `network` and `weights-mismatch` among its kinds; the signal's reason when aborted
 */
export async function createClassifier({ model, ...options }: ClassifierOptions): Promise<RoentgenClassifier> {
  const client = new Client();
  try {
    const { card, runtime } = await client.open(isFiles(model) ? model : modelFolder(model), options);
    return {
      card,
      runtime,
      classify: (image, options = {}) => client.classify(image, options),
      explain: (image, label, options = {}) => client.explain(image, label, options),
      close: () => client.close(),
    };
  } catch (error) {
    client.close();
    throw error;
  }
}

/**
 * A trainer, see `Trainer`. What it takes is loaded when it is first asked for.
 *
 * @throws RoentgenError; the signal's reason when aborted
 */
export async function createTrainer(options: TrainerOptions = {}): Promise<Trainer> {
  return (await import('./train')).createTrainer(options);
}
