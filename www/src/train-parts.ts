/** What the parts of the training page's view have in common. */

import { html, nothing, type TemplateResult } from 'lit';
import { DataSetError, type RoentgenError } from './errors';
import { count } from './format';
import type { NetworkChoice } from './train-network';
import type { LabelColumns, Unreadable } from './train';
import type { Fields, TrainState } from './train-state';
import type { ValueRange } from './types';

/** What the view can ask the page to do. */
export interface TrainActions {
  /** Trains on the sample images. */
  trySamples(): void;
  picked(input: HTMLInputElement): void;
  dropped(event: DragEvent): void;
  dragged(over: boolean): void;
  addClass(name: string, files: File[]): void;
  photograph(name: string): void;
  takePhoto(): void;
  endPhotos(): void;
  /** Says which table has the labels, and in which columns, for what is dropped next. */
  labels(change: LabelColumns): void;
  export(): void;
  forget(): void;
  want(name: string, wanted: boolean): void;
  network(change: Partial<NetworkChoice>): void;
  modelFolder(input: HTMLInputElement): void;
  change(field: keyof Fields, value: string): void;
  start(): void;
  goOn(): void;
  pause(): void;
  resume(): void;
  stop(): void;
  evaluate(): void;
  open(cell: [number, number] | undefined): void;
  /** Asks for the rates of a class when films are called so from a probability on. */
  threshold(label: number, value: number): void;
  use(): void;
  save(): void;
  /** Reads the files again that were let go last, by a value range. */
  readAgain(range: ValueRange): void;
  retry(): void;
}

/** Lines and pictures of a list that are shown, however many there are. */
export const MOST_SHOWN = 200;

/** What is going wrong at one place of the page, where something is. */
export function problem({ error }: TrainState, where: string, actions: TrainActions): TemplateResult | typeof nothing {
  if (error?.where !== where) return nothing;
  const { message, detail, retryable }: RoentgenError = error.error;
  const unreadable = error.error instanceof DataSetError ? error.error.unreadable : [];
  return html`<div class="problem" role="alert">
    <p>${message}</p>
    ${detail === '' ? nothing : html`<p class="quiet">${detail}</p>`}
    ${notRead(unreadable)} ${readWith(unreadable, actions)}
    ${retryable && where === 'open' ? html`<p><button type="button" @click=${actions.retry}>Try again</button></p>` : nothing}
  </div>`;
}

/** Asks once what the values of files mean that leave it open: the button reads all of them anew. */
export function readWith(unreadable: Unreadable[], actions: TrainActions): TemplateResult | typeof nothing {
  const ranges = unreadable.flatMap(({ range }) => (range === undefined ? [] : [range]));
  if (ranges.length === 0) return nothing;
  const [black, white] = [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))];
  return html`<p class="buttons" role="group" aria-label="Values of the images">
    <button type="button" class="primary" @click=${() => actions.readAgain([black, white])}>
      Read them with ${count(black)} to ${count(white)}
    </button>
  </p>`;
}

/** Files that are not read, with the reason of each. */
export function notRead(unreadable: Unreadable[]): TemplateResult | typeof nothing {
  if (unreadable.length === 0) return nothing;
  return html`<details id="unreadable">
    <summary>${count(unreadable.length)} files are not read and are left out</summary>
    <ul>
      ${unreadable.slice(0, MOST_SHOWN).map(({ path, message }) => html`<li>${path}: ${message}</li>`)}
    </ul>
  </details>`;
}

export function total(counts: number[]): number {
  return counts.reduce((sum, one) => sum + one, 0);
}
