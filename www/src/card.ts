/** The rest of a model's card: what it decides, what an audit found, what it was made of, what was tried. */

import { html, nothing, type TemplateResult } from 'lit';
import { area, count, interval, percent } from './format';
import { more } from './sections';
import type { Ablation, AnswerSets, Audit, Interval, MetricsEntry, ModelCard, RefusalLimits, SetsReached, Share } from './types';

/** Answers, thresholds, the uncertain band and each class by itself, as measured. */
export function decisions(card: ModelCard): TemplateResult | typeof nothing {
  const { answer, calibration, operating_points, uncertain, refusal, metrics = [] } = card;
  const parts = html`
    ${answer ? answers(answer, metrics) : nothing} ${metrics.map(byClass)}
    ${calibration
      ? html`<p>
          Its probabilities are calibrated: the network’s outputs are divided by ${calibration.temperature.toFixed(3)}, which took the
          calibration error on ${count(calibration.films)} validation images from ${percent(calibration.ece_before)} to
          ${percent(calibration.ece_after)}${testErrors(metrics)}.
        </p>`
      : nothing}
    ${operating_points
      ? table(
          'Operating points',
          ['Finding, and from which probability it is called', 'On', 'Sensitivity', 'Specificity'],
          Object.entries(operating_points).flatMap(([name, point]) => [
            [`${name}, from ${percent(point.threshold)}`, 'validation', shown(point.validation.sensitivity), shown(point.validation.specificity)],
            ...metrics.flatMap(({ data, split, evaluation }) => {
              const reached = evaluation.operating_points?.[name];
              return reached ? [[name, `${data}, ${split}`, shown(reached.sensitivity), shown(reached.specificity)]] : [];
            }),
          ]),
        )
      : nothing}
    ${uncertain
      ? html`<p>
            Below ${percent(uncertain.below)} for the likeliest class the answer is “uncertain”, so that of the answers given at most
            ${percent(uncertain.for_error)} were wrong on validation images:
          </p>
          ${table(
            'The answer uncertain',
            ['On', 'Answered', 'Of these wrong'],
            [
              ['validation', shown(uncertain.validation.coverage), shown(uncertain.validation.error)],
              ...metrics.flatMap(({ data, split, evaluation: { answered } }) =>
                answered ? [[`${data}, ${split}`, shown(answered.coverage), shown(answered.error)]] : [],
              ),
            ],
          )}`
      : nothing}
    ${refusal ? html`<p>${refuses(refusal)}</p>` : nothing}
  `;
  return more('How it comes to an answer', parts);
}

/** What answers that are sets of classes reach, on validation and on test images. */
function answers({ coverage, validation }: AnswerSets, metrics: MetricsEntry[]): TemplateResult {
  const measured: [string, SetsReached][] = [
    ['validation', validation],
    ...metrics.flatMap(({ data, split, evaluation: { sets } }): [string, SetsReached][] => (sets ? [[`${data}, ${split}`, sets]] : [])),
  ];
  const row = (name: string, of: (sets: SetsReached) => Share | null | undefined) => [name, ...measured.map(([, sets]) => shown(of(sets)))];
  const sources = Object.entries(validation.by_source ?? {});
  return html`<p>
      The answer is the set of classes that fit an image, chosen on validation images so that it holds the right class of
      ${percent(coverage)} of the images of each class. For images from elsewhere that is not promised.
    </p>
    ${table(
      'The answer, a set of classes',
      ['The answer', ...measured.map(([on]) => on)],
      [
        row('holds the right class', (sets) => sets.coverage),
        ...Object.keys(validation.by_class).map((name) => row(`of ${name}`, (sets) => sets.by_class[name])),
        ...sources.flatMap(([source, classes]) =>
          Object.keys(classes).map((name) => row(`of ${name}, ${source}`, (sets) => sets.by_source?.[source]?.[name])),
        ),
        row('is one class', (sets) => sets.single),
        row('is one class: the right one', (sets) => sets.single_right),
        row('cannot tell', (sets) => sets.cannot_tell),
        ['classes in it, on average', ...measured.map(([, { mean_size }]) => mean_size.toFixed(2))],
      ],
    )}`;
}

/** What the model refuses, in sentences. */
function refuses({ measured = {} }: RefusalLimits): string {
  const found = Object.entries(measured).map(([name, folders]) => {
    const sum = (of: 'n' | 'refused') => Object.values(folders).reduce((all, one) => all + one[of], 0);
    return ` Of ${count(sum('n'))} ${name} it rejected ${count(sum('refused'))}.`;
  });
  return `It rejects what is no upright frontal chest X-ray, with the reason.${found.join('')}`;
}

/** What the audit found; the first words are its verdict. */
export function audited(audit: Audit): TemplateResult {
  const pairs = Object.values(audit.views)[0]?.within_source ?? [];
  const tables = html`
    <p>The rule: ${audit.rule}</p>
    ${table(
      'What is left of the image',
      ['What is left of the image', 'Balanced accuracy', ...pairs.map(({ source, classes: [a, b] }) => `AUROC ${a} / ${b}, ${source} only`)],
      [
        ...Object.entries(audit.views).map(([name, view]) => [
          name,
          withRange(percent(view.balanced_accuracy), view.balanced_accuracy_interval, interval),
          ...view.within_source.map((pair) => withRange(area(pair.auroc), pair.auroc_interval, areas)),
        ]),
        ['a guess', percent(audit.chance), ...pairs.map(() => area(0.5))],
      ],
    )}
    ${audit.probes.length === 0
      ? nothing
      : html`<p>How well the hospital can be read from images of one class, where it should not show:</p>
          ${table(
            'The source of images of one class',
            ['Images of', 'AUROC from its features', 'AUROC from 8×8 pixels'],
            audit.probes.map((probe) => [
              `${probe.class}, ${probe.sources.join(' or ')}`,
              withRange(area(probe.auroc), probe.auroc_interval, areas),
              area(probe.auroc_of_pixels),
            ]),
          )}`}
    ${audit.heat
      ? html`${table(
            'Heat maps',
            ['Heat map of the class it names', 'Images', 'Inside the lungs', 'If the map were even'],
            audit.heat.map((heat) => [
              `${heat.class ?? 'all of them'}${heat.drawn ? ', its own lungs as drawn' : ''}`,
              count(heat.films),
              withRange(percent(heat.share), heat.share_interval, interval),
              percent(heat.area),
            ]),
          )}
          <p>No share inside the lungs can show that the lungs were what decided.</p>`
      : nothing}
    <p class="quiet">
      ${audit.data}. Where the lungs were taken to lie: ${audit.lungs.made_from}. That is ${percent(audit.lungs.area)} of a
      image${audit.lungs.covers === null ? '' : ` and holds ${percent(audit.lungs.covers)} of the lungs of other images`}.
    </p>
  `;
  return html`
    <p>${audit.works_without_lungs
        ? html`<strong>This model still works with the lungs masked out</strong>, so what it does is not all about lungs.`
        : html`By the rule used this model does not work with the lungs masked out, which does not prove that it looks at nothing
            else.`}
    </p>
    ${more('How that was found', tables)}
  `;
}

/** The films it was made of, and what was tried. */
export function made({ data, ablation = [] }: ModelCard): TemplateResult {
  const parts = html`
    ${data
      ? html`${data.sources.length
            ? html`<ul>${data.sources.map(({ name, description, licence }) => html`<li>${name}: ${description} Licence: ${licence}.</li>`)}</ul>`
            : nothing}
          ${table(
            'Images by part, class and source',
            ['Class', 'Source', 'Part', 'Images'],
            data.counts.map(({ split, class: name, source, films }) => [name, source, split, count(films)]),
          )}
          ${data.split === '' ? nothing : html`<p>${data.split}</p>`}
          ${data.confounders.length
            ? html`<p>What differs between the classes beside the disease:</p>
                <ul>${data.confounders.map((one) => html`<li>${one}</li>`)}</ul>`
            : nothing}`
      : nothing}
    ${ablation.length
      ? html`<p>What was tried on the way:</p>
          ${compared(ablation).map((lines) => {
            const names = [...new Set(lines.flatMap(({ results }) => Object.keys(results)))];
            const rows = lines.map(({ measure, results }) => [measure, ...names.map((name) => results[name] ?? '–')]);
            return table(`What was tried: ${names.join(', ')}`, ['Measure', ...names], rows);
          })}`
      : nothing}
  `;
  return more('The images, and what was tried', parts);
}

/** What was tried, in runs of lines of which each shares a result with the one before: a table each. */
function compared(ablation: Ablation[]): Ablation[][] {
  const runs: Ablation[][] = [];
  for (const line of ablation) {
    const before = runs.at(-1)?.at(-1);
    if (before !== undefined && Object.keys(line.results).some((name) => name in before.results)) runs.at(-1)?.push(line);
    else runs.push([line]);
  }
  return runs;
}

function byClass({ data, split, evaluation }: MetricsEntry): TemplateResult {
  const { auroc, auroc_interval, per_class } = evaluation;
  const rate = (value: number | null, range: Interval | null) => (value === null ? '–' : withRange(percent(value), range, interval));
  return html`<p>Each class against the rest, ${data}, ${split}:</p>
    ${table(
      `Each class against the rest, ${data}, ${split}`,
      ['Class', 'Images', 'AUROC', 'Sensitivity', 'Specificity'],
      Object.entries(per_class).map(([name, rates]) => [
        name,
        count(rates.n),
        auroc[name] == null ? '–' : withRange(area(auroc[name]), auroc_interval?.[name], areas),
        rate(rates.sensitivity, rates.sensitivity_interval),
        rate(rates.specificity, rates.specificity_interval),
      ]),
    )}`;
}

/** `; on test films it is 2.1 %`. */
function testErrors(metrics: MetricsEntry[]): string {
  const first = metrics.find(({ evaluation }) => evaluation.ece != null);
  return first === undefined ? '' : `; on the ${count(first.evaluation.n)} ${first.split} images it is ${percent(first.evaluation.ece ?? 0)}`;
}

function shown(share: Share | null | undefined): string {
  return share == null ? '–' : withRange(percent(share.value), share.interval_by_group ?? share.interval, interval);
}

function withRange(value: string, range: Interval | null | undefined, written: (range: Interval) => string): string {
  return range ? `${value} (${written(range)})` : value;
}

function areas([low, high]: Interval): string {
  return `${area(low)}\u2060–\u2060${area(high)}`;
}

function table(label: string, head: string[], rows: string[][]): TemplateResult | typeof nothing {
  if (rows.length === 0) return nothing;
  return html`<div class="table" tabindex="0" role="region" aria-label=${label}>
    <table>
      <thead>
        <tr>${head.map((cell) => html`<th scope="col">${cell}</th>`)}</tr>
      </thead>
      <tbody>
        ${rows.map(([first, ...cells]) => html`<tr><th scope="row">${first}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}
      </tbody>
    </table>
  </div>`;
}
