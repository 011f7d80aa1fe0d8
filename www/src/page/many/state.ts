/** What the view of many images shows, as data: set by `many-page.ts`, drawn by `many-view.ts`. */

import type { RoentgenError } from '../../errors';
import type { Measured } from '../../train-types';
import type { TrainState } from '../../train-state';
import type { ModelCard } from '../../types';
import type { Item, Pace } from './queue';
import type { Order, Shown } from './table';

export interface ManyState extends Pick<TrainState, 'cell' | 'threshold'> {
  phase: 'empty' | 'opening' | 'running' | 'paused' | 'cancelled' | 'done';
  dragging: boolean;
  error: RoentgenError | undefined;
  /** What there is to say of zips: sentences. */
  notes: string[];
  items: Item[];
  /** The model that classifies them. */
  card: ModelCard | undefined;
  pace: Pace;
  shown: Shown;
  /** What the paths of the images shown have in them. */
  text: string;
  order: Order;
  /** The images shown, in order, and the place in it that the keyboard is at. */
  rows: Item[];
  at: number;
  /** The first row that is drawn, and how many are: the table has more than a page holds. */
  from: number;
  drawn: number;
  measuring: boolean;
  measured: Measured | undefined;
}

/** What the view can ask the page to do. */
export interface ManyActions {
  picked(input: HTMLInputElement): void;
  dropped(event: DragEvent): void;
  dragged(over: boolean): void;
  pause(): void;
  resume(): void;
  cancel(): void;
  clear(): void;
  retry(): void;
  export(kind: 'csv' | 'json'): void;
  show(shown: Shown): void;
  search(text: string): void;
  sort(by: Order['by']): void;
  scrolled(): void;
  key(event: KeyboardEvent): void;
  /** Shows the image of a row in the single view. */
  open(row: number): void;
  cell(cell: [number, number] | undefined): void;
  threshold(label: number, value: number): void;
}
