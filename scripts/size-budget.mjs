// Lists what the page of the built site downloads (every .html, .css, .js and .wasm), raw and as a web server with Brotli
// would send it, and fails when what one visitor needs for a prediction is over the budget in www/size-budget.json. Of a
// module's variants that is one: the largest counts. What is downloaded only when something first asks for it is summed
// apart, and held to a budget of its own where it has one. Models are left out: they are downloaded by choice, and each
// card states its own size.
//
//   node scripts/size-budget.mjs dist

import { readFileSync, readdirSync } from 'node:fs';
import { join, sep } from 'node:path';
import { brotliCompressSync } from 'node:zlib';

/** What few visits need, scripts and, where there is a `module`, that in its variants, with what asks for it. */
const LATER = [
  { name: 'many', files: /^assets.many-/, when: 'when many images are classified, beside training', module: false },
  { name: 'about', files: /^assets.(about-page|model-page|site-models)-/, when: 'when the view of the model or the one about the page is opened', module: false },
  { name: 'decoders', files: /^assets.roentgen-decoders/, when: 'when a film comes in another format than PNG or JPEG', module: true },
  { name: 'dicom', files: /^assets.roentgen-dicom/, when: 'when a DICOM file comes', module: true },
  { name: 'training', files: /^assets.(adapt-|train-|uPlot|roentgen-training-)/, when: 'when the view that trains or the section that adapts is opened', module: true },
];

const root = process.argv[2];
const { brotli_bytes: budget, later: budgets } = JSON.parse(readFileSync(new URL('../www/size-budget.json', import.meta.url), 'utf8'));
const files = readdirSync(root, { recursive: true })
  .filter((name) => /\.(html|css|wasm|m?js)$/.test(name) && !name.startsWith(`models${sep}`))
  // The example is a page of somebody else's.
  .filter((name) => !/^(embed|train)-example\./.test(name))
  .sort();
for (const kind of ['.html', '.css', '.js', '.wasm']) {
  if (!files.some((name) => name.endsWith(kind))) throw new Error(`no ${kind} under ${root}: this is no built site`);
}

// A module and the JavaScript around it, named as build.sh names them: assets/roentgen-MODULE[_bg]-HASH.
// A hash is eight characters, dashes among them.
const isVariant = (name) => /roentgen-.+_bg-.{8}\.wasm$/.test(name);
const moduleOf = (name) => /roentgen-(.+?)(?:_bg)?-.{8}\.(?:wasm|js)$/.exec(name)?.[1];
const unnamed = files.find((name) => name.endsWith('.wasm') && !isVariant(name));
if (unnamed !== undefined) throw new Error(`${unnamed} has no name of build.sh's: who downloads it?`);
const variants = new Set(files.filter(isVariant).map(moduleOf));

const row = (raw, brotli, name) => console.log(`${String(raw).padStart(10)} ${String(brotli).padStart(10)}  ${name}`);
row('raw', 'brotli', 'bytes');
const compressed = new Map();
for (const name of files) {
  const bytes = readFileSync(join(root, name));
  // Quality 11 is what zlib's default is, and what static hosts that compress ahead of time use.
  compressed.set(name, brotliCompressSync(bytes).length);
  row(bytes.length, compressed.get(name), name);
}

/** Bytes of all of `names`, with one variant of the module among them, the largest. */
function sum(names) {
  const modules = new Map();
  let bytes = 0;
  for (const name of names) {
    const module = moduleOf(name);
    if (variants.has(module)) modules.set(module, (modules.get(module) ?? 0) + compressed.get(name));
    else bytes += compressed.get(name);
  }
  const [largest, most] = [...modules].reduce((one, other) => (other[1] > one[1] ? other : one), ['', 0]);
  return { bytes: bytes + most, largest };
}

let rest = files;
for (const { name, files: pattern, when, module } of LATER) {
  const later = rest.filter((name) => pattern.test(name));
  if (!(module ? later.some(isVariant) : later.length > 0)) throw new Error(`there is nothing for ${name}: take it out of this list`);
  const { bytes } = sum(later);
  row('', bytes, `${name}, ${when}`);
  if (bytes > (budgets[name] ?? Infinity)) {
    console.error(`error: ${name} is ${bytes - budgets[name]} bytes over its budget in www/size-budget.json`);
    process.exitCode = 1;
  }
  rest = rest.filter((name) => !later.includes(name));
}
const { bytes: total, largest } = sum(rest);
row('', total, `with ${largest}, the largest variant, of ${budget} (${Math.round((100 * total) / budget)} % of the budget)`);
if (!(total <= budget)) {
  console.error(`error: ${total - budget} bytes over the budget: make it smaller, or raise www/size-budget.json with a reason`);
  process.exitCode = 1;
}
