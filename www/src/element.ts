/** `<xray-classifier>`: shows a film and what the classifier says of it. Registered in `define.ts`, not here. */

import { LitElement, type PropertyValues } from 'lit';
import { Client } from './client';
import { InternalError, isAbort, RoentgenError } from './errors';
import { modelFolder, type ClassifyOptions } from './index';
import { crossing, type Crossing } from './pixels';
import type { State } from './state';
import { styles } from './styles';
import { isSeveral, take, takeFrom, type Taken } from './transfer';
import type { Classification, Explanation, Film, ImageSource, ModelCard, ModelFiles, Opened, Runtime, ValueRange } from './types';
import { view } from './view';

/** The model is loaded and checked: its card, and what runs it. */
export type ReadyDetail = Opened;

/** A film was judged, or refused with a reason. */
export interface ResultDetail {
  /** File name; empty for a Blob. */
  name: string;
  result: Classification;
}

/** The model did not load, or a film could not be judged. */
export interface ErrorDetail {
  /** File name; empty when it is not about a film. */
  name: string;
  error: RoentgenError;
}

/** More than one file was dropped: several, a folder, or a zip. */
export interface SeveralDetail {
  /** To be read before the listener returns: the browser empties it then. */
  transfer: DataTransfer;
}

/** The element's own events. They bubble and leave shadow trees. */
export interface XrayClassifierEventMap {
  'roentgen-several': CustomEvent<SeveralDetail>;
  'roentgen-ready': CustomEvent<ReadyDetail>;
  'roentgen-result': CustomEvent<ResultDetail>;
  'roentgen-error': CustomEvent<ErrorDetail>;
}

/**
 * A classifier for films that are dropped on it, pasted, picked, or given to {@link XrayClassifier.classify}.
 *
 * Attribute `model`: address of a model folder, relative to the page. CSS parts: `frame`, `stage`, `film`, `map`, `panel`,
 * `label`, `meaning`, `note`, `scores`, `bar`, `time`, `uncertain`, `refusal`, `error`, `progress`, `button`, `caution`, `caption`.
 *
 * @fires roentgen-several - {@link SeveralDetail}; who cancels it takes them, otherwise the first one is classified
 * @fires roentgen-ready - {@link ReadyDetail}
 * @fires roentgen-result - {@link ResultDetail}
 * @fires roentgen-error - {@link ErrorDetail}
 */
export class XrayClassifier extends LitElement {
  static override styles = styles;
  static override properties = { model: { type: String, reflect: true } };

  declare model: string | null;

  #state: State = {
    loading: { phase: 'loading', progress: undefined },
    judgement: { phase: 'none' },
    name: '',
    film: undefined,
    overlay: { phase: 'none' },
    opacity: 0.6,
    others: 0,
    dragging: false,
  };
  #client: Client | undefined;
  /** Ends everything under way: the element is taken out, or gets another model. */
  #life = new AbortController();
  /** Ends the film under way. */
  #job = new AbortController();
  /** Ends the map under way. */
  #asked = new AbortController();
  /** The last film, for another try and for its map: of a canvas, say, a copy of our own. */
  #file: Crossing | undefined;
  #range: ValueRange | undefined;
  #drawn: Film | undefined;
  #laid: Explanation | undefined;
  /** A model at hand, which goes before the attribute's. */
  #files: ModelFiles | undefined;

  constructor() {
    super();
    this.model = null;
  }

  /** The model's card once it is loaded. */
  get card(): ModelCard | undefined {
    return this.#state.loading.phase === 'ready' ? this.#state.loading.card : undefined;
  }

  /** Which build of the core runs the model, and on how many threads, once it is loaded. */
  get runtime(): Runtime | undefined {
    return this.#state.loading.phase === 'ready' ? this.#state.loading.runtime : undefined;
  }

  /**
   * Judges one film, a file or pixels as they are now, and shows it; with `showAnyway` also where the model refuses it, marked.
   * A film under way is given up: its promise rejects with an AbortError.
   *
   * @throws {@link RoentgenError}; the signal's reason when aborted
   */
  async classify(file: ImageSource, options: Omit<ClassifyOptions, 'onFilm'> = {}): Promise<Classification> {
    return this.#judge({ file, others: 0 }, options);
  }

  /** The model at hand, where one goes before that of the attribute. */
  get files(): ModelFiles | undefined {
    return this.#files;
  }

  /** Uses a model at hand; without one, that of the attribute again. */
  use(files?: ModelFiles): void {
    this.#files = files;
    this.#show({ judgement: { phase: 'none' }, film: undefined, name: '', others: 0 });
    if (this.isConnected && this.hasUpdated) void this.#load();
  }

  /** Lets go of the model's memory, unless a film is being judged; the next film loads it again. */
  release(): void {
    const { phase } = this.#state.judgement;
    if (phase !== 'reading' && phase !== 'judging') this.#client?.close();
  }

  /** Judges the first film of a drop that landed elsewhere on the page. */
  accept(transfer: DataTransfer): void {
    if (isSeveral(transfer) && !this.#emit('roentgen-several', { transfer })) return;
    this.#take(take(transfer, 'drop'));
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#life = new AbortController();
    const { signal } = this.#life;
    this.addEventListener('dragover', this.#onDragOver, { signal });
    this.addEventListener('dragleave', this.#onDragLeave, { signal });
    this.addEventListener('drop', this.#onDrop, { signal });
    // On the document: without a focused field that is where a paste arrives.
    document.addEventListener('paste', this.#onPaste, { signal });
    if (this.hasUpdated) void this.#load();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#life.abort();
    this.#job.abort();
    this.#client?.close();
    this.#client = undefined;
    if (this.#state.judgement.phase === 'reading' || this.#state.judgement.phase === 'judging') {
      this.#show({ judgement: { phase: 'none' }, film: undefined });
    }
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has('model') || !this.isConnected) return;
    this.#files = undefined;
    // What was judged by another model goes with it.
    this.#show({ judgement: { phase: 'none' }, film: undefined, name: '', others: 0 });
    void this.#load();
  }

  protected override render() {
    return view(this.#state, {
      choose: () => this.renderRoot.querySelector('input')?.click(),
      picked: (event) => this.#onPicked(event.target as HTMLInputElement),
      retry: () => void this.#retry(),
      explain: (label) => void this.#explain(label),
      fade: (opacity) => this.#show({ opacity }),
      showAnyway: () => this.#again({ showAnyway: true, valueRange: this.#range }),
      range: (valueRange) => this.#again({ valueRange }),
    });
  }

  protected override update(changed: PropertyValues<this>): void {
    const focused = this.shadowRoot?.activeElement;
    super.update(changed);
    // A button that went away with its state takes the focus with it: it moves on rather than back to the page's start.
    if (focused instanceof HTMLElement && !focused.isConnected) {
      const next = this.renderRoot.querySelector('.foot button') ?? this.renderRoot.querySelector('.panel');
      (next as HTMLElement | null)?.focus();
    }
    this.#draw();
  }

  #draw(): void {
    const { film, overlay, opacity } = this.#state;
    const canvas = this.renderRoot.querySelector<HTMLCanvasElement>('[part=film]');
    const layer = this.renderRoot.querySelector<HTMLCanvasElement>('[part=map]');
    if (canvas === null || layer === null) return;
    if (film !== undefined && film !== this.#drawn) {
      this.#drawn = film;
      // Both have the film's shape, so that one lies on the other.
      canvas.width = layer.width = film.bitmap.width;
      canvas.height = layer.height = film.bitmap.height;
      // Closes the bitmap too.
      canvas.getContext('bitmaprenderer')?.transferFromImageBitmap(film.bitmap);
    }
    if (overlay.phase === 'shown' && overlay.explanation !== this.#laid) {
      this.#laid = overlay.explanation;
      const { bitmap } = overlay.explanation;
      const context = layer.getContext('2d');
      context?.clearRect(0, 0, layer.width, layer.height);
      context?.drawImage(bitmap, 0, 0, layer.width, layer.height);
      bitmap.close();
    }
    // Not in the template: a style attribute is what the page's policy forbids.
    layer.style.opacity = String(opacity);
  }

  async #load(): Promise<void> {
    this.#client?.close();
    this.#client = undefined;
    const { signal } = this.#life;
    this.#show({ loading: { phase: 'loading', progress: undefined } });
    try {
      const model = this.#files ?? modelFolder(this.model ?? '');
      const client = new Client();
      this.#client = client;
      const opened = await client.open(model, {
        signal,
        onProgress: (progress) => {
          if (this.#client === client && this.#state.loading.phase === 'loading') {
            this.#show({ loading: { phase: 'loading', progress } });
          }
        },
      });
      this.#show({ loading: { phase: 'ready', ...opened } });
      this.#emit('roentgen-ready', opened);
    } catch (cause) {
      if (isAbort(cause)) return;
      const error = typed(cause);
      this.#show({ loading: { phase: 'failed', error } });
      this.#emit('roentgen-error', { name: '', error });
    }
  }

  async #judge(
    { file, others }: Taken,
    { signal, showAnyway, valueRange }: Omit<ClassifyOptions, 'onFilm'> = {},
  ): Promise<Classification> {
    this.#job.abort();
    const job = new AbortController();
    this.#job = job;
    const either = signal === undefined ? job.signal : AbortSignal.any([job.signal, signal]);
    const name = file instanceof File ? file.name : '';
    this.#range = valueRange;
    this.#show({ name, others, film: undefined, overlay: { phase: 'none' }, judgement: { phase: 'reading' } });
    try {
      const held = await this.#keep(file, either);
      // The first update is what begins to load the model.
      if (!this.hasUpdated) await this.updateComplete;
      // A worker that broke down on the last film, or a model that did not load, gets another chance with this one.
      const usable = this.#client?.closed === false && this.#state.loading.phase !== 'failed';
      if (!usable && this.isConnected) void this.#load();
      if (this.#client === undefined) throw this.#state.loading.phase === 'failed' ? this.#state.loading.error : absent();
      const result = await this.#client.classify(held, {
        signal: either,
        showAnyway,
        valueRange,
        onFilm: (film) => this.#show({ film, judgement: { phase: 'judging' } }),
      });
      this.#show({ judgement: { phase: 'judged', result } });
      this.#emit('roentgen-result', { name, result });
      return result;
    } catch (cause) {
      if (isAbort(cause) || either.aborted) {
        // A newer film has the stage already; only a caller's own abort leaves it empty.
        if (this.#job === job) this.#show({ judgement: { phase: 'none' }, film: undefined, name: '' });
        throw cause;
      }
      const error = typed(cause);
      this.#show({ judgement: { phase: 'failed', error } });
      this.#emit('roentgen-error', { name, error });
      throw error;
    }
  }

  /** Keeps a film in place of the last one: what a caller may draw on or close, as it is now. */
  async #keep(file: ImageSource, signal: AbortSignal): Promise<Crossing> {
    const last = this.#file;
    this.#file = undefined;
    // Begun before the last one, which it may be, is closed.
    const taken = crossing(file);
    if (last instanceof ImageBitmap) last.close();
    // These the client's own copy comes too late for.
    const held = taken instanceof ImageData ? structuredClone(taken) : await taken;
    if (signal.aborted && held instanceof ImageBitmap) held.close();
    signal.throwIfAborted();
    return (this.#file = held);
  }

  /** Lays the map of a class over the film that was judged; without a class, takes it away. */
  async #explain(label: string | undefined): Promise<void> {
    this.#asked.abort();
    const asked = new AbortController();
    this.#asked = asked;
    const [file, client] = [this.#file, this.#client];
    if (label === undefined || file === undefined || client === undefined) {
      this.#show({ overlay: { phase: 'none' } });
      return;
    }
    this.#show({ overlay: { phase: 'reading', label } });
    try {
      const signal = AbortSignal.any([asked.signal, this.#job.signal]);
      this.#show({ overlay: { phase: 'shown', label, explanation: await client.explain(file, label, { signal, valueRange: this.#range }) } });
    } catch (cause) {
      if (!isAbort(cause)) this.#show({ overlay: { phase: 'failed', label, error: typed(cause) } });
    }
  }

  /** Judges what a person handed over; what goes wrong is on the screen, so nobody waits for the promise. */
  #take(taken: Taken | RoentgenError | undefined): void {
    if (taken === undefined) return;
    if (taken instanceof RoentgenError) {
      this.#job.abort();
      this.#job = new AbortController();
      this.#file = undefined;
      this.#show({ name: '', others: 0, film: undefined, judgement: { phase: 'failed', error: taken } });
      this.#emit('roentgen-error', { name: '', error: taken });
      return;
    }
    this.#judge(taken).catch(() => {});
  }

  /** Judges the film at hand again, otherwise. */
  #again(options: ClassifyOptions): void {
    if (this.#file === undefined) return;
    this.#judge({ file: this.#file, others: this.#state.others }, options).catch(() => {});
  }

  async #retry(): Promise<void> {
    const file = this.#file;
    const again = this.#state.judgement.phase === 'failed' && file !== undefined;
    if (again) this.#take({ file, others: this.#state.others });
    else await this.#load();
  }

  #onDragOver = (event: DragEvent): void => {
    event.preventDefault();
    if (event.dataTransfer !== null) event.dataTransfer.dropEffect = 'copy';
    if (!this.#state.dragging) this.#show({ dragging: true });
  };

  #onDragLeave = (event: DragEvent): void => {
    if (!(event.relatedTarget instanceof Node && this.contains(event.relatedTarget))) this.#show({ dragging: false });
  };

  #onDrop = (event: DragEvent): void => {
    event.preventDefault();
    this.#show({ dragging: false });
    if (event.dataTransfer !== null) this.accept(event.dataTransfer);
  };

  #onPaste = (event: ClipboardEvent): void => {
    // Another element took it, or it belongs to a field that text is written in.
    const target = event.composedPath()[0];
    const field = target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea'));
    if (event.defaultPrevented || field || event.clipboardData === null) return;
    event.preventDefault();
    this.#take(take(event.clipboardData, 'paste'));
  };

  #onPicked(input: HTMLInputElement): void {
    this.#take(takeFrom(input.files ?? []));
    // So that picking the same file again is a change again.
    input.value = '';
  }

  #show(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    this.requestUpdate();
  }

  /** False where a listener has taken what it is about. */
  #emit<K extends keyof XrayClassifierEventMap>(type: K, detail: XrayClassifierEventMap[K]['detail']): boolean {
    return this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true, cancelable: type === 'roentgen-several' }));
  }
}

function typed(cause: unknown): RoentgenError {
  return cause instanceof RoentgenError ? cause : new InternalError(String(cause));
}

function absent(): DOMException {
  return new DOMException('the element is not in a page', 'AbortError');
}
