// A film dropped on the page: the same answer as the command line's, on the device, without holding the page up.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { count, drop, event, greyPng, judge, launch, picture, predict, random, ready, site, transferOf, watched } from './support.mjs';

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

/** A page with model and samples loaded and nothing under way. */
async function open(options) {
  const opened = await watched(browser, options);
  await opened.page.goto(server.url);
  await ready(opened.page);
  await opened.page.waitForLoadState('networkidle');
  return opened;
}

/** The scores as the page shows them, by class. */
function shown(page) {
  return page.locator('[part=scores] li').evaluateAll((items) =>
    Object.fromEntries(items.map(({ dataset }) => [dataset.class, Number(dataset.score)])),
  );
}

/** Holds the page to what the command line says of each file. */
async function assertJudgedAsPredicted(page, names) {
  const films = names.map(picture);
  const expected = await predict(films.map(({ path }) => path));
  for (const [i, film] of films.entries()) {
    const answer = await judge(page, film);
    if (expected[i].error !== null) {
      assert.equal(answer.error?.kind, expected[i].error.kind, film.name);
      continue;
    }
    assert.equal(answer.result?.label, expected[i].label, film.name);
    assert.deepEqual(answer.result.answer, expected[i].answer, film.name);
    const scores = await shown(page);
    assert.deepEqual(Object.keys(scores), Object.keys(expected[i].scores), film.name);
    for (const [name, score] of Object.entries(expected[i].scores)) {
      assert.ok(Math.abs(scores[name] - score) <= 1e-4, `${film.name}: ${name} is ${scores[name]}, predicted ${score}`);
      assert.ok(Math.abs(answer.result.scores[name] - score) <= 1e-4, film.name);
    }
    assert.match(await page.locator('[part=time]').innerText(), /^[\d,.]+ m?s$/);
  }
}

test('PNG and JPEG get the scores that roentgen predict gives them, with no request after the weights', async () => {
  const { context, page, requests, complaints } = await open();
  const asked = requests.length;
  // Nothing is needed any more: the connection may as well be cut.
  await context.setOffline(true);
  await assertJudgedAsPredicted(page, ['film.png', 'film.jpg', 'film16.png', 'progressive.jpg', 'rgba8.png', 'grey1.png']);
  assert.deepEqual(requests.slice(asked), [], 'requests after the weights');
  assert.deepEqual(complaints, []);
  await context.close();
});

test('so do all other formats, with one request each for the two files of their decoders', async () => {
  const { context, page, requests, complaints } = await open();
  const asked = requests.length;
  const films = ['lossy.webp', 'film.tif', 'jpeg.tif', 'fax.tif', 'orientation6.tif', 'lossless.webp', 'rgb8.bmp', 'grey.gif'];
  await assertJudgedAsPredicted(page, films);
  const files = requests.slice(asked).map((url) => /([^/]*)-.{8}(\.\w+)$/.exec(url)?.slice(1).join(''));
  assert.deepEqual(files, ['roentgen-decoders_bg.wasm', 'roentgen-decoders.js']);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('without a connection the first film in another format says so, and is judged when it is back', async () => {
  const { context, page } = await open();
  await context.setOffline(true);
  assert.equal((await judge(page, picture('film.tif'))).error?.kind, 'network');
  assert.equal((await judge(page, picture('film.png'))).result?.refused, null);
  await context.setOffline(false);
  await assertJudgedAsPredicted(page, ['film.tif']);
  await context.close();
});

/** Size and greys of the film on the stage. */
function staged(page) {
  return page.locator('canvas[part=film]').evaluate((canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
    copy.drawImage(canvas, 0, 0);
    const greys = [...copy.getImageData(0, 0, canvas.width, canvas.height).data].filter((_, i) => i % 4 === 0);
    return { width: canvas.width, height: canvas.height, greys };
  });
}

/** Largest difference of two pictures' greys. */
function difference(a, b) {
  assert.deepEqual([a.width, a.height], [b.width, b.height]);
  return Math.max(...a.greys.map((grey, i) => Math.abs(grey - b.greys[i])));
}

test('the film that is judged is the film that is shown: TIFF, 16 bits, and upright', async () => {
  const { context, page } = await open();
  const show = async (name) => {
    await judge(page, picture(name));
    return staged(page);
  };
  // The same film in three formats; the fixtures are losslessly the same but for rounding to 8 bits.
  const film = await show('film.png');
  assert.ok(new Set(film.greys).size > 8);
  for (const name of ['film.tif', 'film16.png']) assert.ok(difference(await show(name), film) <= 1, name);
  // The same picture, stored turned and mirrored in all eight ways; JPEG's loss differs with the way.
  const upright = await show('orientation1.jpg');
  for (const turned of [3, 6, 8]) {
    assert.ok(difference(await show(`orientation${turned}.jpg`), upright) <= 24, `orientation ${turned}`);
  }
  await context.close();
});

test('the page asks no other site for anything, and the policy would not let it', async () => {
  const { context, page, requests, complaints } = await open();
  await judge(page, picture('film.png'));
  for (const url of requests) assert.ok(url.startsWith(server.url), url);
  assert.deepEqual(complaints, []);
  const elsewhere = await site();
  const outcome = await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective));
        fetch(url).then(() => resolve('fetched'), () => {});
      }),
    elsewhere.url,
  );
  assert.equal(outcome, 'connect-src');
  await elsewhere.close();
  await context.close();
});

test('the policy is in every built page, for hosts that send no header', async () => {
  const { context, page } = await watched(browser);
  for (const path of ['', 'embed-example.html']) {
    const html = await (await page.request.get(server.url + path)).text();
    assert.match(html, /<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'/);
  }
  await context.close();
});

test('the page’s own thread neither runs wasm nor reads a picture’s pixels', async (t) => {
  const { context, page } = await watched(browser);
  // What would keep the page from answering, counted: times would say how busy the machine is.
  await page.addInitScript(() => {
    window.heavy = [];
    const count = (object, name) => {
      const own = object[name];
      object[name] = function (...given) {
        window.heavy.push(name);
        return own.apply(this, given);
      };
    };
    for (const name of ['compile', 'compileStreaming', 'instantiate', 'instantiateStreaming', 'Module', 'Instance']) {
      const own = WebAssembly[name];
      WebAssembly[name] = new Proxy(own, {
        apply: (target, self, given) => (window.heavy.push(name), Reflect.apply(target, self, given)),
        construct: (target, given) => (window.heavy.push(name), Reflect.construct(target, given)),
      });
    }
    count(CanvasRenderingContext2D.prototype, 'getImageData');
    count(Blob.prototype, 'arrayBuffer');
    count(FileReader.prototype, 'readAsArrayBuffer');
  });
  await page.goto(server.url);
  // The counters count.
  assert.deepEqual(
    await page.evaluate(async () => {
      await new Blob(['x']).arrayBuffer();
      WebAssembly.compile(new Uint8Array()).catch(() => {});
      return window.heavy.splice(0);
    }),
    ['arrayBuffer', 'compile'],
  );
  await judge(page, picture('film.png'));
  const folder = mkdtempSync(join(tmpdir(), 'films-'));
  writeFileSync(join(folder, 'large.png'), noise(4500));
  await page.locator('input[type=file]').setInputFiles(join(folder, 'large.png'));
  const { result } = await event(page, 'roentgen-result', 1);
  t.diagnostic(`classified in ${Math.round(result.ms)} ms`);
  assert.deepEqual(await page.evaluate(() => window.heavy), []);
  rmSync(folder, { recursive: true });
  await context.close();
});

test('a new film ends the one under way', async () => {
  const { context, page } = await open();
  // Both in one task of the page: from here, a fast machine might classify the first before the second is there.
  const transfers = [await transferOf(page, [{ name: 'large.png', bytes: noise(3000) }]), await transferOf(page, [picture('film.png')])];
  await page.evaluate((transfers) => {
    const element = document.querySelector('xray-classifier');
    for (const dataTransfer of transfers) element.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
  }, transfers);
  assert.equal((await event(page, 'roentgen-result')).name, 'film.png');
  // Long enough for the first one to answer if it still could.
  await judge(page, picture('film.jpg'));
  assert.equal(await count(page, 'roentgen-result'), 2);
  assert.equal(await count(page, 'roentgen-error'), 0);
  await context.close();
});

test('a film dropped while the model loads waits for it', async () => {
  const { context, page } = await watched(browser);
  await page.goto(server.url, { waitUntil: 'commit' });
  await page.waitForFunction(() => customElements.get('xray-classifier') !== undefined);
  await drop(page, [picture('film.png')]);
  assert.equal((await event(page, 'roentgen-result')).name, 'film.png');
  await context.close();
});

test('a film let go beside the stage is judged too', async () => {
  const { context, page } = await open();
  await drop(page, [picture('film.png')], 'header');
  assert.equal((await event(page, 'roentgen-result')).name, 'film.png');
  await context.close();
});

/** A square greyscale PNG, `side` pixels, of noise that does not compress: slow to decode. */
function noise(side) {
  return greyPng(side, side, random(1));
}
