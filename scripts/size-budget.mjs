// Lists what the page of the built site downloads (every .html, .css, .js and .wasm), raw and as a web server with Brotli
// would send it, and fails when what one visitor needs for a prediction is over the budget in www/size-budget.json. Of the
// module's variants that is one: the largest counts. What is downloaded only when something first asks for it is listed
// apart. Models are left out: they are downloaded by choice, and each card states its own size.
//
//   node scripts/size-budget.mjs dist

import { readFileSync, readdirSync } from 'node:fs';
import { join, sep } from 'node:path';
import { brotliCompressSync } from 'node:zlib';

/** Modules that few visits need, with what asks for them. */
const LATER = new Map([['decoders', 'when a film comes in another format than PNG or JPEG']]);

const root = process.argv[2];
const budget = JSON.parse(readFileSync(new URL('../www/size-budget.json', import.meta.url), 'utf8')).brotli_bytes;
const files = readdirSync(root, { recursive: true })
  .filter((name) => /\.(html|css|wasm|m?js)$/.test(name) && !name.startsWith(`models${sep}`))
  // The example is a page of somebody else's.
  .filter((name) => !name.startsWith('embed-example.'))
  .sort();
for (const kind of ['.html', '.css', '.js', '.wasm']) {
  if (!files.some((name) => name.endsWith(kind))) throw new Error(`no ${kind} under ${root}: this is no built site`);
}

// A module and the JavaScript around it, named as build.sh names them: assets/roentgen-MODULE[_bg]-HASH.
// A hash is eight characters, dashes among them.
const modules = new Map(
  files.filter((name) => name.endsWith('.wasm')).map((name) => [/roentgen-(.+)_bg-.{8}\.wasm$/.exec(name)?.[1], 0]),
);
if (modules.has(undefined)) throw new Error('a .wasm that build.sh did not name: who downloads it?');
const moduleOf = (name) => /roentgen-(.+?)(?:_bg)?-.{8}\.(?:wasm|js)$/.exec(name)?.[1];

const row = (raw, brotli, name) => console.log(`${String(raw).padStart(10)} ${String(brotli).padStart(10)}  ${name}`);
row('raw', 'brotli', 'bytes');
let always = 0;
for (const name of files) {
  const bytes = readFileSync(join(root, name));
  // Quality 11 is what zlib's default is, and what static hosts that compress ahead of time use.
  const compressed = brotliCompressSync(bytes).length;
  row(bytes.length, compressed, name);
  const module = moduleOf(name);
  if (modules.has(module)) modules.set(module, modules.get(module) + compressed);
  else always += compressed;
}
for (const [name, when] of LATER) {
  if (!modules.has(name)) throw new Error(`there is no module ${name}: take it out of this list`);
  row('', modules.get(name), `${name}, ${when}`);
  modules.delete(name);
}
const [largest, bytes] = [...modules].reduce((one, other) => (other[1] > one[1] ? other : one));
const total = always + bytes;
row('', total, `with ${largest}, the largest variant, of ${budget} (${Math.round((100 * total) / budget)} % of the budget)`);
if (!(total <= budget)) {
  console.error(`error: ${total - budget} bytes over the budget: make it smaller, or raise www/size-budget.json with a reason`);
  process.exitCode = 1;
}
