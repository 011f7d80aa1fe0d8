/** What the element shows, as data: set by `element.ts`, drawn by `view.ts`. */

import type { RoentgenError } from './errors';
import type { Classification, Explanation, Film, Opened, Progress } from './types';

/** The model's way in. */
export type Loading =
  | { phase: 'loading'; progress: Progress | undefined }
  | ({ phase: 'ready' } & Opened)
  | { phase: 'failed'; error: RoentgenError };

/** What became of the film on the stage. */
export type Judgement =
  | { phase: 'none' }
  | { phase: 'reading' }
  | { phase: 'judging' }
  | { phase: 'judged'; result: Classification }
  | { phase: 'failed'; error: RoentgenError };

/** What is laid over the film. */
export type Overlay =
  | { phase: 'none' }
  | { phase: 'reading'; label: string }
  | { phase: 'shown'; label: string; explanation: Explanation }
  | { phase: 'failed'; label: string; error: RoentgenError };

export interface State {
  loading: Loading;
  judgement: Judgement;
  /** Name of the file at hand; empty when it came without one. */
  name: string;
  film: Film | undefined;
  overlay: Overlay;
  /** How far the overlay hides the film where it is hottest, in [0, 1]. */
  opacity: number;
  /** Files that came along and were left out. */
  others: number;
  /** Whether something is being dragged over the element. */
  dragging: boolean;
}
