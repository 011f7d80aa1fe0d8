// Writes what `cargo bench` measured last to benches/record/<target>/<date>.csv: one line a benchmark, with its median
// and the rate that follows from it, below a head that says on which machine and with which compiler. Figures of
// different files compare only where the heads agree, and then with care: nothing says what else the machine was doing.
//
//   node scripts/record-bench.mjs [target/criterion]

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const criterion = process.argv[2] ?? join(root, 'target/criterion');

const json = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'));
const found = readdirSync(criterion, { recursive: true }).filter((path) => path.endsWith(join('new', 'estimates.json')));
if (found.length === 0) throw new Error(`no estimates under ${criterion}: run cargo bench first`);

// A nanosecond a unit makes giga-units a second of it.
const rates = (throughput, ns) => {
  if (throughput?.Elements !== undefined) return [throughput.Elements / ns, 'GFLOP/s'];
  const bytes = throughput?.Bytes ?? throughput?.BytesDecimal;
  return bytes === undefined ? ['', ''] : [bytes / ns, 'GB/s'];
};

const rows = found.sort().map((path) => {
  const folder = join(criterion, path, '..');
  const { full_id: name, throughput } = json(folder, 'benchmark.json');
  const { median } = json(folder, 'estimates.json');
  const [rate, unit] = rates(throughput, median.point_estimate);
  const { lower_bound: low, upper_bound: high } = median.confidence_interval;
  const milliseconds = [median.point_estimate, low, high].map((ns) => (ns / 1e6).toFixed(4));
  return { name, milliseconds, rate, unit };
});
// What arithmetic allows, from the same run. Winograd's algorithm, which saves products, may lie above it.
const limit = rows.find(({ name }) => name.startsWith('limit/'))?.rate;
const lines = rows.map(({ name, milliseconds, rate, unit }) => {
  const share = unit === 'GFLOP/s' && limit !== undefined ? (rate / limit).toFixed(2) : '';
  return [name, ...milliseconds, rate === '' ? '' : rate.toFixed(2), unit, share].join(',');
});

const rustc = execFileSync('rustc', ['--version', '--verbose'], { encoding: 'utf8' });
const target = /^host: (.+)$/m.exec(rustc)[1];
const threads = process.env.RAYON_NUM_THREADS || availableParallelism();
const date = new Date().toISOString().slice(0, 10);
const head = [`# cpu: ${cpus()[0].model.trim()}`, `# threads: ${threads}`, `# rustc: ${rustc.split('\n')[0]}`];

const folder = join(root, 'benches/record', target);
mkdirSync(folder, { recursive: true });
const file = join(folder, `${date}.csv`);
const again = existsSync(file);
writeFileSync(file, [...head, 'benchmark,median_ms,low_ms,high_ms,rate,unit,of_limit', ...lines, ''].join('\n'));
console.log(`${again ? 'replaced' : 'wrote'} ${file}`);
