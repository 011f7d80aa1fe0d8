/** The recipe's part of the training page: which network learns, and how. */

import { html, nothing, type TemplateResult } from 'lit';
import { live } from 'lit/directives/live.js';
import { count } from './format';
import { SITE_MODELS } from './page/site-models';
import { FOLDER, type NetworkChoice } from './train-network';
import { problem, type TrainActions } from './train-parts';
import type { Fields, TrainState } from './train-state';

export function recipe(state: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const { fields, found, wanted } = state;
  const number = (field: keyof Fields, label: string, step = '1') => html`<label
    >${label}<input
      type="number"
      name=${field}
      step=${step}
      min="0"
      .value=${fields[field]}
      ?disabled=${busy}
      @input=${(event: Event) => actions.change(field, (event.target as HTMLInputElement).value)}
  /></label>`;
  const choice = (field: keyof Fields, label: string, options: Record<string, string>) => html`<label
    >${label}<select
      name=${field}
      ?disabled=${busy}
      @change=${(event: Event) => actions.change(field, (event.target as HTMLSelectElement).value)}
    >
      ${Object.entries(options).map(([value, text]) => html`<option value=${value} ?selected=${fields[field] === value}>${text}</option>`)}
    </select></label>`;
  return html`
    <section class="step" aria-labelledby="recipe-title">
      <h2 id="recipe-title">2. Settings</h2>
      <div class="text">
        ${found.length > 2
          ? html`<fieldset class="classes">
              <legend>Classes to tell apart</legend>
              ${found.map(
                (name) => html`<label
                  ><input
                    type="checkbox"
                    name="class"
                    value=${name}
                    .checked=${wanted.includes(name)}
                    ?disabled=${busy}
                    @change=${(event: Event) => actions.want(name, (event.target as HTMLInputElement).checked)}
                  />${name}</label
                >`,
              )}
            </fieldset>`
          : nothing}
        ${network(state, actions, busy)}
        <details id="more">
          <summary>More settings</summary>
          <p class="quiet">They suit the network as they are.</p>
          <div class="fields">
          ${number('epochs', 'Epochs')} ${number('steps', 'Steps per epoch')} ${number('batch', 'Batch size')}
          ${choice('optimizer', 'Optimiser', { adam: 'Adam', sgd: 'SGD with momentum' })}
          ${number('rate', 'Learning rate', 'any')} ${fields.optimizer === 'sgd' ? number('momentum', 'Momentum', 'any') : nothing}
          ${number('augment', 'Augmentation, 0 to 3', 'any')}
          ${choice('balance', 'Class balance', { none: 'as in the images', classes: 'every class equally often' })}
          ${number('patience', 'Early stopping patience, epochs; 0: never')} ${number('seed', 'Seed')}
          </div>
        </details>
        ${problem(state, 'settings', actions)}
        <details>
          <summary>The network, layer by layer</summary>
          ${state.architecture === undefined ? nothing : layers(state.architecture)}
        </details>
      </div>
    </section>
  `;
}

function network(state: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const { learns, model, files } = state.network;
  const disabled = busy || state.reading !== undefined;
  const chosen = (event: Event) => (event.target as HTMLInputElement | HTMLSelectElement).value;
  const ways = {
    random: 'The tutorial’s network, from random weights',
    last: 'Adapt a trained model: its last layer (seconds)',
    all: 'Adapt a trained model: all layers',
  } satisfies Record<NetworkChoice['learns'], string>;
  return html`<fieldset class="classes">
    <legend>Network</legend>
    ${Object.entries(ways).map(
      ([value, text]) => html`<label
        ><input
          type="radio"
          name="network"
          value=${value}
          .checked=${live(learns === value)}
          ?disabled=${disabled}
          @change=${() => actions.network({ learns: value as NetworkChoice['learns'] })}
        />${text}</label
      >`,
    )}
    ${learns === 'random'
      ? nothing
      : html`<label
            >Model
            <select name="start" .value=${live(model)} ?disabled=${disabled} @change=${(event: Event) => actions.network({ model: chosen(event) })}>
              ${[...SITE_MODELS, [FOLDER, 'A folder of mine…'] as const].map(([value, text]) => html`<option value=${value} ?selected=${model === value}>${text}</option>`)}
            </select></label
          >
          ${model === FOLDER
            ? html`<label class="button"
                  >Choose the model’s folder…<input
                    type="file"
                    name="start-folder"
                    webkitdirectory
                    ?disabled=${disabled}
                    @change=${(event: Event) => actions.modelFolder(event.target as HTMLInputElement)}
                /></label>
                ${files === undefined ? html`<p class="quiet">It is the folder with model.json and the weights, such as “Save it…” gives.</p>` : nothing}`
            : nothing}`}
    <p class="quiet">${said(state)}</p>
    ${problem(state, 'network', actions)}
  </fieldset>`;
}

/** What the network that is chosen learns, and what that costs. */
function said({ network: { learns }, fields: { augment } }: TrainState): string {
  if (learns === 'random') return 'Everything is learned from these images, and nothing is known before.';
  if (learns === 'all') return 'Every layer goes on from what the model has learned. Its normalisations keep their statistics: those of a few images would be bad ones.';
  return Number(augment) === 0
    ? 'Each image goes through the other layers once; what they make of it is kept, and the last layer learns from that.'
    : 'Augmentation makes another image of each every time it is drawn, so nothing can be kept of what the other layers make of it: every step runs them. With 0 they run once an image.';
}

function layers({ layers: all, parameters, learning }: NonNullable<TrainState['architecture']>): TemplateResult {
  const sums = [
    ['Total', parameters],
    ['Trainable', learning],
    ['Non-trainable', parameters - learning],
  ] as const;
  return html`<div class="table" tabindex="0" role="region" aria-label="Layers of the network">
    <table>
      <thead>
        <tr>
          <th scope="col">Layer (type)</th>
          <th scope="col">Output shape</th>
          <th scope="col">Param #</th>
        </tr>
      </thead>
      <tbody>
        ${all.map(
          ({ name, kind, output, parameters }) => html`<tr>
            <th scope="row">${name} (${kind})</th>
            <td>[n, ${output.join(', ')}]</td>
            <td>${count(parameters)}</td>
          </tr>`,
        )}
        ${sums.map(
          ([name, sum]) => html`<tr>
            <th scope="row">${name}</th>
            <td></td>
            <td>${count(sum)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
