// Records what `cargo bench` measured last (scripts/record.mjs): one line a benchmark, with its median and the rate that
// follows from it.
//
//   node scripts/record-bench.mjs [target/criterion]

import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { host, record, root } from './record.mjs';

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

const measured = found.sort().map((path) => {
  const folder = join(criterion, path, '..');
  const { full_id: name, throughput } = json(folder, 'benchmark.json');
  const { median } = json(folder, 'estimates.json');
  const [rate, unit] = rates(throughput, median.point_estimate);
  const { lower_bound: low, upper_bound: high } = median.confidence_interval;
  const milliseconds = [median.point_estimate, low, high].map((ns) => (ns / 1e6).toFixed(4));
  return { name, milliseconds, rate, unit };
});
// What arithmetic allows, from the same run. Winograd's algorithm, which saves products, may lie above it.
const limit = measured.find(({ name }) => name.startsWith('limit/'))?.rate;
const rows = measured.map(({ name, milliseconds, rate, unit }) => {
  const share = unit === 'GFLOP/s' && limit !== undefined ? (rate / limit).toFixed(2) : '';
  return [name, ...milliseconds, rate === '' ? '' : rate.toFixed(2), unit, share];
});

const threads = process.env.RAYON_NUM_THREADS || availableParallelism();
record(host(), { threads }, ['benchmark', 'median_ms', 'low_ms', 'high_ms', 'rate', 'unit', 'of_limit'], rows);
