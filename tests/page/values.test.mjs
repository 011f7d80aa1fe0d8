// Files of sixteen bits that use twelve: said beside the answer and before training, and read by a range that is given once.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { count, drop, event, greyPng, launch, model, predict, random, ready, site, watched } from './support.mjs';
import { emptyPage, film, pageWithFilms, writtenTo } from './training.mjs';

let browser, server, empty, folder;
before(async () => {
  [browser, server] = await Promise.all([launch(), site()]);
  empty = await emptyPage(server.url);
  folder = mkdtempSync(join(tmpdir(), 'values-'));
});
after(async () => {
  await Promise.all([browser?.close(), server?.close(), empty?.close()]);
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

/** A noisy disc in twelve bits of sixteen. */
function deep(bright, seed, side = 48) {
  const noise = random(seed);
  const inside = (x, y) => (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 3) ** 2;
  return greyPng(side, side, (x, y) => 4 * noise() + (inside(x, y) === bright ? 2900 : 320), 16);
}

/** A TIFF of 32-bit floats as TIFF 6.0 has them: one strip, values up to 250, a disc that is bright or dark. */
function floats(bright, seed, side = 48) {
  const noise = random(seed);
  const inside = (x, y) => (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 3) ** 2;
  // Width, height, bits, no compression, 0 is black, where the strip is, samples, rows, bytes of it, floats.
  const fields = [[256, side], [257, side], [258, 32], [259, 1], [262, 1], [273, 134], [277, 1], [278, side], [279, 4 * side * side], [339, 3]];
  const file = Buffer.alloc(134 + 4 * side * side);
  file.write('II*\0', 0, 'latin1');
  file.writeUInt32LE(8, 4);
  file.writeUInt16LE(fields.length, 8);
  fields.forEach(([tag, value], i) => {
    file.writeUInt16LE(tag, 10 + 12 * i);
    file.writeUInt16LE(4, 12 + 12 * i);
    file.writeUInt32LE(1, 14 + 12 * i);
    file.writeUInt32LE(value, 18 + 12 * i);
  });
  for (let i = 0; i < side * side; i += 1) {
    file.writeFloatLE(noise() / 16 + (inside(i % side, Math.floor(i / side)) === bright ? 230 : 30), 134 + 4 * i);
  }
  return file;
}

test('floats that say no range are read by the one that is offered, in classifying and in training', { timeout: 300_000 }, async () => {
  const bytes = floats(true, 1, 120);
  const path = join(folder, 'floats.tif');
  writeFileSync(path, bytes);
  const [expected] = await predict([path], model, '--value-range', '0..255');
  const { context, page, complaints } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  await drop(page, [{ name: 'floats.tif', bytes }]);
  assert.equal((await event(page, 'roentgen-error')).error.kind, 'value-range');
  await page.getByRole('button', { name: 'Read it with 0 to 255' }).click();
  const { result } = await event(page, 'roentgen-result');
  for (const [name, score] of Object.entries(expected.scores)) assert.ok(Math.abs(result.scores[name] - score) < 1e-3, name);

  const set = {};
  for (let i = 0; i < 12; i += 1) {
    set[`train/bright/${i}.tif`] = floats(true, i + 1);
    set[`train/dark/${i}.tif`] = floats(false, i + 100);
  }
  await page.goto(`${server.url}#train`);
  await page.getByRole('status').filter({ hasText: 'Ready for images.' }).waitFor({ state: 'attached' });
  await page.locator('input[webkitdirectory]').first().setInputFiles(writtenTo(join(folder, 'floats'), set));
  await page.getByRole('alert').filter({ hasText: 'no readable film to train on' }).waitFor();
  await page.getByRole('button', { name: 'Read them with 0 to 255' }).click();
  await page.locator('#counts').getByText('bright').waitFor();
  assert.equal(await page.getByRole('alert').filter({ hasText: 'no readable film' }).count(), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('beside the answer: what is in doubt, and the film read again by the range that is asked about', async () => {
  const bytes = deep(true, 1, 120);
  const path = join(folder, 'deep.png');
  writeFileSync(path, bytes);
  const [plain] = await predict([path]);
  const [ranged] = await predict([path], model, '--value-range', '0..4095');
  const { context, page, complaints } = await watched(browser);
  await page.goto(server.url);
  await ready(page);
  await drop(page, [{ name: 'deep.png', bytes }]);
  const { result } = await event(page, 'roentgen-result');
  assert.deepEqual([result.notes, result.suggested_range], [plain.notes, [0, 4095]]);
  assert.match(await page.locator('[part=note]').innerText(), /values are below 4096.*value range 0\.\.4095/);
  const near = (found, expected) => {
    for (const [name, score] of Object.entries(expected)) assert.ok(Math.abs(found[name] - score) < 1e-3, `${name}: ${found[name]}, not ${score}`);
  };
  near(result.scores, plain.scores);
  await page.getByRole('button', { name: 'Read it with 0 to 4095' }).click();
  const again = await event(page, 'roentgen-result', 1);
  assert.deepEqual(again.result.notes, []);
  near(again.result.scores, ranged.scores);
  assert.equal(await page.locator('[part=note]').count(), 0);
  assert.equal(await count(page, 'roentgen-error'), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('from code: a range for what leaves it open, in judging and in training', { timeout: 300_000 }, async () => {
  const set = {};
  for (let i = 0; i < 10; i += 1) {
    set[`train/bright/${i}.png`] = deep(true, i + 1);
    set[`train/dark/${i}.png`] = film(false, i + 100);
  }
  const { context, page, complaints } = await pageWithFilms(browser, empty.url, set);
  const said = await page.evaluate(async () => {
    const { createClassifier, createTrainer } = await import('./roentgen.js');
    const classifier = await createClassifier({ model: 'models/four-findings/' });
    const judged = async (options) => (await classifier.classify(window.films[0].file, options)).notes;
    const notes = [await judged({}), await judged({ valueRange: [0, 4095] })];
    const wrong = await judged({ valueRange: [4095, 0] }).catch(({ kind, message }) => `${kind}: ${message}`);
    classifier.close();
    const trainer = await createTrainer({ architecture: 'scratch-cnn' });
    const { report } = await trainer.read(window.films);
    const reread = await trainer.choose({ architecture: 'scratch-cnn', valueRange: [0, 4095] });
    const { report: ranged } = await trainer.data();
    const { preprocess } = trainer.settings({ report: ranged });
    trainer.close();
    return { notes, wrong, unused: report.unused, reread, left: ranged.unused, preprocess };
  });
  assert.deepEqual(said.notes.map((notes) => notes.length), [1, 0]);
  assert.match(said.wrong, /^settings: .*white must be above black/);
  assert.deepEqual(said.unused, { below: 4096, by_class: [[10, 10], [0, 10]] });
  assert.deepEqual([said.reread, said.left, said.preprocess.value_range], [true, undefined, [0, 4095]]);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('before training: one question for the whole set', { timeout: 300_000 }, async () => {
  const set = {};
  for (let i = 0; i < 12; i += 1) {
    set[`train/bright/${i}.png`] = deep(true, i + 1);
    set[`train/dark/${i}.png`] = film(false, i + 100);
  }
  const data = writtenTo(join(folder, 'set'), set);
  const { context, page, complaints } = await watched(browser);
  await page.goto(`${server.url}#train`);
  await page.getByRole('status').filter({ hasText: 'Ready for images.' }).waitFor({ state: 'attached' });
  await page.locator('input[webkitdirectory]').first().setInputFiles(data);
  const question = page.getByRole('group', { name: 'Values of the images' });
  await question.waitFor();
  const warning = page.locator('.note').filter({ hasText: 'all values are below 4096' });
  assert.match(await warning.innerText(), /^In 12 of 24 images \(bright 12 of 12, dark 0 of 12\)/);
  await question.getByRole('button', { name: /Scale them by 0 to 4.095/ }).click();
  await question.waitFor({ state: 'detached' });
  assert.equal(await warning.count(), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});
