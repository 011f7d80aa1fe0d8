// The page's Content-Security-Policy, once: the site's build writes it into each page's <meta>, server.mjs sends it as
// a header, so that the page is held to the same rule on any static host.
//
// Nothing comes from, or goes to, another origin; no inline script or style; WebAssembly may be compiled.
// `blob:` and `data:` are for the dropped film, shown from memory.

const directives = {
  'default-src': ["'none'"],
  'script-src': ["'self'", "'wasm-unsafe-eval'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'blob:', 'data:'],
  'connect-src': ["'self'"],
  'worker-src': ["'self'"],
  'manifest-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
};

/** The policy as one line, for a header or a `<meta http-equiv>`. */
export const csp = Object.entries(directives)
  .map(([name, sources]) => `${name} ${sources.join(' ')}`)
  .join('; ');
