/** The templates of the view of many images: pure functions of its state. */

import { html, nothing, type TemplateResult } from 'lit';
import { live } from 'lit/directives/live.js';
import { count, duration, list, probability } from '../../format';
import { results } from '../../train-evaluation';
import type { Item } from './queue';
import type { ManyActions, ManyState } from './state';
import { answerOf, answers, isWrong, reasonOf, type Shown, type SortBy } from './table';

export function manyView(state: ManyState, actions: ManyActions): TemplateResult {
  const { phase, items } = state;
  return html`
    <h2 class="unseen">Many images</h2>
    <p class="unseen" role="status" aria-live="polite">${announcement(state)}</p>
    ${phase === 'empty' || phase === 'opening' ? take(state, actions) : nothing} ${problem(state, actions)}
    ${items.length === 0 ? nothing : [progress(state, actions), table(state, actions), evaluation(state, actions)]}
  `;
}

/** What a screen reader is told when it changes: by quarters, for every image would drown everything else. */
function announcement({ phase, pace: { done, total } }: ManyState): string {
  switch (phase) {
    case 'empty':
      return 'Ready for images.';
    case 'opening':
      return 'Looking for images.';
    case 'running':
      return `Classifying ${count(total)} images, ${Math.floor((4 * done) / Math.max(1, total)) * 25} per cent.`;
    case 'paused':
      return `Paused after ${count(done)} of ${count(total)} images.`;
    case 'cancelled':
      return `Cancelled after ${count(done)} of ${count(total)} images.`;
    case 'done':
      return `${count(done)} images are classified.`;
  }
}

function take({ phase, dragging }: ManyState, actions: ManyActions): TemplateResult {
  const picked = ({ target }: Event) => actions.picked(target as HTMLInputElement);
  const busy = phase === 'opening';
  return html`
    <div
      class="take ${dragging ? 'dragging' : ''}"
      @dragover=${(event: DragEvent) => (event.preventDefault(), actions.dragged(true))}
      @dragleave=${() => actions.dragged(false)}
      @drop=${actions.dropped}
    >
      <p class="lead">${busy ? 'Looking for images…' : 'Drop images, a folder or a zip here'}</p>
      <p class="quiet">
        All of them are classified, here on this device. You get a table to sort, to filter and to save. Where folders are called after the
        model’s classes, you also get how often it is right on them.
      </p>
      <p class="buttons">
        <label class="button primary">Choose images…<input type="file" name="images" multiple ?disabled=${busy} @change=${picked} /></label>
        <label class="button">Choose a folder…<input type="file" name="folder" webkitdirectory ?disabled=${busy} @change=${picked} /></label>
        <label class="button">Choose a zip…<input type="file" name="zip" accept=".zip,application/zip" multiple ?disabled=${busy} @change=${picked} /></label>
      </p>
    </div>
  `;
}

function problem({ error }: ManyState, actions: ManyActions): TemplateResult | typeof nothing {
  if (error === undefined) return nothing;
  const { message, detail, retryable } = error;
  return html`<div class="problem" role="alert">
    <p>${message}</p>
    ${detail === '' ? nothing : html`<p class="quiet">${detail}</p>`}
    ${retryable ? html`<p><button type="button" @click=${actions.retry}>Try again</button></p>` : nothing}
  </div>`;
}

function progress(state: ManyState, actions: ManyActions): TemplateResult {
  const { phase, pace, items, notes, card } = state;
  const rejected = items.filter(({ result }) => result?.label === null).length;
  const failed = items.filter(({ error }) => error !== undefined).length;
  const parts = [`${count(pace.done)} of ${count(pace.total)} images`];
  if (rejected > 0) parts.push(`${count(rejected)} rejected`);
  if (failed > 0) parts.push(`${count(failed)} not read`);
  if (pace.speed > 0) parts.push(`${pace.speed.toFixed(1)} images a second`);
  if (phase === 'running' && pace.speed > 0) parts.push(`about ${duration((1000 * (pace.total - pace.done)) / pace.speed)} left`);
  const under = phase === 'running' || phase === 'paused';
  const none = pace.done === 0;
  return html`
    <div class="run">
      <p id="pace">${phase === 'paused' ? 'Paused: ' : phase === 'cancelled' ? 'Cancelled: ' : nothing}${parts.join(' · ')}</p>
      ${under ? html`<progress aria-labelledby="pace" max=${pace.total} .value=${pace.done}></progress>` : nothing}
      <p class="buttons">
        ${under
          ? html`${phase === 'running'
                ? html`<button type="button" @click=${actions.pause}>Pause</button>`
                : html`<button type="button" class="primary" @click=${actions.resume}>Go on</button>`}
              <button type="button" @click=${actions.cancel}>Cancel</button>`
          : html`${phase === 'cancelled' ? html`<button type="button" class="primary" @click=${actions.retry}>Go on</button>` : nothing}
              <button type="button" @click=${actions.clear}>Other images…</button>`}
        <button type="button" ?disabled=${none} @click=${() => actions.export('csv')}>Save as CSV</button>
        <button type="button" ?disabled=${none} @click=${() => actions.export('json')}>Save as JSON</button>
      </p>
      ${notes.map((note) => html`<p class="note">${note}</p>`)}
      ${card === undefined ? nothing : html`<p class="quiet">Classified by ${card.name}, version ${card.version}.</p>`}
    </div>
  `;
}

function table(state: ManyState, actions: ManyActions): TemplateResult {
  const { items, rows, from, drawn, card, pace, order } = state;
  const classes = card?.classes ?? [];
  const labelled = items.some(({ label }) => label !== undefined);
  const heading = (by: SortBy, name: string, kind = '') => {
    const own = typeof by === 'object' ? typeof order.by === 'object' && order.by.score === by.score : order.by === by;
    return html`<th scope="col" class=${kind} aria-sort=${own ? (order.descending ? 'descending' : 'ascending') : 'none'}>
      <button type="button" @click=${() => actions.sort(by)}>${name}<span aria-hidden="true">${own ? (order.descending ? ' ↓' : ' ↑') : ''}</span></button>
    </th>`;
  };
  return html`
    <div class="filter" role="search">
      <label>Show
        <select name="shown" @change=${(event: Event) => actions.show(JSON.parse((event.target as HTMLSelectElement).value) as Shown)}>
          ${choices(state, labelled).map(([value, words]) => {
            const text = JSON.stringify(value);
            return html`<option value=${text} ?selected=${text === JSON.stringify(state.shown)}>${words}</option>`;
          })}
        </select>
      </label>
      <label>File
        <input type="search" name="text" .value=${live(state.text)} placeholder="part of its name" @input=${(event: Event) => actions.search((event.target as HTMLInputElement).value)} />
      </label>
      <p class="quiet" aria-live="polite">${rows.length === pace.total ? nothing : `${count(rows.length)} of ${count(pace.total)} shown`}</p>
    </div>
    <div class="scroller" @scroll=${actions.scrolled} role="region" aria-label="Images" tabindex="0">
      <table aria-rowcount=${rows.length + 1}>
        <thead>
          <tr aria-rowindex="1">
            <td class="thumb"></td>
            ${heading('path', 'File', 'file')} ${labelled ? heading('label', 'Folder', 'label') : nothing} ${heading('answer', 'Answer', 'answer')}
            ${classes.map((name) => heading({ score: name }, name, 'score'))}
          </tr>
        </thead>
        <tbody @keydown=${actions.key}>
          <tr class="pad" aria-hidden="true"><td></td></tr>
          ${rows.slice(from, from + drawn).map((item, i) => row(item, from + i, state, classes, labelled, actions))}
          <tr class="pad" aria-hidden="true"><td></td></tr>
        </tbody>
      </table>
    </div>
  `;
}

/** What can be shown, with how many images each. */
function choices({ items }: ManyState, labelled: boolean): [Shown, string][] {
  const many = (words: string, of: (item: Item) => boolean): string => `${words} (${count(items.filter(of).length)})`;
  const all: [Shown, string][] = [
    ['all', many('All', () => true)],
    ['answered', many('Answered', ({ result }) => result?.label != null)],
    ...answers(items).map(([answer, n]): [Shown, string] => [{ answer }, `Answer: ${answer} (${count(n)})`]),
    ['rejected', many('Rejected', ({ result }) => result?.label === null)],
    ['error', many('Not read', ({ error }) => error !== undefined)],
  ];
  return labelled ? [...all, ['wrong', many('Other than the folder', isWrong)]] : all;
}

function row(item: Item, i: number, { at }: ManyState, classes: string[], labelled: boolean, actions: ManyActions): TemplateResult {
  const { path, label, result, error } = item;
  const cut = path.lastIndexOf('/') + 1;
  const reason = reasonOf(item);
  const kind = error !== undefined ? 'error' : result?.label === null ? 'rejected' : '';
  return html`<tr aria-rowindex=${i + 2}>
    <td class="thumb"><canvas width="48" height="48" data-item=${item.index} aria-hidden="true"></canvas></td>
    <th scope="row" class="file">
      <button type="button" data-row=${i} tabindex=${i === at ? 0 : -1} title=${path} @click=${() => actions.open(i)}>${path.slice(cut)}</button>
      ${cut === 0 ? nothing : html`<small>${path.slice(0, cut - 1)}</small>`}
    </th>
    ${labelled ? html`<td class="label">${label ?? ''}</td>` : nothing}
    <td class="answer ${kind}">
      ${answerOf(item)}${isWrong(item) ? html` <small>other than the folder</small>` : nothing}
      ${reason === '' ? nothing : html`<small title=${reason}>${reason}</small>`}
    </td>
    ${classes.map((name) => html`<td class="score">${result?.scores == null ? '' : probability(result.scores[name] ?? 0)}</td>`)}
  </tr>`;
}

/** How often the model is right where folders say the classes. */
function evaluation(state: ManyState, actions: ManyActions): TemplateResult | typeof nothing {
  const { items, measured, measuring, card } = state;
  if (measured === undefined) return measuring ? html`<p class="quiet">Evaluating…</p>` : nothing;
  const rejected = items.filter(({ label, result }) => label !== undefined && result?.label === null).length;
  const unlabelled = items.filter(({ label }) => label === undefined).length;
  const left = [
    ...(rejected > 0 ? [`${count(rejected)} that the model rejects`] : []),
    ...(unlabelled > 0 ? [`${count(unlabelled)} in folders that no class is called after`] : []),
  ];
  return html`<section class="measured" aria-labelledby="measured-title">
    <h2 id="measured-title">Against the folders</h2>
    <p>
      Folders are called after classes of the model (${list(card?.classes ?? [])}), so its most probable class is compared with
      them.${left.length > 0 ? ` Left out: ${list(left)}.` : ''}
    </p>
    ${results(measured, 'labelled images', state, { open: actions.cell, threshold: actions.threshold })}
  </section>`;
}
