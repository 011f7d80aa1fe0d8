/** Sample pictures on the first view, for whoever has no image at hand. */

import { html, type TemplateResult } from 'lit';
import { count } from '../../format';

/** A sample picture, fetched and decoded. */
export interface Held {
  /** Its name is the caption. */
  file: File;
  pixels: ImageBitmap;
  /** The class whose images were averaged. */
  name: string;
  /** How many; 1 for an image as it is, whose source the caption names. */
  n: number;
}

/** The sample pictures as buttons; their canvases are drawn by the caller. */
export function samples(held: Held[], choose: (sample: Held) => void): TemplateResult[] {
  return held.map(
    (sample) => html`<li>
      <button type="button" @click=${() => choose(sample)}>
        <canvas width=${sample.pixels.width} height=${sample.pixels.height} aria-hidden="true"></canvas>
        <span>${sample.name}<small>${sample.n === 1 ? 'X-ray of a child' : `Average of ${count(sample.n)} images`}</small></span>
      </button>
    </li>`,
  );
}
