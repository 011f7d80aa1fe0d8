/** The page's views: each is an address, works with back and forward, and loads its code when it is first opened. */

import { html, render } from 'lit';

export const VIEWS = ['classify', 'many', 'train', 'model', 'about'] as const;

export type View = (typeof VIEWS)[number];

/** What opens a view for the first time. */
export type Openers = Record<Exclude<View, 'classify'>, () => Promise<unknown>>;

/** Ids of an earlier page, which somebody may have linked to, and the views that they are in now. */
const EARLIER: Record<string, View> = {
  judge: 'classify',
  samples: 'classify',
  adapt: 'model',
  picker: 'model',
  knows: 'model',
  decides: 'model',
  'meaning-section': 'model',
  meaning: 'model',
  'audit-section': 'model',
  audit: 'model',
  'made-section': 'model',
  made: 'model',
  lacks: 'model',
};

export class Views {
  readonly #openers: Openers;
  readonly #opened = new Map<View, Promise<unknown>>();
  /** How far each view was scrolled when it was left. */
  readonly #scrolled = new Map<View, number>();
  readonly #title = document.title;
  #shown: View = 'classify';

  constructor(openers: Openers) {
    this.#openers = openers;
    window.addEventListener('hashchange', () => this.#follow());
    this.#follow();
  }

  /** Goes to a view: a step that "back" takes back. */
  show(view: View): void {
    if (view === this.#shown) return;
    history.pushState(null, '', `#/${view}`);
    this.#show(view);
  }

  /** What the opener of a view gave, opened without being shown. */
  open(view: Exclude<View, 'classify'>): Promise<unknown> {
    let opened = this.#opened.get(view);
    if (opened === undefined) {
      const root = rootOf(view);
      render(html`<p class="quiet">Loading…</p>`, root);
      opened = this.#openers[view]();
      this.#opened.set(view, opened);
      opened.catch(() => {
        // A browser may not try again what it failed to import once.
        render(html`<p role="alert">This view did not load. <a href="">Load the page again</a> when there is a connection.</p>`, root);
      });
    }
    return opened;
  }

  /** Shows what the address says. */
  #follow(): void {
    const { hash } = location;
    const name = hash.replace(/^#\/?/, '');
    const known = VIEWS.find((view) => view === name);
    const view = known ?? (hash.startsWith('#/') ? undefined : EARLIER[name]) ?? 'classify';
    this.#show(view);
    if (view === 'classify' || known !== undefined) return;
    // To what an earlier page had at this address, once it is there.
    this.open(view).then(() => document.getElementById(name)?.scrollIntoView(), () => {});
  }

  #show(view: View): void {
    if (view !== this.#shown) this.#scrolled.set(this.#shown, scrollY);
    const moved = view !== this.#shown;
    this.#shown = view;
    for (const name of VIEWS) {
      rootOf(name).hidden = name !== view;
      const link = document.querySelector(`.views a[href="#/${name}"]`);
      if (name === view) link?.setAttribute('aria-current', 'page');
      else link?.removeAttribute('aria-current');
      if (name === view) document.title = name === 'classify' ? this.#title : `${link?.textContent ?? ''} · Roentgen`;
    }
    if (view !== 'classify') void this.open(view).catch(() => {});
    if (moved) scrollTo(0, this.#scrolled.get(view) ?? 0);
  }
}

/** The element that a view is drawn in. */
export function rootOf(view: View): HTMLElement {
  const root = document.getElementById(view);
  if (root === null) throw new Error(`index.html has no #${view}`);
  return root;
}
