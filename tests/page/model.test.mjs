// A model that arrives altered, cut short or not at all: nothing is judged with it, and the page says why.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { altered, count, drop, event, launch, picture, ready, site, watched } from './support.mjs';

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

const isWeights = (path) => path.includes('/weights.');

/** The page, served with `change` in between, once loading the model has failed. */
async function failing(change) {
  const proxy = await altered(server.url, change);
  const opened = await watched(browser);
  await opened.page.goto(proxy.url);
  const { error } = await event(opened.page, 'roentgen-error');
  const sentence = await opened.page.locator('[part=error] .sentence').innerText();
  return { ...opened, error, sentence, close: () => Promise.all([opened.context.close(), proxy.close()]) };
}

test('weights altered by one byte are refused, and a film dropped then is not judged', async () => {
  const { page, error, sentence, close } = await failing((path, answer) => {
    if (isWeights(path)) answer.body[answer.body.length >> 1] ^= 1;
  });
  assert.equal(error.kind, 'weights-mismatch');
  assert.match(error.detail, /SHA-256/);
  assert.match(sentence, /not the ones this model was published with/);
  // Every film gets the model another chance; it is the same model.
  await drop(page, [picture('film.png')]);
  await event(page, 'roentgen-error', 1);
  assert.equal(await count(page, 'roentgen-result'), 0);
  assert.equal(await count(page, 'roentgen-ready'), 0);
  await close();
});

test('weights that were cut short are refused by their length', async () => {
  const { error, sentence, close } = await failing((path, answer) => {
    if (isWeights(path)) answer.body = answer.body.subarray(0, answer.body.length - 1000);
  });
  assert.equal(error.kind, 'weights-mismatch');
  assert.match(error.detail, /length \d+ bytes/);
  assert.match(sentence, /altered or cut short/);
  await close();
});

test('weights longer than the card says are refused', async () => {
  const { error, close } = await failing((path, answer) => {
    if (isWeights(path)) answer.body = Buffer.concat([answer.body, Buffer.alloc(1)]);
  });
  assert.equal(error.kind, 'weights-mismatch');
  await close();
});

test('a missing model is named by its address, and trying again works once it is there', async () => {
  let gone = true;
  const { page, error, sentence, close } = await failing((path, answer) => {
    if (gone && path.endsWith('/model.json')) Object.assign(answer, { status: 404, body: Buffer.from('not found') });
  });
  assert.equal(error.kind, 'network');
  assert.match(sentence, /models\/four-findings\/model\.json \(404\)/);
  gone = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await ready(page);
  assert.equal(await page.locator('[part=error]').count(), 0);
  await drop(page, [picture('film.png')]);
  await event(page, 'roentgen-result');
  await close();
});

test('a connection that breaks off is a failure of the network; trying again judges the film that waited', async () => {
  let broken = true;
  const { page, error, sentence, close } = await failing((path, answer) => {
    answer.broken = broken && isWeights(path);
  });
  assert.equal(error.kind, 'network');
  assert.match(sentence, /connection failed while loading http.*weights.*Check the network/);
  await drop(page, [picture('film.png')]);
  await event(page, 'roentgen-error', 2);
  broken = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  assert.equal((await event(page, 'roentgen-result')).name, 'film.png');
  await close();
});

test('a card that makes no sense is refused before anything it names is fetched', async () => {
  const { requests, error, sentence, close } = await failing((path, answer) => {
    if (!path.endsWith('/model.json')) return;
    const card = JSON.parse(answer.body);
    card.weights.file = '../../elsewhere';
    answer.body = Buffer.from(JSON.stringify(card));
  });
  assert.equal(error.kind, 'model-card');
  assert.match(sentence, /cannot be used/);
  assert.ok(!requests.some((url) => url.includes('elsewhere')));
  await close();
});

test('a server that calls the module by a wrong type only makes it slower', async () => {
  const proxy = await altered(server.url, (path, answer) => {
    if (path.endsWith('.wasm')) answer.headers['content-type'] = 'application/octet-stream';
  });
  const { context, page, complaints } = await watched(browser);
  await page.goto(proxy.url);
  await ready(page);
  assert.deepEqual(complaints, []);
  await context.close();
  proxy.close();
});

test('the download is shown in bytes of bytes', async () => {
  const proxy = await altered(server.url, (path, answer) => {
    answer.slow = isWeights(path);
  });
  const { context, page } = await watched(browser);
  await page.goto(proxy.url, { waitUntil: 'commit' });
  const seen = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const seen = new Set();
        const look = () => {
          const root = document.querySelector('xray-classifier')?.shadowRoot;
          const bar = root?.querySelector('progress');
          if (bar?.max > 1) seen.add(`${bar.max}: ${root.querySelector('.download .quiet').textContent}`);
          if (window.roentgenEvents.length > 0) resolve([...seen]);
          else requestAnimationFrame(look);
        };
        look();
      }),
  );
  assert.ok(seen.length > 2, `shown: ${seen.join('; ')}`);
  for (const one of seen) assert.match(one, /^\d+: [\d.,]+ of [\d.,]+ [kM]B, once$/);
  await context.close();
  proxy.close();
});
