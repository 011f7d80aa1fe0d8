/** What the parts of the training page's view have in common. */

import { html, nothing, type TemplateResult } from 'lit';
import type { RoentgenError } from './errors';
import type { NetworkChoice } from './train-network';
import type { Fields, TrainState } from './train-state';

/** What the view can ask the page to do. */
export interface TrainActions {
  picked(input: HTMLInputElement): void;
  dropped(event: DragEvent): void;
  dragged(over: boolean): void;
  addClass(name: string, files: File[]): void;
  photograph(name: string): void;
  takePhoto(): void;
  endPhotos(): void;
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
  retry(): void;
}

/** Lines and pictures of a list that are shown, however many there are. */
export const MOST_SHOWN = 200;

/** What is going wrong at one place of the page, where something is. */
export function problem({ error }: TrainState, where: string, actions: TrainActions): TemplateResult | typeof nothing {
  if (error?.where !== where) return nothing;
  const { message, detail, retryable }: RoentgenError = error.error;
  return html`<div class="problem" role="alert">
    <p>${message}</p>
    ${detail === '' ? nothing : html`<p class="quiet">${detail}</p>`}
    ${retryable && where === 'open' ? html`<p><button type="button" @click=${actions.retry}>Try again</button></p>` : nothing}
  </div>`;
}

export function total(counts: number[]): number {
  return counts.reduce((sum, one) => sum + one, 0);
}
