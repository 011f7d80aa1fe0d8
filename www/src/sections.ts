/** The sections of the model's view that are written from its card. */

import { html, nothing, type TemplateResult } from 'lit';
import { area, count, interval, list, percent } from './format';
import type { Evaluation, Interval, MetricsEntry, ModelCard, SourceAccuracy } from './types';

/** What the model tells apart and how well. */
export function facts(card: ModelCard): TemplateResult {
  const { height, width } = card.preprocess;
  const seen = card.mirrored ? 'the image, and at its mirror image, each' : 'the image';
  return html`
    ${card.summary?.length ? html`<ul id="summary">${card.summary.map((one) => html`<li>${one}</li>`)}</ul>` : nothing}
    <p>
      ${card.name}, version ${card.version}, tells apart ${list(card.classes)}. It looks at ${seen} reduced to
      ${width}\u00a0×\u00a0${height} pixels.
    </p>
    ${card.adapted ? html`<p>Adapted from ${card.adapted.from}${card.adapted.date ? ` on ${card.adapted.date}` : ''}. ${card.adapted.sentence}</p>` : nothing}
    <p>${card.intended_use}</p>
    ${card.metrics?.length ? more('How often it is right, in numbers', measured(card.metrics)) : html`<p>How often it is right has not been measured.</p>`}
    <p class="quiet">Licence of the weights: ${card.licence}. Their SHA-256, checked before use:
      <code>${card.weights.sha256.slice(0, 16)}…</code></p>
  `;
}

/** What is one click away. */
export function more(title: string, content: unknown): TemplateResult {
  return html`<details><summary>${title}</summary>${content}</details>`;
}

/** What is known to go wrong. */
export function gaps({ limitations, misuse }: ModelCard): TemplateResult {
  return html`
    ${limitations?.length ? html`<ul>${limitations.map((one) => html`<li>${one}</li>`)}</ul>` : nothing}
    ${misuse?.length
      ? html`<p>It must not be used for:</p>
          <ul>${misuse.map((one) => html`<li>${one}</li>`)}</ul>`
      : nothing}
  `;
}

function measured(metrics: MetricsEntry[]): TemplateResult {
  const grouped = metrics.some(({ evaluation }) => evaluation.accuracy_interval_by_group);
  return html`
    <div class="table" tabindex="0" role="region" aria-label="How often the model is right">
      <table>
        <thead>
          <tr>
            <th scope="col">Images the model had not seen</th>
            <th scope="col">Images</th>
            <th scope="col">Right</th>
            <th scope="col">95\u202f% interval</th>
            <th scope="col">AUROC</th>
          </tr>
        </thead>
        <tbody>
          ${metrics.map(({ data, split, evaluation }) => [
            row(`${data}, ${split}`, evaluation, intervalOf(evaluation), auroc(evaluation), ''),
            ...amongPresent(evaluation),
            ...Object.entries(evaluation.by_source ?? {}).flatMap(([source, part]) => [
              row(`of these, ${source}`, part, part.accuracy_interval, '', 'part'),
              ...Object.entries(part.by_class ?? {}).map(([name, { of, value, interval, interval_by_group }]) =>
                row(`${source}, ${name}`, { n: of, accuracy: value }, interval_by_group ?? interval, '', 'part'),
              ),
            ]),
          ])}
        </tbody>
      </table>
    </div>
    ${grouped
      ? html`<p class="quiet">Intervals of whole sets resample patients, not images: images of one patient are alike.</p>`
      : nothing}
  `;
}

/** The same films when the classes that none of them has are no answer. */
function amongPresent({ among_present, per_class }: Evaluation): TemplateResult[] {
  if (!among_present) return [];
  const { of, value, interval, interval_by_group } = among_present;
  const present = Object.entries(per_class).flatMap(([name, { n }]) => (n > 0 ? [name] : []));
  const name = `asked between ${present.join(' and ')} alone`;
  return [row(name, { n: of, accuracy: value }, interval_by_group ?? interval, '', 'part')];
}

function row(
  name: string,
  { n, accuracy }: Pick<SourceAccuracy, 'n' | 'accuracy'>,
  bounds: Interval,
  auroc: string,
  kind: string,
): TemplateResult {
  return html`<tr class=${kind}>
    <th scope="row">${name}</th>
    <td>${count(n)}</td>
    <td>${percent(accuracy)}</td>
    <td>${interval(bounds)}</td>
    <td>${auroc}</td>
  </tr>`;
}

function intervalOf({ accuracy_interval, accuracy_interval_by_group }: Evaluation): Interval {
  return accuracy_interval_by_group ?? accuracy_interval;
}

/** The lowest area of all classes: with two they are equal, with more the weakest is the one to know. */
function auroc({ auroc }: Evaluation): string {
  const areas = Object.values(auroc).filter((value) => value !== null);
  return areas.length === 0 ? '' : area(Math.min(...areas));
}
