/** From image to image of the table in the single view: which one it is, and the ways to the next and back. */

import { html, nothing, render } from 'lit';
import type { XrayClassifier } from '../../element';
import { count } from '../../format';
import type { Item } from './queue';

export class Walk {
  #rows: Item[] = [];
  /** The row that is shown. */
  at = 0;
  /** The file that the element was given last. */
  #file: File | undefined;

  /** `back` returns to the table. */
  constructor(
    private readonly bar: HTMLElement,
    private readonly element: XrayClassifier,
    private readonly back: () => void,
  ) {
    // Another image, dropped or chosen there, is no part of the list.
    const other = ({ detail: { name } }: CustomEvent<{ name: string }>): void => {
      if (name !== '' && name !== this.#file?.name) this.end();
    };
    element.addEventListener('roentgen-result', other);
    element.addEventListener('roentgen-error', other);
  }

  /** Shows row `at` of `rows`. */
  begin(rows: Item[], at: number): void {
    this.#rows = rows;
    this.#to(at);
  }

  end(): void {
    this.#rows = [];
    this.#file = undefined;
    this.#draw();
  }

  #to(at: number): void {
    const item = this.#rows[at];
    if (item === undefined) return;
    this.at = at;
    this.#file = new File([item.file], item.path.split('/').at(-1) ?? item.path, { type: item.file.type });
    this.#draw();
    // The element shows what goes wrong.
    this.element.classify(this.#file).catch(() => {});
  }

  #draw(): void {
    const [rows, at] = [this.#rows, this.at];
    const item = rows[at];
    this.bar.hidden = item === undefined;
    const step = (by: number, words: string) =>
      html`<button type="button" ?disabled=${rows[at + by] === undefined} @click=${() => this.#to(at + by)}>${words}</button>`;
    render(
      item === undefined
        ? nothing
        : html`<p>Image ${count(at + 1)} of ${count(rows.length)}<span class="quiet">${item.path}</span></p>
            ${step(-1, '← Previous')} ${step(1, 'Next →')}
            <button type="button" @click=${this.back}>Back to the table</button>`,
      this.bar,
    );
  }
}
