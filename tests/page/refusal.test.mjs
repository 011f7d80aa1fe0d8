// A picture that is no upright frontal chest film: a reason instead of an answer, and the answer, marked, for whoever insists.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { event, greyPng, judge, launch, ready, scratch, shipped, watched } from './support.mjs';

let browser, server;
before(async () => ([browser, server] = await Promise.all([launch(), shipped()])));
after(() => Promise.all([browser?.close(), server?.close()]));

const slope = { name: 'slope.png', type: 'image/png', bytes: greyPng(256, 256, (x) => x) };

test('a refused picture has its reason, no score, and a marked answer after "Show anyway"', async () => {
  const { context, page, complaints } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  const { result } = await judge(page, slope);
  assert.deepEqual([result.answer, result.label, result.score, result.scores], [null, null, null, null]);
  assert.equal(typeof result.refused.value, 'number');
  const reason = page.locator('[part=refusal]');
  assert.equal(await reason.innerText(), result.refused.message);
  assert.equal(await reason.getAttribute('data-reason'), result.refused.reason);
  assert.equal(await page.locator('[part=scores]').count(), 0);
  assert.match(await page.locator('[role=status]').first().innerText(), /slope\.png was rejected/);

  await page.getByRole('button', { name: 'Show anyway' }).click();
  const anyway = await event(page, 'roentgen-result', 1);
  assert.deepEqual(anyway.result.refused, result.refused);
  const scores = Object.values(anyway.result.scores);
  assert.ok(Math.abs(scores.reduce((sum, score) => sum + score, 0) - 1) < 1e-5);
  assert.equal(await page.locator('[part=scores] li').count(), scores.length);
  assert.match(await reason.innerText(), /^Rejected, shown anyway\./);

  // A film after it is judged as ever.
  const sample = join(scratch, 'samples/normal.png');
  const film = await judge(page, { name: 'normal.png', type: 'image/png', bytes: readFileSync(sample) });
  assert.equal(film.result.refused, null);
  assert.equal(await reason.count(), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('from code, a refused picture has no label unless it is to be shown anyway; colour counts in both modules', async () => {
  const { context, page } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  const outcomes = await page.evaluate(async () => {
    const { createClassifier } = await import('./roentgen.js');
    const classifier = await createClassifier({ model: 'models/four-findings' });
    const canvas = new OffscreenCanvas(200, 200);
    const draw = canvas.getContext('2d');
    const colours = draw.createLinearGradient(0, 0, 200, 200);
    colours.addColorStop(0, 'crimson');
    colours.addColorStop(1, 'navy');
    draw.fillStyle = colours;
    draw.fillRect(0, 0, 200, 200);
    const pixels = draw.getImageData(0, 0, 200, 200);
    const images = [pixels, await canvas.convertToBlob({ type: 'image/webp' })];
    const outcomes = [];
    for (const image of images) {
      for (const showAnyway of [false, true]) outcomes.push(await classifier.classify(image, { showAnyway }));
    }
    classifier.close();
    return outcomes;
  });
  for (const [i, { label, refused }] of outcomes.entries()) {
    assert.equal(refused.reason, 'colour-photo', `${i}`);
    assert.equal(label === null, i % 2 === 0, `${i}`);
  }
  await context.close();
});
