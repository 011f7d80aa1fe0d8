// What a bench measured, kept in benches/record/<target>/<date>.csv below a head that says on what. Figures of different
// files compare only where the heads agree, and then with care: nothing says what else the machine was doing.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** The machine that rustc compiles for unless told otherwise. */
export const host = () => /^host: (.+)$/m.exec(rustc())[1];

/**
 * Writes the record of today.
 *
 * @param {string} target what was compiled for
 * @param {Record<string, string | number>} facts about the run, beside processor and compiler
 * @param {string[]} columns
 * @param {string[][]} rows
 */
export function record(target, facts, columns, rows) {
  const head = { cpu: cpus()[0].model.trim(), ...facts, rustc: rustc().split('\n')[0] };
  const lines = [...Object.entries(head).map(([name, value]) => `# ${name}: ${value}`), ...[columns, ...rows].map((row) => row.join(','))];
  const folder = join(root, 'benches/record', target);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${new Date().toISOString().slice(0, 10)}.csv`);
  const again = existsSync(file);
  writeFileSync(file, [...lines, ''].join('\n'));
  console.log(`${again ? 'replaced' : 'wrote'} ${file}`);
}

function rustc() {
  return execFileSync('rustc', ['--version', '--verbose'], { encoding: 'utf8' });
}
