// What a program gives in place of a file: the same pixels give the same scores, and what has none says so.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { altered, event, judge, launch, model, picture, ready, site, watched } from './support.mjs';

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

const film = picture('film.png').bytes.toString('base64');

/** A page with `window.classifier`, `window.file`, which is film.png, and `window.sources()`: its pixels in all that they may come in. */
async function open(url = `${server.url}embed-example.html`) {
  const opened = await watched(browser);
  await opened.page.goto(url);
  await ready(opened.page);
  await opened.page.evaluate(async (film) => {
    const { createClassifier } = await import(document.querySelector('script[type=module]').src);
    window.classifier = await createClassifier({ model: document.querySelector('xray-classifier').model });
    window.file = new Blob([Uint8Array.from(atob(film), (c) => c.charCodeAt(0))], { type: 'image/png' });
    window.sources = async () => {
      const bitmap = await createImageBitmap(file);
      const { width, height } = bitmap;
      const canvas = Object.assign(document.createElement('canvas'), { width, height });
      const offscreen = new OffscreenCanvas(width, height);
      for (const one of [canvas, offscreen]) one.getContext('2d').drawImage(bitmap, 0, 0);
      const image = new Image();
      image.src = URL.createObjectURL(file);
      await image.decode();
      const pixels = offscreen.getContext('2d').getImageData(0, 0, width, height);
      const frame = new VideoFrame(canvas, { timestamp: 0 });
      return { pixels, canvas, offscreen, bitmap, image, frame };
    };
  }, film);
  return opened;
}

function assertSame(scores, expected, what) {
  assert.deepEqual(Object.keys(scores), Object.keys(expected), what);
  for (const [name, score] of Object.entries(expected)) {
    assert.ok(Math.abs(scores[name] - score) <= 1e-6, `${what}: ${name} is ${scores[name]}, of the file ${score}`);
  }
}

test('the same pixels give the same scores, whatever they come in, and stay the caller’s', async () => {
  const { context, page, complaints } = await open();
  const { expected, label, found } = await page.evaluate(async () => {
    const { scores: expected, label } = await classifier.classify(file);
    const found = {};
    // Twice, for the first call must leave everything as it was.
    for (const round of [1, 2]) {
      window.given ??= await sources();
      for (const [name, source] of Object.entries(given)) {
        const { scores } = await classifier.classify(source);
        const { label: explained, bitmap } = await classifier.explain(source, Object.keys(expected)[0]);
        found[`${name} ${round}`] = { scores, explained, width: bitmap.width };
      }
    }
    const floats = new ImageData(given.pixels.width, given.pixels.height, { pixelFormat: 'rgba-float16' });
    // A browser without them makes bytes.
    const white = floats.data instanceof Uint8ClampedArray ? 255 : 1;
    given.pixels.data.forEach((value, i) => (floats.data[i] = (value / 255) * white));
    found.floats = { ...found['pixels 1'], scores: (await classifier.classify(floats)).scores };
    return { expected, label, found };
  });
  assert.equal(Object.keys(found).length, 13);
  assert.ok(label in expected);
  for (const [name, { scores, explained, width }] of Object.entries(found)) {
    assertSame(scores, expected, name);
    assert.equal(explained, Object.keys(expected)[0], name);
    assert.ok(width > 0, name);
  }
  assert.deepEqual(complaints, []);
  await context.close();
});

test('pixels are taken as they are when they are given', async () => {
  const { context, page } = await open();
  const { expected, found } = await page.evaluate(async () => {
    const { scores: expected } = await classifier.classify(file);
    const { pixels, canvas, offscreen, bitmap, frame } = await sources();
    const answers = [pixels, canvas, offscreen, bitmap, frame].map((source) => classifier.classify(source));
    pixels.data.fill(0);
    for (const one of [canvas, offscreen]) one.getContext('2d').clearRect(0, 0, one.width, one.height);
    for (const one of [bitmap, frame]) one.close();
    return { expected, found: (await Promise.all(answers)).map(({ scores }) => scores) };
  });
  found.forEach((scores, i) => assertSame(scores, expected, `source ${i}`));
  await context.close();
});

test('what is transparent lies on black, on a canvas as in a file, and colours have their luminance', async () => {
  const { context, page } = await open();
  const found = await page.evaluate(async () => {
    const bitmap = await createImageBitmap(file);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext('2d');
    context.globalAlpha = 0.5;
    context.drawImage(bitmap, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = 'rgb(200 40 90)';
    context.fillRect(20, 20, 40, 40);
    const given = { file: await canvas.convertToBlob({ type: 'image/png' }), canvas, bitmap: await createImageBitmap(canvas) };
    return Promise.all(Object.values(given).map(async (source) => (await classifier.classify(source)).scores));
  });
  const [expected, ...others] = found;
  for (const scores of others) {
    // A canvas keeps colours multiplied by alpha, in 8 bits.
    for (const [name, score] of Object.entries(expected)) assert.ok(Math.abs(scores[name] - score) <= 1e-2, name);
  }
  await context.close();
});

test('the element shows what it was given, and its map, when that is closed and drawn over since', async () => {
  const { context, page, complaints } = await open();
  const { expected, found } = await page.evaluate(async () => {
    const element = document.querySelector('xray-classifier');
    const { scores: expected } = await element.classify(file);
    const found = {};
    for (const [name, source] of Object.entries(await sources())) {
      const answer = element.classify(source);
      if ('close' in source) source.close();
      if ('getContext' in source) source.getContext('2d').clearRect(0, 0, source.width, source.height);
      if ('data' in source) source.data.fill(0);
      found[name] = (await answer).scores;
    }
    return { expected, found };
  });
  for (const [name, scores] of Object.entries(found)) assertSame(scores, expected, name);
  // The last one was a frame, which is closed.
  await page.getByRole('button', { name: 'Show where it looked' }).click();
  await page.locator('canvas[part=map]').waitFor();
  assert.equal(await page.locator('[part=error]').count(), 0);
  // A new one ends the one under way, whichever comes first.
  const outcomes = await page.evaluate(async () => {
    const element = document.querySelector('xray-classifier');
    const { canvas } = await sources();
    const answers = await Promise.allSettled([element.classify(canvas), element.classify(file), element.classify(canvas)]);
    return answers.map(({ status, reason }) => reason?.name ?? status);
  });
  assert.deepEqual(outcomes, ['AbortError', 'AbortError', 'fulfilled']);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a file that the browser reads and we do not gets the scores of its pixels', async () => {
  const { context, page, complaints } = await open();
  const { result } = await judge(page, picture('unsupported/film.avif'));
  const { own, png } = await page.evaluate(async (base64) => {
    const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]));
    const drawing = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    drawing.drawImage(bitmap, 0, 0);
    const pixels = drawing.getImageData(0, 0, bitmap.width, bitmap.height);
    return { own: await classifier.classify(pixels), png: await classifier.classify(file) };
  }, picture('unsupported/film.avif').bytes.toString('base64'));
  assertSame(result.scores, own.scores, 'its own pixels');
  // It was made of film.png without loss.
  for (const [name, score] of Object.entries(png.scores)) assert.ok(Math.abs(result.scores[name] - score) <= 1e-2, name);
  assert.deepEqual(complaints, []);
  // Whether this browser reads JPEG XL or not; 16 pixels are too few to classify.
  const small = await judge(page, picture('unsupported/boxed.jxl'));
  const base64 = picture('unsupported/boxed.jxl').bytes.toString('base64');
  const reads = await page.evaluate(
    (base64) => createImageBitmap(new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))])).then(() => true, () => false),
    base64,
  );
  assert.equal(small.error?.kind, reads ? 'too-small' : 'unsupported-format');
  // What the browser does not read either keeps our own error: cut short, and moving images.
  const { bytes } = picture('unsupported/film.avif');
  const moving = Buffer.from(bytes);
  moving.write('avis', 8);
  for (const [what, bad] of Object.entries({ cut: bytes.subarray(0, 200), moving })) {
    const answer = await judge(page, { name: 'film.avif', bytes: bad });
    assert.equal(answer.error?.kind, 'unsupported-format', what);
    assert.match(answer.error.message, /^AVIF is not supported: save it as PNG/, what);
  }
  await context.close();
});

test('such a file can be trained on too', async () => {
  const { context, page } = await open();
  const { unreadable, width } = await page.evaluate(async (base64) => {
    const { createTrainer } = await import('./roentgen.js');
    const trainer = await createTrainer({ architecture: 'scratch-cnn', seed: 1 });
    const avif = new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], 'film.avif');
    const others = await Promise.all(
      Array.from({ length: 15 }, (_, n) => {
        const canvas = new OffscreenCanvas(64, 64);
        const noise = new ImageData(64, 64);
        noise.data.forEach((_, i) => (noise.data[i] = i % 4 === 3 ? 255 : Math.imul((n + 1) * 7919 + (i >> 2), 2654435761) >>> 24));
        canvas.getContext('2d').putImageData(noise, 0, 0);
        return canvas.convertToBlob({ type: 'image/png' });
      }),
    );
    const files = [avif, ...others].map((file, i) => ({ path: `${i < 8 ? 'one' : 'two'}/${i}.${i === 0 ? 'avif' : 'png'}`, file }));
    const { unreadable } = await trainer.read(files);
    const { width } = await trainer.film('one/0.avif');
    trainer.close();
    return { unreadable, width };
  }, picture('unsupported/film.avif').bytes.toString('base64'));
  assert.deepEqual(unreadable, []);
  assert.ok(width > 0);
  await context.close();
});

test('what is no image, and what has no pixels to give, says what to do, and the next good one is judged', async () => {
  const { context, page, complaints } = await open();
  const found = await page.evaluate(async () => {
    const { RoentgenError } = await import('./roentgen.js');
    const element = document.querySelector('xray-classifier');
    const { pixels, offscreen, bitmap, frame } = await sources();
    const broken = new Image();
    broken.src = URL.createObjectURL(new Blob(['no image']));
    await broken.decode().catch(() => {});
    structuredClone(pixels.data.buffer, { transfer: [pixels.data.buffer] });
    for (const one of [bitmap, frame]) one.close();
    const given = {
      null: null, undefined, string: 'film.png', number: 42, object: {}, video: document.createElement('video'),
      new: new Image(), broken, zero: Object.assign(document.createElement('canvas'), { width: 0 }),
      flat: new OffscreenCanvas(20, 0), detached: pixels, bitmap, frame,
    };
    const said = (promise) => promise.then(() => ['none'], (error) => [error instanceof RoentgenError ? error.kind : error.name, error.message]);
    const found = {};
    for (const [name, source] of Object.entries(given)) {
      found[name] = await said(classifier.classify(source));
      found[`${name} explained`] = await said(classifier.explain(source, 'Normal'));
      found[`${name} shown`] = await said(element.classify(source));
    }
    const controller = new AbortController();
    const during = said(classifier.classify(offscreen, { signal: controller.signal }));
    controller.abort();
    const aborted = [await said(classifier.classify(offscreen, { signal: AbortSignal.abort() })), await during];
    return { found, aborted: aborted.map(([kind]) => kind), next: [await classifier.classify(file), await element.classify(file)] };
  });
  const sentences = {
    null: /^This is no image\. Give a Blob, ImageData, HTMLCanvasElement/, undefined: /^This is no image/, string: /^This is no image/,
    number: /^This is no image/, object: /^This is no image/, video: /^This is no image/,
    new: /^This image is not loaded\. .*decode\(\)/, broken: /^This image is not loaded/,
    zero: /^This canvas has no pixels\. .*draw/, flat: /^This canvas has no pixels/,
    detached: /are gone\. Give it before it is closed/, bitmap: /are gone/, frame: /are gone/,
  };
  for (const [name, [kind, message]] of Object.entries(found.found)) {
    const sentence = sentences[name.split(' ')[0]];
    assert.match(message, sentence, name);
    assert.equal(kind, sentence.source.includes('no image') ? 'no-picture' : 'no-pixels', name);
  }
  assert.deepEqual(found.aborted, ['AbortError', 'AbortError']);
  for (const { refused } of found.next) assert.equal(refused, null);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('pixels of another site that the browser keeps back say how to have them', async () => {
  const shared = await altered(server.url, (_, answer) => (answer.headers['access-control-allow-origin'] = '*'));
  // It may be shown anywhere, and read nowhere else.
  const bare = await altered(server.url, (_, answer) => (answer.headers['cross-origin-resource-policy'] = 'cross-origin'));
  const [sample] = JSON.parse(readFileSync(join(model, 'samples.json'), 'utf8'));
  const host = await altered(server.url, (path, answer) => {
    if (path !== '/') return;
    answer.headers = { 'content-type': 'text/html' };
    answer.body = Buffer.from(`<!doctype html><title>Another site</title><link rel="icon" href="data:," />
      <script type="module" src="${shared.url}roentgen.js"></script>
      <xray-classifier model="${shared.url}models/four-findings"></xray-classifier>`);
  });
  const { context, page } = await open(host.url);
  const found = await page.evaluate(async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
    canvas.getContext('2d').drawImage(image, 0, 0);
    const bitmap = await createImageBitmap(image).catch(() => canvas);
    const element = document.querySelector('xray-classifier');
    const said = (promise) => promise.then(() => ['none'], (error) => [error.kind ?? error.name, error.message]);
    const found = [];
    for (const one of [image, canvas, bitmap]) found.push(await said(classifier.classify(one)), await said(element.classify(one)));
    return { found, next: await classifier.classify(file) };
  }, `${bare.url}models/four-findings/${sample.file}`);
  for (const [kind, message] of found.found) {
    assert.equal(kind, 'no-pixels', message);
    assert.match(message, /from another site\. Load it with crossorigin/);
  }
  assert.equal(found.next.refused, null);
  await context.close();
  for (const one of [host, bare, shared]) one.close();
});
