/** The page around the element: its views, drops that miss it, the sample pictures, and what to do on a first visit. */

import './define';
import type { XrayClassifier } from './element';
import type { ManyPage } from './page/many/many-page';
import { rootOf, Views, type View } from './page/views';
import { samples, type Held } from './page/classify/samples';
import { filesOfDrop } from './files';
import type { ModelFiles } from './types';
import { nothing, render } from 'lit';

/** One picture in `samples.json`, beside `model.json`. */
interface Sample {
  /** Address relative to the model folder. */
  file: string;
  class: string;
  caption: string;
  /** Training images averaged. */
  n: number;
}

const element = document.querySelector<XrayClassifier>('xray-classifier');
if (element !== null) {
  const views = new Views({
    many: async () => {
      const { ManyPage } = await import('./page/many/many-page');
      return new ManyPage(emptied('many'), section('walk'), element, (view) => views.show(view));
    },
    train: async () => {
      const { TrainPage } = await import('./train-page');
      const use = (model: ModelFiles): void => {
        element.use(model);
        views.show('classify');
      };
      return new TrainPage(emptied('train'), use, () => element.release());
    },
    model: async () => {
      const { ModelPage } = await import('./page/model/model-page');
      // An address inside it leads somewhere only once the card is there.
      await new ModelPage(emptied('model'), element).shown;
    },
    about: async () => {
      const { showAbout } = await import('./page/about/about-page');
      showAbout(emptied('about'));
    },
  });
  const take = (transfer: DataTransfer): void => {
    // Read now: it is empty later.
    const files = filesOfDrop(transfer);
    views.show('many');
    void views.open('many').then((page) => (page as ManyPage).take(files));
  };
  element.addEventListener('roentgen-several', (event) => {
    event.preventDefault();
    take(event.detail.transfer);
  });
  dropAnywhere(element, take);
  firstVisit(element);
  // A model that was adapted on an earlier visit; a browser without caches has none.
  void globalThis.caches?.has('roentgen-adapted').then(async (has) => {
    const model = has && (await (await import('./adapt-store')).remembered());
    if (model) element.use(model);
  });
  // Without its samples the page is whole.
  offerSamples(element).catch(() => {});
}

/** What to do, in three lines, until the first image is classified; a browser that keeps nothing says it each time. */
function firstVisit(element: XrayClassifier): void {
  const key = 'roentgen-visited';
  const kept = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch {
      return undefined;
    }
  };
  const lines = section('first');
  lines.hidden = kept(() => localStorage.getItem(key)) != null;
  element.addEventListener('roentgen-result', () => {
    lines.hidden = true;
    kept(() => localStorage.setItem(key, 'yes'));
  });
}

/** The element of a view, without what said that it loads. */
function emptied(view: View): HTMLElement {
  const root = rootOf(view);
  render(nothing, root);
  return root;
}

/** What is let go beside the stage, or beside the table, is taken all the same; the browser would leave the page and open it. */
function dropAnywhere(element: XrayClassifier, many: (transfer: DataTransfer) => void): void {
  window.addEventListener('dragover', (event) => event.preventDefault());
  window.addEventListener('drop', (event) => {
    if (event.defaultPrevented || event.dataTransfer === null) return;
    event.preventDefault();
    if (element.closest('[hidden]') === null) element.accept(event.dataTransfer);
    else if (!rootOf('many').hidden && event.dataTransfer.types.includes('Files')) many(event.dataTransfer);
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

function section(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found;
}
