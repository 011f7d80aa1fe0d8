/**
 * What crosses the border between the Rust core and the page, as TypeScript sees it: names and units as in the core's
 * JSON. No tensor is among them.
 */

/** 95 % interval of a proportion, `[low, high]`, both in [0, 1]. */
export type Interval = [number, number];

/** The accuracy on the films of one hospital or collection. */
export interface SourceAccuracy {
  n: number;
  /** Fraction of the films called rightly, in [0, 1]. */
  accuracy: number;
  accuracy_interval: Interval;
}

/** One class against the rest; null where there is no film to measure it on. */
export interface ClassRates {
  n: number;
  sensitivity: number | null;
  sensitivity_interval: Interval | null;
  specificity: number | null;
  specificity_interval: Interval | null;
}

/** What `roentgen evaluate --json` writes; only what the page shows is named here. */
export interface Evaluation {
  /** Films measured. */
  n: number;
  /** Mean categorical cross-entropy. */
  loss: number;
  accuracy: number;
  /** Wilson interval, every film a case of its own. */
  accuracy_interval: Interval;
  /** Interval with patients resampled; wider, and the one to believe, where patients have several films. */
  accuracy_interval_by_group?: Interval | null;
  /** Area under the ROC curve of each class against the rest; null where it cannot be measured. */
  auroc: Record<string, number | null>;
  /** Counts of films: rows the truth, columns what they were called, both in the order of `classes`. */
  confusion: number[][];
  per_class: Record<string, ClassRates>;
  by_source?: Record<string, SourceAccuracy> | null;
  classes: string[];
}

/** One measurement of a model, with the data it was made on. */
export interface MetricsEntry {
  data: string;
  split: string;
  evaluation: Evaluation;
}

/** `model.json`: what a model is, how good it is, and how to tell its weights from any others. */
export interface ModelCard {
  format: number;
  id: string;
  name: string;
  version: string;
  architecture: string;
  /** In the order of the network's outputs. */
  classes: string[];
  /** Side lengths in pixels of what the network sees. */
  preprocess: { height: number; width: number; channels: number };
  weights: { file: string; bytes: number; sha256: string; encoding: 'identity' | 'gzip' };
  metrics?: MetricsEntry[];
  licence: string;
  intended_use: string;
  limitations?: string[];
}

/** A model that is at hand rather than at an address: what a model folder holds. */
export interface ModelFiles {
  /** `model.json` as text. */
  card: string;
  /** The weights file, byte for byte as the card describes it. */
  weights: Blob;
}

/** Why a film was not judged. */
export interface Refusal {
  /** Machine-readable, kebab case. */
  reason: string;
  /** For people. */
  message: string;
}

/** What the classifier says of one film. */
export interface Prediction {
  /** The most probable class. */
  label: string;
  /** Its probability, in [0, 1]. */
  score: number;
  /** Probability of every class, in [0, 1]; they sum to 1. */
  scores: Record<string, number>;
  refused: Refusal | null;
}

/** A prediction and what it cost. */
export interface Classification extends Prediction {
  /** Milliseconds for decoding, preprocessing and the network together. */
  ms: number;
}

/** A film as the classifier saw it, greyscale, reduced to fit a screen. */
export interface Film {
  /** Pixels of the file, turned upright. */
  fileWidth: number;
  fileHeight: number;
  /** Whoever takes it closes it. */
  bitmap: ImageBitmap;
}

/** How far the download of the weights has come. */
export interface Progress {
  loadedBytes: number;
  totalBytes: number;
}

/**
 * A build of the core: `simd128` runs in every browser that is new enough, `relaxed-simd` in those that have these
 * instructions, `threads` in pages that are cross-origin isolated besides. All give the same scores within 1e-4.
 */
export type Variant = 'simd128' | 'relaxed-simd' | 'threads';

/** How the core is to run; what is left out is chosen by what the browser can do. */
export interface RunOptions {
  /** This build and no other: opening fails where it cannot run. */
  variant?: Variant | undefined;
  /** Threads to use where there can be several, a whole number from 1; with 1 there is no shared memory. */
  threads?: number | undefined;
}

/** How the core runs. */
export interface Runtime {
  variant: Variant;
  /** Threads that work on one film. */
  threads: number;
}

/** A model that was opened, and what runs it. */
export interface Opened {
  card: ModelCard;
  runtime: Runtime;
}
