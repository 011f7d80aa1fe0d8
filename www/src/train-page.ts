/** The training page: what a person does there becomes calls of the trainer, and what it says becomes the screen. */

import { render } from 'lit';
import { InternalError, isAbort, RoentgenError, SettingsError } from './errors';
import { Curves } from './train-charts';
import { Camera } from './train-camera';
import { SAMPLE_FIELDS, SAMPLE_IMAGES, sampleZip } from './page/train/samples';
import { modelFilesOf } from './picker';
import { download, filesOf, filesOfDrop, zipped } from './files';
import { createTrainer, type Kept, type PathFile, type Reading, type Trainer, type TrainingData } from './train';
import { FIELDS, fieldsOf, settingsOf } from './train-fields';
import { chosenBy, optionsOf, RANDOM, type NetworkChoice } from './train-network';
import { total, type TrainActions } from './train-parts';
import { EvaluationPlots } from './train-plots';
import type { TrainState } from './train-state';
import { trainView } from './train-view';
import type { ModelFiles } from './types';

/** Pictures of each class that are shown. */
const SHOWN_OF_A_CLASS = 8;

const NOTHING_TRAINED = {
  run: 'none' as const,
  kept: undefined,
  measured: undefined,
  cell: undefined,
  threshold: undefined,
  model: false,
  epochs: [],
  step: undefined,
} satisfies Partial<TrainState>;

export class TrainPage {
  #state: TrainState = {
    opening: true,
    runtime: undefined,
    architecture: undefined,
    error: undefined,
    dragging: false,
    reading: undefined,
    photographing: undefined,
    data: undefined,
    labels: { table: '', file: '', label: '' },
    waiting: undefined,
    found: [],
    wanted: [],
    kept: undefined,
    notices: [],
    fields: FIELDS,
    network: RANDOM,
    run: 'none',
    settings: undefined,
    epochs: [],
    step: undefined,
    pace: 0,
    model: false,
    evaluating: false,
    measured: undefined,
    cell: undefined,
    threshold: undefined,
    saving: false,
  };
  #trainer: Trainer | undefined;
  /** Settles when the trainer is there, or will not come. */
  #opened: Promise<void> = Promise.resolve();
  #curves = new Curves();
  #plots = new EvaluationPlots();
  #camera: Camera | undefined;
  #photos: File[] = [];
  /** What was let go last, to be read again. */
  #files: PathFile[] = [];
  #scheduled = false;

  /** `use` takes a trained model to where films are judged; `alone` lets go of what else takes memory, before training. */
  constructor(
    private readonly root: HTMLElement,
    private readonly use: (model: ModelFiles) => void,
    private readonly alone: () => void,
  ) {
    this.#draw();
    void this.#open();
  }

  readonly #actions: TrainActions = {
    trySamples: () => void this.#trySamples(),
    picked: (input) => {
      const files = filesOf(input.files ?? []);
      input.value = '';
      void this.#read(files);
    },
    dropped: (event) => {
      event.preventDefault();
      this.#show({ dragging: false });
      if (event.dataTransfer !== null) void filesOfDrop(event.dataTransfer).then((files) => this.#read(files));
    },
    dragged: (dragging) => {
      if (dragging !== this.#state.dragging) this.#show({ dragging });
    },
    addClass: (name, files) => {
      if (this.#isClass(name)) void this.#addClass(name, files);
    },
    photograph: (name) => {
      if (this.#isClass(name)) void this.#guard('films', () => this.#photograph(name));
    },
    takePhoto: () => void this.#guard('films', () => this.#takePhoto()),
    endPhotos: () => this.#endPhotos(),
    labels: (change) => this.#show({ labels: { ...this.#state.labels, ...change } }),
    export: () => void this.#export(),
    forget: () => void this.#forget(),
    want: (name, wanted) => {
      const names = this.#state.found.filter((one) => (one === name ? wanted : this.#state.wanted.includes(one)));
      this.#show({ wanted: names });
      void this.#share(names);
    },
    change: (field, value) => {
      this.#show({ fields: { ...this.#state.fields, [field]: value }, error: undefined });
      if (field === 'seed') void this.#share(this.#state.wanted);
    },
    network: (change) => void this.#choose({ ...this.#state.network, ...change }),
    modelFolder: (input) => {
      const files = [...(input.files ?? [])];
      input.value = '';
      void this.#chooseFolder(files);
    },
    start: () => void this.#train(false),
    goOn: () => void this.#train(true),
    pause: () => {
      this.#trainer?.pause();
      this.#show({ run: 'paused' });
    },
    resume: () => {
      this.#trainer?.resume();
      this.#show({ run: 'running' });
    },
    stop: () => {
      this.#show({ run: 'stopping' });
      this.#trainer?.stop();
    },
    evaluate: () => void this.#evaluate(),
    open: (cell) => {
      this.#show({ cell });
      void this.#drawCell();
    },
    threshold: (label, value) => void this.#threshold(label, value),
    use: () => void this.#guard('evaluation', async (trainer) => this.use(await trainer.save())),
    save: () => void this.#save(),
    readAgain: (range) => void this.#choose({ ...this.#state.network, range }).then(() => this.#read(this.#files)),
    retry: () => void this.#open(),
  };

  async #open(): Promise<void> {
    this.#show({ opening: true, error: undefined });
    const opening = createTrainer({ keep: 'page' });
    this.#opened = opening.then(
      (trainer) => void (this.#trainer = trainer),
      () => {},
    );
    try {
      const trainer = await opening;
      const { kept, runtime, architecture } = trainer;
      this.#show({ opening: false, runtime, architecture });
      await this.#takeUp(trainer, kept);
    } catch (cause) {
      this.#show({ opening: false });
      this.#fail('open', cause);
    }
  }

  /** Shows a project as it was left. */
  async #takeUp(trainer: Trainer, kept: Kept | undefined): Promise<void> {
    const run = kept?.run;
    if (kept !== undefined) await this.#choose(chosenBy(run?.settings ?? kept.network));
    this.#show({
      kept,
      fields: fieldsOf(run?.settings ?? trainer.recipe, this.#state.fields),
      epochs: run?.epochs ?? [],
      settings: run?.settings,
      model: run?.model ?? false,
    });
    if (kept !== undefined) await this.#shareAll(run?.settings.classes, kept.unreadable);
    void this.#drawCurves();
  }

  #isClass(name: string): boolean {
    const named = name !== '' && !name.includes('/');
    if (!named) this.#fail('films', new SettingsError('the class needs a name, without a slash'));
    return named;
  }

  async #photograph(name: string): Promise<void> {
    this.#endPhotos();
    this.#camera = await Camera.on();
    this.#show({ photographing: { name, taken: 0 } });
    this.#draw();
    const video = this.root.querySelector('video');
    if (video !== null) await this.#camera.show(video);
  }

  /** One picture, kept until the camera is off: reading it at once would share all films out again each time. */
  async #takePhoto(): Promise<void> {
    const { photographing } = this.#state;
    const video = this.root.querySelector('video');
    if (photographing === undefined || video === null || this.#camera === undefined) return;
    // The time tells pictures of several sittings apart.
    this.#photos.push(await this.#camera.take(video, `photo-${Date.now()}.png`));
    this.#show({ photographing: { ...photographing, taken: this.#photos.length } });
  }

  #endPhotos(): void {
    const { photographing } = this.#state;
    this.#camera?.off();
    this.#camera = undefined;
    const photos = this.#photos.splice(0);
    this.#show({ photographing: undefined });
    if (photographing !== undefined && photos.length > 0) this.#actions.addClass(photographing.name, photos);
  }

  /** Films, or a project, in place of all others. */
  #read(files: PathFile[]): Promise<void> {
    this.#files = files;
    return this.#reading(files.length, async (trainer, onProgress) => {
      const labels = Object.fromEntries(Object.entries(this.#state.labels).filter(([, title]) => title !== ''));
      const taken = await trainer.take(files, { labels, onProgress });
      if ('data' in taken) {
        await this.#have(trainer, taken.data);
      } else {
        this.#show({ ...NOTHING_TRAINED, notices: [], waiting: undefined });
        await this.#takeUp(trainer, taken.kept);
      }
    });
  }

  /** From nothing to a trained model that is evaluated, with no other decision. */
  async #trySamples(): Promise<void> {
    await this.#guard('films', async () => {
      this.#show({ reading: { done: 0, total: SAMPLE_IMAGES } });
      let zip;
      try {
        zip = await sampleZip();
      } finally {
        this.#show({ reading: undefined });
      }
      if (this.#state.network.learns !== 'random') await this.#choose(RANDOM);
      await this.#read([zip]);
    });
    if (this.#state.data === undefined) return;
    this.#show({ fields: { ...this.#state.fields, ...SAMPLE_FIELDS } });
    const trained = this.#train(false);
    // The button that was pressed is gone; the curves are what is worth looking at.
    this.#lookAt('run-title');
    await trained;
    if (this.#state.measured !== undefined) this.#lookAt('evaluation-title');
  }

  #lookAt(id: string): void {
    this.#draw();
    const heading = this.root.querySelector<HTMLElement>(`#${id}`);
    heading?.scrollIntoView();
    heading?.focus({ preventScroll: true });
  }

  /** Films of one class beside those that are there. */
  #addClass(name: string, files: File[]): Promise<void> {
    return this.#reading(files.length, async (trainer, onProgress) => {
      const data = await trainer.addClass(name, files, { onProgress });
      if ('waiting' in data) this.#show({ waiting: data });
      else await this.#have(trainer, data);
    });
  }

  async #reading(total: number, work: (trainer: Trainer, onProgress: (reading: Reading) => void) => Promise<void>): Promise<void> {
    const busy = ['running', 'paused', 'stopping'].includes(this.#state.run);
    if (total === 0 || busy || this.#state.reading !== undefined) return;
    await this.#guard('films', async (trainer) => {
      this.#show({ reading: { done: 0, total } });
      try {
        await work(trainer, (reading) => this.#show({ reading }));
      } finally {
        this.#show({ reading: undefined });
      }
    });
  }

  async #have(trainer: Trainer, data: TrainingData): Promise<void> {
    const { classes } = data.report;
    this.#show({ data, found: classes, wanted: classes, ...NOTHING_TRAINED, reading: undefined, waiting: undefined });
    void this.#drawFilms();
    const notice = await trainer.keepFilms();
    this.#show({ notices: notice === undefined ? [] : [notice] });
  }

  async #shareAll(classes: string[] | undefined, unreadable: NonNullable<TrainState['data']>['unreadable']): Promise<void> {
    await this.#guard('films', async (trainer) => {
      const all = await trainer.share({ seed: Number(this.#state.fields.seed) });
      const report = classes === undefined ? all : await trainer.share({ classes });
      this.#show({ data: { report, unreadable }, found: all.classes, wanted: report.classes });
      void this.#drawFilms();
    });
  }

  async #share(classes: string[]): Promise<void> {
    const { data, fields } = this.#state;
    const seed = Number(fields.seed);
    if (data === undefined || !Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) return;
    await this.#guard('settings', async (trainer) => {
      this.#show({ data: { ...data, report: await trainer.share({ seed, classes }) } });
      void this.#drawFilms();
    });
  }

  /** Takes another network; films that it sees differently are read again, and nothing that was trained stays. */
  async #choose(choice: NetworkChoice): Promise<void> {
    const { network: before, data } = this.#state;
    this.#show({ network: choice });
    const options = optionsOf(choice);
    // Until a folder is chosen.
    if (options === undefined) return;
    try {
      await this.#opened;
      const trainer = this.#alive();
      const reread = await trainer.choose(options, { onProgress: (reading) => this.#show({ reading }) });
      const { architecture, recipe } = trainer;
      const { fields, wanted } = this.#state;
      this.#show({ architecture, reading: undefined, error: undefined, fields: { ...fieldsOf(recipe, fields), seed: fields.seed } });
      if (!reread || data === undefined) return;
      const report = await trainer.share({ seed: Number(fields.seed), classes: wanted });
      this.#show({ data: { ...data, report }, ...NOTHING_TRAINED });
      void this.#drawFilms();
      const notice = await trainer.keepFilms();
      this.#show({ notices: notice === undefined ? [] : [notice] });
    } catch (cause) {
      this.#show({ network: before, reading: undefined });
      this.#fail('network', cause);
    }
  }

  async #chooseFolder(files: File[]): Promise<void> {
    const found = await modelFilesOf(files);
    if (typeof found === 'string') this.#fail('network', new SettingsError(found.replace(/\.$/, '')));
    else await this.#choose({ ...this.#state.network, files: found });
  }

  async #forget(): Promise<void> {
    await this.#guard('films', async (trainer) => {
      await trainer.clear();
      this.#show({ data: undefined, waiting: undefined, found: [], wanted: [], ...NOTHING_TRAINED });
    });
  }

  async #train(resume: boolean): Promise<void> {
    const { data } = this.#state;
    if (data === undefined) return;
    let where: 'settings' | 'run' = 'settings';
    try {
      const trainer = this.#alive();
      const earlier = this.#state.settings;
      if (!resume && optionsOf(this.#state.network) === undefined) throw new SettingsError('choose the folder of the model to start from');
      const settings = resume && earlier !== undefined ? earlier : trainer.settings(data, await settingsOf(this.#state.fields, trainer));
      await trainer.check(settings);
      where = 'run';
      this.alone();
      const patience = Number(this.#state.fields.patience);
      this.#show({
        run: 'running',
        settings,
        error: undefined,
        notices: [],
        measured: undefined,
        cell: undefined,
        threshold: undefined,
        pace: 0,
        kept: undefined,
        ...(resume ? {} : { epochs: [], step: undefined, model: false }),
      });
      let best = this.#state.epochs.length;
      for await (const report of trainer.fit(data, { ...settings, resume })) {
        if (report.type === 'notice') this.#show({ notices: [...this.#state.notices, report.message] });
        else if (report.type === 'step') {
          // Over some twenty steps: the first ones are slower, and the machine has other things to do.
          const { pace } = this.#state;
          this.#show({ step: report, pace: pace === 0 ? report.ms : pace + (report.ms - pace) / 20 });
        } else {
          const { type: _, best: isBest, ...record } = report;
          this.#show({ epochs: [...this.#state.epochs, record], model: true });
          if (isBest) best = record.epoch;
          if (patience > 0 && record.epoch - best >= patience) this.#actions.stop();
        }
        // A curve point a step would be more than anyone sees.
        if (report.type === 'epoch' || (report.type === 'step' && report.step % 5 === 0)) void this.#drawCurves();
      }
      const finished = this.#state.epochs.length >= settings.epochs;
      this.#show({ run: finished ? 'finished' : 'stopped' });
      if (finished && total(data.report.test) > 0) await this.#evaluate();
    } catch (cause) {
      this.#show({ run: this.#state.epochs.length > 0 ? 'stopped' : 'none' });
      this.#fail(where, cause);
    }
  }

  async #evaluate(): Promise<void> {
    const { data } = this.#state;
    if (data === undefined) return;
    this.#show({ evaluating: true });
    await this.#guard('evaluation', async (trainer) => {
      const measured = await trainer.evaluate(data);
      this.#show({ measured, cell: undefined, threshold: undefined });
      this.#draw();
      await this.#plots.draw(this.root, measured);
      // Where two classes are called one or the other.
      await this.#threshold(0, 0.5);
    });
    this.#show({ evaluating: false });
  }

  async #threshold(label: number, value: number): Promise<void> {
    const { measured, threshold } = this.#state;
    if (measured === undefined) return;
    this.#show({ threshold: { label, value, rates: threshold?.label === label ? threshold.rates : undefined } });
    await this.#guard('evaluation', async (trainer) => {
      const rates = await trainer.ratesAt(measured, label, value);
      const now = this.#state.threshold;
      // One that has been dragged on meanwhile has asked again.
      if (now?.label !== label || now.value !== value || this.#state.measured !== measured) return;
      this.#show({ threshold: { label, value, rates } });
      this.#plots.mark(label, rates);
    });
  }

  async #save(): Promise<void> {
    this.#show({ saving: true });
    await this.#guard('evaluation', async (trainer) => {
      const { card, weights } = await trainer.save();
      const files = [
        { path: 'my-model/model.json', file: new Blob([card]) },
        { path: 'my-model/weights.safetensors', file: weights },
      ];
      download(await zipped(files), 'my-model.zip');
    });
    this.#show({ saving: false });
  }

  async #export(): Promise<void> {
    this.#show({ saving: true });
    await this.#guard('films', async (trainer) => download(await trainer.exportProject(), 'roentgen-project.zip'));
    this.#show({ saving: false });
  }

  /** Runs `work` and shows what goes wrong. */
  async #guard(where: NonNullable<TrainState['error']>['where'], work: (trainer: Trainer) => Promise<void>): Promise<void> {
    this.#show({ error: undefined });
    try {
      // Films may be dropped while the module still comes.
      await this.#opened;
      await work(this.#alive());
    } catch (cause) {
      this.#fail(where, cause);
    }
  }

  #alive(): Trainer {
    if (this.#trainer === undefined || this.#trainer.closed) throw new InternalError('the trainer is not running; reload the page');
    return this.#trainer;
  }

  #fail(where: NonNullable<TrainState['error']>['where'], cause: unknown): void {
    if (isAbort(cause)) return;
    const error = cause instanceof RoentgenError ? cause : new InternalError(String(cause));
    this.#show({ error: { where, error } });
  }

  #show(change: Partial<TrainState>): void {
    this.#state = { ...this.#state, ...change };
    if (this.#scheduled) return;
    this.#scheduled = true;
    // A hidden tab has no frames; it is drawn when it comes back, and must not forget to.
    const draw = () => {
      this.#scheduled = false;
      this.#draw();
    };
    if (document.hidden) setTimeout(draw, 0);
    else requestAnimationFrame(draw);
  }

  #draw(): void {
    render(trainView(this.#state, this.#actions), this.root);
  }

  async #drawCurves(): Promise<void> {
    const { epochs, step, settings } = this.#state;
    this.#draw();
    const [loss, accuracy] = ['loss-chart', 'accuracy-chart'].map((id) => this.root.querySelector<HTMLElement>(`#${id}`));
    if (!loss || !accuracy || settings === undefined) return;
    const at = step === undefined ? 0 : step.step / settings.steps_per_epoch;
    const running = step !== undefined && at > epochs.length ? { at, ...step.running } : undefined;
    await this.#curves.draw(loss, accuracy, epochs, running);
  }

  /** A few films of each class. */
  async #drawFilms(): Promise<void> {
    this.#draw();
    for (const into of this.root.querySelectorAll<HTMLElement>('.films [data-class]')) {
      const paths = (await this.#trainer?.paths(Number(into.dataset['class']), SHOWN_OF_A_CLASS).catch(() => [])) ?? [];
      const canvases = paths.map((path) => Object.assign(document.createElement('canvas'), { title: path }));
      into.replaceChildren(...canvases);
      for (const [i, path] of paths.entries()) await this.#paint(canvases[i]!, path);
    }
  }

  async #drawCell(): Promise<void> {
    this.#draw();
    for (const canvas of this.root.querySelectorAll<HTMLCanvasElement>('.opened canvas')) {
      await this.#paint(canvas, canvas.dataset['path'] ?? '');
    }
  }

  async #paint(canvas: HTMLCanvasElement, path: string): Promise<void> {
    const film = await this.#trainer?.film(path).catch(() => undefined);
    if (film === undefined) return;
    [canvas.width, canvas.height] = [film.width, film.height];
    canvas.getContext('bitmaprenderer')?.transferFromImageBitmap(film);
  }
}
