/** The training page's templates: pure functions of its state. */

import { html, nothing, type TemplateResult } from 'lit';
import { count, list, percent } from './format';
import type { DataReport, EpochRecord } from './train';
import { SAMPLE_IMAGES, SAMPLE_MEGABYTES } from './page/train/samples';
import { evaluation } from './train-evaluation';
import { MOST_SHOWN, notRead, problem, readWith, total, type TrainActions } from './train-parts';
import { recipe } from './train-recipe';
import type { TrainState } from './train-state';

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
  if (reading !== undefined) return `Reading images, ${Math.floor((4 * reading.done) / Math.max(1, reading.total)) * 25} per cent.`;
  const last = epochs.at(-1);
  const so = last === undefined ? '' : ` Epoch ${last.epoch} of ${settings?.epochs}: validation accuracy ${percent(last.validation.accuracy)}.`;
  if (evaluating) return 'Evaluating on the test images.';
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
      return measured === undefined ? `Training is done.${so}` : `${percent(measured.evaluation.accuracy)} of the test images are classified correctly.`;
    case 'none':
      return data === undefined ? 'Ready for images.' : `${count(total(data.report.train))} images to train on.`;
  }
}

function films(state: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const { data, reading, dragging, kept } = state;
  const folder = (event: Event) => actions.picked(event.target as HTMLInputElement);
  return html`
    <section class="step" aria-labelledby="films-title">
      <h2 id="films-title">1. Images</h2>
      <div class="text">
        ${data !== undefined || kept !== undefined || state.waiting !== undefined ? nothing : samples(state, actions)}
        <div
          class="take ${dragging ? 'dragging' : ''}"
          @dragover=${(event: DragEvent) => (event.preventDefault(), actions.dragged(true))}
          @dragleave=${() => actions.dragged(false)}
          @drop=${actions.dropped}
        >
          <p class="lead">Drop a folder of labelled X-rays here, or a zip</p>
          <p class="quiet">
            <code>train/&lt;class&gt;/*</code> and <code>test/&lt;class&gt;/*</code>, or <code>&lt;class&gt;/*</code> alone:
            then a fifth is held back for the test; or images with a table (CSV) of their labels. Nothing is uploaded; reduced copies stay in this browser until you let it
            forget them.
          </p>
          <p class="buttons">
            <label class="button primary">Choose a folder…<input type="file" webkitdirectory ?disabled=${busy} @change=${folder} /></label>
            <label class="button">Choose a zip, or a project…<input type="file" accept=".zip,application/zip,*/*" ?disabled=${busy} @change=${folder} /></label>
          </p>
          ${byHand(state, actions, busy)} ${columns(state, actions, busy)}
        </div>
        ${reading === undefined
          ? nothing
          : html`<p class="quiet" id="reading">Reading images: ${count(reading.done)} of ${count(reading.total)}</p>
              <progress aria-labelledby="reading" max=${reading.total} .value=${reading.done}></progress>`}
        ${problem(state, 'films', actions)}
        ${state.waiting === undefined || data !== undefined
          ? nothing
          : html`<div class="note" role="status" id="waiting">
              <p>${count(state.waiting.films)} images are here. ${sentence(state.waiting.waiting)} Add more by hand.</p>
              ${notRead(state.waiting.unreadable)}
            </div>`}
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

/** The way in for whoever has no images. */
function samples({ opening, reading }: TrainState, actions: TrainActions): TemplateResult {
  return html`<div class="try">
    <button type="button" class="primary" ?disabled=${opening || reading !== undefined} @click=${actions.trySamples}>
      Try it: train on ${SAMPLE_IMAGES} sample images
    </button>
    <p class="quiet">
      It takes about a minute, and nothing else needs to be decided. Half of the images are normal, half show bacterial pneumonia:
      children’s chest X-rays of <a href="https://doi.org/10.17632/rscbjbr9sj.2">Kermany et al. (2018)</a>,
      <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>, made grey and reduced to 128 × 128 pixels
      (${SAMPLE_MEGABYTES} MB).
    </p>
  </div>`;
}

/** Asks once what films mean whose values leave most of their type unused; the warnings say of which that is so. */
function unused({ data, reading }: TrainState, actions: TrainActions, busy: boolean): TemplateResult | typeof nothing {
  const below = data!.report.unused?.below;
  if (below === undefined) return nothing;
  return html`<p class="buttons" role="group" aria-label="Values of the images">
    <button type="button" class="primary" ?disabled=${busy || reading !== undefined} @click=${() => actions.network({ range: [0, below - 1] })}>
      Scale them by 0 to ${count(below - 1)}
    </button>
  </p>`;
}

/** One class at a time: files picked, dropped or photographed. */
function byHand({ photographing }: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const name = (target: EventTarget | null): string => {
    const form = (target as HTMLElement).closest('form');
    return (form?.elements.namedItem('class') as HTMLInputElement | null)?.value.trim() ?? '';
  };
  return html`<form
      class="by-hand"
      @submit=${(event: Event) => event.preventDefault()}
      @drop=${(event: DragEvent) => {
        event.preventDefault();
        event.stopPropagation();
        actions.dragged(false);
        actions.addClass(name(event.currentTarget), [...(event.dataTransfer?.files ?? [])]);
      }}
    >
      <label>or one class at a time: <input type="text" name="class" placeholder="name of the class" ?disabled=${busy} /></label>
      <label class="button"
        >Images of the class…<input
          type="file"
          accept="image/*,.tif,.tiff,.dcm,.dicom,application/dicom"
          multiple
          ?disabled=${busy}
          @change=${(event: Event) => {
            const input = event.target as HTMLInputElement;
            actions.addClass(name(input), [...(input.files ?? [])]);
            input.value = '';
          }}
      /></label>
      <button type="button" ?disabled=${busy || photographing !== undefined} @click=${(event: Event) => actions.photograph(name(event.target))}>
        Use the camera…
      </button>
      <small class="quiet">or drop them here</small>
    </form>
    ${photographing === undefined
      ? nothing
      : html`<div class="camera" role="region" aria-label="Camera">
          <video muted playsinline></video>
          <p class="buttons">
            <button type="button" class="primary" @click=${actions.takePhoto}>Take a picture</button>
            <button type="button" @click=${actions.endPhotos}>Done</button>
            <span role="status">${count(photographing.taken)} of ${photographing.name}</span>
          </p>
        </div>`}`;
}

/** Which table has the labels, for whoever's is not guessed. */
function columns({ labels }: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const field = (key: 'table' | 'file' | 'label', words: string) => html`<label
    >${words}
    <input
      type="text"
      .value=${labels[key]}
      placeholder="guessed"
      ?disabled=${busy}
      @input=${(event: Event) => actions.labels({ [key]: (event.target as HTMLInputElement).value.trim() })}
  /></label>`;
  return html`<details class="columns">
    <summary class="quiet">Labels in a table (CSV) instead of folders</summary>
    <p class="quiet">A table among the files is used where there are no class folders. Name it and its columns where they are not guessed, then drop the images again.</p>
    <p class="by-hand">${field('table', 'Table:')} ${field('file', 'column of files:')} ${field('label', 'column of classes:')}</p>
  </details>`;
}

function held(state: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const { report, unreadable } = state.data!;
  const { train, val, test, classes } = report;
  const most = Math.max(...train);
  const least = Math.min(...train);
  return html`
    <div class="table" tabindex="0" role="region" aria-label="Images by class and split">
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
          There are ${(most / least).toFixed(1)} times as many images of one class as of another.
          ${state.fields.balance === 'classes'
            ? 'Every class is drawn equally often, so the network cannot do well by naming the larger one.'
            : '“Class balance” under “More settings” can draw every class equally often.'}
          Look at sensitivity and specificity, not at accuracy alone.
        </p>`}
    ${report.warnings.map((warning) => html`<p class="note">${sentence(warning)}</p>`)} ${unused(state, actions, busy)}
    ${report.notes.map((note) => html`<p>${sentence(note)}</p>`)}
    ${report.decided.length === 0
      ? nothing
      : html`<ul id="decided" aria-label="What was decided">
          ${report.decided.map((what) => html`<li>${sentence(what)}</li>`)}
        </ul>`}
    ${asFiles(report)}
    ${report.copies.length === 0
      ? nothing
      : html`<details id="copies">
          <summary>${count(report.copies.length)} images are there more than once, or nearly so</summary>
          <ul>
            ${report.copies.slice(0, MOST_SHOWN).map(
              ({ exact, films, outcome, left_out, moved }) =>
                html`<li>
                  ${films.join(exact ? ' = ' : ' ≈ ')}:
                  ${outcome}${left_out.length > 0 ? `; left out: ${list(left_out)}` : ''}${moved.length > 0
                    ? `; moved to the images that nothing is learnt from: ${list(moved)}`
                    : ''}.
                </li>`,
            )}
          </ul>
        </details>`}
    ${leftOut(report)} ${notRead(unreadable)} ${readWith(unreadable, actions)}
    <p class="buttons">
      <button type="button" ?disabled=${busy || state.saving} @click=${actions.export}>Export this project…</button>
      <button type="button" ?disabled=${busy} @click=${actions.forget}>Forget these images</button>
    </p>
  `;
}

/** With a capital and a full stop, as the core's sentences have neither. */
function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? '' : '.'}`;
}

/** Files that are left out, by reason. */
function leftOut({ left_out: all }: DataReport): TemplateResult | typeof nothing {
  if (all.length === 0) return nothing;
  return html`<details id="left-out">
    <summary>${count(total(all.map(({ count }) => count)))} files are left out</summary>
    ${all.map(
      ({ words, count: many, files }) => html`<p>${count(many)}: ${words}</p>
        <ul>
          ${files.slice(0, MOST_SHOWN).map((file) => html`<li>${file}</li>`)}
        </ul>`,
    )}
  </details>`;
}

/** What the films of each class are like as files, and patients. */
function asFiles({ by_class: classes, groups }: DataReport): TemplateResult | typeof nothing {
  const known = classes.filter(({ images }) => images > 0);
  if (known.length === 0) return nothing;
  const counts = (of: Record<string, number>) => list(Object.entries(of).map(([value, many], _, all) => (all.length === 1 ? value : `${count(many)} × ${value}`)));
  const size = ([height, width]: [number, number]) => `${width} × ${height}`;
  return html`<details id="as-files">
    <summary>Formats, sizes and values by class</summary>
    <div class="table" tabindex="0" role="region" aria-label="Images as files">
      <table>
        <thead>
          <tr>
            <th scope="col">Class</th>
            <th scope="col">Format</th>
            <th scope="col">Bits</th>
            <th scope="col">Pixels, median</th>
            <th scope="col">from</th>
            <th scope="col">to</th>
            <th scope="col">Values</th>
          </tr>
        </thead>
        <tbody>
          ${known.map(
            ({ class: name, formats, bits, sizes: [smallest, median, largest], values: [low, high] }) => html`<tr>
              <th scope="row">${name}</th>
              <td>${counts(formats)}</td>
              <td>${counts(bits)}</td>
              <td>${size(median)}</td>
              <td>${size(smallest)}</td>
              <td>${size(largest)}</td>
              <td>${low.toFixed(2)}–${high.toFixed(2)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${groups === null ? nothing : html`<p>${count(groups.groups)} patients are known, of ${count(groups.images)} images.</p>`}
  </details>`;
}

function training(state: TrainState, actions: TrainActions, busy: boolean): TemplateResult {
  const { run, step, settings, epochs, notices } = state;
  const steps = settings === undefined ? 0 : settings.epochs * settings.steps_per_epoch;
  return html`
    <section class="step" aria-labelledby="run-title">
      <h2 id="run-title" tabindex="-1">3. Training</h2>
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
  const speed = pace > 0 ? `, ${((1000 * step.n) / pace).toFixed(1)} images a second` : '';
  const threads = runtime === undefined ? '' : `, ${runtime.threads === 1 ? 'one thread' : `${runtime.threads} threads`}`;
  const so = `Epoch ${Math.min(step.epoch, settings.epochs)} of ${settings.epochs}, step ${count(step.step)} of ${count(settings.epochs * settings.steps_per_epoch)}: loss ${step.running.loss.toFixed(4)}, accuracy ${percent(step.running.accuracy)}${speed}${threads}`;
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
          <th scope="col">Accuracy</th>
          <th scope="col">Validation loss</th>
          <th scope="col">Validation accuracy</th>
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
