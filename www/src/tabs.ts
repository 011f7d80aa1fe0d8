/** The page's tabs: one panel at a time, named in the address, moved between with the arrow keys. */

/** The tabs of panels called `names`; the first visit shows the one in the address, or `first`. */
export function tabs(names: string[], first: string): { show(name: string): void; shown(name: string): Promise<void> } {
  const waiting = new Map<string, () => void>();
  const tab = (name: string) => document.getElementById(`${name}-tab`);
  const show = (wanted: string): void => {
    for (const name of names) {
      const chosen = name === wanted;
      tab(name)?.setAttribute('aria-selected', String(chosen));
      tab(name)?.setAttribute('tabindex', chosen ? '0' : '-1');
      document.getElementById(name)?.toggleAttribute('hidden', !chosen);
    }
    waiting.get(wanted)?.();
  };
  const go = (name: string): void => {
    // Without a jump: the panel's id is not to be scrolled to.
    history.replaceState(null, '', name === first ? location.pathname + location.search : `#${name}`);
    show(name);
  };
  const ofAddress = (): string => names.find((name) => location.hash === `#${name}`) ?? first;
  for (const [i, name] of names.entries()) {
    tab(name)?.addEventListener('click', () => go(name));
    tab(name)?.addEventListener('keydown', ({ key }) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[key];
      const next = by === undefined ? undefined : names[(i + by + names.length) % names.length];
      if (next === undefined) return;
      go(next);
      tab(next)?.focus();
    });
  }
  window.addEventListener('hashchange', () => show(ofAddress()));
  // What `shown` waits for is registered first.
  queueMicrotask(() => show(ofAddress()));
  return { show: go, shown: (name) => new Promise((resolve) => waiting.set(name, resolve)) };
}
