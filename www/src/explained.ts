/** The part of the panel that lays a heat map over the film, and says what such a map cannot show. */

import { html, nothing, type TemplateResult } from 'lit';
import { duration } from './format';
import type { State } from './state';
import type { ModelCard } from './types';
import type { Actions } from './view';

/** `label` is the class to begin with, the most probable one. */
export function explained(state: State, card: ModelCard, label: string, actions: Actions): TemplateResult {
  const shown = state.overlay.phase !== 'none';
  return html`<div class="explained" role="group" aria-label="Where the network looked">
    <button
      type="button"
      part="button"
      aria-expanded=${shown}
      @click=${() => actions.explain(shown ? undefined : label)}
    >
      ${shown ? 'Hide where it looked' : 'Show where it looked'}
    </button>
    ${shown ? controls(state, card, actions) : nothing}
  </div>`;
}

function controls({ overlay, opacity }: State, card: ModelCard, actions: Actions): TemplateResult | typeof nothing {
  if (overlay.phase === 'none') return nothing;
  const chosen = (event: Event) => actions.explain((event.target as HTMLSelectElement).value);
  const faded = (event: Event) => actions.fade((event.target as HTMLInputElement).valueAsNumber / 100);
  return html`
    <label>
      What speaks for
      <select @change=${chosen}>
        ${card.classes.map((name) => html`<option value=${name} ?selected=${name === overlay.label}>${name}</option>`)}
      </select>
    </label>
    <label>
      Opacity
      <input type="range" min="0" max="100" .value=${String(Math.round(opacity * 100))} @input=${faded} />
    </label>
    <p class="quiet" role="status">
      ${overlay.phase === 'reading' ? 'Looking…' : nothing}
      ${overlay.phase === 'shown'
        ? `Yellow raised ${overlay.label} most, violet little, and what has no colour did not. Found in ${duration(overlay.explanation.ms)}.`
        : nothing}
    </p>
    ${overlay.phase === 'failed'
      ? html`<p class="sentence" part="error" role="alert">${overlay.error.message}</p>`
      : nothing}
    <p class="quiet" part="caption">
      This is where the network looked, not where disease is, nor whether there is any. It is coarse: a spot can lie a
      rib’s width beside what it stands for. What lies inside the lungs can be a shortcut too: a tube, or how one
      hospital’s machine draws a shadow. No colour at all means that nothing raised this class, not that the image is clear.
    </p>
  `;
}
