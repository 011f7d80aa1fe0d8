// The heat map over a film: the command line's, for the class that is asked for, with what it cannot show beside it.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { greyPng, judge, launch, model, picture, random, ready, roentgen, site, watched } from './support.mjs';

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), site()])));
after(() => Promise.all([browser?.close(), server?.close()]));

/** A page with the model loaded and a film judged. */
async function judged(film) {
  const opened = await watched(browser);
  await opened.page.goto(server.url);
  await ready(opened.page);
  const { result } = await judge(opened.page, film);
  return { ...opened, result };
}

/** Pixels of a canvas or, by its address, a picture: RGBA. */
function pixels(page, what) {
  return page.evaluate(async (what) => {
    const source = what.startsWith('data:')
      ? await createImageBitmap(new Blob([Uint8Array.from(atob(what.slice(what.indexOf(',') + 1)), (c) => c.charCodeAt(0))]))
      : document.querySelector('xray-classifier').shadowRoot.querySelector(what);
    const copy = new OffscreenCanvas(source.width, source.height).getContext('2d');
    copy.drawImage(source, 0, 0);
    return { width: source.width, height: source.height, data: [...copy.getImageData(0, 0, source.width, source.height).data] };
  }, what);
}

const map = (page) => page.locator('[part=map]');
const shown = (page, label) => page.getByText(`Yellow raised ${label} most`).waitFor();

/** Pixels a side of what the network sees. */
const side = JSON.parse(readFileSync(join(model, 'model.json'), 'utf8')).preprocess.width;

/** A film of the network's own size, so that nothing is resized, with a light patch on the dark. */
function film() {
  const noise = random(7);
  const bytes = greyPng(side, side, (x, y) => (Math.hypot(x - 40, y - 70) < 25 ? 200 : 60) + (noise() >> 4));
  return { name: 'film.png', type: 'image/png', bytes };
}

test('the map is the command line’s, for each class', async (t) => {
  const { context, page, result, complaints } = await judged(film());
  await page.getByRole('button', { name: 'Show where it looked' }).click();
  const folder = mkdtempSync(join(tmpdir(), 'map-'));
  const file = join(folder, 'film.png');
  writeFileSync(file, film().bytes);
  const greys = (await pixels(page, '[part=film]')).data;
  const classes = Object.keys(result.scores);
  let coloured = 0;
  for (const label of [result.label, ...classes.filter((name) => name !== result.label)]) {
    await page.getByRole('combobox', { name: 'What speaks for' }).selectOption(label);
    await shown(page, label);
    const layer = await pixels(page, '[part=map]');
    assert.deepEqual([layer.width, layer.height], [side, side]);
    const out = join(folder, 'map.png');
    await roentgen('predict', '--model', model, file, '--show-anyway', '--explain', out, '--class', label);
    const expected = (await pixels(page, `data:image/png;base64,${readFileSync(out).toString('base64')}`)).data;
    let largest = 0;
    for (let i = 0; i < layer.data.length; i += 4) {
      const share = (0.6 * layer.data[i + 3]) / 255;
      coloured += share > 0.3;
      for (let part = 0; part < 3; part += 1) {
        const blended = greys[i] + share * (layer.data[i + part] - greys[i]);
        largest = Math.max(largest, Math.abs(blended - expected[i + part]));
      }
    }
    t.diagnostic(`${label}: ${largest.toFixed(1)} of 255 levels off`);
    // The layer is kept premultiplied in eight bits: half a level of alpha and half a level of each colour.
    assert.ok(largest < 3, `${label}: ${largest} levels off`);
  }
  assert.ok(coloured > 50, 'some of it is coloured');
  assert.deepEqual(complaints, []);
  rmSync(folder, { recursive: true });
  await context.close();
});

test('the map fades, goes away, and does not outlive its film', async () => {
  const { context, page, result, complaints } = await judged(picture('film.png'));
  assert.ok(await map(page).isHidden());
  await page.getByRole('button', { name: 'Show where it looked' }).click();
  await shown(page, result.label);
  assert.ok(await map(page).isVisible());
  assert.match(await page.locator('[part=caption]').innerText(), /not where disease is/);

  const opacity = () => map(page).evaluate((canvas) => Number(getComputedStyle(canvas).opacity));
  assert.equal(await opacity(), 0.6);
  await page.getByLabel('Opacity').fill('25');
  assert.equal(await opacity(), 0.25);

  await page.getByRole('button', { name: 'Hide where it looked' }).click();
  assert.ok(await map(page).isHidden());
  await page.getByRole('button', { name: 'Show where it looked' }).click();
  await shown(page, result.label);
  await judge(page, picture('film.jpg'));
  assert.ok(await map(page).isHidden());
  await page.getByRole('button', { name: 'Show where it looked' }).waitFor();
  // The strict policy had no reason to complain: no inline style.
  assert.deepEqual(complaints, []);
  await context.close();
});

test('from code: a layer of the network’s size, and an error of its own for a class there is none of', async (t) => {
  const { context, page } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  const outcome = await page.evaluate(
    async ([url, base64]) => {
      const { createClassifier } = await import(url);
      const classifier = await createClassifier({ model: 'models/scratch-cnn/' });
      const film = new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]);
      const { label, bitmap, ms } = await classifier.explain(film, classifier.card.classes[0]);
      const kind = await classifier.explain(film, 'Mass').catch((error) => error.kind);
      const left = await classifier.explain(film).catch((error) => error.kind);
      const ended = await classifier.explain(film, label, { signal: AbortSignal.abort() }).catch((error) => error.name);
      classifier.close();
      return { label, first: classifier.card.classes[0], size: [bitmap.width, bitmap.height], ms, kind, left, ended };
    },
    [new URL('roentgen.js', server.url).href, picture('film.png').bytes.toString('base64')],
  );
  t.diagnostic(`found in ${Math.round(outcome.ms)} ms`);
  assert.equal(outcome.label, outcome.first);
  assert.deepEqual(outcome.size, [128, 128]);
  assert.equal(outcome.kind, 'unknown-class');
  assert.equal(outcome.left, 'unknown-class');
  assert.equal(outcome.ended, 'AbortError');
  await context.close();
});
