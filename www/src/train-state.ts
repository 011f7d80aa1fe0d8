/** What the training page shows, as data: set by `train-page.ts`, drawn by `train-view.ts`. */

import type { RoentgenError } from './errors';
import type { EpochRecord, Kept, LabelColumns, Measured, Network, Reading, Settings, StepReport, TrainingData, Waiting } from './train';
import type { NetworkChoice } from './train-network';
import type { ClassRates, Runtime } from './types';

/** The fields of the recipe, as they are written. */
export interface Fields {
  epochs: string;
  steps: string;
  batch: string;
  optimizer: 'adam' | 'sgd';
  rate: string;
  momentum: string;
  augment: string;
  balance: 'none' | 'classes';
  patience: string;
  seed: string;
}

export interface TrainState {
  opening: boolean;
  runtime: Runtime | undefined;
  /** The network that is trained. */
  architecture: Omit<Network, 'recipe'> | undefined;
  /** What is going wrong, beside what. */
  error: { where: 'open' | 'films' | 'network' | 'settings' | 'run' | 'evaluation'; error: RoentgenError } | undefined;
  dragging: boolean;
  reading: Reading | undefined;
  /** The class that the camera is on for, and how many pictures were taken. */
  photographing: { name: string; taken: number } | undefined;
  data: TrainingData | undefined;
  /** What a person says of a table of labels: empty where it is guessed. */
  labels: Required<LabelColumns>;
  /** Films by hand that cannot be trained on yet. */
  waiting: Waiting | undefined;
  /** All classes that there are films of, and those that are wanted. */
  found: string[];
  wanted: string[];
  kept: Kept | undefined;
  notices: string[];
  network: NetworkChoice;
  fields: Fields;
  run: 'none' | 'running' | 'paused' | 'stopping' | 'stopped' | 'finished';
  settings: Settings | undefined;
  epochs: EpochRecord[];
  /** The last step, and how long one takes, in milliseconds. */
  step: StepReport | undefined;
  pace: number;
  /** Whether there is a model to use. */
  model: boolean;
  evaluating: boolean;
  measured: Measured | undefined;
  /** The cell of the confusion matrix that is open. */
  cell: [number, number] | undefined;
  /** Where films are called one class rather than the others, and the rates that this gives. */
  threshold: { label: number; value: number; rates: ClassRates | undefined } | undefined;
  saving: boolean;
}
