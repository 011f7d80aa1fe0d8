// Times the subject beside this file in headless Chromium, each variant of the module on one thread and that with threads
// on two, and records the medians (scripts/record.mjs). Needed beforehand: the folder that subject.mjs names.
//
//   node benches/web/run.mjs [--quick] [--out target/bench/web]
//
// Every line is a page of its own: what one leaves in caches and pools is not the next one's.

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { record, root } from '../../scripts/record.mjs';
import { launch } from '../../tests/page/support.mjs';
import { serve } from '../../www/server.mjs';

const { values } = parseArgs({ options: { quick: { type: 'boolean' }, out: { type: 'string' } } });

const VARIANTS = [
  { variant: 'simd128', threads: 1 },
  { variant: 'relaxed-simd', threads: 1 },
  { variant: 'threads', threads: 1 },
  { variant: 'threads', threads: 2 },
];
/** What is timed: a network, by the subject's name, and how many images it gets at a time. */
const WORK = [
  { name: 'scratch-cnn/predict', model: 'seed', side: 128, n: 1 },
  { name: 'scratch-cnn/predict', model: 'seed', side: 128, n: 32 },
  { name: 'scratch-cnn/predict-int8', model: 'seed', side: 128, n: 1, int8: true },
  { name: 'scratch-cnn/train', model: 'seed', side: 128, n: 5, train: true },
  { name: 'resnet50/predict', model: 'resnet50', side: 224, n: 1 },
  { name: 'mobilenet-v2/predict', model: 'mobilenetv2', side: 224, n: 1 },
  { name: 'efficientnet-lite0/predict', model: 'efficientnet_lite0', side: 224, n: 1 },
];
/** Calls before those that count, calls at least, and milliseconds to fill with calls. */
const PATIENCE = values.quick ? { warm: 2, least: 3, ms: 0 } : { warm: 4, least: 15, ms: 2000 };

/** In the page: milliseconds of each call. */
async function time({ model, side, n, train, int8, variant, threads, patience: { warm, least, ms } }) {
  const subject = await import('./subject.mjs');
  await subject.init({ model, int8, variant, threads });
  const images = Float32Array.from({ length: n * 3 * side * side }, () => Math.random());
  const targets = Float32Array.from({ length: 2 * n }, (_, i) => (i % 2 === 0 ? 1 : 0));
  const call = () => (train ? subject.trainStep(images, targets) : subject.predict(images));
  for (let i = 0; i < warm; i += 1) await call();
  const taken = [];
  for (const end = performance.now() + ms; taken.length < least || performance.now() < end; ) {
    const from = performance.now();
    await call();
    taken.push(performance.now() - from);
  }
  return { taken, runtime: subject.info() };
}

/** Median, and the two calls between which it lies in 95 of 100 such runs (binomial, in its normal approximation). */
function median(taken) {
  const sorted = taken.toSorted((a, b) => a - b);
  const at = (rank) => sorted[Math.min(Math.max(Math.round(rank), 0), sorted.length - 1)];
  const [middle, reach] = [(sorted.length - 1) / 2, 0.98 * Math.sqrt(sorted.length)];
  const value = (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
  return [value, at(middle - reach), at(middle + reach)];
}

const out = values.out ?? join(root, 'target/bench/web');
writeFileSync(join(out, 'index.html'), '<!doctype html><title>Bench</title>');
const [browser, server] = await Promise.all([launch(), serve({ root: out, port: 0 })]);
const rows = [];
try {
  for (const { name, ...work } of WORK) {
    for (const way of VARIANTS) {
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(server.url);
      const { taken, runtime } = await page.evaluate(time, { ...work, ...way, patience: PATIENCE });
      await context.close();
      if (runtime.variant !== way.variant || runtime.threads !== way.threads) {
        throw new Error(`${JSON.stringify(runtime)} ran, not ${JSON.stringify(way)}`);
      }
      const times = median(taken);
      const rate = ((1000 * work.n) / times[0]).toFixed(1);
      rows.push([`${name}/${work.n}`, way.variant, way.threads, ...times.map((ms) => ms.toFixed(2)), rate, 'images/s']);
      console.log(rows.at(-1).join(' '));
    }
  }
  const facts = { browser: `Chromium ${browser.version()}`, cores: availableParallelism() };
  const columns = ['benchmark', 'variant', 'threads', 'median_ms', 'low_ms', 'high_ms', 'rate', 'unit'];
  record('wasm32-unknown-unknown', facts, columns, rows);
} finally {
  await Promise.all([browser.close(), server.close()]);
}
