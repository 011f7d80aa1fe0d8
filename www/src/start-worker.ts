/** Starts module workers, also where their script lies on another origin than the page. */

/**
 * A worker that runs the script at `url`; `name` is its `self.name`.
 *
 * Browsers refuse `new Worker(url)` for a script of another origin: there it is a worker of the page's own origin that
 * imports the script. The script's server has to allow that (CORS), and so has the page's policy: `worker-src` with
 * `blob:` and the script's origin.
 */
export function startWorker(url: URL, name: string): Worker {
  if (!isForeign(url)) return new Worker(url, { type: 'module', name });
  const shim = URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: 'text/javascript' }));
  try {
    return new Worker(shim, { type: 'module', name });
  } finally {
    // The worker has taken the address already; a revoked one still loads where the fetch has begun.
    setTimeout(() => URL.revokeObjectURL(shim), 10_000);
  }
}

/** Whether the script at `url` lies on another origin. In a worker made from a `blob:`, `origin` is still the page's. */
export function isForeign(url: URL): boolean {
  return url.origin !== self.origin;
}
