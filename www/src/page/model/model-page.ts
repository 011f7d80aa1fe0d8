/** The view of the model: which one is used, what it knows, how that was found, and what it does not know. */

import { html, nothing, render, type TemplateResult } from 'lit';
import { audited, decisions, made } from '../../card';
import type { XrayClassifier } from '../../element';
import { showMeaning } from '../../meaning';
import { ADDRESS, FOLDER, pickModels } from '../../picker';
import { facts, gaps } from '../../sections';
import type { ModelCard } from '../../types';
import { SITE_MODELS } from '../site-models';

export class ModelPage {
  /** Settles once a model's card is shown. */
  readonly shown: Promise<void>;

  constructor(
    private readonly root: HTMLElement,
    private readonly element: XrayClassifier,
  ) {
    render(frame(), root);
    const picker = this.#part('picker');
    if (picker instanceof HTMLFormElement) pickModels(picker, element);
    this.#part('adapt')
      .querySelector('button')
      ?.addEventListener('click', async () => {
        const { AdaptPage } = await import('../../adapt-page');
        new AdaptPage(this.#part('adapt'), this.element);
      });
    this.shown = new Promise((resolve) => {
      const show = (card: ModelCard): void => {
        this.#show(card);
        resolve();
      };
      element.addEventListener('roentgen-ready', ({ detail: { card } }) => show(card));
      if (element.card !== undefined) show(element.card);
    });
  }

  #show(card: ModelCard): void {
    this.#part('knows-nothing-yet').hidden = true;
    render(facts(card), this.#part('knows'));
    render(decisions(card), this.#part('decides'));
    render(gaps(card), this.#part('lacks'));
    showMeaning(card, this.#part('meaning'));
    this.#part('meaning-section').hidden = false;
    this.#where('audit', () => card.audit && audited(card.audit));
    this.#where('made', () => (card.data || card.ablation?.length ? made(card) : undefined));
  }

  /** A section that is there only where the card has something for it that makes sense: the core does not read these parts. */
  #where(id: string, of: () => TemplateResult | undefined): void {
    let content;
    try {
      content = of();
    } catch (error) {
      console.error(`the card's part "${id}" is malformed`, error);
    }
    this.#part(`${id}-section`).hidden = content === undefined;
    render(content ?? nothing, this.#part(id));
  }

  #part(id: string): HTMLElement {
    const found = this.root.querySelector<HTMLElement>(`#${id}`);
    if (found === null) throw new Error(`the view of the model has no #${id}`);
    return found;
  }
}

function frame(): TemplateResult {
  return html`
    <section aria-labelledby="knows-title">
      <h2 id="knows-title">What this model knows</h2>
      <div class="text">
        <form id="picker" class="picker" hidden>
          <label>Model
            <select name="model">
              ${SITE_MODELS.map(([address, name]) => html`<option value=${address}>${name}</option>`)}
              <option value=${ADDRESS}>At an address…</option>
              <option value=${FOLDER}>A folder of mine…</option>
            </select>
          </label>
          <span class="address">
            <label>Its address <input type="text" name="address" placeholder="models/mine/" autocomplete="off" spellcheck="false" /></label>
            <button type="submit">Open</button>
          </span>
          <label class="button folder">Choose the model’s folder…<input type="file" name="folder" webkitdirectory /></label>
          <p class="said" aria-live="polite"></p>
        </form>
        <p class="quiet" id="knows-nothing-yet">Shown here once the model has loaded.</p>
        <div id="knows"></div>
        <div id="decides"></div>
      </div>
    </section>

    <section aria-labelledby="adapt-title">
      <h2 id="adapt-title">Adapt it to my hospital</h2>
      <div class="text">
        <p>It errs more at hospitals that it has not seen. From a few labelled images of yours it learns yours, on this device.</p>
        <div id="adapt"><button type="button">Adapt it…</button></div>
      </div>
    </section>

    <section id="meaning-section" aria-labelledby="meaning-title" hidden>
      <h2 id="meaning-title">What the numbers mean</h2>
      <div class="text" id="meaning"></div>
    </section>

    <section id="audit-section" aria-labelledby="audit-title" hidden>
      <h2 id="audit-title">Does it look at the lungs?</h2>
      <div class="text" id="audit"></div>
    </section>

    <section id="made-section" aria-labelledby="made-title" hidden>
      <h2 id="made-title">What it was made of</h2>
      <div class="text" id="made"></div>
    </section>

    <section aria-labelledby="lacks-title">
      <h2 id="lacks-title">What it does not know</h2>
      <div class="text">
        <p>
          It knows its classes and nothing else: a broken rib is one of them to it. It is to reject what is no upright frontal chest
          X-ray, with the reason; a model that cannot do so gives a hand and a cat one of its classes, too. It sees no patient, no
          history, no second view. Its probability says how sure the network is, not how likely the disease is.
        </p>
        <div id="lacks"></div>
      </div>
    </section>
  `;
}
