/** The trained model's part of the training page: what it is worth on the test images, and what is done with it. */

import { html, nothing, type TemplateResult } from 'lit';
import { area, count, interval, percent } from './format';
import type { Measured, ReliabilityBin } from './train';
import { MOST_SHOWN, problem, total, type TrainActions } from './train-parts';
import type { TrainState } from './train-state';
import type { Interval } from './types';

export function evaluation(state: TrainState, actions: TrainActions): TemplateResult {
  const { measured, evaluating, data, saving } = state;
  const untested = data === undefined || total(data.report.test) === 0;
  return html`
    <section class="step" aria-labelledby="evaluation-title">
      <h2 id="evaluation-title" tabindex="-1">The trained model</h2>
      <div class="text">
        <p class="buttons">
          <button type="button" class="primary" ?disabled=${evaluating || untested} @click=${actions.evaluate}>
            ${evaluating ? 'Evaluating…' : 'Evaluate on the test images'}
          </button>
          <button type="button" @click=${actions.use}>Use it to classify images</button>
          <button type="button" ?disabled=${saving} @click=${actions.save}>${saving ? 'Saving…' : 'Save it…'}</button>
        </p>
        ${untested ? html`<p class="quiet">There are no test images: how good it is on images it has not seen is not known.</p>` : nothing}
        ${problem(state, 'evaluation', actions)}
        ${measured === undefined ? nothing : results(measured, 'test images', state, actions)}
      </div>
    </section>
  `;
}

/** What was measured on images that are called `what`. */
export function results(
  measured: Measured,
  what: string,
  state: Pick<TrainState, 'cell' | 'threshold'>,
  actions: Pick<TrainActions, 'open' | 'threshold'>,
): unknown[] {
  return [
    accuracy(measured, what),
    confusion(measured, state, actions),
    rates(measured),
    threshold(measured, state, actions),
    curves(measured),
    reliability(measured),
  ];
}

function accuracy({ evaluation }: Measured, what: string): TemplateResult {
  const { n, accuracy, accuracy_interval, accuracy_interval_by_group, loss } = evaluation;
  return html`<p id="accuracy">
    <strong>${percent(accuracy)}</strong> of ${count(n)} ${what} are classified correctly (95\u202f% interval
    ${interval(accuracy_interval_by_group ?? accuracy_interval)}); loss ${loss.toFixed(4)}. On images of another hospital it may do
    worse.
  </p>`;
}

function confusion(
  { evaluation, films }: Measured,
  { cell }: Pick<TrainState, 'cell'>,
  actions: Pick<TrainActions, 'open'>,
): TemplateResult {
  const { confusion, classes } = evaluation;
  const isOpen = (truth: number, called: number) => cell?.[0] === truth && cell[1] === called;
  return html`
    <div class="table" tabindex="0" role="region" aria-label="Confusion matrix">
      <table id="confusion">
        <thead>
          <tr>
            <th scope="col">True class ↓ predicted →</th>
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
                    aria-label="${confusion[truth]?.[c]} images of ${name} classified as ${called}: show them"
                    aria-expanded=${isOpen(truth, c)}
                    @click=${() => actions.open(isOpen(truth, c) ? undefined : [truth, c])}
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
      : html`<div role="region" aria-label="Images of the cell">
          <p class="quiet">Images of ${classes[cell[0]]} classified as ${classes[cell[1]]}:</p>
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
  `;
}

function rates({ evaluation, curves }: Measured): TemplateResult {
  const { classes, per_class, auroc } = evaluation;
  return html`<div class="table" tabindex="0" role="region" aria-label="Each class against the rest">
    <table id="rates">
      <thead>
        <tr>
          <th scope="col">Class against the rest</th>
          <th scope="col">Images</th>
          <th scope="col">AUROC</th>
          <th scope="col">Average precision</th>
          <th scope="col">Sensitivity</th>
          <th scope="col">Specificity</th>
        </tr>
      </thead>
      <tbody>
        ${classes.map((name, i) => {
          const rates = per_class[name];
          return html`<tr>
            <th scope="row">${name}</th>
            <td>${count(rates?.n ?? 0)}</td>
            <td>${measuredArea(auroc[name])}</td>
            <td>${measuredArea(curves[i]?.average_precision)}</td>
            <td>${share(rates?.sensitivity, rates?.sensitivity_interval)}</td>
            <td>${share(rates?.specificity, rates?.specificity_interval)}</td>
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}

/** What becomes of sensitivity and specificity where a class is called from another probability on. */
function threshold(
  { evaluation }: Measured,
  { threshold }: Pick<TrainState, 'threshold'>,
  actions: Pick<TrainActions, 'threshold'>,
): TemplateResult | typeof nothing {
  if (threshold === undefined) return nothing;
  const { label, value, rates } = threshold;
  const { classes } = evaluation;
  const at = `${(100 * value).toFixed(1)}\u202f%`;
  return html`<fieldset id="threshold" class="threshold">
    <legend>At another threshold</legend>
    <label
      >Class<select @change=${(event: Event) => actions.threshold(Number((event.target as HTMLSelectElement).value), value)}>
        ${classes.map((name, i) => html`<option value=${i} ?selected=${i === label}>${name}</option>`)}
      </select></label
    >
    <label
      >Called ${classes[label]} from a probability of ${at} on<input
        type="range"
        min="0"
        max="1"
        step="0.001"
        aria-valuetext=${at}
        .value=${String(value)}
        @input=${(event: Event) => actions.threshold(label, Number((event.target as HTMLInputElement).value))}
    /></label>
    <output aria-live="polite">
      ${rates === undefined
        ? nothing
        : html`Sensitivity ${share(rates.sensitivity, rates.sensitivity_interval)}, specificity
          ${share(rates.specificity, rates.specificity_interval)}.`}
    </output>
    <small>A threshold that is chosen on these images looks better on them than on any others.</small>
  </fieldset>`;
}

function curves({ evaluation, curves }: Measured): TemplateResult {
  const figure = (kind: 'roc' | 'pr', i: number, caption: string) => html`<figure>
    <figcaption>${caption}</figcaption>
    <div data-curve=${kind} data-class=${i} aria-hidden="true"></div>
  </figure>`;
  return html`<div class="curves">
    ${evaluation.classes.map((name, i) => [
      (curves[i]?.roc.length ?? 0) === 0 ? nothing : figure('roc', i, `ROC of ${name}`),
      (curves[i]?.precision_recall.length ?? 0) === 0 ? nothing : figure('pr', i, `Precision and recall of ${name}`),
    ])}
  </div>`;
}

function reliability({ reliability, expected_calibration_error: error }: Measured): TemplateResult | typeof nothing {
  if (error === null) return nothing;
  const filled = reliability.filter(({ count }) => count > 0);
  return html`
    <div class="curves">
      <figure>
        <figcaption>Reliability: how often an image is classified correctly, by the probability of its class</figcaption>
        <div data-curve="reliability" aria-hidden="true"></div>
      </figure>
    </div>
    <p id="calibration">
      Expected calibration error ${area(error)} (${reliability.length} bins): so far are probability and truth apart on average.
      With few images chance alone makes some of it.
    </p>
    <details>
      <summary>The reliability diagram as a table</summary>
      <div class="table" tabindex="0" role="region" aria-label="Reliability">
        <table>
          <thead>
            <tr>
              <th scope="col">Probability</th>
              <th scope="col">Images</th>
              <th scope="col">Mean probability</th>
              <th scope="col">Correct</th>
            </tr>
          </thead>
          <tbody>
            ${filled.map(
              ({ above, up_to, count: films, confidence, accuracy, accuracy_interval }: ReliabilityBin) => html`<tr>
                <th scope="row">${interval([above, up_to])}</th>
                <td>${count(films)}</td>
                <td>${share(confidence, null)}</td>
                <td>${share(accuracy, accuracy_interval)}</td>
              </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </details>
  `;
}

function measuredArea(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : area(value);
}

function share(value: number | null | undefined, bounds: Interval | null | undefined): TemplateResult | string {
  if (value === null || value === undefined) return '–';
  return bounds === null || bounds === undefined ? percent(value) : html`${percent(value)} <small>(${interval(bounds)})</small>`;
}
