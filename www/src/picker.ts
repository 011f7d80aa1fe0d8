/** Which model judges: one of the site's own, one at an address, or one in a folder of the user's. */

import type { XrayClassifier } from './element';
import { modelFolder } from './index';
import type { ModelCard, ModelFiles } from './types';

/** What the choices beside the site's own models are called in the list. */
export const ADDRESS = 'address';
export const FOLDER = 'folder';

/** Lets the form choose the element's model, and says in words what is in use and what is wrong. */
export function pickModels(form: HTMLFormElement, element: XrayClassifier): void {
  const list = part(form, 'select', HTMLSelectElement);
  const address = part(form, '[name=address]', HTMLInputElement);
  const folder = part(form, '[name=folder]', HTMLInputElement);
  const said = part(form, '.said', HTMLElement);
  const byFolder = part(form, '.folder', HTMLElement);
  const byAddress = part(form, '.address', HTMLElement);

  const show = (chosen: string): void => {
    byAddress.remove();
    byFolder.remove();
    if (chosen === ADDRESS) said.before(byAddress);
    if (chosen === FOLDER) said.before(byFolder);
    said.textContent = '';
  };
  const open = (model: string | ModelFiles): void => {
    if (typeof model === 'string') {
      // A model that was handed over goes before the attribute, also when that is set to what it was.
      if (element.model === model) element.use();
      else element.model = model;
    } else {
      element.use(model);
    }
  };
  const own = element.getAttribute('model') ?? '';
  if (Array.from(list.options).some(({ value }) => value === own)) list.value = own;
  list.addEventListener('change', () => {
    show(list.value);
    if (list.value === ADDRESS) address.focus();
    else if (list.value !== FOLDER) open(list.value);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (list.value !== ADDRESS) return;
    const wrong = refusal(address.value);
    said.textContent = wrong;
    if (wrong === '') open(address.value.trim());
  });
  folder.addEventListener('change', () => {
    void modelFilesOf(Array.from(folder.files ?? [])).then((found) => {
      // So that picking the same folder again is a change again.
      folder.value = '';
      said.textContent = typeof found === 'string' ? found : '';
      if (typeof found !== 'string') open(found);
    });
  });
  const inUse = ({ name, version }: ModelCard): void => {
    said.textContent = `In use: ${name}, version ${version}.`;
  };
  element.addEventListener('roentgen-ready', ({ detail: { card } }) => inUse(card));
  show(list.value);
  if (element.card !== undefined) inUse(element.card);
  form.hidden = false;
}

/** Why a model cannot be fetched from an address; empty when it can be tried. */
function refusal(address: string): string {
  let url: URL;
  try {
    url = modelFolder(address);
  } catch {
    return 'This is no address. Give that of a folder with model.json in it.';
  }
  // The policy would stop it, and the error would be one of the network.
  return url.origin === location.origin
    ? ''
    : `This page may ask no site but its own (${location.host}), which is how your images stay here. Download the model and choose its folder instead.`;
}

/** The model among the files of a folder, or what is wrong with it. */
export async function modelFilesOf(files: File[]): Promise<ModelFiles | string> {
  const depth = (file: File) => file.webkitRelativePath.split('/').length;
  // The outermost, where a folder holds several.
  const [card] = files.filter(({ name }) => name === 'model.json').sort((a, b) => depth(a) - depth(b));
  if (card === undefined) return 'There is no model.json in this folder. A model folder holds model.json and the weights.';
  const text = await card.text();
  const beside = card.webkitRelativePath.slice(0, -card.name.length);
  const named = weightsIn(text);
  const weights = files.find(({ name, webkitRelativePath }) => webkitRelativePath === `${beside}${name}` && name === named);
  if (named !== undefined && weights === undefined) return `The folder has no ${named}, which its model.json names as the weights.`;
  // A card that names none is opened all the same: what is wrong with it is for the core to say.
  return { card: text, weights: weights ?? new Blob() };
}

function weightsIn(card: string): string | undefined {
  try {
    const { weights } = JSON.parse(card) as { weights?: { file?: string } };
    return weights?.file;
  } catch {
    return undefined;
  }
}

function part<T extends HTMLElement>(form: HTMLFormElement, selector: string, kind: new () => T): T {
  const found = form.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`the picker has no ${selector}`);
  return found;
}
