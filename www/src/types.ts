/**
 * What crosses the border between the Rust core and the page, as TypeScript sees it: names and units as in the core's
 * JSON. No tensor is among them.
 */

/** 95 % interval of a proportion, `[low, high]`, both in [0, 1]. */
export type Interval = [number, number];

/** A share of films, with 95 % intervals: by film, and with patients resampled where they are known. */
export interface Share {
  count: number;
  of: number;
  /** `count / of`. */
  value: number;
  interval: Interval;
  interval_by_group: Interval | null;
}

/** What an operating point reaches on a set of films; null where there is no film to stand on. */
export interface Reached {
  sensitivity: Share | null;
  specificity: Share | null;
}

/** From which probability a finding is called. */
export interface OperatingPoint {
  threshold: number;
  /** The sensitivity it was chosen for, on validation films. */
  for_sensitivity: number;
  validation: Reached;
}

/** What an uncertain band reaches on a set of films. */
export interface Answered {
  /** Of all films, those with an answer. */
  coverage: Share;
  /** Of those, the ones whose answer is wrong. */
  error: Share | null;
}

/** Below which probability of the likeliest class the answer is "uncertain". */
export interface UncertainBand {
  below: number;
  /** The share of wrong answers it was chosen for, on validation films. */
  for_error: number;
  validation: Answered;
}

/** What answers that are sets of classes reach on a set of films; null where there is no film to stand on. */
export interface SetsReached {
  /** Of all films, those whose set holds the right class. */
  coverage: Share;
  by_class: Record<string, Share>;
  /** By source, then by class. */
  by_source?: Record<string, Record<string, Share>>;
  /** Classes in a set, on average. */
  mean_size: number;
  mean_size_interval: Interval | null;
  /** Of all films, those whose set is one class. */
  single: Share;
  /** Of these, the ones whose class is the right one. */
  single_right: Share | null;
  cannot_tell: Share;
  /** Of the films with an answer, those whose set holds the right class. */
  answered: Share | null;
}

/** How a model answers in sets of classes: split conformal prediction. */
export interface AnswerSets {
  /** Of the films of each class, the share whose set is to hold the class. */
  coverage: number;
  /** The class that means "nothing found"; null where there is none. */
  healthy: string | null;
  /** Mean probabilities of the images of each class: rows the class, both in the order of `classes`. */
  typical: number[][];
  thresholds: Record<string, number>;
  validation: SetsReached;
}

/** What is answered: a class, or several that the model cannot tell apart. */
export interface FindingSet {
  /** The classes it names; none where it cannot tell. */
  classes: string[];
  /** The conformal set itself: the classes that fit the film. */
  set: string[];
  /** For people: a class, "A or B", the name of a group, "Abnormal, kind unknown", "Cannot tell". */
  text: string;
}

/** The temperature that the probabilities are calibrated with, and what it did on the validation films. */
export interface Calibration {
  temperature: number;
  films: number;
  loss_before: number;
  loss_after: number;
  ece_before: number;
  ece_after: number;
}

/** The films a model was made of and measured on. */
export interface DataDescription {
  sources: { name: string; description: string; licence: string }[];
  split: string;
  counts: { split: string; class: string; source: string; films: number }[];
  confounders: string[];
}

/** One line of what was tried: results by their name, as text. */
export interface Ablation {
  measure: string;
  results: Record<string, string>;
}

/** What a model does with films of which something was taken away. */
export interface ViewResult {
  accuracy: Share;
  balanced_accuracy: number;
  balanced_accuracy_interval: Interval | null;
  within_source: {
    source: string;
    classes: [string, string];
    films: [number, number];
    auroc: number;
    auroc_interval: Interval | null;
  }[];
}

/** What an audit for shortcuts found. */
export interface Audit {
  data: string;
  films: number;
  /** Balanced accuracy of a guess. */
  chance: number;
  lungs: { made_from: string; area: number; covers: number | null };
  /** By what was left of the films, the whole film first. */
  views: Record<string, ViewResult>;
  probes: {
    class: string;
    sources: [string, string];
    films: number;
    auroc: number;
    auroc_interval: Interval | null;
    balanced_accuracy: number;
    auroc_of_pixels: number;
  }[];
  /** How much of its heat maps lies inside the lungs: of each class that it names, `null` standing for all. */
  heat?: {
    class: string | null;
    /** Whether the lungs are each film's own, as drawn. */
    drawn: boolean;
    films: number;
    share: number;
    share_interval: Interval | null;
    /** What an even map has. */
    area: number;
  }[];
  works_without_lungs: boolean;
  rule: string;
}

/** The accuracy on the films of one hospital or collection. */
export interface SourceAccuracy {
  n: number;
  /** Fraction of the films called rightly, in [0, 1]. */
  accuracy: number;
  accuracy_interval: Interval;
  /** The films of each class by themselves. */
  by_class?: Record<string, Share> | null;
}

/** One class against the rest; null where there is no film to measure it on. */
export interface ClassRates {
  n: number;
  sensitivity: number | null;
  sensitivity_interval: Interval | null;
  specificity: number | null;
  specificity_interval: Interval | null;
  /** Positive predictive value: precision. */
  ppv: number | null;
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
  /** How often it is right when it is asked about the classes that have films here alone. */
  among_present?: Share | null;
  /** Area under the ROC curve of each class against the rest; null where it cannot be measured. */
  auroc: Record<string, number | null>;
  auroc_interval?: Record<string, Interval | null> | null;
  /** Counts of films: rows the truth, columns what they were called, both in the order of `classes`. */
  confusion: number[][];
  per_class: Record<string, ClassRates>;
  by_source?: Record<string, SourceAccuracy> | null;
  /** Expected calibration error of the most probable class. */
  ece?: number | null;
  operating_points?: Record<string, Reached> | null;
  answered?: Answered | null;
  sets?: SetsReached | null;
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
  /** Whether it judges each film mirrored left to right as well, and takes the mean of both. */
  mirrored?: boolean;
  weights: { file: string; bytes: number; sha256: string; encoding: 'identity' | 'gzip' };
  metrics?: MetricsEntry[];
  licence: string;
  /** Where it is right, where it is not, what to do there: a sentence each. */
  summary?: string[];
  intended_use: string;
  misuse?: string[];
  limitations?: string[];
  data?: DataDescription;
  calibration?: Calibration;
  operating_points?: Record<string, OperatingPoint>;
  uncertain?: UncertainBand;
  /** A model without it answers with its most probable class. */
  answer?: AnswerSets;
  /** What an answer of just these classes is called, by that name. */
  groups?: Record<string, string[]>;
  /** When a picture is refused; a model without it judges every picture. */
  refusal?: RefusalLimits;
  /** What it was adapted on, where it was. */
  adapted?: Adapted;
  audit?: Audit;
  ablation?: Ablation[];
}

/** What a model was adapted on: images of one place. */
export interface Adapted {
  /** Name and version of the model that it was adapted from. */
  from: string;
  from_weights_sha256: string;
  date?: string;
  /** Labelled images of each class. */
  images: Record<string, number>;
  unlabelled: number;
  /** Whether to take it. */
  sentence: string;
  /** Before against after, as written. */
  report: unknown;
}

/** A model that is at hand rather than at an address: what a model folder holds. */
export interface ModelFiles {
  /** `model.json` as text. */
  card: string;
  /** The weights file, byte for byte as the card describes it. */
  weights: Blob;
}

/** When a model refuses a picture, and what it refused of those that it was measured on. */
export interface RefusalLimits {
  minimum_probability: number;
  maximum_distance: number;
  features: number;
  /** By the name of the pictures, then by folder. */
  measured?: Record<string, Record<string, { n: number; refused: number }>>;
}

/** Why a picture is not judged. */
export interface Refusal {
  reason:
    | 'too-small'
    | 'blank'
    | 'colour-photo'
    | 'inverted'
    | 'rotated'
    | 'upside-down'
    | 'cropped'
    | 'lateral'
    | 'not-a-chest-film'
    | 'unfamiliar';
  /** For people. */
  message: string;
  /** What was measured; its unit is the reason's. */
  value: number;
  /** Beyond what the picture would have been judged. */
  limit: number;
}

/** What the classifier says of one film. Where `refused` is not null it means nothing, and is there because it was asked for. */
export interface Answer {
  /** What the model answers; null for a model that only has a most probable class. */
  answer: FindingSet | null;
  /** The most probable class. */
  label: string;
  /** Its probability, in [0, 1]. */
  score: number;
  /** Probability of every class, in [0, 1]; they sum to 1. */
  scores: Record<string, number>;
  /** Whether the answer is "uncertain": the most probable class is not probable enough for the model's card. */
  uncertain: boolean;
  /** Whether each finding's probability reaches its operating point; null for a model without them. */
  called: Record<string, boolean> | null;
  refused: Refusal | null;
}

/** What is in doubt about the values of a film's file. */
export interface Doubts {
  /** Sentences for people; none where all is well. */
  notes: string[];
  /** The `valueRange` to ask about, where the file leaves it open. */
  suggested_range?: ValueRange;
}

/**
 * The values of a file that are black and white, for files that leave it open: 16 bits of which fewer are used, signed
 * numbers, floats beyond 1.
 */
export type ValueRange = [black: number, white: number];

/** What is said of a picture that was refused, and not to be shown anyway: why. */
export interface Refused {
  answer: null;
  label: null;
  score: null;
  scores: null;
  uncertain: null;
  called: null;
  refused: Refusal;
}

/** An answer, or, with a `label` of null, none. */
export type Prediction = (Answer | Refused) & Doubts;

/** A prediction and what it cost. */
export type Classification = Prediction & {
  /** Milliseconds for decoding, preprocessing and the network together. */
  ms: number;
};

/**
 * What is classified: an image file (DICOM, PNG, JPEG, TIFF, WebP, BMP, PGM, GIF, and what else the browser reads of AVIF, HEIC
 * and JPEG XL), or pixels, taken as they are when it is given. An `HTMLImageElement` has to be loaded. What was given stays the
 * caller's, and open.
 */
export type ImageSource = Blob | ImageData | HTMLCanvasElement | OffscreenCanvas | ImageBitmap | HTMLImageElement | VideoFrame;

/** A film as the classifier saw it, greyscale, reduced to fit a screen. */
export interface Film {
  /** Pixels of the file, turned upright. */
  fileWidth: number;
  fileHeight: number;
  /** Whoever takes it closes it. */
  bitmap: ImageBitmap;
}

/** Where the network found what speaks for a class: a layer to be stretched over the film, see `explain`. */
export interface Explanation {
  /** The class it is about. */
  label: string;
  /** Transparent where nothing speaks for the class. Whoever takes it closes it. */
  bitmap: ImageBitmap;
  /** Milliseconds for decoding, preprocessing and the map together. */
  ms: number;
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
