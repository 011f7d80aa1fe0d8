// Lays the bench's subject out as a folder of its own, target/bench/web/: subject.mjs, its workers, and every variant of
// the module that www/src/pkg holds, so that any static server can serve it.
//
//   ./build.sh build && node benches/web/prepare.mjs [--pkg www/src/pkg] [--out target/bench/web]

import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const SOURCES = ['subject.mjs', 'onnx.mjs', 'safetensors.mjs', 'worker.mjs', 'thread.mjs'];

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({ options: { pkg: { type: 'string' }, out: { type: 'string' } } });
const pkg = values.pkg ?? join(root, 'www/src/pkg');
const out = values.out ?? join(root, 'target/bench/web');

const variants = readdirSync(pkg, { withFileTypes: true }).filter((entry) => entry.isDirectory());
if (variants.length === 0) throw new Error(`no variant of the module under ${pkg}: run ./build.sh build first`);

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
for (const name of SOURCES) copyFileSync(join(root, 'benches/web', name), join(out, name));

for (const { name } of variants) {
  const files = readdirSync(join(pkg, name));
  // One name for all of them: the workers are told the variant's folder and nothing else.
  const only = (pattern) => {
    const found = files.filter((file) => pattern.test(file));
    if (found.length !== 1) throw new Error(`${join(pkg, name)}: ${found.length} files match ${pattern}, not one`);
    return join(pkg, name, found[0]);
  };
  mkdirSync(join(out, 'pkg', name), { recursive: true });
  copyFileSync(only(/\.js$/), join(out, 'pkg', name, 'roentgen.js'));
  copyFileSync(only(/_bg\.wasm$/), join(out, 'pkg', name, 'roentgen_bg.wasm'));
}
console.log(`${out}: ${variants.map(({ name }) => name).join(', ')}`);
