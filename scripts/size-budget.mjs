// Lists every .wasm and .js of the built site, raw and as a web server with Brotli would send it, and fails when what one
// visitor downloads is over the budget in www/size-budget.json. Of the module's variants that is one: the largest counts.
// Models are left out: they are downloaded by choice, and each card states its own size.
//
//   node scripts/size-budget.mjs dist

import { readFileSync, readdirSync } from 'node:fs';
import { join, sep } from 'node:path';
import { brotliCompressSync } from 'node:zlib';

const root = process.argv[2];
const budget = JSON.parse(readFileSync(new URL('../www/size-budget.json', import.meta.url), 'utf8')).brotli_bytes;
const files = readdirSync(root, { recursive: true })
  .filter((name) => /\.(wasm|m?js)$/.test(name) && !name.startsWith(`models${sep}`))
  .sort();
if (!files.some((name) => name.endsWith('.wasm')) || !files.some((name) => name.endsWith('.js'))) {
  throw new Error(`no .wasm or no .js under ${root}: this is no built site`);
}

// A variant is a module and the JavaScript around it, named as build.sh names them: assets/roentgen-VARIANT[_bg]-HASH.
// A hash is eight characters, dashes among them.
const variants = new Map(
  files.filter((name) => name.endsWith('.wasm')).map((name) => [/roentgen-(.+)_bg-.{8}\.wasm$/.exec(name)?.[1], 0]),
);
if (variants.has(undefined)) throw new Error('a .wasm that is no variant of the module: who downloads it?');
const variantOf = (name) => /roentgen-(.+?)(?:_bg)?-.{8}\.(?:wasm|js)$/.exec(name)?.[1];

const row = (raw, brotli, name) => console.log(`${String(raw).padStart(10)} ${String(brotli).padStart(10)}  ${name}`);
row('raw', 'brotli', 'bytes');
let always = 0;
for (const name of files) {
  const bytes = readFileSync(join(root, name));
  // Quality 11 is what zlib's default is, and what static hosts that compress ahead of time use.
  const compressed = brotliCompressSync(bytes).length;
  row(bytes.length, compressed, name);
  const variant = variantOf(name);
  if (variants.has(variant)) variants.set(variant, variants.get(variant) + compressed);
  else always += compressed;
}
const [largest, bytes] = [...variants].reduce((one, other) => (other[1] > one[1] ? other : one));
const total = always + bytes;
row('', total, `with ${largest}, the largest variant, of ${budget} (${Math.round((100 * total) / budget)} % of the budget)`);
if (!(total <= budget)) {
  console.error(`error: ${total - budget} bytes over the budget: make it smaller, or raise www/size-budget.json with a reason`);
  process.exitCode = 1;
}
