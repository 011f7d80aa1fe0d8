// The variants of the module in a browser: which one runs where, that all of them say the same, and what happens where
// threads do not come or break down.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';

import { csp } from '../../www/csp.mjs';
import { altered, event, judge, launch, model, picture, predict, ready, scratch, site, watched, workers } from './support.mjs';

// The page's samples, and a picture of another size and depth.
const films = [
  ...['covid-19.png', 'normal.png'].map((name) => join(model, 'samples', name)),
  picture('film16.png').path,
];

// One of depthwise convolutions in eight bits a weight, one of large kernels and dense layers.
const models = [model, scratch];

let browser, server, apart, expected;
before(async () => {
  [browser, server] = await Promise.all([launch(), site()]);
  // As a host that sends no header for isolation, which is most of them.
  apart = await altered(server.url, (_, answer) => {
    delete answer.headers['cross-origin-opener-policy'];
    delete answer.headers['cross-origin-embedder-policy'];
  });
  const said = await Promise.all(models.map((folder) => predict(films, folder)));
  expected = said.map((films) => films.map(({ scores }) => scores));
});
after(() => Promise.all([browser?.close(), server?.close(), apart?.close()]));

function assertSame(found, other, what) {
  for (const [name, score] of Object.entries(other)) {
    assert.ok(Math.abs(found[name] - score) <= 1e-4, `${what}: ${name} ${found[name]}, not ${score}`);
  }
}

/** The modules that were asked for; whoever judges films needs nothing of the tab that trains, no script either. */
function downloaded(requests) {
  assert.deepEqual(requests.filter((url) => /\/(train-|uPlot)[^/]*$/.test(url)), []);
  return requests.map((url) => /roentgen-(.+)_bg-.{8}\.wasm$/.exec(url)?.[1]).filter((name) => name !== undefined);
}

/** What a classifier made with `options` says of `films`: `{runtime, scores}`, or `{error}`, the kind of its error. */
function classify(page, options) {
  const files = films.map((path) => readFileSync(path).toString('base64'));
  return page.evaluate(
    async ([options, files]) => {
      const { createClassifier } = await import('./roentgen.js');
      try {
        const classifier = await createClassifier({ model: 'models/four-findings/', ...options });
        const scores = [];
        for (const base64 of files) {
          const file = new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]);
          scores.push((await classifier.classify(file)).scores);
        }
        classifier.close();
        return { runtime: classifier.runtime, scores };
      } catch (error) {
        return { error: error.kind };
      }
    },
    [options, files],
  );
}

/** A page of a site whose answers `change` alters, with nothing loaded but what the test loads; `infos` are its notices. */
async function emptyPage(url, change = () => {}) {
  const host = await altered(url, (path, answer) => {
    change(path, answer);
    if (path === '/') answer.body = Buffer.from('<!doctype html><title>Empty</title><link rel="icon" href="data:," />');
  });
  const opened = await watched(browser);
  const infos = [];
  opened.page.on('console', (message) => message.type() === 'info' && infos.push(message.text()));
  await opened.page.goto(host.url);
  return { ...opened, infos, close: () => Promise.all([opened.context.close(), host.close()]) };
}

const isWorker = (path) => /\/worker-.{8}\.js$/.test(path);

/** Films through every way to run the model in `folder`, against what the command line says. */
async function everyVariant(folder, expected) {
  const { page, requests, complaints, close } = await emptyPage(server.url);
  const ways = [
    { variant: 'simd128', threads: 1 },
    { variant: 'relaxed-simd', threads: 1 },
    ...[1, 2, 3, 8].map((threads) => ({ variant: 'threads', threads })),
  ];
  const all = [];
  for (const way of ways) {
    requests.length = 0;
    const { error, runtime, scores } = await classify(page, { model: `models/${basename(folder)}`, ...way });
    assert.equal(error, undefined);
    assert.deepEqual(runtime, way);
    await workers(page, 0);
    assert.deepEqual(downloaded(requests), [way.variant]);
    scores.forEach((found, film) => assertSame(found, expected[film], `${way.variant} on ${way.threads}, film ${film}`));
    all.push(scores);
  }
  // Of the command line each may differ by 1e-4 one way and the other; of each other they may not either.
  for (const one of all) for (const other of all) one.forEach((scores, i) => assertSame(scores, other[i], `film ${i}`));
  assert.deepEqual(complaints, []);
  await close();
}

for (const [i, folder] of models.entries()) {
  test(`every variant, on any number of threads, gives the scores of the command line: ${basename(folder)}`, () =>
    everyVariant(folder, expected[i]));
}

test('an isolated page runs on threads and downloads nothing else', async () => {
  const { context, page, requests, complaints } = await watched(browser);
  await page.goto(server.url);
  const { runtime } = await event(page, 'roentgen-ready');
  const cores = await page.evaluate(() => navigator.hardwareConcurrency);
  const best = cores > 1 ? { variant: 'threads', threads: Math.min(cores, 8) } : { variant: 'relaxed-simd', threads: 1 };
  assert.deepEqual(runtime, best);
  assert.deepEqual(downloaded(requests), [best.variant]);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a page that is not isolated runs on one thread, with relaxed simd, and downloads nothing else', async () => {
  const { context, page, requests, complaints } = await watched(browser);
  await page.goto(apart.url);
  await ready(page);
  assert.equal(await page.evaluate(() => self.crossOriginIsolated), false);
  assert.deepEqual(await page.evaluate(() => document.querySelector('xray-classifier').runtime), {
    variant: 'relaxed-simd',
    threads: 1,
  });
  assert.deepEqual(downloaded(requests), ['relaxed-simd']);
  assert.ok((await judge(page, picture('film.png'))).result);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a site that wants one thread gets one, without shared memory', async () => {
  const { page, close } = await emptyPage(server.url);
  assert.deepEqual((await classify(page, { threads: 1 })).runtime, { variant: 'relaxed-simd', threads: 1 });
  await close();
});

test('a variant that cannot run here is refused, not replaced', async () => {
  const { page, requests, close } = await emptyPage(apart.url);
  assert.deepEqual(await classify(page, { variant: 'threads' }), { error: 'unsupported-browser' });
  assert.deepEqual(downloaded(requests), []);
  await close();
});

/** Ways for threads not to come: what the first worker meets, and what others of the same script do. */
const hindrances = {
  'a policy that lets the worker start no others': (path, answer) => {
    if (isWorker(path)) answer.headers['content-security-policy'] = csp.replace("worker-src 'self'", "worker-src 'none'");
  },
  'a host that gives the script out once': (() => {
    let given = 0;
    return (path, answer) => {
      if (isWorker(path) && given++ > 0) answer.status = 503;
    };
  })(),
  'a browser that has no room for shared memory': (path, answer) => {
    if (!isWorker(path)) return;
    const refusing = 'WebAssembly.Memory = function () { throw new RangeError("no room for shared memory"); };';
    answer.body = Buffer.concat([Buffer.from(refusing), answer.body]);
  },
};

for (const [name, change] of Object.entries(hindrances)) {
  test(`${name} costs the threads only`, async () => {
    const { page, infos, close } = await emptyPage(server.url, change);
    const { error, runtime, scores } = await classify(page, { threads: 2 });
    assert.equal(error, undefined);
    assert.deepEqual(runtime, { variant: 'relaxed-simd', threads: 1 });
    scores.forEach((found, i) => assertSame(found, expected[0][i], `film ${i}`));
    assert.equal(infos.length, 1, infos.join('\n'));
    assert.match(infos[0], /^roentgen: going on with one thread/);
    await workers(page, 0);
    await close();
  });
}

test('a thread that breaks down ends them all with an error, though the worker waits for it', { timeout: 60_000 }, async () => {
  const { page, close } = await emptyPage(server.url, (path, answer) => {
    if (!/\/roentgen-threads-.{8}\.js$/.test(path)) return;
    const text = answer.body.toString();
    const trapped = text.replace(/\w+\.runThread\(\)/, '(() => { throw new WebAssembly.RuntimeError("unreachable"); })()');
    assert.notEqual(trapped, text);
    answer.body = Buffer.from(trapped);
  });
  assert.deepEqual(await classify(page, { threads: 3 }), { error: 'internal' });
  await workers(page, 0);
  await close();
});
