/** What the element shows, as data: set by `element.ts`, drawn by `view.ts`. */

import type { RoentgenError } from './errors';
import type { Classification, Film, Opened, Progress } from './types';

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

export interface State {
  loading: Loading;
  judgement: Judgement;
  /** Name of the file at hand; empty when it came without one. */
  name: string;
  film: Film | undefined;
  /** Files that came along and were left out. */
  others: number;
  /** Whether something is being dragged over the element. */
  dragging: boolean;
}
