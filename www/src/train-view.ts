/** The training page's templates: pure functions of its state. */

import { html, nothing, type TemplateResult } from 'lit';
import type { RoentgenError } from './errors';
import { area, count, interval, list, percent } from './format';
import type { EpochRecord, Layer, Measured } from './train';
import type { Fields, TrainState } from './train-state';

/** What the view can ask the page to do. */
export interface TrainActions {
  picked(input: HTMLInputElement): void;
  dropped(event: DragEvent): void;
  dragged(over: boolean): void;
  addClass(name: string, files: FileList): void;
  forget(): void;
  want(name: string, wanted: boolean): void;
  change(field: keyof Fields, value: string): void;
  start(): void;
  goOn(): void;
  pause(): void;
  resume(): void;
  stop(): void;
  evaluate(): void;
  open(cell: [number, number] | undefined): void;
  use(): void;
  save(): void;
  retry(): void;
}

const MOST_SHOWN = 200;

export function trainView(state: TrainState, actions: TrainActions): TemplateResult {
  const busy = state.run === 'running' || state.run === 'paused' || state.run === 'stopping';
  return html`
    <p class="unseen" role="status" aria-live="polite">${announcement(state)}</p>
    ${problem(state, 'open', actions)}
    ${films(state, actions, busy)}
    ${state.data === undefined ? nothing : [recipe(state, actions, busy), training(state, actions, busy)]}
    ${state.model && !busy ? evaluation(state, actions) : nothing}
  `;
}

/** What a screen reader is told when it changes: not every step. */
function announcement({ opening, reading, run, epochs, data, settings, evaluating, measured }: TrainState): string {
  if (opening) return 'Loading the trainer.';
  if (reading !== undefined) return `Reading films, ${Math.floor((4 * reading.done) / Math.max(1, reading.total)) * 25} per cent.`;
  const last = epochs.at(-1);
  const so = last === undefined ? '' : ` Epoch ${last.epoch} of ${settings?.epochs}: ${percent(last.validation.accuracy)} right in validation.`;
  if (evaluating) return 'Evaluating on the test films.';
  switch (run) {
    case 'running':
      return `Training.${so}`;
    case 'paused':
      return `Training is paused.${so}`;
    case 'stopping':
      return 'Stopping after this step.';
    case 'stopped':
      return `Training has stopped.${so}`;
    case 'finished':
      return measured === undefined ? `Training is done.${so}` : `${percent(measured.evaluation.accuracy)} of the test films are called rightly.`;
    case 'none':
      return data === undefined ? 'Ready for films.' : `${count(total(data.report.train))} films to train on.`;
  }
}

function films(state: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const { data, reading, dragging, kept } = state;
  const folder = (event: Event) => actions.picked(event.target as HTMLInputElement);
  return html`
    <section class="step" aria-labelledby="films-title">
      <h2 id="films-title">Films</h2>
      <div class="text">
        <div
          class="take ${dragging ? 'dragging' : ''}"
          @dragover=${(event: DragEvent) => (event.preventDefault(), actions.dragged(true))}
          @dragleave=${() => actions.dragged(false)}
          @drop=${actions.dropped}
        >
          <p class="lead">Drop a folder of labelled X-rays here, or a zip</p>
          <p class="quiet">
            <code>train/&lt;class&gt;/*</code> and <code>test/&lt;class&gt;/*</code>, or <code>&lt;class&gt;/*</code> alone:
            then a fifth is held back for the test. Nothing is uploaded; reduced copies stay in this browser until you let it
            forget them.
          </p>
          <p class="buttons">
            <label class="button primary">Choose a folder…<input type="file" webkitdirectory ?disabled=${busy} @change=${folder} /></label>
            <label class="button">Choose a zip…<input type="file" accept=".zip,application/zip" ?disabled=${busy} @change=${folder} /></label>
          </p>
          <form class="by-hand" @submit=${(event: Event) => event.preventDefault()}>
            <label>or a class by hand: <input type="text" name="class" placeholder="its name" ?disabled=${busy} /></label>
            <label class="button"
              >Its films…<input
                type="file"
                accept="image/*,.tif,.tiff"
                multiple
                ?disabled=${busy}
                @change=${(event: Event) => {
                  const input = event.target as HTMLInputElement;
                  const name = (input.form?.elements.namedItem('class') as HTMLInputElement | null)?.value.trim() ?? '';
                  if (input.files !== null) actions.addClass(name, input.files);
                  input.value = '';
                }}
            /></label>
          </form>
        </div>
        ${reading === undefined
          ? nothing
          : html`<p class="quiet" id="reading">Reading films: ${count(reading.done)} of ${count(reading.total)}</p>
              <progress aria-labelledby="reading" max=${reading.total} .value=${reading.done}></progress>`}
        ${problem(state, 'films', actions)}
        ${kept?.run === undefined || state.run !== 'none'
          ? nothing
          : html`<div class="note" role="region" aria-label="Earlier run">
              <p>
                ${kept.run.resumable
                  ? `A run was broken off after step ${count(kept.run.step)}, in epoch ${Math.min(kept.run.epochs.length + 1, kept.run.settings.epochs)} of ${kept.run.settings.epochs}.`
                  : `The last run ended after ${kept.run.epochs.length} epochs.`}
              </p>
              ${kept.run.resumable
                ? html`<button type="button" class="primary" @click=${actions.goOn}>Go on with it</button>`
                : nothing}
            </div>`}
        ${data === undefined ? nothing : held(state, actions, busy)}
      </div>
    </section>
  `;
}

function held(state: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const { report, unreadable } = state.data!;
  const { train, val, test, classes } = report;
  const most = Math.max(...train);
  const least = Math.min(...train);
  return html`
    <div class="table" tabindex="0" role="region" aria-label="Films by class and split">
      <table id="counts">
        <thead>
          <tr>
            <th scope="col">Class</th>
            <th scope="col">Training</th>
            <th scope="col">Validation${report.val_drawn ? ', drawn' : ''}</th>
            <th scope="col">Test${report.test_drawn ? ', drawn' : ''}</th>
          </tr>
        </thead>
        <tbody>
          ${classes.map(
            (name, i) => html`<tr>
              <th scope="row">${name}</th>
              <td>${count(train[i] ?? 0)}</td>
              <td>${count(val[i] ?? 0)}</td>
              <td>${count(test[i] ?? 0)}</td>
            </tr>`,
          )}
          <tr>
            <th scope="row">All</th>
            <td>${count(total(train))}</td>
            <td>${count(total(val))}</td>
            <td>${count(total(test))}</td>
          </tr>
        </tbody>
      </table>
    </div>
    <div class="films" aria-hidden="true">${classes.map((_, i) => html`<div data-class=${i}></div>`)}</div>
    ${2 * most < 3 * least
      ? nothing
      : html`<p>
          There are ${(most / least).toFixed(1)} times as many films of one class as of another.
          ${state.fields.balance === 'classes'
            ? 'Every class is drawn equally often, so the network cannot do well by naming the larger one.'
            : 'They are drawn as they are; “every class equally often” below evens that out.'}
          Look at sensitivity and specificity, not at accuracy alone.
        </p>`}
    ${report.notes.map((note) => html`<p>${note}</p>`)}
    ${report.copies.length === 0
      ? nothing
      : html`<details id="copies">
          <summary>${count(report.copies.length)} pictures are there more than once</summary>
          <ul>
            ${report.copies.slice(0, MOST_SHOWN).map(
              ({ films, outcome, left_out }) =>
                html`<li>${films.join(' = ')}: ${outcome}${left_out.length > 0 ? `; left out: ${list(left_out)}` : ''}.</li>`,
            )}
          </ul>
        </details>`}
    ${unreadable.length === 0
      ? nothing
      : html`<details id="unreadable">
          <summary>${count(unreadable.length)} files are no films and are left out</summary>
          <ul>
            ${unreadable.slice(0, MOST_SHOWN).map(({ path, message }) => html`<li>${path}: ${message}</li>`)}
          </ul>
        </details>`}
    <p><button type="button" ?disabled=${busy} @click=${actions.forget}>Forget these films</button></p>
  `;
}

function recipe(state: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
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
      <h2 id="recipe-title">Recipe</h2>
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
        <div class="fields">
          ${number('epochs', 'Epochs')} ${number('steps', 'Steps in an epoch')} ${number('batch', 'Films in a step')}
          ${choice('optimizer', 'Optimiser', { adam: 'Adam', sgd: 'SGD with momentum' })}
          ${number('rate', 'Learning rate', 'any')} ${fields.optimizer === 'sgd' ? number('momentum', 'Momentum', 'any') : nothing}
          ${number('augment', 'Augmentation, 0 to 3', 'any')}
          ${choice('balance', 'Films are drawn', { none: 'as they are', classes: 'every class equally often' })}
          ${number('patience', 'Stop after epochs without a better one; 0: never')} ${number('seed', 'Seed')}
        </div>
        ${problem(state, 'settings', actions)}
        <details>
          <summary>The network, layer by layer</summary>
          ${layers(state.layers)}
        </details>
      </div>
    </section>
  `;
}

function layers(all: Layer[]): TemplateResult {
  const sum = total(all.map(({ parameters }) => parameters));
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
        <tr>
          <th scope="row">Total, all trainable</th>
          <td></td>
          <td>${count(sum)}</td>
        </tr>
      </tbody>
    </table>
  </div>`;
}

function training(state: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const { run, step, settings, epochs, notices } = state;
  const steps = settings === undefined ? 0 : settings.epochs * settings.steps_per_epoch;
  return html`
    <section class="step" aria-labelledby="run-title">
      <h2 id="run-title">Training</h2>
      <div class="text">
        <p class="buttons">
          ${busy
            ? [
                run === 'paused'
                  ? html`<button type="button" class="primary" @click=${actions.resume}>Go on</button>`
                  : html`<button type="button" ?disabled=${run === 'stopping'} @click=${actions.pause}>Pause</button>`,
                html`<button type="button" ?disabled=${run === 'stopping'} @click=${actions.stop}>Stop</button>`,
              ]
            : html`<button type="button" class="primary" @click=${actions.start}>
                  ${run === 'none' ? 'Train' : 'Train anew'}
                </button>
                ${run === 'stopped' ? html`<button type="button" @click=${actions.goOn}>Go on from where it stopped</button>` : nothing}`}
        </p>
        ${problem(state, 'run', actions)} ${notices.map((notice) => html`<p class="note" role="alert">${notice}</p>`)}
        ${step === undefined && epochs.length === 0
          ? nothing
          : html`
              <p class="quiet" id="pace">${pace(state)}</p>
              <progress aria-labelledby="pace" max=${steps} .value=${step?.step ?? 0}></progress>
              <div class="charts" aria-hidden="true">
                <div id="loss-chart"></div>
                <div id="accuracy-chart"></div>
              </div>
              ${history(epochs)}
            `}
      </div>
    </section>
  `;
}

function pace({ step, pace, settings, run, runtime }: TrainState): string {
  if (step === undefined || settings === undefined) return '';
  const left = settings.epochs * settings.steps_per_epoch - step.step;
  const seconds = (left * pace) / 1000;
  const time = seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds)} s`;
  const speed = pace > 0 ? `, ${((1000 * step.n) / pace).toFixed(1)} films a second` : '';
  const threads = runtime === undefined ? '' : `, ${runtime.threads === 1 ? 'one thread' : `${runtime.threads} threads`}`;
  const so = `Epoch ${Math.min(step.epoch, settings.epochs)} of ${settings.epochs}, step ${count(step.step)} of ${count(settings.epochs * settings.steps_per_epoch)}: loss ${step.running.loss.toFixed(4)}, ${percent(step.running.accuracy)} right${speed}${threads}`;
  return run === 'running' && pace > 0 ? `${so}; about ${time} left` : so;
}

function history(epochs: EpochRecord[]): TemplateResult | typeof nothing {
  if (epochs.length === 0) return nothing;
  return html`<div class="table" tabindex="0" role="region" aria-label="Epochs">
    <table id="epochs">
      <thead>
        <tr>
          <th scope="col">Epoch</th>
          <th scope="col">Loss</th>
          <th scope="col">Right</th>
          <th scope="col">Validation loss</th>
          <th scope="col">Right in validation</th>
        </tr>
      </thead>
      <tbody>
        ${epochs.map(
          ({ epoch, train, validation }) => html`<tr>
            <th scope="row">${epoch}</th>
            <td>${train.loss.toFixed(4)}</td>
            <td>${percent(train.accuracy)}</td>
            <td>${validation.loss.toFixed(4)}</td>
            <td>${percent(validation.accuracy)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function evaluation(state: TrainState, actions: TrainActions): TemplateResult {
  const { measured, evaluating, data, saving } = state;
  const untested = data === undefined || total(data.report.test) === 0;
  return html`
    <section class="step" aria-labelledby="evaluation-title">
      <h2 id="evaluation-title">The trained model</h2>
      <div class="text">
        <p class="buttons">
          <button type="button" class="primary" ?disabled=${evaluating || untested} @click=${actions.evaluate}>
            ${evaluating ? 'Evaluating…' : 'Evaluate on the test films'}
          </button>
          <button type="button" @click=${actions.use}>Use it to judge films</button>
          <button type="button" ?disabled=${saving} @click=${actions.save}>${saving ? 'Saving…' : 'Save it…'}</button>
        </p>
        ${untested ? html`<p class="quiet">There are no test films: how good it is on films it has not seen is not known.</p>` : nothing}
        ${problem(state, 'evaluation', actions)} ${measured === undefined ? nothing : results(measured, state, actions)}
      </div>
    </section>
  `;
}

function results({ evaluation, roc, films }: Measured, state: TrainState, actions: TrainActions): TemplateResult {
  const { n, accuracy, accuracy_interval, accuracy_interval_by_group, confusion, classes, per_class, auroc, loss } = evaluation;
  const bounds = accuracy_interval_by_group ?? accuracy_interval;
  const share = (value: number | null | undefined) => (value === null || value === undefined ? '–' : percent(value));
  const range = (value: [number, number] | null | undefined) => (value === null || value === undefined ? '' : ` (${interval(value)})`);
  const { cell } = state;
  return html`
    <p id="accuracy">
      <strong>${percent(accuracy)}</strong> of ${count(n)} test films are called rightly (95\u202f% interval ${interval(bounds)}); loss
      ${loss.toFixed(4)}. On films of another hospital it may do worse.
    </p>
    <div class="table" tabindex="0" role="region" aria-label="Truth against what was called">
      <table id="confusion">
        <thead>
          <tr>
            <th scope="col">Truth ↓ called →</th>
            ${classes.map((name) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${classes.map(
            (name, truth) => html`<tr>
              <th scope="row">${name}</th>
              ${classes.map(
                (called, c) => html`<td>
                  <button
                    type="button"
                    class="cell"
                    aria-label="${confusion[truth]?.[c]} films of ${name} called ${called}: show them"
                    aria-expanded=${cell?.[0] === truth && cell[1] === c}
                    @click=${() => actions.open(cell?.[0] === truth && cell[1] === c ? undefined : [truth, c])}
                  >
                    ${count(confusion[truth]?.[c] ?? 0)}
                  </button>
                </td>`,
              )}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${cell === undefined
      ? nothing
      : html`<div role="region" aria-label="Films of the cell">
          <p class="quiet">Films of ${classes[cell[0]]} called ${classes[cell[1]]}:</p>
          <ul class="opened">
            ${films
              .filter(({ truth, called }) => truth === cell[0] && called === cell[1])
              .slice(0, MOST_SHOWN)
              .map(
                ({ path, scores, called }) => html`<li>
                  <canvas width="128" height="128" data-path=${path} aria-hidden="true"></canvas>
                  <span>${path.split('/').at(-1)}<small>${percent(scores[called] ?? 0)}</small></span>
                </li>`,
              )}
          </ul>
        </div>`}
    <div class="table" tabindex="0" role="region" aria-label="Each class against the rest">
      <table id="rates">
        <thead>
          <tr>
            <th scope="col">Class against the rest</th>
            <th scope="col">Films</th>
            <th scope="col">AUROC</th>
            <th scope="col">Sensitivity</th>
            <th scope="col">Specificity</th>
          </tr>
        </thead>
        <tbody>
          ${classes.map((name) => {
            const rates = per_class[name];
            const value = auroc[name];
            return html`<tr>
              <th scope="row">${name}</th>
              <td>${count(rates?.n ?? 0)}</td>
              <td>${value === null || value === undefined ? '–' : area(value)}</td>
              <td>${share(rates?.sensitivity)}${range(rates?.sensitivity_interval)}</td>
              <td>${share(rates?.specificity)}${range(rates?.specificity_interval)}</td>
            </tr>`;
          })}
        </tbody>
      </table>
    </div>
    <div class="rocs">
      ${classes.map((name, i) =>
        (roc[i]?.length ?? 0) === 0
          ? nothing
          : html`<figure>
              <figcaption>ROC of ${name}</figcaption>
              <div data-roc=${i} aria-hidden="true"></div>
            </figure>`,
      )}
    </div>
  `;
}

function problem({ error }: TrainState, where: string, actions: TrainActions): TemplateResult | typeof nothing {
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
