/** What comes of adapting a model to a hospital: the JSON of `roentgen adapt --json`. */

import type { Unreadable } from './train-types';
import type { Interval, ModelFiles, Share } from './types';

/** A number with its 95 % interval, patients resampled. */
export interface WithInterval {
  value: number;
  interval: Interval | null;
}

/** What a model reaches on the images. All but `rejected` is null where there were not images enough of two classes. */
export interface Judged {
  /** Of all images, those rejected. */
  rejected: Share;
  /** Images whose class is the likeliest of those in the folder. */
  accuracy: Share | null;
  /** The same as the mean over the classes. */
  balanced_accuracy: WithInterval | null;
  /** Area under the ROC curve of each class, by its probability among those in the folder. */
  auroc: Record<string, WithInterval> | null;
  /** Cross-entropy in nats among all of the model's classes, the mean over the classes in the folder. */
  loss: number | null;
  /** Of all images, those answered with one class. */
  single: Share | null;
  /** Of all images, those answered with several. */
  several: Share | null;
  /** Of all images, those that are not rejected and get no answer. */
  cannot_tell: Share | null;
  /** Of the images answered, those whose answer does not hold their class; null where none is answered, too. */
  wrong: Share | null;
}

/** Before against after, and whether to take it. */
export interface AdaptReport {
  verdict: 'take' | 'leave' | 'too-few';
  /** The verdict as a sentence. */
  sentence: string;
  /** Labelled images of each class, those used. */
  images: Record<string, number>;
  /** Images without a label. */
  unlabelled: number;
  /** Patients, or other groups, that the images are of. */
  groups: number;
  /** Classes that the last layer learned from. */
  learned: string[];
  /** How firmly the last layer was held; null where it was not learned. */
  ridge: 'unchanged' | 'biases' | number | null;
  /** How many folds the images were judged in. */
  folds: number;
  /** The shipped model on the images. */
  before: Judged;
  /** The adapted one, each image by a model that had not seen it. */
  after: Judged;
  /** After less before, image by image; `accuracy` is that of `balanced_accuracy`. */
  difference: Record<'rejected', WithInterval> & Record<'accuracy' | 'loss' | 'single_right', WithInterval | null>;
  /** Distance from which on an image is rejected, before and after; null for a model that rejects nothing. */
  maximum_distance: [number, number] | null;
  /** What there is to say beside it, a sentence each. */
  notes: string[];
  /** Folders that no class of the model is called after. */
  left_out: { folder: string; files: number }[];
}

/** An adapted model, and what it is worth. */
export interface Adaptation {
  readonly report: AdaptReport;
  /** Files that are no images. */
  readonly unreadable: Unreadable[];
  /** What goes into `model.json` and `weights.safetensors`, and into `createClassifier`. */
  readonly model: ModelFiles;
}

/** How far an adaptation has come: images through the network, then the judging, in `[0, 1]`. */
export interface Adapting {
  done: number;
  total: number;
  judged: number;
}
