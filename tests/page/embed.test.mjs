// The classifier in other people's pages: the example, a second origin, and the programming interface.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { serve } from '../../www/server.mjs';
import { altered, count, event, judge, launch, model, picture, predict, ready, root, site, watched, workers } from './support.mjs';

let browser, server, shared, expected;
before(async () => {
  [browser, server] = await Promise.all([launch(), site()]);
  // As a host would that lets other sites embed.
  shared = await altered(server.url, (_, answer) => (answer.headers['access-control-allow-origin'] = '*'));
  [expected] = await predict([picture('film.png').path]);
});
after(() => Promise.all([browser?.close(), server?.close(), shared?.close()]));

/** A page of another site, on another port, with the element's script and model from elsewhere, and `headers` of its own. */
function stranger(policy, script = `${shared.url}roentgen.js`, headers = {}) {
  const html = `<!doctype html><title>Another site</title><link rel="icon" href="data:," />
    <script type="module" src="${script}"></script>
    <xray-classifier model="${shared.url}models/four-findings"></xray-classifier>`;
  return altered(server.url, (path, answer) => {
    if (path !== '/') return;
    answer.headers = { 'content-type': 'text/html', ...(policy && { 'content-security-policy': policy }), ...headers };
    answer.body = Buffer.from(html);
  });
}

function assertSame(result) {
  for (const [name, score] of Object.entries(expected.scores)) assert.ok(Math.abs(result.scores[name] - score) <= 1e-4);
}

test('the example page judges a film', async () => {
  const { context, page, complaints } = await watched(browser);
  await page.goto(`${server.url}embed-example.html`);
  await ready(page);
  assertSame((await judge(page, picture('film.png'))).result);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the site works in a folder of any host', async () => {
  const host = await altered(server.url, () => {}, '/some/where');
  const { context, page, requests, complaints } = await watched(browser);
  await page.goto(`${host.url}some/where/`);
  await ready(page);
  assertSame((await judge(page, picture('film.png'))).result);
  for (const url of requests) assert.ok(url.startsWith(`${host.url}some/where/`), url);
  assert.deepEqual(complaints, []);
  await context.close();
  host.close();
});

test('a page of another origin embeds it', async () => {
  const host = await stranger();
  const { context, page, complaints } = await watched(browser);
  await page.goto(host.url);
  await ready(page);
  assertSame((await judge(page, picture('film.png'))).result);
  assert.deepEqual(complaints, []);
  await context.close();
  host.close();
});

test('a page of another origin whose policy names this one embeds it', async () => {
  const from = new URL(shared.url).origin;
  const host = await stranger(`default-src 'none'; script-src ${from} 'wasm-unsafe-eval'; connect-src ${from}; worker-src blob: ${from}`);
  const { context, page } = await watched(browser);
  await page.goto(host.url);
  await ready(page);
  assertSame((await judge(page, picture('film.png'))).result);
  await context.close();
  host.close();
});

test('an isolated page of another origin has threads too, with a policy that names this one', async () => {
  const from = new URL(shared.url).origin;
  const policy = `default-src 'none'; script-src ${from} 'wasm-unsafe-eval'; connect-src ${from}; worker-src blob: ${from}; img-src data:`;
  const host = await stranger(policy, undefined, {
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
  });
  const { context, page } = await watched(browser);
  await page.goto(host.url);
  const { runtime } = await event(page, 'roentgen-ready');
  const cores = await page.evaluate(() => navigator.hardwareConcurrency);
  assert.equal(runtime.variant, cores > 1 ? 'threads' : 'relaxed-simd');
  assertSame((await judge(page, picture('film.png'))).result);
  await context.close();
  host.close();
});

test('where the other page’s policy forbids the worker, a sentence says what to allow', async () => {
  const host = await stranger(`script-src ${shared.url} 'wasm-unsafe-eval'`);
  const { context, page } = await watched(browser);
  await page.goto(host.url);
  const { error } = await event(page, 'roentgen-error');
  assert.equal(error.kind, 'worker-blocked');
  assert.match(error.message, /worker-src blob: http:\/\/127/);
  await context.close();
  host.close();
});

test('the npm package holds what its exports name, and it works', async () => {
  const www = join(root, 'www');
  execFileSync('npm', ['run', '--silent', 'build:package'], { cwd: www, stdio: ['ignore', 'ignore', 'inherit'] });
  const { exports } = JSON.parse(readFileSync(join(www, 'package.json'), 'utf8'));
  for (const file of Object.values(exports).flatMap(Object.values)) assert.ok(existsSync(join(www, file)), file);
  const files = await serve({ root: join(www, 'lib'), port: 0 });
  const open = await altered(files.url, (_, answer) => (answer.headers['access-control-allow-origin'] = '*'));
  const host = await stranger(undefined, `${open.url}element.js`);
  const { context, page } = await watched(browser);
  await page.goto(host.url);
  await ready(page);
  assertSame((await judge(page, picture('film.png'))).result);
  await context.close();
  for (const server of [host, open, files]) server.close();
});

test('an element without a model says what is missing', async () => {
  const { context, page } = await watched(browser);
  await page.goto(`${server.url}embed-example.html`);
  await ready(page);
  await page.evaluate(() => document.querySelector('xray-classifier').removeAttribute('model'));
  assert.equal((await event(page, 'roentgen-error')).error.kind, 'no-model');
  await context.close();
});

test('what connecting adds, disconnecting takes away', async () => {
  const { context, page } = await watched(browser);
  await page.goto(`${server.url}embed-example.html`);
  await ready(page);
  // The page is isolated, so each thread is a worker.
  const { threads } = await page.evaluate(() => document.querySelector('xray-classifier').runtime);
  await workers(page, threads);
  const element = await page.evaluateHandle(() => {
    const element = document.querySelector('xray-classifier');
    element.remove();
    return element;
  });
  await workers(page, 0);
  await page.evaluate(() => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', 'text');
    document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
  });
  assert.equal(await count(page, 'roentgen-error'), 0);
  await element.evaluate((element) => document.querySelector('main').append(element));
  await event(page, 'roentgen-ready', 1);
  assertSame((await judge(page, picture('film.png'))).result);
  await context.close();
});

test('createClassifier judges files and canvas pixels, reports progress and obeys its signals', async () => {
  const { context, page } = await watched(browser);
  await page.goto(`${server.url}embed-example.html`);
  const base64 = picture('film.png').bytes.toString('base64');
  const seen = await page.evaluate(async (base64) => {
    const { createClassifier, RoentgenError } = await import('./roentgen.js');
    const progress = [];
    const classifier = await createClassifier({ model: 'models/four-findings', onProgress: (one) => progress.push(one) });
    const file = new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]);
    const fromFile = await classifier.classify(file);

    const bitmap = await createImageBitmap(file);
    const drawing = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    drawing.drawImage(bitmap, 0, 0);
    const pixels = drawing.getImageData(0, 0, bitmap.width, bitmap.height);
    const fromCanvas = await classifier.classify(pixels);

    const rejection = (promise) => promise.then(() => 'resolved', (error) => (error instanceof RoentgenError ? error.kind : error.name));
    const before = await rejection(classifier.classify(file, { signal: AbortSignal.abort() }));
    const controller = new AbortController();
    const during = rejection(classifier.classify(file, { signal: controller.signal }));
    controller.abort();
    const missing = await rejection(createClassifier({ model: 'models/none/' }));
    const empty = await rejection(createClassifier({ model: '' }));
    const stopped = new AbortController();
    const loading = rejection(createClassifier({ model: 'models/four-findings', signal: stopped.signal }));
    stopped.abort();
    const left = rejection(classifier.classify(file));
    classifier.close();
    const { id, classes } = classifier.card;
    const last = progress.at(-1);
    return { id, classes, fromFile, fromCanvas, before, during: await during, missing, empty, loading: await loading, left: await left, last };
  }, base64);
  assert.equal(seen.id, JSON.parse(readFileSync(join(model, 'model.json'), 'utf8')).id);
  assert.deepEqual(seen.classes, Object.keys(expected.scores));
  assertSame(seen.fromFile);
  assertSame(seen.fromCanvas);
  assert.equal(seen.last.loadedBytes, seen.last.totalBytes);
  assert.deepEqual(
    [seen.before, seen.during, seen.missing, seen.empty, seen.loading, seen.left],
    ['AbortError', 'AbortError', 'network', 'no-model', 'AbortError', 'AbortError'],
  );
  await context.close();
});
