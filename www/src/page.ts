/** The page around the element: its tabs, drops that miss it, the sample pictures, and what the model's card says. */

import './define';
import { audited, decisions, made } from './card';
import type { XrayClassifier } from './element';
import { showMeaning } from './meaning';
import { pickModels } from './picker';
import { facts, gaps, samples, type Held } from './sections';
import { tabs } from './tabs';
import { filesOfDrop } from './train-files';
import type { ModelFiles } from './types';
import { nothing, render, type TemplateResult } from 'lit';

/** One picture in `samples.json`, beside `model.json`. */
interface Sample {
  /** Address relative to the model folder. */
  file: string;
  class: string;
  caption: string;
  /** Training films averaged. */
  n: number;
}

const element = document.querySelector<XrayClassifier>('xray-classifier');
if (element !== null) {
  element.addEventListener('roentgen-ready', ({ detail: { card } }) => {
    section('knows-nothing-yet').hidden = true;
    render(facts(card), section('knows'));
    render(decisions(card), section('decides'));
    render(gaps(card), section('lacks'));
    showMeaning(card, section('meaning'));
    section('meaning-section').hidden = false;
    show('audit', () => card.audit && audited(card.audit));
    show('made', () => (card.data || card.ablation?.length ? made(card) : undefined));
  });
  const picker = section('picker');
  if (picker instanceof HTMLFormElement) pickModels(picker, element);
  const { show: open, shown } = tabs(['judge', 'many', 'train'], 'judge');
  // So is what classifies many images, by whoever goes there or drops them.
  const many = once(async () => {
    const { ManyPage } = await import('./page/many/many-page');
    return new ManyPage(section('many'), section('walk'), element, (view) => open(view === 'many' ? view : 'judge'));
  });
  void shown('many').then(many);
  const take = (transfer: DataTransfer): void => {
    // Read now: it is empty later.
    const files = filesOfDrop(transfer);
    open('many');
    void many().then((page) => page.take(files));
  };
  element.addEventListener('roentgen-several', (event) => {
    event.preventDefault();
    take(event.detail.transfer);
  });
  dropAnywhere(element, take);
  // Training is downloaded by whoever goes there.
  void shown('train').then(async () => {
    const { TrainPage } = await import('./train-page');
    const use = (model: ModelFiles): void => {
      element.use(model);
      open('judge');
    };
    new TrainPage(section('train'), use, () => element.release());
  });
  const adapt = section('adapt');
  adapt.querySelector('button')?.addEventListener('click', async () => {
    const { AdaptPage } = await import('./adapt-page');
    new AdaptPage(adapt, element);
  });
  // A model that was adapted on an earlier visit; a browser without caches has none.
  void globalThis.caches?.has('roentgen-adapted').then(async (has) => {
    const model = has && (await (await import('./adapt-store')).remembered());
    if (model) element.use(model);
  });
  // Without its samples the page is whole.
  offerSamples(element).catch(() => {});
}

/** What `make` gives, made on the first call. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

/** What is let go beside the stage, or beside the table, is taken all the same; the browser would leave the page and open it. */
function dropAnywhere(element: XrayClassifier, many: (transfer: DataTransfer) => void): void {
  window.addEventListener('dragover', (event) => event.preventDefault());
  window.addEventListener('drop', (event) => {
    if (event.defaultPrevented || event.dataTransfer === null) return;
    event.preventDefault();
    if (element.closest('[hidden]') === null) element.accept(event.dataTransfer);
    else if (!section('many').hidden && event.dataTransfer.types.includes('Files')) many(event.dataTransfer);
  });
}

/**
 * Fetches the sample pictures now and keeps them, so that choosing one later asks for nothing; without `samples.json`
 * there is no section.
 */
async function offerSamples(element: XrayClassifier): Promise<void> {
  const folder = new URL(element.getAttribute('model') ?? '', document.baseURI);
  const response = await fetch(new URL('samples.json', folder));
  if (!response.ok) return;
  const held = await Promise.all(
    ((await response.json()) as Sample[]).map(async ({ file, caption, n, ...sample }): Promise<Held> => {
      const bytes = await (await fetch(new URL(file, folder))).blob();
      const picture = new File([bytes], caption, { type: bytes.type });
      return { file: picture, pixels: await createImageBitmap(picture), name: sample.class, n };
    }),
  );
  const choose = ({ file }: Held) => {
    element.scrollIntoView({ block: 'nearest' });
    // The element shows what goes wrong.
    element.classify(file).catch(() => {});
  };
  const list = section('samples').querySelector('ul');
  if (list === null || held.length === 0) return;
  render(samples(held, choose), list);
  list.querySelectorAll('canvas').forEach((canvas, i) => canvas.getContext('2d')?.drawImage(held[i]!.pixels, 0, 0));
  section('samples').hidden = false;
}

/** A section that is there only where the card has something for it that makes sense: the core does not read these parts. */
function show(id: string, of: () => TemplateResult | undefined): void {
  let content;
  try {
    content = of();
  } catch (error) {
    console.error(`the card's part "${id}" is malformed`, error);
  }
  section(`${id}-section`).hidden = content === undefined;
  render(content ?? nothing, section(id));
}

function section(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found;
}
