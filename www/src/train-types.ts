/** What crosses the border between the Rust core and the page in training: names and units as in the core's JSON. */

import type { PathFile } from './train-films';
import type { Evaluation, ModelFiles, Runtime, ValueRange } from './types';

/** The optimiser and its constants. */
export type Optimizer =
  | { kind: 'adam'; beta1: number; beta2: number; epsilon: number }
  | { kind: 'sgd'; momentum: number };

/** How far a training film may be changed; all 0 and false changes nothing. */
export interface Augment {
  rotate_degrees: number;
  scale: number;
  aspect: number;
  shift: number;
  flip: boolean;
  gamma: number;
  contrast: number;
  brightness: number;
}

/** Which layers stay as they start: `backbone` is all but the last. */
export type Freeze = 'none' | 'backbone' | { layers: string[] };

/** Everything that decides what a run does; `model.json` keeps it as `training.config`. */
export interface Settings {
  architecture: string;
  /** In the order of the network's outputs. */
  classes: string[];
  preprocess: { height: number; width: number; channels: number; contrast: string; mean: number; std: number; value_range?: ValueRange };
  augment: Augment;
  /** `classes` draws every class equally often. */
  balance: 'none' | 'classes' | 'classes-and-sources' | 'square-root';
  epochs: number;
  steps_per_epoch: number;
  /** Films in a step. */
  batch_size: number;
  optimizer: Optimizer;
  learning_rate: number;
  schedule: { kind: 'constant' } | { kind: 'cosine'; warmup_steps: number };
  weight_decay: number;
  dropout: number;
  label_smoothing: number;
  /** The `α` of a Beta distribution by whose shares each training image is blended with another; 0 is none. */
  mixup: number;
  freeze: Freeze;
  /** What normalisations that learn go by: each batch's statistics, or those that they have. */
  norms: 'batch' | 'running';
  /** The model whose weights the run starts from; random ones where there is none. */
  start?: { model: string; sha256: string; classes: string[] };
  /** A whole number from 0 to 4,294,967,295: initial weights, splits, order, augmentation, dropout. */
  seed: number;
}

/** A file that is no film. */
export interface Unreadable {
  path: string;
  kind: string;
  message: string;
  /** Black and white by which it may be readable, where its own values leave that open. */
  range?: ValueRange | undefined;
}

/** The images among files, for a model that is there already. */
export interface Images {
  files: PathFile[];
  /** Zips that break off, and their like: sentences. */
  notes: string[];
  /** Zips, and files in them, that cannot be read. */
  unreadable: Unreadable[];
}

/** The same picture under several names, or pictures that are nearly the same. */
export interface Copies {
  /** Whether they are the same in every byte that the network sees. */
  exact: boolean;
  films: string[];
  /** What became of them, in words. */
  outcome: string;
  left_out: string[];
  /** Those that were put into another split than their folder, or the draw, had put them. */
  moved: string[];
}

/** The films of a set by class and split. */
export interface DataReport {
  classes: string[];
  /** Counts in the order of `classes`. */
  train: number[];
  val: number[];
  test: number[];
  /** Whether there was no `val` folder, or no splits at all, so that films were drawn. */
  val_drawn: boolean;
  test_drawn: boolean;
  copies: Copies[];
  /** Class folders that are no class, zips that break off: sentences. */
  notes: string[];
  /** What was decided that could have been decided otherwise: sentences. */
  decided: string[];
  /** Files left out, and why. */
  left_out: LeftOut[];
  /** What the films of each class are like as files. */
  by_class: ClassFacts[];
  /** Films whose values leave most of their type unused, where there are any: `valueRange` may be meant. */
  unused?: {
    /** The power of two that the values of all of them lie below. */
    below: number;
    /** Of each class, how many of its films they are. */
    by_class: [films: number, all: number][];
  };
  /** Patients, or other groups; null when nobody knows. */
  groups: { groups: number; images: number; across_splits: string[] } | null;
  /** In which way a class differs from the others, and patients lie in several splits: sentences. */
  warnings: string[];
}

/** Files that are left out for one reason. */
export interface LeftOut {
  /** The reason in kebab case, for programs. */
  why: string;
  words: string;
  count: number;
  /** Their paths, at most a thousand. */
  files: string[];
}

/** What the films of one class are like as files. */
export interface ClassFacts {
  class: string;
  /** Films of which that is known: not of those that an earlier version kept. */
  images: number;
  /** How many there are of each format, and of each depth in bits. */
  formats: Record<string, number>;
  bits: Record<string, number>;
  /** Smallest, median and largest height and width in pixels. */
  sizes: [[number, number], [number, number], [number, number]];
  /** Smallest and largest value, where 0 is black and 1 is white. */
  values: [number, number];
}

/** Which table says the labels, and in which columns: what is not given is guessed. */
export interface LabelColumns {
  /** Path of the table among the files, or its name. */
  table?: string;
  /** Title of the column that names the files. */
  file?: string;
  /** Title of the column that names the class; or titles, with commas between them, of columns that have a 1 for it. */
  label?: string;
}

/** Films that can be trained on; they belong to the trainer that read them. */
export interface TrainingData {
  /** How they are shared out. */
  readonly report: DataReport;
  /** Files that are no films. */
  readonly unreadable: Unreadable[];
}

/** Films that are there, and why they cannot be trained on yet. */
export interface Waiting {
  readonly waiting: string;
  /** How many there are. */
  readonly films: number;
  readonly unreadable: Unreadable[];
}

/** Mean loss, and the share of films called rightly. */
export interface Phase {
  loss: number;
  accuracy: number;
}

/** One finished epoch. */
export interface EpochRecord {
  /** 1 is the first. */
  epoch: number;
  train: Phase;
  validation: Phase;
  learning_rate: number;
}

/** One step of the optimiser. */
export interface StepReport {
  type: 'step';
  /** Steps taken in the whole run. */
  step: number;
  epoch: number;
  /** Of the batch, before the update. */
  loss: number;
  correct: number;
  /** Films in the batch. */
  n: number;
  learning_rate: number;
  /** Means over the epoch so far. */
  running: Phase;
  /** Milliseconds that the step took. */
  ms: number;
}

/** The end of an epoch. */
export interface EpochReport extends EpochRecord {
  type: 'epoch';
  /** Whether its weights are the best so far, and the model for now. */
  best: boolean;
}

/** Something to know while training goes on: that nothing can be kept, or what becomes of the start model's last layer. */
export interface NoticeReport {
  type: 'notice';
  message: string;
}

/** What `fit` says as it goes. */
export type Report = StepReport | EpochReport | NoticeReport;

/** A test film as the model sees it. */
export interface JudgedFilm {
  path: string;
  /** Indices of classes. */
  truth: number;
  called: number;
  scores: number[];
}

/** A point of a curve and the score from which on films are called so; null is an infinite score. */
export type CurvePoint = [number, number, number | null];

/** How well one class is told from the rest, at every threshold. */
export interface ClassCurves {
  /** `[1 − specificity, sensitivity, score]`; empty where a kind of film is missing. */
  roc: CurvePoint[];
  /** `[recall, precision, score]`; empty without films of the class. Precision holds from the recall before it. */
  precision_recall: CurvePoint[];
  average_precision: number | null;
}

/** Films whose probability lies in one part of [0, 1]; means are null where there are none. */
export interface ReliabilityBin {
  above: number;
  up_to: number;
  count: number;
  /** Their mean probability. */
  confidence: number | null;
  /** The share of them that are called rightly, with its 95 % interval. */
  accuracy: number | null;
  accuracy_interval: [number, number] | null;
}

/** What a model makes of the test films. */
export interface Measured {
  evaluation: Evaluation;
  /** Of each class against the rest, in order. */
  curves: ClassCurves[];
  /** Whether the probability of the class that is called means what it says. */
  reliability: ReliabilityBin[];
  /** Mean distance of accuracy and probability over these bins. */
  expected_calibration_error: number | null;
  films: JudgedFilm[];
}

/** One line of the layer table. */
export interface Layer {
  name: string;
  kind: string;
  output: number[];
  parameters: number;
}

/** Which network is trained, and from what. */
export interface NetworkOptions {
  /** One of the built-in networks, with random weights: `scratch-cnn` where neither this nor `from` is given. */
  architecture?: string | undefined;
  /** A model to start from, at hand or the address of its folder: its network, preprocessing and weights. */
  from?: ModelFiles | string | URL | undefined;
  /** Which layers of `from` stay as they are; none where not given. With `backbone` the last one alone learns. */
  freeze?: Freeze | undefined;
  /** How to read files whose values leave open what is black and white; the model keeps it. */
  valueRange?: ValueRange | undefined;
}

/** A network as films are read for it. */
export interface Network {
  /** The settings that suit it; without classes until there are films. */
  recipe: Settings;
  /** The layers, for two classes. */
  layers: Layer[];
  /** Their parameters, and how many of them learn. */
  parameters: number;
  learning: number;
}

/** What a trainer runs on. */
export interface TrainerOpened extends Network {
  runtime: Runtime;
  /** What is there from an earlier visit. */
  kept: Kept | undefined;
}

/** A project of an earlier visit. */
export interface Kept {
  films: number;
  unreadable: Unreadable[];
  /** The settings of the network that the films were read for. */
  network: Settings;
  run: KeptRun | undefined;
}

/** A run of an earlier visit. */
export interface KeptRun {
  settings: Settings;
  epochs: EpochRecord[];
  /** Steps that its checkpoint has taken. */
  step: number;
  /** Whether it has steps to take, and a checkpoint to take them from. */
  resumable: boolean;
  /** Whether its best epoch is there as a model. */
  model: boolean;
}
