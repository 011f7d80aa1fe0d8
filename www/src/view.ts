/** The element's templates: pure functions of its state. Every state is said in words; colour only repeats it. */

import { html, nothing, svg, type TemplateResult } from 'lit';
import { ValueRangeError, type RoentgenError } from './errors';
import { bytesOf, count, duration, interval, list, percent, probability } from './format';
import { explained } from './explained';
import type { State } from './state';
import type { Answer, Classification, ModelCard, Progress, ValueRange } from './types';

/** What the view can ask the element to do. */
export interface Actions {
  choose(): void;
  picked(event: Event): void;
  retry(): void;
  /** Lays the map of a class over the film; without one, takes it away. */
  explain(label: string | undefined): void;
  fade(opacity: number): void;
  showAnyway(): void;
  /** Judges the film again, its values read by a range. */
  range(range: ValueRange): void;
}

export function view(state: State, actions: Actions): TemplateResult {
  return html`
    <div class="frame" part="frame">
      <div class="stage ${state.dragging ? 'dragging' : ''}" part="stage">
        ${stage(state, actions)}
        <div class="corners" aria-hidden="true"><i></i><i></i><i></i><i></i></div>
      </div>
      <section class="panel" part="panel" aria-label="Result" tabindex="-1">${panel(state, actions)}</section>
      <p class="unseen" role="status" aria-live="polite">${announcement(state)}</p>
      <input
        type="file"
        hidden
        accept="image/*,.tif,.tiff,.pgm,.dcm,.dicom,application/dicom"
        @change=${(event: Event) => actions.picked(event)}
      />
    </div>
  `;
}

/** What a screen reader is told when it changes. Errors speak for themselves: they are alerts. */
export function announcement({ loading, judgement, name }: State): string {
  const film = name === '' ? 'the image' : name;
  switch (judgement.phase) {
    case 'reading':
      return loading.phase === 'loading' ? `Waiting for the model, then reading ${film}.` : `Reading ${film}.`;
    case 'judging':
      return loading.phase === 'loading' ? `The model is still loading. ${film} is next.` : `Classifying ${film}.`;
    case 'judged': {
      const { result } = judgement;
      if (result.label === null) return `${film} was rejected. ${result.refused.message}`;
      const { answer, label, score, ms, refused, uncertain } = result;
      const likeliest = `${label}, ${probability(score)}`;
      if (refused !== null) return `${film} was rejected, and is shown anyway: ${likeliest}. That means nothing for it.`;
      if (answer !== null && answer.text !== label) return `${film}: ${answer.text}. Most probable is ${likeliest}. Classified in ${duration(ms)}.`;
      return answer === null && uncertain
        ? `${film}: uncertain. Most probable is ${likeliest}. Classified in ${duration(ms)}.`
        : `${film}: ${likeliest}, in ${duration(ms)}.`;
    }
    case 'failed':
      return '';
    case 'none':
      if (loading.phase === 'ready') return 'The model is ready. Choose, drop or paste an X-ray.';
      if (loading.phase === 'failed') return '';
      // By quarters: every piece would drown everything else.
      return `Loading the model, ${Math.floor(share(loading.progress) * 4) * 25} per cent.`;
  }
}

function stage(state: State, actions: Actions): TemplateResult {
  const { film, judgement, name, overlay } = state;
  const waiting = judgement.phase === 'reading';
  return html`
    <canvas
      part="film"
      role="img"
      aria-label=${film ? `The image ${name}, ${film.fileWidth} by ${film.fileHeight} pixels` : 'No image'}
      ?hidden=${film === undefined}
    ></canvas>
    <canvas
      part="map"
      role="img"
      aria-label=${overlay.phase === 'shown' ? `Where the network found what speaks for ${overlay.label}` : 'No map'}
      ?hidden=${film === undefined || overlay.phase !== 'shown'}
    ></canvas>
    ${film === undefined
      ? html`<div class="invitation">
          ${waiting
            ? html`<p class="lead">Reading the image…</p>`
            : html`<p class="lead mouse">Drop a chest X-ray here</p>
                <p class="mouse">or paste it, or</p>
                <p class="lead touch">Classify a chest X-ray</p>
                <button type="button" class="primary" part="button" @click=${actions.choose}>Choose an image…</button>
                <p class="formats">DICOM · PNG · JPEG · TIFF · WebP · BMP · PGM · GIF</p>`}
        </div>`
      : html`<p class="overlay" aria-hidden="true">
          <span>${name}</span><span>${film.fileWidth} × ${film.fileHeight}</span>
        </p>`}
  `;
}

function panel(state: State, actions: Actions): TemplateResult {
  const { loading, judgement, name, others } = state;
  return html`
    ${loading.phase === 'loading' ? download(loading.progress) : nothing}
    ${loading.phase === 'failed' ? problem('The model did not load', loading.error, actions) : nothing}
    ${judgement.phase === 'judged' && loading.phase === 'ready'
      ? [
          judged(judgement.result, loading.card, actions),
          judgement.result.label === null
            ? nothing
            : [explained(state, loading.card, judgement.result.label, actions), smallPrint(judgement.result, loading.card)],
        ]
      : judgement.phase === 'failed' && loading.phase !== 'failed'
        ? problem(name === '' ? 'No result' : `No result for ${name}`, judgement.error, actions)
        : loading.phase === 'ready'
          ? idle(loading.card, judgement.phase === 'reading' || judgement.phase === 'judging')
          : nothing}
    ${others > 0
      ? html`<p class="note">
          ${others === 1 ? 'One more file was' : `${count(others)} more files were`} left out: images are classified one at a time.
        </p>`
      : nothing}
    <div class="foot">
      ${judgement.phase !== 'none'
        ? html`<button type="button" part="button" @click=${actions.choose}>Choose another image…</button>`
        : nothing}
      <p class="caution" part="caution">For research and teaching. Not a medical device; do not use it for diagnosis.</p>
    </div>
  `;
}

function download(progress: Progress | undefined): TemplateResult {
  const { loadedBytes, totalBytes } = progress ?? { loadedBytes: 0, totalBytes: 0 };
  return html`
    <div class="download">
      <p class="eyebrow" id="download">Loading the model</p>
      ${progress === undefined
        ? html`<progress part="progress" aria-labelledby="download"></progress>`
        : html`<progress
            part="progress"
            aria-labelledby="download"
            max=${totalBytes}
            .value=${loadedBytes}
          ></progress>`}
      <p class="quiet">${progress === undefined ? 'Connecting…' : `${bytesOf(loadedBytes, totalBytes)}, once`}</p>
    </div>
  `;
}

function idle(card: ModelCard, busy: boolean): TemplateResult {
  return html`
    <div>
      <p class="eyebrow">${busy ? 'Classifying…' : 'Ready'}</p>
      <p class="label">${busy ? '…' : 'No image yet'}</p>
      <p class="quiet">${card.name} tells apart ${list(card.classes)}. ${reliability(card)}</p>
    </div>
  `;
}

function judged(result: Classification, card: ModelCard, actions: Actions): TemplateResult {
  if (result.label === null) {
    return html`
      <div>
        <p class="eyebrow">Rejected</p>
        <p class="label" part="label">No answer</p>
        <p part="refusal" data-reason=${result.refused.reason}>${result.refused.message}</p>
        ${doubts(result, actions)}
        <p class="quiet">Looked at in ${duration(result.ms)}, on this device.</p>
        <button type="button" part="button" @click=${actions.showAnyway}>Show anyway</button>
      </div>
    `;
  }
  return html`
    <div class=${result.refused === null ? '' : 'refused'}>
      ${result.refused === null
        ? nothing
        : html`<p class="mark" part="refusal" data-reason=${result.refused.reason}>
            Rejected, shown anyway. ${result.refused.message} What follows means nothing for such a picture.
          </p>`}
      ${headline(result, card)}
      ${doubts(result, actions)}
      <ul class="scores" part="scores">
        ${card.classes.map((name) => score(name, result.scores[name] ?? 0, name === result.label))}
      </ul>
    </div>
  `;
}

/** Below the buttons, which are to be seen without scrolling. */
function smallPrint(result: Classification, card: ModelCard): TemplateResult {
  return html`
    <div>
      <p class="quiet">Classified in <span part="time">${duration(result.ms)}</span>, on this device.</p>
      <p class="quiet">${reliability(card)}</p>
    </div>
  `;
}

/** What is in doubt about the film's values, and the way to answer it. */
function doubts({ notes, suggested_range: range }: Classification, actions: Actions): unknown {
  if (notes.length === 0) return nothing;
  return html`<p class="note" part="note">${notes.join(' ')}</p>
    ${range && readWith(range, actions)}`;
}

function score(name: string, value: number, first: boolean): TemplateResult {
  return html`
    <li class=${first ? 'first' : ''} data-class=${name} data-score=${value}>
      <span>${name}</span><span class="value">${probability(value)}</span>
      <svg class="bar" part="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
        ${svg`<rect width="100" height="1" class="rail" /><rect width=${value * 100} height="1" />`}
      </svg>
    </li>
  `;
}

/** The answer in words: the classes that fit, or else the most probable one where it is sure enough. */
export function said({ answer, label, uncertain }: Answer): string {
  return answer?.text ?? (uncertain ? 'Uncertain' : label);
}

/** The answer, and in one sentence what it means. */
function headline(result: Answer, card: ModelCard): TemplateResult {
  const { answer, label, score, uncertain } = result;
  if (answer !== null) {
    const { classes, set } = answer;
    return html`
      <p class="eyebrow">${classes.length === 0 ? 'No answer' : 'Answer'}</p>
      <p class="label" part="label">${said(result)}</p>
      <p part="meaning">${classes.length === 1 ? alone(card) : `This image fits ${list(set)}; the model cannot tell which it is.`}</p>
    `;
  }
  return html`
    <p class="eyebrow">${uncertain ? 'No sure answer' : 'Most probable'}</p>
    <p class="label" part="label">${said(result)}</p>
    ${uncertain && card.uncertain
      ? html`<p part="uncertain">
          Most probable is ${label}, but with ${probability(score)} only. Below
          ${percent(card.uncertain.below)} this model is wrong too often to answer.
        </p>`
      : nothing}
  `;
}

/** How often an answer of one class is right, where that was measured: on test films, or else on validation films. */
function alone({ answer, metrics }: ModelCard): string {
  const right = (metrics?.[0]?.evaluation.sets ?? answer?.validation)?.single_right;
  return right
    ? `No other class fits this image. Of ${count(right.of)} such answers, ${percent(right.value)} were right.`
    : 'No other class fits this image.';
}

function problem(title: string, error: RoentgenError, actions: Actions): TemplateResult {
  return html`
    <div class="problem" part="error" role="alert">
      <p class="eyebrow">${title}</p>
      <p class="sentence">${error.message}</p>
      ${error.detail === '' ? nothing : html`<p class="detail">${error.detail}</p>`}
      ${error.retryable
        ? html`<button type="button" class="primary" part="button" @click=${actions.retry}>Try again</button>`
        : nothing}
      ${error instanceof ValueRangeError && error.range !== undefined ? readWith(error.range, actions) : nothing}
    </div>
  `;
}

function readWith(range: ValueRange, actions: Actions): TemplateResult {
  return html`<button type="button" part="button" @click=${() => actions.range(range)}>Read it with ${range[0]} to ${range[1]}</button>`;
}

/** How often the model is right, from the first measurement on its card; a probability says nothing without it. */
function reliability({ metrics, audit }: ModelCard): string {
  const warning = audit?.works_without_lungs ? ' It still works with the lungs masked out: it looks at more than lungs.' : '';
  const first = metrics?.[0];
  if (first === undefined) return `How often it is right was not measured.${warning}`;
  const { accuracy, accuracy_interval, accuracy_interval_by_group, n } = first.evaluation;
  const bounds = interval(accuracy_interval_by_group ?? accuracy_interval);
  return `On ${count(n)} images it had not seen, it was right in ${percent(accuracy)} (95\u202f% interval ${bounds}); on images of another hospital it may do worse.${warning}`;
}

function share(progress: Progress | undefined): number {
  return progress === undefined || progress.totalBytes === 0 ? 0 : progress.loadedBytes / progress.totalBytes;
}
