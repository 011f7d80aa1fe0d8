/** "Adapt to my hospital": a folder of labelled images in, before against after, and a model to use or to save. */

import { html, nothing, render, type TemplateResult } from 'lit';
import { forget, remember } from './adapt-store';
import type { AdaptReport, Adaptation, Adapting, Judged } from './adapt-types';
import type { XrayClassifier } from './element';
import { InternalError, isAbort, RoentgenError } from './errors';
import { area, count, interval, percent } from './format';
import { createTrainer } from './train';
import { download, filesOf, filesOfDrop, zipped } from './files';
import type { PathFile } from './train-films';
import type { Interval, ModelFiles, Share } from './types';

/** Files named as unreadable, however many there are. */
const MOST_NAMED = 20;

interface State {
  /** What is under way. */
  work: Adapting | undefined;
  dragging: boolean;
  outcome: Adaptation | undefined;
  error: RoentgenError | undefined;
  /** Whether the classifier uses an adapted model. */
  inUse: boolean;
  /** Why the model in use will be gone with the tab. */
  notKept: boolean;
}

/** The section's content, from the moment that somebody opens it. */
export class AdaptPage {
  #state: State = { work: undefined, dragging: false, outcome: undefined, error: undefined, inUse: false, notKept: false };
  #abort = new AbortController();
  /** The adapted model that the classifier was told to use. */
  #used: ModelFiles | undefined;

  constructor(
    private readonly root: HTMLElement,
    private readonly element: XrayClassifier,
  ) {
    // The button that opened it.
    root.replaceChildren();
    // Another model may be chosen elsewhere on the page.
    element.addEventListener('roentgen-ready', ({ detail: { card } }) => this.#show({ inUse: card.adapted !== undefined }));
    this.#show({ inUse: element.card?.adapted !== undefined });
  }

  async #adapt(files: PathFile[]): Promise<void> {
    if (files.length === 0 || this.#state.work !== undefined) return;
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#show({ work: { done: 0, total: files.length, judged: 0 }, outcome: undefined, error: undefined, notKept: false });
    try {
      const trainer = await createTrainer({ signal });
      try {
        const date = new Date().toISOString().slice(0, 10);
        const model = await this.#model();
        const outcome = await trainer.adapt(files, { model, date, signal, onProgress: (work) => this.#show({ work }) });
        this.#show({ outcome });
      } finally {
        trainer.close();
      }
    } catch (cause) {
      if (!isAbort(cause)) this.#show({ error: cause instanceof RoentgenError ? cause : new InternalError(String(cause)) });
    } finally {
      this.#show({ work: undefined });
    }
  }

  /** What to adapt: the model in use, or the one that an adapted one was made of. */
  async #model(): Promise<ModelFiles | string> {
    const { files } = this.element;
    const adapted = files !== undefined && (files === this.#used || (JSON.parse(files.card) as { adapted?: unknown }).adapted !== undefined);
    return files === undefined || adapted ? (this.element.model ?? '') : files;
  }

  async #use({ model }: Adaptation): Promise<void> {
    this.#used = model;
    this.element.use(model);
    const kept = await remember(model).then(() => true, () => false);
    this.#show({ notKept: !kept });
  }

  async #undo(): Promise<void> {
    this.element.use();
    await forget().catch(() => {});
  }

  async #save({ model: { card, weights } }: Adaptation): Promise<void> {
    const files = [
      { path: 'adapted/model.json', file: new Blob([card]) },
      { path: 'adapted/weights.safetensors', file: weights },
    ];
    download(await zipped(files), 'adapted.zip');
  }

  #show(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    render(this.#view(), this.root);
  }

  #view(): TemplateResult {
    const { work, dragging, outcome, error, inUse, notKept } = this.#state;
    const picked = ({ target }: Event): void => {
      const input = target as HTMLInputElement;
      const files = filesOf(input.files ?? []);
      input.value = '';
      void this.#adapt(files);
    };
    return html`
      <p>
        Give 10 to 50 labelled images of each class, from one machine where you can, in folders called as the classes are:
        ${(this.element.card?.classes ?? []).join(', ')}. A <code>manifest.csv</code> with the columns <code>path</code> and
        <code>group</code> says which are of one patient. The images stay on this device.
      </p>
      <div
        class=${dragging ? 'take dragging' : 'take'}
        @dragover=${(event: DragEvent) => {
          event.preventDefault();
          if (!dragging) this.#show({ dragging: true });
        }}
        @dragleave=${() => this.#show({ dragging: false })}
        @drop=${(event: DragEvent) => {
          event.preventDefault();
          event.stopPropagation();
          this.#show({ dragging: false });
          if (event.dataTransfer !== null) void filesOfDrop(event.dataTransfer).then((files) => this.#adapt(files));
        }}
      >
        <p>Drop a folder or a zip here, or</p>
        <p class="buttons">
          <label class="button">Choose a folder…<input type="file" name="adapt-folder" webkitdirectory multiple ?disabled=${work !== undefined} @change=${picked} /></label>
          <label class="button">Choose a zip…<input type="file" name="adapt-zip" accept=".zip" ?disabled=${work !== undefined} @change=${picked} /></label>
        </p>
      </div>
      <div aria-live="polite">
        ${work === undefined ? nothing : this.#progress(work)}
        ${error === undefined
          ? nothing
          : html`<div class="problem" role="alert"><p>${error.message}</p>${error.detail === '' ? nothing : html`<p class="quiet">${error.detail}</p>`}</div>`}
        ${outcome === undefined ? nothing : this.#outcome(outcome)}
        ${inUse
          ? html`<p class="adapted">
              The classifier uses a model adapted on this device${notKept ? ', until this tab is closed: the browser keeps nothing here' : ''}.
              <button type="button" name="undo" @click=${() => void this.#undo()}>Use the model as shipped</button>
            </p>`
          : nothing}
      </div>
    `;
  }

  #progress({ done, total, judged }: Adapting): TemplateResult {
    const looking = done < total;
    const share = looking ? done / total : judged;
    return html`<p>
      ${looking ? `Looking at the images: ${count(done)} of ${count(total)}` : 'Cross-validating'}
      <progress max="1" .value=${share} aria-label="Adapting"></progress>
      <button type="button" name="stop" @click=${() => this.#abort.abort()}>Stop</button>
    </p>`;
  }

  #outcome(outcome: Adaptation): TemplateResult {
    const { report, unreadable } = outcome;
    const more = unreadable.length - MOST_NAMED;
    const left = report.left_out.map(({ folder, files }) => `${folder} (${count(files)})`).join(', ');
    return html`
      <p class="verdict" data-verdict=${report.verdict}><strong>${report.sentence}</strong></p>
      ${compared(report)}
      ${report.notes.map((note) => html`<p class="quiet">${note}</p>`)}
      ${left === ''
        ? nothing
        : html`<p class="quiet">Left out, called after no class of the model: ${left}. To teach it a new class, start from this model under Train.</p>`}
      ${unreadable.length === 0
        ? nothing
        : html`<details>
            <summary>${count(unreadable.length)} file(s) could not be read</summary>
            <ul>
              ${unreadable.slice(0, MOST_NAMED).map(({ path, message }) => html`<li>${path}: ${message}</li>`)}
              ${more > 0 ? html`<li>and ${count(more)} more</li>` : nothing}
            </ul>
          </details>`}
      <p class="buttons">
        <button type="button" class=${report.verdict === 'take' ? 'primary' : ''} name="use" @click=${() => void this.#use(outcome)}>Use the adapted model</button>
        <button type="button" name="save" @click=${() => void this.#save(outcome)}>Save model folder</button>
      </p>
    `;
  }
}

/** The table: each image judged by a model that had not seen it. */
function compared({ before, after, images, unlabelled, folds }: AdaptReport): TemplateResult {
  const rows: [string, (judged: Judged) => string | null][] = [
    ['Named rightly, of the folder’s classes', ({ accuracy }) => accuracy && shown(accuracy)],
    ['The same, mean over the classes', ({ balanced_accuracy: mean }) => mean && ranged(percent(mean.value), mean.interval, interval)],
    ...Object.keys(before.auroc ?? {}).map((name): (typeof rows)[number] => [
      `AUROC of ${name}`,
      ({ auroc }) => (auroc?.[name] ? ranged(area(auroc[name].value), auroc[name].interval, areas) : null),
    ]),
    ['Answered with one class', ({ single }) => single && shown(single)],
    ['Answered with several', ({ several }) => several && shown(several)],
    ['Cannot tell', ({ cannot_tell }) => cannot_tell && shown(cannot_tell)],
    ['Rejected', ({ rejected }) => shown(rejected)],
    ['Wrong, of those answered', ({ wrong, single }) => (wrong ? shown(wrong) : single && 'none answered')],
  ];
  const counts = Object.entries(images).map(([name, n]) => `${count(n)} ${name}`);
  if (unlabelled > 0) counts.push(`${count(unlabelled)} without a label`);
  return html`
    <div class="table" tabindex="0" role="region" aria-label="Before against after">
      <table>
        <thead><tr><th scope="col">On your images</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
        <tbody>
          ${rows.map(([name, of]) => {
            const [was, is] = [of(before), of(after)];
            return was === null || is === null ? nothing : html`<tr><th scope="row">${name}</th><td>${was}</td><td>${is}</td></tr>`;
          })}
        </tbody>
      </table>
    </div>
    <p class="quiet">${counts.join(', ')}; ${count(folds)} folds, each image classified by a model that had not seen it. 95 % intervals.</p>
  `;
}

function shown({ count: hits, of, value, interval: every, interval_by_group: grouped }: Share): string {
  // Resampling says nothing of a share of none or all.
  return `${percent(value)} (${interval(hits === 0 || hits === of ? every : (grouped ?? every))})`;
}

function ranged(value: string, range: Interval | null, form: (range: Interval) => string): string {
  return range === null ? value : `${value} (${form(range)})`;
}

function areas([low, high]: Interval): string {
  return `${area(low)}–${area(high)}`;
}
