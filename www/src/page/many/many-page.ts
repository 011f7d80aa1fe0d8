/** The view of many images: what a person does there becomes a run of classifiers, and what they say a table. */

import './many.css';
import { render } from 'lit';
import { modelFolder } from '../../address';
import type { XrayClassifier } from '../../element';
import { InternalError, isAbort, NoImagesError, RoentgenError } from '../../errors';
import { createTrainer, type Trainer } from '../../train';
import { download, filesOf, filesOfDrop } from '../../files';
import type { PathFile } from '../../train-films';
import { EvaluationPlots } from '../../train-plots';
import type { Images, JudgedFilm } from '../../train-types';
import type { ModelCard, ModelFiles } from '../../types';
import { csv, json } from './export';
import { manyView } from './many-view';
import { fetched, Queue, type Item } from './queue';
import type { ManyActions, ManyState } from './state';
import { rows } from './table';
import { Walk } from './walk';

/** Height of a row in pixels, as in many.css: the place of each is known without drawing those before it. */
const ROW_HEIGHT = 60;

/** Rows drawn beyond each edge, so that scrolling shows no gaps. */
const MARGIN = 6;

const NOTHING: Omit<ManyState, 'dragging'> = {
  phase: 'empty',
  error: undefined,
  notes: [],
  items: [],
  card: undefined,
  pace: { done: 0, total: 0, speed: 0 },
  shown: 'all',
  text: '',
  order: { by: 'index', descending: false },
  rows: [],
  at: 0,
  from: 0,
  drawn: 20,
  measuring: false,
  measured: undefined,
  cell: undefined,
  threshold: undefined,
};

export class ManyPage {
  #state: ManyState = { ...NOTHING, dragging: false };
  #queue: Queue | undefined;
  /** Opens zips, and measures; its module is what the others do without. */
  #trainer: Trainer | undefined;
  #model: ModelFiles | undefined;
  /** What was given last, for another try. */
  #given: Promise<PathFile[]> = Promise.resolve([]);
  /** Ends what is under way when other images come. */
  #life = new AbortController();
  #plots = new EvaluationPlots();
  #scheduled = false;
  #focus = false;
  /** A view that was hidden, or has another size, shows other rows. */
  readonly #resized = new ResizeObserver(() => this.#window());
  #scroller: Element | null = null;
  readonly #walk: Walk;

  /** `open` shows one of the page's views; single images are shown by `element`, with what is said in `bar` above it. */
  constructor(
    private readonly root: HTMLElement,
    bar: HTMLElement,
    private readonly element: XrayClassifier,
    private readonly open: (view: 'classify' | 'many') => void,
  ) {
    this.#walk = new Walk(bar, element, () => {
      this.open('many');
      this.#go(this.#walk.at);
    });
    this.#draw();
  }

  readonly #actions: ManyActions = {
    picked: (input) => {
      const files = filesOf(input.files ?? []);
      input.value = '';
      void this.take(Promise.resolve(files));
    },
    dropped: (event) => {
      event.preventDefault();
      this.#show({ dragging: false });
      if (event.dataTransfer !== null) void this.take(filesOfDrop(event.dataTransfer));
    },
    dragged: (dragging) => {
      if (dragging !== this.#state.dragging) this.#show({ dragging });
    },
    pause: () => {
      this.#queue?.pause();
      this.#show({ phase: 'paused' });
    },
    resume: () => {
      this.#queue?.resume();
      this.#show({ phase: 'running' });
    },
    cancel: () => {
      this.#show({ phase: 'cancelled' });
      this.#queue?.cancel();
    },
    clear: () => this.#clear(),
    retry: () => void (this.#state.items.length > 0 ? this.#run() : this.take(this.#given)),
    export: (kind) => {
      const { items, card } = this.#state;
      if (card === undefined) return;
      if (kind === 'csv') download(csv(items, card), 'roentgen-results.csv');
      else download(json(items, card), 'roentgen-results.json');
    },
    show: (shown) => this.#arrange({ shown }),
    search: (text) => this.#arrange({ text }),
    sort: (by) => {
      const { order } = this.#state;
      const own = JSON.stringify(order.by) === JSON.stringify(by);
      // Probabilities from the highest, names from A; a third time, the order that the files came in.
      const first = typeof by === 'object';
      if (!own) this.#arrange({ order: { by, descending: first } });
      else if (order.descending === first) this.#arrange({ order: { by, descending: !first } });
      else this.#arrange({ order: { by: 'index', descending: false } });
    },
    scrolled: () => this.#window(),
    key: (event) => this.#key(event),
    open: (row) => {
      this.#show({ at: row });
      this.#walk.begin(this.#state.rows, row);
      this.open('classify');
    },
    cell: (cell) => {
      this.#show({ cell });
      this.#draw();
      this.#paint('.opened canvas', (canvas) => this.#state.items.find(({ path }) => path === canvas.dataset['path']));
    },
    threshold: (label, value) => void this.#threshold(label, value),
  };

  /** Classifies these files in place of whatever was there. */
  async take(given: Promise<PathFile[]>): Promise<void> {
    this.#clear();
    this.#given = given;
    const { signal } = this.#life;
    this.#show({ phase: 'opening' });
    try {
      const files = await given;
      // The card says the classes that folders may be called after.
      const [model, { files: images, notes, unreadable }] = await Promise.all([this.#modelAtHand(signal), this.#images(files, signal)]);
      signal.throwIfAborted();
      this.#model = model;
      const card = JSON.parse(model.card) as ModelCard;
      const broken = unreadable.map(({ path, message }) => `${path}: ${message}`);
      if (images.length === 0) throw new NoImagesError(broken.join('; '));
      const labels = await this.#trainer?.labels(images.map(({ path }) => path), card.classes, { signal });
      signal.throwIfAborted();
      const labelOf = (index: number): string | undefined => card.classes[labels?.[index] ?? -1];
      const items = images.map(({ path, file }, index): Item => ({ index, path, file, label: labelOf(index) }));
      this.#show({ items, card, notes: [...notes, ...broken] });
    } catch (cause) {
      if (signal.aborted) return;
      this.#show({ phase: 'empty' });
      this.#fail(cause);
      return;
    }
    await this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#life;
    if (this.#model === undefined) return;
    const queue = new Queue(this.#state.items, this.#model, () => this.#came(queue));
    this.#queue = queue;
    this.#show({ phase: 'running', error: undefined, pace: queue.pace });
    this.#arrange({});
    try {
      await queue.run();
      if (signal.aborted) return;
      this.#came(queue);
      const { done, total } = queue.pace;
      this.#show({ phase: done === total ? 'done' : 'cancelled' });
      await this.#measure(signal);
    } catch (cause) {
      if (signal.aborted) return;
      this.#show({ phase: 'cancelled' });
      this.#fail(cause);
    }
  }

  /** Another image is classified. */
  #came(queue: Queue): void {
    if (queue !== this.#queue) return;
    this.#show({ pace: queue.pace });
    // In the order of the files every row has its place already.
    const { order, shown } = this.#state;
    if (order.by !== 'index' || shown !== 'all') this.#arrange({});
  }

  /** The model that the page's classifier uses. */
  async #modelAtHand(signal: AbortSignal): Promise<ModelFiles> {
    return this.element.files ?? (await fetched(modelFolder(this.element.model ?? ''), signal));
  }

  async #images(files: PathFile[], signal: AbortSignal): Promise<Images> {
    if (this.#trainer === undefined || this.#trainer.closed) this.#trainer = await createTrainer({ threads: 1, signal });
    return this.#trainer.images(files, { signal });
  }

  async #measure(signal: AbortSignal): Promise<void> {
    const { items, card } = this.#state;
    const classes = card?.classes ?? [];
    const films = items.flatMap(({ path, label, result }): JudgedFilm[] => {
      if (label === undefined || result === undefined || result.label === null) return [];
      const scores = classes.map((name) => result.scores[name] ?? 0);
      return [{ path, truth: classes.indexOf(label), called: classes.indexOf(result.label), scores }];
    });
    if (films.length === 0 || this.#trainer === undefined) return;
    this.#show({ measuring: true });
    try {
      const measured = await this.#trainer.measure(classes, films, { signal });
      this.#show({ measured });
      this.#draw();
      await this.#plots.draw(this.root, measured);
      await this.#threshold(0, 0.5);
    } finally {
      this.#show({ measuring: false });
    }
  }

  async #threshold(label: number, value: number): Promise<void> {
    const { measured, threshold } = this.#state;
    if (measured === undefined || this.#trainer === undefined) return;
    this.#show({ threshold: { label, value, rates: threshold?.label === label ? threshold.rates : undefined } });
    const rates = await this.#trainer.ratesAt(measured, label, value);
    const now = this.#state.threshold;
    // One that has been dragged on meanwhile has asked again.
    if (now?.label !== label || now.value !== value || this.#state.measured !== measured) return;
    this.#show({ threshold: { label, value, rates } });
    this.#plots.mark(label, rates);
  }

  #clear(): void {
    this.#life.abort();
    this.#life = new AbortController();
    this.#queue?.cancel();
    this.#queue = undefined;
    this.#walk.end();
    for (const { thumb } of this.#state.items) thumb?.close();
    this.#show(NOTHING);
  }

  /** Which rows there are, after something that decides that has changed. */
  #arrange(change: Partial<Pick<ManyState, 'shown' | 'text' | 'order'>>): void {
    const { items, shown, text, order } = { ...this.#state, ...change };
    const found = rows(items, shown, text, order);
    this.#show({ ...change, rows: found, at: Math.min(this.#state.at, Math.max(0, found.length - 1)) });
  }

  /** Draws the rows that can be seen. */
  #window(): void {
    const scroller = this.root.querySelector('.scroller');
    if (scroller === null) return;
    const from = Math.max(0, Math.floor(scroller.scrollTop / ROW_HEIGHT) - MARGIN);
    const drawn = Math.ceil(scroller.clientHeight / ROW_HEIGHT) + 2 * MARGIN;
    if (from !== this.#state.from || drawn !== this.#state.drawn) this.#show({ from, drawn });
  }

  #key(event: KeyboardEvent): void {
    const { at, rows } = this.#state;
    const page = Math.max(1, this.#state.drawn - 2 * MARGIN - 2);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#go(to);
  }

  /** Takes the keyboard to a row. */
  #go(row: number): void {
    const at = Math.max(0, Math.min(row, this.#state.rows.length - 1));
    const scroller = this.root.querySelector('.scroller');
    if (scroller === null) return;
    const head = scroller.querySelector('thead')?.clientHeight ?? 0;
    const top = at * ROW_HEIGHT;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + ROW_HEIGHT + head > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + ROW_HEIGHT + head - scroller.clientHeight;
    this.#focus = true;
    this.#show({ at });
    this.#window();
  }

  #fail(cause: unknown): void {
    if (isAbort(cause)) return;
    this.#show({ error: cause instanceof RoentgenError ? cause : new InternalError(String(cause)) });
  }

  #show(change: Partial<ManyState>): void {
    this.#state = { ...this.#state, ...change };
    if (this.#scheduled) return;
    this.#scheduled = true;
    const draw = (): void => {
      this.#scheduled = false;
      this.#draw();
    };
    // A hidden tab has no frames.
    if (document.hidden) setTimeout(draw, 0);
    else requestAnimationFrame(draw);
  }

  #draw(): void {
    const { rows, from, drawn, at } = this.#state;
    render(manyView(this.#state, this.#actions), this.root);
    const scroller = this.root.querySelector('.scroller');
    if (scroller !== this.#scroller) {
      this.#resized.disconnect();
      if (scroller !== null) this.#resized.observe(scroller);
      this.#scroller = scroller;
    }
    // Not in the template: a style attribute is what the page's policy forbids.
    const [above, below] = this.root.querySelectorAll<HTMLElement>('.pad td');
    if (above === undefined || below === undefined) return;
    const first = Math.min(from, rows.length);
    above.style.height = `${first * ROW_HEIGHT}px`;
    below.style.height = `${Math.max(0, rows.length - first - drawn) * ROW_HEIGHT}px`;
    this.#paint('.scroller canvas', (canvas) => this.#state.items[Number(canvas.dataset['item'])]);
    if (!this.#focus) return;
    const button = this.root.querySelector<HTMLElement>(`[data-row="${at}"]`);
    if (button === null) return;
    this.#focus = false;
    button.focus({ preventScroll: true });
  }

  /** Draws thumbnails that have come, and those of other rows than before. */
  #paint(selector: string, of: (canvas: HTMLCanvasElement) => Item | undefined): void {
    for (const canvas of this.root.querySelectorAll<HTMLCanvasElement>(selector)) {
      const item = of(canvas);
      const key = item?.thumb === undefined ? '' : String(item.index);
      if (canvas.dataset['painted'] === key) continue;
      canvas.dataset['painted'] = key;
      const context = canvas.getContext('2d');
      context?.clearRect(0, 0, canvas.width, canvas.height);
      if (item?.thumb === undefined) continue;
      const { width, height } = item.thumb;
      const scale = Math.min(canvas.width / width, canvas.height / height);
      const [w, h] = [width * scale, height * scale];
      context?.drawImage(item.thumb, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
    }
  }
}
